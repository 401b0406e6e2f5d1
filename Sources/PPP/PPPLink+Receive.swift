import Cryptography
import Wire

extension PPPLink {
    /// Takes a frame as it came in L2TP: with or without address and control, with one or two bytes of protocol.
    public mutating func receive(_ frame: RawSpan, now: Instant, using generator: inout some RandomNumberGenerator) {
        do throws(PPPDropError) {
            guard phase != .dead else { throw PPPDropError(.wrongPhase) }
            let frame = try Frame(frame)
            switch frame.protocolNumber {
            case PPPProtocol.lcp: try receiveLCP(frame, now: now, using: &generator)
            case PPPProtocol.pap, PPPProtocol.chap: try receiveAuthentication(frame, now: now)
            case PPPProtocol.ipcp: try receiveIPCP(frame, now: now, using: &generator)
            case PPPProtocol.ipv4: throw PPPDropError(.dataFrame)
            default: try receiveOther(frame, now: now)
            }
        } catch {
            drops.count(error.reason)
        }
    }

    // MARK: LCP

    private mutating func receiveLCP(
        _ frame: Frame, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(PPPDropError) {
        let packet = try ControlPacket(parsing: frame.information)
        guard phase != .ended else { return try receiveAfterEnd(packet) }
        let rule = MessageRule.find(packet.code, in: MessageRule.lcp)
        guard packet.body.count >= rule?.bodyMinimum ?? 0 else { throw PPPDropError(.malformedPacket) }
        if rule == nil, !mayReject(now: now) { return }
        switch packet.code {
        case Code.protocolReject: try receiveProtocolReject(packet, now: now)
        case Code.echoRequest, Code.echoReply, Code.discardRequest, Code.identification, Code.timeRemaining:
            try receiveMaintenance(packet, now: now)
        case Code.codeReject where packet.body[0] == Code.echoRequest:
            // The peer cannot be asked whether it is there; L2TP's HELLO still does.
            echo.stop()
            throw PPPDropError(.refusalNoted)
        default:
            var output = ControlOutput()
            lcp.receive(
                packet, random: UInt32.random(in: 0...UInt32.max, using: &generator),
                rejectSizeMaximum: rejectSizeMaximum, now: now, output: &output)
            carryOut(lcp: output, now: now, using: &generator)
            if packet.code == Code.terminateRequest { peerHungUp() }
        }
        echo.noteLife(now: now)
    }

    /// The peer ends the link. Our Terminate-Ack is on its way; there is nothing to wait for (RFC 1661 section 3.7 lets
    /// the line be cut then).
    private mutating func peerHungUp() {
        if case .refused = phase { return finish(.authenticationFailed(user: authenticator?.user ?? "")) }
        finish(.userHangUp)
    }

    /// A peer that missed our Terminate-Ack gets it again; nothing else brings an ended link back to life.
    private mutating func receiveAfterEnd(_ packet: ControlPacket) throws(PPPDropError) {
        guard packet.code == Code.terminateRequest else { throw PPPDropError(.ended) }
        send(ControlPacket(code: Code.terminateAck, identifier: packet.identifier), protocolNumber: PPPProtocol.lcp)
    }

    /// Echo, Discard, Identification, Time-Remaining: RFC 1661 sections 5.8 and 5.9, RFC 1570 section 2.
    private mutating func receiveMaintenance(_ packet: ControlPacket, now: Instant) throws(PPPDropError) {
        let magicNumber = packet.body.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        // Identification may come before LCP is open, and its magic number means nothing then.
        if packet.code == Code.identification || packet.code == Code.timeRemaining { return }
        guard lcp.state == .opened else { throw PPPDropError(.wrongPhase) }
        guard magicNumber == 0 || magicNumber != lcp.options.magicNumber else { throw PPPDropError(.loopedBack) }
        switch packet.code {
        case Code.echoRequest:
            let data = packet.body.dropFirst(4).prefix(rejectSizeMaximum)
            send(
                ControlPacket(
                    code: Code.echoReply, identifier: packet.identifier,
                    body: IPv4Address(lcp.options.magicNumber).octets + data),
                protocolNumber: PPPProtocol.lcp)
        case Code.echoReply:
            guard echo.expects(packet.identifier) else { throw PPPDropError(.unexpectedEchoReply) }
        default: break
        }
    }

    /// RFC 1661 section 5.7: only in an open link; the peer will not hear of that protocol again.
    private mutating func receiveProtocolReject(_ packet: ControlPacket, now: Instant) throws(PPPDropError) {
        guard lcp.state == .opened else { throw PPPDropError(.wrongPhase) }
        let number = UInt16(packet.body[0]) << 8 | UInt16(packet.body[1])
        switch number {
        case PPPProtocol.lcp:
            end(.protocolFailure(.protocolRejected(number)), now: now)
            // Nobody is there who would understand a Terminate-Request.
            finish(.protocolFailure(.protocolRejected(number)))
        case PPPProtocol.ipcp where phase == .network:
            end(.protocolFailure(.protocolRejected(number)), now: now)
        case authenticator?.method.protocolNumber where phase == .authenticate:
            end(.protocolFailure(.protocolRejected(number)), now: now)
        default:
            throw PPPDropError(.refusalNoted)
        }
    }

    // MARK: Authentication

    private mutating func receiveAuthentication(_ frame: Frame, now: Instant) throws(PPPDropError) {
        guard phase != .ended else { throw PPPDropError(.ended) }
        guard let method = authenticator?.method else { throw PPPDropError(.wrongPhase) }
        guard frame.protocolNumber == method.protocolNumber else {
            throw PPPDropError(.otherAuthenticationProtocol)
        }
        guard !awaitsStaleAnswer else { throw PPPDropError(.repeatedAttempt) }
        let packet = try ControlPacket(parsing: frame.information)
        guard let reaction = try authenticator?.receive(packet) else { return }
        switch reaction {
        case .ask(let user, let proof):
            // Who is in once stays who he is: his address and his rights hang on it.
            guard acceptedUser == nil || acceptedUser == user else {
                return end(.protocolFailure(.userChanged), now: now)
            }
            emit(.authenticate(user: user, proof: proof))
        case .send(let reply): send(reply, protocolNumber: frame.protocolNumber)
        }
        echo.noteLife(now: now)
    }

    // MARK: Network

    private mutating func receiveIPCP(
        _ frame: Frame, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(PPPDropError) {
        guard phase != .ended else { throw PPPDropError(.ended) }
        guard phase == .network, var negotiation = ipcp else { throw PPPDropError(.wrongPhase) }
        let packet = try ControlPacket(parsing: frame.information)
        let rule = MessageRule.find(packet.code, in: MessageRule.network)
        guard packet.body.count >= rule?.bodyMinimum ?? 0 else { throw PPPDropError(.malformedPacket) }
        if rule == nil, !mayReject(now: now) { return }
        isSuccessUnconfirmed = false
        let wasOpen = negotiation.state == .opened
        var output = ControlOutput()
        negotiation.receive(
            packet, random: UInt32.random(in: 0...UInt32.max, using: &generator),
            rejectSizeMaximum: rejectSizeMaximum, now: now, output: &output)
        ipcp = negotiation
        carryOut(ipcp: output, now: now)
        // IPCP is all that this link carries: without it there is nothing left to wait for.
        if packet.code == Code.terminateRequest {
            end(wasOpen ? .userHangUp : .protocolFailure(.networkRefused), now: now)
        }
        echo.noteLife(now: now)
    }

    /// A protocol that we don't speak: rejected in an open network phase (RFC 1661 section 5.7), discarded before
    /// (sections 3.4 and 3.5). IPV6CP, CCP and ECP come here, beside IPCP and without touching it.
    private mutating func receiveOther(_ frame: Frame, now: Instant) throws(PPPDropError) {
        guard phase != .ended else { throw PPPDropError(.ended) }
        guard phase == .network else { throw PPPDropError(.wrongPhase) }
        isSuccessUnconfirmed = false
        echo.noteLife(now: now)
        guard mayReject(now: now) else { return }
        let number = frame.protocolNumber
        let body = [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] + frame.information
        send(
            ControlPacket(
                code: Code.protocolReject, identifier: lcp.nextIdentifier(),
                body: Array(body.prefix(rejectSizeMaximum))),
            protocolNumber: PPPProtocol.lcp)
    }

    /// What fits behind the header of a packet to the peer: its MRU is the size of the information field.
    private var rejectSizeMaximum: Int { max(0, Int(lcp.options.peer.mruBytes) - ControlPacket.headerBytes) }
}
