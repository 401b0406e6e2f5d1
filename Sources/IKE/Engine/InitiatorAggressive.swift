import Cryptography
import Wire

// Aggressive mode as initiator (RFC 2409 sections 5.1 and 5.4, RFC 3947 section 3.2).
//
//    1  HDR, SA, KE, Ni, IDii [, CERTREQ..]   ->
//    2                                        <-  HDR, SA, KE, Nr, IDir, HASH_R or [CERT..,] SIG_R, NAT-D..
//    3  HDR*, HASH_I or CERT.., SIG_I, NAT-D..->
//
// Message 2 is in clear and proves nothing before it is computed with: what does not verify is put aside, and the true one
// may still come.
extension IKEEngine {
    /// Our key pair is there: message 1.
    mutating func sendAggressiveOffer(
        _ association: Association, _ initiation: Association.Initiation, _ pair: DiffieHellmanKeyPair, now: Instant
    ) {
        var payloads = [
            Payload(type: .securityAssociation, body: initiation.securityAssociation),
            Payload(type: .keyExchange, body: pair.publicValue), Payload(type: .nonce, body: initiation.nonce),
            Payload(type: .identification, body: initiation.identification),
        ]
        if initiation.own != nil, let certificates = configuration.certificates {
            payloads += CertificateRequestPayload.all(for: certificates.trust.authorities)
        }
        setStep(.offered(pair), of: association.ownCookie)
        send(payloads + Self.ownVendorIDs, of: association.ownCookie, now: now)
    }

    /// Aggressive mode, message 2.
    mutating func receiveAggressiveChoice(
        _ message: Incoming, _ association: Association, _ initiation: Association.Initiation,
        _ pair: DiffieHellmanKeyPair, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        let offer = try readChoice(chain, initiation)
        try chain.check(offer.chosen.authentication.rules(.aggressiveSecond))
        try beginAgreement(message, chain, association, offer, pair)
    }

    /// Message 2 and the shared secret are there.
    mutating func checkAggressiveAnswer(
        _ association: Association, _ initiation: Association.Initiation, _ answer: Association.Initiation.Answer,
        _ pair: DiffieHellmanKeyPair, _ sharedSecret: SecretBytes, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let cookies = answer.message.header.cookies
        do throws(IKEDrop) {
            let (known, path) = try derive(cookies, association.path, initiation, answer, pair, sharedSecret)
            guard let identification = answer.chain[.identification] else { throw .missingPayload }
            let last = Association.Initiation.Last(
                message: answer.message, chain: answer.chain,
                identity: try IdentificationPayload(parsing: identification).identity)
            let authentication = answer.offer.chosen.authentication
            let hash = known.initiatorHash(cookies, identification: initiation.identification)
            guard !authentication.method.isSignature else {
                return try checkAggressiveSignature(association, initiation, known, path, last, pair, ownHash: hash)
            }
            try authentication.check(
                answer.chain, proves: known.responderHash(cookies, identification: identification))
            guard isWanted(last.identity, association, initiation, now: now, using: &generator) else {
                throw .preSharedKeyOfOtherIdentity
            }
            try sendAggressiveProof(
                association, initiation, known, path, last, proof: try authentication.proof(of: hash), now: now,
                using: &generator)
        } catch {
            setStep(.offered(pair), of: association.ownCookie)
            throw error
        }
    }

    /// Has message 2 checked and, if it holds, message 3 signed.
    private mutating func checkAggressiveSignature(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ path: IKEPath, _ last: Association.Initiation.Last, _ pair: DiffieHellmanKeyPair, ownHash: [UInt8]
    ) throws(IKEDrop) {
        guard let own = initiation.own else { throw .certificateRefused }
        let work = SignatureAuthentication(
            peer: try peerSignature(initiation, known, last.message.header.cookies, last),
            own: SignatureAuthentication.OwnSignature(hash: ownHash, key: own.key))
        let id = try enqueueWork(
            known.offer.chosen.suite.group, .authenticate(work), for: .phaseOne(association.ownCookie))
        setStep(.proving(known, path, last, pair, workID: id), of: association.ownCookie)
    }

    /// Message 2 is checked and message 3 signed.
    mutating func completeAggressiveProof(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ path: IKEPath, _ last: Association.Initiation.Last, _ pair: DiffieHellmanKeyPair, _ result: IKEWorkResult,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        switch result.authentication {
        case .success(let proven):
            try sendAggressiveProof(
                association, initiation, known, path, last, proof: ownProof(initiation, proven.signature), now: now,
                using: &generator)
        case .failure(let refusal):
            var doubting = initiation
            doubting.step = .offered(pair)
            doubting.doubt = Association.Initiation.Doubt(
                reason: IKERefusalReason(refusal.reason),
                detail: refusal.detail.isEmpty ? "\(last.identity)" : refusal.detail)
            associations[association.ownCookie]?.state = .initiating(doubting)
            throw .certificateRefused
        case nil: throw .staleWorkResult
        }
    }

    /// Message 3, and the end.
    private mutating func sendAggressiveProof(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ path: IKEPath, _ last: Association.Initiation.Last, proof: [Payload], now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let cookies = last.message.header.cookies
        let payloads =
            proof + detectionPayloads(known.offer, cookies, association.path) + initialContact(cookies, initiation)
        let encrypted = try known.keys.encrypt(MessageWriter.chain(payloads), iv: known.initializationVector)
        let header = Header(cookies: cookies, exchange: .aggressive, flags: .encryption)
        let message = MessageWriter.message(header, first: payloads[0].type, body: encrypted)
        var association = association
        association.cookies = cookies
        association.path = path
        association.capabilities = PeerCapabilities(known.offer.vendorIDs)
        association.remember(last.message.digest, answer: message)
        // What is sent in fragments is sent for an SA that is known.
        associations[association.ownCookie] = association
        transmit(message, on: path)
        finishInitiation(
            association, initiation, known, last, lastBlock: known.keys.nextInitializationVector(after: encrypted),
            now: now, using: &generator)
    }
}
