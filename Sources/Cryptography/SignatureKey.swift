import COpenSSL
import Wire

/// What a key can sign with in IKEv1.
public enum SignatureKeyKind: Hashable, Sendable, CustomStringConvertible {
    /// RSA with a modulus of so many bits.
    case rsa(bits: Int)
    /// ECDSA on a curve of RFC 4754 with so many bits: 256, 384 or 521.
    case ecdsa(bits: Int)
    /// A key that may sign certificates but has no method in IKEv1.
    case certificatesOnly
    /// A key that nothing should be signed with: another kind, a curve that is spelt out, an RSA exponent of 0.
    case unsuitable

    /// The moduli that are worth verifying with: below 1024 bits anybody can sign, above 8192 it only costs time.
    static let legalModulusBits = 1024...8192

    init(_ key: OpaquePointer?) {
        let facts = culvert_key_describe(key)
        switch (facts.kind, Int(facts.bits)) {
        case (1, Self.legalModulusBits) where facts.exponent_good == 1: self = .rsa(bits: Int(facts.bits))
        case (2, 256), (2, 384), (2, 521): self = .ecdsa(bits: Int(facts.bits))
        case (3, _): self = .certificatesOnly
        default: self = .unsuitable
        }
    }

    /// The length of a signature in bytes; nil where there is none.
    public var signatureLength: Int? {
        switch self {
        case .rsa(let bits): (bits + 7) / 8
        case .ecdsa(let bits): (bits + 7) / 8 * 2
        case .certificatesOnly, .unsuitable: nil
        }
    }

    /// Such as `rsa2048`.
    public var description: String {
        switch self {
        case .rsa(let bits): "rsa\(bits)"
        case .ecdsa(let bits): "ecdsa\(bits)"
        case .certificatesOnly: "certificates-only"
        case .unsuitable: "unsuitable"
        }
    }
}

/// A private key. libcrypto overwrites its memory when the last owner lets it go; nothing of it can be printed.
public final class SignatureKey: Sendable, CustomStringConvertible {
    /// The most bytes of a file with a key.
    public static let bytesMaximum = 65_536

    // Only read after it is made, which any thread may do.
    private nonisolated(unsafe) let raw: OpaquePointer
    /// What it signs with.
    public let kind: SignatureKeyKind

    /// The key in a PEM text: PKCS#8, or the older forms for RSA and EC.
    public init(pem: SecretBytes) throws(CertificateError) {
        guard pem.count <= Self.bytesMaximum else { throw .tooLarge }
        var encrypted: Int32 = 0
        let parsed = pem.withUnsafePointer { culvert_private_key_parse($0, pem.count, &encrypted) } ?? nil
        guard let key = parsed else { throw encrypted == 1 ? .encrypted : .malformed }
        raw = key
        kind = SignatureKeyKind(key)
        guard kind.signatureLength != nil else { throw .unsuitableKey }
    }

    deinit { EVP_PKEY_free(raw) }

    /// Signs `hash` itself, as IKEv1 does: in RSA without DigestInfo (RFC 2409 section 5.1), in ECDSA as r and s (RFC 4754
    /// section 7). Takes up to some milliseconds.
    public func sign(hash: [UInt8]) throws(CryptographyError) -> [UInt8] {
        guard let length = kind.signatureLength else { throw .libraryFailure }
        var signature = [UInt8](repeating: 0, count: length)
        let done =
            switch kind {
            case .rsa: culvert_rsa_sign(raw, hash, hash.count, &signature, length)
            case .ecdsa: culvert_ecdsa_sign(raw, hash, hash.count, &signature, length)
            case .certificatesOnly, .unsuitable: Int32(0)
            }
        guard done == 1 else { throw .libraryFailure }
        return signature
    }

    /// Whether the public half is that of `certificate`.
    public func belongs(to certificate: Certificate) -> Bool {
        X509_check_private_key(certificate.handle.raw, raw) == 1
    }

    /// Never the key.
    public var description: String { "<\(kind) private key>" }
}

extension Certificate {
    /// Whether `signature` over `hash` itself was made with this certificate's key: of exactly the key's length, a PKCS#1
    /// block with no byte out of place, or r and s inside the curve's order.
    public func verifies(_ signature: [UInt8], of hash: [UInt8]) -> Bool {
        guard let length = keyKind.signatureLength, signature.count == length, !hash.isEmpty,
            let key = X509_get0_pubkey(handle.raw)
        else { return false }
        return switch keyKind {
        case .rsa: culvert_rsa_verify(key, hash, hash.count, signature, length) == 1
        case .ecdsa: culvert_ecdsa_verify(key, hash, hash.count, signature, length) == 1
        case .certificatesOnly, .unsuitable: false
        }
    }
}
