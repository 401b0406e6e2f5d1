import ArgumentParser
import CBenchmark
import Cryptography
import Gateway
import IKE
import Wire

/// What a client that has dialled in and is silent costs in memory, by whom it is held.
struct Memory: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The memory of a client with its IKE SA and its pair of IPsec SAs, and with its session besides.")

    /// As many IKE SAs as the engine takes.
    private var clientsMaximum: Int { IKELimits().associationsMaximum }

    @OptionGroup var options: MeasureOptions

    @Option(help: ArgumentHelp("How many clients.", valueName: "number"))
    var clients = 10_000

    func validate() throws {
        guard (1...clientsMaximum).contains(clients) else {
            throw ValidationError("--clients is 1 to \(clientsMaximum)")
        }
    }

    func run() throws {
        print("memory: \(clients) clients, about \(1 + clients / 700) seconds")
        let engine = try measureEngine()
        let secured = try measureGateway(hasSessions: false)
        let connected = try measureGateway(hasSessions: true)
        var table = Table(columns: ["held by", "bytes for a client", "bytes with a session"])
        for (name, before, after) in [
            ("IKE", engine, engine),
            ("control plane", secured.all - engine - secured.worker, connected.all - engine - connected.worker),
            ("worker", secured.worker, connected.worker), ("all", secured.all, connected.all),
        ] {
            table.rows.append([.text(name), .number(before, digits: 0), .number(after, digits: 0)])
        }
        table.show()
        table.write("memory", to: options.results)
    }

    /// IKE's engine alone, when what set-up needs is forgotten.
    private func measureEngine() throws -> Double {
        let gateway = DialGateway()
        let before = culvert_heap_bytes()
        for seed in 0..<clients {
            var crowd = DialCrowd(.ecp256, count: 1, firstSeed: UInt32(seed))
            var watch = Stopwatch()
            guard crowd.dial(gateway, &watch) else { throw ValidationError("dial-in \(seed) failed") }
        }
        gateway.pass(.seconds(45))
        guard gateway.securityAssociationCount == clients else { throw ValidationError("SAs are gone") }
        return perClient(culvert_heap_bytes() - before)
    }

    /// The control plane with IKE's engine in it and the worker with the SAs, and of that the worker.
    private func measureGateway(hasSessions: Bool) throws -> (all: Double, worker: Double) {
        let clock = Clock()
        guard var gateway = PlaneInMemory(preSharedKey: "correct horse", now: { clock.now }) else {
            throw ValidationError("the gateway has no configuration")
        }
        let meter = Meter()
        gateway.worker = { isBegun in
            meter.bytes += isBegun ? -culvert_heap_bytes() : culvert_heap_bytes()
        }
        let before = culvert_heap_bytes()
        for seed in 0..<clients {
            guard Self.dial(&gateway, seed: UInt32(seed), now: clock.now) else {
                throw ValidationError("dial-in \(seed) failed")
            }
            guard !hasSessions || gateway.connect(seed, now: clock.now) else {
                throw ValidationError("dial-in \(seed) gets no session")
            }
        }
        clock.now += .seconds(45)
        _ = gateway.handleTimeout()
        let counts = gateway.securityAssociationCounts
        guard counts == (clients, clients) else { throw ValidationError("only \(counts) SAs are left") }
        return (perClient(culvert_heap_bytes() - before), perClient(meter.bytes))
    }

    private static func dial(_ gateway: inout PlaneInMemory, seed: UInt32, now: Instant) -> Bool {
        let address = IPv4Address(10 << 24 | seed & 0xff_ffff)
        var client = TestInitiator(DialCrowd.settings(.ecp256, at: address), seed: UInt64(seed))
        func exchange(_ gateway: inout PlaneInMemory, _ client: inout TestInitiator) {
            while !client.outbox.isEmpty {
                let item = client.outbox.removeFirst()
                let port: UInt16 = item.floated ? 4500 : 500
                let answers = gateway.receive(
                    item.bytes, from: Endpoint(address, port), to: Endpoint(gatewayAddress, port))
                for answer in answers { client.receive(answer, now: now) }
            }
        }
        client.start(now: now)
        exchange(&gateway, &client)
        client.startQuickMode(now: now)
        exchange(&gateway, &client)
        return client.children.count == 1
    }

    private func perClient(_ bytes: Int64) -> Double { Double(bytes) / Double(clients) }

    private final class Clock {
        var now = Instant(nanoseconds: 1_000_000_000)
    }

    private final class Meter {
        var bytes: Int64 = 0
    }
}
