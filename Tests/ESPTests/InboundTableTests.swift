import Cryptography
import ESP
import Testing
import Wire

@Suite("ESP, both directions")
struct ESPTests {
    private let index = SecurityParameterIndex(0x1234_5678)

    /// Seals `payload` with a fresh SA as the packet with sequence number `sequence`.
    private func seal(
        _ payload: [UInt8], _ suite: ESP.Suite, _ keys: SuiteKeys, sequence: Int = 1, nextHeader: UInt8 = 17
    ) throws -> [UInt8] {
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
        var association = try OutboundSecurityAssociation(
            index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys))
        var random = RandomBlock()
        for _ in 0..<sequence {
            batch.reset()
            batch.append(payload)
            #expect(association.seal(&batch[0], nextHeader: nextHeader, random: &random) == nil)
        }
        return [UInt8](copying: batch[0].span)
    }

    private func table(_ suite: ESP.Suite, _ keys: SuiteKeys) throws -> InboundTable {
        var table = InboundTable(batchCapacity: 8)
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 7, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys)))
        return table
    }

    @Test("AES-GCM test cases of draft-mcgrew-gcm-test-01 open to their plaintext")
    func publishedVectors() throws {
        let keys = SuiteKeys(
            encryption: SecretBytes(hex("feffe9928665731c6d6a8f9467308308feffe9928665731c cafebabe")),
            integrity: SecretBytes([]))
        let packet = hex(
            """
            0000a5f80000000a facedbaddecaf888
            a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0 315b27452144cc77
            95457b9652037f5318027b5b4cd7a636
            """)
        var table = InboundTable(batchCapacity: 8)
        table.install(
            try InboundSecurityAssociation(
                index: SecurityParameterIndex(0xa5f8), owner: 1,
                protection: Protection(payload: .combined(.gcm(keyLength: 24, checkLength: 16))),
                keys: ProtectionKeys(payload: keys)
            ))
        var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
        batch.append(packet)
        table.open(batch, as: .esp)
        #expect(table.result(0).drop == nil)
        #expect(table.result(0).nextHeader == 1)
        #expect(
            [UInt8](copying: batch[0].span)
                == hex("45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d07568"))
    }

    @Test("what one SA seals the other opens, for every suite and many lengths", arguments: allSuites)
    func roundTrip(_ suite: ESP.Suite) throws {
        var generator = SeededGenerator(seed: 1)
        let keys = randomKeys(for: suite, using: &generator)
        var table = try table(suite, keys)
        for length in [0, 1, 2, 13, 14, 15, 16, 17, 63, 64, 1400, 1471] {
            let payload = generator.bytes(length)
            table.install(
                try InboundSecurityAssociation(
                    index: index, owner: 7, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys))
            )
            var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
            let sealed = try seal(payload, suite, keys)
            #expect(sealed.count == length + suite.overhead(payloadLength: length))
            batch.append(sealed)
            table.open(batch, as: .esp)
            #expect(table.result(0).drop == nil)
            #expect(table.result(0).owner == 7)
            #expect(table.result(0).isNewest && table.result(0).isFirst)
            #expect([UInt8](copying: batch[0].span) == payload)
            #expect(table.traffic(index)?.confidentialBytes == UInt64(length))
            #expect(
                table.traffic(index)?.bytes
                    == UInt64(sealed.count - 8 - suite.encryption.vectorLength - suite.checkLength))
        }
    }

    @Test("a packet that was received is refused again, also within one batch")
    func replay() throws {
        var generator = SeededGenerator(seed: 4)
        let suite = ESP.Suite.combined(.gcm(keyLength: 16, checkLength: 16))
        let keys = randomKeys(for: suite, using: &generator)
        let sealed = try seal([1, 2, 3], suite, keys)
        var table = try table(suite, keys)
        var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
        batch.append(sealed)
        batch.append(sealed)
        table.open(batch, as: .esp)
        #expect(table.result(0).drop == nil)
        #expect(table.result(1).drop == .replayed)
        batch.reset()
        batch.append(sealed)
        table.open(batch, as: .esp)
        #expect(table.result(0).drop == .replayed)
        #expect(table.drops[.replayed] == 2)
    }

    @Test("what a batch's packets do to those behind them is counted as what it is: too old, replayed, no volume left")
    func withinOneBatch() throws {
        var generator = SeededGenerator(seed: 14)
        let keys = randomKeys(for: someSuite, using: &generator)
        let sealed = try [(3, 10), (2000, 10), (2001, 900), (2002, 900)].map { sequence, length in
            try seal(generator.bytes(length), someSuite, keys, sequence: sequence)
        }
        var table = InboundTable(batchCapacity: 8)
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 7, protection: Protection(payload: someSuite), keys: ProtectionKeys(payload: keys),
                limit: VolumeLimit(kilobytes: 1)))
        var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
        for position in [1, 0, 1, 2, 3, 3] { batch.append(sealed[position]) }
        table.open(batch, as: .esp)
        let drops = (0..<6).map { table.result($0).drop }
        #expect(drops == [nil, .tooOld, .replayed, nil, nil, .volumeExhausted])
        #expect(table.drops[.tooOld] == 1 && table.drops[.replayed] == 1 && table.drops[.volumeExhausted] == 1)
        #expect(table.traffic(index)?.packets == 3)
    }

    @Test("an SA that is gone is unknown, and so is another SPI in its slot")
    func removal() throws {
        var generator = SeededGenerator(seed: 5)
        let suite = someSuite
        let keys = randomKeys(for: suite, using: &generator)
        var table = try table(suite, keys)
        let other = SecurityParameterIndex(index.value ^ 0x8000_0000)
        #expect(other.slot == index.slot)
        #expect(table.remove(other) == nil)
        #expect(table.remove(index) == Traffic())
        var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
        batch.append(try seal([1], suite, keys))
        table.open(batch, as: .esp)
        #expect(table.result(0).drop == .unknownIndex)
    }

    @Test("an agreed volume ends both directions")
    func volume() throws {
        var generator = SeededGenerator(seed: 6)
        let suite = someSuite
        let keys = randomKeys(for: suite, using: &generator)
        var outbound = try OutboundSecurityAssociation(
            index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
            limit: VolumeLimit(kilobytes: 2))
        var table = InboundTable(batchCapacity: 8)
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 7, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
                limit: VolumeLimit(kilobytes: 1)))
        var random = RandomBlock()
        var outcomes: [InboundDrop?] = []
        var refused = 0
        for _ in 0..<4 {
            var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
            batch.append(generator.bytes(700))
            guard outbound.seal(&batch[0], nextHeader: 17, random: &random) == nil else {
                refused += 1
                continue
            }
            batch.count = 1
            table.open(batch, as: .esp)
            outcomes.append(table.result(0).drop)
        }
        #expect(outcomes == [nil, nil, .volumeExhausted])
        #expect(refused == 1)
    }

    @Test("both directions tell their owner of the soft limit, some more times, and of the hard limit once")
    func notices() throws {
        var generator = SeededGenerator(seed: 8)
        let suite = someSuite
        let keys = randomKeys(for: suite, using: &generator)
        let limit = VolumeLimit(kilobytes: 8, softKilobytes: 4)
        var outbound = try OutboundSecurityAssociation(
            index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys), limit: limit)
        var table = InboundTable(batchCapacity: 8)
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 7, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
                limit: limit))
        var random = RandomBlock()
        var (sent, received): ([Int], [Int]) = ([], [])
        for number in 1...74 {
            var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
            batch.append(generator.bytes(100))
            #expect(outbound.seal(&batch[0], nextHeader: 17, random: &random) == nil)
            if outbound.isNoticeDue { sent.append(number) }
            table.open(batch, as: .esp)
            if table.result(0).isNoticeDue { received.append(number) }
        }
        // Each counts 112 bytes. At 4,096, then each 512 more, at last at 8,192.
        #expect(sent == [37, 42, 47, 52, 57, 62, 67, 72, 74] && received == sent)
        #expect(outbound.traffic.bytes == 8288 && table.traffic(index)?.packets == 74)
    }

    @Test("a dummy packet is dropped")
    func dummy() throws {
        var generator = SeededGenerator(seed: 7)
        let suite = someSuite
        let keys = randomKeys(for: suite, using: &generator)
        var table = try table(suite, keys)
        var batch = PacketBatch(capacity: 8, packetSizeMaximum: 2048)
        batch.append(try seal([1], suite, keys, nextHeader: 59))
        table.open(batch, as: .esp)
        #expect(table.result(0).drop == .dummy)
    }
}
