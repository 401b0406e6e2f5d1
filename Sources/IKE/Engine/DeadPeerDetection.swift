import Wire

// Dead peer detection as the one who asks (RFC 3706 section 5.5); answering is part of the Informational exchange.
extension IKEEngine {
    /// Tells that something authentic came from a peer. The gateway may tell it of ESP traffic, which spares the questions.
    public mutating func noteAlive(_ peer: PeerID, now: Instant) {
        let noted = peers.change(peer) { known in
            defer { (known.lastHeard, known.unanswered) = (now, 0) }
            return (path: known.path, isAwaited: known.unanswered > 0)
        }
        guard let (path, isAwaited) = noted, let detection = policy(for: path).deadPeerDetection else { return }
        if isAwaited || !deadlines.contains(.deadPeer(peer)) {
            deadlines.set(.deadPeer(peer), now + detection.interval)
        }
    }

    /// The time since a peer was heard of, or since it was asked, is over.
    mutating func deadPeerIsDue(
        _ peer: PeerID, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let known = peers[peer], let detection = policy(for: known.path).deadPeerDetection else { return }
        if known.unanswered == 0, let heard = known.lastHeard, heard + detection.interval > now {
            return deadlines.set(.deadPeer(peer), heard + detection.interval)
        }
        guard known.unanswered < detection.attempts else { return emit(.peerUnresponsive(peer)) }
        // Who has not said that it answers is not asked (section 5.1).
        guard let cookie = known.associations.last, let association = associations[cookie],
            association.capabilities.contains(.deadPeerDetection), let established = association.established
        else { return deadlines.set(.deadPeer(peer), now + detection.interval) }
        // Section 6.1: the first number is random; each question has the next one, and so a repetition is none.
        let sequence = established.ownSequence.map { $0 &+ 1 } ?? UInt32.random(in: 0...0x7fff_ffff, using: &generator)
        _ = update(cookie) { $0.ownSequence = sequence }
        peers[peer]?.unanswered += 1
        let question = NotificationPayload(
            protocolID: ProtocolID.isakmp, type: .areYouThere, securityParameterIndex: association.cookies.octets,
            data: sequence.octets)
        sendInformational([Payload(type: .notification, body: question.body)], in: cookie, using: &generator)
        deadlines.set(.deadPeer(peer), now + detection.pause)
    }
}
