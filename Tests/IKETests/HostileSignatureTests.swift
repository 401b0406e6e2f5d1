import CertificateVectors
import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Certificates under attack")
struct HostileSignatureTests {
    private static func aggressive(_ payloads: [(type: Int, body: [UInt8])]) -> [UInt8] {
        message(
            [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 4, first: payloads[0].type,
            body: chain(payloads))
    }

    @Test("certificates and signatures in messages that carry none are refused unread")
    func misplaced() throws {
        let certificate = [4] + (try CertificateVectors.certificate("client-rsa2048").der)
        let pair = try DiffieHellmanKeyPair.generate(.ecp256)
        let offer = CertificateCase.offer(methods: [3])
        let nonce = [UInt8](repeating: 1, count: 16)
        for extra in [(type: 6, body: certificate), (type: 9, body: [UInt8](repeating: 1, count: 256))] {
            var world = try CertificateCase(isAggressive: true).world()
            world.deliver(
                Self.aggressive([(1, offer), (4, pair.publicValue), (10, nonce), (5, [11, 0, 0, 0, 1]), extra]))
            world.deliver(
                message(
                    [9, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 2, first: 1,
                    body: chain([(1, offer), extra])))
            #expect(world.engine.drops[.unexpectedPayload] == 2)
            #expect(world.engine.associationCount == 0)
        }
        // With a pre-shared key neither has a place in message 5.
        var settings = TestInitiator.Settings()
        settings.offer = CertificateCase.offer(methods: [1])
        var world = try CertificateCase().world(settings)
        world.client.start(now: world.now)
        world.run(for: .milliseconds(35))
        #expect(world.client.phase == .sentKeyExchange || world.client.phase == .sentAuthentication)
        world.client.outbox.removeAll()
        for extra in [(type: 6, body: certificate), (type: 9, body: [UInt8](repeating: 1, count: 256))] {
            let iv = world.client.iv
            world.deliver(
                world.client.encrypted(
                    exchange: 2, id: [0, 0, 0, 0],
                    [(5, settings.identity), (8, [UInt8](repeating: 0, count: 32)), extra])
            )
            world.client.iv = iv
        }
        #expect(world.established.isEmpty)
    }

    @Test("more certificates than anybody needs, in payloads or wrapped, and payloads of noise")
    func floods() throws {
        let certificate = [4] + (try CertificateVectors.certificate("client-rsa2048").der)
        let bundle = [1] + CertificateVectors.bytes("client-second.p7b")
        // With the three of the bundle and the client's own these are ten.
        let names = ["root", "withdrawn", "gateway-p256", "gateway-p384", "gateway-p521", "client-p256"]
        let distinct = try names.map { [4] + (try CertificateVectors.certificate($0).der) }
        let cases: [([[UInt8]], IKERefusalReason?)] = [
            ([[UInt8]](repeating: certificate, count: 10), nil),
            ([[UInt8]](repeating: bundle, count: 4), .badSignature),
            (distinct + [bundle, certificate], .invalidChain),
            ([certificate, [1] + bundle.dropFirst(2)], .malformedCertificate),
            ([certificate, [1, 0x30, 0x84, 0xff, 0xff, 0xff, 0xff]], .malformedCertificate),
            ([certificate, [1] + [UInt8](repeating: 0x30, count: 8000)], .malformedCertificate),
            ([certificate, [4] + [UInt8](repeating: 0x30, count: 8000)], .malformedCertificate),
        ]
        for isAggressive in [false, true] {
            for (certificates, reason) in cases {
                var world = try CertificateCase(isAggressive: isAggressive).world()
                world.client.settings.signature?.certificates = certificates
                world.dialIn(main: .milliseconds(500), quick: .zero)
                #expect(world.refusals.map(\.reason) == (reason.map { [$0] } ?? []))
                if reason == nil { #expect(world.engine.drops[.duplicatePayload] > 0) }
                #expect(world.established.isEmpty)
            }
        }
    }

    @Test("main mode computes nothing before message 3, and signs nothing before message 5")
    func order() throws {
        var world = try CertificateCase().world()
        world.performsWork = false
        world.client.start(now: world.now)
        let first = world.client.firstMessage
        world.client.outbox.removeAll()
        for number in 0..<100 as Range<UInt8> {
            var other = first
            other[7] = number
            world.deliver(other)
        }
        let early = world.engine.pollWork()
        #expect(early == nil && world.engine.halfOpenCount == 100)

        var generator = SplitMix(state: 1)
        var honest = try CertificateCase().world()
        honest.performsWork = false
        honest.client.start(now: honest.now)
        honest.run(for: .milliseconds(35))
        let exchange = honest.engine.pollWork()
        let agreement = try #require(exchange)
        if case .exchange = agreement.task {} else { Issue.record("no Diffie-Hellman") }
        honest.engine.complete(agreement.perform(), now: honest.now, using: &generator)
        honest.settle()
        let second = honest.engine.pollWork()
        #expect(second == nil)
        honest.run(for: .milliseconds(50))
        let third = honest.engine.pollWork()
        if case .authenticate? = third?.task {} else { Issue.record("no signature") }
    }

    @Test("a refused message 5 ends its exchange: what comes after costs nothing, and the address is slowed")
    func once() throws {
        var world = try CertificateCase(client: "expired").world()
        world.dialIn(main: .milliseconds(500), quick: .zero)
        #expect(world.refusals.map(\.reason) == [.certificateExpired])
        let last = try #require(world.recorded.last).bytes
        world.performsWork = false
        for _ in 0..<50 { world.deliver(last) }
        let work = world.engine.pollWork()
        #expect(work == nil && world.engine.drops[.unknownCookies] >= 50)
        world.performsWork = true
        for _ in 0..<20 {
            world.dialIn(main: .milliseconds(100), quick: .zero)
        }
        let expired = world.refusals.count { $0.reason == .certificateExpired }
        #expect(expired == world.engine.limits.failuresPerAddressMaximum)
        #expect(world.refusals.allSatisfy { [.certificateExpired, .addressSlowed].contains($0.reason) })
        #expect(world.engine.drops[.addressSlowed] > 0)
    }

    @Test("first messages of aggressive mode beyond the rate or the queue cost nothing")
    func aggressiveFlood() throws {
        var world = try CertificateCase(isAggressive: true).world()
        world.performsWork = false
        world.client.start(now: world.now)
        let first = world.client.firstMessage
        var works = 0
        for number in 0..<2000 {
            var other = first
            other[6] = UInt8(number >> 8)
            other[7] = UInt8(number & 255)
            let address = IPv4Address(203, 0, UInt8(number >> 8), UInt8(number & 255))
            world.deliver(other, from: Endpoint(address, 500))
            while world.engine.pollWork() != nil { works += 1 }
        }
        #expect(works == world.engine.limits.aggressivePerSecond)
        #expect(world.engine.drops[.aggressiveRateLimited] == 2000 - works)
        #expect(world.sent.isEmpty)
        world.run(for: .seconds(40))
        #expect(world.engine.associationCount == 0)
    }
}
