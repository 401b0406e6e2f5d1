/// Ns and Nr: a counter of 16 bits that wraps.
///
/// Deliberately not `Comparable`: with wrapping there is no order, only "before" within half the space.
struct SequenceNumber: Hashable, Sendable {
    var value: UInt16

    init(_ value: UInt16) { self.value = value }

    static let zero = SequenceNumber(0)

    /// The number `count` further on.
    func advanced(by count: Int) -> SequenceNumber { SequenceNumber(value &+ UInt16(truncatingIfNeeded: count)) }

    /// How many steps lead from `earlier` to this number, 0 to 65,535.
    func distance(from earlier: SequenceNumber) -> Int { Int(value &- earlier.value) }

    /// Whether this number lies in the 32,768 values before `other` (RFC 2661, 5.8: a number is not after the last
    /// received one if it is that one or one of the preceding 32,767).
    func isBefore(_ other: SequenceNumber) -> Bool { Int16(bitPattern: value &- other.value) < 0 }
}
