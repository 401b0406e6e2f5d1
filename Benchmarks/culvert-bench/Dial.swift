import ArgumentParser
import CBenchmark
import Cryptography
import IKE
import Wire

/// Whole dial-ins of IKE: main mode and quick mode, the gateway's half timed alone.
struct Dial: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "IKE: main mode and quick mode in memory, and how near that comes to the cryptography in it.")

    @OptionGroup var options: MeasureOptions

    @Option(help: ArgumentHelp("Only this group.", valueName: "group"))
    var only: String?

    static let groups: [(name: String, group: DiffieHellmanGroup)] = [
        ("modp2048", .modp2048), ("ecp256", .ecp256), ("ecp384", .ecp384), ("curve25519", .curve25519),
    ]

    func run() throws {
        let groups = Self.groups.filter { only == nil || $0.name == only }
        // A dial-in takes long, and the client's half is not counted: three times the time of other figures.
        options.announce("dial", figures: groups.count * 9)
        var table = Table(columns: [
            "group", "dial-ins per second and core", "limit", "% of the limit", "us per dial-in", "us limit",
            "us Diffie-Hellman", "us beyond", "allocations",
        ])
        for (name, group) in groups {
            let limit = try DialLimit(group)
            let best = Stopwatch.measure(nanoseconds: 3 * options.nanoseconds) { watch in
                watch.start()
                guard (try? limit.run()) != nil else { fatalError("the library refused \(name)") }
                watch.stop()
                return 1
            }
            let exchange = Stopwatch.measure(nanoseconds: options.nanoseconds) { watch in
                watch.start()
                guard (try? limit.runKeyExchange()) != nil else { fatalError("the library refused \(name)") }
                watch.stop()
                return 1
            }
            let gateway = DialGateway()
            var seed: UInt32 = 0
            let figure = Stopwatch.measure(nanoseconds: 3 * options.nanoseconds) { watch in
                var crowd = DialCrowd(group, count: DialCrowd.count, firstSeed: seed)
                seed += UInt32(DialCrowd.count)
                guard crowd.dial(gateway, &watch) else { fatalError("a dial-in with \(name) failed") }
                gateway.forgetAll()
                return DialCrowd.count
            }
            table.rows.append(Self.row(name, figure, limit: best, exchange: exchange))
        }
        table.show()
        table.write("dial", to: options.results)
    }

    private static func row(_ name: String, _ figure: Figure, limit: Figure, exchange: Figure) -> [Cell] {
        let (took, least) = (figure.nanoseconds / 1000, limit.nanoseconds / 1000)
        return [
            .text(name), .number(figure.perSecond, digits: 0), .number(limit.perSecond, digits: 0),
            .number(100 * least / took, digits: 0), .number(took, digits: 0), .number(least, digits: 0),
            .number(exchange.nanoseconds / 1000, digits: 0),
            .number(took - least, digits: 1), .number(figure.allocations, digits: 0),
        ]
    }
}

/// A message on its way, and the client whose it is.
struct DialMessage {
    let client: IPv4Address
    let port: UInt16
    let bytes: [UInt8]
}

/// The gateway's IKE, with what the control loop does with its events as far as that concerns IKE.
final class DialGateway {
    private var engine: IKEEngine
    private var generator = SystemRandom()
    private var lastSPI: UInt32 = 0x1000
    /// How many pairs of IPsec SAs were made.
    private(set) var readyCount = 0
    private var peers: [PeerID] = []
    private var writer = ByteWriter()
    private(set) var now = Instant(nanoseconds: 1_000_000_000)

