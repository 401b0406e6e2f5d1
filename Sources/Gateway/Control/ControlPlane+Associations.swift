import ESP
import FoundationEssentials
import IKE
import Synchronization
import Wire

/// What operators are told of IPsec SAs, and of the tunnels to fixed peers.
extension ControlPlane {
    func associations() -> [AssociationRecord] {
        peers.values.sorted { $0.identifier.rawValue < $1.identifier.rawValue }.flatMap { peer in
            peer.associations.map { record($0, of: peer) }
        }
    }

    private func record(_ pair: Peer.Association, of peer: Peer) -> AssociationRecord {
        let (bytesIn, bytesOut) = (
            pair.moved.bytesIn.load(ordering: .relaxed), pair.moved.bytesOut.load(ordering: .relaxed)
        )
        let carried = max(bytesIn, bytesOut) / 1024
        return AssociationRecord(
            peer: "\(peer.path.remote.address)", port: peer.path.remote.port,
            identity: peer.identity.map { "\($0)" } ?? "", spiIn: "\(pair.inbound)", spiOut: "\(pair.outbound)",
            mode: pair.mode.rawValue, suite: "\(pair.suite)",
            purpose: pair.tunnel.map { configuredTunnels[$0].configuration.name } ?? "l2tp",
            traffic: (pair.traffic?.value).map { "\($0)" } ?? "", isConfirmed: pair.isConfirmed,
            since: date(pair.since),
            lifetimeSeconds: pair.lifetimeSeconds,
            expires: date(pair.since).addingTimeInterval(Double(pair.lifetimeSeconds)),
            lifetimeKilobytes: pair.lifetimeKilobytes,
            remainingKilobytes: pair.lifetimeKilobytes.map { $0 - min($0, carried) }, bytesIn: bytesIn,
            bytesOut: bytesOut, packetsIn: pair.moved.packetsIn.load(ordering: .relaxed),
            packetsOut: pair.moved.packetsOut.load(ordering: .relaxed), replayWindow: pair.replayWindow,
            encapsulation: peer.encapsulation.portName, pathMTU: peer.pathMTUBytes)
    }

    func tunnelsToPeers() -> [PeerTunnelRecord] {
        configuredTunnels.indices.filter { !configuredTunnels[$0].isRemoved }.map { record(tunnel: $0) }
    }

    private func record(tunnel number: Int) -> PeerTunnelRecord {
        let tunnel = configuredTunnels[number]
        let pairs = peers.values.flatMap(\.associations).filter { $0.tunnel == number }
        let sum = { (count: (SessionTraffic) -> UInt64) in pairs.reduce(UInt64(0)) { $0 &+ count($1.moved) } }
        let peer = tunnel.peer.flatMap { peers[$0] }.map(\.path.remote.address) ?? tunnel.configuration.peer
        return PeerTunnelRecord(
            name: tunnel.configuration.name, rule: tunnel.configuration.terms?.rule,
            peer: peer.map { "\($0)" } ?? "", mode: tunnel.configuration.mode.rawValue,
            start: tunnel.configuration.start.rawValue, state: tunnel.state, since: tunnel.since.map { date($0) },
            upCount: tunnel.upCount, traffic: tunnel.configuration.selectors.map(\.description),
            associations: pairs.count, bytesIn: sum { $0.bytesIn.load(ordering: .relaxed) },
            bytesOut: sum { $0.bytesOut.load(ordering: .relaxed) })
    }
}

extension ConfiguredTunnel {
    /// In the operator's words.
    fileprivate var state: String {
        if peer != nil { return "up" }
        if softUntil != nil { return "clear" }
        return wanted.isEmpty ? "down" : "calling"
    }
}

extension OuterEncapsulation {
    /// The UDP port that packets go by for a NAT.
    fileprivate var portName: String {
        switch self {
        case .none, .clear: "none"
        case .udp: "\(IKEPort.encapsulated)"
        case .udpOfIKE: "\(IKEPort.plain)"
        }
    }
}
