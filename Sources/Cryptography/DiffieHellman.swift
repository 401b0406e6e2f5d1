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

    /// The name of the curve in OpenSSL; nil for the MODP groups.
    var curve: String? {
        switch self {
        case .ecp256: "P-256"
        case .ecp384: "P-384"
        case .ecp521: "P-521"
        case .curve25519: "X25519"
        default: nil
        }
    }

    /// The length of a private exponent in bytes, twice the strength of the group (RFC 3526 section 8).
    var exponentLength: Int {
        switch self {
        case .modp768, .modp1024, .modp1536: 32
        case .modp2048: 40
        case .modp3072: 52
        case .modp4096: 60
        case .modp6144: 68
        default: 80
        }
    }
}

/// Our half of a Diffie-Hellman exchange. It is used for one exchange alone.
public final class DiffieHellmanKeyPair: Sendable {
    private enum PrivateKey {
        case exponent(SecretBytes)
        case curve(OpaquePointer)
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
        if case .curve(let key) = privateKey { EVP_PKEY_free(key) }
    }

    /// A fresh key pair, its randomness drawn by OpenSSL from the system.
    public static func generate(_ group: DiffieHellmanGroup) throws(CryptographyError) -> DiffieHellmanKeyPair {
        guard let curve = group.curve else {
            var drawn: Int32 = 0
            let exponent = SecretBytes(count: group.exponentLength) {
                drawn = RAND_priv_bytes($0.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32($0.count))
            }
            guard drawn == 1 else { throw .libraryFailure }
            return try fixed(group, exponent: exponent)
        }
        return try wrap(culvert_ecdh_generate(curve), group)
    }

    /// The key pair of a given exponent, or private number on a curve, for test vectors.
    static func fixed(
        _ group: DiffieHellmanGroup, exponent: SecretBytes
    ) throws(CryptographyError) -> DiffieHellmanKeyPair {
        if let curve = group.curve {
            return try wrap(
                exponent.withUnsafePointer { culvert_ecdh_fixed(curve, $0, exponent.count) } ?? nil, group)
        }
        var value = [UInt8](repeating: 0, count: group.publicValueLength)
        let done = exponent.withUnsafePointer {
            culvert_modp_power(Int32(group.rawValue), nil, $0, exponent.count, &value)
        }
        guard done == 1 else { throw .libraryFailure }
        return DiffieHellmanKeyPair(group: group, publicValue: value, privateKey: .exponent(exponent))
    }

    /// Takes over a key of OpenSSL's.
    private static func wrap(
        _ key: OpaquePointer?, _ group: DiffieHellmanGroup
    ) throws(CryptographyError) -> DiffieHellmanKeyPair {
        guard let key else { throw .libraryFailure }
        // A point is encoded with a leading 4, which IKE leaves out.
        let prefix = group == .curve25519 ? 0 : 1
        var encoded = [UInt8](repeating: 0, count: group.publicValueLength + prefix)
        guard culvert_ecdh_public(key, &encoded, encoded.count) == 1 else {
            EVP_PKEY_free(key)
            throw .libraryFailure
        }
        return DiffieHellmanKeyPair(
            group: group, publicValue: Array(encoded.dropFirst(prefix)), privateKey: .curve(key))
    }

    /// The secret shared with the peer whose public value is given, in full length.
    ///
    /// Throws ``CryptographyError/wrongLength`` or ``CryptographyError/badPublicValue`` before anything is computed with
    /// a value that must not be used (RFC 2412 section 5, RFC 5903 section 3).
    public func sharedSecret(with peerPublicValue: [UInt8]) throws(CryptographyError) -> SecretBytes {
        guard peerPublicValue.count == group.publicValueLength else { throw .wrongLength }
        var done: Int32 = 0
        let secret: SecretBytes
        switch privateKey {
        case .exponent(let exponent):
            let number = Int32(group.rawValue)
            guard culvert_modp_is_valid(number, peerPublicValue) == 1 else { throw .badPublicValue }
            secret = SecretBytes(count: group.sharedSecretLength) { target in
                done =
                    exponent.withUnsafePointer {
                        culvert_modp_power(
                            number, peerPublicValue, $0, exponent.count,
                            target.baseAddress?.assumingMemoryBound(to: UInt8.self))
                    } ?? 0
            }
        case .curve(let key):
            let encoded = group == .curve25519 ? peerPublicValue : [4] + peerPublicValue
            secret = SecretBytes(count: group.sharedSecretLength) { target in
                done = culvert_ecdh_derive(
                    key, encoded, encoded.count, target.baseAddress?.assumingMemoryBound(to: UInt8.self), target.count)
            }
        }
        guard done == 1 else { throw .badPublicValue }
        return secret
    }
}
