/// How many control messages may be on their way at once: slow start and congestion avoidance (RFC 2661, appendix A).
struct CongestionWindow: Hashable, Sendable {
    /// Messages that may be unacknowledged now: CWND.
    private(set) var size = 1
    /// Where slow start ends and congestion avoidance begins: SSTHRESH.
    private(set) var threshold: Int
    /// The peer's receive window, which CWND never exceeds.
    let limit: Int
    private var acknowledgedInRound = 0

    /// A window for a peer that takes `limit` messages at once.
    init(limit: Int) {
        self.limit = max(limit, 1)
        threshold = self.limit
    }

    /// One message was acknowledged: one more may be sent in slow start, 1/CWND more in congestion avoidance.
    mutating func acknowledged() {
        guard size < limit else { return }
        if size < threshold {
            size += 1
            return
        }
        acknowledgedInRound += 1
        if acknowledgedInRound >= size {
            acknowledgedInRound = 0
            size += 1
        }
    }

    /// A message had to be sent again: half the window becomes the threshold, and slow start begins anew.
    mutating func timedOut() {
        threshold = max(size / 2, 1)
        size = 1
        acknowledgedInRound = 0
    }

    /// Opens the window for `count` messages at least. For the last messages of a tunnel, which must not wait.
    mutating func open(to count: Int) { size = min(max(size, count), limit) }
}
