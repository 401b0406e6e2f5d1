/// The IPv6 header (RFC 8200) of a packet with its extension headers, looked at where it lies.
///
/// Making one proves the lengths and walks the extension headers, so that no accessor can leave the packet as long as it is
/// not shortened. A packet whose chain of headers does not end within it is no packet: where it is the first of several
/// fragments, RFC 7112 forbids that, too.
public struct IPv6Header {
    /// The length of the header without extensions.
    public static let length = 40
    /// The length of a fragment header.
    public static let fragmentHeaderLength = 8
    /// How many extension headers are walked: RFC 8200 section 4.1 knows of six places, one of them twice.
    public static let extensionHeadersMaximum = 8

    /// The whole packet's length in bytes.
    public let totalLength: Int
    /// The protocol of the payload, behind all extension headers. A later fragment tells only what its fragment header does.
    public let protocolNumber: UInt8
    /// Where the payload begins.
    public let payloadOffset: Int
    /// Whether there is a fragment header.
    public let hasFragmentHeader: Bool
    /// How long the headers are that every fragment has (RFC 8200 section 4.5): the fragment header stands behind them, or
    /// would.
    public let perFragmentLength: Int
    /// Where the last of these headers says what follows it.
    public let nextHeaderOffset: Int
    @usableFromInline let fragmentWord: UInt16
    @usableFromInline let start: UnsafeMutableRawPointer

    /// The header at the start of `packet`; nil when it is not a whole IPv6 packet, or has more extension headers than
    /// anybody needs. Jumbograms (RFC 2675) are none.
    @inlinable
    public init?(_ packet: Packet) {
        guard packet.count >= Self.length, packet.byte(at: 0) >> 4 == 6 else { return nil }
        let totalLength = Self.length + Int(packet.uint16(at: 4))
        guard totalLength <= packet.count else { return nil }
        var next = packet.byte(at: 6)
        var offset = Self.length
        var (perFragmentLength, nextHeaderOffset, previous) = (Self.length, 6, 6)
        var (hasFragmentHeader, fragmentWord) = (false, UInt16(0))
        var walked = 0
        walk: while true {
            switch next {
            case IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.destinationOptions:
                // Hop-by-hop options stand right behind the header or nowhere (RFC 8200 section 4.3).
                guard next != IPProtocol.hopByHopOptions || walked == 0, offset + 8 <= totalLength else { return nil }
                let length = (Int(packet.byte(at: offset + 1)) + 1) * 8
                guard length <= totalLength - offset else { return nil }
                if !hasFragmentHeader, next != IPProtocol.destinationOptions {
                    (perFragmentLength, nextHeaderOffset) = (offset + length, offset)
                }
                next = packet.byte(at: offset)
                previous = offset
                offset += length
            case IPProtocol.fragment:
                guard !hasFragmentHeader, offset + Self.fragmentHeaderLength <= totalLength else { return nil }
                (hasFragmentHeader, perFragmentLength, nextHeaderOffset) = (true, offset, previous)
                fragmentWord = packet.uint16(at: offset + 2)
                next = packet.byte(at: offset)
                offset += Self.fragmentHeaderLength
                if fragmentWord >> 3 != 0 { break walk }
            default: break walk
            }
            walked += 1
            guard walked <= Self.extensionHeadersMaximum else { return nil }
        }
        (self.totalLength, protocolNumber, payloadOffset) = (totalLength, next, offset)
        (self.perFragmentLength, self.nextHeaderOffset) = (perFragmentLength, nextHeaderOffset)
        (self.hasFragmentHeader, self.fragmentWord, start) = (hasFragmentHeader, fragmentWord, packet.start)
    }

    /// The source address.
    @inlinable public var source: IPv6Address { address(at: 8) }

    /// The destination address.
    @inlinable public var destination: IPv6Address { address(at: 24) }

    @inlinable func address(at offset: Int) -> IPv6Address {
        IPv6Address(
            high: UInt64(bigEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
            low: UInt64(bigEndian: start.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
    }

    /// DSCP and ECN.
    @inlinable public var trafficClass: UInt8 {
        UInt8(truncatingIfNeeded: UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 0, as: UInt16.self)) >> 4)
    }

    /// Whether the packet is a fragment of a larger one. One with a fragment header that is whole by itself is none
    /// (RFC 6946).
    @inlinable public var isFragment: Bool { fragmentOffset != 0 || moreFragments }

    /// Whether more fragments follow.
    @inlinable public var moreFragments: Bool { fragmentWord & 1 != 0 }

    /// Where this fragment's payload belongs, in units of 8 bytes.
    @inlinable public var fragmentOffset: UInt16 { fragmentWord >> 3 }

    /// What tells the fragments of one packet from those of another of the same hosts; 0 where there is no fragment header.
    @inlinable public var identification: UInt32 {
        guard hasFragmentHeader else { return 0 }
        return UInt32(bigEndian: start.loadUnaligned(fromByteOffset: perFragmentLength + 4, as: UInt32.self))
    }
}
