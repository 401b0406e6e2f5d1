import Wire

@testable import Gateway

/// A gateway, its clients and a network between them on one virtual clock, from one seed.
final class Simulation {
    static let gatewayAddress = IPAddress.v4(IPv4Address(198, 51, 100, 1))
    /// A host behind the gateway, which answers probes.
    static let host = IPv4Address(10, 99, 0, 1)

    let seed: UInt64
    let gateway: SimulatedGateway
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var clients: [SimulatedClient] = []
    var faults = Faults.none
    var generator: SeededGenerator
    /// Requests that the host got, by client.
    var requestsDelivered: [Int: [Int]] = [:]
    /// Inner packets that came out of the gateway with a source that their sender never had.
    private(set) var forgeries = 0
    /// The gateway's own address, where a port map stands before it: UDP 500 and 4500 come through, and nothing else.
    var gatewayInnerAddress: IPAddress?
    /// Called after whatever happened.
    var check: ((Simulation) -> Void)?
    /// Sees every datagram that is sent, before the network has it.
    var tap: ((Datagram) -> Void)?
    /// Says of each datagram whether the network loses it.
    var tamper: ((Datagram) -> Bool)?
    let codec = PacketCodec()
    /// Bytes of inner packets that came out of the gateway, and that went in to a client.
    private(set) var innerBytesOut = 0
    private(set) var innerBytesIn = 0
    private var flights = Flights()
    private var deadlines = DeadlineHeap()
    private var sites: [IPv4Address: Site] = [:]
    private var clientAt: [IPv4Address: Int] = [:]

    /// - Parameter configuration: Lines of YAML beside the key and the users.
    init(
        seed: UInt64 = 1, users: Int = 8, workers: Int = 2, fixedAddresses: [Int: String] = [:],
        configuration: String = "", isClearPermitted: Bool = false
    ) throws {
        let list = (0..<users).map { index in
            let address = fixedAddresses[index].map { ", address: \($0)" } ?? ""
            return "  - {name: user\(index), password: secret\(address)}"
        }
        let policy = isClearPermitted ? "policy: {use: server}\n" : ""
        let text = "psk: labsecret\nusers:\n\(list.joined(separator: "\n"))\n\(configuration)\n\(policy)"
        let loaded = try ConfigurationLoader.load(text: text, name: "simulation", environment: [:])
        self.seed = seed
        generator = SeededGenerator(seed)
        gateway = try SimulatedGateway(loaded.configuration, workerCount: workers, seed: generator.next(), now: now)
    }

    // MARK: Who is there

    func addSite(_ address: IPv4Address, isNAT: Bool) -> Site {
        let site = Site(address, isNAT: isNAT)
        sites[address] = site
        return site
    }

    @discardableResult
    func addClient(_ site: Site, address: IPv4Address? = nil) -> SimulatedClient {
        let client = SimulatedClient(
            index: clients.count, site: site, address: address ?? site.address, user: "user\(clients.count)",
            codec: codec, seed: generator.next())
        clients.append(client)
        if !site.isNAT { clientAt[site.address] = client.index }
        return client
    }

    /// A client with an address of its own.
    @discardableResult
    func addDirectClient() -> SimulatedClient {
        let count = UInt32(clients.count)
        return addClient(addSite(IPv4Address(IPv4Address(192, 0, 2, 1).value + count), isNAT: false))
    }

    /// A NAT gets another address.
    func rebind(_ site: Site, to address: IPv4Address? = nil) {
        sites[site.address] = nil
        site.rebind(to: address)
        sites[site.address] = site
    }

    // MARK: Time

    func dial(_ client: SimulatedClient) {
        client.dial(now: now)
        collect(client)
    }

    /// Has a client do something now.
    func tell(_ client: SimulatedClient, _ body: (SimulatedClient, Instant) -> Void) {
        body(client, now)
        collect(client)
    }

    /// Has the gateway do something now.
    func tellGateway<Value>(_ body: (SimulatedGateway, Instant) throws -> Value) rethrows -> Value {
        let value = try body(gateway, now)
        collectGateway()
        return value
    }

