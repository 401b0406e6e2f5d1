import Cryptography
import Wire

/// One client's PPP link, seen from the gateway: LCP, authentication, IPCP, in the phases of RFC 1661 section 3.
///
/// It sees control frames alone; IP packets stay on the packet path between `networkUp` and `networkDown` or `ended`.
/// After every call the owner takes what there is from `pollTransmit` and `pollEvent`, and calls `handleTimeout` not
/// before `nextDeadline`.
public struct PPPLink: Sendable {
    /// RFC 1661 section 3.2.
    enum Phase: Equatable, Sendable {
        /// Not started.
        case dead
        /// LCP negotiates.
        case establish
        /// LCP is open, the user proves who he is.
        case authenticate
        /// The user was refused, and may hear so again until then.
        case refused(until: Instant)
        /// The user is in: IPCP negotiates or is open.
        case network
        /// We asked the peer to end and wait for its answer.
        case terminate
        /// Over.
        case ended
    }

    /// What had no effect, by reason.
    public internal(set) var drops = SparseCounters<PPPDrop>()
    /// How far the link came, also after its end.
    public private(set) var progress = PPPProgress.link

    let terms: Shared<PPPConfiguration>
    var phase = Phase.dead
    var lcp: ControlProtocol<LCPOptions>
    var authenticator: Authenticator?
    var ipcp: ControlProtocol<IPCPOptions>?
    var echo: EchoMonitor
    /// When LCP, authentication or IPCP must be through.
    var phaseDeadline: Instant?
    /// Who authenticated first: a link never changes its user.
    var acceptedUser: String?
    var endReason: PPPEndReason?
    /// A Success was sent, and nothing came since that shows that the client got it.
    var isSuccessUnconfirmed = false

    /// The peer negotiated anew while the gateway was deciding: its answer is to a question of the past, and must not be
    /// taken for one about a new attempt. Until it comes, no new question is asked.
    var awaitsStaleAnswer = false

    private var isNetworkUp = false
    private var renegotiations = 0
    private var rejectLimiter = RejectLimiter()
    private var transmitQueue: [[UInt8]] = []
    private var events: [PPPEvent] = []

    /// A link that waits for `start`.
    public init(_ terms: Shared<PPPConfiguration>) {
        self.terms = terms
        let configuration = terms.value
        lcp = ControlProtocol(
            options: LCPOptions(
                mruBytes: configuration.mruBytes, methods: configuration.authenticationMethods, magicNumber: 1),
            terms: terms)
        echo = EchoMonitor(terms)
    }

    var configuration: PPPConfiguration { terms.value }

    /// The line is there: begins to negotiate.
    public mutating func start(now: Instant, using generator: inout some RandomNumberGenerator) {
        guard phase == .dead else { return }
        lcp = ControlProtocol(
            options: LCPOptions(
                mruBytes: configuration.mruBytes, methods: configuration.authenticationMethods,
                magicNumber: UInt32.random(in: 1...UInt32.max, using: &generator)),
            terms: terms, peerMayStartLate: true)
        phase = .establish
        phaseDeadline = now + configuration.negotiationTimeLimit
        // Without a method nobody could ever be let in: nothing is to be left to the peer then.
        guard !configuration.authenticationMethods.isEmpty else {
            return end(.protocolFailure(.noCommonAuthentication), now: now)
        }
        var output = ControlOutput()
        lcp.start(now: now, output: &output)
        carryOut(lcp: output, now: now, using: &generator)
    }

    /// Hangs up: a Terminate-Request now, the event `ended` when the peer has answered or does not. Whoever cannot wait
    /// takes the Terminate-Request from `pollTransmit` and forgets the link.
    public mutating func terminate(_ reason: PPPEndReason, now: Instant) { end(reason, now: now) }

    /// Packets came from the client at `now`: it is there and needs no Echo-Request.
    public mutating func noteActivity(now: Instant) { echo.noteLife(now: now) }

    /// When `handleTimeout` is due; nil when there is nothing to wait for.
    public var nextDeadline: Instant? {
        if phase == .ended || phase == .dead { return nil }
        var deadline = earliest(lcp.restartDeadline, phaseDeadline)
        deadline = earliest(deadline, ipcp?.restartDeadline)
        deadline = earliest(deadline, authenticator?.retransmitDeadline)
        deadline = earliest(deadline, echo.deadline)
        if case .refused(let until) = phase { deadline = earliest(deadline, until) }
        return deadline
    }

