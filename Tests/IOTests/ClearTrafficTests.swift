import CNFTables
import Glibc
import IO
import NetworkNamespaces
import Testing
import Wire

@testable import IO

/// The world of these tests: an interface at whose other end we are, as everybody outside. Its packets are real ones to the
/// system.
private struct Outside {
    static let own = IPv4Address(192, 0, 2, 1)
    static let peer = IPv4Address(192, 0, 2, 9)
    static let own6 = IPv6Address(high: 0x2001_0db8_0000_0000, low: 1)
    static let peer6 = IPv6Address(high: 0x2001_0db8_0000_0000, low: 9)

    let device: TUNDevice
    let queue: TUNQueue

    init(_ name: String = "outside0") throws {
        device = try TUNDevice(name: name)
        queue = device.queue(0)
        try bringUpLoopback()
        for words in [
            ["addr", "add", "192.0.2.1/24", "dev", name], ["addr", "add", "2001:db8::1/64", "dev", name, "nodad"],
            ["link", "set", name, "up"],
        ] {
            try run(["ip"] + words)
        }
    }

    private func run(_ words: [String]) throws {
        struct Failed: Error { let words: [String] }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        var status: Int32 = 0
        guard posix_spawnp(&process, words[0], nil, nil, &arguments, environ) == 0,
            waitpid(process, &status, 0) == process, status == 0
        else { throw Failed(words: words) }
    }

    /// Which of our UDP ports hear a datagram from outside, sent from port `source`.
    func heard(_ ports: [UInt16], from source: UInt16 = 4000, isIPv6: Bool = false) throws -> [UInt16] {
        let address: IPAddress = isIPv6 ? .v6(Self.own6) : .v4(Self.own)
        let sockets = try ports.map { try UDPSocket(address: address, port: $0) }
        let packets = ports.map { port in
            let udp = udpHeader(source, port) + [1, 2, 3, 4]
            return isIPv6 ? ipv6(udp) : ipv4(udp)
        }
        #expect(queue.send(batch(packets, along: .none)) == ports.count)
        return zip(ports, sockets).filter { _, socket in
            var received = PacketBatch(capacity: 4, packetSizeMaximum: 100)
            return socket.receive(into: &received) > 0
        }.map(\.0)
    }

    /// To which UDP ports outside a datagram of ours gets, sent from port `source`.
    func reached(_ ports: [UInt16], from source: UInt16 = 4000, isIPv6: Bool = false) throws -> [UInt16] {
        let socket = try UDPSocket(address: isIPv6 ? .v6(.any) : .v4(.any), port: source)
        for port in ports {
            let remote = Endpoint(address: isIPv6 ? .v6(Self.peer6) : .v4(Self.peer), port: port)
            let local: IPAddress = isIPv6 ? .v6(Self.own6) : .v4(Self.own)
            _ = socket.send(batch([[9, 9]], along: OuterPath(remote: remote, local: local)))
        }
        return try sent(isIPv6: isIPv6).compactMap { packet in
            let at = isIPv6 ? 40 : 20
            guard packet.count >= at + 8, packet[isIPv6 ? 6 : 9] == 17 else { return nil }
            return UInt16(packet[at + 2]) << 8 | UInt16(packet[at + 3])
        }
    }

    /// What the system has sent there.
    private func sent(isIPv6: Bool) throws -> [[UInt8]] {
        var packets: [[UInt8]] = []
        var received = PacketBatch(capacity: 32, packetSizeMaximum: 1500)
        while queue.receive(into: &received) > 0 {
            packets += received.contents.filter { ($0.first ?? 0) >> 4 == (isIPv6 ? 6 : 4) }
            received.reset()
        }
        return packets
    }

    private func udpHeader(_ source: UInt16, _ destination: UInt16) -> [UInt8] {
        [UInt8(source >> 8), UInt8(source & 0xff), UInt8(destination >> 8), UInt8(destination & 0xff), 0, 12, 0, 0]
    }

