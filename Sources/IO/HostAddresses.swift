import Glibc
import Wire

/// The addresses of this machine.
public struct HostAddresses: Hashable, Sendable {
    /// All of them, of both IP versions, in order.
    public var addresses: [IPAddress] = []
    /// The broadcast addresses of its IPv4 networks.
    public var broadcasts: [IPv4Address] = []

    /// Those of interfaces as the system lists them: each with its broadcast address, where it has one.
    ///
    /// An interface that was given none is said to have its own address as one (getifaddrs).
    init(_ interfaces: [(address: IPAddress, broadcast: IPv4Address?)]) {
        for (address, _) in interfaces where !addresses.contains(address) { addresses.append(address) }
        for case (_, let broadcast?) in interfaces
        where !addresses.contains(.v4(broadcast)) && !broadcasts.contains(broadcast) {
            broadcasts.append(broadcast)
        }
    }

    /// Those that it has now; none where the system does not tell.
    public static var current: HostAddresses {
        var interfaces: [(address: IPAddress, broadcast: IPv4Address?)] = []
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return HostAddresses([]) }
        defer { freeifaddrs(first) }
        var next = first
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let address = address(entry.ifa_addr) else { continue }
            var broadcast: IPv4Address?
            if entry.ifa_flags & UInt32(IFF_BROADCAST) != 0,
                case .v4(let found)? = self.address(entry.ifa_ifu.ifu_broadaddr)
            {
                broadcast = found
            }
            interfaces.append((address, broadcast))
        }
        return HostAddresses(interfaces)
    }

    private static func address(_ pointer: UnsafeMutablePointer<sockaddr>?) -> IPAddress? {
        guard let pointer else { return nil }
        // By their places, which are part of the system's interface: the structures' members are SwiftNIO's own.
        let raw = UnsafeRawPointer(pointer)
        switch Int32(raw.loadUnaligned(as: UInt16.self)) {
        case AF_INET: return .v4(IPv4Address(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self))))
        case AF_INET6:
            let half = { (offset: Int) in
                UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            return .v6(IPv6Address(high: half(8), low: half(16)))
        default: return nil
        }
    }
}
