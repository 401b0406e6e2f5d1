import IKE
import Testing
import Wire

@testable import Gateway

@Suite("Clients that vanish, move, rekey and come back")
struct SessionTests {
    @Test("two clients behind one NAT with the same private address and L2TP port have their own sessions")
    func twins() throws {
        let world = try Simulation()
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let clients = (0..<2).map { _ in world.addClient(site, address: IPv4Address(192, 168, 1, 2)) }
        world.expectLegalAlways()
        clients.forEach(world.dial)
        #expect(world.run(atMost: .seconds(5)) { _ in clients.allSatisfy { $0.stage == .up } })
        for client in clients { world.expectData(client, serial: 7) }
        #expect(Set(clients.compactMap(\.innerAddress)).count == 2)
        #expect(Set(world.gateway.plane.sessions().map(\.outerPort)).count == 2)
        #expect(world.forgeries == 0 && clients.allSatisfy { $0.strangersReceived == 0 })
        world.tell(clients[0]) { client, now in client.hangUp(now: now) }
        world.run(.seconds(90))
        #expect(world.gateway.plane.sessions().map(\.user) == ["user1"])
        world.expectData(clients[1], serial: 8)
    }

    @Test(
        "a client that vanished gets in at once from the same address and port, and of the old session nothing stays",
        arguments: [true, false], [true, false])
    func redial(withInitialContact: Bool, isTranslated: Bool) throws {
        let world = try Simulation()
        let client =
            isTranslated
            ? world.addClient(
                world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
            : world.addDirectClient()
        client.settings.sendsInitialContact = withInitialContact
        world.expectLegalAlways()
        world.connect(client)
        world.run(.seconds(20))
        let first = try #require(world.gateway.plane.sessions().first)
        world.tell(client) { client, _ in client.vanish() }
        world.run(.seconds(15))
        world.dial(client)
        let isUp = world.run(atMost: .seconds(2)) { _ in client.stage == .up }
        #expect(
            isUp,
            "at once: \(client.stage) \(client.ike.phase) \(client.link as Any) \(world.gateway.plane.statistics())")
        world.expectData(client, serial: 1)
        // The tunnel that does not answer is given up after a few seconds; its SAs too where the client said that it began
        // anew, otherwise after their lifetime.
        world.run(.seconds(30))
        #expect(world.gateway.plane.ike.securityAssociationCount == (withInitialContact ? 1 : 2))
        #expect(world.gateway.plane.sessions().count == 1)
        #expect(world.gateway.plane.sessions().first?.id != first.id)
        #expect(world.gateway.plane.tunnels().count == 1)
        world.expectData(client, serial: 2)
        world.tell(client) { client, now in client.vanish() }
        world.expectNothingLeft(after: .seconds(300))
    }

