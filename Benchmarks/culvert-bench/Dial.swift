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
            "group", "dial-ins per second and core", "limit", "% of the limit", "us per dial-in", "us Diffie-Hellman",
            "us limit", "us beyond", "allocations",
        ])
        for (name, group) in groups {
            let limit = try DialLimit(group)
            let best = Stopwatch.measure(nanoseconds: 3 * options.nanoseconds) { watch in
                watch.start()
                guard (try? limit.run()) != nil else { fatalError("the library refused \(name)") }
                watch.stop()
                return 1
            }
            let gateway = DialGateway()
            var seed: UInt64 = 0
            let figure = Stopwatch.measure(nanoseconds: 3 * options.nanoseconds) { watch in
                seed += 1
                var client = DialClient(group, seed: seed)
                guard client.dial(gateway, &watch) else { fatalError("dial-in \(seed) with \(name) failed") }
                gateway.forget(client)
                return 1
            }
            table.rows.append(Self.row(name, figure, limit: best))
        }
        table.show()
        table.write("dial", to: options.results)
    }

    private static func row(_ name: String, _ figure: Figure, limit: Figure) -> [Cell] {
        let (took, least) = (figure.nanoseconds / 1000, limit.nanoseconds / 1000)
        return [
            .text(name), .number(figure.perSecond, digits: 0), .number(limit.perSecond, digits: 0),
            .number(100 * least / took, digits: 0), .number(took, digits: 0),
            .number(figure.partNanoseconds / 1000, digits: 0), .number(least, digits: 0),
            .number(took - least, digits: 1), .number(figure.allocations, digits: 0),
        ]
    }
}

/// The gateway's IKE, with what the control loop does with its events as far as that concerns IKE.
final class DialGateway {
    private(set) var engine: IKEEngine
    private var generator = SystemRandom()
    private var lastSPI: UInt32 = 0x1000
    private(set) var readyCount = 0
    private(set) var peer: PeerID?
    let now = Instant(nanoseconds: 1_000_000_000)

    init() {
        engine = IKEEngine(
            configuration: IKEConfiguration(
                preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))))
    }

    /// Forgets a client that has dialled in.
    func forget(_ client: DialClient) {
        if let peer { engine.forget(peer) }
        peer = nil
    }

    /// Takes a message and returns the answers; `watch` counts what the gateway does, its Diffie-Hellman as a part.
    func receive(_ message: [UInt8], from remote: IPv4Address, port: UInt16, _ watch: inout Stopwatch) -> [[UInt8]] {
        var answers: [[UInt8]] = []
        watch.start()
        engine.receive(
            message.span.bytes, from: Endpoint(remote, port), to: Endpoint(gatewayAddress, port), now: now,
            using: &generator)
        settle(&watch)
        var writer = ByteWriter()
        while engine.pollTransmit(into: &writer) != nil {
            answers.append(writer.bytes)
            writer.removeAll()
        }
        watch.stop()
        return answers
    }

    private func settle(_ watch: inout Stopwatch) {
        while true {
            if let work = engine.pollWork() {
                watch.startPart()
                let result = work.perform()
                watch.stopPart()
                engine.complete(result, now: now, using: &generator)
            } else if let event = engine.pollEvent() {
                handle(event)
            } else {
                return
            }
        }
    }

    private func handle(_ event: IKEEvent) {
        switch event {
        case .peerEstablished(let established): peer = established.peer
        case .quickModeRequested(let request):
            lastSPI += 1
            engine.accept(request.id, inboundSPI: lastSPI, now: now, using: &generator)
        case .securityAssociationReady: readyCount += 1
        default: break
        }
    }
}

/// A client at an address of its own.
struct DialClient {
    private var client: TestInitiator
    private let address: IPv4Address

    init(_ group: DiffieHellmanGroup, seed: UInt64) {
        address = IPv4Address(10 << 24 | UInt32(truncatingIfNeeded: seed) & 0xff_ffff)
        var settings = TestInitiator.Settings()
        settings.own = Endpoint(address, 500)
        settings.identity = [1, 17, 1, 244] + address.octets
        settings.offer = Offers.offer([
            Offers.phaseOne(Offers.aes, 256, Offers.sha256, Int(group.rawValue), life: Offers.hour)
        ])
        client = TestInitiator(settings, seed: seed)
    }

    /// Main mode, then quick mode. Whether both ends have their pair of IPsec SAs.
    mutating func dial(_ gateway: DialGateway, _ watch: inout Stopwatch) -> Bool {
        let before = gateway.readyCount
        client.start(now: gateway.now)
        exchange(gateway, &watch)
        guard client.phase == .established else { return false }
        client.startQuickMode(now: gateway.now)
        exchange(gateway, &watch)
        return client.children.count == 1 && gateway.readyCount == before + 1
    }

    private mutating func exchange(_ gateway: DialGateway, _ watch: inout Stopwatch) {
        while !client.outbox.isEmpty {
            let item = client.outbox.removeFirst()
            let answers = gateway.receive(
                item.bytes, from: address, port: item.floated ? 4500 : 500, &watch)
            for answer in answers { client.receive(answer, now: gateway.now) }
        }
    }
}
