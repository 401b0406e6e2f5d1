/// Protocol numbers of IP that we meet.
public enum IPProtocol {
    /// The hop-by-hop options of IPv6.
    public static let hopByHopOptions: UInt8 = 0
    /// ICMP for IPv4.
    public static let icmp: UInt8 = 1
    /// An IPv4 datagram in another one.
    public static let ipv4: UInt8 = 4
    /// TCP.
    public static let tcp: UInt8 = 6
    /// UDP.
    public static let udp: UInt8 = 17
    /// DCCP.
    public static let dccp: UInt8 = 33
    /// An IPv6 datagram in another one.
    public static let ipv6: UInt8 = 41
    /// The routing header of IPv6.
    public static let routing: UInt8 = 43
    /// The fragment header of IPv6.
    public static let fragment: UInt8 = 44
    /// RSVP.
    public static let rsvp: UInt8 = 46
    /// ESP.
    public static let esp: UInt8 = 50
    /// AH.
    public static let ah: UInt8 = 51
    /// ICMP for IPv6.
    public static let icmpv6: UInt8 = 58
    /// The destination options of IPv6.
    public static let destinationOptions: UInt8 = 60
    /// SCTP.
    public static let sctp: UInt8 = 132

    /// Whether the payload begins with two ports, of the source and of the destination.
    @inlinable public static func hasPorts(_ number: UInt8) -> Bool {
        number == tcp || number == udp || number == sctp || number == dccp
    }
}

/// The IPv4 header (RFC 791) of a packet, looked at where it lies.
///
/// Making one proves the lengths: the header is whole, the total length covers it and is covered by the bytes that are
/// there. After that no accessor can leave the packet, as long as the packet is not shortened.
public struct IPv4Header {
    /// The length of a header without options.
    public static let lengthMinimum = 20

    /// The header's length in bytes, options included.
    public let length: Int
    /// The whole datagram's length in bytes.
    public let totalLength: Int
    @usableFromInline let start: UnsafeMutableRawPointer

    /// The header at the start of `packet`; nil when it is not a whole IPv4 datagram.
    @inlinable @inline(__always)
    public init?(_ packet: Packet) {
        guard packet.count >= Self.lengthMinimum else { return nil }
        let first = packet.byte(at: 0)
        let length = Int(first & 0x0f) * 4
        let totalLength = Int(packet.uint16(at: 2))
        guard first >> 4 == 4, length >= Self.lengthMinimum, totalLength >= length, totalLength <= packet.count else {
            return nil
        }
        (self.length, self.totalLength, start) = (length, totalLength, packet.start)
    }

    /// The source address.
    @inlinable public var source: IPv4Address {
        IPv4Address(UInt32(bigEndian: start.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    }

    /// The destination address.
    @inlinable public var destination: IPv4Address {
        IPv4Address(UInt32(bigEndian: start.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
    }

    /// The protocol of the payload.
    @inlinable public var protocolNumber: UInt8 { start.load(fromByteOffset: 9, as: UInt8.self) }

    /// DSCP and ECN.
    @inlinable public var trafficClass: UInt8 { start.load(fromByteOffset: 1, as: UInt8.self) }

    /// What tells the fragments of one datagram from those of another of the same hosts and protocol.
    @inlinable public var identification: UInt16 {
        UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
    }

    @usableFromInline var fragmentWord: UInt16 {
        UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
    }

    /// Whether the datagram must not be fragmented.
    @inlinable public var doNotFragment: Bool { fragmentWord & 0x4000 != 0 }

    /// Whether more fragments follow.
    @inlinable public var moreFragments: Bool { fragmentWord & 0x2000 != 0 }

    /// Where this fragment's payload belongs, in units of 8 bytes.
    @inlinable public var fragmentOffset: UInt16 { fragmentWord & 0x1fff }
}
