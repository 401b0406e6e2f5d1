import Wire

/// The protocols of PPP that this room knows by name (the numbers are IANA's, "PPP DLL Protocol Numbers").
public enum PPPProtocol {
    /// IPv4 packets: the packet path has them, they never come here.
    public static let ipv4: UInt16 = 0x0021
    /// IPv6 packets.
    public static let ipv6: UInt16 = 0x0057
    /// Internet Protocol Control Protocol, RFC 1332.
    public static let ipcp: UInt16 = 0x8021
    /// IPv6 Control Protocol, RFC 5072.
    public static let ipv6cp: UInt16 = 0x8057
    /// Compression Control Protocol, RFC 1962.
    public static let ccp: UInt16 = 0x80FD
    /// Encryption Control Protocol, RFC 1968.
    public static let ecp: UInt16 = 0x8053
    /// Link Control Protocol, RFC 1661.
    public static let lcp: UInt16 = 0xC021
    /// Password Authentication Protocol, RFC 1334.
    public static let pap: UInt16 = 0xC023
    /// Challenge Handshake Authentication Protocol, RFC 1994, and MS-CHAPv2, RFC 2759.
    public static let chap: UInt16 = 0xC223
    /// Extensible Authentication Protocol, RFC 3748.
    public static let eap: UInt16 = 0xC227
}

/// How frames to the peer may be shortened, once the peer's own request for it was acknowledged.
public struct PPPFraming: Hashable, Sendable {
    /// The peer takes frames without the address and control bytes FF 03 (RFC 1661 section 6.6).
    public var compressesAddressAndControl: Bool
    /// The peer takes protocol numbers below 256 in one byte (RFC 1661 section 6.5).
    public var compressesProtocol: Bool

    /// Framing of the two given abbreviations, by default none.
    public init(compressesAddressAndControl: Bool = false, compressesProtocol: Bool = false) {
        self.compressesAddressAndControl = compressesAddressAndControl
        self.compressesProtocol = compressesProtocol
    }

    /// The bytes that stand before an IPv4 packet in a frame to the peer: 1 to 4 of them.
    public var ipv4Header: [UInt8] {
        (compressesAddressAndControl ? [] : [0xFF, 0x03]) + (compressesProtocol ? [0x21] : [0x00, 0x21])
    }
}

/// A frame that came in, without address and control: what protocol, and its information field.
struct Frame {
    let protocolNumber: UInt16
    let information: [UInt8]

    /// Reads a frame as it lies in an L2TP data message: no flags, no stuffing, no FCS.
    ///
    /// Address and control are optional whatever was negotiated: peers send them before LCP is open, and may after
    /// (RFC 1661 section 6.6). The first byte of a protocol field is even when a second one follows (section 2).
    init(_ frame: RawSpan) throws(PPPDropError) {
        do throws(WireError) {
            var reader = ByteReader(frame)
            var ahead = reader
            if reader.remaining >= 2, try ahead.readUInt16() == 0xFF03 { reader = ahead }
            var number = UInt16(try reader.readUInt8())
            if number & 1 == 0 { number = number << 8 | UInt16(try reader.readUInt8()) }
            protocolNumber = number
            information = reader.readRestBytes()
        } catch {
            throw PPPDropError(.truncatedFrame)
        }
        // RFC 1661 section 2: the least significant bit of the least significant octet must be 1.
        guard protocolNumber & 1 == 1 else { throw PPPDropError(.malformedProtocol) }
    }
}

/// Thrown inside the room to leave a parser; the link counts its reason.
struct PPPDropError: Error, Equatable {
    let reason: PPPDrop

    init(_ reason: PPPDrop) { self.reason = reason }
}

/// A packet of a control or authentication protocol: code, identifier, and what the length field encloses.
struct ControlPacket: Hashable, Sendable {
    /// Code, identifier and length.
    static let headerBytes = 4

    var code: UInt8
    var identifier: UInt8
    var body: [UInt8]

    init(code: UInt8, identifier: UInt8, body: [UInt8] = []) {
        (self.code, self.identifier, self.body) = (code, identifier, body)
    }

    /// Reads a packet. What follows the length is padding and not looked at (RFC 1661 section 5).
    init(parsing information: [UInt8]) throws(PPPDropError) {
        do throws(WireError) {
            (code, identifier, body) = try information.read { (reader: inout ByteReader) throws(WireError) in
                let (code, identifier) = (try reader.readUInt8(), try reader.readUInt8())
                return (code, identifier, try reader.readBytes(Int(try reader.readUInt16()) - Self.headerBytes))
            }
        } catch {
            throw PPPDropError(.malformedPacket)
        }
    }

