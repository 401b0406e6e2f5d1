import Cryptography
import Testing
import Wire

@testable import L2TP

/// The first message of xl2tpd 1.3.18, as it came out of the program.
let xl2tpdRequest = hex(
    """
    c8020063000000000000000080080000000000018008000000020100800a0000000300000003800a00000004000000000008000000060690
    800800000007766d00130000000878656c6572616e63652e636f6d800800000009d3cf80080000000a0004
    """)
let xl2tpdCallRequest = hex(
    "c8020030cbe6000000020001800800000000000a80080000000e1111800a0000000f00000001800a0000001200000000")
let xl2tpdCallConnected = hex(
    "c8020032cbe6aa4500030002800800000000000c800a0000001800000000800a0000001300000001000a0000002600000000")
let xl2tpdDisconnect = hex("c8020026cbe6aa4500040002800800000000000e800a000000010001000080080000000e1111")

private func parse(_ bytes: [UInt8], secret: SecretBytes? = nil) throws(L2TPDrop) -> (ControlHeader, ControlMessage) {
    try bytes.read { (reader) throws(L2TPDrop) in
        let header = try ControlHeader.parse(&reader)
        return (header, ControlMessage(reader.readRestBytes(), secret: secret))
    }
}

@Suite struct ControlHeaderTests {
    private let bytes = hex("c802 000c 1234 5678 0009 000a")
    private let header = ControlHeader(
        tunnelID: 0x1234, sessionID: 0x5678, ns: SequenceNumber(9), nr: SequenceNumber(10))

    @Test("a header is parsed") func parses() throws {
        #expect(try parse(bytes).0 == header)
    }

    @Test("a header is emitted") func emits() {
        var writer = ByteWriter()
        header.write(body: [], into: &writer)
        #expect(writer.bytes == bytes)
    }

    @Test("a message of any length below the header's is refused", arguments: 0..<12)
    func short(count: Int) {
        #expect(throws: L2TPDrop.notControl) { try parse(Array(bytes.prefix(count))) }
    }

    @Test("one byte short of its Length, and one byte more, are refused") func wrongLength() {
        #expect(throws: L2TPDrop.badLength) { try parse(Array(xl2tpdRequest.dropLast())) }
        #expect(throws: L2TPDrop.badLength) { try parse(xl2tpdRequest + [0]) }
        #expect(throws: L2TPDrop.badLength) { try parse(hex("c802 0000 0000 0000 0000 0000")) }
    }

    @Test("wrong flags and versions are refused, reserved bits and priority are not")
    func flags() throws {
        for (flags, drop) in [
            ("4802", L2TPDrop.notControl), ("c803", .badVersion), ("c801", .badVersion), ("8802", .badFlags),
            ("c002", .badFlags), ("ca02", .badFlags),
        ] {
            #expect(throws: drop) { try parse(hex(flags + "000c 0001 0000 0000 0000")) }
        }
        #expect(try parse(hex("fdf2 000c 1234 5678 0009 000a")).0 == header)
    }
}

@Suite struct ControlMessageTests {
    @Test("xl2tpd's messages are read") func xl2tpd() throws {
        let (header, request) = try parse(xl2tpdRequest)
        #expect(header == ControlHeader(tunnelID: 0, sessionID: 0, ns: .zero, nr: .zero))
        #expect(request.type == .sccrq && request.fault == nil && request.ignoredCount == 0)
        #expect(request.uint16(.assignedTunnelID) == 0xd3cf && request.uint16(.receiveWindowSize) == 4)
        #expect(request.text(.hostName) == "vm" && request.text(.vendorName) == "xelerance.com")
        #expect(request.uint32(.framingCapabilities) == 3 && request.uint16(.firmwareRevision) == 0x0690)
        let call = try parse(xl2tpdCallRequest).1
        #expect(call.type == .icrq && call.fault == nil && call.uint16(.assignedSessionID) == 0x1111)
        let connected = try parse(xl2tpdCallConnected)
        #expect(connected.0.sessionID == 0xaa45 && connected.1.type == .iccn && connected.1.fault == nil)
        let disconnect = try parse(xl2tpdDisconnect).1
        #expect(disconnect.fault == nil)
        #expect(disconnect.result(.session) == .disconnect(.lossOfCarrier, error: L2TPErrorCode.none))
    }

