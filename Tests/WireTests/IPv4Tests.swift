import Testing
import Wire

@Suite("IPv4 headers")
struct IPv4HeaderTests {
    @Test("every field is where RFC 791 says")
    func fields() throws {
        let bytes = ipv4(options: [1, 1, 1, 0], flags: 0b011, offset: 0x155, protocol: 6, [1, 2, 3, 4])
        try withPacket(bytes) { packet in
            let header = try #require(IPv4Header(packet))
            #expect(header.length == 24 && header.totalLength == 28)
            #expect(header.source == IPv4Address(10, 0, 0, 1) && header.destination == IPv4Address(10, 0, 0, 2))
            #expect(header.protocolNumber == 6)
            #expect(header.doNotFragment && header.moreFragments && header.fragmentOffset == 0x155)
        }
    }

    @Test("no prefix of a packet is taken for the packet")
    func truncated() {
        let bytes = ipv4(options: [1, 1, 1, 0], [1, 2, 3, 4])
        for count in 0..<bytes.count {
            withPacket(Array(bytes.prefix(count))) { packet in #expect(IPv4Header(packet) == nil, "\(count) bytes") }
        }
        withPacket(bytes) { packet in #expect(IPv4Header(packet) != nil) }
        withPacket(bytes + [0, 0, 0]) { packet in #expect(IPv4Header(packet)?.totalLength == 28) }
    }

    @Test("another version, a header shorter than 20 bytes, a total length below the header's: none is a header")
    func malformed() {
        for (offset, value) in [(0, 0x65), (0, 0x44), (0, 0x05), (3, 19), (3, 0)] as [(Int, UInt8)] {
            var bytes = ipv4([])
            bytes[offset] = value
            withPacket(bytes) { packet in #expect(IPv4Header(packet) == nil, "\(offset) \(value)") }
        }
    }
}

@Suite("Clamping the maximum segment size")
struct TCPSegmentSizeTests {
    /// A SYN with options, its checksum right.
    private func segment(flags: UInt8 = 0x02, options: [UInt8], offset: Int = 0, declared: Int? = nil) -> [UInt8] {
        let length = declared ?? (20 + options.count) / 4
        var tcp: [UInt8] =
            be16(1000) + be16(80) + [0, 0, 0, 1, 0, 0, 0, 0, UInt8(length << 4), flags] + be16(0xffff) + [0, 0, 0, 0]
            + options
        tcp.replaceSubrange(16..<18, with: be16(Int(tcpChecksum(tcp))))
        return ipv4(offset: offset, protocol: 6, tcp)
    }

    private func tcpChecksum(_ tcp: [UInt8]) -> UInt16 {
        let pseudo = IPv4Address(10, 0, 0, 1).octets + IPv4Address(10, 0, 0, 2).octets + [0, 6] + be16(tcp.count)
        return referenceChecksum(pseudo + tcp)
    }

    private func clamped(_ bytes: [UInt8], mtuBytes: Int = 1400) -> [UInt8] {
        withPacket(bytes) { packet in
            guard let header = IPv4Header(packet) else { return [] }
            TCPSegmentSize.clamp(packet, header, mtuBytes: mtuBytes)
            return [UInt8](copying: packet.span)
        }
    }

    /// With its checksum in place, a segment sums to zero.
    private func isIntact(_ bytes: [UInt8]) -> Bool { tcpChecksum(Array(bytes.dropFirst(20))) == 0 }

    @Test("a larger size becomes what fits, and the checksum stays right, at even and odd places")
    func lowers() {
        for options in [[2, 4, 5, 0xb4], [1, 2, 4, 5, 0xb4, 0, 0, 0], [1, 1, 1, 2, 4, 5, 0xb4, 1]] as [[UInt8]] {
            let bytes = segment(options: options)
            let result = clamped(bytes)
            let place = bytes.count - options.count + (options.firstIndex(of: 2) ?? 0) + 2
            #expect(Array(result[place..<place + 2]) == be16(1360))
            #expect(isIntact(result) && isIntact(bytes))
        }
    }

    @Test("a SYN-ACK is clamped as well, a smaller size is left, and so is an equal one")
    func leaves() {
        #expect(
            clamped(segment(flags: 0x12, options: [2, 4, 5, 0xb4])) != segment(flags: 0x12, options: [2, 4, 5, 0xb4]))
        for size in [536, 1359, 1360] {
            let bytes = segment(options: [2, 4] + be16(size))
            #expect(clamped(bytes) == bytes)
        }
    }

    @Test("what is no first fragment of a SYN is left as it is")
    func others() {
        let options: [UInt8] = [2, 4, 5, 0xb4]
        for bytes in [
            segment(flags: 0x10, options: options), segment(options: options, offset: 3), ipv4(protocol: 17, [1, 2]),
        ] {
            #expect(clamped(bytes) == bytes)
        }
    }

    @Test("options that lie about their lengths are not followed")
    func hostile() {
        let lies: [[UInt8]] = [
            [2, 4, 5, 0xb4], [3, 0, 2, 4], [3, 1, 2, 4], [3, 200, 2, 4], [2, 2, 5, 0xb4], [2, 3, 5, 0xb4],
            [0, 2, 4, 5],
            [1, 1, 1, 2],
        ]
        for options in lies.dropFirst() {
            let bytes = segment(options: options)
            #expect(clamped(bytes) == bytes, "\(options)")
        }
        // The data offset points beyond the packet, or into the fixed part.
        for declared in [4, 7, 15] {
            let bytes = segment(options: lies[0], declared: declared)
            #expect(clamped(bytes) == bytes, "\(declared)")
        }
    }

    @Test("every prefix and every changed byte of a SYN is survived")
    func noise() {
        let bytes = segment(options: [1, 2, 4, 5, 0xb4, 3, 3, 7])
        for count in 20..<bytes.count {
            var cut = Array(bytes.prefix(count))
            cut.replaceSubrange(2..<4, with: be16(count))
            _ = clamped(cut)
        }
        for place in 20..<bytes.count {
            for value in 0...255 as ClosedRange<UInt8> {
                var changed = bytes
                changed[place] = value
                #expect(clamped(changed).count == bytes.count)
            }
        }
    }
}

@Suite("Fragments and what is too large")
struct FragmentTests {
    private func fragments(_ bytes: [UInt8], mtuBytes: Int) -> [[UInt8]]? {
        withPacket(bytes) { packet in
            guard let header = IPv4Header(packet), var fragmenter = IPv4Fragmenter(packet, header, mtuBytes: mtuBytes)
            else {
                return nil
            }
            var batch = PacketBatch(capacity: 1, packetSizeMaximum: mtuBytes)
            var result: [[UInt8]] = []
            while fragmenter.next(into: &batch[0]) {
                result.append([UInt8](copying: batch[0].span))
                batch.reset()
            }
            return result
        }
    }

    @Test("put together again, the fragments are the datagram, for every size and MTU")
    func reassembly() throws {
        for size in [1, 8, 9, 100, 1400, 1401, 2800, 4000] {
            for mtuBytes in [68, 576, 1280, 1400] {
                let payload = SeededGenerator.sample(size)
                let parts = try #require(fragments(ipv4(payload), mtuBytes: mtuBytes))
                var assembled = [UInt8](repeating: 0, count: size)
                for (index, part) in parts.enumerated() {
                    #expect(part.count <= mtuBytes && checksum(Array(part.prefix(20))) == 0)
                    try withPacket(part) { packet in
                        let header = try #require(IPv4Header(packet))
                        #expect(header.moreFragments == (index < parts.count - 1))
                        #expect(packet.uint16(at: 4) == 0x1234 && header.totalLength == part.count)
                        let offset = Int(header.fragmentOffset) * 8
                        assembled.replaceSubrange(offset..<offset + part.count - 20, with: part.dropFirst(20))
                    }
                }
                #expect(assembled == payload, "\(size) by \(mtuBytes)")
            }
        }
    }

    @Test("a fragment that is cut again keeps its place and that more follow")
    func again() throws {
        let parts = try #require(fragments(ipv4(flags: 1, offset: 100, SeededGenerator.sample(64)), mtuBytes: 52))
        let headers = parts.map { UInt16($0[6]) << 8 | UInt16($0[7]) }
        #expect(headers == [0x2000 | 100, 0x2000 | 104])
    }

    @Test("options that are not to be copied stand in the first fragment only")
    func options() throws {
        // Record route (7), not copied; loose source route (131), copied; end.
        let options: [UInt8] = [7, 3, 4, 131, 3, 4, 0, 0]
        let parts = try #require(fragments(ipv4(options: options, SeededGenerator.sample(80)), mtuBytes: 68))
        #expect(Array(parts[0][20..<28]) == options)
        #expect(parts.dropFirst().allSatisfy { Array($0[20..<28]) == [1, 1, 1, 131, 3, 4, 0, 0] })
        #expect(parts.allSatisfy { checksum(Array($0.prefix(28))) == 0 })
    }

    @Test("an MTU that does not hold 8 bytes of payload cuts nothing")
    func tooSmall() {
        #expect(fragments(ipv4([1, 2, 3]), mtuBytes: 27) == nil)
        #expect(fragments(ipv4([1, 2, 3]), mtuBytes: 28) != nil)
    }

    @Test("fragmentation needed: who, how much, and the beginning of what did not fit")
    func answer() throws {
        let original = ipv4(flags: 2, SeededGenerator.sample(1400))
        try withPacket(original) { packet in
            let header = try #require(IPv4Header(packet))
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: ICMPError.lengthMaximum)
            ICMPError.tooLarge(mtuBytes: 1280).write(
                about: packet, header, from: IPv4Address(192, 168, 42, 1), into: &batch[0])
            let answer = [UInt8](copying: batch[0].span)
            let outer = try #require(IPv4Header(batch[0]))
            #expect(outer.source == IPv4Address(192, 168, 42, 1) && outer.destination == IPv4Address(10, 0, 0, 1))
            #expect(outer.protocolNumber == 1 && outer.totalLength == 56 && answer.count == 56)
            #expect(checksum(Array(answer.prefix(20))) == 0 && checksum(Array(answer.dropFirst(20))) == 0)
            #expect(Array(answer[20..<22]) == [3, 4] && Array(answer[26..<28]) == be16(1280))
            #expect(Array(answer.dropFirst(28)) == Array(original.prefix(28)))
        }
    }

    @Test("no answer to an ICMP error, to a later fragment, or to a source that is no host")
    func noAnswer() {
        let cases: [(bytes: [UInt8], may: Bool)] = [
            (ipv4([1]), true), (ipv4(protocol: 1, [8, 0]), true), (ipv4(protocol: 1, [0, 0]), true),
            (ipv4(protocol: 1, [3, 4]), false), (ipv4(protocol: 1, [11, 0]), false), (ipv4(protocol: 1, []), false),
            (ipv4(offset: 1, [1]), false), (ipv4(source: .any, [1]), false),
            (ipv4(source: IPv4Address(224, 0, 0, 1), [1]), false),
            (ipv4(source: IPv4Address(127, 0, 0, 1), [1]), false),
            (ipv4(source: IPv4Address(255, 255, 255, 255), [1]), false),
            (ipv4(destination: IPv4Address(224, 0, 0, 5), [1]), false),
            (ipv4(destination: IPv4Address(255, 255, 255, 255), [1]), false),
        ]
        for (bytes, may) in cases {
            withPacket(bytes) { packet in
                let mayAnswer = IPv4Header(packet).map { ICMPError.mayAnswer(packet, $0) }
                #expect(mayAnswer == may, "\(bytes)")
            }
        }
    }

    @Test("the longest header is quoted within the length that is promised")
    func longest() throws {
        try withPacket(ipv4(options: [UInt8](repeating: 1, count: 40), [UInt8](repeating: 9, count: 100))) { packet in
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: ICMPError.lengthMaximum)
            let header = try #require(IPv4Header(packet))
            ICMPError.tooLarge(mtuBytes: 576).write(about: packet, header, from: .any, into: &batch[0])
            #expect(batch[0].count == ICMPError.lengthMaximumIPv4)
        }
    }
}
