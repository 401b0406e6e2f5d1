import Cryptography
import FoundationEssentials
import Testing
import Wire

@testable import ESP

/// The other end of an SA: it seals, and says what must become of its packets.
private final class Sender {
    let keyNumber: Int
    let protection: Protection
    let path: OuterPath
    let limit: VolumeLimit
    var outbound: OutboundSecurityAssociation
    private var random = RandomBlock()
    private var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)

    init(
        keyNumber: Int, index: SecurityParameterIndex, protection: Protection, keys: ProtectionKeys, path: OuterPath,
        limit: VolumeLimit, compressor: PacketCompressor
    ) throws {
        (self.keyNumber, self.protection, self.path, self.limit) = (keyNumber, protection, path, limit)
        outbound = try OutboundSecurityAssociation(
            index: index, protection: protection, keys: keys, limit: limit, compressor: compressor)
    }

    private var isVersion6: Bool { if case .v6 = path.local { true } else { false } }

    /// A sealed packet, or why it cannot be; nil where that is not what the sender's model says.
    func seal(_ payload: [UInt8], nextHeader: UInt8) -> Result<Flight, AssociationModel.Refusal>? {
        batch.reset()
        batch.append(payload)
        batch[0].path = path
        let (before, number) = (outbound.traffic, outbound.sequence)
        let isLast = number == (protection.usesExtendedSequenceNumbers ? UInt64.max : UInt64(UInt32.max))
        let expected: OutboundDrop? =
            isLast ? .sequenceExhausted : before.bytes >= limit.bytes ? .volumeExhausted : nil
        let drop = outbound.seal(&batch[0], nextHeader: nextHeader, random: &random)
        guard drop == expected else { return nil }
        guard drop == nil else { return .failure(AssociationModel.Refusal(drop: .volumeExhausted)) }
        let sealed = [UInt8](copying: batch[0].span)
        guard let traffic = traffic(sealed, payload, before), outbound.sequence == number + 1 else { return nil }
        let hasHeader = protection.authenticationHeader != nil
        // The kernel keeps the header of IPv6.
        let bytes = hasHeader && isVersion6 ? Array(sealed[40...]) : sealed
        return .success(
            Flight(
                keyNumber: keyNumber, header: hasHeader ? .ah : .esp,
                path: OuterPath(remote: Endpoint(address: path.local, port: 0), local: path.remote.address),
                sequence: number + 1, sealed: bytes, headerLength: hasHeader && !isVersion6 ? 20 : 0, payload: payload,
                nextHeader: nextHeader, traffic: traffic, bytes: bytes))
    }

    /// What the packet adds to the SA's traffic, from its lengths; nil where the SA has counted something else. How short
    /// compression makes a packet is taken from the SA.
    private func traffic(_ sealed: [UInt8], _ payload: [UInt8], _ before: Traffic) -> Traffic? {
        var counted = Traffic()
        counted.add(outbound.traffic, since: before)
        var traffic = Traffic()
        traffic.packets = 1
        if let suite = protection.payload {
            traffic.bytes = UInt64(sealed.count - 8 - suite.encryption.vectorLength - suite.checkLength)
            traffic.confidentialBytes = UInt64(payload.count)
        }
        if let integrity = protection.authenticationHeader {
            let length = isVersion6 ? (12 + integrity.checkLength + 7) / 8 * 8 : 12 + integrity.checkLength
            traffic.bytes = UInt64(sealed.count)
            traffic.authenticatedBytes = UInt64(sealed.count - (isVersion6 ? 40 : 20) - length)
        }
        if protection.compression != nil {
            guard counted.confidentialBytes <= traffic.confidentialBytes else { return nil }
            traffic.confidentialBytes = counted.confidentialBytes
        }
        return counted == traffic ? traffic : nil
    }
}

/// SAs that come and go, and their packets on a bad line, by a seed.
private struct AssociationWorld {
    private static let slots: [UInt32] = [256, 257, 0x1234, 0x3_ffff]
    private static let windows = [32, 33, 64, 100, 128, 1024, 4096]

