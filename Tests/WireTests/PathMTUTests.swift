import Testing
import Wire

@Suite("Path MTU")
struct PathMTUTests {
    private let now = Instant(nanoseconds: 1)

    private func report(_ bytes: [UInt8], version: UInt8) -> PathMTUReport? {
        withPacket(bytes) { PathMTUReport($0, version: version) }
    }

    /// The ICMP message that a router sends about `original`, without its IP header.
    private func message(about original: [UInt8], mtuBytes: Int) throws -> [UInt8] {
        try withPacket(original) { packet in
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: ICMPError.lengthMaximum)
            let error = ICMPError.tooLarge(mtuBytes: mtuBytes)
            if let header = IPv4Header(packet) {
                error.write(about: packet, header, from: IPv4Address(203, 0, 113, 1), into: &batch[0])
                return Array([UInt8](copying: batch[0].span).dropFirst(20))
            }
            error.write(about: packet, try #require(IPv6Header(packet)), from: v6("2001:db8::ffff"), into: &batch[0])
            return Array([UInt8](copying: batch[0].span).dropFirst(40))
        }
    }

    @Test("a report about ESP, AH or UDP names path, port and SPI, in both versions")
    func reports() throws {
        let spi: [UInt8] = [0x11, 0x22, 0x33, 0x44]
        let payloads: [(number: UInt8, bytes: [UInt8], port: UInt16, index4: UInt32?)] = [
            (50, spi + [0, 0, 0, 1], 0, 0x1122_3344), (51, [4, 4, 0, 0] + spi, 0, 0x1122_3344),
            // The eight bytes that an IPv4 router must quote end before the SPI.
            (17, be16(4500) + be16(61_000) + [0, 0, 0, 0] + spi, 61_000, nil),
        ]
        for (number, bytes, port, index4) in payloads {
            let four = try #require(
                report(try message(about: ipv4(flags: 2, protocol: number, bytes), mtuBytes: 1400), version: 4))
            #expect(four.path.local == .v4(IPv4Address(10, 0, 0, 1)) && four.mtuBytes == 1400)
            #expect(four.path.remote == Endpoint(IPv4Address(10, 0, 0, 2), port) && four.index == index4)
            #expect(four.protocolNumber == number && four.localPort == (number == 17 ? 4500 : 0))
            let six = try #require(
                report(try message(about: ipv6(protocol: number, bytes), mtuBytes: 1400), version: 6))
            #expect(six.path.local == .v6(v6("2001:db8::1")) && six.mtuBytes == 1400 && six.index == 0x1122_3344)
            #expect(six.path.remote == Endpoint(address: .v6(v6("2001:db8:1::2")), port: port))
        }
    }

    @Test("no prefix, no broken checksum, no other message and no later fragment is a report")
    func noReports() throws {
        let esp: [UInt8] = [1, 2, 3, 4, 0, 0, 0, 1]
        let four = try message(about: ipv4(flags: 2, protocol: 50, esp), mtuBytes: 1400)
        for index in four.indices where index < 8 {
            var changed = four
            changed[index] ^= 1
            #expect(report(changed, version: 4) == nil)
        }
        for count in 0..<28 { #expect(report(Array(four.prefix(count)), version: 4) == nil) }
        let six = try message(about: ipv6(protocol: 50, esp), mtuBytes: 1400)
        for count in 0..<48 { #expect(report(Array(six.prefix(count)), version: 6) == nil) }
        #expect(report(Array(six.prefix(50)), version: 6)?.index == nil)
        #expect(report(try message(about: ipv4(protocol: 6, esp), mtuBytes: 1400), version: 4) == nil)
        #expect(report(try message(about: ipv6(protocol: 6, esp), mtuBytes: 1400), version: 6) == nil)
    }

    @Test("a report makes packets smaller down to what every host takes, and is forgotten after ten minutes")
    func learning() {
        var path = PathMTU()
        var lowered: [Bool] = []
        var sizes: [Int?] = []
        for (size, second) in [(1400, 0), (1450, 0), (0, 0), (68, 0), (100, 300)] {
            lowered.append(path.learn(size, version: 4, now: now + .seconds(second)))
            sizes.append(path.mtuBytes)
        }
        #expect(lowered == [true, false, false, true, false])
        #expect(sizes == [1400, 1400, 1400, PathMTU.lowestIPv4, PathMTU.lowestIPv4])
        let early = path.expire(now: now + .seconds(600))
        let late = path.expire(now: now + .seconds(900))
        let again = path.expire(now: now + .seconds(900))
        #expect(!early && late && !again && path.mtuBytes == nil && path.deadline == nil)
        _ = path.learn(600, version: 6, now: now)
        #expect(path.mtuBytes == PathMTU.lowestIPv6)
    }
}
