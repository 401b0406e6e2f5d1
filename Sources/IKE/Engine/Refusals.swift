import Wire

// What the gateway is told about those who do not get what they want.
extension IKEEngine {
    /// Records a refusal, unless there were too many.
    mutating func refuse(
        _ path: IKEPath, _ cookies: IKECookies, peer: PeerID?, step: IKEStep, reason: IKERefusalReason,
        offers: [IKERefusedOffer] = [], detail: String = "", tunnel: String? = nil, now: Instant
    ) {
        guard refusalLimit.take(now) else { return drops.count(.refusalRateLimited) }
        let association = association(of: cookies)
        emit(
            .refused(
                IKERefusal(
                    remote: path.remote, local: path.local, cookies: cookies, peer: peer,
                    identity: peer.flatMap { peers[$0]?.identity } ?? association?.claimedIdentity,
                    vendorIDs: association?.vendorIDs ?? [], isStranger: false, step: step, reason: reason,
                    offers: offers, detail: detail, tunnel: tunnel)))
    }

    /// Records the refusal of a first message, once for all its repetitions. Its sender has shown nothing, so that these
    /// have a limit of their own: a flood of them hides no other refusal.
    mutating func refuseFirst(
        _ message: Incoming, step: IKEStep, reason: IKERefusalReason, offers: [IKERefusedOffer] = [],
        detail: String = "", now: Instant
    ) {
        let key = FirstMessageKey(
            initiatorCookie: message.header.cookies.initiator, remote: message.path.remote)
        guard !refusedFirstMessages.contains(key) else { return }
        if refusedFirstMessages.count < limits.refusalsRememberedMaximum {
            refusedFirstMessages.insert(key)
            lastRefusal += 1
            refusals[lastRefusal] = key
            deadlines.set(.refusal(lastRefusal), now + limits.exchangeLifetime)
        }
        guard strangerRefusalLimit.take(now) else { return drops.count(.refusalRateLimited) }
        let chain = try? PayloadChain(
            parsing: message.body, first: message.header.nextPayload, padded: false, limit: limits.payloadsMaximum)
        let identification = chain?[.identification].flatMap { try? IdentificationPayload(parsing: $0) }
        emit(
            .refused(
                IKERefusal(
                    remote: message.path.remote, local: message.path.local, cookies: message.header.cookies, peer: nil,
                    identity: identification?.identity,
                    vendorIDs: chain?.all(.vendorID).compactMap(IKEVendorID.init) ?? [], isStranger: true, step: step,
                    reason: reason, offers: offers, detail: detail)))
    }

    /// Records that an exchange came to nothing without a word, where the peer had shown that it receives, or had cost us
    /// a Diffie-Hellman. What stopped before that may have been a forged address.
    mutating func noteUnfinished(_ association: Association, now: Instant) {
        switch association.state {
        case .awaitingAuthentication(let known) where known.failedProofs == 0:
            let port = known.nat.map { $0.isTranslated || known.hidesOwnNAT } ?? false ? 4500 : 500
            refuse(
                association.path, association.cookies, peer: nil, step: .mainModeAuthentication,
                reason: .authenticationMissing, detail: "message 5 was to come to UDP \(port)", now: now)
        case .awaitingProof(let known) where known.failedProofs == 0:
            guard strangerRefusalLimit.take(now) else { return drops.count(.refusalRateLimited) }
            emit(
                .refused(
                    IKERefusal(
                        remote: association.path.remote, local: association.path.local, cookies: association.cookies,
                        peer: nil, identity: association.claimedIdentity, vendorIDs: association.vendorIDs,
                        isStranger: true, step: .aggressiveMode, reason: .aggressiveModeUnanswered, offers: [],
                        detail: "")))
        default: break
        }
    }

    /// Records why a quick mode of a peer's is dropped, where that has not been told with more detail already.
    mutating func noteRefusal(
        of drop: IKEDrop, _ established: Association.Established, _ message: Incoming, now: Instant
    ) {
        let (reason, detail): (IKERefusalReason, String)
        switch drop {
        case .noProposalChosen, .selectorsRefused: return
        case .tooManySecurityAssociations: (reason, detail) = (.limitReached, "IPsec SAs of one client")
        default: (reason, detail) = (.malformedRequest, drop.rawValue)
        }
        refuse(
            message.path, message.header.cookies, peer: established.peer, step: .quickModeOffer, reason: reason,
            detail: detail, now: now)
    }

    /// Whose inbound SA has this SPI.
    public func peer(ofInboundSPI spi: UInt32) -> PeerID? { children[spi]?.peer }
}

extension Association {
    /// Who its peer says it is, as far as it has come.
    fileprivate var claimedIdentity: IKEIdentity? {
        switch state {
        case .computingAggressive(let exchange): exchange.identity
        case .awaitingProof(let known): (try? IdentificationPayload(parsing: known.identification))?.identity
        case .authenticating(let exchange): exchange.identity
        case .established(let established): established.identity
        case .awaitingKeyExchange, .computing, .awaitingAuthentication, .initiating: nil
        }
    }

    /// What its peer runs, as far as the exchange still knows.
    fileprivate var vendorIDs: [IKEVendorID] {
        switch state {
        case .awaitingKeyExchange(let offer): offer.vendorIDs
        case .computing(let exchange): exchange.offer.vendorIDs
        case .computingAggressive(let exchange): exchange.offer.vendorIDs
        case .awaitingAuthentication(let known), .awaitingProof(let known): known.offer.vendorIDs
        case .authenticating(let exchange): exchange.known.offer.vendorIDs
        case .initiating, .established: []
        }
    }
}
