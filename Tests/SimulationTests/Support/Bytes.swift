import Cryptography
import Wire

// The simulated client's own byte work: written from the RFCs, so that it does not repeat the gateway's mistakes.

func be16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

func be32(_ value: Int) -> [UInt8] { be16(value >> 16 & 0xffff) + be16(value & 0xffff) }

/// The number that octets write, most significant first.
func number(_ octets: some Sequence<UInt8>) -> Int { octets.reduce(0) { $0 << 8 | Int($1) } }

func hmac(_ key: [UInt8], _ data: [UInt8]) -> [UInt8] {
    var code = HMAC(.sha256, key: SecretBytes(key))
    code.update(data)
    return code.finish()
}

/// A generator from a seed, so that a run can be had again (SplitMix64).
struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// True with a probability of `share`, 0 to 1.
    mutating func chance(_ share: Double) -> Bool { Double(next() >> 11) < share * 9_007_199_254_740_992 }
}

/// An inner IPv4 packet that the tests know again: UDP from port 7 to port 7, then what it is.
struct Probe: Hashable {
    enum Direction: UInt8 { case request, reply }

    static let byteCountMinimum = 38
    var source: IPv4Address
    var destination: IPv4Address
    var direction: Direction
    var client: Int
    var serial: Int
    var byteCount = Probe.byteCountMinimum

    var bytes: [UInt8] {
        let size = max(byteCount, Self.byteCountMinimum)
        var header: [UInt8] =
            [0x45, 0] + be16(size) + [0, 0, 0x40, 0, 64, 17, 0, 0] + source.octets + destination.octets
        let checksum = header.withUnsafeBytes { $0.baseAddress.map { InternetChecksum.of($0, count: 20) } ?? 0 }
        header.replaceSubrange(10..<12, with: be16(Int(checksum)))
        let payload: [UInt8] = [0xc5, direction.rawValue] + be32(client) + be32(serial)
        return header + be16(7) + be16(7) + be16(size - 20) + [0, 0] + payload
            + [UInt8](repeating: 0x5a, count: size - Self.byteCountMinimum)
    }

    init(
        from source: IPv4Address, to destination: IPv4Address, _ direction: Direction, client: Int, serial: Int,
        byteCount: Int = Probe.byteCountMinimum
    ) {
        (self.source, self.destination, self.direction) = (source, destination, direction)
        (self.client, self.serial, self.byteCount) = (client, serial, byteCount)
    }

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.byteCountMinimum, bytes[0] == 0x45, bytes[9] == 17, bytes[28] == 0xc5,
            number(bytes[2..<4]) == bytes.count, let direction = Direction(rawValue: bytes[29])
        else { return nil }
        source = IPv4Address(UInt32(number(bytes[12..<16])))
        destination = IPv4Address(UInt32(number(bytes[16..<20])))
        self.direction = direction
        client = number(bytes[30..<34])
        serial = number(bytes[34..<38])
        byteCount = bytes.count
    }
}
