import Cryptography
import ESP
import Wire

/// What the control loop changes in a worker's tables.
extension PacketPath {
    /// Carries a command out; those that send something are not for here. False for an SA whose keys do not fit its
    /// algorithms, which the negotiation has already made sure of.
    mutating func carryOut(_ command: WorkerCommand) -> Bool {
        switch command {
        case .addPeer(let slot, let identifier, let path, let encapsulation):
            outboundCount &-= peers[slot]?.pointee.outboundCount ?? 0
            dropWaiting(of: slot)
            peers.insert(PeerEntry(identifier: identifier, path: path, encapsulation: encapsulation), at: slot)
            if encapsulation == .clear { clearPeers[path] = slot }
        case .movePeer(let slot, let path, let encapsulation):
            guard let peer = peers[slot] else { break }
            peer.pointee.path = path
            peer.pointee.encapsulation = encapsulation
        case .removePeer(let slot):
            outboundCount &-= peers[slot]?.pointee.outboundCount ?? 0
            if let peer = peers[slot], peer.pointee.encapsulation == .clear { clearPeers[peer.pointee.path] = nil }
            dropWaiting(of: slot)
            peers.remove(at: slot)
        case .installInbound(let parameters, let peer):
            return install(inbound: parameters, peer: peer)
        case .installOutbound(let parameters, let peer):
            return install(outbound: parameters, peer: peer)
        case .removeInbound(let index):
            remove(inbound: index)
        case .removeOutbound(let index, let peer):
            if peers[peer]?.pointee.remove(index) == true { outboundCount &-= 1 }
            endWait(of: peer)
        case .addSession(let slot, let parameters):
            add(parameters, at: slot)
        case .moveSession(let slot, let remotePort):
            sessions[slot]?.pointee.remotePort = remotePort
        case .setNetwork(let slot, let network):
            sessions[slot]?.pointee.network = network
        case .setRateLimits(let slot, let limits):
            sessions[slot]?.pointee.limit(to: limits)
        case .removeSession(let slot):
            removeSession(at: slot)
        case .setPathMTU(let slot, let bytes):
            peers[slot]?.pointee.pathMTUBytes = bytes
        case .setTunnels(let table):
            tunnels = table
        case .sendHeld(let tunnel):
            heldDue.append(tunnel)
        case .dropHeld(let tunnel):
            dropHeld(of: tunnel)
        case .sendControl, .sendFrame, .sendKeepalive, .serveClear, .stop:
            break
        }
        return true
    }

    private mutating func install(inbound parameters: AssociationParameters, peer: Int) -> Bool {
        remove(inbound: parameters.index)
        let slot = inboundSlots.allocate()
        do throws(CryptographyError) {
            inboundTable.install(
                try InboundSecurityAssociation(
                    index: parameters.index, owner: slot, protection: parameters.protection,
                    keys: parameters.keys, limit: parameters.limit, multiBuffer: multiBuffer))
            keyAdditions &+= 1
            inboundEntries.insert(InboundEntry(peer: peer, parameters), at: slot)
            return true
        } catch {
            inboundSlots.release(slot)
            return false
        }
    }

    private mutating func remove(inbound index: SecurityParameterIndex) {
        guard let slot = inboundTable.owner(index) else { return }
        inboundTable.remove(index)
        inboundEntries.remove(at: slot)
        inboundSlots.release(slot)
    }

    private mutating func install(outbound parameters: AssociationParameters, peer slot: Int) -> Bool {
        guard let peer = peers[slot] else { return true }
        do throws(CryptographyError) {
            peer.pointee.add(try OutboundEntry(parameters, compressor: compressor, multiBuffer: multiBuffer))
            keyAdditions &+= 1
            outboundCount &+= 1
            endWait(of: slot)
            return true
        } catch {
            return false
        }
    }

    private mutating func add(_ parameters: SessionParameters, at slot: Int) {
        // One that is there ends first: put over it, the new one would follow itself in its peer's list.
        removeSession(at: slot)
        guard let peer = peers[parameters.peer] else { return }
        var record = SessionEntry(parameters)
        record.nextOfPeer = peer.pointee.firstSession
        sessions.insert(record, at: slot)
        peer.pointee.firstSession = slot
    }

    /// Takes a session out of its peer's list, then ends it.
    private mutating func removeSession(at slot: Int) {
        guard let session = sessions[slot] else { return }
        let next = session.pointee.nextOfPeer
        if let peer = peers[session.pointee.peer] {
            if peer.pointee.firstSession == slot {
                peer.pointee.firstSession = next
            } else {
                var other = peer.pointee.firstSession
                while let record = sessions[other] {
                    if record.pointee.nextOfPeer == slot {
                        record.pointee.nextOfPeer = next
                        break
                    }
                    other = record.pointee.nextOfPeer
                }
            }
        }
        sessions.remove(at: slot)
    }
}
