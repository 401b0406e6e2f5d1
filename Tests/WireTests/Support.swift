import Wire

/// Random numbers from a seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

func be16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

/// The checksum as RFC 1071 defines it, word by word: slow, and not our code.
func referenceChecksum(_ bytes: [UInt8]) -> UInt16 {
    var sum = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
        sum += Int(bytes[index]) << 8 | (index + 1 < bytes.count ? Int(bytes[index + 1]) : 0)
        if sum > 0xffff { sum -= 0xffff }
    }
    return ~UInt16(sum)
}

func checksum(_ bytes: [UInt8]) -> UInt16 {
    bytes.withUnsafeBytes { buffer in buffer.baseAddress.map { InternetChecksum.of($0, count: buffer.count) } ?? 0xffff
    }
}

/// An IPv4 packet; the total length is right unless it is given.
func ipv4(
    options: [UInt8] = [], id: Int = 0x1234, flags: Int = 0, offset: Int = 0, protocol number: UInt8 = 17,
    source: IPv4Address = IPv4Address(10, 0, 0, 1), destination: IPv4Address = IPv4Address(10, 0, 0, 2),
    totalLength: Int? = nil, _ payload: [UInt8]
) -> [UInt8] {
    let length = 20 + options.count
    var header: [UInt8] =
        [0x40 | UInt8(length / 4), 0] + be16(totalLength ?? length + payload.count) + be16(id)
        + be16(flags << 13 | offset) + [64, number, 0, 0] + source.octets + destination.octets + options
    header.replaceSubrange(10..<12, with: be16(Int(checksum(header))))
    return header + payload
}

/// Puts bytes into a slot and shows them as a packet.
func withPacket<Value>(_ bytes: [UInt8], _ body: (inout Packet) throws -> Value) rethrows -> Value {
    var batch = PacketBatch(capacity: 1, packetSizeMaximum: max(bytes.count, 64))
    batch[0].start.copyMemory(from: bytes, byteCount: bytes.count)
    batch[0].count = bytes.count
    batch.count = 1
    return try body(&batch[0])
}

func v6(_ text: String) -> IPv6Address { IPv6Address(text) ?? .any }

/// An IPv6 packet with extension headers, given as their number and their bytes behind the number of the next one; the
/// payload length is right unless it is given.
func ipv6(
    extensions: [(number: UInt8, rest: [UInt8])] = [], protocol number: UInt8 = 17, trafficClass: UInt8 = 0,
    source: String = "2001:db8::1", destination: String = "2001:db8:1::2", payloadLength: Int? = nil, _ payload: [UInt8]
) -> [UInt8] {
    let numbers = extensions.map(\.number) + [number]
    let chain = extensions.enumerated().flatMap { [numbers[$0.offset + 1]] + $0.element.rest }
    return [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0] + be16(payloadLength ?? chain.count + payload.count)
        + [numbers[0], 64] + v6(source).octets + v6(destination).octets + chain + payload
}

/// What stands in a fragment header behind the number of the next one.
func fragmentHeader(offset: Int, more: Bool, id: UInt32 = 0x0102_0304) -> (number: UInt8, rest: [UInt8]) {
    (44, [0] + be16(offset << 3 | (more ? 1 : 0)) + IPv4Address(id).octets)
}
