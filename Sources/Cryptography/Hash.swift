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

    var evp: OpaquePointer? {
        switch self {
        case .md4: nil
        case .md5: EVP_md5()
        case .sha1: EVP_sha1()
        case .sha256: EVP_sha256()
        case .sha384: EVP_sha384()
        case .sha512: EVP_sha512()
        }
    }

    /// The digest of all parts, one behind the other.
    public func digest(_ parts: [UInt8]...) -> [UInt8] {
        let message = parts.count == 1 ? parts[0] : Array(parts.joined())
        var digest = [UInt8](repeating: 0, count: digestLength)
        let done =
            if let evp {
                EVP_Digest(message, message.count, &digest, nil, evp, nil)
            } else {
                culvert_md4(message, message.count, &digest)
            }
        precondition(done == 1, "libcrypto has no \(self)")
        return digest
    }
}

/// HMAC (RFC 2104) over parts that come one after the other.
public struct HMAC: ~Copyable {
    private let context: OpaquePointer
    private let digestLength: Int

    /// HMAC by `hash` (any but MD4) under `key` of any length.
    public init(_ hash: HashAlgorithm, key: SecretBytes) {
        guard let context = HMAC_CTX_new(), let evp = hash.evp,
            key.withUnsafePointer({ HMAC_Init_ex(context, $0, Int32(key.count), evp, nil) }) == 1
        else { preconditionFailure("libcrypto has no HMAC by \(hash)") }
        self.context = context
        digestLength = hash.digestLength
    }

    deinit { HMAC_CTX_free(context) }

    /// Appends bytes.
    public mutating func update(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { _ = HMAC_Update(context, $0.baseAddress, $0.count) }
    }

    /// Appends bytes.
    public mutating func update(_ bytes: [UInt8]) { update(bytes.span.bytes) }

    /// Appends secret bytes.
    public mutating func update(_ bytes: SecretBytes) { update(bytes.span) }

    /// Appends one byte.
    public mutating func update(_ byte: UInt8) { update([byte]) }

    /// The whole authentication code.
    public consuming func finish() -> [UInt8] {
        var code = [UInt8](repeating: 0, count: digestLength)
        HMAC_Final(context, &code, nil)
        return code
    }

    /// The whole authentication code, where it becomes a key.
    public consuming func finishSecret() -> SecretBytes {
        let context = context
        return SecretBytes(count: digestLength) { target in
            HMAC_Final(context, target.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
        }
    }
}
