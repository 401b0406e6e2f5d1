import ESP
import IKE
import IO
import Logging
import Wire

/// The control plane on its thread: takes what workers report and what operators ask, and carries out what comes of it.
actor ControlActor {
    /// How many reports may wait; a flood beyond that is dropped and counted by the workers.
    static let reportsMaximum = 16_384
    private static let nonESPMarker: [UInt8] = [0, 0, 0, 0]
    /// How many computations a helper is given at once. They take up to some milliseconds each, and the first has to wait
    /// for the last.
    private static let worksAtOnceMaximum = 8

    nonisolated let loop: ControlLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.unownedExecutor }
    /// Where workers put their reports.
    nonisolated let reports: Mailbox<WorkerReport>

    private var plane: ControlPlane
    private let system: SystemRoutes
    private let handles: [WorkerHandle]
    private let senders: (v4: OuterSenders, v6: OuterSenders?)
    private let log: Logger
    private let ended: ShutDownGate
    /// Asks for the status of certificates, where the operator wants it.
    private let onlineStatus: OnlineStatusService?
    private var timer: LoopTimer?
    /// What the machine itself sends and gets in clear.
    private let enforcement: PolicyEnforcement
    /// By what the machine's own traffic comes to the TUN interface now.
    private var diverted = DiversionState(revision: -1, open: [])
    private var names: NameService?
    private var addressTimer: LoopTimer?
    private var shutDownDeadline: Instant?
    /// How many IKE messages the system did not take.
    private var unsent: UInt64 = 0
    /// How many requests the operators' socket and API refused, by name.
    private var doorDrops: () -> [String: UInt64] = { [:] }

    init(
        configuration: GatewayConfiguration, routes: RouteTable, tunnels: TunnelTable, system: SystemRoutes,
        handles: [WorkerHandle], loop: ControlLoop, interface: String,
        senders: (v4: OuterSenders, v6: OuterSenders?), log: Logger, ended: ShutDownGate
    ) throws {
        self.loop = loop
        self.system = system
        self.handles = handles
        self.senders = senders
        self.log = log
        self.ended = ended
        onlineStatus = configuration.certificates?.files.onlineStatus.map {
            OnlineStatusService($0, on: loop, log: log)
        }
        let now = SystemClock.now
        plane = try ControlPlane(
            configuration: configuration, routes: routes, tunnels: tunnels, workers: handles.map(\.statistics),
            log: log, now: now,
            wallClockOffset: Double(SystemClock.wallSeconds) - Double(now.nanoseconds) / 1e9)
        let endpoints = configuration.policyEnvironment.myAddresses
        plane.takePolicyEnvironment(PolicyEnforcement.environment(endpoints, names: [:]), now: now)
        enforcement = try PolicyEnforcement(plane.policy, interface: interface, endpoints: endpoints, log: log)
        let relay = Relay()
        reports = Mailbox(capacity: Self.reportsMaximum) { [loop] in
            loop.execute { relay.actor?.assumeIsolated { $0.takeReports() } }
        }
        relay.actor = self
        loop.execute { relay.actor?.assumeIsolated { $0.beginLookUps() } }
    }

    /// Breaks the knot between the mailbox, which calls the actor, and the actor, which owns the mailbox.
    private final class Relay: @unchecked Sendable {
        // Set once, before the mailbox is known to anyone.
        weak var actor: ControlActor?
    }

    /// Begins with what waits for nobody.
    func start() {
        plane.enforcePolicy(now: SystemClock.now)
        plane.startTunnels(now: SystemClock.now)
        carryOut()
    }

    private func takeReports() {
        let now = SystemClock.now
        for report in reports.takeAll() { plane.receive(report, now: now) }
        if plane.isInterfaceGone { shutDown(because: "the TUN interface was removed") }
        carryOut()
    }

    /// The answer to an operator's request.
    func answer(_ line: [UInt8]) -> [UInt8] {
        do throws(OperatorRefusal) {
            return OperatorService.line(answer(try OperatorService.request(line)))
        } catch {
            return OperatorService.line(.error(error.message))
        }
    }

    /// The answer to a request that came by the API.
    func answer(_ request: OperatorRequest) -> OperatorResponse {
        if case .policy = request { plane.policy.packets = enforcement.packets }
        plane.onlineStatusCounters = onlineStatus?.counters ?? [:]
        plane.serverDrops = doorDrops()
        plane.serverDrops["ike.notSent"] = unsent
        let before = plane.policy
        var answer = OperatorService.answer(request, state: &plane)
        if plane.policy.revision != before.revision {
            // All of it or nothing: what nftables does not take, nobody takes.
            do throws(NFTablesError) {
                try enforcement.replace(plane.policy)
                names?.want(plane.policy.document.names)
            } catch {
                plane.policy = before
                answer = .error("\(error)")
            }
        }
        plane.carryOutDrops(now: SystemClock.now)
        carryOut()
        return answer
    }

    // MARK: The policy

    /// Looks up the policy's names, and the machine's own addresses, from now on.
    private func beginLookUps() {
        let names = NameService(on: loop, lookup: NameLookup(on: loop), log: log) { [weak self] _ in
            self?.assumeIsolated { $0.takeAddresses() }
        }
        self.names = names
        names.want(plane.policy.document.names)
        addressTimer = loop.makeTimer { [weak self] in
            self?.assumeIsolated { $0.takeAddresses() }
        }
        takeAddresses()
    }

    /// Takes the machine's and the names' addresses as they are now, in the table and in nftables.
    private func takeAddresses() {
        guard let names else { return }
        let now = SystemClock.now
        addressTimer?.set(now + PolicyEnforcement.period)
        let revision = plane.policy.revision
        plane.takePolicyEnvironment(
            PolicyEnforcement.environment(enforcement.endpoints, names: names.addresses), now: now)
        guard plane.policy.revision != revision else { return system.divert(plane.diversions) }
        do throws(NFTablesError) {
            try enforcement.replace(plane.policy)
        } catch {
            log.error("nftables keeps the addresses that it had", metadata: ["because": "\(error)"])
        }
        carryOut()
    }

    /// Hangs every client up, and opens the gate when that is done or its time is over.
    func shutDown(because reason: String) {
        guard shutDownDeadline == nil else { return }
        log.notice("ending", metadata: ["because": "\(reason)"])
        let now = SystemClock.now
        shutDownDeadline = now + GatewayServer.shutDownDuration
        plane.shutDown(now: now)
        carryOut()
    }

    /// Takes the operators' doors into the statistics.
    func count(doors: @escaping @Sendable () -> [String: UInt64]) { doorDrops = doors }

    /// What counts from now on, for dial-ins that have not shown their certificate yet.
    func replace(certificates: IKECertificates) { plane.ike.configuration.certificates = certificates }

    private func timeIsUp() {
        plane.handleTimeout(now: SystemClock.now)
        carryOut()
    }

    /// Hands computations to the helpers, several at a time: at full load there are many, and each way there and back
    /// costs as much as a small one of them.
    private func compute(_ works: [IKEWork]) {
        var rest = works[...]
        while !rest.isEmpty {
            let share = rest.prefix(min(Self.worksAtOnceMaximum, (works.count + 1) / ControlLoop.blockingThreads))
            rest = rest.dropFirst(share.count)
            loop.runBlocking {
                share.map { $0.begin(wallSeconds: SystemClock.wallSeconds) }
            } then: { [weak self] steps in
                self?.assumeIsolated { $0.take(steps) }
            }
        }
    }

    private func take(_ steps: [IKEWorkStep]) {
        let now = SystemClock.now
        for step in steps {
            switch step {
            case .done(let result): plane.complete(result, now: now)
            case .ask(let inquiry):
                onlineStatus?.carryOut(inquiry) { [weak self] result in
                    self?.assumeIsolated { $0.complete(result) }
                }
            }
        }
        carryOut()
    }

    private func complete(_ result: IKEWorkResult) {
        plane.complete(result, now: SystemClock.now)
        carryOut()
    }

    private func carryOut() {
        var commands: [[WorkerCommand]] = Array(repeating: [], count: handles.count)
        var works: [IKEWork] = []
        var questions: [(tunnel: Int, remote: IPAddress)] = []
        var messages: [(bytes: [UInt8], local: Endpoint, remote: Endpoint)] = []
        while let output = plane.pollOutput() {
            switch output {
            case .command(let worker, let command): commands[worker].append(command)
            case .sendIKE(let message, let local, let remote): messages.append((message, local, remote))
            case .compute(let work): works.append(work)
            case .route(let network, let sources, let metric, let isThere, let holdsPeer):
                system.set(network, from: sources, metric: metric, isThere: isThere, holdsPeer: holdsPeer)
            case .findSource(let tunnel, let remote): questions.append((tunnel, remote))
            case .findPathMTU(let peer, let path):
                plane.foundPathMTU(of: peer, path: path, bytes: PathMTU.ofSystem(path, mark: SystemRoutes.ownMark))
            }
        }
        divert()
        // Each answer leads to further outputs, which come behind these.
        defer { for question in questions { answer(question.tunnel, question.remote) } }
        compute(works)
        for worker in handles.indices { handles[worker].commands.put(commands[worker]) }
        // A peer uses an SA as soon as it hears of it: its worker must know before.
        for message in messages { send(message.bytes, from: message.local, to: message.remote) }
        var deadline = plane.nextDeadline
        if let shutDownDeadline {
            if plane.isIdle || shutDownDeadline <= SystemClock.now {
                onlineStatus?.close()
                addressTimer?.set(nil)
                names?.close()
                enforcement.end()
                return ended.open()
            }
            deadline = earliest(deadline, shutDownDeadline)
        }
        let timer =
            self.timer
            ?? loop.makeTimer { [weak self] in
                self?.assumeIsolated { $0.timeIsUp() }
            }
        self.timer = timer
        timer.set(deadline)
    }

    /// Brings the machine's own traffic to the TUN interface as it is now.
    private func divert() {
        let state = plane.diversionState
        guard state != diverted else { return }
        diverted = state
        system.divert(plane.diversions)
    }

    private func answer(_ tunnel: Int, _ remote: IPAddress) {
        plane.foundSource(of: tunnel, SourceAddress.toward(remote, mark: SystemRoutes.ownMark), now: SystemClock.now)
        carryOut()
    }

    private func send(_ message: [UInt8], from local: Endpoint, to remote: Endpoint) {
        let path = OuterPath(remote: remote, local: local.address)
        let version6 = remote.address.version == 6
        guard let senders = version6 ? senders.v6 : senders.v4 else { return }
        do {
            if local.port == IKEPort.encapsulated {
                // RFC 3948 section 2.2: on this port, four zero bytes tell IKE from ESP.
                try senders.encapsulated.send((Self.nonESPMarker + message).span.bytes, along: path)
            } else {
                try senders.ike.send(message.span.bytes, along: path)
            }
        } catch {
            unsent += 1
            log.debug("an IKE message was not sent", metadata: ["to": "\(remote)", "error": "\(error)"])
        }
    }
}

/// What the control loop sends IKE by, of one IP version.
struct OuterSenders: Sendable {
    let ike: DatagramSender
    let encapsulated: DatagramSender
}
