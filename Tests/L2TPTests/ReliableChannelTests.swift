import Testing
import Wire

@testable import L2TP

@Suite struct SequenceNumberTests {
    @Test("before and after, around the wrap") func order() {
        #expect(SequenceNumber(0xffff).isBefore(.zero) && !SequenceNumber.zero.isBefore(SequenceNumber(0xffff)))
        #expect(!SequenceNumber(5).isBefore(SequenceNumber(5)))
        // 5.8: with 15 received last (16 expected), 15 and the 32,767 before it are old, 16 is not.
        let expected = SequenceNumber(16)
        #expect(SequenceNumber(15).isBefore(expected) && SequenceNumber(32784).isBefore(expected))
        #expect(!SequenceNumber(32783).isBefore(expected))
        #expect(SequenceNumber(1).distance(from: SequenceNumber(0xfffe)) == 3)
        #expect(SequenceNumber(0xffff).advanced(by: 2) == SequenceNumber(1))
    }
}

@Suite struct CongestionWindowTests {
    @Test("slow start doubles by each round, then grows by one, up to the peer's window") func grows() {
        var window = CongestionWindow(limit: 8)
        #expect(window.size == 1)
        for expected in 2...8 {
            window.acknowledged()
            #expect(window.size == expected)
        }
        window.acknowledged()
        #expect(window.size == 8)
        window.timedOut()
        #expect(window.size == 1 && window.threshold == 4)
        for _ in 0..<3 { window.acknowledged() }
        #expect(window.size == 4)
        for _ in 0..<3 { window.acknowledged() }
        #expect(window.size == 4)
        window.acknowledged()
        #expect(window.size == 5)
    }

    @Test("a window of 0 counts as 1") func zero() {
        var window = CongestionWindow(limit: 0)
        window.acknowledged()
        #expect(window.size == 1)
        window.timedOut()
        #expect(window.size == 1 && window.threshold == 1)
    }
}

@Suite struct DeadlineHeapTests {
    @Test("the earliest comes first through random changes", arguments: 0..<4 as Range<UInt64>) func random(
        seed: UInt64
    ) {
        var generator = SeededGenerator(seed)
        var heap = DeadlineHeap()
        var model: [Int: Instant] = [:]
        for _ in 0..<3000 {
            let slot = Int.random(in: 0..<50, using: &generator)
            let deadline =
                generator.chance(25) ? nil : Instant(nanoseconds: UInt64.random(in: 0..<1000, using: &generator))
            heap.set(deadline, for: slot)
            model[slot] = deadline
            #expect(heap.earliest == model.values.min())
        }
        while let earliest = heap.earliest {
            let slot = heap.firstDue(at: earliest)
            #expect(slot.flatMap { model.removeValue(forKey: $0) } == earliest)
            if let slot { heap.set(nil, for: slot) }
        }
        #expect(model.isEmpty)
    }
}

