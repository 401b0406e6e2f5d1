import Glibc
import NIOCore
import Wire

/// Names and addresses of hosts, by the system's own resolver.
enum NameResolver {
    /// The addresses of `host`, which may be one itself, in the system's order of preference; none where there are none.
    /// Waits for name servers as long as the system is configured to: not for the control loop.
    static func addresses(of host: String, port: UInt16) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &first) == 0 else { return [] }
        defer { freeaddrinfo(first) }
        var addresses: [SocketAddress] = []
        var next = first
        while let entry = next?.pointee {
            if var address = address(entry) {
                address.port = Int(port)
                addresses.append(address)
            }
            next = entry.ai_next
        }
        return addresses
    }

    private static func address(_ entry: addrinfo) -> SocketAddress? {
        guard let raw = UnsafeRawPointer(entry.ai_addr) else { return nil }
        switch entry.ai_family {
        case AF_INET: return SocketAddress(raw.loadUnaligned(as: sockaddr_in.self))
        case AF_INET6: return SocketAddress(raw.loadUnaligned(as: sockaddr_in6.self))
        default: return nil
        }
    }
}

extension IPAddress {
    /// The IP address in `address`; nil for a UNIX socket's.
    init?(_ address: SocketAddress) {
        // By their places, which are part of the system's interface: the structures' members are SwiftNIO's own.
        let octets = address.withSockAddr { pointer, size in Array(UnsafeRawBufferPointer(start: pointer, count: size))
        }
        switch address {
        case .v4 where octets.count >= 8: self = .v4(IPv4Address(octets[4], octets[5], octets[6], octets[7]))
        case .v6 where octets.count >= 24:
            let half = { (bytes: ArraySlice<UInt8>) in bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            self = .v6(IPv6Address(high: half(octets[8..<16]), low: half(octets[16..<24])))
        case .v4, .v6, .unixDomainSocket: return nil
        }
    }
}
