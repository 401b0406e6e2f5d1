import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Under attack")
struct HostileTests {
    /// A world whose client has sent message 1 and has the answer.
    private func offered(_ settings: TestInitiator.Settings = .init()) -> World {
        var world = World(settings: settings)
        world.client.start(now: world.now)
        world.deliver(world.client.firstMessage)
        world.client.outbox.removeAll()
        if let answer = world.sent.last?.bytes { world.client.receive(answer, now: world.now) }
        return world
    }

    private func connected() -> World {
        var world = World()
        world.dialIn()
        #expect(world.keysAgree)
        return world
    }

    // MARK: - Bytes

    @Test("a first message one byte short, or cut anywhere, is dropped and changes nothing")
    func truncation() {
        var world = World()
        world.client.start(now: world.now)
        let whole = world.client.firstMessage
        for count in 0..<whole.count {
            var cut = Array(whole.prefix(count))
            world.deliver(cut)
            // And again with a header that tells the truth about the length.
            if count >= 28 {
                cut.replaceSubrange(24..<28, with: be32(count))
                world.deliver(cut)
            }
        }
        #expect(world.engine.associationCount == 0)
        #expect(world.engine.drops[.shortMessage] == 28)
        #expect(world.engine.drops[.lengthMismatch] > 0)
        #expect(world.engine.drops[.truncated] > 0)
        world.deliver(whole + [0])
        #expect(world.engine.associationCount == 0)
    }

