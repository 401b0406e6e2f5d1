import Wire

/// The reliable delivery of control messages over one tunnel (RFC 2661, 5.8 and appendix A).
///
/// It knows sequence numbers, windows and time, and nothing of what the messages say. Sent messages stay at the front of
/// `queue` until they are acknowledged, so message `i` of the queue always has the number `base + i`.
struct ReliableChannel: Sendable {
    /// When to send again, and when to give up: the same for all channels of a server, in one piece of memory.
    final class Timing: Sendable {
        let initial: Duration
        let cap: Duration
        let retransmissionsMaximum: Int
        let acknowledgementDelay: Duration

        init(_ configuration: L2TPConfiguration) {
            initial = max(configuration.retransmissionInitial, .milliseconds(10))
            cap = configuration.retransmissionCap
            retransmissionsMaximum = configuration.retransmissionsMaximum
            acknowledgementDelay = configuration.acknowledgementDelay
        }
    }

    /// What became of a received message.
    enum Reception: Hashable, Sendable {
        /// A message without a body: it only acknowledges.
        case acknowledgement
        /// The message that was expected: ``takeMessage()`` has it, and perhaps more.
        case accepted
        /// Received before the ones that it follows: kept.
        case heldBack
        /// Received before: will be acknowledged again.
        case duplicate
        /// Further ahead than the window that we promised: dropped.
        case outsideWindow
    }

    /// What the passing of time did.
    enum Timeout: Hashable, Sendable {
        case nothing
        /// A message was sent as often as it may be, and never acknowledged.
        case expired
    }

    /// A received message in its turn.
    struct Incoming: Sendable {
        var ns: SequenceNumber
        /// Our id of the session, 0 for none.
        var sessionID: UInt16
        var body: [UInt8]
    }

    private struct Outgoing: Sendable {
        /// The peer's id of the session.
        var sessionID: UInt16
        var body: [UInt8]
        /// Whether a second copy under another number does no harm: CDN and StopCCN.
        var isIdempotent: Bool
    }

    private enum Acknowledgement: Hashable, Sendable {
        case none
        case delayed(until: Instant)
        case due
    }

    /// A HELLO that waits for its acknowledgement, always at the front of the queue.
    private enum Probe: Hashable, Sendable {
        case none
        case outstanding(since: Instant, retransmissionsMaximum: Int)
        /// Never acknowledged, though the peer is alive: it keeps its number and is not sent any more.
        case withdrawn
    }

    private let timing: Timing
    private let receiveWindow: Int
    private var window: CongestionWindow

    private var queue: [Outgoing] = []
    /// The number of `queue[0]`: the oldest that is not acknowledged.
    private var base = SequenceNumber.zero
    /// How many of the queue were ever sent: `base + sentCount` is the next new number.
    private var sentCount = 0
    /// How many of the queue are on their way, or should be: what the window allows.
    private var inFlightCount = 0
    /// How many of those ``nextTransmission(to:)`` has handed out.
    private var handedOutCount = 0
    private var retransmissions = 0
    private var retransmissionDeadline: Instant?
    private var probe = Probe.none
    /// The last messages of the tunnel are in the queue: they go together, as nothing is left to spare the path for.
    private var isHurrying = false

    private var nextExpected = SequenceNumber.zero
    private var held: [Incoming] = []
    private var acknowledgement = Acknowledgement.none

    /// A channel to a peer whose Receive Window Size is `peerWindow`. The RFC gives 0 no meaning; as a peer must be able
    /// to receive one message to work at all, it counts as 1.
    init(timing: Timing, peerWindow: UInt16, receiveWindow: UInt16) {
        self.timing = timing
        self.receiveWindow = max(Int(receiveWindow), 1)
        window = CongestionWindow(limit: Int(peerWindow))
    }

    /// How many messages wait to be sent or acknowledged, a withdrawn HELLO not counted.
    var pendingCount: Int { probe == .withdrawn ? queue.count - 1 : queue.count }

    /// Whether nothing waits to be sent or acknowledged.
    var isIdle: Bool { pendingCount == 0 }

    /// Whether a HELLO waits for its acknowledgement.
    var isProbing: Bool { if case .outstanding = probe { true } else { false } }

    /// When ``handleTimeout(now:lastHeard:)`` wants to be called.
    var deadline: Instant? {
        if case .delayed(let until) = acknowledgement { return earliest(until, retransmissionDeadline) }
        return retransmissionDeadline
    }

