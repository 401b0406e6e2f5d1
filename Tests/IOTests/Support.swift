import Testing
import Wire

@testable import IO

/// Why a test that needs a namespace was skipped.
let namespacesNeeded: Comment = "needs the right to make a network namespace (run as root)"

let loopback = IPv4Address(127, 0, 0, 1)

/// A batch that holds `contents`, each on its way along `path`.
func batch(_ contents: [[UInt8]], along path: OuterPath, packetSizeMaximum: Int = 2000) -> PacketBatch {
    var batch = PacketBatch(capacity: max(contents.count, 1), packetSizeMaximum: packetSizeMaximum)
    for (index, bytes) in contents.enumerated() {
        batch[index].start.copyMemory(from: bytes, byteCount: bytes.count)
        batch[index].count = bytes.count
        batch[index].path = path
    }
    batch.count = contents.count
    return batch
}

extension PacketBatch {
    /// The packets' bytes.
    var contents: [[UInt8]] {
        (0..<count).map { Array(UnsafeRawBufferPointer(start: self[$0].start, count: self[$0].count)) }
    }
}

/// Waits until `source` is readable, for at most two seconds.
func isReadable(_ source: some Pollable) throws -> Bool {
    let poller = try Poller()
    try poller.add(source, token: 5)
    let deadline = SystemClock.now + .seconds(2)
    while SystemClock.now < deadline {
        if poller.wait(until: deadline).contains(5) { return true }
    }
    return false
}

/// Four bytes, most significant first.
func bytes(_ number: UInt32) -> [UInt8] { IPv4Address(number).octets }

/// Receives until `batch` holds `count` packets or two seconds have passed.
func collect(_ count: Int, from socket: DatagramSocket, into batch: inout PacketBatch) throws {
    let deadline = SystemClock.now + .seconds(2)
    while batch.count < count, SystemClock.now < deadline {
        if socket.receive(into: &batch) == 0 { _ = try isReadable(socket) }
    }
    #expect(batch.count == count)
}

/// An ICMP echo request or reply within an IPv4 packet (RFC 791, RFC 792).
func echo(type: UInt8, from source: IPv4Address, to destination: IPv4Address, payload: [UInt8]) -> [UInt8] {
    var icmp: [UInt8] = [type, 0, 0, 0, 0x12, 0x34, 0, 1] + payload
    let icmpSum = checksum(icmp)
    (icmp[2], icmp[3]) = (UInt8(icmpSum >> 8), UInt8(icmpSum & 0xff))
    return ipv4(protocol: 1, from: source, to: destination, icmp)
}

/// A UDP datagram from port 4000 to port 4000, in IPv4.
func udp(from source: IPv4Address, to destination: IPv4Address, payload: [UInt8]) -> [UInt8] {
    let length = UInt16(8 + payload.count)
    let lengthBytes = [UInt8(length >> 8), UInt8(length & 0xff)]
    var datagram: [UInt8] = [0x0f, 0xa0, 0x0f, 0xa0] + lengthBytes + [0, 0] + payload
    let sum = checksum(source.octets + destination.octets + [0, 17] + lengthBytes + datagram)
    (datagram[6], datagram[7]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
    return ipv4(protocol: 17, from: source, to: destination, datagram)
}

private func ipv4(
    protocol number: UInt8, from source: IPv4Address, to destination: IPv4Address, _ payload: [UInt8]
) -> [UInt8] {
    let length = UInt16(20 + payload.count)
    var header: [UInt8] = [0x45, 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 1, 0x40, 0, 64, number, 0, 0]
    header += source.octets + destination.octets
    let sum = checksum(header)
    (header[10], header[11]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
    return header + payload
}

func checksum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() { sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
    while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
    return ~UInt16(sum)
}