@Suite struct FIFOTests {
    @Test("elements come back in their order, and memory with them") func order() {
        var queue = FIFO<Int>()
        var next = 0
        for round in 0..<1000 {
            queue.append(round)
            queue.append(round)
            if round % 3 == 0 { while let element = queue.popFirst() { #expect(element == next / 2); next += 1 } }
        }
        #expect(queue.count == 0 && queue.isEmpty && next == 2000)
    }
}

/// One end of a channel, with the messages it has received.
private struct End {
    var channel: ReliableChannel
    var received: [UInt8] = []

    init(window: UInt16 = 4, receiveWindow: UInt16 = 4) {
        channel = ReliableChannel(
            timing: .init(L2TPConfiguration()), peerWindow: window, receiveWindow: receiveWindow)
    }

    mutating func outputs() -> [[UInt8]] {
        var all: [[UInt8]] = []
        var writer = ByteWriter()
        while channel.nextTransmission(to: 1, into: &writer) {
            all.append(writer.bytes)
            writer.removeAll()
        }
        return all
    }

    @discardableResult
    mutating func take(_ bytes: [UInt8], now: Instant) -> ReliableChannel.Reception? {
        bytes.read { reader in
            guard let header = try? ControlHeader.parse(&reader) else { return nil }
            let reception = channel.receive(header, body: reader.readRest(), now: now)
            while let message = channel.takeMessage(now: now) { received += message.body }
            return reception
        }
    }

    mutating func send(_ byte: UInt8, now: Instant) { channel.send([byte], sessionID: 0, now: now) }
}

private func zlb(ns: UInt16 = 0, nr: UInt16) -> [UInt8] { control(tunnel: 1, ns: ns, nr: nr, []) }

private func numbers(_ messages: [[UInt8]]) -> [UInt16] { messages.map { UInt16($0[8]) << 8 | UInt16($0[9]) } }

@Suite struct ReliableChannelTests {
    @Test("the window opens with acknowledgements, and never beyond the peer's") func window() {
        var end = End(window: 3)
        for byte in 0..<20 as Range<UInt8> { end.send(byte, now: at(0)) }
        #expect(numbers(end.outputs()) == [0])
        end.take(zlb(nr: 1), now: at(0.1))
        #expect(numbers(end.outputs()) == [1, 2])
        end.take(zlb(nr: 3), now: at(0.2))
        #expect(numbers(end.outputs()) == [3, 4, 5])
        end.take(zlb(nr: 6), now: at(0.3))
        #expect(numbers(end.outputs()) == [6, 7, 8])
    }

    @Test("retransmissions come after 1, 2, 4, 8, 8 s, then the channel is dead") func backoff() throws {
        var end = End()
        end.send(1, now: at(0))
        _ = end.outputs()
        var times: [UInt64] = []
        while true {
            let deadline = try #require(end.channel.deadline)
            let timeout = end.channel.handleTimeout(now: deadline, lastHeard: at(0))
            times.append(deadline.nanoseconds / 1_000_000_000)
            if timeout == .expired { break }
            #expect(numbers(end.outputs()) == [0])
        }
        #expect(times == [1, 3, 7, 15, 23, 31])
    }

    @Test("after a timeout only one message goes, the rest with its acknowledgement") func slowStartAgain() {
        var end = End()
        end.send(0, now: at(0))
        end.take(zlb(nr: 1), now: at(0))
        for byte in 1...3 as ClosedRange<UInt8> { end.send(byte, now: at(0)) }
        _ = end.channel.handleTimeout(now: at(1), lastHeard: at(0))
        #expect(numbers(end.outputs()) == [1])
        end.take(zlb(nr: 3), now: at(1.1))
        #expect(numbers(end.outputs()) == [3])
    }

    @Test("an acknowledgement waits a little, and rides on a message if there is one") func delayedAcknowledgement() {
        var end = End()
        end.take(control(tunnel: 1, ns: 0, nr: 0, [5]), now: at(0))
        #expect(end.outputs().isEmpty && end.channel.deadline == at(0.05))
        end.send(9, now: at(0.01))
        let sent = end.outputs()
        #expect(sent == [control(tunnel: 1, ns: 0, nr: 1, [9])])
        _ = end.channel.handleTimeout(now: at(0.05), lastHeard: at(0))
        #expect(end.outputs().isEmpty)
        end.take(control(tunnel: 1, ns: 1, nr: 1, [6]), now: at(0.1))
        _ = end.channel.handleTimeout(now: at(0.15), lastHeard: at(0))
        #expect(end.outputs() == [zlb(ns: 1, nr: 2)])
        #expect(end.received == [5, 6])
    }

    @Test("a ZLB is never answered, whatever its numbers say") func zlbSilence() {
        var end = End()
        for ns in [0, 1, 5, 0xffff] as [UInt16] {
            #expect(end.take(zlb(ns: ns, nr: 0), now: at(0)) == .acknowledgement)
            #expect(end.take(zlb(ns: ns, nr: 9), now: at(0)) == .acknowledgement)
        }
        #expect(end.outputs().isEmpty && end.channel.deadline == nil)
    }

    @Test("a duplicate is acknowledged at once and not processed again") func duplicate() {
        var end = End()
        end.take(control(tunnel: 1, ns: 0, nr: 0, [5]), now: at(0))
        #expect(end.take(control(tunnel: 1, ns: 0, nr: 0, [5]), now: at(0)) == .duplicate)
        #expect(end.outputs() == [zlb(nr: 1)] && end.received == [5])
    }

    @Test("early messages are kept within the window, and dropped beyond it") func early() {
        var end = End()
        #expect(end.take(control(tunnel: 1, ns: 2, nr: 0, [2]), now: at(0)) == .heldBack)
        #expect(end.take(control(tunnel: 1, ns: 2, nr: 0, [9]), now: at(0)) == .duplicate)
        #expect(end.take(control(tunnel: 1, ns: 3, nr: 0, [3]), now: at(0)) == .heldBack)
        #expect(end.take(control(tunnel: 1, ns: 4, nr: 0, [4]), now: at(0)) == .outsideWindow)
        #expect(end.take(control(tunnel: 1, ns: 1, nr: 0, [1]), now: at(0)) == .heldBack)
        #expect(end.received.isEmpty)
        #expect(end.take(control(tunnel: 1, ns: 0, nr: 0, [0]), now: at(0)) == .accepted)
        #expect(end.received == [0, 1, 2, 3])
    }

    @Test("an Nr for what was never sent acknowledges nothing") func unsent() {
        var end = End()
        end.send(1, now: at(0))
        _ = end.outputs()
        #expect(end.channel.acknowledgesUnsent(SequenceNumber(2)) && !end.channel.acknowledgesUnsent(SequenceNumber(1)))
        end.take(zlb(nr: 2), now: at(0))
        #expect(end.channel.pendingCount == 1)
        end.take(zlb(nr: 0xffff), now: at(0))
        #expect(end.channel.pendingCount == 1)
        end.take(zlb(nr: 1), now: at(0))
        #expect(end.channel.isIdle && end.channel.deadline == nil)
    }

    @Test("a HELLO without answer from a living peer is withdrawn, from a silent one is not") func probe() {
        var end = End()
        end.channel.sendProbe([6], retransmissionsMaximum: 5, now: at(0))
        #expect(numbers(end.outputs()) == [0] && end.channel.isProbing)
        #expect(end.channel.handleTimeout(now: at(1), lastHeard: at(0)) == .nothing)
        #expect(numbers(end.outputs()) == [0])
        #expect(end.channel.handleTimeout(now: at(3), lastHeard: at(2)) == .nothing)
        #expect(end.outputs().isEmpty && end.channel.isIdle && end.channel.deadline == nil)
        end.channel.sendProbe([6], retransmissionsMaximum: 2, now: at(60))
        #expect(numbers(end.outputs()) == [0])
        #expect(end.channel.handleTimeout(now: at(61), lastHeard: at(2)) == .nothing)
        #expect(end.channel.handleTimeout(now: at(63), lastHeard: at(2)) == .nothing)
        #expect(end.channel.handleTimeout(now: at(67), lastHeard: at(2)) == .expired)
    }

    @Test(
        "after a withdrawn HELLO a CDN reaches a peer that counted it, and one that did not", arguments: [false, true])
    func afterProbe(counted: Bool) {
        var end = End()
        var peer = End()
        end.channel.sendProbe([6], retransmissionsMaximum: 5, now: at(0))
        for message in end.outputs() where counted { peer.take(message, now: at(0)) }
        _ = end.channel.handleTimeout(now: at(1), lastHeard: at(0.5))
        end.channel.send([14], sessionID: 9, isIdempotent: true, now: at(10))
        for message in end.outputs() { peer.take(message, now: at(10)) }
        #expect(peer.received.contains(14))
        for message in peer.outputs() { end.take(message, now: at(10)) }
        _ = peer.channel.handleTimeout(now: at(10.05), lastHeard: at(10))
        for message in peer.outputs() { end.take(message, now: at(10.05)) }
        #expect(end.channel.isIdle)
    }

    @Test("a HELLO on its way does not hold a CDN back for longer than its timer", arguments: [false, true])
    func overtakenProbe(alive: Bool) {
        var end = End()
        var peer = End()
        end.channel.sendProbe([6], retransmissionsMaximum: 5, now: at(0))
        _ = end.outputs()
        end.channel.send([14], sessionID: 9, isIdempotent: true, now: at(0.5))
        _ = end.outputs()
        #expect(end.channel.handleTimeout(now: at(1), lastHeard: at(alive ? 0.7 : 0)) == .nothing)
        for message in end.outputs() { peer.take(message, now: at(1)) }
        #expect(peer.received.contains(14) && !peer.received.contains(6))
    }

    @Test("numbers wrap without harm") func wraps() {
        var left = End(window: 16, receiveWindow: 16)
        var right = End(window: 16, receiveWindow: 16)
        for count in 0..<70_000 {
            left.send(UInt8(truncatingIfNeeded: count), now: at(0))
            for message in left.outputs() { right.take(message, now: at(0)) }
            right.channel.acknowledgeAtOnce()
            for message in right.outputs() { left.take(message, now: at(0)) }
        }
        #expect(right.received.count == 70_000 && left.channel.isIdle)
    }

    @Test(
        "everything arrives once and in order through loss, reordering and duplication",
        arguments: 0..<20 as Range<UInt64>)
    func swarm(seed: UInt64) {
        var generator = SeededGenerator(seed)
        let (loss, repeats) = (seed % 4 * 8, seed % 3 * 15)
        var ends = [
            End(window: UInt16(1 + seed % 8), receiveWindow: 8), End(window: 8, receiveWindow: UInt16(1 + seed % 8)),
        ]
        var network: [(arrival: Instant, to: Int, bytes: [UInt8])] = []
        var now = at(0)
        let total = 60
        for byte in 0..<UInt8(total) { for side in 0..<2 { ends[side].send(byte, now: now) } }
        for _ in 0..<20_000 where ends.contains(where: { $0.received.count < total || !$0.channel.isIdle }) {
            for side in 0..<2 {
                for message in ends[side].outputs() {
                    for _ in 0..<(generator.chance(repeats) ? 2 : 1) where !generator.chance(loss) {
                        let delay = Duration.milliseconds(Int64.random(in: 1...300, using: &generator))
                        network.append((now + delay, 1 - side, message))
                    }
                }
            }
            let arrival = network.map(\.arrival).min()
            guard let next = earliest(arrival, earliest(ends[0].channel.deadline, ends[1].channel.deadline)) else {
                break
            }
            now = max(now, next)
            for message in network.filter({ $0.arrival <= now }) { ends[message.to].take(message.bytes, now: now) }
            network.removeAll { $0.arrival <= now }
            for side in 0..<2 { #expect(ends[side].channel.handleTimeout(now: now, lastHeard: now) == .nothing) }
        }
        for side in 0..<2 {
            #expect(ends[side].received == Array(0..<UInt8(total)), "seed \(seed)")
            #expect(ends[side].channel.isIdle, "seed \(seed)")
        }
    }
}
