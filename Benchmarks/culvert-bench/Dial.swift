import ArgumentParser
import CBenchmark
import Cryptography
import IKE
import Wire

/// Whole dial-ins of IKE: main mode and quick mode, the gateway's half timed alone.
struct Dial: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "IKE: main mode and quick mode in memory, and what share of it is Diffie-Hellman.")

    @OptionGroup var options: MeasureOptions

    private static let groups: [(name: String, group: DiffieHellmanGroup)] = [
        ("modp2048", .modp2048), ("ecp256", .ecp256), ("ecp384", .ecp384), ("curve25519", .curve25519),
    ]

    func run() throws {
        // A dial-in takes long, and the client's half is not counted: three times the time of other figures.
        options.announce("dial", figures: Self.groups.count * 6)
        var table = Table(columns: [
            "group", "dial-ins per second and core", "us per dial-in", "us Diffie-Hellman", "% Diffie-Hellman",
            "us the rest", "allocations",
        ])
        for (name, group) in Self.groups {
            var seed: UInt64 = 0
            let figure = Stopwatch.measure(nanoseconds: 3 * options.nanoseconds) { watch in
                seed += 1
                var dial = DialIn(group, seed: seed)
                dial.run(&watch)
                guard dial.isDone else { fatalError("dial-in \(seed) with \(name) failed") }
                return 1
            }
            let share = figure.partNanoseconds
            table.rows.append([
                .text(name), .number(figure.perSecond, digits: 0), .number(figure.nanoseconds / 1000, digits: 0),
                .number(share / 1000, digits: 0), .number(100 * share / figure.nanoseconds, digits: 0),
                .number((figure.nanoseconds - share) / 1000, digits: 0), .number(figure.allocations, digits: 0),
            ])
        }
        table.show()
        table.write("dial", to: options.results)
    }
}

/// One client that dials in at a gateway of its own.
private struct DialIn {
    private var engine: IKEEngine
    private var client: TestInitiator
    private var generator: SplitMix
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var readyCount = 0

    init(_ group: DiffieHellmanGroup, seed: UInt64) {
        engine = IKEEngine(
            configuration: IKEConfiguration(
                preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))))
        var settings = TestInitiator.Settings()
        settings.offer = Offers.offer([
            Offers.phaseOne(Offers.aes, 256, Offers.sha256, Int(group.rawValue), life: Offers.hour)
        ])
        client = TestInitiator(settings, seed: seed)
        generator = SplitMix(state: seed)
    }

    /// Whether both ends have their pair of IPsec SAs.
    var isDone: Bool { client.phase == .established && client.children.count == 1 && readyCount == 1 }

    /// Main mode, then quick mode; `watch` counts what the gateway does, its Diffie-Hellman as a part.
    mutating func run(_ watch: inout Stopwatch) {
        client.start(now: now)
        exchange(&watch)
        guard client.phase == .established else { return }
        client.startQuickMode(now: now)
        exchange(&watch)
    }

    private mutating func exchange(_ watch: inout Stopwatch) {
        while !client.outbox.isEmpty {
            let item = client.outbox.removeFirst()
            watch.start()
            let port: UInt16 = item.floated ? 4500 : 500
            engine.receive(
                item.bytes.span.bytes, from: Endpoint(allowedAddress, port), to: Endpoint(gatewayAddress, port),
                now: now,
                using: &generator)
            work(&watch)
            let answers = takeAnswers(&watch)
            watch.stop()
            for answer in answers { client.receive(answer, now: now) }
        }
    }

    private mutating func work(_ watch: inout Stopwatch) {
        while let work = engine.pollWork() {
            watch.startPart()
            let result = work.perform()
            watch.stopPart()
            engine.complete(result, now: now, using: &generator)
        }
    }

    /// What the control loop does with events, as far as it concerns IKE, and the messages for the client.
    private mutating func takeAnswers(_ watch: inout Stopwatch) -> [[UInt8]] {
        while let event = engine.pollEvent() {
            switch event {
            case .quickModeRequested(let request):
                engine.accept(request.id, inboundSPI: 0x1001, now: now, using: &generator)
                work(&watch)
            case .securityAssociationReady: readyCount += 1
            default: break
            }
        }
        var answers: [[UInt8]] = []
        var writer = ByteWriter()
        while engine.pollTransmit(into: &writer) != nil {
            answers.append(writer.bytes)
            writer.removeAll()
        }
        return answers
    }
}
