import ESP
import IKE
import Logging
import Wire

/// A configured tunnel as the control loop knows it.
struct ConfiguredTunnel {
    let configuration: GatewayConfiguration.Tunnel
    /// Whether its rule has left the policy: then its number waits for another.
    var isRemoved = false
    /// Until when packets go in clear, its peer having not answered IKE: a soft association.
    var softUntil: Instant?
    /// Whether its peer answered the last call, and so has IPsec.
    var isAnswered = false
    /// Whose it is now; nil while nobody has an SA of it.
    var peer: PeerID?
    /// The selectors that want an SA, because packets wait for it or because they always do.
    var wanted: Set<Int> = []
    /// Until when a quick mode of ours for a selector may take.
    var underWay: [Int: Instant] = [:]
    /// Our cookie of the phase 1 that we began for it last.
    var call: UInt64?
    /// Until when that may take, or how long we wait before the next.
    var nextCall: Instant?
    /// How often we have called in vain since it was up last.
    var failures = 0
    /// The address of ours that we call from, once it is known.
    var source: IPAddress?
    /// Whether its routes are there.
    var hasRoutes = false
    /// Since when it is up.
    var since: Instant?
    /// How often it came up, renewals of its SAs left out.
    var upCount: UInt64 = 0

    /// Whether `peer` is whom it is for.
    func isFor(_ peer: Peer) -> Bool {
        guard peer.clear == nil, !isRemoved else { return false }
        if let address = configuration.peer, peer.path.remote.address != address { return false }
        if let identity = configuration.identity, peer.identity?.isNamed(identity) != true { return false }
        return true
    }

    /// The selector that has all of `traffic`.
    func selector(for traffic: TrafficSelector?) -> Int? {
        guard let traffic else { return nil }
        return configuration.selectors.firstIndex { $0.contains(traffic) }
    }
}

/// Tunnels to fixed peers: who calls whom, when, and what comes of it.
extension ControlPlane {
    /// How long a call may take, with retransmissions over a bad line; after that it has failed.
    static let callDuration = Duration.seconds(15)
    /// How long after a failed call the next one is, at first; it doubles each time.
    static let callPause = Duration.seconds(2)
    /// The longest time between two calls.
    static let callPauseMaximum = Duration.seconds(60)
    /// After how many failed calls nobody is waited for on demand, until a packet comes again.
    static let callsOnDemandMaximum = 3
    /// How long after the end of its last SA a tunnel that is always up is called again: the peer may be about to do it.
    static let callAgainDuration = Duration.seconds(1)

    /// Begins with the tunnels that do not wait for anybody.
    mutating func startTunnels(now: Instant) {
        for number in configuredTunnels.indices where !configuredTunnels[number].isRemoved {
            startTunnel(number, now: now)
        }
        settle(now: now)
    }

    /// Begins with one tunnel.
    mutating func startTunnel(_ number: Int, now: Instant) {
        configuredTunnels[number].source =
            configuredTunnels[number].configuration.source ?? configuredSource(of: number)
        guard configuredTunnels[number].configuration.start != .respond else { return }
        setRoutes(of: number, true)
        guard configuredTunnels[number].configuration.start == .always else { return }
        configuredTunnels[number].wanted = Set(configuredTunnels[number].configuration.selectors.indices)
        pursue(number, now: now)
    }

    /// The one endpoint of ours that it can only go from.
    private func configuredSource(of number: Int) -> IPAddress? {
        guard let version = configuredTunnels[number].configuration.peer?.version else { return nil }
        let possible = configuration.endpoints.filter { $0.version == version }
        return possible.count == 1 ? possible.first : nil
    }

