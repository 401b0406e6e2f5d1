import Cryptography
import Wire

/// The types of control messages (RFC 2661, 3.2).
enum MessageType: UInt16, CaseIterable, Sendable {
    case sccrq = 1
    case sccrp = 2
    case scccn = 3
    case stopCCN = 4
    case hello = 6
    case ocrq = 7
    case ocrp = 8
    case occn = 9
    case icrq = 10
    case icrp = 11
    case iccn = 12
    case cdn = 14
    case wen = 15
    case sli = 16

    /// Whether the message is about one session, so that what is wrong with it ends that session and not the tunnel.
    var isAboutSession: Bool {
        switch self {
        case .sccrq, .sccrp, .scccn, .stopCCN, .hello: false
        case .ocrq, .ocrp, .occn, .icrq, .icrp, .iccn, .cdn, .wen, .sli: true
        }
    }

    /// What a message must have (RFC 2661, 6.1 to 6.14), besides its Message Type.
    var required: [AVPType] {
        switch self {
        case .sccrq, .sccrp: [.protocolVersion, .framingCapabilities, .hostName, .assignedTunnelID]
        case .scccn, .hello: []
        case .stopCCN: [.assignedTunnelID, .resultCode]
        case .ocrq:
            [
                .assignedSessionID, .callSerialNumber, .minimumBPS, .maximumBPS, .bearerType, .framingType,
                .calledNumber,
            ]
        case .ocrp, .icrp: [.assignedSessionID]
        case .occn, .iccn: [.txConnectSpeed, .framingType]
        case .icrq: [.assignedSessionID, .callSerialNumber]
        case .cdn: [.resultCode, .assignedSessionID]
        case .wen: [.callErrors]
        case .sli: [.accm]
        }
    }

    /// What a message may have besides. What stands in neither list has no business there and is ignored.
    var optional: [AVPType] {
        switch self {
        case .sccrq, .sccrp:
            [
                .bearerCapabilities, .receiveWindowSize, .challenge, .challengeResponse, .tieBreaker,
                .firmwareRevision, .vendorName,
            ]
        case .scccn: [.challengeResponse]
        case .stopCCN, .hello, .icrp, .wen, .sli: []
        case .ocrq: [.subAddress]
        case .ocrp: [.physicalChannelID]
        case .occn: [.sequencingRequired]
        case .icrq: [.bearerType, .physicalChannelID, .callingNumber, .calledNumber, .subAddress]
        case .iccn:
            [
                .initialReceivedLCP, .lastSentLCP, .lastReceivedLCP, .proxyAuthenType, .proxyAuthenName,
                .proxyAuthenChallenge, .proxyAuthenID, .proxyAuthenResponse, .privateGroupID, .rxConnectSpeed,
                .sequencingRequired,
            ]
        case .cdn: [.causeCode]
        }
    }
}

/// What is wrong with a message, beyond what may be passed over.
enum MessageFault: Error, Hashable, Sendable {
    /// An AVP whose length is below 6 or beyond the message: nothing after it can be read.
    case brokenAVP
    /// The first AVP is no Message Type (4.4.1).
    case noMessageType
    /// A message type that we do not know, with the M bit set (4.4.1).
    case unknownMandatoryMessage(UInt16)
    /// An AVP that we do not know, with the M bit set (4.1).
    case unknownMandatoryAVP(vendor: UInt16, type: UInt16)
    /// A mandatory AVP of a wrong length, hidden though it may not be, given twice, or that cannot be revealed (7.1).
    case malformedAVP(AVPType)
    /// A value out of its range.
    case badValue(AVPType)
    /// An AVP that the message must have is missing.
    case missingAVP(AVPType)

    /// The Error Code and Error Message that tell the peer.
    var answer: (error: L2TPErrorCode, text: String) {
        switch self {
        case .brokenAVP: (.badLength, "AVP with a wrong length")
        case .noMessageType: (.vendorSpecific, "no Message Type")
        case .unknownMandatoryMessage(let type): (.unknownMandatory, "unknown message type \(type)")
        // 4.4.2: "The Error Message SHOULD contain the attribute of the offending AVP in text form".
        case .unknownMandatoryAVP(0, let type): (.unknownMandatory, "unknown AVP \(type)")
        case .unknownMandatoryAVP(let vendor, let type): (.unknownMandatory, "unknown AVP \(type) of vendor \(vendor)")
        case .malformedAVP(let type): (.badLength, "malformed AVP \(type.rawValue)")
        case .badValue(let type): (.badValue, "AVP \(type.rawValue) out of range")
        case .missingAVP(let type): (.vendorSpecific, "AVP \(type.rawValue) is missing")
        }
    }
}

