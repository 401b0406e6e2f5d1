/// Tells the sender of an IP packet, of either version, why it did not get through (RFC 792, RFC 1191, RFC 4443).
public enum ICMPError: Hashable, Sendable {
    /// Larger than this many bytes, and it must not be fragmented.
    case tooLarge(mtuBytes: Int)
    /// A policy forbids it (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
    case prohibited
    /// There is no way to its destination.
    case unreachable

    private static let icmpHeader = 8
    private static let timeToLive: UInt8 = 64
    /// How much of an IPv4 datagram is quoted behind its header (RFC 792).
    private static let quotedPayload = 8
    /// No path has less, and no message is larger (RFC 4443 section 2.4 (c)).
    private static let minimumMTUOfIPv6 = 1280
    private static let redirect: UInt8 = 137

    /// The most bytes that a message takes.
    public static let lengthMaximum = minimumMTUOfIPv6
    /// The most bytes that a message takes in IPv4.
    public static let lengthMaximumIPv4 = IPv4Header.lengthMinimum + icmpHeader + 60 + quotedPayload

    // MARK: IPv4

    /// Whether an answer to a datagram is allowed: none to fragments but the first, none to ICMP errors, none where source or
    /// destination is no single host (RFC 1122 section 3.2.2).
    public static func mayAnswer(_ packet: Packet, _ header: IPv4Header) -> Bool {
        let source = header.source.value
        guard header.fragmentOffset == 0, source != 0, source >> 28 < 0xe, source >> 24 != 127,
            header.destination.value >> 28 < 0xe
        else { return false }
        guard header.protocolNumber == IPProtocol.icmp else { return true }
        guard header.totalLength > header.length else { return false }
        let type = packet.byte(at: header.length)
        return type == 0 || type == 8
    }

    /// Writes the message about `packet` into `target`, whose memory holds ``lengthMaximum`` bytes, from `source`.
    public func write(about packet: Packet, _ header: IPv4Header, from source: IPv4Address, into target: inout Packet) {
        let quoted = min(header.totalLength, header.length + Self.quotedPayload)
        target.count = IPv4Header.lengthMinimum + Self.icmpHeader + quoted
        target.start.initializeMemory(as: UInt8.self, repeating: 0, count: target.count)
        target.store(UInt8(0x45), at: 0)
        target.store(UInt16(truncatingIfNeeded: target.count), at: 2)
        target.store(Self.timeToLive, at: 8)
        target.store(IPProtocol.icmp, at: 9)
        target.store(source.value, at: 12)
        target.store(header.source.value, at: 16)
        target.store(InternetChecksum.of(target.start, count: IPv4Header.lengthMinimum), at: 10)
        let message = IPv4Header.lengthMinimum
        target.store(UInt8(3), at: message)
        switch self {
        case .tooLarge(let mtuBytes):
            target.store(UInt8(4), at: message + 1)
            target.store(UInt16(clamping: mtuBytes), at: message + 6)
        case .prohibited: target.store(UInt8(13), at: message + 1)
        case .unreachable: target.store(UInt8(1), at: message + 1)
        }
        (target.start + message + Self.icmpHeader).copyMemory(from: packet.start, byteCount: quoted)
        target.store(InternetChecksum.of(target.start + message, count: Self.icmpHeader + quoted), at: message + 2)
    }

    // MARK: IPv6

    /// Whether an answer to a packet is allowed (RFC 4443 section 2.4 (e)): none to errors and redirects, none where the
    /// source is no single host; what went to many hosts may be answered only if it was too large.
    public func mayAnswer(_ packet: Packet, _ header: IPv6Header) -> Bool {
        let source = header.source
        guard source != .any, source != IPv6Address(high: 0, low: 1), source.high >> 56 != 0xff else { return false }
        if header.destination.high >> 56 == 0xff {
            guard case .tooLarge = self else { return false }
        }
        guard header.protocolNumber == IPProtocol.icmpv6 else { return true }
        // A later fragment does not tell what it is of.
        guard header.fragmentOffset == 0, header.payloadOffset < header.totalLength else { return false }
        let type = packet.byte(at: header.payloadOffset)
        return type >= 128 && type != Self.redirect
    }

    /// Writes the message about `packet` into `target`, whose memory holds ``lengthMaximum`` bytes, from `source`. It quotes
    /// as much as fits (RFC 4443 section 2.4 (c)), and tells of no MTU below 1280 bytes, which no host would believe.
    public func write(about packet: Packet, _ header: IPv6Header, from source: IPv6Address, into target: inout Packet) {
        let message = IPv6Header.length
        let quoted = min(header.totalLength, Self.lengthMaximum - message - Self.icmpHeader)
        target.count = message + Self.icmpHeader + quoted
        target.start.initializeMemory(as: UInt8.self, repeating: 0, count: message + Self.icmpHeader)
        target.store(UInt8(0x60), at: 0)
        target.store(UInt16(truncatingIfNeeded: Self.icmpHeader + quoted), at: 4)
        target.store(IPProtocol.icmpv6, at: 6)
        target.store(Self.timeToLive, at: 7)
        target.store(source, at: 8)
        target.store(header.source, at: 24)
        switch self {
        case .tooLarge(let mtuBytes):
            target.store(UInt8(2), at: message)
            target.store(UInt32(clamping: max(mtuBytes, Self.minimumMTUOfIPv6)), at: message + 4)
        case .prohibited:
            target.store(UInt8(1), at: message)
            target.store(UInt8(1), at: message + 1)
        case .unreachable: target.store(UInt8(1), at: message)
        }
        (target.start + message + Self.icmpHeader).copyMemory(from: packet.start, byteCount: quoted)
        // The pseudo-header (RFC 8200 section 8.1): both addresses, the length, the protocol.
        let length = Self.icmpHeader + quoted
        var sum = InternetChecksum.sum(target.start + 8, count: 32)
        sum += UInt64(length) + UInt64(IPProtocol.icmpv6)
        sum = InternetChecksum.sum(target.start + message, count: length, initial: sum)
        target.store(InternetChecksum.finish(sum), at: message + 2)
    }
}
