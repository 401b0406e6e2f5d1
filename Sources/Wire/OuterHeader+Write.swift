extension Packet {
    /// What headers of ours allow in hops: the recommended value of the IANA's list.
    @usableFromInline static let timeToLive: UInt8 = 64

    /// Puts an IPv4 header without options in front. The caller knows that the headroom and a total length of 16 bits are
    /// there. The source 0.0.0.0 lets the system choose, and so does the identification 0 in a raw socket, which suffices
    /// where nobody may fragment (RFC 6864 section 4.1).
    @inlinable public mutating func prependIPv4Header(
        protocolNumber: UInt8, from source: IPv4Address, to destination: IPv4Address, trafficClass: UInt8 = 0,
        doNotFragment: Bool = true, identification: UInt16 = 0
    ) {
        prepend(IPv4Header.lengthMinimum)
        store(UInt8(0x45), at: 0)
        store(trafficClass, at: 1)
        store(UInt16(truncatingIfNeeded: count), at: 2)
        store(identification, at: 4)
        store(doNotFragment ? UInt16(0x4000) : 0, at: 6)
        store(Self.timeToLive, at: 8)
        store(protocolNumber, at: 9)
        store(UInt16(0), at: 10)
        store(source.value, at: 12)
        store(destination.value, at: 16)
        store(InternetChecksum.of(start, count: IPv4Header.lengthMinimum), at: 10)
    }

    /// Puts an IPv6 header in front. The caller knows that the headroom and a payload length of 16 bits are there.
    @inlinable public mutating func prependIPv6Header(
        nextHeader: UInt8, from source: IPv6Address, to destination: IPv6Address, trafficClass: UInt8 = 0
    ) {
        let payload = count
        prepend(IPv6Header.length)
        store(UInt32(0x6000_0000) | UInt32(trafficClass) << 20, at: 0)
        store(UInt16(truncatingIfNeeded: payload), at: 4)
        store(nextHeader, at: 6)
        store(Self.timeToLive, at: 7)
        store(source, at: 8)
        store(destination, at: 24)
    }

    /// Puts UDP without a checksum in front, as ESP has it in IPv4 (RFC 3948 section 2.1), to ``path``'s port.
    @inlinable public mutating func prependUDPHeader(from port: UInt16) {
        prepend(8)
        store(port, at: 0)
        store(path.remote.port, at: 2)
        store(UInt16(truncatingIfNeeded: count), at: 4)
        store(UInt16(0), at: 6)
    }

    /// Writes an address at `offset`.
    @inlinable public func store(_ address: IPv6Address, at offset: Int) {
        start.storeBytes(of: address.high.bigEndian, toByteOffset: offset, as: UInt64.self)
        start.storeBytes(of: address.low.bigEndian, toByteOffset: offset + 8, as: UInt64.self)
    }
}