    /// Whether ``nextTransmission(to:)`` has something.
    var hasTransmission: Bool { handedOutCount < inFlightCount || acknowledgement == .due }

    // MARK: Receiving

    /// Whether `nr` acknowledges something that we never sent; such an Nr says nothing.
    func acknowledgesUnsent(_ nr: SequenceNumber) -> Bool {
        !nr.isBefore(base) && nr.distance(from: base) > sentCount
    }

    /// Takes a message in: `body` is empty for a ZLB.
    mutating func receive(_ header: ControlHeader, body: RawSpan, now: Instant) -> Reception {
        let ns = header.ns
        acknowledge(header.nr, now: now)
        // 5.8: a ZLB does not count in the sequence, so there is nothing to acknowledge: a ZLB never answers a ZLB.
        guard body.byteCount > 0 else { return .acknowledgement }
        if ns.isBefore(nextExpected) {
            // 5.8: the acknowledgement was lost, so say it again, and at once: the peer is retransmitting.
            acknowledgement = .due
            return .duplicate
        }
        let ahead = ns.distance(from: nextExpected)
        guard ahead < receiveWindow else { return .outsideWindow }
        guard !held.contains(where: { $0.ns == ns }) else { return .duplicate }
        held.append(Incoming(ns: ns, sessionID: header.sessionID, body: [UInt8](copying: body)))
        return ahead == 0 ? .accepted : .heldBack
    }

    /// The next message in sequence, if it is there.
    mutating func takeMessage(now: Instant) -> Incoming? {
        guard let index = held.firstIndex(where: { $0.ns == nextExpected }) else { return nil }
        nextExpected = nextExpected.advanced(by: 1)
        if acknowledgement == .none { acknowledgement = .delayed(until: now + timing.acknowledgementDelay) }
        let incoming = held.remove(at: index)
        // A silent tunnel keeps no memory for messages.
        if held.isEmpty { held = [] }
        return incoming
    }

    /// Sends the acknowledgement that waits for company at once.
    mutating func acknowledgeAtOnce() {
        if acknowledgement != .none { acknowledgement = .due }
    }

    private mutating func acknowledge(_ nr: SequenceNumber, now: Instant) {
        guard !nr.isBefore(base), !acknowledgesUnsent(nr) else { return }
        let count = nr.distance(from: base)
        guard count > 0 else { return }
        queue.removeFirst(count)
        base = nr
        sentCount -= count
        inFlightCount = max(inFlightCount - count, 0)
        handedOutCount = max(handedOutCount - count, 0)
        for _ in 0..<count { window.acknowledged() }
        retransmissions = 0
        probe = .none
        if queue.isEmpty { (queue, isHurrying) = ([], false) }
        retransmissionDeadline = inFlightCount > 0 ? now + timing.initial : nil
        fillWindow(now: now)
    }

    // MARK: Sending

    /// Queues a message. `isIdempotent` says that the peer may get two copies of it without harm.
    ///
    /// A HELLO that the peer ignored is in the way: nobody can know whether the peer counted it. If it did not, then the
    /// next message must have the HELLO's number, else the number after it. So the message takes the HELLO's place, and
    /// one that may come twice is queued under the next number as well: a peer that counted the HELLO drops the first
    /// as a duplicate, one that did not takes the first and finds nothing left to do in the second.
    mutating func send(_ body: [UInt8], sessionID: UInt16, isIdempotent: Bool = false, now: Instant) {
        let message = Outgoing(sessionID: sessionID, body: body, isIdempotent: isIdempotent)
        if probe == .withdrawn {
            probe = .none
            retransmissions = 0
            queue[0] = message
            if isIdempotent {
                queue.append(message)
                isHurrying = true
                window.open(to: queue.count)
            }
        } else {
            queue.append(message)
        }
        fillWindow(now: now)
    }

    /// Queues a HELLO, or sends one that was withdrawn again. Only when nothing else waits; its lack of an answer is
    /// excused by any sign of life, see ``handleTimeout(now:lastHeard:)``.
    mutating func sendProbe(_ body: [UInt8], retransmissionsMaximum: Int, now: Instant) {
        if case .outstanding(let since, let maximum) = probe {
            probe = .outstanding(since: since, retransmissionsMaximum: min(maximum, retransmissionsMaximum))
        }
        guard isIdle else { return }
        if queue.isEmpty { queue.append(Outgoing(sessionID: 0, body: body, isIdempotent: false)) }
        retransmissions = 0
        probe = .outstanding(since: now, retransmissionsMaximum: retransmissionsMaximum)
        fillWindow(now: now)
    }

