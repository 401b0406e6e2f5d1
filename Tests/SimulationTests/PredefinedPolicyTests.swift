import ESP
import Testing
import Wire

@testable import Gateway

/// The three policies of the summary: what their clients get that have IPsec, and those that have not, whoever starts.
/// A client is a peer with an address that a rule is about; those who dial in are in the second half.
@Suite("The predefined policies: client, server, secure-server")
struct PredefinedPolicyTests {
    private func hosts(_ policy: PredefinedPolicy, hasIPsec: Bool, peer: String = "respond-only") throws -> HostPair {
        try HostPair(
            [
                HostPair.rule(policy.action.name, from: 0, use: policy.rawValue),
                HostPair.rule(peer, from: 1, use: "client"),
            ], hasIPsec: hasIPsec)
    }

    // MARK: Client (respond only)

    @Test("client: a peer with IPsec that starts is answered by SAs, and sent to by them from then on")
    func clientAsked() throws {
        let hosts = try hosts(.client, hasIPsec: true, peer: "require-security")
        hosts.send(1, from: 0)
        #expect(hosts.heardInClear[1].isEmpty && hosts.blocked[1] == [1], "the peer takes nothing in clear")
        hosts.send(2, from: 1)
        #expect(hosts.hears([2], at: 0))
        hosts.send(3, from: 0)
        #expect(hosts.hears([3], at: 1))
        #expect(hosts.gateway.plane.counters[.tunnelsWanted] == 0)
    }

    @Test("client: to a peer with IPsec we send in clear, and ask it for nothing")
    func clientStarts() throws {
        let hosts = try hosts(.client, hasIPsec: true)
        hosts.send(1, from: 0)
        hosts.pair.run(.seconds(30))
        #expect(hosts.heardInClear[1] == [1] && hosts.pair.datagrams == 0)
        #expect(hosts.gateway.plane.counters[.mainModes] == 0)
    }

    @Test("client: with a peer without IPsec all goes in clear, whoever starts", arguments: [0, 1])
    func clientInClear(side: Int) throws {
        let hosts = try hosts(.client, hasIPsec: false)
        for (serial, side) in [side, 1 - side].enumerated() { hosts.send(serial, from: side) }
        hosts.pair.run(.seconds(30))
        #expect(hosts.heardInClear[1 - side] == [0] && hosts.heardInClear[side] == [1] && hosts.pair.datagrams == 0)
    }

    // MARK: Server (request security)

    @Test("server: a peer with IPsec that starts is answered by SAs")
    func serverAsked() throws {
        let hosts = try hosts(.server, hasIPsec: true, peer: "require-security")
        hosts.send(1, from: 1)
        #expect(hosts.hears([1], at: 0))
        hosts.send(2, from: 0)
        #expect(hosts.hears([2], at: 1))
        #expect(hosts.gateway.plane.counters[.softAssociations] == 0 && hosts.heardInClear == [[], []])
    }

    @Test("server: we ask a peer with IPsec, and the packet that began it arrives by the SAs")
    func serverStarts() throws {
        let hosts = try hosts(.server, hasIPsec: true)
        hosts.send(1, from: 0)
        #expect(hosts.hears([1], at: 1))
        #expect(hosts.heardInClear == [[], []] && hosts.gateway.plane.counters[.softAssociations] == 0)
    }

    @Test("server: what a peer with IPsec sends in clear is heard, and answered by SAs")
    func serverAnswersSecured() throws {
        let hosts = try hosts(.server, hasIPsec: true)
        hosts.send(1, from: 1)
        #expect(hosts.heardInClear[0] == [1])
        hosts.send(2, from: 0)
        #expect(hosts.hears([2], at: 1))
        hosts.send(3, from: 1)
        #expect(hosts.hears([3], at: 0))
    }

