import Cryptography
import Testing
import Wire

@testable import ESP

/// An outer header with options or extension headers, and AH behind it, by a seed.
private struct HeaderWorld {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: values.indices, using: &generator)] }
    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    /// Up to 40 bytes of options, with those of RFC 4302 appendix A and some that are in no table.
    private mutating func options4() -> [UInt8] {
        let kinds: [UInt8] = [
            130, 133, 134, 148, 149, 131, 68, 7, 137, 82, 136, 11, 12, 145, 10, 205, 142, 15, 144, 147, 25, 94, 158, 1,
            1,
        ]
        var options: [UInt8] = []
        while options.count < 40 {
            let kind = pick(kinds)
            let option = kind == 1 ? [1] : [kind, UInt8(number(2...11))]
            let data = kind == 1 ? [] : generator.bytes(Int(option[1]) - 2)
            guard options.count + option.count + data.count <= 40, number(0...5) > 0 else { break }
            options += option + data
        }
        // The end of the list, behind which nothing is looked at, or no operation up to a whole word.
        let rest = (4 - options.count % 4) % 4
        guard rest > 0 else { return options }
        return options + (number(0...1) == 0 ? [0] + generator.bytes(rest - 1) : [UInt8](repeating: 1, count: rest))
    }

    private mutating func options6() -> [UInt8] {
        var options: [UInt8] = []
        for _ in 0..<number(0...4) {
            let data = generator.bytes(number(0...9))
            options += [UInt8(number(1...255)), UInt8(data.count)] + data
            if number(0...2) == 0 { options.append(0) }
        }
        let rest = (8 - (options.count + 2) % 8) % 8
        if rest == 1 {
            options.append(0)
        } else if rest > 1 {
            options += [1, UInt8(rest - 2)] + generator.bytes(rest - 2)
        }
        return [UInt8((options.count + 2) / 8 - 1)] + options
    }

    /// Header, AH, and a payload of `nextHeader`, without a check value.
    mutating func packet(
        _ integrity: Integrity, alignment: Int, sequence: UInt32, nextHeader: UInt8
    ) -> (packet: [UInt8], headerLength: Int) {
        let checkRoom = AuthenticationHeader.length(checkLength: integrity.checkLength, alignment: alignment) - 12
        var header: [UInt8] = []
        if number(0...1) == 0 {
            let options = options4()
            header = [0x45 + UInt8(options.count / 4)] + generator.bytes(8) + [51] + generator.bytes(10) + options
        } else {
            let kinds = pick([[], [0], [60], [43], [0, 60], [60, 43], [0, 60, 43], [0, 60, 43, 60]] as [[UInt8]])
            var chain: [UInt8] = []
            for (position, kind) in kinds.enumerated() {
                let next = position + 1 < kinds.count ? kinds[position + 1] : 51
                // A routing header of type 0, all of whose segments lie behind.
                let body = kind == 43 ? [2, 0, 0, 0, 0, 0, 0] + generator.bytes(16) : options6()
                chain += [next] + body
            }
            header =
                [0x60 | UInt8(number(0...15))] + generator.bytes(5) + [kinds.first ?? 51] + generator.bytes(33) + chain
        }
        let words = (12 + checkRoom) / 4 - 2
        let index: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        let fields =
            [nextHeader, UInt8(words), 0, 0] + index + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sequence >> $0) }
        // Padding behind the check value is the sender's choice (RFC 4302 section 3.3.3.2.1).
        return (header + fields + generator.bytes(checkRoom) + generator.bytes(number(0...60)), header.count)
    }
}

