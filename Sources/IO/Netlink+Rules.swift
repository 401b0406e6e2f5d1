import CNetlink
import Glibc

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
    }

    /// The IP version.
    public var version: UInt8
    /// The lower, the earlier. The main table has 32766.
    public var priority: UInt32
    /// The mark of the packets that it is for; 0 for all.
    public var mark: UInt32
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
        let (table, action, suppressed): (UInt32, Int, Int) =
            switch rule.action {
            case .lookUp(let table): (table, FR_ACT_TO_TBL, -1)
            case .lookUpLonger(let length, let table): (table, FR_ACT_TO_TBL, length)
            case .unreachable: (0, FR_ACT_UNREACHABLE, -1)
            }
        try check(
            culvert_netlink_change_rule(
                socket, isAdded ? 1 : 0, rule.version == 6 ? AF_INET6 : AF_INET, rule.priority, rule.mark, table,
                UInt8(action), Int32(suppressed), Route.culvert),
            "\(isAdded ? "add" : "remove") routing rule \(rule.priority)")
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