/// A control message, parsed: its type, the values of the AVPs that the type may have, each of a legal length, and the
/// first thing that is wrong with it. What is there besides a fault can be used to answer it.
struct ControlMessage: Sendable {
    /// The type, or nil if we do not know it.
    private(set) var type: MessageType?
    private(set) var fault: MessageFault?
    /// How many AVPs were passed over, unknown or malformed ones without the M bit.
    private(set) var ignoredCount = 0
    private var values: [(type: AVPType, value: [UInt8])] = []

    /// Reads the AVPs of a message.
    init(_ body: [UInt8], secret: SecretBytes?) {
        body.read { reader in
            var randomVector: [UInt8]?
            var isFirst = true
            while !reader.isAtEnd {
                guard let header = try? AVPHeader.parse(&reader),
                    let value = try? reader.readSpan(header.valueByteCount)
                else {
                    note(.brokenAVP)
                    return
                }
                if isFirst {
                    guard takeMessageType(header, value) else { return }
                    isFirst = false
                } else {
                    take(header, value, secret: secret, randomVector: &randomVector)
                }
            }
            if isFirst { note(.noMessageType) }
        }
        for needed in type?.required ?? [] where self[needed] == nil { note(.missingAVP(needed)) }
    }

    /// The value of an AVP that the message has.
    subscript(type: AVPType) -> [UInt8]? { values.first { $0.type == type }?.value }

    /// The value of an AVP of two octets.
    func uint16(_ type: AVPType) -> UInt16? { self[type].flatMap { $0.read { try? $0.readUInt16() } } }

    /// The value of an AVP of four octets.
    func uint32(_ type: AVPType) -> UInt32? { self[type].flatMap { $0.read { try? $0.readUInt32() } } }

    /// The value of an AVP that is text, fit for a log.
    func text(_ type: AVPType) -> String { printable(self[type] ?? []) }

    /// What the Result Code says, the order of its octets corrected; unknown if it is missing.
    func result(_ scope: L2TPResult.Scope) -> L2TPResult {
        let value = self[.resultCode] ?? []
        return value.read { reader in
            let code = (try? reader.readUInt16()) ?? 0
            let error = try? reader.readUInt16()
            let corrected = L2TPResult.corrected(code)
            return L2TPResult(
                scope: scope, code: corrected, errorCode: corrected == code ? error : error?.byteSwapped,
                message: printable(reader.readRestBytes()))
        }
    }

    private mutating func note(_ fault: MessageFault) {
        if self.fault == nil { self.fault = fault }
    }

    /// 4.4.1: the Message Type MUST be the first AVP; its M bit says what to do with a type that we do not know.
    private mutating func takeMessageType(_ header: AVPHeader, _ value: RawSpan) -> Bool {
        var reader = ByteReader(value)
        guard header.vendorID == 0, header.type == AVPType.messageType.rawValue, !header.isHidden,
            !header.hasReservedBits, header.valueByteCount == 2, let number = try? reader.readUInt16()
        else {
            note(.noMessageType)
            return false
        }
        type = MessageType(rawValue: number)
        if type == nil, header.isMandatory { note(.unknownMandatoryMessage(number)) }
        return type != nil
    }

    private mutating func take(
        _ header: AVPHeader, _ value: RawSpan, secret: SecretBytes?, randomVector: inout [UInt8]?
    ) {
        // 4.1: an AVP with a reserved bit set is an unrecognised one.
        guard header.vendorID == 0, !header.hasReservedBits, let known = AVPType(rawValue: header.type) else {
            return pass(over: header, .unknownMandatoryAVP(vendor: header.vendorID, type: header.type))
        }
        let rule = known.rule
        var bytes: [UInt8]? = nil
        if !header.isHidden {
            bytes = [UInt8](copying: value)
        } else if rule.mayBeHidden, let secret, let randomVector {
            // 4.3: a hidden AVP needs a Random Vector before it.
            bytes = TunnelSecret.reveal(value, type: header.type, secret: secret, randomVector: randomVector)
        }
        guard let bytes, rule.lengths.contains(bytes.count) else { return pass(over: header, .malformedAVP(known)) }
        if known == .randomVector {
            // 4.3: there may be several; each serves the hidden AVPs after it.
            randomVector = bytes
            return
        }
        guard let type, type.required.contains(known) || type.optional.contains(known) else {
            ignoredCount += 1
            return
        }
        guard self[known] == nil else { return pass(over: header, .malformedAVP(known)) }
        values.append((known, bytes))
    }

    /// 4.1 and 7.1: what cannot be used is ignored, and is a fault if its M bit is set.
    private mutating func pass(over header: AVPHeader, _ fault: MessageFault) {
        if header.isMandatory { note(fault) } else { ignoredCount += 1 }
    }
}

/// Text from a peer, fit for a log line: at most 128 octets, UTF-8 repaired, without control characters.
func printable(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes.prefix(128), as: UTF8.self)
    return String(text.unicodeScalars.filter { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
}
