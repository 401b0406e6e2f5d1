import Cryptography
import Wire

// Quick mode as responder (RFC 2409 section 5.5, RFC 3947 section 5).
//
//    1  HDR*, HASH(1), SA, Ni [, KE] [, IDci, IDcr] [, NAT-OA..]  ->      the gateway is asked for an inbound SPI
//    2                <-  HDR*, HASH(2), SA, Nr [, KE] [, IDci, IDcr] [, NAT-OAi, NAT-OAr]
//    3  HDR*, HASH(3)                                             ->
extension IKEEngine {
    mutating func receiveQuickMode(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.header.messageID != 0 else { throw .messageIDZero }
        guard let association = association(of: message.header.cookies) else { throw .unknownCookies }
        let cookie = association.ownCookie
        guard let established = association.established else {
            throw message.isEncrypted ? .encryptedTooEarly : .wrongState
        }
        guard message.isEncrypted else { throw .clearTooLate }
        guard message.bytes.count > Header.byteCount,
            (message.bytes.count - Header.byteCount) % established.keys.cipher.blockLength == 0
        else { throw .notBlockMultiple }
        let id = QuickModeID(cookie: cookie, messageID: message.header.messageID)
        if let exchange = established.quickModes[id.messageID] {
            try continueQuickMode(id, exchange, established, message, now: now, using: &generator)
        } else {
            try beginQuickMode(id, established, message, now: now, using: &generator)
        }
    }

    // MARK: - Message 1

    private mutating func beginQuickMode(
        _ id: QuickModeID, _ established: Association.Established, _ message: Incoming, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard !established.usedMessageIDs.contains(id.messageID) else { throw .repeatedMessageID }
        let running = established.quickModes.values.reduce(0) { $0 + ($1.isFinished ? 0 : 1) }
        guard running < limits.quickModesMaximum, hasRoomForQuickMode(id.cookie) else { throw .tooManyQuickModes }
        let keys = established.keys
        let iv = keys.initializationVector(lastBlock: established.lastBlock, messageID: id.messageID)
        let plain = try keys.decrypt(message.body, iv: iv)
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        guard chain.payloads.first?.type == .hash, let hash = chain[.hash] else { throw .missingPayload }
        // HASH(1) = prf(SKEYID_a, M-ID | all that follows the HASH payload)
        let expected = keys.messageHash(id.messageID.octets, chain.bytesAfterFirst)
        guard constantTimeEqual(expected.span.bytes, hash.span.bytes) else { throw .hashMismatch }
        let maximum = limits.usedMessageIDsMaximum
        guard update(id.cookie, { $0.use(id.messageID, maximum: maximum) }) ?? false else { throw .repeatedMessageID }
        noteAlive(established.peer, now: now)
        // From here on the peer is authenticated, and deserves a reason for what it does not get.
        do throws(IKEDrop) {
            try chain.check(.quickModeFirst)
            var request = try readRequest(chain, established, message, now: now, using: &generator)
            request.isOverlapped = noteOverlap(of: request, peer: established.peer)
            guard hasRoomForChild(established.peer, now: now, using: &generator) else {
                throw .tooManySecurityAssociations
            }
            let exchange = Association.QuickMode(
                path: message.path, request: message.digest, state: .awaitingDecision(request))
            _ = update(id.cookie) { $0.quickModes[id.messageID] = exchange }
            deadlines.set(.quickMode(id), now + limits.exchangeLifetime)
            reportInitialContact(chain, peer: established.peer)
            emit(
                .quickModeRequested(
                    QuickModeRequest(
                        id: id, role: .responder, peer: established.peer, path: message.path,
                        mode: request.chosen.mode.ipsecMode,
                        selectors: request.selectors, traffic: request.traffic, tunnel: request.tunnel,
                        suite: request.chosen.suite, encapsulation: established.encapsulation(in: request.chosen.mode),
                        group: request.chosen.group, replaces: nil)))
        } catch {
            noteRefusal(of: error, established, message, now: now)
            sendRefusal(of: error, established, message, now: now, using: &generator)
            throw error
        }
    }

