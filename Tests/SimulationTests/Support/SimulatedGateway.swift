import ESP
import IKE
import Logging
import Wire

@testable import Gateway

/// The gateway without system calls: its control plane and its workers' packet paths, in one thread.
final class SimulatedGateway {
    final class WorkerBox {
        var path: PacketPath
        var batch = PacketBatch(capacity: Worker.batchCapacity, packetSizeMaximum: PacketPath.packetSizeMaximum)
        var scratch = PacketBatch(capacity: 1, packetSizeMaximum: PacketPath.packetSizeMaximum)

        init(index: Int, routes: RouteTable, tunnels: TunnelTable) {
            path = PacketPath(
                worker: index, routes: routes, tunnels: tunnels, batchCapacity: Worker.batchCapacity)
        }
    }

    var plane: ControlPlane
    let routes: RouteTable
    private(set) var workers: [WorkerBox]
    /// Datagrams that leave.
    var outgoing: [Datagram] = []
    /// Inner packets that came out, with the worker that they came by.
    var delivered: [[UInt8]] = []
    /// The networks that the system has routes to.
    private(set) var networks: [AddressRange] = []
    /// From where the system sends.
    private let address: IPAddress
    /// How many inner packets from inside did not fit.
    private(set) var tooLarge = 0
    /// What a message between the threads takes: neither end sees the other's state at once.
    static let mailDuration = Duration.microseconds(200)
    /// The time at which certificates are looked at: the first second of 2030.
    static let wallSeconds: Int64 = 1_893_456_000
    private let statistics: [WorkerStatistics]
    /// Bytes that ESP carried by SAs which have ended.
    private(set) var endedBytesReceived: UInt64 = 0
    private var works: [(due: Instant, result: IKEWorkResult)] = []
    private var reports: [(due: Instant, report: WorkerReport)] = []
    private var commands: [(due: Instant, worker: Int, command: WorkerCommand)] = []

