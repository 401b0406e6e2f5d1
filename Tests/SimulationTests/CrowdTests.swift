import IKE
import Testing
import Wire

@testable import Gateway

@Suite("Floods and crowds")
struct CrowdTests {
    /// A first message of main mode that nobody will go on with.
    private func firstMessage(from address: IPv4Address, _ generator: inout SeededGenerator) -> Datagram {
        var initiator = IKEInitiator(IKEInitiator.Settings(), generator: SeededGenerator(generator.next()))
        initiator.start(now: .zero)
        return Datagram(
            from: Endpoint(address, 500), to: Endpoint(address: Simulation.gatewayAddress, port: 500), isRaw: false,
            bytes: initiator.outbox[0].bytes)
    }

    @Test("2,000 half-open exchanges, then a dial-in works, and a minute later they are gone")
    func halfOpen() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        for number in 0..<2000 as Range<UInt32> {
            let address = IPv4Address(IPv4Address(203, 0, 113, 0).value + number / 100)
            world.send(firstMessage(from: address, &world.generator))
        }
        world.run(.milliseconds(100))
        #expect(world.gateway.plane.ike.halfOpenCount == 2000)
        world.connect(client)
        world.expectData(client, serial: 1)
        world.run(.seconds(60))
        #expect(world.gateway.plane.ike.halfOpenCount == 0)
        let leftovers = world.gateway.leftovers()
        #expect(leftovers["IKE SAs"] == 1 && leftovers["first messages"] == nil)
        world.expectData(client, serial: 2)
    }

    @Test("one first message gets one answer, never repeated unasked and never much larger")
    func amplification() throws {
        let world = try Simulation()
        var answers: [Int] = []
        world.tap = { datagram in
            if datagram.from.address == Simulation.gatewayAddress { answers.append(datagram.bytes.count) }
        }
        let question = firstMessage(from: IPv4Address(203, 0, 113, 7), &world.generator)
        world.send(question)
        world.run(.seconds(60))
        #expect(answers.count == 1 && answers.allSatisfy { $0 * 2 <= question.bytes.count * 3 })
        world.expectNothingLeft(after: .seconds(1))
    }

    @Test("during a flood of first messages from forged addresses everybody who dials gets in")
    func flood() throws {
        let world = try Simulation(users: 10)
        let clients = (0..<10).map { _ in world.addDirectClient() }
        world.faults.delay = .milliseconds(20)
        for round in 0..<100 {
            if round % 10 == 0 { world.dial(clients[round / 10]) }
            for _ in 0..<60 {
                let address = IPv4Address(UInt32.random(in: 0x0b00_0000...0x0bff_ffff, using: &world.generator))
                world.send(firstMessage(from: address, &world.generator))
            }
            world.run(.milliseconds(10))
        }
        #expect(world.run(atMost: .seconds(2)) { _ in clients.allSatisfy { $0.stage == .up } })
        #expect(clients.allSatisfy { $0.attempts == 1 })
        #expect(world.gateway.plane.ike.halfOpenCount <= 4096)
        for client in clients { world.tell(client) { client, now in client.hangUp(now: now) } }
        world.expectNothingLeft(after: .seconds(120))
    }

    @Test("1,000 clients dial in, move data and hang up or vanish in a random order, and then nothing is left")
    func crowd() throws {
        let world = try Simulation(
            seed: 11, workers: 4,
            configuration: "l2tp: {network: 10.8.0.0/16, local: 10.8.0.1, pool: 10.8.1.0 - 10.8.8.255}")
        let sites = (0..<20).map { world.addSite(IPv4Address(203, 0, 113, UInt8($0)), isNAT: true) }
        for number in 0..<1000 {
            let client =
                number % 2 == 0
                ? world.addDirectClient() : world.addClient(sites[number % 20], address: IPv4Address(10, 0, 0, 2))
            client.user = "user\(number % 8)"
            client.settings.isCombined = number % 4 < 2
        }
        for client in world.clients {
            world.dial(client)
            world.run(.milliseconds(5))
        }
        #expect(world.run(atMost: .seconds(10)) { world in world.gateway.plane.counters[.sessionsStarted] == 1000 })
        world.run(.seconds(1))
        #expect(world.clients.allSatisfy { $0.stage == .up && $0.attempts == 1 })
        #expect(Set(world.clients.compactMap(\.innerAddress)).count == 1000)
        for serial in 0..<2 {
            for client in world.clients {
                world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
            }
            world.run(.milliseconds(200))
        }
        #expect(world.clients.allSatisfy { $0.repliesReceived == [0, 1] && $0.strangersReceived == 0 })
        #expect(world.forgeries == 0)
        let violations = world.gateway.violations()
        #expect(violations.isEmpty, "\(violations.prefix(10))")
        for client in world.clients.shuffled(using: &world.generator) {
            let vanishes = world.generator.chance(0.1)
            world.tell(client) { client, now in if vanishes { client.vanish() } else { client.hangUp(now: now) } }
            world.run(.milliseconds(3))
        }
        world.expectNothingLeft(after: .seconds(300))
        #expect(world.gateway.plane.counters[.sessionsEnded] == 1000)
    }
}
