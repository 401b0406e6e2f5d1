import ESP
import Foundation
import IKE
import Testing
import Wire

@testable import Gateway

/// What rules say of their SAs: methods, lives, forward secrecy, and what becomes of it when the policy changes.
@Suite("Security that a policy's rules negotiate")
struct PolicySecurityTests {
    private static let station = IPAddress.v4(IPv4Address(192, 0, 2, 10))
    private static let own = IPAddress.v4(IPv4Address(198, 51, 100, 1))

    private static func rule(_ side: Int, methods: String = "", more: String = "") -> String {
        let given = methods.isEmpty ? "" : ", methods: [\(methods)]"
        return HostPair.rule(
            "own", from: side, more: "  filterActions: [{name: own, action: negotiate\(more)\(given)}]")
    }

    private func association(_ hosts: HostPair, _ side: Int) throws -> Peer.Association {
        try #require(hosts.pair.gateways[side].plane.peers.values.first?.associations.last)
    }

    // MARK: SNMP

    /// A gateway with deploy/examples/snmp.yaml, and a management station with two filters that say the same.
    private func snmp(methods: String = "{method: high}") throws -> HostPair {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let example = try String(contentsOf: root.appending(path: "deploy/examples/snmp.yaml"), encoding: .utf8)
        let station = """
            policy:
              filterLists:
                - name: snmp
                  filters:
                    - {source: my-address, destination: "\(Self.own)", protocol: udp, destinationPort: 161}
                    - {source: my-address, sourcePort: 162, destination: "\(Self.own)", protocol: udp}
              filterActions: [{name: own, action: negotiate, methods: [\(methods)]}]
              rules: [{name: snmp, filterList: snmp, filterAction: own, connection: lan}]
            """
        return try HostPair([example, station], addresses: [Self.own, Self.station])
    }

    @Test("snmp.yaml: a query, its answer and a trap go by SAs of an hour and 100 MB, and nothing else does")
    func snmpSecured() throws {
        let hosts = try snmp()
        hosts.send(1, from: 1, ports: [40_000, 161])
        #expect(hosts.hears([1], at: 0))
        hosts.send(2, from: 0, ports: [161, 40_000])
        #expect(hosts.hears([2], at: 1))
        hosts.send(3, from: 0, ports: [40_001, 162])
        #expect(hosts.hears([2, 3], at: 1))
        let peer = try #require(hosts.gateway.plane.peers.values.first)
        #expect(peer.associations.count == 2 && peer.associations.allSatisfy { $0.mode == .transport })
        #expect(peer.associations.allSatisfy { $0.lifetimeSeconds == 3600 && $0.lifetimeKilobytes == 100_000 })
        let records = hosts.gateway.plane.associations()
        #expect(records.map(\.purpose) == Array(repeating: "snmp: \(Self.own)-\(Self.station)", count: 2))
        #expect(records.allSatisfy { $0.isConfirmed && $0.encapsulation == "none" && $0.lifetimeKilobytes == 100_000 })
        #expect(records.map(\.packetsIn) == [1, 0] && records.map(\.packetsOut) == [1, 1])
        #expect(records[0].expires.timeIntervalSince(records[0].since) == 3600)
        let tunnel = try #require(hosts.gateway.plane.tunnelsToPeers().first)
        #expect(tunnel.state == "up" && tunnel.rule == "snmp" && tunnel.associations == 2 && tunnel.traffic.count == 5)
        hosts.send(4, from: 0, ports: [22, 40_000])
        hosts.pair.run(.seconds(1))
        #expect(hosts.heardInClear[1] == [4] && hosts.heardInClear[0].isEmpty)
    }

    @Test("snmp.yaml: a proposal of other methods is refused, with the reason and the rule")
    func snmpRefused() throws {
        let hosts = try snmp(methods: "{method: custom, encryption: 3des, integrity: md5}")
        hosts.send(1, from: 1, ports: [40_000, 161])
        hosts.pair.run(.seconds(5))
        #expect(hosts.heardSecured(0).isEmpty)
        let failure = try #require(hosts.gateway.plane.failures().first)
        #expect(failure.reason == .noIPsecProposalChosen)
        #expect(failure.detail == "of tunnel snmp: \(Self.own)-\(Self.station)")
        #expect(failure.changeAtGateway == ["add one of its offers to the methods of rule snmp of the policy"])
        #expect(failure.offers.map(\.offer).contains { $0.contains("3des-md5") })
    }

