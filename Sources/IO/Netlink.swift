import CNetlink
import Glibc
import Wire

/// What went wrong when the system's interfaces, addresses or routes were to be read or changed.
public struct NetlinkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Why it went wrong, as far as callers act on it.
    public enum Reason: Hashable, Sendable {
        /// The capability CAP_NET_ADMIN is missing.
        case notPermitted
        /// There is no such interface, address or route.
        case notFound
        /// There is such an address or route already.
        case exists
        /// Anything else.
        case other
    }

    /// What was being done, as an operator reads it.
    public let operation: String
    /// The library's error number (NLE_...), positive.
    public let number: Int32

    /// Why.
    public var reason: Reason {
        switch number {
        case NLE_PERM, NLE_NOACCESS: .notPermitted
        case NLE_OBJ_NOTFOUND, NLE_NODEV, NLE_NOADDR: .notFound
        case NLE_EXIST: .exists
        default: .other
        }
    }

    /// The operation, the library's words for the error and our advice.
    public var description: String {
        let words = nl_geterror(number).map { String(cString: $0) } ?? "error \(number)"
        return reason == .notPermitted
            ? "\(operation): \(words) (needs the capability CAP_NET_ADMIN)" : "\(operation): \(words)"
    }
}

/// A network interface of this system.
public struct NetworkInterface: Hashable, Sendable {
    /// The system's number for it.
    public let index: Int32
    /// Its name.
    public let name: String
    /// The largest packet that goes through it.
    public let mtuBytes: Int
    /// How many packets its queue holds.
    public let transmitQueueLength: Int
    /// Whether it is switched on.
    public let isUp: Bool
}

/// An IP address of this system.
public struct InterfaceAddress: Hashable, Sendable {
    /// The interface that it is on.
    public let interfaceIndex: Int32
    /// The address.
    public let address: IPAddress
    /// How many leading bits the interface's network has.
    public let prefixLength: Int
    /// The other end, on a point-to-point interface that has one.
    public let peer: IPAddress?

    /// `address` on an interface, which is point-to-point if there is a `peer`.
    public init(interfaceIndex: Int32, address: IPAddress, prefixLength: Int, peer: IPAddress? = nil) {
        (self.interfaceIndex, self.address, self.prefixLength) = (interfaceIndex, address, prefixLength)
        self.peer = peer
    }
}

/// A route of either IP version.
public struct Route: Hashable, Sendable {
    /// The protocol number (rtm_protocol) of all routes that Culvert makes. `ip route show proto 171` lists them.
    public static let culvert: UInt8 = 171

    /// Where it leads: a network.
    public var destination: AddressRange
    /// The interface that it goes out of.
    public var interfaceIndex: Int32
    /// The router that it goes through, if it is not reached directly.
    public var gateway: IPAddress?
    /// The address of ours that connections by it come from, if they do not choose one.
    public var source: IPAddress?
    /// The lower, the better.
    public var metric: UInt32
    /// Who made it: ``culvert``, or another program's number.
    public var `protocol`: UInt8
    /// The table it stands in.
    public var table = Route.mainTable
    /// The table that everything is looked up in, unless rules say otherwise.
    public static let mainTable: UInt32 = 254  // RT_TABLE_MAIN

    /// A route to `destination` out of an interface.
    public init(
        to destination: AddressRange, interfaceIndex: Int32, gateway: IPAddress? = nil, source: IPAddress? = nil,
        metric: UInt32 = 0, protocol: UInt8 = Route.culvert
    ) {
        self.source = source
        (self.destination, self.interfaceIndex, self.gateway) = (destination, interfaceIndex, gateway)
        (self.metric, self.protocol) = (metric, `protocol`)
    }

    /// A route to an IPv4 network.
    public init(
        to network: IPv4Network, interfaceIndex: Int32, gateway: IPAddress? = nil, metric: UInt32 = 0,
        protocol: UInt8 = Route.culvert
    ) {
        self.init(
            to: AddressRange(network), interfaceIndex: interfaceIndex, gateway: gateway, metric: metric,
            protocol: `protocol`)
    }
}

/// The system's interfaces, addresses and routes, by way of libnl. One thread at a time; calls wait for the kernel's
/// answer, which takes microseconds.
public final class Netlink {
    /// How often a list is asked for again when it changed while it was read.
    private static let listAttemptsMaximum = 8

