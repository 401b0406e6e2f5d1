import ESP
import Foundation
import Testing
import Wire

@testable import Gateway

@Suite("The policy in the configuration")
struct PolicyConfigurationTests {
    private func read(_ text: String, over base: PolicyDocument = PolicyDocument()) throws -> PolicyDocument {
        try PolicyDocument.read(text, name: "policy.yaml", over: base)
    }

    private func refusals(_ text: String, over base: PolicyDocument = PolicyDocument()) -> [String] {
        do throws(ConfigurationError) {
            _ = try PolicyDocument.read(text, name: "policy.yaml", over: base)
            return []
        } catch {
            return error.issues.map(\.description)
        }
    }

    private func example(_ name: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "deploy/examples/\(name)"), encoding: .utf8)
    }

    static let everything = """
        policy:
          use: custom
          filterLists:
            - name: "a \\"list\\""
              filters:
                - {source: my-address, destination: any, protocol: tcp, destinationPort: 443, mirrored: false}
                - {source: 10.1.0.0/16, destination: 192.0.2.7, protocol: other 200}
                - {source: 2001:db8::/32, destination: Branch.Example.org, protocol: udp, sourcePort: 53}
          filterActions:
            - {name: no, action: block}
            - {name: yes-indeed, action: permit}
            - name: own
              action: negotiate
              acceptUnsecured: true
              fallBack: true
              respondOnly: true
              perfectForwardSecrecy: true
              methods:
                - {method: high, seconds: 900, kilobytes: 100000}
                - {method: medium}
                - {method: custom, ah: sha1, encryption: 3des, integrity: md5}
                - {method: custom, encryption: none, integrity: sha1}
                - {method: custom, encryption: des, integrity: none}
            - {name: strict, action: negotiate}
          rules:
            - {name: one, filterList: 'a "list"', filterAction: own, authentication: [psk, certificate], connection: lan}
            - {name: two, filterList: all-icmp-traffic, filterAction: no, connection: remote-access}
            - {name: three, filterList: all-ip-traffic, filterAction: strict, tunnelEndpoint: "2001:db8::1"}
        """

    @Test("without a word of it, the policy is secure-server, for L2TP alone")
    func byDefault() throws {
        let text = "psk: \"a key of my own, 42\"\nusers: [{name: alice, password: wonderland}]\n"
        let policy = try ConfigurationLoader.load(text: text, name: "c.yaml").configuration.securityPolicy
        #expect(policy == PolicyDocument())
        #expect(policy.policy == PredefinedPolicy.secureServer.policy())
        let loose = try ConfigurationLoader.load(text: text + "policy: {use: server}\n", name: "c.yaml")
        #expect(loose.configuration.securityPolicy.use == .server)
        #expect(loose.warnings.map(\.key) == ["policy.use"])
    }

    @Test("what IKE cannot be given is warned of, and nothing else is")
    func warnings() throws {
        let text = "psk: \"a key of my own, 42\"\nusers: [{name: alice, password: wonderland}]\n" + Self.everything
        let psk = text.replacing("[psk, certificate]", with: "[psk]")
        let warnings = try ConfigurationLoader.load(text: psk, name: "c.yaml").warnings.map(\.key)
        #expect(warnings == ["policy.rules[0].filterList", "policy.filterActions[2].methods[4].encryption"])
        let dialIn = psk.replacing("connection: lan", with: "connection: remote-access")
        #expect(
            try ConfigurationLoader.load(text: dialIn, name: "c.yaml").warnings.map(\.key).prefix(2) == [
                "policy.rules[0].authentication", "policy.rules[0].filterAction",
            ])
    }

    @Test("a rule that wants what the gateway has not is refused")
    func withoutMeans() {
        let text = "psk: \"a key of my own, 42\"\nusers: [{name: alice, password: wonderland}]\n" + Self.everything
        let error = #expect(throws: ConfigurationError.self) {
            try ConfigurationLoader.load(text: text, name: "c.yaml")
        }
        #expect(error?.issues.map(\.key) == ["policy"])
        #expect(error?.description.contains("rule one wants certificates") == true)
    }

    @Test("every kind of filter, action, method and rule is read, and written so that it reads the same")
    func everythingThereIs() throws {
        let document = try read(Self.everything)
        #expect(document.use == nil)
        let filters = document.filterLists[0].filters
        #expect(filters[0].destinationPort == 443 && !filters[0].isMirrored && filters[0].source == .mine)
        #expect(filters[1].transport.number == 200 && filters[1].isMirrored)
        #expect(filters[2].destination == .name("branch.example.org") && filters[2].sourcePort == 53)
        #expect(document.names == ["branch.example.org"])
        guard case .negotiate(let own) = document.filterActions[2].kind else {
            Issue.record("no negotiation")
            return
        }
        #expect(own.acceptsUnsecured && own.fallsBack && !own.initiates && own.hasPerfectForwardSecrecy)
        #expect(own.methods.count == 5)
        #expect(own.methods[0] == SecurityMethod(.high, seconds: 900, kilobytes: 100_000))
        #expect(
            own.methods[2].protection
                == .custom(authenticationHeader: .sha1, payload: SecurityMethod.Payload(.tripleDES, .md5)))
        #expect(document.rules[0].authentication == [.psk, .certificate])
        #expect(document.rules[2].tunnelEndpoint != nil)
        #expect(document.policy.rules.map(\.name) == ["one", "two", "three", "l2tp"])
        #expect(try read(document.yaml) == document)
    }

    @Test(
        "a policy that is wrong is refused with line, key, problem and what is allowed",
        arguments: [
            ("policy: {use: lockdown}", "policy.yaml:1: policy.use: 'lockdown' is not known; allowed: secure-server"),
            ("policy: {used: client}", "policy.yaml:1: policy.used: is not a key that this gateway knows"),
            ("police: {}", "policy.yaml:1: police: is not a key that this gateway knows"),
            ("policy: {use: custom, covers: host}", "policy.covers: is about the predefined policies"),
            ("", "policy.yaml:1: policy: is missing"),
            (
                "policy: {rules: [{name: a, filterList: b, filterAction: permit}]}",
                "'b' is no filter list; allowed: all-ip"
            ),
            (
                "policy: {rules: [{name: a, filterList: l2tp, filterAction: b}]}",
                "'b' is no filter action; allowed: permit"
            ),
            ("policy: {rules: [{name: l2tp, filterList: l2tp, filterAction: block}]}", "'l2tp' is there already"),
            (
                "policy: {rules: [{name: a, filterList: l2tp, filterAction: require-security, authentication: [kerberos]}]}",
                "authentication[0]: 'kerberos' needs a domain"
            ),
            (
                "policy: {rules: [{name: a, filterList: l2tp, filterAction: block, authentication: [psk]}]}",
                "is about security that is negotiated"
            ),
            (
                "policy: {rules: [{name: a, filterList: l2tp, filterAction: request-security, tunnelEndpoint: 192.0.2.1}]}",
                "may leave a tunnel's packets in clear"
            ),
            (
                "policy: {filterActions: [{name: a, action: block, fallBack: true}]}",
                "is about security that is negotiated"
            ),
            (
                "policy: {filterActions: [{name: a, action: negotiate, methods: [{method: custom}]}]}",
                "protects nothing"
            ),
            (
                "policy: {filterActions: [{name: a, action: negotiate, methods: [{method: high, ah: sha1}]}]}",
                "is of a method of one's own"
            ),
            (
                "policy: {filterActions: [{name: a, action: negotiate, methods: [{method: high, seconds: 5}]}]}",
                "5 is out of range"
            ),
            (
                "policy: {filterLists: [{name: a, filters: [{source: any, destination: any, destinationPort: 5}]}]}",
                "needs a protocol that has ports"
            ),
            (
                "policy: {filterLists: [{name: a, filters: [{source: any, destination: any, protocol: other}]}]}",
                "'other' needs its number"
            ),
            ("policy: {filterLists: [{name: a, filters: [{source: any}]}]}", "destination: is missing"),
            (
                "policy: {filterLists: [{name: a, filters: [{source: 10.0.0.1/8, destination: any}]}]}",
                "has host bits that are not zero; allowed: 10.0.0.0/8"
            ),
            ("policy: {filterLists: [{name: a, filters: [{source: 1.2.3, destination: any}]}]}", "is not an address"),
            (
                "policy: {filterLists: [{name: a, filters: [{source: 10.0.0.1, destination: '::1'}]}]}",
                "goes from one IP version to the other"
            ),
        ])
    func refused(text: String, expected: String) {
        let found = refusals(text)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test("all that is wrong is told at once, and nothing of it is taken")
    func allAtOnce() {
        let text = "policy:\n  use: nothing\n  covers: all\n  rules:\n    - {name: a, filterList: x, filterAction: y}\n"
        #expect(refusals(text).count == 4)
    }

    @Test("what is read over a policy is added to it, and a name that is there already is refused")
    func added() throws {
        let base = try read(Self.everything)
        let more = try read(
            "policy: {rules: [{name: four, filterList: 'a \"list\"', filterAction: block}]}", over: base)
        #expect(more.rules.map(\.name) == ["one", "two", "three", "four"])
        #expect(more.filterLists == base.filterLists && more.use == nil)
        #expect(!refusals(Self.everything, over: base).isEmpty)
    }

    @Test("a custom policy leaves L2TP required, unless a rule of its own says otherwise")
    func customL2TP() throws {
        let (peer, me) = (Endpoint(IPv4Address(192, 0, 2, 7), 1701), IPAddress.v4(IPv4Address(198, 51, 100, 1)))
        let environment = PolicyEnvironment(myAddresses: [me])
        let strict = try PolicyTable(try read("policy: {use: custom}").policy, in: environment)
        #expect(!strict.allowsClearL2TP(from: peer, to: me) && !strict.mayAllowClearL2TP)
        let own = try read("policy: {use: custom, rules: [{name: a, filterList: l2tp, filterAction: permit}]}")
        let loose = try PolicyTable(own.policy, in: environment)
        #expect(loose.allowsClearL2TP(from: peer, to: me) && loose.mayAllowClearL2TP)
        for policy in PredefinedPolicy.allCases {
            let table = try PolicyTable(policy.policy(), in: environment)
            #expect(table.allowsClearL2TP(from: peer, to: me) == policy.allowsClearL2TP)
            #expect(table.mayAllowClearL2TP == policy.allowsClearL2TP)
        }
    }

    @Test("IPSec and SNMP: the example secures 161 and 162 to and from the management station, and nothing else")
    func snmpExample() throws {
        let (station, me) = (IPAddress.v4(IPv4Address(192, 0, 2, 10)), IPAddress.v4(IPv4Address(198, 51, 100, 1)))
        let table = try PolicyTable(try read(example("snmp.yaml")).policy, in: PolicyEnvironment(myAddresses: [me]))
        func ask(_ source: IPAddress, _ destination: IPAddress, _ from: UInt16, _ to: UInt16) -> PolicyVerdict {
            let flow = PacketFlow(
                source: source, destination: destination, protocolNumber: IPProtocol.udp, sourcePort: from,
                destinationPort: to)
            return table.ask(flow, source == me ? .outbound : .inbound)
        }
        #expect(ask(station, me, 5000, 161).treatment == .secure)
        #expect(ask(me, station, 161, 5000).treatment == .secure)
        #expect(ask(me, station, 5000, 162).treatment == .secure)
        #expect(!ask(station, me, 5000, 161).mayGoInClear)
        #expect(ask(station, me, 5000, 163).treatment == .permit)
        #expect(ask(.v4(IPv4Address(192, 0, 2, 11)), me, 5000, 161).treatment == .permit)
    }

    @Test("the examples are legal and say what they say", arguments: ["snmp.yaml", "policy-secure-host.yaml"])
    func examples(name: String) throws {
        let document = try read(example(name))
        #expect(try read(document.yaml) == document)
    }
}