    var generator: SeededGenerator
    var model = AssociationModel()
    private var senders: [Sender] = []
    private var flights: [Flight] = []
    private var keyNumber = 0
    private let compressor = PacketCompressor()
    var outcomes: [String: Int] = [:]

    init(seed: UInt64) { generator = SeededGenerator(seed: seed &* 0x9e37_79b9 &+ 5) }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    private mutating func chance(_ one: Int) -> Bool { number(1...one) == 1 }
    private mutating func pick<Value>(_ values: [Value]) -> Value { values[number(0...values.count - 1)] }

    private mutating func protection() -> Protection {
        let kind = number(0...5)
        return Protection(
            authenticationHeader: kind > 2 ? pick(allIntegrities) : nil, payload: kind == 5 ? nil : pick(allSuites),
            compression: chance(5) ? Compression(inboundIndex: 0x4711, outboundIndex: 0x4711) : nil,
            mode: pick([.transport, .tunnel]), usesExtendedSequenceNumbers: chance(2),
            replayWindowSize: pick(Self.windows))
    }

    /// A new SA: a first one, a successor beside another, or one in the place of another, with the same SPI even.
    private mutating func install(_ table: inout InboundTable) throws {
        let index = SecurityParameterIndex(pick(Self.slots) | UInt32(number(0...2)) << 30)
        let protection = protection()
        let keys = randomKeys(for: protection, using: &generator)
        let limit = chance(3) ? VolumeLimit(kilobytes: UInt64(number(1...6))) : .none
        keyNumber += 1
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: keyNumber, protection: protection, keys: keys, limit: limit))
        model.install(index, .init(keyNumber: keyNumber, protection: protection, limit: limit))
        let sender = try Sender(
            keyNumber: keyNumber, index: index, protection: protection, keys: keys,
            path: chance(2) ? SAPair.version4 : SAPair.version6, limit: chance(4) ? limit : .none,
            compressor: compressor)
        // Now and then it does not begin with the first number, or soon is at the end of a run of 2^32.
        if chance(3) { sender.outbound.sequence = pick([UInt64(5), 1000, 1 << 32 - 20]) }
        senders.append(sender)
        if senders.count > 6 { senders.removeFirst() }
    }

    private mutating func remove(_ table: inout InboundTable) -> Bool {
        let known = Array(model.associations.keys)
        let index =
            known.isEmpty || chance(4)
            ? SecurityParameterIndex(pick(Self.slots) | 3 << 30)
            : known.sorted { $0.value < $1.value }[number(0...known.count - 1)]
        let removed = table.remove(index)
        let expected = model.associations.removeValue(forKey: index)?.traffic
        return removed == expected
    }

    private mutating func send() -> Bool {
        guard !senders.isEmpty else { return true }
        let sender = pick(senders)
        if chance(6) { jump(sender) }
        for _ in 0..<number(1...6) {
            let nextHeader: UInt8 =
                sender.protection.mode == .tunnel ? pick([4, 4, 4, 41, 41, 17]) : pick([6, 17, 17, 1, 4])
            let isDummy = sender.protection.compression == nil && chance(20)
            let length = number(0...(chance(4) ? 300 : 40))
            let payload =
                chance(2) ? generator.bytes(length) : [UInt8](repeating: UInt8(number(0...255)), count: length)
            guard let result = sender.seal(payload, nextHeader: isDummy ? 59 : nextHeader) else { return false }
            if case .success(let flight) = result {
                flights.append(flight)
            } else {
                outcomes["not sealed", default: 0] += 1
            }
        }
        return true
    }

    /// Numbers that are left out: some, a window, a run of 2^32, or all but the last.
    private mutating func jump(_ sender: Sender) {
        let window = UInt64(sender.protection.replayWindowSize)
        let step = pick([2, window - 1, window, window + 1, 3 * window, 1 << 31, 1 << 32 - window, 1 << 32])
        let last = sender.protection.usesExtendedSequenceNumbers ? UInt64(1) << 34 : UInt64(UInt32.max)
        sender.outbound.sequence = min(sender.outbound.sequence + step, last)
    }

    /// Some packets arrive, in any order; of those some stay on their way, to arrive again.
    private mutating func deliver(_ table: inout InboundTable) -> String? {
        guard !flights.isEmpty else { return nil }
        let header = pick(flights).header
        var batch: [Flight] = []
        for _ in 0..<number(1...8) {
            // The older they are, the sooner; a few wait for long.
            let candidates = flights.indices.filter { flights[$0].header == header }
            guard !candidates.isEmpty else { break }
            let position = candidates[min(number(0...candidates.count - 1), number(0...candidates.count - 1))]
            var flight = flights[position]
            if chance(6) { change(&flight) } else if !chance(5) { flights.remove(at: position) }
            batch.append(flight)
        }
        if flights.count > 60 { flights.removeFirst(flights.count - 60) }
        let expected = model.receive(batch, as: header)
        let found = open(batch, header, &table)
        for outcome in expected {
            switch outcome {
            case .accepted: outcomes["accepted", default: 0] += 1
            case .dropped(let drop): outcomes["\(drop)", default: 0] += 1
            }
        }
        for (position, pair) in zip(found, expected).enumerated() where pair.0 != pair.1 {
            return "packet \(position) of \(batch.count): \(pair.0), not \(pair.1)"
        }
        return nil
    }

    private mutating func change(_ flight: inout Flight) {
        switch number(0...5) {
        case 0: flight.bytes.removeLast(number(0...flight.bytes.count - flight.headerLength))
        case 1: flight.bytes += generator.bytes(number(1...20))
        default: flight.bytes[number(0...flight.bytes.count - 1)] ^= 1 << UInt8(number(0...7))
        }
    }

    private func open(_ flights: [Flight], _ header: InboundTable.Header, _ table: inout InboundTable) -> [Outcome] {
        var batch = PacketBatch(capacity: 8, packetSizeMaximum: 1024)
        for (position, flight) in flights.enumerated() {
            batch.append(flight.bytes)
            batch[position].path = flight.path
            batch[position].removeFirst(flight.headerLength)
            batch[position].outer.headerLength = UInt8(flight.headerLength)
        }
        table.open(batch, as: header)
        return flights.indices.map {
            let result = table.result($0)
            if let drop = result.drop { return .dropped(drop) }
            return .accepted(
                payload: [UInt8](copying: batch[$0].span), nextHeader: result.nextHeader, isNewest: result.isNewest,
                isFirst: result.isFirst)
        }
    }

    /// What the table counts that the model does not, or the other way round. Of a table that had another world before.
    private func differences(_ table: borrowing InboundTable, _ drops: Counters<InboundDrop>, _ total: Traffic)
        -> String?
    {
        for drop in InboundDrop.allCases where table.drops[drop] - drops[drop] != model.drops[drop, default: 0] {
            return "\(table.drops[drop] - drops[drop]) times \(drop), not \(model.drops[drop, default: 0])"
        }
        var sum = Traffic()
        sum.add(table.total, since: total)
        if sum != model.total { return "\(sum), not \(model.total)" }
        if table.count != model.associations.count { return "\(table.count) SAs, not \(model.associations.count)" }
        for (index, association) in model.associations {
            let (owner, traffic) = (table.owner(index), table.traffic(index))
            if owner != association.keyNumber || traffic != association.traffic {
                return "SA \(index): \(owner ?? -1), \(String(describing: traffic)), not \(association.traffic)"
            }
        }
        return nil
    }

    /// Plays it in an empty table, which it leaves empty; what is not as it should be, in words.
    mutating func play(_ table: inout InboundTable) throws -> String? {
        let (drops, total) = (table.drops, table.total)
        for step in 0..<80 {
            switch number(0...19) {
            case 0...1: try install(&table)
            case 2: guard remove(&table) else { return "step \(step): what was removed" }
            case 3...8: guard send() else { return "step \(step): what was sealed" }
            default:
                if let problem = deliver(&table) { return "step \(step): \(problem)" }
            }
            if let problem = differences(table, drops, total) { return "step \(step): \(problem)" }
        }
        for index in model.associations.keys { table.remove(index) }
        return table.count == 0 ? nil : "\(table.count) SAs are left"
    }
}

