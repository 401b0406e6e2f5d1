import ESP
import Testing
import Wire

@testable import Gateway

/// Two gateways with a tunnel, whose SAs are renewed by kilobytes during traffic.
@Suite("SAs that end by volume, between two gateways")
struct RenewalTests {
    /// Which message of its quick mode a datagram is: told by who sent it, and what came before.
    private final class QuickModes {
        private var messages: [[UInt8]: [[UInt8]]] = [:]
        /// How many times messages 1, 2 and 3 were lost.
        var lost = [0, 0, 0]

        /// From 1 to 3, 0 for what is none.
        func number(_ datagram: Datagram) -> Int {
            guard datagram.from.port == 500, datagram.bytes.count > 28, datagram.bytes[18] == 32 else { return 0 }
            let name = Array(datagram.bytes[20..<24])
            let known = messages[name] ?? []
            if let position = known.firstIndex(of: datagram.bytes) { return position + 1 }
            messages[name] = known + [datagram.bytes]
            return known.count + 1
        }

        /// Whether it came before.
        func isRepeated(_ datagram: Datagram) -> Bool {
            messages[Array(datagram.bytes[20..<24])]?.contains(datagram.bytes) ?? false
        }
    }

    static let packetBytes = 1200

    private func pair(kilobytes: [Int], seed: UInt64 = 1) throws -> GatewayPair {
        var lines = GatewayPair.networks()
        for side in lines.indices where kilobytes[side] > 0 {
            lines[side] += "\nlifetimes: {ipsecKilobytes: \(kilobytes[side])}"
        }
        let pair = try GatewayPair(lines, seed: seed)
        pair.send(GatewayPair.packet(from: 0, serial: 0, byteCount: Self.packetBytes), from: 0)
        pair.send(GatewayPair.packet(from: 1, serial: 0, byteCount: Self.packetBytes), from: 1)
        pair.run(.seconds(2))
        #expect(pair.serials(0) == [0] && pair.serials(1) == [0])
        return pair
    }

    /// Sends so many packets from each of `sides`.
    private func stream(_ pair: GatewayPair, _ count: Int, each pause: Duration, from sides: [Int] = [0, 1]) {
        let first = (pair.serials(0) + pair.serials(1)).max() ?? 0
        for serial in (first + 1)...(first + count) {
            for side in sides {
                pair.send(GatewayPair.packet(from: side, serial: serial, byteCount: Self.packetBytes), from: side)
            }
            pair.run(pause)
        }
    }

    /// All that was sent has come, and both ends have counted every byte of it.
    private func expectAll(_ pair: GatewayPair, _ count: Int, from sides: [Int] = [0, 1]) {
        for side in sides {
            let serials = pair.serials(1 - side).sorted()
            #expect(serials == Array(0...count), "from \(side): \(count + 1 - Set(serials).count) are missing")
            let sent = pair.gateways[side].workers.reduce(0) { $0 + $1.path.sent.confidentialBytes }
            let received = pair.gateways[1 - side].workers.reduce(0) {
                $0 + $1.path.inboundTable.total.confidentialBytes
            }
            #expect(sent == received && sent == UInt64((count + 1) * Self.packetBytes))
        }
        for gateway in pair.gateways {
            #expect(gateway.count(.heldTooMany) == 0 && gateway.count(.heldInVain) == 0)
            #expect(gateway.workers.allSatisfy { $0.path.notSealed[.volumeExhausted] == 0 })
            for drop in [InboundDrop.volumeExhausted, .unknownIndex, .tooOld, .replayed] {
                #expect(gateway.workers.allSatisfy { $0.path.inboundTable.drops[drop] == 0 }, "\(drop)")
            }
        }
    }

    private func renewals(_ pair: GatewayPair) -> UInt64 { pair.gateways[0].plane.counters[.quickModes] }

    @Test("12 MB/s by SAs of 1 MB, one way and both ways", arguments: [[0], [1], [0, 1]])
    func speed(sides: [Int]) throws {
        let pair = try pair(kilobytes: [1000, 0])
        let before = renewals(pair)
        stream(pair, 8000, each: .microseconds(96), from: sides)
        pair.run(.seconds(1))
        expectAll(pair, 8000, from: sides)
        // Each carries a good part of what it may.
        #expect((9...40).contains(renewals(pair) - before), "\(renewals(pair) - before)")
        #expect(pair.gateways[1].plane.counters[.quickModes] == renewals(pair))
    }

    @Test("each message of quick mode lost once in each renewal", arguments: [1, 2, 3])
    func loss(number: Int) throws {
        let pair = try pair(kilobytes: [1000, 0])
        let before = renewals(pair)
        let quickModes = QuickModes()
        pair.tamper = { datagram in
            guard datagram.from.port == 500, datagram.bytes.count > 28, datagram.bytes[18] == 32 else { return false }
            let isRepeated = quickModes.isRepeated(datagram)
            guard quickModes.number(datagram) == number, !isRepeated else { return false }
            quickModes.lost[number - 1] += 1
            return true
        }
        stream(pair, 4000, each: .milliseconds(1))
        pair.run(.seconds(2))
        expectAll(pair, 4000)
        #expect(quickModes.lost[number - 1] >= 4 && renewals(pair) - before >= 4)
    }

    @Test("both sides renew, at once and by turns, over a line that reorders", arguments: [1, 2, 3, 4] as [UInt64])
    func both(seed: UInt64) throws {
        let pair = try pair(kilobytes: [500, 500], seed: seed)
        let before = renewals(pair)
        pair.faults.reordering = 0.1
        pair.faults.delayMaximum = .milliseconds(30)
        stream(pair, 4000, each: .microseconds(500))
        pair.run(.seconds(2))
        expectAll(pair, 4000)
        #expect(renewals(pair) - before >= 8)
        // What was made last is used by both, and what it replaced goes.
        pair.run(.seconds(6))
        stream(pair, 1, each: .seconds(1))
        pair.run(.seconds(40))
        for gateway in pair.gateways { #expect(gateway.statisticsRecord().ipsec.activeAssociations == 2) }
    }

    @Test("a peer that does not answer for a while: what waits goes when it does, within seconds")
    func silence() throws {
        let pair = try pair(kilobytes: [500, 0])
        let end = pair.now + .seconds(9)
        pair.tamper = { datagram in
            pair.now < end && datagram.from.port == 500 && datagram.bytes.count > 28 && datagram.bytes[18] == 32
        }
        // 500 kB and as much as may wait.
        stream(pair, 800, each: .milliseconds(2), from: [0])
        pair.run(.seconds(5))
        #expect(pair.serials(1).count < 800)
        pair.run(.seconds(5))
        expectAll(pair, 800, from: [0])
    }

    @Test("a peer that was restarted: its SAs are found out to be gone, and traffic goes on")
    func restart() throws {
        let pair = try pair(kilobytes: [500, 0])
        stream(pair, 200, each: .milliseconds(2))
        try pair.restart(1)
        // More than the old pair may carry.
        stream(pair, 2000, each: .milliseconds(2))
        pair.run(.seconds(1))
        let before = pair.serials(1).count
        let serial = 1_000_000
        for number in 0..<100 {
            pair.send(
                GatewayPair.packet(from: 0, serial: serial + number, byteCount: Self.packetBytes), from: 0)
            pair.run(.milliseconds(2))
        }
        pair.run(.seconds(1))
        #expect(pair.serials(1).count == before + 100)
    }
}
