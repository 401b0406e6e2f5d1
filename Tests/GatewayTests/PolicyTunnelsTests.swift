import ESP
import Foundation
import IKE
import Testing
import Wire

@testable import Gateway

private func bothHosts(_ peer: String) -> [String] { ["192.0.2.1 == \(peer)", "192.0.2.2 == \(peer)"] }

@Suite("What a policy's rules come to in IKE")
struct PolicyTunnelsTests {
    private static let own = IPAddress("192.0.2.1")
    private static let users = "psk: \"a key of my own, 42\"\nusers: [{name: alice, password: wonderland}]\n"

    /// The tunnels of a policy on a host with some addresses, its names known.
    private func tunnels(
        _ policy: String, more: String = "", addresses: [String] = ["192.0.2.1"], names: [String: [String]] = [:]
    ) throws -> [GatewayConfiguration.Tunnel] {
        let configuration = try ConfigurationLoader.load(
            text: Self.users + more + policy, name: "c.yaml", environment: [:]
        ).configuration
        let environment = PolicyEnvironment(
            myAddresses: addresses.compactMap { IPAddress($0) },
            names: names.mapValues { $0.compactMap { IPAddress($0) } })
        return try ActivePolicy(configuration.securityPolicy, in: environment, of: configuration).tunnels
    }

    private func policy(filters: String, action: String = "{name: s, action: negotiate}", rule: String = "") -> String {
        """
        policy:
          filterLists: [{name: l, filters: [\(filters)]}]
          filterActions: [\(action)]
          rules: [{name: r, filterList: l, filterAction: s, connection: lan\(rule)}]

        """
    }

