import Cryptography
import Wire

/// How the two sides of phase 1 prove who they are, by the number of the authentication-method attribute (RFC 2409
/// appendix A, RFC 4754 section 6).
///
/// A further method is a further case and its answers in ``PhaseOneAuthentication``. For GSS-API (Kerberos, 65001;
/// draft-ietf-ipsec-isakmp-gss-auth) these are: `root` as for signatures; the payload with the tokens in `rules`; and
/// what wraps HASH_I and HASH_R in a piece of work beside the loop, as ``SignatureAuthentication`` is one.
public enum PhaseOneAuthenticationMethod: UInt16, CaseIterable, Sendable, CustomStringConvertible {
    /// A pre-shared key (RFC 2409 section 5.4).
    case preSharedKey = 1
    /// RSA signatures (RFC 2409 section 5.1).
    case rsaSignature = 3
    /// ECDSA with SHA-256 on P-256 (RFC 4754).
    case ecdsaSignatureP256 = 9
    /// ECDSA with SHA-384 on P-384 (RFC 4754).
    case ecdsaSignatureP384 = 10
    /// ECDSA with SHA-512 on P-521 (RFC 4754).
    case ecdsaSignatureP521 = 11

    /// Whether a SIG payload stands where a pre-shared key has HASH.
    public var isSignature: Bool { self != .preSharedKey }

    /// The usual short name.
    public var description: String {
        switch self {
        case .preSharedKey: "psk"
        case .rsaSignature: "rsa-signature"
        case .ecdsaSignatureP256: "ecdsa-p256"
        case .ecdsaSignatureP384: "ecdsa-p384"
        case .ecdsaSignatureP521: "ecdsa-p521"
        }
    }
}

/// What differs between the authentication methods, in main mode and in aggressive mode, and nothing else: SKEYID, which
/// payloads are legal, how our proof is made and how the peer's is checked.
///
/// The exchanges compute HASH_I and HASH_R (``KeyMaterial/identityHash``); a method says in which payloads they travel.
struct PhaseOneAuthentication: Sendable {
    let method: PhaseOneAuthenticationMethod

    // MARK: - Keys

    /// SKEYID (RFC 2409 section 5): prf(pre-shared-key, Ni_b | Nr_b), or for signatures prf(Ni_b | Nr_b, g^xy).
    func root(
        hash: HashAlgorithm, preSharedKey: SecretBytes?, initiatorNonce: [UInt8], responderNonce: [UInt8],
        sharedSecret: SecretBytes
    ) throws(IKEDrop) -> SecretBytes {
        guard method.isSignature else {
            guard let preSharedKey else { throw .noPreSharedKey }
            var prf = HMAC(hash, key: preSharedKey)
            prf.update(initiatorNonce)
            prf.update(responderNonce)
            return prf.finishSecret()
        }
        var prf = HMAC(hash, key: SecretBytes(initiatorNonce + responderNonce))
        prf.update(sharedSecret)
        return prf.finishSecret()
    }

    /// The hash of the HMAC that gives HASH_I and HASH_R. For ECDSA the method names it, whatever was negotiated for the
    /// rest (RFC 4754 section 4); RSA signs what the negotiated one gives (RFC 2409 section 5.1).
    func proofHash(negotiated: HashAlgorithm) -> HashAlgorithm {
        switch method {
        case .preSharedKey, .rsaSignature: negotiated
        case .ecdsaSignatureP256: .sha256
        case .ecdsaSignatureP384: .sha384
        case .ecdsaSignatureP521: .sha512
        }
    }

    // MARK: - Payloads

    /// The message that carries a proof: main mode's 5 (and 6), aggressive mode's 2 and 3.
    enum Step: Sendable {
        case mainMode
        case aggressiveSecond
        case aggressiveThird
    }

    /// Which payloads the message of `step` may carry with this method.
    func rules(_ step: Step) -> PayloadRules {
        var occurrences: [PayloadType: ClosedRange<Int>] =
            switch step {
            case .mainMode: PayloadRules.mainModeAuthentication.occurrences
            case .aggressiveSecond: PayloadRules.aggressiveSecond.occurrences
            case .aggressiveThird: PayloadRules.aggressiveThird.occurrences
            }
        if method.isSignature {
            occurrences[.hash] = nil
            occurrences[.signature] = 1...1
            occurrences[.certificate] = 0...SignatureAuthentication.certificatesMaximum
            occurrences[.certificateRequest] = PayloadRules.certificateRequests
        }
        return PayloadRules(first: step == .aggressiveSecond ? .securityAssociation : nil, occurrences: occurrences)
    }

    /// Our proof of `hash`, which is HASH_I or HASH_R as our role says. A signature takes too long for the control loop:
    /// ``SignatureAuthentication`` makes and checks those.
    func proof(of hash: [UInt8]) throws(IKEDrop) -> [Payload] {
        switch method {
        case .preSharedKey: return [Payload(type: .hash, body: hash)]
        case .rsaSignature, .ecdsaSignatureP256, .ecdsaSignatureP384, .ecdsaSignatureP521: throw .unexpectedPayload
        }
    }

    /// Checks the peer's proof of `hash`, which we computed for its role.
    func check(_ chain: PayloadChain, proves hash: [UInt8]) throws(IKEDrop) {
        switch method {
        case .preSharedKey:
            guard let received = chain[.hash] else { throw .missingPayload }
            guard constantTimeEqual(hash.span.bytes, received.span.bytes) else { throw .hashMismatch }
        case .rsaSignature, .ecdsaSignatureP256, .ecdsaSignatureP384, .ecdsaSignatureP521: throw .unexpectedPayload
        }
    }
}
