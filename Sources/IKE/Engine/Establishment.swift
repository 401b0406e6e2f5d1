import Cryptography
import Wire

// The end of phase 1, the same for both modes and both roles.
extension IKEEngine {
    /// What a finished phase 1 has found out.
    struct Outcome {
        let identity: IKEIdentity
        let offer: Association.Offer
        let keys: KeyMaterial
        let nat: IKENATDetection?
        let hidesOwnNAT: Bool
        /// The last cipher block of phase 1.
        let lastBlock: [UInt8]
        /// Where the last message came from.
        let path: IKEPath
        /// The last message of the peer's, and what it carried.
        let request: RequestDigest
        let chain: PayloadChain
        /// What answers it, and its repetitions.
        let answer: [UInt8]?
        /// By which key the peer proved itself, where it was one.
        var preSharedKey: SecretBytes?
        /// Whom this SA was made for, where we made it.
        var peer: PeerID?
    }

    /// Whether there is room for one more ISAKMP SA.
    var hasRoomForAssociation: Bool {
        associations.count - halfOpen.count - unauthenticated.count - initiations.count < limits.associationsMaximum
    }

    /// Makes an ISAKMP SA of an exchange whose peer has proved who it is.
    mutating func establish(
        _ association: Association, _ outcome: Outcome, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let method = outcome.offer.chosen.method
        let (peer, isRenewal) = adoptPeer(
            outcome.peer, outcome.identity, isCertified: method.isSignature, path: outcome.path)
        let begun = association.state
        var association = association
        let suite = outcome.offer.chosen.suite
        association.path = outcome.path
        association.capabilities = PeerCapabilities(outcome.offer.vendorIDs)
        association.state = .established(
            Association.Established(
                peer: peer, identity: outcome.identity, suite: suite, keys: outcome.keys.afterPhaseOne,
                variant: outcome.offer.variant, nat: outcome.nat, hidesOwnNAT: outcome.hidesOwnNAT,
                lastBlock: outcome.lastBlock))
        let cookie = association.ownCookie
        if let answer = outcome.answer { association.remember(outcome.request, answer: answer) }
        associations[cookie] = association
        forgetHalfOpen(cookie)
        let isProven =
            method.isSignature
            || configuration.isOwnKey(
                outcome.preSharedKey, of: outcome.identity, at: outcome.path.remote.address)
        peers.change(peer) { known in
            known.associations.append(cookie)
            known.lastSuite = suite
            known.lastPreSharedKey = outcome.preSharedKey
            known.lastMethod = method
            known.isIdentityProven = isProven
            known.capabilities = association.capabilities
            // The successor of a client's ISAKMP SA does not make it one whom we have called.
            if case .initiating(let initiation) = begun, initiation.wanted.peer == nil {
                known.initiation = Shared(initiation.wanted)
            }
        }
        let lifetimes = policy(for: outcome.path).lifetimes
        let seconds = outcome.offer.chosen.life.boundedSeconds(lifetimes.ikeMaximumSeconds)
        let life = Duration.seconds(Int64(clamping: min(seconds, UInt64(Int64.max / 1_000_000_000))))
        associations[cookie]?.end = now + life + lifetimes.expiryGrace
        deadlines.set(
            .rekeyAssociation(cookie), now + life * Double.random(in: lifetimes.rekeyShare, using: &generator))
        if let answer = outcome.answer { transmit(answer, on: outcome.path) }
        emit(
            .peerEstablished(
                PeerEstablished(
                    peer: peer, path: outcome.path, identity: outcome.identity, method: method, suite: suite,
                    cookies: association.cookies, encapsulation: outcome.offer.variant?.encapsulation ?? .none,
                    nat: outcome.nat, vendorIDs: outcome.offer.vendorIDs,
                    lifetimeSeconds: seconds, isRenewal: isRenewal)))
        reportInitialContact(outcome.chain, peer: peer)
        noteAlive(peer, now: now)
        endOldestAssociations(of: peer, now: now, using: &generator)
        let waiting = peers.change(peer) { known in
            defer { known.awaitingRekey = [] }
            return known.awaitingRekey
        }
        for spi in waiting ?? [] { rekey(inboundSPI: spi, now: now, using: &generator) }
    }

    /// The peer whom this SA was made for, otherwise that of this identity at this endpoint, known or new.
    private mutating func adoptPeer(
        _ wanted: PeerID?, _ identity: IKEIdentity, isCertified: Bool, path: IKEPath
    ) -> (PeerID, isRenewal: Bool) {
        if let wanted, let known = peers[wanted], known.identity == identity, known.isCertified == isCertified {
            return (wanted, true)
        }
        let key = PeerKey(remote: path.remote, identity: identity, isCertified: isCertified)
        if let known = peersByKey[key], peers[known] != nil {
            peers[known]?.path = path
            return (known, true)
        }
        let peer = newPeerID()
        peers[peer] = Peer(id: peer, identity: identity, isCertified: isCertified, path: path)
        peersByKey[key] = peer
        return (peer, false)
    }

    private mutating func endOldestAssociations(
        of peer: PeerID, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        while let known = peers[peer], known.associations.count > max(1, limits.associationsPerPeerMaximum),
            let oldest = known.associations.first
        {
            endAssociation(oldest, reason: .replacedAtLimit, announce: true, now: now, using: &generator)
        }
    }

    /// Reports INITIAL-CONTACT where an authenticated message carries it.
    mutating func reportInitialContact(_ chain: PayloadChain, peer: PeerID) {
        let isThere = chain.all(.notification).contains { body in
            guard let notification = try? NotificationPayload(parsing: body) else { return false }
            return notification.type == .initialContact
        }
        if isThere { emit(.initialContact(peer)) }
    }
}
