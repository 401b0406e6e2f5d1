import CLinux
import Glibc
import Wire

/// What UDP sockets and raw sockets share: batches of packets out and in. Owned by one worker; other threads send through
/// its ``sender``.
public class DatagramSocket: Pollable {
    /// How many bytes the kernel may keep for us in each direction, where it lets us choose. It fills while our processor is
    /// another's, for some milliseconds at gigabits a second; shorter, it loses packets then, IKE's among them
    /// (docs/performance.md).
    public static let bufferBytesWanted = 8 << 20
    /// IPv4 headers have 5 to 15 words (RFC 791, section 3.1).
    private static let headerBytes = 20...60

    /// How many bytes the kernel keeps for us before it drops what comes in.
    public let receiveBufferBytes: Int
    /// Packets dropped between the kernel and us.
    public private(set) final var drops = PacketDropCounters()

    private let socket: FileDescriptor
    private let header: ReceivedHeader
    private let incoming: DatagramBatch
    private let outgoing: DatagramBatch
    private let coalesced: CoalescedBuffers?
    private var segmentation = Segmentation.off
    private var staged = 0

    /// What becomes of the IP header of a packet that comes in.
    enum ReceivedHeader: Hashable {
        /// The system takes it away.
        case none
        /// An IPv4 header comes in with the packet: it is taken off.
        case removed
        /// An IPv4 header comes in with the packet: it stays right in front.
        case kept
    }

    init(
        socket: FileDescriptor, version: UInt8, header: ReceivedHeader, batchCapacity: Int,
        isCoalesced: Bool = false
    ) throws(SystemError) {
        let descriptor = socket.descriptor
        coalesced = isCoalesced ? CoalescedBuffers() : nil
        incoming = try DatagramBatch(capacity: batchCapacity)
        outgoing = try DatagramBatch(capacity: batchCapacity)
        try checked(culvert_set_packet_information(descriptor, version), "ask for packet information")
        try checked(culvert_set_traffic_class_information(descriptor, version), "ask for the traffic class")
        try checked(culvert_set_fragmentation_allowed(descriptor, version), "allow fragmentation")
        let granted = culvert_set_buffers(descriptor, Int32(Self.bufferBytesWanted))
        receiveBufferBytes = Int(try checked(granted, "size the socket's buffers"))
        self.socket = socket
        self.header = header
    }

    /// The descriptor, for a ``Poller``.
    public final var descriptor: Int32 { socket.descriptor }

    /// How many packets a batch must hold so that all that one system call brings fits.
    public static var batchCapacityForCoalesced: Int { CoalescedBuffers.packetsMaximum }

    /// From now on, packets of one flow and size go out as one message.
    final func startSegmentation() { segmentation.isUsed = true }

    /// With which error the system has said that it cannot cut messages into packets, so that they go one by one.
    public final var segmentationRefusal: Int32? { segmentation.refusal }

    /// A sender of single packets for other threads.
    public final var sender: DatagramSender { DatagramSender(socket: socket) }

    /// Marks what the socket sends (SO_MARK), so that routing rules can tell it from what is to go into a tunnel.
    public final func mark(_ mark: UInt32) throws(SystemError) {
        try checked(
            culvert_set_mark(descriptor, mark), "mark a socket", advice: "needs the capability CAP_NET_ADMIN")
    }

    /// Receives into the free slots of `batch`, which are as ``PacketBatch/reset()`` leaves them, with one system call and
    /// without waiting. Returns how many packets came.
    ///
    /// Where the system puts datagrams together, they are views into other memory than the batch's, without room around them,
    /// and valid until the next call; there are up to ``batchCapacityForCoalesced`` of them.
    public final func receive(into batch: inout PacketBatch) -> Int {
        if let coalesced { return incoming.receive(from: descriptor, into: &batch, by: coalesced, drops: &drops) }
        switch header {
        case .none: return incoming.receive(from: descriptor, into: &batch, lead: 0, drops: &drops)
        case .removed: return receiveBehindHeaders(into: &batch, keeping: false)
        case .kept: return receiveBehindHeaders(into: &batch, keeping: true)
        }
    }

    private func receiveBehindHeaders(into batch: inout PacketBatch, keeping: Bool) -> Int {
        let first = batch.count
        // The headroom lends the room for the largest header, so that payloads may be as large as slots are.
        let lead = Self.headerBytes.upperBound
        let received = incoming.receive(from: descriptor, into: &batch, lead: lead, drops: &drops)
        var kept = first
        for index in first..<first + received {
            var packet = batch[index]
            let header = packet.count > 0 ? Int(packet.byte(at: 0) & 0x0f) * 4 : 0
            guard Self.headerBytes.contains(header), header <= packet.count else {
                batch[index].start += lead
                drops.count(.malformedHeader)
                continue
            }
            packet.outer.trafficClass = packet.byte(at: 1)
            packet.removeFirst(header)
            if keeping { packet.outer.headerLength = UInt8(truncatingIfNeeded: header) }
            packet.path.remote.port = 0
            if kept != index { batch[index].start = batch[kept].start }
            batch[kept] = packet
            kept += 1
        }
        batch.count = kept
        return kept - first
    }

    /// Sends `packets`, each to its `path.remote` from its `path.local` (0.0.0.0: from the address that the system
    /// chooses), without waiting. Returns how many went; the others are in ``drops``.
    public final func send(_ packets: Span<Packet>) -> Int {
        var sent = 0
        for index in packets.indices { sent += stage(packets[index]) }
        return sent + flush()
    }

    /// Sends all packets of `batch` in the same way.
    public final func send(_ batch: borrowing PacketBatch) -> Int {
        var sent = 0
        for index in 0..<batch.count { sent += stage(batch[index]) }
        return sent + flush()
    }

    /// Puts `packet` with those that the next ``flush()`` sends; its bytes must stay where they are until then. Flushes
    /// first when a batch is full, and returns how many packets went by that.
    public final func stage(_ packet: Packet) -> Int {
        let sent = staged == outgoing.capacity ? flush() : 0
        outgoing.stage(packet, at: staged)
        staged += 1
        return sent
    }

    /// Sends what was staged. Returns how many packets went; the others are in ``drops``.
    public final func flush() -> Int {
        let count = staged
        staged = 0
        guard count > 0 else { return 0 }
        return outgoing.send(count: count, to: descriptor, by: &segmentation, drops: &drops)
    }
}
