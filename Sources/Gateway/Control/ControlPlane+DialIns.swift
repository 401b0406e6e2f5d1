import IKE
import L2TP
import PPP
import Wire

/// Dial-ins that stop on the way without being refused: how far each came tells why.
extension ControlPlane {
    /// A peer that dials again so soon goes on with what it was at: IKE renewed in the middle is no new dial-in.
    private static let sameDialInDuration = Duration.seconds(2)

    /// A peer without a tunnel dials in. What it had begun before has come to nothing.
    mutating func beginDialIn(of peer: PeerID, now: Instant) {
        guard let known = peers[peer], known.tunnelCount == 0 else { return }
        if let dialIn = known.dialIn {
            guard now.since(dialIn.since) >= Self.sameDialInDuration else { return }
            concludeDialIn(of: peer, now: now)
        }
        peers[peer]?.dialIn = DialIn(since: now)
    }

    /// A dial-in, where there is one, has come to `stage`.
    mutating func advanceDialIn(of peer: PeerID, to stage: DialIn.Stage) {
        guard let dialIn = peers[peer]?.dialIn, dialIn.stage < stage else { return }
        peers[peer]?.dialIn?.stage = stage
    }

    /// A dial-in goes no further: says where it stopped, unless the gateway hung it up.
    mutating func concludeDialIn(of peer: PeerID, now: Instant) {
        guard let known = peers[peer], let dialIn = known.dialIn else { return }
        peers[peer]?.dialIn = nil
        guard !isShuttingDown, known.farewell == nil else { return }
        switch dialIn.stage {
        case .authenticated: noteFailure(of: peer, .quickModeNeverCame, .quickMode, now: now)
        case .quickMode: noteFailure(of: peer, .quickModeUnfinished, .quickMode, now: now)
        case .confirmed:
            let form =
                switch known.encapsulation {
                case .none: "as IP protocol 50"
                case .udpOfIKE: "to UDP 500"
                case .udp: "to UDP 4500"
                case .clear: "to UDP 1701, in clear"
                }
            noteFailure(of: peer, .espNeverCame, .ipsec, detail: "they were to come \(form)", now: now)
        case .used: noteFailure(of: peer, .tunnelNeverCame, .ipsec, now: now)
        case .tunnelling: noteFailure(of: peer, .tunnelUnfinished, .tunnel, now: now)
        case .tunnel: noteFailure(of: peer, .callNeverCame, .call, now: now)
        case .session: break
        }
    }

    // MARK: - L2TP

    mutating func noteTunnelRefusal(_ peer: PeerID, hostName: String, _ result: L2TPResult, now: Instant) {
        let reason: FailureReason =
            if result.code == L2TPStopCode.notAuthorized.rawValue {
                .tunnelSecretUnknown
            } else if result.errorCode == L2TPErrorCode.noResources.rawValue {
                .tunnelLimitReached
            } else {
                .tunnelRequestRefused
            }
        noteFailure(of: peer, reason, .tunnel, detail: "host \(hostName): \(result)", now: now)
    }

    /// A tunnel has ended: as long as it was being set up, or nobody was ever in, that is a failure.
    mutating func noteTunnelEnd(of peer: PeerID, wasEstablished: Bool, _ end: L2TPEndReason, now: Instant) {
        guard !isShuttingDown, let known = peers[peer], known.farewell == nil else { return }
        guard !wasEstablished || known.dialIn != nil else { return }
        switch end {
        case .authenticationFailed: noteFailure(of: peer, .tunnelSecretWrong, .tunnel, now: now)
        case .notSetUpInTime: noteFailure(of: peer, .tunnelUnfinished, .tunnel, now: now)
        case .unanswered:
            noteFailure(of: peer, wasEstablished ? .clientSilent : .tunnelUnfinished, .tunnel, now: now)
        case .stoppedByPeer(let result), .disconnectedByPeer(let result):
            noteFailure(of: peer, .tunnelClosedByClient, .tunnel, detail: "\(result)", now: now)
        case .protocolError(let fault): noteFailure(of: peer, .protocolViolated, .tunnel, detail: fault, now: now)
        case .withoutSessions: noteFailure(of: peer, .callNeverCame, .call, now: now)
        // Ours to say elsewhere, or nothing that went wrong.
        case .closedByUs, .replaced, .peerEnded: break
        }
    }

