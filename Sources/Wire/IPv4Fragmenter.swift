/// Cuts an IPv4 datagram that may be fragmented into pieces that fit (RFC 791 section 3.2).
public struct IPv4Fragmenter {
    private let header: IPv4Header
    private let packet: Packet
    private let chunk: Int
    private var offset = 0

    /// The fragments of `packet` that fit `mtuBytes`; nil when not even 8 bytes of payload would.
    public init?(_ packet: Packet, _ header: IPv4Header, mtuBytes: Int) {
        let chunk = (mtuBytes - header.length) / 8 * 8
        guard chunk >= 8 else { return nil }
        (self.packet, self.header, self.chunk) = (packet, header, chunk)
    }

    /// Writes the next fragment into `target`, whose memory holds `mtuBytes`; false when there is none left.
    public mutating func next(into target: inout Packet) -> Bool {
        let payload = header.totalLength - header.length
        guard offset < payload else { return false }
        let count = min(chunk, payload - offset)
        target.count = header.length + count
        target.start.copyMemory(from: packet.start, byteCount: header.length)
        (target.start + header.length).copyMemory(from: packet.start + header.length + offset, byteCount: count)
        if offset > 0 { dropUncopiedOptions(target) }
        let more: UInt16 = offset + count < payload || header.moreFragments ? 0x2000 : 0
        // The sum cannot leave 13 bits: the datagram's own end is below 65,536 bytes.
        let position = header.fragmentOffset &+ UInt16(truncatingIfNeeded: offset / 8)
        target.store(UInt16(truncatingIfNeeded: target.count), at: 2)
        target.store(more | position & 0x1fff, at: 6)
        target.store(UInt16(0), at: 10)
        target.store(InternetChecksum.of(target.start, count: header.length), at: 10)
        offset += count
        return true
    }

    /// Options whose copied flag is clear stand in the first fragment only (RFC 791 section 3.1): they become no-operations.
    private func dropUncopiedOptions(_ target: Packet) {
        var option = IPv4Header.lengthMinimum
        while option < header.length {
            let kind = target.byte(at: option)
            if kind == 0 { return }
            if kind == 1 {
                option += 1
                continue
            }
            guard option + 1 < header.length else { return }
            let length = Int(target.byte(at: option + 1))
            guard length >= 2, option + length <= header.length else { return }
            if kind & 0x80 == 0 { for byte in option..<option + length { target.store(UInt8(1), at: byte) } }
            option += length
        }
    }
}