@Suite("AH against packets of others, and against RFC 4302's tables")
struct HeaderTests {
    /// Each bit of a packet turned over: where the model says that nothing authenticated has changed, it is accepted, else
    /// refused for its reason. How often it was accepted.
    private func turnBits(_ packet: [UInt8], _ headerLength: Int, _ receiver: inout HeaderReceiver) throws -> Int {
        let checkLength = receiver.protection.authenticationHeader?.checkLength ?? 0
        let model = { HeaderModel.authenticated($0, headerLength: headerLength, checkLength: checkLength) }
        let original = model(packet)
        let check = headerLength + 12..<headerLength + 12 + checkLength
        var (accepted, wrong) = (0, [String]())
        for bit in 0..<packet.count * 8 {
            var changed = packet
            changed[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            try receiver.forget()
            let before = receiver.table.drops
            let drop = receiver.receive(changed, headerLength: headerLength).0.drop
            let isSame = !check.contains(bit / 8) && model(changed) == original
            var expected: Set<InboundDrop?> = isSame ? [nil] : [.notAuthentic]
            switch bit / 8 - headerLength {
            case 4..<8: expected = [.unknownIndex]
            // A number that became 0 is one that no sender uses.
            case 8..<12 where changed[headerLength + 8..<headerLength + 12].allSatisfy { $0 == 0 }:
                expected = [.replayed]
            // AH's own length: of the two that may be, the other is not authentic.
            case 1: expected = [.badLength, .notAuthentic]
            default: break
            }
            accepted += drop == nil ? 1 : 0
            if !expected.contains(drop) || drop.map({ receiver.table.drops[$0] != before[$0] + 1 }) ?? false {
                wrong.append("byte \(bit / 8), bit \(bit % 8): \(drop.map { "\($0)" } ?? "accepted")")
            }
        }
        #expect(wrong == [])
        return accepted
    }

    @Test(
        "the packets of FreeS/WAN and Scapy are accepted, and with one bit changed only where a router may",
        arguments: [PublishedHeaders.captured] + PublishedHeaders.scapy)
    func published(_ item: PublishedHeader) throws {
        let isTunnel = item.nextHeader == 4 || item.nextHeader == 41
        let index = SecurityParameterIndex(
            item.packet[item.headerLength + 4..<item.headerLength + 8].reduce(0) { $0 << 8 | UInt32($1) })
        var receiver = try HeaderReceiver(
            Protection(authenticationHeader: item.integrity, payload: nil, mode: isTunnel ? .tunnel : .transport),
            index: index, keys: ProtectionKeys(authenticationHeader: SecretBytes(item.key), payload: nil))
        let (result, payload) = receiver.receive(item.packet, headerLength: item.headerLength)
        #expect(result.drop == nil && result.nextHeader == item.nextHeader && payload == item.payload)
        // The model says so, too: else it would be no judge of what follows.
        let model = HeaderModel.authenticated(
            item.packet, headerLength: item.headerLength, checkLength: item.integrity.checkLength)
        let check = item.packet[(item.headerLength + 12)...].prefix(item.integrity.checkLength)
        #expect(model.flatMap { HeaderModel.checkValue($0, item.integrity, key: item.key) } == Array(check))
        let accepted = try turnBits(item.packet, item.headerLength, &receiver)
        #expect(accepted >= (item.packet[0] >> 4 == 4 ? 48 : 36))
    }

    /// Which of them we send, and how long AH then is: multiples of 32 bits over IPv4, as strongSwan and libreswan make
    /// Linux want it (XFRM_STATE_ALIGN4), and of 64 over IPv6.
    private static let lengths: [(Integrity, version4: Int, version6: Int)] = [
        (.md5_96, 24, 24), (.sha1_96, 24, 24), (.sha256_96, 24, 24), (.sha256_128, 28, 32), (.sha384_192, 36, 40),
        (.sha512_256, 44, 48),
    ]

    @Test("what we send has the check value of the model, and the length that peers want", arguments: 0..<lengths.count)
    func sent(_ position: Int) throws {
        let (integrity, version4, version6) = Self.lengths[position]
        for (isExtended, mode) in [(false, Protection.Mode.transport), (true, .tunnel)] {
            for suite in [nil, someSuite] {
                for (path, header, length) in [(SAPair.version4, 20, version4), (SAPair.version6, 40, version6)] {
                    let protection = Protection(
                        authenticationHeader: integrity, payload: suite, mode: mode,
                        usesExtendedSequenceNumbers: isExtended)
                    var pair = try SAPair(protection, path: path, seed: 9)
                    var generator = SeededGenerator(seed: 9)
                    let key = generator.bytes(integrity.keyLength)
                    if isExtended { pair.outbound.sequence = 3 << 32 }
                    let packet = pair.seal([0x45] + generator.bytes(40), nextHeader: 4)
                    #expect((Int(packet[header + 1]) + 2) * 4 == length)
                    let model = HeaderModel.authenticated(
                        packet, headerLength: header, checkLength: integrity.checkLength, high: isExtended ? 3 : nil)
                    let check = Array(packet[(header + 12)...].prefix(integrity.checkLength))
                    #expect(model.flatMap { HeaderModel.checkValue($0, integrity, key: key) } == check)
                }
            }
        }
    }

    @Test("random options and extension headers, both alignments and any padding: the room agrees with the model")
    func random() throws {
        for seed in 0..<UInt64(120) {
            var world = HeaderWorld(seed: seed)
            let integrity = world.pick(Self.lengths).0
            let key = world.generator.bytes(integrity.keyLength)
            let mode = world.pick([Protection.Mode.transport, .tunnel])
            let nextHeader: UInt8 = mode == .tunnel ? world.pick([4, 41]) : world.pick([6, 17])
            let isExtended = world.number(0...1) == 0
            var receiver = try HeaderReceiver(
                Protection(
                    authenticationHeader: integrity, payload: nil, mode: mode, usesExtendedSequenceNumbers: isExtended),
                index: SAPair.index, keys: ProtectionKeys(authenticationHeader: SecretBytes(key), payload: nil))
            for sequence in 1...UInt32(8) {
                var (packet, headerLength) = world.packet(
                    integrity, alignment: world.pick([4, 8]), sequence: sequence, nextHeader: nextHeader)
                let high: UInt32? = isExtended ? 0 : nil
                let model = HeaderModel.authenticated(
                    packet, headerLength: headerLength, checkLength: integrity.checkLength, high: high)
                let check = try #require(
                    model.flatMap { HeaderModel.checkValue($0, integrity, key: key) }, "seed \(seed)")
                packet.replaceSubrange(headerLength + 12..<headerLength + 12 + integrity.checkLength, with: check)
                // What a router may change, and then what it may not.
                for _ in 0..<20 {
                    var changed = packet
                    changed[world.number(0...headerLength - 1)] = UInt8(world.number(0...255))
                    let isSame =
                        HeaderModel.authenticated(
                            changed, headerLength: headerLength, checkLength: integrity.checkLength, high: high)
                        == model
                    try receiver.forget()
                    let drop = receiver.receive(changed, headerLength: headerLength).0.drop
                    guard drop == (isSame ? nil : .notAuthentic) else {
                        Issue.record(
                            "seed \(seed), packet \(sequence): \(drop.map { "\($0)" } ?? "accepted"): \(changed)")
                        return
                    }
                }
                try receiver.forget()
                let result = receiver.receive(packet, headerLength: headerLength).0
                guard result.drop == nil, result.nextHeader == nextHeader else {
                    Issue.record("seed \(seed), packet \(sequence): refused: \(packet)")
                    return
                }
            }
        }
    }