    let socket: OpaquePointer

    /// Connects to the kernel.
    public init() throws(NetlinkError) {
        guard let socket = nl_socket_alloc() else {
            throw NetlinkError(operation: "allocate a netlink socket", number: Int32(NLE_NOMEM))
        }
        self.socket = socket
        try check(nl_connect(socket, NETLINK_ROUTE), "open a netlink socket")
    }

    deinit { nl_socket_free(socket) }

    // MARK: Interfaces

    /// The interface `name`.
    public func interface(named name: String) throws(NetlinkError) -> NetworkInterface {
        try interface(index: 0, name: name, "find interface \(name)")
    }

    /// The interface with number `index`.
    public func interface(index: Int32) throws(NetlinkError) -> NetworkInterface {
        try interface(index: index, name: nil, "find interface number \(index)")
    }

    private func interface(index: Int32, name: String?, _ operation: String) throws(NetlinkError) -> NetworkInterface {
        var found: OpaquePointer?
        try check(rtnl_link_get_kernel(socket, index, name, &found), operation)
        guard let found else { throw NetlinkError(operation: operation, number: Int32(NLE_OBJ_NOTFOUND)) }
        defer { rtnl_link_put(found) }
        return NetworkInterface(
            index: rtnl_link_get_ifindex(found),
            name: rtnl_link_get_name(found).map { String(cString: $0) } ?? "",
            mtuBytes: Int(rtnl_link_get_mtu(found)),
            transmitQueueLength: Int(rtnl_link_get_txqlen(found)),
            isUp: rtnl_link_get_flags(found) & Self.upFlag != 0)
    }

    /// Sets how large packets through interface `index` may be, how many its queue holds, and switches it on.
    public func bringUp(
        interface index: Int32, mtuBytes: Int, transmitQueueLength: Int = 1000
    ) throws(NetlinkError) {
        let operation = "set up interface number \(index)"
        guard let present = rtnl_link_alloc(), let changes = rtnl_link_alloc() else {
            throw NetlinkError(operation: operation, number: Int32(NLE_NOMEM))
        }
        defer {
            rtnl_link_put(present)
            rtnl_link_put(changes)
        }
        rtnl_link_set_ifindex(present, index)
        rtnl_link_set_mtu(changes, UInt32(clamping: mtuBytes))
        rtnl_link_set_txqlen(changes, UInt32(clamping: transmitQueueLength))
        rtnl_link_set_flags(changes, Self.upFlag)
        try check(rtnl_link_change(socket, present, changes, 0), operation)
    }

    /// Removes interface `index` from the system.
    public func remove(interface index: Int32) throws(NetlinkError) {
        let operation = "remove interface number \(index)"
        guard let present = rtnl_link_alloc() else {
            throw NetlinkError(operation: operation, number: Int32(NLE_NOMEM))
        }
        defer { rtnl_link_put(present) }
        rtnl_link_set_ifindex(present, index)
        try check(rtnl_link_delete(socket, present), operation)
    }

    private static let upFlag = UInt32(rtnl_link_str2flags("up"))

    // MARK: Addresses

    /// Gives an interface an address.
    public func add(_ address: InterfaceAddress) throws(NetlinkError) {
        let operation = "add address \(address.address)/\(address.prefixLength)"
        guard let entry = rtnl_addr_alloc() else {
            throw NetlinkError(operation: operation, number: Int32(NLE_NOMEM))
        }
        defer { rtnl_addr_put(entry) }
        rtnl_addr_set_ifindex(entry, address.interfaceIndex)
        let local = try AddressObject(address.address, prefixLength: address.prefixLength)
        try check(rtnl_addr_set_local(entry, local.object), operation)
        if let peer = address.peer {
            let peer = try AddressObject(peer, prefixLength: address.prefixLength)
            try check(rtnl_addr_set_peer(entry, peer.object), operation)
        }
        try check(rtnl_addr_add(socket, entry, 0), operation)
    }

