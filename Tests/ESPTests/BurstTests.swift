import Cryptography
import Testing
import Wire

@testable import ESP

/// An SA in both directions, its packets by the multi-buffer library and by OpenSSL alone.
private struct ComparedSA: ~Copyable {
    let suite: ESP.Suite
    let index: SecurityParameterIndex
    let isExtended: Bool
    let keys: SuiteKeys
    var sender: OutboundSecurityAssociation
    /// OpenSSL's, to seal again what was opened.
    private let cipher: PacketCipher?
    private let authenticator: PacketAuthenticator?

    init(_ suite: ESP.Suite, slot: Int, isExtended: Bool, using generator: inout SeededGenerator) throws {
        let keys = randomKeys(for: suite, using: &generator)
        let index = SecurityParameterIndex(0x1000_0000 + UInt32(slot))
        let sender = try OutboundSecurityAssociation(
            index: index, protection: Self.protection(suite, isExtended), keys: ProtectionKeys(payload: keys))
        let cipher = try Self.makeCipher(suite, keys)
        let authenticator = try Self.makeAuthenticator(suite, keys)
        self.suite = suite
        self.isExtended = isExtended
        self.keys = keys
        self.index = index
        self.sender = sender
        self.cipher = cipher
        self.authenticator = authenticator
        // The low half wraps on the way.
        if isExtended { self.sender.sequence = 0x3_ffff_fff0 }
    }

    private static func makeCipher(_ suite: ESP.Suite, _ keys: SuiteKeys) throws -> PacketCipher? {
        guard case .cbc(let cipher) = suite.encryption else { return nil }
        return try PacketCipher(.cbc(cipher), key: keys.encryption, direction: .encrypt)
    }

    private static func makeAuthenticator(_ suite: ESP.Suite, _ keys: SuiteKeys) throws -> PacketAuthenticator? {
        guard let integrity = suite.integrity else { return nil }
        return try integrity.makeAuthenticator(key: keys.integrity)
    }

    static func protection(_ suite: ESP.Suite, _ isExtended: Bool) -> Protection {
        Protection(payload: suite, usesExtendedSequenceNumbers: isExtended, replayWindowSize: 1024)
    }

    func receiver(_ multiBuffer: MultiBuffer, owner: Int) throws -> InboundSecurityAssociation {
        var receiver = try InboundSecurityAssociation(
            index: index, owner: owner, protection: Self.protection(suite, isExtended),
            keys: ProtectionKeys(payload: keys), multiBuffer: multiBuffer)
        if isExtended { _ = receiver.window.mark(0x3_ffff_fff0) }
        return receiver
    }

    /// What OpenSSL makes of the same plaintext, number and vector.
    func sealAgain(_ sealed: [UInt8], sequence: UInt64) throws -> [UInt8] {
        let state = try SuiteState(
            suite, keys: keys, usesExtendedSequenceNumbers: isExtended, direction: .decrypt, multiBuffer: .off)
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
        batch.append(sealed)
        guard state.open(batch[0], sequence: sequence) else { return [] }
        batch[0].count -= suite.checkLength
        let bodyOffset = ESPHeader.length + suite.encryption.vectorLength
        var random = RandomBlock()
        guard case .cbc = suite.encryption else {
            let sealer = try SuiteState(
                suite, keys: keys, usesExtendedSequenceNumbers: isExtended, direction: .encrypt, multiBuffer: .off)
            guard sealer.seal(batch[0], sequence: sequence, random: &random) else { return [] }
            batch[0].count += suite.checkLength
            return [UInt8](copying: batch[0].span)
        }
        let start = batch[0].start
        let isRun = cipher?.run(
            iv: start + ESPHeader.length, data: start + bodyOffset, count: batch[0].count - bodyOffset)
        var code = [UInt8](repeating: 0, count: PacketAuthenticator.codeLengthMaximum)
        let isComputed =
            authenticator?.compute(
                start, count: batch[0].count, behind: isExtended ? UInt32(truncatingIfNeeded: sequence >> 32) : nil,
                code: &code) ?? true
        guard isRun == true, isComputed else { return [] }
        return [UInt8](copying: batch[0].span) + code[..<suite.checkLength]
    }
}

@Suite("Packets in bursts")
struct BurstTests {
    /// Suites that join bursts, those that do not, and one whose code is cut in its own way, so that batches are mixed.
    private static let suites: [ESP.Suite] = [
        .separate(.cbc(.aes256), .sha1_96), .separate(.cbc(.aes128), .sha256_128), .separate(.cbc(.aes256), .sha256_96),
        .separate(.cbc(.aes192), .sha384_192), .separate(.cbc(.aes256), .sha512_256),
        .separate(.cbc(.aes128), .md5_96), .separate(.ctr(keyLength: 32), .sha1_96),
        .separate(.ctr(keyLength: 16), .sha512_256), .separate(.cbc(.tripleDES), .sha1_96),
        .combined(.gcm(keyLength: 32, checkLength: 16)), .combined(.gcm(keyLength: 16, checkLength: 8)),
        .combined(.gcm(keyLength: 24, checkLength: 12)), .combined(.chaCha20Poly1305),
        .combined(.ccm(keyLength: 16, checkLength: 12)), .separate(.null, .sha256_128),
        .separate(.cbc(.aes128), .aesXCBC_96), .separate(.cbc(.aes256), nil),
    ]
    private static let batchCapacity = 200

