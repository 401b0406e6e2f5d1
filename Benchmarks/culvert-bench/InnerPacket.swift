import Gateway
import Wire

/// The packets that benchmarks send through a path.
extension Packet {
    /// What ``frame()`` puts in front: PPP's protocol field of one byte, L2TP's header of six, UDP's of eight.
    static let framingLength = 1 + 6 + 8

    /// Makes the packet one of UDP in IPv4, of as many bytes as it has.
    func writeHeader(from source: IPv4Address, to destination: IPv4Address) {
        store(UInt16(0x4500), at: 0)
        store(UInt16(count), at: 2)
        store(UInt32(0x4000), at: 4)
        store(UInt16(64 << 8 | UInt16(IPProtocol.udp)), at: 8)
        store(source.value, at: 12)
        store(destination.value, at: 16)
    }

    /// Puts PPP, L2TP and UDP in front, as a client does before ESP.
    mutating func frame() {
        prepend(Self.framingLength)
        store(UInt16(1701), at: 0)
        store(UInt16(1701), at: 2)
        store(UInt16(count), at: 4)
        store(UInt16(0), at: 6)
        store(UInt16(2), at: 8)
        store(PathInMemory.tunnel, at: 10)
        store(PathInMemory.session, at: 12)
        store(UInt8(0x21), at: 14)
    }
}
