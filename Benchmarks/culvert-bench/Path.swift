import ArgumentParser
import Cryptography
import ESP
import Gateway
import Wire

/// The worker's path, from an ESP packet in UDP to the IP packet in it and back, without system calls.
struct Path: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The packet path of one worker: ESP, L2TP and PPP off and on, by suite and packet size.")

    @OptionGroup var options: MeasureOptions

    @Option(help: ArgumentHelp("Measure this suite alone.", valueName: "name"))
    var suite: String?

    @Option(help: ArgumentHelp("Measure IP packets of this size alone.", valueName: "bytes"))
    var bytes: Int?

    /// How often library and path are measured in turn, so that a ratio does not tell how busy the machine was at one of the
    /// two times.
    private static let rounds = 3

    func run() throws {
        let suites = suite.map { name in NamedSuite.all.filter { $0.name == name } } ?? NamedSuite.common
        let sizes = bytes.map { [min(max($0, 28), 1400)] } ?? [64, 512, 1400]
        options.announce("path", figures: suites.count * sizes.count * 4 * Self.rounds)
        var table = Table(columns: [
            "suite", "bytes", "direction", "ns", "Mpps per core", "Gbit/s per core", "library ns", "times library",
            "allocations",
        ])
        for named in suites {
            for size in sizes {
                var bench = try PathLoop(named, size: size)
                let bare = try Library(named.suite, keys: named.keys())
                var (inbound, outbound) = (Figure.worst, Figure.worst)
                var library = (seal: Figure.worst, open: Figure.worst)
                for _ in 0..<Self.rounds {
                    // What ESP protects: the IP packet behind PPP's protocol field, L2TP's header and UDP's.
                    let (seal, open) = bare.measure(
                        payload: size + Packet.framingLength, nanoseconds: options.nanoseconds)
                    library = (library.seal.better(seal), library.open.better(open))
                    inbound = inbound.better(bench.inbound(nanoseconds: options.nanoseconds))
                    outbound = outbound.better(bench.outbound(nanoseconds: options.nanoseconds))
                }
                for (direction, figure, floor) in [("in", inbound, library.open), ("out", outbound, library.seal)] {
                    table.rows.append([
                        .text(named.name), .number(Double(size), digits: 0), .text(direction),
                        .number(figure.nanoseconds, digits: 0), .number(figure.perSecond / 1e6, digits: 2),
                        .number(figure.gigabitsPerSecond(bytes: size), digits: 2),
                        .number(floor.nanoseconds, digits: 0),
                        .number(figure.nanoseconds / floor.nanoseconds, digits: 2),
                        .number(figure.allocations, digits: 3),
                    ])
                }
            }
        }
        table.show()
        table.write("path", to: options.results)
    }
}

extension Figure {
    /// What any measurement is better than.
    fileprivate static let worst = Figure(nanoseconds: .infinity, partNanoseconds: 0, allocations: 0)

    fileprivate func better(_ other: Figure) -> Figure { other.nanoseconds < nanoseconds ? other : self }
}

/// A client's packets through the path of one worker.
private struct PathLoop: ~Copyable {
    private let size: Int
    private var path: PathInMemory
    private var client: OutboundSecurityAssociation
    private var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
    private var random = RandomBlock()

    init(_ named: NamedSuite, size: Int) throws {
        let (inbound, outbound) = (named.keys(), named.keys())
        let client = try OutboundSecurityAssociation(
            index: PathInMemory.inboundIndex, protection: Protection(payload: named.suite),
            keys: ProtectionKeys(payload: inbound))
        let path = PathInMemory(
            protection: Protection(payload: named.suite), inboundKeys: ProtectionKeys(payload: inbound),
            outboundKeys: ProtectionKeys(payload: outbound), mtuBytes: 1400, batchCapacity: batchCount)
        guard let path else { throw CryptographyError.wrongLength }
        self.size = size
        self.path = path
        self.client = client
    }

    mutating func inbound(nanoseconds: UInt64) -> Figure {
        Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            fillFromClient()
            watch.start()
            let delivered = path.receive(&batch)
            watch.stop()
            guard delivered == batchCount else { fatalError("only \(delivered) packets were delivered") }
            return batchCount
        }
    }

    mutating func outbound(nanoseconds: UInt64) -> Figure {
        Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            fillFromInside(to: PathInMemory.clientAddress, from: IPv4Address(10, 0, 0, 9))
            watch.start()
            let sent = path.send(&batch)
            watch.stop()
            guard sent == batchCount else { fatalError("only \(sent) packets were sent") }
            return batchCount
        }
    }

    /// IPv4 packets of UDP.
    private mutating func fillFromInside(to destination: IPv4Address, from source: IPv4Address) {
        fill(&batch, count: size)
        for position in 0..<batchCount {
            batch[position].writeHeader(from: source, to: destination)
        }
    }

    /// What a client sends: the same packets in PPP, L2TP, UDP and ESP.
    private mutating func fillFromClient() {
        fillFromInside(to: IPv4Address(10, 0, 0, 9), from: PathInMemory.clientAddress)
        let path = OuterPath(
            remote: Endpoint(IPv4Address(192, 0, 2, 7), 4500), local: .v4(IPv4Address(198, 51, 100, 1)))
        for position in 0..<batchCount {
            batch[position].frame()
            guard client.seal(&batch[position], nextHeader: IPProtocol.udp, random: &random) == nil else {
                fatalError("the client's association is used up")
            }
            batch[position].path = path
        }
    }
}
