import ESP
import IKE
import Logging
import Wire

/// A control plane and one worker's packet path, without threads and sockets: what benchmarks measure of the two together.
package struct PlaneInMemory: ~Copyable {
    private var plane: ControlPlane
    private var path: PacketPath
    private let now: () -> Instant
    /// Asked before and after what the worker does, for who wants to know its share.
    package var worker: (_ isBegun: Bool) -> Void = { _ in }

    /// A gateway for clients with `preSharedKey` that takes the time from `now`; nil where no configuration comes of it.
    package init?(preSharedKey: String, now: @escaping () -> Instant) {
        let text = "psk: \"\(preSharedKey)\"\nusers: [{name: alice, password: wonderland}]\n"
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

    /// Does what is due, and returns what is to be sent.
    package mutating func handleTimeout() -> [[UInt8]] {
        plane.handleTimeout(now: now())
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
                case .command(_, let command):
                    worker(true)
                    if !path.carryOut(command) { path.drops.count(.notInstalled) }
                    worker(false)
                }
            }
        } while !works.isEmpty
        return messages
    }
}
