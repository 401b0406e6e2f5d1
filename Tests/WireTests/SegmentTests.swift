import Testing
import Wire

/// Packets that cross the border to the system as one, and what the system makes of them.
@Suite("TCP segments and UDP datagrams, made one and cut again")
struct SegmentTests {
    private func four(_ value: UInt32) -> [UInt8] { be16(Int(value >> 16)) + be16(Int(value & 0xffff)) }

    private struct Flow {
        var isIPv4 = true
        var isTCP = true
        var number: UInt8 = 1
        var sequence: UInt32 = 0xffff_f000
        var identification = 7
        var acknowledgement: UInt32 = 99
        var hopLimit: UInt8 = 64
        var trafficClass: UInt8 = 0
        var doNotFragment = true
        var options: [UInt8] = []
    }

    private func packet(_ flow: Flow, _ payload: [UInt8], flags: UInt8 = 0x10, spoiled: Bool = false) -> [UInt8] {
        let ports = be16(1000 + Int(flow.number)) + be16(443)
        var transport: [UInt8]
        let place: Int
        if flow.isTCP {
            transport = ports + four(flow.sequence) + four(flow.acknowledgement)
            transport += [UInt8((20 + flow.options.count) / 4) << 4, flags] + be16(500) + [0, 0, 0, 0] + flow.options
            place = 16
        } else {
            transport = ports + be16(8 + payload.count) + [0, 0]
            place = 6
        }
        transport += payload
        let addresses: [UInt8] =
            flow.isIPv4
            ? [10, 0, 0, flow.number, 10, 0, 1, 1]
            : [0xfd] + [UInt8](repeating: 0, count: 14) + [flow.number] + [0xfd] + [UInt8](repeating: 0, count: 14) + [
                1
            ]
        let pseudo = addresses + be16(0) + [0, flow.isTCP ? 6 : 17] + be16(0) + be16(transport.count)
        var checksum = referenceChecksum(pseudo + transport)
        if checksum == 0, !flow.isTCP { checksum = 0xffff }
        transport.replaceSubrange(place..<place + 2, with: be16(Int(spoiled ? checksum ^ 0x0101 : checksum)))
        guard flow.isIPv4 else {
            return [0x60 | flow.trafficClass >> 4, flow.trafficClass << 4, 0, 0] + be16(transport.count)
                + [flow.isTCP ? 6 : 17, flow.hopLimit] + addresses + transport
        }
        var header: [UInt8] = [0x45, flow.trafficClass] + be16(20 + transport.count) + be16(flow.identification)
        header += [flow.doNotFragment ? 0x40 : 0, 0, flow.hopLimit, flow.isTCP ? 6 : 17, 0, 0] + addresses
        header.replaceSubrange(10..<12, with: be16(Int(referenceChecksum(header))))
        return header + transport
    }

    private func fill(_ batch: inout PacketBatch, _ packets: [[UInt8]]) {
        batch.reset()
        for (position, bytes) in packets.enumerated() {
            batch.count = position + 1
            batch[position].start.copyMemory(from: bytes, byteCount: bytes.count)
            batch[position].count = bytes.count
        }
    }

    private func bytes(_ packet: Packet) -> [UInt8] { [UInt8](copying: packet.span) }

