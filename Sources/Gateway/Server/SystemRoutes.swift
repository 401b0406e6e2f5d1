import IO
import Logging
import Wire

/// The routes of tunnels, in the system's table. What fails is logged: a tunnel is of use without its route where somebody
/// else sees to that.
final class SystemRoutes {
    private let interfaceIndex: Int32
    private let netlink: Netlink
    private let log: Logger

    /// Routes out of an interface of ours.
    init(interfaceIndex: Int32, log: Logger) throws(NetlinkError) {
        (self.interfaceIndex, self.log) = (interfaceIndex, log)
        netlink = try Netlink()
    }

    /// Adds or removes the route to a network.
    func set(_ network: AddressRange, metric: Int, isThere: Bool) {
        let route = Route(to: network, interfaceIndex: interfaceIndex, metric: UInt32(clamping: metric))
        do throws(NetlinkError) {
            if isThere { try netlink.add(route) } else { try netlink.remove(route) }
            log.debug("route changed", metadata: ["network": "\(network)", "isThere": "\(isThere)"])
        } catch {
            log.error("a tunnel's route was not changed", metadata: ["network": "\(network)", "error": "\(error)"])
        }
    }
}
