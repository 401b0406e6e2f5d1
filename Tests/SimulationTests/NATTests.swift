import Testing
import Wire

@testable import Gateway
@testable import IKE

@Suite("NATs on the way")
struct NATTests {
    private func client(_ world: Simulation, isTranslated: Bool) -> SimulatedClient {
        isTranslated
            ? world.addClient(
                world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
            : world.addDirectClient()
    }

    /// A packet from inside to the client, before anything came from there.
    private func expectReachable(
        _ world: Simulation, _ client: SimulatedClient, serial: Int, _ location: SourceLocation = #_sourceLocation
    ) throws {
        let address = try #require(client.innerAddress, sourceLocation: location)
        world.inject(
            Probe(from: Simulation.host, to: address, .request, client: client.index, serial: serial).bytes)
        world.run(.milliseconds(200))
        #expect(client.requestsReceived.last == serial, sourceLocation: location)
    }

    @Test(
        "every paper of NAT traversal carries a session: through a NAT that moves, and without one",
        arguments: NATPaper.allCases, [true, false])
    func papers(_ paper: NATPaper, isTranslated: Bool) throws {
        let world = try Simulation(workers: 3, configuration: "lifetimes: {ipsecKilobytes: 60}")
        let client = client(world, isTranslated: isTranslated)
        client.settings.natTraversal = paper
        client.settings.originalAddressCount = paper.floats ? 2 : 1
        world.expectLegalAlways()
        world.connect(client)
        #expect(client.ike.isTranslated == isTranslated && client.ike.hasFloated == (isTranslated && paper.floats))
        // Enough for some rekeys of ours.
        for serial in 0..<150 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host, byteCount: 1200) }
            world.run(.milliseconds(20))
        }
        #expect(client.repliesReceived.sorted() == Array(0..<150))
        #expect(world.gateway.plane.counters[.quickModes] > 2)
        guard isTranslated else { return }
        world.rebind(client.site)
        world.expectData(client, serial: 1000)
        world.rebind(client.site, to: IPv4Address(203, 0, 113, 77))
        world.expectData(client, serial: 1001)
        try expectReachable(world, client, serial: 1002)
        #expect(world.gateway.plane.counters[.peersMoved] == 2)
        #expect(world.gateway.plane.sessions().first?.outerAddress == "203.0.113.77")
    }

    @Test(
        "a NAT before the client, a port map before the gateway, both, or none: Windows and others come in and are renewed",
        arguments: [(true, true), (true, false), (false, true), (false, false)], [true, false])
    func combinations(_ nats: (client: Bool, gateway: Bool), isWindows: Bool) throws {
        let world = try Simulation(configuration: "lifetimes: {ipsecKilobytes: 60}")
        if nats.gateway { world.gatewayInnerAddress = .v4(IPv4Address(172, 17, 0, 2)) }
        let client = client(world, isTranslated: nats.client)
        client.settings.isWindows = isWindows
        world.expectLegalAlways()
        world.connect(client)
        #expect(client.ike.isTranslated == (nats.client || nats.gateway))
        for serial in 0..<150 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host, byteCount: 1200) }
            world.run(.milliseconds(20))
        }
        #expect(client.repliesReceived.sorted() == Array(0..<150))
        #expect(world.gateway.plane.counters[.quickModes] > 2)
        // What the gateway calls itself: to Windows, what Windows knows it by.
        if nats.gateway {
            let own = isWindows ? Simulation.gatewayAddress : .v4(IPv4Address(172, 17, 0, 2))
            #expect(client.ike.told.last == own.octets)
        }
        if nats.client {
            world.rebind(client.site)
            world.expectData(client, serial: 1000)
        }
        try expectReachable(world, client, serial: 1001)
        world.tell(client) { client, now in client.hangUp(now: now) }
        world.expectNothingLeft(after: .seconds(120))
    }

    @Test("a gateway behind a port map keeps its mappings alive where nothing else does; another sends no keepalives")
    func keepalives() throws {
        for isMapped in [true, false] {
            let world = try Simulation()
            if isMapped { world.gatewayInnerAddress = .v4(IPv4Address(172, 17, 0, 2)) }
            let client = client(world, isTranslated: true)
            client.echoInterval = .seconds(600)
            world.connect(client)
            world.run(.seconds(60))
            #expect((client.keepalivesReceived > 0) == isMapped)
            // Theirs are counted, and mean nothing.
            world.tell(client) { client, _ in client.outbox.append(.init(port: 4500, bytes: [0xff])) }
            world.run(.milliseconds(100))
            #expect(world.gateway.count(.natKeepalive) == 1)
            world.expectData(client, serial: 1)
        }
    }

    @Test("a dozen clients behind one address, with port 1701 or not, with the same private addresses or not")
    func office() throws {
        let world = try Simulation(users: 12, workers: 3)
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let clients = (0..<12).map { number -> SimulatedClient in
            let address = IPv4Address(192, 168, 1, number % 2 == 0 ? 2 : UInt8(10 + number))
            let client = world.addClient(site, address: address)
            client.l2tpPort = number % 3 == 0 ? 1701 : 50_000 + number
            if number % 4 == 1 { client.settings.natTraversal = .draft00 }
            if number % 4 == 2 { client.settings.isWindows = true }
            return client
        }
        world.expectLegalAlways()
        clients.forEach(world.dial)
        #expect(world.run(atMost: .seconds(10)) { _ in clients.allSatisfy { $0.stage == .up } })
        #expect(Set(clients.compactMap(\.innerAddress)).count == 12)
        for round in 0..<3 {
            for client in clients { world.expectData(client, serial: round) }
            world.rebind(site, to: IPv4Address(203, 0, 113, UInt8(20 + round)))
        }
        for client in clients { world.expectData(client, serial: 10) }
        #expect(world.forgeries == 0 && clients.allSatisfy { $0.strangersReceived == 0 })
        #expect(world.gateway.plane.sessions().count == 12)
    }

    @Test("packets that were under way when the NAT moved do not hold the session back")
    func lateFromTheOldPlace() throws {
        let world = try Simulation()
        let client = client(world, isTranslated: true)
        world.connect(client)
        // The newest of the old place overtakes nothing: it comes after the first of the new one.
        var held: [Datagram] = []
        world.tamper = { datagram in
            guard datagram.to.port == 4500, held.isEmpty else { return false }
            held.append(datagram)
            return true
        }
        world.tell(client) { client, _ in client.sendProbe(serial: 1, to: Simulation.host) }
        world.tamper = nil
        world.rebind(client.site)
        world.expectData(client, serial: 2)
        for datagram in held { world.send(datagram) }
        world.run(.milliseconds(100))
        #expect(world.requestsDelivered[client.index] == [2, 1])
        #expect(world.gateway.plane.counters[.peersMoved] == 1)
        try expectReachable(world, client, serial: 3)
        // IKE alone moves it too, ESP following later; and an IKE message of the old place, repeated, moves nothing back.
        world.rebind(client.site)
        world.tell(client) { client, now in client.rekey(now: now) }
        world.run(.seconds(1))
        try expectReachable(world, client, serial: 4)
        world.expectData(client, serial: 5)
    }

    @Test(
        "a NAT that changes the address in the middle of a quick mode of the client's",
        arguments: [.rfc3947, .draft02, .draft00] as [NATPaper])
    func moveInQuickMode(_ paper: NATPaper) throws {
        let world = try Simulation()
        let client = client(world, isTranslated: true)
        client.settings.natTraversal = paper
        world.expectLegalAlways()
        world.connect(client)
        world.tell(client) { client, now in client.rekey(now: now) }
        world.run(.milliseconds(5))
        // The gateway's message 2 goes to the old place. Data tells the new one, and the exchange goes on there.
        world.rebind(client.site, to: IPv4Address(203, 0, 113, 88))
        world.expectData(client, serial: 1)
        world.run(.seconds(10))
        #expect(client.associations.count == 1 && world.gateway.plane.counters[.quickModes] == 2)
        world.expectData(client, serial: 2)
        try expectReachable(world, client, serial: 3)
    }

    @Test("a NAT that changes the address during dead peer detection")
    func moveInDetection() throws {
        let world = try Simulation()
        world.gateway.plane.ike.configuration.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(5))
        let client = client(world, isTranslated: true)
        world.connect(client)
        #expect(world.run(atMost: .seconds(60)) { _ in client.ike.questions == 1 })
        world.rebind(client.site, to: IPv4Address(203, 0, 113, 88))
        let questions = client.ike.questions
        world.run(.seconds(60))
        #expect(client.ike.questions > questions && world.gateway.plane.counters[.deadPeers] == 0)
        #expect(world.gateway.plane.sessions().first?.outerAddress == "203.0.113.88")
        world.expectData(client, serial: 1)
    }
}
