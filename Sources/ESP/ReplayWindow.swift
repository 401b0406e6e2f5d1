/// The anti-replay window of an inbound SA (RFC 4303 section 3.4.3, appendix A; RFC 6479 for the idea of whole words).
///
/// It is asked before authentication, which rejects a replay cheaply, and marked only after it, so that a forged packet
/// can never move the window.
public struct ReplayWindow: Sendable {
    /// How many sequence numbers up to the highest are remembered.
    public static let size: UInt32 = 64

    /// The size where nothing else is asked for.
    public static let defaultSize = 64

    /// The highest sequence number that was authenticated.
    public private(set) var highest: UInt32 = 0
    private var seen: UInt64 = 0

    /// A window in which nothing was received.
    public init() {}

    /// What the window says of a sequence number.
    public enum Verdict: Sendable {
        /// It was not received yet.
        case fresh
        /// It was received already, or is 0, which no sender uses (RFC 4303 section 2.2).
        case replayed
        /// It lies before the window.
        case tooOld
    }

    /// Whether a packet with this sequence number may be authentic and new.
    public func check(_ sequence: UInt32) -> Verdict {
        if sequence > highest { return .fresh }
        if sequence == 0 { return .replayed }
        let distance = highest - sequence
        if distance >= Self.size { return .tooOld }
        return seen & (1 << UInt64(distance)) == 0 ? .fresh : .replayed
    }

    /// Remembers a sequence number whose packet was authenticated. True when it is the highest so far.
    public mutating func mark(_ sequence: UInt32) -> Bool {
        if sequence > highest {
            let distance = sequence - highest
            seen = distance >= Self.size ? 1 : seen << UInt64(distance) | 1
            highest = sequence
            return true
        }
        let distance = highest - sequence
        if distance < Self.size { seen |= 1 << UInt64(distance) }
        return false
    }
}
