import Cryptography
import Wire

/// How ESP encrypts (RFC 4303 section 3.2.1).
public enum Encryption: Sendable, Hashable {
    /// No encryption (RFC 2410).
    case null
    /// A block cipher in CBC mode (RFC 2405, 2451, 3602).
    case cbc(CBCCipher)
    /// AES-CTR (RFC 3686), key of `keyLength` bytes.
    case ctr(keyLength: Int)
    /// AES-GCM (RFC 4106), key of `keyLength` bytes, integrity check value of `checkLength` bytes (8, 12 or 16).
    case gcm(keyLength: Int, checkLength: Int)
    /// AES-CCM (RFC 4309), key of `keyLength` bytes, integrity check value of `checkLength` bytes (8, 12 or 16).
    case ccm(keyLength: Int, checkLength: Int)
    /// ChaCha20 and Poly1305 (RFC 7634).
    case chaCha20Poly1305

    /// Whether it authenticates as well.
    public var isCombined: Bool {
        switch self {
        case .null, .cbc, .ctr: false
        case .gcm, .ccm, .chaCha20Poly1305: true
        }
    }

    /// What packets are encrypted by; nil for no encryption.
    var algorithm: PacketCipher.Algorithm? {
        switch self {
        case .null: nil
        case .cbc(let cipher): .cbc(cipher)
        case .ctr(let keyLength): .ctr(keyLength: keyLength)
        case .gcm(let keyLength, _): .gcm(keyLength: keyLength)
        case .ccm(let keyLength, let checkLength): .ccm(keyLength: keyLength, tagLength: checkLength)
        case .chaCha20Poly1305: .chaCha20Poly1305
        }
    }

    /// The key's length in bytes, without the salt.
    public var keyLength: Int {
        switch self {
        case .null: 0
        case .cbc(let cipher): cipher.keyLength
        case .ctr(let keyLength), .gcm(let keyLength, _), .ccm(let keyLength, _): keyLength
        case .chaCha20Poly1305: 32
        }
    }

    /// The length of the salt, or nonce, that follows the key in the keying material (RFC 3686 section 5.1, RFC 4106
    /// section 8.1, RFC 4309 section 7.1, RFC 7634 section 2).
    public var saltLength: Int {
        switch self {
        case .null, .cbc: 0
        case .ccm: 3
        case .ctr, .gcm, .chaCha20Poly1305: 4
        }
    }

    /// The initialization vector's length in bytes, as it travels in each packet.
    public var vectorLength: Int {
        switch self {
        case .null: 0
        case .cbc(let cipher): cipher.blockLength
        case .ctr, .gcm, .ccm, .chaCha20Poly1305: 8
        }
    }

    /// The integrity check value's length where the cipher makes one, else 0.
    public var checkLength: Int {
        switch self {
        case .null, .cbc, .ctr: 0
        case .gcm(_, let checkLength), .ccm(_, let checkLength): checkLength
        case .chaCha20Poly1305: 16
        }
    }

    /// What the encrypted part's length is a multiple of: the cipher's block, and at least 4 (RFC 4303 section 2.4).
    public var alignment: Int { if case .cbc(let cipher) = self { cipher.blockLength } else { 4 } }
}

/// How AH authenticates, and ESP where the cipher does not do it itself.
public struct Integrity: Sendable, Hashable {
    /// What makes the code.
    public enum Algorithm: Sendable, Hashable {
        /// HMAC on a hash.
        case hmac(HashAlgorithm)
        /// AES-XCBC-MAC (RFC 3566).
        case aesXCBC
    }

    /// What makes the code.
    public let algorithm: Algorithm
    /// How many bytes of the code travel in each packet.
    public let checkLength: Int