    @Test("our messages are read back as legal ones") func ours() throws {
        let sccrp = Reply.sccrp(
            L2TPConfiguration(), tunnelID: 9, challenge: [1, 2], response: [UInt8](repeating: 3, count: 16))
        let message = ControlMessage(sccrp, secret: nil)
        #expect(message.type == .sccrp && message.fault == nil && message.ignoredCount == 0)
        #expect(message.uint16(.assignedTunnelID) == 9 && message.uint16(.receiveWindowSize) == 16)
        #expect(message[.challenge] == [1, 2] && message[.challengeResponse]?.count == 16)
        let result = L2TPResult.stop(.generalError, error: .noResources, "full")
        let stop = ControlMessage(Reply.stopCCN(result, tunnelID: 5), secret: nil)
        #expect(stop.fault == nil && stop.result(.tunnel) == result && stop.uint16(.assignedTunnelID) == 5)
        let cdn = ControlMessage(Reply.cdn(.disconnect(.administrative), sessionID: 6), secret: nil)
        #expect(cdn.fault == nil && cdn.result(.session).code == 3 && cdn.result(.session).errorCode == 0)
        #expect(ControlMessage(Reply.icrp(sessionID: 8), secret: nil).uint16(.assignedSessionID) == 8)
        #expect(ControlMessage(Reply.hello, secret: nil).type == .hello)
        #expect(Reply.icrp(sessionID: 0xaa45) == hex("800800000000000b80080000000eaa45"))
        #expect(Reply.hello == hex("8008000000000006"))
    }

    @Test("a message cut anywhere is a broken or an incomplete one, never a whole one") func cut() {
        let body = ClientBody.sccrq(tunnelID: 1)
        for count in 0..<(body.count - 8) {
            #expect(ControlMessage(Array(body.prefix(count)), secret: nil).fault != nil, "\(count) bytes")
        }
        #expect(ControlMessage(Array(body.dropLast()), secret: nil).fault == .brokenAVP)
    }

    @Test("an AVP length below 6 or beyond the message breaks the message", arguments: [0, 1, 5, 9, 1023])
    func brokenLength(length: Int) {
        let message = ControlMessage(ClientBody.scccn(avp(99, [1, 2], mandatory: false, length: length)), secret: nil)
        #expect(message.fault == .brokenAVP)
    }

    @Test("the Message Type must come first, two octets long, in clear") func messageTypeFirst() {
        for body in [
            avp(.hostName, [1]) + avp(.messageType, UInt16(3)), avp(0, [3]), avp(0, [0, 3, 0]),
            avp(0, [0, 3], hidden: true), avp(0, [0, 3], vendor: 9), avp(0, [0, 3], reserved: 0x2000), [],
        ] {
            #expect(ControlMessage(body, secret: nil).fault == .noMessageType)
        }
    }

    @Test("an unknown message type is a fault with the M bit, and nothing without") func unknownType() {
        #expect(ControlMessage(avp(0, [0, 99]), secret: nil).fault == .unknownMandatoryMessage(99))
        let optional = ControlMessage(avp(0, [0, 99], mandatory: false), secret: nil)
        #expect(optional.fault == nil && optional.type == nil)
    }

    @Test("an unknown AVP without the M bit is skipped with its whole length") func unknownOptional() {
        let message = ControlMessage(
            avp(.messageType, UInt16(3)) + avp(200, avp(.hostName, [1]), mandatory: false)
                + avp(.challengeResponse, [UInt8](repeating: 1, count: 16)), secret: nil)
        #expect(message.fault == nil && message.ignoredCount == 1 && message[.challengeResponse] != nil)
    }

