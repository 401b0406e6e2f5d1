import COpenSSL
import Wire

/// Why a certificate, or what was signed with it, is not believed.
public struct CertificateRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of reasons, each a record of its own for the operator.
    public enum Reason: String, Sendable, CaseIterable {
        /// No certificate came.
        case noCertificate
        /// It cannot be read.
        case malformedCertificate
        /// Its time is over, or that of one that it depends on.
        case certificateExpired
        /// Its time has yet to come, or that of one that it depends on.
        case certificateNotYetValid
        /// No chain leads to an authority that is configured.
        case unknownAuthority
        /// Its authority has taken it back, or one that it depends on.
        case certificateRevoked
        /// A revocation list or an OCSP answer is required, and there is none that still counts.
        case revocationUnknown
        /// An OCSP answer is required, and none came in time.
        case noStatusAnswer
        /// It confirms another name than the one claimed, or that name may not come in.
        case wrongName
        /// It is not for this use.
        case wrongUsage
        /// What was signed was not signed with its key, or a signature in its chain is wrong.
        case badSignature
        /// A key or a signature algorithm that is too weak, in it or in its chain.
        case weakKey
        /// Its chain is longer than the limit, or contradicts itself.
        case invalidChain
    }

    /// The kind of reason.
    public let reason: Reason
    /// Whose certificate, and what exactly.
    public let detail: String

    /// The refusal for `reason`.
    public init(_ reason: Reason, _ detail: String = "") { (self.reason, self.detail) = (reason, detail) }

    /// Reason and detail.
    public var description: String { detail.isEmpty ? reason.rawValue : "\(reason.rawValue): \(detail)" }
}

/// Which algorithms a chain may be made of.
public enum CertificateStrength: Sendable, Hashable {
    /// 112 bits: RSA from 2048, no SHA-1.
    case modern
    /// RSA from 1024, SHA-1 and MD5 too: certificates of the days of Windows XP.
    case legacy

    var securityLevel: Int32 { self == .modern ? 2 : 0 }
}

/// Whom to believe: authorities, intermediates that are at hand, and revocation lists.
///
/// A value that never changes: a reload makes a new one. It may be used from any thread.
public struct CertificateTrust: Sendable {
    /// The most certificates between a peer's and an authority's.
    public static let intermediatesMaximum = 8

    /// Everything to be believed, anchors and intermediates, as it was given.
    public let authorities: [Certificate]
    /// The lists that count.
    public let revocationLists: [CertificateRevocationList]
    /// Whether a certificate without a list that still counts is refused.
    public let requiresRevocationCheck: Bool
    /// Which algorithms are good enough.
    public let strength: CertificateStrength
    private let store: StoreHandle
    private let intermediates: [Certificate]

    /// - Parameter authorities: Certificates of authorities. One whose issuer is among them only helps to build chains.
    public init(
        authorities: [Certificate], revocationLists: [CertificateRevocationList] = [],
        requiresRevocationCheck: Bool = false, strength: CertificateStrength = .modern
    ) throws(CryptographyError) {
        let isAnchor = { (certificate: Certificate) in
            certificate.isSelfIssued
                || !authorities.contains { $0 != certificate && certificate.isIssued(by: $0) }
        }
        guard let raw = X509_STORE_new() else { throw .libraryFailure }
        store = StoreHandle(raw)
        for anchor in authorities where isAnchor(anchor) {
            guard X509_STORE_add_cert(raw, anchor.handle.raw) == 1 else { throw .libraryFailure }
        }
        for list in revocationLists {
            guard X509_STORE_add_crl(raw, list.handle.raw) == 1 else { throw .libraryFailure }
        }
        intermediates = authorities.filter { !isAnchor($0) }
        (self.authorities, self.revocationLists) = (authorities, revocationLists)
        (self.requiresRevocationCheck, self.strength) = (requiresRevocationCheck, strength)
    }

    private final class StoreHandle: @unchecked Sendable {
        // Nothing is added after the initializer; lookups lock inside.
        let raw: OpaquePointer
        init(_ raw: OpaquePointer) { self.raw = raw }
        deinit { X509_STORE_free(raw) }
    }

