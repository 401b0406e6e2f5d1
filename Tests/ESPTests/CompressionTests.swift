import Cryptography
import Testing
import Wire

@testable import ESP

@Suite("IPComp inside of an SA")
struct CompressionTests {
    private static let index: UInt16 = 0x1234

    private static func protection(mode: Protection.Mode = .transport) -> Protection {
        Protection(
            payload: someSuite, compression: Compression(inboundIndex: index, outboundIndex: index), mode: mode)
    }

    /// What comes by an SA without compression at the sender, so that a test writes the IPComp header itself.
    private func openCrafted(_ payload: [UInt8]) throws -> (InboundResult, [UInt8]) {
        var sender = try SAPair(Protection(payload: someSuite))
        var receiver = try SAPair(Self.protection())
        return receiver.open(sender.seal(payload, nextHeader: PacketCompressor.nextHeader))
    }

    @Test("what is well compressed travels shorter and comes out as it was")
    func compressible() throws {
        var pair = try SAPair(Self.protection())
        var plain = try SAPair(Protection(payload: someSuite))
        let payload = [UInt8](repeating: 0x61, count: 1200)
        let sealed = pair.seal(payload)
        let uncompressed = plain.seal(payload)
        #expect(sealed.count < 200 && uncompressed.count > 1200)
        let (result, opened) = pair.open(sealed)
        #expect(result.drop == nil && result.nextHeader == 17 && opened == payload)
    }

    @Test("in tunnel mode the packet inside is compressed whole")
    func tunnel() throws {
        var pair = try SAPair(Self.protection(mode: .tunnel))
        let payload = [0x45] + [UInt8](repeating: 0, count: 999)
        let sealed = pair.seal(payload, nextHeader: IPProtocol.ipv4)
        let (result, opened) = pair.open(sealed)
        #expect(sealed.count < 200 && result.drop == nil && result.nextHeader == IPProtocol.ipv4 && opened == payload)
    }

    @Test("what grows no shorter, and what is short, travels as it is (RFC 3173 section 2.2)")
    func incompressible() throws {
        var pair = try SAPair(Self.protection())
        var plain = try SAPair(Protection(payload: someSuite))
        var generator = SeededGenerator(seed: 5)
        for count in [8, 89, 90, 600, 1200] {
            let payload = count < 90 ? [UInt8](repeating: 0, count: count) : generator.bytes(count)
            let sealed = pair.seal(payload)
            let uncompressed = plain.seal(payload)
            #expect(sealed.count == uncompressed.count)
            let (result, opened) = pair.open(sealed)
            #expect(result.drop == nil && result.nextHeader == 17 && opened == payload)
        }
    }

    @Test("after several failures an SA rests from trying, and begins again")
    func pace() {
        var pace = CompressionPace()
        for _ in 0..<CompressionPace.failuresMaximum {
            let isDue = pace.isDue()
            #expect(isDue)
            pace.note(helped: false)
        }
        var rested = 0
        while !pace.isDue() { rested += 1 }
        #expect(rested == Int(CompressionPace.restFirst))
        pace.note(helped: true)
        let isDue = pace.isDue()
        #expect(isDue)
    }

    @Test("a stored block of RFC 1951 that no compressor of ours made is read")
    func storedBlock() throws {
        let data = Array("Culvert reads what RFC 1951 section 3.2.4 writes".utf8)
        let length = UInt8(data.count)
        let (result, opened) = try openCrafted([17, 0, 0x12, 0x34, 1, length, 0, ~length, 0xff] + data)
        #expect(result.drop == nil && result.nextHeader == 17 && opened == data)
    }

    @Test(
        "what has another index, is no stream, ends early, or has bytes behind its end is dropped",
        arguments: [
            [17, 0, 0x12, 0x35, 1, 1, 0, 0xfe, 0xff, 9], [17, 0, 0x12, 0x34, 7, 7, 7, 7],
            [17, 0, 0x12, 0x34, 1, 2, 0, 0xfd, 0xff, 9], [17, 0, 0x12, 0x34, 1, 1, 0, 0xfe, 0xff, 9, 9],
            [17, 0, 0x12, 0x34], [17, 0],
        ] as [[UInt8]])
    func malformed(_ payload: [UInt8]) throws {
        #expect(try openCrafted(payload).0.drop == .badCompression)
    }

    @Test("a packet that would not fit its slot is dropped, however little of it travels")
    func bomb() throws {
        let compressor = PacketCompressor()
        #expect(compressor.prepare())
        for (count, drop) in [(2048, nil), (2049, InboundDrop.badCompression), (60_000, .badCompression)] {
            var batch = PacketBatch(capacity: 1, packetSizeMaximum: 60_000)
            batch.append([UInt8](repeating: 0, count: count))
            let isShorter = compressor.compress(&batch[0], nextHeader: 17, index: Self.index)
            #expect(isShorter)
            #expect(batch[0].count < 200)
            #expect(try openCrafted([UInt8](copying: batch[0].span)).0.drop == drop, "\(count)")
        }
    }
}
