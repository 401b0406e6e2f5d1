/// Lowers the maximum segment size that a TCP SYN announces, so that neither side sends what does not fit the tunnel.
///
/// Path MTU discovery alone is not enough: many firewalls drop the ICMP messages that it needs.
public enum TCPSegmentSize {
    /// IPv4 and TCP headers without options: what a segment is smaller than its datagram.
    public static let headersLength = 40
    /// The same with an IPv6 header.
    public static let headersLengthIPv6 = 60
    private static let headerMinimum = 20
    private static let endOfOptions: UInt8 = 0
    private static let noOperation: UInt8 = 1
    private static let maximumSegmentSize: UInt8 = 2

    /// Clamps the option in the first fragment of a SYN to what fits `mtuBytes`, and mends the checksum. Everything else is
    /// left as it is.
    public static func clamp(_ packet: Packet, _ header: IPv4Header, mtuBytes: Int) {
        guard header.protocolNumber == IPProtocol.tcp, header.fragmentOffset == 0 else { return }
        clamp(packet, at: header.length, end: header.totalLength, to: mtuBytes - headersLength)
    }

    /// Clamps the option in the same way in a segment within IPv6.
    public static func clamp(_ packet: Packet, _ header: IPv6Header, mtuBytes: Int) {
        guard header.protocolNumber == IPProtocol.tcp, header.fragmentOffset == 0 else { return }
        clamp(packet, at: header.payloadOffset, end: header.totalLength, to: mtuBytes - headersLengthIPv6)
    }

    private static func clamp(_ packet: Packet, at tcp: Int, end datagramEnd: Int, to sizeMaximum: Int) {
        guard datagramEnd >= tcp + headerMinimum else { return }
        let synchronize: UInt8 = 0x02
        guard packet.byte(at: tcp + 13) & synchronize != 0 else { return }
        let headerLength = Int(packet.byte(at: tcp + 12) >> 4) * 4
        guard headerLength >= headerMinimum, tcp + headerLength <= datagramEnd else { return }
        let limit = UInt16(clamping: max(sizeMaximum, 1))
        var option = tcp + headerMinimum
        let end = tcp + headerLength
        while option < end {
            let kind = packet.byte(at: option)
            if kind == endOfOptions { return }
            if kind == noOperation {
                option += 1
                continue
            }
            guard option + 1 < end else { return }
            let length = Int(packet.byte(at: option + 1))
            guard length >= 2, option + length <= end else { return }
            if kind == maximumSegmentSize, length == 4 {
                lower(packet, at: option + 2, to: limit, checksumAt: tcp + 16)
                return
            }
            option += length
        }
    }

    private static func lower(_ packet: Packet, at offset: Int, to limit: UInt16, checksumAt checksumOffset: Int) {
        let announced = packet.uint16(at: offset)
        guard announced > limit else { return }
        packet.store(limit, at: offset)
        var (old, new) = (announced, limit)
        // An option that begins at an odd offset is summed with its bytes swapped (RFC 1071 section 2).
        if offset % 2 != checksumOffset % 2 { (old, new) = (old.byteSwapped, new.byteSwapped) }
        let checksum = packet.uint16(at: checksumOffset)
        packet.store(InternetChecksum.updated(checksum, from: old, to: new), at: checksumOffset)
    }
}
