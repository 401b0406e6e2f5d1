import Cryptography
import Wire

/// The gateway's IKEv1 responder (RFC 2407, 2408, 2409, 3706, 3947): bytes, time and randomness in; messages, events and
/// work out. It opens no socket, reads no clock and runs no Diffie-Hellman itself.
///
/// After each call, fetch from ``pollTransmit(into:)``, ``pollEvent()`` and ``pollWork()`` until they return nil.
public struct IKEEngine: Sendable {
    /// What the operator decided. A change applies to exchanges that begin afterwards.
    public var configuration: IKEConfiguration
    /// What was put aside, by reason.
    public internal(set) var drops = IKEDropCounters()

    /// ISAKMP SAs by our cookie.
    var associations = RecordTable<UInt64, Association>()
    /// Exchanges by the cookie and endpoint of their first message, to recognise its repetition.
    var firstMessages: [FirstMessageKey: UInt64] = [:]
    /// First messages that were refused lately: their repetitions are not further refusals.
    var refusedFirstMessages: Set<FirstMessageKey> = []
    /// The same in the order of their numbers, for their deadlines.
    var refusals: [UInt64: FirstMessageKey] = [:]
    var lastRefusal: UInt64 = 0
    /// Exchanges that have not shown message 3.
    var halfOpen = ArrivalList()
    /// Exchanges between message 3 and message 5.
    var unauthenticated = ArrivalList()
    /// Those of them in aggressive mode.
    var aggressive = ArrivalList()
    var failures = FailureList()
    var peers = RecordTable<PeerID, Peer>()
    var peersByKey: [PeerKey: PeerID] = [:]
    /// Pairs of IPsec SAs by inbound SPI.
    var children = RecordTable<UInt32, Child>()
    /// Messages of which some fragments are here, by token, and which those are.
    var partialMessages: [UInt64: PartialMessage] = [:]
    var partialMessagesByKey: [FragmentKey: UInt64] = [:]
    var partialKnown = ArrivalList()
    var partialStrangers = ArrivalList()
    var lastPartialMessage: UInt64 = 0
    var lastFragmentID: UInt16 = 0
    var deadlines = DeadlineQueue<Deadline>()
    /// Whom the work under way is for.
    var workTargets: [UInt64: WorkTarget] = [:]
    var notifyLimit: RateLimit
    var refusalLimit: RateLimit
    var strangerRefusalLimit: RateLimit
    var aggressiveLimit: RateLimit
    var unknownSPILimit: RateLimit
    private var transmits = BoundedQueue<(transmit: IKETransmit, message: [UInt8])>()
    private var events = BoundedQueue<IKEEvent>()
    private var works = BoundedQueue<IKEWork>()
    /// What we send again until it is answered.
    var retransmissions: [RetransmissionKey: Retransmission] = [:]
    /// Exchanges of phase 1 that we have begun and that are not over.
    var initiations: Set<UInt64> = []
    var lastChild: UInt64 = 0
    private var lastPeer: UInt64 = 0
    private var lastWork: UInt64 = 0

    struct FirstMessageKey: Hashable, Sendable {
        let initiatorCookie: UInt64
        let remote: Endpoint
    }

    /// What is kept for each peer several times, and so names things by their numbers alone.
    enum Deadline: Hashable, Sendable {
        /// The fragments of a message must all be here.
        case partialMessage(UInt64)
        /// Main mode must be over, and stored answers are forgotten.
        case mainMode(UInt64)
        /// A refused first message is forgotten.
        case refusal(UInt64)
        /// An ISAKMP SA's life.
        case association(UInt64)
        /// An ISAKMP SA should have a successor.
        case rekeyAssociation(UInt64)
        /// A pair of IPsec SAs should have a successor.
        case rekeyChild(UInt32)
        /// What a pair of IPsec SAs replaced may be deleted.
        case settle(UInt32)
        /// A peer has been silent for long, or has not answered an R-U-THERE.
        case deadPeer(PeerID)
        /// A message of ours has no answer yet.
        case retransmission(RetransmissionKey)
        /// A quick mode must be over.
        case quickMode(QuickModeID)
        /// An IPsec SA's life.
        case child(UInt32)
        /// An IPsec SA must have been used, its ISAKMP SA being gone before message 3.
        case unconfirmed(UInt32)
        /// A successor that we have made is sent by, whether its peer has shown that it has it or not.
        case unproven(UInt32)
    }

    enum WorkTarget: Sendable {
        case phaseOne(UInt64)
        case quickMode(QuickModeID)
    }

    /// A message with what is known before its payloads are read.
    struct Incoming: Sendable {
        let header: Header
        let bytes: [UInt8]
        let path: IKEPath
        let digest: RequestDigest

        var body: [UInt8] { Array(bytes.dropFirst(Header.byteCount)) }
        var isEncrypted: Bool { header.flags.contains(.encryption) }
    }

