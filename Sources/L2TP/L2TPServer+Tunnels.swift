import Cryptography
import Wire

extension L2TPServer {
    /// Takes a control message (T bit set) that came out of ESP, UDP header off.
    public mutating func receive(
        _ message: RawSpan, from peer: L2TPPeer, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard message.byteCount <= configuration.messageByteCountMaximum else { return count(.tooLong) }
        var reader = ByteReader(message)
        let header: ControlHeader
        do {
            header = try ControlHeader.parse(&reader)
        } catch {
            count(error)
            return
        }
        let body = reader.readRest()
        guard header.tunnelID != 0 else {
            return receiveWithoutTunnel(header, body, from: peer, now: now, using: &generator)
        }
        guard let slot = slotByID[L2TPTunnelID(peer: peer.id, value: header.tunnelID)] else {
            count(tunnelIDUse[Int(header.tunnelID)] > 0 ? .tunnelOfAnotherPeer : .unknownTunnel)
            return
        }
        receive(header, body, in: slot, from: peer, now: now, using: &generator)
    }

    // MARK: Without a tunnel

    /// A message with Tunnel ID 0: a SCCRQ, or the StopCCN of a client that has not had our SCCRP yet.
    private mutating func receiveWithoutTunnel(
        _ header: ControlHeader, _ body: RawSpan, from peer: L2TPPeer, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard body.byteCount > 0 else { return count(.withoutTunnel) }
        let bytes = [UInt8](copying: body)
        let message = ControlMessage(bytes, secret: configuration.secret)
        let remoteID = message.uint16(.assignedTunnelID) ?? 0
        switch message.type {
        case .sccrq:
            count(.ignoredAVP, times: message.ignoredCount)
            guard header.ns == .zero else { return count(.outsideWindow) }
            if let result = refusal(of: message) { return refuse(message, remoteID, result, peer, using: &generator) }
            request(message, header, body, digest: digest(bytes), from: peer, now: now, using: &generator)
        case .stopCCN:
            let halfOpen = peers[peer.id]?.slots.first { slots[$0].isHalfOpen && slots[$0].remoteID == remoteID }
            guard let halfOpen else { return count(.withoutTunnel) }
            receive(header, body, in: halfOpen, from: peer, now: now, using: &generator)
        default: count(.withoutTunnel)
        }
    }

    /// Why a SCCRQ must be refused, if it must.
    private func refusal(of request: ControlMessage) -> L2TPResult? {
        if let version = request.uint16(.protocolVersion), version >> 8 != Reply.protocolVersion >> 8 {
            // 4.4.2: "Error Code indicates highest version supported".
            return L2TPResult(
                scope: .tunnel, code: L2TPStopCode.unsupportedVersion.rawValue,
                errorCode: Reply.protocolVersion, message: "")
        }
        if let fault = request.fault { return .stop(.generalError, error: fault.answer.error, fault.answer.text) }
        if request.uint16(.assignedTunnelID) == 0 {
            let answer = MessageFault.badValue(.assignedTunnelID).answer
            return .stop(.generalError, error: answer.error, answer.text)
        }
        if request[.challenge] != nil, configuration.secret == nil {
            return .stop(.notAuthorized, error: L2TPErrorCode.none, "no secret is shared")
        }
        return nil
    }

    private mutating func refuse(
        _ request: ControlMessage, _ remoteID: UInt16, _ result: L2TPResult, _ peer: L2TPPeer,
        using generator: inout some RandomNumberGenerator
    ) {
        count(.requestRefused)
        guard refusals.count < configuration.refusalsQueuedMaximum else { return count(.tooManyRefusals) }
        // A StopCCN must name a Tunnel ID of ours. This one leads nowhere: there is nothing to acknowledge to.
        let unused = newTunnelID(of: peer.id, using: &generator)?.value ?? .max
        refusals.append(Refusal(peer: peer, tunnelID: remoteID, body: Reply.stopCCN(result, tunnelID: unused)))
        events.append(.tunnelRefused(peer, hostName: request.text(.hostName), result))
    }

