import CIPsecMB
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
        /// AES-CTR with a key of `keyLength` bytes (16, 24 or 32). Both directions are the same.
        case ctr(keyLength: Int)
        /// AES-CCM with a key of `keyLength` bytes (16, 24 or 32), a tag of `tagLength` and a nonce of 11 bytes.
        case ccm(keyLength: Int, tagLength: Int)
        /// ChaCha20 and Poly1305 (RFC 8439).
        case chaCha20Poly1305
    }

    /// The longest tag of any algorithm, in bytes.
    static let tagLengthMaximum = 16

    /// OpenSSL's; nil where the multi-buffer library has the key.
    let context: OpaquePointer?
    /// The multi-buffer library's, of AES-GCM.
    private let gcm: UnsafeMutablePointer<culvert_gcm>?
    private let isCCM: Bool
    /// The length of the key in bytes.
    let keyLength: Int

    /// A context for `algorithm` under `key`. Throws when the key has another length than the algorithm's.
    public init(
        _ algorithm: Algorithm, key: SecretBytes, direction: Direction, multiBuffer: MultiBuffer = .wanted
    ) throws(CryptographyError) {
        guard let library = algorithm.library, key.count == library.keyLength else { throw .wrongLength }
        if case .gcm(let keyLength) = algorithm, multiBuffer.isWanted,
            MultiBuffer.library.hasGCM(keyLength: keyLength),
            let cipher = PacketCipher(unverifiedGCM: key, direction: direction)
        {
            self = cipher
            return
        }
        var isEncrypting = direction == .encrypt
        if case .ctr = algorithm { isEncrypting = true }
        let libraryKey = if case .cbc(let cipher) = algorithm { cipher.libraryKey(key) } else { key }
        let made = libraryKey.withUnsafePointer {
            culvert_cipher_create(library.evp, $0, isEncrypting ? 1 : 0, library.ivLength, library.tagLength)
        }
        guard let context = made else { throw .libraryFailure }
        self.context = context
        gcm = nil
        isCCM = if case .ccm = algorithm { true } else { false }
        keyLength = key.count
    }

    /// AES-GCM by the multi-buffer library, which the caller knows to be there; nil where it refuses.
    init?(unverifiedGCM key: SecretBytes, direction: Direction) {
        let made = key.withUnsafePointer { culvert_gcm_create($0, key.count, direction == .encrypt ? 1 : 0) }
        guard let gcm = made else { return nil }
        self.gcm = gcm
        context = nil
        isCCM = false
        keyLength = key.count
    }

    deinit {
        culvert_gcm_free(gcm)
        EVP_CIPHER_CTX_free(context)
    }

    /// CBC over whole blocks, or CTR, in place.
    @inline(__always)
    public func run(
        iv: UnsafeRawPointer, data: UnsafeMutableRawPointer, count: Int
    ) -> Bool {
        culvert_cipher_in_place(
            context, iv.assumingMemoryBound(to: UInt8.self), data.assumingMemoryBound(to: UInt8.self), Int32(count))
            == 1
    }

    /// Encrypts in place and writes the tag.
    @inline(__always)
    public func seal(
        nonce: UnsafeRawPointer, associated: UnsafeRawPointer, associatedCount: Int, data: UnsafeMutableRawPointer,
        count: Int, tag: UnsafeMutableRawPointer, tagCount: Int
    ) -> Bool {
        if let gcm {
            culvert_gcm_run(
                gcm, nonce.assumingMemoryBound(to: UInt8.self), associated.assumingMemoryBound(to: UInt8.self),
                associatedCount, data.assumingMemoryBound(to: UInt8.self), count,
                tag.assumingMemoryBound(to: UInt8.self), tagCount)
            return true
        }
        return (isCCM ? culvert_ccm_seal : culvert_aead_seal)(
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
        if let gcm {
            return withUnsafeTemporaryAllocation(byteCount: Self.tagLengthMaximum, alignment: 16) { room in
                guard let computed = room.baseAddress else { return false }
                culvert_gcm_run(
                    gcm, nonce.assumingMemoryBound(to: UInt8.self), associated.assumingMemoryBound(to: UInt8.self),
                    associatedCount, data.assumingMemoryBound(to: UInt8.self), count,
                    computed.assumingMemoryBound(to: UInt8.self), tagCount)
                return CRYPTO_memcmp(computed, tag, tagCount) == 0
            }
        }
        return (isCCM ? culvert_ccm_open : culvert_aead_open)(
            context, nonce.assumingMemoryBound(to: UInt8.self), associated.assumingMemoryBound(to: UInt8.self),
            Int32(associatedCount), data.assumingMemoryBound(to: UInt8.self), Int32(count),
            tag.assumingMemoryBound(to: UInt8.self), Int32(tagCount)) == 1
    }
}

