import ArgumentParser
import CBenchmark
import Cryptography
import ESP
import Gateway
import Wire

/// What a worker's path costs when packets are those of many sessions: finding each, and its state out of the caches.
struct Scale: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The packet path of one worker with many sessions: packets of all of them in turn, and memory.")

    @OptionGroup var options: MeasureOptions

    @Option(help: ArgumentHelp("How many sessions.", valueName: "number"))
    var sessions: [Int] = [1, 100, 10_000, 100_000]

    @Option(help: ArgumentHelp("How large the inner IP packets are.", valueName: "bytes"))
    var bytes = 1400

    func validate() throws {
        guard sessions.allSatisfy((1...PathInMemory.clientsMaximum).contains), (28...1400).contains(bytes) else {
            throw ValidationError("--sessions is 1 to \(PathInMemory.clientsMaximum), --bytes 28 to 1400")
        }
    }

    func run() throws {
        let suites = NamedSuite.all.filter { ["aes256-gcm16", "aes256-sha1"].contains($0.name) }
        // Making the sessions takes as long again.
        options.announce("scale", figures: suites.count * sessions.count * 8)
        var table = Table(columns: [
            "suite", "sessions", "packets in a row", "in ns", "out ns", "in, rate to the first",
            "out, rate to the first", "bytes for a session",
        ])
        for named in suites {
            var first: (inbound: Double, outbound: Double)?
            for count in sessions {
                let before = culvert_heap_bytes()
                var loop = try ScaleLoop(named, sessions: count, size: bytes)
                let heap = Double(culvert_heap_bytes() - before) / Double(count)
                for burst in count == 1 ? [batchCount] : [1, 16] {
                    loop.burst = burst
                    let inbound = loop.inbound(nanoseconds: options.nanoseconds).nanoseconds
                    let outbound = loop.outbound(nanoseconds: options.nanoseconds).nanoseconds
                    let reference = first ?? (inbound, outbound)
                    first = reference
                    table.rows.append([
                        .text(named.name), .number(Double(count), digits: 0), .number(Double(burst), digits: 0),
                        .number(inbound, digits: 0), .number(outbound, digits: 0),
                        .number(reference.inbound / inbound, digits: 2),
                        .number(reference.outbound / outbound, digits: 2), .number(heap, digits: 0),
                    ])
                }
            }
        }
        table.show()
        table.write("scale-path", to: options.results)
    }
}

/// Packets of many clients through the path of one worker, each batch of others.
struct ScaleLoop: ~Copyable {
    private static let server = IPv4Address(10, 0, 0, 9)
    /// How many packets in a row are one client's.
    var burst = 1
    private let size: Int
    private let count: Int
    private var path: PathInMemory
    private let suite: NamedSuite
    private let inboundKeys: SuiteKeys
    private var clients: SendingClients
    private var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
    private var random = RandomBlock()
    private var next = 0

    init(_ named: NamedSuite, sessions: Int, size: Int) throws {
        let (inbound, outbound) = (named.keys(), named.keys())
        let path = PathInMemory(
            clients: sessions, protection: Protection(payload: named.suite),
            inboundKeys: ProtectionKeys(payload: inbound), outboundKeys: ProtectionKeys(payload: outbound),
            mtuBytes: 1400, batchCapacity: batchCount)
        guard let path else { throw CryptographyError.wrongLength }
        self.path = path
        (self.size, count, suite, inboundKeys) = (size, sessions, named, inbound)
        clients = SendingClients(count: sessions)
    }

    /// Whose the packet at `position` of a batch is.
    private func client(_ position: Int) -> Int {
        // Neighbours are not next to each other in memory either.
        (next + position / burst) % count * 7919 % count
    }

    mutating func inbound(nanoseconds: UInt64) -> Figure {
        Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            guard fillFromClients() else { fatalError("a client cannot send") }
            watch.start()
            let delivered = receiveBatch()
            watch.stop()
            guard delivered == batchCount else { fatalError("only \(delivered) packets were delivered") }
            next += batchCount / burst
            return batchCount
        }
    }

    mutating func outbound(nanoseconds: UInt64) -> Figure {
        Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            _ = fillFromServer()
            watch.start()
            let sent = sendBatch()
            watch.stop()
            guard sent == batchCount else { fatalError("only \(sent) packets were sent") }
            next += batchCount / burst
            return batchCount
        }
    }

    /// A batch inwards. Tests/Instructions/run finds this function and the next by their names.
    @inline(never)
    mutating func receiveBatch() -> Int { path.receive(&batch) }

    /// A batch outwards.
    @inline(never)
    mutating func sendBatch() -> Int { path.send(&batch) }

    /// What the server sends.
    mutating func fillFromServer() -> Bool {
        fill(&batch, count: size)
        for position in 0..<batchCount {
            batch[position].writeHeader(from: Self.server, to: PathInMemory.clientAddress(client(position)))
        }
        return true
    }

    /// What clients send: packets in PPP, L2TP, UDP and ESP.
    mutating func fillFromClients() -> Bool {
        fill(&batch, count: size)
        for position in 0..<batchCount {
            let client = client(position)
            batch[position].writeHeader(from: PathInMemory.clientAddress(client), to: Self.server)
            batch[position].frame()
            guard clients.seal(&batch[position], by: client, suite, inboundKeys, &random) else { return false }
            batch[position].path = PathInMemory.outerPath(client)
        }
        return true
    }
}

/// The clients' ends of their SAs, each made when it sends first.
private struct SendingClients: ~Copyable {
    private let associations: UnsafeMutablePointer<UnsafeMutablePointer<OutboundSecurityAssociation>?>
    private let count: Int

    init(count: Int) {
        self.count = count
        associations = .allocate(capacity: count)
        associations.initialize(repeating: nil, count: count)
    }

    deinit {
        for client in 0..<count {
            associations[client]?.deinitialize(count: 1)
            associations[client]?.deallocate()
        }
        associations.deallocate()
    }

    mutating func seal(
        _ packet: inout Packet, by client: Int, _ named: NamedSuite, _ keys: SuiteKeys, _ random: inout RandomBlock
    ) -> Bool {
        if associations[client] == nil {
            guard
                let made = try? OutboundSecurityAssociation(
                    index: PathInMemory.inboundIndex(client), protection: Protection(payload: named.suite),
                    keys: ProtectionKeys(payload: keys))
            else { return false }
            let memory = UnsafeMutablePointer<OutboundSecurityAssociation>.allocate(capacity: 1)
            memory.initialize(to: made)
            associations[client] = memory
        }
        return associations[client]?.pointee.seal(&packet, nextHeader: IPProtocol.udp, random: &random) == nil
    }
}
