import IKE
import L2TP
import PPP
import Testing
import Wire

@testable import Gateway

@Suite("Soft associations: clients without IPsec")
struct SoftAssociationTests {
    private static let l2tp = Endpoint(address: Simulation.gatewayAddress, port: 1701)

    /// What a client in clear sends first, from `from`.
    private func request(from: Endpoint, tunnel: Int = 77) -> Datagram {
        var client = TunnelClient(tunnelID: tunnel, sessionID: 1)
        client.start(now: .zero)
        return Datagram(from: from, to: Self.l2tp, isRaw: false, bytes: client.outbox[0])
    }

    private func clearClient(_ world: Simulation) -> SimulatedClient {
        let client = world.addDirectClient()
        client.isInClear = true
        return client
    }

    @Test("unless it is permitted, nobody is heard in clear, and nothing is answered")
    func refused() throws {
        let world = try Simulation()
        let client = clearClient(world)
        var answers = 0
        world.tap = { if $0.from.address == Simulation.gatewayAddress { answers += 1 } }
        world.dial(client)
        world.run(.seconds(20))
        #expect(client.stage == .tunnelling && answers == 0 && world.gateway.leftovers().isEmpty)
        // Not even where a worker still tells of him, who was told that nobody is heard any more.
        let path = OuterPath(remote: Endpoint(IPv4Address(192, 0, 2, 9), 1701), local: Simulation.gatewayAddress)
        world.gateway.plane.receive(
            .stranger(message: request(from: path.remote).bytes, path: path), now: world.now)
        #expect(world.gateway.plane.counters[.clearRequestsRefused] == 1 && world.gateway.leftovers().isEmpty)
    }

    @Test("where it is permitted, a client is let in, with its password, and is counted and shown as unprotected")
    func permitted() throws {
        let world = try Simulation(isClearPermitted: true)
        let client = clearClient(world)
        world.expectLegalAlways()
        world.connect(client)
        for serial in 0..<5 { world.expectData(client, serial: serial) }
        #expect(client.link?.isServerProven == true && world.forgeries == 0)
        #expect(world.gateway.plane.counters[.softAssociations] == 1)
        #expect(world.gateway.plane.counters[.mainModes] == 0)
        let record = try #require(world.gateway.plane.sessions().first)
        #expect(record.protection == "none" && record.espCipher.isEmpty && record.ikeSA.isEmpty)
        #expect(record.outerAddress == "192.0.2.1" && record.outerPort == 1701 && record.user == "user0")
        #expect(record.authentication == "mschapv2" && record.packetsIn == 5 && record.packetsOut == 5)
        #expect(world.gateway.plane.tunnels().map(\.protection) == ["none"])
        let lines = OperatorTables.sessions(world.gateway.plane.sessions())
        #expect(lines.last?.hasSuffix("none") == true)
        world.tell(client) { client, now in client.hangUp(now: now) }
        world.expectNothingLeft()
    }

    @Test("a wrong password is refused in clear, too")
    func wrongPassword() throws {
        let world = try Simulation(isClearPermitted: true)
        let client = clearClient(world)
        client.password = "wrong"
        world.expectLegalAlways()
        world.dial(client)
        world.run(.seconds(10))
        #expect(client.wasRefused && world.gateway.plane.sessions().isEmpty)
        #expect(world.gateway.plane.failures().first?.reason == .wrongPassword)
        world.expectNothingLeft()
    }

    @Test("the password itself is never asked for in clear")
    func noPAP() throws {
        let world = try Simulation(configuration: "ppp: {authentication: [pap]}", isClearPermitted: true)
        let client = clearClient(world)
        world.dial(client)
        world.run(.seconds(10))
        #expect(client.tunnel?.heardCDN == true && client.link?.address == nil)
        #expect(world.gateway.plane.failures().first?.reason == .noCommonAuthentication)
        let (clear, secured) = (
            world.gateway.plane.linkTerms(isInClear: true)?.value,
            world.gateway.plane.linkTerms(isInClear: false)?.value
        )
        #expect(clear == nil && secured?.authenticationMethods == [.pap])
    }

