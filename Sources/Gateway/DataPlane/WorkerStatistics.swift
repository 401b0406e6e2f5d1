import ESP
import IO
import Synchronization
import Wire

/// A worker's counters as the control loop reads them. The worker publishes them after a round of batches; nothing waits.
final class WorkerStatistics: Sendable {
    private static let names: [String] =
        InboundDrop.allCases.map { "esp.\($0)" } + OutboundDrop.allCases.map { "esp.outbound.\($0)" }
        + PacketPathDrop.allCases.map { "path.\($0)" }
        + ["udp4500", "udp500", "raw", "tun"].flatMap { place in PacketDrop.allCases.map { "\(place).\($0)" } }

    // Only atomic values stand there, which any thread may read.
    private nonisolated(unsafe) let values: UnsafeMutablePointer<Atomic<UInt64>>
    private let activeAssociations = Atomic<UInt64>(0)
    private let keyAdditions = Atomic<UInt64>(0)
    private let handedOver = Atomic<UInt64>(0)
    private let confidentialSent = Atomic<UInt64>(0)
    private let confidentialReceived = Atomic<UInt64>(0)
    private let authenticatedSent = Atomic<UInt64>(0)
    private let authenticatedReceived = Atomic<UInt64>(0)

    init() {
        values = .allocate(capacity: Self.names.count)
        for position in Self.names.indices { (values + position).initialize(to: Atomic(0)) }
    }

    deinit {
        values.deinitialize(count: Self.names.count)
        values.deallocate()
    }

    /// What was dropped how often, every reason by its name.
    var drops: [(name: String, count: UInt64)] {
        Self.names.indices.map { (Self.names[$0], values[$0].load(ordering: .relaxed)) }
    }

    /// How many packets the worker gave to others, whose they are.
    var handedOverCount: UInt64 { handedOver.load(ordering: .relaxed) }

    /// Adds this worker's share to what all of them did.
    func add(to statistics: inout IPsecStatistics) {
        statistics.activeAssociations &+= activeAssociations.load(ordering: .relaxed)
        statistics.keyAdditions &+= keyAdditions.load(ordering: .relaxed)
        statistics.confidentialBytesSent &+= confidentialSent.load(ordering: .relaxed)
        statistics.confidentialBytesReceived &+= confidentialReceived.load(ordering: .relaxed)
        statistics.authenticatedBytesSent &+= authenticatedSent.load(ordering: .relaxed)
        statistics.authenticatedBytesReceived &+= authenticatedReceived.load(ordering: .relaxed)
        for (position, reason) in InboundDrop.allCases.enumerated() {
            let count = values[position].load(ordering: .relaxed)
            switch reason {
            case .unknownIndex, .volumeExhausted: statistics.badSPIPackets &+= count
            case .badPadding, .badCompression: statistics.packetsNotDecrypted &+= count
            case .notAuthentic: statistics.packetsNotAuthenticated &+= count
            case .replayed, .tooOld: statistics.packetsReplayed &+= count
            case .badLength, .wrongProtection, .dummy: break
            }
        }
    }

    /// What `path` dropped, for others to read. To be called by the worker alone.
    func publishDrops(_ path: borrowing PacketPath) {
        var position = 0
        for reason in InboundDrop.allCases { store(path.inboundTable.drops[reason], &position) }
        for reason in OutboundDrop.allCases { store(path.notSealed[reason], &position) }
        for reason in PacketPathDrop.allCases { store(path.drops[reason], &position) }
    }

    /// What else `path` counts.
    func publish(_ path: borrowing PacketPath) {
        activeAssociations.store(
            UInt64(path.inboundTable.count) &+ path.outboundCount, ordering: .relaxed)
        handedOver.store(path.handedOver, ordering: .relaxed)
        keyAdditions.store(path.keyAdditions, ordering: .relaxed)
        confidentialSent.store(path.sent.confidentialBytes, ordering: .relaxed)
        confidentialReceived.store(path.inboundTable.total.confidentialBytes, ordering: .relaxed)
        authenticatedSent.store(path.sent.authenticatedBytes, ordering: .relaxed)
        authenticatedReceived.store(path.inboundTable.total.authenticatedBytes, ordering: .relaxed)
    }

    /// What the worker's sockets and its queue dropped.
    func publishDrops(
        udp: PacketDropCounters, ike: PacketDropCounters, raw: PacketDropCounters, tun: PacketDropCounters
    ) {
        var position = Self.names.count - 4 * PacketDrop.allCases.count
        for counters in [udp, ike, raw, tun] {
            for reason in PacketDrop.allCases { store(counters[reason], &position) }
        }
    }

    private func store(_ value: UInt64, _ position: inout Int) {
        values[position].store(value, ordering: .relaxed)
        position += 1
    }
}
