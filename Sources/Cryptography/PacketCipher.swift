import COpenSSL
import Wire

/// A cipher for packets, in place: the key schedule is made once per SA, and only the initialization vector changes per
/// packet. Owned by one worker.
public struct PacketCipher: ~Copyable {
    /// Which way the context works: OpenSSL keeps one direction in it.
    public enum Direction: Sendable {
        /// Plaintext in, ciphertext out.
        case encrypt
        /// Ciphertext in, plaintext out.
        case decrypt
    }

    /// The cipher and its mode.
    public enum Algorithm: Sendable, Hashable {
        /// A block cipher in CBC mode.
        case cbc(CBCCipher)
        /// AES-GCM with a key of `keyLength` bytes (16, 24 or 32).
        case gcm(keyLength: Int)
    }

    private let context: OpaquePointer

    /// A context for `algorithm` under `key`. Throws when the key has another length than the algorithm's.
    public init(_ algorithm: Algorithm, key: SecretBytes, direction: Direction) throws(CryptographyError) {
        let (evp, ivLength, keyLength): (OpaquePointer?, Int32, Int)
        switch algorithm {
        case .cbc(let cipher): (evp, ivLength, keyLength) = (cipher.evp, 0, cipher.keyLength)
        case .gcm(16): (evp, ivLength, keyLength) = (EVP_aes_128_gcm(), 12, 16)
        case .gcm(24): (evp, ivLength, keyLength) = (EVP_aes_192_gcm(), 12, 24)
        case .gcm(32): (evp, ivLength, keyLength) = (EVP_aes_256_gcm(), 12, 32)
        case .gcm: throw .wrongLength
        }
        guard key.count == keyLength else { throw .wrongLength }
        let libraryKey = if case .cbc(let cipher) = algorithm { cipher.libraryKey(key) } else { key }
        let made = libraryKey.withUnsafePointer {
            culvert_cipher_create(evp, $0, direction == .encrypt ? 1 : 0, ivLength)
        }
        guard let context = made else { throw .libraryFailure }
        self.context = context
    }

    deinit { EVP_CIPHER_CTX_free(context) }

    /// CBC over whole blocks in place.
    @inline(__always)
    public func runCBC(
        iv: UnsafeRawPointer, data: UnsafeMutableRawPointer, count: Int
    ) -> Bool {
        culvert_cbc_in_place(
            context, iv.assumingMemoryBound(to: UInt8.self), data.assumingMemoryBound(to: UInt8.self), Int32(count))
            == 1
    }

    /// Encrypts in place and writes the tag.
    @inline(__always)
    public func seal(
        nonce: UnsafeRawPointer, associated: UnsafeRawPointer, associatedCount: Int, data: UnsafeMutableRawPointer,
        count: Int, tag: UnsafeMutableRawPointer, tagCount: Int
    ) -> Bool {
        culvert_aead_seal(
            context, nonce.assumingMemoryBound(to: UInt8.self), associated.assumingMemoryBound(to: UInt8.self),
            Int32(associatedCount), data.assumingMemoryBound(to: UInt8.self), Int32(count),
            tag.assumingMemoryBound(to: UInt8.self), Int32(tagCount)) == 1
    }

    /// Decrypts in place; false when the tag is not that of these bytes, which then must not be looked at.
    @inline(__always)
    public func open(
        nonce: UnsafeRawPointer, associated: UnsafeRawPointer, associatedCount: Int, data: UnsafeMutableRawPointer,
        count: Int, tag: UnsafeRawPointer, tagCount: Int
    ) -> Bool {
        culvert_aead_open(
            context, nonce.assumingMemoryBound(to: UInt8.self), associated.assumingMemoryBound(to: UInt8.self),
            Int32(associatedCount), data.assumingMemoryBound(to: UInt8.self), Int32(count),
            tag.assumingMemoryBound(to: UInt8.self), Int32(tagCount)) == 1
    }
}

/// HMAC for packets: the two key-dependent hash states are computed once per SA. Owned by one worker.
public struct PacketAuthenticator: ~Copyable {
    /// The longest code that any hash makes, in bytes.
    public static let codeLengthMaximum = 64
    private let state: OpaquePointer

    /// HMAC by `hash` (any but MD4) under a key no longer than the hash's block.
    public init(_ hash: HashAlgorithm, key: SecretBytes) throws(CryptographyError) {
        guard hash != .md4 else { throw .libraryFailure }
        let made = key.withUnsafePointer { culvert_packet_hmac_create(Int32(hash.digestLength * 8), $0, key.count) }
        guard let state = made else { throw .wrongLength }
        self.state = state
    }

    deinit { culvert_packet_hmac_free(state) }

    /// Writes the whole code of `data` to `code`, which has room for ``codeLengthMaximum`` bytes.
    @inline(__always)
    public func compute(_ data: UnsafeRawPointer, count: Int, code: UnsafeMutableRawPointer) {
        culvert_packet_hmac_compute(
            state, data.assumingMemoryBound(to: UInt8.self), count, code.assumingMemoryBound(to: UInt8.self))
    }

    /// Whether the first `codeCount` bytes of the code of `data` are those at `code`, in constant time.
    @inline(__always)
    public func verify(_ data: UnsafeRawPointer, count: Int, code: UnsafeRawPointer, codeCount: Int) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.codeLengthMaximum, alignment: 8) { computed in
            guard let address = computed.baseAddress else { return false }
            compute(data, count: count, code: address)
            return CRYPTO_memcmp(address, code, codeCount) == 0
        }
    }
}
