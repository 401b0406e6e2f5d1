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
    /// How both prove who they are, the most wanted first; none means by the pre-shared key that is given here, or else by
    /// what the policy for the peer has. In aggressive mode the first alone counts.
    public var methods: [PhaseOneAuthenticationMethod] = []
    /// The pre-shared key; nil means that of the peer's identity or address.
    public var preSharedKey: SecretBytes?
    /// Who we say we are; nil means our address, or what our certificate says.
    public var identity: IKEIdentity?
    /// Who the peer has to prove to be: its certificate confirms that name. Nil means the address that is called, where
    /// the peer proves itself by a certificate, and otherwise whoever knows the pre-shared key.
    public var peerIdentity: IKEIdentity?
    /// Whether to tell the peer that whatever it has of us is dead (RFC 2407 section 4.6.3.3).
    public var sendsInitialContact = false
    /// The known peer that it is for: a successor of an ISAKMP SA.
    public var peer: PeerID?

    /// Main mode between two endpoints, with all that the configuration says.
    public init(_ path: IKEPath) { self.path = path }
}

// Phase 1 as initiator (RFC 2409 sections 5.1 and 5.4, RFC 3947): towards fixed endpoints, and to replace an ISAKMP SA.
// What both modes have in common; the rest is in InitiatorMainMode.swift and InitiatorAggressive.swift.
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
        let key =
            initiation.preSharedKey
            ?? configuration.preSharedKeys.key(
                to: initiation.peerIdentity, at: initiation.path.remote.address)
        initiation.methods = methods(for: initiation, hasKey: key != nil)
        guard let first = initiation.suites.first, let method = initiation.methods.first,
            initiations.count < limits.initiationsMaximum
        else {
            drops.count(.tooManyInitiations)
            return nil
        }
        var certificate: CertificateIdentity?
        if initiation.mode == .aggressive {
            // The key and the identity of aggressive mode's message 1 leave no choice of group, nor of method.
            initiation.suites.removeAll { $0.group != first.group }
            initiation.methods = [method]
            certificate = configuration.certificates?.identity(for: method, requested: [])
        }
        initiation.suites = Array(initiation.suites.prefix(Self.offeredMaximum / initiation.methods.count))
        let cookie = newCookie(using: &generator)
        let seconds = policy(for: initiation.path).lifetimes.ikeMaximumSeconds
        let offer = SecurityAssociationPayload.offer(
            protocolID: ProtocolID.isakmp, securityParameterIndex: [],
            transforms: initiation.methods.flatMap { method in
                initiation.suites.map { PhaseOneNegotiation.offer($0, method: method, seconds: seconds) }
            })
        let began = Association.Initiation(
            wanted: initiation, preSharedKey: key, securityAssociation: offer,
            identification: ownIdentification(initiation, by: certificate), own: certificate,
            nonce: generator.bytes(Self.nonceLength), step: .begun)
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

    /// The most transforms that we offer: more need not fit into one packet.
    private static var offeredMaximum: Int { 48 }

    /// What we offer to prove ourselves by, of what we have the means for.
    private func methods(for initiation: IKEInitiation, hasKey: Bool) -> [PhaseOneAuthenticationMethod] {
        var wanted = initiation.methods
        if wanted.isEmpty, initiation.preSharedKey != nil { wanted = [.preSharedKey] }
        if wanted.isEmpty { wanted = policy(for: initiation.path).authenticationMethods }
        let signatures = configuration.certificates?.methods ?? []
        return wanted.filter { $0 == .preSharedKey ? hasKey : signatures.contains($0) }
    }

    /// IDii_b, with the certificate that is to confirm it.
    func ownIdentification(_ initiation: IKEInitiation, by certificate: CertificateIdentity?) -> [UInt8] {
        if let identity = initiation.identity { return IdentificationPayload(identity: identity).body }
        guard let certificate, let certificates = configuration.certificates else {
            return ownIdentification(initiation.path)
        }
        let identity = certificates.ownIdentity(certificate, address: initiation.path.local.address)
        return IdentificationPayload(identity: identity).body
    }

    static var ownVendorIDs: [Payload] {
        let natTraversal: [NATTraversalVariant] = [.rfc3947, .draft03, .draft02n, .draft02]
        let bodies =
            natTraversal.map(\.vendorID.bytes) + [
                IKEVendorID.deadPeerDetection.bytes, PeerCapabilities.fragmentation(isMicrosoft: false),
            ]
        return bodies.map { Payload(type: .vendorID, body: $0) }
    }

    mutating func setStep(_ step: Association.Initiation.Step, of cookie: UInt64) {
        guard case .initiating(var initiation) = associations[cookie]?.state else { return }
        initiation.step = step
        associations[cookie]?.state = .initiating(initiation)
    }

    /// Sends a message of phase 1 in clear until it is answered.
    mutating func send(_ payloads: [Payload], of cookie: UInt64, now: Instant) {
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

    /// Whether anything has come back of a phase 1 that we have begun, by our cookie. It proves nothing about who sent it.
    public func isAnswered(_ cookie: UInt64) -> Bool { associations[cookie].map { $0.cookies.responder != 0 } ?? false }

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
    func readChoice(
        _ chain: PayloadChain, _ initiation: Association.Initiation
    ) throws(IKEDrop) -> Association.Offer {
        guard let body = chain[.securityAssociation] else { throw .missingPayload }
        let payload = try SecurityAssociationPayload(parsing: body, limits: limits)
        guard payload.proposals.count == 1, payload.proposals[0].transforms.count == 1 else { throw .malformedProposal }
        let suites = initiation.wanted.suites
        let algorithms = PhaseOneAlgorithms(
            ciphers: suites.map(\.cipher), hashes: suites.map(\.hash), groups: suites.map(\.group))
        guard
            case .chosen(let chosen) = PhaseOneNegotiation(
                algorithms: algorithms, methods: initiation.wanted.methods
            ).choose(from: payload), initiation.wanted.suites.contains(chosen.suite)
        else { throw .noProposalChosen }
        let vendorIDs = chain.all(.vendorID).compactMap(IKEVendorID.init)
        return Association.Offer(
            chosen: chosen, securityAssociation: initiation.securityAssociation,
            variant: NATTraversalVariant(Set(vendorIDs)), vendorIDs: vendorIDs)
    }

    mutating func beginAgreement(
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
            sendAggressiveOffer(association, initiation, agreement.pair, now: now)
        case (.agreeing(let answer, let pair, result.id), .success(let agreement)):
            if association.exchange == .aggressive {
                try checkAggressiveAnswer(
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
        case (.signing(let known, let path, result.id), _):
            try completeAuthentication(association, initiation, known, path, result, now: now, using: &generator)
        case (.verifying(let known, let last, result.id), _):
            try completeVerification(association, initiation, known, last, result, now: now, using: &generator)
        case (.proving(let known, let path, let last, let pair, result.id), _):
            try completeAggressiveProof(
                association, initiation, known, path, last, pair, result, now: now, using: &generator)
        default: throw .staleWorkResult
        }
    }

    /// NAT-D of the peer's address as we see it, then of ours (RFC 3947 section 3.2).
    func detectionPayloads(_ offer: Association.Offer, _ cookies: IKECookies, _ path: IKEPath) -> [Payload] {
        guard let variant = offer.variant else { return [] }
        return [path.remote, path.local].map {
            Payload(
                type: variant.detectionPayload, body: IKENATDetection.hash(offer.chosen.suite.hash, cookies, $0))
        }
    }

    /// What is known once the shared secret is: keys, NATs, and from where to go on (RFC 3947 section 4).
    func derive(
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
        if nat?.isTranslated ?? false, answer.offer.variant?.encapsulation == .udp, path.local.port == 500 {
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

    func initialContact(_ cookies: IKECookies, _ initiation: Association.Initiation) -> [Payload] {
        guard initiation.wanted.sendsInitialContact else { return [] }
        let notification = NotificationPayload(
            protocolID: ProtocolID.isakmp, type: .initialContact, securityParameterIndex: cookies.octets)
        return [Payload(type: .notification, body: notification.body)]
    }

    // MARK: - The end

    /// What the peer has sent to prove itself by a signature, to be checked against whom we have called.
    func peerSignature(
        _ initiation: Association.Initiation, _ known: Association.Unauthenticated, _ cookies: IKECookies,
        _ last: Association.Initiation.Last
    ) throws(IKEDrop) -> PeerSignature {
        // They may have been taken out of the configuration meanwhile.
        guard let certificates = configuration.certificates else { throw .certificateRefused }
        guard let signature = last.chain[.signature], let identification = last.chain[.identification] else {
            throw .missingPayload
        }
        let wanted = initiation.wanted
        // The successor of a client's ISAKMP SA is for who may come in, still.
        let isClient = wanted.peer.flatMap { peers[$0] }.map { $0.initiation == nil } ?? false
        return PeerSignature(
            method: known.offer.chosen.method, certificates: certificates,
            payloads: try last.chain.certificatePayloads, identity: last.identity,
            hash: known.responderHash(cookies, identification: identification), signature: signature,
            allowed: isClient ? certificates.clientIdentities : [],
            wanted: wanted.peerIdentity ?? IKEIdentity(wanted.path.remote.address))
    }

    /// Whether who proved itself by a pre-shared key is whom we have called. Otherwise the exchange has failed.
    mutating func isWanted(
        _ identity: IKEIdentity, _ association: Association, _ initiation: Association.Initiation, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) -> Bool {
        guard let wanted = initiation.wanted.peerIdentity, wanted != identity else { return true }
        failInitiation(
            association.ownCookie, reason: .otherIdentity, detail: "\(identity), not \(wanted)", now: now,
            using: &generator)
        return false
    }

    mutating func finishInitiation(
        _ association: Association, _ initiation: Association.Initiation, _ known: Association.Unauthenticated,
        _ last: Association.Initiation.Last, lastBlock: [UInt8], now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        let cookie = association.ownCookie
        answered(.phaseOne(cookie))
        initiations.remove(cookie)
        var offer = known.offer
        for life in last.chain.all(.notification).compactMap(Self.responderLifetime) {
            offer.chosen.life.shorten(to: life)
        }
        // Whom we asked at a path has answered there, and as the peer that it was for, or as another.
        establish(
            association,
            Outcome(
                identity: last.identity, offer: offer, keys: known.keys, nat: known.nat, hidesOwnNAT: false,
                lastBlock: lastBlock, path: association.path, request: last.message.digest, chain: last.chain,
                answer: nil, preSharedKey: offer.chosen.method == .preSharedKey ? initiation.preSharedKey : nil,
                peer: initiation.wanted.peer),
            now: now, using: &generator)
        deadlines.set(.mainMode(cookie), now + limits.exchangeLifetime)
    }

    /// An exchange of phase 1 of ours has come to nothing. Nothing else ends by it.
    mutating func failInitiation(
        _ cookie: UInt64, reason: IKERefusalReason, detail: String = "", now: Instant,
        using generator: inout some RandomNumberGenerator
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
        let doubt = reason == .noAnswer ? initiation.doubt : nil
        let fallback = initiation.hint.map(\.description) ?? ""
        refuse(
            association.path, association.cookies, peer: nil, step: .initiation, reason: doubt?.reason ?? reason,
            detail: doubt?.detail ?? (detail.isEmpty ? fallback : detail), now: now)
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
}