    /// A packet has no SA to go by.
    mutating func acquire(_ match: TunnelTable.Match, now: Instant) {
        guard configuredTunnels.indices.contains(match.tunnel), !isShuttingDown else { return }
        let tunnel = configuredTunnels[match.tunnel]
        guard !tunnel.isRemoved, tunnel.configuration.selectors.indices.contains(match.selector) else { return }
        guard tunnel.configuration.start != .respond || tunnel.peer != nil, tunnel.softUntil == nil else {
            return broadcast(.dropHeld(tunnel: match.tunnel))
        }
        counters.count(.tunnelsWanted)
        configuredTunnels[match.tunnel].wanted.insert(match.selector)
        pursue(match.tunnel, now: now)
    }

    /// Does what is next for the SAs that a tunnel wants.
    mutating func pursue(_ number: Int, now: Instant) {
        let tunnel = configuredTunnels[number]
        guard !tunnel.wanted.isEmpty, !isShuttingDown else { return setTunnelDeadline(number) }
        // Who does not answer in the SA that we have with him may have lost it: from the second time on we call anew.
        if tunnel.failures == 0, let peer = reachablePeer(of: tunnel) { propose(number, to: peer, now: now) }
        if configuredTunnels[number].underWay.isEmpty { call(number, now: now) }
        setTunnelDeadline(number)
    }

    mutating func setTunnelDeadline(_ number: Int) {
        let next = configuredTunnels[number].underWay.values.min() ?? configuredTunnels[number].nextCall
        let isWanted = !configuredTunnels[number].wanted.isEmpty
        tunnelDeadlines.set(isWanted ? next : configuredTunnels[number].softUntil, for: number)
    }

    /// A tunnel's deadline has come: what was under way has come to nothing, or a pause is over.
    mutating func tunnelIsDue(_ number: Int, now: Instant) {
        if configuredTunnels[number].softUntil.map({ $0 <= now }) ?? false { configuredTunnels[number].softUntil = nil }
        let overdue = configuredTunnels[number].underWay.filter { $0.value <= now }.keys
        for selector in overdue { configuredTunnels[number].underWay[selector] = nil }
        if !overdue.isEmpty { noteFailedCall(number, now: now) }
        if configuredTunnels[number].call != nil, configuredTunnels[number].nextCall.map({ $0 <= now }) ?? false,
            !mayWaitLonger(number, now: now)
        {
            noteFailedCall(number, now: now)
        }
        pursue(number, now: now)
    }

    /// The peer of a tunnel where there is an IKE SA to talk in.
    private func reachablePeer(of tunnel: ConfiguredTunnel) -> Peer? {
        if let known = tunnel.peer.flatMap({ peers[$0] }), known.cookies != nil, known.farewell == nil { return known }
        return peers.values.filter { $0.cookies != nil && $0.farewell == nil && tunnel.isFor($0) }
            .max { $0.identifier.rawValue < $1.identifier.rawValue }
    }

    /// Begins a quick mode for each selector that wants an SA and has none under way.
    private mutating func propose(_ number: Int, to peer: Peer, now: Instant) {
        for selector in configuredTunnels[number].wanted.sorted()
        where configuredTunnels[number].underWay[selector] == nil {
            var proposal = QuickModeProposal()
            proposal.mode = configuredTunnels[number].configuration.mode
            proposal.traffic = configuredTunnels[number].configuration.selectors[selector]
            proposal.tunnel = configuredTunnels[number].configuration.name
            proposal.group = configuredTunnels[number].configuration.group
            guard ike.initiateQuickMode(peer.identifier, proposal, now: now, using: &random) != nil else { continue }
            configuredTunnels[number].underWay[selector] = now + Self.callDuration
        }
    }

