import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Fragments of IKE messages")
struct FragmentationTests {
    /// A world whose client cuts whatever it sends after message 1 into fragments of `size` bytes.
    private func fragments(
        _ bytes: [UInt8], size: Int, id: Int = 1, flags: UInt8 = 0, exchange: UInt8? = nil, messageID: [UInt8]? = nil
    ) -> [[UInt8]] {
        let starts = Array(stride(from: 0, to: bytes.count, by: size))
        return starts.enumerated().map { index, start in
            let data = Array(bytes[start..<min(start + size, bytes.count)])
            return fragment(
                of: bytes, id: id, number: index + 1, last: index + 1 == starts.count, data, flags: flags,
                exchange: exchange, messageID: messageID)
        }
    }

    private func fragment(
        of bytes: [UInt8], id: Int = 1, number: Int, last: Bool, _ data: [UInt8], flags: UInt8 = 0,
        exchange: UInt8? = nil, messageID: [UInt8]? = nil
    ) -> [UInt8] {
        let body = be16(id) + [UInt8(number), last ? 1 : 0] + data
        return message(
            Array(bytes[0..<8]), Array(bytes[8..<16]), exchange: Int(exchange ?? bytes[18]), flags: Int(flags),
            id: messageID ?? Array(bytes[20..<24]), first: 132, body: chain([(132, body)]))
    }

    /// A world at message 3, which is returned whole.
    private func atMessageThree(_ settings: TestInitiator.Settings = .init()) throws -> (World, [UInt8]) {
        var world = World(settings: settings)
        world.client.start(now: world.now)
        world.client.outbox.removeAll()
        world.deliver(world.client.firstMessage)
        world.client.receive(try #require(world.sent.last?.bytes), now: world.now)
        let bytes = try #require(world.client.outbox.last?.bytes)
        world.client.outbox.removeAll()
        return (world, bytes)
    }

    @Test("a client that says it understands fragments is told that we do, in its own way; another is not")
    func vendorID() throws {
        var windows = TestInitiator.Settings()
        (windows.offer, windows.vendorIDs) = (Offers.windows, Offers.windowsVendorIDs)
        #expect(try atMessageThree(windows).0.client.answeredVendorIDs.contains(Offers.fragmentation))
        let own = Offers.fragmentation + hex("80000000")
        #expect(try atMessageThree().0.client.answeredVendorIDs.contains(own))
        for vendorIDs in [[Offers.natTraversal], [Offers.fragmentation + hex("40000000")]] {
            var settings = TestInitiator.Settings()
            settings.vendorIDs = vendorIDs
            let answered = try atMessageThree(settings).0.client.answeredVendorIDs
            #expect(!answered.contains { $0.starts(with: Offers.fragmentation) })
        }
    }

    @Test(
        "a whole dial-in in fragments: as racoon, with the encryption flag; as strongSwan, with headers of phase 1",
        arguments: [true, false], [40, 100, 552])
    func dialIn(isRacoon: Bool, size: Int) {
        var world = World()
        world.translate()
        world.cut = { bytes in
            guard bytes[8..<16].contains(where: { $0 != 0 }) else { return [bytes] }
            return isRacoon
                ? fragments(bytes, size: size, flags: bytes[19])
                : fragments(bytes, size: size, exchange: 2, messageID: [0, 0, 0, 0]).reversed()
        }
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.engine.partialMessages.isEmpty && world.engine.partialMessagesByKey.isEmpty)
    }

    @Test("a first message in fragments is put together too")
    func firstMessage() {
        var world = World()
        world.cut = { fragments($0, size: 60) }
        world.dialIn()
        #expect(world.keysAgree)
    }

    @Test("fragments lost, doubled and out of order; all messages of one number: retransmission heals all")
    func faults() {
        for seed in 0..<60 as Range<UInt64> {
            var world = World(seed: seed)
            world.faults = World.Faults(loss: 0.1, duplication: 0.2, reordering: 0.2)
            world.cut = { bytes in
                guard bytes[8..<16].contains(where: { $0 != 0 }) else { return [bytes] }
                return fragments(bytes, size: 120)
            }
            world.dialIn(main: .seconds(25), quick: .seconds(25))
            #expect(world.client.phase == .established, "seed \(seed)")
            #expect(world.keysAgree, "seed \(seed)")
        }
    }

    @Test("number 0, unknown flags, no data, one byte short, among other payloads, without a cookie of ours")
    func malformed() throws {
        var (world, bytes) = try atMessageThree()
        let good = fragment(of: bytes, number: 1, last: false, [1, 2, 3])
        for (change, drop) in [
            ({ $0[34] = 0 }, .malformedFragment), ({ $0[35] = 2 }, .malformedFragment),
            ({ $0[15] ^= 1 }, .unknownCookies), ({ $0[29] = 1 }, .reservedNotZero),
            ({ $0[28] = 10 }, .tooManyPayloads),
        ] as [((inout [UInt8]) -> Void, IKEDrop)] {
            var changed = good
            change(&changed)
            let before = world.engine.drops[drop]
            world.deliver(changed)
            #expect(world.engine.drops[drop] == before + 1)
        }
        let before = world.engine.drops[.malformedFragment]
        world.deliver(fragment(of: bytes, number: 1, last: true, []))
        #expect(world.engine.drops[.malformedFragment] == before + 1)
        for count in 32..<36 {
            var cut = Array(good.prefix(count))
            cut.replaceSubrange(24..<28, with: be32(count))
            cut.replaceSubrange(30..<32, with: be16(count - 28))
            world.deliver(cut)
        }
        #expect(world.engine.drops[.truncated] == 4)
        #expect(world.engine.partialMessages.isEmpty)
    }

