import Testing
import Wire

@Suite("The Internet checksum")
struct ChecksumTests {
    @Test("the example of RFC 1071 section 3")
    func example() {
        let bytes: [UInt8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]
        // The sum is ddf2; the checksum is its complement.
        #expect(checksum(bytes) == ~0xddf2)
    }

    @Test("a header with its checksum in place sums to zero")
    func verifies() {
        #expect(checksum(Array(ipv4([1, 2, 3]).prefix(20))) == 0)
    }

    @Test("every length, odd ones too, agrees with the word-by-word sum")
    func lengths() {
        var generator = SeededGenerator(1)
        for count in 1...200 {
            let bytes = generator.bytes(count)
            #expect(checksum(bytes) == referenceChecksum(bytes), "\(count) bytes")
        }
        #expect(
            checksum([UInt8](repeating: 0xff, count: 65_535))
                == referenceChecksum([UInt8](repeating: 0xff, count: 65_535)))
    }

    @Test("no bytes at all have the checksum ffff")
    func empty() { #expect(InternetChecksum.finish(0) == 0xffff) }

    @Test("two parts summed one after the other are the whole, if the first is even")
    func parts() {
        let bytes = SeededGenerator.sample(31)
        bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return }
            let first = InternetChecksum.sum(start, count: 12)
            let whole = InternetChecksum.sum(start + 12, count: 19, initial: first)
            #expect(InternetChecksum.finish(whole) == referenceChecksum(bytes))
        }
    }

    @Test("the example of RFC 1624 section 4: an update never gives ffff for 0000")
    func updateExample() {
        // The header's checksum is dd2f, the field goes from 5555 to 3285; equation 3 gives 0000.
        #expect(InternetChecksum.updated(0xdd2f, from: 0x5555, to: 0x3285) == 0x0000)
    }

    @Test("an update gives what a new sum would give")
    func update() {
        var generator = SeededGenerator(2)
        for _ in 0..<2000 {
            var bytes = generator.bytes(40)
            let before = referenceChecksum(bytes)
            let offset = Int.random(in: 0..<20, using: &generator) * 2
            let old = UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
            let new = UInt16.random(in: 0...0xffff, using: &generator)
            bytes.replaceSubrange(offset..<offset + 2, with: be16(Int(new)))
            #expect(InternetChecksum.updated(before, from: old, to: new) == referenceChecksum(bytes))
        }
    }
}

extension SeededGenerator {
    static func sample(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(UInt64(count))
        return generator.bytes(count)
    }
}