    /// What comes out on the system's side: each group made one packet, then cut as the system does it.
    private func crossed(_ coalescer: borrowing SegmentCoalescer, _ batch: borrowing PacketBatch) -> [[UInt8]] {
        var result: [[UInt8]] = []
        var slots = PacketBatch(capacity: 1, packetSizeMaximum: 4096)
        for index in 0..<coalescer.count {
            let group = coalescer[index]
            guard group.count > 1, let layout = group.layout else {
                result.append(bytes(batch[group.first]))
                continue
            }
            var large = [UInt8](repeating: 0, count: group.byteCount)
            large.withUnsafeMutableBytes { large in
                guard let start = large.baseAddress else { return }
                coalescer.writeHeaders(of: group, first: batch[group.first].start, to: start)
                var (position, offset) = (group.first, layout.payloadOffset)
                for number in 0..<group.count {
                    if number > 0 { position = coalescer.following(position) }
                    let payload = batch[position].count - layout.payloadOffset
                    (start + offset).copyMemory(
                        from: batch[position].start + layout.payloadOffset, byteCount: payload)
                    offset += payload
                }
                #expect(offset == group.byteCount)
                guard
                    var splitter = SegmentSplitter(
                        start, count: group.byteCount, segmentSize: group.segmentSize, packetSizeMaximum: 4096)
                else {
                    Issue.record("what was made one cannot be cut")
                    return
                }
                while splitter.hasMore {
                    slots.reset()
                    splitter.next(into: &slots[0])
                    result.append(bytes(slots[0]))
                }
            }
        }
        return result
    }

    private func flowName(_ packet: [UInt8]) -> [UInt8] {
        packet[0] >> 4 == 4 ? Array(packet[9...9] + packet[12..<24]) : Array(packet[6...6] + packet[8..<44])
    }

    @Test("what comes out is, flow by flow and byte by byte, what went in", arguments: 0..<8 as Range<UInt64>)
    func roundTrip(seed: UInt64) {
        var generator = SeededGenerator(seed &* 7919 &+ 1)
        var coalescer = SegmentCoalescer(capacity: 256)
        var batch = PacketBatch(capacity: 256, packetSizeMaximum: 4096)
        var groupsOfMany = 0
        for _ in 0..<15 {
            var flows = (1...UInt8.random(in: 1...24, using: &generator)).map { number in
                var flow = Flow(isIPv4: number % 3 != 0, isTCP: number % 4 != 0, number: number)
                flow.options = number % 2 == 0 ? [1, 1, 8, 10] + [UInt8](repeating: number, count: 8) : []
                flow.doNotFragment = number % 5 != 0
                return flow
            }
            var packets: [[UInt8]] = []
            while packets.count < 200 {
                let index = flows.indices.randomElement(using: &generator) ?? 0
                let size = [1400, 1400, 600, 1].randomElement(using: &generator) ?? 1
                for _ in 0..<Int.random(in: 1...12, using: &generator) where packets.count < 200 {
                    // Now and then something that must not be joined.
                    switch Int.random(in: 0..<40, using: &generator) {
                    case 0: flows[index].sequence &+= 1
                    case 1: flows[index].hopLimit &-= 1
                    case 2: flows[index].trafficClass = 3
                    case 3: flows[index].acknowledgement &+= 1
                    case 4: flows[index].identification += 3
                    case 5: if !flows[index].options.isEmpty { flows[index].options[11] &+= 1 }
                    default: break
                    }
                    let flags: UInt8 =
                        [0x10, 0x10, 0x10, 0x10, 0x10, 0x18, 0x11, 0x30].randomElement(using: &generator) ?? 0
                    let isShort = Int.random(in: 0..<9, using: &generator) == 0
                    let payload = generator.bytes(isShort ? Int.random(in: 0...size, using: &generator) : size)
                    var made = packet(
                        flows[index], payload, flags: flags, spoiled: Int.random(in: 0..<30, using: &generator) == 0)
                    flows[index].sequence &+= UInt32(payload.count)
                    flows[index].identification = (flows[index].identification + 1) & 0xffff
                    if Int.random(in: 0..<60, using: &generator) == 0 {
                        made[6] |= flows[index].isIPv4 ? 0x20 : 0
                        made[0] ^= flows[index].isIPv4 ? 0 : 0x10
                    }
                    packets.append(made)
                }
            }
            fill(&batch, packets)
            coalescer.group(batch)
            groupsOfMany += (0..<coalescer.count).count { coalescer[$0].count > 2 }
            // IPv4's identification says nothing where nothing may be cut.
            let comparable = { (packet: [UInt8]) in
                var packet = packet
                if packet[0] >> 4 == 4, packet[6] & 0x40 != 0 {
                    packet.replaceSubrange(4..<6, with: [0, 0])
                    packet.replaceSubrange(10..<12, with: [0, 0])
                }
                return packet
            }
            let before = Dictionary(grouping: packets.map(comparable), by: flowName)
            let after = Dictionary(grouping: crossed(coalescer, batch).map(comparable), by: flowName)
            #expect(before == after)
        }
        #expect(groupsOfMany > 25)
    }

