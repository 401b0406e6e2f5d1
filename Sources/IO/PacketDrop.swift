/// Why a packet was dropped between us and the kernel.
public enum PacketDrop: Int, CaseIterable, Hashable, Sendable {
    /// It came in larger than a slot of the batch.
    case truncated
    /// It came in with more others of its flow than a batch has room for.
    case tooManySegments
    /// It came in with an IP header that does not hold together.
    case malformedHeader
    /// It did not go out: the socket's or the interface's queue was full.
    case queueFull
    /// It did not go out: larger than the system sends.
    case tooLarge
    /// It did not go out: no route to where it should go.
    case unreachable
    /// It did not go out: a rule of this system forbids it.
    case forbidden
    /// It did not go out, for a reason that has no name of its own here.
    case notSent
}

/// How many packets were dropped, by reason.
public struct PacketDropCounters: Sendable {
    /// How many were dropped for all reasons together.
    public private(set) var total: UInt64 = 0
    private var counts = InlineArray<8, UInt64>(repeating: 0)

    /// No drops yet.
    public init() {}

    /// How many packets were dropped for `reason`.
    public subscript(reason: PacketDrop) -> UInt64 { counts[reason.rawValue] }

    /// Adds what another socket or queue dropped.
    public mutating func add(_ other: PacketDropCounters) {
        for index in counts.indices { counts[index] &+= other.counts[index] }
        total &+= other.total
    }

    mutating func count(_ reason: PacketDrop, _ packets: Int = 1) {
        counts[reason.rawValue] &+= UInt64(truncatingIfNeeded: packets)
        total &+= UInt64(truncatingIfNeeded: packets)
    }
}
