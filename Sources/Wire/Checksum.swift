/// The Internet checksum (RFC 1071).
public enum InternetChecksum {
    /// The one's complement sum of `count` bytes, not yet folded to 16 bits nor complemented.
    @inlinable
    public static func sum(_ bytes: UnsafeRawPointer, count: Int, initial: UInt64 = 0) -> UInt64 {
        var sum = initial
        var offset = 0
        if count >= Self.wideCount {
            offset = count & ~(Self.wideCount - 1)
            sum &+= wideSum(bytes, count: offset)
        }
        // 32 bits at a time cannot overflow 64 for any packet; the sum does not depend on the width (RFC 1071 section 2).
        while offset + 4 <= count {
            sum &+= UInt64(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            offset += 4
        }
        if offset + 2 <= count {
            sum &+= UInt64(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
            offset += 2
        }
        if offset < count { sum &+= UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self)) << 8 }
        return sum
    }

    @usableFromInline static let wideCount = 32

    /// The sum of `count` bytes, a multiple of ``wideCount``, folded to 16 bits. The order of the bytes in a word does not
    /// matter until the end (RFC 1071 section 2 (B)), so none is turned round before that. Two sums, so that neither waits for
    /// the other's carry.
    @inlinable
    static func wideSum(_ bytes: UnsafeRawPointer, count: Int) -> UInt64 {
        var (even, odd) = (UInt128(0), UInt128(0))
        var offset = 0
        while offset < count {
            even &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            odd &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self))
            even &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self))
            odd &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset &+ 24, as: UInt64.self))
            offset &+= wideCount
        }
        let sum = even &+ odd
        let (high, low) = (UInt64(truncatingIfNeeded: sum >> 64), UInt64(truncatingIfNeeded: sum))
        return UInt64(UInt16(~finish((low >> 32) &+ (low & 0xffff_ffff) &+ high)).bigEndian)
    }

    /// The checksum of a sum: folded and complemented.
    @inlinable
    public static func finish(_ sum: UInt64) -> UInt16 {
        var folded = (sum >> 32) &+ (sum & 0xffff_ffff)
        while folded >> 16 != 0 { folded = (folded >> 16) &+ (folded & 0xffff) }
        return ~UInt16(truncatingIfNeeded: folded)
    }

    /// The checksum of `count` bytes.
    @inlinable
    public static func of(_ bytes: UnsafeRawPointer, count: Int) -> UInt16 { finish(sum(bytes, count: count)) }

    /// A checksum after one 16-bit word that it covers went from `old` to `new` (RFC 1624 equation 3).
    @inlinable
    public static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        finish(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }
}