    /// An engine that knows nobody yet.
    public init(configuration: IKEConfiguration) {
        self.configuration = configuration
        let limits = configuration.limits
        let second = { (count: Int) in
            RateLimit(capacity: count, interval: .nanoseconds(1_000_000_000 / max(1, count)))
        }
        notifyLimit = second(limits.notifiesPerSecond)
        refusalLimit = second(limits.refusalsPerSecond)
        strangerRefusalLimit = second(limits.strangerRefusalsPerSecond)
        unknownSPILimit = second(limits.unknownSPIsPerSecond)
        aggressiveLimit = second(limits.aggressivePerSecond)
    }

    var limits: IKELimits { configuration.limits }

    /// What the operator decided about who is at the other end of `path`.
    func policy(for path: IKEPath) -> IKEPolicy { configuration.policy(for: path.remote.address) }

    /// How many exchanges have not shown that their peer receives at its address.
    public var halfOpenCount: Int { halfOpen.count }
    /// How many ISAKMP SAs there are, those being made among them.
    public var associationCount: Int { associations.count }
    /// How many peers there are.
    public var peerCount: Int { peers.count }
    /// How many pairs of IPsec SAs there are.
    public var securityAssociationCount: Int { children.count }

    // MARK: - Input

    /// Takes a datagram of port 500, or of port 4500 with its non-ESP marker removed.
    public mutating func receive(
        _ datagram: RawSpan, from remote: Endpoint, to local: Endpoint, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        do throws(IKEDrop) {
            var message = try Self.message(datagram, path: IKEPath(local: local, remote: remote), limits: limits)
            if message.header.nextPayload == .fragment {
                guard let whole = try receiveFragment(message, now: now) else { return }
                message = whole
            }
            switch message.header.exchange {
            case .identityProtection: try receiveMainMode(message, now: now, using: &generator)
            case .quickMode: try receiveQuickMode(message, now: now, using: &generator)
            case .informational: try receiveInformational(message, now: now, using: &generator)
            case .aggressive: try receiveAggressive(message, now: now, using: &generator)
            // Mode configuration and XAUTH (transactions) have their place here; new groups are never taken.
            default: try refuseExchange(message, now: now, using: &generator)
            }
        } catch {
            drops.count(error)
        }
    }

    private static func message(_ datagram: RawSpan, path: IKEPath, limits: IKELimits) throws(IKEDrop) -> Incoming {
        guard datagram.byteCount <= limits.messageBytesMaximum else { throw .lengthMismatch }
        var bytes = [UInt8](copying: datagram)
        // Some macOS send the non-ESP marker twice. It is taken for that only where the length then fits.
        let lengthOffset = Header.byteCount - 4
        if path.local.port == 4500, bytes.count >= Header.byteCount + 4, bytes[0..<4].allSatisfy({ $0 == 0 }),
            bytes[(lengthOffset + 4)..<(lengthOffset + 8)].elementsEqual(UInt32(clamping: bytes.count - 4).octets)
        {
            bytes.removeFirst(4)
        }
        return try message(bytes, path: path)
    }

    static func message(_ bytes: [UInt8], path: IKEPath) throws(IKEDrop) -> Incoming {
        let header = try Header(parsing: bytes)
        return Incoming(header: header, bytes: bytes, path: path, digest: RequestDigest(bytes))
    }

    /// The ISAKMP SA of these cookies, whoever began it.
    func association(of cookies: IKECookies) -> Association? {
        if let association = associations[cookies.responder], association.cookies == cookies { return association }
        if let association = associations[cookies.initiator], association.cookies == cookies { return association }
        return nil
    }

    // MARK: - Time

    /// When ``handleTimeout(now:using:)`` has something to do, nil for never.
    public var nextDeadline: Instant? { deadlines.next }

    /// Ends what has had its time.
    public mutating func handleTimeout(now: Instant, using generator: inout some RandomNumberGenerator) {
        while let deadline = deadlines.popDue(now) {
            switch deadline {
            case .partialMessage(let token):
                forgetPartialMessage(token)
                drops.count(.partialMessageExpired)
            case .mainMode(let cookie): endMainMode(cookie, now: now, using: &generator)
            case .refusal(let number):
                if let key = refusals.removeValue(forKey: number) { refusedFirstMessages.remove(key) }
            case .association(let cookie):
                endAssociation(cookie, reason: .expired, announce: true, now: now, using: &generator)
            case .rekeyAssociation(let cookie): rekeyAssociation(cookie, now: now, using: &generator)
            case .rekeyChild(let spi): rekeyIsDue(spi, now: now, using: &generator)
            case .settle(let spi): settleIsDue(spi, now: now, using: &generator)
            case .deadPeer(let peer): deadPeerIsDue(peer, now: now, using: &generator)
            case .retransmission(let key): retransmit(key, now: now, using: &generator)
            case .quickMode(let id): endQuickMode(id, now: now, using: &generator)
            case .child(let spi): endChild(spi, reason: .expired, announce: true, now: now, using: &generator)
            case .unproven(let spi): confirm(spi)
            case .unconfirmed(let spi):
                guard let child = children[spi], !child.isConfirmed else { continue }
                endChild(spi, reason: .neverConfirmed, announce: true, now: now, using: &generator)
            }
        }
    }