@Suite("Inbound and outbound SAs against a slow model")
struct AssociationModelTests {
    /// `CULVERT_MODEL_SEEDS=N` tries more, from `CULVERT_MODEL_FIRST` on.
    private static func number(_ name: String, _ fallback: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } ?? fallback
    }

    @Test(
        "random SAs, replacements, orders, losses, duplicates and changes: every packet and every counter is the model's"
    )
    func agrees() throws {
        let first = Self.number("CULVERT_MODEL_FIRST", 0)
        let count = Self.number("CULVERT_MODEL_SEEDS", 400)
        var table = InboundTable(batchCapacity: 8)
        var outcomes: [String: Int] = [:]
        for seed in first..<first + count {
            var world = AssociationWorld(seed: seed)
            if let problem = try world.play(&table) {
                Issue.record("seed \(seed): \(problem)")
                return
            }
            outcomes.merge(world.outcomes, uniquingKeysWith: +)
        }
        // What never happens tests nothing. An honest sender makes no bad padding and no bad compression.
        guard count >= 100 else { return }
        let wanted = InboundDrop.allCases.filter { $0 != .badPadding && $0 != .badCompression }.map { "\($0)" }
        for name in wanted + ["accepted", "not sealed"] {
            #expect(outcomes[name, default: 0] >= Int(count) / 20, "\(name): \(outcomes)")
        }
    }
}