    private mutating func readRequest(
        _ chain: PayloadChain, _ established: Association.Established, _ message: Incoming, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) -> Association.QuickMode.Request {
        guard let body = chain[.securityAssociation], let nonce = chain[.nonce] else { throw .missingPayload }
        guard Self.legalNonceLengths.contains(nonce.count) else { throw .nonceLength }
        let payload = try SecurityAssociationPayload(parsing: body, limits: limits)
        let publicValue = chain[.keyExchange]
        let policy = policy(for: message.path)
        let identifications = chain.all(.identification)
        let selectors = try readSelectors(identifications)
        let purpose = try purpose(of: selectors, established, message, now: now)
        let negotiation = PhaseTwoNegotiation(
            algorithms: purpose.tunnel?.algorithms ?? policy.phaseTwo,
            groups: purpose.tunnel?.group.map { [$0] } ?? policy.phaseOne.groups,
            path: negotiationPath(established, message.path), hasKeyExchange: publicValue != nil,
            requiresGroup: purpose.tunnel.map { $0.group != nil || $0.requiresForwardSecrecy } ?? false,
            modes: purpose.modes)
        let chosen: ChosenPhaseTwo
        switch negotiation.choose(from: payload) {
        case .chosen(let choice): chosen = choice
        case .refused(let offers):
            refuse(
                message.path, message.header.cookies, peer: established.peer, step: .quickModeOffer,
                reason: .noProposalChosen, offers: offers, detail: purpose.tunnel.map { "of tunnel \($0.name)" } ?? "",
                tunnel: purpose.tunnel?.name, now: now)
            throw .noProposalChosen
        }
        if let group = chosen.group, let publicValue, publicValue.count != group.publicValueLength {
            throw .publicValueLength
        }
        var originalAddresses: [IPAddress] = []
        if let variant = established.variant {
            for body in chain.all(variant.originalAddressPayload) {
                originalAddresses.append(try OriginalAddressPayload.parse(body))
            }
        }
        let inboundCPI = chosen.suite.compresses ? newCPI(peer: established.peer, using: &generator) : nil
        return Association.QuickMode.Request(
            chosen: chosen, inboundCPI: inboundCPI, nonce: nonce, publicValue: publicValue,
            identifications: identifications,
            selectors: selectors, traffic: purpose.traffic, tunnel: purpose.tunnel?.name,
            originalAddresses: originalAddresses,
            initializationVector: established.keys.nextInitializationVector(after: message.bytes))
    }

    func negotiationPath(_ established: Association.Established, _ path: IKEPath) -> PhaseTwoNegotiation.Path {
        guard let nat = established.nat else { return .unknown }
        return nat.isTranslated || established.hidesOwnNAT ? .translated : .direct
    }

    /// IDci and IDcr: both or none.
    private func readSelectors(_ bodies: [[UInt8]]) throws(IKEDrop) -> IKESelectors? {
        guard !bodies.isEmpty else { return nil }
        guard bodies.count == 2 else { throw .missingPayload }
        return IKESelectors(
            initiator: IKESelector(try IdentificationPayload(parsing: bodies[0])),
            responder: IKESelector(try IdentificationPayload(parsing: bodies[1])))
    }

    /// What the traffic is for; where it is for nothing that this peer may have, it is refused.
    private mutating func purpose(
        of selectors: IKESelectors?, _ established: Association.Established, _ message: Incoming, now: Instant
    ) throws(IKEDrop) -> TrafficPurpose {
        let result = trafficPurpose(of: selectors, established, message.path)
        switch result {
        case .success(let purpose): return purpose
        case .failure(let refusal):
            refuse(
                message.path, message.header.cookies, peer: established.peer, step: .quickModeOffer,
                reason: .selectorsRefused, detail: refusal.detail, now: now)
            throw .selectorsRefused
        }
    }

