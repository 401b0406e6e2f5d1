import Accounts
import Testing
import Wire

@testable import Gateway

@Suite("Hanging up and shutting down")
struct HangUpTests {
    @Test("a drop says Terminate-Request, CDN, StopCCN and Deletes, in this order", arguments: [0, 1, 2, 3, 4])
    func drop(_ kind: Int) throws {
        let world = try Simulation()
        let clients = [
            world.addDirectClient(),
            world.addClient(world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2)),
        ]
        world.expectLegalAlways()
        clients.forEach { world.connect($0) }
        let victim = clients[1]
        let record = try #require(world.gateway.plane.sessions().first { $0.user == "user1" })
        let selectors: [DropSelector] = [
            .id(record.id), .user("user1"), .address(.v4(try #require(victim.innerAddress))),
            .address(.v4(IPv4Address(203, 0, 113, 1))), .all,
        ]
        let result = world.tellGateway { gateway, now in gateway.drop(selectors[kind], now: now) }
        #expect(result.sessions.contains(record.id) && result.sessions.count == (kind == 4 ? 2 : 1))
        world.run(.seconds(2))
        for client in clients where kind == 4 || client.index == 1 {
            #expect(client.stage == .ended)
            #expect(
                client.farewells == [
                    .terminateRequest, .callDisconnect, .stopControlConnection, .deleteIPsec, .deleteIKE,
                ])
        }
        if kind != 4 { world.expectData(clients[0], serial: 1) }
        #expect(world.gateway.plane.sessions().count == (kind == 4 ? 0 : 1))
        #expect(world.gateway.plane.peers.count == (kind == 4 ? 0 : 1))
    }

    @Test("a drop of nobody does nothing")
    func nobody() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        for selector in [DropSelector.id(99), .user("nobody"), .address(.v4(.any))] {
            #expect(world.tellGateway { gateway, now in gateway.drop(selector, now: now) }.sessions.isEmpty)
        }
        world.run(.seconds(2))
        world.expectData(client, serial: 1)
    }

    @Test("a client that was dropped may dial again at once")
    func again() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.wantsIn = true
        world.expectLegalAlways()
        world.connect(client)
        for serial in 0..<5 {
            _ = world.tellGateway { gateway, now in gateway.drop(.all, now: now) }
            world.run(.milliseconds(100))
            #expect(world.run(atMost: .seconds(6)) { _ in client.stage == .up })
            world.expectData(client, serial: serial)
        }
        #expect(world.gateway.plane.sessions().count == 1)
    }

    @Test("shutting down ends within two seconds, and the clients notice")
    func shutDown() throws {
        let world = try Simulation(users: 20)
        let clients = (0..<20).map { _ in world.addDirectClient() }
        world.expectLegalAlways()
        clients.forEach(world.dial)
        #expect(world.run(atMost: .seconds(10)) { _ in clients.allSatisfy { $0.stage == .up } })
        world.tellGateway { gateway, now in gateway.shutDown(now: now) }
        #expect(world.run(atMost: .seconds(2)) { world in world.gateway.plane.isIdle })
        world.run(.seconds(1))
        for client in clients {
            #expect(client.stage == .ended)
            #expect(client.farewells.first == .terminateRequest && client.farewells.contains(.deleteIKE))
        }
    }

    @Test("shutting down ends within two seconds though nobody answers, and some are in the middle of dialling")
    func shutDownAlone() throws {
        let world = try Simulation(users: 30)
        let clients = (0..<30).map { _ in world.addDirectClient() }
        for (number, client) in clients.enumerated() {
            world.dial(client)
            // Each is further on than the next.
            world.run(.milliseconds(number < 10 ? 200 : 10))
        }
        world.faults.loss = 1
        world.tellGateway { gateway, now in gateway.shutDown(now: now) }
        #expect(world.run(atMost: .seconds(2)) { world in world.gateway.plane.isIdle })
    }

    @Test("nobody gets in any more once the gateway shuts down")
    func lateComer() throws {
        let world = try Simulation()
        let (first, second) = (world.addDirectClient(), world.addDirectClient())
        world.connect(first)
        world.dial(second)
        world.tellGateway { gateway, now in gateway.shutDown(now: now) }
        world.run(.seconds(3))
        #expect(world.gateway.plane.sessions().isEmpty && second.stage != .up)
    }
}

@Suite("Who is not let in")
struct RefusalTests {
    @Test("a wrong password: the client hears so, nothing is leased, and the right one works afterwards")
    func wrongPassword() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.password = "guess"
        world.expectLegalAlways()
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.wasRefused })
        #expect(world.gateway.plane.counters[.usersRefused] == 1)
        #expect(world.gateway.plane.pool.leasedCount == 0)
        client.password = "secret"
        world.connect(client)
        world.expectData(client, serial: 1)
        #expect(world.gateway.plane.sessions().count == 1)
    }

    @Test("an unknown user hears the same as one with a wrong password")
    func unknownUser() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.user = "nobody"
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.wasRefused })
        #expect(world.gateway.plane.counters[.usersRefused] == 1)
        world.expectNothingLeft(after: .seconds(120))
    }

    @Test("a wrong pre-shared key gets no further than IKE, and leaves nothing")
    func wrongKey() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.settings.preSharedKey = "guess"
        world.dial(client)
        world.run(.seconds(50))
        #expect(client.stage == .ended && world.gateway.plane.counters[.ikeRefusals] == 1)
        world.expectNothingLeft(after: .seconds(60))
    }

    @Test("guessing is slowed for that user from that address, and nobody else notices")
    func guessing() throws {
        let world = try Simulation()
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let guesser = world.addClient(site, address: IPv4Address(10, 0, 0, 2))
        let neighbour = world.addClient(site, address: IPv4Address(10, 0, 0, 3))
        let other = world.addDirectClient()
        guesser.password = "guess"
        for _ in 0..<6 {
            world.dial(guesser)
            #expect(world.run(atMost: .seconds(5)) { _ in guesser.wasRefused })
        }
        // Now even the right password is not looked at for a while.
        guesser.password = "secret"
        world.dial(guesser)
        #expect(world.run(atMost: .seconds(5)) { _ in guesser.wasRefused })
        world.connect(neighbour)
        other.user = "user0"
        world.connect(other)
        world.run(.seconds(60))
        world.connect(guesser)
    }

    @Test("no address is free: the client is refused, and gets in once one is given back")
    func exhausted() throws {
        let world = try Simulation(configuration: "l2tp: {pool: 192.168.42.10 - 192.168.42.11}")
        let clients = (0..<3).map { _ in world.addDirectClient() }
        world.expectLegalAlways()
        world.connect(clients[0])
        world.connect(clients[1])
        world.dial(clients[2])
        #expect(world.run(atMost: .seconds(5)) { _ in clients[2].wasRefused })
        world.tell(clients[0]) { client, now in client.hangUp(now: now) }
        world.run(.seconds(1))
        world.connect(clients[2])
        world.expectData(clients[2], serial: 1)
        world.expectData(clients[1], serial: 1)
    }

    @Test("a user may have so many sessions and no more")
    func sessionsPerUser() throws {
        let world = try Simulation(configuration: "limits: {sessionsPerUser: 1}")
        let (first, second) = (world.addDirectClient(), world.addDirectClient())
        second.user = "user0"
        world.connect(first)
        world.dial(second)
        #expect(world.run(atMost: .seconds(5)) { _ in second.wasRefused })
        world.expectData(first, serial: 1)
    }
}
