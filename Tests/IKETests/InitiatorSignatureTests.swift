import CertificateVectors
import Cryptography
import Testing
import Wire

@testable import IKE

/// Two gateways with certificates: the first is a client's, the second is vpn.example.org.
private struct CertifiedPair {
    var client = "client-rsa2048"
    var gateway = "gateway-rsa2048"
    var clientAuthorities = ["root"]
    var gatewayAuthorities = ["root"]
    var lists: [String] = []

    static let name = IKEIdentity(type: IKEIdentity.domainName, data: Array("vpn.example.org".utf8))

    func pair(seed: UInt64 = 1, change: (inout IKEConfiguration, Int) -> Void = { _, _ in }) throws -> Pair {
        let certificates = try [(client, clientAuthorities), (gateway, gatewayAuthorities)].map { name, authorities in
            let trust = try CertificateTrust(
                authorities: authorities.map { try CertificateVectors.certificate($0) },
                revocationLists: lists.map { try CertificateVectors.list($0) })
            let identity = try CertificateIdentity(
                chain: [try CertificateVectors.certificate(name)], key: CertificateVectors.key(name))
            return IKECertificates(trust: trust, identities: [identity])
        }
        return Pair(seed: seed) { configuration, side in
            configuration.certificates = certificates[side]
            configuration.allowsAggressiveSignatures = true
            configuration.preSharedKeys = PreSharedKeys(defaultKey: nil)
            configuration.policy.authenticationMethods = certificates[side].methods
            change(&configuration, side)
        }
    }
}

@Suite("We begin with certificates")
struct InitiatorSignatureTests {
    private static let kinds = [
        ("client-rsa2048", "gateway-rsa2048", PhaseOneAuthenticationMethod.rsaSignature),
        ("client-rsa4096", "gateway-rsa2048", .rsaSignature),
        ("client-p256", "gateway-p256", .ecdsaSignatureP256), ("client-p384", "gateway-p384", .ecdsaSignatureP384),
        ("client-p521", "gateway-p521", .ecdsaSignatureP521),
    ]

    @Test("RSA and ECDSA of every size, main and aggressive mode, behind a NAT or not")
    func methods() throws {
        for (client, gateway, method) in Self.kinds {
            for mode in [IKEInitiation.Mode.main, .aggressive] {
                for isTranslated in [false, true] {
                    var pair = try CertifiedPair(client: client, gateway: gateway).pair()
                    pair.connect {
                        $0.mode = mode
                        $0.peerIdentity = CertifiedPair.name
                        $0.sendsInitialContact = true
                        if isTranslated { $0.path.local = Endpoint(IPv4Address(10, 0, 0, 9), 500) }
                    }
                    #expect(pair.isMirrored && pair.keysAgree, "\(client) \(mode) \(isTranslated)")
                    #expect(pair.sides.allSatisfy { $0.established.first?.method == method && $0.refusals.isEmpty })
                    let subjects = try [gateway, client].map { try CertificateVectors.certificate($0).subject }
                    #expect(pair.sides.map { $0.established.first?.identity.data } == subjects)
                    #expect(pair.sides[0].engine.initiations.isEmpty && pair.sides[0].engine.retransmissions.isEmpty)
                    #expect(pair.sides[0].engine.drops.total == 0 && pair.sides[1].engine.drops.total == 0)
                }
            }
        }
    }

