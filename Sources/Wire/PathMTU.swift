/// A router's word that a packet of ours was too large for what follows it (RFC 1191 section 4, RFC 4443 section 3.2).
///
/// Anybody can say so. It is to be believed only of a path that we send along, and where ``index`` is there only if we send
/// by that SPI (RFC 4301 section 8.2.1): a stranger on the way does not see it.
public struct PathMTUReport: Hashable, Sendable {
    /// The way that the packet went; port 0 where it was not UDP.
    public private(set) var path: OuterPath
    /// The protocol behind the outer header: ESP, AH or UDP.
    public let protocolNumber: UInt8
    /// The UDP port of ours that it came from; 0 where it was not UDP.
    public let localPort: UInt16
    /// The SPI of ESP or AH, where the router quoted as much.
    public let index: UInt32?
    /// How large packets may be there.
    public let mtuBytes: Int

    /// Reads an ICMP message without its IP header; nil for anything but such a report about ESP, AH or UDP.
    ///
    /// - Parameter version: The IP version. The system has looked at the checksum of IPv6 only.
    public init?(_ message: Packet, version: UInt8) {
        let quote = 8
        let payload: Int
        if version == 6 {
            guard message.count >= quote + IPv6Header.length, message.uint16(at: 0) == 0x0200 else { return nil }
            mtuBytes = Int(message.uint32(at: 4))
            path = OuterPath(
                remote: Endpoint(address: Self.address6(message, quote + 24), port: 0),
                local: Self.address6(message, quote + 8))
            protocolNumber = message.byte(at: quote + 6)
            payload = quote + IPv6Header.length
        } else {
            guard message.count >= quote + IPv4Header.lengthMinimum, message.uint16(at: 0) == 0x0304,
                InternetChecksum.of(message.start, count: message.count) == 0, message.byte(at: quote) >> 4 == 4
            else { return nil }
            mtuBytes = Int(message.uint16(at: 6))
            let length = Int(message.byte(at: quote) & 0x0f) * 4
            // Only of a first fragment do ports and SPIs stand there.
            guard length >= IPv4Header.lengthMinimum, message.uint16(at: quote + 6) & 0x1fff == 0 else { return nil }
            path = OuterPath(
                remote: Endpoint(IPv4Address(message.uint32(at: quote + 16)), 0),
                local: .v4(IPv4Address(message.uint32(at: quote + 12))))
            protocolNumber = message.byte(at: quote + 9)
            payload = quote + length
        }
        switch protocolNumber {
        case IPProtocol.esp:
            localPort = 0
            index = Self.number(message, payload)
        case IPProtocol.ah:
            localPort = 0
            index = Self.number(message, payload + 4)
        case IPProtocol.udp:
            guard let ports = Self.number(message, payload) else { return nil }
            localPort = UInt16(truncatingIfNeeded: ports >> 16)
            path.remote.port = UInt16(truncatingIfNeeded: ports)
            index = Self.number(message, payload + 8)
        default: return nil
        }
    }

    private static func number(_ message: Packet, _ offset: Int) -> UInt32? {
        offset + 4 <= message.count ? message.uint32(at: offset) : nil
    }

    private static func address6(_ message: Packet, _ offset: Int) -> IPAddress {
        let half = { (at: Int) in UInt64(message.uint32(at: at)) << 32 | UInt64(message.uint32(at: at + 4)) }
        return .v6(IPv6Address(high: half(offset), low: half(offset + 8)))
    }
}

/// What was learned of a path's MTU. It is forgotten after a while, since a path may have become better.
public struct PathMTU: Hashable, Sendable {
    /// No report makes the path to an IPv4 host smaller: every host takes as much (RFC 791), and who claims less would have
    /// us send many small packets.
    public static let lowestIPv4 = 576
    /// No link of IPv6 has less (RFC 8200 section 5).
    public static let lowestIPv6 = 1280
    /// How long a report is believed (RFC 1191 section 6.3, RFC 8201 section 4).
    public static let lifetime = Duration.seconds(600)

    /// How large packets may be; nil where nothing was learned.
    public private(set) var mtuBytes: Int?
    /// When that is forgotten.
    public private(set) var deadline: Instant?

    /// Nothing learned.
    public init() {}

    /// Believes a report about a path of IP `version`. Returns whether packets must be smaller from now on.
    public mutating func learn(_ reported: Int, version: UInt8, now: Instant) -> Bool {
        // Routers that say nothing (RFC 1191 section 5) are not asked again and again: they are gone.
        guard reported > 0 else { return false }
        let bounded = max(reported, version == 6 ? Self.lowestIPv6 : Self.lowestIPv4)
        if let mtuBytes, bounded > mtuBytes { return false }
        deadline = now + Self.lifetime
        guard bounded != mtuBytes else { return false }
        mtuBytes = bounded
        return true
    }

    /// Forgets what was learned too long ago. Returns whether packets may be larger from now on.
    public mutating func expire(now: Instant) -> Bool {
        guard let deadline, deadline <= now else { return false }
        self = PathMTU()
        return true
    }
}
