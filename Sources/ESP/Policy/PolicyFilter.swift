import Wire

/// Which packets a rule is about: from where to where, of which protocol, between which ports.
public struct PolicyFilter: Hashable, Sendable {
    /// One end of the packets.
    public enum Address: Hashable, Sendable, CustomStringConvertible {
        /// Any address of the gateway's endpoints; on a host with several, all of them.
        case mine
        /// Every address, of both IP versions.
        case any
        /// An address or a subnet.
        case range(AddressRange)
        /// Whatever addresses the name has at the time.
        case name(String)

        /// The address in the words of the configuration.
        public var description: String {
            switch self {
            case .mine: "my address"
            case .any: "any"
            case .range(let range): "\(range)"
            case .name(let name): name
            }
        }
    }

    /// Where the packets come from.
    public var source: Address
    /// Where they go.
    public var destination: Address
    /// Of which protocol they are.
    public var transport: PolicyProtocol
    /// Their source port; nil for any.
    public var sourcePort: UInt16?
    /// Their destination port; nil for any.
    public var destinationPort: UInt16?
    /// Whether the answers to them, addresses and ports the other way round, are meant too.
    public var isMirrored: Bool

    /// The packets from `source` to `destination`.
    public init(
        from source: Address, to destination: Address, transport: PolicyProtocol = .any, sourcePort: UInt16? = nil,
        destinationPort: UInt16? = nil, isMirrored: Bool = true
    ) {
        (self.source, self.destination, self.transport) = (source, destination, transport)
        (self.sourcePort, self.destinationPort, self.isMirrored) = (sourcePort, destinationPort, isMirrored)
    }

    /// `my address[161] -> 192.0.2.0/24 udp, mirrored`.
    public var description: String {
        let side = { (address: Address, port: UInt16?) in port.map { "\(address)[\($0)]" } ?? "\(address)" }
        return "\(side(source, sourcePort)) \(isMirrored ? "<->" : "->") \(side(destination, destinationPort)) "
            + transport.description
    }
}

extension PolicyFilter: CustomStringConvertible {}

/// An IP protocol, by one of the names that a filter may have, or by its number.
public struct PolicyProtocol: Hashable, Sendable, CustomStringConvertible {
    /// The number; nil for any protocol.
    public let number: UInt8?

    /// Every protocol.
    public static let any = PolicyProtocol(number: nil)
    /// TCP.
    public static let tcp = PolicyProtocol(number: IPProtocol.tcp)
    /// UDP.
    public static let udp = PolicyProtocol(number: IPProtocol.udp)

    /// The protocol `number`, or any.
    public init(number: UInt8?) { self.number = number }

    /// What the names mean (IANA's assigned numbers). `raw` is 255, as in Windows' table.
    public static let names: [(name: String, number: UInt8)] = [
        ("icmp", 1), ("igmp", 2), ("ipip", 4), ("tcp", 6), ("egp", 8), ("udp", 17), ("hmp", 20), ("xns-idp", 22),
        ("rdp", 27), ("dccp", 33), ("ipv6", 41), ("rsvp", 46), ("gre", 47), ("esp", 50), ("ah", 51), ("icmpv6", 58),
        ("rvd", 66), ("ospf", 89), ("l2tp", 115), ("sctp", 132), ("raw", 255),
    ]

    /// The protocol that `text` names: `any`, one of ``names``, a number, or `other NUMBER`. Nil for anything else, and for
    /// `other` alone, which leaves open which.
    public init?(_ text: String) {
        var text = Substring(text.lowercased())
        if text == "any" {
            self = .any
        } else if let known = Self.names.first(where: { $0.name == text }) {
            self.init(number: known.number)
        } else {
            if text.hasPrefix("other ") { text = text.dropFirst(6) }
            // `UInt8` alone would take a sign too.
            guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt8(text) else {
                return nil
            }
            self.init(number: number)
        }
    }

    /// Whether its packets have ports.
    public var hasPorts: Bool { [6, 17, 33, 132, 136].contains(number) }

    /// The name, or `other NUMBER` where it has none.
    public var description: String {
        guard let number else { return "any" }
        return Self.names.first { $0.number == number }?.name ?? "other \(number)"
    }
}

/// Filters under a name.
public struct FilterList: Hashable, Sendable {
    /// What the operator calls it.
    public var name: String
    /// The filters; a packet is of the list if it is of one of them.
    public var filters: [PolicyFilter]

    /// The filters `filters` under a name.
    public init(_ name: String, _ filters: [PolicyFilter]) { (self.name, self.filters) = (name, filters) }

    /// All that the host itself sends and gets: Windows' predefined list.
    public static let allIPTraffic = FilterList("all-ip-traffic", [PolicyFilter(from: .mine, to: .any)])
    /// ICMP of the host's: Windows' predefined list.
    public static let allICMPTraffic = FilterList(
        "all-icmp-traffic",
        [
            PolicyFilter(from: .mine, to: .any, transport: PolicyProtocol(number: 1)),
            PolicyFilter(from: .mine, to: .any, transport: PolicyProtocol(number: 58)),
        ])
    /// What L2TP brings by itself: its port of ours (RFC 3193 section 4).
    public static let l2tp = FilterList(
        "l2tp", [PolicyFilter(from: .mine, to: .any, transport: .udp, sourcePort: 1701)])

    /// Those that need not be defined.
    public static let predefined = [allIPTraffic, allICMPTraffic, l2tp]
}
