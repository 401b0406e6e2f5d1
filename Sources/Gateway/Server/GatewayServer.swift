import Cryptography
import ESP
import FoundationEssentials
import IO
import Logging
import Synchronization
import Wire

/// Why the gateway could not start.
public struct StartFailure: Error, CustomStringConvertible {
    /// What did not work, and what to do about it.
    public let description: String
}

/// The running gateway: the TUN interface, the sockets, the workers, and the control loop with its operator's socket.
///
/// Made on the main thread, which then waits in ``run()`` until a signal ends it. Everything that is set up outside of the
/// process (interface, addresses, routes, masquerading, socket file) is taken down again.
final class GatewayServer {
    /// How long clients are given to notice that the gateway ends.
    static let shutDownDuration = Duration.milliseconds(2000)

    private let log: Logger
    private let configuration: GatewayConfiguration
    private let tunnels: TUNDevice
    private let masquerade: Masquerade?
    private let loop = ControlLoop()
    private let plane: ControlActor
    private let handles: [WorkerHandle]
    private let threads: [WorkerThread]
    private let doors: OperatorDoors
    private let signals: SignalWatcher
    private let certificates: CertificateWatcher?
    private let ended: ShutDownGate

    init(configuration: GatewayConfiguration, socketPath: String, log: Logger) throws {
        self.configuration = configuration
        self.log = log
        Self.harden(log)
        let workerCount = min(
            configuration.workers == 0 ? ProcessInfo.processInfo.activeProcessorCount : configuration.workers,
            SecurityParameterIndex.workerCountMaximum)
        tunnels = try TUNDevice(
            name: configuration.interface, queues: workerCount, offloads: configuration.offloads)
        Self.note(missing: tunnels.missing, log)
        let system = try Self.setUp(tunnels, configuration, log)
        masquerade =
            configuration.masquerades
            ? try Masquerade(sources: [configuration.l2tp.network], exceptInterface: tunnels.name) : nil

        let ports = try Self.openPorts(
            workerCount: workerCount, tunnels: tunnels, offloads: configuration.offloads, log: log)
        let handles = ports.map { WorkerHandle(waker: $0.waker) }
        self.handles = handles
        let routes = RouteTable(configuration.l2tp.network)
        let tunnelTable = configuration.tunnelTable
        let ended = ShutDownGate()
        self.ended = ended
        plane = try ControlActor(
            configuration: configuration, routes: routes, tunnels: tunnelTable, system: system, handles: handles,
            loop: loop, interface: tunnels.name, senders: (ports[0].senders, ports[0].senders6), log: log,
            ended: ended)
        threads = try Self.startWorkers(
            ports, handles: handles, reports: plane.reports, routes: routes, tunnels: tunnelTable,
            configuration: configuration)
        let (plane, loop) = (plane, loop)
        let doors = try OperatorDoors(socketPath: socketPath, api: configuration.api, plane: plane, log: log)
        self.doors = doors
        let certificates = configuration.certificates.map { certificates in
            CertificateWatcher(certificates, on: loop, log: log) { loaded in
                plane.assumeIsolated { $0.replace(certificates: loaded) }
            }
        }
        self.certificates = certificates
        signals = try SignalWatcher(on: loop) { signal in
            switch signal {
            case .hangUp:
                certificates?.check(isAsked: true)
                doors.renewCertificate()
            case .terminate, .interrupt: plane.assumeIsolated { $0.shutDown(because: "\(signal)") }
            }
        }
    }

    /// Serves until a signal ends it, then takes everything down.
    func run() throws {
        log.notice(
            "serving",
            metadata: [
                "interface": "\(tunnels.name)", "network": "\(configuration.l2tp.network)",
                "pool": "\(configuration.l2tp.pool.lowerBound)-\(configuration.l2tp.pool.upperBound)",
                "workers": "\(handles.count)", "profile": "\(configuration.policy.profile)",
                "users": "\(configuration.users.count)", "masquerade": "\(configuration.masquerades)",
                "cryptography": "\(Self.cryptography(log))",
            ])
        loop.execute { [plane] in plane.assumeIsolated { $0.start() } }
        ended.wait()
        handles.forEach { $0.send(.stop) }
        threads.forEach { $0.join() }
        signals.stop()
        doors.close()
        try masquerade?.end()
        loop.shutDown()
        log.notice("ended")
    }

