import Testing
import Wire

@testable import L2TP

/// Runs `body` with `bytes` as a packet, `headroom` octets in front of it, in memory of exactly that size.
private func withPacket<Value>(_ bytes: [UInt8], headroom: Int = 0, _ body: (inout Packet) -> Value) -> Value {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: headroom + bytes.count, alignment: 8)
    defer { memory.deallocate() }
    for (index, byte) in bytes.enumerated() {
        memory.storeBytes(of: byte, toByteOffset: headroom + index, as: UInt8.self)
    }
    var packet = Packet(start: memory + headroom, count: bytes.count, path: .none)
    return body(&packet)
}

private func parse(_ text: String) -> L2TPDataHeader.Parsed { withPacket(hex(text)) { L2TPDataHeader.parse($0) } }

@Suite struct DataHeaderTests {
    @Test("the shortest header is parsed") func shortest() {
        let header = L2TPDataHeader(tunnelID: 0x1234, sessionID: 0x5678, payloadOffset: 6, payloadCount: 2, ns: nil)
        #expect(parse("0002 1234 5678 ff03") == .data(header))
    }

    @Test("all optional fields are parsed, reserved bits and priority ignored") func longest() {
        let header = L2TPDataHeader(tunnelID: 1, sessionID: 2, payloadOffset: 17, payloadCount: 1, ns: 7)
        #expect(parse("4a02 0012 0001 0002 0007 0000 0003 aaaaaa c0") == .data(header))
        #expect(parse("7bf2 0012 0001 0002 0007 0000 0003 aaaaaa c0") == .data(header))
    }

    @Test("a packet of every length below its header is refused") func short() {
        let bytes = hex("4a02 000e 0001 0002 0007 0000 0000")
        for count in 0..<bytes.count {
            let parsed = withPacket(Array(bytes.prefix(count))) { L2TPDataHeader.parse($0) }
            #expect(parsed == .drop(.truncated), "\(count)")
        }
        for count in 0..<6 {
            let parsed = withPacket(Array(hex("0002 0001 0002").prefix(count))) { L2TPDataHeader.parse($0) }
            #expect(parsed == .drop(.truncated), "\(count)")
        }
    }

    @Test("Length bounds the payload; beyond the packet or within the header it is a lie") func length() {
        let header = L2TPDataHeader(tunnelID: 1, sessionID: 2, payloadOffset: 8, payloadCount: 1, ns: nil)
        #expect(parse("4002 0009 0001 0002 c0 dead") == .data(header))
        for wrong in ["0000", "0007", "000a", "ffff"] {
            #expect(parse("4002 \(wrong) 0001 0002 c0") == .drop(.badLength))
        }
    }

    @Test("an offset beyond the packet, or beyond Length, is refused") func offset() {
        #expect(parse("0202 0001 0002 0002 c0") == .drop(.badOffset))
        #expect(parse("0202 0001 0002 ffff c0") == .drop(.badOffset))
        #expect(parse("4202 000b 0001 0002 0002 c0 0000") == .drop(.badOffset))
        #expect(parse("0202 0001 0002 0001 c0") == .drop(.empty))
    }

    @Test("control messages are told apart; wrong versions, zero ids and empty messages are refused") func rest() {
        #expect(parse("c802 000c 0001 0000 0000 0000") == .control)
        #expect(parse("0001 0001 0002 c0") == .drop(.badVersion))
        #expect(parse("0003 0001 0002 c0") == .drop(.badVersion))
        #expect(parse("0002 0000 0002 c0") == .drop(.zeroID))
        #expect(parse("0002 0001 0000 c0") == .drop(.zeroID))
        #expect(parse("0002 0001 0002") == .drop(.empty))
    }

    @Test("what is written is what is read, in every form", arguments: [nil, 0, 0xfffe] as [UInt16?], [false, true])
    func emits(ns: UInt16?, withLength: Bool) {
        withPacket([0xc0, 0x21], headroom: 12) { packet in
            let isWritten = L2TPDataHeader.prepend(
                to: &packet, headroom: 12, tunnelID: 0xabcd, sessionID: 0x1234, ns: ns, withLength: withLength)
            #expect(isWritten)
            let count = 6 + (withLength ? 2 : 0) + (ns == nil ? 0 : 4)
            #expect(packet.count == count + 2)
            let header = L2TPDataHeader(
                tunnelID: 0xabcd, sessionID: 0x1234, payloadOffset: count, payloadCount: 2, ns: ns)
            #expect(L2TPDataHeader.parse(packet) == .data(header))
        }
    }

    @Test("the bytes of a header with sequence numbers") func bytes() {
        withPacket([0xc0], headroom: 10) { packet in
            let isWritten = L2TPDataHeader.prepend(to: &packet, headroom: 10, tunnelID: 1, sessionID: 2, ns: 3)
            #expect(isWritten)
            #expect([UInt8](copying: packet.span) == hex("0802 0001 0002 0003 0000 c0"))
        }
    }

    @Test("without headroom for it nothing is written") func noRoom() {
        withPacket([0xc0], headroom: 5) { packet in
            let isWritten = L2TPDataHeader.prepend(to: &packet, headroom: 5, tunnelID: 1, sessionID: 2)
            #expect(!isWritten && packet.count == 1)
        }
    }

    @Test("sequence: gaps are passed over, late and repeated messages refused, wrapping included") func sequence() {
        var sequence = L2TPDataSequence()
        let numbers: [UInt16] = [0, 1, 5, 4, 5, 6, 0x7fff, 0xfffe, 1, 0xffff]
        var accepted: [Bool] = []
        for number in numbers { accepted.append(sequence.accept(number)) }
        #expect(accepted == [true, true, true, false, false, true, true, true, true, false])
        let sent = [sequence.next(), sequence.next(), sequence.next()]
        #expect(sent == [0, 1, 2])
    }
}
