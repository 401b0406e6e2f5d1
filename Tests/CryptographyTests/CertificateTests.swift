import CertificateVectors
import Testing
import Wire

@testable import Cryptography

@Suite("Certificates are read")
struct CertificateTests {
    @Test("a certificate shows its names, its key and its time")
    func fields() throws {
        let certificate = try CertificateVectors.certificate("client-rsa2048")
        #expect(certificate.subjectText == "C=CH,O=Example,OU=Sales,CN=client")
        #expect(DistinguishedName.text(certificate.issuer) == "C=CH,O=Example,CN=Example Root")
        #expect(certificate.keyKind == .rsa(bits: 2048))
        #expect(
            certificate.alternativeNames.map(\.description) == [
                "client.example.org", "Alice@Example.org", "192.0.2.7", "2001:db8::7",
            ])
        #expect(certificate.validity == 1_577_836_800...4_733_510_400)
        #expect(!certificate.isSelfIssued)
    }

    @Test(
        "each kind of key is known",
        arguments: [
            ("client-rsa4096", SignatureKeyKind.rsa(bits: 4096)), ("client-p256", .ecdsa(bits: 256)),
            ("client-p384", .ecdsa(bits: 384)), ("client-p521", .ecdsa(bits: 521)), ("weak-key", .rsa(bits: 1024)),
            ("explicit-curve", .unsuitable),
        ])
    func kinds(name: String, kind: SignatureKeyKind) throws {
        #expect(try CertificateVectors.certificate(name).keyKind == kind)
    }

    @Test("DER and PEM give the same certificate")
    func encodings() throws {
        let der = CertificateVectors.bytes("root.der")
        #expect(try Certificate.all(in: der) == [Certificate(der: der)])
        #expect(try Certificate.all(in: CertificateVectors.bytes("root.pem")) == Certificate.all(in: der))
    }

    @Test("a PEM file may hold a chain, keys and remarks")
    func bundle() throws {
        let file =
            Array("# a remark\n".utf8) + CertificateVectors.bytes("client-rsa2048.key")
            + CertificateVectors.bytes("client-rsa2048.pem") + CertificateVectors.bytes("root.pem")
        #expect(try Certificate.all(in: file) == CertificateVectors.certificates("client-rsa2048", "root"))
        #expect(throws: CertificateError.nothingFound) { try Certificate.all(in: Array("nothing".utf8)) }
        #expect(throws: CertificateError.nothingFound) { try Certificate.all(in: []) }
    }

    @Test("a certificate cut short anywhere, or with a byte behind it, is not one")
    func truncation() throws {
        let der = CertificateVectors.bytes("root.der")
        for count in 0..<der.count {
            #expect(throws: CertificateError.malformed) { try Certificate(der: Array(der.prefix(count))) }
        }
        #expect(throws: CertificateError.malformed) { try Certificate(der: der + [0]) }
        #expect(throws: CertificateError.tooLarge) {
            try Certificate(der: [UInt8](repeating: 0x30, count: Certificate.bytesMaximum + 1))
        }
    }

    @Test("no changed byte makes a certificate crash or hang anything")
    func noise() throws {
        let trust = try CertificateTrust(authorities: CertificateVectors.certificates("root"))
        let der = try CertificateVectors.certificate("client-rsa2048").der
        for index in der.indices {
            for change: UInt8 in [0x01, 0x80, 0xff] {
                var changed = der
                changed[index] ^= change
                guard let certificate = try? Certificate(der: changed) else { continue }
                _ = certificate.hasName(like: "CN=*")
                // The signature covers all but itself and its own algorithm's parameters.
                if certificate.der != der {
                    #expect(throws: (any Error).self) {
                        try trust.verify(certificate, at: CertificateVectors.time)
                    }
                }
            }
        }
    }

    @Test("a PKCS#7 bundle opens, and no cut or lengthened one")
    func wrapped() throws {
        let bundle = CertificateVectors.bytes("client-second.p7b")
        let certificates = try Certificate.all(inPKCS7: bundle, maximum: 8)
        #expect(
            Set(certificates) == Set(try CertificateVectors.certificates("client-second", "second", "intermediate")))
        #expect(throws: CertificateError.tooMany) { try Certificate.all(inPKCS7: bundle, maximum: 2) }
        for count in 0..<bundle.count {
            #expect(throws: CertificateError.malformed) {
                try Certificate.all(inPKCS7: Array(bundle.prefix(count)), maximum: 8)
            }
        }
        #expect(throws: CertificateError.malformed) { try Certificate.all(inPKCS7: bundle + [0], maximum: 8) }
    }

    @Test("an RSA exponent of 0, 1 or an even one is no key")
    func exponents() throws {
        let der = try CertificateVectors.certificate("client-rsa2048").der
        let marker: [UInt8] = [0x02, 0x03, 0x01, 0x00, 0x01]
        let start = der.indices.first { der[$0...].starts(with: marker) }
        let position = try #require(start)
        for exponent in [[0x00, 0x00, 0x00], [0x00, 0x00, 0x01], [0x01, 0x00, 0x00]] as [[UInt8]] {
            var changed = der
            changed.replaceSubrange((position + 2)..<(position + 5), with: exponent)
            let certificate = try? Certificate(der: changed)
            #expect(certificate.map(\.keyKind) ?? .unsuitable == .unsuitable, "\(exponent)")
            #expect(certificate?.verifies([UInt8](repeating: 1, count: 256), of: [1]) ?? false == false)
        }
    }

    @Test("an identity is confirmed to the last byte")
    func claims() throws {
        let certificate = try CertificateVectors.certificate("client-rsa2048")
        let name = { (text: String) in CertificateClaim.name(.domainName(Array(text.utf8))) }
        let mail = { (text: String) in CertificateClaim.name(.mailAddress(Array(text.utf8))) }
        #expect(certificate.confirms(name("client.example.org")))
        #expect(certificate.confirms(name("Client.Example.ORG")))
        #expect(!certificate.confirms(name("client.example.org\0.evil.org")))
        #expect(!certificate.confirms(name("client.example.or")))
        #expect(!certificate.confirms(name("*.example.org")))
        #expect(!certificate.confirms(name("")))
        #expect(!certificate.confirms(name("Alice@Example.org")))
        #expect(certificate.confirms(mail("Alice@example.ORG")))
        #expect(!certificate.confirms(mail("alice@example.org")))
        #expect(certificate.confirms(.name(.address([192, 0, 2, 7]))))
        #expect(!certificate.confirms(.name(.address([192, 0, 2, 8]))))
        #expect(certificate.confirms(.distinguishedName(certificate.subject)))
        #expect(!certificate.confirms(.distinguishedName(certificate.issuer)))
        #expect(!certificate.confirms(.distinguishedName([])))
        #expect(!certificate.confirms(.distinguishedName([0x30, 0x00])))
        #expect(!certificate.confirms(.distinguishedName(Array(certificate.subject.dropLast()))))
    }

    @Test("a pattern's star stays within its part of the name")
    func patterns() throws {
        let certificate = try CertificateVectors.certificate("client-rsa2048")
        for pattern in [
            "C=CH, O=Example, OU=Sales, CN=*", "CN=client,OU=Sales,O=Example,C=CH", "c=ch,o=example,ou=*,cn=cl*t",
            "*.example.org", "client.*.org", "*@example.org", "192.0.2.7", "192.0.2.*",
        ] {
            #expect(certificate.hasName(like: pattern), "\(pattern)")
        }
        for pattern in [
            "C=CH,O=*,CN=*", "CN=client", "*,CN=client", "", "*.example.com", "client.example.org.*", "alice",
            "O=Example",
        ] {
            #expect(!certificate.hasName(like: pattern), "\(pattern)")
        }
        let comma = try CertificateVectors.certificate("comma")
        #expect(comma.subjectText == "CN=client\\,O\\=Example" || comma.subjectText == "CN=client\\,O=Example")
        #expect(!comma.hasName(like: "CN=*,O=Example"))
        #expect(!comma.hasName(like: "CN=*"))
        let many = NamePattern(String(repeating: "*a", count: 50))
        #expect(!many.matches(String(repeating: "a", count: 1000) + "b"))
    }
}

