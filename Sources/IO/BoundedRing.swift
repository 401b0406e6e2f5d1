import Synchronization
import Wire

/// Hands packets from one worker to another: exactly one thread pushes, exactly one pops, neither waits. Bytes are copied
/// in and out of slots that are made once.
public final class BoundedRing: @unchecked Sendable {
    // Sendable by protocol: a slot belongs to the producer until `tail` passes it, then to the consumer until `head` does.

    /// How many packets it holds: a power of two.
    public let capacity: Int
    /// The most bytes that a packet may have.
    public let packetSizeMaximum: Int

    private let memory: UnsafeMutableRawPointer
    private let slotSize: Int

    // Producer and consumer write different cache lines.
    private let tail = Atomic<Int>(0)
    private let paddingBehindTail = InlineArray<15, UInt64>(repeating: 0)
    private let head = Atomic<Int>(0)
    private let paddingBehindHead = InlineArray<15, UInt64>(repeating: 0)

    /// What stands at the beginning of a slot.
    private struct Header {
        var count: Int
        var tag: UInt64
        var path: OuterPath
        var outer: OuterFields
    }

    /// A ring for at least `minimumCapacity` packets of at most `packetSizeMaximum` bytes.
    public init(minimumCapacity: Int, packetSizeMaximum: Int) {
        precondition((1...1 << 20).contains(minimumCapacity) && packetSizeMaximum >= 0)
        var capacity = 1
        while capacity < minimumCapacity { capacity *= 2 }
        self.capacity = capacity
        self.packetSizeMaximum = packetSizeMaximum
        slotSize = (MemoryLayout<Header>.stride + packetSizeMaximum + 63) & ~63
        memory = .allocate(byteCount: slotSize * capacity, alignment: 64)
    }

    deinit { memory.deallocate() }

    /// Copies `packet` and `tag`, whose meaning is the callers', into the ring. False if the ring is full or the packet
    /// too large for it: a drop that the caller counts.
    public func push(_ packet: Packet, tag: UInt64 = 0) -> Bool {
        guard packet.count >= 0, packet.count <= packetSizeMaximum else { return false }
        let position = tail.load(ordering: .relaxed)
        guard position &- head.load(ordering: .acquiring) < capacity else { return false }
        let slot = memory + (position & (capacity - 1)) * slotSize
        slot.initializeMemory(
            as: Header.self, to: Header(count: packet.count, tag: tag, path: packet.path, outer: packet.outer))
        (slot + MemoryLayout<Header>.stride).copyMemory(from: packet.start, byteCount: packet.count)
        tail.store(position &+ 1, ordering: .releasing)
        return true
    }

    /// Copies the oldest packet into the next free slot of `batch` and returns its tag; nil if the ring is empty or the
    /// batch full. A packet that the batch's slots cannot hold is not expected: rings and batches are made for one size.
    public func pop(into batch: inout PacketBatch) -> UInt64? {
        guard batch.count < batch.capacity else { return nil }
        let position = head.load(ordering: .relaxed)
        guard position != tail.load(ordering: .acquiring) else { return nil }
        let slot = memory + (position & (capacity - 1)) * slotSize
        let header = slot.load(as: Header.self)
        precondition(header.count <= batch.packetSizeMaximum)
        batch[batch.count].start.copyMemory(from: slot + MemoryLayout<Header>.stride, byteCount: header.count)
        batch[batch.count].count = header.count
        batch[batch.count].path = header.path
        batch[batch.count].outer = header.outer
        // What stood in front of it was not copied.
        batch[batch.count].outer.headerLength = 0
        batch.count += 1
        head.store(position &+ 1, ordering: .releasing)
        return header.tag
    }

    /// The tag of the packet that the next ``pop(into:)`` returns; nil if the ring is empty. To be asked by the consumer.
    public var nextTag: UInt64? {
        let position = head.load(ordering: .relaxed)
        guard position != tail.load(ordering: .acquiring) else { return nil }
        return (memory + (position & (capacity - 1)) * slotSize).load(as: Header.self).tag
    }

    /// Whether there is nothing to pop. To be asked by the consumer.
    public var isEmpty: Bool { head.load(ordering: .relaxed) == tail.load(ordering: .acquiring) }
}
