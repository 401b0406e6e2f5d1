import Cryptography
import Wire

// Main mode as responder (RFC 2409 section 5.4): messages 1 to 4. What 5 and 6 carry depends on the method.
//
//    1  HDR, SA                  ->
//    2                           <-  HDR, SA
//    3  HDR, KE, Ni [, NAT-D..]  ->                              Diffie-Hellman runs beside the loop
//    4                           <-  HDR, KE, Nr [, NAT-D..]
//    5  HDR*, IDii, HASH_I       ->                              possibly from port 4500
//    6                           <-  HDR*, IDir, HASH_R
extension IKEEngine {
    /// The length of our nonces.
    static var nonceLength: Int { 32 }
    /// RFC 2409 section 5.
    static var legalNonceLengths: ClosedRange<Int> { 8...256 }

    mutating func receiveMainMode(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.header.messageID == 0 else { throw .messageIDNotZero }
        let cookies = message.header.cookies
        guard cookies.responder != 0 else { return try receiveOffer(message, now: now, using: &generator) }
        if let (association, initiation) = initiated(cookies) {
            return try receiveAsInitiator(message, association, initiation, now: now, using: &generator)
        }
        guard let association = association(of: cookies) else { throw .unknownCookies }
        if try repeatAnswer(of: association, to: message) { return }
        switch association.state {
        case .awaitingKeyExchange(let offer): try receiveKeyExchange(message, association, offer)
        case .computing(let exchange): throw exchange.request == message.digest ? .repeatedWhileBusy : .wrongState
        case .authenticating(let exchange):
            throw exchange.request == message.digest ? .repeatedWhileBusy : .wrongState
        case .awaitingAuthentication(let known) where known.offer.chosen.method.isSignature:
            try receiveSignature(message, association, known, now: now, using: &generator)
        case .awaitingAuthentication(let known):
            try receiveAuthentication(message, association, known, now: now, using: &generator)
        case .established, .computingAggressive, .awaitingProof, .initiating: throw .wrongState
        }
    }

    /// Who we say we are, as the body of an identification payload.
    func ownIdentification(_ path: IKEPath) -> [UInt8] {
        IdentificationPayload(identity: IKEIdentity(configuration.identityAddress ?? path.local.address)).body
    }

    /// Answers a repeated request with the stored answer. A copy of a request before that is old, not new.
    mutating func repeatAnswer(of association: Association, to message: Incoming) throws(IKEDrop) -> Bool {
        if let answered = association.answered, answered.request == message.digest {
            // Bytes that anybody may have recorded: they go to no address but the one that the exchange is with.
            let isHome = message.path.remote.address == association.path.remote.address
            if let left = association.repetitionsLeft {
                guard left > 0 else { throw .answerTooLarge }
                associations[association.ownCookie]?.repetitionsLeft = left - 1
            }
            transmit(answered.answer, on: isHome ? message.path : association.path)
            return true
        }
        guard !association.olderRequests.contains(message.digest) else { throw .obsoleteRequest }
        return false
    }

    // MARK: - Messages 1 and 2

    private mutating func receiveOffer(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        let remote = message.path.remote
        let key = FirstMessageKey(initiatorCookie: message.header.cookies.initiator, remote: remote)
        if let cookie = firstMessages[key], let association = associations[cookie] {
            if try repeatAnswer(of: association, to: message) { return }
            throw .changedFirstMessage
        }
        guard failures.allows(remote.address, now: now) else {
            refuseFirst(message, step: .mainModeOffer, reason: .addressSlowed, now: now)
            throw .addressSlowed
        }
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        try chain.check(.mainModeFirst)
        guard let body = chain[.securityAssociation] else { throw .missingPayload }
        let payload = try SecurityAssociationPayload(parsing: body, limits: limits)
        let vendorIDs = chain.all(.vendorID).compactMap(IKEVendorID.init)

        let chosen = try choose(from: payload, message, now: now, using: &generator)
        let offer = Association.Offer(
            chosen: chosen, securityAssociation: body, variant: NATTraversalVariant(Set(vendorIDs)),
            vendorIDs: vendorIDs)
        try answerOffer(offer, to: message, firstMessage: key, now: now, using: &generator)
    }