    /// Does all that is due at `now`.
    public mutating func handleTimeout(now: Instant, using generator: inout some RandomNumberGenerator) {
        guard phase != .ended, phase != .dead else { return }
        var output = ControlOutput()
        lcp.handleTimeout(now: now, output: &output)
        carryOut(lcp: output, now: now, using: &generator)

        if let due = authenticator?.retransmitDeadline, due <= now, phase == .authenticate {
            sendChallenge(now: now)
        }
        if let due = ipcp?.restartDeadline, due <= now, phase == .network {
            // RFC 1994 section 4.2: a Success can be lost, and a client that waits for it ignores IPCP.
            if isSuccessUnconfirmed, let authenticator, let reply = authenticator.acceptance {
                send(reply, protocolNumber: authenticator.method.protocolNumber)
            }
            output = ControlOutput()
            ipcp?.handleTimeout(now: now, output: &output)
            carryOut(ipcp: output, now: now)
        }
        handleEchoTimeout(now: now)
        handlePhaseTimeout(now: now)
    }

    /// Appends one whole PPP frame that is to be sent to the peer; false when there is none.
    public mutating func pollTransmit(into writer: inout ByteWriter) -> Bool {
        guard !transmitQueue.isEmpty else { return false }
        writer.write(transmitQueue.removeFirst())
        // A silent link keeps no memory for frames, nor for events.
        if transmitQueue.isEmpty { transmitQueue = [] }
        return true
    }

    /// The next thing that the gateway has to know or do.
    public mutating func pollEvent() -> PPPEvent? {
        guard !events.isEmpty else { return nil }
        defer { if events.isEmpty { events = [] } }
        return events.removeFirst()
    }

    /// The gateway has decided about `PPPEvent.authenticate`. Too late, or without having been asked, it has no effect.
    public mutating func authenticated(_ outcome: AuthenticationOutcome, now: Instant) {
        if awaitsStaleAnswer {
            awaitsStaleAnswer = false
            return
        }
        guard phase == .authenticate, var decider = authenticator, let reply = decider.decide(outcome) else { return }
        authenticator = decider
        send(reply, protocolNumber: decider.method.protocolNumber)
        guard decider.acceptance != nil, case .accepted(let assignment, _) = outcome else {
            phase = .refused(until: now + PPPLimit.refusalLinger)
            phaseDeadline = nil
            return
        }
        acceptedUser = decider.user
        isSuccessUnconfirmed = true
        phase = .network
        progress = .network
        phaseDeadline = now + configuration.negotiationTimeLimit
        echo.start(now: now)
        var negotiation = ControlProtocol(options: IPCPOptions(assignment), terms: terms)
        var output = ControlOutput()
        negotiation.start(now: now, output: &output)
        ipcp = negotiation
        carryOut(ipcp: output, now: now)
    }
}

// MARK: - Phases

extension PPPLink {
    /// Does what LCP wants done.
    mutating func carryOut(lcp output: ControlOutput, now: Instant, using generator: inout some RandomNumberGenerator) {
        for step in output.steps {
            switch step {
            case .send(let packet): send(packet, protocolNumber: PPPProtocol.lcp)
            case .layerUp: beginAuthentication(now: now, using: &generator)
            case .layerDown: leaveOpenLink(now: now)
            case .layerFinished: finish(.negotiationTimedOut)
            case .failed(let failure): end(.protocolFailure(failure), now: now)
            case .drop(let reason): drops.count(reason)
            }
        }
    }

    /// Does what IPCP wants done.
    mutating func carryOut(ipcp output: ControlOutput, now: Instant) {
        for step in output.steps {
            switch step {
            case .send(let packet): send(packet, protocolNumber: PPPProtocol.ipcp)
            case .layerUp: networkOpened()
            case .layerDown: networkClosed(now: now)
            case .layerFinished: end(.negotiationTimedOut, now: now)
            case .failed(let failure): end(.protocolFailure(failure), now: now)
            case .drop(let reason): drops.count(reason)
            }
        }
    }

    /// LCP is open: RFC 1661 section 3.5.
    private mutating func beginAuthentication(now: Instant, using generator: inout some RandomNumberGenerator) {
        guard phase == .establish, let method = lcp.options.methods.first else { return }
        phase = .authenticate
        progress = max(progress, .authentication)
        phaseDeadline = now + configuration.authenticationTimeLimit
        authenticator = Authenticator(method: method, terms: terms, using: &generator)
        sendChallenge(now: now)
    }

    private mutating func sendChallenge(now: Instant) {
        guard let challenge = authenticator?.nextChallenge(now: now) else { return }
        send(challenge, protocolNumber: PPPProtocol.chap)
    }