    private func ipv4(_ payload: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0, 0, UInt8(20 + payload.count), 0, 1, 0, 0, 64, 17, 0, 0]
        header += Self.peer.octets + Self.own.octets
        let sum = internetSum(header)
        (header[10], header[11]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
        return header + payload
    }

    /// With the checksum that UDP must have in IPv6 (RFC 8200 section 8.1).
    private func ipv6(_ payload: [UInt8]) -> [UInt8] {
        let addresses = Self.peer6.octets + Self.own6.octets
        var udp = payload
        let sum = internetSum(addresses + [0, 0, 0, UInt8(payload.count), 0, 0, 0, 17] + payload)
        (udp[6], udp[7]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
        return [0x60, 0, 0, 0, 0, UInt8(udp.count), 17, 64] + addresses + udp
    }

    private func internetSum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() { sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        return ~UInt16(sum)
    }
}

private let any4 = TrafficSelector(local: .anyIPv4, remote: .anyIPv4)
private let any6 = TrafficSelector(local: .anyIPv6, remote: .anyIPv6)

private func udp(_ selector: TrafficSelector, local: UInt16? = nil, remote: UInt16? = nil) -> TrafficSelector {
    var selector = selector
    (selector.protocolNumber, selector.localPort, selector.remotePort) = (17, local, remote)
    return selector
}

/// All that goes in either direction, by either IP version.
private func everything(_ name: String, _ verdict: ClearTrafficRule.Verdict) -> [ClearTrafficRule] {
    [any4, any6].flatMap { selector in
        [
            ClearTrafficRule(name, verdict, .inbound, .traffic(selector)),
            ClearTrafficRule(name, verdict, .outbound, .traffic(selector)),
        ]
    }
}

@Suite("Traffic in clear", .enabled(if: mayMakeNamespaces, namespacesNeeded))
struct ClearTrafficTests {
    @Test("what no rule names passes, both ways", arguments: [false, true])
    func unnamed(isIPv6: Bool) throws {
        try inOwnNamespace {
            let outside = try Outside()
            #expect(try outside.heard([80, 1701], isIPv6: isIPv6) == [80, 1701])
            let table = try ClearTrafficTable([], exceptInterface: "culvert0")
            #expect(try outside.heard([80, 1701], isIPv6: isIPv6) == [80, 1701])
            #expect(try outside.reached([80, 1701], isIPv6: isIPv6) == [80, 1701])
            #expect(try table.counts() == [])
        }
    }

    @Test("L2TP in clear is dropped where it comes in, and counted; everything else passes", arguments: [false, true])
    func l2tp(isIPv6: Bool) throws {
        try inOwnNamespace {
            let outside = try Outside()
            let rules = [any4, any6].map {
                ClearTrafficRule("l2tp", .block, .inbound, .traffic(udp($0, local: 1701)))
            }
            let table = try ClearTrafficTable(rules, exceptInterface: "culvert0")
            #expect(try outside.heard([80, 1701, 1702], isIPv6: isIPv6) == [80, 1702])
            #expect(try outside.heard([1701], from: 1701, isIPv6: isIPv6) == [])
            #expect(try outside.reached([1701], from: 1701, isIPv6: isIPv6) == [1701])
            let bytes: UInt64 = isIPv6 ? 52 : 32
            #expect(try table.counts() == [ClearTrafficCount(name: "l2tp", packets: 2, bytes: 2 * bytes)])
        }
    }

