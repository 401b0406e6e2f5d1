/// A point on the monotonic clock, in nanoseconds from an arbitrary start. The protocol rooms get it as an argument.
public struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since the clock's start.
    public var nanoseconds: UInt64

    /// The point `nanoseconds` after the clock's start.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The clock's start.
    public static let zero = Instant(nanoseconds: 0)

    /// Whether `left` comes before `right`.
    @inlinable public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The point `duration` later; a point that the clock cannot hold becomes its last one, a negative one its first.
    @inlinable public static func + (instant: Instant, duration: Duration) -> Instant {
        let (seconds, attoseconds) = duration.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .zero : Instant(nanoseconds: .max) }
        let (total, overflowed) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        guard !overflowed else { return Instant(nanoseconds: .max) }
        if total < 0 {
            let magnitude = total.magnitude
            return magnitude > instant.nanoseconds ? .zero : Instant(nanoseconds: instant.nanoseconds - magnitude)
        }
        let (sum, carried) = instant.nanoseconds.addingReportingOverflow(UInt64(total))
        return Instant(nanoseconds: carried ? .max : sum)
    }

    /// Moves the point by `duration`.
    @inlinable public static func += (instant: inout Instant, duration: Duration) { instant = instant + duration }

    /// The time from `earlier` to this point, zero when `earlier` is in fact later.
    @inlinable public func since(_ earlier: Instant) -> Duration {
        guard nanoseconds > earlier.nanoseconds else { return .zero }
        return .nanoseconds(Int64(clamping: nanoseconds - earlier.nanoseconds))
    }
}

/// The earlier of two deadlines, where `nil` means that there is none.
@inlinable public func earliest(_ left: Instant?, _ right: Instant?) -> Instant? {
    guard let left else { return right }
    guard let right else { return left }
    return left < right ? left : right
}