    /// The peer negotiates LCP anew: all that stood on it is void (RFC 1661 section 3.4), authentication included.
    private mutating func leaveOpenLink(now: Instant) {
        guard phase == .authenticate || phase == .network else { return }
        if isNetworkUp { events.append(.networkDown) }
        isNetworkUp = false
        if case .deciding = authenticator?.state { awaitsStaleAnswer = true }
        (ipcp, authenticator) = (nil, nil)
        isSuccessUnconfirmed = false
        echo.stop()
        phase = .establish
        beginAnew(now: now)
    }

    private mutating func networkOpened() {
        guard phase == .network, let ipcp, let authenticator else { return }
        phaseDeadline = nil
        isNetworkUp = true
        let peer = lcp.options.peer
        events.append(
            .networkUp(
                PPPNetwork(
                    assignment: ipcp.options.assignment, peerMRUBytes: peer.mruBytes, framing: peer.framing,
                    authenticationMethod: authenticator.method)))
    }

    private mutating func networkClosed(now: Instant) {
        guard phase == .network, isNetworkUp else { return }
        isNetworkUp = false
        events.append(.networkDown)
        beginAnew(now: now)
    }

    private mutating func beginAnew(now: Instant) {
        phaseDeadline = now + configuration.negotiationTimeLimit
        renegotiations += 1
        if renegotiations > configuration.renegotiationsMaximum { end(.protocolFailure(.renegotiationLoop), now: now) }
    }

    private mutating func handlePhaseTimeout(now: Instant) {
        if case .refused(let until) = phase, until <= now {
            return end(.authenticationFailed(user: authenticator?.user ?? ""), now: now)
        }
        guard let due = phaseDeadline, due <= now, phase != .terminate else { return }
        end(phase == .authenticate ? .authenticationTimedOut : .negotiationTimedOut, now: now)
    }

    private mutating func handleEchoTimeout(now: Instant) {
        guard phase == .network, let action = echo.handleTimeout(now: now) else { return }
        switch action {
        case .ask:
            let identifier = lcp.nextIdentifier()
            echo.asked(identifier)
            send(
                ControlPacket(
                    code: Code.echoRequest, identifier: identifier,
                    body: IPv4Address(lcp.options.magicNumber).octets),
                protocolNumber: PPPProtocol.lcp)
        case .giveUp:
            end(.peerSilent, now: now)
            // It has had its time: what carries the link need not wait for an answer.
            finish(.peerSilent)
        }
    }

    /// Ends the link from our side: Terminate-Request, and `ended` when it is answered or its time is over.
    mutating func end(_ reason: PPPEndReason, now: Instant) {
        guard endReason == nil, phase != .ended else { return }
        endReason = reason
        phase = .terminate
        phaseDeadline = nil
        echo.stop()
        authenticator = nil
        ipcp = nil
        var output = ControlOutput()
        lcp.close(text: reason.description, now: now, output: &output)
        for case .send(let packet) in output.steps { send(packet, protocolNumber: PPPProtocol.lcp) }
        // LCP that was never up, or is down already, has nobody to say farewell to.
        if lcp.restartDeadline == nil { finish(reason) }
    }

    /// The link is over, for the reason that was given first.
    mutating func emit(_ event: PPPEvent) { events.append(event) }

    /// The link is over, for the reason that was given first.
    mutating func finish(_ reason: PPPEndReason) {
        guard phase != .ended else { return }
        phase = .ended
        isNetworkUp = false
        (ipcp, authenticator) = (nil, nil)
        events.append(.ended(endReason ?? reason))
    }

    /// Puts a packet into a frame. LCP always has address and control (RFC 1661 section 6.6); the protocol numbers of
    /// control protocols are too large to be compressed.
    mutating func send(_ packet: ControlPacket, protocolNumber: UInt16) {
        guard transmitQueue.count < PPPLimit.transmitQueueMaximum else { return drops.count(.transmitQueueFull) }
        var writer = ByteWriter(capacity: 64)
        let isShort = protocolNumber != PPPProtocol.lcp && lcp.options.peer.framing.compressesAddressAndControl
        if !isShort { writer.write(UInt16(0xFF03)) }
        writer.write(protocolNumber)
        packet.write(into: &writer)
        transmitQueue.append(writer.bytes)
    }

    /// Whether another Protocol-Reject or Code-Reject may be sent; counts the drop if not.
    mutating func mayReject(now: Instant) -> Bool {
        if rejectLimiter.allow(now: now) { return true }
        drops.count(.rejectLimit)
        return false
    }
}

/// So many rejects in a second and no more.
struct RejectLimiter: Sendable {
    private var windowStart = Instant.zero
    private var sent = 0

    mutating func allow(now: Instant) -> Bool {
        if now.since(windowStart) >= .seconds(1) { (windowStart, sent) = (now, 0) }
        guard sent < PPPLimit.rejectsPerSecondMaximum else { return false }
        sent += 1
        return true
    }
}
