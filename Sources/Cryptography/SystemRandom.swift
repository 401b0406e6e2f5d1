import COpenSSL

/// The system's cryptographically secure generator through OpenSSL, drawn in blocks: 4096 bytes cost what 32 do.
public struct SystemRandom: RandomNumberGenerator {
    private static let blockWords = 512
    private var block: [UInt64] = []

    /// A generator with nothing drawn yet.
    public init() {}

    /// The next 64 random bits. Ends the process when the system has no randomness: nothing may go on without.
    public mutating func next() -> UInt64 {
        if block.isEmpty {
            block = [UInt64](repeating: 0, count: Self.blockWords)
            let done = block.withUnsafeMutableBytes {
                RAND_bytes($0.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32($0.count))
            }
            precondition(done == 1, "the system has no randomness")
        }
        return block.removeLast()
    }
}

extension RandomNumberGenerator {
    /// `count` random bytes.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) } }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}
