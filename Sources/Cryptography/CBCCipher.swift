import COpenSSL
import Wire

/// A block cipher in CBC mode as IKEv1 encrypts its messages with. (ESP keeps its contexts, see the ESP room.)
public enum CBCCipher: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// FIPS 46, 56 bits; for the oldest peers.
    case des
    /// Triple DES with three keys (RFC 2451).
    case tripleDES
    /// AES (RFC 3602) with a key of 128 bits.
    case aes128
    /// AES (RFC 3602) with a key of 192 bits.
    case aes192
    /// AES (RFC 3602) with a key of 256 bits.
    case aes256

    /// The usual short name.
    public var description: String {
        switch self {
        case .des: "des"
        case .tripleDES: "3des"
        case .aes128: "aes128"
        case .aes192: "aes192"
        case .aes256: "aes256"
        }
    }

    /// The length of the key in bytes.
    public var keyLength: Int {
        switch self {
        case .des: 8
        case .tripleDES: 24
        case .aes128: 16
        case .aes192: 24
        case .aes256: 32
        }
    }

    /// The length of a block, and so of the initialization vector, in bytes.
    public var blockLength: Int {
        switch self {
        case .des, .tripleDES: 8
        case .aes128, .aes192, .aes256: 16
        }
    }

    // Fetched once, since the library looks a cipher up by its name at each use of `EVP_aes_256_cbc()`; never changed.
    private nonisolated(unsafe) static let fetchedTripleDES = EVP_CIPHER_fetch(nil, "DES-EDE3-CBC", nil)
    private nonisolated(unsafe) static let fetchedAES128 = EVP_CIPHER_fetch(nil, "AES-128-CBC", nil)
    private nonisolated(unsafe) static let fetchedAES192 = EVP_CIPHER_fetch(nil, "AES-192-CBC", nil)
    private nonisolated(unsafe) static let fetchedAES256 = EVP_CIPHER_fetch(nil, "AES-256-CBC", nil)

    /// The library's cipher; nil where its policy forbids it.
    var evp: OpaquePointer? {
        switch self {
        case .des, .tripleDES: Self.fetchedTripleDES
        case .aes128: Self.fetchedAES128
        case .aes192: Self.fetchedAES192
        case .aes256: Self.fetchedAES256
        }
    }

    /// The key as OpenSSL wants it: DES runs as triple DES with the same key three times, since the legacy provider, which
    /// has DES itself, need not be installed.
    func libraryKey(_ key: SecretBytes) -> SecretBytes { self == .des ? .concatenate([key, key, key]) : key }

    /// Encrypts whole blocks. Throws ``CryptographyError/wrongLength`` for anything else.
    public func encrypt(_ data: [UInt8], key: SecretBytes, iv: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try run(data, key: key, iv: iv, encrypt: 1)
    }

    /// Decrypts whole blocks. Throws ``CryptographyError/wrongLength`` for anything else.
    public func decrypt(_ data: [UInt8], key: SecretBytes, iv: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try run(data, key: key, iv: iv, encrypt: 0)
    }

    private func run(
        _ data: [UInt8], key: SecretBytes, iv: [UInt8], encrypt: Int32
    ) throws(CryptographyError) -> [UInt8] {
        guard key.count == keyLength, iv.count == blockLength, data.count % blockLength == 0 else { throw .wrongLength }
        guard let evp else { throw .libraryFailure }
        var output = [UInt8](repeating: 0, count: data.count)
        let done = libraryKey(key).withUnsafePointer {
            culvert_cbc(evp, encrypt, $0, iv, data, data.count, &output)
        }
        guard done == 1 else { throw .libraryFailure }
        return output
    }
}

/// One block of DES, as MS-CHAP uses it (RFC 2759 section 8.6): `key` of 8 bytes with their parity bits, `block` of 8.
public func encryptDESBlock(key: [UInt8], block: [UInt8]) throws(CryptographyError) -> [UInt8] {
    guard block.count == 8 else { throw .wrongLength }
    return try CBCCipher.des.encrypt(block, key: SecretBytes(key), iv: [UInt8](repeating: 0, count: 8))
}