    @Test("of all traffic with a peer, what a rule permits and what cannot be secured goes past the SAs")
    func exceptions() throws {
        let policies = [0, 1].map { side in
            """
            policy:
              filterLists:
                - {name: all, filters: [{source: my-address, destination: "\(GatewayPair.addresses[1 - side])"}]}
                - name: shell
                  filters: [{source: my-address, destination: any, protocol: tcp, sourcePort: 22}]
                - name: shell-here
                  filters:
                    - {source: my-address, destination: "\(GatewayPair.addresses[1 - side])", protocol: tcp, sourcePort: 22}
              rules:
                - {name: all, filterList: all, filterAction: require-security}
                - {name: shell, filterList: shell, filterAction: permit}
                - {name: shell-here, filterList: shell-here, filterAction: permit}
            """
        }
        let hosts = try HostPair(policies)
        hosts.send(1, from: 0, ports: [40_000, 443])
        #expect(hosts.hears([1], at: 1))
        hosts.send(2, from: 0, ports: [22, 40_000], protocolNumber: 6)
        #expect(hosts.blocked == [[], [2]], "it leaves in clear; the other side permits its own port alone")
        hosts.send(3, from: 0, ports: [40_000, 88])
        #expect(hosts.blocked[0] == [3], "Kerberos is not secured in transport mode, and security is required")
        hosts.send(4, from: 0, protocolNumber: 46)
        #expect(hosts.blocked[1] == [2, 4], "RSVP may leave, and not come in")
        hosts.send(5, from: 0, ports: [22, 40_000])
        #expect(hosts.hears([1, 5], at: 1), "the port is permitted in TCP alone")
    }

    // MARK: Methods

    @Test(
        "of several methods both take one that both have, with that one's life",
        arguments: [
            ("{method: high}", "aes256gcm16", 7200, UInt64?.none),
            ("{method: custom, encryption: 3des, integrity: sha1}", "3des-sha1", 900, 5000),
            ("{method: custom, ah: sha1, encryption: aes128, integrity: none}", "ah-sha1+aes128", 1800, nil),
        ])
    func methods(_ theirs: String, _ suite: String, _ seconds: UInt64, _ kilobytes: UInt64?) throws {
        let methods = """
            {method: custom, encryption: 3des, integrity: sha1, seconds: 900, kilobytes: 5000},
            {method: custom, ah: sha1, encryption: aes128, integrity: none, seconds: 1800}, {method: high, seconds: 7200}
            """
        for starts in [0, 1] {
            let hosts = try HostPair([Self.rule(0, methods: methods), Self.rule(1, methods: theirs)])
            hosts.send(1, from: starts)
            hosts.pair.run(.seconds(5))
            for side in [0, 1] {
                let made = try association(hosts, side)
                #expect(made.suite.description == suite && made.lifetimeKilobytes == kilobytes, "\(starts)")
                #expect(made.lifetimeSeconds == seconds, "\(starts)")
            }
        }
    }

    @Test("the first method counts where the peer has them all")
    func order() throws {
        let methods = "{method: custom, encryption: 3des, integrity: sha1}, {method: high}"
        let hosts = try HostPair([Self.rule(0, methods: methods), Self.rule(1, methods: methods)])
        hosts.send(1, from: 0)
        #expect(hosts.hears([1], at: 1))
        #expect(try association(hosts, 0).suite.description == "3des-sha1")
    }

    @Test("perfect forward secrecy is offered with the group of phase 1, and who leaves it out is refused")
    func forwardSecrecy() throws {
        let secret = ", perfectForwardSecrecy: true"
        let both = try HostPair([Self.rule(0, more: secret), Self.rule(1, more: secret)])
        both.send(1, from: 0)
        #expect(both.hears([1], at: 1))
        let one = try HostPair([Self.rule(0, more: secret), Self.rule(1)])
        one.send(1, from: 1)
        one.pair.run(.seconds(5))
        #expect(one.heardSecured(0).isEmpty)
        #expect(one.gateway.plane.failures().first?.reason == .noIPsecProposalChosen)
    }

    @Test("a peer that has IPsec and does not agree gets nothing in clear, even where the rule falls back")
    func noDowngrade() throws {
        let hosts = try HostPair([
            HostPair.rule("request-security", from: 0),
            Self.rule(1, methods: "{method: custom, encryption: des, integrity: md5}"),
        ])
        hosts.send(1, from: 0)
        hosts.pair.run(.seconds(40))
        hosts.send(2, from: 0)
        hosts.pair.run(.seconds(40))
        #expect(hosts.heardInClear[1].isEmpty && hosts.gateway.plane.counters[.softAssociations] == 0)
    }

    @Test("accept unsecured, but always respond by IPsec: heard in clear, and answered by SAs or not at all")
    func acceptsUnsecured() throws {
        for hasIPsec in [true, false] {
            let hosts = try HostPair(
                [Self.rule(0, more: ", acceptUnsecured: true"), HostPair.rule("respond-only", from: 1, use: "client")],
                hasIPsec: hasIPsec)
            hosts.send(1, from: 1)
            #expect(hosts.heardInClear[0] == [1])
            for serial in 2...40 {
                hosts.send(serial, from: 0)
                hosts.pair.run(.seconds(2))
            }
            #expect(hosts.heardInClear[1].isEmpty && hosts.heardSecured(1) == (hasIPsec ? Array(2...40) : []))
            #expect(hosts.gateway.plane.counters[.softAssociations] == 0)
        }
    }

    // MARK: Tunnel mode

