/// An ESP cipher as quick mode negotiates it (RFC 2407 section 4.4.4, RFC 3602, RFC 4106).
public enum ESPCipher: Hashable, Sendable, CustomStringConvertible {
    /// DES-CBC.
    case des
    /// 3DES-CBC.
    case tripleDES
    /// AES-CBC with a key of `keyBits`.
    case aesCBC(keyBits: Int)
    /// AES-CTR with a key of `keyBits` (RFC 3686).
    case aesCTR(keyBits: Int)
    /// AES-GCM with a key of `keyBits` and an integrity check value of `icvBytes`: 8, 12 or 16.
    case aesGCM(keyBits: Int, icvBytes: Int)
    /// AES-CCM with a key of `keyBits` and an integrity check value of `icvBytes`: 8, 12 or 16 (RFC 4309).
    case aesCCM(keyBits: Int, icvBytes: Int)
    /// ChaCha20 and Poly1305 (RFC 7634), which has no number in IKEv1: see ``privateChaCha20``.
    case chaCha20Poly1305
    /// No encryption (RFC 2410). In no profile.
    case null

    /// All there are, the strongest first.
    public static let all: [ESPCipher] =
        [16, 12, 8].flatMap { icvBytes in [256, 192, 128].map { .aesGCM(keyBits: $0, icvBytes: icvBytes) } }
        + [.chaCha20Poly1305]
        + [16, 12, 8].flatMap { icvBytes in [256, 192, 128].map { .aesCCM(keyBits: $0, icvBytes: icvBytes) } }
        + [256, 192, 128].map { .aesCBC(keyBits: $0) } + [256, 192, 128].map { .aesCTR(keyBits: $0) }
        + [.tripleDES, .des, .null]

    /// IANA gave ChaCha20 and Poly1305 a number in IKEv2 alone, and no other implementation has one for IKEv1. So two
    /// gateways that are both told to use it do so under one of those for private use (RFC 2407 section 6.3), which
    /// nobody else is known to use; no profile has it.
    static let privateChaCha20: UInt8 = 254

    /// The ESP transform identifier.
    public var transformID: UInt8 {
        switch self {
        case .des: 2
        case .tripleDES: 3
        case .null: 11
        case .aesCBC: 12
        case .aesCTR: 13
        case .aesCCM(_, let icvBytes): icvBytes == 8 ? 14 : icvBytes == 12 ? 15 : 16
        case .aesGCM(_, let icvBytes): icvBytes == 8 ? 18 : icvBytes == 12 ? 19 : 20
        case .chaCha20Poly1305: Self.privateChaCha20
        }
    }

    /// The key's length in bits, without a salt.
    public var keyLengthBits: Int {
        switch self {
        case .des: 64
        case .tripleDES: 192
        case .null: 0
        case .aesCBC(let keyBits), .aesCTR(let keyBits), .aesGCM(let keyBits, _), .aesCCM(let keyBits, _): keyBits
        case .chaCha20Poly1305: 256
        }
    }

    /// The length of the salt, or nonce, behind the key (RFC 3686 section 5.1, RFC 4106 section 8.1, RFC 4309 section 7.1,
    /// RFC 7634 section 2).
    public var saltBytes: Int {
        switch self {
        case .des, .tripleDES, .aesCBC, .null: 0
        case .aesCCM: 3
        case .aesCTR, .aesGCM, .chaCha20Poly1305: 4
        }
    }

    /// Whether the cipher authenticates too.
    public var isCombined: Bool {
        switch self {
        case .des, .tripleDES, .aesCBC, .aesCTR, .null: false
        case .aesGCM, .aesCCM, .chaCha20Poly1305: true
        }
    }

    /// Whether the key's length is said in an attribute.
    var saysKeyLength: Bool {
        switch self {
        case .des, .tripleDES, .null, .chaCha20Poly1305: false
        case .aesCBC, .aesCTR, .aesGCM, .aesCCM: true
        }
    }

    /// The cipher that an ESP transform with an optional key length names, nil where we know none.
    init?(transformID: UInt8, keyBits: UInt64?) {
        switch transformID {
        case 2 where keyBits == nil: self = .des
        case 3 where keyBits == nil: self = .tripleDES
        case 11 where keyBits == nil: self = .null
        case 12:
            // Without a length attribute old clients mean 128 bits.
            guard let bits = Self.aesKeyBits(keyBits ?? 128) else { return nil }
            self = .aesCBC(keyBits: bits)
        case 13:
            guard let bits = keyBits.flatMap(Self.aesKeyBits) else { return nil }
            self = .aesCTR(keyBits: bits)
        case 14, 15, 16:
            guard let bits = keyBits.flatMap(Self.aesKeyBits) else { return nil }
            self = .aesCCM(keyBits: bits, icvBytes: transformID == 14 ? 8 : transformID == 15 ? 12 : 16)
        case Self.privateChaCha20 where keyBits == nil: self = .chaCha20Poly1305
        case 18, 19, 20:
            guard let bits = keyBits.flatMap(Self.aesKeyBits) else { return nil }
            self = .aesGCM(keyBits: bits, icvBytes: transformID == 18 ? 8 : transformID == 19 ? 12 : 16)
        default: return nil
        }
    }

