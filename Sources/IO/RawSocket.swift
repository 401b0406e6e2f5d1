import CLinux
import Glibc
import Wire

/// A raw IPv4 socket of one IP protocol, for batches of packets without their IP headers, owned by one worker. The kernel
/// has put fragments together, and writes the IP header of what we send. Remote ports are 0.
public final class RawSocket: DatagramSocket {
    /// Opens a socket for IP protocol `protocol`, for batches of at most `batchCapacity` packets.
    ///
    /// The kernel gives every raw socket of the protocol a copy of each packet: with several workers, each calls
    /// ``accept(only:by:)``.
    public init(protocol number: UInt8, batchCapacity: Int = 64) throws(SystemError) {
        let returned = culvert_socket(4, true, Int32(number))
        let descriptor = try checked(
            returned, "open a raw socket for IP protocol \(number)",
            advice: returned == -EPERM ? "raw sockets need the capability CAP_NET_RAW" : nil)
        let socket = FileDescriptor(owning: descriptor)
        try super.init(socket: socket, version: 4, bringsHeader: true, batchCapacity: batchCapacity)
    }

    /// Makes the kernel drop what is not for `worker`. What arrived before the call still comes.
    public func accept(only worker: Int, by steering: WorkerSteering) throws(SystemError) {
        let program = steering.acceptance(of: worker)
        try checked(culvert_attach_filter(descriptor, program, UInt32(program.count)), "steer packets to workers")
    }
}
