import ESP
import Testing
import Wire

private let me = IPAddress.v4(IPv4Address(198, 51, 100, 1))
private let secondAddress = IPAddress.v4(IPv4Address(203, 0, 113, 1))
private let mySix = IPAddress.v6(IPv6Address(high: 0x2001_0db8_0000_0001, low: 1))
private let peer = IPAddress.v4(IPv4Address(192, 0, 2, 7))
private let environment = PolicyEnvironment(
    myAddresses: [me, secondAddress, mySix], broadcasts: [IPv4Address(198, 51, 100, 255)],
    names: ["dns.example.org": [peer]])

private func packet(
    _ source: IPAddress, _ destination: IPAddress, _ number: UInt8 = IPProtocol.tcp, _ sourcePort: UInt16? = 40_000,
    _ destinationPort: UInt16? = 80
) -> PacketFlow {
    PacketFlow(
        source: source, destination: destination, protocolNumber: number, sourcePort: sourcePort,
        destinationPort: destinationPort)
}

private func table(_ rules: PolicyRule...) throws -> PolicyTable {
    try PolicyTable(SecurityPolicy("test", rules), in: environment)
}

private func blocking(_ filters: PolicyFilter...) -> PolicyRule {
    PolicyRule("block", FilterList("list", filters), .block)
}

