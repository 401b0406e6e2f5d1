/// What is done with a packet that is of a filter list.
public struct FilterAction: Hashable, Sendable {
    /// The three kinds.
    public enum Kind: Hashable, Sendable {
        /// It goes in clear.
        case permit
        /// It does not go.
        case block
        /// It goes by an SA.
        case negotiate(NegotiatedSecurity)
    }

    /// What the operator calls it.
    public var name: String
    /// What is done.
    public var kind: Kind

    /// An action under a name.
    public init(_ name: String, _ kind: Kind) { (self.name, self.kind) = (name, kind) }

    /// In clear.
    public static let permit = FilterAction("permit", .permit)
    /// Not at all.
    public static let block = FilterAction("block", .block)
    /// In clear unless the peer asks for security.
    public static let respondOnly = FilterAction(
        "respond-only", .negotiate(NegotiatedSecurity(acceptsUnsecured: true, fallsBack: true, initiates: false)))
    /// Secured where the peer can, else in clear.
    public static let requestSecurity = FilterAction(
        "request-security", .negotiate(NegotiatedSecurity(acceptsUnsecured: true, fallsBack: true)))
    /// Secured or not at all.
    public static let requireSecurity = FilterAction("require-security", .negotiate(NegotiatedSecurity()))

    /// Those that need not be defined.
    public static let predefined = [permit, block, respondOnly, requestSecurity, requireSecurity]
}

/// How packets are secured, and whether some may go without.
public struct NegotiatedSecurity: Hashable, Sendable {
    /// The methods, the most wanted first; none leaves the choice to the gateway's `esp` lists.
    public var methods: [SecurityMethod]
    /// Whether a peer that sends in clear is heard, and answered by way of an SA: "accept unsecured communication, but
    /// always respond using IPsec".
    public var acceptsUnsecured: Bool
    /// Whether packets go in clear to a peer that has no IPsec: "allow unsecured communication with computers that do not
    /// support IPsec".
    public var fallsBack: Bool
    /// Whether we ask for security ourselves, rather than only grant it.
    public var initiates: Bool
    /// Whether each key comes of a Diffie-Hellman exchange of its own, and of no other key.
    public var hasPerfectForwardSecrecy: Bool

    /// Security that is required, unless a switch says otherwise.
    public init(
        methods: [SecurityMethod] = [], acceptsUnsecured: Bool = false, fallsBack: Bool = false,
        initiates: Bool = true, hasPerfectForwardSecrecy: Bool = false
    ) {
        (self.methods, self.acceptsUnsecured, self.fallsBack) = (methods, acceptsUnsecured, fallsBack)
        (self.initiates, self.hasPerfectForwardSecrecy) = (initiates, hasPerfectForwardSecrecy)
    }

    /// Whether nothing goes without an SA, but for what cannot have one.
    public var isRequired: Bool { !acceptsUnsecured && !fallsBack }
}

/// One way to secure packets, and how long its keys are used.
public struct SecurityMethod: Hashable, Sendable {
    /// What the packets get.
    public enum Protection: Hashable, Sendable {
        /// ESP, encrypted and authenticated.
        case high
        /// AH: authenticated and readable.
        case medium
        /// AH with this algorithm, ESP with these, or both. At least one of the two.
        case custom(authenticationHeader: MethodIntegrity?, payload: Payload?)
    }

    /// ESP's algorithms.
    public struct Payload: Hashable, Sendable {
        /// The cipher; nil for none.
        public var encryption: MethodEncryption?
        /// What authenticates; nil for none, which a cipher that does so itself needs.
        public var integrity: MethodIntegrity?

        /// A cipher and what authenticates; nil where neither would leave the packets as they are.
        public init?(_ encryption: MethodEncryption?, _ integrity: MethodIntegrity?) {
            guard encryption != nil || integrity != nil else { return nil }
            (self.encryption, self.integrity) = (encryption, integrity)
        }
    }

    /// What the packets get.
    public var protection: Protection
    /// After how many seconds there is a new key; nil for the gateway's `lifetimes`.
    public var seconds: Int?
    /// After how many kilobytes of 1024 there is a new key; nil for the gateway's `lifetimes`.
    public var kilobytes: Int?

    /// A method.
    public init(_ protection: Protection, seconds: Int? = nil, kilobytes: Int? = nil) {
        (self.protection, self.seconds, self.kilobytes) = (protection, seconds, kilobytes)
    }
}

extension SecurityMethod: CustomStringConvertible {
    /// `high, 3600 s, 100000 kB`.
    public var description: String {
        let name =
            switch protection {
            case .high: "high"
            case .medium: "medium"
            case .custom(let header, let payload):
                [
                    header.map { "ah \($0.rawValue)" },
                    payload.map { "esp \($0.encryption?.rawValue ?? "none")-\($0.integrity?.rawValue ?? "none")" },
                ].compactMap(\.self).joined(separator: " + ")
            }
        return name + (seconds.map { ", \($0) s" } ?? "") + (kilobytes.map { ", \($0) kB" } ?? "")
    }
}

/// What authenticates packets in a custom method.
public enum MethodIntegrity: String, CaseIterable, Sendable {
    /// HMAC-MD5-96 (RFC 2403).
    case md5
    /// HMAC-SHA1-96 (RFC 2404).
    case sha1
    /// HMAC-SHA2-256-128 (RFC 4868).
    case sha256
    /// HMAC-SHA2-384-192 (RFC 4868).
    case sha384
    /// HMAC-SHA2-512-256 (RFC 4868).
    case sha512
}

/// What encrypts packets in a custom method.
public enum MethodEncryption: String, CaseIterable, Sendable {
    /// DES-CBC (RFC 2405).
    case des
    /// 3DES-CBC (RFC 2451).
    case tripleDES = "3des"
    /// AES-CBC (RFC 3602).
    case aes128
    /// AES-CBC (RFC 3602).
    case aes192
    /// AES-CBC (RFC 3602).
    case aes256
    /// AES-GCM with a check value of 16 bytes (RFC 4106).
    case aes128gcm16
    /// AES-GCM with a check value of 16 bytes (RFC 4106).
    case aes256gcm16

    /// Whether it authenticates as well.
    public var isCombined: Bool { self == .aes128gcm16 || self == .aes256gcm16 }
}
