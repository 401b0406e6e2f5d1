import Wire

/// One tunnel, in a slot of the server.
struct Tunnel: Sendable {
    enum State: Sendable {
        /// The slot has no tunnel.
        case vacant
        /// SCCRP is sent, SCCCN expected, until `deadline`; wait-ctl-conn in RFC 2661, 7.2.1.
        case halfOpen(challenge: [UInt8]?, deadline: Instant)
        case established
        /// We sent StopCCN, and wait for its acknowledgement. Nobody is told of this tunnel any more.
        case closing
        /// The client sent StopCCN; remembered only to acknowledge it again (5.7).
        case lingering(until: Instant)
    }

    var state: State
    let id: L2TPTunnelID
    var port: UInt16
    let remoteID: UInt16
    let hostName: String
    let vendorName: String
    /// Which SCCRQ the tunnel came from, to know it again.
    let requestDigest: UInt64
    var since: Instant
    var lastHeard: Instant
    var channel: ReliableChannel
    /// Few: a list is smaller than a table, and found through as fast.
    var sessions: [Session] = []
    /// The sessions being set up, the earliest deadline first; may name ones that are gone.
    var setupDeadlines: [(deadline: Instant, session: UInt16)] = []
    /// Since when an established tunnel has no session.
    var emptySince: Instant?
    /// Whether the slot stands in the queue of those that have something to send.
    var isQueued = false

    /// Whether the tunnel is established or on the way there: what limits count and operators see.
    var isLive: Bool {
        switch state {
        case .halfOpen, .established: true
        case .vacant, .closing, .lingering: false
        }
    }

    var isHalfOpen: Bool { if case .halfOpen = state { true } else { false } }

    var isEstablished: Bool { if case .established = state { true } else { false } }

    var isEnding: Bool {
        switch state {
        case .closing, .lingering: true
        case .vacant, .halfOpen, .established: false
        }
    }

    var isVacant: Bool { if case .vacant = state { true } else { false } }

    var peer: L2TPPeer { L2TPPeer(id: id.peer, port: port) }

    /// When something is to be done for this tunnel.
    func deadline(_ configuration: L2TPConfiguration) -> Instant? {
        var deadline = channel.deadline
        switch state {
        case .vacant: return nil
        case .closing: break
        case .lingering(let until): deadline = earliest(deadline, until)
        case .halfOpen(_, let until): deadline = earliest(deadline, until)
        case .established:
            if channel.isIdle { deadline = earliest(deadline, helloDeadline(configuration)) }
            if let emptySince { deadline = earliest(deadline, emptySince + configuration.emptyTunnelDuration) }
            deadline = earliest(deadline, setupDeadlines.first?.deadline)
        }
        return deadline
    }

    /// RFC 2661, 5.5: a HELLO follows a time in which nothing came.
    func helloDeadline(_ configuration: L2TPConfiguration) -> Instant {
        lastHeard + max(configuration.helloInterval, .seconds(1))
    }

    /// What an operator sees.
    var summary: L2TPTunnel {
        L2TPTunnel(
            id: id, peer: peer, peerTunnelID: remoteID, hostName: hostName, vendorName: vendorName,
            isEstablished: isEstablished, since: since, lastHeard: lastHeard, sessionCount: sessions.count)
    }

    /// Where the session `id` stands in the list.
    func position(_ id: UInt16) -> Int? { sessions.firstIndex { $0.id == id } }

    /// The session `id`.
    func session(_ id: UInt16) -> Session? { position(id).map { sessions[$0] } }

    /// Forgets that the session `id` must be set up in time.
    mutating func endSetup(of id: UInt16) {
        setupDeadlines.removeAll { $0.session == id }
        if setupDeadlines.isEmpty { setupDeadlines = [] }
    }

    /// The session `id`, if it is established.
    func establishedSession(_ id: UInt16) -> L2TPSession? {
        guard let session = session(id), case .established(let call, let since) = session.state else { return nil }
        return L2TPSession(
            id: L2TPSessionID(tunnel: self.id, value: id), peer: peer, peerTunnelID: remoteID,
            peerSessionID: session.remoteID, requiresSequencing: call.requiresSequencing,
            callSerialNumber: session.serialNumber, callingNumber: session.callingNumber,
            calledNumber: session.calledNumber, framingType: call.framingType,
            txSpeedBitsPerSecond: call.txSpeed, rxSpeedBitsPerSecond: call.rxSpeed, since: since)
    }
}

/// One incoming call (RFC 2661, 7.4.2).
struct Session: Sendable {
    /// What ICCN says.
    struct Call: Sendable {
        var requiresSequencing: Bool
        var framingType: UInt32
        var txSpeed: UInt32
        var rxSpeed: UInt32
    }
    enum State: Sendable {
        /// ICRP is sent, ICCN expected.
        case waitingForConnected
        case established(Call, since: Instant)
    }

    /// The Session ID that we assigned.
    let id: UInt16
    var state: State
    /// The Session ID that the client assigned.
    let remoteID: UInt16
    let serialNumber: UInt32
    let callingNumber: String
    let calledNumber: String

    var isEstablished: Bool { if case .established = state { true } else { false } }
}