    @Test("a rule with a tunnel endpoint joins two networks, and the one who only answers has routes while it is up")
    func networks() throws {
        let policies = [(0, 1), (1, 0)].map { own, other in
            """
            policy:
              filterLists:
                - {name: nets, filters: [{source: 10.\(own + 1).0.0/16, destination: 10.\(other + 1).0.0/16}]}
              filterActions:
                - {name: own, action: negotiate, respondOnly: \(own == 1), perfectForwardSecrecy: true}
              rules:
                - {name: nets, filterList: nets, filterAction: own, tunnelEndpoint: "\(GatewayPair.addresses[other])"}
            """
        }
        let pair = try GatewayPair(policies)
        pair.run(.milliseconds(1))
        #expect(pair.gateways.map(\.networks.count) == [1, 0])
        pair.send(GatewayPair.packet(from: 1, serial: 1), from: 1)
        pair.run(.seconds(5))
        #expect(pair.serials(0).isEmpty && pair.datagrams == 0, "who only answers begins nothing")
        pair.send(GatewayPair.packet(from: 0, serial: 2), from: 0)
        #expect(pair.run(atMost: .seconds(5)) { $0.serials(1) == [2] })
        pair.send(GatewayPair.packet(from: 1, serial: 3), from: 1)
        #expect(pair.run(atMost: .seconds(1)) { $0.serials(0) == [3] })
        #expect(pair.gateways.map(\.networks.count) == [1, 1])
        #expect(pair.gateways.allSatisfy { $0.plane.associations().map(\.mode) == ["tunnel"] })
        try pair.tell(0) { gateway, now in try gateway.changePolicy(.remove(rule: "nets"), now: now) }
        pair.run(.seconds(5))
        #expect(pair.gateways.map(\.networks.count) == [0, 0])
        #expect(pair.gateways.allSatisfy { $0.plane.associations().isEmpty })
    }

    // MARK: At run time

    private func change(_ hosts: HostPair, _ request: PolicyRequest) throws {
        try hosts.pair.tell(0) { gateway, now in try gateway.changePolicy(request, now: now) }
    }

    private static let another = """
        policy:
          filterLists: [{name: web, filters: [{source: my-address, destination: 203.0.113.9, protocol: tcp}]}]
          rules: [{name: web, filterList: web, filterAction: require-security}]
        """

    @Test("a rule that is added gets its SAs, one that is removed loses them, and the others keep theirs")
    func changed() throws {
        let hosts = try HostPair([Self.rule(0), Self.rule(1)])
        hosts.send(1, from: 0)
        hosts.pair.run(.seconds(5))
        let before = try association(hosts, 0).inbound
        try change(hosts, .add(text: Self.another, name: "web.yaml"))
        hosts.pair.run(.seconds(5))
        #expect(try association(hosts, 0).inbound == before)
        #expect(hosts.gateway.plane.diversions.count(where: \.isDiverted) == 2)
        try change(hosts, .remove(rule: "both"))
        hosts.pair.run(.seconds(5))
        #expect(hosts.pair.gateways.flatMap { $0.plane.peers.values.flatMap(\.associations) }.isEmpty)
        #expect(hosts.gateway.plane.diversions.count(where: \.isDiverted) == 1)
        hosts.send(2, from: 0)
        #expect(hosts.heardInClear[1].isEmpty && hosts.blocked[1] == [2], "the other machine still requires it")
        try change(hosts, .replace(text: Self.rule(0), name: "again.yaml"))
        hosts.pair.run(.milliseconds(1))
        hosts.send(3, from: 0)
        #expect(hosts.hears([1, 3], at: 1))
        #expect(hosts.gateway.plane.configuredTunnels.count == 2, "numbers are used again")
    }

    @Test("a change that is wrong in any part leaves rules and SAs as they were")
    func refusedWhole() throws {
        let hosts = try HostPair([Self.rule(0), Self.rule(1)])
        hosts.send(1, from: 0)
        hosts.pair.run(.seconds(5))
        let before = try association(hosts, 0).inbound
        let wrong = Self.another.replacing(
            "filterAction: require-security", with: "filterAction: require-security, authentication: [certificate]")
        #expect(throws: OperatorRefusal.self) { try change(hosts, .add(text: wrong, name: "web.yaml")) }
        hosts.pair.run(.seconds(5))
        #expect(try association(hosts, 0).inbound == before)
        #expect(hosts.gateway.plane.diversions.count(where: \.isDiverted) == 1)
    }

    @Test("what was asked for by a rule that is gone is not taken for something else")
    func goneMeanwhile() throws {
        let hosts = try HostPair([Self.rule(0), Self.rule(1)])
        hosts.send(1, from: 0)
        hosts.pair.run(.milliseconds(30))
        try change(hosts, .remove(rule: "both"))
        hosts.pair.run(.seconds(200))
        #expect(hosts.gateway.plane.peers.values.flatMap(\.associations).isEmpty)
        #expect(hosts.gateway.plane.inUse["SPIs"] == 0)
    }
}
