import Accounts
import Cryptography
import ESP
import IKE
import IO
import L2TP
import Logging
import PPP
import Wire

/// All decisions of the gateway: who is let in, by which keys, with which address, and until when.
///
/// It owns every protocol object and wires them to each other: what IKE negotiated is installed at a worker, what L2TP
/// sets up gets a PPP link, whom PPP authenticates gets an address and a route. It makes no system call: reports and the
/// time come in, ``pollOutput()`` says what is to be done. So a whole gateway runs in a test on a virtual clock.
struct ControlPlane: ~Copyable {
    /// How long a peer may go without a tunnel before its SAs are deleted: it has hung up, or never got further.
    static let idlePeerDuration = Duration.seconds(60)
    /// How long a peer that is hung up is given to end its tunnels before its SAs are deleted under them.
    static let farewellDuration = Duration.milliseconds(800)
    /// How long after the end of its last tunnel the SAs of a peer that is hung up are deleted. CDN and StopCCN go by way
    /// of the worker and the Deletes straight from the control loop: a Delete that overtook them would make them
    /// unreadable, and a client whose IPsec and L2TP are two programs would never learn that its call is over.
    static let lastWordDuration = Duration.milliseconds(100)

    /// For how many outputs the memory is kept: after a burst of them it is given back.
    private static let outputsKept = 256

    /// How often a peer is sent something, where we are behind a NAT (RFC 3948 section 4: by default).
    static let keepaliveInterval = Duration.seconds(20)
    /// How long after a client said that it began anew a tunnel's silence is taken for the proof: what it takes a probe to
    /// go unanswered, and a little more.
    static let doubtDuration = Duration.seconds(5)

    let configuration: GatewayConfiguration
    let routes: RouteTable
    /// What workers look packets from inside up in.
    var tunnelTable: TunnelTable
    let log: Logger
    /// The wall clock's seconds at the monotonic clock's zero.
    let wallClockOffset: Double
    let workerStatistics: [WorkerStatistics]

    var ike: IKEEngine
    var l2tp: L2TPServer
    var users: UserTable
    var pool: AddressPool
    /// The system's generator; a seeded one in a simulation.
    var random: any RandomNumberGenerator
    var indexes: SecurityParameterIndexAllocator

    var peers = RecordTable<PeerID, Peer>()
    /// The tunnels, by their numbers: those of the file first, then those of the policy's rules.
    var configuredTunnels: [ConfiguredTunnel]
    var tunnelDeadlines = DeadlineHeap()
    /// How long an SA that its peer has deleted still takes packets: those that came before the Delete may wait in another
    /// socket's queue than it did.
    static let inboundLingerDuration = Duration.milliseconds(200)
    /// The SAs that take packets for as long, the earliest first.
    var endingInbound: [EndingInbound] = []
    /// Whose path MTU was learned, and when it is to be forgotten, the earliest first.
    var pathMTUsLearned: [(deadline: Instant, peer: PeerID)] = []
    var clientSessions = RecordTable<UInt64, ClientSession>()
    var sessionsByL2TP: [L2TPSessionID: UInt64] = [:]
    var counters = Counters<ControlEvent>()
    var linkDrops = Counters<PPPDrop>()
    /// When peers are sent keepalives next, nil while none needs any.
    var keepaliveDeadline: Instant?
    /// How often OCSP responders were asked, and what came of it, by name: `ocsp.asked`, `ocsp.timedOut`, ...
    var onlineStatusCounters: [String: UInt64] = [:]
    /// What was dropped around the control plane, by name: `socket.foreignUser`, `api.wrongToken`, `ike.notSent`, ...
    var serverDrops: [String: UInt64] = [:]
    var failureLog = FailureLog()
    /// What is permitted, blocked and secured.
    var policy: ActivePolicy
    /// The revision of the policy that sessions and tunnels were last measured by.
    var policyEnforced = 0
    var isShuttingDown = false
    /// Whether L2TP may come without IPsec now.
    var clearL2TP = ClearL2TP.refused
    /// The peers that speak in clear.
    var clearPeers: [OuterPath: PeerID] = [:]
    var lastClearPeer: UInt64 = 0
    /// Whether the TUN interface was taken away from under us: the gateway has to end.
    var isInterfaceGone = false
    /// Sessions that operators asked to hang up.
    var dropsRequested: [UInt64] = []

