import Testing
import Wire

@testable import PPP

private func parse(_ bytes: [UInt8]) throws -> Frame { try Frame(bytes.span.bytes) }

private func reason(_ body: () throws -> Void) -> PPPDrop? {
    do {
        try body()
        return nil
    } catch {
        return (error as? PPPDropError)?.reason
    }
}

@Suite struct FrameTests {
    @Test(
        "a frame is the same with or without address and control, with one or two bytes of protocol",
        arguments: [
            ([0xFF, 0x03, 0xC0, 0x21, 1, 2], 0xC021, [1, 2]), ([0xC0, 0x21, 1, 2], 0xC021, [1, 2]),
            ([0xFF, 0x03, 0x21, 9], 0x21, [9]), ([0x21, 9], 0x21, [9]), ([0x00, 0x21, 9], 0x21, [9]),
            ([0x80, 0x21], 0x8021, []),
        ] as [([UInt8], UInt16, [UInt8])])
    func forms(bytes: [UInt8], number: UInt16, information: [UInt8]) throws {
        let frame = try parse(bytes)
        #expect(frame.protocolNumber == number)
        #expect(frame.information == information)
    }

    @Test(
        "a frame that ends before its protocol does is dropped",
        arguments: [[], [0xFF, 0x03], [0xC0], [0xFF, 0x03, 0x80]])
    func truncatedFrame(bytes: [UInt8]) { #expect(reason { _ = try parse(bytes) } == .truncatedFrame) }

    @Test("an even protocol number is dropped")
    func evenProtocol() { #expect(reason { _ = try parse([0xC0, 0x20, 1]) } == .malformedProtocol) }

    @Test("a control packet is what its length encloses, and padding is not looked at")
    func packet() throws {
        let packet = try ControlPacket(parsing: [9, 7, 0, 8, 1, 2, 3, 4, 0xAA, 0xBB])
        #expect(packet == ControlPacket(code: 9, identifier: 7, body: [1, 2, 3, 4]))
        #expect(packet.bytes == [9, 7, 0, 8, 1, 2, 3, 4])
    }

    @Test(
        "a control packet whose length is below 4 or one byte beyond its end is dropped",
        arguments: [
            [1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 3], [1, 1, 0, 5], [1, 1, 0xFF, 0xFF], [1, 1, 0], [1, 1], [1], [],
            [1, 1, 0, 8, 1, 4, 5],
        ])
    func malformedPacket(bytes: [UInt8]) {
        #expect(reason { _ = try ControlPacket(parsing: bytes) } == .malformedPacket)
    }

    @Test("options are read and written as they are")
    func options() throws {
        let body: [UInt8] = [1, 4, 0x05, 0x78, 7, 2, 5, 6, 1, 2, 3, 4]
        let options = try ConfigureOption.parse(body)
        #expect(
            options == [ConfigureOption(1, uint16: 1400), ConfigureOption(7), ConfigureOption(5, uint32: 0x0102_0304)])
        #expect(ConfigureOption.encode(options) == body)
    }

    @Test(
        "an option length of 0, 1, one byte too many, or one byte short of a header is dropped",
        arguments: [[1, 0], [1, 1], [1, 5, 5, 120], [1, 3], [1], [7, 2, 1], [1, 255, 0, 0], [7, 2, 7, 0, 7, 2]])
    func malformedOptions(body: [UInt8]) {
        #expect(reason { _ = try ConfigureOption.parse(body) } == .malformedOptions)
    }

    @Test("more options than anyone needs are dropped")
    func tooManyOptions() {
        let body = [UInt8]((0...ConfigureOption.countMaximum).flatMap { _ in [7, 2] as [UInt8] })
        #expect(reason { _ = try ConfigureOption.parse(body) } == .malformedOptions)
        #expect(reason { _ = try ConfigureOption.parse(Array(body.dropLast(2))) } == nil)
    }

    @Test("the header of an IPv4 packet follows the negotiated framing")
    func ipv4Header() {
        #expect(PPPFraming().ipv4Header == [0xFF, 0x03, 0x00, 0x21])
        #expect(PPPFraming(compressesAddressAndControl: true).ipv4Header == [0x00, 0x21])
        #expect(PPPFraming(compressesProtocol: true).ipv4Header == [0xFF, 0x03, 0x21])
        #expect(PPPFraming(compressesAddressAndControl: true, compressesProtocol: true).ipv4Header == [0x21])
    }
}
