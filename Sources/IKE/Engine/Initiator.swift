import Cryptography
import Wire

/// An ISAKMP SA that we want.
public struct IKEInitiation: Sendable {
    /// Which exchange.
    public enum Mode: Sendable {
        /// Main mode.
        case main
        /// Aggressive mode, with a key of the first suite's group.
        case aggressive
    }

    /// Between which endpoints: port 500 on both sides, or 4500 where NAT traversal is known to be needed.
    public var path: IKEPath
    /// The exchange.
    public var mode = Mode.main
    /// The algorithms, the most wanted first; none means those of the configuration.
    public var suites: [PhaseOneSuite] = []
    /// The pre-shared key; nil means that of the peer's address.
    public var preSharedKey: SecretBytes?
    /// Who we say we are; nil means our address.
    public var identity: IKEIdentity?
    /// Whether to tell the peer that whatever it has of us is dead (RFC 2407 section 4.6.3.3).
    public var sendsInitialContact = false
    /// The known peer that it is for: a successor of an ISAKMP SA.
    public var peer: PeerID?

    /// Main mode between two endpoints, with all that the configuration says.
    public init(_ path: IKEPath) { self.path = path }
}

// Phase 1 as initiator (RFC 2409 sections 5.4, RFC 3947): towards fixed endpoints, and to replace an ISAKMP SA.
extension IKEEngine {
    // MARK: - Message 1