    private var outputs: [ControlOutput] = []
    private var outputsTaken = 0
    private var lastSession: UInt64 = 0
    private var peerSlots: [SlotAllocator]
    private var sessionSlots: [SlotAllocator]
    /// Deadlines of links, each session's by a number of its own.
    var linkTimers = TimerTable<UInt64>()
    /// Deadlines of peers, in the same way.
    var peerTimers = TimerTable<PeerID>()
    /// How the gateway speaks PPP inside IPsec, and where a client is in clear.
    let securedLinkTerms: Shared<PPPConfiguration>
    let clearLinkTerms: Shared<PPPConfiguration>
    let startedAt: Instant

    init(
        configuration: GatewayConfiguration, routes: RouteTable, tunnels: TunnelTable = .empty,
        workers: [WorkerStatistics], log: Logger,
        now: Instant, wallClockOffset: Double, random: any RandomNumberGenerator = SystemRandom()
    ) throws {
        let (users, pool) = (try configuration.userTable(), try configuration.addressPool())
        let policy = try ActivePolicy(
            configuration.securityPolicy, in: configuration.policyEnvironment, of: configuration)
        self.configuration = configuration
        self.policy = policy
        (self.users, self.pool) = (users, pool)
        self.routes = routes
        tunnelTable = tunnels
        configuredTunnels = configuration.tunnels.map { ConfiguredTunnel(configuration: $0) }
        self.log = log
        self.wallClockOffset = wallClockOffset
        self.random = random
        workerStatistics = workers
        ike = IKEEngine(configuration: configuration.ike)
        l2tp = L2TPServer(configuration: configuration.l2tpServer)
        indexes = SecurityParameterIndexAllocator(workerCount: workers.count)
        peerSlots = Array(repeating: SlotAllocator(), count: workers.count)
        sessionSlots = Array(repeating: SlotAllocator(), count: workers.count)
        startedAt = now
        var link = configuration.pppLink
        securedLinkTerms = Shared(link)
        link.authenticationMethods.removeAll { $0 == .pap }
        clearLinkTerms = Shared(link)
    }

    // MARK: The verbs

    /// What a worker tells.
    mutating func receive(_ report: WorkerReport, now: Instant) {
        switch report {
        case .ike(let message, let path, let port):
            ike.receive(
                message.span.bytes, from: path.remote, to: Endpoint(address: path.local, port: port), now: now,
                using: &random)
        case .control(let peer, let remotePort, let message):
            noteClearMessage(of: PeerID(rawValue: peer), byteCount: message.count)
            advanceDialIn(of: PeerID(rawValue: peer), to: .tunnelling)
            l2tp.receive(
                message.span.bytes, from: L2TPPeer(id: peer, port: remotePort), now: now, using: &random)
            ike.noteAlive(PeerID(rawValue: peer), now: now)
        case .frame(let session, let frame):
            if let peer = clientSessions[session]?.peer { ike.noteAlive(peer, now: now) }
            clientSessions[session]?.link.receive(frame.span.bytes, now: now, using: &random)
            serveLink(session, now: now)
        case .earlyFrame(let peer, let tunnel, let session, let frame):
            let name = L2TPSessionID(tunnel: L2TPTunnelID(peer: peer, value: tunnel), value: session)
            guard let session = sessionsByL2TP[name] else { return counters.count(.strayFrames) }
            clientSessions[session]?.link.receive(frame.span.bytes, now: now, using: &random)
            serveLink(session, now: now)
        case .peerMoved(let peer, let path):
            follow(PeerID(rawValue: peer), to: path, now: now)
        case .activity(let session):
            noteActivity(session, now: now)
        case .firstUse(let index):
            ike.noteInboundTraffic(spi: index.value)
            if let peer = ike.peer(ofInboundSPI: index.value) { advanceDialIn(of: peer, to: .used) }
        case .limitReached(let peer, let association, let traffic):
            limitReached(PeerID(rawValue: peer), association, traffic, now: now)
        case .unknownSPI(let index, let path):
            ike.noteUnknownSPI(
                index.value, of: .encapsulatingSecurityPayload, from: path.remote, now: now, using: &random)
        case .tooLargeForPath(let report): take(report, now: now)
        case .acquire(let match): acquire(match, now: now)
        case .outsideSelector(let peer, let index, let flow, let count):
            audit(PeerID(rawValue: peer), index, flow, count: count)
        case .stranger(let message, let path):
            receiveFromStranger(message, path: path, now: now)
        case .clearPortFailed(let reason):
            log.error("L2TP in clear cannot be served", metadata: ["error": "\(reason)"])
        case .offloadRefused(let name, let error):
            log.notice(
                "the system refuses an offload: packets go without it, slower",
                metadata: ["offload": "\(name)", "error": "\(SystemError(operation: "use it", number: error))"])
        case .interfaceGone:
            isInterfaceGone = true
        }
        settle(now: now)
    }

