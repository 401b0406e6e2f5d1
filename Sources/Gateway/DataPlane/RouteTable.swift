import Synchronization
import Wire

/// Which session has which inner address: an array over the clients' network, so that a look-up is one load. The control loop
/// writes, all workers read.
final class RouteTable: Sendable {
    /// A session's place.
    struct Entry: Equatable {
        let worker: Int
        let slot: Int
    }

    private static let slotBits: UInt32 = 26
    private let first: UInt32
    private let count: Int
    // Only atomic values stand there, which any thread may read and write.
    private nonisolated(unsafe) let entries: UnsafeMutablePointer<Atomic<UInt32>>

    /// No sessions yet for the addresses of `network`.
    init(_ network: IPv4Network) {
        first = network.address.value
        count = Int(network.last.value - network.address.value) + 1
        entries = .allocate(capacity: count)
        for offset in 0..<count { (entries + offset).initialize(to: Atomic(0)) }
    }

    deinit {
        entries.deinitialize(count: count)
        entries.deallocate()
    }

    /// The session with this inner address.
    @inline(__always)
    func lookUp(_ address: IPv4Address) -> Entry? {
        let offset = Int(address.value) - Int(first)
        guard offset >= 0, offset < count else { return nil }
        let value = entries[offset].load(ordering: .acquiring)
        guard value != 0 else { return nil }
        let entry = value - 1
        return Entry(worker: Int(entry >> Self.slotBits), slot: Int(entry & (1 << Self.slotBits - 1)))
    }

    /// Gives an inner address to a session, or takes it away.
    func set(_ address: IPv4Address, to entry: Entry?) {
        let offset = Int(address.value) - Int(first)
        guard offset >= 0, offset < count else { return }
        let value = entry.map { (UInt32($0.worker) << Self.slotBits | UInt32($0.slot)) + 1 } ?? 0
        entries[offset].store(value, ordering: .releasing)
    }
}
