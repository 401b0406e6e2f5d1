import ESP
import Testing
import Wire

@testable import Gateway

/// What an operator asks of the running gateway, and changes in it.
@Suite("The policy at run time")
struct PolicyRunTimeTests {
    private func change(_ world: Simulation, _ request: PolicyRequest) throws {
        try world.tellGateway { gateway, now in try gateway.changePolicy(request, now: now) }
    }

    private static let block = """
        policy:
          filterLists:
            - name: strangers
              filters: [{source: 203.0.113.0/24, destination: my-address, protocol: udp, destinationPort: 1701}]
          rules:
            - {name: no-strangers, filterList: strangers, filterAction: block}
        """

    @Test("the default is secure-server: one rule, of L2TP's, and nothing changed")
    func byDefault() throws {
        let world = try Simulation()
        let record = world.gateway.plane.policyRecord()
        #expect(record.use == "secure-server" && !record.isChanged && record.rules.map(\.name) == ["l2tp"])
        #expect(OperatorTables.policy(record).contains { $0.contains("require-security") })
    }

    @Test("a session that a new rule forbids ends with the reason, another one goes on")
    func forbidden() throws {
        let world = try Simulation()
        let site = world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true)
        let stays = world.addDirectClient()
        let goes = world.addClient(site, address: IPv4Address(10, 0, 0, 2))
        world.expectLegalAlways()
        world.connect(stays)
        world.connect(goes)
        try change(world, .add(text: Self.block, name: "block.yaml"))
        world.run(.seconds(2))
        #expect(goes.stage == .ended)
        world.expectData(stays, serial: 1)
        #expect(world.gateway.plane.sessions().map(\.user) == ["user0"])
        #expect(world.gateway.plane.policyRecord().isChanged)
        try change(world, .remove(rule: "no-strangers"))
        #expect(world.gateway.plane.policyRecord().rules.map(\.name) == ["l2tp"])
    }

    @Test("a change that is wrong in any part changes nothing")
    func refusedWhole() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        let before = world.gateway.plane.policyRecord()
        let wrong: [PolicyRequest] = [
            .add(text: Self.block + "\n    - {name: b, filterList: nothing, filterAction: block}", name: "f"),
            .replace(text: "policy: {use: client, rules: 7}", name: "f"), .remove(rule: "l2tp"),
            .remove(rule: "nothing"), .set(use: "custom", coversHost: true),
        ]
        for request in wrong {
            #expect(throws: OperatorRefusal.self) { try change(world, request) }
            #expect(world.gateway.plane.policyRecord() == before)
        }
        world.expectData(client, serial: 1)
    }

    @Test("what is exported and imported again is the same policy")
    func exported() throws {
        let world = try Simulation()
        try change(world, .add(text: Self.block, name: "block.yaml"))
        let text = world.gateway.plane.policyText()
        let record = world.gateway.plane.policyRecord()
        try change(world, .set(use: "client", coversHost: nil))
        #expect(world.gateway.plane.policyRecord() != record)
        try change(world, .replace(text: text, name: "export.yaml"))
        #expect(world.gateway.plane.policyRecord() == record)
    }

    @Test("policy test says rule, filter, reason and the SA that the packet goes by")
    func asked() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        let peer = try #require(world.gateway.plane.peers.values.first)
        let answer = world.gateway.plane.testPolicy(
            PolicyQuestion(
                source: peer.path.remote.address, destination: peer.path.local, protocolNumber: IPProtocol.udp,
                sourcePort: 1701, destinationPort: 1701))
        #expect(answer.verdict == "secure" && answer.rule == "l2tp" && answer.direction == "inbound")
        #expect(!answer.mayGoInClear && answer.connection == "remote-access")
        let current = try #require(peer.current)
        #expect(answer.association.hasPrefix("\(current.inbound):\(current.outbound)"))
        let other = world.gateway.plane.testPolicy(
            PolicyQuestion(
                source: peer.path.local, destination: peer.path.remote.address, protocolNumber: IPProtocol.tcp,
                sourcePort: 22, destinationPort: 5000))
        #expect(other.verdict == "permit" && other.rule.isEmpty && other.association.isEmpty)
        #expect(OperatorTables.policy(answer).first == "verdict        secure")
    }
}
