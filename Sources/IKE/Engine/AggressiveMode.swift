import Cryptography
import Wire

// Aggressive mode as responder (RFC 2409 sections 5.1 to 5.4, RFC 3947 section 3.2).
//
//    1  HDR, SA, KE, Ni, IDii            ->                          Diffie-Hellman must run at once
//    2                                   <-  HDR, SA, KE, Nr, IDir, HASH_R, NAT-D..
//    3  HDR*, HASH_I, NAT-D..            ->                          possibly in clear, possibly from port 4500
//
// With signatures SIG stands where HASH does, and certificates before it: AggressiveModeSignature.swift.
//
// It costs us a Diffie-Hellman before the peer has shown that it receives at its address, and shows a hash of the key to
// whoever asks. So it is off where no group and no signatures are configured, bounded by itself, and last in the queue for work.
extension IKEEngine {
    mutating func receiveAggressive(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.header.messageID == 0 else { throw .messageIDNotZero }
        let cookies = message.header.cookies
        guard cookies.responder != 0 else { return try receiveAggressiveOffer(message, now: now, using: &generator) }
        if let (association, initiation) = initiated(cookies) {
            return try receiveAsInitiator(message, association, initiation, now: now, using: &generator)
        }
        guard let association = association(of: cookies), association.exchange == .aggressive else {
            throw .unknownCookies
        }
        if try repeatAnswer(of: association, to: message) { return }
        switch association.state {
        case .computingAggressive(let exchange):
            throw exchange.request == message.digest ? .repeatedWhileBusy : .wrongState
        case .authenticating(let exchange):
            throw exchange.request == message.digest ? .repeatedWhileBusy : .wrongState
        case .awaitingProof(let known) where known.offer.chosen.method.isSignature:
            try receiveAggressiveSignature(message, association, known, now: now)
        case .awaitingProof(let known):
            try receiveProof(message, association, known, now: now, using: &generator)
        case .awaitingKeyExchange, .computing, .awaitingAuthentication, .initiating, .established:
            throw .wrongState
        }
    }

    // MARK: - Messages 1 and 2

    private mutating func receiveAggressiveOffer(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard configuration.allowsAggressiveMode else {
            refuseFirst(message, step: .aggressiveMode, reason: .aggressiveModeDisabled, now: now)
            notify(.unsupportedExchangeType, inAnswerTo: message, now: now, using: &generator)
            throw .aggressiveModeDisabled
        }
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        let address = message.path.remote.address
        let key = FirstMessageKey(
            initiatorCookie: message.header.cookies.initiator, remote: message.path.remote)
        if let cookie = firstMessages[key], let association = associations[cookie] {
            if case .computingAggressive(let exchange) = association.state, exchange.request == message.digest {
                throw .repeatedWhileBusy
            }
            if try repeatAnswer(of: association, to: message) { return }
            throw .changedFirstMessage
        }
        guard failures.allows(address, now: now) else {
            refuseFirst(message, step: .aggressiveMode, reason: .addressSlowed, now: now)
            throw .addressSlowed
        }
        let exchange = try readAggressiveOffer(message, now: now, using: &generator)
        guard aggressive.count(of: address) < limits.aggressivePerAddressMaximum else { throw .tooManyUnauthenticated }
        // Half of the queue is left to those who have shown that they receive.
        guard workTargets.count < limits.workQueueMaximum / 2 else { throw .workQueueFull }
        guard aggressiveLimit.take(now) else { throw .aggressiveRateLimited }
        while aggressive.count >= limits.aggressiveMaximum, let oldest = aggressive.oldest {
            forgetExchange(oldest)
            drops.count(.halfOpenEvicted)
        }

        let cookies = IKECookies(
            initiator: message.header.cookies.initiator, responder: newCookie(using: &generator))
        var begun = exchange
        begun.workID = try enqueueWork(
            exchange.offer.chosen.suite.group, .exchange(exchange.publicValue), for: .phaseOne(cookies.responder))
        var association = Association(
            cookies: cookies, exchange: .aggressive, path: message.path, state: .computingAggressive(begun))
        association.capabilities = PeerCapabilities(exchange.offer.vendorIDs)
        associations[cookies.responder] = association
        firstMessages[key] = cookies.responder
        aggressive.append(cookies.responder, address: address)
        unauthenticated.append(cookies.responder, address: address)
        deadlines.set(.mainMode(cookies.responder), now + limits.exchangeLifetime)
    }

