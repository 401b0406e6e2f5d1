import ESP
import IO
import Synchronization
import Wire

/// A worker's counters as the control loop reads them. The worker publishes them after a round of batches; nothing waits.
final class WorkerStatistics: Sendable {
    private static let names: [String] =
        InboundDrop.allCases.map { "esp.\($0)" } + PacketPathDrop.allCases.map { "path.\($0)" }
        + ["udp", "raw", "tun"].flatMap { place in PacketDrop.allCases.map { "\(place).\($0)" } }

    // Only atomic values stand there, which any thread may read.
    private nonisolated(unsafe) let values: UnsafeMutablePointer<Atomic<UInt64>>

    init() {
        values = .allocate(capacity: Self.names.count)
        for position in Self.names.indices { (values + position).initialize(to: Atomic(0)) }
    }

    deinit {
        values.deinitialize(count: Self.names.count)
        values.deallocate()
    }

    /// Every counter by its name.
    var counts: [(name: String, count: UInt64)] {
        Self.names.indices.map { (Self.names[$0], values[$0].load(ordering: .relaxed)) }
    }

    /// To be called by the worker alone.
    func publish(
        esp: Counters<InboundDrop>, path: Counters<PacketPathDrop>, udp: PacketDropCounters, raw: PacketDropCounters,
        tun: PacketDropCounters
    ) {
        var position = 0
        for reason in InboundDrop.allCases { store(esp[reason], &position) }
        for reason in PacketPathDrop.allCases { store(path[reason], &position) }
        for counters in [udp, raw, tun] { for reason in PacketDrop.allCases { store(counters[reason], &position) } }
    }

    private func store(_ value: UInt64, _ position: inout Int) {
        values[position].store(value, ordering: .relaxed)
        position += 1
    }
}
