import Cryptography
import Testing
import Wire

@testable import ESP

@Suite("ESP by packets of other implementations, both directions")
struct CapturedPacketTests {
    private static let cbc: [(name: String, cipher: CBCCipher, integrity: Integrity, key: [UInt8], [PublishedPacket])] =
        [
            ("FreeS/WAN, 3DES and MD5", .tripleDES, .md5_96, PublishedPackets.md5Key, PublishedPackets.tripleDESAndMD5),
            ("FreeS/WAN, AES-256 and SHA-1", .aes256, .sha1_96, PublishedPackets.sha1Key, PublishedPackets.aesAndSHA1),
        ]

    /// A table with the SA that a published packet came by.
    private func table(
        _ packet: PublishedPacket, _ suite: ESP.Suite, integrityKey: [UInt8] = [],
        _ multiBuffer: MultiBuffer = .wanted
    ) throws -> InboundTable {
        let keys = SuiteKeys(encryption: SecretBytes(packet.key + packet.salt), integrity: SecretBytes(integrityKey))
        let index = SecurityParameterIndex(packet.packet[..<4].reduce(0) { $0 << 8 | UInt32($1) })
        var table = InboundTable(batchCapacity: Self.copies, burst: PacketBurst(multiBuffer))
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 1, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
                multiBuffer: multiBuffer))
        return table
    }

    /// How often each packet comes in one batch: enough to be opened together, after which the first counts.
    private static let copies = 20

    private func open(_ bytes: [UInt8], by table: inout InboundTable) -> (InboundResult, [UInt8]) {
        var batch = PacketBatch(capacity: Self.copies, packetSizeMaximum: 512)
        for _ in 0..<Self.copies { batch.append(bytes) }
        table.open(batch, as: .esp)
        return (table.result(0), [UInt8](copying: batch[0].span))
    }

    /// Every bit of the packet turned over is refused for its reason; then the packet itself is accepted.
    private func check(_ packet: PublishedPacket, _ bytes: [UInt8], by table: inout InboundTable) {
        var wrong: [String] = []
        for bit in 0..<bytes.count * 8 {
            var changed = bytes
            changed[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            let isZero = changed[4..<8].allSatisfy { $0 == 0 }
            let expected: InboundDrop = bit < 32 ? .unknownIndex : isZero ? .replayed : .notAuthentic
            let before = table.drops[expected]
            let drop = open(changed, by: &table).0.drop
            if drop != expected || table.drops[expected] != before + UInt64(Self.copies) { wrong.append("bit \(bit)") }
        }
        #expect(wrong == [])
        let (result, payload) = open(bytes, by: &table)
        #expect(result.drop == nil && result.nextHeader == packet.nextHeader && payload == packet.payload)
    }

    @Test(
        "3DES-CBC and AES-CBC with HMAC: captured packets open, and none with a bit changed does", arguments: cbc,
        bothLibraries)
    func openCBC(
        _ item: (name: String, cipher: CBCCipher, integrity: Integrity, key: [UInt8], packets: [PublishedPacket]),
        _ multiBuffer: MultiBuffer
    ) throws {
        for packet in item.packets {
            var table = try table(
                packet, .separate(.cbc(item.cipher), item.integrity), integrityKey: item.key, multiBuffer)
            check(packet, packet.packet, by: &table)
        }
    }

    @Test("DES-CBC and 3DES-CBC: a captured packet opens by both, whose key is one of DES three times")
    func openDES() throws {
        let vector = PublishedPackets.tripleDES
        for (cipher, length) in [(CBCCipher.tripleDES, 24), (.des, 8)] {
            let packet = PublishedPacket(
                key: Array(vector.key[..<length]), packet: vector.packet, payload: vector.payload,
                nextHeader: vector.nextHeader)
            var plain = try table(packet, .separate(.cbc(cipher), nil))
            let (result, payload) = open(packet.packet, by: &plain)
            #expect(result.drop == nil && result.nextHeader == 4 && payload == packet.payload)
            // The packet has no check value: with one that HMAC makes of it, each change is seen.
            let key = (0..<20).map { UInt8($0) }
            var hmac = HMAC(.sha1, key: SecretBytes(key))
            hmac.update(packet.packet)
            var table = try table(packet, .separate(.cbc(cipher), .sha1_96), integrityKey: key)
            check(packet, packet.packet + hmac.finish().prefix(12), by: &table)
        }
    }

    @Test(
        "CBC: what we seal is what cipher and HMAC, which have their own vectors, make of it",
        arguments: CBCCipher.allCases)
    func sealCBC(_ cipher: CBCCipher) throws {
        let payload = PublishedPackets.tripleDES.payload
        for integrity in allIntegrities {
            guard case .hmac(let hash) = integrity.algorithm else { continue }
            let protection = Protection(payload: .separate(.cbc(cipher), integrity), mode: .tunnel)
            var pair = try SAPair(protection, seed: 5)
            var generator = SeededGenerator(seed: 5)
            let (key, integrityKey) = (generator.bytes(cipher.keyLength), generator.bytes(integrity.keyLength))
            let sealed = pair.seal(payload, nextHeader: 4)
            let iv = Array(sealed[8..<8 + cipher.blockLength])
            let padLength = (2 * cipher.blockLength - (payload.count + 2) % cipher.blockLength) % cipher.blockLength
            let trailer = (0..<padLength).map { UInt8($0 + 1) } + [UInt8(padLength), 4]
            var expected = hex("12345678 00000001") + iv
            expected += try cipher.encrypt(payload + trailer, key: SecretBytes(key), iv: iv)
            var hmac = HMAC(hash, key: SecretBytes(integrityKey))
            hmac.update(expected)
            expected += hmac.finish().prefix(integrity.checkLength)
            #expect(sealed == expected)
        }
    }

    @Test("AES-CCM: Linux's packets open and are what we seal, and none with a bit changed opens")
    func ccm() throws {
        for vector in PublishedPackets.ccm {
            let suite = ESP.Suite.combined(.ccm(keyLength: vector.key.count, checkLength: 16))
            var table = try table(vector, suite)
            check(vector, vector.packet, by: &table)
            let keys = SuiteKeys(encryption: SecretBytes(vector.key + vector.salt), integrity: SecretBytes([]))
            try seal(vector, suite, keys, checkLength: 16)
        }
    }

    @Test("AES-CCM with extended sequence numbers: Linux's packets open under their high half, and under no other")
    func ccmExtended() throws {
        for (high, vector) in PublishedPackets.ccmExtended {
            let suite = ESP.Suite.combined(.ccm(keyLength: vector.key.count, checkLength: 16))
            let keys = SuiteKeys(encryption: SecretBytes(vector.key + vector.salt), integrity: SecretBytes([]))
            let state = try SuiteState(suite, keys: keys, usesExtendedSequenceNumbers: true, direction: .decrypt)
            let low = vector.packet[4..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
            batch.append(vector.packet)
            let isOpenedByOther = state.open(batch[0], sequence: UInt64(high ^ 1) << 32 | low)
            batch.reset()
            batch.append(vector.packet)
            let isOpened = state.open(batch[0], sequence: UInt64(high) << 32 | low)
            #expect(isOpened && !isOpenedByOther)
            #expect([UInt8](copying: batch[0].span)[16...].starts(with: vector.payload))
        }
    }

    @Test(
        "AES-GCM with check values of 8 and 12 bytes: the draft's packets cut to them", arguments: [8, 12, 16],
        bothLibraries)
    func shortGCM(checkLength: Int, _ multiBuffer: MultiBuffer) throws {
        for vector in PublishedPackets.gcm {
            let suite = ESP.Suite.combined(.gcm(keyLength: vector.key.count, checkLength: checkLength))
            let keys = SuiteKeys(encryption: SecretBytes(vector.key + vector.salt), integrity: SecretBytes([]))
            var table = try table(vector, suite, multiBuffer)
            check(vector, vector.packet.dropLast(16 - checkLength), by: &table)
            try seal(vector, suite, keys, checkLength: checkLength, multiBuffer)
        }
    }

    /// Seals the payload as the packet whose number is the vector, which our counter modes have as theirs.
    private func seal(
        _ vector: PublishedPacket, _ suite: ESP.Suite, _ keys: SuiteKeys, checkLength: Int,
        _ multiBuffer: MultiBuffer = .wanted
    ) throws {
        let state = try SuiteState(suite, keys: keys, direction: .encrypt, multiBuffer: multiBuffer)
        let bodyLength = vector.packet.count - 16 - 16
        let padLength = bodyLength - vector.payload.count - 2
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
        batch.append(
            vector.packet[..<8] + [UInt8](repeating: 0, count: 8) + vector.payload
                + (0..<padLength).map { UInt8($0 + 1) }
                + [UInt8(padLength), vector.nextHeader])
        var random = RandomBlock()
        let counter = vector.packet[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let isSealed = state.seal(batch[0], sequence: counter, random: &random)
        batch[0].count += checkLength
        #expect(isSealed && [UInt8](copying: batch[0].span) == vector.packet.dropLast(16 - checkLength))
    }
}
