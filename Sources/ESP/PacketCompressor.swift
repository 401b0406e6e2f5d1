import CZlib
import Wire

/// IPComp (RFC 3173) by DEFLATE (RFC 2394): the library's two contexts and the room that they write to, made when they are
/// first needed. One per worker, shared by all of its SAs: no packet leaves anything behind for the next one.
public final class PacketCompressor {
    /// Next header, flags and compression parameter index (RFC 3173 section 3).
    public static let headerLength = 4
    /// The protocol's number.
    public static let nextHeader: UInt8 = 108
    /// Shorter payloads are not worth it (RFC 2394 section 2.2 speaks of about 90 bytes).
    static let payloadLengthMinimum = 90
    private static let roomLength = 65_536

    private let deflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var room: UnsafeMutablePointer<UInt8>?
    private var canDeflate = false
    private var canInflate = false

    /// A compressor that has nothing yet.
    public init() {
        deflater.initialize(to: z_stream())
        inflater.initialize(to: z_stream())
    }

    deinit {
        if canDeflate { deflateEnd(deflater) }
        if canInflate { inflateEnd(inflater) }
        deflater.deallocate()
        inflater.deallocate()
        room?.deallocate()
    }

    /// Makes the contexts, so that no packet has to. False when there is no memory.
    func prepare() -> Bool {
        if room == nil { room = .allocate(capacity: Self.roomLength) }
        if !canDeflate { canDeflate = culvert_deflate_begin(deflater) == Z_OK }
        if !canInflate { canInflate = culvert_inflate_begin(inflater) == Z_OK }
        return canDeflate && canInflate
    }

    /// Compresses in place and puts the header in front, where that makes the packet shorter. False where it does not: then
    /// the packet is as it was.
    func compress(_ packet: inout Packet, nextHeader: UInt8, index: UInt16) -> Bool {
        let limit = packet.count - Self.headerLength - 1
        guard canDeflate, let room, limit > 0, packet.count <= Self.roomLength, deflateReset(deflater) == Z_OK else {
            return false
        }
        deflater.pointee.next_in = packet.start.assumingMemoryBound(to: UInt8.self)
        deflater.pointee.avail_in = UInt32(packet.count)
        deflater.pointee.next_out = room
        deflater.pointee.avail_out = UInt32(limit)
        guard deflate(deflater, Z_FINISH) == Z_STREAM_END else { return false }
        let count = limit - Int(deflater.pointee.avail_out)
        (packet.start + Self.headerLength).copyMemory(from: room, byteCount: count)
        packet.store(nextHeader, at: 0)
        packet.store(UInt8(0), at: 1)
        packet.store(index, at: 2)
        packet.count = Self.headerLength + count
        return true
    }

    /// Takes the header off and decompresses to `target`, which has room for `capacity` bytes. Nil for another index, for
    /// what is no such stream, has bytes behind it, or does not fit.
    func decompress(
        _ packet: inout Packet, index: UInt16, to target: UnsafeMutableRawPointer, capacity: Int
    ) -> UInt8? {
        guard packet.count > Self.headerLength, packet.uint16(at: 2) == index, canInflate, let room,
            inflateReset(inflater) == Z_OK
        else { return nil }
        let nextHeader = packet.byte(at: 0)
        let capacity = min(capacity, Self.roomLength)
        inflater.pointee.next_in = (packet.start + Self.headerLength).assumingMemoryBound(to: UInt8.self)
        inflater.pointee.avail_in = UInt32(packet.count - Self.headerLength)
        inflater.pointee.next_out = room
        inflater.pointee.avail_out = UInt32(capacity)
        guard inflate(inflater, Z_FINISH) == Z_STREAM_END, inflater.pointee.avail_in == 0 else { return nil }
        packet.start = target
        packet.count = capacity - Int(inflater.pointee.avail_out)
        packet.start.copyMemory(from: room, byteCount: packet.count)
        return nextHeader
    }
}

/// When an SA tries to compress: after some packets that grew no shorter it lets the following ones go as they are, more of
/// them each time (RFC 3173 section 2.2).
struct CompressionPace: Sendable {
    static let failuresMaximum: UInt8 = 4
    static let restFirst: UInt16 = 16
    static let restMaximum: UInt16 = 1024

    private var failures: UInt8 = 0
    private var rest: UInt16 = 0
    private var nextRest = Self.restFirst

    /// Whether the next packet is to be tried.
    mutating func isDue() -> Bool {
        guard rest > 0 else { return true }
        rest -= 1
        return false
    }

    mutating func note(helped: Bool) {
        guard !helped else { return self = CompressionPace() }
        failures += 1
        guard failures >= Self.failuresMaximum else { return }
        (failures, rest) = (0, nextRest)
        nextRest = min(nextRest * 2, Self.restMaximum)
    }
}
