/// The anti-replay window of an inbound SA (RFC 4303 section 3.4.3, appendix A; RFC 6479 for the ring of words).
///
/// It is asked before authentication, which rejects a replay cheaply, and marked only after it, so that a forged packet
/// can never move the window. Sequence numbers have 64 bits in it; where only 32 are used, the others are zero.
public struct ReplayWindow: ~Copyable {
    /// How large it may be, in packets.
    public static let sizes = 32...4096
    /// The size where nothing else is asked for: what a gigabit reorders within ten milliseconds, for 128 bytes.
    public static let defaultSize = 1024

    /// How many sequence numbers up to the highest are remembered; 0 for none, by which everything is fresh.
    public let size: UInt64
    /// The highest sequence number that was authenticated.
    public private(set) var highest: UInt64 = 0
    /// One bit for each sequence number in turn; a power of two, so that it never is smaller than the window.
    private let words: UnsafeMutablePointer<UInt64>
    private let wordCount: Int

    /// A window of `size` packets, brought into ``sizes``, in which nothing was received.
    public init(size: Int = Self.defaultSize) {
        let size = min(max(size, Self.sizes.lowerBound), Self.sizes.upperBound)
        var wordCount = 1
        while wordCount * UInt64.bitWidth < size { wordCount *= 2 }
        self.init(size: UInt64(size), wordCount: wordCount)
    }

    /// No window: without integrity nothing that it knows could be believed (RFC 4303 section 3.4.3).
    public static func none() -> ReplayWindow { ReplayWindow(size: 0, wordCount: 0) }

    private init(size: UInt64, wordCount: Int) {
        (self.size, self.wordCount) = (size, wordCount)
        words = wordCount > 0 ? .allocate(capacity: wordCount) : Self.noWords
        words.initialize(repeating: 0, count: wordCount)
    }

    deinit { if wordCount > 0 { words.deallocate() } }

    /// Where windows of no size point to. Nothing is read or written there.
    private nonisolated(unsafe) static let noWords = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)

    /// What the window says of a sequence number.
    public enum Verdict: Sendable {
        /// It was not received yet.
        case fresh
        /// It was received already, or is 0, which no sender uses (RFC 4303 section 2.2).
        case replayed
        /// It lies before the window.
        case tooOld
    }

    /// The whole extended sequence number of which a packet bears the low half: of the two or three that it may be, the one
    /// in the window or nearest ahead of it (RFC 4303 appendix A2.2).
    public func extended(_ low: UInt32) -> UInt64 {
        let high = highest >> 32
        let candidate = high << 32 | UInt64(low)
        if highest & 0xffff_ffff >= size - 1 {
            let isBeforeWindow = candidate < highest - (size - 1)
            return isBeforeWindow && high < UInt64(UInt32.max) ? candidate + 1 << 32 : candidate
        }
        // The window reaches back into the numbers before the last wrap, if there was one.
        let bottom = UInt32(truncatingIfNeeded: highest &- (size - 1))
        return low >= bottom && high > 0 ? candidate - 1 << 32 : candidate
    }

    /// Whether a packet with this sequence number may be authentic and new.
    @inline(__always)
    public func check(_ sequence: UInt64) -> Verdict {
        if size == 0 || sequence > highest { return .fresh }
        if sequence == 0 { return .replayed }
        if highest - sequence >= size { return .tooOld }
        return words[word(sequence)] & bit(sequence) == 0 ? .fresh : .replayed
    }

    /// Remembers a sequence number whose packet was authenticated. True when it is the highest so far.
    @inline(__always)
    public mutating func mark(_ sequence: UInt64) -> Bool {
        guard size > 0 else { return false }
        guard sequence > highest else {
            if highest - sequence < size { words[word(sequence)] |= bit(sequence) }
            return false
        }
        if sequence - highest > 1 { forget(from: highest + 1, to: sequence) }
        words[word(sequence)] |= bit(sequence)
        highest = sequence
        return true
    }

    /// Takes the bits of numbers that were jumped over from those that had them a ring ago, whole words at once.
    private func forget(from first: UInt64, to end: UInt64) {
        if end - first >= UInt64(wordCount * UInt64.bitWidth) {
            words.update(repeating: 0, count: wordCount)
            return
        }
        var position = first
        while position < end {
            let offset = position & 63
            let count = min(64 - offset, end - position)
            let mask: UInt64 = count == 64 ? .max : (1 << count - 1) << offset
            words[word(position)] &= ~mask
            position += count
        }
    }

    @inline(__always)
    private func word(_ sequence: UInt64) -> Int { Int(truncatingIfNeeded: sequence >> 6) & (wordCount - 1) }

    @inline(__always)
    private func bit(_ sequence: UInt64) -> UInt64 { 1 << (sequence & 63) }
}