    /// A call ended before it was a session.
    mutating func noteCallFailure(_ session: L2TPSessionID, _ end: L2TPEndReason, now: Instant) {
        let peer = PeerID(rawValue: session.tunnel.peer)
        guard !isShuttingDown, peers[peer]?.farewell == nil else { return }
        switch end {
        case .notSetUpInTime, .peerEnded: noteFailure(of: peer, .callUnfinished, .call, now: now)
        case .stoppedByPeer(let result), .disconnectedByPeer(let result):
            noteFailure(of: peer, .callClosedByClient, .call, detail: "\(result)", now: now)
        case .unanswered: noteFailure(of: peer, .clientSilent, .call, now: now)
        case .protocolError(let fault): noteFailure(of: peer, .protocolViolated, .call, detail: fault, now: now)
        case .closedByUs, .withoutSessions, .replaced, .authenticationFailed: break
        }
    }

    // MARK: - PPP

    /// A session has ended: one that was never up is a failure, unless that is told already or the gateway hung it up.
    mutating func noteSessionEnd(_ session: ClientSession, _ end: SessionEnd, now: Instant) {
        guard session.since == nil, !session.isExplained, !isShuttingDown,
            let (reason, detail) = Self.failure(end, at: session.link.progress)
        else { return }
        noteFailure(
            of: session.peer, reason, FailureStep(session.link.progress), user: session.user, detail: detail, now: now)
    }

    /// What an end before the session was up means; nil where it is no failure of its own.
    private static func failure(_ end: SessionEnd, at progress: PPPProgress) -> (FailureReason, detail: String)? {
        switch end {
        case .operatorHangUp, .shutdown, .initialContact, .policyForbids, .clearEnded: return nil
        case .peerUnresponsive: return (.clientSilent, "")
        case .link(let reason): return failure(reason, at: progress)
        case .tunnel(let reason):
            switch reason {
            case .stoppedByPeer(let result), .disconnectedByPeer(let result):
                return (.callClosedByClient, "\(result)")
            case .unanswered: return (.clientSilent, "")
            case .peerEnded: return (.clientHungUp, "it deleted its IPsec SAs")
            case .protocolError(let fault): return (.protocolViolated, fault)
            case .closedByUs, .notSetUpInTime, .withoutSessions, .replaced, .authenticationFailed: return nil
            }
        }
    }

    private static func failure(_ end: PPPEndReason, at progress: PPPProgress) -> (FailureReason, detail: String)? {
        switch end {
        case .userHangUp: (.clientHungUp, "")
        case .authenticationTimedOut: (.authenticationUnanswered, "")
        case .peerSilent: (.clientSilent, "")
        case .negotiationTimedOut: (progress == .network ? .addressNotConverging : .linkUnanswered, "")
        case .protocolFailure(let fault): (failure(fault, at: progress), "\(fault)")
        // Told with the verdict about the user, or the gateway's own doing.
        case .authenticationFailed, .noAddress, .limitReached, .operatorHangUp, .shutdown, .replaced, .carrierLost: nil
        }
    }

    private static func failure(_ fault: PPPProtocolFailure, at progress: PPPProgress) -> FailureReason {
        switch fault {
        case .noCommonAuthentication: .noCommonAuthentication
        case .loopback: .linkLoopedBack
        case .negotiationDiverges, .renegotiationLoop, .codeRejected:
            progress == .network ? .addressNotConverging : .linkNotConverging
        case .addressRefused: .addressRefused
        case .networkRefused: .networkRefused
        case .protocolRejected:
            switch progress {
            case .link: .linkNotConverging
            case .authentication: .noCommonAuthentication
            case .network: .networkRefused
            }
        case .userChanged: .protocolViolated
        }
    }
}

extension FailureStep {
    /// PPP's step.
    init(_ progress: PPPProgress) {
        switch progress {
        case .link: self = .link
        case .authentication: self = .userAuthentication
        case .network: self = .address
        }
    }
}
