import Cryptography
import Foundation
import IKE
import Testing

@testable import Gateway

@Suite("The example files")
struct ExamplesTests {
    private func text(_ name: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "deploy/examples/\(name)"), encoding: .utf8)
    }

    private func filledIn(_ name: String) throws -> String {
        try text(name).replacing("replace-this-key", with: "a key of my own, 42").replacing(
            "replace-this-password", with: "x")
    }

    @Test(
        "an example is legal once its secrets are filled in",
        arguments: ["minimal.yaml", "full.yaml", "lan-to-lan.yaml"])
    func legal(name: String) throws {
        let loaded = try ConfigurationLoader.load(text: filledIn(name), name: name)
        #expect(loaded.warnings == [])
    }

    @Test(
        "an example as it is, is refused for its secrets alone",
        arguments: [("minimal.yaml", 2), ("full.yaml", 3), ("lan-to-lan.yaml", 3)])
    func placeholders(name: String, count: Int) throws {
        let text = try text(name)
        do throws(ConfigurationError) {
            _ = try ConfigurationLoader.load(text: text, name: name)
            Issue.record("accepted")
        } catch {
            #expect(error.issues.count == count)
            #expect(error.issues.allSatisfy { $0.problem == "is the placeholder of a sample file" })
        }
    }

    @Test("laboratory.yaml is legal as it is, lets in all there is, and each weakness is warned of")
    func laboratory() throws {
        let loaded = try ConfigurationLoader.load(text: text("laboratory.yaml"), name: "laboratory.yaml")
        let policy = loaded.configuration.policy.ike
        #expect(Set(policy.phaseOne.ciphers) == Set(CBCCipher.allCases))
        #expect(Set(policy.phaseOne.hashes) == [.sha256, .sha384, .sha512, .sha1, .md5])
        #expect(Set(policy.phaseOne.groups) == Set(DiffieHellmanGroup.allCases))
        #expect(Set(policy.phaseTwo.ciphers) == Set(ESPCipher.all))
        #expect(Set(policy.phaseTwo.integrities) == Set(IPsecIntegrity.allCases).subtracting([.hmacSHA256Truncated96]))
        #expect(Set(policy.phaseTwo.headerIntegrities) == Set(policy.phaseTwo.integrities))
        #expect(policy.phaseTwo.allowsNoIntegrity && policy.phaseTwo.compression == .accept)
        #expect(loaded.configuration.aggressiveMode.acceptsAnyIdentity)
        #expect(
            loaded.warnings.map(\.key) == [
                "certificates.ca", "profile", "ike.ciphers", "ike.groups", "esp.ciphers", "esp.ciphers",
                "esp.integrity", "ah.integrity",
                "aggressiveMode",
                "aggressiveMode.anyIdentity",
            ])
    }

    @Test("full.yaml says the defaults, but for what it says has none")
    func defaults() throws {
        let full = try ConfigurationLoader.load(text: filledIn("full.yaml"), name: "full.yaml").configuration
        let minimal = try ConfigurationLoader.load(text: filledIn("minimal.yaml"), name: "minimal.yaml").configuration
        #expect(full.policy == minimal.policy && full.rules == minimal.rules)
        #expect(full.keys == minimal.keys && full.aggressiveMode == minimal.aggressiveMode)
        #expect(full.endpoints == minimal.endpoints && full.l2tp == minimal.l2tp && full.ppp == minimal.ppp)
        #expect(full.dnsServers == minimal.dnsServers && full.nbnsServers == minimal.nbnsServers)
        #expect(full.masquerades == minimal.masquerades && full.interface == minimal.interface)
        #expect(full.workers == minimal.workers && full.logLevel == minimal.logLevel)
        #expect(full.rateLimits == minimal.rateLimits)
        #expect(full.limits == minimal.limits && full.securityPolicy == minimal.securityPolicy)
    }

    @Test("full.yaml has every key that the gateway knows")
    func complete() throws {
        let lines = try text("full.yaml").split(separator: "\n").map {
            $0.drop { $0 == " " || $0 == "-" || $0 == "#" }
        }
        for key in ConfigurationFile.everyKey {
            #expect(lines.contains { $0.hasPrefix("\(key):") }, "\(key)")
        }
    }
}
