import L2TP
import Wire

/// L2TP without IPsec, which comes to UDP 1701 where the policy lets it in: a soft association.
extension PacketPath {
    /// Of how many messages of strangers the control loop is told within ``strangersInterval``: anyone can send them, under
    /// any address.
    static let strangersMaximum = 50
    static let strangersInterval = Duration.seconds(1)

    /// Takes a batch of UDP payloads that came to port 1701 to the inner packets in them. A peer here is an address and a
    /// port, so that whatever comes finds sessions of that peer alone, and never one that has SAs.
    mutating func receiveClear(_ batch: inout PacketBatch, now: Instant) {
        for position in 0..<batch.count {
            let path = batch[position].path
            if let slot = clearPeers[path], let peer = peers[slot] {
                let isDelivered = receiveL2TP(&batch[position], from: peer, remotePort: path.remote.port, now: now)
                dispositions[position] = isDelivered ? .deliver : .done
            } else {
                noteStranger(batch[position], now: now)
                dispositions[position] = .done
            }
        }
    }

    /// All that somebody may begin with is a SCCRQ, whose Tunnel ID is 0 (RFC 2661 section 3.1).
    private mutating func noteStranger(_ packet: Packet, now: Instant) {
        guard case .control = L2TPDataHeader.parse(packet), packet.count > 12, packet.uint16(at: 4) == 0 else {
            return drops.count(.clearStranger)
        }
        if now.since(strangersSince) >= Self.strangersInterval { (strangersSince, strangersTold) = (now, 0) }
        guard strangersTold < Self.strangersMaximum else { return drops.count(.tooManyStrangers) }
        strangersTold += 1
        report(.stranger(message: [UInt8](copying: packet.span), path: packet.path))
    }
}
