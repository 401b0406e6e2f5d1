import Wire

/// An input, read as what to do next. Reading never fails: at the end there are zeros, and a block takes what is left, so
/// that every mutation is a script again.
struct Script {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        guard position < bytes.count else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func word() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }

    /// Bytes behind their length in two bytes.
    mutating func block() -> [UInt8] { take(Int(word())) }

    /// The next `count` bytes, or what is left of them.
    mutating func take(_ count: Int) -> [UInt8] {
        let end = min(bytes.count, position + count)
        defer { position = end }
        return Array(bytes[min(position, end)..<end])
    }

    /// All that is left.
    mutating func rest() -> [UInt8] { take(bytes.count) }
}

/// Writes seeds: the opposite of ``Script``.
struct ScriptWriter {
    private(set) var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func word(_ value: UInt16) { bytes += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }

    mutating func block(_ value: [UInt8]) {
        word(UInt16(clamping: value.count))
        bytes += value
    }

    mutating func raw(_ value: [UInt8]) { bytes += value }
}

/// Random numbers from a seed: the same in every run (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64 = 7

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// A packet in memory of exactly its size and the room around it that is promised, so that one byte too far is noticed.
///
/// A class: Swift 6.3 forgets to end a noncopyable variable that is read, left by an early return, and written to later.
final class ExactPacket {
    let memory: UnsafeMutableRawPointer
    var packet: Packet

    init(_ bytes: [UInt8], headroom: Int = 0, tailroom: Int = 0) {
        memory = .allocate(byteCount: headroom + bytes.count + tailroom, alignment: 1)
        packet = Packet(start: memory + headroom, count: bytes.count, path: .none)
        bytes.withUnsafeBytes { source in
            if let address = source.baseAddress { packet.start.copyMemory(from: address, byteCount: bytes.count) }
        }
    }

    deinit { memory.deallocate() }

    var bytes: [UInt8] { [UInt8](copying: packet.span) }
}

/// The Internet checksum by the book, sixteen bits at a time: the rooms' own is faster, and is checked against this one.
func referenceChecksum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() {
        sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte)
        sum = (sum & 0xffff) + (sum >> 16)
    }
    return ~UInt16(truncatingIfNeeded: sum)
}

/// A whole IPv4 datagram with a right header checksum. `more` and `offset` make it a fragment.
func datagram(
    protocolNumber: UInt8, from source: IPv4Address, to destination: IPv4Address, _ payload: [UInt8],
    fragment: UInt16 = 0
) -> [UInt8] {
    let length = UInt16(clamping: 20 + payload.count)
    var header: [UInt8] =
        [
            0x45, 0, UInt8(length >> 8), UInt8(truncatingIfNeeded: length), 0x12, 0x34, UInt8(fragment >> 8),
            UInt8(truncatingIfNeeded: fragment), 64, protocolNumber, 0, 0,
        ] + source.octets + destination.octets
    let sum = referenceChecksum(header)
    (header[10], header[11]) = (UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum))
    return header + payload
}

/// The checksum over TCP's pseudo-header and segment: 0 where the segment's own is right.
func tcpChecksum(_ datagram: [UInt8], headerLength: Int) -> UInt16 {
    let segment = datagram.dropFirst(headerLength)
    let pseudo = datagram[12..<20] + [0, 6, UInt8(segment.count >> 8), UInt8(truncatingIfNeeded: segment.count)]
    return referenceChecksum(pseudo + segment)
}

/// A SYN with its maximum segment size, and a right checksum.
func synchronize(from source: IPv4Address, to destination: IPv4Address, segmentSize: UInt16, odd: Bool = false)
    -> [UInt8]
{
    let size = [2, 4, UInt8(segmentSize >> 8), UInt8(truncatingIfNeeded: segmentSize)] as [UInt8]
    let options = odd ? [1] + size + [1, 1, 1] : size + [1, 3, 3, 7]
    var segment: [UInt8] = [0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x70, 0x02, 0xff, 0xff, 0, 0, 0, 0] + options
    let sum = tcpChecksum(
        datagram(protocolNumber: IPProtocol.tcp, from: source, to: destination, segment), headerLength: 20)
    (segment[16], segment[17]) = (UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum))
    return datagram(protocolNumber: IPProtocol.tcp, from: source, to: destination, segment)
}
