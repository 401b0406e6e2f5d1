import Cryptography
import Testing
import Wire

@testable import ESP

@Suite("ESP by published packets")
struct PublishedPacketTests {
    /// Opens a packet, and with it so many copies that they make a burst, of which the first is accepted.
    private func open(
        _ packet: [UInt8], _ suite: ESP.Suite, _ keys: SuiteKeys, _ multiBuffer: MultiBuffer
    ) throws -> (InboundResult, [UInt8]) {
        var table = InboundTable(batchCapacity: 20, burst: PacketBurst(multiBuffer))
        var batch = PacketBatch(capacity: 20, packetSizeMaximum: 2048)
        for _ in 0..<20 { batch.append(packet) }
        let index = SecurityParameterIndex(batch[0].uint32(at: 0))
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 3, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
                multiBuffer: multiBuffer))
        table.open(batch, as: .esp)
        for copy in 1..<20 { #expect(table.result(copy).drop == table.result(0).drop ?? .replayed) }
        return (table.result(0), [UInt8](copying: batch[0].span))
    }

    @Test(
        "AES-GCM: the packets of draft-mcgrew-gcm-test-01 open to their payloads, and none changed does",
        arguments: bothLibraries)
    func openGCM(_ multiBuffer: MultiBuffer) throws {
        #expect(PublishedPackets.gcm.count == 5)
        for vector in PublishedPackets.gcm {
            let suite = ESP.Suite.combined(.gcm(keyLength: vector.key.count, checkLength: 16))
            let keys = SuiteKeys(
                encryption: SecretBytes(vector.key + vector.salt), integrity: SecretBytes([]))
            let (result, payload) = try open(vector.packet, suite, keys, multiBuffer)
            #expect(result.drop == nil)
            #expect(result.nextHeader == vector.nextHeader)
            #expect(payload == vector.payload)
            var changed = vector.packet
            changed[changed.count - 1] ^= 1
            #expect(try open(changed, suite, keys, multiBuffer).0.drop == .notAuthentic)
        }
    }

    @Test(
        "AES-GCM: the same payloads seal to the same packets, where the vector and the padding are the draft's",
        arguments: bothLibraries)
    func sealGCM(_ multiBuffer: MultiBuffer) throws {
        for vector in PublishedPackets.gcm {
            let suite = ESP.Suite.combined(.gcm(keyLength: vector.key.count, checkLength: 16))
            let keys = SuiteKeys(
                encryption: SecretBytes(vector.key + vector.salt), integrity: SecretBytes([]))
            let (packet, payload) = (vector.packet, vector.payload)
            let state = try SuiteState(suite, keys: keys, direction: .encrypt, multiBuffer: multiBuffer)
            let padLength = packet.count - 16 - payload.count - 2 - 16
            var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
            batch.append(
                packet[..<8] + [UInt8](repeating: 0, count: 8) + payload + (0..<padLength).map { UInt8($0 + 1) }
                    + [UInt8(padLength), vector.nextHeader])
            var random = RandomBlock()
            let counter = packet[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let sealed = state.seal(batch[0], sequence: counter, random: &random)
            batch[0].count += 16
            #expect(sealed && [UInt8](copying: batch[0].span) == packet)
        }
    }

    @Test(
        "AES-CBC: the packets of RFC 3602 section 4, an HMAC behind them, open to their payloads",
        arguments: [Integrity.md5_96, .sha1_96, .sha256_128, .sha384_192, .sha512_256], bothLibraries)
    func openCBC(_ integrity: Integrity, _ multiBuffer: MultiBuffer) throws {
        #expect(PublishedPackets.cbc.count == 4)
        for vector in PublishedPackets.cbc {
            let key = SecretBytes((0..<integrity.keyLength).map { UInt8($0) })
            guard case .hmac(let hash) = integrity.algorithm else { continue }
            var hmac = HMAC(hash, key: key)
            hmac.update(vector.packet)
            let check = Array(hmac.finish().prefix(integrity.checkLength))
            let keys = SuiteKeys(encryption: SecretBytes(vector.key), integrity: key)
            let suite = ESP.Suite.separate(.cbc(.aes128), integrity)
            let (result, payload) = try open(vector.packet + check, suite, keys, multiBuffer)
            #expect(result.drop == nil)
            #expect(result.nextHeader == vector.nextHeader)
            #expect(payload == vector.payload)
        }
    }

    @Test("NULL encryption: the payload travels as it is, padded to four bytes, without a vector (RFC 2410 section 3)")
    func null() throws {
        let integrity = Integrity.sha1_96
        let key = SecretBytes((0..<20).map { UInt8($0) })
        let keys = SuiteKeys(encryption: SecretBytes([]), integrity: key)
        // RFC 2410 section 3 gives no bytes: what it calls for is written out here.
        let cases = [("", "0102 02 11"), ("aa", "01 01 11"), ("aabb", "00 11"), ("aabbcc", "010203 03 11")]
        for (payload, trailer) in cases {
            var association = try OutboundSecurityAssociation(
                index: SecurityParameterIndex(0x1_0203), protection: Protection(payload: .separate(.null, integrity)),
                keys: ProtectionKeys(payload: keys))
            var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
            var random = RandomBlock()
            batch.append(hex(payload))
            let drop = association.seal(&batch[0], nextHeader: 17, random: &random)
            #expect(drop == nil)
            let body = hex("00010203 00000001") + hex(payload) + hex(trailer)
            var hmac = HMAC(.sha1, key: key)
            hmac.update(body)
            let check = hmac.finish().prefix(12)
            #expect([UInt8](copying: batch[0].span) == body + check)
        }
    }
}
