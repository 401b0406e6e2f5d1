/// Counts by reason, in a fixed piece of memory: one number for each case of an enum whose raw values are 0, 1, 2, ...
public struct Counters<Reason: RawRepresentable & CaseIterable & Sendable>: Sendable where Reason.RawValue == UInt8 {
    /// The most reasons that one enum may have.
    public static var capacity: Int { 64 }

    /// How many were counted for all reasons together, by which one sees at a glance whether there are more.
    @inlinable public var total: UInt64 { sum }
    @usableFromInline var sum: UInt64 = 0

    @usableFromInline var values = InlineArray<64, UInt64>(repeating: 0)

    /// All zero.
    @inlinable public init() {}

    /// Counts one more. A reason beyond the capacity is counted with the last.
    @inlinable public mutating func count(_ reason: Reason) { add(1, to: reason) }

    /// Counts several.
    @inlinable public mutating func add(_ count: UInt64, to reason: Reason) {
        values[min(Int(reason.rawValue), 63)] &+= count
        sum &+= count
    }

    /// How many were counted for a reason.
    @inlinable public subscript(reason: Reason) -> UInt64 { values[min(Int(reason.rawValue), 63)] }

    /// Each reason that was counted at all, with its number.
    public var nonzero: [(reason: Reason, count: UInt64)] {
        Reason.allCases.map { ($0, self[$0]) }.filter { $0.1 > 0 }
    }
}

/// Counts by reason where there are many counters, and most count nothing: a reason takes memory once it was counted.
public struct SparseCounters<Reason: Equatable & Sendable>: Sendable {
    /// Each reason that was counted at all, with its number.
    public private(set) var nonzero: [(reason: Reason, count: UInt64)] = []

    /// All zero.
    public init() {}

    /// Counts one more.
    public mutating func count(_ reason: Reason) {
        guard let position = nonzero.firstIndex(where: { $0.reason == reason }) else {
            return nonzero.append((reason, 1))
        }
        nonzero[position].count &+= 1
    }

    /// How many were counted for a reason.
    public subscript(reason: Reason) -> UInt64 { nonzero.first { $0.reason == reason }?.count ?? 0 }
}
