import Cryptography
import Wire

/// The peer's proof by signature, to be checked, and ours, to be made when it holds, or one of both: work of some
/// milliseconds beside the control loop. A value with all that is needed, so that a reload meanwhile changes nothing.
struct SignatureAuthentication: Sendable {
    /// The most certificates of one message, those in a PKCS#7 payload counted one by one.
    static let certificatesMaximum = CertificateTrust.intermediatesMaximum + 1

    /// Nil where there is nothing to check.
    var peer: PeerSignature?
    /// Nil where there is nothing to sign.
    var own: OwnSignature?

    /// HASH_I or HASH_R as our role says, and with what to sign it.
    struct OwnSignature: Sendable {
        let hash: [UInt8]
        let key: SignatureKey
    }

    /// What is there when all is done.
    struct Proven: Sendable {
        /// SIG_I or SIG_R of ours; empty where none was wanted.
        var signature: [UInt8] = []
    }

    /// Believes the peer as far as that goes without asking anybody, or says why not; signs unless there is a question.
    func begin(id: UInt64, wallSeconds: Int64) -> IKEWorkStep {
        do throws(CertificateRefusal) {
            if let peer {
                let chain = try peer.verify(wallSeconds: wallSeconds)
                if let inquiry = try inquiry(id: id, peer.certificates, chain) { return .ask(inquiry) }
            }
            return .done(IKEWorkResult(id: id, authentication: sign()))
        } catch {
            return .done(IKEWorkResult(id: id, authentication: .failure(error)))
        }
    }

    /// Our signature, where one is wanted.
    func sign() -> Result<Proven, CertificateRefusal> {
        guard let own else { return .success(Proven()) }
        do {
            return .success(Proven(signature: try own.key.sign(hash: own.hash)))
        } catch {
            return .failure(CertificateRefusal(.weakKey, "our own key does not sign"))
        }
    }

    /// What to ask about the chain of a peer that has proven itself, if anything.
    private func inquiry(
        id: UInt64, _ certificates: IKECertificates, _ chain: [Certificate]
    ) throws(CertificateRefusal) -> IKEStatusInquiry? {
        guard let policy = certificates.onlineStatus else { return nil }
        var generator = SystemRandom()
        do {
            let questions = try policy.questions(about: chain, using: &generator)
            guard !questions.isEmpty else { return nil }
            return IKEStatusInquiry(
                questions: questions, id: id, authentication: self, trust: certificates.trust,
                isRequired: policy.isRequired)
        } catch {
            throw CertificateRefusal(.revocationUnknown, "a question to an OCSP responder cannot be made: \(error)")
        }
    }
}

/// What a peer has sent to prove itself by a signature.
struct PeerSignature: Sendable {
    let method: PhaseOneAuthenticationMethod
    let certificates: IKECertificates
    /// Its certificate payloads, in order.
    let payloads: [CertificatePayload]
    let identity: IKEIdentity
    /// HASH_I or HASH_R, and what is said to be its signature.
    let hash: [UInt8]
    let signature: [UInt8]
    /// Who may come in, as ``Certificate/hasName(like:)`` has it; empty for everybody.
    var allowed: [String] = []
    /// Whom we have called, where it was us: its certificate has to confirm that name, too.
    var wanted: IKEIdentity?

    /// Checks the signature, and of the certificate whose key made it the chain, the name and the right to come in.
    /// Gives that chain.
    func verify(wallSeconds: Int64) throws(CertificateRefusal) -> [Certificate] {
        var received = try parsed()
        guard let first = received.first else { throw CertificateRefusal(.noCertificate) }
        // RFC 2409 leaves the order open: the certificate is the one that verifies.
        let signer = received.firstIndex {
            PhaseOneAuthenticationMethod($0.keyKind) == method && $0.verifies(signature, of: hash)
        }
        guard let signer else {
            let kind =
                PhaseOneAuthenticationMethod(first.keyKind) == method
                ? "" : ", a key of another kind (\(first.keyKind))"
            throw CertificateRefusal(.badSignature, first.subjectText + kind)
        }
        let certificate = received.remove(at: signer)
        let chain = try certificates.trust.verify(
            certificate, with: received, at: wallSeconds, isServer: wanted != nil)
        guard let claim = identity.certificateClaim, certificate.confirms(claim) else {
            throw CertificateRefusal(
                .wrongName, "\(certificate.subjectText) does not confirm the identity \(identity)")
        }
        if let wanted, wanted != identity {
            guard let claim = wanted.certificateClaim, certificate.confirms(claim) else {
                throw CertificateRefusal(
                    .wrongName, "\(certificate.subjectText) is not that of \(wanted), who was called")
            }
        }
        guard allowed.isEmpty || allowed.contains(where: { certificate.hasName(like: $0) }) else {
            throw CertificateRefusal(.wrongName, "\(certificate.subjectText) is not among the client identities")
        }
        return chain
    }

    private func parsed() throws(CertificateRefusal) -> [Certificate] {
        var certificates: [Certificate] = []
        for payload in payloads {
            do throws(CertificateError) {
                switch payload.encoding {
                case CertificateEncoding.x509Signature: certificates.append(try Certificate(der: payload.data))
                case CertificateEncoding.pkcs7:
                    certificates += try Certificate.all(
                        inPKCS7: payload.data, maximum: SignatureAuthentication.certificatesMaximum)
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
        let maximum = SignatureAuthentication.certificatesMaximum
        guard distinct.count <= maximum else {
            throw CertificateRefusal(.invalidChain, "more than \(maximum) certificates")
        }
        return distinct
    }
}
