import CNetlink
import Glibc
import Wire

/// A rule of the system's routing policy (ip-rule(8)), of one IP version: which table is asked, in the order of priorities.
public struct RoutingRule: Hashable, Sendable {
    /// What becomes of a packet that the rule is for.
    public enum Action: Hashable, Sendable {
        /// A route is looked for in a table. Where there is none, the next rule decides.
        case lookUp(table: UInt32)
        /// The same, but a route to a network of this many bits or fewer does not count.
        case lookUpLonger(than: Int, table: UInt32)
        /// There is no way.
        case unreachable
        /// The rule with that priority is next. Where there is none, the next rule is.
        case skip(to: UInt32)
        /// Nothing: the next rule decides. It is there to be skipped to.
        case pass
    }

    /// The IP version.
    public var version: UInt8
    /// The lower, the earlier. The main table has 32766.
    public var priority: UInt32
    /// The mark of the packets that it is for; 0 for all.
    public var mark: UInt32
    /// Whether it is only for what the machine itself sends.
    public var isOwn = false
    /// The network that the packets come from; nil for any. The source of a packet whose socket has no address yet is
    /// none, and in no network.
    public var source: AddressRange?
    /// The network that they go to; nil for any.
    public var destination: AddressRange?
    /// Their IP protocol; nil for any.
    public var protocolNumber: UInt8?
    /// Their source port; nil for any.
    public var sourcePorts: ClosedRange<UInt16>?
    /// Their destination port; nil for any.
    public var destinationPorts: ClosedRange<UInt16>?
    /// What it says.
    public var action: Action

    /// A rule for packets of an IP version with a mark.
    public init(version: UInt8, priority: UInt32, mark: UInt32 = 0, _ action: Action) {
        (self.version, self.priority, self.mark, self.action) = (version, priority, mark, action)
    }
}

extension Netlink {
    /// Adds a rule. One that exists already is an error (``NetlinkError/Reason/exists``).
    public func add(_ rule: RoutingRule) throws(NetlinkError) { try change(rule, isAdded: true) }

    /// Removes a rule.
    public func remove(_ rule: RoutingRule) throws(NetlinkError) { try change(rule, isAdded: false) }

    private func change(_ rule: RoutingRule, isAdded: Bool) throws(NetlinkError) {
        let operation = "\(isAdded ? "add" : "remove") routing rule \(rule.priority)"
        var message = culvert_netlink_rule()
        message.family = rule.version == 6 ? AF_INET6 : AF_INET
        message.priority = rule.priority
        message.protocol = Route.culvert
        message.mark = rule.mark
        message.is_own = rule.isOwn ? 1 : 0
        message.suppressed = -1
        switch rule.action {
        case .lookUp(let table): (message.action, message.table) = (UInt8(FR_ACT_TO_TBL), table)
        case .lookUpLonger(let length, let table):
            (message.action, message.table, message.suppressed) = (UInt8(FR_ACT_TO_TBL), table, Int32(length))
        case .unreachable: message.action = UInt8(FR_ACT_UNREACHABLE)
        case .skip(let priority): (message.action, message.target) = (UInt8(FR_ACT_GOTO), priority)
        case .pass: message.action = UInt8(FR_ACT_NOP)
        }
        let networks = [rule.source, rule.destination].compactMap { $0 }
        guard networks.allSatisfy({ $0.first.version == rule.version && $0.prefixLength != nil }) else {
            throw NetlinkError(operation: "\(operation), whose addresses are no network", number: Int32(NLE_INVAL))
        }
        message.source_bits = Self.bits(of: rule.source, into: &message.source)
        message.destination_bits = Self.bits(of: rule.destination, into: &message.destination)
        message.ip_protocol = rule.protocolNumber ?? 0
        message.source_ports = Self.ports(rule.sourcePorts)
        message.destination_ports = Self.ports(rule.destinationPorts)
        try check(culvert_netlink_change_rule(socket, isAdded ? 1 : 0, &message), operation)
    }

    /// Writes a network's address and returns how many bits it has.
    private static func bits<Octets: BitwiseCopyable>(of network: AddressRange?, into octets: inout Octets) -> UInt8 {
        guard let network, let length = network.prefixLength else { return 0 }
        withUnsafeMutableBytes(of: &octets) { $0.copyBytes(from: network.first.octets) }
        return UInt8(length)
    }

    private static func ports(_ range: ClosedRange<UInt16>?) -> fib_rule_port_range {
        range.map { fib_rule_port_range(start: $0.lowerBound, end: $0.upperBound) } ?? fib_rule_port_range()
    }

    /// Removes every rule that Culvert made, this process or one before it. Returns how many there were.
    @discardableResult
    public func removeOwnRules() throws(NetlinkError) -> Int {
        var removed = 0
        for family in [AF_INET, AF_INET6] {
            var cache: OpaquePointer?
            var attempts = 0
            try retrying("list routing rules", &attempts) { rtnl_rule_alloc_cache(socket, family, &cache) }
            guard let cache else { continue }
            defer { nl_cache_free(cache) }
            var next = nl_cache_get_first(cache)
            while let rule = next {
                next = nl_cache_get_next(rule)
                var number: UInt8 = 0
                guard rtnl_rule_get_protocol(rule, &number) >= 0, number == Route.culvert else { continue }
                try check(rtnl_rule_delete(socket, rule, 0), "remove a routing rule")
                removed += 1
            }
        }
        return removed
    }
}
