import Wire

/// What is done with some of the packets that the machine itself sends or gets outside of SAs.
public struct ClearTrafficRule: Hashable, Sendable {
    /// Whether they pass.
    public enum Verdict: Hashable, Sendable {
        /// They pass.
        case permit
        /// They are dropped.
        case block
    }

    /// Which way they go.
    public enum Direction: Hashable, Sendable {
        /// To the machine.
        case inbound
        /// From it.
        case outbound
    }

    /// Which packets are meant.
    public enum Subject: Hashable, Sendable {
        /// Those of a selector.
        case traffic(TrafficSelector)
        /// Those to a broadcast address, also one of a subnet, and to a multicast address.
        case broadcastAndMulticast
    }

    /// Under which name they are counted; several rules may share one.
    public var name: String
    /// Whether they pass.
    public var verdict: Verdict
    /// Which way they go.
    public var direction: Direction
    /// Which packets are meant.
    public var subject: Subject

    /// A rule.
    public init(_ name: String, _ verdict: Verdict, _ direction: Direction, _ subject: Subject) {
        (self.name, self.verdict, self.direction, self.subject) = (name, verdict, direction, subject)
    }
}

/// How many packets met the rules of one name.
public struct ClearTrafficCount: Hashable, Sendable {
    /// The rules' name.
    public let name: String
    /// Packets.
    public let packets: UInt64
    /// Their bytes, IP headers included.
    public let bytes: UInt64
}

/// Enforces which packets the machine itself sends and gets in clear, for as long as this object lives.
///
/// The rules stand in a table of their own (``NFTablesTable``), in their order; the first that a packet meets decides. What
/// no rule names passes, and is then for whatever other tables there are: a packet that is permitted here may still be
/// dropped there. What is forwarded is not looked at, and always pass:
/// - ESP, AH, and IKE to and from our ports 500 and 4500, which SAs are made of;
/// - what goes through the tunnels' own interface, which has been in an SA;
/// - loopback;
/// - neighbour discovery (RFC 4861), without which there is no IPv6;
/// - TCP to ``operatorPorts`` of ours, and its answers: whoever administers the machine from afar must not be cut off by
///   the policy that he is just about to write.
public final class ClearTrafficTable {
    /// The table's name; its family is `inet`.
    public static let table = "culvert_clear"
    /// The most rules.
    public static let rulesMaximum = 8192
    /// SSH.
    public static let operatorPortsDefault: [UInt16] = [22]

    /// Whether the kernel removes the table by itself when this process ends.
    public var isBoundToProcess: Bool { table.isBoundToProcess }
    /// By which TCP ports of ours an operator reaches the machine.
    public let operatorPorts: [UInt16]
    /// The rules that are enforced.
    public private(set) var rules: [ClearTrafficRule]

    private let interface: String
    private let table: NFTablesTable

    /// Enforces `rules`; what goes through `interface` is not in clear.
    public init(
        _ rules: [ClearTrafficRule], exceptInterface interface: String,
        operatorPorts: [UInt16] = operatorPortsDefault
    ) throws(NFTablesError) {
        guard NFTablesTable.isPlainName(interface) else {
            throw NFTablesError(description: "clear traffic: \(interface) is no interface name that nftables takes")
        }
        table = try NFTablesTable(family: "inet", name: Self.table, purpose: "clear traffic")
        (self.rules, self.interface, self.operatorPorts) = (rules, interface, operatorPorts)
        try enforce(rules, counted: [])
    }

    /// Enforces these rules instead, from one packet to the next. Names that stay keep their counts. On an error the old
    /// rules stay.
    public func replace(_ rules: [ClearTrafficRule]) throws(NFTablesError) {
        guard rules != self.rules else { return }
        try enforce(rules, counted: counts())
        self.rules = rules
    }

    private func enforce(_ rules: [ClearTrafficRule], counted: [ClearTrafficCount]) throws(NFTablesError) {
        guard rules.count <= Self.rulesMaximum else {
            throw NFTablesError(
                description: "clear traffic: \(rules.count) rules are more than the \(Self.rulesMaximum) there may be")
        }
        try table.put(
            ClearTrafficText(interface: interface, operatorPorts: operatorPorts, rules: rules, counted: counted)
                .contents)
    }

    /// What met the rules until now, by their names, in the order of the first of each name.
    public func counts() throws(NFTablesError) -> [ClearTrafficCount] {
        let names = ClearTrafficText.names(rules)
        let counters = ClearTrafficText.counters(try table.list("counters"))
        return names.indices.map { index in
            let count = counters[index] ?? (0, 0)
            return ClearTrafficCount(name: names[index], packets: count.packets, bytes: count.bytes)
        }
    }