    /// Reads message 1 and chooses. Nothing is kept of what is refused: a cookie of ours never belongs to two offers.
    private mutating func readAggressiveOffer(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) -> Association.Aggressive {
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        try chain.check(.aggressiveFirst)
        guard let body = chain[.securityAssociation], let publicValue = chain[.keyExchange],
            let nonce = chain[.nonce], let identification = chain[.identification]
        else { throw .missingPayload }
        guard Self.legalNonceLengths.contains(nonce.count) else { throw .nonceLength }
        let identity = try IdentificationPayload(parsing: identification).identity
        let payload = try SecurityAssociationPayload(parsing: body, limits: limits)
        let vendorIDs = chain.all(.vendorID).compactMap(IKEVendorID.init)
        let chosen = try choose(
            from: payload, identity, publicValueLength: publicValue.count, message, now: now, using: &generator)
        return Association.Aggressive(
            offer: Association.Offer(
                chosen: chosen, securityAssociation: body, variant: NATTraversalVariant(Set(vendorIDs)),
                vendorIDs: vendorIDs),
            request: message.digest, questionBytes: message.bytes.count, publicValue: publicValue, nonce: nonce,
            identity: identity, identification: identification,
            requestedAuthorities: chain[.certificateRequest] == nil ? nil : chain.requestedAuthorities, workID: 0)
    }

    private mutating func choose(
        from payload: SecurityAssociationPayload, _ identity: IKEIdentity, publicValueLength: Int, _ message: Incoming,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) -> ChosenPhaseOne {
        let address = message.path.remote.address
        let methods = configuration.aggressiveMethods(for: identity, at: address)
        // The group cannot be negotiated: the public value is there already, and its length tells which groups it can be.
        var algorithms = policy(for: message.path).phaseOne
        algorithms.groups.removeAll { $0.publicValueLength != publicValueLength }
        var offers: [IKERefusedOffer] = []
        if !methods.isEmpty {
            switch PhaseOneNegotiation(algorithms: algorithms, methods: methods).choose(from: payload) {
            case .chosen(let choice): return choice
            case .refused(let refused): offers = refused
            }
        }
        // Where a key for its name is all that is missing, the operator has to know that.
        var isUnknown = methods.isEmpty
        if !isUnknown, !methods.contains(.preSharedKey),
            case .chosen = PhaseOneNegotiation(algorithms: algorithms).choose(from: payload)
        {
            isUnknown = true
        }
        guard !isUnknown else {
            refuseFirst(
                message, step: .aggressiveMode, reason: .unknownIdentity, detail: identity.description, now: now)
            notify(.invalidIDInformation, inAnswerTo: message, now: now, using: &generator)
            throw .noPreSharedKey
        }
        refuseFirst(message, step: .aggressiveMode, reason: .noProposalChosen, offers: offers, now: now)
        notify(.noProposalChosen, inAnswerTo: message, now: now, using: &generator)
        throw .noProposalChosen
    }

    /// Diffie-Hellman is done, or then our signature.
    mutating func completeAggressiveOffer(
        _ association: Association, _ exchange: Association.Aggressive, _ result: IKEWorkResult, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard exchange.workID == result.id else { throw .staleWorkResult }
        do throws(IKEDrop) {
            if let answer = exchange.answer {
                return try completeAggressiveSignature(association, exchange, answer, result)
            }
            guard case .success(let agreement) = result.outcome else {
                refuse(
                    association.path, association.cookies, peer: nil, step: .aggressiveMode,
                    reason: .publicValueRefused, now: now)
                throw .publicValueRefused
            }
            let nonce = generator.bytes(Self.nonceLength)
            let known = try aggressiveKeys(association, exchange, agreement, nonce: nonce)
            let authentication = exchange.offer.chosen.authentication
            guard !authentication.method.isSignature else {
                return try signAggressiveAnswer(association, exchange, known, nonce: nonce)
            }
            let own = ownIdentification(association.path)
            let proof = try authentication.proof(of: known.responderHash(association.cookies, identification: own))
            let answer = aggressiveAnswer(association, exchange, known, nonce: nonce, identification: own, proof: proof)
            // Nobody has shown to receive at this address yet.
            guard Self.isWithinAmplification(answer: answer.count, question: exchange.questionBytes) else {
                throw .answerTooLarge
            }
            sendAggressiveAnswer(answer, association, exchange, known)
        } catch {
            forgetExchange(association.ownCookie)
            throw error
        }
    }

    /// What is known once the shared secret is.
    private func aggressiveKeys(
        _ association: Association, _ exchange: Association.Aggressive, _ agreement: IKEWorkResult.Agreement,
        nonce: [UInt8]
    ) throws(IKEDrop) -> Association.Unauthenticated {
        let chosen = exchange.offer.chosen
        // Where the method needs a key and there is none any more, ``PhaseOneAuthentication`` says so.
        let key = configuration.preSharedKey(for: exchange.identity, at: association.path.remote.address)
        let keys = try KeyMaterial(
            suite: chosen.suite, authentication: chosen.authentication, preSharedKey: key,
            initiatorNonce: exchange.nonce, responderNonce: nonce, sharedSecret: agreement.sharedSecret,
            cookies: association.cookies)
        return Association.Unauthenticated(
            offer: exchange.offer, keys: keys, initiatorPublic: exchange.publicValue,
            responderPublic: agreement.publicValue, nat: nil, hidesOwnNAT: false,
            initializationVector: keys.firstInitializationVector(
                initiatorPublic: exchange.publicValue, responderPublic: agreement.publicValue),
            identification: exchange.identification)
    }