    @Test("a client that vanishes and never comes back is given up, and all that it had is given back")
    func vanished() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        world.tell(client) { client, _ in client.vanish() }
        // Echo-Requests after 30 s, four of them 30 s apart.
        world.run(.seconds(170))
        #expect(world.gateway.plane.sessions().isEmpty)
        world.expectNothingLeft(after: .seconds(120))
    }

    @Test("a Delete of the ISAKMP SA alone leaves the session, and the operator sees it without the IKE SA")
    func deletedIKE() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        world.tell(client) { client, now in client.deleteIKE(now: now) }
        world.run(.seconds(60))
        world.expectData(client, serial: 1)
        #expect(world.gateway.plane.ike.associationCount == 0)
        #expect(world.gateway.plane.sessions().map(\.ikeSA) == [""])
        #expect(client.stage == .up)
    }

    @Test("a hang-up of the client ends everything", arguments: [true, false])
    func hangUp(isTranslated: Bool) throws {
        let world = try Simulation()
        let client =
            isTranslated
            ? world.addClient(
                world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
            : world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        world.tell(client) { client, now in client.hangUp(now: now) }
        world.run(.seconds(1))
        #expect(world.gateway.plane.sessions().isEmpty)
        #expect(world.gateway.plane.counters[.sessionsEnded] == 1)
        world.expectNothingLeft(after: .seconds(100))
    }

    @Test("INITIAL-CONTACT with a new ISAKMP SA, of a client that has not begun anew, leaves its session")
    func initialContactAtRenewal() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.settings.sendsInitialContact = true
        world.expectLegalAlways()
        world.connect(client)
        world.run(.seconds(20))
        let session = try #require(world.gateway.plane.sessions().first)
        world.tell(client) { client, now in client.renewIKE(now: now) }
        for serial in 1...10 {
            world.run(.seconds(1))
            world.expectData(client, serial: serial)
        }
        #expect(client.ike.phase == .established)
        #expect(world.gateway.plane.sessions().map(\.id) == [session.id])
        #expect(world.gateway.plane.ike.securityAssociationCount == 1)
    }

    @Test("a user with one session who vanished and dials again from the same place is let in at once")
    func redialAtLimit() throws {
        let world = try Simulation(configuration: "limits: {sessionsPerUser: 1}")
        let client = world.addDirectClient()
        world.connect(client)
        world.tell(client) { client, _ in client.vanish() }
        world.dial(client)
        #expect(world.run(atMost: .seconds(2)) { _ in client.stage == .up })
        #expect(world.gateway.plane.sessions().count == 1)
        world.expectData(client, serial: 1)
    }

    @Test("a rekey of the IPsec SAs during data loses no packet", arguments: [true, false])
    func rekey(isTranslated: Bool) throws {
        let world = try Simulation()
        let client =
            isTranslated
            ? world.addClient(
                world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
            : world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        var serial = 0
        for round in 0..<4 {
            for step in 0..<800 {
                if step == 200 { world.tell(client) { client, now in client.rekey(now: now) } }
                world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
                serial += 1
                world.run(.milliseconds(10))
            }
            #expect(client.associations.count == 1, "round \(round)")
        }
        world.run(.seconds(1))
        #expect(world.requestsDelivered[client.index]?.sorted() == Array(0..<serial))
        #expect(client.repliesReceived.sorted() == Array(0..<serial))
        #expect(world.gateway.plane.counters[.quickModes] == 5)
        #expect(world.gateway.statisticsRecord().ipsec.activeAssociations == 2)
        #expect(world.gateway.plane.sessions().count == 1)
    }

    @Test("a rekey whose third message is lost works as soon as data comes by the new SA")
    func rekeyWithoutConfirmation() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        world.tell(client) { client, now in client.rekey(now: now) }
        // The message 2 arrives; everything that the client sends then is lost.
        world.run(atMost: .seconds(1)) { _ in client.associations.count == 2 }
        world.faults.loss = 1
        world.run(.milliseconds(15))
        world.faults.loss = 0
        world.expectData(client, serial: 1)
        world.run(.seconds(40))
        world.expectData(client, serial: 2)
        #expect(world.gateway.plane.sessions().count == 1)
    }

    @Test("a NAT that rebinds in mid-session moves the peer with the next packet, to another address too")
    func rebinding() throws {
        let world = try Simulation(workers: 3)
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let client = world.addClient(site, address: IPv4Address(10, 0, 0, 2))
        world.expectLegalAlways()
        world.connect(client)
        let worker = world.gateway.plane.peers.values.first?.worker
        world.rebind(site)
        world.expectData(client, serial: 1)
        #expect(world.gateway.plane.sessions().first?.outerPort == 21_002)
        world.rebind(site, to: IPv4Address(203, 0, 113, 9))
        world.expectData(client, serial: 2)
        #expect(world.gateway.plane.sessions().first?.outerAddress == "203.0.113.9")
        #expect(world.gateway.plane.counters[.peersMoved] == 2)
        #expect(world.gateway.plane.peers.values.first?.worker == worker)
        // IKE follows too: a rekey goes through, and the session with it.
        world.tell(client) { client, now in client.rekey(now: now) }
        world.run(.seconds(10))
        world.expectData(client, serial: 3)
        #expect(client.associations.count == 1)
        // What the gateway says of itself goes there as well.
        _ = world.tellGateway { gateway, now in gateway.drop(.all, now: now) }
        world.run(.seconds(2))
        #expect(client.stage == .ended)
    }

    @Test("an IKE message from a new place moves ESP too")
    func rebindingByIKE() throws {
        let world = try Simulation()
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let client = world.addClient(site, address: IPv4Address(10, 0, 0, 2))
        world.connect(client)
        world.rebind(site)
        world.tell(client) { client, now in client.rekey(now: now) }
        world.run(.seconds(1))
        // From inside, before the client has sent any ESP from there but what the rekey did.
        let probe = Probe(
            from: Simulation.host, to: try #require(client.innerAddress), .request, client: client.index, serial: 77)
        world.inject(probe.bytes)
        world.run(.seconds(1))
        #expect(client.requestsReceived == [77])
    }

    @Test("a HELLO that is never answered does not end a session in which PPP is alive")
    func ignoredHello() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.ignoresHello = true
        world.expectLegalAlways()
        world.connect(client)
        world.run(.seconds(1200))
        #expect(client.stage == .up)
        world.expectData(client, serial: 1)
        #expect(world.gateway.plane.sessions().count == 1)
    }

    @Test("an idle session stays for an hour, and its IPsec SAs are renewed by the client")
    func idle() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        for _ in 0..<4 {
            world.run(.seconds(1500))
            world.tell(client) { client, now in client.rekey(now: now) }
        }
        world.run(.seconds(10))
        world.expectData(client, serial: 1)
        #expect(world.gateway.plane.counters[.sessionsStarted] == 1)
    }

    @Test("a user with a fixed address dials again before the gateway knows that his session is dead")
    func fixedAddress() throws {
        let world = try Simulation(fixedAddresses: [0: "192.168.42.200"])
        let home = world.addDirectClient()
        let away = world.addClient(
            world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
        away.user = "user0"
        world.expectLegalAlways()
        world.connect(home)
        #expect(home.innerAddress == IPv4Address(192, 168, 42, 200))
        world.tell(home) { client, _ in client.vanish() }
        world.connect(away)
        #expect(away.innerAddress == IPv4Address(192, 168, 42, 200))
        world.expectData(away, serial: 1)
        #expect(world.gateway.plane.sessions().count == 1)
        // And again, from where he was.
        world.connect(home)
        world.expectData(home, serial: 2)
        world.run(.seconds(1))
        #expect(away.stage == .ended)
        world.tell(home) { client, now in client.hangUp(now: now) }
        world.expectNothingLeft(after: .seconds(120))
    }

    @Test("a client of the legal MRU 576 gets no packet that is larger, and from inside the sender is told")
    func smallMRU() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.mruBytes = 576
        world.connect(client)
        let address = try #require(client.innerAddress)
        for (serial, size) in [(1, 576), (2, 577)] {
            world.inject(
                Probe(
                    from: Simulation.host, to: address, .request, client: client.index, serial: serial, byteCount: size
                )
                .bytes)
        }
        world.run(.seconds(1))
        #expect(client.requestsReceived == [1] && world.gateway.tooLarge == 1)
    }
    @Test("a rate limit reaches the session's worker, and the operator's list")
    func rateLimit() throws {
        let world = try Simulation(configuration: "rateLimit: {fromClient: 20 Mbit/s, toClient: 8 kbit/s}")
        let client = world.addDirectClient()
        world.connect(client)
        let address = try #require(client.innerAddress)
        for serial in 1...100 {
            world.inject(
                Probe(
                    from: Simulation.host, to: address, .request, client: client.index, serial: serial, byteCount: 1000
                )
                .bytes)
        }
        world.run(.seconds(1))
        #expect(client.requestsReceived == Array(1...65))
        #expect(world.gateway.workers.reduce(0) { $0 + $1.path.drops[.overRateToClient] } == 35)
        let record = try #require(world.gateway.plane.sessions().first)
        #expect(record.rateLimitIn == 20_000_000 && record.rateLimitOut == 8000)
    }
}
