import Cryptography
import Wire

/// How ESP encrypts (RFC 4303 section 3.2.1).
public enum Encryption: Sendable, Hashable {
    /// No encryption (RFC 2410).
    case null
    /// A block cipher in CBC mode (RFC 2405, 2451, 3602).
    case cbc(CBCCipher)
    /// AES-GCM (RFC 4106), key of `keyLength` bytes, integrity check value of `checkLength` bytes (8, 12 or 16).
    case gcm(keyLength: Int, checkLength: Int)

    /// The key's length in bytes, without GCM's salt.
    public var keyLength: Int {
        switch self {
        case .null: 0
        case .cbc(let cipher): cipher.keyLength
        case .gcm(let keyLength, _): keyLength
        }
    }

    /// The length of the salt that follows the key in the keying material (RFC 4106 section 8.1).
    public var saltLength: Int { if case .gcm = self { 4 } else { 0 } }

    /// The initialization vector's length in bytes, as it travels in each packet.
    public var vectorLength: Int {
        switch self {
        case .null: 0
        case .cbc(let cipher): cipher.blockLength
        case .gcm: 8
        }
    }

    /// What the encrypted part's length is a multiple of: the cipher's block, and at least 4 (RFC 4303 section 2.4).
    public var alignment: Int { if case .cbc(let cipher) = self { cipher.blockLength } else { 4 } }
}

/// How ESP authenticates where the cipher does not do it itself.
public struct Integrity: Sendable, Hashable {
    /// The hash that HMAC runs on.
    public let hash: HashAlgorithm
    /// How many bytes of the code travel in each packet.
    public let checkLength: Int

    /// RFC 2403.
    public static let md5_96 = Integrity(hash: .md5, checkLength: 12)
    /// RFC 2404.
    public static let sha1_96 = Integrity(hash: .sha1, checkLength: 12)
    /// RFC 4868's code cut as an early draft of it had it: old Android kernels, whatever they negotiate.
    public static let sha256_96 = Integrity(hash: .sha256, checkLength: 12)
    /// RFC 4868.
    public static let sha256_128 = Integrity(hash: .sha256, checkLength: 16)
    /// RFC 4868.
    public static let sha384_192 = Integrity(hash: .sha384, checkLength: 24)
    /// RFC 4868.
    public static let sha512_256 = Integrity(hash: .sha512, checkLength: 32)

    /// The key's length in bytes: that of the digest.
    public var keyLength: Int { hash.digestLength }
}

/// The algorithms of an SA. Encryption without any integrity cannot be said with it (RFC 8221 section 4).
public enum Suite: Sendable, Hashable {
    /// A cipher and an HMAC.
    case separate(Encryption, Integrity)
    /// AES-GCM, which does both.
    case gcm(keyLength: Int, checkLength: Int)

    /// The cipher.
    public var encryption: Encryption {
        switch self {
        case .separate(let encryption, _): encryption
        case .gcm(let keyLength, let checkLength): .gcm(keyLength: keyLength, checkLength: checkLength)
        }
    }

    /// The integrity check value's length in bytes.
    public var checkLength: Int {
        switch self {
        case .separate(_, let integrity): integrity.checkLength
        case .gcm(_, let checkLength): checkLength
        }
    }

    /// How many bytes of headers, vector, padding and check value a packet of `payloadLength` bytes gains.
    public func overhead(payloadLength: Int) -> Int {
        let alignment = encryption.alignment
        let padded = (payloadLength + 2 + alignment - 1) / alignment * alignment
        return ESPHeader.length + encryption.vectorLength + padded - payloadLength + checkLength
    }
}

/// The keys of one direction of an SA.
public struct SuiteKeys: Sendable {
    /// The cipher's key, GCM's salt behind it.
    public let encryption: SecretBytes
    /// HMAC's key, empty with GCM.
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