@Suite("Chains are believed or refused, each for its reason")
struct CertificateTrustTests {
    let time = CertificateVectors.time

    func trust(
        _ names: [String] = ["root"], lists: [String] = [], requires: Bool = false,
        strength: CertificateStrength = .modern
    ) throws -> CertificateTrust {
        try CertificateTrust(
            authorities: names.map { try CertificateVectors.certificate($0) },
            revocationLists: lists.map { try CertificateVectors.list($0) }, requiresRevocationCheck: requires,
            strength: strength)
    }

    func expect(
        _ name: String, with others: [String] = [], _ trust: CertificateTrust, at time: Int64? = nil,
        _ expected: CertificateRefusal.Reason?, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let certificate = try CertificateVectors.certificate(name)
        let others = try others.map { try CertificateVectors.certificate($0) }
        var reason: CertificateRefusal.Reason?
        do throws(CertificateRefusal) {
            try trust.verify(certificate, with: others, at: time ?? self.time)
        } catch {
            #expect(!error.detail.isEmpty)
            reason = error.reason
        }
        #expect(reason == expected, sourceLocation: sourceLocation)
    }

    @Test(
        "clients of every key and usage are believed",
        arguments: ["client-rsa2048", "client-rsa4096", "client-p256", "client-p384", "client-p521", "client-plain"])
    func good(name: String) throws {
        try expect(name, trust(), nil)
        try expect(name, trust(lists: ["root"], requires: true), nil)
    }