    /// All IP addresses of this system.
    public func addresses() throws(NetlinkError) -> [InterfaceAddress] {
        var cache: OpaquePointer?
        var attempts = 0
        try retrying("list addresses", &attempts) { rtnl_addr_alloc_cache(socket, &cache) }
        guard let cache else { return [] }
        defer { nl_cache_free(cache) }
        var addresses: [InterfaceAddress] = []
        var next = nl_cache_get_first(cache)
        while let entry = next {
            next = nl_cache_get_next(entry)
            guard let local = rtnl_addr_get_local(entry), let address = IPAddress(local) else { continue }
            addresses.append(
                InterfaceAddress(
                    interfaceIndex: rtnl_addr_get_ifindex(entry), address: address,
                    prefixLength: Int(rtnl_addr_get_prefixlen(entry)),
                    peer: rtnl_addr_get_peer(entry).flatMap(IPAddress.init)))
        }
        return addresses
    }

    // MARK: Routes

    /// Adds `route`. One that exists already is an error (``NetlinkError/Reason/exists``).
    public func add(_ route: Route) throws(NetlinkError) {
        let object = try RouteObject(route)
        try check(rtnl_route_add(socket, object.object, 0), "add route to \(route.destination)")
    }

    /// Adds `route`, in the place of another one to the same destination with the same metric, if there is one.
    public func replace(_ route: Route) throws(NetlinkError) {
        let object = try RouteObject(route)
        try check(rtnl_route_add(socket, object.object, Self.replaceFlag), "set route to \(route.destination)")
    }

    private static let replaceFlag: Int32 = 0x100  // NLM_F_REPLACE

    /// Removes `route`.
    public func remove(_ route: Route) throws(NetlinkError) {
        let object = try RouteObject(route)
        try check(rtnl_route_delete(socket, object.object, 0), "remove route to \(route.destination)")
    }

    /// The routes of both IP versions that the program with number `protocol` made: ours, or with nil all, in the main
    /// table. Routes with several next hops and those that lead nowhere (blackhole, ...) are left out.
    public func routes(by protocol: UInt8? = Route.culvert) throws(NetlinkError) -> [Route] {
        let list = RouteList(protocol: `protocol`)
        culvert_netlink_set_filtering(socket, 1)
        nl_socket_modify_cb(
            socket, NL_CB_VALID, NL_CB_CUSTOM,
            { message, argument in
                guard let message, let argument else { return Int32(NL_OK.rawValue) }
                Unmanaged<RouteList>.fromOpaque(argument).takeUnretainedValue().append(message)
                return Int32(NL_OK.rawValue)
            }, Unmanaged.passUnretained(list).toOpaque())
        defer {
            nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_DEFAULT, nil, nil)
            culvert_netlink_set_filtering(socket, 0)
        }
        var routes: [Route] = []
        for family in [AF_INET, AF_INET6] {
            var attempts = 0
            try retrying("list routes", &attempts) {
                list.routes = []
                let sent = culvert_netlink_request_routes(socket, family, `protocol` ?? 0)
                return sent < 0 ? sent : nl_recvmsgs_default(socket)
            }
            routes += list.routes
        }
        return routes
    }

    /// Removes every route that Culvert made, this process or one before it. Returns how many there were.
    @discardableResult
    public func removeOwnRoutes() throws(NetlinkError) -> Int {
        let own = try routes()
        for route in own {
            do {
                try remove(route)
            } catch {
                // It may have gone since we looked, with its interface.
                guard error.reason == .notFound else { throw error }
            }
        }
        return own.count
    }

    /// The best default route of IPv4, if there is one.
    public func defaultRoute() throws(NetlinkError) -> Route? {
        try routes(by: nil).filter { $0.destination == .anyIPv4 }.min { $0.metric < $1.metric }
    }

    // MARK: Errors

    func retrying(
        _ operation: String, _ attempts: inout Int, _ request: () -> Int32
    ) throws(NetlinkError) {
        while true {
            let returned = request()
            attempts += 1
            // The list changed while it was read.
            if returned == -Int32(NLE_DUMP_INTR), attempts < Self.listAttemptsMaximum { continue }
            return try check(returned, operation)
        }
    }

    func check(_ returned: Int32, _ operation: @autoclosure () -> String) throws(NetlinkError) {
        guard returned < 0 else { return }
        throw NetlinkError(operation: operation(), number: -returned)
    }
}

/// The routes of a list that is being received.
private final class RouteList {
    let `protocol`: UInt8?
    var routes: [Route] = []

    init(protocol: UInt8?) { self.protocol = `protocol` }

