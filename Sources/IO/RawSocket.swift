import CLinux
import Glibc
import Wire

/// A raw IPv4 socket of one IP protocol, for batches of packets without their IP headers, owned by one worker. The kernel
/// has put fragments together, and writes the IP header of what we send.
public final class RawSocket: Pollable {
    /// The largest IPv4 header (RFC 791, section 3.1: at most 15 words).
    private static let headerMaximum = 60
    private static let headerMinimum = 20

    /// How many bytes the kernel keeps for us before it drops what comes in.
    public let receiveBufferBytes: Int
    /// Packets dropped between the kernel and us.
    public private(set) var drops = PacketDropCounters()

    private let socket: FileDescriptor
    private let incoming: DatagramBatch
    private let outgoing: DatagramBatch
    private var staged = 0

    /// Opens a socket for IP protocol `protocol`, for batches of at most `batchCapacity` packets.
    ///
    /// The kernel gives every raw socket of the protocol a copy of each packet: with several workers, each calls
    /// ``accept(only:by:)``.
    public init(protocol number: UInt8, batchCapacity: Int = 64) throws(SystemError) {
        let returned = culvert_socket(4, true, Int32(number))
        let descriptor = try checked(
            returned, "open a raw socket for IP protocol \(number)",
            advice: returned == -EPERM ? "raw sockets need the capability CAP_NET_RAW" : nil)
        socket = FileDescriptor(owning: descriptor)
        incoming = try DatagramBatch(capacity: batchCapacity)
        outgoing = try DatagramBatch(capacity: batchCapacity)
        try checked(culvert_set_packet_information(descriptor, 4), "ask for packet information")
        try checked(culvert_set_fragmentation_allowed(descriptor, 4), "allow fragmentation")
        receiveBufferBytes = Int(
            try checked(
                culvert_set_buffers(descriptor, Int32(UDPSocket.bufferBytesWanted)), "size the socket's buffers"))
    }

    /// The descriptor, for a ``Poller``.
    public var descriptor: Int32 { socket.descriptor }

    /// A sender of single packets for other threads.
    public var sender: DatagramSender { DatagramSender(socket: socket) }

    /// Makes the kernel drop what is not for `worker`. What arrived before the call still comes.
    public func accept(only worker: Int, by steering: WorkerSteering) throws(SystemError) {
        let program = steering.acceptance(of: worker)
        try checked(culvert_attach_filter(descriptor, program, UInt32(program.count)), "steer packets to workers")
    }

    /// Receives into the free slots of `batch`, with one system call and without waiting; each packet begins behind its
    /// IP header, and its remote port is 0. Returns how many packets came.
    public func receive(into batch: inout PacketBatch) -> Int {
        let first = batch.count
        let received = incoming.receive(from: descriptor, into: &batch, lead: Self.headerMaximum, drops: &drops)
        var kept = first
        for index in first..<first + received {
            var packet = batch[index]
            let header = packet.count > 0 ? Int(packet.byte(at: 0) & 0x0f) * 4 : 0
            guard header >= Self.headerMinimum, header <= packet.count else {
                batch[index].start += Self.headerMaximum
                drops.count(.malformedHeader)
                continue
            }
            packet.removeFirst(header)
            packet.path.remote.port = 0
            if kept != index { batch[index].start = batch[kept].start }
            batch[kept] = packet
            kept += 1
        }
        batch.count = kept
        return kept - first
    }

    /// Sends `packets`, each to its `path.remote` from its `path.local`, without waiting. Returns how many went; the
    /// others are in ``drops``.
    public func send(_ packets: Span<Packet>) -> Int {
        var sent = 0
        for index in packets.indices { sent += stage(packets[index]) }
        return sent + flush()
    }

    /// Sends all packets of `batch`, as ``send(_:)-(Span<Packet>)`` does.
    public func send(_ batch: borrowing PacketBatch) -> Int {
        var sent = 0
        for index in 0..<batch.count { sent += stage(batch[index]) }
        return sent + flush()
    }

    /// Puts `packet` with those that the next ``flush()`` sends; its bytes must stay where they are until then. Flushes
    /// when a batch is full, and returns how many packets went by that.
    public func stage(_ packet: Packet) -> Int {
        let sent = staged == outgoing.capacity ? flush() : 0
        outgoing.stage(packet, at: staged)
        staged += 1
        return sent
    }

    /// Sends what was staged. Returns how many packets went; the others are in ``drops``.
    public func flush() -> Int {
        let count = staged
        staged = 0
        return outgoing.send(count: count, to: descriptor, drops: &drops)
    }
}
