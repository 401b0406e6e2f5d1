import Wire

@testable import L2TP

/// A server, many clients and a bad network between them, on one clock, from one seed.
struct Network {
    var server: L2TPServer
    var clients: [TestClient]
    var generator: SeededGenerator
    var now = at(1)
    var events: [L2TPEvent] = []
    /// Percent of the messages.
    var loss: UInt64 = 0
    var duplication: UInt64 = 0
    var delayMaximum: Duration = .milliseconds(50)
    private var inFlight: [(arrival: Instant, client: Int, toServer: Bool, bytes: [UInt8])] = []

    init(seed: UInt64, clients count: Int, configuration: L2TPConfiguration = L2TPConfiguration()) {
        server = L2TPServer(configuration: configuration)
        clients = (0..<count).map { TestClient(peer: L2TPPeer(id: UInt64($0), port: 1701)) }
        generator = SeededGenerator(seed)
    }

    mutating func dial(_ client: Int) { clients[client].dial(now: now, using: &generator) }

    /// Runs for `duration`, or until `done` says so.
    mutating func run(_ duration: Duration, until done: (Network) -> Bool = { _ in false }) {
        let end = now + duration
        exchange()
        while !done(self) {
            let wakeups =
                inFlight.map(\.arrival) + clients.compactMap(\.deadline) + [server.nextDeadline].compactMap { $0 }
            guard let next = wakeups.min(), next <= end else { break }
            now = max(now, next)
            let arrived = inFlight.filter { $0.arrival <= now }
            inFlight.removeAll { $0.arrival <= now }
            for message in arrived {
                if message.toServer {
                    server.receive(
                        message.bytes.span.bytes, from: clients[message.client].peer, now: now, using: &generator)
                } else {
                    clients[message.client].receive(message.bytes, now: now)
                }
            }
            server.handleTimeout(now: now, using: &generator)
            for index in clients.indices { clients[index].handleTimeout(now: now) }
            exchange()
        }
        if !done(self) { now = max(now, end) }
    }

    private mutating func exchange() {
        var writer = ByteWriter()
        while let peer = server.pollTransmit(into: &writer) {
            put(writer.bytes, client: Int(peer.id), toServer: false)
            writer.removeAll()
        }
        while let event = server.pollEvent() { events.append(event) }
        for index in clients.indices {
            for bytes in clients[index].outbox { put(bytes, client: index, toServer: true) }
            clients[index].outbox.removeAll()
        }
    }

    private mutating func put(_ bytes: [UInt8], client: Int, toServer: Bool) {
        for _ in 0..<(generator.chance(duplication) ? 2 : 1) where !generator.chance(loss) {
            let nanoseconds = UInt64.random(
                in: 1_000_000...UInt64(delayMaximum / .nanoseconds(1)), using: &generator)
            inFlight.append((now + .nanoseconds(Int64(nanoseconds)), client, toServer, bytes))
        }
    }
}