    init(
        _ configuration: GatewayConfiguration, workerCount: Int, seed: UInt64, now: Instant,
        address: IPAddress = Simulation.gatewayAddress
    ) throws {
        let routes = RouteTable(configuration.l2tp.network)
        let tunnels = configuration.tunnelTable
        self.routes = routes
        self.address = address
        statistics = (0..<workerCount).map { _ in WorkerStatistics() }
        plane = try ControlPlane(
            configuration: configuration, routes: routes, tunnels: tunnels, workers: statistics,
            log: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }, now: now, wallClockOffset: 0,
            random: SeededGenerator(seed))
        plane.takePolicyEnvironment(PolicyEnvironment(myAddresses: [address]), now: now)
        workers = (0..<workerCount).map { WorkerBox(index: $0, routes: routes, tunnels: tunnels) }
    }

    /// Begins with what waits for nobody.
    func start(now: Instant) {
        plane.enforcePolicy(now: now)
        plane.startTunnels(now: now)
        carryOut(now: now)
    }

    // MARK: What comes in

    /// A datagram to one of our ports.
    func receive(_ datagram: Datagram, now: Instant) {
        let path = OuterPath(remote: datagram.from, local: datagram.to.address)
        if !datagram.isRaw, datagram.to.port == PacketPath.l2tpPort { return receiveClear(datagram, path, now: now) }
        let encapsulation: OuterEncapsulation =
            datagram.isRaw ? .none : datagram.to.port == IKEPort.plain ? .udpOfIKE : .udp
        let worker = workers[encapsulation == .udpOfIKE ? IKEPort.worker : steer(datagram.bytes)]
        load(datagram.bytes, path: path, into: &worker.batch)
        switch encapsulation {
        case .none, .clear: break
        case .udp: worker.path.separateIKE(&worker.batch, port: IKEPort.encapsulated)
        case .udpOfIKE: worker.path.separateESP(&worker.batch, port: IKEPort.plain)
        }
        worker.path.receive(&worker.batch, by: encapsulation, now: now)
        takeDelivered(worker, now: now)
    }

    /// A datagram to UDP 1701, which nobody reads unless the policy says so.
    private func receiveClear(_ datagram: Datagram, _ path: OuterPath, now: Instant) {
        guard plane.clearL2TP == .permitted else { return }
        let worker = workers[IKEPort.worker]
        load(datagram.bytes, path: path, into: &worker.batch)
        worker.path.receiveClear(&worker.batch, now: now)
        takeDelivered(worker, now: now)
    }

    private func takeDelivered(_ worker: WorkerBox, now: Instant) {
        for position in 0..<worker.batch.count {
            guard case .deliver = worker.path.disposition(position) else { continue }
            delivered.append([UInt8](copying: worker.batch[position].span))
        }
        takeReports(worker, now: now)
    }

    /// The kernel's steering: by the bits of the SPI that say which worker.
    private func steer(_ bytes: [UInt8]) -> Int {
        guard bytes.count >= 4 else { return 0 }
        return (number(bytes[0..<4]) >> 18 & 31) % workers.count
    }

    private func takeReports(_ worker: WorkerBox, now: Instant) {
        reports += worker.path.reports.map { (now + Self.mailDuration, $0) }
        worker.path.reports.removeAll()
    }

    /// Whether nothing is on its way between the threads.
    var isSettled: Bool { reports.isEmpty && commands.isEmpty }

    /// An IP packet from inside, read by a worker.
    func receiveInside(_ bytes: [UInt8], worker index: Int, now: Instant) {
        let worker = workers[index]
        load(bytes, path: .none, into: &worker.batch)
        worker.path.send(&worker.batch, now: now)
        switch worker.path.disposition(0) {
        case .handOver(let other): receiveInside(bytes, worker: other, now: now)
        case .tooLarge: tooLarge += 1
        case .sendInUDP, .sendInUDPOfIKE, .sendRaw, .sendClear, .done, .deliver:
            put(worker.path.disposition(0), worker.batch[0])
        }
        takeReports(worker, now: now)
    }

    private func load(_ bytes: [UInt8], path: OuterPath, into batch: inout PacketBatch) {
        batch.reset()
        guard bytes.count <= batch.packetSizeMaximum else { return }
        batch.count = 1
        batch[0].start.copyMemory(from: bytes, byteCount: bytes.count)
        batch[0].count = bytes.count
        batch[0].path = path
    }

    // MARK: Time

    var nextDeadline: Instant? {
        earliest(earliest(plane.nextDeadline, works.first?.due), earliest(reports.first?.due, commands.first?.due))
    }

    func handleTimeout(now: Instant) {
        while let command = commands.first, command.due <= now {
            commands.removeFirst()
            carryOut(command.command, at: workers[command.worker])
            sendHeld(workers[command.worker], now: now)
            takeReports(workers[command.worker], now: now)
        }
        while let report = reports.first, report.due <= now {
            reports.removeFirst()
            plane.receive(report.report, now: now)
            carryOut(now: now)
        }
        while let work = works.first, work.due <= now {
            works.removeFirst()
            plane.complete(work.result, now: now)
            carryOut(now: now)
        }
        guard let due = plane.nextDeadline, due <= now else { return }
        plane.handleTimeout(now: now)
        carryOut(now: now)
    }

    // MARK: What goes out

    func changePolicy(_ request: PolicyRequest, now: Instant) throws(OperatorRefusal) {
        try plane.changePolicy(request)
        plane.carryOutDrops(now: now)
        carryOut(now: now)
    }

    func drop(_ selector: DropSelector, now: Instant) -> DropResult {
        let result = plane.drop(selector)
        plane.carryOutDrops(now: now)
        carryOut(now: now)
        return result
    }

    func shutDown(now: Instant) {
        plane.shutDown(now: now)
        carryOut(now: now)
    }

    /// What a worker tells, as if it had seen it.
    func receive(_ report: WorkerReport, now: Instant) {
        plane.receive(report, now: now)
        carryOut(now: now)
    }

    func carryOut(now: Instant) {
        while let output = plane.pollOutput() {
            switch output {
            case .command(let worker, let command): commands.append((now + Self.mailDuration, worker, command))
            case .sendIKE(let message, let local, let remote):
                let marker: [UInt8] = local.port == IKEPort.encapsulated ? [0, 0, 0, 0] : []
                outgoing.append(Datagram(from: local, to: remote, isRaw: false, bytes: marker + message))
            case .route(let network, _, _, true, _): networks.append(network)
            case .route(let network, _, _, false, _): networks.removeAll { $0 == network }
            case .findPathMTU(let peer, let path): plane.foundPathMTU(of: peer, path: path, bytes: 1500)
            case .findSource(let tunnel, _): plane.foundSource(of: tunnel, address, now: now)
            case .compute(let work): works.append((now + .milliseconds(1), work.perform(wallSeconds: Self.wallSeconds)))
            }
        }
    }

    private func sendHeld(_ worker: WorkerBox, now: Instant) {
        while worker.path.isHeldDue {
            worker.batch.reset()
            guard worker.path.takeHeld(into: &worker.batch) else { return }
            let waiting = (0..<worker.batch.count).map { [UInt8](copying: worker.batch[$0].span) }
            for bytes in waiting { receiveInside(bytes, worker: worker.path.worker, now: now) }
        }
    }

    private func carryOut(_ command: WorkerCommand, at worker: WorkerBox) {
        switch command {
        case .sendControl(let slot, let remotePort, let message):
            guard let peer = worker.path.peers[slot] else { return worker.path.drops.count(.messageForGone) }
            load(message, path: .none, into: &worker.scratch)
            put(worker.path.sendL2TP(&worker.scratch[0], to: peer, remotePort: remotePort), worker.scratch[0])
        case .sendFrame(let slot, let frame):
            guard let session = worker.path.sessions[slot] else { return worker.path.drops.count(.messageForGone) }
            load(frame, path: .none, into: &worker.scratch)
            put(worker.path.sendFrame(&worker.scratch[0], session: session), worker.scratch[0])
        case .sendKeepalive(let slot):
            guard let peer = worker.path.peers[slot] else { return }
            load(PacketPath.keepalive, path: .none, into: &worker.scratch)
            put(worker.path.sendKeepalive(&worker.scratch[0], to: peer), worker.scratch[0])
        default:
            if case .removeInbound(let index) = command {
                endedBytesReceived += worker.path.inboundTable.traffic(index)?.confidentialBytes ?? 0
            }
            if !worker.path.carryOut(command) { worker.path.drops.count(.notInstalled) }
        }
    }

    private func put(_ disposition: Disposition, _ packet: Packet) {
        switch disposition {
        case .sendInUDP: put(packet, port: IKEPort.encapsulated)
        case .sendInUDPOfIKE: put(packet, port: IKEPort.plain)
        case .sendRaw: put(packet, port: 0)
        case .sendClear: put(packet, port: PacketPath.l2tpPort)
        case .done, .deliver, .handOver, .tooLarge: break
        }
    }

    /// Sends from a port of ours, 0 for IP protocol 50.
    private func put(_ packet: Packet, port: UInt16) {
        outgoing.append(
            Datagram(
                from: Endpoint(address: packet.path.local, port: port), to: packet.path.remote, isRaw: port == 0,
                bytes: [UInt8](copying: packet.span)))
    }

    // MARK: What was counted

    /// What an operator is told.
    func statisticsRecord() -> StatisticsRecord {
        for (worker, statistics) in zip(workers, statistics) {
            statistics.publishDrops(worker.path)
            statistics.publish(worker.path)
        }
        return plane.statistics()
    }

    /// Bytes that ESP carried by SAs, those that have ended included, summed over SAs.
    var bytesReceivedBySAs: UInt64 {
        plane.peers.values.reduce(endedBytesReceived) { sum, peer in
            peer.associations.reduce(sum) {
                $0 + (workers[peer.worker].path.inboundTable.traffic($1.inbound)?.confidentialBytes ?? 0)
            }
        }
    }

    func count(_ reason: PacketPathDrop) -> UInt64 { workers.reduce(0) { $0 + $1.path.drops[reason] } }
}
