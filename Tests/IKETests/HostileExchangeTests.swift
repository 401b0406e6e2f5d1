import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Under attack: what an exchange lets happen")
struct HostileExchangeTests {
    @Test("Diffie-Hellman values of wrong length are refused before any computation; 0, 1, p-1 and p by the work")
    func publicValues() {
        let length = 256
        let cases: [([UInt8], IKEDrop)] = [
            ([], .publicValueLength), ([2], .publicValueLength),
            ([UInt8](repeating: 2, count: length - 1), .publicValueLength),
            ([UInt8](repeating: 2, count: length + 1), .publicValueLength),
            ([UInt8](repeating: 0, count: length), .publicValueRefused),
            ([UInt8](repeating: 0, count: length - 1) + [1], .publicValueRefused),
            ([UInt8](repeating: 255, count: length), .publicValueRefused),
        ]
        for (value, drop) in cases {
            var world = World.offered()
            let body = chain([(4, value), (10, [UInt8](repeating: 7, count: 20))])
            world.deliver(
                message(world.client.initiatorCookie, world.client.responderCookie, exchange: 2, first: 4, body: body))
            #expect(world.engine.drops[drop] == 1, "\(world.drops)")
            // The true message 3 still works where the false one was seen to be false by its length.
            guard drop == .publicValueLength else { continue }
            world.run(for: .seconds(3))
            #expect(world.client.phase == .established)
        }
    }

    @Test("message 3 with payloads missing, twice, or of IKEv2: dropped, and the true one still works")
    func keyExchangePayloads() {
        let value = (type: 4, body: [UInt8](repeating: 2, count: 256))
        let nonce = (type: 10, body: [UInt8](repeating: 7, count: 20))
        let cases: [([(type: Int, body: [UInt8])], IKEDrop)] = [
            ([value], .missingPayload), ([nonce], .missingPayload), ([value, value, nonce], .duplicatePayload),
            ([value, nonce, nonce], .duplicatePayload), ([value, nonce, (34, [1])], .unexpectedPayload),
            ([value, nonce, (1, Offers.strongSwan)], .unexpectedPayload),
        ]
        for (payloads, drop) in cases {
            var world = World.offered()
            world.deliver(
                message(
                    world.client.initiatorCookie, world.client.responderCookie, exchange: 2, first: payloads[0].type,
                    body: chain(payloads)))
            #expect(world.engine.drops[drop] == 1, "\(drop): \(world.drops)")
            world.run(for: .seconds(3))
            #expect(world.client.phase == .established)
        }
    }

    @Test("nonces of 7 and 257 bytes are refused")
    func nonces() {
        for count in [0, 7, 257] {
            var world = World.offered()
            let body = chain([(4, [UInt8](repeating: 2, count: 256)), (10, [UInt8](repeating: 7, count: count))])
            world.deliver(
                message(world.client.initiatorCookie, world.client.responderCookie, exchange: 2, first: 4, body: body))
            #expect(world.engine.drops[.nonceLength] == 1)
        }
    }

