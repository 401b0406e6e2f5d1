import ESP
import IKE
import L2TP
import PPP
import Testing
import Wire

@testable import Gateway

@Suite("What a live session does not believe")
struct HostileTests {
    /// A client that is in, behind a NAT, with one probe through.
    private func connected() throws -> (world: Simulation, client: SimulatedClient) {
        let world = try Simulation(workers: 1)
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let client = world.addClient(site, address: IPv4Address(10, 0, 0, 2))
        world.expectLegalAlways()
        world.connect(client)
        world.expectData(client, serial: 0)
        return (world, client)
    }

    private func expectUnharmed(_ world: Simulation, _ client: SimulatedClient, serial: Int) {
        world.expectData(client, serial: serial)
        #expect(client.stage == .up && world.gateway.plane.sessions().count == 1)
        #expect(world.forgeries == 0)
    }

    @Test("a replayed ESP packet, from wherever: refused and counted, and the peer does not move")
    func replay() throws {
        let (world, client) = try connected()
        var recorded: Datagram?
        world.tap = { datagram in
            if datagram.to.port == 4500, datagram.to.address == Simulation.gatewayAddress { recorded = datagram }
        }
        world.tell(client) { client, _ in client.sendProbe(serial: 1, to: Simulation.host) }
        world.run(.milliseconds(500))
        world.tap = nil
        var copy = try #require(recorded)
        copy.from = Endpoint(IPv4Address(203, 0, 113, 66), 6666)
        let before = world.gateway.workers[0].path.inboundTable.drops[.replayed]
        for _ in 0..<3 { world.send(copy) }
        world.run(.seconds(1))
        #expect(world.gateway.workers[0].path.inboundTable.drops[.replayed] == before + 3)
        #expect(world.requestsDelivered[client.index] == [0, 1])
        #expect(world.gateway.plane.counters[.peersMoved] == 0)
        #expect(world.gateway.plane.sessions().first?.outerAddress == "203.0.113.1")
        expectUnharmed(world, client, serial: 2)
    }

    @Test("ESP that was changed on the way, in any of its bytes, is dropped")
    func changed() throws {
        let (world, client) = try connected()
        var recorded: [Datagram] = []
        world.tap = { datagram in if datagram.to.address == Simulation.gatewayAddress { recorded.append(datagram) } }
        world.faults.loss = 1
        world.tell(client) { client, _ in client.sendProbe(serial: 1, to: Simulation.host) }
        world.faults.loss = 0
        world.tap = nil
        let original = try #require(recorded.first)
        for place in original.bytes.indices {
            var forged = original
            forged.bytes[place] ^= 0x10
            world.send(forged)
        }
        world.run(.milliseconds(100))
        #expect(world.requestsDelivered[client.index] == [0])
        expectUnharmed(world, client, serial: 2)
    }

    @Test("a Delete and a Notify in clear, with the right cookies and from the right place, have no effect")
    func forgedInformational() throws {
        let (world, client) = try connected()
        let cookies = client.ike.initiatorCookie + client.ike.responderCookie
        let from = Endpoint(client.site.address, 20_001)
        let indexes =
            client.associations.map { UInt32($0.outboundSPI) } + client.associations.map { UInt32($0.inboundSPI) }
        var bodies: [(first: Int, body: [UInt8])] = [
            (12, be32(1) + [1, 16] + be16(1) + cookies), (11, be32(1) + [1, 16] + be16(24578) + cookies),
            (11, be32(1) + [1, 0] + be16(14)), (11, be32(1) + [1, 0] + be16(36136) + cookies + be32(1)),
        ]
        bodies += indexes.map { (12, be32(1) + [3, 4] + be16(1) + be32(Int($0))) }
        for (first, body) in bodies {
            let payload = [0, 0] + be16(body.count + 4) + body
            for flags in [0, 1] as [UInt8] {
                let message: [UInt8] =
                    cookies + [UInt8(first), 0x10, 5, flags] + be32(0x1234) + be32(28 + payload.count) + payload
                world.send(
                    Datagram(
                        from: from, to: Endpoint(address: Simulation.gatewayAddress, port: 4500), isRaw: false,
                        bytes: [0, 0, 0, 0] + message))
            }
        }
        world.run(.seconds(1))
        let drops = world.gateway.plane.statistics().drops.filter { $0.key.hasPrefix("ike.") }
        #expect(drops.values.reduce(0, +) >= UInt64(2 * bodies.count))
        #expect(world.gateway.plane.ike.associationCount == 1 && world.gateway.plane.ike.securityAssociationCount == 1)
        expectUnharmed(world, client, serial: 1)
    }

    @Test("an inner source address that is not the session's is refused and counted")
    func spoofed() throws {
        let (world, client) = try connected()
        for source in [IPv4Address(192, 168, 42, 99), IPv4Address(192, 168, 42, 1), Simulation.host, .any] {
            let forged = Probe(from: source, to: Simulation.host, .request, client: client.index, serial: 9)
            world.tell(client) { client, _ in client.sendPacket(forged.bytes) }
        }
        world.run(.seconds(1))
        #expect(world.gateway.count(.spoofedSource) == 4)
        #expect(world.requestsDelivered[client.index] == [0])
        expectUnharmed(world, client, serial: 1)
    }

