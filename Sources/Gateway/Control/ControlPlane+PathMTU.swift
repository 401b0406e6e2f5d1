import ESP
import IKE
import Logging
import Wire

/// How large packets to peers may be (RFC 4301 section 8.2).
extension ControlPlane {
    /// A router says that a packet of ours was too large. It is believed of a peer's path, and only where it quotes an SPI
    /// that we send by there: a stranger does not know one (RFC 4301 section 8.2.1).
    mutating func take(_ report: PathMTUReport, now: Instant) {
        guard let index = report.index,
            let peer = peers.values.first(where: { peer in
                peer.path == report.path && peer.associations.contains { $0.outbound.value == index }
            })
        else { return counters.count(.pathMTUReportsRefused) }
        let version = peer.path.remote.address.version
        guard peers[peer.identifier]?.pathMTU.learn(report.mtuBytes, version: version, now: now) == true else { return }
        counters.count(.pathMTUsLearned)
        if !pathMTUsLearned.contains(where: { $0.peer == peer.identifier }) {
            pathMTUsLearned.append((now + PathMTU.lifetime, peer.identifier))
        }
        publishPathMTU(of: peer.identifier)
        log.info(
            "a router says how large packets to a peer may be",
            metadata: ["peer": "\(peer.path.remote)", "bytes": "\(report.mtuBytes)"])
    }

    /// A peer is somewhere else: what was known of the way to it is of another one.
    mutating func pathHasChanged(of identifier: PeerID) {
        guard let peer = peers[identifier], peer.isInstalled else { return }
        if peer.pathMTU.mtuBytes != nil {
            peers[identifier]?.pathMTU = PathMTU()
            pathMTUsLearned.removeAll { $0.peer == identifier }
            publishPathMTU(of: identifier)
        }
        put(.findPathMTU(identifier, peer.path))
    }

    /// What the system takes on the way to a peer; nil where it does not say.
    mutating func foundPathMTU(of peer: PeerID, path: OuterPath, bytes: Int?) {
        guard let known = peers[peer], known.path == path, let bytes, known.interfaceMTUBytes != bytes else { return }
        peers[peer]?.interfaceMTUBytes = bytes
        publishPathMTU(of: peer)
    }

    /// A way may have become better: what was learned long ago is forgotten, and learned anew if need be.
    mutating func forgetPathMTUs(now: Instant) {
        while let first = pathMTUsLearned.first, first.deadline <= now {
            pathMTUsLearned.removeFirst()
            guard let peer = peers[first.peer] else { continue }
            if peers[first.peer]?.pathMTU.expire(now: now) == true {
                publishPathMTU(of: first.peer)
            } else if let deadline = peer.pathMTU.deadline {
                // It was said again since.
                pathMTUsLearned.append((deadline, first.peer))
            }
        }
    }

    private mutating func publishPathMTU(of identifier: PeerID) {
        guard let peer = peers[identifier] else { return }
        let bytes = peer.pathMTUBytes ?? PeerEntry.pathMTUBytesDefault
        put(.command(worker: peer.worker, .setPathMTU(peer: peer.slot, bytes: bytes)))
    }
}

extension Peer {
    /// How large outer packets may be: what the way is known to take; nil where nothing is known.
    var pathMTUBytes: Int? {
        guard let interfaceMTUBytes else { return pathMTU.mtuBytes }
        return min(interfaceMTUBytes, pathMTU.mtuBytes ?? interfaceMTUBytes)
    }
}