    @Test("message 3 again while Diffie-Hellman runs is no error; another one is not taken; the result comes once")
    func busy() throws {
        var world = World.offered()
        world.performsWork = false
        let request = try #require(world.client.outbox.first?.bytes)
        world.deliver(request)
        world.deliver(request)
        #expect(world.engine.drops[.repeatedWhileBusy] == 1)
        var other = request
        other[40] ^= 1
        world.deliver(other)
        #expect(world.engine.drops[.wrongState] == 1)
        let next = world.engine.pollWork()
        let work = try #require(next)
        let another = world.engine.pollWork()
        #expect(another == nil)
        let result = work.perform()
        var generator = SplitMix(state: 1)
        world.engine.complete(result, now: world.now, using: &generator)
        world.engine.complete(result, now: world.now, using: &generator)
        #expect(world.engine.drops[.staleWorkResult] == 1)
        world.performsWork = true
        world.settle()
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)
    }

    @Test("message 3 from another address is not taken")
    func otherAddress() throws {
        var world = World.offered()
        let request = try #require(world.client.outbox.first?.bytes)
        world.deliver(request, from: Endpoint(IPv4Address(203, 0, 113, 9), 500))
        #expect(world.engine.drops[.otherAddress] == 1)
        #expect(world.sent.count == 1)
    }

    @Test("encrypted messages before there are keys, and clear ones after")
    func encryptionState() {
        var world = World.offered()
        let noise = [UInt8](repeating: 0x55, count: 64)
        let (initiator, responder) = (world.client.initiatorCookie, world.client.responderCookie)
        for exchange in [2, 5, 32] {
            world.deliver(
                message(
                    initiator, responder, exchange: exchange, flags: 1, id: [0, 0, 0, exchange == 2 ? 0 : 9], first: 8,
                    body: noise))
        }
        #expect(world.engine.drops[.encryptedTooEarly] == 3)
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)
        world.deliver(
            message(initiator, responder, exchange: 32, id: [0, 0, 0, 9], first: 8, body: chain([(8, noise)])))
        #expect(world.engine.drops[.clearTooLate] == 1)
    }

    @Test("a body that is not a multiple of the cipher's block is dropped before decryption")
    func blocks() {
        var world = World.connected()
        let (initiator, responder) = (world.client.initiatorCookie, world.client.responderCookie)
        for (exchange, count) in [(32, 17), (5, 15), (32, 0), (5, 1)] {
            world.deliver(
                message(
                    initiator, responder, exchange: exchange, flags: 1, id: [1, 0, 0, 9], first: 8,
                    body: [UInt8](repeating: 1, count: count)))
        }
        #expect(world.engine.drops[.notBlockMultiple] == 4)
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.ready.count == 2)
    }

    @Test(
        "forged Delete and Notify for a live session: in clear, without a hash, with a wrong hash: no effect, no answer"
    )
    func forged() {
        var world = World.connected()
        let sent = world.sent.count
        let (initiator, responder) = (world.client.initiatorCookie, world.client.responderCookie)
        let delete = world.client.deletePayload(spis: [world.client.children[0].inboundSPI])
        let deleteIKE = world.client.deleteIKEPayload
        let contact = (type: 11, body: be32(1) + [1, 0] + be16(24578))
        for payload in [delete, deleteIKE, contact, world.client.areYouThere(1)] {
            world.deliver(
                message(
                    initiator, responder, exchange: 5, id: [9, 9, 9, 9], first: payload.type, body: chain([payload])))
        }
        #expect(world.engine.drops[.unauthenticatedInformational] == 4)
        // Encrypted by who knows the cipher's key only.
        var forger = world.client
        forger.iv = forger.keys.map { Array($0.hash.digest(forger.lastBlock + [7, 7, 7, 7]).prefix(16)) } ?? []
        world.deliver(forger.encrypted(exchange: 5, id: [7, 7, 7, 7], [delete]))
        #expect(world.engine.drops[.missingPayload] == 1)
        forger.iv = forger.keys.map { Array($0.hash.digest(forger.lastBlock + [7, 7, 7, 7]).prefix(16)) } ?? []
        world.deliver(
            forger.encrypted(exchange: 5, id: [7, 7, 7, 7], [(8, [UInt8](repeating: 0, count: 32)), delete]))
        #expect(world.engine.drops[.hashMismatch] == 1)
        #expect(world.ended.isEmpty && world.ikeEnded.isEmpty && world.initialContacts == 0)
        #expect(world.sent.count == sent)
    }

    @Test("odd notifies and deletes in an authenticated message do no harm")
    func oddNotifies() {
        var world = World.connected()
        let bodies: [(type: Int, body: [UInt8])] = [
            (11, []), (11, be32(1)), (11, be32(1) + [1, 16] + be16(36136)), (11, be32(1) + [1, 255] + be16(5) + [1]),
            (11, be32(1) + [1, 0] + be16(40500) + [1, 2, 3]),
            (11, be32(99) + [77, 4] + be16(60000) + [9, 9, 9, 9, 1]),
            (12, []), (12, be32(1) + [3, 4] + be16(65535)), (12, be32(1) + [3, 0] + be16(1)),
            (12, be32(1) + [1, 4] + be16(1) + [1, 2, 3, 4]), (12, be32(1) + [9, 4] + be16(1) + [1, 2, 3, 4]),
            (12, be32(1) + [3, 4] + be16(1) + [1, 2, 3, 4, 5]), (12, be32(1) + [3, 4] + be16(0)),
            (11, be32(1) + [1, 16] + be16(36136) + [UInt8](repeating: 0, count: 16) + be32(1)),
            (11, be32(1) + [1, 16] + be16(36136) + world.client.initiatorCookie + world.client.responderCookie + [1]),
        ]
        for body in bodies { world.deliver(world.client.informational([body])) }
        world.run(for: .seconds(1))
        #expect(world.client.deadPeerAnswers.isEmpty)
        #expect(world.ended.isEmpty && world.ikeEnded.isEmpty)
        world.deliver(world.client.informational([world.client.areYouThere(5)]))
        world.run(for: .seconds(1))
        #expect(world.client.deadPeerAnswers.count == 1)
    }

    @Test("replays: messages 1, 3 and 5, quick mode 1 and 3, Informational: no second SA, no second effect")
    func replays() {
        var world = World()
        world.translate()
        world.client.start(now: world.now)
        for step in 0..<60 {
            world.run(for: .milliseconds(50))
            if step == 20 { world.client.startQuickMode(now: world.now) }
        }
        #expect(world.keysAgree)
        let recorded = world.recorded
        #expect(recorded.count == 5)
        for duration: Duration in [.seconds(1), .seconds(60)] {
            world.run(for: duration)
            for item in recorded + recorded { world.deliver(item.bytes, floated: item.floated) }
        }
        #expect(world.established.count == 1)
        #expect(world.ready.count == 1)
        #expect(world.confirmed.count == 1)
        #expect(world.engine.drops[.repeatedMessageID] > 0)
        #expect(world.engine.drops[.obsoleteRequest] > 0)
    }

    @Test("another first message with the same cookie from the same endpoint does not touch the exchange")
    func changedFirst() {
        var world = World.offered()
        var settings = world.client.settings
        settings.offer = Offers.windows
        var forger = TestInitiator(settings)
        forger.initiatorCookie = world.client.initiatorCookie
        world.deliver(forger.firstMessage)
        #expect(world.engine.drops[.changedFirstMessage] == 1)
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)
    }

    @Test("messages 5 that are noise do not stop the true one")
    func noiseBeforeMessageFive() throws {
        var world = World.offered()
        let request = try #require(world.client.outbox.first?.bytes)
        world.client.outbox.removeAll()
        world.deliver(request)
        for _ in 0..<5 {
            world.deliver(
                message(
                    world.client.initiatorCookie, world.client.responderCookie, exchange: 2, flags: 1, first: 5,
                    body: world.client.generator.bytes(64)), from: Endpoint(IPv4Address(203, 0, 113, 9), 500))
        }
        #expect(world.engine.drops[.preSharedKeyMismatch] == 5)
        #expect(world.refusals.count == 1)
        // The noise came from a forged address: nothing goes there.
        #expect(world.sent.allSatisfy { $0.transmit.remote.address == .v4(allowedAddress) })
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)
    }
}