    /// Lets the last messages of a tunnel go at once, within what the peer can receive.
    mutating func hurry(now: Instant) {
        isHurrying = true
        window.open(to: queue.count)
        fillWindow(now: now)
    }

    /// Sends what is not acknowledged again without waiting for the timer: the peer shows that it did not get it.
    mutating func retransmitAtOnce(now: Instant) {
        guard inFlightCount > 0 else { return }
        handedOutCount = 0
        retransmissionDeadline = now + timing.initial
    }

    /// The next message to send, with the acknowledgement that is right now (5.8: Nr is brought up to date in
    /// retransmissions too); nil if there is none.
    mutating func nextTransmission(to tunnelID: UInt16, into writer: inout ByteWriter) -> Bool {
        if handedOutCount < inFlightCount {
            let message = queue[handedOutCount]
            let header = ControlHeader(
                tunnelID: tunnelID, sessionID: message.sessionID, ns: base.advanced(by: handedOutCount),
                nr: nextExpected)
            header.write(body: message.body, into: &writer)
            handedOutCount += 1
        } else if acknowledgement == .due {
            let header = ControlHeader(
                tunnelID: tunnelID, sessionID: 0, ns: base.advanced(by: sentCount), nr: nextExpected)
            header.write(body: [], into: &writer)
        } else {
            return false
        }
        acknowledgement = .none
        return true
    }

    /// Forgets what waits to be sent: the peer has said that it is over.
    mutating func sendNothingMore() {
        base = base.advanced(by: sentCount)
        queue.removeAll()
        (sentCount, inFlightCount, handedOutCount, retransmissions) = (0, 0, 0, 0)
        probe = .none
        retransmissionDeadline = nil
    }

    private mutating func fillWindow(now: Instant) {
        guard probe != .withdrawn else { return }
        let allowed = min(queue.count, window.size)
        guard allowed > inFlightCount else { return }
        inFlightCount = allowed
        sentCount = max(sentCount, allowed)
        if retransmissionDeadline == nil { retransmissionDeadline = now + timing.initial }
    }

    // MARK: Time

    /// Does what is due. `lastHeard` is when anything at all came from the peer.
    mutating func handleTimeout(now: Instant, lastHeard: Instant) -> Timeout {
        if case .delayed(let until) = acknowledgement, until <= now { acknowledgement = .due }
        guard let due = retransmissionDeadline, due <= now else { return .nothing }
        var limit = timing.retransmissionsMaximum
        if case .outstanding(let since, let maximum) = probe {
            if giveUpProbe(isAlive: lastHeard > since, now: now) { return .nothing }
            limit = maximum
        }
        guard retransmissions < limit else { return .expired }
        retransmissions += 1
        window.timedOut()
        if isHurrying { window.open(to: queue.count) }
        sendAgain(now: now)
        return .nothing
    }

    /// Sends from the oldest unacknowledged message on again, as far as the window allows.
    private mutating func sendAgain(now: Instant) {
        inFlightCount = 0
        handedOutCount = 0
        retransmissionDeadline = now + backoff
        fillWindow(now: now)
    }

    /// 5.8: each retransmission waits twice as long as the one before, up to a cap.
    private var backoff: Duration {
        var wait = timing.initial
        for _ in 0..<min(retransmissions, 16) where wait < timing.cap { wait = wait * 2 }
        return max(min(wait, timing.cap), timing.initial)
    }

    /// Gives up on a HELLO where there is a reason, and says whether it did.
    ///
    /// A living peer that does not acknowledge it is one like Android 9 and 10, which never do: the HELLO is withdrawn.
    /// With messages behind it the HELLO has no point any more, alive or not, and the first of them takes its place, as
    /// in ``send(_:sessionID:isIdempotent:now:)``; where one of them may not come twice the HELLO stays, as giving it up
    /// could leave the two ends with different counts.
    private mutating func giveUpProbe(isAlive: Bool, now: Instant) -> Bool {
        if queue.count == 1 {
            guard isAlive else { return false }
            probe = .withdrawn
            (inFlightCount, handedOutCount, retransmissions) = (0, 0, 0)
            retransmissionDeadline = nil
            return true
        }
        guard queue.dropFirst().allSatisfy(\.isIdempotent) else { return false }
        probe = .none
        queue[0] = queue[1]
        retransmissions = 0
        hurry(now: now)
        sendAgain(now: now)
        return true
    }
}
