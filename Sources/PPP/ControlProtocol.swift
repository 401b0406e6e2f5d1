import Wire

/// What a control protocol wants done after an event, in order.
struct ControlOutput {
    /// One thing to do.
    enum Step {
        /// Send this packet.
        case send(ControlPacket)
        /// This-Layer-Up, RFC 1661 section 4.4.
        case layerUp
        /// This-Layer-Down.
        case layerDown
        /// This-Layer-Finished.
        case layerFinished
        /// The other end and we will not agree.
        case failed(PPPProtocolFailure)
        /// The packet had no effect.
        case drop(PPPDrop)
    }

    private(set) var steps: [Step] = []

    mutating func add(_ step: Step) { steps.append(step) }
}

/// One control protocol of a link: the automaton of RFC 1661 section 4 with its timer, counters and identifiers, moving the
/// options of LCP or of a network control protocol back and forth.
struct ControlProtocol<Options: NegotiatedOptions>: Sendable {
    /// The options as negotiated so far.
    private(set) var options: Options
    /// When the restart timer runs out.
    private(set) var restartDeadline: Instant?
    /// Where the automaton stands.
    private(set) var state = Automaton.State.initial

    // Numbers of messages are small, and a gateway has two of these for each session.
    /// Transmissions left before the peer counts as silent: RFC 1661 section 4.6.
    private var restartCount: UInt8 = 0
    private var repeatsAnswered: UInt8 = 0
    private var naksSent: UInt8 = 0
    private var refusalsReceived: UInt8 = 0
    private var lastIdentifier: UInt8 = 0
    private var terminateIdentifier: UInt8 = 0
    /// Whether a Configure-Request of the peer has come.
    private var hasHeardPeer: Bool
    private let terms: Shared<PPPConfiguration>
    /// Our Configure-Request that waits for its answer. An answer takes it away, so that a repeated one finds nothing:
    /// otherwise a duplicate on the way would tear an open link down.
    private var outstanding: ControlPacket?
    private var terminateText: [UInt8] = []
    /// The peer's request that we acknowledged last, by the hash of it: of a repetition nothing more need be known.
    private var acknowledged: Int?

    /// An Ack of ours that is lost makes the peer repeat its request when we are open already. So often we say it again
    /// and stay open; then we believe that the peer began anew, as the automaton has it.
    static var repeatsAnsweredMaximum: UInt8 { 3 }

    /// - Parameter peerMayStartLate: Whether what we send first may find nobody there yet.
    init(options: Options, terms: Shared<PPPConfiguration>, peerMayStartLate: Bool = false) {
        (self.options, self.terms) = (options, terms)
        hasHeardPeer = !peerMayStartLate
    }

    private var timing: PPPConfiguration.Restart { terms.value.restart }

    // MARK: What the link does

    /// Open and Up together: the line is there and we want it (RFC 1661 section 4.3).
    mutating func start(now: Instant, output: inout ControlOutput) {
        run(.open, now: now, output: &output)
        run(.up, now: now, output: &output)
    }

    /// Asks the peer to end, with a reason for its log (section 5.5).
    mutating func close(text: String, now: Instant, output: inout ControlOutput) {
        terminateText = Array(text.utf8)
        run(.close, now: now, output: &output)
    }

    /// Lets the restart timer run out when it is due.
    mutating func handleTimeout(now: Instant, output: inout ControlOutput) {
        guard let due = restartDeadline, due <= now else { return }
        run(restartCount > 0 ? .timeoutWithRetries : .timeoutExhausted, now: now, output: &output)
    }

    /// Takes one of the packets that every control protocol has, codes 1 to 7 of RFC 1661 section 5; any other is unknown
    /// here and answered by a Code-Reject. `random` is fresh with every call, `rejectSizeMaximum` what the peer takes.
    mutating func receive(
        _ packet: ControlPacket, random: UInt32, rejectSizeMaximum: Int, now: Instant, output: inout ControlOutput
    ) {
        do throws(PPPDropError) {
            switch packet.code {
            case Code.configureRequest: try receiveConfigureRequest(packet, random: random, now: now, output: &output)
            case Code.configureAck: try receiveConfigureAck(packet, now: now, output: &output)
            case Code.configureNak, Code.configureReject:
                try receiveRefusal(packet, random: random, now: now, output: &output)
            case Code.terminateRequest: run(.receiveTerminateRequest, replyTo: packet, now: now, output: &output)
            case Code.terminateAck: try receiveTerminateAck(packet, now: now, output: &output)
            case Code.codeReject: try receiveCodeReject(packet, now: now, output: &output)
            default:
                var rejected = packet.bytes
                // Section 5.6: truncated to what the peer can take.
                rejected.removeLast(max(0, rejected.count - rejectSizeMaximum))
                let reject = ControlPacket(code: Code.codeReject, identifier: nextIdentifier(), body: rejected)
                run(.receiveUnknownCode, reply: reject, now: now, output: &output)
            }
        } catch {
            output.add(.drop(error.reason))
        }
    }