    /// A SCCRQ that is right in itself: perhaps one that we know, else a new tunnel.
    private mutating func request(
        _ message: ControlMessage, _ header: ControlHeader, _ body: RawSpan, digest: UInt64, from peer: L2TPPeer,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let remoteID = message.uint16(.assignedTunnelID) ?? 0
        for slot in peers[peer.id]?.slots ?? [] where slots[slot].isLive && slots[slot].remoteID == remoteID {
            let isSame = slots[slot].requestDigest == digest
            if slots[slot].isHalfOpen, isSame {
                // The client has not had our SCCRP: the channel acknowledges again, and sends it again.
                receive(header, body, in: slot, from: peer, now: now, using: &generator)
                slots[slot].channel.retransmitAtOnce(now: now)
                return settle(slot)
            }
            guard slots[slot].port == peer.port else { continue }
            // A copy that was overtaken by the rest of the setup. A client that did restart will ask again.
            if slots[slot].isEstablished, isSame, now.since(slots[slot].since) < configuration.lateRequestDuration {
                return count(.lateRequest)
            }
            // The same client under the same Tunnel ID: it has forgotten the old tunnel. A StopCCN would reach the new.
            end(slot, reason: .replaced)
            vacate(slot)
        }
        makeRoom(for: peer.id)
        let live = (peers[peer.id]?.slots ?? []).count { slots[$0].isLive }
        guard live < configuration.tunnelsPerPeerMaximum, slotByID.count < configuration.tunnelsMaximum,
            let id = newTunnelID(of: peer.id, using: &generator)
        else {
            let result = L2TPResult.stop(.generalError, error: .noResources, "too many tunnels")
            return refuse(message, remoteID, result, peer, using: &generator)
        }
        open(id, message, header, body, digest: digest, from: peer, now: now, using: &generator)
    }

    /// Lets the oldest unfinished tunnel of a peer go where there are too many: a client that vanishes in the middle of
    /// its setup and dials again must get in at once, and a flood takes nothing from other peers.
    private mutating func makeRoom(for peer: UInt64) {
        let halfOpen = (peers[peer]?.slots ?? []).filter { slots[$0].isHalfOpen }
        guard halfOpen.count >= max(configuration.halfOpenTunnelsPerPeerMaximum, 1), let oldest = halfOpen.first else {
            return
        }
        count(.tooManyHalfOpenTunnels)
        end(oldest, reason: .replaced)
        vacate(oldest)
    }

