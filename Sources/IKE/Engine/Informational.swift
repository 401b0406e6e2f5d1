import Cryptography
import Wire

// The Informational exchange (RFC 2409 section 5.7): Delete, Notify, dead peer detection (RFC 3706).
extension IKEEngine {
    mutating func receiveInformational(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        // What is in clear proves nothing: counted, never believed, never answered.
        guard message.isEncrypted else {
            noteHint(message)
            throw .unauthenticatedInformational
        }
        guard message.header.messageID != 0 else { throw .messageIDZero }
        guard let association = association(of: message.header.cookies) else { throw .unknownCookies }
        let cookie = association.ownCookie
        guard let established = association.established else { throw .encryptedTooEarly }
        let messageID = message.header.messageID
        let keys = established.keys
        let iv = keys.initializationVector(lastBlock: established.lastBlock, messageID: messageID)
        let plain = try keys.decrypt(message.body, iv: iv)
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        guard chain.payloads.first?.type == .hash, let hash = chain[.hash] else { throw .missingPayload }
        // HASH(1) = prf(SKEYID_a, M-ID | N/D)
        let expected = keys.messageHash(messageID.octets, chain.bytesAfterFirst)
        guard constantTimeEqual(expected.span.bytes, hash.span.bytes) else { throw .hashMismatch }
        try chain.check(.informational)
        let maximum = limits.usedMessageIDsMaximum
        let isNew = update(cookie) { $0.use(messageID, maximum: maximum) } ?? false
        if isNew { noteAlive(established.peer, now: now) }
        // A peer may send the same R-U-THERE again; everything else counts once.
        for body in chain.all(.notification) {
            try receiveNotification(body, association, isNew: isNew, message, now: now, using: &generator)
        }
        guard isNew else { throw .repeatedMessageID }
        for body in chain.all(.delete) {
            try receiveDelete(body, of: established.peer, now: now, using: &generator)
        }
    }

    /// An exchange that we do not speak, new group mode (RFC 2409 section 5.6) or a transaction: who proves to be our peer
    /// is told so, by proof; anybody else hears nothing.
    mutating func refuseExchange(
        _ message: Incoming, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard message.isEncrypted, message.header.messageID != 0,
            let association = association(of: message.header.cookies), let established = association.established
        else { throw .unsupportedExchange }
        let messageID = message.header.messageID
        let keys = established.keys
        let plain = try keys.decrypt(
            message.body, iv: keys.initializationVector(lastBlock: established.lastBlock, messageID: messageID))
        let chain = try PayloadChain(
            parsing: plain, first: message.header.nextPayload, padded: true, limit: limits.payloadsMaximum)
        guard chain.payloads.first?.type == .hash, let hash = chain[.hash] else { throw .missingPayload }
        let expected = keys.messageHash(messageID.octets, chain.bytesAfterFirst)
        guard constantTimeEqual(expected.span.bytes, hash.span.bytes) else { throw .hashMismatch }
        // The header is not covered by the hash: what is no message of such an exchange is another one's, falsified.
        try chain.check(message.header.exchange == .newGroup ? .newGroup : .transaction)
        guard notifyLimit.take(now) else { throw .notifyRateLimited }
        let refusal = NotificationPayload(protocolID: ProtocolID.isakmp, type: .unsupportedExchangeType)
        sendInformational(
            [Payload(type: .notification, body: refusal.body)], in: association.ownCookie, on: message.path,
            using: &generator)
        throw .unsupportedExchange
    }

    /// Tells that ESP or AH came with an SPI that no SA has, from an endpoint or, without UDP, from an address with port 0. A
    /// peer of ours there is told, in its ISAKMP SA, that the SPI is invalid and deleted; anybody else hears nothing.
    public mutating func noteUnknownSPI(
        _ spi: UInt32, of ipsecProtocol: IPsecProtocol, from remote: Endpoint,
        now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard children[spi] == nil, unknownSPILimit.take(now) else { return drops.count(.notifyRateLimited) }
        let known = peers.values.first {
            $0.path.remote.address == remote.address && (remote.port == 0 || $0.path.remote.port == remote.port)
                && !$0.associations.isEmpty
        }
        guard let cookie = known?.associations.last else { return drops.count(.unknownSPI) }
        let notification = NotificationPayload(
            protocolID: ipsecProtocol.rawValue, type: .invalidSecurityParameterIndex, data: spi.octets)
        let delete = DeletePayload(protocolID: ipsecProtocol.rawValue, securityParameterIndexes: [spi.octets])
        // strongSwan reads no further than an error, so the Delete comes before it.
        sendInformational(
            [Payload(type: .delete, body: delete.body), Payload(type: .notification, body: notification.body)],
            in: cookie, using: &generator)
    }

    // MARK: - Notify

    private mutating func receiveNotification(
        _ body: [UInt8], _ association: Association, isNew: Bool, _ message: Incoming, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let established = association.established else { return }
        let notification: NotificationPayload
        do throws(IKEDrop) { notification = try NotificationPayload(parsing: body) } catch {
            throw .malformedNotification
        }
        switch notification.type {
        case .areYouThere:
            try answerAreYouThere(notification, association, established, message, using: &generator)
        case .areYouThereAcknowledged where isNew:
            // The answer to our last question is no recording: it says where the peer is.
            let isAnswer = established.ownSequence.map { $0.octets == notification.data } ?? false
            if isAnswer { move(established.peer, to: message.path, cookie: association.ownCookie) }
        case .initialContact where isNew: emit(.initialContact(established.peer))
        case .responderLifetime where isNew: receiveLifetime(body, notification, association, now: now)
        // About which message nobody knows: strongSwan says so of a message 3 that it has had already.
        case .payloadMalformed: drops.count(.notificationIgnored)
        case let type where isNew && type.isError:
            drops.count(.notificationIgnored)
            noteRefusal(association, established, now: now, using: &generator)
        default: drops.count(.notificationIgnored)
        }
    }