@Suite("A hundred thousand SAs")
struct AssociationCrowdTests {
    /// What this process has in memory, in bytes.
    private static func residentBytes() -> Int {
        let data = try? Data(contentsOf: URL(filePath: "/proc/self/statm"))
        let fields = data.map { String(decoding: $0, as: UTF8.self).split(separator: " ") } ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
    }

    @Test("they are added, found by their packets and removed, in bounded time and memory")
    func crowd() throws {
        let count = 100_000
        var generator = SeededGenerator(seed: 11)
        var allocator = SecurityParameterIndexAllocator(workerCount: 1)
        let protection = Protection(payload: .combined(.gcm(keyLength: 32, checkLength: 16)))
        let keys = randomKeys(for: protection, using: &generator)
        var table = InboundTable(batchCapacity: 1)
        let clock = ContinuousClock()
        let begin = clock.now
        let before = Self.residentBytes()
        var indexes: [SecurityParameterIndex] = []
        for owner in 0..<count {
            let index = try #require(allocator.allocate(worker: 0, using: &generator))
            table.install(
                try InboundSecurityAssociation(index: index, owner: owner, protection: protection, keys: keys))
            indexes.append(index)
        }
        let bytes = (Self.residentBytes() - before) / count
        let added = clock.now - begin
        #expect(table.count == count)
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 256)
        var random = RandomBlock()
        var wrong = 0
        for (owner, index) in indexes.enumerated() {
            if table.owner(index) != owner { wrong += 1 }
            guard owner % 100 == 0 else { continue }
            var sender = try OutboundSecurityAssociation(index: index, protection: protection, keys: keys)
            batch.reset()
            batch.append([1, 2, 3])
            guard sender.seal(&batch[0], nextHeader: 17, random: &random) == nil else { continue }
            table.open(batch, as: .esp)
            if table.result(0).drop != nil || table.result(0).owner != owner { wrong += 1 }
        }
        for (owner, index) in indexes.enumerated() {
            let traffic = table.remove(index)
            if traffic?.packets != (owner % 100 == 0 ? 1 : 0) { wrong += 1 }
        }
        #expect(wrong == 0 && table.count == 0)
        print("100,000 SAs of AES-GCM: \(bytes) bytes each, added in \(added), all done in \(clock.now - begin)")
        #expect(bytes < 8192)
        #expect(clock.now - begin < .seconds(120))
    }
}
