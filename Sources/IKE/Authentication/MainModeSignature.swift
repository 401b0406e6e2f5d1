import Cryptography
import Wire

// Main mode with signatures (RFC 2409 section 5.1): messages 5 and 6.
//
//    5  HDR*, IDii, [CERT..], SIG_I  ->                          certificates and signature are checked beside the loop
//    6                               <-  HDR*, IDir, CERT.., SIG_R
//
// The keys depend on no secret of the peer, so a message that decrypts into noise is a forgery, not a wrong key.
extension IKEEngine {
    mutating func receiveSignature(
        _ message: Incoming, _ association: Association, _ known: Association.Unauthenticated, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.isEncrypted else { throw .clearTooLate }
        let authentication = known.offer.chosen.authentication
        let plain = try known.keys.decrypt(message.body, iv: known.initializationVector)
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        try chain.check(authentication.rules(.mainMode))
        guard let body = chain[.identification], let signature = chain[.signature] else { throw .missingPayload }
        let identity = try IdentificationPayload(parsing: body).identity
        let payloads = try chain.certificatePayloads
        guard hasRoomForAssociation else {
            refuse(
                message.path, association.cookies, peer: nil, step: .mainModeAuthentication, reason: .limitReached,
                detail: "ISAKMP SAs", now: now)
            throw .tooManyAssociations
        }
        let requested = known.requestedAuthorities + chain.requestedAuthorities
        guard let certificates = configuration.certificates,
            let own = certificates.identity(for: authentication.method, requested: requested)
        else {
            // They were taken out of the configuration meanwhile.
            forgetExchange(association.ownCookie)
            throw .certificateRefused
        }
        let ownIdentity = IdentificationPayload(
            identity: certificates.ownIdentity(own, address: message.path.local.address))
        let cookies = association.cookies
        let work = SignatureAuthentication(
            peer: PeerSignature(
                method: authentication.method, certificates: certificates, payloads: payloads, identity: identity,
                hash: known.initiatorHash(cookies, identification: body), signature: signature,
                allowed: certificates.clientIdentities),
            own: SignatureAuthentication.OwnSignature(
                hash: known.responderHash(cookies, identification: ownIdentity.body), key: own.key))
        let id = try enqueueWork(
            known.offer.chosen.suite.group, .authenticate(work), for: .phaseOne(association.ownCookie))
        let ownPayloads =
            [Payload(type: .identification, body: ownIdentity.body)]
            + CertificatePayload.all(of: own)
        associations[association.ownCookie]?.state = .authenticating(
            Association.Authenticating(
                known: known, request: message.digest, path: message.path, chain: chain, identity: identity,
                ownPayloads: ownPayloads,
                initializationVector: known.keys.nextInitializationVector(after: message.bytes), message: message,
                workID: id))
    }

    /// Answers message 5, or refuses its sender.
    mutating func completeSignature(
        _ association: Association, _ exchange: Association.Authenticating, _ result: IKEWorkResult, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard exchange.workID == result.id, let authentication = result.authentication else { throw .staleWorkResult }
        let proven: SignatureAuthentication.Proven
        switch authentication {
        case .success(let value): proven = value
        case .failure(let refusal):
            refuseSignature(association, exchange, refusal, now: now, using: &generator)
            throw .certificateRefused
        }
        guard association.exchange == .identityProtection else {
            return finishAggressive(
                association, exchange.known, exchange.message, exchange.chain, exchange.identity, now: now,
                using: &generator)
        }
        let known = exchange.known
        let payloads = exchange.ownPayloads + [Payload(type: .signature, body: proven.signature)]
        let encrypted = try known.keys.encrypt(MessageWriter.chain(payloads), iv: exchange.initializationVector)
        let header = Header(cookies: association.cookies, exchange: .identityProtection, flags: .encryption)
        establish(
            association,
            Outcome(
                identity: exchange.identity, offer: known.offer, keys: known.keys, nat: known.nat,
                hidesOwnNAT: known.hidesOwnNAT, lastBlock: known.keys.nextInitializationVector(after: encrypted),
                path: exchange.path, request: exchange.request, chain: exchange.chain,
                answer: MessageWriter.message(header, first: .identification, body: encrypted)),
            now: now, using: &generator)
    }

    /// Ends main mode: only who shares its keys can have sent what was refused. In aggressive mode it may have come in
    /// clear from anybody, and the true one may still come.
    private mutating func refuseSignature(
        _ association: Association, _ exchange: Association.Authenticating, _ refusal: CertificateRefusal,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let reason = IKERefusalReason(refusal.reason)
        let detail = refusal.detail.isEmpty ? "\(exchange.identity)" : refusal.detail
        guard association.exchange == .identityProtection else {
            return refuseProof(
                exchange.message, association, exchange.known, reason: reason, detail: detail, now: now,
                using: &generator)
        }
        failures.note(association.path.remote.address, limits: limits, now: now)
        refuse(
            exchange.path, association.cookies, peer: nil, step: .mainModeAuthentication, reason: reason,
            detail: detail, now: now)
        // From elsewhere than message 3 the address may be forged, though the message is not.
        if exchange.path.remote.address == association.path.remote.address {
            notify(.authenticationFailed, inAnswerTo: exchange.message, now: now, using: &generator)
        }
        forgetExchange(association.ownCookie)
    }
}

extension IKERefusalReason {
    /// The reason of a certificate's refusal.
    init(_ reason: CertificateRefusal.Reason) {
        switch reason {
        case .noCertificate: self = .noCertificate
        case .malformedCertificate: self = .malformedCertificate
        case .certificateExpired: self = .certificateExpired
        case .certificateNotYetValid: self = .certificateNotYetValid
        case .unknownAuthority: self = .unknownAuthority
        case .certificateRevoked: self = .certificateRevoked
        case .revocationUnknown: self = .revocationUnknown
        case .noStatusAnswer: self = .noStatusAnswer
        case .wrongName: self = .wrongName
        case .wrongUsage: self = .wrongUsage
        case .badSignature: self = .badSignature
        case .weakKey: self = .weakKey
        case .invalidChain: self = .invalidChain
        }
    }
}
