import Testing
import Wire

@Suite("Fragments put together")
struct ReassemblyTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    /// What comes out when `pieces` go in, one after the other.
    private func add(
        _ pieces: [[UInt8]], to reassembly: inout FragmentReassembly, owner: Int = 0, at time: Instant? = nil
    ) -> [[UInt8]] {
        var whole: [[UInt8]] = []
        for piece in pieces {
            withPacket(piece) { packet in
                guard let result = reassembly.add(packet, owner: owner, now: time ?? start) else { return }
                whole.append([UInt8](copying: result.span))
            }
        }
        return whole
    }

    private func pieces4(_ bytes: [UInt8], mtuBytes: Int) -> [[UInt8]] {
        withPacket(bytes) { packet in
            guard let header = IPv4Header(packet), var cut = IPv4Fragmenter(packet, header, mtuBytes: mtuBytes) else {
                return []
            }
            var pieces: [[UInt8]] = []
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: mtuBytes)
            while cut.next(into: &batch[0]) { pieces.append([UInt8](copying: batch[0].span)) }
            return pieces
        }
    }

    private func pieces6(_ bytes: [UInt8], mtuBytes: Int, id: UInt32 = 9) -> [[UInt8]] {
        withPacket(bytes) { packet in
            guard let header = IPv6Header(packet),
                var cut = IPv6Fragmenter(packet, header, mtuBytes: mtuBytes, identification: id)
            else { return [] }
            var pieces: [[UInt8]] = []
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: mtuBytes)
            while cut.next(into: &batch[0]) { pieces.append([UInt8](copying: batch[0].span)) }
            return pieces
        }
    }

    private func drops(_ reassembly: borrowing FragmentReassembly) -> [FragmentDrop: UInt64] {
        Dictionary(uniqueKeysWithValues: reassembly.drops.nonzero.map { ($0.reason, $0.count) })
    }

    @Test("what the fragmenters cut comes together again in any order, with options and extension headers")
    func roundTrip() {
        var random = SeededGenerator(7)
        var reassembly = FragmentReassembly()
        for round in 0..<200 {
            let payload = random.bytes(Int.random(in: 600...4000, using: &random))
            let mtu = Int.random(in: 576...1500, using: &random)
            let options: [UInt8] = round % 3 == 0 ? [0x94, 4, 0, 0] : []
            let four = ipv4(options: options, id: round, payload)
            let extensions: [(number: UInt8, rest: [UInt8])] =
                round % 2 == 0 ? [] : [(0, [0, 1, 4, 0, 0, 0, 0]), (60, [0, 1, 4, 0, 0, 0, 0])]
            let six = ipv6(extensions: extensions, payload)
            let cut4 = pieces4(four, mtuBytes: mtu).shuffled(using: &random)
            let cut6 = pieces6(six, mtuBytes: mtu, id: UInt32(round)).shuffled(using: &random)
            #expect(cut6.allSatisfy { $0.count <= mtu })
            #expect(add(cut4, to: &reassembly) == [four])
            if cut6.count > 1 { #expect(add(cut6, to: &reassembly) == [six]) }
        }
        #expect(drops(reassembly).isEmpty)
    }

    @Test("fragments of several datagrams may be mixed; two owners' are never put together")
    func owners() {
        var reassembly = FragmentReassembly()
        let (one, two) = (
            ipv4(id: 1, [UInt8](repeating: 1, count: 900)), ipv4(id: 2, [UInt8](repeating: 2, count: 900))
        )
        let (first, second) = (pieces4(one, mtuBytes: 600), pieces4(two, mtuBytes: 600))
        #expect(add([first[0], second[0], second[1], first[1]], to: &reassembly) == [two, one])
        #expect(add([first[0]], to: &reassembly, owner: 1).isEmpty)
        #expect(add([first[1]], to: &reassembly, owner: 2).isEmpty)
        #expect(add([first[1]], to: &reassembly, owner: 1) == [one])
    }

    @Test("a fragment that comes twice does no harm; one that overlaps with others ends the datagram (RFC 5722)")
    func overlaps() {
        let payload = (0..<96).map { UInt8($0) }
        func piece4(_ range: Range<Int>, more: Bool = true, id: Int, _ bytes: [UInt8]) -> [UInt8] {
            ipv4(id: id, flags: more ? 1 : 0, offset: range.lowerBound / 8, Array(bytes[range]))
        }
        func piece6(_ range: Range<Int>, more: Bool = true, id: Int, _ bytes: [UInt8]) -> [UInt8] {
            let header = fragmentHeader(offset: range.lowerBound / 8, more: more, id: UInt32(id))
            return ipv6(extensions: [header], Array(bytes[range]))
        }
        let other = payload.map { ~$0 }
        for piece in [piece4, piece6] {
            var reassembly = FragmentReassembly()
            let (first, last) = (piece(0..<48, true, 1, payload), piece(48..<96, false, 1, payload))
            #expect(add([first, first, last], to: &reassembly).count == 1)
            #expect(drops(reassembly).isEmpty)
            let tricks: [[[UInt8]]] = [
                // Another content at the same place, a part of the place, across two, behind the end, another end.
                [piece(0..<48, true, 2, payload), piece(0..<48, true, 2, other), piece(48..<96, false, 2, payload)],
                [
                    piece(0..<48, true, 3, payload), piece(40..<96, false, 3, payload),
                    piece(48..<96, false, 3, payload),
                ],
                [piece(48..<96, false, 4, payload), piece(0..<56, true, 4, payload), piece(0..<48, true, 4, payload)],
                [piece(48..<96, true, 6, payload), piece(0..<48, false, 6, payload), piece(0..<48, true, 6, payload)],
                [
                    piece(48..<96, false, 7, payload), piece(48..<88, false, 7, payload),
                    piece(0..<48, true, 7, payload),
                ],
            ]
            for (index, trick) in tricks.enumerated() {
                #expect(add(trick, to: &reassembly).isEmpty, "\(index)")
            }
            #expect(reassembly.drops[.overlapping] >= UInt64(tricks.count))
            #expect(reassembly.drops.nonzero.count == 1)
        }
    }

    @Test("a datagram beyond the largest, and pieces of no possible length, are refused")
    func malformed() {
        var reassembly = FragmentReassembly()
        let tricks = [
            ipv4(flags: 1, offset: 8190, [UInt8](repeating: 0, count: 48)),
            ipv4(offset: 8191, [1, 2, 3, 4, 5, 6, 7, 8]),
            ipv4(flags: 1, [UInt8](repeating: 0, count: 50)), ipv4(offset: 1, []),
            ipv6(extensions: [fragmentHeader(offset: 8190, more: true)], [UInt8](repeating: 0, count: 48)),
            ipv6(extensions: [fragmentHeader(offset: 0, more: true)], [UInt8](repeating: 0, count: 41)),
            ipv6([1]), [],
        ]
        #expect(add(tricks, to: &reassembly).isEmpty)
        #expect(drops(reassembly) == [.malformed: UInt64(tricks.count)])
    }

    @Test("the largest datagram is put together, and one byte more is not")
    func largest() {
        var reassembly = FragmentReassembly()
        let whole = ipv4([UInt8](repeating: 7, count: 65_515))
        #expect(add(pieces4(whole, mtuBytes: 1500), to: &reassembly) == [whole])
        let last = ipv4(id: 5, offset: 8188, [UInt8](repeating: 7, count: 12))
        #expect(add([last], to: &reassembly).isEmpty)
        #expect(drops(reassembly) == [.malformed: 1])
    }

    @Test("pieces that no link makes are refused, but a last one may be short")
    func tiny() {
        var reassembly = FragmentReassembly()
        let payload = [UInt8](repeating: 3, count: 100)
        #expect(add([ipv4(flags: 1, Array(payload.prefix(8)))], to: &reassembly).isEmpty)
        #expect(add([ipv4(flags: 1, Array(payload.prefix(32)))], to: &reassembly).isEmpty)
        #expect(drops(reassembly) == [.tiny: 2])
        let pieces = [ipv4(flags: 1, Array(payload.prefix(40))), ipv4(offset: 5, [9])]
        #expect(add(pieces, to: &reassembly) == [ipv4(Array(payload.prefix(40)) + [9])])
    }

    @Test("a datagram of more pieces than one may have is given up")
    func manyPieces() {
        var reassembly = FragmentReassembly()
        let pieces = (0...128).map { ipv4(flags: $0 == 128 ? 0 : 1, offset: $0 * 5, [UInt8](repeating: 1, count: 40)) }
        #expect(add(pieces, to: &reassembly).isEmpty)
        #expect(drops(reassembly) == [.tooManyFragments: 1])
    }

    @Test("what is not whole in time is forgotten: 30 seconds in IPv4, 60 in IPv6")
    func time() {
        var reassembly = FragmentReassembly()
        let (four, six) = (ipv4([UInt8](repeating: 1, count: 900)), ipv6([UInt8](repeating: 1, count: 900)))
        let (cut4, cut6) = (pieces4(four, mtuBytes: 600), pieces6(six, mtuBytes: 600))
        _ = add([cut4[0], cut6[0]], to: &reassembly)
        #expect(add([cut4[1]], to: &reassembly, at: start + .seconds(29)) == [four])
        _ = add([cut4[0]], to: &reassembly)
        #expect(add([cut4[1]], to: &reassembly, at: start + .seconds(30)).isEmpty)
        #expect(drops(reassembly) == [.timedOut: 1])
        #expect(add([cut6[1]], to: &reassembly, at: start + .seconds(59)) == [six])
        _ = add([cut6[0]], to: &reassembly)
        #expect(add([cut6[1]], to: &reassembly, at: start + .seconds(60)).isEmpty)
        #expect(reassembly.drops[.timedOut] == 3)
    }

    @Test("a refused datagram is refused until its time is over, and then its name may be used again")
    func refusedForATime() {
        var reassembly = FragmentReassembly()
        let whole = ipv4((0..<100).map { UInt8($0) })
        let cut = pieces4(whole, mtuBytes: 68)
        var forged = cut[0]
        forged[30] ^= 1
        #expect(add([forged] + cut, to: &reassembly).isEmpty)
        #expect(add(cut, to: &reassembly, at: start + .seconds(29)).isEmpty)
        #expect(add(cut, to: &reassembly, at: start + .seconds(30)) == [whole])
    }

    @Test("a host that never ends its datagrams loses its own first, and all places taken, the oldest goes")
    func limits() {
        var reassembly = FragmentReassembly()
        let payload = [UInt8](repeating: 1, count: 900)
        func piece(_ host: Int, _ id: Int, _ index: Int) -> [UInt8] {
            pieces4(ipv4(id: id, source: IPv4Address(10, 0, 1, UInt8(host)), payload), mtuBytes: 600)[index]
        }
        let limit = FragmentReassembly.datagramsPerSourceMaximum
        _ = add([piece(1, 0, 0)], to: &reassembly)
        for id in 0...limit { _ = add([piece(2, id, 0)], to: &reassembly, at: start + .milliseconds(id + 1)) }
        #expect(drops(reassembly) == [.displaced: 1])
        // The flooding host's oldest is gone, the other host's is not.
        #expect(add([piece(1, 0, 1)], to: &reassembly, at: start + .seconds(1)).count == 1)
        #expect(add([piece(2, 1, 1)], to: &reassembly, at: start + .seconds(1)).count == 1)
        for host in 3..<3 + FragmentReassembly.datagramsMaximum {
            _ = add([piece(host, 0, 0)], to: &reassembly, at: start + .seconds(2) + .milliseconds(host))
        }
        // 15 of the flooding host's were left.
        #expect(drops(reassembly) == [.displaced: UInt64(1 + limit - 1)])
        _ = add([piece(99, 0, 0)], to: &reassembly, at: start + .seconds(3))
        #expect(add([piece(3, 0, 1)], to: &reassembly, at: start + .seconds(3)).isEmpty)
    }

    @Test("a marked fragment marks the datagram, unless its transport does not know ECN (RFC 3168 section 5.3)")
    func congestion() {
        var reassembly = FragmentReassembly()
        for (first, out) in [(2, 3), (3, 3), (0, nil)] as [(UInt8, UInt8?)] {
            let payload = [UInt8](repeating: 1, count: 96)
            let cut = [
                ipv6(extensions: [fragmentHeader(offset: 0, more: true)], trafficClass: first, Array(payload[..<48])),
                ipv6(extensions: [fragmentHeader(offset: 6, more: false)], trafficClass: 3, Array(payload[48...])),
            ]
            let whole = add(cut, to: &reassembly)
            #expect(whole == (out.map { [ipv6(trafficClass: $0, payload)] } ?? []))
        }
        #expect(drops(reassembly) == [.congestion: 1])
    }

    @Test(
        "an IPv6 packet that is a fragment already, or an MTU without room, is not cut; whole packets are no fragments")
    func notCut() {
        #expect(pieces6(ipv6([1, 2, 3]), mtuBytes: 55).isEmpty && !pieces6(ipv6([1, 2, 3]), mtuBytes: 56).isEmpty)
        #expect(pieces6(ipv6(extensions: [fragmentHeader(offset: 0, more: false)], [1]), mtuBytes: 1280).isEmpty)
        for (bytes, expected) in [
            (ipv4([1]), false), (ipv4(flags: 1, [1]), true), (ipv4(offset: 1, [1]), true), (ipv6([1]), false),
            (ipv6(extensions: [fragmentHeader(offset: 0, more: false)], [1]), false),
            (ipv6(extensions: [fragmentHeader(offset: 0, more: true)], [1]), true),
        ] {
            withPacket(bytes) { packet in #expect(FragmentReassembly.isFragment(packet) == expected) }
        }
    }
}