    /// Begins phase 1 with a peer. It ends with ``IKEEvent/peerEstablished(_:)`` of the same initiator's cookie, or with
    /// ``IKEEvent/refused(_:)`` of it.
    ///
    /// - Returns: our cookie, or nil where no key or algorithm fits or too much is under way.
    @discardableResult
    public mutating func initiate(
        to initiation: IKEInitiation, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> UInt64? {
        var initiation = initiation
        if initiation.suites.isEmpty {
            initiation.suites = policy(for: initiation.path).phaseOne.offered
        }
        guard let key = initiation.preSharedKey ?? configuration.preSharedKeys.key(to: initiation.path.remote.address),
            let first = initiation.suites.first, initiations.count < limits.initiationsMaximum
        else {
            drops.count(.tooManyInitiations)
            return nil
        }
        // The key of aggressive mode's message 1 leaves no choice of group.
        if initiation.mode == .aggressive { initiation.suites.removeAll { $0.group != first.group } }
        let cookie = newCookie(using: &generator)
        let seconds = policy(for: initiation.path).lifetimes.ikeMaximumSeconds
        let offer = SecurityAssociationPayload.offer(
            protocolID: ProtocolID.isakmp, securityParameterIndex: [],
            transforms: initiation.suites.map {
                PhaseOneNegotiation.offer($0, method: .preSharedKey, seconds: seconds)
            })
        let own = initiation.identity.map { IdentificationPayload(identity: $0).body }
        let began = Association.Initiation(
            wanted: initiation, preSharedKey: key, securityAssociation: offer,
            identification: own ?? ownIdentification(initiation.path), nonce: generator.bytes(Self.nonceLength),
            step: .begun)
        let exchange: ExchangeType = initiation.mode == .main ? .identityProtection : .aggressive
        associations[cookie] = Association(
            cookies: IKECookies(initiator: cookie, responder: 0), role: .initiator, exchange: exchange,
            path: initiation.path, state: .initiating(began))
        initiations.insert(cookie)
        // Ample: retransmission ends it before.
        deadlines.set(.mainMode(cookie), now + limits.exchangeLifetime * 4)
        do throws(IKEDrop) {
            if initiation.mode == .main {
                send([Payload(type: .securityAssociation, body: offer)] + Self.ownVendorIDs, of: cookie, now: now)
            } else {
                let work = try enqueueWork(first.group, .generate, for: .phaseOne(cookie))
                setStep(.generating(nil, workID: work), of: cookie)
            }
            return cookie
        } catch {
            drops.count(error)
            forgetExchange(cookie)
            return nil
        }
    }

    private static var ownVendorIDs: [Payload] {
        let natTraversal: [NATTraversalVariant] = [.rfc3947, .draft03, .draft02n, .draft02]
        let bodies =
            natTraversal.map(\.vendorID.bytes) + [
                IKEVendorID.deadPeerDetection.bytes, PeerCapabilities.fragmentation(isMicrosoft: false),
            ]
        return bodies.map { Payload(type: .vendorID, body: $0) }
    }

    private mutating func setStep(_ step: Association.Initiation.Step, of cookie: UInt64) {
        guard case .initiating(var initiation) = associations[cookie]?.state else { return }
        initiation.step = step
        associations[cookie]?.state = .initiating(initiation)
    }

    /// Sends a message of phase 1 in clear until it is answered.
    private mutating func send(_ payloads: [Payload], of cookie: UInt64, now: Instant) {
        guard let association = associations[cookie] else { return }
        let header = Header(cookies: association.cookies, exchange: association.exchange)
        transmitUntilAnswered(
            MessageWriter.message(header, payloads), on: association.path, for: .phaseOne(cookie), now: now)
    }

    /// The exchange of phase 1 that we began and that these cookies belong to.
    func initiated(_ cookies: IKECookies) -> (Association, Association.Initiation)? {
        guard let association = associations[cookies.initiator], association.role == .initiator,
            case .initiating(let initiation) = association.state,
            association.cookies.responder == 0 || association.cookies == cookies
        else { return nil }
        return (association, initiation)
    }

    // MARK: - What comes back

    mutating func receiveAsInitiator(
        _ message: Incoming, _ association: Association, _ initiation: Association.Initiation, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.header.exchange == association.exchange else { throw .wrongState }
        guard message.path.remote.address == association.path.remote.address else { throw .otherAddress }
        switch (initiation.step, association.exchange) {
        case (.begun, .identityProtection):
            try receiveChoice(message, association, initiation, now: now, using: &generator)
        case (.offered(let pair), .aggressive):
            try receiveAggressiveChoice(message, association, initiation, pair, using: &generator)
        case (.exchanged(let offer, let pair), .identityProtection):
            try receivePublicValue(message, association, initiation, offer, pair)
        case (.authenticating(let known), .identityProtection):
            try receiveAuthenticationAnswer(message, association, initiation, known, now: now, using: &generator)
        default: throw .wrongState
        }
    }

    /// Reads the SA payload that names the one transform that the responder has chosen of ours.
    private func readChoice(
        _ chain: PayloadChain, _ initiation: Association.Initiation
    ) throws(IKEDrop) -> Association.Offer {
        guard let body = chain[.securityAssociation] else { throw .missingPayload }
        let payload = try SecurityAssociationPayload(parsing: body, limits: limits)
        guard payload.proposals.count == 1, payload.proposals[0].transforms.count == 1 else { throw .malformedProposal }
        let suites = initiation.wanted.suites
        let algorithms = PhaseOneAlgorithms(
            ciphers: suites.map(\.cipher), hashes: suites.map(\.hash), groups: suites.map(\.group))
        guard case .chosen(let chosen) = PhaseOneNegotiation(algorithms: algorithms).choose(from: payload),
            initiation.wanted.suites.contains(chosen.suite)
        else { throw .noProposalChosen }
        let vendorIDs = chain.all(.vendorID).compactMap(IKEVendorID.init)
        return Association.Offer(
            chosen: chosen, securityAssociation: initiation.securityAssociation,
            variant: NATTraversalVariant(Set(vendorIDs)), vendorIDs: vendorIDs)
    }

    /// Main mode, message 2.
    private mutating func receiveChoice(
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

    /// Main mode, message 4.
    private mutating func receivePublicValue(
        _ message: Incoming, _ association: Association, _ initiation: Association.Initiation,
        _ offer: Association.Offer, _ pair: DiffieHellmanKeyPair
    ) throws(IKEDrop) {
        guard !message.isEncrypted else { throw .encryptedTooEarly }
        let chain = try PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        try chain.check(.mainModeKeyExchange)
        try beginAgreement(message, chain, association, offer, pair)
    }

    /// Aggressive mode, message 2.
    private mutating func receiveAggressiveChoice(
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

    private mutating func beginAgreement(
        _ message: Incoming, _ chain: PayloadChain, _ association: Association, _ offer: Association.Offer,
        _ pair: DiffieHellmanKeyPair
    ) throws(IKEDrop) {
        guard let publicValue = chain[.keyExchange], let nonce = chain[.nonce] else { throw .missingPayload }
        guard Self.legalNonceLengths.contains(nonce.count) else { throw .nonceLength }
        guard publicValue.count == pair.group.publicValueLength else { throw .publicValueLength }
        let cookie = association.ownCookie
        let work = try enqueueWork(pair.group, .agree(pair, publicValue), for: .phaseOne(cookie))
        // In aggressive mode nothing is proved yet: a forged answer must not silence us.
        if association.exchange == .identityProtection { answered(.phaseOne(cookie)) }
        let answer = Association.Initiation.Answer(
            message: message, chain: chain, offer: offer, publicValue: publicValue, nonce: nonce)
        setStep(.agreeing(answer, pair, workID: work), of: cookie)
    }

    /// A computation of ours is done.
    mutating func completeInitiation(
        _ association: Association, _ initiation: Association.Initiation, _ result: IKEWorkResult, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let cookie = association.ownCookie
        switch (initiation.step, result.outcome) {
        case (.generating(let offer?, result.id), .success(let agreement)):
            sendPublicValue(association, initiation, offer, agreement.pair, now: now)
        case (.generating(nil, result.id), .success(let agreement)):
            let payloads = [
                Payload(type: .securityAssociation, body: initiation.securityAssociation),
                Payload(type: .keyExchange, body: agreement.publicValue), Payload(type: .nonce, body: initiation.nonce),
                Payload(type: .identification, body: initiation.identification),
            ]
            setStep(.offered(agreement.pair), of: cookie)
            send(payloads + Self.ownVendorIDs, of: cookie, now: now)
        case (.agreeing(let answer, let pair, result.id), .success(let agreement)):
            if association.exchange == .aggressive {
                try finishAggressive(
                    association, initiation, answer, pair, agreement.sharedSecret, now: now, using: &generator)
            } else {
                try sendAuthentication(association, initiation, answer, pair, agreement.sharedSecret, now: now)
            }
        case (.agreeing(_, let pair, result.id), .failure) where association.exchange == .aggressive:
            setStep(.offered(pair), of: cookie)
            throw .publicValueRefused
        case (.generating(_, result.id), .failure), (.agreeing(_, _, result.id), .failure):
            failInitiation(cookie, reason: .publicValueRefused, now: now, using: &generator)
            throw .publicValueRefused
        default: throw .staleWorkResult
        }
    }

    // MARK: - Message 3

    private mutating func sendPublicValue(
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

    /// NAT-D of the peer's address as we see it, then of ours (RFC 3947 section 3.2).
    private func detectionPayloads(_ offer: Association.Offer, _ cookies: IKECookies, _ path: IKEPath) -> [Payload] {
        guard let variant = offer.variant else { return [] }
        return [path.remote, path.local].map {
            Payload(
                type: variant.detectionPayload, body: IKENATDetection.hash(offer.chosen.suite.hash, cookies, $0))
        }
    }

    /// What is known once the shared secret is: keys, NATs, and from where to go on (RFC 3947 section 4).
    private func derive(
        _ cookies: IKECookies, _ path: IKEPath, _ initiation: Association.Initiation,
        _ answer: Association.Initiation.Answer, _ pair: DiffieHellmanKeyPair, _ sharedSecret: SecretBytes
    ) throws(IKEDrop) -> (known: Association.Unauthenticated, path: IKEPath) {
        let chosen = answer.offer.chosen
        let keys = try KeyMaterial(
            suite: chosen.suite, authentication: chosen.authentication, preSharedKey: initiation.preSharedKey,
            initiatorNonce: initiation.nonce, responderNonce: answer.nonce, sharedSecret: sharedSecret,
            cookies: cookies)
        let detections = answer.offer.variant.map { answer.chain.all($0.detectionPayload) } ?? []
        let nat = IKENATDetection(detections, algorithm: chosen.suite.hash, cookies: cookies, path: path)
        var path = path
        if nat?.isTranslated ?? false, path.local.port == 500 {
            path.local.port = 4500
            if path.remote.port == 500 { path.remote.port = 4500 }
        }
        let known = Association.Unauthenticated(
            offer: answer.offer, keys: keys, initiatorPublic: pair.publicValue, responderPublic: answer.publicValue,
            nat: nat, hidesOwnNAT: false,
            initializationVector: keys.firstInitializationVector(
                initiatorPublic: pair.publicValue, responderPublic: answer.publicValue))
        return (known, path)
    }

    private func ownHash(
        _ cookies: IKECookies, _ initiation: Association.Initiation, _ known: Association.Unauthenticated
    ) -> [UInt8] {
        known.keys.identityHash(
            ownPublic: known.initiatorPublic, otherPublic: known.responderPublic, ownCookie: cookies.initiator,
            otherCookie: cookies.responder, securityAssociation: initiation.securityAssociation,
            identification: initiation.identification)
    }

    private func peerHash(
        _ cookies: IKECookies, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        identification: [UInt8]
    ) -> [UInt8] {
        known.keys.identityHash(
            ownPublic: known.responderPublic, otherPublic: known.initiatorPublic, ownCookie: cookies.responder,
            otherCookie: cookies.initiator, securityAssociation: initiation.securityAssociation,
            identification: identification)
    }

    private func initialContact(_ cookies: IKECookies, _ initiation: Association.Initiation) -> [Payload] {
        guard initiation.wanted.sendsInitialContact else { return [] }
        let notification = NotificationPayload(
            protocolID: ProtocolID.isakmp, type: .initialContact, securityParameterIndex: cookies.octets)
        return [Payload(type: .notification, body: notification.body)]
    }

    // MARK: - Message 5

    private mutating func sendAuthentication(
        _ association: Association, _ initiation: Association.Initiation, _ answer: Association.Initiation.Answer,
        _ pair: DiffieHellmanKeyPair, _ sharedSecret: SecretBytes, now: Instant
    ) throws(IKEDrop) {
        let cookies = association.cookies
        var (known, path) = try derive(cookies, association.path, initiation, answer, pair, sharedSecret)
        let hash = ownHash(cookies, initiation, known)
        let payloads =
            [Payload(type: .identification, body: initiation.identification)]
            + (try known.offer.chosen.authentication.proof(of: hash)) + initialContact(cookies, initiation)
        let encrypted = try known.keys.encrypt(MessageWriter.chain(payloads), iv: known.initializationVector)
        known.initializationVector = known.keys.nextInitializationVector(after: encrypted)
        let header = Header(cookies: cookies, exchange: association.exchange, flags: .encryption)
        associations[association.ownCookie]?.path = path
        setStep(.authenticating(known), of: association.ownCookie)
        transmitUntilAnswered(
            MessageWriter.message(header, first: .identification, body: encrypted), on: path,
            for: .phaseOne(association.ownCookie), now: now)
    }

    /// Main mode, message 6.
    private mutating func receiveAuthenticationAnswer(
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
        try authentication.check(
            chain, proves: peerHash(association.cookies, initiation, known, identification: identification))
        finishInitiation(
            association, initiation, known, try IdentificationPayload(parsing: identification).identity, message, chain,
            lastBlock: known.keys.nextInitializationVector(after: message.bytes), now: now, using: &generator)
    }

    // MARK: - Aggressive mode, message 3

    private mutating func finishAggressive(
        _ association: Association, _ initiation: Association.Initiation, _ answer: Association.Initiation.Answer,
        _ pair: DiffieHellmanKeyPair, _ sharedSecret: SecretBytes, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let cookies = answer.message.header.cookies
        let cookie = association.ownCookie
        do throws(IKEDrop) {
            let (known, path) = try derive(cookies, association.path, initiation, answer, pair, sharedSecret)
            guard let identification = answer.chain[.identification] else { throw .missingPayload }
            let authentication = answer.offer.chosen.authentication
            try authentication.check(
                answer.chain, proves: peerHash(cookies, initiation, known, identification: identification))
            let identity = try IdentificationPayload(parsing: identification).identity
            let payloads =
                (try authentication.proof(of: ownHash(cookies, initiation, known)))
                + detectionPayloads(answer.offer, cookies, association.path) + initialContact(cookies, initiation)
            let encrypted = try known.keys.encrypt(MessageWriter.chain(payloads), iv: known.initializationVector)
            let header = Header(cookies: cookies, exchange: .aggressive, flags: .encryption)
            let last = MessageWriter.message(header, first: payloads[0].type, body: encrypted)
            var association = association
            association.cookies = cookies
            association.path = path
            association.remember(answer.message.digest, answer: last)
            transmit(last, on: path)
            finishInitiation(
                association, initiation, known, identity, answer.message, answer.chain,
                lastBlock: known.keys.nextInitializationVector(after: encrypted), now: now, using: &generator)
        } catch {
            // The answer may have been forged: the true one may still come.
            setStep(.offered(pair), of: cookie)
            throw error
        }
    }

    // MARK: - The end

    private mutating func finishInitiation(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ identity: IKEIdentity, _ message: Incoming, _ chain: PayloadChain, lastBlock: [UInt8], now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        let cookie = association.ownCookie
        answered(.phaseOne(cookie))
        initiations.remove(cookie)
        var offer = known.offer
        for life in chain.all(.notification).compactMap(Self.responderLifetime) { offer.chosen.life.shorten(to: life) }
        // Whom we asked at a path has answered there, and as the peer that it was for, or as another.
        establish(
            association,
            Outcome(
                identity: identity, offer: offer, keys: known.keys, nat: known.nat, hidesOwnNAT: false,
                lastBlock: lastBlock, path: association.path, request: message.digest, chain: chain, answer: nil,
                peer: initiation.wanted.peer),
            now: now, using: &generator)
        deadlines.set(.mainMode(cookie), now + limits.exchangeLifetime)
    }

    /// An exchange of phase 1 of ours has come to nothing. Nothing else ends by it.
    mutating func failInitiation(
        _ cookie: UInt64, reason: IKERefusalReason, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let association = associations[cookie], case .initiating(let initiation) = association.state else {
            return
        }
        drops.count(.initiationUnanswered)
        forgetExchange(cookie)
        if let peer = initiation.wanted.peer {
            // A successor that nobody asked us for: most clients never take a main mode from us, and need none.
            peers[peer]?.awaitingRekey = []
            return
        }
        refuse(
            association.path, association.cookies, peer: nil, step: .initiation, reason: reason,
            detail: initiation.hint.map(\.description) ?? "", now: now)
    }

    /// An unauthenticated Notify for an exchange of ours: not believed, but named when the exchange comes to nothing.
    mutating func noteHint(_ message: Incoming) {
        guard let (association, initiation) = initiated(message.header.cookies),
            message.path.remote.address == association.path.remote.address,
            let chain = try? PayloadChain(
                parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum),
            let body = chain[.notification], let notification = try? NotificationPayload(parsing: body)
        else { return }
        var noted = initiation
        noted.hint = notification.type
        associations[association.ownCookie]?.state = .initiating(noted)
    }

    // MARK: - Successors

    /// An ISAKMP SA's soft limit: it gets a successor, where the peer is one that takes main mode from us.
    mutating func rekeyAssociation(
        _ cookie: UInt64, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let association = associations[cookie], let established = association.established,
            let peer = peers[established.peer], peer.associations.last == cookie, !peer.children.isEmpty
        else { return }
        beginSuccessor(of: established.suite, peer, exchange: association.exchange, now: now, using: &generator)
    }

    /// A pair of IPsec SAs needs a successor, but there is no ISAKMP SA to make it in.
    mutating func rekeyAfterPhaseOne(
        _ inboundSPI: UInt32, _ child: Child, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let peer = peers[child.peer], let suite = peer.lastSuite else { return }
        if peer.awaitingRekey.isEmpty {
            guard beginSuccessor(of: suite, peer, exchange: nil, now: now, using: &generator) else { return }
        }
        if !peer.awaitingRekey.contains(inboundSPI) { peers[child.peer]?.awaitingRekey.append(inboundSPI) }
    }

    /// Windows never answers a main mode to a client, and who began in aggressive mode has a key that is not that of its
    /// address: these begin again by themselves.
    @discardableResult
    private mutating func beginSuccessor(
        of suite: PhaseOneSuite, _ peer: Peer, exchange: ExchangeType?, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) -> Bool {
        let isTheirs = peer.initiation == nil && exchange == .aggressive
        // What was proved by a certificate is not carried on by a key; we do not begin with signatures.
        guard policy(for: peer.path).lifetimes.rekeysPhaseOne, !isTheirs, !peer.isCertified,
            !peer.capabilities.contains(.microsoft)
        else {
            return false
        }
        let isBusy = initiations.contains { cookie in
            guard case .initiating(let initiation) = associations[cookie]?.state else { return false }
            return initiation.wanted.peer == peer.id
        }
        guard !isBusy else { return true }
        var initiation = peer.initiation ?? IKEInitiation(peer.path)
        initiation.path = peer.path
        initiation.sendsInitialContact = false
        initiation.suites = [suite]
        initiation.preSharedKey = initiation.preSharedKey ?? peer.lastPreSharedKey
        initiation.peer = peer.id
        return initiate(to: initiation, now: now, using: &generator) != nil
    }
}