    /// What packets are encrypted by. Says so where the multi-buffer library was found to be wrong, and is not used.
    private static func cryptography(_ log: Logger) -> String {
        let library = MultiBuffer.library
        if !library.failures.isEmpty {
            log.error(
                "the multi-buffer library computes wrong values: OpenSSL does it instead",
                metadata: ["library": "\(library.description)", "of": "\(library.failures.joined(separator: ", "))"])
        }
        return library.isThere ? "\(library.description), OpenSSL" : "OpenSSL"
    }

    // MARK: Setting up

    private static func note(missing: Offloads, _ log: Logger) {
        guard !missing.isEmpty else { return }
        log.notice("the system lacks an offload", metadata: ["offload": "\(missing)"])
    }

    private static func harden(_ log: Logger) {
        do {
            try HostSystem.forbidDumps()
        } catch {
            log.warning("core dumps may hold keys", metadata: ["error": "\(error)"])
        }
        keepOutOfSwap(log)
        let missing = Capabilities.gateway.subtracting(HostSystem.capabilities)
        if !missing.isEmpty {
            log.warning("capabilities are missing", metadata: ["missing": "\(missing)"])
        }
        if HostSystem.ipForwardingIsOn == false {
            log.warning(
                """
                IPv4 forwarding is off: clients will reach this machine and nothing behind it; \
                set the sysctl net.ipv4.ip_forward=1 (in a container: --sysctl net.ipv4.ip_forward=1)
                """)
        }
    }

    private static func keepOutOfSwap(_ log: Logger) {
        guard HostSystem.mayLockAllMemory else {
            if HostSystem.hasSwap {
                log.warning(
                    """
                    the system may write keys to its swap: let the gateway lock its memory (ulimit -l unlimited; in a \
                    container: --ulimit memlock=-1), or use no swap
                    """)
            }
            return
        }
        do {
            try HostSystem.lockMemory()
        } catch {
            log.warning("the system may write keys to its swap", metadata: ["error": "\(error)"])
        }
    }

    private static func setUp(
        _ tunnels: TUNDevice, _ configuration: GatewayConfiguration, _ log: Logger
    ) throws -> SystemRoutes {
        let netlink = try Netlink()
        let interface = try netlink.interface(named: tunnels.name)
        try netlink.bringUp(interface: interface.index, mtuBytes: configuration.ppp.mtuBytes)
        // The address brings the route to the clients' network with it.
        try netlink.add(
            InterfaceAddress(
                interfaceIndex: interface.index, address: .v4(configuration.l2tp.local),
                prefixLength: configuration.l2tp.network.prefixLength))
        return try SystemRoutes(interfaceIndex: interface.index, log: log)
    }

    /// What one worker is given, and what others need of it.
    struct Opened {
        let ports: WorkerPorts
        let waker: Waker
        let senders: OuterSenders
        let senders6: OuterSenders?
    }

    /// The outer sockets of one IP version, one set for each worker.
    private static func openOuterPorts(version: UInt8, workerCount: Int, offloads: Offloads) throws -> [OuterPorts] {
        var steering = WorkerSteering(
            workers: workerCount, shift: SecurityParameterIndex.workerShift,
            mask: UInt32(SecurityParameterIndex.workerCountMaximum - 1))
        let (any, capacity): (IPAddress, Int) = (version == 6 ? .v6(.any) : .v4(.any), Worker.batchCapacity)
        let ike = try UDPSocket(address: any, port: IKEPort.plain, batchCapacity: capacity)
        let encapsulated = try (0..<workerCount).map { _ in
            try UDPSocket(
                address: any, port: IKEPort.encapsulated, sharingPort: true, batchCapacity: capacity,
                offloads: offloads)
        }
        try encapsulated[0].steer(by: steering)
        let unfragmented =
            version == 6
            ? []
            : try (0..<workerCount).map { _ in
                try UDPSocket.unfragmented(port: IKEPort.encapsulated, batchCapacity: capacity, offloads: offloads)
            }
        let raw = try (0..<workerCount).map { worker in
            let socket = try RawSocket(protocol: IPProtocol.esp, version: version, batchCapacity: capacity)
            try socket.accept(only: worker, by: steering)
            return socket
        }
        // RFC 4302 section 2: the SPI is the second word.
        steering.offset = 4
        return try (0..<workerCount).map { worker in
            let authenticated = try RawSocket(
                protocol: IPProtocol.ah, version: version, keepsHeader: true, batchCapacity: capacity)
            try authenticated.accept(only: worker, by: steering)
            let own = SystemRoutes.ownMark
            let ports = OuterPorts(
                encapsulated: encapsulated[worker],
                unfragmented: unfragmented.isEmpty ? nil : unfragmented[worker],
                ike: worker == IKEPort.worker ? ike : nil, raw: raw[worker],
                authenticated: authenticated,
                whole: try PacketSocket(version: version, mark: own, batchCapacity: capacity))
            try ports.encapsulated.mark(own)
            try ports.unfragmented?.mark(own)
            try ports.ike?.mark(own)
            try ports.raw.mark(own)
            return ports
        }
    }