    @Test("a fragment in a fragment, another exchange's message, and noise are not taken for a message")
    func contents() throws {
        var (world, bytes) = try atMessageThree()
        let inner = fragment(of: bytes, number: 1, last: true, bytes)
        world.deliver(fragment(of: bytes, number: 1, last: true, inner))
        var foreign = bytes
        foreign[0] ^= 1
        world.deliver(fragment(of: bytes, number: 1, last: true, foreign))
        #expect(world.engine.drops[.malformedFragment] == 2)
        world.deliver(fragment(of: bytes, number: 1, last: true, [1, 2, 3]))
        #expect(world.engine.drops[.shortMessage] == 1)
        #expect(world.engine.unauthenticated.count == 0)
        world.deliver(fragment(of: bytes, number: 1, last: true, bytes))
        #expect(world.engine.unauthenticated.count == 1)
    }

    @Test("two last fragments, a fragment behind the last, another text for a number: begun anew, and then complete")
    func contradictions() throws {
        var (world, bytes) = try atMessageThree()
        let parts = fragments(bytes, size: 100)
        #expect(parts.count > 2)
        world.deliver(parts[parts.count - 1])
        world.deliver(fragment(of: bytes, number: 2, last: true, [9]))
        world.deliver(fragment(of: bytes, number: 200, last: false, [9]))
        world.deliver(fragment(of: bytes, number: 1, last: false, [9]))
        #expect(world.engine.drops[.tooManyFragments] == 1)
        for part in parts { world.deliver(part) }
        #expect(world.engine.unauthenticated.count == 1)
    }

    @Test("holes stay holes, and are given up after the exchange's time")
    func holes() throws {
        var (world, bytes) = try atMessageThree()
        let parts = fragments(bytes, size: 100)
        for part in parts where part != parts[1] { world.deliver(part) }
        world.deliver(parts[0])
        #expect(world.engine.drops[.repeatedFragment] == 1)
        #expect(world.engine.unauthenticated.count == 0)
        #expect(world.engine.partialMessages.count == 1)
        world.run(for: .seconds(31))
        #expect(world.engine.partialMessages.isEmpty)
        #expect(world.engine.drops[.partialMessageExpired] == 1)
    }

    @Test("too many bytes in one message; too many messages from one address and from all, known or not")
    func limits() throws {
        var (world, bytes) = try atMessageThree()
        for number in 1...12 {
            world.deliver(
                fragment(of: bytes, number: number, last: false, [UInt8](repeating: 1, count: 1400)))
        }
        #expect(world.engine.drops[.tooManyFragments] == 1)
        for id in 0..<2000 { world.deliver(fragment(of: bytes, id: id, number: 2, last: false, [1])) }
        #expect(world.engine.partialMessages.count == 256)
        var first = world.client.firstMessage
        for id in 0..<2000 {
            first.replaceSubrange(0..<8, with: be32(1) + be32(id + 1))
            let from = Endpoint(IPv4Address(203, 0, 113, UInt8(id % 200)), 500)
            world.deliver(fragment(of: first, number: 1, last: false, [1]), from: from)
        }
        #expect(world.engine.partialMessages.count == 256 + 64)
        let one = Endpoint(IPv4Address(203, 0, 113, 250), 500)
        for id in 0..<20 {
            first.replaceSubrange(0..<8, with: be32(2) + be32(id + 1))
            world.deliver(fragment(of: first, number: 1, last: false, [1]), from: one)
        }
        #expect(world.engine.partialStrangers.count(of: one.address) == 4)
        world.run(for: .seconds(31))
        #expect(world.engine.partialMessages.isEmpty)
    }

    @Test("100,000 fragments in the worst order cost what they cost in the best")
    func cost() throws {
        var collection = FragmentCollection()
        let limits = IKELimits()
        let clock = ContinuousClock()
        let time = clock.measure {
            for round in 0..<2000 {
                for number in stride(from: 64, to: 14, by: -1) {
                    let fragment = FragmentPayload(id: 1, number: number, isLast: false, data: [UInt8(round & 255)])
                    _ = try? collection.add(fragment, limits: limits)
                }
            }
        }
        #expect(time < .seconds(3))
    }

    @Test("a fragment is written as it is read; a long message goes in pieces only to who understands them")
    func sending() throws {
        let payload = FragmentPayload(id: 0x0102, number: 3, isLast: true, data: [4, 5])
        #expect(payload.body == [1, 2, 3, 1, 4, 5])
        #expect(try FragmentPayload(parsing: payload.body) == payload)
        for understands in [true, false] {
            var settings = TestInitiator.Settings()
            settings.vendorIDs = [Offers.natTraversal] + (understands ? [Offers.fragmentation] : [])
            var (world, bytes) = try atMessageThree(settings)
            world.deliver(bytes)
            let association = try #require(world.engine.associations.values.first)
            let long = MessageWriter.message(
                Header(cookies: association.cookies, exchange: .identityProtection),
                [Payload(type: .vendorID, body: [UInt8](repeating: 7, count: 3000))])
            let datagrams = world.engine.datagrams(long)
            #expect(datagrams.count == (understands ? 3 : 1))
            guard understands else { continue }
            #expect(datagrams.allSatisfy { $0.count <= 1248 })
            var collection = FragmentCollection()
            var whole: [UInt8]?
            for datagram in datagrams {
                let header = try Header(parsing: datagram)
                #expect(header.nextPayload == .fragment && header.flags.isEmpty && header.messageID == 0)
                let body = Array(datagram.dropFirst(32))
                whole = try collection.add(FragmentPayload(parsing: body), limits: IKELimits())
            }
            #expect(whole == long)
        }
    }
}
