import Cryptography
import IO

/// The pre-shared key, the user and the password that the gateway makes when nobody gives it any, kept in the state
/// directory so that they are the same after a restart.
struct Credentials: Equatable {
    var preSharedKey: String
    var user: String
    var password: String

    /// The file's name in the state directory.
    static let fileName = "credentials"
    /// Its largest size; what is larger, somebody else wrote.
    static let bytesMaximum = 16 << 10
    /// 24 characters of 54 are 138 bits: beyond guessing, and still to be typed into a phone.
    static let preSharedKeyCharacters = 24
    /// 16 characters of 54 are 92 bits.
    static let passwordCharacters = 16
    /// Letters and digits without those that look alike in some typeface: I l 1, O o 0, S 5.
    static let alphabet = [Character]("ABCDEFGHJKLMNPQRTUVWXYZabcdefghijkmnpqrstuvwxyz2346789")
    static let userDefault = "vpnuser"

    /// New ones.
    static func make(using generator: inout some RandomNumberGenerator) -> Credentials {
        Credentials(
            preSharedKey: word(preSharedKeyCharacters, using: &generator), user: userDefault,
            password: word(passwordCharacters, using: &generator))
    }

    private static func word(_ count: Int, using generator: inout some RandomNumberGenerator) -> String {
        // Int.random rejects what would favour the first characters.
        String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
    }

    // MARK: The file

    /// The file's text, in the form of an env-file, so that it can be given to a container as one.
    var text: String {
        """
        # Made by culvert at its first start, for want of others. Environment variables of the same names, or a
        # configuration file, take their place. Remove this file to have new ones made.
        VPN_IPSEC_PSK=\(preSharedKey)
        VPN_USER=\(user)
        VPN_PASSWORD=\(password)

        """
    }

    /// The credentials that `text` holds, each checked by the rule of its variable.
    static func parse(_ text: String, path: String) throws(ConfigurationError) -> Credentials {
        var values: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let line = ValueRules.trimmed(line)
            guard !line.isEmpty, !line.hasPrefix("#"), let sign = line.firstIndex(of: "=") else { continue }
            values[String(line[..<sign])] = ConfigurationEnvironment.unquoted(String(line[line.index(after: sign)...]))
        }
        var issues: [ConfigurationIssue] = []
        func value(_ name: String, _ rule: (String) throws(Refusal) -> Void) -> String {
            let text = values[name] ?? ""
            do throws(Refusal) {
                try rule(text)
            } catch {
                let allowed = "\(error.allowed); or remove the file to have new credentials made"
                issues.append(
                    .init(
                        source: .credentials(path), key: name,
                        problem: values[name] == nil ? "is missing" : error.problem,
                        allowed: allowed))
            }
            return text
        }
        let credentials = Credentials(
            preSharedKey: value("VPN_IPSEC_PSK") { text throws(Refusal) in _ = try ValueRules.preSharedKey(text) },
            user: value("VPN_USER") { text throws(Refusal) in _ = try ValueRules.userName(text) },
            password: value("VPN_PASSWORD") { text throws(Refusal) in _ = try ValueRules.password(text) })
        guard issues.isEmpty else { throw ConfigurationError(issues) }
        return credentials
    }
}

/// The state directory, as far as credentials are concerned.
struct CredentialsStore {
    let directory: String

    var path: String { "\(directory)/\(Credentials.fileName)" }

    /// Keeps `credentials` from now on.
    func write(_ credentials: Credentials) throws(ConfigurationError) {
        do throws(FileError) {
            try PrivateFile.makeDirectory(directory)
            try PrivateFile.replace(Credentials.fileName, in: directory, with: [UInt8](credentials.text.utf8))
        } catch {
            throw failure("cannot be written: \(error.description)")
        }
    }

    /// The credentials kept, and what to warn of; nil where none are.
    func read() throws(ConfigurationError) -> (credentials: Credentials, warnings: [ConfigurationIssue])? {
        let bytes: [UInt8]
        var warnings: [ConfigurationIssue] = []
        do throws(FileError) {
            let file = try PrivateFile.read(path, bytesMaximum: Credentials.bytesMaximum, followsLinks: false)
            bytes = file.bytes
            if file.mode & 0o077 != 0 {
                try PrivateFile.restrict(path)
                warnings.append(
                    .init(
                        source: .credentials(path), key: "",
                        problem: "could be read by others (mode \(String(file.mode, radix: 8))); it is 600 again"))
            }
        } catch {
            if error.isNoSuchFile { return nil }
            throw failure("cannot be read: \(error.description)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("is not UTF-8") }
        return (try Credentials.parse(text, path: path), warnings)
    }

    private func failure(_ problem: String) -> ConfigurationError {
        ConfigurationError([
            .init(
                source: .credentials(path), key: "", problem: problem,
                allowed:
                    "a state directory of the gateway's own (--state DIR), or VPN_IPSEC_PSK, VPN_USER and VPN_PASSWORD")
        ])
    }
}
