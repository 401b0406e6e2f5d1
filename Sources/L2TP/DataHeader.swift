import Wire

/// The header of a data message (RFC 2661, 3.1), as the packet path reads and writes it: no allocation, nothing but
/// checked loads and stores.
/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |T|L|x|x|S|x|O|P|x|x|x|x|  Ver  |          Length (opt)         |
/// |           Tunnel ID           |           Session ID          |
/// |             Ns (opt)          |             Nr (opt)          |
/// |      Offset Size (opt)        |    Offset pad... (opt)
/// ```
@frozen
public struct L2TPDataHeader: Hashable, Sendable {
    /// Why a packet is no data message.
    @frozen
    public enum Drop: UInt8, Error, CaseIterable, Sendable {
        /// Shorter than the header that its flags promise.
        case truncated
        /// The version is not 2: to be discarded silently (3.1; 1 is L2F).
        case badVersion
        /// The Length field says more than there is, or less than the header takes.
        case badLength
        /// The offset points beyond the packet.
        case badOffset
        /// Tunnel ID or Session ID is 0, which no tunnel and no session has.
        case zeroID
        /// No payload follows.
        case empty
    }

    /// What a packet to our L2TP port is.
    @frozen
    public enum Parsed: Hashable, Sendable {
        /// A data message.
        case data(L2TPDataHeader)
        /// A control message, for ``L2TPServer/receive(_:from:now:using:)``.
        case control
        /// Neither.
        case drop(Drop)
    }

    /// The most octets that ``prepend(to:headroom:tunnelID:sessionID:ns:withLength:)`` puts in front.
    public static let byteCountMaximum = 12

    /// Our Tunnel ID.
    public var tunnelID: UInt16
    /// Our Session ID.
    public var sessionID: UInt16
    /// Where the PPP frame begins.
    public var payloadOffset: Int
    /// How many octets the PPP frame has: to the end of what Length says, or of the packet.
    public var payloadCount: Int
    /// The sequence number, if there is one.
    public var ns: UInt16?

    @usableFromInline
    init(tunnelID: UInt16, sessionID: UInt16, payloadOffset: Int, payloadCount: Int, ns: UInt16?) {
        self.tunnelID = tunnelID
        self.sessionID = sessionID
        self.payloadOffset = payloadOffset
        self.payloadCount = payloadCount
        self.ns = ns
    }

    /// Reads the header of `packet`, which begins right after the UDP header. Nr is reserved in data messages (5.4), and
    /// so are the x bits and, to us, the priority: ignored.
    @inlinable
    public static func parse(_ packet: Packet) -> Parsed {
        guard packet.count >= 2 else { return .drop(.truncated) }
        let flags = packet.uint16(at: 0)
        guard flags & 0x000f == 2 else { return .drop(.badVersion) }
        guard flags & 0x8000 == 0 else { return .control }
        let hasLength = flags & 0x4000 != 0
        let hasSequence = flags & 0x0800 != 0
        let hasOffset = flags & 0x0200 != 0
        var headerCount = 6 + (hasLength ? 2 : 0) + (hasSequence ? 4 : 0) + (hasOffset ? 2 : 0)
        guard packet.count >= headerCount else { return .drop(.truncated) }
        var end = packet.count
        var position = 2
        if hasLength {
            end = Int(packet.uint16(at: position))
            guard end <= packet.count, end >= headerCount else { return .drop(.badLength) }
            position += 2
        }
        let tunnelID = packet.uint16(at: position)
        let sessionID = packet.uint16(at: position + 2)
        guard tunnelID != 0, sessionID != 0 else { return .drop(.zeroID) }
        position += 4
        var ns: UInt16?
        if hasSequence {
            ns = packet.uint16(at: position)
            position += 4
        }
        if hasOffset { headerCount += Int(packet.uint16(at: position)) }
        guard headerCount <= end else { return .drop(.badOffset) }
        guard headerCount < end else { return .drop(.empty) }
        return .data(
            L2TPDataHeader(
                tunnelID: tunnelID, sessionID: sessionID, payloadOffset: headerCount,
                payloadCount: end - headerCount, ns: ns))
    }

    /// Puts a data header in front of the PPP frame in `packet`, and says whether there was room for it.
    ///
    /// - Parameters:
    ///   - packet: The PPP frame.
    ///   - headroom: How many octets in front of it may be written.
    ///   - tunnelID: The Tunnel ID that the client assigned.
    ///   - sessionID: The Session ID that the client assigned.
    ///   - ns: The sequence number, for a session that wants them.
    ///   - withLength: Whether to write the optional Length field. UDP says the length already, so no client needs it.
    @inlinable
    public static func prepend(
        to packet: inout Packet, headroom: Int, tunnelID: UInt16, sessionID: UInt16, ns: UInt16? = nil,
        withLength: Bool = false
    ) -> Bool {
        let headerCount = 6 + (withLength ? 2 : 0) + (ns != nil ? 4 : 0)
        guard headroom >= headerCount, packet.count >= 0, packet.count <= 0xffff - headerCount else { return false }
        packet.prepend(headerCount)
        packet.store(0x0002 | (withLength ? 0x4000 : 0) | (ns != nil ? 0x0800 : 0) as UInt16, at: 0)
        var position = 2
        if withLength {
            packet.store(UInt16(truncatingIfNeeded: packet.count), at: position)
            position += 2
        }
        packet.store(tunnelID, at: position)
        packet.store(sessionID, at: position + 2)
        if let ns {
            packet.store(ns, at: position + 4)
            packet.store(0 as UInt16, at: position + 6)
        }
        return true
    }
}

/// The sequence numbers of one session's data messages (RFC 2661, 5.4): what to write, and what to believe.
@frozen
public struct L2TPDataSequence: Hashable, Sendable {
    @usableFromInline var nextSent: UInt16 = 0
    @usableFromInline var nextExpected: UInt16 = 0

    /// The beginning: both ends start at 0.
    @inlinable public init() {}

    /// The Ns of the next message that we send.
    @inlinable public mutating func next() -> UInt16 {
        defer { nextSent &+= 1 }
        return nextSent
    }

    /// Whether a message is in sequence: one that comes after the last one is, even past a gap, for what was lost will
    /// not be sent again; a late or repeated one is to be dropped.
    @inlinable public mutating func accept(_ ns: UInt16) -> Bool {
        guard Int16(bitPattern: ns &- nextExpected) >= 0 else { return false }
        nextExpected = ns &+ 1
        return true
    }
}