    @Test(
        "whole batches of mixed SAs, sizes, numbers and changes: both libraries make and accept the same bytes",
        arguments: [1, 2, 3, 4] as [UInt64])
    func mixed(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let burst = PacketBurst()
        var mine = InboundTable(batchCapacity: Self.batchCapacity, burst: burst)
        var other = InboundTable(batchCapacity: Self.batchCapacity, burst: PacketBurst(.off))
        // Few of some suites and many of others, so that one batch is over and under the limits.
        let count = Int.random(in: 1...12, using: &generator)
        let associations = UnsafeMutablePointer<ComparedSA>.allocate(capacity: count)
        defer {
            associations.deinitialize(count: count)
            associations.deallocate()
        }
        for slot in 0..<count {
            let suite = Self.suites[Int.random(in: 0..<Self.suites.count, using: &generator)]
            let isExtended = suite.isAuthenticated && Bool.random(using: &generator)
            (associations + slot).initialize(
                to: try ComparedSA(suite, slot: slot, isExtended: isExtended, using: &generator))
            mine.install(try associations[slot].receiver(.wanted, owner: slot))
            other.install(try associations[slot].receiver(.off, owner: slot))
        }
        var random = RandomBlock()
        var total = Traffic()
        var batch = PacketBatch(capacity: Self.batchCapacity, packetSizeMaximum: 2048)
        var copy = PacketBatch(capacity: Self.batchCapacity, packetSizeMaximum: 2048)
        for size in Array(1...64) + [65, 129, 200] {
            batch.reset()
            var plain: [(slot: Int, payload: [UInt8], sequence: UInt64)] = []
            for position in 0..<size {
                let slots = (0..<2).map { _ in Int.random(in: 0..<count, using: &generator) }
                let slot = min(slots[0], slots[1])
                let payload = generator.bytes(Int.random(in: 0...1500, using: &generator))
                batch.append(payload)
                let drop = associations[slot].sender.seal(
                    &batch[position], nextHeader: 17, random: &random, total: &total, in: .passUnretained(burst),
                    position: position)
                #expect(drop == nil)
                plain.append((slot, payload, associations[slot].sender.sequence))
                if burst.isFull { try seal(burst) }
            }
            try seal(burst)
            // What lies behind a packet is another's, or nobody's.
            copy.reset()
            for position in 0..<size {
                let sealed = [UInt8](copying: batch[position].span)
                let again = try associations[plain[position].slot].sealAgain(
                    sealed, sequence: plain[position].sequence)
                #expect(sealed == again, "\(associations[plain[position].slot].suite)")
                var received = sealed
                if Int.random(in: 0..<4, using: &generator) == 0 {
                    let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
                    received[Int.random(in: 4..<received.count, using: &generator)] ^= bit
                }
                for target in [batch[position], copy[position]] {
                    target.start.copyMemory(from: received, byteCount: received.count)
                    (target.start + received.count).initializeMemory(as: UInt8.self, repeating: 0xa5, count: 64)
                    (target.start - 64).initializeMemory(as: UInt8.self, repeating: 0x5a, count: 64)
                }
                batch[position].count = received.count
                copy[position].count = received.count
                copy.count += 1
            }
            let ends = (0..<size).map { (batch[$0].start, batch[$0].count) }
            mine.open(batch, as: .esp)
            other.open(copy, as: .esp)
            for position in 0..<size { compare(mine, batch, other, copy, position, plain[position].payload, ends) }
        }
    }

    private func seal(_ burst: PacketBurst) throws {
        burst.run()
        for index in 0..<burst.count { #expect(burst.isGood(index)) }
        burst.removeAll()
    }

    private func compare(
        _ mine: borrowing InboundTable, _ batch: borrowing PacketBatch, _ other: borrowing InboundTable,
        _ copy: borrowing PacketBatch, _ position: Int, _ payload: [UInt8],
        _ ends: [(start: UnsafeMutableRawPointer, count: Int)]
    ) {
        let (result, expected) = (mine.result(position), other.result(position))
        #expect(result.drop == expected.drop && result.nextHeader == expected.nextHeader)
        #expect(result.isNewest == expected.isNewest && result.isFirst == expected.isFirst)
        let (start, count) = ends[position]
        let behind = UnsafeRawBufferPointer(start: start + count, count: 64)
        let before = UnsafeRawBufferPointer(start: start - 64, count: 64)
        #expect(behind.allSatisfy { $0 == 0xa5 } && before.allSatisfy { $0 == 0x5a })
        guard result.drop == nil else { return }
        #expect([UInt8](copying: batch[position].span) == [UInt8](copying: copy[position].span))
    }

    @Test(
        "enough packets of one suite go through the multi-buffer library, fewer do not",
        arguments: [
            (ESP.Suite.separate(.cbc(.aes256), .sha1_96), 5), (.separate(.cbc(.tripleDES), .sha1_96), 16),
            (.separate(.ctr(keyLength: 16), .sha256_128), 10),
        ])
    func threshold(_ suite: ESP.Suite, minimum: Int) throws {
        guard MultiBuffer.library.isThere else { return }
        var generator = SeededGenerator(seed: 1)
        var association = try ComparedSA(suite, slot: 1, isExtended: false, using: &generator)
        let burst = PacketBurst()
        var table = InboundTable(batchCapacity: 64, burst: burst)
        table.install(try association.receiver(.wanted, owner: 1))
        var batch = PacketBatch(capacity: 64, packetSizeMaximum: 2048)
        var random = RandomBlock()
        for size in [1, minimum - 1, minimum, 64] {
            batch.reset()
            for position in 0..<size {
                batch.append(generator.bytes(100))
                _ = association.sender.seal(&batch[position], nextHeader: 17, random: &random)
            }
            let before = burst.multiBufferCount
            table.open(batch, as: .esp)
            #expect((0..<size).allSatisfy { table.result($0).drop == nil })
            let taken = burst.multiBufferCount - before
            #expect(taken == (size < minimum ? 0 : UInt64(size)) || suite.encryption == .cbc(.tripleDES) && taken == 0)
        }
    }
}
