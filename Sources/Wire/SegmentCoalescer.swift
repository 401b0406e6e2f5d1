/// Finds the packets of a batch that can cross the border to the system as one: consecutive TCP segments of a flow, and UDP
/// datagrams of one size.
///
/// Groups stand in the order of their first packets, and whatever of a flow cannot follow what came before it begins a new
/// group: so packets of one flow keep their order, and what the system makes of a group is, byte for byte, what came in, but
/// for IPv4's identification of packets that nobody may cut.
public struct SegmentCoalescer: ~Copyable {
    /// Packets that go as one, or one packet.
    public struct Group {
        /// Where its first packet stands in the batch.
        public let first: Int
        /// How many packets there are.
        public fileprivate(set) var count: Int
        /// How many bytes of payload each has but the last, which may have fewer.
        public let segmentSize: Int
        /// What its packets are; nil for a packet that goes alone in any case.
        public let layout: SegmentLayout?
        /// The headers and all payloads.
        public fileprivate(set) var byteCount: Int
        /// The flags of TCP that any of them has.
        fileprivate var flags: UInt8
        fileprivate var last: Int
        fileprivate var isFirstVerified = false
        fileprivate var isOpen: Bool
    }

    /// How many flows of a batch are watched at a time; one more, and the one that was not met for longest goes as it is.
    static let flowsMaximum = 16
    /// How many packets go as one: the pieces that the system takes in one call are bounded by 1024.
    public static let segmentsMaximum = 128
    /// The largest IP packet.
    static let byteCountMaximum = 65_535
    /// Room for the largest headers of a group: IPv6's and TCP's with all options.
    public static let headersMaximum = 40 + 60

    /// How many groups there are.
    public private(set) var count = 0
    private let groups: UnsafeMutablePointer<Group>
    private let following: UnsafeMutablePointer<Int32>
    private let capacity: Int
    // Indexes of groups, the one met last first.
    private var flows = InlineArray<16, Int>(repeating: 0)
    private var flowCount = 0

    /// For batches of at most `capacity` packets.
    public init(capacity: Int) {
        self.capacity = capacity
        groups = .allocate(capacity: capacity)
        following = .allocate(capacity: capacity)
    }

    deinit {
        groups.deallocate()
        following.deallocate()
    }

    /// The group at `index`, below ``count``.
    public subscript(index: Int) -> Group {
        precondition(index >= 0 && index < count)
        return groups[index]
    }

    /// Which packet of its group follows the one at `position`; there must be one.
    @inline(__always)
    public func following(_ position: Int) -> Int { Int(following[position]) }

    /// Groups the packets of `batch`.
    public mutating func group(_ batch: borrowing PacketBatch) {
        precondition(batch.count <= capacity)
        (count, flowCount) = (0, 0)
        for position in 0..<batch.count { add(batch[position].start, batch[position].count, position, batch) }
    }

    @inline(__always)
    private mutating func add(
        _ start: UnsafeMutableRawPointer, _ byteCount: Int, _ position: Int, _ batch: borrowing PacketBatch
    ) {
        guard let layout = SegmentLayout(start, count: byteCount), layout.isPlain else {
            // Of which flow a fragment is, nobody can say.
            flowCount = 0
            return begin(position, nil, byteCount, flags: 0, isOpen: false)
        }
        let flags =
            layout.kind.isTCP
            ? start.load(
                fromByteOffset: layout.transportOffset + TCPFlag.offset, as: UInt8.self) : 0
        let isCandidate =
            layout.payloadCount > 0 && (!layout.kind.isTCP || flags & ~TCPFlag.push == TCPFlag.acknowledge)
        guard let place = flow(of: start, layout, batch) else {
            begin(position, layout, byteCount, flags: flags, isOpen: isCandidate)
            if isCandidate { watch(count - 1) }
            return
        }
        let group = flows[place]
        if isCandidate, append(position, start, layout, flags, to: group, batch) {
            // TCP's last word of a burst, and a shorter datagram, end it.
            if !groups[group].isOpen { forget(place) } else { promote(place) }
            return
        }
        forget(place)
        begin(position, layout, byteCount, flags: flags, isOpen: isCandidate)
        if isCandidate { watch(count - 1) }
    }

