import Testing
import Wire

@testable import L2TP

@Suite struct SimulationTests {
    @Test("clients get in and out through loss, reordering and duplication", arguments: 0..<12 as Range<UInt64>)
    func swarm(seed: UInt64) {
        var network = Network(seed: seed, clients: 6)
        network.loss = seed % 4 * 7
        network.duplication = seed % 3 * 12
        network.delayMaximum = .milliseconds(Int64(20 + seed % 5 * 100))
        for round in 0..<4 {
            for client in network.clients.indices { network.dial(client) }
            network.run(.seconds(60)) {
                $0.clients.allSatisfy { $0.stage == .connected } && $0.server.sessions.count { _ in true } >= 6
            }
            #expect(network.clients.allSatisfy { $0.stage == .connected }, "seed \(seed) round \(round)")
            for client in network.clients {
                let tunnel = L2TPTunnelID(peer: client.peer.id, value: client.serverTunnel)
                let session = network.server.session(L2TPSessionID(tunnel: tunnel, value: client.serverSession))
                #expect(session?.peerSessionID == client.sessionID, "seed \(seed) round \(round)")
            }
            for client in network.clients.indices { network.clients[client].hangUp(now: network.now) }
            network.run(.seconds(120))
            #expect(network.server.tunnelCount == 0, "seed \(seed) round \(round)")
        }
        expectNothingLeft(network)
    }

    @Test("the operator hangs everybody up through loss; every client hears of it", arguments: 0..<6 as Range<UInt64>)
    func hangUp(seed: UInt64) {
        var network = Network(seed: seed, clients: 5)
        network.loss = seed * 4
        for client in network.clients.indices { network.dial(client) }
        network.run(.seconds(60)) { $0.server.sessions.count { _ in true } == 5 }
        for session in Array(network.server.sessions) {
            network.server.disconnectSession(session.id, result: .disconnect(.administrative), now: network.now)
        }
        network.run(.seconds(60))
        #expect(network.clients.allSatisfy { $0.stage == .ended })
        expectNothingLeft(network)
    }

    @Test("phones that ignore HELLO stay while they talk, and are hung up all the same") func phones() {
        var network = Network(seed: 3, clients: 3)
        for client in network.clients.indices {
            network.dial(client)
            network.clients[client].ignoresHello = true
        }
        network.run(.seconds(10))
        for _ in 0..<100 {
            network.run(.seconds(16))
            for tunnel in Array(network.server.tunnels) { network.server.noteActivity(on: tunnel.id, now: network.now) }
        }
        #expect(network.server.sessions.count { _ in true } == 3)
        // Silent for long enough to be asked, then a sign of life, so that a HELLO lies withdrawn.
        network.run(.seconds(62))
        for tunnel in Array(network.server.tunnels) { network.server.noteActivity(on: tunnel.id, now: network.now) }
        network.run(.seconds(5))
        network.server.disconnectAll(now: network.now)
        network.run(.seconds(40))
        #expect(network.clients.allSatisfy { $0.stage == .ended })
        expectNothingLeft(network)
    }

    @Test("clients that vanish and dial again are in within a second, and their old tunnels gone within ten")
    func vanish() {
        var network = Network(seed: 4, clients: 4)
        for client in network.clients.indices { network.dial(client) }
        network.run(.seconds(5))
        for _ in 0..<5 {
            for client in network.clients.indices {
                network.clients[client].hasVanished = true
                network.dial(client)
            }
            network.run(.seconds(1))
            #expect(network.clients.allSatisfy { $0.stage == .connected })
            network.run(.seconds(9))
            #expect(network.server.tunnelCount == 4 && network.server.sessionCount == 4)
        }
    }

    @Test("200 dial-ins and hang-ups in a row leave nothing") func inARow() {
        var network = Network(seed: 5, clients: 1)
        for _ in 0..<200 {
            network.dial(0)
            network.run(.seconds(2)) { $0.clients[0].stage == .connected }
            network.clients[0].hangUp(now: network.now)
            network.run(.seconds(1))
        }
        #expect(network.events.count { if case .sessionEstablished = $0 { true } else { false } } == 200)
        #expect(network.server.slots.count <= network.server.configuration.endedTunnelsPerPeerMaximum + 2)
        network.run(.seconds(60))
        expectNothingLeft(network)
    }

    private func expectNothingLeft(_ network: Network) {
        let server = network.server
        #expect(server.slotByID.isEmpty && server.peers.isEmpty && server.nextDeadline == nil)
        #expect(server.tunnelCount == 0 && server.sessionCount == 0)
        let began = network.events.count { if case .tunnelEstablished = $0 { true } else { false } }
        let ended = network.events.count { if case .tunnelEnded = $0 { true } else { false } }
        let sessionsBegan = network.events.count { if case .sessionEstablished = $0 { true } else { false } }
        let sessionsEnded = network.events.count { if case .sessionEnded = $0 { true } else { false } }
        #expect(began <= ended && sessionsBegan == sessionsEnded)
    }
}

@Suite struct ScaleTests {
    @Test("ten thousand clients cost each other nothing: no id twice, no deadline lost") func many() throws {
        var bench = Bench()
        var ids: Set<UInt16> = []
        for peer in 1...10_000 as ClosedRange<UInt64> {
            ids.insert(try bench.connect(from: L2TPPeer(id: peer, port: 1701)).tunnel.value)
            bench.events.removeAll()
        }
        #expect(ids.count == 10_000 && bench.server.sessionCount == 10_000 && bench.server.tunnelCount == 10_000)
        for peer in 1...10_000 as ClosedRange<UInt64> { bench.server.peerEnded(peer, now: bench.now) }
        _ = try bench.drain()
        #expect(bench.events.count == 20_000 && bench.server.nextDeadline == nil)
    }

    @Test("one wakeup looks after a limited number of tunnels, the next after the rest") func wakeup() throws {
        var configuration = L2TPConfiguration()
        configuration.tunnelsPerWakeupMaximum = 10
        var bench = Bench(configuration)
        for peer in 1...25 as ClosedRange<UInt64> { _ = try bench.connect(from: L2TPPeer(id: peer, port: 1701)) }
        bench.now += .seconds(1)
        var answered: [Int] = []
        for _ in 0..<4 {
            bench.server.handleTimeout(now: bench.now, using: &bench.generator)
            answered.append(try bench.drain().count)
        }
        #expect(answered.reduce(0, +) == 25 && answered.prefix(2) == [10, 10])
    }

    @Test("Tunnel IDs are found when few are left, and run out without harm") func idsRunOut() {
        var server = L2TPServer()
        var generator = SeededGenerator(9)
        for value in 1...UInt16.max where value != 4711 { server.tunnelIDUse[Int(value)] = 1 }
        #expect(server.newTunnelID(of: 1, using: &generator)?.value == 4711)
        server.tunnelIDUse[4711] = 1
        #expect(server.newTunnelID(of: 1, using: &generator) == nil)
    }
}
