import Cryptography
import Wire

// Main mode as initiator (RFC 2409 sections 5.1 and 5.4), with pre-shared keys, or with signatures and certificates.
//
//    1  HDR, SA                                      ->
//    2                                               <-  HDR, SA                             our key pair is made
//    3  HDR, KE, Ni [, NAT-D..]                      ->
//    4                                               <-  HDR, KE, Nr [, CERTREQ..][, NAT-D..]   Diffie-Hellman, signature
//    5  HDR*, IDii, HASH_I or CERT.., SIG_I, CERTREQ ->
//    6                                               <-  HDR*, IDir, HASH_R or CERT.., SIG_R    signature checked
extension IKEEngine {
    /// Main mode, message 2.
    mutating func receiveChoice(
        _ message: Incoming, _ association: Association, _ initiation: Association.Initiation, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        try chain.check(.mainModeFirst)
        let offer = try readChoice(chain, initiation)
        let cookie = association.ownCookie
        let work = try enqueueWork(offer.chosen.suite.group, .generate, for: .phaseOne(cookie))
        answered(.phaseOne(cookie))
        associations[cookie]?.cookies = message.header.cookies
        associations[cookie]?.capabilities = PeerCapabilities(offer.vendorIDs)
        setStep(.generating(offer, workID: work), of: cookie)
    }

    /// Main mode, message 3.
    mutating func sendPublicValue(
        _ association: Association, _ initiation: Association.Initiation, _ offer: Association.Offer,
        _ pair: DiffieHellmanKeyPair, now: Instant
    ) {
        var payloads = [
            Payload(type: .keyExchange, body: pair.publicValue), Payload(type: .nonce, body: initiation.nonce),
        ]
        payloads += detectionPayloads(offer, association.cookies, association.path)
        setStep(.exchanged(offer, pair), of: association.ownCookie)
        send(payloads, of: association.ownCookie, now: now)
    }

    /// Main mode, message 4.
    mutating func receivePublicValue(
        _ message: Incoming, _ association: Association, _ initiation: Association.Initiation,
        _ offer: Association.Offer, _ pair: DiffieHellmanKeyPair
    ) throws(IKEDrop) {
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        try chain.check(.mainModeKeyExchange)
        try beginAgreement(message, chain, association, offer, pair)
    }

    // MARK: - Message 5

    mutating func sendAuthentication(
        _ association: Association, _ initiation: Association.Initiation, _ answer: Association.Initiation.Answer,
        _ pair: DiffieHellmanKeyPair, _ sharedSecret: SecretBytes, now: Instant
    ) throws(IKEDrop) {
        let cookies = association.cookies
        let (known, path) = try derive(cookies, association.path, initiation, answer, pair, sharedSecret)
        let authentication = known.offer.chosen.authentication
        guard !authentication.method.isSignature else {
            return try signAuthentication(association, initiation, known, path, answer.chain.requestedAuthorities)
        }
        let hash = known.initiatorHash(cookies, identification: initiation.identification)
        try sendAuthentication(
            association, initiation, known, path, proof: try authentication.proof(of: hash), now: now)
    }

    private mutating func sendAuthentication(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ path: IKEPath, proof: [Payload], now: Instant
    ) throws(IKEDrop) {
        let payloads =
            [Payload(type: .identification, body: initiation.identification)] + proof
            + initialContact(association.cookies, initiation)
        var known = known
        let encrypted = try known.keys.encrypt(MessageWriter.chain(payloads), iv: known.initializationVector)
        known.initializationVector = known.keys.nextInitializationVector(after: encrypted)
        let header = Header(cookies: association.cookies, exchange: association.exchange, flags: .encryption)
        associations[association.ownCookie]?.path = path
        setStep(.authenticating(known), of: association.ownCookie)
        transmitUntilAnswered(
            MessageWriter.message(header, first: .identification, body: encrypted), on: path,
            for: .phaseOne(association.ownCookie), now: now)
    }

