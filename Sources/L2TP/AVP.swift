import Wire

/// The attributes of RFC 2661, 4.4 (vendor 0), by their numbers.
enum AVPType: UInt16, CaseIterable, Sendable {
    case messageType = 0
    case resultCode = 1
    case protocolVersion = 2
    case framingCapabilities = 3
    case bearerCapabilities = 4
    case tieBreaker = 5
    case firmwareRevision = 6
    case hostName = 7
    case vendorName = 8
    case assignedTunnelID = 9
    case receiveWindowSize = 10
    case challenge = 11
    case causeCode = 12
    case challengeResponse = 13
    case assignedSessionID = 14
    case callSerialNumber = 15
    case minimumBPS = 16
    case maximumBPS = 17
    case bearerType = 18
    case framingType = 19
    case calledNumber = 21
    case callingNumber = 22
    case subAddress = 23
    case txConnectSpeed = 24
    case physicalChannelID = 25
    case initialReceivedLCP = 26
    case lastSentLCP = 27
    case lastReceivedLCP = 28
    case proxyAuthenType = 29
    case proxyAuthenName = 30
    case proxyAuthenChallenge = 31
    case proxyAuthenID = 32
    case proxyAuthenResponse = 33
    case callErrors = 34
    case accm = 35
    case randomVector = 36
    case privateGroupID = 37
    case rxConnectSpeed = 38
    case sequencingRequired = 39

    /// What 4.4 says of an attribute.
    struct Rule: Sendable {
        /// How many octets the value may have.
        var lengths: ClosedRange<Int>
        /// Whether the M bit is set when we send it.
        var mandatory: Bool
        /// Whether it may be hidden; one that may not and is, is malformed.
        var mayBeHidden: Bool
    }

    /// The most octets of a value: the Length field has ten bits and counts the six octets of the AVP's header.
    static let valueByteCountMaximum = 1023 - 6

    var rule: Rule {
        let any = 0...Self.valueByteCountMaximum
        let some = 1...Self.valueByteCountMaximum
        return switch self {
        case .messageType: Rule(lengths: 2...2, mandatory: true, mayBeHidden: false)
        case .resultCode: Rule(lengths: 2...Self.valueByteCountMaximum, mandatory: true, mayBeHidden: false)
        case .protocolVersion: Rule(lengths: 2...2, mandatory: true, mayBeHidden: false)
        case .framingCapabilities, .bearerCapabilities: Rule(lengths: 4...4, mandatory: true, mayBeHidden: true)
        case .tieBreaker: Rule(lengths: 8...8, mandatory: false, mayBeHidden: false)
        case .firmwareRevision: Rule(lengths: 2...2, mandatory: false, mayBeHidden: true)
        case .hostName: Rule(lengths: some, mandatory: true, mayBeHidden: false)
        case .vendorName: Rule(lengths: any, mandatory: false, mayBeHidden: true)
        case .assignedTunnelID, .assignedSessionID: Rule(lengths: 2...2, mandatory: true, mayBeHidden: true)
        case .receiveWindowSize: Rule(lengths: 2...2, mandatory: true, mayBeHidden: false)
        case .challenge: Rule(lengths: some, mandatory: true, mayBeHidden: true)
        case .causeCode: Rule(lengths: 3...Self.valueByteCountMaximum, mandatory: true, mayBeHidden: false)
        case .challengeResponse: Rule(lengths: 16...16, mandatory: true, mayBeHidden: true)
        case .callSerialNumber, .minimumBPS, .maximumBPS, .bearerType, .framingType, .txConnectSpeed:
            Rule(lengths: 4...4, mandatory: true, mayBeHidden: true)
        case .calledNumber, .callingNumber, .subAddress: Rule(lengths: any, mandatory: true, mayBeHidden: true)
        case .physicalChannelID, .rxConnectSpeed: Rule(lengths: 4...4, mandatory: false, mayBeHidden: true)
        case .initialReceivedLCP, .lastSentLCP, .lastReceivedLCP, .proxyAuthenName, .proxyAuthenChallenge,
            .proxyAuthenResponse, .privateGroupID:
            Rule(lengths: any, mandatory: false, mayBeHidden: true)
        case .proxyAuthenType, .proxyAuthenID: Rule(lengths: 2...2, mandatory: false, mayBeHidden: true)
        case .callErrors: Rule(lengths: 26...26, mandatory: true, mayBeHidden: true)
        case .accm: Rule(lengths: 10...10, mandatory: true, mayBeHidden: true)
        case .randomVector: Rule(lengths: any, mandatory: true, mayBeHidden: false)
        case .sequencingRequired: Rule(lengths: 0...0, mandatory: true, mayBeHidden: false)
        }
    }
}

/// The header of one AVP (RFC 2661, 4.1), six octets: M, H, four reserved bits, Length (10), Vendor ID, Attribute Type.
struct AVPHeader: Hashable, Sendable {
    static let byteCount = 6
    static let mandatoryBit: UInt16 = 0x8000
    static let hiddenBit: UInt16 = 0x4000
    static let reservedBits: UInt16 = 0x3c00
    static let lengthMask: UInt16 = 0x03ff

    var isMandatory: Bool
    var isHidden: Bool
    /// A reserved bit is set, which makes the AVP an unrecognised one (4.1).
    var hasReservedBits: Bool
    /// The octets of the value.
    var valueByteCount: Int
    var vendorID: UInt16
    var type: UInt16

    /// Takes the next AVP's header off `reader` and checks that its value follows.
    @_lifetime(reader: copy reader)
    static func parse(_ reader: inout ByteReader) throws(WireError) -> AVPHeader {
        let word = try reader.readUInt16()
        let header = AVPHeader(
            isMandatory: word & mandatoryBit != 0, isHidden: word & hiddenBit != 0,
            hasReservedBits: word & reservedBits != 0, valueByteCount: Int(word & lengthMask) - byteCount,
            vendorID: try reader.readUInt16(), type: try reader.readUInt16())
        // Length counts these six octets: less is a lie, and so is more than the message has.
        guard (0...reader.remaining).contains(header.valueByteCount) else {
            throw .truncated(needed: header.valueByteCount, left: reader.remaining)
        }
        return header
    }
}

extension ByteWriter {
    /// Writes one AVP of RFC 2661, its M bit as the table says.
    mutating func writeAVP(_ type: AVPType, _ value: some Collection<UInt8>) {
        let value = value.prefix(AVPType.valueByteCountMaximum)
        let length = UInt16(truncatingIfNeeded: AVPHeader.byteCount + value.count)
        write(length | (type.rule.mandatory ? AVPHeader.mandatoryBit : 0))
        write(UInt16(0))
        write(type.rawValue)
        write(value)
    }

    /// Writes one AVP with a value of two octets.
    mutating func writeAVP(_ type: AVPType, _ value: UInt16) {
        writeAVP(type, [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)])
    }

    /// Writes one AVP with a value of four octets.
    mutating func writeAVP(_ type: AVPType, _ value: UInt32) {
        writeAVP(type, (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) })
    }
}
