import Cryptography
import Foundation
import IKE
import Testing

@testable import Gateway

/// The vectors' folder.
private let vectors = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Vectors/certificates").path

private let users = """
    users:
      - {name: alice, password: wonderland}

    """

private func load(_ text: String) throws(ConfigurationError) -> LoadedConfiguration {
    try ConfigurationLoader.load(text: text, name: "\(vectors)/c.yaml", environment: [:])
}

private func issues(_ text: String) -> [String] {
    do throws(ConfigurationError) {
        _ = try load(text)
        return []
    } catch {
        return error.issues.map { $0.description.replacing(vectors, with: "DIR") }
    }
}

/// A folder of its own for a test, gone afterwards.
private final class Folder {
    let path: String
    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "certificates-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func copy(_ name: String, as other: String? = nil) throws {
        let target = "\(path)/\(other ?? name)"
        try? FileManager.default.removeItem(atPath: target)
        try FileManager.default.copyItem(atPath: "\(vectors)/\(name)", toPath: target)
    }
}

@Suite("Certificates in the configuration")
struct CertificateConfigurationTests {
    static let section = """
        certificates:
          ca: root.pem
          certificate: gateway-rsa2048.pem
          key: gateway-rsa2048.key

        """

    /// All that a certificate may sign with; IKE leaves out what there is no key for.
    static let signatures = PhaseOneAuthenticationMethod.allCases.filter(\.isSignature)

    @Test("files beside the configuration are read, and certificates come before the key")
    func files() throws {
        let configuration = try load(users + "psk: labsecret\n" + Self.section).configuration
        #expect(configuration.policy.authentication == [.certificate, .psk])
        let loaded = try #require(configuration.certificates?.loaded)
        #expect(loaded.trust.authorities.map(\.subjectText) == ["C=CH,O=Example,CN=Example Root"])
        #expect(loaded.identities.count == 1 && loaded.trust.revocationLists.isEmpty)
        #expect(!loaded.trust.requiresRevocationCheck && loaded.trust.strength == .modern)
        let ike = configuration.ike
        #expect(ike.policy.authenticationMethods == Self.signatures + [.preSharedKey])
        #expect(ike.certificates != nil)
    }

    @Test("with certificates alone no pre-shared key is needed, nor accepted")
    func alone() throws {
        let configuration = try load(users + Self.section).configuration
        #expect(configuration.policy.authentication == [.certificate])
        #expect(configuration.preSharedKey == nil)
        let other = try load(users + "psk: labsecret\nauthentication: [certificate]\n" + Self.section).configuration
        #expect(other.preSharedKey == nil && other.ike.policy.authenticationMethods == Self.signatures)
    }

    @Test("without certificates everything is as it was")
    func without() throws {
        let configuration = try load(users + "psk: labsecret\n").configuration
        #expect(configuration.policy.authentication == [.psk] && configuration.certificates == nil)
        #expect(configuration.ike.policy.authenticationMethods == [.preSharedKey])
        #expect(issues(users + "psk: labsecret\ncertificates:\n") == [])
    }

