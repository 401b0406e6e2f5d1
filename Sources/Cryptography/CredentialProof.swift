import Wire

/// What a user sent to prove who he is, together with what he was asked. Whoever knows the password can check it, at any
/// later time: PPP makes the proof, Accounts (or, one day, a RADIUS server) judges it.
public enum CredentialProof: Sendable {
    /// PAP, RFC 1334: the password itself.
    case pap(password: SecretBytes)
    /// CHAP with MD5, RFC 1994 section 4.1.
    case chapMD5(identifier: UInt8, challenge: [UInt8], response: [UInt8])
    /// MS-CHAPv2, RFC 2759: challenges of 16 octets, an NT-Response of 24, the user name as it was sent.
    case msChapV2(authenticatorChallenge: [UInt8], peerChallenge: [UInt8], ntResponse: [UInt8], userName: [UInt8])

    /// Whether the proof was made with `password` (UTF-8). The comparison takes the same time wherever two values differ.
    public func verify(password: SecretBytes) -> ProofVerdict {
        switch self {
        case .pap(let sent):
            // Digests, so that not even the length of the password shows in the time.
            let equal = constantTimeEqual(
                HashAlgorithm.sha256.digest([UInt8](copying: sent.span)).span.bytes,
                HashAlgorithm.sha256.digest([UInt8](copying: password.span)).span.bytes)
            return equal ? .accepted(ProofAcceptance()) : .refused
        case .chapMD5(let identifier, let challenge, let response):
            // RFC 1994 section 4.1: the hash of identifier, secret and challenge.
            let expected = HashAlgorithm.md5.digest([identifier], [UInt8](copying: password.span), challenge)
            return constantTimeEqual(expected.span.bytes, response.span.bytes) ? .accepted(ProofAcceptance()) : .refused
        case .msChapV2(let authenticatorChallenge, let peerChallenge, let ntResponse, let userName):
            let exchange = MSCHAPv2(
                authenticatorChallenge: authenticatorChallenge, peerChallenge: peerChallenge, userName: userName)
            let passwordHash = MSCHAPv2.ntPasswordHash(password)
            guard let expected = try? exchange.ntResponse(passwordHash: passwordHash),
                constantTimeEqual(expected.span.bytes, ntResponse.span.bytes)
            else { return .refused }
            return .accepted(
                ProofAcceptance(
                    authenticatorResponse: exchange.authenticatorResponse(
                        passwordHash: passwordHash, ntResponse: ntResponse),
                    masterKey: MSCHAPv2.masterKey(passwordHash: passwordHash, ntResponse: ntResponse)))
        }
    }
}

/// What came of checking a ``CredentialProof``.
public enum ProofVerdict: Sendable {
    /// The password is the right one.
    case accepted(ProofAcceptance)
    /// It is not.
    case refused

    /// What acceptance brought, or nil.
    public var acceptance: ProofAcceptance? {
        if case .accepted(let acceptance) = self { acceptance } else { nil }
    }
}

/// What an accepted proof leaves to be done.
public struct ProofAcceptance: Sendable {
    /// MS-CHAPv2: our own proof that we know the password, `S=` and 40 hexadecimal digits (RFC 2759 section 5).
    public let authenticatorResponse: String?
    /// MS-CHAPv2: the master key of 16 octets from which session keys are made (RFC 3079 section 3.4).
    public let masterKey: SecretBytes?

    /// What an accepted proof of the given method leaves; nothing, unless it is MS-CHAPv2.
    public init(authenticatorResponse: String? = nil, masterKey: SecretBytes? = nil) {
        (self.authenticatorResponse, self.masterKey) = (authenticatorResponse, masterKey)
    }
}