    /// Message 2; `proof` is all that proves us, certificates among it.
    func aggressiveAnswer(
        _ association: Association, _ exchange: Association.Aggressive, _ known: Association.Unauthenticated,
        nonce: [UInt8], identification: [UInt8], proof: [Payload]
    ) -> [UInt8] {
        let chosen = exchange.offer.chosen
        var payloads = [
            Payload(type: .securityAssociation, body: chosen.answer),
            Payload(type: .keyExchange, body: known.responderPublic), Payload(type: .nonce, body: nonce),
            Payload(type: .identification, body: identification),
        ]
        payloads += proof
        if let variant = exchange.offer.variant {
            payloads.append(Payload(type: .vendorID, body: variant.vendorID.bytes))
            payloads += [association.path.remote, association.path.local].map {
                Payload(
                    type: variant.detectionPayload,
                    body: IKENATDetection.hash(chosen.suite.hash, association.cookies, $0))
            }
        }
        payloads += association.capabilities.answeringVendorIDs.map { Payload(type: .vendorID, body: $0) }
        return MessageWriter.message(Header(cookies: association.cookies, exchange: .aggressive), payloads)
    }

    mutating func sendAggressiveAnswer(
        _ answer: [UInt8], _ association: Association, _ exchange: Association.Aggressive,
        _ known: Association.Unauthenticated
    ) {
        var association = association
        association.state = .awaitingProof(known)
        association.remember(exchange.request, answer: answer)
        if !Self.isWithinAmplification(answer: answer.count, question: exchange.questionBytes) {
            association.repetitionsLeft = limits.largeAnswersMaximum
        }
        associations[association.ownCookie] = association
        transmit(answer, on: association.path)
    }

    // MARK: - Message 3

    private mutating func receiveProof(
        _ message: Incoming, _ association: Association, _ known: Association.Unauthenticated, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.path.remote.address == association.path.remote.address else { throw .otherAddress }
        guard known.failedProofs < limits.failedProofsMaximum else { throw .tooManyFailedProofs }
        let cookies = association.cookies
        let authentication = known.offer.chosen.authentication
        let chain: PayloadChain
        do throws(IKEDrop) {
            let plain =
                message.isEncrypted
                ? try known.keys.decrypt(message.body, iv: known.initializationVector) : message.body
            chain = try PayloadChain(
                parsing: plain, first: message.header.nextPayload, padded: message.isEncrypted,
                limit: limits.payloadsMaximum)
            try chain.check(authentication.rules(.aggressiveThird))
            try authentication.check(
                chain, proves: known.initiatorHash(cookies, identification: known.identification))
        } catch {
            refuseProof(message, association, known, reason: .preSharedKeyMismatch, now: now, using: &generator)
            throw .preSharedKeyMismatch
        }
        guard hasRoomForAssociation else {
            refuse(
                message.path, cookies, peer: nil, step: .aggressiveMode, reason: .limitReached,
                detail: "ISAKMP SAs", now: now)
            throw .tooManyAssociations
        }
        let identity = try IdentificationPayload(parsing: known.identification).identity
        finishAggressive(association, known, message, chain, identity, now: now, using: &generator)
    }

    /// Message 3 has proved its sender.
    mutating func finishAggressive(
        _ association: Association, _ known: Association.Unauthenticated, _ message: Incoming, _ chain: PayloadChain,
        _ identity: IKEIdentity, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let detections = known.offer.variant.map { chain.all($0.detectionPayload) } ?? []
        // Some initiators compute these for the ports of message 1, strongSwan for those that it has floated to meanwhile.
        let found = [association.path, message.path].compactMap {
            IKENATDetection(
                detections, algorithm: known.offer.chosen.suite.hash, cookies: association.cookies, path: $0)
        }
        let nat = found.first.map { _ in
            IKENATDetection(remote: found.allSatisfy(\.remote), local: found.allSatisfy(\.local))
        }
        establish(
            association,
            Outcome(
                identity: identity, offer: known.offer, keys: known.keys, nat: nat, hidesOwnNAT: false,
                lastBlock: message.isEncrypted
                    ? known.keys.nextInitializationVector(after: message.bytes) : known.initializationVector,
                path: message.path, request: message.digest, chain: chain, answer: nil),
            now: now, using: &generator)
        associations[association.ownCookie]?.olderRequests.append(message.digest)
    }
}