    /// Puts a datagram into the network, whoever made it.
    func send(_ datagram: Datagram) {
        tap?(datagram)
        if tamper?(datagram) == true { return }
        guard !generator.chance(faults.loss) else { return }
        for _ in 0..<(generator.chance(faults.duplication) ? 2 : 1) {
            var arrival = now + faults.delay
            if generator.chance(faults.reordering) {
                let most = Int(faults.delayMaximum / .milliseconds(1))
                arrival += .milliseconds(Int.random(in: 0...most, using: &generator))
            }
            flights.insert(datagram, arrival: arrival)
        }
    }

    /// Runs for `duration`.
    func run(_ duration: Duration) { _ = run(atMost: duration) { _ in false } }

    /// Runs until `done` says so, for `limit` at most; whether it did.
    @discardableResult
    func run(atMost limit: Duration, until done: (Simulation) -> Bool) -> Bool {
        let end = now + limit
        collectGateway()
        while !done(self) {
            let next = earliest(earliest(flights.next, deadlines.earliest), gateway.nextDeadline)
            guard let next, next <= end else {
                now = end
                return done(self)
            }
            now = max(now, next)
            step()
            check?(self)
        }
        return true
    }

    private func step() {
        if let arrival = flights.next, arrival <= now, let datagram = flights.popFirst() { return deliver(datagram) }
        if let due = gateway.nextDeadline, due <= now {
            gateway.handleTimeout(now: now)
            return collectGateway()
        }
        if let index = deadlines.firstDue(at: now) {
            clients[index].handleTimeout(now: now)
            collect(clients[index])
        }
    }

    private func deliver(_ datagram: Datagram) {
        if datagram.to.address == Self.gatewayAddress {
            guard let inner = gatewayInnerAddress else {
                gateway.receive(datagram, now: now)
                return collectGateway()
            }
            guard !datagram.isRaw else { return }
            var mapped = datagram
            mapped.to.address = inner
            gateway.receive(mapped, now: now)
            return collectGateway()
        }
        guard case .v4(let address) = datagram.to.address, let site = sites[address] else { return }
        if site.isNAT {
            guard !datagram.isRaw, let target = site.arrive(port: datagram.to.port) else { return }
            clients[target.client].receive(datagram.bytes, port: target.port, now: now)
            collect(clients[target.client])
        } else if let index = clientAt[address] {
            clients[index].receive(datagram.bytes, port: datagram.isRaw ? 0 : datagram.to.port, now: now)
            collect(clients[index])
        }
    }

    // MARK: What they send

    private func collect(_ client: SimulatedClient) {
        for item in client.outbox {
            let isRaw = item.port == 0
            guard !(isRaw && client.site.isNAT) else { continue }
            send(
                Datagram(
                    from: client.site.leave(client, port: item.port),
                    to: Endpoint(address: Self.gatewayAddress, port: item.port), isRaw: isRaw, bytes: item.bytes))
        }
        client.outbox.removeAll()
        deadlines.set(client.nextDeadline, for: client.index)
    }

    /// The host inside answers what reaches it.
    private func collectGateway() {
        for bytes in gateway.delivered {
            innerBytesOut += bytes.count
            guard let probe = Probe(bytes) else { continue }
            if !clients[probe.client].addresses.contains(probe.source) { forgeries += 1 }
            guard probe.destination == Self.host, probe.direction == .request else { continue }
            requestsDelivered[probe.client, default: []].append(probe.serial)
            let answer = Probe(from: Self.host, to: probe.source, .reply, client: probe.client, serial: probe.serial)
            inject(answer.bytes)
        }
        gateway.delivered.removeAll()
        sendOutgoing()
    }

    private func sendOutgoing() {
        for var datagram in gateway.outgoing {
            if let inner = gatewayInnerAddress {
                guard !datagram.isRaw, datagram.from.address == inner else { continue }
                datagram.from.address = Self.gatewayAddress
            }
            send(datagram)
        }
        gateway.outgoing.removeAll()
    }

    /// A packet from the inside, read by any of the workers.
    func inject(_ bytes: [UInt8]) {
        innerBytesIn += bytes.count
        gateway.receiveInside(bytes, worker: Int.random(in: 0..<gateway.workers.count, using: &generator), now: now)
        sendOutgoing()
    }
}
