import CLinux
import Glibc
import Wire

/// The kernel's view of a batch of packets in one direction: headers, vectors, names and control messages, made once.
struct DatagramBatch: ~Copyable {
    /// The most packets that one system call moves.
    let capacity: Int
    private let batch: OpaquePointer
    private let datagrams: UnsafeMutablePointer<culvert_datagram>

    init(capacity: Int) throws(SystemError) {
        precondition((1...1024).contains(capacity))  // UIO_MAXIOV is the kernel's own limit.
        guard let batch = culvert_datagram_batch_create(UInt32(capacity)) else {
            throw SystemError(operation: "allocate a packet batch", number: ENOMEM)
        }
        self.capacity = capacity
        self.batch = batch
        datagrams = culvert_datagram_batch_datagrams(batch)
    }

    deinit { culvert_datagram_batch_free(batch) }

    /// Receives into the free slots of `packets`, at most `capacity` of them. Every slot lends `lead` bytes of its
    /// headroom, for a header that the caller takes off. Returns how many packets `packets` holds more.
    func receive(
        from descriptor: Int32, into packets: inout PacketBatch, lead: Int, drops: inout PacketDropCounters
    ) -> Int {
        let first = packets.count
        let room = min(packets.capacity - first, capacity)
        guard room > 0 else { return 0 }
        for index in 0..<room {
            datagrams[index].start = packets[first + index].start - lead
            datagrams[index].count = packets.packetSizeMaximum + lead
        }
        let received = Int(culvert_datagram_batch_receive(batch, descriptor, UInt32(room)))
        guard received > 0 else { return 0 }
        var kept = first
        for index in 0..<received {
            guard !datagrams[index].truncated else {
                drops.count(.truncated)
                continue
            }
            // Behind a dropped packet, the views change places: every slot stays in the batch exactly once.
            if kept != first + index { packets[first + index].start = packets[kept].start }
            packets[kept] = Packet(
                start: datagrams[index].start, count: datagrams[index].count, path: datagrams[index].path)
            packets[kept].outer.trafficClass = datagrams[index].traffic_class
            kept += 1
        }
        packets.count = first + received
        packets.count = kept
        return kept - first
    }

    /// Receives what the system may have put together of several datagrams of one flow into `buffers`, and adds each of them
    /// to `packets`, where it lies. Returns how many packets `packets` holds more.
    func receive(
        from descriptor: Int32, into packets: inout PacketBatch, by buffers: CoalescedBuffers,
        drops: inout PacketDropCounters
    ) -> Int {
        let first = packets.count
        let room = min(CoalescedBuffers.count, capacity, (packets.capacity - first) / CoalescedBuffers.segmentsMaximum)
        guard room > 0 else { return 0 }
        for index in 0..<room {
            datagrams[index].start = buffers[index]
            datagrams[index].count = CoalescedBuffers.size
        }
        let received = Int(culvert_datagram_batch_receive(batch, descriptor, UInt32(room)))
        guard received > 0 else { return 0 }
        for index in 0..<received { add(datagrams[index], to: &packets, drops: &drops) }
        return packets.count - first
    }

    @inline(__always)
    private func add(_ datagram: culvert_datagram, to packets: inout PacketBatch, drops: inout PacketDropCounters) {
        guard let start = datagram.start, !datagram.truncated else { return drops.count(.truncated) }
        let size = datagram.segment_size > 0 ? Int(datagram.segment_size) : datagram.count
        guard size <= packets.packetSizeMaximum else { return drops.count(.truncated) }
        let path = datagram.path
        var offset = 0
        repeat {
            guard packets.count < packets.capacity else { return drops.count(.tooManySegments) }
            let position = packets.count
            packets.count = position + 1
            packets[position] = Packet(start: start + offset, count: min(size, datagram.count - offset), path: path)
            packets[position].outer.trafficClass = datagram.traffic_class
            offset += size
        } while offset < datagram.count
    }

    /// Makes `packet` the one at `index`, below `capacity`, of those to be sent.
    func stage(_ packet: Packet, at index: Int) {
        precondition(index >= 0 && index < capacity)
        datagrams[index] = culvert_datagram(start: packet.start, count: packet.count, path: packet.path)
        datagrams[index].traffic_class = packet.outer.trafficClass
        datagrams[index].do_not_fragment = packet.outer.doNotFragment
    }

    /// Sends the packets at `range`, up to the first that the system refuses. Returns how many went, or the error number made
    /// negative where none did.
    func send(_ range: Range<Int>, to descriptor: Int32, isSegmented: Bool = false) -> Int32 {
        culvert_datagram_batch_send(batch, descriptor, UInt32(range.lowerBound), UInt32(range.count), isSegmented)
    }

