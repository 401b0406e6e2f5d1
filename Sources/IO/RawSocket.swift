import CLinux
import Glibc
import Wire

/// A raw socket of one IP protocol and version, for batches of packets without their IP headers, owned by one worker. The
/// kernel has put fragments together, and writes the IP header of what we send. Remote ports are 0.
public final class RawSocket: DatagramSocket {
    private let version: UInt8

    /// Opens a socket for IP protocol `protocol`, for batches of at most `batchCapacity` packets.
    ///
    /// The kernel gives every raw socket of the protocol a copy of each packet: with several workers, each calls
    /// ``accept(only:by:)``.
    ///
    /// - Parameter keepsHeader: The IPv4 header of what comes in stays right in front of the packet, for AH:
    ///   `outer.headerLength` tells its length. That of IPv6 the kernel keeps to itself.
    public init(
        protocol number: UInt8, version: UInt8 = 4, keepsHeader: Bool = false, batchCapacity: Int = 64
    ) throws(SystemError) {
        let returned = culvert_socket(version, true, Int32(number))
        let descriptor = try checked(
            returned, "open a raw socket for IP protocol \(number)",
            advice: returned == -EPERM ? "raw sockets need the capability CAP_NET_RAW" : nil)
        let socket = FileDescriptor(owning: descriptor)
        self.version = version
        let header: ReceivedHeader = version == 6 ? .none : keepsHeader ? .kept : .removed
        try super.init(socket: socket, version: version, header: header, batchCapacity: batchCapacity)
    }

    /// Makes the kernel drop what is not for `worker`. What arrived before the call still comes.
    public func accept(only worker: Int, by steering: WorkerSteering) throws(SystemError) {
        let program = steering.acceptance(of: worker, version: version)
        try checked(culvert_attach_filter(descriptor, program, UInt32(program.count)), "steer packets to workers")
    }
}
