import IO
import Logging
import Wire

/// The routes of tunnels, in the system's tables. What fails is logged: a tunnel is of use without its route where somebody
/// else sees to that.
///
/// A network that holds the tunnel's own peer would take the tunnel's packets into the tunnel. Its route stands in a table
/// that is not asked about packets with our sockets' mark; of all others it is asked before the main table, which keeps
/// what leads to smaller networks.
final class SystemRoutes {
    /// The mark of what our sockets send (SO_MARK): "CULV".
    static let ownMark: UInt32 = 0x4355_4c56
    /// The priority of the first of our rules, well before that of the main table.
    private static let firstPriority: UInt32 = 17_100
    /// The table of networks of no bits that hold a peer; those of n bits stand in the nth after it.
    private static let firstTable: UInt32 = 17_100

    private let interfaceIndex: Int32
    private let netlink: Netlink
    private let log: Logger
    /// What there is, and in which table.
    private var routes: Set<Route> = []
    private var rules: Set<RoutingRule> = []

    /// Routes out of an interface of ours.
    init(interfaceIndex: Int32, log: Logger) throws(NetlinkError) {
        (self.interfaceIndex, self.log) = (interfaceIndex, log)
        netlink = try Netlink()
        // Of a process that was killed. Its routes went with its interface.
        try netlink.removeOwnRules()
    }

    deinit { _ = try? netlink.removeOwnRules() }

    /// Adds or removes the route to a network, which the machine itself reaches from the first address of its own that is in
    /// `sources`.
    func set(_ network: AddressRange, from sources: [AddressRange], metric: Int, isThere: Bool, holdsPeer: Bool) {
        var route = Route(to: network, interfaceIndex: interfaceIndex, metric: UInt32(clamping: metric))
        do throws(NetlinkError) {
            if isThere {
                if holdsPeer, let length = network.prefixLength { route.table = try table(network, length) }
                let own = HostAddresses.current.addresses
                route.source = own.first { address in sources.contains { $0.contains(address) } }
                try netlink.add(route)
                routes.insert(route)
            } else {
                guard let there = routes.first(where: { $0.destination == network && $0.metric == route.metric }) else {
                    return
                }
                routes.remove(there)
                try netlink.remove(there)
            }
            log.debug("route changed", metadata: ["network": "\(network)", "isThere": "\(isThere)"])
        } catch {
            log.error("a tunnel's route was not changed", metadata: ["network": "\(network)", "error": "\(error)"])
        }
    }

    /// The table of networks of `length` bits that hold a peer. It is asked before those of shorter ones.
    private func table(_ network: AddressRange, _ length: Int) throws(NetlinkError) -> UInt32 {
        let version = network.first.version
        let number = Self.firstTable + UInt32(length)
        let first = Self.firstPriority
        let priority = first + 2 + UInt32(128 - length) * 2
        try require(RoutingRule(version: version, priority: first, mark: Self.ownMark, .lookUp(table: Route.mainTable)))
        try require(RoutingRule(version: version, priority: first + 1, mark: Self.ownMark, .unreachable))
        try require(
            RoutingRule(version: version, priority: priority, .lookUpLonger(than: length, table: Route.mainTable)))
        try require(RoutingRule(version: version, priority: priority + 1, .lookUp(table: number)))
        if version == 4 { warnOfStrictFilters() }
        return number
    }

    private func require(_ rule: RoutingRule) throws(NetlinkError) {
        guard !rules.contains(rule) else { return }
        try netlink.add(rule)
        rules.insert(rule)
    }

    /// What the peer sends comes by another interface than the one that now leads to its address.
    private func warnOfStrictFilters() {
        for interface in HostSystem.strictReversePathFilters {
            log.warning(
                "the reverse path filter of an interface may drop what a tunnel's peer sends: set it to 2 (loose)",
                metadata: ["sysctl": "net.ipv4.conf.\(interface).rp_filter"])
        }
    }
}