    /// The sockets of IPv6, where the machine has it.
    private static func openOuterPorts6(workerCount: Int, offloads: Offloads, log: Logger) throws -> [OuterPorts]? {
        guard HostSystem.hasIPv6 else {
            log.info("no IPv6 on this machine: peers are served by IPv4 alone")
            return nil
        }
        return try openOuterPorts(version: 6, workerCount: workerCount, offloads: offloads)
    }

    /// Opens what `workerCount` workers read and write.
    static func openPorts(
        workerCount: Int, tunnels: TUNDevice, offloads: Offloads, log: Logger
    ) throws -> [Opened] {
        let four = try openOuterPorts(version: 4, workerCount: workerCount, offloads: offloads)
        let six = try openOuterPorts6(workerCount: workerCount, offloads: offloads, log: log)
        note(missing: four[0].encapsulated.missing, log)
        // The socket of port 500 is the first worker's.
        let senders = { (ports: [OuterPorts]) throws(StartFailure) in
            guard let ike = ports[IKEPort.worker].ike else { throw StartFailure(description: "no socket for IKE") }
            return OuterSenders(ike: ike.sender, encapsulated: ports[0].encapsulated.sender)
        }
        let (senders4, senders6) = (try senders(four), try six.map(senders))
        let wakers = try (0..<workerCount).map { _ in try Waker() }
        let pathMTUs = try (six == nil ? [4] : [4, 6]).map { try PathMTUSocket(version: $0) }
        // rings[from][to]
        let rings = (0..<workerCount).map { from in
            (0..<workerCount).map { to -> BoundedRing? in
                from == to
                    ? nil
                    : BoundedRing(
                        minimumCapacity: Worker.ringCapacity, packetSizeMaximum: PacketPath.packetSizeMaximum)
            }
        }
        return (0..<workerCount).map { index in
            Opened(
                ports: WorkerPorts(
                    version4: four[index], version6: six?[index], pathMTUs: index == 0 ? pathMTUs : [],
                    tun: tunnels.queue(index, batchCapacity: Worker.batchCapacityMaximum),
                    fromOthers: rings.map { $0[index] }, toOthers: rings[index], wakers: wakers,
                    offloads: offloads),
                waker: wakers[index], senders: senders4, senders6: senders6)
        }
    }

    private static func startWorkers(
        _ opened: [Opened], handles: [WorkerHandle], reports: Mailbox<WorkerReport>, routes: RouteTable,
        tunnels: TunnelTable,
        configuration: GatewayConfiguration
    ) throws -> [WorkerThread] {
        try opened.indices.map { index in
            // Handed over whole: from here on it belongs to its thread.
            nonisolated(unsafe) let worker = try Worker(
                index: index, ports: opened[index].ports, handle: handles[index], reports: reports, routes: routes,
                tunnels: tunnels, endpoints: configuration.endpoints, localAddress: configuration.l2tp.local)
            return try WorkerThread(name: "worker-\(index)") { worker.run() }
        }
    }
}

/// What the main thread waits at until the gateway has ended.
final class ShutDownGate: Sendable {
    private let opened = Mutex(false)
    private let event: Waker?

    init() { event = try? Waker() }

    func open() {
        opened.withLock { $0 = true }
        event?.wake()
    }

    func wait() {
        guard let event, let poller = try? Poller() else { return }
        try? poller.add(event, token: 0)
        while !opened.withLock({ $0 }) { _ = poller.wait(until: nil) }
    }
}

/// Serves until SIGTERM or SIGINT.
public func serve(configuration: GatewayConfiguration, stateDirectory: String, socketPath: String) throws {
    LoggingSystem.bootstrap { _ in LineLogHandler(level: configuration.logLevel) }
    let log = Logger(label: "culvert")
    do {
        try GatewayServer(configuration: configuration, socketPath: socketPath, log: log).run()
    } catch {
        log.critical("the gateway cannot run", metadata: ["error": "\(error)"])
        throw StartFailure(description: "\(error)")
    }
}