    @Test("every key of the section")
    func keys() throws {
        let text =
            users + """
                profile: legacy
                authentication: [psk, certificate]
                psk: labsecret
                certificates:
                  ca: [root.pem, intermediate.pem]
                  certificate: [gateway-rsa2048.pem, gateway-p256.pem, gateway-p384.pem]
                  key: [gateway-rsa2048.key, gateway-p256.key, gateway-p384.key]
                  crl: [root.crl]
                  requireRevocationCheck: true
                  clientIdentities: ["*.example.org", "O=Example, CN=*"]
                  identity: domainName
                """
        let configuration = try load(text).configuration
        let loaded = try #require(configuration.certificates?.loaded)
        #expect(loaded.clientIdentities == ["*.example.org", "O=Example, CN=*"])
        #expect(loaded.ownIdentity == .domainName && loaded.trust.requiresRevocationCheck)
        #expect(loaded.trust.strength == .legacy && loaded.trust.revocationLists.count == 1)
        #expect(
            configuration.ike.policy.authenticationMethods == [.preSharedKey] + Self.signatures)
        #expect(loaded.methods == [.rsaSignature, .ecdsaSignatureP256, .ecdsaSignatureP384])
    }

    @Test("OCSP: nobody is asked unless the operator says whom")
    func onlineStatus() throws {
        #expect(try load(users + Self.section).configuration.certificates?.loaded?.onlineStatus == nil)
        let short = try load(users + Self.section + "  ocsp: {responder: 'http://192.0.2.80:2560/x'}\n").configuration
        let settings = try #require(short.certificates?.files.onlineStatus)
        #expect(settings.timeout == .seconds(3) && settings.allowedHosts.isEmpty)
        #expect(settings.policy.responder == "http://192.0.2.80:2560/x")
        #expect(!settings.policy.isRequired && !settings.policy.usesCertificateURL)
        let text = """
              ocsp:
                required: true
                timeoutMilliseconds: 500
                useCertificateURL: true
                allowedHosts: [OCSP.example.org, 10.0.0.1]
                intermediates: true

            """
        let long = try load(users + Self.section + text).configuration
        let loaded = try #require(long.certificates)
        #expect(loaded.files.onlineStatus?.timeout == .milliseconds(500))
        #expect(loaded.files.onlineStatus?.allowedHosts == ["ocsp.example.org", "10.0.0.1"])
        let policy = try #require(loaded.loaded?.onlineStatus)
        #expect(policy.isRequired && policy.usesCertificateURL && policy.checksIntermediates)
        #expect(policy.responder == nil)
    }

    @Test(
        "OCSP: what is wrong is said",
        arguments: [
            ("{}", "ocsp: asks nobody"), ("{required: true}", "ocsp: asks nobody"),
            (
                "{responder: 'https://ocsp.example.org/'}",
                "ocsp.responder: 'https://ocsp.example.org/' is not an http URL"
            ),
            ("{responder: ocsp.example.org}", "ocsp.responder: 'ocsp.example.org' is not an http URL"),
            ("{useCertificateURL: true, timeoutMilliseconds: 99}", "ocsp.timeoutMilliseconds: "),
            ("{useCertificateURL: true, timeoutMilliseconds: 10001}", "ocsp.timeoutMilliseconds: "),
            ("{useCertificateURL: true, allowedHosts: ['a b']}", "ocsp.allowedHosts[0]: 'a b' is not a host"),
            ("{useCertificateURL: true, allowedHosts: ['a:80']}", "ocsp.allowedHosts[0]: 'a:80' is not a host"),
            ("{url: x}", "ocsp.url: is not a key"), ("true", "ocsp: is "),
        ])
    func wrongOnlineStatus(text: String, problem: String) {
        let found = issues(users + Self.section + "  ocsp: \(text)\n")
        #expect(found.contains { $0.hasPrefix("DIR/c.yaml:7: certificates.\(problem)") }, "\(found)")
    }

    @Test("OCSP: hosts that are allowed in vain are warned of")
    func unusedHosts() throws {
        let text = "  ocsp: {responder: 'http://192.0.2.80/', useCertificateURL: true, allowedHosts: [a.example.org]}\n"
        let warnings = try load(users + Self.section + text).warnings
        #expect(warnings.contains { $0.key == "certificates.ocsp.allowedHosts" })
    }

    @Test("what is wrong is said with file, line and key")
    func wrong() {
        #expect(
            issues(users + "psk: labsecret\nauthentication: [certificate, password]\n") == [
                "DIR/c.yaml:4: authentication[1]: 'password' is not known; allowed: psk, certificate"
            ])
        #expect(
            issues(users + "psk: labsecret\nauthentication: [certificate]\n") == [
                "DIR/c.yaml:4: authentication: names certificates, and there are none; "
                    + "allowed: psk, or a section certificates"
            ])
        #expect(
            issues(users + "authentication: [psk]\n").first
                == "DIR/c.yaml:1: psk: is missing; allowed: a pre-shared key, here or in VPN_IPSEC_PSK")
        #expect(
            issues(users + "certificates:\n  ca: root.pem\n") == [
                "DIR/c.yaml:3: certificates.certificate: is missing; allowed: the gateway's own certificate",
                "DIR/c.yaml:3: certificates.key: is missing; allowed: the private key of the gateway's certificate",
            ])
        let change = { (old: String, new: String) in issues(users + Self.section.replacing(old, with: new)) }
        #expect(
            change("root.pem", "nowhere.pem")
                == [
                    "DIR/c.yaml:4: certificates.ca: \(ValueRules.quoted("\(vectors)/nowhere.pem")) cannot be read: "
                        + "No such file or directory"
                ].map { $0.replacing(vectors, with: "DIR") })
        #expect(
            change("key: gateway-rsa2048.key", "key: gateway-p256.key").first?.contains("is not the certificate's key")
                == true)
        #expect(change("key: gateway-rsa2048.key", "key: encrypted.key").first?.contains("under a passphrase") == true)
        #expect(
            change("key: gateway-rsa2048.key", "key: root.pem").first?.hasPrefix("DIR/c.yaml:6: certificates.key")
                == true)
        #expect(change("ca: root.pem", "ca: root.crl").first?.contains("holds nothing of this kind") == true)
        #expect(
            change("ca: root.pem", "ca: root.pem\n  crl: root.pem").first?.hasPrefix("DIR/c.yaml:5: certificates.crl")
                == true)
        #expect(change("ca: root.pem", "ca: root.pem\n  requireRevocationCheck: true").count == 1)
        #expect(change("ca: root.pem", "ca: root.pem\n  clientIdentities: ['*']").count == 1)
        #expect(change("ca: root.pem", "ca: root.pem\n  identity: nobody").count == 1)
        #expect(change("ca: root.pem", "ca: root.pem\n  authority: x").count == 1)
        #expect(change("key: gateway-rsa2048.key", "key: [gateway-rsa2048.key, gateway-p256.key]").count == 1)
    }

    @Test("an expired certificate of ours, a stale list, an unused section and an open key are warned of")
    func warnings() throws {
        let text = """
            certificates:
              ca: root.pem
              certificate: expired.pem
              key: expired.key
              crl: root-stale.crl

            """
        let warnings = try load(users + text).warnings.map(\.problem)
        #expect(warnings.contains { $0.contains("has expired: clients will refuse it") })
        #expect(warnings.contains { $0.contains("revocation list of C=CH,O=Example,CN=Example Root has expired") })
        let unused = try load(users + "psk: labsecret labsecret 1\nauthentication: [psk]\n" + Self.section)
        #expect(unused.warnings.map(\.problem) == ["is not used, for authentication does not name it"])
        #expect(unused.configuration.certificates == nil)
    }

    @Test("optional files that are not there yet are warned of; what is there and broken stays wrong")
    func optional() throws {
        let section = Self.section.replacing("root.pem", with: "nowhere.pem") + "  optional: true\n"
        let loaded = try load(users + "psk: labsecret labsecret 1\n" + section)
        #expect(loaded.warnings.map(\.key) == ["certificates.ca"])
        #expect(loaded.warnings.first?.problem.hasSuffix("until then no certificate is asked for") == true)
        let certificates = try #require(loaded.configuration.certificates)
        #expect(certificates.loaded == nil && certificates.files.isOptional)
        let row = { (name: String, text: String) in name + String(repeating: " ", count: 17 - name.count) + text }
        #expect(loaded.configuration.summary.contains(row("certificates", "not there yet")))
        // The methods are there already, and count as soon as there is a key for them.
        #expect(loaded.configuration.ike.policy.authenticationMethods == Self.signatures + [.preSharedKey])
        #expect(loaded.configuration.ike.certificates == nil)
        let there = try load(users + Self.section + "  optional: true\naggressiveMode: {certificates: true}\n")
        #expect(there.configuration.certificates?.loaded != nil)
        let lists = "1 own, 1 authorities, 0 revocation lists"
        #expect(there.configuration.summary.contains(row("certificates", lists)))
        #expect(there.configuration.ike.allowsAggressiveSignatures)
        let broken = Self.section.replacing("key: gateway-rsa2048.key", with: "key: root.pem")
        #expect(issues(users + broken + "  optional: true\n").count == 1)
        #expect(issues(users + Self.section + "  optional: 1\n").count == 1)
        #expect(issues(users + Self.section.replacing("root.pem", with: "nowhere.pem")).count == 1)
    }

    @Test("a folder's files are read, others in it passed over, and a change is noticed")
    func folders() throws {
        let folder = try Folder()
        try folder.copy("root.pem")
        try folder.copy("intermediate.pem", as: "b.crt")
        try folder.copy("root.der", as: "again.der")
        try folder.copy("make", as: "README")
        var files = CertificateFiles()
        files.authorities = [folder.path]
        files.revocationLists = [folder.path + "/crl"]
        try FileManager.default.createDirectory(atPath: folder.path + "/crl", withIntermediateDirectories: true)
        files.certificates = ["\(vectors)/gateway-p256.pem"]
        files.keys = ["\(vectors)/gateway-p256.key"]
        let first = try files.load(wallSeconds: 1_893_456_000)
        #expect(first.certificates.trust.authorities.count == 2)
        let before = files.fingerprint()
        #expect(before == files.fingerprint())
        try folder.copy("root.crl", as: "crl/root.crl")
        #expect(before != files.fingerprint())
        #expect(try files.load(wallSeconds: 1_893_456_000).certificates.trust.revocationLists.count == 1)
        try Data("damaged".utf8).write(to: URL(filePath: folder.path + "/crl/root.crl"))
        #expect(throws: CertificateFiles.Failure.self) { try files.load(wallSeconds: 1_893_456_000) }
    }
}
