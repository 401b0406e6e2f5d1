import Wire

/// The two cookies that name an ISAKMP SA (RFC 2408 section 2.5.3).
public struct IKECookies: Hashable, Sendable, CustomStringConvertible {
    /// The cookie that the initiator chose, never zero.
    public let initiator: UInt64
    /// The cookie that the responder chose, zero only in the first message.
    public let responder: UInt64

    /// The pair of `initiator` and `responder`.
    public init(initiator: UInt64, responder: UInt64) { (self.initiator, self.responder) = (initiator, responder) }

    /// The sixteen octets, in the order in which they travel.
    var octets: [UInt8] { withUnsafeBytes(of: (initiator.bigEndian, responder.bigEndian)) { [UInt8]($0) } }

    /// Both cookies in hexadecimal.
    public var description: String { "\(hexadecimal(initiator.octets)):\(hexadecimal(responder.octets))" }
}

/// What a message belongs to (RFC 2408 section 3.1, RFC 2409 appendix A).
struct ExchangeType: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt8

    static let base = ExchangeType(rawValue: 1)
    /// Main mode.
    static let identityProtection = ExchangeType(rawValue: 2)
    static let authenticationOnly = ExchangeType(rawValue: 3)
    static let aggressive = ExchangeType(rawValue: 4)
    static let informational = ExchangeType(rawValue: 5)
    /// Mode configuration and XAUTH.
    static let transaction = ExchangeType(rawValue: 6)
    static let quickMode = ExchangeType(rawValue: 32)
    static let newGroup = ExchangeType(rawValue: 33)
}

/// The flags of a header (RFC 2408 section 3.1).
struct HeaderFlags: OptionSet, Hashable, Sendable {
    let rawValue: UInt8
    static let encryption = HeaderFlags(rawValue: 1)
    /// Windows sets it in quick mode. We need not honour it: our outbound SA waits for message 3 by itself.
    static let commit = HeaderFlags(rawValue: 2)
    static let authenticationOnly = HeaderFlags(rawValue: 4)
    static let known: HeaderFlags = [.encryption, .commit, .authenticationOnly]
}

/// The ISAKMP header (RFC 2408 section 3.1).
struct Header: Hashable, Sendable {
    static let byteCount = 28
    /// Major version 1, minor version 0.
    static let version: UInt8 = 0x10

    var cookies: IKECookies
    var nextPayload: PayloadType
    var exchange: ExchangeType
    var flags: HeaderFlags
    var messageID: UInt32

    init(
        cookies: IKECookies, nextPayload: PayloadType = .none, exchange: ExchangeType, flags: HeaderFlags = [],
        messageID: UInt32 = 0
    ) {
        (self.cookies, self.nextPayload, self.exchange) = (cookies, nextPayload, exchange)
        (self.flags, self.messageID) = (flags, messageID)
    }

    /// Reads the header of a whole message and checks all that can be checked without knowing the exchange.
    init(parsing message: [UInt8]) throws(IKEDrop) {
        guard message.count >= Self.byteCount else { throw .shortMessage }
        self = try message.read { (reader) throws(IKEDrop) in
            let cookies = IKECookies(initiator: try reader.uint64(), responder: try reader.uint64())
            let nextPayload = PayloadType(rawValue: try reader.uint8())
            let version = try reader.uint8()
            let exchange = ExchangeType(rawValue: try reader.uint8())
            let flags = HeaderFlags(rawValue: try reader.uint8())
            let messageID = try reader.uint32()
            let length = try reader.uint32()
            guard version == Self.version else { throw .otherVersion }
            guard Int(length) == message.count else { throw .lengthMismatch }
            guard cookies.initiator != 0 else { throw .zeroInitiatorCookie }
            guard flags.subtracting(.known).isEmpty else { throw .reservedFlags }
            guard !flags.contains(.authenticationOnly) else { throw .authenticationOnlyFlag }
            return Header(
                cookies: cookies, nextPayload: nextPayload, exchange: exchange, flags: flags, messageID: messageID)
        }
    }

    /// Writes the header of a message of `length` bytes.
    func write(into writer: inout ByteWriter, length: Int) {
        writer.write(cookies.initiator)
        writer.write(cookies.responder)
        writer.write(nextPayload.rawValue)
        writer.write(Self.version)
        writer.write(exchange.rawValue)
        writer.write(flags.rawValue)
        writer.write(messageID)
        writer.write(UInt32(clamping: length))
    }
}
