import CLinux
import Glibc
import Wire

/// A UDP socket for batches of packets, owned by one worker. It tells which address of ours each packet came to, and
/// sends from the address that the packet names; packets too large for the outer path are fragmented, not refused.
public final class UDPSocket: Pollable {
    /// How many bytes the kernel may keep for us in each direction, where it lets us choose.
    public static let bufferBytesWanted = 8 << 20

    /// How many bytes the kernel keeps for us before it drops what comes in.
    public let receiveBufferBytes: Int
    /// Packets dropped between the kernel and us.
    public private(set) var drops = PacketDropCounters()

    private let socket: FileDescriptor
    private let incoming: DatagramBatch
    private let outgoing: DatagramBatch
    private var staged = 0

    /// Opens a socket on `port` (0: a free one) of `address`, for batches of at most `batchCapacity` packets.
    ///
    /// With `sharingPort`, several sockets of this user share the port, each packet going to one of them: see
    /// ``steer(by:)``.
    public init(
        address: IPAddress = .v4(.any), port: UInt16, sharingPort: Bool = false, batchCapacity: Int = 64
    ) throws(SystemError) {
        let version: UInt8
        let (high, low): (UInt64, UInt64)
        switch address {
        case .v4(let address): (version, high, low) = (4, 0, UInt64(address.value))
        case .v6(let address): (version, high, low) = (6, address.high, address.low)
        }
        let descriptor = try checked(culvert_socket(version, false, 0), "open a UDP socket")
        socket = FileDescriptor(owning: descriptor)
        incoming = try DatagramBatch(capacity: batchCapacity)
        outgoing = try DatagramBatch(capacity: batchCapacity)
        try checked(culvert_set_packet_information(descriptor, version), "ask for packet information")
        try checked(culvert_set_fragmentation_allowed(descriptor, version), "allow fragmentation")
        receiveBufferBytes = Int(
            try checked(culvert_set_buffers(descriptor, Int32(Self.bufferBytesWanted)), "size the socket's buffers"))
        if sharingPort { try checked(culvert_set_reuse_port(descriptor), "share UDP port \(port)") }
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

    /// The descriptor, for a ``Poller``.
    public var descriptor: Int32 { socket.descriptor }

    /// The port that the socket is bound to.
    public var port: UInt16 { UInt16(truncatingIfNeeded: max(culvert_bound_port(descriptor), 0)) }

    /// A sender of single packets for other threads.
    public var sender: DatagramSender { DatagramSender(socket: socket) }

    /// Makes the kernel choose among all sockets that share this one's port, the one that was bound first being worker 0.
    /// To be called on any of them, when all are bound.
    public func steer(by steering: WorkerSteering) throws(SystemError) {
        let program = steering.socketChoice
        try checked(
            culvert_attach_reuse_port_filter(descriptor, program, UInt32(program.count)), "steer packets to workers")
    }

    /// Receives into the free slots of `batch`, with one system call and without waiting. Returns how many packets came.
    public func receive(into batch: inout PacketBatch) -> Int {
        incoming.receive(from: descriptor, into: &batch, lead: 0, drops: &drops)
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