    // MARK: Packets

    private mutating func receiveConfigureRequest(
        _ packet: ControlPacket, random: UInt32, now: Instant, output: inout ControlOutput
    ) throws(PPPDropError) {
        let requested = try ConfigureOption.parse(packet.body)
        defer { bringRestartForward(now: now) }
        if state == .opened, packet.hashValue == acknowledged, repeatsAnswered < Self.repeatsAnsweredMaximum {
            repeatsAnswered += 1
            output.add(.send(ControlPacket(code: Code.configureAck, identifier: packet.identifier, body: packet.body)))
            return
        }
        // Nothing is judged where the automaton would not answer it anyway.
        guard state.negotiates else {
            run(.receiveGoodConfigureRequest, replyTo: packet, now: now, output: &output)
            return
        }
        if state == .opened { beginNegotiation() }
        let reply: ControlPacket
        switch options.judge(requested, random: random, isPatienceOver: Int(naksSent) >= timing.failureMaximum) {
        case .acknowledge:
            options.acknowledged(requested)
            acknowledged = packet.hashValue
            reply = ControlPacket(code: Code.configureAck, identifier: packet.identifier, body: packet.body)
            run(.receiveGoodConfigureRequest, reply: reply, now: now, output: &output)
            return
        case .suggest(let suggestions):
            naksSent = UInt8(clamping: Int(naksSent) + 1)
            reply = ControlPacket(
                code: Code.configureNak, identifier: packet.identifier, body: ConfigureOption.encode(suggestions))
        case .reject(let rejections):
            reply = ControlPacket(
                code: Code.configureReject, identifier: packet.identifier, body: ConfigureOption.encode(rejections))
        case .fail(let failure):
            output.add(.failed(failure))
            return
        }
        run(.receiveBadConfigureRequest, reply: reply, now: now, output: &output)
    }

    private mutating func receiveConfigureAck(
        _ packet: ControlPacket, now: Instant, output: inout ControlOutput
    ) throws(PPPDropError) {
        guard let request = outstanding, request.identifier == packet.identifier else {
            throw PPPDropError(.wrongIdentifier)
        }
        // Section 5.2: identifier and options exactly as we sent them, or it is invalid and silently discarded.
        guard request.body == packet.body else { throw PPPDropError(.notWhatWeSent) }
        outstanding = nil
        run(.receiveConfigureAck, replyTo: packet, now: now, output: &output)
    }

    /// Configure-Nak or Configure-Reject: changes our request and sends it again.
    private mutating func receiveRefusal(
        _ packet: ControlPacket, random: UInt32, now: Instant, output: inout ControlOutput
    ) throws(PPPDropError) {
        guard let request = outstanding, request.identifier == packet.identifier else {
            throw PPPDropError(.wrongIdentifier)
        }
        let refused = try ConfigureOption.parse(packet.body)
        let isRejection = packet.code == Code.configureReject
        if isRejection {
            // Section 5.4: only what we sent can be rejected.
            let sent = try ConfigureOption.parse(request.body)
            guard refused.allSatisfy(sent.contains) else { throw PPPDropError(.notWhatWeSent) }
        }
        outstanding = nil
        refusalsReceived = UInt8(clamping: Int(refusalsReceived) + 1)
        guard Int(refusalsReceived) <= timing.configureMaximum else {
            output.add(.failed(.negotiationDiverges))
            return
        }
        for option in refused {
            let failure =
                isRejection ? options.learn(rejection: option) : options.learn(suggestion: option, random: random)
            if let failure {
                output.add(.failed(failure))
                return
            }
        }
        run(.receiveConfigureNakOrReject, replyTo: packet, now: now, output: &output)
    }

    private mutating func receiveTerminateAck(
        _ packet: ControlPacket, now: Instant, output: inout ControlOutput
    ) throws(PPPDropError) {
        // Section 4.3 lets an unexpected Terminate-Ack restart an open link. One that answers nothing of ours is more
        // likely a straggler, so it is dropped; a peer that lost its state shows itself by its next Configure-Request.
        guard state == .closing || state == .stopping else { throw PPPDropError(.wrongIdentifier) }
        guard packet.identifier == terminateIdentifier else { throw PPPDropError(.wrongIdentifier) }
        run(.receiveTerminateAck, replyTo: packet, now: now, output: &output)
    }

