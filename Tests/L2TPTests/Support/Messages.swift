import Cryptography
import Wire

@testable import L2TP

/// Random numbers from a seed: the same in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True with a probability of `percent`.
    mutating func chance(_ percent: UInt64) -> Bool { next() % 100 < percent }
}

/// The point `seconds` after the clock's start.
func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1_000_000_000)) }

/// Bytes from hexadecimal, blanks ignored.
func hex(_ text: String) -> [UInt8] {
    let digits = text.filter(\.isHexDigit).compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// One AVP with every field to choose; `length` lies if it is given.
func avp(
    _ type: UInt16, _ value: [UInt8], mandatory: Bool = true, hidden: Bool = false, reserved: UInt16 = 0,
    vendor: UInt16 = 0, length: Int? = nil
) -> [UInt8] {
    let word =
        UInt16(truncatingIfNeeded: length ?? value.count + 6) & 0x03ff | (mandatory ? 0x8000 : 0)
        | (hidden ? 0x4000 : 0) | reserved
    return [word, vendor, type].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] } + value
}

func avp(_ type: AVPType, _ value: [UInt8]) -> [UInt8] { avp(type.rawValue, value, mandatory: type.rule.mandatory) }

func avp(_ type: AVPType, _ value: UInt16) -> [UInt8] { avp(type, [UInt8(value >> 8), UInt8(value & 0xff)]) }

func avp(_ type: AVPType, _ value: UInt32) -> [UInt8] {
    avp(type, (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) })
}

/// A hidden AVP (RFC 2661, 4.3) with `padding` octets; `claims` lies about the length of the value inside.
func hiddenAVP(
    _ type: AVPType, _ value: [UInt8], secret: SecretBytes, vector: [UInt8], padding: Int = 0, claims: Int? = nil
) -> [UInt8] {
    let length = claims ?? value.count
    let plain = [UInt8(length >> 8), UInt8(length & 0xff)] + value + [UInt8](repeating: 0xa5, count: padding)
    let cipher = TunnelSecret.applyStream(
        to: plain, type: type.rawValue, secret: secret, randomVector: vector, decrypting: false)
    return avp(type.rawValue, cipher, mandatory: type.rule.mandatory, hidden: true)
}

/// A whole control message.
func control(tunnel: UInt16, session: UInt16 = 0, ns: UInt16, nr: UInt16, _ body: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    ControlHeader(tunnelID: tunnel, sessionID: session, ns: SequenceNumber(ns), nr: SequenceNumber(nr))
        .write(body: body, into: &writer)
    return writer.bytes
}

/// The bodies that a client sends, all of them legal.
enum ClientBody {
    static func sccrq(tunnelID: UInt16, host: String = "lac", window: UInt16? = 4, extra: [UInt8] = []) -> [UInt8] {
        avp(.messageType, UInt16(1)) + avp(.protocolVersion, UInt16(0x0100)) + avp(.framingCapabilities, UInt32(3))
            + avp(.hostName, Array(host.utf8)) + avp(.assignedTunnelID, tunnelID)
            + (window.map { avp(.receiveWindowSize, $0) } ?? []) + extra
    }
    static func scccn(_ extra: [UInt8] = []) -> [UInt8] { avp(.messageType, UInt16(3)) + extra }
    static let hello = avp(.messageType, UInt16(6))
    static func stopCCN(tunnelID: UInt16, result: [UInt8] = [0, 1]) -> [UInt8] {
        avp(.messageType, UInt16(4)) + avp(.assignedTunnelID, tunnelID) + avp(.resultCode, result)
    }
    static func icrq(sessionID: UInt16, serial: UInt32 = 1, extra: [UInt8] = []) -> [UInt8] {
        avp(.messageType, UInt16(10)) + avp(.assignedSessionID, sessionID) + avp(.callSerialNumber, serial) + extra
    }
    static func iccn(_ extra: [UInt8] = []) -> [UInt8] {
        avp(.messageType, UInt16(12)) + avp(.txConnectSpeed, UInt32(10_000_000)) + avp(.framingType, UInt32(1)) + extra
    }
    static func cdn(sessionID: UInt16, result: [UInt8] = [0, 3]) -> [UInt8] {
        avp(.messageType, UInt16(14)) + avp(.resultCode, result) + avp(.assignedSessionID, sessionID)
    }
    static func ocrq(sessionID: UInt16) -> [UInt8] {
        avp(.messageType, UInt16(7)) + avp(.assignedSessionID, sessionID) + avp(.callSerialNumber, UInt32(1))
            + avp(.minimumBPS, UInt32(1)) + avp(.maximumBPS, UInt32(2)) + avp(.bearerType, UInt32(1))
            + avp(.framingType, UInt32(1)) + avp(.calledNumber, Array("123".utf8))
    }
}

/// A message of the server, taken apart.
struct Sent {
    var peer: L2TPPeer
    var header: ControlHeader
    var message: ControlMessage
    var bytes: [UInt8]

    /// Nil for a ZLB.
    var type: MessageType? { message.type }
    var result: L2TPResult { message.result(type == .cdn ? .session : .tunnel) }

    init(_ bytes: [UInt8], to peer: L2TPPeer) throws(L2TPDrop) {
        self.peer = peer
        self.bytes = bytes
        (header, message) = try bytes.read { (reader) throws(L2TPDrop) in
            let header = try ControlHeader.parse(&reader)
            return (header, ControlMessage(reader.readRestBytes(), secret: nil))
        }
    }
}