    /// RFC 3706 section 5.4: the acknowledgement repeats the cookies and the sequence number. Section 7: one that is
    /// older than the last is a replay; the last may come again.
    private mutating func answerAreYouThere(
        _ notification: NotificationPayload, _ association: Association, _ established: Association.Established,
        _ message: Incoming, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard notification.data.count == 4, notification.securityParameterIndex == association.cookies.octets else {
            throw .deadPeerSequence
        }
        let sequence = notification.data.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let advance = established.deadPeerSequence.map { Int32(bitPattern: sequence &- $0) }
        guard advance.map({ $0 >= 0 }) ?? true else { throw .deadPeerSequence }
        let cookie = association.ownCookie
        _ = update(cookie) { $0.deadPeerSequence = sequence }
        let answer = NotificationPayload(
            protocolID: ProtocolID.isakmp, type: .areYouThereAcknowledged,
            securityParameterIndex: association.cookies.octets, data: notification.data)
        sendInformational(
            [Payload(type: .notification, body: answer.body)], in: cookie, on: message.path, using: &generator)
        // A sequence number that never came before is not a recording.
        if let advance, advance > 0 { move(established.peer, to: message.path, cookie: cookie) }
    }

    /// The peer ends an SA earlier than was agreed, so we do too (RFC 2407 section 4.6.3.1).
    private mutating func receiveLifetime(
        _ body: [UInt8], _ notification: NotificationPayload, _ association: Association, now: Instant
    ) {
        guard let life = Self.responderLifetime(body), let seconds = life.seconds else {
            return drops.count(.notificationIgnored)
        }
        let grace = policy(for: association.path).lifetimes.expiryGrace
        let end = now + .seconds(Int64(clamping: min(seconds, 1_000_000_000))) + grace
        let peer = association.established?.peer
        if notification.protocolID == ProtocolID.isakmp {
            let cookie = association.ownCookie
            associations.change(cookie) { $0.end = min($0.end, end) }
            for deadline in [.association(cookie), .rekeyAssociation(cookie)] as [Deadline] {
                deadlines.advance(deadline, to: end)
            }
        } else if let spi = peer.flatMap({ peers[$0] })?.children.first(where: {
            let index = notification.securityParameterIndex.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return notification.securityParameterIndex.count == 4
                && children[$0]?.outbound.contains(index, of: notification.protocolID) ?? false
        }) {
            children.change(spi) { $0.end = min($0.end, end) }
            for deadline in [.child(spi), .rekeyChild(spi)] as [Deadline] { deadlines.advance(deadline, to: end) }
        }
    }

    /// The peer refuses something, and says so with proof. Where one quick mode of ours is under way, it is that.
    private mutating func noteRefusal(
        _ association: Association, _ established: Association.Established, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        let own = established.quickModes.filter { if case .awaitingAnswer = $0.value.state { true } else { false } }
        guard own.count == 1, let messageID = own.keys.first else { return }
        drops.count(.quickModeRefused)
        endQuickMode(
            QuickModeID(cookie: association.ownCookie, messageID: messageID), now: now, using: &generator)
    }

    // MARK: - Delete

    /// A peer deletes what is its own: the SPIs are those of packets to it. A Delete of an ISAKMP SA leaves the IPsec SAs.
    private mutating func receiveDelete(
        _ body: [UInt8], of peer: PeerID, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        let delete: DeletePayload
        do throws(IKEDrop) { delete = try DeletePayload(parsing: body) } catch { throw .malformedDelete }
        for index in delete.securityParameterIndexes {
            let number = index.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            switch delete.protocolID {
            case ProtocolID.isakmp:
                let own = peers[peer]?.associations.first { associations[$0]?.cookies.octets == index }
                guard let own else {
                    drops.count(.unknownDeletedSPI)
                    continue
                }
                endAssociation(own, reason: .deletedByPeer, announce: false, now: now, using: &generator)
            case ProtocolID.esp, ProtocolID.authenticationHeader, ProtocolID.compression:
                // Of what stands together one half is nothing: all of it ends.
                let own = peers[peer]?.children.first {
                    children[$0]?.outbound.contains(number, of: delete.protocolID) ?? false
                }
                guard let own else {
                    drops.count(.unknownDeletedSPI)
                    continue
                }
                endChild(own, reason: .deletedByPeer, announce: false, now: now, using: &generator)
            default: drops.count(.unknownDeletedSPI)
            }
        }
    }

    // MARK: - Sending

    /// Sends payloads in an Informational exchange of an ISAKMP SA.
    mutating func sendInformational(
        _ payloads: [Payload], in cookie: UInt64, on path: IKEPath? = nil,
        using generator: inout some RandomNumberGenerator
    ) {
        guard let association = associations[cookie], let established = association.established else { return }
        let messageID = newMessageID(established, using: &generator)
        let keys = established.keys
        let chain = MessageWriter.chain(payloads)
        let hash = keys.messageHash(messageID.octets, chain)
        let iv = keys.initializationVector(lastBlock: established.lastBlock, messageID: messageID)
        do throws(IKEDrop) {
            let body = try keys.encrypt(
                MessageWriter.chain(hash: hash, before: chain, first: payloads.first?.type ?? .none), iv: iv)
            let header = Header(
                cookies: association.cookies, exchange: .informational, flags: .encryption, messageID: messageID)
            transmit(MessageWriter.message(header, first: .hash, body: body), on: path ?? association.path)
        } catch {
            drops.count(error)
        }
    }
}
