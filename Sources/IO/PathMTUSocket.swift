import CLinux
import Glibc
import Wire

/// Hears of packets of ours that were too large for the way: ICMP "fragmentation needed", and "packet too big" in IPv6.
///
/// A socket of its own: errors that come to the data's sockets themselves would take the place of packets there.
public final class PathMTUSocket: Pollable {
    /// How many reports are taken at once. More are no hurry: the next packet that is too large brings another one.
    public static let batchCapacity = 16
    /// A report and what it quotes; routers send no more (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)).
    private static let lengthMaximum = 1500

    private let socket: RawSocket
    private let version: UInt8
    private var batch = PacketBatch(capacity: batchCapacity, packetSizeMaximum: lengthMaximum)

    /// Listens to reports of IP version `version`.
    public init(version: UInt8) throws(SystemError) {
        self.version = version
        socket = try RawSocket(
            protocol: version == 6 ? IPProtocol.icmpv6 : IPProtocol.icmp, version: version,
            batchCapacity: Self.batchCapacity)
        try checked(culvert_accept_too_large_only(socket.descriptor, version), "choose ICMP messages")
    }

    /// The descriptor, for a ``Poller``.
    public var descriptor: Int32 { socket.descriptor }

    /// The reports that have come, at most ``batchCapacity`` of them. What is no report about ESP, AH or UDP is left out.
    public func receive() -> [PathMTUReport] {
        batch.reset()
        _ = socket.receive(into: &batch)
        return (0..<batch.count).compactMap { PathMTUReport(batch[$0], version: version) }
    }
}

extension PathMTU {
    /// What the system believes to fit a path: the MTU of the interface that leads there, or of its route, or what it heard
    /// itself. Nil where there is no way.
    ///
    /// - Parameter mark: The mark of our sockets, if they are marked.
    public static func ofSystem(_ path: OuterPath, mark: UInt32 = 0) -> Int? {
        let there = culvert_datagram(start: nil, count: 0, path: path)
        let mtu = culvert_path_mtu(
            there.version, there.remote_high, there.remote_low, there.local_high, there.local_low, mark)
        return mtu > 0 ? Int(mtu) : nil
    }
}
