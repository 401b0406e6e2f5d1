/// Cuts a packet that the system left whole for us into the segments that it stands for (TSO, USO): headers are repeated,
/// their lengths, numbers, flags and checksums made those of each segment.
public struct SegmentSplitter {
    private let start: UnsafeMutableRawPointer
    private let layout: SegmentLayout
    private let segmentSize: Int
    private let sequence: UInt32
    private let identification: UInt16
    private let flags: UInt8
    /// How much of the payload went.
    private var offset = 0
    private var index: UInt16 = 0

    /// Begins with the packet of `count` bytes at `start`, whose payload goes in pieces of `segmentSize`; nil where it is not
    /// TCP or UDP with a payload, or where headers and a piece are more than `packetSizeMaximum` bytes.
    public init?(_ start: UnsafeMutableRawPointer, count: Int, segmentSize: Int, packetSizeMaximum: Int) {
        guard let layout = SegmentLayout(start, count: count), segmentSize > 0, layout.payloadCount > 0,
            layout.payloadOffset + min(segmentSize, layout.payloadCount) <= packetSizeMaximum
        else { return nil }
        let packet = Packet(start: start, count: count, path: .none)
        (self.start, self.layout, self.segmentSize) = (start, layout, segmentSize)
        sequence = layout.kind.isTCP ? packet.uint32(at: layout.transportOffset + 4) : 0
        flags = layout.kind.isTCP ? packet.byte(at: layout.transportOffset + TCPFlag.offset) : 0
        identification = layout.kind.isIPv4 ? packet.uint16(at: 4) : 0
    }

    /// Whether segments are left.
    public var hasMore: Bool { offset < layout.payloadCount }

    /// Writes the next segment to `packet`, which begins where its slot does. There must be one.
    @inline(__always)
    public mutating func next(into packet: inout Packet) {
        let count = min(segmentSize, layout.payloadCount - offset)
        packet.start.copyMemory(from: start, byteCount: layout.payloadOffset)
        (packet.start + layout.payloadOffset).copyMemory(
            from: start + (layout.payloadOffset + offset), byteCount: count)
        packet.count = layout.payloadOffset + count
        let isFirst = offset == 0
        let isLast = offset + count == layout.payloadCount
        if layout.kind.isIPv4 { packet.store(identification &+ index, at: 4) }
        layout.writeLengths(packet.start, count: packet.count)
        if layout.kind.isTCP {
            packet.store(sequence &+ UInt32(truncatingIfNeeded: offset), at: layout.transportOffset + 4)
            var own = flags
            if !isLast { own &= ~(TCPFlag.finish | TCPFlag.push) }
            if !isFirst { own &= ~TCPFlag.windowReduced }
            packet.store(own, at: layout.transportOffset + TCPFlag.offset)
        }
        if let own = SegmentLayout(packet.start, count: packet.count) { own.writeChecksum(packet.start) }
        offset += count
        index &+= 1
    }
}
