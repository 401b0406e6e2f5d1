import Wire

/// The IP header outside of AH, which AH authenticates but for what changes on the way (RFC 4302 section 3.3.3.1).
enum OuterHeader {
    static let lengthIPv4 = 20
    static let lengthIPv6 = 40
    /// The longest header that is authenticated: what ``OuterFields/headerLength`` can say.
    static let lengthMaximum = 255
    /// The IPv6 extension headers of RFC 8200 that may stand before AH.
    private enum Extension {
        static let hopByHop: UInt8 = 0
        static let routing: UInt8 = 43
        static let destination: UInt8 = 60
        /// In an option's type: its data may change on the way (RFC 8200 section 4.2).
        static let mutableBit: UInt8 = 0x20
        static let padding: UInt8 = 0
    }

    // MARK: - Received

    /// Writes the header of a received packet to `target`, which has room for ``lengthMaximum`` bytes, as it is
    /// authenticated. An IPv6 header that the system kept is made again of the packet's path. Nil where there is none, or
    /// where it is not one.
    static func writeAuthenticated(of packet: Packet, to target: UnsafeMutableRawPointer) -> Int? {
        let length = Int(packet.outer.headerLength)
        guard length > 0 else { return rebuild(packet, target) }
        target.copyMemory(from: packet.start - length, byteCount: length)
        let version = target.load(as: UInt8.self) >> 4
        if version == 4, length >= lengthIPv4 {
            return Int(target.load(as: UInt8.self) & 0xf) * 4 == length && clearIPv4(target, length) ? length : nil
        }
        guard version == 6, length >= lengthIPv6, clearIPv6(target, length) else { return nil }
        return length
    }

    /// How many bytes ``writeAuthenticated(of:to:)`` writes.
    @inline(__always)
    static func authenticatedLength(of packet: Packet) -> Int {
        packet.outer.headerLength > 0 ? Int(packet.outer.headerLength) : lengthIPv6
    }

    private static func rebuild(_ packet: Packet, _ target: UnsafeMutableRawPointer) -> Int? {
        guard case .v6(let source) = packet.path.remote.address, case .v6(let destination) = packet.path.local else {
            return nil
        }
        writeIPv6(target, payloadCount: packet.count, from: source, to: destination)
        return lengthIPv6
    }

    /// Zeroes what may change on the way in IPv4 (RFC 4302 section 3.3.3.1.1): type of service, flags and offset, time to
    /// live, checksum, and options.
    private static func clearIPv4(_ header: UnsafeMutableRawPointer, _ length: Int) -> Bool {
        header.storeBytes(of: 0, toByteOffset: 1, as: UInt8.self)
        header.storeBytes(of: 0, toByteOffset: 6, as: UInt16.self)
        header.storeBytes(of: 0, toByteOffset: 8, as: UInt8.self)
        header.storeBytes(of: 0, toByteOffset: 10, as: UInt16.self)
        var offset = lengthIPv4
        while offset < length {
            let kind = header.load(fromByteOffset: offset, as: UInt8.self)
            if kind == 0 { return true }
            if kind == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < length else { return false }
            let count = Int(header.load(fromByteOffset: offset + 1, as: UInt8.self))
            guard count >= 2, offset + count <= length else { return false }
            if !isImmutable(kind) {
                (header + offset).initializeMemory(as: UInt8.self, repeating: 0, count: count)
            }
            offset += count
        }
        return true
    }

    /// The IPv4 options that no router changes (RFC 4302 appendix A1): security, extended security, commercial security,
    /// router alert, sender directed multi-destination delivery. Source routes count as zero; what they make of the
    /// destination is there at the receiver.
    private static func isImmutable(_ option: UInt8) -> Bool {
        switch option {
        case 130, 133, 134, 148, 149: true
        default: false
        }
    }

    /// Zeroes what may change on the way in IPv6 (RFC 4302 section 3.3.3.1.2): traffic class, flow label, hop limit, and
    /// the data of options that say so. A routing header is as its sender foresaw it, since it has arrived here.
    private static func clearIPv6(_ header: UnsafeMutableRawPointer, _ length: Int) -> Bool {
        header.storeBytes(of: UInt32(0x6000_0000).bigEndian, as: UInt32.self)
        header.storeBytes(of: 0, toByteOffset: 7, as: UInt8.self)
        var next = header.load(fromByteOffset: 6, as: UInt8.self)
        var offset = lengthIPv6
        while offset < length {
            guard offset + 8 <= length else { return false }
            let count = (Int(header.load(fromByteOffset: offset + 1, as: UInt8.self)) + 1) * 8
            guard offset + count <= length else { return false }
            switch next {
            case Extension.hopByHop, Extension.destination:
                guard clearOptions(header, offset + 2, offset + count) else { return false }
            case Extension.routing: break
            default: return false
            }
            next = header.load(fromByteOffset: offset, as: UInt8.self)
            offset += count
        }
        return next == IPProtocol.ah
    }