    @Test("intermediates come from the peer or from the configuration")
    func intermediates() throws {
        try expect("client-second", trust(), .unknownAuthority)
        try expect("client-second", with: ["second"], trust(), .unknownAuthority)
        try expect("client-second", with: ["intermediate", "second"], trust(), nil)
        try expect("client-second", with: ["intermediate"], trust(["root", "second"]), nil)
        try expect("client-second", trust(["second", "intermediate", "root"]), nil)
        // An intermediate that stands alone in the configuration is an anchor itself.
        try expect("client-second", trust(["second"]), nil)
        try expect("client-rsa2048", trust(["second"]), .unknownAuthority)
    }

    @Test("a stranger's certificate under our root's name is refused")
    func foreign() throws {
        try expect("foreign-client", trust(), .unknownAuthority)
        try expect("foreign-client", with: ["foreign"], trust(), .unknownAuthority)
        try expect("foreign", trust(), .unknownAuthority)
    }

    @Test("time: before, after, and of an authority")
    func validity() throws {
        try expect("expired", trust(), .certificateExpired)
        try expect("future", trust(), .certificateNotYetValid)
        try expect("expired", trust(), at: 1_590_000_000, nil)
        try expect("client-rsa2048", trust(), at: 0, .certificateNotYetValid)
        try expect("client-rsa2048", trust(), at: 5_000_000_000, .certificateExpired)
    }

    @Test("a certificate that was taken back is refused, by a list of any age")
    func revoked() throws {
        try expect("revoked", trust(), nil)
        try expect("revoked", trust(lists: ["root"]), .certificateRevoked)
        try expect("revoked", trust(lists: ["root-stale"]), .certificateRevoked)
        try expect("revoked", trust(lists: ["root-stale", "root"]), .certificateRevoked)
        try expect("client-withdrawn", with: ["withdrawn"], trust(lists: ["root"]), .certificateRevoked)
    }

    @Test("a list that a stranger signed under our root's name counts as none, and lets nobody pass")
    func foreignList() throws {
        try expect("revoked", trust(lists: ["foreign"]), .revocationUnknown)
        try expect("client-rsa2048", trust(lists: ["foreign"]), .revocationUnknown)
        try expect("client-rsa2048", trust(lists: ["foreign"], requires: true), .revocationUnknown)
    }