    /// Checks a peer's certificate at `time`, in seconds since 1970: its chain, every validity and revocation on it, and
    /// that it may be used to sign in IKE. Takes up to some milliseconds.
    ///
    /// - Parameters:
    ///   - others: What else the peer sent, in any order; none of it is believed without a signature.
    ///   - isServer: Whether we have called the peer: then its extended key usage may be a server's, too.
    /// - Returns: The chain, from the certificate to the authority that is believed.
    @discardableResult
    public func verify(
        _ certificate: Certificate, with others: [Certificate] = [], at time: Int64, isServer: Bool = false
    ) throws(CertificateRefusal) -> [Certificate] {
        let subject = certificate.subjectText
        guard others.count <= Self.intermediatesMaximum else {
            throw CertificateRefusal(.invalidChain, "more than \(Self.intermediatesMaximum) intermediates")
        }
        for member in [certificate] + others where member.keyKind == .unsuitable {
            throw CertificateRefusal(.weakKey, "\(member.subjectText): a key that must not be used")
        }
        guard certificate.keyKind.signatureLength != nil else {
            throw CertificateRefusal(.weakKey, "\(subject): a key without a signature in IKEv1")
        }
        let untrusted: [OpaquePointer?] = (others + intermediates).map(\.handle.raw)
        let revocation =
            requiresRevocationCheck
            ? culvert_revocation_required
            : revocationLists.isEmpty ? culvert_revocation_off : culvert_revocation_where_known
        var depth: Int32 = 0
        let (error, parts) = withExtendedLifetime(others) {
            CertificateParts.visiting {
                culvert_chain_verify(
                    store.raw, certificate.handle.raw, untrusted, untrusted.count, time,
                    Int32(Self.intermediatesMaximum), strength.securityLevel, Int32(revocation), &depth, $0, $1)
            }
        }
        guard error == X509_V_OK else {
            let what = String(cString: culvert_chain_error(error))
            let whose = depth == 0 ? subject : "issuer \(depth) of \(subject)"
            throw CertificateRefusal(Self.reason(error), "\(whose): \(what)")
        }
        guard culvert_certificate_usage_allows_signatures(certificate.handle.raw) == 1 else {
            throw CertificateRefusal(.wrongUsage, "\(subject): its key usage has no digital signature")
        }
        guard culvert_certificate_usage_allows_ike(certificate.handle.raw, isServer ? 1 : 0) == 1 else {
            let wanted = isServer ? "neither server, client nor IPsec" : "neither client nor IPsec"
            throw CertificateRefusal(.wrongUsage, "\(subject): its extended key usage has \(wanted)")
        }
        let chain = parts.compactMap { try? Certificate(der: $0.bytes) }
        try checkIssuers(chain.dropFirst().dropLast(), of: subject, isServer: isServer)
        return chain
    }

    /// What an authority was certified for, it cannot certify more than: RFC 5280 does not say so of the extended key
    /// usage, Windows and the authorities' own rules do. Anchors are the operator's choice.
    private func checkIssuers(
        _ intermediates: ArraySlice<Certificate>, of subject: String, isServer: Bool
    ) throws(CertificateRefusal) {
        for issuer in intermediates
        where culvert_certificate_usage_allows_ike(issuer.handle.raw, isServer ? 1 : 0) != 1 {
            throw CertificateRefusal(
                .wrongUsage, "issuer \(issuer.subjectText) of \(subject): its extended key usage is for something else")
        }
    }

    /// Runs `body` with the anchors and the revocation lists as libcrypto has them.
    func withStore<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        withExtendedLifetime(store) { body(store.raw) }
    }

    private static func reason(_ error: Int32) -> CertificateRefusal.Reason {
        switch error {
        case X509_V_ERR_CERT_HAS_EXPIRED: .certificateExpired
        case X509_V_ERR_CERT_NOT_YET_VALID: .certificateNotYetValid
        case X509_V_ERR_CERT_REVOKED: .certificateRevoked
        case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, X509_V_ERR_CRL_HAS_EXPIRED,
            X509_V_ERR_CRL_NOT_YET_VALID, X509_V_ERR_CRL_SIGNATURE_FAILURE, X509_V_ERR_KEYUSAGE_NO_CRL_SIGN,
            X509_V_ERR_DIFFERENT_CRL_SCOPE, X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE,
            X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD,
            X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD, X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
            .revocationUnknown
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
            .unknownAuthority
        case X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE,
            X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH:
            .badSignature
        case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK,
            X509_V_ERR_EC_KEY_EXPLICIT_PARAMS:
            .weakKey
        case X509_V_ERR_INVALID_PURPOSE, X509_V_ERR_KEYUSAGE_NO_CERTSIGN, X509_V_ERR_INVALID_CA,
            X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE:
            .wrongUsage
        case X509_V_ERR_PERMITTED_VIOLATION, X509_V_ERR_EXCLUDED_VIOLATION: .wrongName
        default: .invalidChain
        }
    }
}

/// Our own certificate, the intermediates that go with it, and its key.
public struct CertificateIdentity: Sendable {
    /// Our certificate.
    public let certificate: Certificate
    /// What leads from it towards its authority, as far as the file has it.
    public let intermediates: [Certificate]
    /// Its key.
    public let key: SignatureKey

    /// The certificate that is first in `chain`, and its key.
    public init(chain: [Certificate], key: SignatureKey) throws(CertificateError) {
        guard let first = chain.first else { throw .nothingFound }
        guard chain.count <= CertificateTrust.intermediatesMaximum + 1 else { throw .tooMany }
        guard key.belongs(to: first) else { throw .otherKey }
        // A root is of no use to a peer, who has it or does not believe it.
        (certificate, intermediates, self.key) = (first, chain.dropFirst().filter { !$0.isSelfIssued }, key)
    }
}
