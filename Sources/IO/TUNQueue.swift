import CLinux
import Glibc
import Wire

/// One queue of a TUN interface, owned by one worker: IP packets that the system routes to us, and those that we give it.
///
/// Both ways, TCP segments and UDP datagrams of one flow cross the border as one packet where that is switched on: a system
/// call costs more than all that we do with a packet.
public final class TUNQueue: Pollable {
    /// For batches of how many packets a queue is, if nothing else is said.
    public static let batchCapacityUsual = 1024
    /// The largest IP packet, which is what the system leaves whole at most.
    private static let largestPacket = 65_535
    /// Where packets are read to: room for the largest one, and for many of the usual size before it.
    private static let arenaSize = 512 << 10

    /// Packets dropped between the kernel and us.
    public private(set) var drops = PacketDropCounters()
    /// Whether the interface was taken away from under us. Nothing comes or goes any more.
    public private(set) var isGone = false
    /// With which error the system has refused a packet made of several, so that they go one by one.
    public private(set) var coalescingRefusal: Int32?

    private let device: FileDescriptor
    private var isCoalescing: Bool
    private var coalescer: SegmentCoalescer
    private let vectors: UnsafeMutablePointer<iovec>
    private let headers: UnsafeMutableRawPointer
    private let arena: UnsafeMutableRawPointer
    /// What is left of a large packet that did not fit its batch.
    private var splitter: SegmentSplitter?
    private var virtual = culvert_virtual_header()

    init(device: FileDescriptor, offloads: Offloads, batchCapacity: Int) {
        self.device = device
        isCoalescing = offloads.contains(.tunCoalescing)
        coalescer = SegmentCoalescer(capacity: batchCapacity)
        // The virtual header, the headers, and each payload.
        vectors = .allocate(capacity: SegmentCoalescer.segmentsMaximum + 2)
        vectors.initialize(repeating: iovec(), count: SegmentCoalescer.segmentsMaximum + 2)
        headers = .allocate(byteCount: SegmentCoalescer.headersMaximum, alignment: 8)
        arena = .allocate(byteCount: Self.arenaSize, alignment: 64)
    }

    deinit {
        vectors.deallocate()
        headers.deallocate()
        arena.deallocate()
    }

    /// The descriptor, for a ``Poller``.
    public var descriptor: Int32 { device.descriptor }

    // MARK: - From the system

    /// Whether something that was read waits for the next call of ``receive(into:)``, of which the descriptor does not tell.
    public var hasMore: Bool { splitter != nil }

    /// Receives IP packets until `batch` has `limit` of them, or there are none, without waiting. Returns how many came.
    ///
    /// They have the headroom and tailroom of a slot, but need not lie in the batch's own memory; valid until the next call.
    public func receive(into batch: inout PacketBatch, atMost limit: Int = .max) -> Int {
        let first = batch.count
        let limit = min(limit, batch.capacity)
        guard continueSplitting(into: &batch, limit) else { return batch.count - first }
        var place = 0
        // A bound on system calls as well as on packets, so that failures cannot keep us here.
        for _ in first..<max(first, limit) {
            guard batch.count < limit,
                place + PacketBatch.headroom + Self.largestPacket + PacketBatch.tailroom <= Self.arenaSize
            else { break }
            let start = arena + (place + PacketBatch.headroom)
            let count = Int(culvert_tun_read(descriptor, &virtual, start, Self.largestPacket))
            guard count > 0 else {
                isGone = count < 0 && -count == Int(EBADFD)
                break
            }
            if virtual.segmentation != 0 {
                splitter = SegmentSplitter(
                    start, count: count, segmentSize: Int(virtual.segment_size),
                    packetSizeMaximum: batch.packetSizeMaximum)
                if splitter == nil { drops.count(.truncated) }
                guard continueSplitting(into: &batch, limit) else { break }
                continue
            }
            guard count <= batch.packetSizeMaximum else {
                drops.count(.truncated)
                continue
            }
            completeChecksum(start, count: count)
            let position = batch.count
            batch.count = position + 1
            batch[position].start = start
            batch[position].count = count
            batch[position].path = .none
            place += (PacketBatch.headroom + count + PacketBatch.tailroom + 63) & ~63
        }
        return batch.count - first
    }

    /// False where the batch is full before all is cut.
    private func continueSplitting(into batch: inout PacketBatch, _ limit: Int) -> Bool {
        guard var splitter else { return true }
        while splitter.hasMore {
            guard batch.count < limit else {
                self.splitter = splitter
                return false
            }
            let position = batch.count
            batch.count = position + 1
            splitter.next(into: &batch[position])
            batch[position].path = .none
        }
        self.splitter = nil
        return true
    }