    @Test("options that run over their header's end, and extension headers that AH cannot follow, are refused")
    func malformed() throws {
        let key = [UInt8](repeating: 7, count: 20)
        let keys = ProtectionKeys(authenticationHeader: SecretBytes(key), payload: nil)
        var receiver = try HeaderReceiver(
            Protection(authenticationHeader: .sha1_96, payload: nil), index: SAPair.index, keys: keys)
        let header = hex("1104000012345678 00000001") + [UInt8](repeating: 0, count: 12) + hex("6a736f6e")
        let base4 = hex("00 0040 1234 0000 40 33 0000 c0000201 c6336402")
        let base6 = hex("60000000 0030") + [UInt8](repeating: 0, count: 34)
        let outers: [[UInt8]] = [
            // Option lengths of 0 and 1, one byte too many, and a type without a length.
            [0x46] + base4 + hex("82000000"), [0x46] + base4 + hex("44010000"), [0x46] + base4 + hex("82050000"),
            [0x46] + base4 + hex("01010182"),
            // Header lengths of another size than there is.
            [0x45] + base4 + hex("01010101"), [0x47] + base4 + hex("01010101"), [0x55] + base4,
            // Longer than there is, a fragment header, no AH behind it, half an option.
            base6 + hex("3301000000000000"), base6 + hex("3300010400000000 "), base6 + hex("1100010400000000"),
            base6 + hex("3300010500000000"), base6 + hex("3300000000000007"),
        ]
        for (position, outer) in outers.enumerated() {
            var packet = outer + header
            if outer[0] >> 4 == 6 { packet[6] = position == 8 ? 44 : 60 }
            // The check value that the bytes would have as they are.
            let check = HeaderModel.checkValue(packet, .sha1_96, key: key) ?? []
            packet.replaceSubrange(outer.count + 12..<outer.count + 24, with: check)
            try receiver.forget()
            let drop = receiver.receive(packet, headerLength: outer.count).0.drop
            #expect(drop == .notAuthentic, "header \(position)")
        }
    }
}