    /// Begins phase 1 with the peer of a tunnel, unless that is under way, or a pause.
    private mutating func call(_ number: Int, now: Instant) {
        let tunnel = configuredTunnels[number]
        if let next = tunnel.nextCall, now < next { return }
        guard let remote = tunnel.configuration.peer, tunnel.configuration.start != .respond else {
            configuredTunnels[number].wanted = []
            return
        }
        guard let source = tunnel.source else {
            // Its answer comes back by ``foundSource(of:_:now:)``.
            configuredTunnels[number].nextCall = now + Self.callPause
            return put(.findSource(tunnel: number, to: remote))
        }
        var initiation = IKEInitiation(
            IKEPath(
                local: Endpoint(address: source, port: IKEPort.plain),
                remote: Endpoint(address: remote, port: IKEPort.plain)))
        initiation.preSharedKey = tunnel.configuration.secret
        configuredTunnels[number].call = ike.initiate(to: initiation, now: now, using: &random)
        guard configuredTunnels[number].call != nil else { return noteFailedCall(number, now: now) }
        configuredTunnels[number].isAnswered = false
        let fallsBack = tunnel.configuration.terms?.fallsBack ?? false
        configuredTunnels[number].nextCall = now + (fallsBack ? Self.softCallDuration : Self.callDuration)
        log.debug("calling", metadata: ["tunnel": "\(tunnel.configuration.name)", "to": "\(remote)"])
    }

    /// The system has said which address of ours packets to a tunnel's peer leave from.
    mutating func foundSource(of number: Int, _ source: IPAddress?, now: Instant) {
        guard configuredTunnels.indices.contains(number), let source else { return }
        configuredTunnels[number].source = source
        configuredTunnels[number].nextCall = nil
        pursue(number, now: now)
        settle(now: now)
    }

    private mutating func noteFailedCall(_ number: Int, now: Instant) {
        let name = configuredTunnels[number].configuration.name
        counters.count(.tunnelCallsFailed)
        configuredTunnels[number].failures += 1
        if mayFallBack(number) { return fallBack(number, now: now) }
        configuredTunnels[number].call = nil
        let failures = configuredTunnels[number].failures
        var pause = Self.callPause
        for _ in 1..<max(2, min(failures, 8)) { pause = min(pause * 2, Self.callPauseMaximum) }
        configuredTunnels[number].nextCall = now + pause
        // The way there may have changed.
        if configuredTunnels[number].configuration.source == nil {
            configuredTunnels[number].source = configuredSource(of: number)
        }
        log.notice("tunnel's peer was called in vain", metadata: ["tunnel": "\(name)", "times": "\(failures)"])
        guard configuredTunnels[number].configuration.start == .onDemand, failures >= Self.callsOnDemandMaximum else {
            return
        }
        configuredTunnels[number].wanted = []
        configuredTunnels[number].failures = 0
        configuredTunnels[number].nextCall = nil
        broadcast(.dropHeld(tunnel: number))
    }

    /// Phase 1 that we began was refused, by either side.
    mutating func noteRefusedCall(_ refusal: IKERefusal, now: Instant) {
        guard let number = configuredTunnels.firstIndex(where: { $0.call == refusal.cookies.initiator }) else { return }
        if refusal.reason != .noAnswer { configuredTunnels[number].isAnswered = true }
        noteFailedCall(number, now: now)
        setTunnelDeadline(number)
    }

    /// A peer has authenticated: what its tunnels want can be had.
    mutating func noteReachable(_ identifier: PeerID, now: Instant) {
        for number in configuredTunnels.indices {
            guard let peer = peers[identifier], configuredTunnels[number].isFor(peer) else { continue }
            configuredTunnels[number].call = nil
            guard !configuredTunnels[number].wanted.isEmpty else { continue }
            propose(number, to: peer, now: now)
            setTunnelDeadline(number)
        }
    }

    /// Whether a phase 1 was begun by us.
    func isCalled(_ cookies: IKECookies) -> Bool { configuredTunnels.contains { $0.call == cookies.initiator } }

    // MARK: Up and down