    @Test("IP, IPCP and a CHAP Success before the user has proved who he is: each has no effect")
    func beforeAuthentication() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.expectLegalAlways()
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.stage == .linking })
        // The gateway is to know of the session first.
        world.run(.milliseconds(11))
        let packet = Probe(
            from: IPv4Address(192, 168, 42, 10), to: Simulation.host, .request, client: client.index, serial: 9)
        world.tell(client) { client, _ in
            client.sendPacket(packet.bytes)
            client.sendFrame([0xff, 3, 0x80, 0x21, 1, 1, 0, 10, 3, 6, 0, 0, 0, 0])
            // A Success, as the server would say it, with any identifier.
            for identifier in 0...255 as ClosedRange<UInt8> {
                client.sendFrame([0xff, 3, 0xc2, 0x23, 3, identifier, 0, 4])
            }
        }
        world.run(.milliseconds(15))
        #expect(world.gateway.plane.sessions().isEmpty)
        #expect(world.gateway.count(.beforeNetworkPhase) == 1)
        #expect((world.gateway.plane.statistics().drops.filter { $0.key.hasPrefix("ppp.") }.values.reduce(0, +)) >= 257)
        #expect(world.run(atMost: .seconds(10)) { _ in client.stage == .up })
        expectUnharmed(world, client, serial: 1)
        #expect(world.requestsDelivered[client.index] == [1])
    }

    @Test("what else may come inside ESP: another protocol, another port, lies about lengths, unknown sessions")
    func insideESP() throws {
        let (world, client) = try connected()
        let tunnel = try #require(client.tunnel)
        world.tell(client) { client, _ in
            client.sendUDP([1, 2, 3, 4, 5, 6, 7, 8, 9], nextHeader: 6)
            client.sendUDP([])
            client.sendUDP(be16(1701) + be16(1701) + be16(7) + [0, 0])
            client.sendUDP(be16(1701) + be16(1701) + be16(100) + [0, 0])
            client.sendUDP(be16(1701) + be16(53) + be16(12) + [0, 0, 1, 2, 3, 4])
            client.sendUDP(be16(1701) + be16(1701) + be16(8) + [0, 0])
            client.sendUDP(
                be16(1701) + be16(1701) + be16(16) + [0, 0, 0, 2] + be16(tunnel.serverTunnel) + [0, 0, 1, 2])
            let wrong = tunnel.serverSession ^ 1
            client.sendUDP(
                be16(1701) + be16(1701) + be16(18) + [0, 0, 0, 2] + be16(tunnel.serverTunnel) + be16(wrong) + [
                    0, 0x21, 1, 2,
                ])
            client.sendFrame([0x21])
            client.sendFrame([0, 0x21, 0x45])
        }
        world.run(.seconds(1))
        #expect(world.gateway.count(.notUDP) == 4)
        #expect(world.gateway.count(.notL2TPPort) == 1)
        #expect(world.gateway.count(.badL2TPHeader) == 2)
        #expect(world.gateway.count(.unknownSession) == 1)
        #expect(world.gateway.count(.badPPPFrame) == 1)
        #expect(world.gateway.count(.badInnerPacket) == 1)
        expectUnharmed(world, client, serial: 1)
    }

    @Test("a client cannot speak in the tunnel or session of another")
    func stranger() throws {
        let world = try Simulation()
        let (victim, thief) = (world.addDirectClient(), world.addDirectClient())
        world.expectLegalAlways()
        world.connect(victim)
        world.connect(thief)
        let tunnel = try #require(victim.tunnel)
        let packet = Probe(
            from: try #require(victim.innerAddress), to: Simulation.host, .request, client: victim.index, serial: 5)
        let header = be16(tunnel.serverTunnel) + be16(tunnel.serverSession)
        let data = [0, 2] + header + [0xff, 3, 0, 0x21] + packet.bytes
        let terminate = [0, 2] + header + [0xff, 3, 0xc0, 0x21, 5, 1, 0, 4]
        let stop = be16(0xc802) + be16(12) + be16(tunnel.serverTunnel) + [0, 0] + be16(4) + be16(2)
        world.tell(thief) { client, _ in
            for message in [data, terminate, stop] {
                client.sendUDP(be16(1701) + be16(1701) + be16(8 + message.count) + [0, 0] + message)
            }
        }
        world.run(.seconds(1))
        #expect(world.requestsDelivered[victim.index] == nil)
        #expect(world.gateway.count(.unknownSession) == 1)
        #expect(world.gateway.plane.counters[.strayFrames] == 1)
        #expect(world.gateway.plane.statistics().drops["l2tp.tunnelOfAnotherPeer"] == 1)
        world.expectData(victim, serial: 1)
        world.expectData(thief, serial: 1)
    }

    @Test("garbage of ESP in a client's name has the client told of unknown SPIs, a few times a second, and no more")
    func unknownIndexes() throws {
        let (world, client) = try connected()
        var answers = 0
        world.tap = { datagram in if datagram.from.address == Simulation.gatewayAddress { answers += 1 } }
        for index in [1, 255, 256, 0x1234_5678, 0xffff_ffff] {
            for count in [4, 8, 60, 1400] {
                for isRaw in [true, false] {
                    world.send(
                        Datagram(
                            from: Endpoint(client.site.address, 20_001),
                            to: Endpoint(address: Simulation.gatewayAddress, port: isRaw ? 0 : 4500), isRaw: isRaw,
                            bytes: be32(index) + [UInt8](repeating: 7, count: count)))
                }
            }
        }
        world.run(.milliseconds(50))
        world.tap = nil
        #expect(answers <= PacketPath.unknownSPIsMaximum)
        expectUnharmed(world, client, serial: 1)
    }
}