    private mutating func begin(
        _ position: Int, _ layout: SegmentLayout?, _ byteCount: Int, flags: UInt8, isOpen: Bool
    ) {
        (groups + count).initialize(
            to: Group(
                first: position, count: 1, segmentSize: layout?.payloadCount ?? 0, layout: layout,
                byteCount: byteCount, flags: flags, last: position,
                isOpen: isOpen && flags & TCPFlag.push == 0))
        count += 1
    }

    // MARK: - Flows

    @inline(__always)
    private func flow(
        of start: UnsafeMutableRawPointer, _ layout: SegmentLayout, _ batch: borrowing PacketBatch
    ) -> Int? {
        for place in 0..<flowCount {
            let group = groups + flows[place]
            guard let other = group.pointee.layout, other.kind == layout.kind else { continue }
            let first = batch[group.pointee.first].start
            if Self.isSameFlow(start, first, isIPv4: layout.kind.isIPv4) { return place }
        }
        return nil
    }

    /// Addresses and ports, which stand side by side in both versions where nothing is between the headers.
    @inline(__always)
    private static func isSameFlow(
        _ one: UnsafeMutableRawPointer, _ other: UnsafeMutableRawPointer, isIPv4: Bool
    ) -> Bool {
        if isIPv4 {
            return one.loadUnaligned(fromByteOffset: 12, as: UInt64.self)
                == other.loadUnaligned(fromByteOffset: 12, as: UInt64.self)
                && one.loadUnaligned(fromByteOffset: 20, as: UInt32.self)
                    == other.loadUnaligned(fromByteOffset: 20, as: UInt32.self)
        }
        for offset in stride(from: 8, to: 40, by: 8) {
            guard
                one.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    == other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            else { return false }
        }
        return one.loadUnaligned(fromByteOffset: 40, as: UInt32.self)
            == other.loadUnaligned(fromByteOffset: 40, as: UInt32.self)
    }

    private mutating func watch(_ group: Int) {
        guard groups[group].isOpen else { return }
        if flowCount < Self.flowsMaximum { flowCount += 1 }
        var place = flowCount - 1
        while place > 0 {
            flows[place] = flows[place - 1]
            place -= 1
        }
        flows[0] = group
    }

    @inline(__always)
    private mutating func promote(_ place: Int) {
        guard place > 0 else { return }
        let group = flows[place]
        var place = place
        while place > 0 {
            flows[place] = flows[place - 1]
            place -= 1
        }
        flows[0] = group
    }

    private mutating func forget(_ place: Int) {
        for index in place..<(flowCount - 1) { flows[index] = flows[index + 1] }
        flowCount -= 1
    }

    // MARK: - Appending

    @inline(__always)
    private mutating func append(
        _ position: Int, _ start: UnsafeMutableRawPointer, _ layout: SegmentLayout, _ flags: UInt8, to group: Int,
        _ batch: borrowing PacketBatch
    ) -> Bool {
        let known = groups + group
        guard let own = known.pointee.layout, known.pointee.isOpen, layout.payloadOffset == own.payloadOffset,
            layout.payloadCount <= known.pointee.segmentSize, known.pointee.count < Self.segmentsMaximum,
            known.pointee.byteCount + layout.payloadCount <= Self.byteCountMaximum
        else { return false }
        let first = batch[known.pointee.first].start
        guard continues(start, first, layout, known.pointee) else { return false }
        // A wrong checksum must stay wrong: what is made one gets a new one.
        if !known.pointee.isFirstVerified {
            guard own.hasRightChecksum(first) else { return false }
            known.pointee.isFirstVerified = true
        }
        guard layout.hasRightChecksum(start) else { return false }
        following[known.pointee.last] = Int32(truncatingIfNeeded: position)
        known.pointee.last = position
        known.pointee.count += 1
        known.pointee.byteCount += layout.payloadCount
        known.pointee.flags |= flags
        if flags & TCPFlag.push != 0 || layout.payloadCount < known.pointee.segmentSize { known.pointee.isOpen = false }
        return true
    }

