import Cryptography
import Testing
import Wire

@Suite("Secret bytes and randomness")
struct SecretBytesTests {
    private func copy(_ secret: SecretBytes) -> [UInt8] { [UInt8](copying: secret.span) }

    @Test("what is put in comes out: from an array, from a text, from nothing")
    func contents() {
        #expect(copy(SecretBytes([1, 2, 3])) == [1, 2, 3])
        #expect(copy(SecretBytes(utf8: "pässword")) == Array("pässword".utf8))
        #expect(copy(SecretBytes([])) == [])
        #expect(SecretBytes([]).count == 0)
    }

    @Test("slices and concatenations, empty ones among them")
    func parts() {
        let secret = SecretBytes(Array(0..<32))
        #expect(copy(secret.slice(4..<8)) == [4, 5, 6, 7])
        #expect(copy(secret.slice(0..<32)) == Array(0..<32))
        #expect(secret.slice(32..<32).count == 0)
        let joined = SecretBytes.concatenate([secret.slice(0..<2), SecretBytes([]), SecretBytes([9])])
        #expect(copy(joined) == [0, 1, 9])
        #expect(SecretBytes.concatenate([]).count == 0)
        #expect(SecretBytes.concatenate([secret.slice(0..<11), secret.slice(11..<32)]) == secret)
    }

    @Test("equality looks at every byte and at the length")
    func equality() {
        let bytes = [UInt8](0..<40)
        for position in bytes.indices {
            var other = bytes
            other[position] ^= 0x80
            #expect(SecretBytes(bytes) != SecretBytes(other))
        }
        #expect(SecretBytes(bytes) == SecretBytes(bytes))
        #expect(SecretBytes(bytes) != SecretBytes(Array(bytes.dropLast())))
        #expect(SecretBytes([]) == SecretBytes([]))
        #expect(SecretBytes([0]) != SecretBytes([]))
    }

    @Test("a secret prints nothing of itself")
    func description() {
        let text = "\(SecretBytes(utf8: "hunter2")) \(String(reflecting: SecretBytes(utf8: "hunter2")))"
        #expect(!text.contains("hunter2"))
        #expect("\(SecretBytes([1, 2, 3]))" == "<3 secret bytes>")
    }

    @Test("the system's generator does not repeat itself, across blocks either")
    func systemRandom() {
        var (first, second) = (SystemRandom(), SystemRandom())
        var seen: Set<UInt64> = []
        for _ in 0..<2000 {
            seen.insert(first.next())
            seen.insert(second.next())
        }
        #expect(seen.count == 4000)
        for count in [0, 1, 7, 8, 9, 20, 64] { #expect(first.bytes(count).count == count) }
        #expect(first.bytes(16) != first.bytes(16))
    }

    @Test("a random block gives fresh bytes for every request, whatever the sizes, and writes no byte beyond")
    func randomBlock() {
        var block = RandomBlock()
        var seen: Set<[UInt8]> = []
        // Sizes that do not divide the block of 4096, so that requests meet its end in every way.
        for round in 0..<3000 {
            let count = [8, 16, 24, 13, 64][round % 5]
            var target = [UInt8](repeating: 0xa5, count: count + 1)
            let filled = block.fill(&target, count: count)
            #expect(filled && target[count] == 0xa5)
            #expect(target.dropLast().contains { $0 != 0xa5 })
            seen.insert(Array(target.prefix(8)))
        }
        #expect(seen.count == 3000)
    }

    @Test("bytes from a random block are spread evenly")
    func distribution() {
        var block = RandomBlock()
        var counts = [Int](repeating: 0, count: 256)
        var target = [UInt8](repeating: 0, count: 64)
        for _ in 0..<4000 {
            _ = block.fill(&target, count: 64)
            for byte in target { counts[Int(byte)] += 1 }
        }
        // 1000 of each are expected, with a deviation of 32: 300 are nine of them.
        #expect(counts.allSatisfy { abs($0 - 1000) < 300 })
    }
}
