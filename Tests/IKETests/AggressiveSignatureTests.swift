import CertificateVectors
import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Aggressive mode with certificates")
struct AggressiveSignatureTests {
    private static let kinds: [(client: String, gateway: String, method: Int, proofHash: HashAlgorithm?)] = [
        ("client-rsa2048", "gateway-rsa2048", 3, nil), ("client-rsa4096", "gateway-rsa2048", 3, nil),
        ("client-p256", "gateway-p256", 9, .sha256), ("client-p384", "gateway-p384", 10, .sha384),
        ("client-p521", "gateway-p521", 11, .sha512),
    ]

    @Test("RSA and ECDSA of every size, message 3 encrypted or in clear, behind a NAT or not")
    func methods() throws {
        for (client, gateway, method, proofHash) in Self.kinds {
            for (isEncrypted, isTranslated) in [(true, true), (true, false), (false, true), (false, false)] {
                let base = CertificateCase(
                    client: client, gateway: [gateway], method: method, proofHash: proofHash, isAggressive: true)
                var world = try base.world()
                world.client.settings.encryptsAggressiveProof = isEncrypted
                let identity = world.client.settings.identity
                if isTranslated { world.translate() }
                world.client.settings.identity = identity
                world.dialIn(main: .milliseconds(500), quick: .milliseconds(500))
                #expect(world.keysAgree, "\(client) \(isEncrypted) \(isTranslated)")
                #expect(world.drops.isEmpty)
                let established = try #require(world.established.first)
                #expect(established.method.rawValue == UInt16(method))
                #expect(established.nat == IKENATDetection(remote: isTranslated, local: false))
                #expect(established.path.remote == (isTranslated ? world.outerFloated : world.outer))
                let own = try CertificateVectors.certificate(gateway)
                #expect(world.client.responderCertificates == [[4] + own.der])
                #expect(world.client.answeredRequests == [[4] + (try CertificateVectors.certificate("root").subject)])
                #expect(world.engine.aggressive.count == 0 && world.engine.unauthenticated.count == 0)
            }
        }
    }

    @Test("through loss, duplication and reordering")
    func loss() throws {
        for seed in 0..<40 as Range<UInt64> {
            let (client, gateway, method, proofHash) = Self.kinds[Int(seed) % Self.kinds.count]
            var world = try CertificateCase(
                client: client, gateway: [gateway], method: method, proofHash: proofHash, isAggressive: true
            ).world(seed: seed)
            world.faults = World.Faults(loss: 0.2, duplication: 0.2, reordering: 0.2)
            world.dialIn(main: .seconds(20), quick: .seconds(20))
            #expect(world.keysAgree || world.established.isEmpty, "seed \(seed)")
            // Where message 3 was lost for good, that is told.
            #expect(world.refusals.allSatisfy { $0.reason == .aggressiveModeUnanswered }, "seed \(seed)")
        }
    }