    @Test("where a list is required, none and a stale one are refusals")
    func required() throws {
        try expect("client-rsa2048", trust(requires: true), .revocationUnknown)
        try expect("client-rsa2048", trust(lists: ["root-stale"], requires: true), .revocationUnknown)
        try expect("client-rsa2048", trust(lists: ["root-stale"]), nil)
        let chain = ["intermediate", "second"]
        try expect("client-second", with: chain, trust(lists: ["root", "second"], requires: true), .revocationUnknown)
        try expect("client-second", with: chain, trust(lists: ["root", "intermediate", "second"], requires: true), nil)
        // An anchor's own issuer is not asked.
        try expect("client-second", trust(["second"], lists: ["second"], requires: true), nil)
        try expect("client-second", trust(["second"], lists: ["second", "intermediate"], requires: true), nil)
    }

    @Test("usages that are not ours are refused")
    func usages() throws {
        try expect("server-only", trust(), .wrongUsage)
        try expect("no-signature", trust(), .wrongUsage)
        try expect("gateway-rsa2048", trust(), nil)
    }

    @Test("a client's certificate issues nothing")
    func rogue() throws {
        try expect("rogue", with: ["client-rsa2048"], trust(), .wrongUsage)
        try expect("rogue", trust(["root", "client-rsa2048"]), .wrongUsage)
    }

    @Test("weak keys and hashes pass only by the legacy rule, unsound ones never")
    func strength() throws {
        try expect("weak-key", trust(), .weakKey)
        try expect("weak-hash", trust(), .weakKey)
        try expect("weak-key", trust(strength: .legacy), nil)
        try expect("weak-hash", trust(strength: .legacy), nil)
        try expect("explicit-curve", trust(strength: .legacy), .weakKey)
        try expect("client-rsa2048", with: ["explicit-curve"], trust(), .weakKey)
    }

    @Test("a flood of intermediates is refused before any is looked at")
    func flood() throws {
        let others = Array(repeating: "intermediate", count: CertificateTrust.intermediatesMaximum + 1)
        try expect("client-rsa2048", with: others, trust(), .invalidChain)
    }

    @Test(
        "an authority goes no further than its own certificate lets it",
        arguments: [
            (["names-inside", "names"], nil), (["names-outside", "names"], .wrongName),
            (["names-excluded", "names"], .wrongName), (["last-client", "last"], nil),
            (["beyond-client", "beyond", "last"], .invalidChain), (["users-client", "users"], nil),
            (["mail-client", "mail"], .wrongUsage), (["no-sign-client", "no-sign"], .wrongUsage),
            (["unknown-critical"], .invalidChain),
        ] as [([String], CertificateRefusal.Reason?)])
    func constraints(names: [String], reason: CertificateRefusal.Reason?) throws {
        let names = names.map { "constraints/\($0)" }
        try expect(names[0], with: Array(names.dropFirst()), trust(["constraints/root"]), reason)
    }

    @Test("lists are read in DER and PEM, to the last byte")
    func lists() throws {
        let der = CertificateVectors.bytes("root-der.crl")
        let list = try CertificateVectors.list("root")
        #expect(try CertificateRevocationList.all(in: der) == [list])
        #expect(list.issuerText == "C=CH,O=Example,CN=Example Root")
        #expect(list.nextUpdate == 4_733_510_400 && !list.isExpired(at: time))
        #expect(try CertificateVectors.list("root-stale").isExpired(at: time))
        for count in 0..<der.count {
            #expect(throws: CertificateError.malformed) {
                try CertificateRevocationList(der: Array(der.prefix(count)))
            }
        }
        #expect(throws: CertificateError.malformed) { try CertificateRevocationList(der: der + [0]) }
        #expect(throws: CertificateError.nothingFound) {
            try CertificateRevocationList.all(in: CertificateVectors.bytes("root.pem"))
        }
    }
}
