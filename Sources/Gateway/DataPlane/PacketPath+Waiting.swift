import ESP
import Wire

/// What waits for an SA: the first one of a tunnel, or the successor of one that has carried all that it may.
extension PacketPath {
    /// How many packets wait for an SA of one tunnel, per worker.
    static let heldMaximum = 16
    /// How many packets wait for the successor of a peer's used-up SA: what 25 MB/s bring in 60 ms, which a quick mode that
    /// began too late still needs. TCP loses nothing by a pause that is shorter than its own patience.
    static let waitingMaximum = 1024
    /// The largest of these: what comes out of a TUN interface of the usual size.
    static let waitingSizeMaximum = 2048
    /// Of how many peers at once, per worker: each takes two and a half megabytes.
    static let waitingPeersMaximum = 32

    /// Whether some of it need wait no longer.
    var isHeldDue: Bool { !heldDue.isEmpty || !waitingDue.isEmpty }

    /// Puts what has waited long enough into `batch`, to be sent as if it came now. False: there was nothing.
    mutating func takeHeld(into batch: inout PacketBatch) -> Bool {
        while let peer = waitingDue.last {
            guard let packets = waiting[peer], packets.pointee.takeDue(into: &batch) else {
                waitingDue.removeLast()
                continue
            }
            if batch.count == batch.capacity { return true }
        }
        while let tunnel = heldDue.last {
            guard let packets = held[tunnel], packets.pointee.takeFirst(into: &batch) else {
                heldDue.removeLast()
                continue
            }
            if batch.count == batch.capacity { return true }
        }
        return batch.count > 0
    }

    // MARK: For the first SA of a tunnel

    /// Keeps a packet until there is an SA for it, and says that one is wanted.
    mutating func hold(_ packet: Packet, for match: TunnelTable.Match, now: Instant) -> Disposition {
        if held[match.tunnel] == nil {
            held.insert(
                HeldPackets(capacity: Self.heldMaximum, packetSizeMaximum: Self.packetSizeMaximum), at: match.tunnel)
        }
        guard let packets = held[match.tunnel] else { return .done }
        if !packets.pointee.append(packet) { drops.count(.heldTooMany) }
        if packets.pointee.told.map({ now.since($0) >= Self.acquireInterval }) ?? true {
            packets.pointee.told = now
            report(.acquire(match))
        }
        return .done
    }

    /// Nobody is coming for what waits.
    mutating func dropHeld(of tunnel: Int) {
        guard let packets = held[tunnel] else { return }
        drops.add(UInt64(packets.pointee.count), to: .heldInVain)
        held.remove(at: tunnel)
    }

    // MARK: For a successor

    /// Keeps a packet whose SA has carried all that it may: the hard limit is one, and a successor is under way. Says so
    /// again while it waits, in case that was not heard, or came to nothing.
    mutating func awaitSuccessor(
        _ packet: Packet, of association: UnsafeMutablePointer<OutboundEntry>, peer slot: Int, now: Instant
    ) -> Disposition {
        if waiting[slot] == nil {
            guard waiting.count < Self.waitingPeersMaximum else {
                notSealed.count(.volumeExhausted)
                return drop(.notEncrypted)
            }
            waiting.insert(
                HeldPackets(capacity: Self.waitingMaximum, packetSizeMaximum: Self.waitingSizeMaximum), at: slot)
        }
        guard let packets = waiting[slot], let peer = peers[slot] else { return drop(.noOutboundAssociation) }
        if !packets.pointee.append(packet) { drops.count(.heldTooMany) }
        if packets.pointee.told.map({ now.since($0) >= Self.acquireInterval }) ?? true {
            packets.pointee.told = now
            let name = AssociationName.outbound(association.pointee.association.index)
            report(.limitReached(peer: peer.pointee.identifier, name, association.pointee.association.traffic))
        }
        return .done
    }

    /// A peer's SAs are others now: what waits goes its way again.
    mutating func endWait(of peer: Int) {
        guard let packets = waiting[peer], packets.pointee.release() else { return }
        waitingDue.append(peer)
    }

    /// A peer is gone, and what waits for its SAs with it.
    mutating func dropWaiting(of peer: Int) {
        guard let packets = waiting[peer] else { return }
        drops.add(UInt64(packets.pointee.count), to: .heldInVain)
        waiting.remove(at: peer)
    }
}

/// Packets that wait, the oldest first, of which no more than the last so many are kept. Their memory comes with the first one
/// and is kept for the next time.
struct HeldPackets: ~Copyable {
    /// When the control loop was told last that something waits.
    var told: Instant?
    private var batch: PacketBatch
    private var first = 0
    private(set) var count = 0
    /// How many of them need wait no longer.
    private var dueCount = 0

    init(capacity: Int, packetSizeMaximum: Int) {
        batch = PacketBatch(capacity: capacity, packetSizeMaximum: packetSizeMaximum)
    }

    /// Puts a packet behind the others. False: the oldest had to give way, or this one is too large.
    mutating func append(_ packet: Packet) -> Bool {
        guard packet.count <= batch.packetSizeMaximum else { return false }
        let slot = (first + count) % batch.capacity
        batch[slot].start.copyMemory(from: packet.start, byteCount: packet.count)
        batch[slot].count = packet.count
        if count < batch.capacity {
            count += 1
            return true
        }
        first = (first + 1) % batch.capacity
        dueCount = max(0, dueCount - 1)
        return false
    }

    /// All that waits now is due; false where nothing does. What is put behind it waits anew.
    mutating func release() -> Bool {
        dueCount = count
        told = nil
        return count > 0
    }

    /// Moves the oldest packet that is due to the end of `target`; false where there is none, or no room.
    mutating func takeDue(into target: inout PacketBatch) -> Bool {
        guard dueCount > 0, takeFirst(into: &target) else { return false }
        dueCount -= 1
        return true
    }

    /// Moves the oldest packet to the end of `target`; false where there is none, or no room.
    mutating func takeFirst(into target: inout PacketBatch) -> Bool {
        guard count > 0, target.count < target.capacity else { return false }
        let slot = target.count
        target[slot].start.copyMemory(from: batch[first].start, byteCount: batch[first].count)
        target[slot].count = batch[first].count
        target.count += 1
        first = (first + 1) % batch.capacity
        count -= 1
        return true
    }
}
