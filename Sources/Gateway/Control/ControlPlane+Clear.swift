import ESP
import IKE
import L2TP
import Logging
import PPP
import Wire

/// Soft associations: clients without IPsec, where the policy lets them in. A peer is then an address and a port, which
/// anyone can claim who sees the packets; what it has is bound to these, and no SA's peer can be reached from here.
extension ControlPlane {
    /// The most peers that speak in clear, in all.
    static let clearPeersMaximum = 1024
    /// The most of these that have yet to show that they get our answers; beyond, the oldest of them makes room.
    static let unprovenClearPeersMaximum = 256
    /// What a peer in clear may be sent until it has shown that it gets it, as a multiple of what came from it: an answer
    /// as large as its request and one retransmission. Whoever forges somebody's address has little of it.
    static let clearAnswerFactor = 2
    /// Numbers that IKE, which counts from 1, never gives a peer.
    private static let firstClearPeer: UInt64 = 1 << 63

    /// Lets L2TP come in clear from now on, or no more: then who is in by it is out.
    mutating func setClearL2TP(_ setting: ClearL2TP, now: Instant) {
        guard setting != clearL2TP else { return }
        clearL2TP = setting
        if setting == .refused {
            for peer in clearPeers.values { endClearPeer(peer, now: now) }
        }
        put(.command(worker: IKEPort.worker, .serveClear(setting == .permitted)))
        settle(now: now)
    }

    /// Somebody without IPsec asks for a tunnel.
    mutating func receiveFromStranger(_ message: [UInt8], path: OuterPath, now: Instant) {
        // The worker did not know him yet when he sent this.
        if let known = clearPeers[path] {
            noteClearMessage(of: known, byteCount: message.count)
            let peer = L2TPPeer(id: known.rawValue, port: path.remote.port)
            return l2tp.receive(message.span.bytes, from: peer, now: now, using: &random)
        }
        guard clearL2TP == .permitted, policy.table.allowsClearL2TP(from: path.remote, to: path.local),
            !isShuttingDown, !hasAssociations(at: path.remote.address)
        else {
            return counters.count(.clearRequestsRefused)
        }
        guard hasRoom(for: path.remote.address, now: now) else { return counters.count(.clearRequestsLimited) }
        lastClearPeer += 1
        let identifier = PeerID(rawValue: Self.firstClearPeer | lastClearPeer)
        let worker = IKEPort.worker
        var peer = Peer(
            identifier: identifier, worker: worker, slot: allocatePeerSlot(worker: worker),
            timer: peerTimers.allocate(identifier), path: path)
        peer.encapsulation = .clear
        peer.clear = ClearPeer(budgetBytes: message.count * Self.clearAnswerFactor)
        peer.dialIn = DialIn(stage: .tunnelling, since: now)
        peers[identifier] = peer
        clearPeers[path] = identifier
        l2tp.receive(
            message.span.bytes, from: L2TPPeer(id: identifier.rawValue, port: path.remote.port), now: now,
            using: &random)
        while let event = l2tp.pollEvent() { handle(event, now: now) }
        // What is refused is not answered: nobody knows who would get it.
        guard !l2tp.tunnels(of: identifier.rawValue).isEmpty else {
            sendTunnelMessages()
            peers[identifier]?.dialIn = nil
            return peerEnded(identifier, now: now)
        }
        peers[identifier]?.isInstalled = true
        setPeerDeadline(now + Self.idlePeerDuration, peer: identifier)
        put(
            .command(
                worker: worker,
                .addPeer(slot: peer.slot, identifier: identifier.rawValue, path: path, encapsulation: .clear)))
    }

    /// Whether an address has SAs: who speaks from there and can do it by these need not do it in clear, and nobody else
    /// shall do it in its name.
    private func hasAssociations(at address: IPAddress) -> Bool {
        peers.values.contains { !$0.associations.isEmpty && $0.path.remote.address == address }
    }

    /// Whether one more peer in clear may come from `address`. Flooders get little, and keep nobody out for long.
    private mutating func hasRoom(for address: IPAddress, now: Instant) -> Bool {
        let unproven = clearPeers.filter { peers[$0.value]?.clear?.isProven == false }
        let sameAddress = unproven.count { $0.key.remote.address == address }
        guard sameAddress < configuration.limits.halfOpenExchangesPerAddress else { return false }
        if unproven.count >= Self.unprovenClearPeersMaximum,
            let oldest = unproven.values.min(by: { $0.rawValue < $1.rawValue })
        {
            counters.count(.clearRequestsLimited)
            endClearPeer(oldest, now: now)
        }
        return clearPeers.count < Self.clearPeersMaximum
    }

    /// A message came from a peer, so that one in clear may be sent something.
    mutating func noteClearMessage(of peer: PeerID, byteCount: Int) {
        guard peers[peer]?.clear?.isProven == false else { return }
        peers[peer]?.clear?.budgetBytes += byteCount * Self.clearAnswerFactor
    }

    /// Whether a peer may be sent a message; to one in clear that has not yet shown that it gets it, little.
    mutating func maySend(_ byteCount: Int, to peer: PeerID) -> Bool {
        guard let clear = peers[peer]?.clear, !clear.isProven else { return true }
        guard byteCount <= clear.budgetBytes else {
            counters.count(.clearAnswersHeldBack)
            return false
        }
        peers[peer]?.clear?.budgetBytes -= byteCount
        return true
    }

    /// A peer has a tunnel: one in clear is now known to get what we send.
    mutating func noteSoftAssociation(of peer: PeerID) {
        guard let known = peers[peer], known.clear?.isProven == false else { return }
        peers[peer]?.clear?.isProven = true
        counters.count(.softAssociations)
        log.warning(
            "soft association: a client without IPsec is let in, in clear",
            metadata: ["peer": "\(peer)", "from": "\(known.path.remote)"])
    }

    /// An address has SAs now, and what came from there in clear is over.
    mutating func endClearPeers(at address: IPAddress, now: Instant) {
        for (path, peer) in clearPeers where path.remote.address == address { endClearPeer(peer, now: now) }
    }

    /// Ends all that a peer in clear has, without a word to it.
    private mutating func endClearPeer(_ peer: PeerID, now: Instant) {
        noteEnd(.clearEnded, ofSessionsOf: peer)
        peerEnded(peer, now: now)
    }

    /// What PPP is to do; in clear, it must not ask for the password itself. Nil where nothing is left.
    func linkTerms(isInClear: Bool) -> Shared<PPPConfiguration>? {
        let terms = isInClear ? clearLinkTerms : securedLinkTerms
        return terms.value.authenticationMethods.isEmpty ? nil : terms
    }
}

extension Peer {
    /// How its packets are protected, in the operator's words.
    var protection: String {
        guard clear == nil else { return "none" }
        guard let suite = current?.suite else { return "" }
        return [suite.authenticationHeader.map { _ in "ah" }, suite.payload.map { _ in "esp" }]
            .compactMap(\.self).joined(separator: "+")
    }
}
