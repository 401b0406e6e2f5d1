import Cryptography
import Wire

/// The peer's proof by signature, to be checked, and ours, to be made when it holds: work of some milliseconds beside the
/// control loop. A value with all that is needed, so that a reload meanwhile changes nothing.
struct SignatureAuthentication: Sendable {
    /// The most certificates of one message, those in a PKCS#7 payload counted one by one.
    static let certificatesMaximum = CertificateTrust.intermediatesMaximum + 1

    let method: PhaseOneAuthenticationMethod
    let certificates: IKECertificates
    /// The peer's certificate payloads, in order.
    let payloads: [CertificatePayload]
    let identity: IKEIdentity
    /// HASH_I, and what is said to be its signature.
    let peerHash: [UInt8]
    let peerSignature: [UInt8]
    /// HASH_R, and with what to sign it.
    let ownHash: [UInt8]
    let ownKey: SignatureKey

    /// What is there when both is done.
    struct Proven: Sendable {
        /// SIG_R.
        let signature: [UInt8]
        /// The subject of the peer's certificate.
        let subject: String
    }

    /// Believes the peer, or says why not.
    func perform(wallSeconds: Int64) -> Result<Proven, CertificateRefusal> {
        do throws(CertificateRefusal) {
            let certificate = try verifyPeer(wallSeconds: wallSeconds)
            do {
                return .success(Proven(signature: try ownKey.sign(hash: ownHash), subject: certificate.subjectText))
            } catch {
                throw CertificateRefusal(.weakKey, "our own key does not sign")
            }
        } catch {
            return .failure(error)
        }
    }

    /// The certificate whose key made the signature, after its chain, its name and its right to come in are checked.
    private func verifyPeer(wallSeconds: Int64) throws(CertificateRefusal) -> Certificate {
        var received = try parsed()
        guard let first = received.first else { throw CertificateRefusal(.noCertificate) }
        // RFC 2409 leaves the order open: the certificate is the one that verifies.
        let signer = received.firstIndex {
            PhaseOneAuthenticationMethod($0.keyKind) == method && $0.verifies(peerSignature, of: peerHash)
        }
        guard let signer else {
            let kind =
                PhaseOneAuthenticationMethod(first.keyKind) == method
                ? "" : ", a key of another kind (\(first.keyKind))"
            throw CertificateRefusal(.badSignature, first.subjectText + kind)
        }
        let certificate = received.remove(at: signer)
        try certificates.trust.verify(certificate, with: received, at: wallSeconds)
        guard let claim = identity.certificateClaim, certificate.confirms(claim) else {
            throw CertificateRefusal(
                .wrongName, "\(certificate.subjectText) does not confirm the identity \(identity)")
        }
        let allowed = certificates.clientIdentities
        guard allowed.isEmpty || allowed.contains(where: { certificate.hasName(like: $0) }) else {
            throw CertificateRefusal(.wrongName, "\(certificate.subjectText) is not among the client identities")
        }
        return certificate
    }

    private func parsed() throws(CertificateRefusal) -> [Certificate] {
        var certificates: [Certificate] = []
        for payload in payloads {
            do throws(CertificateError) {
                switch payload.encoding {
                case CertificateEncoding.x509Signature: certificates.append(try Certificate(der: payload.data))
                case CertificateEncoding.pkcs7:
                    certificates += try Certificate.all(inPKCS7: payload.data, maximum: Self.certificatesMaximum)
                // Revocation lists come from the operator alone; what else there is nobody sends.
                default: break
                }
            } catch {
                throw CertificateRefusal(error == .tooMany ? .invalidChain : .malformedCertificate)
            }
        }
        // Some send the same certificate twice, as itself and in a bundle.
        var distinct: [Certificate] = []
        for certificate in certificates where !distinct.contains(certificate) { distinct.append(certificate) }
        guard distinct.count <= Self.certificatesMaximum else {
            throw CertificateRefusal(.invalidChain, "more than \(Self.certificatesMaximum) certificates")
        }
        return distinct
    }
}
