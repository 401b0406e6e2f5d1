import Cryptography
import Wire

/// A pair of IPsec SAs that we want.
public struct QuickModeProposal: Sendable {
    /// The algorithms, the most wanted first; none means those of the configuration.
    public var suites: [IPsecSuite] = []
    /// The group of perfect forward secrecy.
    public var group: DiffieHellmanGroup?
    /// Transport or tunnel mode.
    public var mode = IPsecMode.transport
    /// The traffic, our side the local one; nil means UDP port 1701 of both addresses.
    public var traffic: TrafficSelector?
    /// Which configured tunnel it is for; nil for L2TP.
    public var tunnel: String?

    /// What the configuration says, for L2TP.
    public init() {}
}

// Quick mode as initiator (RFC 2409 section 5.5): to replace a pair of IPsec SAs before it ends, or for a new one.
//
//    1  HDR*, HASH(1), SA, Ni [, KE] [, IDci, IDcr] [, NAT-OA..]  ->
//    2                  <-  HDR*, HASH(2), SA, Nr [, KE] [, IDci, IDcr] [, NAT-OA..] [, N(RESPONDER-LIFETIME)]
//    3  HDR*, HASH(3)                                             ->
extension IKEEngine {
    // MARK: - The gateway's wishes

    /// Asks a peer for a pair of IPsec SAs, in its newest ISAKMP SA. The gateway is asked for the inbound SPI by
    /// ``IKEEvent/quickModeRequested(_:)``, as for a quick mode of the peer's.
    ///
    /// - Returns: nil where there is no ISAKMP SA with the peer, or too much under way.
    @discardableResult
    public mutating func initiateQuickMode(
        _ peer: PeerID, _ proposal: QuickModeProposal, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> QuickModeID? {
        guard let known = peers[peer], let cookie = known.associations.last,
            let established = associations[cookie]?.established
        else { return nil }
        let local = AddressRange(configuration.identityAddress ?? known.path.local.address)
        let traffic =
            proposal.traffic
            ?? TrafficSelector(
                local: local, remote: AddressRange(known.path.remote.address), protocolNumber: 17, localPort: 1701,
                remotePort: 1701)
        let selectors = IKESelectors(traffic)
        let isTranslated = established.nat?.isTranslated ?? false || established.hidesOwnNAT
        let mode = EncapsulationMode(proposal.mode, isTranslated ? established.variant : nil)
        let tunnel = configuration.tunnels.first { $0.name == proposal.tunnel }
        let isSecret = tunnel?.requiresForwardSecrecy ?? false
        let lifetimes = lifetimes(for: known.path, tunnel: proposal.tunnel)
        let agreed = Child.Agreement(
            mode: mode, group: proposal.group ?? tunnel?.group ?? (isSecret ? established.suite.group : nil),
            seconds: lifetimes.ipsecMaximumSeconds,
            kilobytes: lifetimes.ipsecMaximumKilobytes, own: selectors.responder.body,
            peer: selectors.initiator.body, traffic: traffic, tunnel: proposal.tunnel,
            originalAddresses: [])
        let algorithms = tunnel?.algorithms ?? policy(for: known.path).phaseTwo
        // A NAT changes what AH authenticates (RFC 3947 section 1).
        let suites = (proposal.suites.isEmpty ? algorithms.offered : proposal.suites).filter {
            !mode.isUDPEncapsulated || $0.authenticationHeader == nil
        }
        return beginProposal(
            Association.QuickMode.Proposed(suites: suites, agreed: agreed, replaces: nil, isOverlapped: false),
            peer, in: cookie, now: now, using: &generator)
    }

    /// Replaces a pair of IPsec SAs by a new one of the same traffic and algorithms. It stays until the new one is in use.
    ///
    /// - Returns: nil where this is under way, or the peer cannot be asked now.
    @discardableResult
    public mutating func rekey(
        inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> QuickModeID? {
        guard let child = children[inboundSPI], !child.isReplaced, !child.isRekeying,
            successor(of: inboundSPI, child) == nil
        else { return nil }
        guard let cookie = peers[child.peer]?.associations.last, let association = associations[cookie] else {
            rekeyAfterPhaseOne(inboundSPI, child, now: now, using: &generator)
            return nil
        }
        let isBusy = association.established?.quickModes.values.contains { $0.isPending(like: child.agreed) } ?? true
        guard !isBusy else { return nil }
        let proposed = Association.QuickMode.Proposed(
            suites: [child.suite], agreed: child.agreed, replaces: inboundSPI, isOverlapped: false)
        guard let id = beginProposal(proposed, child.peer, in: cookie, now: now, using: &generator) else { return nil }
        children[inboundSPI]?.isRekeying = true
        return id
    }

    // MARK: - Message 1

    private mutating func beginProposal(
        _ proposed: Association.QuickMode.Proposed, _ peer: PeerID, in cookie: UInt64, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) -> QuickModeID? {
        guard let association = associations[cookie], let established = association.established,
            !proposed.suites.isEmpty
        else { return nil }
        let running = established.quickModes.values.reduce(0) { $0 + ($1.isFinished ? 0 : 1) }
        guard running < limits.quickModesMaximum, hasRoomForQuickMode(cookie),
            hasRoomForChild(peer, now: now, using: &generator)
        else {
            drops.count(.tooManyQuickModes)
            return nil
        }
        let messageID = newMessageID(established, using: &generator)
        let id = QuickModeID(cookie: cookie, messageID: messageID)
        let maximum = limits.usedMessageIDsMaximum
        _ = update(cookie) {
            _ = $0.use(messageID, maximum: maximum)
            $0.quickModes[messageID] = Association.QuickMode(
                path: association.path, began: now, state: .proposed(proposed))
        }
        // Ample: retransmission ends it before.
        deadlines.set(.quickMode(id), now + limits.exchangeLifetime * 2)
        emit(
            .quickModeRequested(
                QuickModeRequest(
                    id: id, role: .initiator, peer: peer, path: association.path, mode: proposed.agreed.mode.ipsecMode,
                    selectors: proposed.agreed.selectors, traffic: proposed.agreed.traffic,
                    tunnel: proposed.agreed.tunnel,
                    suite: proposed.suites[0],
                    encapsulation: association.established?.encapsulation(in: proposed.agreed.mode) ?? .none,
                    group: proposed.agreed.group, replaces: proposed.replaces)))
        return id
    }

    /// The lives of single suites of a tunnel. A successor has the life that its predecessor was agreed to have.
    private func suiteLifetimes(of tunnel: String?) -> [IPsecSuite: IKETunnel.SuiteLifetime] {
        configuration.tunnels.first { $0.name == tunnel }?.suiteLifetimes ?? [:]
    }

    func newMessageID(
        _ established: Association.Established, using generator: inout some RandomNumberGenerator
    ) -> UInt32 {
        var messageID = Self.messageID(using: &generator)
        while established.usedMessageIDs.contains(messageID) { messageID = Self.messageID(using: &generator) }
        return messageID
    }

    /// The gateway has given the inbound SPI.
    mutating func acceptProposal(
        _ id: QuickModeID, _ proposed: Association.QuickMode.Proposed, inboundSPI: UInt32, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let group = proposed.agreed.group else {
            return try sendProposal(id, proposed, inboundSPI: inboundSPI, pair: nil, now: now, using: &generator)
        }
        let work = try enqueueWork(group, .generate, for: .quickMode(id))
        _ = update(id.cookie) {
            $0.quickModes[id.messageID]?.state = .generating(proposed, inboundSPI: inboundSPI, workID: work)
        }
    }

    mutating func sendProposal(
        _ id: QuickModeID, _ proposed: Association.QuickMode.Proposed, inboundSPI: UInt32, pair: DiffieHellmanKeyPair?,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let association = associations[id.cookie], let established = association.established else {
            throw .staleWorkResult
        }
        let keys = established.keys
        let agreed = proposed.agreed
        let nonce = generator.bytes(Self.nonceLength)
        let compresses = proposed.suites.contains { $0.compresses }
        let inboundCPI = compresses ? newCPI(peer: established.peer, using: &generator) : nil
        let offer = PhaseTwoOffer(
            mode: agreed.mode, group: agreed.group, seconds: agreed.seconds, kilobytes: agreed.kilobytes,
            suiteLifetimes: proposed.replaces == nil ? suiteLifetimes(of: agreed.tunnel) : [:]
        ).body(proposed.suites, inboundSPI: inboundSPI, inboundCPI: inboundCPI)
        var payloads = [Payload(type: .securityAssociation, body: offer), Payload(type: .nonce, body: nonce)]
        if let pair { payloads.append(Payload(type: .keyExchange, body: pair.publicValue)) }
        if let own = agreed.own, let peer = agreed.peer {
            payloads += [own, peer].map { Payload(type: .identification, body: $0) }
        }
        if let variant = established.variant, agreed.mode.isUDPEncapsulated, agreed.mode.isTransport {
            // NAT-OAi is that of the initiator, which is us here (RFC 3947 section 5.2).
            let own = ownAddress(agreed.originalAddresses, established, association.path)
            payloads += [own, association.path.remote.address].prefix(variant.originalAddressCount).map {
                Payload(type: variant.originalAddressPayload, body: OriginalAddressPayload.body($0))
            }
        }
        let hash = keys.messageHash(id.messageID.octets, MessageWriter.chain(payloads))
        let encrypted = try keys.encrypt(
            MessageWriter.chain([Payload(type: .hash, body: hash)] + payloads),
            iv: keys.initializationVector(lastBlock: established.lastBlock, messageID: id.messageID))
        let header = Header(
            cookies: association.cookies, exchange: .quickMode, flags: .encryption, messageID: id.messageID)
        let sent = Association.QuickMode.Sent(
            proposed: proposed, inboundSPI: inboundSPI, inboundCPI: inboundCPI, nonce: nonce, pair: pair,
            initializationVector: keys.nextInitializationVector(after: encrypted))
        _ = update(id.cookie) {
            $0.quickModes[id.messageID]?.path = association.path
            $0.quickModes[id.messageID]?.state = .awaitingAnswer(sent)
        }
        transmitUntilAnswered(
            MessageWriter.message(header, first: .hash, body: encrypted), on: association.path, for: .quickMode(id),
            now: now)
    }

    // MARK: - Message 2

    mutating func receiveQuickModeAnswer(
        _ id: QuickModeID, _ sent: Association.QuickMode.Sent, _ established: Association.Established,
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let keys = established.keys
        let plain = try keys.decrypt(message.body, iv: sent.initializationVector)
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        guard chain.payloads.first?.type == .hash, let hash = chain[.hash] else { throw .missingPayload }
        // HASH(2) = prf(SKEYID_a, M-ID | Ni_b | all that follows the HASH payload)
        let expected = keys.messageHash(id.messageID.octets, sent.nonce, chain.bytesAfterFirst)
        guard constantTimeEqual(expected.span.bytes, hash.span.bytes) else { throw .hashMismatch }
        noteNegotiation(id, of: established.peer, now: now)
        answered(.quickMode(id))
        noteAlive(established.peer, now: now)
        do throws(IKEDrop) {
            try chain.check(.quickModeSecond)
            let answer = try readAnswer(chain, sent, established, message)
            if let pair = sent.pair, let publicValue = chain[.keyExchange] {
                let work = try enqueueWork(pair.group, .agree(pair, publicValue), for: .quickMode(id))
                _ = update(id.cookie) {
                    $0.quickModes[id.messageID]?.request = message.digest
                    $0.quickModes[id.messageID]?.state = .agreeing(sent, answer, workID: work)
                }
            } else {
                _ = update(id.cookie) { $0.quickModes[id.messageID]?.request = message.digest }
                try finishProposal(id, sent, answer, sharedSecret: nil, now: now, using: &generator)
            }
        } catch {
            // The peer has an SA that we do not have.
            sendRefusal(of: error, established, message, now: now, using: &generator)
            endQuickMode(id, now: now, using: &generator)
            throw error
        }
    }

    private func readAnswer(
        _ chain: PayloadChain, _ sent: Association.QuickMode.Sent, _ established: Association.Established,
        _ message: Incoming
    ) throws(IKEDrop) -> Association.QuickMode.Answer {
        guard let body = chain[.securityAssociation], let nonce = chain[.nonce] else { throw .missingPayload }
        guard Self.legalNonceLengths.contains(nonce.count) else { throw .nonceLength }
        let agreed = sent.proposed.agreed
        let payload = try SecurityAssociationPayload(parsing: body, limits: limits)
        // What strongSwan answers to an offer with compression has one without behind it, which means nothing.
        guard let proposals = payload.bundles.first, proposals.allSatisfy({ $0.transforms.count == 1 }) else {
            throw .malformedProposal
        }
        let negotiation = PhaseTwoNegotiation(
            algorithms: PhaseTwoAlgorithms(suites: sent.proposed.suites), groups: agreed.group.map { [$0] } ?? [],
            path: agreed.mode.isUDPEncapsulated ? .translated : .unknown, hasKeyExchange: chain[.keyExchange] != nil,
            modes: [agreed.mode.ipsecMode])
        guard case .chosen(var chosen) = negotiation.choose(from: SecurityAssociationPayload(proposals: proposals)),
            chosen.group == agreed.group, chosen.mode == agreed.mode
        else { throw .noProposalChosen }
        if let group = chosen.group, chain[.keyExchange]?.count != group.publicValueLength { throw .publicValueLength }
        let narrowed = try narrowed(chain.all(.identification), agreed)
        for life in chain.all(.notification).compactMap(Self.responderLifetime) { chosen.life.shorten(to: life) }
        return Association.QuickMode.Answer(
            chosen: chosen, nonce: nonce, narrowed: narrowed,
            initializationVector: established.keys.nextInitializationVector(after: message.bytes))
    }

    /// Both ids, as we sent them; who leaves them out means the same (RFC 2409 section 5.5). For a tunnel less is legal, and
    /// then is what is agreed. In transport mode for L2TP another address is how a NAT makes us look.
    private func narrowed(
        _ identifications: [[UInt8]], _ agreed: Child.Agreement
    ) throws(IKEDrop) -> (selectors: IKESelectors, traffic: TrafficSelector)? {
        guard !identifications.isEmpty, identifications != [agreed.own, agreed.peer] else { return nil }
        guard identifications.count == 2, let wanted = agreed.traffic else { throw .selectorsRefused }
        let sides = [
            IKESelector(try IdentificationPayload(parsing: identifications[0])),
            IKESelector(try IdentificationPayload(parsing: identifications[1])),
        ]
        // IDci is ours here, and the selectors are those of a responder.
        let selectors = IKESelectors(initiator: sides[1], responder: sides[0])
        guard let traffic = selectors.traffic else { throw .selectorsRefused }
        if agreed.mode.isTransport, agreed.mode.isUDPEncapsulated {
            let isSame =
                traffic.protocolNumber == wanted.protocolNumber && traffic.localPort == wanted.localPort
                && traffic.remotePort == wanted.remotePort
            guard isSame else { throw .selectorsRefused }
            return nil
        }
        guard agreed.tunnel != nil, wanted.contains(traffic) else { throw .selectorsRefused }
        return (selectors, traffic)
    }

    /// The life that a RESPONDER-LIFETIME names (RFC 2407 section 4.6.3.1).
    static func responderLifetime(_ body: [UInt8]) -> Life? {
        guard let notification = try? NotificationPayload(parsing: body), notification.type == .responderLifetime,
            let attributes = try? Attribute.parse(notification.data)
        else { return nil }
        return notification.protocolID == ProtocolID.isakmp
            ? Life(
                attributes, typeAttribute: PhaseOneNegotiation.Class.lifeType,
                durationAttribute: PhaseOneNegotiation.Class.lifeDuration)
            : Life(
                attributes, typeAttribute: PhaseTwoNegotiation.Class.lifeType,
                durationAttribute: PhaseTwoNegotiation.Class.lifeDuration)
    }

    // MARK: - Message 3

    mutating func finishProposal(
        _ id: QuickModeID, _ sent: Association.QuickMode.Sent, _ answer: Association.QuickMode.Answer,
        sharedSecret: SecretBytes?, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let association = associations[id.cookie], let established = association.established else {
            throw .staleWorkResult
        }
        let keys = established.keys
        // HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)
        let hash = keys.messageHash([0], id.messageID.octets, sent.nonce, answer.nonce)
        let encrypted = try keys.encrypt(
            MessageWriter.chain([Payload(type: .hash, body: hash)]), iv: answer.initializationVector)
        let header = Header(
            cookies: association.cookies, exchange: .quickMode, flags: .encryption, messageID: id.messageID)
        let last = MessageWriter.message(header, first: .hash, body: encrypted)
        _ = update(id.cookie) {
            $0.quickModes[id.messageID]?.answer = last
            $0.quickModes[id.messageID]?.state = .finished
        }
        transmit(last, on: association.path)
        if sent.proposed.replaces != nil {
            deadlines.set(.settle(sent.inboundSPI), now + replacementGrace(of: established.peer))
        }
        if let old = sent.proposed.replaces { children[old]?.isRekeying = false }
        // The exchange is kept as long as message 2 may be repeated.
        deadlines.set(.quickMode(id), now + limits.exchangeLifetime)
        let agreed = sent.proposed.agreed
        install(
            id,
            Installation(
                role: .initiator, chosen: answer.chosen, initiatorNonce: sent.nonce, responderNonce: answer.nonce,
                sharedSecret: sharedSecret, own: answer.narrowed?.selectors.responder.body ?? agreed.own,
                peer: answer.narrowed?.selectors.initiator.body ?? agreed.peer,
                selectors: answer.narrowed?.selectors ?? agreed.selectors,
                traffic: answer.narrowed?.traffic ?? agreed.traffic, tunnel: agreed.tunnel,
                inboundCPI: answer.chosen.suite.compresses ? sent.inboundCPI : nil,
                originalAddresses: agreed.originalAddresses, replaces: sent.proposed.replaces,
                isOverlapped: sent.proposed.isOverlapped),
            established, association.path, inboundSPI: sent.inboundSPI, now: now, using: &generator)
        confirmInitiated(sent.inboundSPI, replaces: sent.proposed.replaces, now: now, using: &generator)
    }

    /// The result of a computation for a quick mode of ours.
    mutating func completeProposal(
        _ id: QuickModeID, _ exchange: Association.QuickMode, _ result: IKEWorkResult, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        do throws(IKEDrop) {
            switch (exchange.state, result.outcome) {
            case (.generating(let proposed, let spi, result.id), .success(let agreement)):
                try sendProposal(
                    id, proposed, inboundSPI: spi, pair: agreement.pair, now: now, using: &generator)
            case (.agreeing(let sent, let answer, result.id), .success(let agreement)):
                try finishProposal(
                    id, sent, answer, sharedSecret: agreement.sharedSecret, now: now, using: &generator)
            case (.generating(_, _, result.id), .failure), (.agreeing(_, _, result.id), .failure):
                throw .publicValueRefused
            default: throw .staleWorkResult
            }
        } catch {
            if error != .staleWorkResult { endQuickMode(id, now: now, using: &generator) }
            throw error
        }
    }

    /// The peer begins a quick mode: whether we have begun one for the same traffic, which is then noted on both.
    mutating func noteOverlap(of request: Association.QuickMode.Request, peer: PeerID) -> Bool {
        var isOverlapped = false
        for cookie in peers[peer]?.associations ?? [] {
            for (messageID, exchange) in associations[cookie]?.established?.quickModes ?? [:] {
                guard var proposed = exchange.proposed, proposed.agreed.own == request.own,
                    proposed.agreed.peer == request.peer
                else { continue }
                isOverlapped = true
                proposed.isOverlapped = true
                _ = update(cookie) { $0.quickModes[messageID]?.proposed = proposed }
            }
        }
        return isOverlapped
    }
}
