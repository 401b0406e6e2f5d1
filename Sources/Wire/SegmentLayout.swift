/// What a packet of TCP or UDP says of the segments that it is made of or can be made one of (RFC 9293 section 3.1, RFC 768):
/// where its parts are, and what must be equal in all segments of one larger packet.
public struct SegmentLayout {
    /// Which protocols are in it.
    public enum Kind: UInt8, Sendable {
        case tcp4, tcp6, udp4, udp6

        /// Whether it is TCP.
        @inlinable public var isTCP: Bool { self == .tcp4 || self == .tcp6 }
        /// Whether it is in IPv4.
        @inlinable public var isIPv4: Bool { self == .tcp4 || self == .udp4 }
    }

    /// What it is.
    public let kind: Kind
    /// Where TCP or UDP begins.
    public let transportOffset: Int
    /// Where the payload begins.
    public let payloadOffset: Int
    /// Where the packet ends.
    public let end: Int

    /// How many bytes of payload there are.
    @inlinable public var payloadCount: Int { end - payloadOffset }
    /// Where the checksum of TCP or UDP stands.
    @inlinable public var checksumOffset: Int { transportOffset + (kind.isTCP ? Self.tcpChecksum : Self.udpChecksum) }

    @usableFromInline static let tcpChecksum = 16
    @usableFromInline static let udpChecksum = 6
    @usableFromInline static let tcpHeaderMinimum = 20
    @usableFromInline static let udpHeader = 8

    /// Whether there are no options and extension headers of IP.
    @inlinable public var isPlain: Bool {
        transportOffset == (kind.isIPv4 ? IPv4Header.lengthMinimum : IPv6Header.length)
    }

    /// The layout of the packet of `count` bytes at `start`; nil where it is neither TCP nor UDP, is a fragment, or is not
    /// whole.
    @inlinable
    public init?(_ start: UnsafeMutableRawPointer, count: Int) {
        let packet = Packet(start: start, count: count, path: .none)
        guard count >= IPv4Header.lengthMinimum else { return nil }
        let number: UInt8
        let offset: Int
        let isIPv4 = packet.byte(at: 0) >> 4 == 4
        if isIPv4 {
            offset = Int(packet.byte(at: 0) & 0x0f) * 4
            guard offset >= IPv4Header.lengthMinimum, offset <= count, Int(packet.uint16(at: 2)) == count,
                packet.uint16(at: 6) & 0x3fff == 0
            else { return nil }
            number = packet.byte(at: 9)
        } else {
            guard let header = IPv6Header(packet), header.totalLength == count, !header.hasFragmentHeader else {
                return nil
            }
            (number, offset) = (header.protocolNumber, header.payloadOffset)
        }
        switch number {
        case IPProtocol.tcp:
            guard count >= offset + Self.tcpHeaderMinimum else { return nil }
            let length = Int(packet.byte(at: offset + 12) >> 4) * 4
            guard length >= Self.tcpHeaderMinimum, offset + length <= count else { return nil }
            kind = isIPv4 ? .tcp4 : .tcp6
            payloadOffset = offset + length
        case IPProtocol.udp:
            guard count >= offset + Self.udpHeader, Int(packet.uint16(at: offset + 4)) == count - offset else {
                return nil
            }
            kind = isIPv4 ? .udp4 : .udp6
            payloadOffset = offset + Self.udpHeader
        default: return nil
        }
        (transportOffset, end) = (offset, count)
    }

    /// The sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1) for `length` bytes of TCP or UDP, not folded.
    @inlinable
    public func pseudoHeaderSum(_ start: UnsafeMutableRawPointer, length: Int) -> UInt64 {
        // Routing headers, which would name another destination, are not made into segments.
        let addresses =
            kind.isIPv4
            ? InternetChecksum.sum(start + 12, count: 8) : InternetChecksum.sum(start + 8, count: 32)
        return addresses &+ UInt64(kind.isTCP ? IPProtocol.tcp : IPProtocol.udp) &+ UInt64(length)
    }

    /// Whether the checksum of TCP or UDP is right. A UDP datagram without one has none that is.
    @inlinable
    public func hasRightChecksum(_ start: UnsafeMutableRawPointer) -> Bool {
        let length = end - transportOffset
        let sum = pseudoHeaderSum(start, length: length)
        return InternetChecksum.finish(
            InternetChecksum.sum(start + transportOffset, count: length, initial: sum)) == 0
            && (kind.isTCP || start.loadUnaligned(fromByteOffset: checksumOffset, as: UInt16.self) != 0)
    }

    /// Computes the checksum of TCP or UDP and writes it.
    @inlinable
    public func writeChecksum(_ start: UnsafeMutableRawPointer) {
        let packet = Packet(start: start, count: end, path: .none)
        packet.store(UInt16(0), at: checksumOffset)
        let length = end - transportOffset
        let sum = InternetChecksum.sum(
            start + transportOffset, count: length, initial: pseudoHeaderSum(start, length: length))
        let checksum = InternetChecksum.finish(sum)
        // Zero in UDP would say that there is none (RFC 768).
        packet.store(checksum == 0 && !kind.isTCP ? 0xffff : checksum, at: checksumOffset)
    }

    /// Writes the length of an IP header, and of a UDP header behind it, for a packet of `count` bytes, and IPv4's checksum.
    @inlinable
    public func writeLengths(_ start: UnsafeMutableRawPointer, count: Int) {
        let packet = Packet(start: start, count: count, path: .none)
        if kind.isIPv4 {
            packet.store(UInt16(truncatingIfNeeded: count), at: 2)
            packet.store(UInt16(0), at: 10)
            packet.store(InternetChecksum.of(start, count: transportOffset), at: 10)
        } else {
            packet.store(UInt16(truncatingIfNeeded: count - IPv6Header.length), at: 4)
        }
        if !kind.isTCP { packet.store(UInt16(truncatingIfNeeded: count - transportOffset), at: transportOffset + 4) }
    }
}

/// TCP's flags (RFC 9293 section 3.1, RFC 3168 section 6.1).
@usableFromInline
enum TCPFlag {
    @usableFromInline static let offset = 13
    @usableFromInline static let finish: UInt8 = 0x01
    @usableFromInline static let push: UInt8 = 0x08
    @usableFromInline static let acknowledge: UInt8 = 0x10
    @usableFromInline static let windowReduced: UInt8 = 0x80
}
