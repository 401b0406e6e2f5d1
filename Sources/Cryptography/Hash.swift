import COpenSSL
import Wire

/// Why OpenSSL did not do what was asked.
public enum CryptographyError: Error, Equatable, Sendable {
    /// A key, an initialization vector or the data has a length that the algorithm does not take.
    case wrongLength
    /// A Diffie-Hellman public value that must not be used: 0, 1, p-1, p and above, a point off the curve, a zero result.
    case badPublicValue
    /// The library refused (out of memory, or an algorithm that its policy forbids).
    case libraryFailure
    /// A combination of algorithms that no standard has.
    case unsupported
}

/// A hash function, as IKE, CHAP and HMAC use it.
public enum HashAlgorithm: Sendable, Hashable, CaseIterable {
    /// RFC 1320, for MS-CHAP alone.
    case md4
    /// RFC 1321.
    case md5
    /// FIPS 180.
    case sha1
    /// FIPS 180.
    case sha256
    /// FIPS 180.
    case sha384
    /// FIPS 180.
    case sha512

    /// The length of the digest in bytes.
    public var digestLength: Int {
        switch self {
        case .md4, .md5: 16
        case .sha1: 20
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// The digest of all parts, one behind the other.
    public func digest(_ parts: [UInt8]...) -> [UInt8] {
        if case .md4 = self { return Self.md4(Array(parts.joined())) }
        var state = culvert_hash()
        let begun = culvert_hash_begin(&state, Int32(digestLength * 8))
        precondition(begun == 1, "there is no \(self)")
        for part in parts { culvert_hash_update(&state, part, part.count) }
        return [UInt8](unsafeUninitializedCapacity: digestLength) { target, count in
            culvert_hash_end(&state, target.baseAddress)
            count = digestLength
        }
    }

    private static func md4(_ message: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: HashAlgorithm.md4.digestLength)
        let done = culvert_md4(message, message.count, &digest)
        precondition(done == 1, "libcrypto has no MD4")
        return digest
    }
}

/// HMAC (RFC 2104) over parts that come one after the other.
public struct HMAC: ~Copyable {
    private var state = culvert_hmac()
    private let digestLength: Int

    /// HMAC by `hash` (any but MD4) under `key` of any length.
    public init(_ hash: HashAlgorithm, key: SecretBytes) {
        digestLength = hash.digestLength
        let bits = hash == .md4 ? 0 : Int32(hash.digestLength * 8)
        let begun = key.withUnsafePointer { culvert_hmac_begin(&state, bits, $0, key.count) }
        precondition(begun == 1, "there is no HMAC by \(hash)")
    }

    /// Appends bytes.
    public mutating func update(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { culvert_hash_update(&state.inner, $0.baseAddress, $0.count) }
    }

    /// Appends bytes.
    public mutating func update(_ bytes: [UInt8]) { update(bytes.span.bytes) }

    /// Appends secret bytes.
    public mutating func update(_ bytes: SecretBytes) { update(bytes.span) }

    /// Appends one byte.
    public mutating func update(_ byte: UInt8) {
        withUnsafeBytes(of: byte) { culvert_hash_update(&state.inner, $0.baseAddress, 1) }
    }

    /// The whole authentication code. Nothing of the key is left behind.
    public consuming func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: digestLength) { target, count in
            culvert_hmac_end(&state, target.baseAddress)
            count = digestLength
        }
    }

    /// The whole authentication code, where it becomes a key. Nothing of the key before is left behind.
    public consuming func finishSecret() -> SecretBytes {
        SecretBytes(count: digestLength) { target in
            culvert_hmac_end(&state, target.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
    }
}
