import FoundationEssentials
import Testing
import Wire

@testable import Gateway

/// Many small worlds, each from its own seed: whatever happens there, in whatever order, nothing illegal may, and once
/// the network is well again everybody who wants in is in.
///
/// CULVERT_SWARM_SEEDS says how many seeds to run, CULVERT_SWARM_SEED which one alone.
@Suite("A swarm of simulations")
struct SwarmTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let chunks = 8

    private static func seeds(_ chunk: Int) -> [UInt64] {
        if let one = environment["CULVERT_SWARM_SEED"].flatMap({ UInt64($0) }) { return chunk == 0 ? [one] : [] }
        let count = environment["CULVERT_SWARM_SEEDS"].flatMap { UInt64($0) } ?? 200
        return (0..<count).filter { Int($0) % chunks == chunk }
    }

    @Test("safe on a bad network, live on a good one", arguments: 0..<chunks)
    func swarm(chunk: Int) throws {
        for seed in Self.seeds(chunk) { try Self.run(seed) }
    }

    private static func run(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed &* 7919 &+ 1)
        let count = Int.random(in: 1...5, using: &generator)
        let world = try Simulation(
            seed: seed, users: 5, workers: Int.random(in: 1...3, using: &generator),
            fixedAddresses: generator.chance(0.3) ? [0: "192.168.42.2"] : [:],
            configuration: "l2tp: {network: 192.168.42.0/27, local: 192.168.42.1, pool: 192.168.42.3 - 192.168.42.30}")
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        for _ in 0..<count {
            let client =
                generator.chance(0.5)
                ? world.addDirectClient() : world.addClient(site, address: IPv4Address(10, 0, 0, 2))
            client.settings.sendsInitialContact = generator.chance(0.5)
            client.settings.isCombined = generator.chance(0.5)
            client.compresses = generator.chance(0.3)
            client.ignoresHello = generator.chance(0.2)
            client.wantsIn = generator.chance(0.7)
        }
        world.expectLegalAlways()
        world.faults = Faults(
            loss: Double.random(in: 0...0.2, using: &generator),
            duplication: Double.random(in: 0...0.2, using: &generator),
            reordering: Double.random(in: 0...0.3, using: &generator))
        for _ in 0..<30 {
            act(in: world, site, &generator)
            world.run(.milliseconds(Int.random(in: 10...4000, using: &generator)))
        }
        expectRecovery(of: world)
    }

    private static func act(in world: Simulation, _ site: Site, _ generator: inout SeededGenerator) {
        guard let client = world.clients.randomElement(using: &generator) else { return }
        switch Int.random(in: 0..<14, using: &generator) {
        case 0..<3: world.dial(client)
        case 3: world.tell(client) { client, now in client.hangUp(now: now) }
        case 4: world.tell(client) { client, _ in client.vanish() }
        case 5, 6:
            if client.stage == .up { world.tell(client) { client, now in client.rekey(now: now) } }
        case 7: world.rebind(site)
        case 8: world.rebind(site, to: IPv4Address(203, 0, 113, UInt8.random(in: 1...200, using: &generator)))
        case 9: if client.stage == .up { world.tell(client) { client, now in client.deleteIKE(now: now) } }
        case 10:
            let selector: DropSelector = generator.chance(0.3) ? .all : .user(client.user)
            _ = world.tellGateway { gateway, now in gateway.drop(selector, now: now) }
        default:
            for serial in 0..<5 {
                world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
            }
            if let address = client.innerAddress {
                world.inject(Probe(from: Simulation.host, to: address, .request, client: client.index, serial: 1).bytes)
            }
        }
    }

    /// The network heals: everybody who wants in gets in, data flows, and when all hang up nothing is left.
    private static func expectRecovery(of world: Simulation) {
        let seed = world.seed
        world.faults = .none
        #expect(world.forgeries == 0, "seed \(seed)")
        for client in world.clients {
            client.wantsIn = true
            if client.stage == .idle || client.stage == .ended { world.dial(client) }
        }
        let areIn = world.run(atMost: .seconds(420)) { world in world.clients.allSatisfy { $0.stage == .up } }
        #expect(areIn, "seed \(seed): \(world.clients.map(\.stage)) \(world.gateway.plane.statistics())")
        // A client may still hold to what the gateway gave up in the meantime; it notices by its own Echo-Requests.
        world.run(.seconds(60))
        _ = world.run(atMost: .seconds(120)) { world in world.clients.allSatisfy { $0.stage == .up } }
        for client in world.clients {
            world.tell(client) { client, _ in client.sendProbe(serial: 4711, to: Simulation.host) }
            world.run(.milliseconds(100))
            #expect(client.repliesReceived.contains(4711), "seed \(seed) client \(client.index) \(client.stage)")
            client.wantsIn = false
        }
        for client in world.clients { world.tell(client) { client, now in client.hangUp(now: now) } }
        // SAs that a client has forgotten live as long as was agreed.
        world.run(.seconds(3700))
        let leftovers = world.gateway.leftovers()
        #expect(leftovers.isEmpty, "seed \(seed): \(leftovers)")
    }
}