    @Test("snmp.yaml: one peer in transport mode, an SA for each of its five kinds of traffic, of one hour and 100 MB")
    func snmp() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "deploy/examples/snmp.yaml"), encoding: .utf8)
        let found = try tunnels(text)
        let tunnel = try #require(found.first)
        #expect(found.count == 1 && tunnel.name == "snmp: 192.0.2.1-192.0.2.10" && tunnel.mode == .transport)
        #expect(tunnel.start == .onDemand && tunnel.source == Self.own && tunnel.routes.isEmpty)
        #expect(
            tunnel.selectors.map(\.description).sorted() == [
                "192.0.2.1 == 192.0.2.10[162] proto 17", "192.0.2.1[161] == 192.0.2.10 proto 17",
                "192.0.2.1[161] == 192.0.2.10 proto 6", "192.0.2.1[162] == 192.0.2.10 proto 17",
                "192.0.2.1[162] == 192.0.2.10 proto 6",
            ])
        let ike = tunnel.ike
        let suites = try #require(ike.algorithms?.suites)
        #expect(!suites.isEmpty && suites.allSatisfy { $0.payload != nil && $0.authenticationHeader == nil })
        let life = IKETunnel.SuiteLifetime(seconds: 3600, kilobytes: 100_000)
        #expect(suites.allSatisfy { ike.suiteLifetimes[$0] == life })
    }

    @Test("methods in their order, each with its lives, forward secrecy, fallback and authentication")
    func terms() throws {
        let action = """
            {name: s, action: negotiate, fallBack: true, perfectForwardSecrecy: true, methods: [
              {method: custom, encryption: 3des, integrity: sha1, seconds: 900, kilobytes: 1000}, {method: medium},
              {method: custom, ah: md5, encryption: aes128, integrity: none}, {method: high, seconds: 7200}]}
            """
        let tunnel = try #require(
            try tunnels(
                policy(
                    filters: "{source: my-address, destination: 198.51.100.1}", action: action,
                    rule: ", authentication: [psk]")
            ).first)
        let terms = try #require(tunnel.terms)
        #expect(terms.fallsBack && terms.hasPerfectForwardSecrecy && terms.rule == "r")
        #expect(terms.suites.prefix(4).map(\.description) == ["3des-sha1", "ah-sha256", "ah-sha1", "ah-md5+aes128"])
        #expect(terms.suites[4].payload?.cipher == .aesGCM(keyBits: 256, icvBytes: 16))
        #expect(terms.lifetimes[terms.suites[0]] == IKETunnel.SuiteLifetime(seconds: 900, kilobytes: 1000))
        #expect(terms.lifetimes[terms.suites[1]] == nil)
        #expect(terms.lifetimes[terms.suites[4]] == IKETunnel.SuiteLifetime(seconds: 7200))
        #expect(tunnel.policy?.ike.authenticationMethods == [.preSharedKey])
        #expect(tunnel.ike.requiresForwardSecrecy && tunnel.ike.group == nil)
    }

    @Test("who is asked and who only may ask: respond-only waits for the peer")
    func start() throws {
        let filters = "{source: my-address, destination: 198.51.100.1}"
        let responds = "{name: s, action: negotiate, respondOnly: true}"
        #expect(try tunnels(policy(filters: filters, action: responds)).map(\.start) == [.respond])
        #expect(try tunnels(policy(filters: filters)).map(\.start) == [.onDemand])
    }

    @Test(
        "in transport mode, each definite pair of addresses is one; a subnet, ourselves and what cannot be secured is none",
        arguments: [
            ("{source: my-address, destination: 198.51.100.1}", bothHosts("198.51.100.1")),
            ("{source: 192.0.2.2, destination: 198.51.100.1}", ["192.0.2.2 == 198.51.100.1"]),
            ("{source: 198.51.100.1, destination: 192.0.2.0/24}", bothHosts("198.51.100.1")),
            ("{source: my-address, destination: 2001:db8::9}", ["2001:db8::1 == 2001:db8::9"]),
            ("{source: my-address, destination: peer.example}", bothHosts("203.0.113.7")),
            ("{source: my-address, destination: unknown.example}", []),
            ("{source: my-address, destination: 198.51.100.0/24}", []), ("{source: my-address, destination: any}", []),
            ("{source: my-address, destination: 192.0.2.2}", []), ("{source: my-address, destination: 224.0.0.5}", []),
            ("{source: my-address, destination: 198.51.100.1, protocol: rsvp}", []),
            ("{source: my-address, destination: 198.51.100.1, protocol: tcp, destinationPort: 88}", []),
            ("{source: my-address, destination: 198.51.100.1, protocol: udp, destinationPort: 500}", []),
            ("{source: my-address, destination: 198.51.100.1, protocol: udp, sourcePort: 1701}", []),
        ])
    func hosts(_ filter: String, _ selectors: [String]) throws {
        let found = try tunnels(
            policy(filters: filter),
            addresses: ["192.0.2.1", "127.0.0.1", "192.0.2.2", "::1", "fe80::1", "2001:db8::1"],
            names: ["peer.example": ["203.0.113.7"]])
        #expect(found.flatMap(\.selectors).map(\.description) == selectors)
        #expect(found.allSatisfy { $0.selectors.count == 1 && $0.mode == .transport })
    }

    @Test(
        "with a tunnel endpoint, networks are one tunnel, whichever way the filter is written",
        arguments: [
            "{source: 10.1.0.0/16, destination: 10.2.0.0/16}", "{source: 10.2.0.0/16, destination: 10.1.0.0/16}",
            "{source: 10.1.0.0/16, destination: 10.2.0.0/16, mirrored: false}, "
                + "{source: 10.2.0.0/16, destination: 10.1.0.0/16, mirrored: false}",
        ])
    func networks(_ filters: String) throws {
        let found = try tunnels(
            policy(filters: filters, rule: ", tunnelEndpoint: 198.51.100.1"), addresses: ["192.0.2.1", "10.1.0.1"])
        #expect(found.map(\.name) == ["r: 198.51.100.1"] && found.map(\.mode) == [.tunnel])
        #expect(found.first?.selectors.map(\.description) == ["10.1.0.0/16 == 10.2.0.0/16"])
        #expect(found.first?.routes.map(\.description) == ["10.2.0.0/16"] && found.first?.source == nil)
    }

    @Test("the most specific filter comes first, and a rule that permits it keeps traffic out")
    func order() throws {
        let text = """
            policy:
              filterLists:
                - {name: all, filters: [{source: my-address, destination: 198.51.100.1}]}
                - {name: web, filters: [{source: my-address, destination: 198.51.100.1, protocol: tcp, destinationPort: 443}]}
                - {name: dns, filters: [{source: my-address, destination: 198.51.100.1, protocol: udp, destinationPort: 53}]}
              rules:
                - {name: all, filterList: all, filterAction: require-security}
                - {name: dns, filterList: dns, filterAction: permit}
                - {name: again, filterList: dns, filterAction: require-security}
                - {name: web, filterList: web, filterAction: request-security}

            """
        let found = try tunnels(text)
        #expect(found.compactMap(\.terms?.rule) == ["web", "all"])
        let table = TunnelTable(found.reversed().map { ($0.selectors, $0.outer) })
        let own = try #require(Self.own)
        let peer = try #require(IPAddress("198.51.100.1"))
        let web = PacketFlow(source: own, destination: peer, protocolNumber: 6, sourcePort: 5000, destinationPort: 443)
        #expect(table.lookUp(web) == TunnelTable.Match(tunnel: 1, selector: 0))
    }

    @Test("a rule may want a key where everybody else has a certificate, and a key that nobody gave is missing")
    func keyForOne() throws {
        let rule = policy(
            filters: "{source: my-address, destination: 198.51.100.1}", rule: ", authentication: [psk]")
        let error = #expect(throws: ConfigurationError.self) {
            try ConfigurationLoader.load(
                text: "users: [{name: alice, password: wonderland}]\nauthentication: [certificate]\n" + rule,
                name: "c.yaml", environment: [:])
        }
        #expect(error?.issues.map(\.key).contains("psk") == true)
    }

    @Test("two rules that want one peer to authenticate in two ways are refused")
    func contradiction() throws {
        let text = """
            policy:
              filterLists:
                - {name: a, filters: [{source: my-address, destination: 198.51.100.1, protocol: tcp}]}
                - {name: b, filters: [{source: my-address, destination: 198.51.100.1, protocol: udp}]}
              rules:
                - {name: a, filterList: a, filterAction: require-security, authentication: [psk]}
                - {name: b, filterList: b, filterAction: require-security, authentication: [psk, certificate]}

            """
        #expect(try tunnels(text.replacing("[psk, certificate]", with: "[psk]")).count == 2)
        let vectors = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Vectors/certificates").path
        let error = #expect(throws: ConfigurationError.self) {
            try ConfigurationLoader.load(
                text: Self.users + "endpoints: [192.0.2.1]\n" + CertificateConfigurationTests.section + text,
                name: "\(vectors)/c.yaml", environment: [:])
        }
        #expect(error?.issues.map(\.key) == ["policy"])
        #expect(error?.description.contains("rules a and b want 198.51.100.1 to authenticate in two ways") == true)
    }
}