    private mutating func choose(
        from payload: SecurityAssociationPayload, _ message: Incoming, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) -> ChosenPhaseOne {
        let address = message.path.remote.address
        let algorithms = policy(for: message.path).phaseOne
        let methods = configuration.authenticationMethods(at: address)
        let negotiation = PhaseOneNegotiation(algorithms: algorithms, methods: methods)
        let offers: [IKERefusedOffer]
        switch negotiation.choose(from: payload) {
        case .chosen(let choice): return choice
        case .refused(let refused): offers = refused
        }
        notify(.noProposalChosen, inAnswerTo: message, now: now, using: &generator)
        // Where a key for its address is all that is missing, the operator has to know that.
        if policy(for: message.path).authenticationMethods.contains(.preSharedKey), !methods.contains(.preSharedKey),
            case .chosen = PhaseOneNegotiation(algorithms: algorithms).choose(from: payload)
        {
            refuseFirst(message, step: .mainModeOffer, reason: .noPreSharedKey, now: now)
            throw .noPreSharedKey
        }
        refuseFirst(message, step: .mainModeOffer, reason: .noProposalChosen, offers: offers, now: now)
        throw .noProposalChosen
    }

    private mutating func answerOffer(
        _ offer: Association.Offer, to message: Incoming, firstMessage key: FirstMessageKey, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let cookie = newCookie(using: &generator)
        let cookies = IKECookies(initiator: message.header.cookies.initiator, responder: cookie)
        var association = Association(cookies: cookies, path: message.path, state: .awaitingKeyExchange(offer))

        // Only vendor ids that the peer has sent too: an answer is never much larger than its question.
        var payloads = [Payload(type: .securityAssociation, body: offer.chosen.answer)]
        if let variant = offer.variant { payloads.append(Payload(type: .vendorID, body: variant.vendorID.bytes)) }
        association.capabilities = PeerCapabilities(offer.vendorIDs)
        payloads += association.capabilities.answeringVendorIDs.map { Payload(type: .vendorID, body: $0) }
        let answer = MessageWriter.message(Header(cookies: cookies, exchange: .identityProtection), payloads)
        guard Self.isWithinAmplification(answer: answer.count, question: message.bytes.count) else {
            throw .answerTooLarge
        }
        makeRoom(for: key.remote.address)
        association.remember(message.digest, answer: answer)
        associations[cookie] = association
        firstMessages[key] = cookie
        halfOpen.append(cookie, address: key.remote.address)
        deadlines.set(.mainMode(cookie), now + limits.exchangeLifetime)
        transmit(answer, on: message.path)
    }

    /// A cookie that no exchange of ours has.
    func newCookie(using generator: inout some RandomNumberGenerator) -> UInt64 {
        var cookie: UInt64 = 0
        while cookie == 0 || associations[cookie] != nil { cookie = generator.next() }
        return cookie
    }

    /// Lets the oldest exchange that has not shown message 3 go, of this address or of all, where a limit is reached.
    private mutating func makeRoom(for address: IPAddress) {
        while halfOpen.count(of: address) >= limits.halfOpenPerAddressMaximum, let oldest = halfOpen.oldest(of: address)
        {
            forgetExchange(oldest)
            drops.count(.halfOpenEvictedForAddress)
        }
        while halfOpen.count >= limits.halfOpenMaximum, let oldest = halfOpen.oldest {
            forgetExchange(oldest)
            drops.count(.halfOpenEvicted)
        }
    }

    /// Forgets an exchange that has not become an SA.
    mutating func forgetExchange(_ cookie: UInt64) {
        if let association = associations.removeValue(forKey: cookie) { forgetFirstMessage(of: association) }
        forgetHalfOpen(cookie)
        deadlines.remove(.mainMode(cookie))
        initiations.remove(cookie)
        answered(.phaseOne(cookie))
    }

    mutating func forgetHalfOpen(_ cookie: UInt64) {
        halfOpen.remove(cookie)
        unauthenticated.remove(cookie)
        aggressive.remove(cookie)
    }

    mutating func forgetFirstMessage(of association: Association) {
        let key = association.firstMessage
        if firstMessages[key] == association.cookies.responder { firstMessages[key] = nil }
    }

    // MARK: - Messages 3 and 4

    private mutating func receiveKeyExchange(
        _ message: Incoming, _ association: Association, _ offer: Association.Offer
    ) throws(IKEDrop) {
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        // The cookie proves that the peer receives at the address of message 1, and at no other.
        let address = message.path.remote.address
        guard address == association.path.remote.address else { throw .otherAddress }
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        try chain.check(.mainModeKeyExchange)
        guard let publicValue = chain[.keyExchange], let nonce = chain[.nonce] else { throw .missingPayload }
        guard Self.legalNonceLengths.contains(nonce.count) else { throw .nonceLength }
        let suite = offer.chosen.suite
        guard publicValue.count == suite.group.publicValueLength else { throw .publicValueLength }
        let cookie = association.cookies.responder
        guard unauthenticated.count < limits.unauthenticatedMaximum,
            unauthenticated.count(of: address) < limits.unauthenticatedPerAddressMaximum
        else { throw .tooManyUnauthenticated }
        let work = try enqueueWork(suite.group, .exchange(publicValue), for: .phaseOne(cookie))

        let detections = offer.variant.map { chain.all($0.detectionPayload) } ?? []
        let exchange = Association.KeyExchange(
            offer: offer, request: message.digest, publicValue: publicValue, nonce: nonce,
            nat: IKENATDetection(
                detections, algorithm: suite.hash, cookies: association.cookies, path: message.path),
            parrotedDetection: detections.first, requestedAuthorities: chain.requestedAuthorities, workID: work)
        halfOpen.remove(cookie)
        unauthenticated.append(cookie, address: address)
        associations.change(cookie) {
            $0.path = message.path
            $0.state = .computing(exchange)
        }
    }

