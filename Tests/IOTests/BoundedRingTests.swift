import Glibc
import IO
import Synchronization
import Testing
import Wire

@Suite("The ring between two workers")
struct BoundedRingTests {
    @Test("packets come out as they went in, with path and tag; a full ring and a large packet are refused")
    func inAndOut() {
        let ring = BoundedRing(minimumCapacity: 3, packetSizeMaximum: 10)
        #expect(ring.capacity == 4)
        let path = OuterPath(
            remote: Endpoint(address: .v6(IPv6Address(high: 1, low: 2)), port: 3), local: .v4(loopback))
        let packets = batch([[1], [], [3, 3], [UInt8](repeating: 4, count: 10), [5]], along: path)
        #expect(ring.nextTag == nil)
        packets[2].outer.trafficClass = 0xb9
        packets[2].outer.headerLength = 20
        for index in 0..<4 { #expect(ring.push(packets[index], tag: UInt64(index))) }
        #expect(!ring.push(packets[4]))
        var popped = PacketBatch(capacity: 3, packetSizeMaximum: 10)
        for index in 0..<3 { #expect(ring.pop(into: &popped) == UInt64(index)) }
        // The batch is full; the last packet stays in the ring.
        #expect(ring.pop(into: &popped) == nil)
        #expect(!ring.isEmpty && ring.nextTag == 3)
        #expect(popped.contents == Array(packets.contents[..<3]))
        #expect(popped[2].path == path)
        #expect(popped[2].outer.trafficClass == 0xb9 && popped[2].outer.headerLength == 0)
        popped.reset()
        #expect(ring.pop(into: &popped) == 3)
        #expect(ring.isEmpty && ring.pop(into: &popped) == nil)
        let large = batch([[UInt8](repeating: 0, count: 11)], along: path)
        #expect(!ring.push(large[0]))
    }

    @Test("two threads: every packet comes once, whole and in order")
    func twoThreads() throws {
        let total: UInt64 = 20_000
        let ring = BoundedRing(minimumCapacity: 64, packetSizeMaximum: 64)
        let producer = try WorkerThread(name: "producer") {
            let packets = batch([[UInt8](repeating: 0, count: 64)], along: .none)
            var next: UInt64 = 0
            while next < total {
                var packet = packets[0]
                packet.count = 8 + Int(next % 57)
                for offset in 0..<packet.count { packet.store(UInt8(truncatingIfNeeded: next), at: offset) }
                if ring.push(packet, tag: next) { next += 1 } else { sched_yield() }
            }
        }
        var popped = PacketBatch(capacity: 16, packetSizeMaximum: 64)
        var (expected, wrong) = (UInt64(0), 0)
        while expected < total {
            guard let tag = ring.pop(into: &popped) else {
                popped.reset()
                sched_yield()
                continue
            }
            let packet = popped[popped.count - 1]
            let value = UInt8(truncatingIfNeeded: expected)
            let whole = (0..<packet.count).allSatisfy { packet.byte(at: $0) == value }
            if tag != expected || packet.count != 8 + Int(expected % 57) || !whole { wrong += 1 }
            expected += 1
        }
        producer.join()
        #expect(wrong == 0)
        #expect(ring.isEmpty)
    }
}
