/// Cuts an IPv6 packet that we originate into pieces that fit (RFC 8200 section 4.5). Packets of others are never cut.
public struct IPv6Fragmenter {
    private let header: IPv6Header
    private let packet: Packet
    private let identification: UInt32
    private let chunk: Int
    private var offset = 0

    /// The fragments of `packet` that fit `mtuBytes`; nil when not even 8 bytes of payload would, or where it is cut already.
    ///
    /// - Parameter identification: Not used for another packet between the same hosts for a while (RFC 7739).
    public init?(_ packet: Packet, _ header: IPv6Header, mtuBytes: Int, identification: UInt32) {
        let chunk = (mtuBytes - header.perFragmentLength - IPv6Header.fragmentHeaderLength) / 8 * 8
        guard chunk >= 8, !header.hasFragmentHeader else { return nil }
        (self.packet, self.header, self.chunk, self.identification) = (packet, header, chunk, identification)
    }

    /// Writes the next fragment into `target`, whose memory holds `mtuBytes`; false when there is none left.
    public mutating func next(into target: inout Packet) -> Bool {
        let first = header.perFragmentLength
        let payload = header.totalLength - first
        guard offset < payload else { return false }
        let count = min(chunk, payload - offset)
        let headers = first + IPv6Header.fragmentHeaderLength
        target.count = headers + count
        target.start.copyMemory(from: packet.start, byteCount: first)
        (target.start + headers).copyMemory(from: packet.start + first + offset, byteCount: count)
        target.store(UInt16(truncatingIfNeeded: target.count - IPv6Header.length), at: 4)
        target.store(UInt16(packet.byte(at: header.nextHeaderOffset)) << 8, at: first)
        target.store(IPProtocol.fragment, at: header.nextHeaderOffset)
        let more: UInt16 = offset + count < payload ? 1 : 0
        // Offsets are multiples of 8, so that the flag has its place below them.
        target.store(UInt16(truncatingIfNeeded: offset) | more, at: first + 2)
        target.store(identification, at: first + 4)
        offset += count
        return true
    }
}