    private static func clearOptions(_ header: UnsafeMutableRawPointer, _ first: Int, _ end: Int) -> Bool {
        var offset = first
        while offset < end {
            let kind = header.load(fromByteOffset: offset, as: UInt8.self)
            if kind == Extension.padding {
                offset += 1
                continue
            }
            guard offset + 1 < end else { return false }
            let count = Int(header.load(fromByteOffset: offset + 1, as: UInt8.self))
            guard offset + 2 + count <= end else { return false }
            if kind & Extension.mutableBit != 0 {
                (header + offset + 2).initializeMemory(as: UInt8.self, repeating: 0, count: count)
            }
            offset += 2 + count
        }
        return true
    }

    // MARK: - Sent

    /// Puts a header in front of a packet that begins with AH, what changes on the way still zero. An identification is
    /// never 0, by which the kernel would be asked for one of its own.
    static func prepend(to packet: inout Packet, sequence: UInt64, index: SecurityParameterIndex) -> Bool {
        switch (packet.path.local, packet.path.remote.address) {
        case (.v4(let source), .v4(let destination)):
            packet.prepend(lengthIPv4)
            guard packet.count <= Int(UInt16.max) else { return false }
            let identification = UInt16(truncatingIfNeeded: sequence &+ UInt64(index.value))
            packet.store(UInt16(0x4500), at: 0)
            packet.store(UInt16(truncatingIfNeeded: packet.count), at: 2)
            packet.store(identification == 0 ? 0x8000 : identification, at: 4)
            packet.store(UInt16(0), at: 6)
            packet.store(UInt16(IPProtocol.ah), at: 8)
            packet.store(UInt16(0), at: 10)
            packet.store(source.value, at: 12)
            packet.store(destination.value, at: 16)
            return true
        case (.v6(let source), .v6(let destination)):
            let payloadCount = packet.count
            guard payloadCount <= Int(UInt16.max) else { return false }
            packet.prepend(lengthIPv6)
            writeIPv6(packet.start, payloadCount: payloadCount, from: source, to: destination)
            return true
        case (.v4, .v6), (.v6, .v4): return false
        }
    }

    /// Writes what routers may change, which is not authenticated.
    static func writeMutable(_ packet: Packet) {
        let trafficClass = packet.outer.trafficClass
        if packet.byte(at: 0) >> 4 == 6 {
            packet.store(UInt32(0x6000_0000) | UInt32(trafficClass) << 20, at: 0)
            packet.store(AuthenticationHeader.hopLimit, at: 7)
            return
        }
        packet.store(trafficClass, at: 1)
        packet.store(UInt16(packet.outer.doNotFragment ? 0x4000 : 0), at: 6)
        packet.store(AuthenticationHeader.hopLimit, at: 8)
        packet.store(InternetChecksum.of(packet.start, count: lengthIPv4), at: 10)
    }

    private static func writeIPv6(
        _ target: UnsafeMutableRawPointer, payloadCount: Int, from source: IPv6Address, to destination: IPv6Address
    ) {
        target.storeBytes(of: UInt32(0x6000_0000).bigEndian, as: UInt32.self)
        target.storeBytes(
            of: UInt16(truncatingIfNeeded: payloadCount).bigEndian, toByteOffset: 4, as: UInt16.self)
        target.storeBytes(of: IPProtocol.ah, toByteOffset: 6, as: UInt8.self)
        target.storeBytes(of: 0, toByteOffset: 7, as: UInt8.self)
        target.storeBytes(of: source.high.bigEndian, toByteOffset: 8, as: UInt64.self)
        target.storeBytes(of: source.low.bigEndian, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: destination.high.bigEndian, toByteOffset: 24, as: UInt64.self)
        target.storeBytes(of: destination.low.bigEndian, toByteOffset: 32, as: UInt64.self)
    }
}
