import Cryptography
import Wire

/// The pre-shared keys that may be the peer's, and what it takes to try them: all that the keys of main mode depend on.
struct PreSharedKeyTrial: Sendable {
    /// The keys, in the order in which they are tried.
    let candidates: [PreSharedKey]
    /// Nil where there is one candidate alone: then nothing is to be derived any more.
    private let ingredients: Ingredients?

    private struct Ingredients: Sendable {
        let initiatorNonce: [UInt8]
        let responderNonce: [UInt8]
        let sharedSecret: SecretBytes
    }

    /// A trial of `candidates`; nil where there is none.
    init?(
        _ candidates: [PreSharedKey], initiatorNonce: [UInt8], responderNonce: [UInt8], sharedSecret: SecretBytes
    ) {
        guard !candidates.isEmpty else { return nil }
        self.candidates = candidates
        ingredients =
            candidates.count == 1
            ? nil
            : Ingredients(
                initiatorNonce: initiatorNonce, responderNonce: responderNonce, sharedSecret: sharedSecret)
    }

    /// The keys that `candidate` gives in an exchange of which `known` holds those of the first.
    func keys(
        of candidate: PreSharedKey, _ known: Association.Unauthenticated, _ cookies: IKECookies
    ) throws(IKEDrop) -> KeyMaterial {
        guard let ingredients, let first = candidates.first, !candidate.secret.isIdentical(to: first.secret) else {
            return known.keys
        }
        let chosen = known.offer.chosen
        return try KeyMaterial(
            suite: chosen.suite, authentication: chosen.authentication, preSharedKey: candidate.secret,
            initiatorNonce: ingredients.initiatorNonce, responderNonce: ingredients.responderNonce,
            sharedSecret: ingredients.sharedSecret, cookies: cookies)
    }

    /// Whether `candidate` lets `identity` in: a name that has a key of its own does not come in by everybody's.
    func isFitting(_ candidate: PreSharedKey, for identity: IKEIdentity) -> Bool {
        if let name = candidate.identity { return identity.isNamed(name) }
        return !candidates.contains { $0.identity.map(identity.isNamed) ?? false }
    }
}

// Main mode with pre-shared keys (RFC 2409 section 5.4): messages 5 and 6.
//
//    5  HDR*, IDii, HASH_I  ->
//    6                      <-  HDR*, IDir, HASH_R
//
// Which key it is decides how message 5 decrypts, and only then there is an identity: so each key that the peer may have
// is tried, until one gives a message with the right HASH_I from somebody whom the key is for.
extension IKEEngine {
    private struct Proof {
        let key: PreSharedKey
        let keys: KeyMaterial
        let chain: PayloadChain
        let identity: IKEIdentity
    }

    mutating func receiveAuthentication(
        _ message: Incoming, _ association: Association, _ known: Association.Unauthenticated, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.isEncrypted else { throw .clearTooLate }
        guard let trial = known.trial else { throw .wrongState }
        let block = known.keys.cipher.blockLength
        guard message.bytes.count > Header.byteCount, (message.bytes.count - Header.byteCount) % block == 0 else {
            throw .notBlockMultiple
        }
        guard known.failedProofs < limits.failedProofsMaximum else { throw .tooManyFailedProofs }
        var other: Proof?
        for candidate in trial.candidates {
            guard let proof = try? prove(candidate, trial, message, association.cookies, known) else { continue }
            if trial.isFitting(candidate, for: proof.identity) {
                return try answerAuthentication(message, association, known, proof, now: now, using: &generator)
            }
            other = other ?? proof
        }
        if let other {
            refuseProof(
                message, association, known, reason: .preSharedKeyOfOtherIdentity,
                detail: "it has the key of \(other.key.owner) and names itself \(other.identity)", now: now,
                using: &generator)
            throw .preSharedKeyOfOtherIdentity
        }
        // A wrong key gives wrong keys, so message 5 decrypts into noise (RFC 2409 section 5.4).
        refuseProof(
            message, association, known, reason: .preSharedKeyMismatch,
            detail: trial.candidates.count == 1 ? "" : "none of \(trial.candidates.count) keys fits", now: now,
            using: &generator)
        throw .preSharedKeyMismatch
    }

    /// Reads message 5 as one of who knows `candidate`.
    private func prove(
        _ candidate: PreSharedKey, _ trial: PreSharedKeyTrial, _ message: Incoming, _ cookies: IKECookies,
        _ known: Association.Unauthenticated
    ) throws(IKEDrop) -> Proof {
        let keys = try trial.keys(of: candidate, known, cookies)
        var tried = known
        tried.keys = keys
        let plain = try keys.decrypt(message.body, iv: known.initializationVector)
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        let authentication = known.offer.chosen.authentication
        try chain.check(authentication.rules(.mainMode))
        guard let body = chain[.identification] else { throw .missingPayload }
        try authentication.check(chain, proves: tried.initiatorHash(cookies, identification: body))
        let identity = try IdentificationPayload(parsing: body).identity
        return Proof(key: candidate, keys: keys, chain: chain, identity: identity)
    }

    /// Refuses a message that proves nothing, and reports that once per exchange. The exchange stays as it is:
    /// the message may have been forged.
    mutating func refuseProof(
        _ message: Incoming, _ association: Association, _ known: Association.Unauthenticated,
        reason: IKERefusalReason, detail: String = "", now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        var counted = known
        counted.failedProofs += 1
        let isAggressive = association.exchange == .aggressive
        associations[association.ownCookie]?.state =
            isAggressive ? .awaitingProof(counted) : .awaitingAuthentication(counted)
        guard known.failedProofs == 0 else { return }
        // The address that message 3 proved: that of this message may be forged.
        let isHome = message.path.remote.address == association.path.remote.address
        failures.note(association.path.remote.address, limits: limits, now: now)
        refuse(
            isHome ? message.path : association.path, association.cookies, peer: nil,
            step: isAggressive ? .aggressiveMode : .mainModeAuthentication, reason: reason, detail: detail, now: now)
        if isHome { notify(.authenticationFailed, inAnswerTo: message, now: now, using: &generator) }
    }

    private mutating func answerAuthentication(
        _ message: Incoming, _ association: Association, _ known: Association.Unauthenticated, _ proof: Proof,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard hasRoomForAssociation else {
            refuse(
                message.path, association.cookies, peer: nil, step: .mainModeAuthentication, reason: .limitReached,
                detail: "ISAKMP SAs", now: now)
            throw .tooManyAssociations
        }
        let (cookies, keys) = (association.cookies, proof.keys)
        let own = ownIdentification(message.path)
        var known = known
        known.keys = keys
        let hash = known.responderHash(cookies, identification: own)
        let encrypted = try keys.encrypt(
            MessageWriter.chain(
                [Payload(type: .identification, body: own)] + known.offer.chosen.authentication.proof(of: hash)),
            iv: keys.nextInitializationVector(after: message.bytes))
        let header = Header(cookies: cookies, exchange: .identityProtection, flags: .encryption)
        establish(
            association,
            Outcome(
                identity: proof.identity, offer: known.offer, keys: keys, nat: known.nat,
                hidesOwnNAT: known.hidesOwnNAT, lastBlock: keys.nextInitializationVector(after: encrypted),
                path: message.path, request: message.digest, chain: proof.chain,
                answer: MessageWriter.message(header, first: .identification, body: encrypted),
                preSharedKey: proof.key.secret),
            now: now, using: &generator)
    }
}