    func append(_ message: OpaquePointer) {
        var parsed: OpaquePointer?
        guard rtnl_route_parse(nlmsg_hdr(message), &parsed) >= 0, let parsed else { return }
        defer { rtnl_route_put(parsed) }
        guard let route = Route(parsed), `protocol` == nil || `protocol` == route.protocol else { return }
        routes.append(route)
    }
}

extension Route {
    /// The route that libnl read, if it is a plain one.
    fileprivate init?(_ route: OpaquePointer) {
        guard
            rtnl_route_get_table(route) == Route.mainTable,
            rtnl_route_get_type(route) == UInt8(RTN_UNICAST), rtnl_route_get_nnexthops(route) == 1,
            let hop = rtnl_route_nexthop_n(route, 0), let destination = rtnl_route_get_dst(route),
            let network = AddressRange(
                IPAddress(destination) ?? (rtnl_route_get_family(route) == UInt8(AF_INET6) ? .v6(.any) : .v4(.any)),
                prefixLength: Int(nl_addr_get_prefixlen(destination)))
        else { return nil }
        self.init(
            to: network, interfaceIndex: rtnl_route_nh_get_ifindex(hop),
            gateway: rtnl_route_nh_get_gateway(hop).flatMap(IPAddress.init),
            source: rtnl_route_get_pref_src(route).flatMap(IPAddress.init), metric: rtnl_route_get_priority(route),
            protocol: rtnl_route_get_protocol(route))
    }
}

extension IPAddress {
    /// The address in libnl's `address`.
    init?(_ address: OpaquePointer) {
        guard let bytes = nl_addr_get_binary_addr(address).map({ UnsafeRawPointer($0) }) else { return nil }
        switch (nl_addr_get_family(address), nl_addr_get_len(address)) {
        case (AF_INET, 4): self = .v4(IPv4Address(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))))
        case (AF_INET6, 16):
            let half = { UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self)) }
            self = .v6(IPv6Address(high: half(0), low: half(8)))
        default: return nil
        }
    }
}

/// The owner of an address of libnl.
struct AddressObject: ~Copyable {
    let object: OpaquePointer

    init(_ address: IPAddress, prefixLength: Int? = nil) throws(NetlinkError) {
        var octets = address.octets
        let family = address.version == 6 ? AF_INET6 : AF_INET
        guard let object = nl_addr_build(family, &octets, octets.count) else {
            throw NetlinkError(operation: "allocate an address", number: Int32(NLE_NOMEM))
        }
        nl_addr_set_prefixlen(object, Int32(prefixLength ?? octets.count * 8))
        self.object = object
    }

    deinit { nl_addr_put(object) }
}

/// The owner of a route of libnl.
private struct RouteObject: ~Copyable {
    let object: OpaquePointer

    init(_ route: Route) throws(NetlinkError) {
        let operation = "allocate a route"
        guard let prefixLength = route.destination.prefixLength else {
            throw NetlinkError(
                operation: "route to \(route.destination), which is no network", number: Int32(NLE_INVAL))
        }
        let destination = try AddressObject(route.destination.first, prefixLength: prefixLength)
        let gateway = try AddressObject(route.gateway ?? .v4(.any))
        let source = try AddressObject(route.source ?? .v4(.any))
        guard let object = rtnl_route_alloc() else {
            throw NetlinkError(operation: operation, number: Int32(NLE_NOMEM))
        }
        guard let hop = rtnl_route_nh_alloc() else {
            rtnl_route_put(object)
            throw NetlinkError(operation: operation, number: Int32(NLE_NOMEM))
        }
        rtnl_route_set_family(object, UInt8(route.destination.first.version == 6 ? AF_INET6 : AF_INET))
        rtnl_route_set_table(object, route.table)
        rtnl_route_set_protocol(object, route.protocol)
        rtnl_route_set_scope(object, UInt8((route.gateway == nil ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE).rawValue))
        rtnl_route_set_dst(object, destination.object)
        if route.source != nil { rtnl_route_set_pref_src(object, source.object) }
        if route.metric != 0 { rtnl_route_set_priority(object, route.metric) }
        rtnl_route_nh_set_ifindex(hop, route.interfaceIndex)
        if route.gateway != nil { rtnl_route_nh_set_gateway(hop, gateway.object) }
        rtnl_route_add_nexthop(object, hop)
        self.object = object
    }

    deinit { rtnl_route_put(object) }
}
