import CLinux
import Glibc
import Wire

/// A UDP socket for batches of packets, owned by one worker. It tells which address of ours each packet came to, and
/// sends from the address that the packet names; packets too large for the outer path are fragmented, not refused.
public final class UDPSocket: DatagramSocket {
    /// Which of the offloads that were wanted the system does not have for sockets.
    public let missing: Offloads

    /// Opens a socket on `port` (0: a free one) of `address`, for batches of at most `batchCapacity` packets.
    ///
    /// With `sharingPort`, several sockets of this user share the port, each packet going to one of them: see
    /// ``steer(by:)``. By `offloads`, datagrams of one flow and size cross the border to the system together, where it can.
    public init(
        address: IPAddress = .v4(.any), port: UInt16, sharingPort: Bool = false, batchCapacity: Int = 64,
        offloads: Offloads = .none
    ) throws(SystemError) {
        let version: UInt8
        let (high, low): (UInt64, UInt64)
        switch address {
        case .v4(let address): (version, high, low) = (4, 0, UInt64(address.value))
        case .v6(let address): (version, high, low) = (6, address.high, address.low)
        }
        let descriptor = try checked(culvert_socket(version, false, 0), "open a UDP socket")
        let socket = FileDescriptor(owning: descriptor)
        if sharingPort { try checked(culvert_set_reuse_port(descriptor), "share UDP port \(port)") }
        var there = offloads.intersection([.udpCoalescing, .udpSegmentation])
        let wanted = there
        if there.contains(.udpCoalescing), culvert_set_receive_coalescing(descriptor) < 0 {
            there.remove(.udpCoalescing)
        }
        if there.contains(.udpSegmentation), culvert_can_segment(descriptor) < 0 { there.remove(.udpSegmentation) }
        missing = wanted.subtracting(there)
        try super.init(
            socket: socket, version: version, header: .none, batchCapacity: batchCapacity,
            isCoalesced: there.contains(.udpCoalescing))
        if there.contains(.udpSegmentation) { startSegmentation() }
        let returned = culvert_bind(descriptor, version, high, low, port)
        try checked(
            returned, "bind UDP \(Endpoint(address: address, port: port))", advice: Self.advice(for: -returned))
    }

    private static func advice(for number: Int32) -> String? {
        switch number {
        case EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE"
        case EADDRINUSE: "another program on this machine serves this port; stop it first"
        default: nil
        }
    }

    /// Opens another socket for what goes out from `port`, which others share who receive: of IPv4, with "don't fragment" in
    /// each header, which the system sets for a socket and not for a packet. To be opened after they are steered.
    public static func unfragmented(
        port: UInt16, batchCapacity: Int = 64, offloads: Offloads = .none
    ) throws(SystemError) -> UDPSocket {
        let socket = try UDPSocket(
            port: port, sharingPort: true, batchCapacity: batchCapacity, offloads: offloads.subtracting(.udpCoalescing))
        // No worker has the number that steering would choose it by; what came before is nobody's.
        try socket.closeToIncoming()
        try checked(culvert_set_fragmentation_forbidden(socket.descriptor), "forbid fragmentation")
        return socket
    }

    /// The port that the socket is bound to.
    public var port: UInt16 { UInt16(truncatingIfNeeded: max(culvert_bound_port(descriptor), 0)) }

    /// Makes the kernel choose among all sockets that share this one's port, the one that was bound first being worker 0.
    /// To be called on any of them, when all are bound.
    public func steer(by steering: WorkerSteering) throws(SystemError) {
        let program = steering.socketChoice
        try checked(
            culvert_attach_reuse_port_filter(descriptor, program, UInt32(program.count)), "steer packets to workers")
    }
}
