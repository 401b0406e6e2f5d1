import Glibc
import NIOCore
import NIOPosix
import Wire

/// Names and addresses of hosts, by the system's own resolver.
enum NameResolver {
    /// The addresses of `host`, which may be one itself, in the system's order of preference; none where there are none.
    /// Waits for name servers as long as the system is configured to: not for the control loop.
    static func addresses(of host: String, port: UInt16) -> [SocketAddress] {
        (try? resolve(host, port: port)) ?? []
    }

    /// The same, with the reason where there are none.
    static func resolve(_ host: String, port: UInt16 = 0) throws(NameError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        let outcome = getaddrinfo(host, nil, &hints, &first)
        guard outcome == 0 else { throw NameError(description: String(cString: gai_strerror(outcome))) }
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

/// Why a name has no addresses, in the system's words.
public struct NameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason.
    public let description: String

    /// A reason.
    public init(description: String) { self.description = description }
}

/// Looks names up without keeping anybody waiting: on threads of its own, since a name server may take its time.
public final class NameLookup: Sendable {
    /// How many names are looked up at once.
    public static let threads = 2

    private let loop: ControlLoop
    private let pool = NIOThreadPool(numberOfThreads: threads)
    private let resolve: @Sendable (String) throws(NameError) -> [IPAddress]

    /// Looks up by the system's resolver, for who lives on `loop`.
    public convenience init(on loop: ControlLoop) {
        self.init(on: loop) { (name) throws(NameError) in try NameResolver.resolve(name).compactMap(IPAddress.init) }
    }

    /// The same by `resolve`, which may wait.
    public init(on loop: ControlLoop, resolve: @escaping @Sendable (String) throws(NameError) -> [IPAddress]) {
        (self.loop, self.resolve) = (loop, resolve)
        pool.start()
    }

    /// Runs `then` on the loop with the addresses of `name`; after ``close()`` not any more.
    public func addresses(of name: String, then: @escaping @Sendable (Result<[IPAddress], NameError>) -> Void) {
        let resolve = resolve
        pool.runIfActive(eventLoop: loop.eventLoop) {
            Result { () throws(NameError) in try resolve(name) }
        }.whenSuccess(then)
    }

    /// Looks nothing up any more; who waits is not told.
    public func close() { pool.shutdownGracefully { _ in } }
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
