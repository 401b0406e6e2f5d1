import Accounts
import FoundationEssentials
import IKE
import L2TP
import PPP
import Synchronization
import Wire

/// What operators ask.
extension ControlPlane: OperatorState {
    func date(_ instant: Instant) -> Date {
        Date(timeIntervalSince1970: wallClockOffset + Double(instant.nanoseconds) / 1e9)
    }

    func sessions() -> [SessionRecord] {
        clientSessions.values.filter { $0.since != nil }.map { record($0) }.sorted { $0.id < $1.id }
    }

    private func record(_ session: ClientSession) -> SessionRecord {
        let peer = peers[session.peer]
        return SessionRecord(
            id: session.identifier, user: session.user, outerAddress: peer.map { "\($0.path.remote.address)" } ?? "",
            outerPort: peer?.path.remote.port ?? 0, innerAddress: session.address.map { "\($0)" } ?? "",
            since: date(session.since ?? startedAt), bytesIn: session.traffic.bytesIn.load(ordering: .relaxed),
            bytesOut: session.traffic.bytesOut.load(ordering: .relaxed),
            packetsIn: session.traffic.packetsIn.load(ordering: .relaxed),
            packetsOut: session.traffic.packetsOut.load(ordering: .relaxed),
            ikeCipher: (peer?.ikeSuite).map { "\($0)" } ?? "",
            espCipher: (peer?.current?.suite).map { "\($0)" } ?? "", ikeSA: peer?.cookies.map { "\($0)" } ?? "",
            espSA: peer?.current.map { "\($0.inbound):\($0.outbound)" } ?? "", l2tpTunnel: session.tunnel.value,
            l2tpSession: session.l2tp.value,
            authentication: session.authentication.map { PPPAuthentication($0).rawValue } ?? "",
            protection: peer?.protection ?? "", rateLimitIn: session.rateLimits.fromClient?.bitsPerSecond,
            rateLimitOut: session.rateLimits.toClient?.bitsPerSecond)
    }

    func tunnels() -> [TunnelRecord] {
        let bySession = Dictionary(grouping: sessions()) { clientSessions[$0.id]?.tunnel }
        let records = l2tp.tunnels.filter(\.isEstablished).map { record($0, members: bySession[$0.id] ?? []) }
        return records.sorted { ($0.since, $0.id) < ($1.since, $1.id) }
    }

    private func record(_ tunnel: L2TPTunnel, members: [SessionRecord]) -> TunnelRecord {
        let peer = peers[PeerID(rawValue: tunnel.id.peer)]
        let sum = { (count: KeyPath<SessionRecord, UInt64>) in members.reduce(0) { $0 &+ $1[keyPath: count] } }
        return TunnelRecord(
            id: tunnel.id.value, remoteID: tunnel.peerTunnelID, hostName: tunnel.hostName,
            outerAddress: peer.map { "\($0.path.remote.address)" } ?? "", outerPort: peer?.path.remote.port ?? 0,
            l2tpPort: tunnel.peer.port, since: date(tunnel.since), users: members.map(\.user),
            sessions: members.map(\.id), bytesIn: sum(\.bytesIn), bytesOut: sum(\.bytesOut),
            packetsIn: sum(\.packetsIn), packetsOut: sum(\.packetsOut),
            ikeCipher: (peer?.ikeSuite).map { "\($0)" } ?? "",
            espCipher: (peer?.current?.suite).map { "\($0)" } ?? "", ikeSA: peer?.cookies.map { "\($0)" } ?? "",
            espSA: peer?.current.map { "\($0.inbound):\($0.outbound)" } ?? "", protection: peer?.protection ?? "")
    }

