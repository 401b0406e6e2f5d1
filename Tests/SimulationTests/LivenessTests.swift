import ESP
import IKE
import Testing
import Wire

@testable import Gateway

@Suite("Who is alive and who is dead")
struct LivenessTests {
    private func world() throws -> Simulation {
        let world = try Simulation()
        world.gateway.plane.ike.configuration.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(20))
        world.expectLegalAlways()
        return world
    }

    @Test("a peer from whom data comes is never asked, for as long as it lasts")
    func busy() throws {
        let world = try world()
        let client = world.addDirectClient()
        world.connect(client)
        for serial in 0..<400 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
            world.run(.milliseconds(500))
        }
        #expect(client.ike.questions == 0)
        #expect(world.gateway.plane.counters[.deadPeers] == 0)
        // One that is silent for longer than the interval is, and answers: its own LCP echoes come each ten seconds.
        world.gateway.plane.ike.configuration.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(5))
        #expect(world.run(atMost: .seconds(60)) { _ in client.ike.questions > 0 })
        world.run(.seconds(600))
        world.expectData(client, serial: 1000)
    }

    @Test("a peer that vanished is given up with its session, and the reason is told")
    func dead() throws {
        let world = try world()
        world.gateway.plane.ike.configuration.policy.deadPeerDetection?.pause = .seconds(5)
        let client = world.addDirectClient()
        world.connect(client)
        world.tell(client) { client, _ in client.vanish() }
        // 20 s of silence, then five questions five seconds apart.
        world.run(.seconds(40))
        #expect(world.gateway.plane.sessions().count == 1)
        world.run(.seconds(10))
        #expect(world.gateway.plane.sessions().isEmpty && world.gateway.plane.counters[.deadPeers] == 1)
        world.expectNothingLeft(after: .seconds(60))
    }

    @Test("a peer whose IKE is cut off, but not its ESP, stays", arguments: [true, false])
    func deafIKE(hasData: Bool) throws {
        let world = try world()
        let client = world.addDirectClient()
        world.connect(client)
        world.tamper = { $0.from.port == 500 || $0.to.port == 500 }
        for serial in 0..<60 {
            if hasData {
                world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
            }
            world.run(.seconds(10))
        }
        // Without data it is LCP's echoes that show it.
        #expect(client.stage == .up && world.gateway.plane.counters[.deadPeers] == 0)
        world.expectData(client, serial: 1000)
    }

    @Test(
        "a client that the gateway knows and that sends by an SA of before is told so; a stranger hears nothing",
        arguments: [true, false])
    func unknownSPI(isTranslated: Bool) throws {
        let world = try Simulation()
        let client =
            isTranslated
            ? world.addClient(
                world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
            : world.addDirectClient()
        world.connect(client)
        let port: UInt16 = isTranslated ? 4500 : 0
        let lost = SecurityParameterIndex(0xdead_beef)
        world.tell(client) { client, _ in
            client.outbox.append(.init(port: port, bytes: be32(Int(lost.value)) + [UInt8](repeating: 7, count: 60)))
        }
        world.run(.milliseconds(100))
        #expect(client.ike.invalidSPIs == [lost.value] && client.ike.everDeleted == [lost.value])
        #expect(client.stage == .up)
        var answers = 0
        world.tap = { datagram in answers += datagram.to.address == .v4(IPv4Address(192, 0, 2, 99)) ? 1 : 0 }
        for number in 0..<100 {
            world.send(
                Datagram(
                    from: Endpoint(IPv4Address(192, 0, 2, 99), port),
                    to: Endpoint(address: Simulation.gatewayAddress, port: port), isRaw: !isTranslated,
                    bytes: be32(0xdead_0000 + number) + [UInt8](repeating: 7, count: 60)))
        }
        world.run(.seconds(1))
        #expect(answers == 0)
        let told =
            world.gateway.plane.ike.drops[.unknownSPI] + world.gateway.plane.ike.drops[.notifyRateLimited]
        #expect((1...40).contains(told))
    }
}
