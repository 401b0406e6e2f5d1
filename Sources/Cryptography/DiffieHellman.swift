import COpenSSL
import Wire

/// A Diffie-Hellman group by its number in IKE.
public enum DiffieHellmanGroup: UInt16, CaseIterable, Sendable {
    /// RFC 2409 section 6.1; broken, for the oldest peers.
    case modp768 = 1
    /// RFC 2409 section 6.2; weak, for old peers.
    case modp1024 = 2
    /// RFC 3526.
    case modp1536 = 5
    /// RFC 3526.
    case modp2048 = 14
    /// RFC 3526.
    case modp3072 = 15
    /// RFC 3526.
    case modp4096 = 16
    /// RFC 3526.
    case modp6144 = 17
    /// RFC 3526.
    case modp8192 = 18
    /// NIST P-256 (RFC 5903).
    case ecp256 = 19
    /// NIST P-384 (RFC 5903).
    case ecp384 = 20
    /// NIST P-521 (RFC 5903).
    case ecp521 = 21
    /// X25519 (RFC 8031).
    case curve25519 = 31

    /// The length of a public value in bytes; it is always sent in full, leading zeros included (RFC 2409 section 5).
    public var publicValueLength: Int {
        switch self {
        case .ecp256: 64
        case .ecp384: 96
        case .ecp521: 132
        case .curve25519: 32
        default: Int(culvert_modp_length(Int32(rawValue)))
        }
    }

    /// The length of the shared secret in bytes: of a point only its X (RFC 5903 section 7).
    public var sharedSecretLength: Int {
        switch self {
        case .ecp256, .ecp384, .ecp521: publicValueLength / 2
        default: publicValueLength
        }
    }

    /// How private keys and public values are computed.
    var arithmetic: Arithmetic {
        switch self {
        case .ecp256, .ecp384, .ecp521: .points
        case .curve25519: .montgomeryCurve
        default: .powers
        }
    }

    enum Arithmetic {
        /// Powers of 2 modulo a prime.
        case powers
        /// Multiples of a point of a curve.
        case points
        /// X25519, which is a function of its own (RFC 7748).
        case montgomeryCurve
    }

    /// The length in bytes of a private exponent. Twice the strength of the group is enough: RFC 3526 section 8 estimates
    /// it at 110 to 190 bits from MODP-2048 to MODP-8192, RFC 7919 appendix A at the 225 to 400 bits of exponents that its
    /// groups of these sizes have. Less would be weaker than the group; more is time for nothing.
    var exponentLength: Int {
        switch self {
        case .modp3072: 36
        case .modp4096: 44
        case .modp6144: 48
        case .modp8192: 52
        default: 32
        }
    }
}

/// Our half of a Diffie-Hellman exchange. It is used for one exchange alone.
public final class DiffieHellmanKeyPair: Sendable {
    private enum PrivateKey {
        /// An exponent, or a factor on a curve.
        case number(SecretBytes)
        case library(OpaquePointer)
    }

    /// The group.
    public let group: DiffieHellmanGroup
    /// What the peer is sent: full length, leading zeros kept; of a point X and Y.
    public let publicValue: [UInt8]
    // OpenSSL keys are only read after they are made, which any thread may do.
    private nonisolated(unsafe) let privateKey: PrivateKey

    private init(group: DiffieHellmanGroup, publicValue: [UInt8], privateKey: PrivateKey) {
        (self.group, self.publicValue, self.privateKey) = (group, publicValue, privateKey)
    }

    deinit {
        if case .library(let key) = privateKey { EVP_PKEY_free(key) }
    }

    /// A fresh key pair, its randomness drawn by OpenSSL from the system.
    public static func generate(_ group: DiffieHellmanGroup) throws(CryptographyError) -> DiffieHellmanKeyPair {
        var drawn: Int32 = 0
        let number: SecretBytes
        switch group.arithmetic {
        case .montgomeryCurve: return try wrap(culvert_x25519_generate(), group)
        case .powers:
            number = SecretBytes(count: group.exponentLength) {
                drawn = RAND_priv_bytes($0.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32($0.count))
            }
        case .points:
            number = SecretBytes(count: group.sharedSecretLength) {
                drawn = culvert_ec_draw(
                    Int32(group.rawValue), $0.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.count)
            }
        }
        guard drawn == 1 else { throw .libraryFailure }
        return try fixed(group, exponent: number)
    }

    /// The key pair of a given exponent, or private number on a curve, for test vectors.
    static func fixed(
        _ group: DiffieHellmanGroup, exponent: SecretBytes
    ) throws(CryptographyError) -> DiffieHellmanKeyPair {
        let number = Int32(group.rawValue)
        var value = [UInt8](repeating: 0, count: group.publicValueLength)
        let done: Int32?
        switch group.arithmetic {
        case .montgomeryCurve:
            return try wrap(exponent.withUnsafePointer { culvert_x25519_fixed($0, exponent.count) }, group)
        case .powers:
            done = exponent.withUnsafePointer { culvert_modp_power(number, nil, $0, exponent.count, &value) }
        case .points:
            done = exponent.withUnsafePointer {
                culvert_ec_multiply(number, nil, 0, $0, exponent.count, &value, value.count)
            }
        }
        guard done == 1 else { throw .libraryFailure }
        return DiffieHellmanKeyPair(group: group, publicValue: value, privateKey: .number(exponent))
    }

    /// Takes over a key of OpenSSL's.
    private static func wrap(
        _ key: OpaquePointer?, _ group: DiffieHellmanGroup
    ) throws(CryptographyError) -> DiffieHellmanKeyPair {
        guard let key else { throw .libraryFailure }
        var value = [UInt8](repeating: 0, count: group.publicValueLength)
        guard culvert_x25519_public(key, &value, value.count) == 1 else {
            EVP_PKEY_free(key)
            throw .libraryFailure
        }
        return DiffieHellmanKeyPair(group: group, publicValue: value, privateKey: .library(key))
    }

    /// The secret shared with the peer whose public value is given, in full length.
    ///
    /// Throws ``CryptographyError/wrongLength`` or ``CryptographyError/badPublicValue`` before anything is computed with
    /// a value that must not be used (RFC 2412 section 5, RFC 5903 section 3).
    public func sharedSecret(with peerPublicValue: [UInt8]) throws(CryptographyError) -> SecretBytes {
        guard peerPublicValue.count == group.publicValueLength else { throw .wrongLength }
        let number = Int32(group.rawValue)
        if group.arithmetic == .powers, culvert_modp_is_valid(number, peerPublicValue) != 1 { throw .badPublicValue }
        var done: Int32?
        let secret = SecretBytes(count: group.sharedSecretLength) { target in
            let memory = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
            switch privateKey {
            case .library(let key):
                done = culvert_x25519_derive(key, peerPublicValue, peerPublicValue.count, memory, target.count)
            case .number(let factor):
                done = factor.withUnsafePointer {
                    group.arithmetic == .powers
                        ? culvert_modp_power(number, peerPublicValue, $0, factor.count, memory)
                        : culvert_ec_multiply(
                            number, peerPublicValue, peerPublicValue.count, $0, factor.count, memory, target.count)
                }
            }
        }
        guard done == 1 else { throw .badPublicValue }
        return secret
    }
}