    /// The packet as it travels. A body is at most an MRU long, so its length always fits the field.
    func write(into writer: inout ByteWriter) {
        writer.write(code)
        writer.write(identifier)
        writer.write(UInt16(clamping: Self.headerBytes + body.count))
        writer.write(body)
    }

    /// The packet as bytes.
    var bytes: [UInt8] {
        var writer = ByteWriter()
        write(into: &writer)
        return writer.bytes
    }
}

/// The codes of LCP and of the network control protocols, RFC 1661 section 5 and RFC 1570 section 2.
enum Code {
    static let configureRequest: UInt8 = 1
    static let configureAck: UInt8 = 2
    static let configureNak: UInt8 = 3
    static let configureReject: UInt8 = 4
    static let terminateRequest: UInt8 = 5
    static let terminateAck: UInt8 = 6
    static let codeReject: UInt8 = 7
    static let protocolReject: UInt8 = 8
    static let echoRequest: UInt8 = 9
    static let echoReply: UInt8 = 10
    static let discardRequest: UInt8 = 11
    static let identification: UInt8 = 12
    static let timeRemaining: UInt8 = 13
}

/// Which messages a client may send in a protocol, and how long their bodies must be.
struct MessageRule: Sendable {
    /// Whose message it is.
    enum Sender: Sendable {
        /// Either end sends it.
        case anyEnd
        /// Only the end that authenticates the other sends it, which is never the client.
        case authenticator
    }

    let code: UInt8
    let bodyMinimum: Int
    let sender: Sender

    init(_ code: UInt8, bodyMinimum: Int = 0, from sender: Sender = .anyEnd) {
        (self.code, self.bodyMinimum, self.sender) = (code, bodyMinimum, sender)
    }

    /// What every control protocol has: RFC 1661 section 5, codes 1 to 7.
    static let network: [MessageRule] = [
        MessageRule(Code.configureRequest),
        MessageRule(Code.configureAck),
        MessageRule(Code.configureNak, bodyMinimum: 2),
        MessageRule(Code.configureReject, bodyMinimum: 2),
        MessageRule(Code.terminateRequest),
        MessageRule(Code.terminateAck),
        MessageRule(Code.codeReject, bodyMinimum: ControlPacket.headerBytes),
    ]

    /// LCP: the same, RFC 1661 section 5.7 to 5.9, and RFC 1570 section 2.1 and 2.2.
    static let lcp: [MessageRule] =
        network + [
            MessageRule(Code.protocolReject, bodyMinimum: 2),
            MessageRule(Code.echoRequest, bodyMinimum: 4),
            MessageRule(Code.echoReply, bodyMinimum: 4),
            MessageRule(Code.discardRequest, bodyMinimum: 4),
            MessageRule(Code.identification, bodyMinimum: 4),
            MessageRule(Code.timeRemaining, bodyMinimum: 8),
        ]

    /// PAP, RFC 1334 section 2.2: two lengths at least.
    static let pap: [MessageRule] = [
        MessageRule(AuthenticationCode.papRequest, bodyMinimum: 2),
        MessageRule(AuthenticationCode.papAck, from: .authenticator),
        MessageRule(AuthenticationCode.papNak, from: .authenticator),
    ]

    /// CHAP, RFC 1994 section 4: a value size and a value of at least one octet.
    static let chap: [MessageRule] = [
        MessageRule(AuthenticationCode.chapChallenge, from: .authenticator),
        MessageRule(AuthenticationCode.chapResponse, bodyMinimum: 2),
        MessageRule(AuthenticationCode.chapSuccess, from: .authenticator),
        MessageRule(AuthenticationCode.chapFailure, from: .authenticator),
    ]

    /// The rule for `code` in a table.
    static func find(_ code: UInt8, in table: [MessageRule]) -> MessageRule? { table.first { $0.code == code } }
}

/// The codes of PAP (RFC 1334 section 2.2) and CHAP (RFC 1994 section 4).
enum AuthenticationCode {
    static let papRequest: UInt8 = 1
    static let papAck: UInt8 = 2
    static let papNak: UInt8 = 3
    static let chapChallenge: UInt8 = 1
    static let chapResponse: UInt8 = 2
    static let chapSuccess: UInt8 = 3
    static let chapFailure: UInt8 = 4
}
