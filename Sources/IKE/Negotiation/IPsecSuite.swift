/// A protocol that protects packets (RFC 2407 section 4.4.1).
public enum IPsecProtocol: UInt8, Hashable, Sendable, CaseIterable {
    /// The Authentication Header (RFC 4302).
    case authenticationHeader = 2
    /// The Encapsulating Security Payload (RFC 4303).
    case encapsulatingSecurityPayload = 3
}

/// The algorithms of a pair of IPsec SAs, or of a bundle of them: AH around ESP, one of both, and compression inside.
public struct IPsecSuite: Hashable, Sendable, CustomStringConvertible {
    /// The algorithms of ESP.
    public struct Payload: Hashable, Sendable {
        /// The cipher.
        public let cipher: ESPCipher
        /// The integrity algorithm; nil where the cipher authenticates itself, or nothing does.
        public let integrity: IPsecIntegrity?

        /// A cipher and, unless that authenticates itself, an integrity algorithm.
        public init(cipher: ESPCipher, integrity: IPsecIntegrity?) {
            (self.cipher, self.integrity) = (cipher, integrity)
        }
    }

    /// AH's algorithm; nil for no AH.
    public var authenticationHeader: IPsecIntegrity?
    /// ESP's algorithms; nil for no ESP.
    public var payload: Payload?
    /// Whether packets are compressed first (IPComp with DEFLATE, RFC 2394).
    public var compresses = false
    /// Whether sequence numbers have 64 bits, of which the lower half travels (RFC 4304).
    public var usesExtendedSequenceNumbers = false

    /// AH, ESP, or AH around ESP.
    public init(authenticationHeader: IPsecIntegrity? = nil, payload: Payload? = nil) {
        (self.authenticationHeader, self.payload) = (authenticationHeader, payload)
    }

    /// ESP with a cipher and, unless that authenticates itself, an integrity algorithm.
    public init(cipher: ESPCipher, integrity: IPsecIntegrity?) {
        self.init(payload: Payload(cipher: cipher, integrity: integrity))
    }

    /// The protocols, outermost first.
    public var protocols: [IPsecProtocol] {
        (authenticationHeader == nil ? [] : [.authenticationHeader])
            + (payload == nil ? [] : [.encapsulatingSecurityPayload])
    }

    /// How many bytes of keys `ipsecProtocol` needs in each direction.
    func keyMaterialBytes(_ ipsecProtocol: IPsecProtocol) -> Int {
        switch ipsecProtocol {
        case .authenticationHeader: authenticationHeader?.keyBytes ?? 0
        case .encapsulatingSecurityPayload:
            payload.map { $0.cipher.keyLengthBits / 8 + $0.cipher.saltBytes + ($0.integrity?.keyBytes ?? 0) } ?? 0
        }
    }

    /// Such as `aes256-sha1`, `aes128gcm16-esn` or `ah-sha256+aes256-sha1+deflate`.
    public var description: String {
        var parts = authenticationHeader.map { ["ah-\($0)"] } ?? []
        if let payload { parts.append(payload.integrity.map { "\(payload.cipher)-\($0)" } ?? "\(payload.cipher)") }
        if compresses { parts.append("deflate") }
        return parts.joined(separator: "+") + (usesExtendedSequenceNumbers ? "-esn" : "")
    }
}