    @Test("every byte of a first message changed in turn: no crash, no SA, nothing that is not counted")
    func mutation() {
        var generator = SplitMix(state: 3)
        var world = World { $0.limits.halfOpenPerAddressMaximum = 100_000 }
        world.client.start(now: world.now)
        let whole = world.client.firstMessage
        for index in whole.indices {
            for value: UInt8 in [0, 1, 0x7f, 0xff, UInt8.random(in: 0...255, using: &generator)] {
                var changed = whole
                changed[index] = value
                let before = world.engine.drops.total
                let halfOpen = world.engine.halfOpenCount
                let sent = world.sent.count
                world.deliver(changed)
                #expect(
                    world.engine.drops.total > before || world.engine.halfOpenCount > halfOpen
                        || world.sent.count > sent)
            }
        }
        #expect(world.established.isEmpty)
    }

    @Test("each message of a whole exchange mutated: never an SA with other keys, and the exchange still completes")
    func exchangeMutation() {
        for seed in 0..<150 as Range<UInt64> {
            var world = World(seed: seed)
            var generator = SplitMix(state: seed)
            world.translate()
            world.client.start(now: world.now)
            for step in 0..<200 {
                for item in world.client.outbox {
                    for _ in 0..<3 {
                        var changed = item.bytes
                        let index = Int.random(in: 0..<changed.count, using: &generator)
                        changed[index] ^= UInt8.random(in: 1...255, using: &generator)
                        // A valid first message of another cookie is another exchange; that is for another test.
                        if index >= 8 || item.bytes[8..<16].contains(where: { $0 != 0 }) {
                            world.deliver(changed, floated: item.floated)
                        }
                    }
                }
                world.run(for: .milliseconds(100))
                if step == 100, world.client.phase == .established { world.client.startQuickMode(now: world.now) }
            }
            // A changed first message may have been answered before the true one: then the client begins again.
            if world.client.phase == .established { #expect(world.keysAgree, "seed \(seed)") }
            #expect(world.established.count <= 1)
        }
    }

    @Test(
        "version, flags, cookies and message ids that no client sends",
        arguments: [
            (17, UInt8(0x20), IKEDrop.otherVersion), (17, 0x11, .otherVersion), (19, 0x08, .reservedFlags),
            (19, 0x04, .authenticationOnlyFlag), (19, 0x01, .encryptedTooEarly), (18, 0, .unsupportedExchange),
            (18, 33, .unsupportedExchange), (18, 6, .unsupportedExchange), (18, 4, .aggressiveModeDisabled),
            (23, 1, .messageIDNotZero), (28, 99, .unexpectedPayload), (29, 1, .reservedNotZero),
            (31, 3, .payloadLength),
            (8, 1, .unknownCookies), (35, 2, .domainUnsupported), (39, 4, .domainUnsupported),
            (47, 9, .malformedProposal),
        ] as [(Int, UInt8, IKEDrop)])
    func header(index: Int, value: UInt8, drop: IKEDrop) {
        var world = World()
        world.client.start(now: world.now)
        var changed = world.client.firstMessage
        changed[index] = value
        world.deliver(changed)
        #expect(world.engine.drops[drop] == 1, "\(world.drops)")
        #expect(world.engine.associationCount == 0)
    }

    @Test("a zero initiator cookie is dropped; a message id of zero in phase 2 too")
    func zeroes() {
        var world = connected()
        var first = world.client.firstMessage
        first.replaceSubrange(0..<8, with: [UInt8](repeating: 0, count: 8))
        world.deliver(first)
        #expect(world.engine.drops[.zeroInitiatorCookie] == 1)
        world.deliver(world.client.informational([world.client.areYouThere(1)], id: [0, 0, 0, 0]))
        #expect(world.engine.drops[.messageIDZero] == 1)
    }

    @Test("duplicate, missing and misplaced payloads")
    func payloads() {
        let offer = Offers.strongSwan
        let cases: [([(type: Int, body: [UInt8])], IKEDrop)] = [
            ([(1, offer), (1, offer)], .duplicatePayload), ([(13, Offers.natTraversal)], .missingPayload),
            ([(13, Offers.natTraversal), (1, offer)], .payloadOrder), ([(1, offer), (4, [1, 2])], .unexpectedPayload),
            ([(1, offer), (33, [1])], .unexpectedPayload), ([(1, offer), (132, [0])], .fragment),
            ([(1, offer)] + Array(repeating: (13, [1]), count: 40), .duplicatePayload),
            ([(1, offer)] + Array(repeating: (200, [1]), count: 130), .tooManyPayloads), ([(1, [])], .truncated),
        ]
        for (payloads, drop) in cases {
            var world = World()
            let bytes = message(
                [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 2, first: payloads[0].type,
                body: chain(payloads))
            world.deliver(bytes)
            #expect(world.engine.drops[drop] == 1, "\(drop): \(world.drops)")
            #expect(world.engine.associationCount == 0)
        }
        // What we do not know of the private numbers is passed over.
        var world = World()
        let payloads = [(type: 1, body: offer), (type: 200, body: [UInt8](repeating: 1, count: 9))]
        world.deliver(
            message(
                [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 2, first: 1, body: chain(payloads))
        )
        #expect(world.engine.associationCount == 1)
    }

    @Test("thousands of transforms, proposals without end, attributes that lie")
    func offers() {
        let attributes = Offers.phaseOne(7, 256, 4, 14, life: Offers.hour)
        let many = proposal(
            number: 1, protocolID: 1, spi: [], last: true, transforms: Array(repeating: (1, attributes), count: 255))
        let two =
            proposal(
                number: 1, protocolID: 1, spi: [], last: false,
                transforms: Array(repeating: (1, attributes), count: 200)) + many
        let small = proposal(number: 1, protocolID: 1, spi: [], last: false, transforms: [(1, attributes)])
        var last = small
        last[0] = 0
        let cases: [([UInt8], IKEDrop?)] = [
            (many, nil), (two, .tooManyProposals),
            (Array(repeating: small, count: 80).flatMap { $0 } + last, .tooManyProposals),
            (small, .truncated),
            (
                proposal(number: 1, protocolID: 1, spi: [], last: true, transforms: [(1, [0, 1, 0, 0])]),
                .malformedAttribute
            ),
            (proposal(number: 1, protocolID: 1, spi: [], last: true, transforms: [(1, [0, 1, 0, 9])]), .truncated),
            (
                proposal(number: 1, protocolID: 1, spi: [], last: true, transforms: [(1, attributes + basic(1, 7))]),
                .noProposalChosen
            ),
            (
                proposal(number: 1, protocolID: 1, spi: [], last: true, transforms: [(1, attributes + basic(14, 0))]),
                .noProposalChosen
            ),
            (proposal(number: 1, protocolID: 2, spi: [], last: true, transforms: [(1, attributes)]), .noProposalChosen),
            (
                proposal(number: 1, protocolID: 99, spi: [], last: true, transforms: [(1, attributes)]),
                .noProposalChosen
            ),
        ]
        for (proposals, drop) in cases {
            var world = World { $0.limits.messageBytesMaximum = 65_536 }
            world.deliver(
                message(
                    [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 2, first: 1,
                    body: chain([(1, securityAssociation(proposals))])))
            if let drop {
                #expect(world.engine.drops[drop] == 1, "\(drop): \(world.drops)")
            } else {
                #expect(world.engine.associationCount == 1, "\(world.drops)")
            }
        }
    }

    // MARK: - Key exchange

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
            var world = offered()
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

    @Test("nonces of 7 and 257 bytes are refused")
    func nonces() {
        for count in [0, 7, 257] {
            var world = offered()
            let body = chain([(4, [UInt8](repeating: 2, count: 256)), (10, [UInt8](repeating: 7, count: count))])
            world.deliver(
                message(world.client.initiatorCookie, world.client.responderCookie, exchange: 2, first: 4, body: body))
            #expect(world.engine.drops[.nonceLength] == 1)
        }
    }

    @Test("message 3 again while Diffie-Hellman runs is no error; another one is not taken; the result comes once")
    func busy() throws {
        var world = offered()
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
        var world = offered()
        let request = try #require(world.client.outbox.first?.bytes)
        world.deliver(request, from: Endpoint(IPv4Address(203, 0, 113, 9), 500))
        #expect(world.engine.drops[.otherAddress] == 1)
        #expect(world.sent.count == 1)
    }

    // MARK: - State

    @Test("encrypted messages before there are keys, and clear ones after")
    func encryptionState() {
        var world = offered()
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
        var world = connected()
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
        var world = connected()
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
        var world = connected()
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
        var world = offered()
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
        var world = offered()
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

    @Test("quick mode: AH, tunnel mode, bundles, SPIs below 256, AES-GMAC, wrong key lengths are refused by Notify")
    func quickOffers() {
        let attributes = Offers.phaseTwo(
            mode: 2, integrity: 2, bits: 256, life: Offers.hour.isEmpty ? [] : basic(1, 1) + basic(2, 3600))
        let life = basic(1, 1) + basic(2, 3600)
        let list: [(IKEOfferAttribute, @Sendable ([UInt8]) -> [UInt8])] = [
            (.protocolID, { proposal(number: 1, protocolID: 2, spi: $0, last: true, transforms: [(3, attributes)]) }),
            (
                .protocolID,
                {
                    proposal(number: 1, protocolID: 3, spi: $0, last: false, transforms: [(12, attributes)])
                        + proposal(number: 1, protocolID: 2, spi: $0, last: true, transforms: [(3, attributes)])
                }
            ),
            (
                .securityParameterIndex,
                { _ in
                    proposal(number: 1, protocolID: 3, spi: [0, 0, 0, 255], last: true, transforms: [(12, attributes)])
                }
            ),
            (
                .securityParameterIndex,
                { _ in proposal(number: 1, protocolID: 3, spi: [], last: true, transforms: [(12, attributes)]) }
            ),
            (
                .encapsulationMode,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 1, integrity: 2, bits: 256, life: life))])
                }
            ),
            (
                .encryption,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(23, Offers.phaseTwo(mode: 2, integrity: nil, bits: 128, life: life))])
                }
            ),
            (
                .encryption,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: 2, bits: 0, life: life))])
                }
            ),
            (
                .encryption,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(20, Offers.phaseTwo(mode: 2, integrity: nil, bits: nil, life: life))])
                }
            ),
            (
                .integrity,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(20, Offers.phaseTwo(mode: 2, integrity: 2, bits: 128, life: life))])
                }
            ),
            (
                .integrity,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: nil, bits: 128, life: life))])
                }
            ),
            (
                .group,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: 2, bits: 128, group: 14, life: life))])
                }
            ),
            (
                .life,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: 2, bits: 128, life: basic(2, 3600)))])
                }
            ),
        ]
        for (attribute, offer) in list {
            var settings = TestInitiator.Settings()
            settings.quickOffer = { spi, _ in securityAssociation(offer(spi)) }
            var world = World(settings: settings)
            world.dialIn(quick: .milliseconds(500))
            #expect(world.ready.isEmpty)
            #expect(world.refusals.first?.offers.first?.attribute == attribute, "\(world.refusals)")
            #expect(world.client.notifications == [14])
        }
    }

    @Test("quick mode for other protocols, or for one side only, is refused by Notify")
    func quickSelectors() {
        for selectors: [[UInt8]] in [
            [[1, 6, 0, 80, 10, 0, 0, 1], [1, 6, 0, 80, 10, 0, 0, 2]], [[1, 17, 6, 165, 10, 0, 0, 1]],
            [[1, 17, 6, 165, 10, 0, 0], [1, 17, 6, 165, 10, 0, 0, 2]],
            [[99, 17, 6, 165, 10], [1, 17, 6, 165, 10, 0, 0, 2]],
        ] {
            var settings = TestInitiator.Settings()
            settings.selectors = selectors
            var world = World(settings: settings)
            world.dialIn(quick: .milliseconds(500))
            #expect(world.ready.isEmpty)
            #expect(world.client.notifications.count == 1)
        }
    }

    // MARK: - Floods

    @Test("2,000 half-open exchanges are gone within a minute, and a dial-in works meanwhile")
    func halfOpen() {
        var world = World()
        for index in 0..<2000 as Range<UInt32> {
            var forger = TestInitiator(seed: UInt64(index))
            forger.initiatorCookie = forger.generator.bytes(8)
            world.deliver(forger.firstMessage, from: Endpoint(IPv4Address(0x0a00_0000 + index), 500))
        }
        #expect(world.engine.halfOpenCount == 2000)
        world.dialIn()
        #expect(world.keysAgree)
        world.run(for: .seconds(60))
        #expect(world.engine.halfOpenCount == 0)
        #expect(world.engine.associationCount == 1)
    }

    @Test("a flood of first messages keeps within its bounds and lets honest dial-ins through")
    func flood() {
        var world = World {
            $0.limits.halfOpenMaximum = 300
            $0.limits.halfOpenPerAddressMaximum = 50
        }
        world.client.start(now: world.now)
        var index: UInt32 = 0
        // 100 forged first messages between any two messages of the client, from one address and from many.
        for _ in 0..<60 {
            for _ in 0..<100 {
                var forger = TestInitiator(seed: UInt64(index) + 5000)
                forger.initiatorCookie = forger.generator.bytes(8)
                let many = IPv4Address(0x0b00_0000 + index)
                world.deliver(
                    forger.firstMessage, from: Endpoint(index % 2 == 0 ? many : IPv4Address(203, 0, 113, 5), 500))
                index += 1
            }
            #expect(world.engine.halfOpenCount <= 300)
            world.run(for: .milliseconds(25))
        }
        #expect(world.client.phase == .established)
        #expect(world.engine.drops[.halfOpenEvicted] > 0)
        #expect(world.engine.drops[.halfOpenEvictedForAddress] > 0)
        world.run(for: .seconds(31))
        #expect(world.engine.halfOpenCount == 0)
    }

    @Test("guessing keys from one address slows that address, and no other")
    func guessing() {
        var world = World()
        var guesses = 0
        for seed in 0..<30 as Range<UInt64> {
            world.client = TestInitiator(seed: seed)
            world.client.settings.preSharedKey = Array("guess \(seed)".utf8)
            world.client.start(now: world.now)
            world.run(for: .milliseconds(100))
            world.client.settle()
            guesses += world.client.phase == .sentAuthentication ? 1 : 0
        }
        #expect(guesses <= 11)
        #expect(world.engine.drops[.addressSlowed] >= 19)
        world.client = TestInitiator(seed: 77)
        world.outer = Endpoint(IPv4Address(203, 0, 113, 20), 500)
        world.outerFloated = Endpoint(IPv4Address(203, 0, 113, 20), 4500)
        world.dialIn()
        #expect(world.client.phase == .established)
        world.run(for: .seconds(30))
        world.outer = Endpoint(allowedAddress, 500)
        world.outerFloated = Endpoint(allowedAddress, 4500)
        world.client = TestInitiator(seed: 78)
        world.dialIn()
        #expect(world.client.phase == .established)
    }

    @Test("an authenticated peer cannot start quick modes or collect SAs without bound")
    func quickFlood() {
        var world = connected()
        world.acceptsQuickModes = false
        for _ in 0..<40 {
            world.client.startQuickMode(now: world.now)
            world.client.settle()
            for item in world.client.outbox { world.deliver(item.bytes) }
            world.client.outbox.removeAll()
        }
        #expect(world.requests.count == 9)
        #expect(world.engine.drops[.tooManyQuickModes] == 32)
        world.run(for: .seconds(31))
        world.acceptsQuickModes = true
        for _ in 0..<80 {
            world.client.startQuickMode(now: world.now)
            world.run(for: .seconds(2))
        }
        #expect(world.engine.securityAssociationCount == 64)
        #expect(world.engine.drops[.tooManySecurityAssociations] > 0)
    }

    @Test("Diffie-Hellman that nobody computes fills a bounded queue")
    func workQueue() {
        var world = World {
            $0.limits.workQueueMaximum = 10
        }
        world.performsWork = false
        for seed in 0..<30 as Range<UInt64> {
            world.client = TestInitiator(seed: seed)
            world.client.start(now: world.now)
            world.run(for: .milliseconds(100))
            world.client.settle()
        }
        #expect(world.engine.drops[.workQueueFull] == 20)
    }

    @Test("Notifies in clear have a rate")
    func notifyRate() {
        var world = World()
        var settings = TestInitiator.Settings()
        settings.offer = Offers.cheapRouter
        for seed in 0..<500 as Range<UInt64> {
            var forger = TestInitiator(settings, seed: seed)
            forger.initiatorCookie = forger.generator.bytes(8)
            world.deliver(forger.firstMessage, from: Endpoint(IPv4Address(UInt32(0x0b00_0000 + seed)), 500))
        }
        #expect(world.sent.count == 50)
        #expect(world.refusals.count == 50)
        #expect(world.engine.drops[.notifyRateLimited] == 450)
    }

    @Test("a second non-ESP marker in front of a message is taken off")
    func extraMarker() {
        var world = World()
        world.translate()
        world.client.start(now: world.now)
        world.deliver([0, 0, 0, 0] + world.client.firstMessage, floated: true)
        #expect(world.engine.associationCount == 1)
        world.deliver([0, 0, 0, 0] + world.client.firstMessage)
        #expect(world.engine.drops.total == 1)
    }

    @Test("libreswan's zeros behind the last payload are padding; anything else there is not")
    func padding() {
        var world = World()
        world.client.start(now: world.now)
        let body = chain([(1, Offers.strongSwan)])
        for (tail, drops) in [([0, 0], 0), ([1], 1), ([0, 0, 0, 0], 2)] as [([UInt8], UInt64)] {
            world.deliver(
                message(
                    world.client.generator.bytes(8), [UInt8](repeating: 0, count: 8), exchange: 2, first: 1,
                    body: body + tail))
            #expect(world.engine.drops[.trailingBytes] == drops)
        }
    }
}
