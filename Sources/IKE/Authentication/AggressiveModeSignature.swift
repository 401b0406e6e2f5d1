import Cryptography
import Wire

// Aggressive mode with signatures, as responder (RFC 2409 section 5.1, RFC 4754).
//
//    1  HDR, SA, KE, Ni, IDii [, CERTREQ]     ->
//    2                                        <-  HDR, SA, KE, Nr, IDir [, CERT..], SIG_R, CERTREQ.., NAT-D..
//    3  HDR*, [CERT..,] SIG_I, NAT-D..        ->      possibly in clear, possibly from port 4500
//
// No dictionary helps against a signature, but it costs still more than a Diffie-Hellman, and a certificate does not fit
// into 1.5 times message 1: so there is a switch of its own (``IKEConfiguration/allowsAggressiveSignatures``).
extension IKEEngine {
    // MARK: - Message 2

    /// Has message 2 signed.
    mutating func signAggressiveAnswer(
        _ association: Association, _ exchange: Association.Aggressive, _ known: Association.Unauthenticated,
        nonce: [UInt8]
    ) throws(IKEDrop) {
        let chosen = exchange.offer.chosen
        guard let certificates = configuration.certificates,
            let own = certificates.identity(for: chosen.method, requested: exchange.requestedAuthorities ?? [])
            // They were taken out of the configuration meanwhile.
        else { throw .certificateRefused }
        let identity = certificates.ownIdentity(own, address: association.path.local.address)
        let identification = IdentificationPayload(identity: identity).body
        let hash = known.responderHash(association.cookies, identification: identification)
        let work = SignatureAuthentication(own: SignatureAuthentication.OwnSignature(hash: hash, key: own.key))
        var signing = exchange
        signing.workID = try enqueueWork(
            chosen.suite.group, .authenticate(work), for: .phaseOne(association.ownCookie))
        signing.answer = Association.Aggressive.Answer(
            known: known, nonce: nonce, identification: identification, certificates: CertificatePayload.all(of: own))
        associations[association.ownCookie]?.state = .computingAggressive(signing)
    }

    /// Sends message 2: to who has not asked for our certificates only with those that leave it small.
    mutating func completeAggressiveSignature(
        _ association: Association, _ exchange: Association.Aggressive, _ answer: Association.Aggressive.Answer,
        _ result: IKEWorkResult
    ) throws(IKEDrop) {
        guard case .success(let proven)? = result.authentication else { throw .certificateRefused }
        let requests = CertificateRequestPayload.all(for: configuration.certificates?.trust.authorities ?? [])
        let proof = [Payload(type: .signature, body: proven.signature)] + requests
        var bytes = aggressiveAnswer(
            association, exchange, answer.known, nonce: answer.nonce, identification: answer.identification,
            proof: answer.certificates + proof)
        if exchange.requestedAuthorities == nil,
            !Self.isWithinAmplification(answer: bytes.count, question: exchange.questionBytes)
        {
            bytes = aggressiveAnswer(
                association, exchange, answer.known, nonce: answer.nonce, identification: answer.identification,
                proof: proof)
        }
        sendAggressiveAnswer(bytes, association, exchange, answer.known)
    }

    // MARK: - Message 3

    /// Has message 3 checked. What cannot be read, or is encrypted by other keys, is put aside: it may be forged.
    mutating func receiveAggressiveSignature(
        _ message: Incoming, _ association: Association, _ known: Association.Unauthenticated, now: Instant
    ) throws(IKEDrop) {
        guard message.path.remote.address == association.path.remote.address else { throw .otherAddress }
        guard known.failedProofs < limits.failedProofsMaximum else { throw .tooManyFailedProofs }
        let authentication = known.offer.chosen.authentication
        let plain =
            message.isEncrypted ? try known.keys.decrypt(message.body, iv: known.initializationVector) : message.body
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: message.isEncrypted,
            limit: limits.payloadsMaximum)
        try chain.check(authentication.rules(.aggressiveThird))
        guard let signature = chain[.signature] else { throw .missingPayload }
        let payloads = try chain.certificatePayloads
        let identity = try IdentificationPayload(parsing: known.identification).identity
        guard hasRoomForAssociation else {
            refuse(
                message.path, association.cookies, peer: nil, step: .aggressiveMode, reason: .limitReached,
                detail: "ISAKMP SAs", now: now)
            throw .tooManyAssociations
        }
        guard let certificates = configuration.certificates else {
            // They were taken out of the configuration meanwhile.
            forgetExchange(association.ownCookie)
            throw .certificateRefused
        }
        let work = SignatureAuthentication(
            peer: PeerSignature(
                method: authentication.method, certificates: certificates, payloads: payloads, identity: identity,
                hash: known.initiatorHash(association.cookies, identification: known.identification),
                signature: signature, allowed: certificates.clientIdentities))
        let id = try enqueueWork(
            known.offer.chosen.suite.group, .authenticate(work), for: .phaseOne(association.ownCookie))
        associations[association.ownCookie]?.state = .authenticating(
            Association.Authenticating(
                known: known, request: message.digest, path: message.path, chain: chain, identity: identity,
                ownPayloads: [], initializationVector: known.initializationVector, message: message, workID: id))
    }
}