    @Test("off without its switch, be aggressive mode on for groups or not")
    func off() throws {
        for withGroup in [false, true] {
            var world = try CertificateCase(isAggressive: true).world()
            world.engine.configuration.allowsAggressiveSignatures = false
            if withGroup { world.engine.configuration.groups.byName["sales"] = SecretBytes(utf8: "group") }
            world.performsWork = false
            world.dialIn()
            #expect(world.refusals.map(\.reason) == [withGroup ? .unknownIdentity : .aggressiveModeDisabled])
            let work = world.engine.pollWork()
            #expect(world.engine.associationCount == 0 && work == nil)
        }
        // The switch alone, without certificates, is none.
        var world = try CertificateCase(isAggressive: true).world()
        world.engine.configuration.certificates = nil
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.aggressiveModeDisabled])
    }

    @Test("the policy's methods count, and a key for a name that has none is what is missing")
    func policy() throws {
        var signatures = try CertificateCase(isAggressive: true).world()
        signatures.engine.configuration.policy.authenticationMethods = [.preSharedKey]
        signatures.engine.configuration.groups.acceptsAny = true
        signatures.dialIn()
        #expect(signatures.refusals.map(\.reason) == [.noProposalChosen])
        #expect(signatures.refusals.first?.offers.map(\.attribute) == [.authenticationMethod])

        var settings = AggressiveModeTests.settings()
        settings.aggressiveGroup = .ecp256
        settings.offer = CertificateCase.offer(methods: [1])
        var keys = try CertificateCase(isAggressive: true).world(settings)
        keys.dialIn()
        #expect(keys.refusals.map(\.reason) == [.unknownIdentity])
        keys.engine.configuration.groups.byName["sales"] = SecretBytes(utf8: "group key")
        keys.dialIn()
        #expect(keys.established.map(\.method) == [.preSharedKey])
    }

    @Test("who has not asked for our certificate gets none that makes the answer large; who has gets it a few times")
    func amplification() throws {
        var silent = try CertificateCase(isAggressive: true).world()
        silent.client.settings.signature?.requests = []
        silent.client.settings.signature?.gateway = try CertificateVectors.certificate("gateway-rsa2048").der
        silent.dialIn()
        #expect(silent.keysAgree && silent.client.responderCertificates.isEmpty)

        var asking = try CertificateCase(isAggressive: true).world()
        asking.client.start(now: asking.now)
        let first = asking.client.firstMessage
        asking.client.outbox.removeAll()
        for _ in 0..<20 { asking.deliver(first) }
        #expect((asking.sent.first?.bytes.count ?? 0) * 2 > first.count * 3)
        #expect(asking.sent.count == 4 && asking.engine.drops[.answerTooLarge] == 16)
        // In all and of one address there are never more than aggressive mode allows.
        for number in 0..<200 as Range<UInt8> {
            var other = first
            other[0] = number
            asking.deliver(other)
        }
        #expect(asking.engine.aggressive.count == asking.engine.limits.aggressivePerAddressMaximum)
    }

    @Test("revoked, expired, foreign, for another use or name, or with a wrong signature: each for its own reason")
    func refusals() throws {
        let cases: [(IKERefusalReason, CertificateCase, @Sendable ([UInt8]) -> [UInt8])] = [
            (.certificateRevoked, CertificateCase(client: "revoked", lists: ["root"]), { $0 }),
            (.certificateExpired, CertificateCase(client: "expired"), { $0 }),
            (.unknownAuthority, CertificateCase(client: "foreign-client"), { $0 }),
            (.wrongUsage, CertificateCase(client: "server-only"), { $0 }),
            (.wrongName, CertificateCase(identity: [2, 0, 0, 0] + Array("other.example.org".utf8)), { $0 }),
            (.badSignature, CertificateCase(), { _ in [] }),
            (.badSignature, CertificateCase(), { Array($0.dropLast()) }),
            (.badSignature, CertificateCase(), { $0 + [0] }),
        ]
        for (reason, base, change) in cases {
            for isEncrypted in [true, false] {
                var base = base
                base.isAggressive = true
                var world = try base.world()
                world.client.settings.signature?.change = change
                world.client.settings.encryptsAggressiveProof = isEncrypted
                world.dialIn(main: .milliseconds(500), quick: .zero)
                #expect(world.refusals.map(\.reason) == [reason])
                #expect(world.refusals.first?.step == .aggressiveMode)
                #expect(world.refusals.first?.detail.isEmpty == false)
                #expect(world.client.clearNotifications == [24])
                #expect(world.established.isEmpty && world.engine.peerCount == 0)
                world.run(for: .seconds(40))
                #expect(world.engine.associationCount == 0)
            }
        }
        for (method, length) in [(9, 64), (10, 96), (11, 132)] {
            let (client, gateway, _, proofHash) = Self.kinds[method - 7]
            for change: @Sendable ([UInt8]) -> [UInt8] in [
                { _ in [] }, { _ in [UInt8](repeating: 0, count: length) }, { $0 + [0, 0] }, { Array($0.dropLast(2)) },
            ] {
                var world = try CertificateCase(
                    client: client, gateway: [gateway], method: method, proofHash: proofHash, isAggressive: true
                ).world()
                world.client.settings.signature?.change = change
                world.dialIn(main: .milliseconds(500), quick: .zero)
                #expect(world.refusals.map(\.reason) == [.badSignature])
            }
        }
    }

    @Test("a forged message 3 leaves the exchange to its owner, and is looked at only so often")
    func forged() throws {
        var world = try CertificateCase(isAggressive: true).world()
        world.client.settings.encryptsAggressiveProof = false
        world.client.start(now: world.now)
        world.deliver(world.client.firstMessage)
        world.client.outbox.removeAll()
        world.client.receive(try #require(world.sent.last?.bytes), now: world.now)
        let proof = try #require(world.client.outbox.last?.bytes)
        world.client.outbox.removeAll()
        for index in 0..<4 {
            var forged = proof
            // Within the signature, which stands in front of two NAT-D of 36 bytes.
            forged[forged.count - 80 - index] ^= 1
            world.deliver(forged)
        }
        #expect(world.refusals.map(\.reason) == [.badSignature] && world.engine.drops[.certificateRefused] == 4)
        world.deliver(proof, from: Endpoint(IPv4Address(203, 0, 113, 9), 500))
        #expect(world.engine.drops[.otherAddress] == 1 && world.established.isEmpty)
        var flooded = world
        world.deliver(proof)
        world.deliver(proof)
        #expect(world.established.count == 1 && world.engine.drops[.obsoleteRequest] == 1)

        for index in 0..<50 {
            var forged = proof
            forged[forged.count - 80 - index] ^= 2
            flooded.deliver(forged)
        }
        #expect(flooded.engine.drops[.certificateRefused] == 8 && flooded.engine.drops[.tooManyFailedProofs] == 46)
    }

    @Test("a repetition while we work waits; a reload or the exchange's end meanwhile harms nothing")
    func meanwhile() throws {
        var world = try CertificateCase(isAggressive: true).world()
        world.performsWork = false
        world.client.start(now: world.now)
        let first = world.client.firstMessage
        world.deliver(first)
        world.deliver(first)
        #expect(world.engine.drops[.repeatedWhileBusy] == 1)
        // Diffie-Hellman is done, the signature is not.
        let waiting = world.engine.pollWork()
        let work = try #require(waiting)
        var generator = SplitMix(state: 1)
        world.engine.complete(work.perform(), now: world.now, using: &generator)
        world.deliver(first)
        #expect(world.engine.drops[.repeatedWhileBusy] == 2 && world.sent.isEmpty)
        world.engine.configuration.certificates = nil
        world.performsWork = true
        world.settle()
        #expect(world.sent.count == 1)
        world.run(for: .seconds(3))
        #expect(world.established.isEmpty && world.engine.associationCount == 0)
    }
}
