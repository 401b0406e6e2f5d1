import Cryptography
import Foundation
import Testing

@testable import Gateway

/// A directory that goes with the test.
private final class TemporaryDirectory {
    let path = FileManager.default.temporaryDirectory.appending(path: "culvert-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func mode(_ name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
    }
}

/// Counts, so that what is drawn is known.
private struct Counter: RandomNumberGenerator {
    var value: UInt64 = 0
    mutating func next() -> UInt64 {
        value &+= 0x9E37_79B9_7F4A_7C15
        return value
    }
}

private func load(
    _ state: String, _ environment: [String: String] = [:]
) throws(ConfigurationError) -> LoadedConfiguration {
    var generator = SystemRandom()
    return try ConfigurationLoader.load(file: nil, environment: environment, stateDirectory: state, using: &generator)
}

@Suite("Zero configuration")
struct CredentialsTests {
    @Test("the first start makes credentials and shows them, the next one has the same and shows nothing")
    func persistence() throws {
        let directory = try TemporaryDirectory()
        let state = directory.path + "/state/culvert"
        let first = try load(state)
        let path = state + "/credentials"
        guard case .made(path, let welcome) = first.ownCredentials else {
            Issue.record("not made")
            return
        }
        let kept = try Credentials.parse(String(contentsOfFile: path, encoding: .utf8), path: path)
        #expect(kept.preSharedKey.count == 24 && kept.password.count == 16 && kept.user == "vpnuser")
        for word in [kept.preSharedKey, kept.password, kept.user, path, "Windows", "macOS", "iOS", "Android", "Linux"] {
            #expect(welcome.contains(word))
        }
        #expect(first.configuration.masquerades)
        #expect(first.configuration.preSharedKey == SecretBytes(utf8: kept.preSharedKey))
        #expect(first.warnings == [])

        let second = try load(state)
        #expect(second.ownCredentials == .kept(path: path))
        #expect(second.configuration == first.configuration)
        #expect(try directory.mode("state/culvert/credentials") == 0o600)
        #expect(try directory.mode("state/culvert") == 0o700)
        #expect(try FileManager.default.contentsOfDirectory(atPath: state) == ["credentials"])
    }

    @Test("the mode does not depend on the umask, and a leftover of a crash is no obstacle")
    func leftover() throws {
        let directory = try TemporaryDirectory()
        try "half".write(toFile: directory.path + "/credentials.new", atomically: false, encoding: .utf8)
        _ = try load(directory.path)
        #expect(try directory.mode("credentials") == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["credentials"])
    }

    @Test("what the environment gives counts before what is kept")
    func environmentWins() throws {
        let directory = try TemporaryDirectory()
        _ = try load(directory.path)
        let before = try String(contentsOfFile: directory.path + "/credentials", encoding: .utf8)
        let loaded = try load(directory.path, ["VPN_IPSEC_PSK": "labsecret"])
        #expect(loaded.configuration.preSharedKey == SecretBytes(utf8: "labsecret"))
        #expect(loaded.configuration.users.map(\.name) == ["vpnuser"])
        let user = try load(directory.path, ["VPN_USER": "alice", "VPN_PASSWORD": "wonderland"])
        #expect(user.configuration.users.map(\.name) == ["alice"])
        #expect(try String(contentsOfFile: directory.path + "/credentials", encoding: .utf8) == before)
    }

