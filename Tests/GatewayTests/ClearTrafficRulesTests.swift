import ESP
import IO
import Testing
import Wire

@testable import Gateway

/// What nftables is told, met by a packet as nftables meets it: the first rule that has it counts.
@Suite("What the policy makes of clear traffic on the host")
struct ClearTrafficRulesTests {
    private static let me = IPAddress.v4(IPv4Address(198, 51, 100, 1))
    private static let peer = IPAddress.v4(IPv4Address(192, 0, 2, 10))
    private static let environment = PolicyEnvironment(
        myAddresses: [me, .v6(IPv6Address(high: 0xfd00 << 48, low: 1))], broadcasts: [IPv4Address(198, 51, 100, 255)])

    private static func passes(
        _ rules: [ClearTrafficRule], _ flow: PacketFlow, _ direction: ClearTrafficRule.Direction
    ) -> Bool {
        for rule in rules where rule.direction == direction {
            guard case .traffic(let selector) = rule.subject else { continue }
            if direction == .inbound ? selector.matches(inbound: flow) : selector.matches(outbound: flow) {
                return rule.verdict == .permit
            }
        }
        return true
    }

    private static func flow(
        _ source: IPAddress, _ destination: IPAddress, _ number: UInt8, _ from: UInt16?, _ to: UInt16?
    )
        -> PacketFlow
    {
        PacketFlow(
            source: source, destination: destination, protocolNumber: number, sourcePort: from, destinationPort: to)
    }

    @Test("secure-server blocks UDP 1701 in clear, both ways; server and client let it through")
    func l2tp() throws {
        for policy in PredefinedPolicy.allCases {
            let rules = try PolicyTable(policy.policy(), in: Self.environment).clearTraffic
            let (comes, goes) = (
                Self.flow(Self.peer, Self.me, IPProtocol.udp, 1701, 1701),
                Self.flow(Self.me, Self.peer, IPProtocol.udp, 1701, 1701)
            )
            #expect(Self.passes(rules, comes, .inbound) == policy.allowsClearL2TP)
            #expect(Self.passes(rules, goes, .outbound) == policy.allowsClearL2TP)
            #expect(Self.passes(rules, Self.flow(Self.peer, Self.me, IPProtocol.tcp, 5000, 22), .inbound))
        }
    }

    @Test("nftables is told what the table says, whatever the policy, the packet and the direction")
    func agrees() throws {
        let texts = [
            "policy: {use: secure-server, covers: host}", "policy: {use: server, covers: host}",
            "policy: {use: client, covers: host}",
            """
            policy:
              use: custom
              filterLists:
                - {name: web, filters: [{source: any, destination: my-address, protocol: tcp, destinationPort: 80}]}
                - {name: net, filters: [{source: my-address, destination: 192.0.2.0/24}]}
                - {name: one-way, filters: [{source: my-address, destination: 192.0.2.10, protocol: 47, mirrored: false}]}
              filterActions:
                - {name: accept, action: negotiate, acceptUnsecured: true}
              rules:
                - {name: web, filterList: web, filterAction: block}
                - {name: net, filterList: net, filterAction: accept}
                - {name: one-way, filterList: one-way, filterAction: block}
                - {name: icmp, filterList: all-icmp-traffic, filterAction: require-security}
            """,
        ]
        let others: [IPAddress] = [
            Self.peer, .v4(IPv4Address(203, 0, 113, 9)), .v4(IPv4Address(.max)),
            .v4(IPv4Address(198, 51, 100, 255)), .v4(IPv4Address(224, 0, 0, 5)),
        ]
        var blocked = 0
        for text in texts {
            let table = try PolicyTable(PolicyDocument.read(text, name: "p").policy, in: Self.environment)
            let rules = table.clearTraffic
            for other in others {
                for number: UInt8 in [1, 6, 17, 46, 47] {
                    for (ours, theirs) in [(22, 5000), (80, 5000), (1701, 1701), (5000, 88), (88, 5000)]
                        as [(UInt16, UInt16)]
                    {
                        let hasPorts = number == 6 || number == 17
                        let (our, their) = (hasPorts ? ours : nil, hasPorts ? theirs : nil)
                        for direction in [ClearTrafficRule.Direction.inbound, .outbound] {
                            let isInbound = direction == .inbound
                            // Nobody sends from a broadcast address.
                            if isInbound, other != Self.peer, other != others[1] { continue }
                            let flow =
                                isInbound
                                ? Self.flow(other, Self.me, number, their, our)
                                : Self.flow(Self.me, other, number, our, their)
                            let isL2TP = number == 17 && our == 1701
                            let verdict = table.ask(
                                flow, isInbound ? .inbound : .outbound, over: isL2TP ? .remoteAccess : .lan)
                            let passes =
                                verdict.treatment == .permit || verdict.treatment == .secure && verdict.mayGoInClear
                            if !passes { blocked += 1 }
                            #expect(
                                Self.passes(rules, flow, direction) == passes,
                                "\(table.policy.name) \(direction) \(flow)")
                        }
                    }
                }
            }
        }
        #expect(blocked > 50)
    }
}
