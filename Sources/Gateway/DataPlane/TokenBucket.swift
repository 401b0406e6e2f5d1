import Wire

/// Lets packets through at a rate. What is not used is saved up to the bucket's depth, so that a burst passes whole; what finds
/// too little in it does not wait but is dropped, for a queue would be latency of the sender's own making.
///
/// Tokens are billionths of a byte: what a nanosecond brings is then a whole number at every rate, nothing is divided, and
/// nothing is lost between two looks at the clock.
struct TokenBucket: Sendable, Equatable {
    /// How long a full bucket takes to fill. TCP halves its rate at a loss, and needs what its rate moves in a round trip to
    /// come near the limit: so much that no usual way is longer, and little enough that nobody notices the burst.
    static let depthMilliseconds: UInt64 = 50
    /// A bucket holds at least what the system leaves whole for us (`TUNQueue`): else all of it but its beginning would be lost
    /// at a low rate, each time.
    static let depthBytesMinimum: UInt64 = 64 << 10
    private static let tokensPerByte: UInt64 = 1_000_000_000

    /// How fast it fills.
    let rate: DataRate
    private let depth: UInt64
    private var tokens: UInt64
    private var filledAt = Instant.zero

    /// A full bucket.
    init(_ rate: DataRate) {
        self.rate = rate
        let bytes = max(rate.bytesPerSecond * Self.depthMilliseconds / 1000, Self.depthBytesMinimum)
        depth = bytes * Self.tokensPerByte
        tokens = depth
    }

    /// The most bytes that pass at once.
    var depthBytes: UInt64 { depth / Self.tokensPerByte }

    /// Takes what a packet of `byteCount` bytes costs. False: that is more than there is, and nothing was taken.
    @inline(__always)
    mutating func take(_ byteCount: Int, now: Instant) -> Bool {
        // The packets of a batch have one time.
        if now > filledAt { fill(now: now) }
        let (cost, isTooLarge) = UInt64(truncatingIfNeeded: byteCount).multipliedReportingOverflow(
            by: Self.tokensPerByte)
        guard !isTooLarge, cost <= tokens else { return false }
        tokens &-= cost
        return true
    }

    @inline(never)
    private mutating func fill(now: Instant) {
        let (added, isTooLarge) = (now.nanoseconds &- filledAt.nanoseconds)
            .multipliedReportingOverflow(by: rate.bytesPerSecond)
        tokens = isTooLarge || added >= depth &- tokens ? depth : tokens &+ added
        filledAt = now
    }
}
