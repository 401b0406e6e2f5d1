import IO
import Logging
import Wire

/// The routes of tunnels, in the system's tables. What fails is logged: a tunnel is of use without its route where somebody
/// else sees to that.
///
/// A network that holds the tunnel's own peer would take the tunnel's packets into the tunnel. Its route stands in a table
/// that is not asked about packets with our sockets' mark; of all others it is asked before the main table, which keeps
/// what leads to smaller networks.
///
/// What the policy secures of the machine's own traffic comes to the TUN interface by rules for its protocol and ports, which
/// stand between these two (``DiversionRules``).
final class SystemRoutes {
    /// The mark of what our sockets send (SO_MARK): "CULV".
    static let ownMark: UInt32 = 0x4355_4c56
    /// The priority of the first of our rules, well before that of the main table.
    private static let firstPriority: UInt32 = 17_100
    /// The priorities of rules for the machine's own traffic.
    private static let diversionPriorities = firstPriority + 2..<firstPriority + 8192
    /// The priority of the first rule of networks that hold a peer.
    private static let networkPriority = diversionPriorities.upperBound + 1
    /// The first table of hosts that are reached from an address of ours.
    private static let firstHostTable: UInt32 = firstTable + 200
    /// The table of networks of no bits that hold a peer; those of n bits stand in the nth after it.
    private static let firstTable: UInt32 = 17_100

    private let interfaceIndex: Int32
    private let netlink: Netlink
    private let log: Logger
    /// What there is, and in which table.
    private var routes: Set<Route> = []
    private var rules: Set<RoutingRule> = []
    /// The rules for the machine's own traffic.
    private var diversions = PlacedDiversions()
    private var hostTables: [IPAddress: UInt32] = [:]

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
                let found = routes.first {
                    $0.destination == network && $0.metric == route.metric && !Self.isHostTable($0.table)
                }
                guard let there = found else { return }
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
        let priority = Self.networkPriority + UInt32(128 - length) * 2
        try requireOwnWay(version)
        try require(
            RoutingRule(version: version, priority: priority, .lookUpLonger(than: length, table: Route.mainTable)))
        try require(RoutingRule(version: version, priority: priority + 1, .lookUp(table: number)))
        if version == 4 { warnOfStrictFilters() }
        return number
    }

    /// What our sockets send goes past all that follows.
    private func requireOwnWay(_ version: UInt8) throws(NetlinkError) {
        let first = Self.firstPriority
        try require(RoutingRule(version: version, priority: first, mark: Self.ownMark, .lookUp(table: Route.mainTable)))
        try require(RoutingRule(version: version, priority: first + 1, mark: Self.ownMark, .unreachable))
    }

    private func require(_ rule: RoutingRule) throws(NetlinkError) {
        guard !rules.contains(rule) else { return }
        try netlink.add(rule)
        rules.insert(rule)
    }

    // MARK: The machine's own traffic

    /// Brings the machine's own traffic to the TUN interface as `wanted` says it, and no other. What counts first is at the
    /// front. To be called now and then, since this depends on the system's routes and addresses, too.
    func divert(_ wanted: [TrafficDiversion]) {
        guard !wanted.isEmpty || !diversions.places.isEmpty else { return }
        let wanted = DiversionRules(wanted, own: HostAddresses.current.addresses) {
            SourceAddress.toward($0, mark: Self.ownMark)
        }
        let (removed, added, result) = diversions.changes(to: wanted.items, in: Self.diversionPriorities)
        if wanted.leftOut > 0 {
            log.error(
                "some of the policy's filters do not bring packets to their SAs: there are too many",
                metadata: ["filters": "\(wanted.leftOut)", "maximum": "\(DiversionRules.maximum)"])
        }
        var errors: [NetlinkError] = []
        for place in removed { attempt(&errors) { () throws(NetlinkError) in try netlink.remove(rule(place)) } }
        // What cannot be there now is tried again with the next call.
        let kept = result.places.filter { place in
            !added.contains(place) || attempt(&errors) { () throws(NetlinkError) in try add(place) }
        }
        diversions = PlacedDiversions(places: kept)
        setHostRoutes(&errors)
        if let error = errors.first {
            log.error(
                "not all that brings packets to their SAs was changed",
                metadata: ["failures": "\(errors.count)", "first": "\(error)"])
        }
        guard !removed.isEmpty || !added.isEmpty else { return }
        log.debug(
            "packets of the machine's own are brought to their SAs", metadata: ["rules": "\(diversions.places.count)"])
    }

    /// Whether `body` succeeds; its error is put to the others.
    @discardableResult
    private func attempt(_ errors: inout [NetlinkError], _ body: () throws(NetlinkError) -> Void) -> Bool {
        do throws(NetlinkError) {
            try body()
            return true
        } catch {
            errors.append(error)
            return false
        }
    }

    private func add(_ place: PlacedDiversions.Place) throws(NetlinkError) {
        let item = place.item
        let version = item.destination.first.version
        try requireOwnWay(version)
        try require(RoutingRule(version: version, priority: Self.diversionPriorities.upperBound, .pass))
        if let address = item.address {
            let route = hostRoute(to: item.destination, from: address)
            if !routes.contains(route) { try netlink.replace(route) }
            if routes.insert(route).inserted, version == 4 { warnOfStrictFilters() }
        }
        try netlink.add(rule(place))
    }

    private func rule(_ place: PlacedDiversions.Place) -> RoutingRule {
        let item = place.item
        // The main table alone would leave out those of tunnels.
        let action = item.address.map { RoutingRule.Action.lookUp(table: hostTable($0)) }
        var rule = RoutingRule(
            version: item.destination.first.version, priority: place.priority,
            action ?? .skip(to: Self.diversionPriorities.upperBound))
        // What others send through this machine has tunnels or none.
        rule.isOwn = true
        rule.source = item.source.map { AddressRange($0) }
        rule.destination = item.destination
        rule.protocolNumber = item.protocolNumber
        rule.sourcePorts = item.sourcePort.map { $0...$0 }
        rule.destinationPorts = item.destinationPort.map { $0...$0 }
        return rule
    }

    private func hostRoute(to destination: AddressRange, from address: IPAddress) -> Route {
        var route = Route(to: destination, interfaceIndex: interfaceIndex, source: address)
        route.table = hostTable(address)
        return route
    }

    private static func isHostTable(_ table: UInt32) -> Bool { table >= firstHostTable }

    private func hostTable(_ address: IPAddress) -> UInt32 {
        if let table = hostTables[address] { return table }
        let used = Set(hostTables.values)
        let table = (Self.firstHostTable...).first { !used.contains($0) } ?? Self.firstHostTable
        hostTables[address] = table
        return table
    }

    /// Removes the routes that no rule leads to any more, and makes the others anew: the system forgets them while the interface
    /// is down, and in IPv6 a route's source address while the machine does not have it.
    private func setHostRoutes(_ errors: inout [NetlinkError]) {
        let needed = Set(
            diversions.places.compactMap { place in
                place.item.address.map { hostRoute(to: place.item.destination, from: $0) }
            })
        for route in routes where Self.isHostTable(route.table) {
            if needed.contains(route) {
                attempt(&errors) { () throws(NetlinkError) in try netlink.replace(route) }
                continue
            }
            routes.remove(route)
            do throws(NetlinkError) {
                try netlink.remove(route)
            } catch {
                // The system may have been before us.
                if error.reason != .notFound { errors.append(error) }
            }
        }
        let used = Set(diversions.places.compactMap(\.item.address))
        hostTables = hostTables.filter { used.contains($0.key) }
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
