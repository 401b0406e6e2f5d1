import Testing
import Wire

@Suite("IPv6 addresses, headers and flows")
struct IPv6Tests {
    @Test("an address is read in every form that RFC 4291 section 2.2 has, and written in that of RFC 5952")
    func addresses() {
        let cases = [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"),
            ("ff01:0:0:0:0:0:0:101", "ff01::101"), ("0:0:0:0:0:0:13.1.68.3", "::d01:4403"),
            ("::ffff:129.144.52.38", "::ffff:8190:3426"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ]
        for (text, written) in cases {
            #expect(IPv6Address(text)?.description == written, "\(text)")
            #expect(IPAddress(text)?.version == 6)
        }
        #expect(IPAddress("192.0.2.1") == .v4(IPv4Address(192, 0, 2, 1)))
    }

    @Test("what is no address is refused")
    func refusedAddresses() {
        for text in [
            "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", ":1::", "1:", "::1:",
            "1:2:3:4::5:6:7:8", "g::", "+1::", "-1::", "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "fe80::1%eth0", " ::1",
            "1:2:3:4:5:6:7:1.2.3.4", "::\u{ff11}",
        ] {
            #expect(IPv6Address(text) == nil, "\(text)")
            #expect(IPAddress(text) == nil, "\(text)")
        }
    }

    private let hopByHop: (UInt8, [UInt8]) = (0, [0, 1, 4, 0, 0, 0, 0])
    private let routing: (UInt8, [UInt8]) = (43, [0, 4, 0, 0, 0, 0, 0])
    private let destination: (UInt8, [UInt8]) = (60, [1, 1, 12] + [UInt8](repeating: 0, count: 12))

    @Test("every field is where RFC 8200 says")
    func fields() throws {
        try withPacket(ipv6(protocol: 6, trafficClass: 0xb9, [1, 2, 3, 4])) { packet in
            let header = try #require(IPv6Header(packet))
            #expect(header.totalLength == 44 && header.payloadOffset == 40 && header.protocolNumber == 6)
            #expect(header.source == v6("2001:db8::1") && header.destination == v6("2001:db8:1::2"))
            #expect(header.trafficClass == 0xb9 && !header.hasFragmentHeader && !header.isFragment)
            #expect(header.perFragmentLength == 40 && header.nextHeaderOffset == 6 && header.identification == 0)
        }
    }

    @Test(
        "the protocol stands behind all extension headers, and what each fragment has ends before the fragment header")
    func extensions() throws {
        let chain = [hopByHop, destination, routing, fragmentHeader(offset: 0, more: true), destination]
        try withPacket(ipv6(extensions: chain, [9, 9])) { packet in
            let header = try #require(IPv6Header(packet))
            #expect(header.protocolNumber == 17 && header.payloadOffset == 40 + 8 + 16 + 8 + 8 + 16)
            #expect(header.perFragmentLength == 72 && header.nextHeaderOffset == 64)
            #expect(header.isFragment && header.moreFragments && header.identification == 0x0102_0304)
        }
        // Destination options behind the routing header are for the last destination alone, and are cut.
        try withPacket(ipv6(extensions: [routing, destination], [9])) { packet in
            let header = try #require(IPv6Header(packet))
            #expect(header.perFragmentLength == 48 && header.nextHeaderOffset == 40 && header.payloadOffset == 64)
        }
        try withPacket(ipv6(extensions: [destination, fragmentHeader(offset: 0, more: false)], [9])) { packet in
            let header = try #require(IPv6Header(packet))
            #expect(header.perFragmentLength == 56 && header.nextHeaderOffset == 40 && !header.isFragment)
        }
    }

    @Test("a later fragment's bytes are not taken for headers")
    func laterFragment() throws {
        try withPacket(ipv6(extensions: [fragmentHeader(offset: 3, more: false)], protocol: 60, [0xff, 0xff])) {
            packet in
            let header = try #require(IPv6Header(packet))
            #expect(header.protocolNumber == 60 && header.payloadOffset == 48 && header.fragmentOffset == 3)
        }
    }

    @Test("no prefix of a packet is taken for the packet, whatever its length field says")
    func truncated() {
        let bytes = ipv6(extensions: [hopByHop, fragmentHeader(offset: 0, more: true), destination], [1, 2, 3])
        for count in 0..<bytes.count {
            withPacket(Array(bytes.prefix(count))) { packet in #expect(IPv6Header(packet) == nil, "\(count) bytes") }
            guard count >= 40 else { continue }
            var cut = Array(bytes.prefix(count))
            cut.replaceSubrange(4..<6, with: be16(count - 40))
            let isWholeChain = count >= 72
            withPacket(cut) { packet in #expect((IPv6Header(packet) != nil) == isWholeChain, "\(count) bytes") }
        }
        withPacket(bytes + [0]) { packet in #expect(IPv6Header(packet)?.totalLength == bytes.count) }
    }

    @Test("hop-by-hop options in the middle, two fragment headers, and chains without end are refused")
    func hostile() {
        let fragment = fragmentHeader(offset: 0, more: false)
        for chain in [
            [destination, hopByHop], [fragment, fragment],
            [(number: UInt8, rest: [UInt8])](repeating: routing, count: 9),
        ] {
            withPacket(ipv6(extensions: chain, [1])) { packet in #expect(IPv6Header(packet) == nil) }
        }
        withPacket(ipv6(extensions: .init(repeating: routing, count: 8), [1])) { packet in
            #expect(IPv6Header(packet)?.payloadOffset == 104)
        }
        withPacket(ipv4([1])) { packet in #expect(IPv6Header(packet) == nil) }
    }

    private func flow(_ bytes: [UInt8]) -> PacketFlow? { withPacket(bytes) { PacketFlow($0) } }

    @Test("a flow has the ports of whole packets and first fragments of either version")
    func flows() {
        let ports = be16(1234) + be16(1701)
        for number: UInt8 in [6, 17, 33, 132] {
            let four = flow(ipv4(options: [1, 1, 1, 1], protocol: number, ports))
            #expect(four?.sourcePort == 1234 && four?.destinationPort == 1701 && four?.protocolNumber == number)
            #expect(four?.source == .v4(IPv4Address(10, 0, 0, 1)) && four?.destination == .v4(IPv4Address(10, 0, 0, 2)))
            let six = flow(ipv6(extensions: [hopByHop, destination], protocol: number, ports))
            #expect(six?.sourcePort == 1234 && six?.destinationPort == 1701 && six?.protocolNumber == number)
            #expect(six?.source == .v6(v6("2001:db8::1")) && six?.destination == .v6(v6("2001:db8:1::2")))
        }
        #expect(flow(ipv4(flags: 1, ports))?.destinationPort == 1701)
        #expect(flow(ipv6(extensions: [fragmentHeader(offset: 0, more: true)], ports))?.destinationPort == 1701)
    }

    @Test("later fragments, too short ones and protocols without ports tell none; what is no packet has no flow")
    func flowsWithoutPorts() {
        let ports = be16(1234) + be16(1701)
        for bytes in [
            ipv4(offset: 1, ports), ipv4(be16(1234) + [1]), ipv4(protocol: 1, ports),
            ipv6(extensions: [fragmentHeader(offset: 1, more: false)], ports), ipv6(be16(1234) + [1]),
            ipv6(protocol: 58, ports), ipv6(protocol: 59, []),
        ] {
            let flow = flow(bytes)
            #expect(flow != nil && flow?.sourcePort == nil && flow?.destinationPort == nil, "\(bytes)")
        }
        #expect(flow([]) == nil && flow([0x50]) == nil && flow(Array(ipv6([1]).dropLast())) == nil)
    }

    @Test("a SYN in IPv6 is clamped to what fits, behind extension headers, too")
    func clamps() throws {
        let pseudo = v6("2001:db8::1").octets + v6("2001:db8:1::2").octets + [0, 0] + be16(24) + [0, 0, 0, 6]
        var tcp: [UInt8] =
            be16(1000) + be16(80) + [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2] + be16(0xffff) + [0, 0, 0, 0] + [2, 4]
            + be16(1440)
        tcp.replaceSubrange(16..<18, with: be16(Int(referenceChecksum(pseudo + tcp))))
        for extensions in [[], [destination]] {
            try withPacket(ipv6(extensions: extensions, protocol: 6, tcp)) { packet in
                let header = try #require(IPv6Header(packet))
                TCPSegmentSize.clamp(packet, header, mtuBytes: 1400)
                let clamped = Array([UInt8](copying: packet.span).suffix(24))
                #expect(Array(clamped.suffix(2)) == be16(1340) && referenceChecksum(pseudo + clamped) == 0)
            }
        }
        let later = ipv6(extensions: [fragmentHeader(offset: 1, more: false)], protocol: 6, tcp)
        withPacket(later) { packet in
            if let header = IPv6Header(packet) { TCPSegmentSize.clamp(packet, header, mtuBytes: 1400) }
            #expect([UInt8](copying: packet.span) == later)
        }
    }

    private func message(_ error: ICMPError, about bytes: [UInt8]) throws -> [UInt8] {
        try withPacket(bytes) { packet in
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: ICMPError.lengthMaximum)
            error.write(about: packet, try #require(IPv6Header(packet)), from: v6("fe80::9"), into: &batch[0])
            return [UInt8](copying: batch[0].span)
        }
    }

    @Test("ICMPv6 errors: who, why, as much of the packet as fits 1280 bytes, and a checksum over the pseudo-header")
    func errors() throws {
        let large = ipv6([UInt8](repeating: 5, count: 2000))
        let cases: [(ICMPError, [UInt8])] = [
            (.tooLarge(mtuBytes: 1400), [2, 0] + [0, 0] + be16(1400)),
            (.tooLarge(mtuBytes: 600), [2, 0] + [0, 0] + be16(1280)),
            (.prohibited, [1, 1, 0, 0, 0, 0]), (.unreachable, [1, 0, 0, 0, 0, 0]),
        ]
        for (error, expected) in cases {
            for original in [large, ipv6([1, 2, 3])] {
                let bytes = try message(error, about: original)
                let quoted = min(original.count, 1232)
                #expect(bytes.count == 48 + quoted && bytes.count <= ICMPError.lengthMaximum)
                #expect(Array(bytes[0..<8]) == [0x60, 0, 0, 0] + be16(8 + quoted) + [58, 64])
                #expect(Array(bytes[8..<40]) == v6("fe80::9").octets + v6("2001:db8::1").octets)
                #expect(Array(bytes[40..<42]) + Array(bytes[44..<48]) == expected)
                #expect(Array(bytes[48...]) == Array(original.prefix(quoted)))
                let pseudo = Array(bytes[8..<40]) + [0, 0] + be16(8 + quoted) + [0, 0, 0, 58]
                #expect(referenceChecksum(pseudo + Array(bytes[40...])) == 0)
            }
        }
    }

    @Test("RFC 4443 section 2.4 (e): what is never answered, and that only too large packets to many hosts are")
    func noErrors() {
        let tooLarge = ICMPError.tooLarge(mtuBytes: 1400)
        let cases: [(bytes: [UInt8], always: Bool, ifTooLarge: Bool)] = [
            (ipv6([1]), true, true), (ipv6(protocol: 58, [128, 0]), true, true),
            (ipv6(protocol: 58, [129]), true, true),
            (ipv6(protocol: 58, [1, 0]), false, false), (ipv6(protocol: 58, [2, 0]), false, false),
            (ipv6(protocol: 58, [127, 0]), false, false), (ipv6(protocol: 58, [137, 0]), false, false),
            (ipv6(protocol: 58, []), false, false),
            (ipv6(extensions: [fragmentHeader(offset: 2, more: false)], protocol: 58, [128]), false, false),
            (ipv6(extensions: [fragmentHeader(offset: 2, more: false)], protocol: 17, [1]), true, true),
            (ipv6(source: "::", [1]), false, false), (ipv6(source: "ff02::1", [1]), false, false),
            (ipv6(source: "::1", [1]), false, false), (ipv6(destination: "ff0e::1", [1]), false, true),
        ]
        for (bytes, always, ifTooLarge) in cases {
            withPacket(bytes) { packet in
                let header = IPv6Header(packet)
                #expect(header.map { ICMPError.prohibited.mayAnswer(packet, $0) } == always, "\(bytes)")
                #expect(header.map { tooLarge.mayAnswer(packet, $0) } == ifTooLarge, "\(bytes)")
            }
        }
    }

    @Test("ICMP errors in IPv4 say why")
    func errorsInIPv4() throws {
        for (error, code) in [(ICMPError.prohibited, 13), (.unreachable, 1)] as [(ICMPError, UInt8)] {
            try withPacket(ipv4([1, 2])) { packet in
                let batch = PacketBatch(capacity: 1, packetSizeMaximum: ICMPError.lengthMaximum)
                error.write(about: packet, try #require(IPv4Header(packet)), from: .any, into: &batch[0])
                let bytes = [UInt8](copying: batch[0].span)
                #expect(Array(bytes[20..<22]) == [3, code] && referenceChecksum(Array(bytes[20...])) == 0)
            }
        }
    }
}
