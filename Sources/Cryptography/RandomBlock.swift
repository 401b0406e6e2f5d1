import COpenSSL

/// Random bytes for the packet path, drawn from the system in blocks: 16 bytes at a time would cost more than a packet's
/// encryption. One per worker.
public struct RandomBlock: ~Copyable {
    private static let blockLength = 4096
    private let memory: UnsafeMutablePointer<UInt8>
    private var used: Int

    /// A block with nothing drawn yet.
    public init() {
        memory = .allocate(capacity: Self.blockLength)
        used = Self.blockLength
    }

    deinit {
        OPENSSL_cleanse(memory, Self.blockLength)
        memory.deallocate()
    }

    /// Writes `count` random bytes (at most 64) to `target`. False when the system has no randomness: then nothing may be
    /// sent.
    public mutating func fill(_ target: UnsafeMutableRawPointer, count: Int) -> Bool {
        precondition(count <= 64)
        if used + count > Self.blockLength {
            guard RAND_bytes(memory, Int32(Self.blockLength)) == 1 else { return false }
            used = 0
        }
        target.copyMemory(from: memory + used, byteCount: count)
        OPENSSL_cleanse(memory + used, count)
        used += count
        return true
    }
}