    /// Sends the first `count` packets. One that the system refuses does not hold up those behind it; when a queue is
    /// full, the rest is given up. Returns how many went; all others are counted in `drops`.
    ///
    /// By `segmentation` those of one flow and size go as one message, which the system or the network card cuts.
    func send(
        count: Int, to descriptor: Int32, by segmentation: inout Segmentation, drops: inout PacketDropCounters
    ) -> Int {
        var (next, sent, singlesEnd) = (0, 0, 0)
        while next < count {
            let isSegmented = segmentation.isUsed && next >= singlesEnd
            let end = next < singlesEnd ? singlesEnd : count
            let returned = send(next..<end, to: descriptor, isSegmented: isSegmented)
            if returned > 0 {
                next += Int(returned)
                sent += Int(returned)
                continue
            }
            let run = isSegmented ? Int(culvert_datagram_batch_run(batch, UInt32(next), UInt32(end - next))) : 1
            if run > 1, segmentation.isRefused(by: -returned) {
                singlesEnd = next + run
                continue
            }
            let reason = PacketDrop(sendError: -returned)
            guard reason != .queueFull else {
                drops.count(.queueFull, count - next)
                break
            }
            drops.count(reason, run)
            next += run
        }
        return sent
    }
}

/// Whether the system makes datagrams of one flow and size out of one message (UDP_SEGMENT).
struct Segmentation {
    /// Whether it is asked to.
    var isUsed: Bool
    /// With which error it said that it cannot, at the first time.
    private(set) var refusal: Int32?

    /// None.
    static var off: Segmentation { Segmentation(isUsed: false) }

    init(isUsed: Bool) { self.isUsed = isUsed }

    /// Whether `number` says that the datagrams must go one by one. What this way out cannot do is not tried again (EIO: the
    /// interface computes no checksums); others are about these datagrams, which are too large for the interface.
    mutating func isRefused(by number: Int32) -> Bool {
        switch number {
        case EIO, EOPNOTSUPP:
            (isUsed, refusal) = (false, number)
            return true
        case EINVAL, EMSGSIZE: return true
        default: return false
        }
    }
}

/// Memory for what the system has put together of several datagrams of one flow (UDP_GRO).
final class CoalescedBuffers {
    /// How many such there are in one system call.
    static let count = 8
    /// How large one can be: what the length field of an IP packet says.
    static let size = 1 << 16
    /// How many datagrams are in one at most: as many as a sender's kernel takes in one message.
    static let segmentsMaximum = 128
    /// How many packets a batch must hold for all of it.
    static let packetsMaximum = count * segmentsMaximum

    private let memory = UnsafeMutableRawPointer.allocate(byteCount: count * size, alignment: 64)

    deinit { memory.deallocate() }

    subscript(index: Int) -> UnsafeMutableRawPointer { memory + index * Self.size }
}

extension PacketDrop {
    /// The name of the error `number` of a sending call.
    init(sendError number: Int32) {
        switch number {
        case EAGAIN, ENOBUFS, ENOMEM: self = .queueFull
        case EMSGSIZE: self = .tooLarge
        case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL: self = .unreachable
        case EPERM, EACCES: self = .forbidden
        default: self = .notSent
        }
    }
}

extension culvert_datagram {
    init(start: UnsafeMutableRawPointer?, count: Int, path: OuterPath) {
        self.init()
        (self.start, self.count, remote_port) = (start, count, path.remote.port)
        switch path.remote.address {
        case .v4(let address): (version, remote_low) = (4, UInt64(address.value))
        case .v6(let address): (version, remote_high, remote_low) = (6, address.high, address.low)
        }
        // A local address of the other version says nothing: the kernel chooses.
        switch path.local {
        case .v4(let address) where version == 4: local_low = UInt64(address.value)
        case .v6(let address) where version == 6: (local_high, local_low) = (address.high, address.low)
        default: break
        }
    }

    /// Where the packet came from, and which address of ours it came to.
    var path: OuterPath {
        guard version == 6 else {
            let remote = Endpoint(IPv4Address(UInt32(truncatingIfNeeded: remote_low)), remote_port)
            return OuterPath(remote: remote, local: .v4(IPv4Address(UInt32(truncatingIfNeeded: local_low))))
        }
        let remote = Endpoint(address: .v6(IPv6Address(high: remote_high, low: remote_low)), port: remote_port)
        return OuterPath(remote: remote, local: .v6(IPv6Address(high: local_high, low: local_low)))
    }
}
