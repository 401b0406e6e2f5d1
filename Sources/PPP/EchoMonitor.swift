import Wire

/// Whether the peer is still there: asks after a silence, and gives up after some answers that did not come.
struct EchoMonitor: Sendable {
    /// What to do when the time has come.
    enum Action: Equatable {
        /// Send an Echo-Request.
        case ask
        /// The peer is gone.
        case giveUp
    }

    /// When something may be due; life in between moves it only when it comes.
    private(set) var deadline: Instant?

    private let terms: Shared<PPPConfiguration>
    private var lastLife = Instant.zero
    /// The identifiers of the Echo-Requests since the last sign of life: at most `missesMaximum`.
    private var unanswered: [UInt8] = []

    init(_ terms: Shared<PPPConfiguration>) { self.terms = terms }

    private var interval: Duration { terms.value.echoInterval }

    mutating func start(now: Instant) {
        lastLife = now
        unanswered = []
        deadline = now + interval
    }

    mutating func stop() {
        deadline = nil
        unanswered = []
    }

    mutating func noteLife(now: Instant) {
        lastLife = max(lastLife, now)
        unanswered = []
    }

    mutating func asked(_ identifier: UInt8) { unanswered.append(identifier) }

    /// Whether an Echo-Reply answers a request that is open.
    func expects(_ identifier: UInt8) -> Bool { unanswered.contains(identifier) }

    mutating func handleTimeout(now: Instant) -> Action? {
        guard let due = deadline, due <= now else { return nil }
        if unanswered.isEmpty, now < lastLife + interval {
            deadline = lastLife + interval
            return nil
        }
        guard unanswered.count < terms.value.echoMissesMaximum else { return .giveUp }
        deadline = now + interval
        return .ask
    }
}