    @Test("an unknown AVP with the M bit is a fault; vendor and reserved bits make an AVP unknown")
    func unknownMandatory() {
        #expect(
            ControlMessage(ClientBody.scccn(avp(200, [])), secret: nil).fault
                == .unknownMandatoryAVP(vendor: 0, type: 200))
        #expect(
            ControlMessage(ClientBody.scccn(avp(13, [1], vendor: 311)), secret: nil).fault
                == .unknownMandatoryAVP(vendor: 311, type: 13))
        let response = [UInt8](repeating: 0, count: 16)
        #expect(
            ControlMessage(ClientBody.scccn(avp(13, response, reserved: 0x0400)), secret: nil).fault
                == .unknownMandatoryAVP(vendor: 0, type: 13))
        // The AVP of another vendor that xl2tpd once took for a Protocol Version.
        let vendor = ControlMessage(
            ClientBody.icrq(sessionID: 1, extra: avp(2, Array("DEU.X".utf8), mandatory: false, vendor: 3561)),
            secret: nil)
        #expect(vendor.fault == nil && vendor.ignoredCount == 1)
    }

    @Test(
        "each AVP one octet short or long is malformed: a fault with the M bit, else ignored",
        arguments: AVPType.allCases)
    func lengths(type: AVPType) {
        guard type != .messageType,
            let carrier = MessageType.allCases.first(where: { $0.optional.contains(type) || $0.required.contains(type) }
            )
        else { return }
        let rule = type.rule
        for length in [rule.lengths.lowerBound - 1, rule.lengths.upperBound + 1]
        where (0...AVPType.valueByteCountMaximum).contains(length) {
            let value = [UInt8](repeating: 1, count: length)
            let head = avp(.messageType, carrier.rawValue)
            #expect(ControlMessage(head + avp(type.rawValue, value), secret: nil).fault == .malformedAVP(type))
            let optional = ControlMessage(head + avp(type.rawValue, value, mandatory: false), secret: nil)
            #expect(optional[type] == nil && optional.ignoredCount == 1)
        }
    }

    @Test("an AVP that is given twice is malformed") func twice() {
        let message = ControlMessage(
            ClientBody.sccrq(tunnelID: 1, extra: avp(.assignedTunnelID, UInt16(2))), secret: nil)
        #expect(message.fault == .malformedAVP(.assignedTunnelID) && message.uint16(.assignedTunnelID) == 1)
    }

    @Test("a known AVP that has no business in a message is ignored") func misplaced() {
        let message = ControlMessage(ClientBody.scccn(avp(.accm, [UInt8](repeating: 0, count: 10))), secret: nil)
        #expect(message.fault == nil && message.ignoredCount == 1 && message[.accm] == nil)
    }

    @Test("each required AVP is missed", arguments: MessageType.allCases) func required(type: MessageType) {
        for missing in type.required {
            let rest = type.required.filter { $0 != missing }
                .flatMap { avp($0, [UInt8](repeating: 1, count: $0.rule.lengths.lowerBound)) }
            let message = ControlMessage(avp(.messageType, type.rawValue) + rest, secret: nil)
            #expect(message.fault == .missingAVP(missing))
        }
    }

    @Test("codes in little-endian, as macOS writes them, are read as they were meant") func littleEndian() {
        let cdn = ControlMessage(ClientBody.cdn(sessionID: 1, result: [3, 0, 0, 0]), secret: nil)
        #expect(cdn.result(.session) == .disconnect(.administrative, error: L2TPErrorCode.none))
        let stop = ControlMessage(ClientBody.stopCCN(tunnelID: 1, result: [1, 0, 6, 0]), secret: nil)
        #expect(stop.result(.tunnel) == .stop(.clear, error: .vendorSpecific))
        let right = ControlMessage(ClientBody.stopCCN(tunnelID: 1, result: [0, 6]), secret: nil)
        #expect(
            right.result(.tunnel) == .stop(.shuttingDown) && right.result(.tunnel).description == "6 (shutting down)")
    }

    @Test("text of a peer is made fit for a log line") func text() {
        #expect(printable(Array("a\r\nb\u{1b}[31m\u{7f}".utf8) + [0xff]) == "ab[31m\u{fffd}")
        #expect(printable([UInt8](repeating: 0x61, count: 1000)).count == 128)
    }
}

