/// An ESP cipher as quick mode negotiates it (RFC 2407 section 4.4.4, RFC 3602, RFC 4106).
public enum ESPCipher: Hashable, Sendable, CustomStringConvertible {
    /// DES-CBC.
    case des
    /// 3DES-CBC.
    case tripleDES
    /// AES-CBC with a key of `keyBits`.
    case aesCBC(keyBits: Int)
    /// AES-GCM with a key of `keyBits` and an integrity check value of `icvBytes`: 8, 12 or 16.
    case aesGCM(keyBits: Int, icvBytes: Int)
    /// No encryption (RFC 2410). In no profile.
    case null

    /// All there are, the strongest first.
    public static let all: [ESPCipher] =
        [16, 12, 8].flatMap { icvBytes in [256, 192, 128].map { .aesGCM(keyBits: $0, icvBytes: icvBytes) } }
        + [256, 192, 128].map { .aesCBC(keyBits: $0) } + [.tripleDES, .des, .null]

    /// The ESP transform identifier.
    public var transformID: UInt8 {
        switch self {
        case .des: 2
        case .tripleDES: 3
        case .null: 11
        case .aesCBC: 12
        case .aesGCM(_, let icvBytes): icvBytes == 8 ? 18 : icvBytes == 12 ? 19 : 20
        }
    }

    /// The key's length in bits, without the salt of AES-GCM.
    public var keyLengthBits: Int {
        switch self {
        case .des: 64
        case .tripleDES: 192
        case .null: 0
        case .aesCBC(let keyBits), .aesGCM(let keyBits, _): keyBits
        }
    }

    /// The length of the salt behind the key (RFC 4106 section 8.1).
    public var saltBytes: Int { isCombined ? 4 : 0 }

    /// Whether the cipher authenticates too.
    public var isCombined: Bool { if case .aesGCM = self { true } else { false } }

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
        case .aesGCM(let keyBits, let icvBytes): "aes\(keyBits)gcm\(icvBytes)"
        case .null: "null"
        }
    }
}

/// An ESP integrity algorithm, by its authentication-algorithm attribute (RFC 2407 section 4.5, RFC 4868).
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
    /// HMAC-SHA2-256 cut to 96 bits, as a draft had it: Android up to 7 and old Linux kernels. It travels under the
    /// number of HMAC-SHA2-256-128, so that only the configuration can tell them apart.
    case hmacSHA256Truncated96 = 252

    /// The attribute's value on the wire.
    var attribute: UInt16 { self == .hmacSHA256Truncated96 ? Self.hmacSHA256.rawValue : rawValue }

    /// The key's length in bytes: that of the digest.
    public var keyBytes: Int {
        switch self {
        case .hmacMD5: 16
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