    /// Answers a SCCRQ with SCCRP: idle to wait-ctl-conn (7.2.1).
    private mutating func open(
        _ id: L2TPTunnelID, _ message: ControlMessage, _ header: ControlHeader, _ body: RawSpan, digest: UInt64,
        from peer: L2TPPeer, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        // 4.4.3: without a Receive Window Size the window is 4.
        var channel = ReliableChannel(
            timing: timing, peerWindow: message.uint16(.receiveWindowSize) ?? 4,
            receiveWindow: configuration.receiveWindow)
        _ = channel.receive(header, body: body, now: now)
        _ = channel.takeMessage(now: now)
        var challenge: [UInt8]?
        var response: [UInt8]?
        if let secret = configuration.secret {
            challenge = (0..<TunnelSecret.challengeByteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
            response = message[.challenge].map { TunnelSecret.response(in: .sccrp, secret: secret, challenge: $0) }
        }
        let reply = Reply.sccrp(configuration, tunnelID: id.value, challenge: challenge, response: response)
        channel.send(reply, sessionID: 0, now: now)
        let tunnel = Tunnel(
            state: .halfOpen(challenge: challenge, deadline: now + configuration.setupDuration), id: id,
            port: peer.port, remoteID: message.uint16(.assignedTunnelID) ?? 0, hostName: message.text(.hostName),
            vendorName: message.text(.vendorName), requestDigest: digest, since: now, lastHeard: now, channel: channel)
        settle(occupy(with: tunnel))
    }

    /// FNV-1a: enough to know a repetition again, and the same in every process.
    private func digest(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }

    // MARK: In a tunnel

    private mutating func receive(
        _ header: ControlHeader, _ body: RawSpan, in slot: Int, from peer: L2TPPeer, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        slots[slot].lastHeard = max(slots[slot].lastHeard, now)
        if slots[slot].port != peer.port {
            // The SA says that it is the same client; where it speaks from is where it wants its answers.
            slots[slot].port = peer.port
            if slots[slot].isLive { events.append(.tunnelMoved(slots[slot].id, port: peer.port)) }
        }
        if slots[slot].channel.acknowledgesUnsent(header.nr) { count(.acknowledgesUnsent) }
        switch slots[slot].channel.receive(header, body: body, now: now) {
        case .acknowledgement, .heldBack: break
        case .duplicate: count(.duplicate)
        case .outsideWindow: count(.outsideWindow)
        case .accepted:
            while !slots[slot].isVacant, let message = slots[slot].channel.takeMessage(now: now) {
                handle(message, in: slot, now: now, using: &generator)
            }
        }
        if case .closing = slots[slot].state, slots[slot].channel.isIdle { vacate(slot) }
        if slots[slot].channel.pendingCount > configuration.sendQueueMaximum {
            // A client that asks and asks, and acknowledges nothing.
            if slots[slot].isLive { end(slot, reason: .unanswered) }
            vacate(slot)
        }
        settle(slot)
    }

    /// Does what one message says, in its turn.
    private mutating func handle(
        _ incoming: ReliableChannel.Incoming, in slot: Int, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        let message = ControlMessage(incoming.body, secret: configuration.secret)
        count(.ignoredAVP, times: message.ignoredCount)
        if message.type == .stopCCN { return stopped(slot, by: message, now: now) }
        guard slots[slot].isLive else { return count(.tunnelEnding) }
        guard let type = message.type else {
            guard let fault = message.fault else { return count(.unknownOptionalMessage) }
            return fail(slot, fault, now: now)
        }
        guard !type.isAboutSession else {
            guard slots[slot].isEstablished else { return failState(slot, type, now: now) }
            return handle(type, message, session: incoming.sessionID, in: slot, now: now, using: &generator)
        }
        if let fault = message.fault { return fail(slot, fault, now: now) }
        switch (type, slots[slot].state) {
        case (.hello, _): break
        case (.scccn, .halfOpen(let challenge, _)): connected(slot, message, challenge: challenge, now: now)
        // A second SCCRQ on a tunnel, a SCCRP to an LNS, a second SCCCN (7.2.1: send StopCCN, clean up).
        default: failState(slot, type, now: now)
        }
    }

    /// SCCCN: wait-ctl-conn to established (7.2.1).
    private mutating func connected(_ slot: Int, _ message: ControlMessage, challenge: [UInt8]?, now: Instant) {
        if let challenge, let secret = configuration.secret {
            guard let response = message[.challengeResponse],
                TunnelSecret.verify(response, in: .scccn, secret: secret, challenge: challenge)
            else {
                let result = L2TPResult.stop(.notAuthorized, error: L2TPErrorCode.none, "wrong challenge response")
                return stop(slot, result: result, reason: .authenticationFailed, now: now)
            }
        }
        slots[slot].state = .established
        slots[slot].since = now
        slots[slot].emptySince = now
        events.append(.tunnelEstablished(slots[slot].summary))
        // A client that dials anew from the same port most likely lost its older tunnel: ask that one at once.
        for other in peers[slots[slot].id.peer]?.slots ?? [] where other != slot {
            guard slots[other].port == slots[slot].port else { continue }
            probe(other, now: now)
        }
    }

    /// Asks whether an established tunnel still lives: without an answer it ends within seconds.
    mutating func probe(_ slot: Int, now: Instant) {
        guard slots[slot].isEstablished else { return }
        slots[slot].channel.sendProbe(
            Reply.hello, retransmissionsMaximum: configuration.probeRetransmissionsMaximum, now: now)
        settle(slot)
    }

    /// The client's StopCCN: everything in the tunnel is over, and only its acknowledgement is left to say (5.7).
    private mutating func stopped(_ slot: Int, by message: ControlMessage, now: Instant) {
        if slots[slot].isLive { end(slot, reason: .stoppedByPeer(message.result(.tunnel))) }
        slots[slot].state = .lingering(until: now + configuration.lingerDuration)
        slots[slot].channel.sendNothingMore()
        slots[slot].channel.acknowledgeAtOnce()
        forgetOldestEnded(besides: slot)
    }

    private mutating func fail(_ slot: Int, _ fault: MessageFault, now: Instant) {
        let answer = fault.answer
        stop(
            slot, result: .stop(.generalError, error: answer.error, answer.text), reason: .protocolError(answer.text),
            now: now)
    }

    private mutating func failState(_ slot: Int, _ type: MessageType, now: Instant) {
        let text = "message type \(type.rawValue) in the wrong state"
        stop(
            slot, result: .stop(.stateMachineError, error: L2TPErrorCode.none, text), reason: .protocolError(text),
            now: now)
    }

    // MARK: Ends

    /// Ends a live tunnel with StopCCN.
    mutating func stop(_ slot: Int, result: L2TPResult, reason: L2TPEndReason, now: Instant) {
        end(slot, reason: reason)
        slots[slot].state = .closing
        let message = Reply.stopCCN(result, tunnelID: slots[slot].id.value)
        slots[slot].channel.send(message, sessionID: 0, isIdempotent: true, now: now)
        slots[slot].channel.hurry(now: now)
        forgetOldestEnded(besides: slot)
    }

    /// Tells of the end of a live tunnel and of its sessions. The caller says what becomes of the slot.
    mutating func end(_ slot: Int, reason: L2TPEndReason) {
        for session in slots[slot].sessions.map(\.id).sorted() { removeSession(session, from: slot, reason: reason) }
        slots[slot].setupDeadlines = []
        slots[slot].emptySince = nil
        tunnelCount -= 1
        events.append(.tunnelEnded(slots[slot].id, reason))
    }

    mutating func forget(_ peer: UInt64, reason: L2TPEndReason) {
        for slot in peers[peer]?.slots ?? [] {
            if slots[slot].isLive { end(slot, reason: reason) }
            vacate(slot)
        }
    }

    /// Keeps a client that makes and ends tunnels in a loop from filling the memory for the time that each lingers.
    private mutating func forgetOldestEnded(besides slot: Int) {
        let others = (peers[slots[slot].id.peer]?.slots ?? []).filter { $0 != slot && slots[$0].isEnding }
        if others.count >= max(configuration.endedTunnelsPerPeerMaximum, 1), let oldest = others.first {
            vacate(oldest)
        }
    }

    // MARK: Time

    /// Does what is due for one tunnel.
    mutating func expire(_ slot: Int, now: Instant) {
        if slots[slot].channel.handleTimeout(now: now, lastHeard: slots[slot].lastHeard) == .expired {
            // 5.8: the tunnel is dead, with all sessions in it.
            if slots[slot].isLive { end(slot, reason: .unanswered) }
            return vacate(slot)
        }
        switch slots[slot].state {
        case .vacant, .closing: break
        case .lingering(let until): if until <= now { vacate(slot) }
        case .halfOpen(_, let deadline):
            guard deadline <= now else { return }
            stop(
                slot, result: .stop(.clear, error: L2TPErrorCode.none, "not set up in time"), reason: .notSetUpInTime,
                now: now)
        case .established: expireEstablished(slot, now: now)
        }
    }

    private mutating func expireEstablished(_ slot: Int, now: Instant) {
        while let first = slots[slot].setupDeadlines.first, first.deadline <= now {
            slots[slot].setupDeadlines.removeFirst()
            guard let session = slots[slot].session(first.session), !session.isEstablished else { continue }
            disconnect(first.session, in: slot, result: .disconnect(.notInTime), reason: .notSetUpInTime, now: now)
        }
        if let since = slots[slot].emptySince, since + configuration.emptyTunnelDuration <= now {
            return stop(slot, result: .stop(.clear), reason: .withoutSessions, now: now)
        }
        if slots[slot].channel.isIdle, slots[slot].helloDeadline(configuration) <= now {
            slots[slot].channel.sendProbe(
                Reply.hello, retransmissionsMaximum: configuration.retransmissionsMaximum, now: now)
        }
    }
}