    @Test("with everything given the state directory is left alone, and a wrong variable makes nothing")
    func untouched() throws {
        let directory = try TemporaryDirectory()
        let given = ["VPN_IPSEC_PSK": "labsecret", "VPN_USER": "alice", "VPN_PASSWORD": "wonderland"]
        #expect(try load(directory.path, given).ownCredentials == .none)
        #expect(throws: ConfigurationError.self) { try load(directory.path, ["VPN_DNS_SRV1": "x"]) }
        // Made and not shown, they would be in use at the next start without anybody having seen them.
        #expect(throws: ConfigurationError.self) { try load(directory.path, ["VPN_L2TP_LOCAL": "10.0.0.1"]) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }

    @Test("a welcome shows only what was made")
    func partialWelcome() throws {
        let directory = try TemporaryDirectory()
        let loaded = try load(directory.path, ["VPN_IPSEC_PSK": "labsecret", "VPN_PUBLIC_IP": "203.0.113.1"])
        guard case .made(_, let welcome) = loaded.ownCredentials else {
            Issue.record("not made")
            return
        }
        #expect(!welcome.contains("labsecret"))
        #expect(welcome.contains("the one you gave (VPN_IPSEC_PSK)"))
        #expect(welcome.contains("203.0.113.1"))
    }

    @Test("a file that others could read is closed, with a warning")
    func looseMode() throws {
        let directory = try TemporaryDirectory()
        _ = try load(directory.path)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o644], ofItemAtPath: directory.path + "/credentials")
        let loaded = try load(directory.path)
        #expect(loaded.warnings.map(\.problem) == ["could be read by others (mode 644); it is 600 again"])
        #expect(try directory.mode("credentials") == 0o600)
        #expect(try load(directory.path).warnings == [])
    }

    @Test(
        "a damaged file is refused by key, never replaced",
        arguments: [
            ("", 3), ("VPN_IPSEC_PSK=abcdefghij\nVPN_USER=a\n", 1),
            ("VPN_IPSEC_PSK=vpn\nVPN_USER=a\nVPN_PASSWORD=b\n", 1),
            ("\u{0}\u{0}\u{0}", 3), (String(repeating: "x", count: 20_000), 1),
        ])
    func damaged(text: String, count: Int) throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/credentials"
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        do throws(ConfigurationError) {
            _ = try load(directory.path)
            Issue.record("accepted")
        } catch {
            #expect(error.issues.count == count)
            #expect(error.issues.allSatisfy { $0.description.hasPrefix(path + ": ") && $0.allowed != nil })
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
    }

    @Test("a link or a directory in the file's place is refused")
    func links() throws {
        let directory = try TemporaryDirectory()
        try "VPN_IPSEC_PSK=abcdefghij\nVPN_USER=a\nVPN_PASSWORD=b\n".write(
            toFile: directory.path + "/elsewhere", atomically: false, encoding: .utf8)
        try FileManager.default.createSymbolicLink(
            atPath: directory.path + "/credentials", withDestinationPath: "elsewhere")
        #expect(throws: ConfigurationError.self) { try load(directory.path) }
        try FileManager.default.createDirectory(
            atPath: directory.path + "/s/credentials", withIntermediateDirectories: true)
        #expect(throws: ConfigurationError.self) { try load(directory.path + "/s") }
    }

    @Test("a state directory that cannot be made is told with its path and a way out")
    func noDirectory() {
        do throws(ConfigurationError) {
            _ = try load("/dev/null/state")
            Issue.record("accepted")
        } catch {
            #expect(error.issues.count == 1)
            #expect(error.description.hasPrefix("/dev/null/state/credentials: cannot be read: Not a directory"))
            #expect(error.description.contains("--state DIR"))
        }
    }

    @Test("keys are drawn from the generator, from letters and digits that nobody mistakes")
    func drawn() {
        var (first, second) = (Counter(), Counter())
        let credentials = Credentials.make(using: &first)
        #expect(credentials == Credentials.make(using: &second))
        #expect(credentials != Credentials.make(using: &second))
        #expect(Set(Credentials.alphabet).count == 54)
        #expect(Set(Credentials.alphabet).isDisjoint(with: "Il1Oo0S5"))
        #expect(credentials.preSharedKey.allSatisfy { Credentials.alphabet.contains($0) })
    }

    @Test("a file that is not there, is a directory or is not UTF-8 is told with its name")
    func unreadableFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/c.yaml"
        func message(_ path: String) -> String {
            do throws(ConfigurationError) {
                _ = try ConfigurationLoader.load(file: path, environment: [:])
                return "accepted"
            } catch {
                return error.description
            }
        }
        #expect(message(path) == "\(path):1: cannot be read: No such file or directory")
        #expect(message(directory.path) == "\(directory.path):1: cannot be read: Is a directory")
        try Data([0x70, 0x3A, 0x0A, 0x61, 0xFF, 0x0A]).write(to: URL(filePath: path))
        #expect(message(path) == "\(path):2: is not UTF-8")
        try Data(count: ConfigurationFile.bytesMaximum + 1).write(to: URL(filePath: path))
        #expect(message(path) == "\(path):1: cannot be read: File too large")
    }
}