    /// Takes the table away, now rather than when this object ends.
    public func end() throws(NFTablesError) { try table.end() }
}

/// The table in nftables' language.
struct ClearTrafficText {
    let interface: String
    let operatorPorts: [UInt16]
    let rules: [ClearTrafficRule]
    /// From where counters go on.
    let counted: [ClearTrafficCount]

    /// Distinct names, in the order of the rules. A counter is called by its place here, as nftables does not take every
    /// name that an operator may give.
    static func names(_ rules: [ClearTrafficRule]) -> [String] {
        var known: Set<String> = []
        return rules.map(\.name).filter { known.insert($0).inserted }
    }

    /// The values that `list counters` prints, by the number of the counter.
    static func counters(_ listing: String) -> [Int: (packets: UInt64, bytes: UInt64)] {
        var result: [Int: (packets: UInt64, bytes: UInt64)] = [:]
        var current: Int?
        for line in listing.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            if words.count >= 2, words[0] == "counter" {
                current = words[1].hasPrefix("rule-") ? Int(words[1].dropFirst(5)) : nil
            } else if words.count >= 4, words[0] == "packets", words[2] == "bytes", let number = current,
                let packets = UInt64(words[1]), let bytes = UInt64(words[3])
            {
                result[number] = (packets, bytes)
            }
        }
        return result
    }

    var contents: String {
        let names = Self.names(rules)
        let number = Dictionary(uniqueKeysWithValues: zip(names, names.indices))
        let old = Dictionary(counted.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var text = ""
        for (index, name) in names.enumerated() {
            let start = old[name].map { " packets \($0.packets) bytes \($0.bytes)" } ?? ""
            text += "    counter rule-\(index) {\(start) }\n"
        }
        for direction in [ClearTrafficRule.Direction.inbound, .outbound] {
            let (hook, side) = direction == .inbound ? ("input", "iifname") : ("output", "oifname")
            // Only our own ports: whoever chooses the port that he sends from would pass otherwise.
            let own = direction == .inbound ? "dport" : "sport"
            text += """
                    chain \(hook) {
                        type filter hook \(hook) priority filter; policy accept;
                        \(side) { "lo", "\(interface)" } accept
                        meta l4proto { esp, ah } accept
                        udp \(own) { 500, 4500 } accept
                        icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept

                """
            if !operatorPorts.isEmpty {
                text += "        tcp \(own) { \(operatorPorts.map(String.init).joined(separator: ", ")) } accept\n"
            }
            for rule in rules where rule.direction == direction {
                guard let match = Self.match(rule), let index = number[rule.name] else { continue }
                let verdict = rule.verdict == .permit ? "accept" : "drop"
                text += "        \(match)counter name rule-\(index) \(verdict) comment \"\(Self.comment(rule.name))\"\n"
            }
            text += "    }\n"
        }
        return text
    }

    /// What a packet must be; nil where none can.
    private static func match(_ rule: ClearTrafficRule) -> String? {
        guard case .traffic(let selector) = rule.subject else { return "fib daddr type { broadcast, multicast } " }
        guard selector.local.first.version == selector.remote.first.version else { return nil }
        let isInbound = rule.direction == .inbound
        let (source, destination) =
            isInbound ? (selector.remote, selector.local) : (selector.local, selector.remote)
        let (sourcePort, destinationPort) =
            isInbound ? (selector.remotePort, selector.localPort) : (selector.localPort, selector.remotePort)
        var text = "meta nfproto \(selector.local.first.version == 4 ? "ipv4" : "ipv6") "
        text += address(source, "saddr") + address(destination, "daddr")
        if let number = selector.protocolNumber {
            text += "meta l4proto \(number) "
        } else if sourcePort != nil || destinationPort != nil {
            // TCP, UDP, DCCP, SCTP.
            text += "meta l4proto { 6, 17, 33, 132 } "
        }
        if let sourcePort { text += "th sport \(sourcePort) " }
        if let destinationPort { text += "th dport \(destinationPort) " }
        return text
    }

    private static func address(_ range: AddressRange, _ field: String) -> String {
        if range == .anyIPv4 || range == .anyIPv6 { return "" }
        return "\(range.first.version == 4 ? "ip" : "ip6") \(field) \(range) "
    }

    /// A name as far as nftables takes it in a comment, of at most 128 bytes.
    private static func comment(_ name: String) -> String {
        String(
            decoding: name.utf8.prefix(100).map { NFTablesTable.isPlain($0) ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
    }
}
