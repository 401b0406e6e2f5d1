import Wire

// Peers and their SAs: how they move, and how they end.
extension IKEEngine {
    // MARK: - The gateway's wishes

    /// Tells that authentic ESP came on another path from a peer: its messages go there from now on.
    public mutating func peerMoved(_ peer: PeerID, to path: IKEPath, now: Instant) {
        guard let known = peers[peer], known.path != path else { return }
        setPath(path, of: peer)
        for cookie in known.associations { moveAssociation(cookie, to: path) }
    }

    /// Hangs up: a Delete for each IPsec SA of the peer, then for its ISAKMP SAs.
    public mutating func deletePeer(_ peer: PeerID, now: Instant, using generator: inout some RandomNumberGenerator) {
        guard let known = peers[peer] else { return }
        for spi in known.children { endChild(spi, reason: .deletedByUs, announce: true, now: now, using: &generator) }
        for cookie in known.associations {
            endAssociation(cookie, reason: .deletedByUs, announce: true, now: now, using: &generator)
        }
    }

    /// Ends one pair of IPsec SAs with a Delete to the peer, as when its kilobytes are used up.
    public mutating func deleteSecurityAssociation(
        inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        endChild(inboundSPI, reason: .deletedByUs, announce: true, now: now, using: &generator)
    }

    /// Forgets a peer and all that is its own, without a word and without an event.
    public mutating func forget(_ peer: PeerID) {
        guard let known = peers.removeValue(forKey: peer) else { return }
        deadlines.remove(.deadPeer(peer))
        removeKey(of: known)
        for spi in known.children {
            children[spi] = nil
            forgetDeadlines(ofChild: spi)
        }
        for cookie in known.associations { removeAssociation(cookie) }
    }

    // MARK: - Moving

    /// Takes over the endpoint that a peer has just proved to be at.
    mutating func move(_ peer: PeerID, to path: IKEPath, cookie: UInt64) {
        associations.change(cookie) { $0.path = path }
        guard let known = peers[peer], known.path != path else { return }
        setPath(path, of: peer)
        for other in known.associations { moveAssociation(other, to: path) }
        emit(.peerMoved(peer, path))
    }

    /// What is under way in an ISAKMP SA goes on at the new place.
    private mutating func moveAssociation(_ cookie: UInt64, to path: IKEPath) {
        associations[cookie]?.path = path
        _ = update(cookie) { established in
            for messageID in established.quickModes.keys { established.quickModes[messageID]?.path = path }
        }
    }

    private mutating func setPath(_ path: IKEPath, of peer: PeerID) {
        guard let known = peers[peer] else { return }
        removeKey(of: known)
        peers[peer]?.path = path
        // Where another client of the same identity was at that endpoint before, the newcomer is who is there now.
        peersByKey[PeerKey(remote: path.remote, identity: known.identity, isCertified: known.isCertified)] = peer
    }

    private mutating func removeKey(of peer: Peer) {
        let key = PeerKey(remote: peer.path.remote, identity: peer.identity, isCertified: peer.isCertified)
        if peersByKey[key] == peer.id { peersByKey[key] = nil }
    }

    // MARK: - Ending

    /// Ends a pair of IPsec SAs, and tells the peer where `announce` says so and an ISAKMP SA is left to say it in.
    mutating func endChild(
        _ inboundSPI: UInt32, reason: IKEEndReason, announce: Bool, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard let child = children.removeValue(forKey: inboundSPI) else { return }
        forgetDeadlines(ofChild: inboundSPI)
        peers[child.peer]?.children.removeAll { $0 == inboundSPI }
        peers[child.peer]?.awaitingRekey.removeAll { $0 == inboundSPI }
        if announce { sendDeletes([(inboundSPI, child)], of: child.peer, using: &generator) }
        promote(after: child)
        emit(.securityAssociationDeleted(peer: child.peer, inboundSPI: inboundSPI, reason: reason))
        endPeerIfEmpty(child.peer)
    }

    private mutating func forgetDeadlines(ofChild inboundSPI: UInt32) {
        deadlines.remove(.child(inboundSPI))
        deadlines.remove(.rekeyChild(inboundSPI))
        deadlines.remove(.settle(inboundSPI))
        deadlines.remove(.unconfirmed(inboundSPI))
        deadlines.remove(.unproven(inboundSPI))
    }

    /// Ends an ISAKMP SA. Its peer's IPsec SAs live on: two lifetimes, one session.
    mutating func endAssociation(
        _ cookie: UInt64, reason: IKEEndReason, announce: Bool, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard let association = associations[cookie], let established = association.established else { return }
        if announce {
            let delete = DeletePayload(
                protocolID: ProtocolID.isakmp, securityParameterIndexes: [association.cookies.octets])
            sendInformational([Payload(type: .delete, body: delete.body)], in: cookie, using: &generator)
        }
        // An IPsec SA whose quick mode dies here unconfirmed is given the exchange's time: its first packet may confirm it.
        for exchange in established.quickModes.values {
            if case .awaitingConfirmation(let answered) = exchange.state {
                deadlines.set(.unconfirmed(answered.inboundSPI), now + limits.exchangeLifetime)
            }
            if let spi = exchange.reservedSPI {
                emit(
                    .securityAssociationDeleted(
                        peer: established.peer, inboundSPI: spi, reason: .neverConfirmed))
            }
            // What we wanted to replace still has to be, in another ISAKMP SA.
            if let old = exchange.proposed?.replaces {
                rekeyHasEnded(old, now: now)
                deadlines.set(.rekeyChild(old), now + limits.retransmissionInterval)
            }
        }
        removeAssociation(cookie)
        peers[established.peer]?.associations.removeAll { $0 == cookie }
        emit(.ikeSecurityAssociationEnded(peer: established.peer, cookies: association.cookies, reason: reason))
        endPeerIfEmpty(established.peer)
    }

    private mutating func removeAssociation(_ cookie: UInt64) {
        guard let association = associations.removeValue(forKey: cookie) else { return }
        forgetFirstMessage(of: association)
        forgetHalfOpen(cookie)
        deadlines.remove(.mainMode(cookie))
        deadlines.remove(.association(cookie))
        deadlines.remove(.rekeyAssociation(cookie))
        answered(.phaseOne(cookie))
        for messageID in association.established?.quickModes.keys ?? [:].keys {
            let id = QuickModeID(cookie: cookie, messageID: messageID)
            deadlines.remove(.quickMode(id))
            answered(.quickMode(id))
        }
    }

    private mutating func endPeerIfEmpty(_ peer: PeerID) {
        guard let known = peers[peer], known.isEmpty else { return }
        removeKey(of: known)
        peers[peer] = nil
        deadlines.remove(.deadPeer(peer))
        emit(.peerEnded(peer))
    }
}