    /// The authenticated Notify that goes with a drop.
    mutating func sendRefusal(
        of drop: IKEDrop, _ established: Association.Established, _ message: Incoming, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        let type: IKENotification =
            switch drop {
            case .noProposalChosen, .tooManySecurityAssociations, .tooManyProposals, .domainUnsupported:
                .noProposalChosen
            case .selectorsRefused, .malformedIdentification: .invalidIDInformation
            case .publicValueLength, .publicValueRefused: .invalidKeyInformation
            default: .payloadMalformed
            }
        guard let cookie = association(of: message.header.cookies)?.ownCookie else { return }
        let payload = NotificationPayload(protocolID: ProtocolID.esp, type: type)
        sendInformational(
            [Payload(type: .notification, body: payload.body)], in: cookie, on: message.path, using: &generator)
    }

    // MARK: - The gateway's decision

    /// Takes a requested pair of IPsec SAs with `inboundSPI`, which no other live SA has. Where it comes to nothing later,
    /// `securityAssociationDeleted` gives the SPI back, even if `securityAssociationReady` never came.
    ///
    /// - Returns: false where the request is gone, or the SPI is reserved or taken.
    @discardableResult
    public mutating func accept(
        _ id: QuickModeID, inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Bool {
        guard inboundSPI > 255, children[inboundSPI] == nil,
            let exchange = associations[id.cookie]?.established?.quickModes[id.messageID]
        else { return false }
        do throws(IKEDrop) {
            if case .proposed(let proposed) = exchange.state {
                try acceptProposal(id, proposed, inboundSPI: inboundSPI, now: now, using: &generator)
                return true
            }
            guard case .awaitingDecision(let request) = exchange.state else { return false }
            if let group = request.chosen.group, let publicValue = request.publicValue {
                let work = try enqueueWork(group, .exchange(publicValue), for: .quickMode(id))
                _ = update(id.cookie) {
                    $0.quickModes[id.messageID]?.state = .computing(request, inboundSPI: inboundSPI, workID: work)
                }
            } else {
                try answerQuickMode(id, request, inboundSPI: inboundSPI, agreement: nil, now: now, using: &generator)
            }
            return true
        } catch {
            drops.count(error)
            return false
        }
    }

    /// Declines a requested pair of IPsec SAs.
    public mutating func refuse(
        _ id: QuickModeID, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let association = associations[id.cookie], let established = association.established,
            let exchange = established.quickModes[id.messageID]
        else { return }
        if exchange.proposed != nil { return endQuickMode(id, now: now, using: &generator) }
        guard case .awaitingDecision = exchange.state else { return }
        _ = update(id.cookie) { $0.quickModes[id.messageID]?.state = .finished }
        refuse(
            exchange.path, association.cookies, peer: established.peer, step: .quickModeOffer,
            reason: .declinedByGateway, now: now)
        let payload = NotificationPayload(protocolID: ProtocolID.esp, type: .noProposalChosen)
        sendInformational(
            [Payload(type: .notification, body: payload.body)], in: id.cookie, on: exchange.path, using: &generator)
    }

    mutating func completeQuickMode(
        _ id: QuickModeID, _ result: IKEWorkResult, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let association = associations[id.cookie], let established = association.established,
            let exchange = established.quickModes[id.messageID]
        else { throw .staleWorkResult }
        if exchange.proposed != nil {
            return try completeProposal(id, exchange, result, now: now, using: &generator)
        }
        guard case .computing(let request, let spi, let work) = exchange.state, work == result.id else {
            throw .staleWorkResult
        }
        switch result.outcome {
        case .success(let agreement):
            try answerQuickMode(id, request, inboundSPI: spi, agreement: agreement, now: now, using: &generator)
        case .failure:
            _ = update(id.cookie) { $0.quickModes[id.messageID]?.state = .finished }
            refuse(
                exchange.path, association.cookies, peer: established.peer, step: .quickModeOffer,
                reason: .publicValueRefused, now: now)
            let payload = NotificationPayload(protocolID: ProtocolID.esp, type: .invalidKeyInformation)
            sendInformational(
                [Payload(type: .notification, body: payload.body)], in: id.cookie, on: exchange.path, using: &generator)
            emit(
                .securityAssociationDeleted(
                    peer: established.peer, inboundSPI: spi, reason: .neverConfirmed))
            throw .publicValueRefused
        }
    }

    // MARK: - Message 2

    private mutating func answerQuickMode(
        _ id: QuickModeID, _ request: Association.QuickMode.Request, inboundSPI: UInt32,
        agreement: IKEWorkResult.Agreement?, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let association = associations[id.cookie], let established = association.established,
            let exchange = established.quickModes[id.messageID]
        else { throw .staleWorkResult }
        let keys = established.keys
        let nonce = generator.bytes(Self.nonceLength)
        var payloads = [
            Payload(
                type: .securityAssociation,
                body: request.chosen.answer(inboundSPI: inboundSPI, inboundCPI: request.inboundCPI)),
            Payload(type: .nonce, body: nonce),
        ]
        if let agreement { payloads.append(Payload(type: .keyExchange, body: agreement.publicValue)) }
        payloads += request.identifications.map { Payload(type: .identification, body: $0) }
        payloads += originalAddressPayloads(request, established, path: exchange.path)
        payloads += lifetimePayloads(request, exchange.path, inboundSPI: inboundSPI)
        // HASH(2) = prf(SKEYID_a, M-ID | Ni_b | all that follows the HASH payload)
        let chain = MessageWriter.chain(payloads)
        let hash = keys.messageHash(id.messageID.octets, request.nonce, chain)
        let encrypted = try keys.encrypt(
            MessageWriter.chain(hash: hash, before: chain, first: .securityAssociation),
            iv: request.initializationVector)
        let header = Header(
            cookies: association.cookies, exchange: .quickMode, flags: .encryption, messageID: id.messageID)
        let answer = MessageWriter.message(header, first: .hash, body: encrypted)

        let answered = Association.QuickMode.Answered(
            inboundSPI: inboundSPI, initiatorNonce: request.nonce, responderNonce: nonce,
            initializationVector: keys.nextInitializationVector(after: encrypted), own: request.own,
            peer: request.peer)
        _ = update(id.cookie) {
            $0.quickModes.change(id.messageID) {
                $0.answer = answer
                $0.state = .awaitingConfirmation(answered)
            }
        }
        // The peer is known, so this may be repeated unasked: nobody else would notice that message 3 was lost.
        transmitUntilAnswered(answer, on: exchange.path, for: .quickMode(id), now: now)
        install(
            id,
            Installation(
                role: .responder, chosen: request.chosen, initiatorNonce: request.nonce, responderNonce: nonce,
                sharedSecret: agreement?.sharedSecret, own: request.own, peer: request.peer,
                selectors: request.selectors, traffic: request.traffic, tunnel: request.tunnel,
                inboundCPI: request.inboundCPI, originalAddresses: request.originalAddresses,
                isOverlapped: request.isOverlapped),
            established, exchange.path, inboundSPI: inboundSPI, now: now, using: &generator)
    }

    /// NAT-OA: the peer's address as we see it, and ours (RFC 3947 section 5.2), in transport mode through a NAT.
    private func originalAddressPayloads(
        _ request: Association.QuickMode.Request, _ established: Association.Established, path: IKEPath
    ) -> [Payload] {
        guard let variant = established.variant, request.chosen.mode.isUDPEncapsulated, request.chosen.mode.isTransport
        else { return [] }
        let addresses = [path.remote.address, ownAddress(request.originalAddresses, established, path)]
        return addresses.suffix(variant.originalAddressCount).map {
            Payload(type: variant.originalAddressPayload, body: OriginalAddressPayload.body($0))
        }
    }

    /// Our original address; to whom we hide our NAT, we are at the address that the peer knows.
    func ownAddress(
        _ originalAddresses: [IPAddress], _ established: Association.Established, _ path: IKEPath
    ) -> IPAddress {
        let hidden = established.hidesOwnNAT && originalAddresses.count > 1 ? originalAddresses[1] : nil
        return hidden ?? configuration.identityAddress ?? path.local.address
    }

    /// RESPONDER-LIFETIME where our bounds are shorter than what the peer wants (RFC 2407 section 4.6.3.1).
    private func lifetimePayloads(
        _ request: Association.QuickMode.Request, _ path: IKEPath, inboundSPI: UInt32
    ) -> [Payload] {
        let lifetimes = lifetimes(for: path, tunnel: request.tunnel, suite: request.chosen.suite)
        guard
            let attributes = request.chosen.life.shorterAttributes(
                seconds: lifetimes.ipsecMaximumSeconds, kilobytes: lifetimes.ipsecMaximumKilobytes,
                typeAttribute: PhaseTwoNegotiation.Class.lifeType,
                durationAttribute: PhaseTwoNegotiation.Class.lifeDuration)
        else { return [] }
        return request.chosen.suite.protocols.map { ipsecProtocol in
            let notification = NotificationPayload(
                protocolID: ipsecProtocol.rawValue, type: .responderLifetime,
                securityParameterIndex: inboundSPI.octets, data: attributes)
            return Payload(type: .notification, body: notification.body)
        }
    }

    // MARK: - Message 3

    private mutating func continueQuickMode(
        _ id: QuickModeID, _ exchange: Association.QuickMode, _ established: Association.Established,
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        if exchange.request == message.digest {
            guard let answer = exchange.answer else { throw .repeatedWhileBusy }
            // To where the peer is known to be, at whichever port: a recording of the message must not draw the answer elsewhere.
            let places = [peers[established.peer]?.path, exchange.path].compactMap { $0 }
            let isKnown = places.contains { $0.remote.address == message.path.remote.address }
            transmit(answer, on: isKnown ? message.path : places.first ?? exchange.path)
            return
        }
        if case .awaitingAnswer(let sent) = exchange.state {
            return try receiveQuickModeAnswer(id, sent, established, message, now: now, using: &generator)
        }
        guard case .awaitingConfirmation(let answered) = exchange.state else {
            // A fourth message, CONNECTED after a commit bit, as Windows sends it, changes nothing.
            throw exchange.isFinished ? .obsoleteRequest : .wrongState
        }
        let keys = established.keys
        let plain = try keys.decrypt(message.body, iv: answered.initializationVector)
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        try chain.check(.quickModeLast)
        guard let hash = chain[.hash] else { throw .missingPayload }
        // HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)
        let expected = keys.messageHash(
            [0], id.messageID.octets, answered.initiatorNonce, answered.responderNonce)
        guard constantTimeEqual(expected.span.bytes, hash.span.bytes) else { throw .hashMismatch }
        _ = update(id.cookie) { $0.quickModes.change(id.messageID) { $0.state = .finished } }
        self.answered(.quickMode(id))
        noteAlive(established.peer, now: now)
        confirm(answered.inboundSPI)
        // HASH(3) covers our nonce: the peer is there now, and not in a recording.
        move(established.peer, to: message.path, cookie: id.cookie)
    }

    /// Quick mode's time is over.
    mutating func endQuickMode(
        _ id: QuickModeID, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let ended = update(id.cookie) { established in
            defer { if established.quickModes.isEmpty { established.quickModes = [:] } }
            return established.quickModes.removeValue(forKey: id.messageID)
        }
        guard let exchange = ended ?? nil else {
            return
        }
        answered(.quickMode(id))
        deadlines.remove(.quickMode(id))
        if let old = exchange.proposed?.replaces { rekeyHasEnded(old, now: now) }
        if let spi = exchange.reservedSPI, let peer = associations[id.cookie]?.established?.peer {
            // The gateway has set this SPI aside, and gets it back.
            emit(.securityAssociationDeleted(peer: peer, inboundSPI: spi, reason: .neverConfirmed))
        }
        guard case .awaitingConfirmation(let answered) = exchange.state, let child = children[answered.inboundSPI],
            !child.isConfirmed
        else { return }
        endChild(answered.inboundSPI, reason: .neverConfirmed, announce: true, now: now, using: &generator)
    }

    /// Changes an established ISAKMP SA in place; nil where there is none.
    mutating func update<Value>(
        _ cookie: UInt64, _ change: (inout Association.Established) -> Value
    ) -> Value? {
        let value = associations.change(cookie) { association -> Value? in
            guard case .established(var established) = association.state else { return nil }
            let value = change(&established)
            association.state = .established(established)
            return value
        }
        return value ?? nil
    }
}