    @Test("every method in every mode through loss, duplication and reordering, keys among them")
    func loss() throws {
        for seed in 0..<48 as Range<UInt64> {
            let kind = Int(seed) % (Self.kinds.count + 1)
            let isKey = kind == Self.kinds.count
            let (client, gateway, _) = Self.kinds[isKey ? 0 : kind]
            var pair = try CertifiedPair(client: client, gateway: gateway).pair(seed: seed) { configuration, _ in
                guard isKey else { return }
                configuration.preSharedKeys = PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))
                configuration.policy.authenticationMethods = [.preSharedKey]
                configuration.groups.acceptsAny = true
            }
            pair.faults = World.Faults(loss: 0.15, duplication: 0.2, reordering: 0.2)
            pair.connect {
                $0.mode = seed % 2 == 0 ? .main : .aggressive
                if !isKey { $0.peerIdentity = CertifiedPair.name }
            }
            pair.faults = World.Faults()
            pair.run(for: .seconds(60))
            #expect(pair.isMirrored && pair.keysAgree, "seed \(seed)")
        }
    }

    @Test("of several methods the peer takes what it has; the offer stays within one packet")
    func choice() throws {
        var pair = try CertifiedPair().pair { configuration, side in
            configuration.preSharedKeys = PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))
            configuration.policy.authenticationMethods =
                side == 0 ? [.rsaSignature, .preSharedKey] : [.preSharedKey]
            configuration.policy.phaseOne = PhaseOneAlgorithms(.legacy)
        }
        pair.connect()
        #expect(pair.isMirrored && pair.sides[0].established.first?.method == .preSharedKey)
        #expect((pair.messages.first?.count ?? .max) < 2400)
        // Methods that we have no key for are not offered, and without any nothing is begun.
        var none = try CertifiedPair().pair()
        #expect(none.initiate { $0.methods = [.ecdsaSignatureP256, .preSharedKey] } == nil)
    }

    @Test("called by its address the certificate must name that, by a name that name, and it may be a server's alone")
    func names() throws {
        var unnamed = try CertifiedPair().pair()
        _ = unnamed.initiate()
        unnamed.run(for: .seconds(70))
        #expect(unnamed.sides[0].refusals.map(\.reason) == [.wrongName])
        #expect(unnamed.sides[0].refusals.first?.step == .initiation)
        #expect(unnamed.sides[0].refusals.first?.detail.contains("192.0.2.2") == true)
        #expect(unnamed.sides[0].established.isEmpty)

        // client-rsa2048 names 192.0.2.7 and client.example.org.
        var other = try CertifiedPair(client: "gateway-rsa2048", gateway: "client-rsa2048").pair {
            configuration, side in
            if side == 1 { configuration.certificates?.ownIdentity = .domainName }
        }
        _ = other.initiate { $0.peerIdentity = IKEIdentity(.v4(IPv4Address(192, 0, 2, 7))) }
        other.run(for: .seconds(5))
        #expect(other.sides[0].established.map(\.identity.description) == ["client.example.org"])

        var server = try CertifiedPair(gateway: "server-only").pair()
        let subject = try CertificateVectors.certificate("server-only").subject
        _ = server.initiate { $0.peerIdentity = IKEIdentity(type: IKEIdentity.distinguishedName, data: subject) }
        server.run(for: .seconds(5))
        #expect(server.sides[0].established.count == 1)
        var opaque = try CertifiedPair().pair()
        _ = opaque.initiate { $0.peerIdentity = IKEIdentity(type: IKEIdentity.keyID, data: [1, 2, 3]) }
        opaque.run(for: .seconds(70))
        #expect(opaque.sides[0].refusals.map(\.reason) == [.wrongName])
    }

    @Test("revoked, expired, foreign: refused for its own reason, in main mode at once, in aggressive mode at the end")
    func refusals() throws {
        for (reason, base) in [
            (IKERefusalReason.certificateRevoked, CertifiedPair(gateway: "revoked", lists: ["root"])),
            (.certificateExpired, CertifiedPair(gateway: "expired")),
            (.certificateNotYetValid, CertifiedPair(gateway: "future")),
            (.unknownAuthority, CertifiedPair(gateway: "foreign-client")),
            (.unknownAuthority, CertifiedPair(gateway: "client-second")),
        ] {
            let subject = try CertificateVectors.certificate(base.gateway).subject
            for mode in [IKEInitiation.Mode.main, .aggressive] {
                var pair = try base.pair()
                _ = pair.initiate {
                    $0.mode = mode
                    $0.peerIdentity = IKEIdentity(type: IKEIdentity.distinguishedName, data: subject)
                }
                pair.run(for: mode == .main ? .seconds(1) : .seconds(70))
                #expect(pair.sides[0].refusals.map(\.reason) == [reason], "\(base.gateway) \(mode)")
                #expect(pair.sides[0].refusals.first?.step == .initiation)
                #expect(pair.sides[0].established.isEmpty && pair.sides[0].engine.peerCount == 0)
                #expect(pair.sides[0].engine.initiations.isEmpty)
                // Aggressive mode's responder has not been shown anything.
                if mode == .aggressive { #expect(pair.sides[1].established.isEmpty) }
            }
        }
    }

    @Test("a responder that refuses our certificate says so, and nothing is left")
    func refused() throws {
        for mode in [IKEInitiation.Mode.main, .aggressive] {
            var pair = try CertifiedPair(client: "expired").pair()
            _ = pair.initiate {
                $0.mode = mode
                $0.peerIdentity = CertifiedPair.name
            }
            pair.run(for: .seconds(70))
            #expect(pair.sides[1].refusals.map(\.reason) == [.certificateExpired])
            if mode == .main { #expect(pair.sides[0].refusals.first?.detail == "AUTHENTICATION-FAILED") }
            #expect(pair.sides[1].established.isEmpty && pair.sides[1].engine.associationCount == 0)
        }
    }

    @Test("by a pre-shared key an expected identity counts, too")
    func keyIdentity() {
        for mode in [IKEInitiation.Mode.main, .aggressive] {
            for (octet, reasons) in [(2, []), (3, [IKERefusalReason.otherIdentity])] as [(UInt8, [IKERefusalReason])] {
                var pair = Pair { configuration, _ in configuration.groups.acceptsAny = true }
                _ = pair.initiate {
                    $0.mode = mode
                    $0.peerIdentity = IKEIdentity(.v4(IPv4Address(192, 0, 2, octet)))
                }
                pair.run(for: .seconds(70))
                #expect(pair.sides[0].refusals.map(\.reason) == reasons)
                #expect(pair.sides[0].established.count == 1 - reasons.count)
            }
        }
    }

    @Test("a forged message 2 of aggressive mode, or certificates taken away meanwhile, end nothing but themselves")
    func forged() throws {
        var pair = try CertifiedPair().pair()
        pair.performsWork = false
        _ = pair.initiate {
            $0.mode = .aggressive
            $0.peerIdentity = CertifiedPair.name
        }
        pair.sides[0].engine.configuration.certificates = nil
        pair.performsWork = true
        pair.run(for: .seconds(70))
        #expect(pair.sides[0].established.isEmpty && pair.sides[0].engine.associationCount == 0)
        #expect(pair.sides[0].refusals.map(\.reason) == [.noAnswer])
    }

    @Test("the successor of a client's certified SA is begun by us, with certificates, as the same peer")
    func successor() throws {
        for (client, gateway, method) in Self.kinds {
            var pair = try CertifiedPair(client: client, gateway: gateway).pair { configuration, side in
                configuration.policy.lifetimes.ikeMaximumSeconds = 60
                configuration.policy.lifetimes.rekeysPhaseOne = side == 1
            }
            pair.connect { $0.peerIdentity = CertifiedPair.name }
            pair.startTraffic(.seconds(1))
            let peers = pair.sides.map { $0.established.first?.peer }
            pair.run(for: .seconds(400))
            #expect(pair.isMirrored && pair.keysAgree)
            #expect(pair.sides.allSatisfy { $0.established.count > 4 && $0.peersEnded == 0 && $0.lostPackets == 0 })
            #expect(pair.sides.allSatisfy { $0.refusals.isEmpty && $0.engine.peerCount == 1 })
            #expect(pair.sides.allSatisfy { $0.established.allSatisfy { $0.method == method } })
            for side in 0..<2 { #expect(pair.sides[side].established.allSatisfy { $0.peer == peers[side] }) }
        }
    }

    @Test("a client that may not come in any more gets no successor")
    func withdrawn() throws {
        var pair = try CertifiedPair().pair { configuration, side in
            configuration.policy.lifetimes.ikeMaximumSeconds = 60
            configuration.policy.lifetimes.rekeysPhaseOne = side == 1
        }
        pair.connect { $0.peerIdentity = CertifiedPair.name }
        pair.run(for: .seconds(60))
        let count = pair.sides[1].established.count
        #expect(count > 1)
        pair.sides[1].engine.configuration.certificates?.clientIdentities = ["other.example.org"]
        pair.run(for: .seconds(200))
        #expect(pair.sides[1].established.count == count)
    }
}
