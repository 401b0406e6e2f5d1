import Cryptography
import Wire

// What replaces an ISAKMP SA, begun by us.
extension IKEEngine {
    /// An ISAKMP SA's soft limit: it gets a successor, where the peer is one that takes main mode from us.
    mutating func rekeyAssociation(
        _ cookie: UInt64, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        if let end = associations[cookie]?.end { deadlines.set(.association(cookie), end) }
        guard let association = associations[cookie], let established = association.established,
            let peer = peers[established.peer], peer.associations.last == cookie, !peer.children.isEmpty
        else { return }
        beginSuccessor(of: established.suite, peer, exchange: association.exchange, now: now, using: &generator)
    }

    /// A pair of IPsec SAs needs a successor, but there is no ISAKMP SA to make it in.
    mutating func rekeyAfterPhaseOne(
        _ inboundSPI: UInt32, _ child: Child, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let peer = peers[child.peer], let suite = peer.lastSuite else { return }
        if peer.awaitingRekey.isEmpty {
            guard beginSuccessor(of: suite, peer, exchange: nil, now: now, using: &generator) else { return }
        }
        if !peer.awaitingRekey.contains(inboundSPI) { peers[child.peer]?.awaitingRekey.append(inboundSPI) }
    }

    /// Windows never answers a main mode to a client, and who began in aggressive mode has a key that is not that of its
    /// address: these begin again by themselves.
    @discardableResult
    private mutating func beginSuccessor(
        of suite: PhaseOneSuite, _ peer: Peer, exchange: ExchangeType?, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) -> Bool {
        let isTheirs = peer.initiation == nil && exchange == .aggressive
        guard policy(for: peer.path).lifetimes.rekeysPhaseOne, !isTheirs, !peer.capabilities.contains(.microsoft)
        else {
            return false
        }
        let isBusy = initiations.contains { cookie in
            guard case .initiating(let initiation) = associations[cookie]?.state else { return false }
            return initiation.wanted.peer == peer.id
        }
        guard !isBusy else { return true }
        var initiation = peer.initiation?.value ?? IKEInitiation(peer.path)
        initiation.path = peer.path
        initiation.sendsInitialContact = false
        initiation.suites = [suite]
        initiation.preSharedKey = initiation.preSharedKey ?? peer.lastPreSharedKey
        // What was proved by a certificate is carried on by one of the same name, and never by a key.
        initiation.methods = [peer.lastMethod]
        if peer.isCertified { initiation.peerIdentity = peer.identity }
        initiation.peer = peer.id
        return initiate(to: initiation, now: now, using: &generator) != nil
    }
}