    private mutating func receiveCodeReject(
        _ packet: ControlPacket, now: Instant, output: inout ControlOutput
    ) throws(PPPDropError) {
        // Section 5.6: the body is a copy of the packet that the peer does not know.
        guard let code = packet.body.first else { throw PPPDropError(.malformedPacket) }
        guard (Code.configureRequest...Code.codeReject).contains(code) else {
            run(.receivePermittedReject, replyTo: packet, now: now, output: &output)
            output.add(.drop(.refusalNoted))
            return
        }
        output.add(.failed(.codeRejected(code)))
    }

    // MARK: The automaton

    private mutating func run(
        _ event: Automaton.Event, replyTo packet: ControlPacket, now: Instant, output: inout ControlOutput
    ) {
        // The only answer that the table has for these is a Terminate-Ack, which repeats the identifier (section 5.5).
        let reply = ControlPacket(code: Code.terminateAck, identifier: packet.identifier)
        run(event, reply: reply, now: now, output: &output)
    }

    private mutating func run(
        _ event: Automaton.Event, reply: ControlPacket? = nil, now: Instant, output: inout ControlOutput
    ) {
        guard let transition = Automaton.transition(from: state, on: event) else { return }
        let isTermination = transition.actions.contains(.sendTerminateRequest)
        if event == .up { beginNegotiation() }
        state = transition.next
        for action in transition.actions {
            switch action {
            case .layerUp:
                (naksSent, refusalsReceived, repeatsAnswered) = (0, 0, 0)
                output.add(.layerUp)
            case .layerDown: output.add(.layerDown)
            case .layerStarted: break
            case .layerFinished: output.add(.layerFinished)
            case .initializeRestartCount:
                restartCount = UInt8(clamping: isTermination ? timing.terminateMaximum : timing.configureMaximum)
            case .zeroRestartCount:
                restartCount = 0
                restartDeadline = now + timing.interval
            case .sendConfigureRequest:
                sendConfigureRequest(isRepetition: event == .timeoutWithRetries, now: now, output: &output)
            case .sendTerminateRequest:
                sendTerminateRequest(isRepetition: event == .timeoutWithRetries, now: now, output: &output)
            case .sendConfigureAck, .sendConfigureNakOrReject, .sendTerminateAck, .sendCodeReject, .sendEchoReply:
                if let reply { output.add(.send(reply)) }
            }
        }
        if !state.runsTimer { restartDeadline = nil }
    }

    /// The peer's first request shows that it listens now. A client whose PPP starts a moment after its call was connected
    /// has not heard what we sent before: if it says nothing to that soon, it is asked again, rather than after the restart
    /// timer's three seconds.
    private mutating func bringRestartForward(now: Instant) {
        guard !hasHeardPeer else { return }
        hasHeardPeer = true
        guard outstanding != nil, let deadline = restartDeadline else { return }
        restartDeadline = min(deadline, now + PPPLimit.lateStartPatience)
    }

    private mutating func beginNegotiation() {
        (naksSent, refusalsReceived, repeatsAnswered) = (0, 0, 0)
        (outstanding, acknowledged) = (nil, nil)
        // From Opened the table sends a request without setting the counter, which an open link has long used up.
        restartCount = UInt8(clamping: timing.configureMaximum)
    }

    private mutating func sendConfigureRequest(isRepetition: Bool, now: Instant, output: inout ControlOutput) {
        // Section 5.1: a retransmission keeps the identifier, so that an answer to any of them is good.
        let request: ControlPacket
        if isRepetition, let outstanding {
            request = outstanding
        } else {
            request = ControlPacket(
                code: Code.configureRequest, identifier: nextIdentifier(), body: ConfigureOption.encode(options.request)
            )
        }
        outstanding = request
        countTransmission(now: now)
        output.add(.send(request))
    }

    private mutating func sendTerminateRequest(isRepetition: Bool, now: Instant, output: inout ControlOutput) {
        if !isRepetition { terminateIdentifier = nextIdentifier() }
        outstanding = nil
        countTransmission(now: now)
        output.add(
            .send(ControlPacket(code: Code.terminateRequest, identifier: terminateIdentifier, body: terminateText)))
    }

    private mutating func countTransmission(now: Instant) {
        if restartCount > 0 { restartCount -= 1 }
        restartDeadline = now + timing.interval
    }

    /// An identifier for a packet that begins an exchange.
    mutating func nextIdentifier() -> UInt8 {
        lastIdentifier &+= 1
        return lastIdentifier
    }
}

extension Automaton.State {
    /// Whether a Configure-Request is judged in this state, rather than ignored or answered by a Terminate-Ack.
    var negotiates: Bool {
        switch self {
        case .stopped, .requestSent, .ackReceived, .ackSent, .opened: true
        case .initial, .starting, .closed, .closing, .stopping: false
        }
    }
}
