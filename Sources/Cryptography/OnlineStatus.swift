import COpenSSL
import Wire

/// A question to an OCSP responder: whether a certificate still counts (RFC 6960 section 4.1).
public struct OnlineStatusRequest: Sendable {
    /// How long a nonce is (RFC 9654 section 2.1).
    static let nonceByteCount = 32

    /// Which certificate of which issuer is meant, whatever the nonce: the key under which an answer can be kept.
    public struct Subject: Hashable, Sendable {
        private let digest: [UInt8]

        init(_ certificate: Certificate, _ issuer: Certificate) {
            // Lengths go first, so that no two pairs run into the same bytes.
            let count = withUnsafeBytes(of: UInt32(truncatingIfNeeded: certificate.der.count).bigEndian, Array.init)
            digest = HashAlgorithm.sha256.digest(count + certificate.der + issuer.der)
        }
    }

    /// What to send to the responder.
    public let der: [UInt8]
    /// What the question is about.
    public let subject: Subject
    /// Whose status is asked for.
    public let certificate: Certificate
    fileprivate let issuer: Certificate
    fileprivate let nonce: [UInt8]

    /// The question about `certificate`, which `issuer` signed; ``CertificateTrust/verify(_:with:at:)`` must have said so.
    /// The nonce comes from `generator`.
    public init(
        about certificate: Certificate, issuedBy issuer: Certificate,
        using generator: inout some RandomNumberGenerator
    ) throws(CryptographyError) {
        (self.certificate, self.issuer) = (certificate, issuer)
        nonce = generator.bytes(Self.nonceByteCount)
        subject = Subject(certificate, issuer)
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = culvert_ocsp_request(
            certificate.handle.raw, issuer.handle.raw, nonce, nonce.count, &encoded)
        guard count > 0, let encoded else { throw .libraryFailure }
        defer { culvert_free(encoded) }
        der = Array(UnsafeBufferPointer(start: encoded, count: count))
    }
}

/// What an OCSP responder says of a certificate (RFC 6960 section 4.2), its signature and its times checked.
public struct OnlineStatusResponse: Sendable, Hashable {
    /// The largest answer that is read; one with a delegate's certificate has some 2 KiB.
    public static let bytesMaximum = 65_536
    /// How far the responder's clock may be off, in seconds.
    static let toleranceSeconds: Int64 = 300
    /// How old an answer may be that does not say when the next one is due, in seconds.
    static let undatedSecondsMaximum: Int64 = 3600

    /// What it says.
    public enum Verdict: Hashable, Sendable {
        /// The certificate was not taken back.
        case good
        /// It was, at this time in seconds since 1970, for this reason (CRLReason, RFC 5280 section 5.3.1).
        case revoked(at: Int64, reason: Int?)
        /// The responder does not know the certificate.
        case unknown
    }

    /// What it says of the certificate.
    public let verdict: Verdict
    /// Since when this is so, in seconds since 1970.
    public let thisUpdate: Int64
    /// When there is news, in seconds since 1970; nil where there always may be.
    public let nextUpdate: Int64?

    /// Where an answer comes from.
    public enum Origin: Sendable, Hashable {
        /// The responder, just now: if there is a nonce in it, it must be the question's.
        case responder
        /// An earlier question about the same certificate, and it was good for that.
        case memory
    }

    /// Believes `der` as an answer to `request` at `time`, in seconds since 1970: the certificate's issuer signed it, or a
    /// delegate with a certificate of that issuer for this purpose (RFC 6960 section 4.2.2.2), which none of the lists in
    /// `trust` takes back.
    public init(
        der: [UInt8], to request: OnlineStatusRequest, from origin: Origin = .responder, trust: CertificateTrust,
        at time: Int64
    ) throws(OnlineStatusError) {
        guard der.count <= Self.bytesMaximum else { throw .tooLarge }
        var answer = culvert_ocsp_answer()
        let nonce = origin == .responder ? request.nonce : []
        let outcome = trust.withStore { store in
            culvert_ocsp_check(
                store, request.certificate.handle.raw, request.issuer.handle.raw, nonce, nonce.count, der, der.count,
                time, trust.strength.securityLevel, &answer)
        }
        if let error = OnlineStatusError(outcome, answer) { throw error }
        switch Int(answer.status) {
        case culvert_ocsp_good: verdict = .good
        case culvert_ocsp_revoked:
            let reason = answer.revocation_reason
            verdict = .revoked(at: answer.revoked_at, reason: reason < 0 ? nil : Int(reason))
        default: verdict = .unknown
        }
        (thisUpdate, nextUpdate) = (answer.this_update, answer.next_update == 0 ? nil : answer.next_update)
        try checkTimes(at: time)
    }

    private func checkTimes(at time: Int64) throws(OnlineStatusError) {
        guard thisUpdate.subtractingClamped(Self.toleranceSeconds) <= time else { throw .notYetValid }
        let end = nextUpdate ?? thisUpdate.addingClamped(Self.undatedSecondsMaximum)
        guard thisUpdate <= end, time <= end.addingClamped(Self.toleranceSeconds) else { throw .expired }
    }
}

extension Int64 {
    // Times come from whoever signed; they are years 0 to 9999, and nothing here relies on that.
    fileprivate func addingClamped(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }

    fileprivate func subtractingClamped(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? .min : difference
    }
}

/// Why an OCSP answer is not believed.
public enum OnlineStatusError: Error, Equatable, Sendable {
    /// It is larger than any answer.
    case tooLarge
    /// It is no OCSP response, or more than one.
    case malformed
    /// The responder does not answer this, and says so by a number (RFC 6960 section 4.2.1): 1 malformed request, 2
    /// internal error, 3 try later, 5 signature required, 6 unauthorized.
    case refused(status: Int)
    /// Neither the issuer signed it nor a delegate of the issuer.
    case foreignSigner
    /// A key or a signature algorithm that is too weak.
    case weakSignature
    /// The signature is wrong.
    case badSignature
    /// It answers another question, of which it has the nonce.
    case otherNonce
    /// It is about other certificates.
    case otherCertificate
    /// Its time has yet to come.
    case notYetValid
    /// Its time is over.
    case expired

    fileprivate init?(_ outcome: Int32, _ answer: culvert_ocsp_answer) {
        switch Int(outcome) {
        case culvert_ocsp_answered: return nil
        case culvert_ocsp_not_successful: self = .refused(status: Int(answer.response_status))
        case culvert_ocsp_foreign_signer: self = .foreignSigner
        case culvert_ocsp_weak_signature: self = .weakSignature
        case culvert_ocsp_bad_signature: self = .badSignature
        case culvert_ocsp_other_nonce: self = .otherNonce
        case culvert_ocsp_other_certificate: self = .otherCertificate
        default: self = .malformed
        }
    }
}

extension Certificate {
    /// The most places that are looked at.
    static let statusRespondersMaximum = 4

    /// Where the certificate says that its status is told (RFC 5280 section 4.2.2.1): what its authority wrote, if it has
    /// one; until ``CertificateTrust/verify(_:with:at:)`` says so, what anybody may have written.
    public var statusResponders: [String] {
        let (_, parts) = CertificateParts.visiting { context, visitor in
            culvert_certificate_responders(handle.raw, context, visitor)
            return 1
        }
        return parts.prefix(Self.statusRespondersMaximum).compactMap { part in
            guard part.bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
            return String(decoding: part.bytes, as: UTF8.self)
        }
    }
}
