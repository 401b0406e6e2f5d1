import CLinux
import Glibc
import Wire

/// What the gateway needs to know of the system it runs on, and what it asks of it at its start.
public enum HostSystem {
    /// Whether the system forwards IPv4 packets from one interface to another; nil if it does not say.
    public static var ipForwardingIsOn: Bool? { digit(of: "ipv4/ip_forward").map { $0 != UInt8(ascii: "0") } }

    /// Whether the system forwards IPv6 packets; nil if it does not say, as where it has no IPv6.
    public static var ipv6ForwardingIsOn: Bool? {
        digit(of: "ipv6/conf/all/forwarding").map { $0 != UInt8(ascii: "0") }
    }

    /// Whether sockets of IPv6 can be made and have an address to speak from.
    public static var hasIPv6: Bool {
        digit(of: "ipv6/conf/all/disable_ipv6") == UInt8(ascii: "0")
            && (try? UDPSocket(address: .v6(.any), port: 0, batchCapacity: 1)) != nil
    }

    /// The interfaces on which packets of IPv4 come in only where their source is reached by the same one (RFC 3704 section
    /// 2.2). Of an interface's own setting and that for all, the larger counts.
    public static var strictReversePathFilters: [String] {
        guard let all = digit(of: "ipv4/conf/all/rp_filter"), let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        var names: [String] = []
        var next = list
        while let name = next.pointee.if_name {
            names.append(String(cString: name))
            next += 1
        }
        return names.filter { max(all, digit(of: "ipv4/conf/\($0)/rp_filter") ?? 0) == UInt8(ascii: "1") }
    }

    /// The first character of a setting of the network, of this thread's network namespace.
    private static func digit(of setting: String) -> UInt8? {
        let descriptor = open("/proc/sys/net/\(setting)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) == 1 ? byte : nil
    }

    /// Keeps keys out of core dumps, and other processes of this user out of our memory.
    public static func forbidDumps() throws(SystemError) { try checked(culvert_forbid_dumps(), "forbid core dumps") }

    /// Keeps all memory of the process out of swap, what it gets later among it (mlockall(2)).
    public static func lockMemory() throws(SystemError) {
        try checked(
            culvert_lock_memory(), "lock memory",
            advice: "needs the capability CAP_IPC_LOCK or a larger limit of locked memory (ulimit -l)")
    }

    /// Whether this process may lock as much memory as it will ever have. Where there is a bound, memory is refused at it.
    public static var mayLockAllMemory: Bool {
        if capabilities.contains(.lockMemory) { return true }
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 && limit.rlim_cur == rlim_t.max
    }

    /// Whether the system may write memory to a disk.
    public static var hasSwap: Bool {
        let descriptor = open("/proc/swaps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        // The first line is a heading.
        return bytes.prefix(max(0, count)).count { $0 == UInt8(ascii: "\n") } > 1
    }

    /// The capabilities in effect for this process.
    public static var capabilities: Capabilities {
        var bits: UInt64 = 0
        return culvert_effective_capabilities(&bits) < 0 ? [] : Capabilities(rawValue: bits)
    }
}

/// Rights of a process (capabilities(7)); the raw value is the kernel's set.
public struct Capabilities: OptionSet, Hashable, Sendable, CustomStringConvertible {
    /// The kernel's set.
    public let rawValue: UInt64

    /// The set that the kernel writes as `rawValue`.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Ports below 1024 (CAP_NET_BIND_SERVICE).
    public static let bindService = Capabilities(rawValue: 1 << 10)
    /// Interfaces, addresses, routes and masquerading (CAP_NET_ADMIN).
    public static let netAdmin = Capabilities(rawValue: 1 << 12)
    /// IP protocols other than UDP and TCP (CAP_NET_RAW).
    public static let netRaw = Capabilities(rawValue: 1 << 13)
    /// Any amount of memory that stays out of swap (CAP_IPC_LOCK).
    public static let lockMemory = Capabilities(rawValue: 1 << 14)
    /// All that the gateway ever needs.
    public static let gateway: Capabilities = [.bindService, .netAdmin, .netRaw]

    /// The names of those that the gateway needs.
    public var description: String {
        let names: [(Capabilities, String)] = [
            (.netAdmin, "CAP_NET_ADMIN"), (.netRaw, "CAP_NET_RAW"), (.bindService, "CAP_NET_BIND_SERVICE"),
        ]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }
}

/// The process's standard error.
public enum StandardError {
    /// Writes `text` as it is, in one piece where the system takes it so.
    public static func write(_ text: String) {
        let bytes = [UInt8](text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(STDERR_FILENO, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            guard count > 0 else { return }
            written += count
        }
    }
}