@Suite struct HiddenAVPTests {
    private let secret = SecretBytes(utf8: "our secret")
    private let vector = [UInt8](1...16)

    @Test(
        "a hidden value is revealed, with and without padding, of one block and of many",
        arguments: [1, 14, 15, 40, 300])
    func reveals(count: Int) {
        let value = (0..<count).map { UInt8($0 & 0xff) }
        for padding in [0, 1, 17, 64] {
            let message = ControlMessage(
                avp(.messageType, UInt16(1)) + avp(.randomVector, vector)
                    + hiddenAVP(.challenge, value, secret: secret, vector: vector, padding: padding), secret: secret)
            #expect(message[.challenge] == value)
        }
    }

    @Test("the cipher is MD5 of type, secret and vector first (RFC 2661, 4.3)") func cipher() {
        let block = HashAlgorithm.md5.digest([0, 11], Array("our secret".utf8), vector)
        let out = TunnelSecret.applyStream(
            to: [0, 1, 0xaa], type: 11, secret: secret, randomVector: vector, decrypting: true)
        #expect(out == [block[0], 1 ^ block[1], 0xaa ^ block[2]])
    }

    @Test("each Random Vector serves what follows it") func secondVector() {
        let other: [UInt8] = [9]
        let message = ControlMessage(
            avp(.messageType, UInt16(1)) + avp(.randomVector, vector)
                + hiddenAVP(.challenge, [1], secret: secret, vector: vector) + avp(.randomVector, other)
                + hiddenAVP(.assignedTunnelID, [0, 5], secret: secret, vector: other), secret: secret)
        #expect(message[.challenge] == [1] && message.uint16(.assignedTunnelID) == 5)
    }

    @Test("without a Random Vector before it, or without a secret, a hidden AVP is malformed") func noVector() {
        let hidden = hiddenAVP(.challenge, [1], secret: secret, vector: vector)
        let early = avp(.messageType, UInt16(1)) + hidden + avp(.randomVector, vector)
        #expect(ControlMessage(early, secret: secret).fault == .malformedAVP(.challenge))
        let right = avp(.messageType, UInt16(1)) + avp(.randomVector, vector) + hidden
        #expect(ControlMessage(right, secret: nil).fault == .malformedAVP(.challenge))
    }

    @Test("a length out of the cipher is not believed", arguments: [2, 0x7f, 0xffff]) func lyingLength(claims: Int) {
        let hidden = hiddenAVP(.challenge, [1], secret: secret, vector: vector, claims: claims)
        let message = ControlMessage(
            avp(.messageType, UInt16(1)) + avp(.randomVector, vector) + hidden, secret: secret)
        #expect(message.fault == .malformedAVP(.challenge) && message[.challenge] == nil)
    }

    @Test("a hidden AVP too short for its length is malformed", arguments: [0, 1]) func tooShort(count: Int) {
        let message = ControlMessage(
            avp(.messageType, UInt16(1)) + avp(.randomVector, vector)
                + avp(11, [UInt8](repeating: 1, count: count), hidden: true), secret: secret)
        #expect(message.fault == .malformedAVP(.challenge))
    }

    @Test("what the RFC forbids to hide is malformed when hidden") func forbidden() {
        let message = ControlMessage(
            avp(.messageType, UInt16(1)) + avp(.randomVector, vector)
                + hiddenAVP(.hostName, [1], secret: secret, vector: vector), secret: secret)
        #expect(message.fault == .malformedAVP(.hostName))
    }
}
