/// The Internet checksum (RFC 1071).
public enum InternetChecksum {
    /// The one's complement sum of `count` bytes, beginning with `initial`, not yet folded to 16 bits nor complemented.
    ///
    /// The sum depends neither on the width of its words nor, until the end, on the order of the bytes in them (RFC 1071
    /// section 2 (A), (B)): whole words are added as they lie, in two sums, so that neither waits for the other's carry.
    @inlinable
    public static func sum(_ bytes: UnsafeRawPointer, count: Int, initial: UInt64 = 0) -> UInt64 {
        var (even, odd) = (UInt128(0), UInt128(0))
        var offset = 0
        while offset &+ 32 <= count {
            even &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            odd &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self))
            even &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self))
            odd &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset &+ 24, as: UInt64.self))
            offset &+= 32
        }
        while offset &+ 8 <= count {
            even &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        if offset &+ 4 <= count {
            odd &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            offset &+= 4
        }
        if offset &+ 2 <= count {
            even &+= UInt128(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            offset &+= 2
        }
        // The last byte of an odd number is a word's first.
        if offset < count {
            odd &+= UInt128(UInt16(littleEndian: UInt16(bytes.load(fromByteOffset: offset, as: UInt8.self))))
        }
        let sum = even &+ odd
        let (high, low) = (UInt64(truncatingIfNeeded: sum >> 64), UInt64(truncatingIfNeeded: sum))
        return initial &+ UInt64(UInt16(~finish((low >> 32) &+ (low & 0xffff_ffff) &+ high)).bigEndian)
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