    /// The result of a computation that was asked for.
    mutating func complete(_ result: IKEWorkResult, now: Instant) {
        ike.complete(result, now: now, using: &random)
        settle(now: now)
    }

    /// The next time at which ``handleTimeout(now:)`` has something to do.
    var nextDeadline: Instant? {
        earliest(
            earliest(
                earliest(ike.nextDeadline, l2tp.nextDeadline),
                earliest(keepaliveDeadline, earliest(endingInbound.first?.deadline, pathMTUsLearned.first?.deadline))),
            earliest(earliest(linkTimers.earliest, peerTimers.earliest), tunnelDeadlines.earliest))
    }

    /// Does what is due.
    mutating func handleTimeout(now: Instant) {
        ike.handleTimeout(now: now, using: &random)
        l2tp.handleTimeout(now: now, using: &random)
        while let session = linkTimers.popDue(at: now) {
            clientSessions[session]?.link.handleTimeout(now: now, using: &random)
            serveLink(session, now: now)
        }
        while let peer = peerTimers.popDue(at: now) { peerIsDue(peer, now: now) }
        while let tunnel = tunnelDeadlines.firstDue(at: now) {
            tunnelDeadlines.set(nil, for: tunnel)
            tunnelIsDue(tunnel, now: now)
        }
        if let due = keepaliveDeadline, due <= now { sendKeepalives(now: now) }
        forgetPathMTUs(now: now)
        endInbound(now: now)
        settle(now: now)
    }

    /// The next thing to be done, until there is none.
    mutating func pollOutput() -> ControlOutput? {
        guard outputsTaken < outputs.count else {
            outputs.removeAll(keepingCapacity: outputs.capacity <= Self.outputsKept)
            outputsTaken = 0
            return nil
        }
        defer { outputsTaken += 1 }
        return outputs[outputsTaken]
    }

    // MARK: For the parts

    /// Lets the protocol objects act on each other's events until none has any left.
    mutating func settle(now: Instant) {
        while true {
            if let event = ike.pollEvent() {
                handle(event, now: now)
            } else if let event = l2tp.pollEvent() {
                handle(event, now: now)
            } else {
                break
            }
        }
        while let work = ike.pollWork() { put(.compute(work)) }
        var writer = ByteWriter()
        while let transmit = ike.pollTransmit(into: &writer) {
            put(.sendIKE(message: writer.bytes, local: transmit.local, remote: transmit.remote))
            writer.removeAll()
        }
        sendTunnelMessages()
    }