    @Test("in clear, with the ids of a session that has SAs: neither data nor control messages have any effect")
    func idsOfASecuredSession() throws {
        let world = try Simulation(workers: 1, isClearPermitted: true)
        let secured = world.addDirectClient()
        world.expectLegalAlways()
        world.connect(secured)
        world.expectData(secured, serial: 0)
        let other = clearClient(world)
        world.connect(other)
        let tunnel = try #require(secured.tunnel)
        let address = try #require(secured.innerAddress)
        let probe = Probe(from: address, to: Simulation.host, .request, client: secured.index, serial: 99)
        let ids = be16(tunnel.serverTunnel) + be16(tunnel.serverSession)
        let stop: [UInt8] = be16(0x8008) + [0, 0] + be16(0) + be16(4)
        let places = [
            Endpoint(secured.site.address, 1701), Endpoint(secured.site.address, 4500),
            Endpoint(other.site.address, 1701), Endpoint(IPv4Address(203, 0, 113, 50), 1701),
        ]
        for from in places {
            let messages: [[UInt8]] = [
                [0, 2] + ids + [0xff, 3, 0, 0x21] + probe.bytes, [0, 2] + ids + [0xff, 3, 0xc0, 0x21, 5, 1, 0, 4],
                be16(0xc802) + be16(20) + ids + be16(2) + be16(2) + stop,
                be16(0xc802) + be16(20) + be16(tunnel.serverTunnel) + be16(0) + be16(4) + be16(2) + stop,
            ]
            for message in messages {
                world.send(Datagram(from: from, to: Self.l2tp, isRaw: false, bytes: message))
            }
        }
        world.run(.seconds(2))
        #expect(world.requestsDelivered[secured.index] == [0] && world.forgeries == 0)
        #expect(world.gateway.count(.clearStranger) == 12)
        #expect(world.gateway.plane.l2tp.drops[.tunnelOfAnotherPeer] >= 1)
        #expect(secured.stage == .up && secured.farewells.isEmpty)
        world.expectData(secured, serial: 1)
        world.expectData(other, serial: 2)
    }

    @Test("an address that has SAs is not heard in clear, until it has none")
    func securedAddress() throws {
        let world = try Simulation(isClearPermitted: true)
        let client = world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        let here = Endpoint(client.site.address, 1701)
        world.send(request(from: here))
        world.send(request(from: Endpoint(client.site.address, 40_000)))
        world.run(.seconds(1))
        #expect(world.gateway.plane.counters[.clearRequestsRefused] == 2 && world.gateway.plane.clearPeers.isEmpty)
        world.expectData(client, serial: 0)
        world.tell(client) { client, now in client.hangUp(now: now) }
        world.run(.seconds(70))
        client.isInClear = true
        world.connect(client)
        #expect(world.gateway.plane.counters[.softAssociations] == 1)
    }

    @Test("a client in clear that dials again with IPsec loses what it had in clear, and only that")
    func becomesSecured() throws {
        let world = try Simulation(users: 3, isClearPermitted: true)
        let (client, other) = (clearClient(world), clearClient(world))
        world.expectLegalAlways()
        world.connect(client)
        world.connect(other)
        client.isInClear = false
        world.connect(client)
        #expect(world.gateway.plane.sessions().map(\.protection).sorted() == ["esp", "none"])
        world.expectData(client, serial: 0)
        world.expectData(other, serial: 0)
    }

    @Test("a client with SAs that moves to an address ends what there is in clear")
    func movesThere() throws {
        let world = try Simulation(isClearPermitted: true)
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let client = world.addClient(site, address: IPv4Address(10, 0, 0, 2))
        world.expectLegalAlways()
        world.connect(client)
        let other = world.addSite(IPv4Address(203, 0, 113, 2), isNAT: true)
        let clear = world.addClient(other, address: IPv4Address(10, 0, 0, 3))
        clear.isInClear = true
        world.connect(clear)
        world.rebind(site, to: IPv4Address(203, 0, 113, 2))
        world.expectData(client, serial: 0)
        #expect(world.gateway.plane.sessions().map(\.user) == ["user0"] && world.gateway.plane.clearPeers.isEmpty)
    }

    @Test("a flood of forged requests takes bounded room, is sent little more than it sent, and keeps nobody out")
    func flood() throws {
        let world = try Simulation(isClearPermitted: true)
        world.expectLegalAlways()
        var bytes: [IPAddress: (sent: Int, got: Int, answers: Int)] = [:]
        world.tap = { datagram in
            if datagram.to == Self.l2tp {
                bytes[datagram.from.address, default: (0, 0, 0)].sent += datagram.bytes.count
            } else if datagram.from.port == 1701 {
                bytes[datagram.to.address, default: (0, 0, 0)].got += datagram.bytes.count
                bytes[datagram.to.address, default: (0, 0, 0)].answers += 1
            }
        }
        for second in 0..<30 {
            for place in 0..<200 {
                let forged = IPv4Address(IPv4Address(203, 0, 113, 0).value + UInt32(second * 200 + place))
                world.send(request(from: Endpoint(forged, 1701), tunnel: place + 1))
            }
            world.run(.seconds(1))
            #expect(world.gateway.plane.clearPeers.count <= ControlPlane.unprovenClearPeersMaximum)
        }
        for (address, count) in bytes {
            #expect(count.got <= count.sent * ControlPlane.clearAnswerFactor, "\(address): \(count)")
            #expect(count.answers <= 2, "\(address): \(count)")
        }
        #expect(bytes.values.contains { $0.answers > 0 })
        #expect(world.gateway.count(.tooManyStrangers) > 0)
        #expect(world.gateway.plane.counters[.clearRequestsLimited] > 0)
        #expect(world.gateway.plane.failures().count <= FailureLog.strangersMaximum)
        world.tap = nil
        let client = clearClient(world)
        world.connect(client)
        world.expectData(client, serial: 0)
        world.tell(client) { client, now in client.hangUp(now: now) }
        world.expectNothingLeft()
    }

