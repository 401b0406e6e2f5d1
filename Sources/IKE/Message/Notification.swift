import Wire

/// What a notification says (RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706).
public struct IKENotification: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number on the wire.
    public let rawValue: UInt16

    /// The notification of number `rawValue`.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    static let invalidMajorVersion = IKENotification(rawValue: 5)
    static let invalidExchangeType = IKENotification(rawValue: 7)
    static let invalidSecurityParameterIndex = IKENotification(rawValue: 11)
    static let noProposalChosen = IKENotification(rawValue: 14)
    static let payloadMalformed = IKENotification(rawValue: 16)
    static let invalidKeyInformation = IKENotification(rawValue: 17)
    static let invalidIDInformation = IKENotification(rawValue: 18)
    static let authenticationFailed = IKENotification(rawValue: 24)
    static let unsupportedExchangeType = IKENotification(rawValue: 29)
    static let responderLifetime = IKENotification(rawValue: 24576)
    static let replayStatus = IKENotification(rawValue: 24577)
    static let initialContact = IKENotification(rawValue: 24578)
    static let areYouThere = IKENotification(rawValue: 36136)
    static let areYouThereAcknowledged = IKENotification(rawValue: 36137)

    /// Whether it tells of an error rather than of a state (RFC 2408 section 3.14.1).
    var isError: Bool { rawValue < 16384 }

    /// The RFC's name where we use it, otherwise the number.
    public var description: String {
        switch self {
        case .invalidMajorVersion: "INVALID-MAJOR-VERSION"
        case .invalidExchangeType: "INVALID-EXCHANGE-TYPE"
        case .invalidSecurityParameterIndex: "INVALID-SPI"
        case .noProposalChosen: "NO-PROPOSAL-CHOSEN"
        case .payloadMalformed: "PAYLOAD-MALFORMED"
        case .invalidKeyInformation: "INVALID-KEY-INFORMATION"
        case .invalidIDInformation: "INVALID-ID-INFORMATION"
        case .authenticationFailed: "AUTHENTICATION-FAILED"
        case .unsupportedExchangeType: "UNSUPPORTED-EXCHANGE-TYPE"
        case .responderLifetime: "RESPONDER-LIFETIME"
        case .replayStatus: "REPLAY-STATUS"
        case .initialContact: "INITIAL-CONTACT"
        case .areYouThere: "R-U-THERE"
        case .areYouThereAcknowledged: "R-U-THERE-ACK"
        default: "notification \(rawValue)"
        }
    }
}

/// A notification payload (RFC 2408 section 3.14).
struct NotificationPayload: Hashable, Sendable {
    var protocolID: UInt8
    var type: IKENotification
    var securityParameterIndex: [UInt8]
    var data: [UInt8]

    init(protocolID: UInt8, type: IKENotification, securityParameterIndex: [UInt8] = [], data: [UInt8] = []) {
        (self.protocolID, self.type) = (protocolID, type)
        (self.securityParameterIndex, self.data) = (securityParameterIndex, data)
    }

    init(parsing body: [UInt8]) throws(IKEDrop) {
        self = try body.read { (reader) throws(IKEDrop) in
            // Windows sends vendor-specific notifies with domains of their own; their bytes are only passed over.
            _ = try reader.uint32()
            let protocolID = try reader.uint8()
            let spiLength = Int(try reader.uint8())
            let type = IKENotification(rawValue: try reader.uint16())
            let spi = try reader.bytes(spiLength)
            return NotificationPayload(
                protocolID: protocolID, type: type, securityParameterIndex: spi,
                data: try reader.bytes(reader.remaining))
        }
    }

    var body: [UInt8] {
        SecurityAssociationPayload.ipsecDomain.octets
            + [protocolID, UInt8(clamping: securityParameterIndex.count)] + type.rawValue.octets
            + securityParameterIndex + data
    }
}

/// A delete payload (RFC 2408 section 3.15).
struct DeletePayload: Hashable, Sendable {
    var protocolID: UInt8
    var securityParameterIndexes: [[UInt8]]

    /// The most SPIs that one payload may name.
    static let countMaximum = 128

    init(protocolID: UInt8, securityParameterIndexes: [[UInt8]]) {
        (self.protocolID, self.securityParameterIndexes) = (protocolID, securityParameterIndexes)
    }

    init(parsing body: [UInt8]) throws(IKEDrop) {
        self = try body.read { (reader) throws(IKEDrop) in
            guard try reader.uint32() == SecurityAssociationPayload.ipsecDomain else { throw .domainUnsupported }
            let protocolID = try reader.uint8()
            let spiLength = Int(try reader.uint8())
            let count = Int(try reader.uint16())
            let isLegal =
                switch protocolID {
                case ProtocolID.isakmp: spiLength == 16
                case ProtocolID.authenticationHeader, ProtocolID.esp: spiLength == 4
                case ProtocolID.compression: spiLength == 2 || spiLength == 4
                default: false
                }
            guard isLegal, (1...Self.countMaximum).contains(count) else {
                throw .malformedDelete
            }
            var indexes: [[UInt8]] = []
            for _ in 0..<count { indexes.append(try reader.bytes(spiLength)) }
            try reader.end()
            return DeletePayload(protocolID: protocolID, securityParameterIndexes: indexes)
        }
    }

    var body: [UInt8] {
        SecurityAssociationPayload.ipsecDomain.octets
            + [protocolID, UInt8(clamping: securityParameterIndexes.first?.count ?? 0)]
            + UInt16(clamping: securityParameterIndexes.count).octets + securityParameterIndexes.flatMap { $0 }
    }
}

/// A NAT original address payload (RFC 3947 section 5.2).
enum OriginalAddressPayload {
    /// Reads the address. The reserved bytes are not looked at: Android's are not zero.
    static func parse(_ body: [UInt8]) throws(IKEDrop) -> IPAddress {
        guard body.count >= 4, let address = IKEIdentity(type: body[0], data: Array(body.dropFirst(4))).address else {
            throw .malformedOriginalAddress
        }
        return address
    }

    static func body(_ address: IPAddress) -> [UInt8] {
        let identity = IKEIdentity(address)
        return [identity.type, 0, 0, 0] + identity.data
    }
}