    /// The system leaves the checksum of what its own sockets send to us.
    private func completeChecksum(_ start: UnsafeMutableRawPointer, count: Int) {
        guard virtual.flags & UInt8(CULVERT_NEEDS_CHECKSUM) != 0 else { return }
        let (offset, place) = (Int(virtual.checksum_start), Int(virtual.checksum_start) + Int(virtual.checksum_offset))
        guard place + 2 <= count else { return }
        // The field has the pseudo-header's sum.
        let checksum = InternetChecksum.of(start + offset, count: count - offset)
        let isUDP = virtual.checksum_offset == 6
        Packet(start: start, count: count, path: .none).store(checksum == 0 && isUDP ? 0xffff : checksum, at: place)
    }

    // MARK: - To the system

    /// Gives the system `packets` as if they had come in on the interface. Returns how many it took; the others are in
    /// ``drops``.
    public func send(_ packets: Span<Packet>) -> Int {
        var sent = 0
        for index in packets.indices where send(packets[index]) { sent += 1 }
        return sent
    }

    /// Gives the system all packets of `batch`. Returns how many it took; the others are in ``drops``.
    public func send(_ batch: borrowing PacketBatch) -> Int {
        var sent = 0
        guard isCoalescing, batch.count > 1 else {
            for index in 0..<batch.count where send(batch[index]) { sent += 1 }
            return sent
        }
        coalescer.group(batch)
        for index in 0..<coalescer.count { sent += send(coalescer[index], of: batch) }
        return sent
    }

    private func send(_ group: SegmentCoalescer.Group, of batch: borrowing PacketBatch) -> Int {
        guard group.count > 1, isCoalescing, let layout = group.layout else {
            return sendSingly(group, of: batch)
        }
        let first = batch[group.first]
        coalescer.writeHeaders(of: group, first: first.start, to: headers)
        virtual = culvert_virtual_header(
            flags: UInt8(CULVERT_NEEDS_CHECKSUM), segmentation: UInt8(layout.kind.segmentation),
            header_length: UInt16(truncatingIfNeeded: layout.payloadOffset),
            segment_size: UInt16(truncatingIfNeeded: group.segmentSize),
            checksum_start: UInt16(truncatingIfNeeded: layout.transportOffset),
            checksum_offset: UInt16(truncatingIfNeeded: layout.checksumOffset - layout.transportOffset))
        vectors[1] = iovec(iov_base: headers, iov_len: layout.payloadOffset)
        var position = group.first
        for index in 0..<group.count {
            if index > 0 { position = coalescer.following(position) }
            let packet = batch[position]
            vectors[index + 2] = iovec(
                iov_base: packet.start + layout.payloadOffset, iov_len: packet.count - layout.payloadOffset)
        }
        let failure = write(group.count + 2)
        guard failure != 0 else { return group.count }
        if failure == EINVAL || failure == EOPNOTSUPP {
            (isCoalescing, coalescingRefusal) = (false, failure)
            return sendSingly(group, of: batch)
        }
        drops.count(Self.reason(failure), group.count)
        return 0
    }

    private func sendSingly(_ group: SegmentCoalescer.Group, of batch: borrowing PacketBatch) -> Int {
        var (position, sent) = (group.first, 0)
        for index in 0..<group.count {
            if index > 0 { position = coalescer.following(position) }
            if send(batch[position]) { sent += 1 }
        }
        return sent
    }

    private func send(_ packet: Packet) -> Bool {
        virtual = culvert_virtual_header()
        vectors[1] = iovec(iov_base: packet.start, iov_len: packet.count)
        let failure = write(2)
        guard failure != 0 else { return true }
        drops.count(Self.reason(failure))
        return false
    }

    /// Writes the virtual header and what stands in `vectors` behind it, `count` pieces in all. Returns the error's number or 0.
    private func write(_ count: Int) -> Int32 {
        let failure = withUnsafeMutablePointer(to: &virtual) { header in
            vectors[0] = iovec(iov_base: header, iov_len: MemoryLayout<culvert_virtual_header>.size)
            return -culvert_tun_write(descriptor, vectors, UInt32(count))
        }
        if failure == EBADFD { isGone = true }
        return failure
    }

    private static func reason(_ failure: Int32) -> PacketDrop {
        failure == EIO ? .unreachable : PacketDrop(sendError: failure)
    }
}

extension SegmentLayout.Kind {
    fileprivate var segmentation: Int {
        switch self {
        case .tcp4: CULVERT_TCP4
        case .tcp6: CULVERT_TCP6
        case .udp4, .udp6: CULVERT_UDP
        }
    }
}