    @Test("the first rule that a packet meets decides, in each direction by itself", arguments: [false, true])
    func order(isIPv6: Bool) throws {
        try inOwnNamespace {
            let outside = try Outside()
            let selector = isIPv6 ? any6 : any4
            let rules =
                [
                    ClearTrafficRule("web", .permit, .inbound, .traffic(udp(selector, local: 80))),
                    ClearTrafficRule("names", .permit, .outbound, .traffic(udp(selector, remote: 53))),
                    ClearTrafficRule("never", .block, .inbound, .traffic(udp(selector, local: 80))),
                ] + everything("rest", .block)
            let table = try ClearTrafficTable(rules, exceptInterface: "culvert0")
            #expect(try outside.heard([53, 80, 81], isIPv6: isIPv6) == [80])
            #expect(try outside.reached([53, 80], isIPv6: isIPv6) == [53])
            let counts = try table.counts()
            #expect(counts.map(\.name) == ["web", "names", "never", "rest"])
            #expect(counts.map(\.packets).prefix(3) == [1, 1, 0])
            #expect((counts.last?.packets ?? 0) >= 3)
        }
    }

    @Test("addresses, networks and ranges, of either side")
    func addresses() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let peer = try #require(AddressRange(.v4(Outside.peer), through: .v4(IPv4Address(192, 0, 2, 11))))
            let others = try #require(AddressRange(.v4(IPv4Address(198, 51, 100, 0)), prefixLength: 24))
            let own = AddressRange(.v4(Outside.own))
            let table = try ClearTrafficTable(
                [
                    ClearTrafficRule("others", .block, .inbound, .traffic(TrafficSelector(local: own, remote: others))),
                    ClearTrafficRule(
                        "peer", .block, .inbound, .traffic(udp(TrafficSelector(local: own, remote: peer), local: 80))),
                    ClearTrafficRule(
                        "source port", .block, .inbound,
                        .traffic(udp(TrafficSelector(local: own, remote: peer), remote: 7777))),
                    ClearTrafficRule(
                        "ports of any protocol", .block, .outbound,
                        .traffic(TrafficSelector(local: own, remote: .anyIPv4, remotePort: 99))),
                    ClearTrafficRule(
                        "nothing", .block, .inbound, .traffic(TrafficSelector(local: own, remote: .anyIPv6))),
                ], exceptInterface: "culvert0")
            #expect(try outside.heard([80, 81]) == [81])
            #expect(try outside.heard([82], from: 7777) == [])
            #expect(try outside.reached([98, 99]) == [98])
            #expect(try outside.heard([80], isIPv6: true) == [80])
            #expect(try table.counts().map(\.packets) == [0, 1, 1, 1, 0])
        }
    }

    @Test(
        "a policy that blocks everything leaves IKE, ESP, AH, loopback, the tunnels and the operator",
        arguments: [false, true])
    func exceptions(isIPv6: Bool) throws {
        try inOwnNamespace {
            let outside = try Outside()
            let inside = try TUNDevice(name: "culvert0")
            let table = try ClearTrafficTable(everything("all", .block), exceptInterface: "culvert0")
            #expect(try outside.heard([80, 500, 4500, 1701], isIPv6: isIPv6) == [500, 4500])
            #expect(try outside.reached([80, 4500], from: 4500, isIPv6: isIPv6) == [80, 4500])
            // Not by choosing the port that one sends from.
            #expect(try outside.heard([80], from: 500, isIPv6: isIPv6) == [])
            #expect(try outside.heard([80], from: 4500, isIPv6: isIPv6) == [])
            #expect(try outside.reached([500], isIPv6: isIPv6) == [])
            let own = try UDPSocket(address: isIPv6 ? .v6(IPv6Address(high: 0, low: 1)) : .v4(loopback), port: 9000)
            let here = Endpoint(address: isIPv6 ? .v6(IPv6Address(high: 0, low: 1)) : .v4(loopback), port: 9000)
            #expect(own.send(batch([[1]], along: OuterPath(remote: here, local: here.address))) == 1)
            #expect(try isReadable(own))
            let rules = try #require(ClearTrafficTests.listing())
            #expect(rules.contains("iifname { \"lo\", \"culvert0\" } accept"))
            #expect(rules.contains("oifname { \"lo\", \"culvert0\" } accept"))
            #expect(rules.contains("tcp dport 22 accept") && rules.contains("tcp sport 22 accept"))
            withExtendedLifetime((inside, table)) {}
        }
    }

    @Test("what comes through the tunnels' interface is not in clear")
    func tunnelled() throws {
        try inOwnNamespace {
            let outside = try Outside("culvert0")
            let table = try ClearTrafficTable(everything("all", .block), exceptInterface: "culvert0")
            #expect(try outside.heard([80, 1701]) == [80, 1701])
            #expect(try outside.reached([80, 1701]) == [80, 1701])
            #expect(try table.counts().map(\.packets) == [0])
        }
    }

    @Test("ESP and AH pass to raw sockets where everything else is blocked")
    func rawProtocols() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let table = try ClearTrafficTable(everything("all", .block), exceptInterface: "culvert0")
            for number in [50, 51, 99] as [UInt8] {
                let socket = try RawSocket(protocol: number)
                var packet = echo(type: 8, from: Outside.peer, to: Outside.own, payload: [1, 2, 3, 4])
                // Its checksum changes by what the protocol field does.
                let sum = UInt32(packet[10]) << 8 | UInt32(packet[11])
                let changed = (sum + 1 + 0xffff - UInt32(number)) % 0xffff
                (packet[9], packet[10], packet[11]) = (number, UInt8(changed >> 8), UInt8(changed & 0xff))
                #expect(outside.queue.send(batch([packet], along: .none)) == 1)
                var received = PacketBatch(capacity: 1, packetSizeMaximum: 200)
                #expect(socket.receive(into: &received) == (number == 99 ? 0 : 1), "protocol \(number)")
            }
            #expect(try table.counts().map(\.packets) == [1])
        }
    }

    @Test("broadcast and multicast have a rule of their own")
    func broadcasts() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let rules =
                [ClearTrafficRule("exempt", .permit, .outbound, .broadcastAndMulticast)] + everything("all", .block)
            let table = try ClearTrafficTable(rules, exceptInterface: "culvert0")
            let socket = try UDPSocket(port: 4000)
            let group = OuterPath(
                remote: Endpoint(IPv4Address(224, 0, 0, 251), 5353), local: .v4(Outside.own))
            #expect(socket.send(batch([[1]], along: group)) == 1)
            #expect(try outside.reached([80], from: 4001) == [5353])
            let count = try #require(table.counts().first)
            #expect(count.name == "exempt" && count.packets >= 1)
        }
    }

    @Test("rules are replaced from one packet to the next, and names that stay keep their counts")
    func replaced() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let block = { (name: String, port: UInt16) in
                ClearTrafficRule(name, .block, .inbound, .traffic(udp(any4, local: port)))
            }
            let table = try ClearTrafficTable(
                [block("old", 80), block("kept \"b\" ; drop", 81)], exceptInterface: "culvert0")
            #expect(try outside.heard([80, 81, 82]) == [82])
            try table.replace([block("new", 82), block("kept \"b\" ; drop", 81)])
            #expect(try outside.heard([80, 81, 82]) == [80])
            #expect(
                try table.counts() == [
                    ClearTrafficCount(name: "new", packets: 1, bytes: 32),
                    ClearTrafficCount(name: "kept \"b\" ; drop", packets: 2, bytes: 64),
                ])
            for round in 0..<20 { try table.replace([block("round", UInt16(90 + round))]) }
            #expect(table.rules == [block("round", 109)])
            #expect(try outside.heard([80, 109]) == [80])
            try table.end()
            #expect(try outside.heard([80, 109]) == [80, 109])
        }
    }

    @Test("rules that nftables does not take leave the old ones in force")
    func refusedRules() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let rule = ClearTrafficRule("old", .block, .inbound, .traffic(udp(any4, local: 80)))
            let table = try ClearTrafficTable([rule], exceptInterface: "culvert0")
            let many = Array(repeating: rule, count: ClearTrafficTable.rulesMaximum + 1)
            #expect(throws: NFTablesError.self) { try table.replace(many) }
            #expect(table.rules == [rule])
            #expect(try outside.heard([80]) == [])
            #expect(throws: NFTablesError.self) { try ClearTrafficTable([], exceptInterface: "a\" accept") }
        }
    }

    @Test("another program's table is not touched, and both have their say")
    func coexistence() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let reader = try TableReader()
            try reader.run(
                "table inet other { chain input { type filter hook input priority 0; udp dport 70 counter drop; }; }")
            let table = try ClearTrafficTable(
                [
                    ClearTrafficRule("a", .permit, .inbound, .traffic(udp(any4, local: 70))),
                    ClearTrafficRule("b", .block, .inbound, .traffic(udp(any4, local: 80))),
                ], exceptInterface: "culvert0")
            #expect(try outside.heard([70, 80, 90]) == [90])
            try table.replace([])
            #expect(try outside.heard([70, 80, 90]) == [80, 90])
            try table.end()
            #expect(try outside.heard([70, 80, 90]) == [80, 90])
            try reader.run("list table inet other")
            try reader.run("list chain inet other input")
        }
    }

    @Test("where the kernel binds the table to us, nobody else changes it, and it ends with us")
    func bound() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let reader = try TableReader()
            let rule = ClearTrafficRule("web", .block, .inbound, .traffic(udp(any4, local: 80)))
            do {
                let table = try ClearTrafficTable([rule], exceptInterface: "culvert0")
                guard table.isBoundToProcess else { return }
                try reader.run("flush ruleset")
                #expect(throws: (any Error).self) { try reader.run("delete table inet culvert_clear") }
                #expect(try outside.heard([80]) == [])
                withExtendedLifetime(table) {}
            }
            #expect(ClearTrafficTests.listing() == nil)
            #expect(try outside.heard([80]) == [80])
        }
    }

    @Test("what a killed process has left is replaced; what it had bound is gone with it")
    func killed() throws {
        try inOwnNamespace {
            let outside = try Outside()
            let reader = try TableReader()
            try reader.run(
                "table inet culvert_clear { chain old { type filter hook input priority 0; udp dport 80 drop; }; }")
            let table = try ClearTrafficTable(
                [ClearTrafficRule("x", .block, .inbound, .traffic(udp(any4, local: 81)))], exceptInterface: "culvert0")
            #expect(try outside.heard([80, 81]) == [80])
            try table.end()
            // As the kernel ends a killed process: its sockets are closed, and nothing else is said.
            if let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) {
                let commands =
                    "table inet culvert_clear { flags owner; chain c { type filter hook input priority 0; udp dport 80 drop; }; }"
                if nft_run_cmd_from_buffer(context, commands) == 0 { #expect(try outside.heard([80]) == []) }
                nft_ctx_free(context)
            }
            #expect(try outside.heard([80]) == [80])
        }
    }

    @Test("counters are read from nftables' listing, whatever else stands there")
    func listings() {
        let text = """
            table inet culvert_clear {
            \tcounter rule-0 {
            \t\tcomment "x"
            \t\tpackets 12 bytes 3456
            \t}
            \tcounter other {
            \t\tpackets 1 bytes 2
            \t}
            \tcounter rule-17 {
            \t\tpackets 18446744073709551615 bytes 0
            \t}
            }
            """
        let counters = ClearTrafficText.counters(text)
        #expect(counters[0]?.packets == 12 && counters[0]?.bytes == 3456)
        #expect(counters[17]?.packets == .max && counters.count == 2)
    }

    private static func listing() -> String? {
        guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else { return nil }
        defer { nft_ctx_free(context) }
        nft_ctx_buffer_output(context)
        nft_ctx_buffer_error(context)
        guard nft_run_cmd_from_buffer(context, "list table inet \(ClearTrafficTable.table)") == 0 else { return nil }
        return nft_ctx_get_output_buffer(context).map { String(cString: $0) }
    }
}