    @Test("server: a peer without IPsec is asked, and after that is sent to in clear: a soft association")
    func serverFallsBack() throws {
        let hosts = try hosts(.server, hasIPsec: false)
        hosts.send(1, from: 0)
        hosts.pair.run(.seconds(4))
        #expect(hosts.heardInClear[1].isEmpty && hosts.pair.datagrams > 0, "it is asked first")
        hosts.pair.run(.seconds(3))
        #expect(hosts.gateway.plane.counters[.softAssociations] == 1)
        for serial in 2...3 { hosts.send(serial, from: 0) }
        #expect(hosts.heardInClear[1] == [2, 3])
        #expect(hosts.gateway.plane.tunnelsToPeers().map(\.state) == ["clear"])
        hosts.pair.run(.seconds(60))
        let asked = hosts.pair.datagrams
        hosts.pair.run(.seconds(230))
        #expect(hosts.pair.datagrams == asked)
        hosts.pair.run(.seconds(20))
        hosts.send(4, from: 0)
        hosts.pair.run(.seconds(10))
        #expect(hosts.pair.datagrams > asked, "it is asked anew after five minutes")
        #expect(hosts.gateway.plane.counters[.softAssociations] == 2)
    }

    @Test("server: a peer without IPsec that starts is heard at once, and answered in clear")
    func serverHearsClear() throws {
        let hosts = try hosts(.server, hasIPsec: false)
        hosts.send(1, from: 1)
        #expect(hosts.heardInClear[0] == [1])
        hosts.send(2, from: 0)
        hosts.pair.run(.seconds(7))
        hosts.send(3, from: 0)
        #expect(hosts.heardInClear[1] == [3] && hosts.gateway.plane.counters[.softAssociations] == 1)
    }

    // MARK: Secure server (require security)

    @Test("secure-server: with a peer that has IPsec all goes by SAs, whoever starts", arguments: [0, 1])
    func secureServer(side: Int) throws {
        let hosts = try hosts(.secureServer, hasIPsec: true, peer: "require-security")
        hosts.send(1, from: side)
        #expect(hosts.hears([1], at: 1 - side))
        hosts.send(2, from: 1 - side)
        #expect(hosts.hears([2], at: side))
        #expect(hosts.heardInClear == [[], []])
    }

    @Test("secure-server: a peer without IPsec is not heard, and is sent nothing, whoever starts", arguments: [0, 1])
    func secureServerBlocks(side: Int) throws {
        let hosts = try hosts(.secureServer, hasIPsec: false)
        for serial in 0..<60 {
            hosts.send(serial, from: side)
            hosts.pair.run(.seconds(2))
        }
        #expect(hosts.heardInClear == [[], []] && hosts.gateway.plane.counters[.softAssociations] == 0)
        #expect(side == 0 ? hosts.pair.datagrams > 0 : hosts.blocked[0].count == 60)
    }

    // MARK: Dial-in

    @Test(
        "who dials in: with IPsec always by SAs; without, under client and server in clear, under secure-server not at all",
        arguments: PredefinedPolicy.allCases, [true, false])
    func dialIn(policy: PredefinedPolicy, hasIPsec: Bool) throws {
        let world = try Simulation(configuration: "policy: {use: \(policy.rawValue)}")
        let client = world.addDirectClient()
        client.isInClear = !hasIPsec
        world.expectLegalAlways()
        world.dial(client)
        let isIn = world.run(atMost: .seconds(30)) { _ in client.stage == .up }
        #expect(isIn == (hasIPsec || policy.allowsClearL2TP))
        #expect(world.gateway.plane.sessions().map(\.protection) == (isIn ? [hasIPsec ? "esp" : "none"] : []))
        if isIn { world.expectData(client, serial: 0) }
    }

    @Test(
        "on the other side of dial-in we begin what renews its SAs, and to nobody in clear do we say a word of IPsec",
        arguments: PredefinedPolicy.allCases, [true, false])
    func dialInRenewed(policy: PredefinedPolicy, hasIPsec: Bool) throws {
        let world = try Simulation(configuration: "policy: {use: \(policy.rawValue)}")
        let client = world.addDirectClient()
        client.isInClear = !hasIPsec
        guard hasIPsec || policy.allowsClearL2TP else { return }
        world.connect(client)
        var ours = 0
        world.tap = { datagram in
            let isIKE = !datagram.isRaw && datagram.from.port != 1701
            if datagram.from.address == Simulation.gatewayAddress, isIKE { ours += 1 }
        }
        let before = world.gateway.plane.counters[.quickModes]
        world.run(.seconds(3600))
        #expect(client.stage == .up && (world.gateway.plane.counters[.quickModes] > before) == hasIPsec)
        #expect((ours > 0) == hasIPsec)
    }
}