    /// Chooses a certificate by what the peer asks for, and has message 5 signed.
    private mutating func signAuthentication(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ path: IKEPath, _ requestedAuthorities: [[UInt8]]
    ) throws(IKEDrop) {
        let chosen = known.offer.chosen
        // They may have been taken out of the configuration meanwhile; then the exchange ends by its time.
        guard let own = configuration.certificates?.identity(for: chosen.method, requested: requestedAuthorities) else {
            throw .certificateRefused
        }
        var signing = initiation
        signing.own = own
        signing.identification = ownIdentification(initiation.wanted, by: own)
        let hash = known.initiatorHash(association.cookies, identification: signing.identification)
        let work = SignatureAuthentication(own: SignatureAuthentication.OwnSignature(hash: hash, key: own.key))
        let id = try enqueueWork(chosen.suite.group, .authenticate(work), for: .phaseOne(association.ownCookie))
        signing.step = .signing(known, path, workID: id)
        associations[association.ownCookie]?.state = .initiating(signing)
    }

    /// Message 5 is signed.
    mutating func completeAuthentication(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ path: IKEPath, _ result: IKEWorkResult, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        switch result.authentication {
        case .success(let proven):
            try sendAuthentication(
                association, initiation, known, path, proof: ownProof(initiation, proven.signature), now: now)
        case .failure(let refusal):
            failInitiation(
                association.ownCookie, reason: IKERefusalReason(refusal.reason), detail: refusal.detail, now: now,
                using: &generator)
            throw .certificateRefused
        case nil: throw .staleWorkResult
        }
    }

    /// What proves us by a signature, and what we want to see of the peer.
    func ownProof(_ initiation: Association.Initiation, _ signature: [UInt8]) -> [Payload] {
        (initiation.own.map(CertificatePayload.all) ?? []) + [Payload(type: .signature, body: signature)]
            + CertificateRequestPayload.all(for: configuration.certificates?.trust.authorities ?? [])
    }

    // MARK: - Message 6

    mutating func receiveAuthenticationAnswer(
        _ message: Incoming, _ association: Association, _ initiation: Association.Initiation,
        _ known: Association.Unauthenticated, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.isEncrypted else { throw .clearTooLate }
        let plain = try known.keys.decrypt(message.body, iv: known.initializationVector)
        // What does not verify may be forged: the true answer may still come.
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        let authentication = known.offer.chosen.authentication
        try chain.check(authentication.rules(.mainMode))
        guard let identification = chain[.identification] else { throw .missingPayload }
        let last = Association.Initiation.Last(
            message: message, chain: chain, identity: try IdentificationPayload(parsing: identification).identity)
        if authentication.method.isSignature {
            let work = SignatureAuthentication(
                peer: try peerSignature(initiation, known, association.cookies, last))
            let id = try enqueueWork(
                known.offer.chosen.suite.group, .authenticate(work), for: .phaseOne(association.ownCookie))
            return setStep(.verifying(known, last, workID: id), of: association.ownCookie)
        }
        try authentication.check(
            chain, proves: known.responderHash(association.cookies, identification: identification))
        guard isWanted(last.identity, association, initiation, now: now, using: &generator) else {
            throw .preSharedKeyOfOtherIdentity
        }
        finishInitiation(
            association, initiation, known, last,
            lastBlock: known.keys.nextInitializationVector(after: message.bytes), now: now, using: &generator)
    }

    /// Message 6 is checked. Only who shares the exchange's keys can have sent it, so that a refusal ends it.
    mutating func completeVerification(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ last: Association.Initiation.Last, _ result: IKEWorkResult, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        switch result.authentication {
        case .success:
            finishInitiation(
                association, initiation, known, last,
                lastBlock: known.keys.nextInitializationVector(after: last.message.bytes), now: now, using: &generator)
        case .failure(let refusal):
            failInitiation(
                association.ownCookie, reason: IKERefusalReason(refusal.reason),
                detail: refusal.detail.isEmpty ? "\(last.identity)" : refusal.detail, now: now, using: &generator)
            throw .certificateRefused
        case nil: throw .staleWorkResult
        }
    }
}