    @Test("from one address, only so many unfinished requests are taken")
    func perAddress() throws {
        let world = try Simulation(isClearPermitted: true)
        let most = world.gateway.plane.configuration.limits.halfOpenExchangesPerAddress
        for second in 0..<8 {
            for port in 0..<(most / 2) {
                world.send(
                    request(from: Endpoint(IPv4Address(203, 0, 113, 1), UInt16(2000 + second * 100 + port)), tunnel: 5))
            }
            world.run(.seconds(1))
        }
        #expect(world.gateway.plane.clearPeers.count <= most)
        #expect(world.gateway.plane.counters[.clearRequestsLimited] > 0)
        world.expectNothingLeft()
    }

    @Test("a request that is refused is not answered, since nobody knows who would get it")
    func refusedRequest() throws {
        let world = try Simulation(isClearPermitted: true)
        var answers = 0
        world.tap = { if $0.from.address == Simulation.gatewayAddress { answers += 1 } }
        var wrong = request(from: Endpoint(IPv4Address(203, 0, 113, 1), 1701), tunnel: 0)
        world.send(wrong)
        wrong.bytes[12] = 0xff
        world.send(wrong)
        world.run(.seconds(1))
        #expect(answers == 0 && world.gateway.leftovers().isEmpty)
        #expect(world.gateway.plane.l2tp.drops[.requestRefused] == 1)
    }

    @Test("when it is permitted no longer, who is in by it is out at once, and others stay")
    func noLongerPermitted() throws {
        let world = try Simulation(isClearPermitted: true)
        let (clear, secured) = (clearClient(world), world.addDirectClient())
        world.expectLegalAlways()
        world.connect(clear)
        world.connect(secured)
        world.tellGateway { gateway, now in
            gateway.plane.setClearL2TP(.refused, now: now)
            gateway.carryOut(now: now)
        }
        world.run(.seconds(1))
        #expect(world.gateway.plane.sessions().map(\.protection) == ["esp"] && world.gateway.plane.clearPeers.isEmpty)
        world.expectData(secured, serial: 0)
        world.tellGateway { gateway, now in
            gateway.plane.setClearL2TP(.permitted, now: now)
            gateway.carryOut(now: now)
        }
        world.connect(clear)
        world.expectData(clear, serial: 1)
    }

    @Test("an operator hangs a client in clear up, and the gateway's end reaches it", arguments: [true, false])
    func hungUp(isShutDown: Bool) throws {
        let world = try Simulation(isClearPermitted: true)
        let client = clearClient(world)
        world.connect(client)
        world.tellGateway { gateway, now in
            if isShutDown { gateway.shutDown(now: now) } else { _ = gateway.drop(.user("user0"), now: now) }
        }
        world.run(.seconds(3))
        #expect(client.farewells.contains(.stopControlConnection) && client.stage == .ended)
        let isIdle = world.gateway.plane.isIdle
        #expect(isIdle)
    }

    @Test("secured clients and clients in clear over a bad network, dialling again and again", arguments: 1...4)
    func mixed(seed: Int) throws {
        let world = try Simulation(seed: UInt64(seed), isClearPermitted: true)
        world.expectLegalAlways()
        world.faults = .bad
        let clients = (0..<6).map { index in
            let client = world.addDirectClient()
            client.isInClear = index % 2 == 0
            client.wantsIn = true
            return client
        }
        for client in clients { world.dial(client) }
        let areIn = world.run(atMost: .seconds(240)) { _ in clients.allSatisfy { $0.stage == .up } }
        #expect(areIn, "seed \(seed): \(clients.map(\.stage))")
        world.faults = .none
        world.run(.seconds(5))
        for client in clients where client.stage == .up { world.expectData(client, serial: client.index) }
        #expect(world.forgeries == 0 && clients.allSatisfy { $0.strangersReceived == 0 })
        for client in clients {
            client.wantsIn = false
            world.tell(client) { client, now in client.hangUp(now: now) }
        }
        world.expectNothingLeft()
    }
}