    func statistics() -> StatisticsRecord {
        var counts: [String: UInt64] = [
            "sessions": UInt64(clientSessions.count), "tunnels": UInt64(l2tp.tunnelCount), "peers": UInt64(peers.count),
            "ike.associations": UInt64(ike.associationCount), "ike.halfOpen": UInt64(ike.halfOpenCount),
            "addresses.leased": UInt64(pool.leasedCount),
            "packets.handedOver": workerStatistics.reduce(0) { $0 &+ $1.handedOverCount },
        ]
        let named: Set<ControlEvent> = [.mainModes, .quickModes, .softAssociations]
        for event in ControlEvent.allCases where !named.contains(event) { counts["\(event)"] = counters[event] }
        counts.merge(onlineStatusCounters) { _, new in new }
        var drops = serverDrops.filter { $0.value > 0 }
        var ipsec = IPsecStatistics()
        for statistics in workerStatistics {
            for (name, count) in statistics.drops where count > 0 { drops[name, default: 0] &+= count }
            statistics.add(to: &ipsec)
        }
        for reason in IKEDrop.allCases where ike.drops[reason] > 0 { drops["ike.\(reason)"] = ike.drops[reason] }
        for (reason, count) in l2tp.drops.nonzero { drops["l2tp.\(reason)"] = count }
        var links = linkDrops
        for session in clientSessions.values {
            for (reason, count) in session.link.drops.nonzero { links.add(count, to: reason) }
        }
        for (reason, count) in links.nonzero { drops["ppp.\(reason)"] = count }
        return StatisticsRecord(
            since: date(startedAt), ipsec: ipsec, isakmp: isakmpStatistics, counters: counts, drops: drops)
    }

    private var isakmpStatistics: ISAKMPStatistics {
        var statistics = ISAKMPStatistics()
        statistics.mainModes = counters[.mainModes]
        statistics.quickModes = counters[.quickModes]
        statistics.softAssociations = counters[.softAssociations]
        let wrongProofs: [IKEDrop] = [.preSharedKeyMismatch, .preSharedKeyOfOtherIdentity, .certificateRefused]
        statistics.authenticationFailures = wrongProofs.reduce(0) { $0 &+ ike.drops[$1] }
        return statistics
    }

    mutating func drop(_ selector: DropSelector) -> DropResult {
        let meant = sessions().filter(selector.matches).map(\.id)
        dropsRequested.append(contentsOf: meant)
        return DropResult(sessions: meant)
    }

    /// Hangs up what operators asked for. Apart from ``drop(_:)``, which has no clock.
    mutating func carryOutDrops(now: Instant) {
        for session in dropsRequested { hangUp(session, .operatorHangUp, now: now) }
        dropsRequested.removeAll()
        if policyEnforced != policy.revision { enforcePolicy(now: now) }
        settle(now: now)
    }

    /// Hangs every client up; ``isIdle`` tells when that is done.
    mutating func shutDown(now: Instant) {
        isShuttingDown = true
        for session in clientSessions.keys.sorted() { hangUp(session, .shutdown, now: now) }
        l2tp.disconnectAll(now: now)
        for peer in peers.keys { bidFarewell(peer, .shutdown, now: now) }
        for number in configuredTunnels.indices { setRoutes(of: number, false) }
        settle(now: now)
    }

    /// Whether no client is left.
    var isIdle: Bool { peers.isEmpty && clientSessions.isEmpty }

    /// A clean end: PPP says goodbye, L2TP closes the call, the tunnel when it was the last, and then the SAs go.
    mutating func hangUp(_ identifier: UInt64, _ end: SessionEnd, now: Instant) {
        guard let session = clientSessions[identifier] else { return }
        clientSessions[identifier]?.end = end
        clientSessions[identifier]?.link.terminate(end == .shutdown ? .shutdown : .operatorHangUp, now: now)
        serveLink(identifier, now: now)
        // The client need not be waited for: what L2TP closes is closed.
        l2tp.disconnectSession(session.l2tp, result: .disconnect(.administrative), now: now)
        if sessions(of: session.peer).allSatisfy({ clientSessions[$0]?.end != nil }) {
            bidFarewell(session.peer, end, now: now)
        }
    }

    /// The peer's SAs are deleted as soon as its tunnels are closed, and at the latest after a moment.
    mutating func bidFarewell(_ peer: PeerID, _ end: SessionEnd, now: Instant) {
        guard let known = peers[peer], known.farewell == nil else { return }
        peers[peer]?.farewell = end
        setPeerDeadline(now + Self.farewellDuration, peer: peer)
    }
}
