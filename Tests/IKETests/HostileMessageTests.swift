import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Under attack: what a message may hold")
struct HostileMessageTests {
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
        var world = World.connected()
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

extension World {
    /// A world whose client has sent message 1 and has the answer.
    static func offered(_ settings: TestInitiator.Settings = .init()) -> World {
        var world = World(settings: settings)
        world.client.start(now: world.now)
        world.deliver(world.client.firstMessage)
        world.client.outbox.removeAll()
        if let answer = world.sent.last?.bytes { world.client.receive(answer, now: world.now) }
        return world
    }

    /// A world whose client has dialled in.
    static func connected(_ settings: TestInitiator.Settings = .init()) -> World {
        var world = World(settings: settings)
        world.dialIn()
        #expect(world.keysAgree)
        return world
    }
}
