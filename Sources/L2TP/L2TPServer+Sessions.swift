import Wire

extension L2TPServer {
    /// Does what a message about a session says, in an established tunnel.
    mutating func handle(
        _ type: MessageType, _ message: ControlMessage, session id: UInt16, in slot: Int, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        switch type {
        case .icrq: return incomingCall(message, in: slot, now: now, using: &generator)
        case .ocrq:
            // Outgoing calls need a line to call on, and we have none.
            let result = L2TPResult.disconnect(.noFacilitiesEver, error: L2TPErrorCode.none, "no outgoing calls")
            return refuseCall(message, result, in: slot, now: now, using: &generator)
        case .cdn: return disconnected(message, session: id, in: slot, now: now)
        default: break
        }
        guard let session = slots[slot].session(id) else { return count(.unknownSession) }
        if let fault = message.fault, !isHarmless(fault, in: type) {
            let answer = fault.answer
            let result = L2TPResult.disconnect(.generalError, error: answer.error, answer.text)
            return disconnect(id, in: slot, result: result, reason: .protocolError(answer.text), now: now)
        }
        switch (type, session.state) {
        case (.iccn, .waitingForConnected): connected(id, message, in: slot, now: now)
        // Line errors and the character map of a line that is not ours.
        case (.wen, _), (.sli, _): break
        default:
            let text = "message type \(type.rawValue) in the wrong state"
            let result = L2TPResult.disconnect(.generalError, error: .vendorSpecific, text)
            disconnect(id, in: slot, result: result, reason: .protocolError(text), now: now)
        }
    }

    /// What WEN and SLI say of the line is nothing to us, so a mistake in it is no reason to hang up.
    private func isHarmless(_ fault: MessageFault, in type: MessageType) -> Bool {
        guard type == .wen || type == .sli else { return false }
        switch fault {
        case .malformedAVP, .missingAVP, .badValue: return true
        case .brokenAVP, .noMessageType, .unknownMandatoryMessage, .unknownMandatoryAVP: return false
        }
    }

    /// ICRQ: idle to wait-connect (RFC 2661, 7.4.2).
    private mutating func incomingCall(
        _ message: ControlMessage, in slot: Int, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let remoteID = message.uint16(.assignedSessionID) ?? 0
        if let fault = message.fault ?? (remoteID == 0 ? .badValue(.assignedSessionID) : nil) {
            let result = L2TPResult.disconnect(.generalError, error: fault.answer.error, fault.answer.text)
            return refuseCall(message, result, in: slot, now: now, using: &generator)
        }
        guard !slots[slot].sessions.contains(where: { $0.remoteID == remoteID }) else {
            let result = L2TPResult.disconnect(.generalError, error: .badSession, "Session ID in use")
            return refuseCall(message, result, in: slot, now: now, using: &generator)
        }
        guard slots[slot].sessions.count < configuration.sessionsPerTunnelMaximum,
            let id = newSessionID(in: slot, using: &generator)
        else {
            let result = L2TPResult.disconnect(.noFacilities, error: .noResources, "too many sessions")
            return refuseCall(message, result, in: slot, now: now, using: &generator)
        }
        slots[slot].sessions.append(
            Session(
                id: id, state: .waitingForConnected, remoteID: remoteID,
                serialNumber: message.uint32(.callSerialNumber) ?? 0, callingNumber: message.text(.callingNumber),
                calledNumber: message.text(.calledNumber)))
        slots[slot].setupDeadlines.append((now + configuration.setupDuration, id))
        slots[slot].emptySince = nil
        sessionCount += 1
        slots[slot].channel.send(Reply.icrp(sessionID: id), sessionID: remoteID, now: now)
    }

    /// ICCN: wait-connect to established (7.4.2).
    private mutating func connected(_ id: UInt16, _ message: ControlMessage, in slot: Int, now: Instant) {
        let txSpeed = message.uint32(.txConnectSpeed) ?? 0
        let call = Session.Call(
            requiresSequencing: message[.sequencingRequired] != nil, framingType: message.uint32(.framingType) ?? 0,
            txSpeed: txSpeed, rxSpeed: message.uint32(.rxConnectSpeed) ?? txSpeed)
        if let position = slots[slot].position(id) {
            slots[slot].sessions[position].state = .established(call, since: now)
        }
        slots[slot].endSetup(of: id)
        if let session = slots[slot].establishedSession(id) { events.append(.sessionEstablished(session)) }
    }

    /// CDN: whatever else is wrong with it, the client has hung up.
    private mutating func disconnected(_ message: ControlMessage, session id: UInt16, in slot: Int, now: Instant) {
        // 3.1: a client that has not had our Session ID yet writes 0, and names the session by its own.
        let remoteID = message.uint16(.assignedSessionID)
        let named = id != 0 ? id : slots[slot].sessions.first { $0.remoteID == remoteID }?.id
        guard let named, slots[slot].position(named) != nil else { return count(.unknownSession) }
        removeSession(named, from: slot, reason: .disconnectedByPeer(message.result(.session)))
        if slots[slot].sessions.isEmpty { slots[slot].emptySince = now }
    }

    private mutating func refuseCall(
        _ message: ControlMessage, _ result: L2TPResult, in slot: Int, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        count(.callRefused)
        events.append(.callRefused(slots[slot].id, result))
        // A CDN must name a Session ID of ours; this one leads nowhere.
        let unused = newSessionID(in: slot, using: &generator) ?? .max
        slots[slot].channel.send(
            Reply.cdn(result, sessionID: unused), sessionID: message.uint16(.assignedSessionID) ?? 0,
            isIdempotent: true, now: now)
    }

    /// Ends a session with CDN.
    mutating func disconnect(
        _ id: UInt16, in slot: Int, result: L2TPResult, reason: L2TPEndReason, now: Instant
    ) {
        guard let session = slots[slot].session(id) else { return }
        slots[slot].channel.send(
            Reply.cdn(result, sessionID: id), sessionID: session.remoteID, isIdempotent: true, now: now)
        removeSession(id, from: slot, reason: reason)
        if slots[slot].sessions.isEmpty { slots[slot].emptySince = now }
    }

    /// Forgets a session and tells of its end.
    mutating func removeSession(_ id: UInt16, from slot: Int, reason: L2TPEndReason) {
        guard let position = slots[slot].position(id) else { return }
        let session = slots[slot].sessions.remove(at: position)
        slots[slot].endSetup(of: id)
        sessionCount -= 1
        let name = L2TPSessionID(tunnel: slots[slot].id, value: id)
        events.append(session.isEstablished ? .sessionEnded(name, reason) : .sessionFailed(name, reason))
    }

    /// A random Session ID that no session of the peer has.
    private func newSessionID(in slot: Int, using generator: inout some RandomNumberGenerator) -> UInt16? {
        let used = sessions(of: slots[slot].id.peer).map(\.value)
        let start = UInt16.random(in: 1...UInt16.max, using: &generator)
        var candidate = start
        repeat {
            if candidate != 0, !used.contains(candidate) { return candidate }
            candidate &+= 1
        } while candidate != start
        return nil
    }
}