    /// Whether the packet at `start` is what the system would make next of the group whose first packet is at `first`.
    @inline(__always)
    private func continues(
        _ start: UnsafeMutableRawPointer, _ first: UnsafeMutableRawPointer, _ layout: SegmentLayout, _ group: Group
    ) -> Bool {
        if layout.kind.isIPv4 {
            // Traffic class; flags; time to live.
            guard start.load(fromByteOffset: 1, as: UInt8.self) == first.load(fromByteOffset: 1, as: UInt8.self),
                start.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
                    == first.loadUnaligned(fromByteOffset: 6, as: UInt16.self),
                start.load(fromByteOffset: 8, as: UInt8.self) == first.load(fromByteOffset: 8, as: UInt8.self)
            else { return false }
            // The system counts identifications up; where nothing may be cut, they say nothing (RFC 6864 section 4.1), and
            // some senders count them over all their flows.
            let isWhole = first.load(fromByteOffset: 6, as: UInt8.self) & 0x40 != 0
            let number = UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
            let firstNumber = UInt16(bigEndian: first.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
            guard isWhole || number == firstNumber &+ UInt16(truncatingIfNeeded: group.count) else { return false }
        } else {
            // Traffic class and flow label; hop limit.
            guard
                start.loadUnaligned(fromByteOffset: 0, as: UInt32.self)
                    == first.loadUnaligned(fromByteOffset: 0, as: UInt32.self),
                start.load(fromByteOffset: 7, as: UInt8.self) == first.load(fromByteOffset: 7, as: UInt8.self)
            else { return false }
        }
        guard layout.kind.isTCP else { return true }
        let (tcp, firstTCP) = (start + layout.transportOffset, first + layout.transportOffset)
        let sequence = UInt32(bigEndian: tcp.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let firstSequence = UInt32(bigEndian: firstTCP.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let payload = group.byteCount - layout.payloadOffset
        // Numbers, the acknowledgement, the window, options; the urgent pointer means nothing without its flag, and is copied.
        guard sequence == firstSequence &+ UInt32(truncatingIfNeeded: payload),
            tcp.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
                == firstTCP.loadUnaligned(fromByteOffset: 8, as: UInt32.self),
            tcp.loadUnaligned(fromByteOffset: 14, as: UInt16.self)
                == firstTCP.loadUnaligned(fromByteOffset: 14, as: UInt16.self),
            tcp.loadUnaligned(fromByteOffset: 18, as: UInt16.self)
                == firstTCP.loadUnaligned(fromByteOffset: 18, as: UInt16.self),
            tcp.load(fromByteOffset: 12, as: UInt8.self) == firstTCP.load(fromByteOffset: 12, as: UInt8.self)
        else { return false }
        for offset in stride(from: 20, to: layout.payloadOffset - layout.transportOffset, by: 4) {
            guard
                tcp.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                    == firstTCP.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            else { return false }
        }
        return true
    }

    // MARK: - One packet of many

    /// Writes the headers of a group of several packets to `headers`, which has room for ``headersMaximum``; the checksum of TCP
    /// or UDP in them is that of the pseudo-header alone, which the system completes. `first` is the group's first packet.
    public func writeHeaders(of group: Group, first: UnsafeMutableRawPointer, to headers: UnsafeMutableRawPointer) {
        guard let layout = group.layout else { return }
        headers.copyMemory(from: first, byteCount: layout.payloadOffset)
        layout.writeLengths(headers, count: group.byteCount)
        let packet = Packet(start: headers, count: layout.payloadOffset, path: .none)
        if layout.kind.isTCP { packet.store(group.flags, at: layout.transportOffset + TCPFlag.offset) }
        let sum = layout.pseudoHeaderSum(headers, length: group.byteCount - layout.transportOffset)
        packet.store(~InternetChecksum.finish(sum), at: layout.checksumOffset)
    }
}