    init() {
        engine = IKEEngine(
            configuration: IKEConfiguration(
                preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))))
    }

    /// Forgets all who have dialled in.
    func forgetAll() {
        for peer in peers { engine.forget(peer) }
        peers.removeAll(keepingCapacity: true)
    }

    /// Lets time pass; what is sent meanwhile is lost.
    func pass(_ duration: Duration) {
        now += duration
        engine.handleTimeout(now: now, using: &generator)
        settle()
        while engine.pollTransmit(into: &writer) != nil { writer.removeAll() }
    }

    /// How many pairs of IPsec SAs there are.
    var securityAssociationCount: Int { engine.securityAssociationCount }

    /// Takes messages and returns the answers; `watch` counts what that takes.
    func receive(_ messages: [DialMessage], _ watch: inout Stopwatch) -> [DialMessage] {
        var answers: [DialMessage] = []
        answers.reserveCapacity(messages.count)
        watch.start()
        for message in messages {
            engine.receive(
                message.bytes.span.bytes, from: Endpoint(message.client, message.port),
                to: Endpoint(gatewayAddress, message.port), now: now, using: &generator)
            settle()
            while let transmit = engine.pollTransmit(into: &writer) {
                guard case .v4(let client) = transmit.remote.address else { continue }
                answers.append(DialMessage(client: client, port: transmit.remote.port, bytes: writer.bytes))
                writer = ByteWriter()
            }
        }
        watch.stop()
        return answers
    }

    private func settle() {
        while true {
            if let work = engine.pollWork() {
                engine.complete(work.perform(), now: now, using: &generator)
            } else if let event = engine.pollEvent() {
                handle(event)
            } else {
                return
            }
        }
    }

    private func handle(_ event: IKEEvent) {
        switch event {
        case .peerEstablished(let established): peers.append(established.peer)
        case .quickModeRequested(let request):
            lastSPI += 1
            engine.accept(request.id, inboundSPI: lastSPI, now: now, using: &generator)
        case .securityAssociationReady: readyCount += 1
        default: break
        }
    }
}

/// Clients that dial in together, each from an address of its own: so that the clock, which takes a system call, is read
/// once for a message of each.
struct DialCrowd {
    static let count = 32
    private var clients: [IPv4Address: TestInitiator] = [:]

    init(_ group: DiffieHellmanGroup, count: Int, firstSeed: UInt32) {
        for seed in firstSeed..<(firstSeed + UInt32(count)) {
            let address = IPv4Address(10 << 24 | seed & 0xff_ffff)
            clients[address] = TestInitiator(Self.settings(group, at: address), seed: UInt64(seed))
        }
    }

    /// What a client at `address` offers.
    static func settings(_ group: DiffieHellmanGroup, at address: IPv4Address) -> TestInitiator.Settings {
        var settings = TestInitiator.Settings()
        settings.own = Endpoint(address, 500)
        settings.identity = [1, 17, 1, 244] + address.octets
        settings.offer = Offers.offer([
            Offers.phaseOne(Offers.aes, 256, Offers.sha256, Int(group.rawValue), life: Offers.hour)
        ])
        return settings
    }

    /// Main mode, then quick mode. Whether both ends of each have their pair of IPsec SAs.
    mutating func dial(_ gateway: DialGateway, _ watch: inout Stopwatch) -> Bool {
        let before = gateway.readyCount
        for address in clients.keys { clients[address]?.start(now: gateway.now) }
        exchange(gateway, &watch)
        for address in clients.keys { clients[address]?.startQuickMode(now: gateway.now) }
        exchange(gateway, &watch)
        return gateway.readyCount == before + clients.count && clients.values.allSatisfy { $0.children.count == 1 }
    }

    private mutating func exchange(_ gateway: DialGateway, _ watch: inout Stopwatch) {
        while true {
            var messages: [DialMessage] = []
            for address in clients.keys {
                for item in clients[address]?.outbox ?? [] {
                    messages.append(
                        DialMessage(client: address, port: item.floated ? 4500 : 500, bytes: item.bytes))
                }
                clients[address]?.outbox.removeAll()
            }
            guard !messages.isEmpty else { return }
            for answer in gateway.receive(messages, &watch) {
                clients[answer.client]?.receive(answer.bytes, now: gateway.now)
            }
        }
    }
}