extension PacketCipher.Algorithm {
    /// The key's length in bytes.
    var keyLength: Int {
        switch self {
        case .cbc(let cipher): cipher.keyLength
        case .gcm(let keyLength), .ctr(let keyLength), .ccm(let keyLength, _): keyLength
        case .chaCha20Poly1305: 32
        }
    }

    /// What the library is told; nil for a key or a tag of a length that there is not. An `ivLength` of 0 is the mode's own.
    fileprivate var library: (evp: OpaquePointer?, keyLength: Int, ivLength: Int32, tagLength: Int32)? {
        switch self {
        case .cbc(let cipher): (cipher.evp, cipher.keyLength, 0, 0)
        case .gcm(16): (EVP_aes_128_gcm(), 16, 12, 0)
        case .gcm(24): (EVP_aes_192_gcm(), 24, 12, 0)
        case .gcm(32): (EVP_aes_256_gcm(), 32, 12, 0)
        case .ctr(16): (EVP_aes_128_ctr(), 16, 0, 0)
        case .ctr(24): (EVP_aes_192_ctr(), 24, 0, 0)
        case .ctr(32): (EVP_aes_256_ctr(), 32, 0, 0)
        case .ccm(16, let tagLength): (EVP_aes_128_ccm(), 16, 11, Int32(tagLength))
        case .ccm(24, let tagLength): (EVP_aes_192_ccm(), 24, 11, Int32(tagLength))
        case .ccm(32, let tagLength): (EVP_aes_256_ccm(), 32, 11, Int32(tagLength))
        case .chaCha20Poly1305: (EVP_chacha20_poly1305(), 32, 12, 0)
        case .gcm, .ctr, .ccm: nil
        }
    }
}

/// What authenticates packets: HMAC, whose two key-dependent hash states are computed once per SA, or AES-XCBC-MAC. Owned by
/// one worker.
public struct PacketAuthenticator: ~Copyable {
    /// The longest code that any hash makes, in bytes.
    public static let codeLengthMaximum = 64
    let state: OpaquePointer

    /// HMAC by `hash` (any but MD4) under a key no longer than the hash's block.
    public init(_ hash: HashAlgorithm, key: SecretBytes) throws(CryptographyError) {
        guard hash != .md4 else { throw .libraryFailure }
        let made = key.withUnsafePointer { culvert_packet_hmac_create(Int32(hash.digestLength * 8), $0, key.count) }
        guard let state = made else { throw .wrongLength }
        self.state = state
    }

    /// AES-XCBC-MAC (RFC 3566) under a key of 16 bytes.
    public init(aesXCBC key: SecretBytes) throws(CryptographyError) {
        guard key.count == 16 else { throw .wrongLength }
        let made = key.withUnsafePointer { culvert_packet_xcbc_create(CBCCipher.aes128.evp, $0) }
        guard let state = made else { throw .libraryFailure }
        self.state = state
    }

    deinit { culvert_packet_mac_free(state) }

    /// Writes the whole code of `data` to `code`, which has room for ``codeLengthMaximum`` bytes. Authenticated as well are
    /// `beforeCount` bytes before it, and `behind`, which does not travel. False where the library refuses.
    @inline(__always)
    public func compute(
        before: UnsafeRawPointer? = nil, beforeCount: Int = 0, _ data: UnsafeRawPointer, count: Int,
        behind: UInt32? = nil, code: UnsafeMutableRawPointer
    ) -> Bool {
        var number = (behind ?? 0).bigEndian
        return withUnsafeBytes(of: &number) {
            culvert_packet_mac_compute(
                state, before?.assumingMemoryBound(to: UInt8.self), beforeCount,
                data.assumingMemoryBound(to: UInt8.self), count, $0.baseAddress?.assumingMemoryBound(to: UInt8.self),
                behind == nil ? 0 : 4, code.assumingMemoryBound(to: UInt8.self)) == 1
        }
    }

    /// Whether the first `codeCount` bytes of the code, see ``compute(before:beforeCount:_:count:behind:code:)``, are those
    /// at `code`, in constant time.
    @inline(__always)
    public func verify(
        before: UnsafeRawPointer? = nil, beforeCount: Int = 0, _ data: UnsafeRawPointer, count: Int,
        behind: UInt32? = nil, code: UnsafeRawPointer, codeCount: Int
    ) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.codeLengthMaximum, alignment: 8) { computed in
            guard let address = computed.baseAddress,
                compute(
                    before: before, beforeCount: beforeCount, data, count: count, behind: behind, code: address)
            else { return false }
            return CRYPTO_memcmp(address, code, codeCount) == 0
        }
    }
}
