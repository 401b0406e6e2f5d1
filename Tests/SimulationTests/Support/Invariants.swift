import Accounts
import ESP
import Wire

@testable import Gateway
@testable import IKE
@testable import L2TP

extension SimulatedGateway {
    /// What is wrong in the gateway at this moment, whatever moment that is.
    func violations() -> [String] {
        var found: [String] = []
        let sessions = Array(plane.clientSessions.values)
        let addresses = sessions.compactMap(\.address)
        if Set(addresses).count != addresses.count { found.append("two sessions have one address") }
        if plane.pool.leasedCount != addresses.count {
            found.append("\(plane.pool.leasedCount) leases for \(addresses.count) addresses")
        }
        if isSettled { found += workerViolations(sessions) }
        for session in sessions where plane.peers[session.peer] == nil { found.append("a session without its peer") }
        let secured = plane.peers.values.count { $0.clear == nil }
        if plane.ike.peerCount != secured {
            found.append("IKE has \(plane.ike.peerCount) peers of \(secured)")
        }
        let associations = plane.peers.values.reduce(0) { $0 + $1.associations.count }
        if plane.ike.securityAssociationCount != associations {
            found.append("IKE has \(plane.ike.securityAssociationCount) IPsec SAs of \(associations)")
        }
        return found
    }

    /// Where the workers and the control plane have told each other everything, they agree.
    private func workerViolations(_ sessions: [ClientSession]) -> [String] {
        var found = routeViolations(sessions)
        for (index, worker) in workers.enumerated() {
            let own = sessions.filter { $0.worker == index }
            let peers = plane.peers.values.filter { $0.worker == index && $0.isInstalled }
            let associations = peers.reduce(0) { $0 + $1.associations.count }
            if worker.path.sessions.count != own.count {
                found.append("worker \(index) has \(worker.path.sessions.count) sessions of \(own.count)")
            }
            if worker.path.peers.count != peers.count {
                found.append("worker \(index) has \(worker.path.peers.count) peers of \(peers.count)")
            }
            let ending = plane.endingInbound.count { $0.worker == index }
            if worker.path.inboundTable.count != associations + ending {
                found.append("worker \(index) has \(worker.path.inboundTable.count) SAs, not \(associations + ending)")
            }
            for session in own where worker.path.sessions[session.slot]?.pointee.identifier != session.identifier {
                found.append("session \(session.identifier) is not at its worker")
            }
            for peer in peers where worker.path.peers[peer.slot]?.pointee.identifier != peer.identifier.rawValue {
                found.append("peer \(peer.identifier) is not at its worker")
            }
        }
        return found
    }

    private func routeViolations(_ sessions: [ClientSession]) -> [String] {
        var found: [String] = []
        var routed = 0
        let pool = plane.configuration.l2tp.network
        for value in pool.address.value...pool.last.value {
            let address = IPv4Address(value)
            guard let entry = routes.lookUp(address) else { continue }
            routed += 1
            let owner = sessions.first { $0.worker == entry.worker && $0.slot == entry.slot }
            if owner?.address != address { found.append("the route of \(address) leads to nobody") }
            let network = workers[entry.worker].path.sessions[entry.slot]?.pointee.network
            if network?.address != address { found.append("the route of \(address) leads to a session of another") }
        }
        if routed > sessions.count { found.append("\(routed) routes for \(sessions.count) sessions") }
        return found
    }

    /// What there is at this moment that should be gone once nobody is left, by name; empty when nothing is.
    func leftovers() -> [String: Int] {
        var counts = plane.inUse
        counts["sessions"] = plane.clientSessions.count
        counts["sessions by L2TP"] = plane.sessionsByL2TP.count
        counts["peers"] = plane.peers.count
        counts["peers in clear"] = plane.clearPeers.count
        counts["leases"] = plane.pool.leasedCount
        counts["IKE peers"] = plane.ike.peerCount
        counts["IKE peers by key"] = plane.ike.peersByKey.count
        counts["IKE SAs"] = plane.ike.associationCount
        counts["IPsec SAs"] = plane.ike.securityAssociationCount
        counts["half-open exchanges"] = plane.ike.halfOpenCount
        counts["unauthenticated exchanges"] = plane.ike.unauthenticated.count
        counts["first messages"] = plane.ike.firstMessages.count
        counts["IKE deadlines"] = plane.ike.deadlines.count
        counts["works"] = plane.ike.workTargets.count
        counts["tunnels"] = plane.l2tp.slotByID.count
        counts["tunnel peers"] = plane.l2tp.peers.count
        counts["L2TP sessions"] = plane.l2tp.sessionCount
        counts["L2TP deadlines"] = plane.l2tp.nextDeadline == nil ? 0 : 1
        let network = plane.configuration.l2tp.network
        counts["routes"] = (network.address.value...network.last.value).count { routes.lookUp(IPv4Address($0)) != nil }
        for (index, worker) in workers.enumerated() {
            counts["worker \(index)'s sessions"] = worker.path.sessions.count
            counts["worker \(index)'s peers"] = worker.path.peers.count
            counts["worker \(index)'s peers in clear"] = worker.path.clearPeers.count
            counts["worker \(index)'s SAs"] = worker.path.inboundTable.count
        }
        return counts.filter { $0.value != 0 }
    }
}