private func subnet(_ first: UInt8, _ second: UInt8, _ prefixLength: Int) throws -> PolicyFilter.Address {
    .range(try #require(AddressRange(.v4(IPv4Address(first, second, 0, 0)), prefixLength: prefixLength)))
}

@Suite("Setting IPSec policies: IP filter list")
struct FilterListTests {
    @Test("my ip address, any ip address, a specific ip address, a specific subnet, a DNS name")
    func addresses() throws {
        let ends: [(PolicyFilter.Address, IPAddress)] = [
            (.mine, me), (.any, .v4(IPv4Address(9, 9, 9, 9))), (.range(AddressRange(peer)), peer),
            (try subnet(192, 0, 16), peer), (.name("dns.example.org"), peer),
        ]
        for (address, matching) in ends {
            let table = try table(blocking(PolicyFilter(from: .any, to: address, isMirrored: false)))
            #expect(table.ask(packet(.v4(IPv4Address(8, 8, 8, 8)), matching), .inbound).treatment == .block)
            guard address != .any else { continue }
            let other = packet(.v4(IPv4Address(8, 8, 8, 8)), .v4(IPv4Address(9, 9, 9, 9)))
            #expect(table.ask(other, .inbound).reason == .noFilter)
        }
    }

    @Test("My ip address is every address of a multi-homed gateway, of both versions")
    func multihomed() throws {
        let table = try table(blocking(PolicyFilter(from: .any, to: .mine)))
        for mine in [me, secondAddress, mySix] {
            #expect(table.ask(packet(peer, mine), .inbound).treatment == .block)
        }
    }

    @Test("a DNS name that has no address is of nothing, and its new address counts after the next compilation")
    func names() throws {
        let rule = blocking(PolicyFilter(from: .mine, to: .name("later.example.org")))
        #expect(try table(rule).ask(packet(me, peer), .outbound).treatment == .permit)
        var later = environment
        later.names["later.example.org"] = [peer]
        let compiled = try PolicyTable(SecurityPolicy("test", [rule]), in: later)
        #expect(compiled.ask(packet(me, peer), .outbound).treatment == .block)
    }

    @Test("the DNS server that names are asked of goes in clear by a rule for port 53")
    func dnsServer() throws {
        let table = try table(
            PolicyRule("all", .allIPTraffic, .requireSecurity),
            PolicyRule(
                "dns",
                FilterList(
                    "dns",
                    [
                        PolicyFilter(
                            from: .mine, to: .range(AddressRange(peer)), transport: .udp, destinationPort: 53)
                    ]), .permit))
        #expect(table.ask(packet(me, peer, IPProtocol.udp, 40_000, 53), .outbound).treatment == .permit)
        #expect(table.ask(packet(peer, me, IPProtocol.udp, 53, 40_000), .inbound).treatment == .permit)
        #expect(table.ask(packet(me, peer, IPProtocol.udp, 40_000, 54), .outbound).treatment == .secure)
    }

    @Test(
        "the protocol: any, egp, hmp, icmp, other, raw, rdp, rvd, tcp, udp, xns-idp",
        arguments: [
            ("any", nil), ("egp", 8), ("hmp", 20), ("icmp", 1), ("other 200", 200), ("raw", 255), ("rdp", 27),
            ("rvd", 66), ("tcp", 6), ("udp", 17), ("xns-idp", 22), ("99", 99),
        ] as [(String, UInt8?)])
    func protocols(name: String, number: UInt8?) throws {
        let transport = try #require(PolicyProtocol(name))
        #expect(transport.number == number)
        #expect(PolicyProtocol(transport.description) == transport)
        let table = try table(blocking(PolicyFilter(from: .any, to: .any, transport: transport)))
        #expect(table.ask(packet(peer, me, number ?? 77, nil, nil), .inbound).treatment == .block)
        guard number != nil else { return }
        #expect(table.ask(packet(peer, me, 77, nil, nil), .inbound).treatment == .permit)
    }

    @Test("other names no protocol without its number", arguments: ["other", "other x", "256", "-1", "+6", ""])
    func unknownProtocols(text: String) { #expect(PolicyProtocol(text) == nil) }

    @Test("the source and destination port")
    func ports() throws {
        let table = try table(
            blocking(
                PolicyFilter(
                    from: .any, to: .mine, transport: .tcp, sourcePort: 1000, destinationPort: 2000, isMirrored: false))
        )
        #expect(table.ask(packet(peer, me, IPProtocol.tcp, 1000, 2000), .inbound).treatment == .block)
        #expect(table.ask(packet(peer, me, IPProtocol.tcp, 1001, 2000), .inbound).treatment == .permit)
        #expect(table.ask(packet(peer, me, IPProtocol.tcp, 1000, 2001), .inbound).treatment == .permit)
        #expect(table.ask(packet(peer, me, IPProtocol.tcp, nil, nil), .inbound).treatment == .permit)
    }

    @Test("the mirror option means both ways; without it, one")
    func mirrored() throws {
        for isMirrored in [true, false] {
            let table = try table(
                blocking(
                    PolicyFilter(
                        from: .mine, to: .any, transport: .udp, destinationPort: 53, isMirrored: isMirrored)))
            #expect(table.ask(packet(me, peer, IPProtocol.udp, 40_000, 53), .outbound).treatment == .block)
            let answer = table.ask(packet(peer, me, IPProtocol.udp, 53, 40_000), .inbound)
            #expect(answer.treatment == (isMirrored ? .block : .permit))
        }
    }

    @Test("the most specific filter counts: a host before its subnet before any, then protocol, then ports, then order")
    func order() throws {
        let specific: [PolicyFilter] = [
            PolicyFilter(from: .any, to: .any),
            PolicyFilter(from: .any, to: .any, transport: .tcp),
            PolicyFilter(from: .any, to: .any, transport: .tcp, destinationPort: 80),
            PolicyFilter(from: .any, to: try subnet(192, 0, 8)),
            PolicyFilter(from: .any, to: try subnet(192, 0, 20)),
            PolicyFilter(from: .any, to: .range(AddressRange(peer))),
            PolicyFilter(from: .mine, to: .range(AddressRange(peer)), transport: .tcp, destinationPort: 80),
        ]
        for count in 1...specific.count {
            let rules = specific.prefix(count).map { PolicyRule("rule", FilterList("list", [$0]), .permit) }
            #expect(
                try PolicyTable(SecurityPolicy("t", rules), in: environment).ask(packet(me, peer), .outbound).rule
                    == count - 1)
        }
        let equal = [FilterAction.block, .permit].map { PolicyRule("rule", FilterList("list", [specific[0]]), $0) }
        #expect(try PolicyTable(SecurityPolicy("t", equal), in: environment).ask(packet(me, peer), .outbound).rule == 0)
    }

    @Test("more rules or filters than there may be are refused")
    func limits() throws {
        let rule = blocking(PolicyFilter(from: .any, to: .any))
        let rules = Array(repeating: rule, count: SecurityPolicy.rulesMaximum + 1)
        #expect(throws: PolicyTableError.self) { try PolicyTable(SecurityPolicy("t", rules), in: environment) }
    }
}

@Suite("Setting IPSec policies: filter actions, connection type, tunnel settings")
struct FilterActionTests {
    @Test("permit, block or negotiate security")
    func kinds() throws {
        for (action, treatment) in [
            (FilterAction.permit, PolicyVerdict.Treatment.permit), (.block, .block), (.requireSecurity, .secure),
            (.requestSecurity, .secure), (.respondOnly, .secure),
        ] {
            let verdict = try table(PolicyRule("rule", .allIPTraffic, action)).ask(packet(me, peer), .outbound)
            #expect(verdict.treatment == treatment)
            #expect(verdict.rule == 0)
        }
    }

    @Test(
        "do not communicate with computers not supporting IPSec, or fall back; accept unsecured but answer secured",
        arguments: [(false, false), (false, true), (true, false), (true, true)])
    func switches(accepts: Bool, fallsBack: Bool) throws {
        let action = FilterAction(
            "own", .negotiate(NegotiatedSecurity(acceptsUnsecured: accepts, fallsBack: fallsBack)))
        let table = try table(PolicyRule("rule", .allIPTraffic, action))
        #expect(table.ask(packet(peer, me), .inbound).mayGoInClear == (accepts || fallsBack))
        #expect(table.ask(packet(me, peer), .outbound).mayGoInClear == fallsBack)
    }

    @Test("all network connections, local area network or remote access")
    func connections() throws {
        for type in ConnectionType.allCases {
            let table = try table(PolicyRule("rule", .allIPTraffic, .block, connection: type))
            for connection in Connection.allCases {
                let isMeant = type == .all || type.rawValue == connection.rawValue
                #expect((table.ask(packet(me, peer), .outbound, over: connection).treatment == .block) == isMeant)
            }
        }
    }

    @Test("ESP without cipher and integrity is no method")
    func emptyPayload() {
        #expect(SecurityMethod.Payload(nil, nil) == nil)
        #expect(SecurityMethod.Payload(nil, .sha1) != nil)
        #expect(SecurityMethod.Payload(.aes256gcm16, nil) != nil)
    }
}

@Suite("You cannot secure the following types of IP traffic with ipsec in transport mode")
struct ExemptionTests {
    static let exempt: [(String, PacketFlow, PolicyVerdict.Reason)] = [
        ("Broadcasts", packet(me, .v4(IPv4Address(.max)), IPProtocol.udp, 68, 67), .isBroadcast),
        (
            "Broadcasts of our network", packet(me, .v4(IPv4Address(198, 51, 100, 255)), IPProtocol.udp, 138, 138),
            .isBroadcast
        ),
        ("Multicast", packet(me, .v4(IPv4Address(224, 0, 0, 5)), 89, nil, nil), .isMulticast),
        (
            "Multicast of IPv6", packet(mySix, .v6(IPv6Address(high: 0xff02 << 48, low: 1)), 58, nil, nil),
            .isMulticast
        ),
        ("Resource Reservation Protocol", packet(me, peer, 46, nil, nil), .isRSVP),
        ("Kerberos over UDP", packet(me, peer, IPProtocol.udp, 40_000, 88), .isKerberos),
        ("Kerberos over TCP", packet(me, peer, IPProtocol.tcp, 40_000, 88), .isKerberos),
    ]

    @Test("in transport mode it goes in clear where security is not required", arguments: exempt)
    func lenient(name: String, flow: PacketFlow, reason: PolicyVerdict.Reason) throws {
        let verdict = try table(PolicyRule("rule", .allIPTraffic, .requestSecurity)).ask(flow, .outbound)
        #expect(verdict.treatment == .permit)
        #expect(verdict.reason == reason)
    }

    @Test("Internet Key Exchange goes in clear whatever the policy says, and ESP and AH with it")
    func ike() throws {
        for action in [FilterAction.block, .requireSecurity, .requestSecurity] {
            let table = try table(PolicyRule("rule", .allIPTraffic, action))
            for port: UInt16 in [500, 4500] {
                #expect(table.ask(packet(peer, me, IPProtocol.udp, 1025, port), .inbound).treatment == .permit)
                #expect(table.ask(packet(me, peer, IPProtocol.udp, port, 1025), .outbound).treatment == .permit)
            }
            for number in [IPProtocol.esp, IPProtocol.ah] {
                #expect(table.ask(packet(peer, me, number, nil, nil), .inbound).treatment == .permit)
            }
        }
    }

    @Test("in tunnel-mode, RSVP, IKE and Kerberos are secured; broadcasts and multicasts are not", arguments: exempt)
    func tunnelMode(name: String, flow: PacketFlow, reason: PolicyVerdict.Reason) throws {
        let everything = FilterList("everything", [PolicyFilter(from: .any, to: .any)])
        let table = try table(PolicyRule("t", everything, .requireSecurity, tunnelEndpoint: secondAddress))
        let isSecured = table.ask(flow, .outbound).treatment == .secure
        #expect(isSecured == (reason == .isRSVP || reason == .isKerberos))
    }

    @Test("IKE between networks behind a tunnel is secured, and that with the tunnel's end is not")
    func ikeInTunnel() throws {
        let gateway = IPAddress.v4(IPv4Address(192, 0, 2, 1))
        let everything = FilterList("everything", [PolicyFilter(from: .any, to: .any)])
        let table = try table(PolicyRule("t", everything, .requireSecurity, tunnelEndpoint: gateway))
        let inner = packet(.v4(IPv4Address(10, 1, 0, 1)), .v4(IPv4Address(10, 2, 0, 1)), IPProtocol.udp, 500, 500)
        #expect(table.ask(inner, .outbound).treatment == .secure)
        #expect(table.ask(packet(me, peer, IPProtocol.udp, 500, 500), .outbound).treatment == .secure)
        #expect(table.ask(packet(me, gateway, IPProtocol.udp, 500, 500), .outbound).treatment == .permit)
    }
}

@Suite("There are three predefined policies")
struct PredefinedPolicyTests {
    static func verdicts(_ policy: PredefinedPolicy, _ source: IPAddress, _ direction: PolicyDirection) throws
        -> PolicyVerdict
    {
        let table = try PolicyTable(policy.policy(coversHost: true), in: environment)
        let destination = source == me ? peer : me
        return table.ask(packet(source, destination), direction)
    }

    @Test("Client (respond only): all in plain text, but encryption requests are accepted")
    func client() throws {
        let (outbound, inbound) = (
            try Self.verdicts(.client, me, .outbound), try Self.verdicts(.client, peer, .inbound)
        )
        #expect(outbound.mayGoInClear && inbound.mayGoInClear)
        #expect(outbound.treatment == .secure && !outbound.asksForSecurity && !inbound.asksForSecurity)
    }

    @Test("Server (request security): tries to secure, and goes in plain text where that is not possible")
    func server() throws {
        let (outbound, inbound) = (
            try Self.verdicts(.server, me, .outbound), try Self.verdicts(.server, peer, .inbound)
        )
        #expect(outbound.asksForSecurity && outbound.mayGoInClear && inbound.mayGoInClear)
    }

    @Test("Secure server (require security): unsecured connections are not allowed")
    func secureServer() throws {
        let (outbound, inbound) = (
            try Self.verdicts(.secureServer, me, .outbound), try Self.verdicts(.secureServer, peer, .inbound)
        )
        #expect(outbound.asksForSecurity && !outbound.mayGoInClear && !inbound.mayGoInClear)
    }

    @Test(
        "Secure server: only outgoing broadcasts, multicasts, rsvp and isakmp may be insecure",
        arguments: ExemptionTests.exempt)
    func onlyOutgoing(name: String, flow: PacketFlow, reason: PolicyVerdict.Reason) throws {
        let table = try PolicyTable(PredefinedPolicy.secureServer.policy(coversHost: true), in: environment)
        let outgoing = table.ask(flow, .outbound)
        #expect(outgoing.treatment == (reason == .isKerberos ? .block : .permit))
        #expect(outgoing.reason == reason)
        var incoming = flow
        incoming.source = peer
        if reason != .isBroadcast && reason != .isMulticast { incoming.destination = me }
        #expect(table.ask(incoming, .inbound).treatment != .permit || table.ask(incoming, .inbound).rule == nil)
    }

    @Test("L2TP brings a rule by itself: its port, on any address of ours, over remote access")
    func l2tp() throws {
        for policy in PredefinedPolicy.allCases {
            let table = try PolicyTable(policy.policy(), in: environment)
            let verdict = table.ask(
                packet(peer, secondAddress, IPProtocol.udp, 1025, 1701), .inbound, over: .remoteAccess)
            #expect(verdict.treatment == .secure)
            #expect(verdict.mayGoInClear == (policy != .secureServer))
            #expect(table.ask(packet(peer, me, IPProtocol.udp, 1025, 1702), .inbound, over: .remoteAccess).rule == nil)
        }
    }
}

@Suite("IPSec and SNMP")
struct SNMPPolicyTests {
    @Test("two mirrored filters, for 161 and for 162, secure SNMP and its traps between manager and gateway")
    func snmp() throws {
        let manager = PolicyFilter.Address.range(AddressRange(peer))
        let filters = [UInt16(161), 162].map {
            PolicyFilter(from: manager, to: .mine, transport: .udp, destinationPort: $0)
        }
        let table = try table(PolicyRule("snmp", FilterList("snmp", filters), .requireSecurity))
        for port: UInt16 in [161, 162] {
            #expect(table.ask(packet(peer, me, IPProtocol.udp, 5000, port), .inbound).treatment == .secure)
            #expect(table.ask(packet(me, peer, IPProtocol.udp, port, 5000), .outbound).treatment == .secure)
        }
        #expect(table.ask(packet(peer, me, IPProtocol.udp, 5000, 163), .inbound).treatment == .permit)
        let stranger = IPAddress.v4(IPv4Address(192, 0, 2, 8))
        #expect(table.ask(packet(stranger, me, IPProtocol.udp, 5000, 161), .inbound).treatment == .permit)
    }
}