    private static func aesKeyBits(_ bits: UInt64) -> Int? { [128, 192, 256].contains(bits) ? Int(bits) : nil }

    /// The usual short name.
    public var description: String {
        switch self {
        case .des: "des"
        case .tripleDES: "3des"
        case .aesCBC(let keyBits): "aes\(keyBits)"
        case .aesCTR(let keyBits): "aes\(keyBits)ctr"
        case .aesGCM(let keyBits, let icvBytes): "aes\(keyBits)gcm\(icvBytes)"
        case .aesCCM(let keyBits, let icvBytes): "aes\(keyBits)ccm\(icvBytes)"
        case .chaCha20Poly1305: "chacha20poly1305"
        case .null: "null"
        }
    }
}

/// An integrity algorithm of AH or ESP, by its authentication-algorithm attribute (RFC 2407 section 4.5, RFC 4868).
public enum IPsecIntegrity: UInt16, Sendable, CaseIterable, CustomStringConvertible {
    /// HMAC-MD5-96.
    case hmacMD5 = 1
    /// HMAC-SHA1-96.
    case hmacSHA1 = 2
    /// HMAC-SHA2-256-128.
    case hmacSHA256 = 5
    /// HMAC-SHA2-384-192.
    case hmacSHA384 = 6
    /// HMAC-SHA2-512-256.
    case hmacSHA512 = 7
    /// AES-XCBC-MAC-96 (RFC 3566).
    case aesXCBC = 9
    /// HMAC-SHA2-256 cut to 96 bits, as a draft had it: Android up to 7 and old Linux kernels. It travels under the
    /// number of HMAC-SHA2-256-128, so that only the configuration can tell them apart.
    case hmacSHA256Truncated96 = 252

    /// The attribute's value on the wire.
    var attribute: UInt16 { self == .hmacSHA256Truncated96 ? Self.hmacSHA256.rawValue : rawValue }

    /// AH's transform identifier (RFC 2407 section 4.4.3, RFC 4868, RFC 3566 section 6).
    var headerTransformID: UInt8 {
        switch self {
        case .hmacMD5: 2
        case .hmacSHA1: 3
        case .hmacSHA256, .hmacSHA256Truncated96: 5
        case .hmacSHA384: 6
        case .hmacSHA512: 7
        case .aesXCBC: 9
        }
    }

    /// The key's length in bytes: that of the digest, or of the cipher's key.
    public var keyBytes: Int {
        switch self {
        case .hmacMD5, .aesXCBC: 16
        case .hmacSHA1: 20
        case .hmacSHA256, .hmacSHA256Truncated96: 32
        case .hmacSHA384: 48
        case .hmacSHA512: 64
        }
    }

    /// The usual short name.
    public var description: String {
        switch self {
        case .hmacMD5: "md5"
        case .hmacSHA1: "sha1"
        case .hmacSHA256: "sha256"
        case .hmacSHA384: "sha384"
        case .hmacSHA512: "sha512"
        case .aesXCBC: "aesxcbc"
        case .hmacSHA256Truncated96: "sha256-96"
        }
    }
}

/// How packets are encapsulated, by the attribute's value (RFC 2407 section 4.5, RFC 3947 section 5.1).
enum EncapsulationMode: UInt16, Sendable {
    case tunnel = 1
    case transport = 2
    case udpTunnel = 3
    case udpTransport = 4
    case udpTunnelDraft = 61443
    case udpTransportDraft = 61444

    var isTransport: Bool { [.transport, .udpTransport, .udpTransportDraft].contains(self) }
    /// The mode, in UDP by the numbers of `variant` where that is given.
    init(_ mode: IPsecMode, _ variant: NATTraversalVariant?) {
        switch mode {
        case .transport: self = variant?.transportMode ?? .transport
        case .tunnel: self = variant?.tunnelMode ?? .tunnel
        }
    }

    var ipsecMode: IPsecMode { isTransport ? .transport : .tunnel }
    var isUDPEncapsulated: Bool { self != .tunnel && self != .transport }
}