    /// Main mode's time is over: an exchange that came to nothing is gone, an SA forgets what it kept for repetitions.
    private mutating func endMainMode(
        _ cookie: UInt64, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        if initiations.contains(cookie) {
            return failInitiation(cookie, reason: .noAnswer, now: now, using: &generator)
        }
        guard var association = associations[cookie] else { return }
        guard association.established != nil else {
            noteUnfinished(association, now: now)
            forgetExchange(cookie)
            return drops.count(.halfOpenExpired)
        }
        forgetFirstMessage(of: association)
        association.answered = nil
        association.olderRequests = []
        associations[cookie] = association
    }

    // MARK: - Output

    /// Appends the next message to `writer` and says where it goes, or returns nil.
    public mutating func pollTransmit(into writer: inout ByteWriter) -> IKETransmit? {
        guard let next = transmits.popFirst() else { return nil }
        writer.write(next.message)
        return next.transmit
    }

    /// The next event, or nil.
    public mutating func pollEvent() -> IKEEvent? { events.popFirst() }

    /// The next computation, or nil.
    public mutating func pollWork() -> IKEWork? { works.popFirst() }

    /// Takes the result of a computation.
    public mutating func complete(
        _ result: IKEWorkResult, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        do throws(IKEDrop) {
            switch workTargets.removeValue(forKey: result.id) {
            case .phaseOne(let cookie): try completePhaseOne(cookie, result, now: now, using: &generator)
            case .quickMode(let id): try completeQuickMode(id, result, now: now, using: &generator)
            case nil: throw .staleWorkResult
            }
        } catch {
            drops.count(error)
        }
    }

    private mutating func completePhaseOne(
        _ cookie: UInt64, _ result: IKEWorkResult, now: Instant, using generator: inout some RandomNumberGenerator
    ) throws(IKEDrop) {
        guard let association = associations[cookie] else { throw .staleWorkResult }
        switch association.state {
        case .computing(let exchange):
            try completeKeyExchange(association, exchange, result, now: now, using: &generator)
        case .computingAggressive(let exchange):
            try completeAggressiveOffer(association, exchange, result, now: now, using: &generator)
        case .authenticating(let exchange):
            try completeSignature(association, exchange, result, now: now, using: &generator)
        case .initiating(let initiation):
            try completeInitiation(association, initiation, result, now: now, using: &generator)
        case .awaitingKeyExchange, .awaitingAuthentication, .awaitingProof, .established: throw .staleWorkResult
        }
    }

    mutating func transmit(_ message: [UInt8], on path: IKEPath) {
        let transmit = IKETransmit(local: path.local, remote: path.remote)
        for datagram in datagrams(message)
        where !transmits.append((transmit, datagram), maximum: limits.outputMaximum) {
            drops.count(.outputFull)
        }
    }

    /// Events about SAs must never be lost, so only refusals, which have a rate of their own, count as overflow.
    mutating func emit(_ event: IKEEvent) { _ = events.append(event, maximum: .max) }

    mutating func enqueueWork(
        _ group: DiffieHellmanGroup, _ task: IKEWork.Task, for target: WorkTarget
    ) throws(IKEDrop) -> UInt64 {
        guard workTargets.count < limits.workQueueMaximum else { throw .workQueueFull }
        lastWork += 1
        workTargets[lastWork] = target
        _ = works.append(IKEWork(id: lastWork, group: group, task: task), maximum: .max)
        return lastWork
    }

    mutating func newPeerID() -> PeerID {
        lastPeer += 1
        return PeerID(rawValue: lastPeer)
    }

    // MARK: - Notifies

    /// Sends a Notify in clear, which nobody may believe but which spares an honest peer its retransmissions. Never more
    /// than 1.5 times the bytes that it answers, and never many.
    mutating func notify(
        _ type: IKENotification, inAnswerTo message: Incoming, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard notifyLimit.take(now) else { return drops.count(.notifyRateLimited) }
        let header = Header(
            cookies: message.header.cookies, exchange: .informational, messageID: Self.messageID(using: &generator))
        let payload = NotificationPayload(protocolID: ProtocolID.isakmp, type: type)
        let answer = MessageWriter.message(header, [Payload(type: .notification, body: payload.body)])
        guard Self.isWithinAmplification(answer: answer.count, question: message.bytes.count) else {
            return drops.count(.answerTooLarge)
        }
        transmit(answer, on: message.path)
    }

    /// Whether an answer to an unproven address is at most 1.5 times as large as its question.
    static func isWithinAmplification(answer: Int, question: Int) -> Bool { answer * 2 <= question * 3 }

    /// A message id, never zero (RFC 2408 section 3.1).
    static func messageID(using generator: inout some RandomNumberGenerator) -> UInt32 {
        UInt32.random(in: 1...UInt32.max, using: &generator)
    }
}