    /// A pair of SAs of a tunnel can be sent by.
    mutating func tunnelIsUp(_ association: Peer.Association, of peer: Peer, now: Instant) {
        guard let number = association.tunnel else { return }
        let name = configuredTunnels[number].configuration.name
        if let selector = association.selector {
            configuredTunnels[number].wanted.remove(selector)
            configuredTunnels[number].underWay[selector] = nil
        }
        configuredTunnels[number].failures = 0
        configuredTunnels[number].nextCall = nil
        configuredTunnels[number].softUntil = nil
        if configuredTunnels[number].peer != peer.identifier {
            configuredTunnels[number].peer = peer.identifier
            configuredTunnels[number].upCount += 1
            configuredTunnels[number].since = now
            log.info("tunnel is up", metadata: ["tunnel": "\(name)", "peer": "\(peer.path.remote)"])
        }
        tunnelTable.set(number, to: TunnelTable.Place(worker: peer.worker, peer: peer.slot))
        setRoutes(of: number, true)
        setPeerDeadline(nil, peer: peer.identifier)
        broadcast(.sendHeld(tunnel: number))
        setTunnelDeadline(number)
    }

    /// A pair of SAs of a tunnel is gone. `peer` has what is left.
    mutating func tunnelLost(_ association: Peer.Association, of peer: Peer, now: Instant) {
        guard let number = association.tunnel else { return }
        let rest = peer.associations.filter { $0.tunnel == number }
        if rest.isEmpty, configuredTunnels[number].peer == peer.identifier {
            configuredTunnels[number].peer = nil
            configuredTunnels[number].since = nil
            tunnelTable.set(number, to: nil)
            if configuredTunnels[number].configuration.start == .respond { setRoutes(of: number, false) }
            log.info("tunnel is down", metadata: ["tunnel": "\(configuredTunnels[number].configuration.name)"])
        }
        if !peer.associations.contains(where: { $0.tunnel != nil }), peer.tunnelCount == 0, peer.farewell == nil {
            setPeerDeadline(now + Self.idlePeerDuration, peer: peer.identifier)
        }
        guard configuredTunnels[number].configuration.start == .always, !isShuttingDown,
            let selector = association.selector,
            !rest.contains(where: { $0.selector == selector })
        else { return }
        configuredTunnels[number].wanted.insert(selector)
        tunnelDeadlines.set(now + Self.callAgainDuration, for: number)
    }

    /// A packet came by an SA that is not for it.
    func audit(_ peer: PeerID, _ index: SecurityParameterIndex, _ flow: PacketFlow, count: UInt64) {
        log.warning(
            "packets came by an IPsec SA that is not for them",
            metadata: [
                "peer": "\(peer)", "from": "\(outerAddress(of: peer))", "in": "\(index)", "source": "\(flow.source)",
                "destination": "\(flow.destination)", "protocol": "\(flow.protocolNumber)", "count": "\(count)",
            ])
    }

    /// Sets or removes a tunnel's routes, where that is not so already. A peer's own address, in transport mode above all,
    /// is reached without.
    mutating func setRoutes(of number: Int, _ areThere: Bool) {
        guard configuredTunnels[number].hasRoutes != areThere else { return }
        configuredTunnels[number].hasRoutes = areThere
        let configuration = configuredTunnels[number].configuration
        let peer = configuration.peer ?? reachablePeer(of: configuredTunnels[number])?.path.remote.address
        for range in configuration.routes {
            // Two tunnels may lead to one network, one in the place of the other.
            let isShared = configuredTunnels.indices.contains { other in
                other != number && configuredTunnels[other].hasRoutes
                    && configuredTunnels[other].configuration.metric == configuration.metric
                    && configuredTunnels[other].configuration.routes.contains(range)
            }
            let holdsPeer = peer.map { range.contains($0) } ?? false
            if !isShared {
                let sources = configuration.selectors.filter { $0.remote == range }.map(\.local)
                put(
                    .route(
                        to: range, from: sources, metric: configuration.metric, isThere: areThere,
                        holdsPeer: holdsPeer))
            }
        }
    }

    mutating func broadcast(_ command: WorkerCommand) {
        for worker in workerStatistics.indices { put(.command(worker: worker, command)) }
    }
}