    @Test("a burst of one flow goes as one; its last word, a smaller one, and a bad checksum end it")
    func groups() {
        var coalescer = SegmentCoalescer(capacity: 64)
        var batch = PacketBatch(capacity: 64, packetSizeMaximum: 2048)
        func sizes(_ payloads: [Int], flags: [Int: UInt8] = [:], spoiled: Int? = nil, isTCP: Bool = true) -> [Int] {
            var flow = Flow(isTCP: isTCP)
            var packets: [[UInt8]] = []
            for (index, count) in payloads.enumerated() {
                packets.append(
                    packet(
                        flow, [UInt8](repeating: 1, count: count), flags: flags[index] ?? 0x10,
                        spoiled: index == spoiled)
                )
                flow.sequence &+= UInt32(count)
                flow.identification += 1
            }
            fill(&batch, packets)
            coalescer.group(batch)
            return (0..<coalescer.count).map { coalescer[$0].count }
        }
        #expect(sizes([Int](repeating: 1400, count: 40)) == [40])
        #expect(sizes([Int](repeating: 1400, count: 60)) == [46, 14])
        #expect(sizes([1000, 1000, 1000, 1000], flags: [1: 0x18]) == [2, 2])
        #expect(sizes([1000, 1000, 500, 1000, 1000]) == [3, 2])
        #expect(sizes([1000, 1000, 1000, 1000], spoiled: 1) == [1, 1, 2])
        #expect(sizes([1000, 1000, 1000], spoiled: 0) == [1, 2])
        #expect(sizes([1000, 0, 1000, 1000]) == [1, 1, 2])
        #expect(sizes([1000, 1000, 1000, 1000], flags: [2: 0x11]) == [2, 1, 1])
        #expect(sizes([1000, 1000, 1000, 200], isTCP: false) == [4])
        #expect(sizes([1000, 1001, 1001], isTCP: false) == [1, 2])
    }

    @Test("a large packet of the system's: flags and numbers of the first, the middle and the last segment")
    func split() throws {
        var flow = Flow()
        flow.sequence = 0xffff_fe00
        var large = packet(flow, [UInt8](repeating: 5, count: 2500), flags: 0x99)
        let slots = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
        var segments: [[UInt8]] = []
        large.withUnsafeMutableBytes { large in
            guard let start = large.baseAddress,
                var splitter = SegmentSplitter(start, count: large.count, segmentSize: 1000, packetSizeMaximum: 2048)
            else { return }
            while splitter.hasMore {
                splitter.next(into: &slots[0])
                segments.append(bytes(slots[0]))
            }
        }
        var expected: [[UInt8]] = []
        for (index, (count, flags)) in [(1000, 0x90), (1000, 0x10), (500, 0x19)].enumerated() {
            flow.sequence = 0xffff_fe00 &+ UInt32(1000 * index)
            flow.identification = 7 + index
            expected.append(packet(flow, [UInt8](repeating: 5, count: count), flags: UInt8(flags)))
        }
        #expect(segments == expected)
    }

    @Test("what is not whole, or too large for a slot, is not cut")
    func refused() {
        var large = packet(Flow(), [UInt8](repeating: 5, count: 2500))
        large.withUnsafeMutableBytes { large in
            guard let start = large.baseAddress else { return }
            for (count, size, maximum) in [(2540, 0, 2048), (2540, 2200, 2048), (2539, 1000, 2048), (30, 1000, 2048)] {
                #expect(
                    SegmentSplitter(start, count: count, segmentSize: size, packetSizeMaximum: maximum) == nil)
            }
        }
    }
}
