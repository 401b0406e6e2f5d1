import Wire

/// The header of a control message (RFC 2661, 3.1), always twelve octets:
/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |T|L|x|x|S|x|O|P|x|x|x|x|  Ver  |             Length            |
/// |           Tunnel ID           |           Session ID          |
/// |               Ns              |               Nr              |
/// ```
struct ControlHeader: Hashable, Sendable {
    static let byteCount = 12
    static let controlBit: UInt16 = 0x8000
    static let lengthBit: UInt16 = 0x4000
    static let sequenceBit: UInt16 = 0x0800
    static let offsetBit: UInt16 = 0x0200
    static let versionMask: UInt16 = 0x000f
    static let version: UInt16 = 2

    /// The receiver's id of the tunnel, 0 before it assigned one.
    var tunnelID: UInt16
    /// The receiver's id of the session, 0 for the tunnel itself or before it assigned one.
    var sessionID: UInt16
    var ns: SequenceNumber
    var nr: SequenceNumber

    /// Takes the header off `reader`, which holds one whole message, and leaves the AVPs.
    ///
    /// The reserved bits and the P bit are ignored, as 3.1 says of what is received.
    @_lifetime(reader: copy reader)
    static func parse(_ reader: inout ByteReader) throws(L2TPDrop) -> ControlHeader {
        let total = reader.remaining
        let words: (flags: UInt16, length: UInt16)
        let header: ControlHeader
        do {
            words = (try reader.readUInt16(), try reader.readUInt16())
            header = ControlHeader(
                tunnelID: try reader.readUInt16(), sessionID: try reader.readUInt16(),
                ns: SequenceNumber(try reader.readUInt16()), nr: SequenceNumber(try reader.readUInt16()))
        } catch {
            throw .notControl
        }
        guard words.flags & controlBit != 0 else { throw .notControl }
        guard words.flags & versionMask == version else { throw .badVersion }
        guard words.flags & (lengthBit | sequenceBit | offsetBit) == lengthBit | sequenceBit else { throw .badFlags }
        guard Int(words.length) == total else { throw .badLength }
        return header
    }

    /// Writes one whole message: this header, then `body`.
    func write(body: [UInt8], into writer: inout ByteWriter) {
        writer.write(Self.controlBit | Self.lengthBit | Self.sequenceBit | Self.version)
        writer.write(UInt16(clamping: Self.byteCount + body.count))
        writer.write(tunnelID)
        writer.write(sessionID)
        writer.write(ns.value)
        writer.write(nr.value)
        writer.write(body)
    }
}