    mutating func completeKeyExchange(
        _ association: Association, _ exchange: Association.KeyExchange, _ result: IKEWorkResult, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard exchange.workID == result.id else { throw .staleWorkResult }
        var association = association
        let cookies = association.cookies
        let cookie = association.ownCookie
        let authentication = exchange.offer.chosen.authentication
        let candidates =
            authentication.method.isSignature
            ? [] : configuration.preSharedKeys.candidates(for: association.path.remote.address)
        guard authentication.method.isSignature || !candidates.isEmpty else {
            // The key was taken out of the configuration meanwhile.
            forgetExchange(cookie)
            throw .noPreSharedKey
        }
        guard case .success(let agreement) = result.outcome else {
            refuse(
                association.path, cookies, peer: nil, step: .mainModeKeyExchange, reason: .publicValueRefused, now: now)
            forgetExchange(cookie)
            throw .publicValueRefused
        }
        let nonce = generator.bytes(Self.nonceLength)
        let keys = try KeyMaterial(
            suite: exchange.offer.chosen.suite, authentication: authentication,
            preSharedKey: candidates.first?.secret, initiatorNonce: exchange.nonce, responderNonce: nonce,
            sharedSecret: agreement.sharedSecret, cookies: cookies)
        let hidesOwnNAT = hidesOwnNAT(exchange)
        var payloads = [
            Payload(type: .keyExchange, body: agreement.publicValue), Payload(type: .nonce, body: nonce),
        ]
        payloads += detectionPayloads(
            exchange, cookies: cookies, path: association.path, hidesOwnNAT: hidesOwnNAT, using: &generator)
        if authentication.method.isSignature, let certificates = configuration.certificates {
            payloads += CertificateRequestPayload.all(for: certificates.trust.authorities)
        }
        let answer = MessageWriter.message(Header(cookies: cookies, exchange: .identityProtection), payloads)
        let known = Association.Unauthenticated(
            offer: exchange.offer, keys: keys, initiatorPublic: exchange.publicValue,
            responderPublic: agreement.publicValue, nat: exchange.nat, hidesOwnNAT: hidesOwnNAT,
            initializationVector: keys.firstInitializationVector(
                initiatorPublic: exchange.publicValue, responderPublic: agreement.publicValue),
            requestedAuthorities: exchange.requestedAuthorities,
            trial: PreSharedKeyTrial(
                candidates, initiatorNonce: exchange.nonce, responderNonce: nonce, sharedSecret: agreement.sharedSecret)
        )
        association.state = .awaitingAuthentication(known)
        association.remember(exchange.request, answer: answer)
        associations[cookie] = association
        transmit(answer, on: association.path)
    }

    /// Whether to tell a Microsoft client that we are not behind a NAT, when we are (see ``IKEConfiguration``).
    private func hidesOwnNAT(_ exchange: Association.KeyExchange) -> Bool {
        guard configuration.hidesOwnNATFromWindows, let nat = exchange.nat, nat.local else { return false }
        return exchange.offer.vendorIDs.contains(.microsoft)
    }

    /// NAT-D of the peer's address as we see it, then of ours (RFC 3947 section 3.2).
    ///
    /// To hide our own NAT the peer gets back its own hash of our address; and noise for its own, so that it believes in
    /// a NAT of its own and encapsulates in UDP, without which nothing passes a port mapping.
    private func detectionPayloads(
        _ exchange: Association.KeyExchange, cookies: IKECookies, path: IKEPath, hidesOwnNAT: Bool,
        using generator: inout some RandomNumberGenerator
    ) -> [Payload] {
        guard let variant = exchange.offer.variant, exchange.nat != nil else { return [] }
        let hash = exchange.offer.chosen.suite.hash
        var remote = IKENATDetection.hash(hash, cookies, path.remote)
        var local = IKENATDetection.hash(hash, cookies, path.local)
        if hidesOwnNAT, let parroted = exchange.parrotedDetection {
            local = parroted
            remote = generator.bytes(hash.digestLength)
        }
        return [remote, local].map { Payload(type: variant.detectionPayload, body: $0) }
    }
}