    /// RFC 2403.
    public static let md5_96 = Integrity(algorithm: .hmac(.md5), checkLength: 12)
    /// RFC 2404.
    public static let sha1_96 = Integrity(algorithm: .hmac(.sha1), checkLength: 12)
    /// RFC 4868's code cut as an early draft of it had it: old Android kernels, whatever they negotiate.
    public static let sha256_96 = Integrity(algorithm: .hmac(.sha256), checkLength: 12)
    /// RFC 4868.
    public static let sha256_128 = Integrity(algorithm: .hmac(.sha256), checkLength: 16)
    /// RFC 4868.
    public static let sha384_192 = Integrity(algorithm: .hmac(.sha384), checkLength: 24)
    /// RFC 4868.
    public static let sha512_256 = Integrity(algorithm: .hmac(.sha512), checkLength: 32)
    /// RFC 3566.
    public static let aesXCBC_96 = Integrity(algorithm: .aesXCBC, checkLength: 12)

    /// The key's length in bytes: that of the digest, or of the cipher's key.
    public var keyLength: Int {
        switch algorithm {
        case .hmac(let hash): hash.digestLength
        case .aesXCBC: 16
        }
    }
}

/// The algorithms of ESP in an SA.
public enum Suite: Sendable, Hashable {
    /// A cipher, and what authenticates. Without the latter whoever is on the way can change packets (RFC 8221 section
    /// 4); nothing offers it unless a rule names it, and such an SA has no replay window (RFC 4303 section 3.4.3).
    case separate(Encryption, Integrity?)
    /// A cipher that does both.
    case combined(Encryption)

    /// The cipher.
    public var encryption: Encryption {
        switch self {
        case .separate(let encryption, _), .combined(let encryption): encryption
        }
    }

    /// What authenticates where the cipher does not.
    public var integrity: Integrity? {
        switch self {
        case .separate(_, let integrity): integrity
        case .combined: nil
        }
    }

    /// The integrity check value's length in bytes.
    public var checkLength: Int { integrity?.checkLength ?? encryption.checkLength }

    /// Whether a changed packet is noticed.
    public var isAuthenticated: Bool { checkLength > 0 }

    /// How many bytes of headers, vector, padding and check value a packet of `payloadLength` bytes gains.
    public func overhead(payloadLength: Int) -> Int {
        let alignment = encryption.alignment
        let padded = (payloadLength + ESPHeader.trailerLength + alignment - 1) / alignment * alignment
        return ESPHeader.length + encryption.vectorLength + padded - payloadLength + checkLength
    }
}

/// The lengths that a suite gives to a packet, in bytes; for no suite all are nothing.
struct SuiteLayout: Sendable {
    private let vectorBytes: UInt8
    private let checkBytes: UInt8
    private let alignmentBytes: UInt8

    init(_ suite: Suite?) {
        vectorBytes = UInt8(suite?.encryption.vectorLength ?? 0)
        checkBytes = UInt8(suite?.checkLength ?? 0)
        alignmentBytes = UInt8(suite?.encryption.alignment ?? 1)
    }

    @inline(__always) var vectorLength: Int { Int(vectorBytes) }
    @inline(__always) var checkLength: Int { Int(checkBytes) }
    @inline(__always) var alignment: Int { Int(alignmentBytes) }
}

/// The keys of one direction of ESP.
public struct SuiteKeys: Sendable {
    /// The cipher's key, the salt behind it.
    public let encryption: SecretBytes
    /// The key of what authenticates, empty where the cipher does.
    public let integrity: SecretBytes

    /// The keys of one direction.
    public init(encryption: SecretBytes, integrity: SecretBytes) {
        (self.encryption, self.integrity) = (encryption, integrity)
    }
}

/// The ESP header's layout (RFC 4303 section 2).
public enum ESPHeader {
    /// SPI and sequence number.
    public static let length = 8
    /// Pad length and next header, the last two bytes of the encrypted part.
    public static let trailerLength = 2
    /// The next header of a dummy packet, which is to be discarded (RFC 4303 section 2.6).
    public static let dummyNextHeader: UInt8 = 59
}
