import ESP
import IKE
import Logging
import Wire

/// A control plane and one worker's packet path, without threads and sockets: what benchmarks measure of the two together.
package struct PlaneInMemory: ~Copyable {
    private var plane: ControlPlane
    private var path: PacketPath
    private let now: () -> Instant
    /// What the client gets that dialled in last, in its SAs.
    private var inner: [Inner] = []
    private var lastPeer: UInt64 = 0
    private var lastSession: UInt64 = 0

    /// A message inside of SAs.
    package enum Inner: Sendable {
        /// An L2TP control message.
        case control([UInt8])
        /// A PPP frame.
        case frame([UInt8])
    }

    /// Asked before and after what the worker does, for who wants to know its share.
    package var worker: (_ isBegun: Bool) -> Void = { _ in }

    /// A gateway for clients with `preSharedKey` that takes the time from `now`; nil where no configuration comes of it.
    package init?(preSharedKey: String, now: @escaping () -> Instant) {
        let text = """
            psk: "\(preSharedKey)"
            users: [{name: alice, password: wonderland}]
            l2tp: {network: 172.16.0.0/14, local: 172.16.0.1, pool: 172.16.0.10-172.19.255.250}
            limits: {sessions: 200000}
            """
        guard let loaded = try? ConfigurationLoader.load(text: text, name: "memory", environment: [:]) else {
            return nil
        }
        let routes = RouteTable(loaded.configuration.l2tp.network)
        let log = Logger(label: "memory") { _ in SwiftLogNoOpLogHandler() }
        let plane = try? ControlPlane(
            configuration: loaded.configuration, routes: routes, workers: [WorkerStatistics()], log: log, now: now(),
            wallClockOffset: 0)
        guard let plane else { return nil }
        self.plane = plane
        self.now = now
        path = PacketPath(worker: 0, routes: routes, batchCapacity: Worker.batchCapacity)
    }

    /// How many pairs of IPsec SAs there are, and how many inbound ones the worker has.
    package var securityAssociationCounts: (plane: Int, worker: Int) {
        (plane.ike.securityAssociationCount, path.inboundTable.count)
    }

    /// Takes an IKE message and returns the answers.
    package mutating func receive(_ message: [UInt8], from remote: Endpoint, to local: Endpoint) -> [[UInt8]] {
        plane.receive(
            .ike(message: message, path: OuterPath(remote: remote, local: local.address), port: local.port),
            now: now())
        return carryOut()
    }

    /// Takes what the client sends that dialled in last, in its SAs; returns what it gets.
    package mutating func receive(_ message: Inner) -> [Inner] {
        switch message {
        case .control(let bytes):
            plane.receive(.control(peer: lastPeer, remotePort: PacketPath.l2tpPort, message: bytes), now: now())
        case .frame(let frame): plane.receive(.frame(session: lastSession, frame: frame), now: now())
        }
        _ = carryOut()
        defer { inner.removeAll() }
        return inner
    }

    /// Does what is due, and returns what is to be sent.
    package mutating func handleTimeout() -> [[UInt8]] {
        plane.handleTimeout(now: now())
        defer { inner = [] }
        return carryOut()
    }

    private mutating func carryOut() -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var works: [IKEWork] = []
        repeat {
            for work in works { plane.complete(work.perform(), now: now()) }
            works.removeAll()
            while let output = plane.pollOutput() {
                switch output {
                case .sendIKE(let message, _, _): messages.append(message)
                case .compute(let work): works.append(work)
                case .route, .findSource, .findPathMTU: break
                case .command(_, .sendControl(_, _, let message)): inner.append(.control(message))
                case .command(_, .sendFrame(_, let frame)): inner.append(.frame(frame))
                case .command(_, let command):
                    note(command)
                    worker(true)
                    if !path.carryOut(command) { path.drops.count(.notInstalled) }
                    worker(false)
                }
            }
        } while !works.isEmpty
        return messages
    }

    private mutating func note(_ command: WorkerCommand) {
        switch command {
        case .addPeer(_, let identifier, _, _): lastPeer = identifier
        case .addSession(_, let parameters): lastSession = parameters.identifier
        default: break
        }
    }
}
