extension PacketFlow {
    /// The flow that an IP packet of either version belongs to; nil when it is not a whole packet.
    ///
    /// Later fragments do not tell their ports, nor does a first one that is too short for them (RFC 4301 section 7).
    @inlinable
    public init?(_ packet: Packet) {
        if let header = IPv4Header(packet) {
            self.init(
                source: .v4(header.source), destination: .v4(header.destination), protocolNumber: header.protocolNumber)
            if header.fragmentOffset == 0 { readPorts(packet, at: header.length, end: header.totalLength) }
        } else if let header = IPv6Header(packet) {
            self.init(
                source: .v6(header.source), destination: .v6(header.destination), protocolNumber: header.protocolNumber)
            if header.fragmentOffset == 0 { readPorts(packet, at: header.payloadOffset, end: header.totalLength) }
        } else {
            return nil
        }
    }

    @inlinable mutating func readPorts(_ packet: Packet, at offset: Int, end: Int) {
        guard IPProtocol.hasPorts(protocolNumber), offset + 4 <= end else { return }
        (sourcePort, destinationPort) = (packet.uint16(at: offset), packet.uint16(at: offset + 2))
    }
}