    /// Sends what L2TP has to say. Also to be called before an SA goes that some of it must go by.
    mutating func sendTunnelMessages() {
        var writer = ByteWriter()
        while let destination = l2tp.pollTransmit(into: &writer) {
            let identifier = PeerID(rawValue: destination.id)
            if let peer = peers[identifier], peer.isInstalled, maySend(writer.bytes.count, to: identifier) {
                put(
                    .command(
                        worker: peer.worker,
                        .sendControl(peer: peer.slot, remotePort: destination.port, message: writer.bytes)))
            }
            writer.removeAll()
        }
    }

    mutating func put(_ output: ControlOutput) { outputs.append(output) }

    mutating func allocatePeerSlot(worker: Int) -> Int { peerSlots[worker].allocate() }
    mutating func releasePeerSlot(_ slot: Int, worker: Int) { peerSlots[worker].release(slot) }
    mutating func allocateSessionSlot(worker: Int) -> Int { sessionSlots[worker].allocate() }
    mutating func releaseSessionSlot(_ slot: Int, worker: Int) { sessionSlots[worker].release(slot) }

    /// How much of what is given out by number is in use: slots, SPIs, timers. All zero once nobody is left.
    var inUse: [String: Int] {
        [
            "peer slots": peerSlots.reduce(0) { $0 + $1.count },
            "session slots": sessionSlots.reduce(0) { $0 + $1.count },
            "SPIs": peerSlots.indices.reduce(0) { $0 + indexes.count(worker: $1) },
            "link timers": linkTimers.count, "peer timers": peerTimers.count,
            "link deadlines": linkTimers.earliest == nil ? 0 : 1,
            "peer deadlines": peerTimers.earliest == nil ? 0 : 1,
        ]
    }

    /// The worker with the fewest peers.
    var leastLoadedWorker: Int { peerSlots.indices.min { peerSlots[$0].count < peerSlots[$1].count } ?? 0 }

    mutating func nextSessionIdentifier() -> UInt64 {
        lastSession += 1
        return lastSession
    }

    /// Sets, moves or removes the deadline of a session's link.
    mutating func setLinkDeadline(_ deadline: Instant?, session: UInt64) {
        if let timer = clientSessions[session]?.timer { linkTimers.set(deadline, for: timer) }
    }

    /// Sets, moves or removes the one deadline of a peer.
    mutating func setPeerDeadline(_ deadline: Instant?, peer: PeerID) {
        if let timer = peers[peer]?.timer { peerTimers.set(deadline, for: timer) }
    }
}

/// What the control plane counts.
enum ControlEvent: UInt8, CaseIterable, Sendable {
    /// IKE SAs made (main modes).
    case mainModes
    /// Pairs of IPsec SAs made (quick modes).
    case quickModes
    /// Peers that were let in in clear, as a policy's fallback allows.
    case softAssociations
    /// Dial-ins refused by IKE.
    case ikeRefusals
    /// Dial-ins that came to nothing, whatever the reason.
    case dialInsRefused
    /// Users let in.
    case usersAccepted
    /// Wrong passwords, unknown users, guesses too fast.
    case usersRefused
    /// Sessions that reached the network phase.
    case sessionsStarted
    /// Sessions that ended, having reached it or not.
    case sessionsEnded
    /// Peers that dead peer detection found to be gone.
    case deadPeers
    /// Clients that their NAT gave another port or address.
    case peersMoved
    /// Packets' wishes for an SA of a tunnel, as workers told them.
    case tunnelsWanted
    /// A router said how large packets to a peer may be, and less than we knew.
    case pathMTUsLearned
    /// A router's word about packets that no peer's SA has sent.
    case pathMTUReportsRefused
    /// Calls to peers of tunnels that came to nothing.
    case tunnelCallsFailed
    /// PPP frames of sessions that are not there, or no more.
    case strayFrames
    /// Requests in clear that were not heard: L2TP in clear is refused, or its sender's address has SAs.
    case clearRequestsRefused
    /// Requests in clear beyond a limit, and peers that made room for others.
    case clearRequestsLimited
    /// Messages to a peer in clear that has yet to show that it gets them, and was sent enough.
    case clearAnswersHeldBack
}
