import Cryptography
import ESP
import Wire

/// The library's own work for an ESP packet and nothing else: what everything around it is compared with.
struct Library: ~Copyable {
    private let suite: Suite
    private let sealer: PacketCipher?
    private let opener: PacketCipher?
    private let authenticator: PacketAuthenticator?
    /// Of suites that packets are taken together by, where the multi-buffer library is there.
    private let sealingKeys: BurstKeys?
    private let openingKeys: BurstKeys?
    private let burst: PacketBurst
    private let nonce: UnsafeMutableRawPointer
    private let code: UnsafeMutableRawPointer

    init(_ suite: Suite, keys: SuiteKeys, multiBuffer: MultiBuffer = .wanted) throws(CryptographyError) {
        let sealer = try Self.cipher(suite, keys, .encrypt, multiBuffer)
        let opener = try Self.cipher(suite, keys, .decrypt, multiBuffer)
        let authenticator = try Self.authenticator(suite, keys)
        let sealingKeys = Self.burstKeys(suite, keys, .encrypt, multiBuffer, sealer, authenticator)
        let openingKeys = Self.burstKeys(suite, keys, .decrypt, multiBuffer, opener, authenticator)
        burst = PacketBurst(multiBuffer)
        self.sealingKeys = sealingKeys
        self.openingKeys = openingKeys
        self.suite = suite
        self.sealer = sealer
        self.opener = opener
        self.authenticator = authenticator
        nonce = .allocate(byteCount: 16, alignment: 16)
        code = .allocate(byteCount: PacketAuthenticator.codeLengthMaximum, alignment: 16)
        nonce.initializeMemory(as: UInt8.self, repeating: 7, count: 16)
    }

    private static func cipher(
        _ suite: Suite, _ keys: SuiteKeys, _ direction: PacketCipher.Direction, _ multiBuffer: MultiBuffer
    ) throws(CryptographyError) -> PacketCipher? {
        let key = keys.encryption.slice(0..<suite.encryption.keyLength)
        switch suite.encryption {
        case .null: return nil
        case .cbc(let cipher): return try PacketCipher(.cbc(cipher), key: key, direction: direction)
        case .ctr(let keyLength): return try PacketCipher(.ctr(keyLength: keyLength), key: key, direction: direction)
        case .ccm(let keyLength, let checkLength):
            return try PacketCipher(.ccm(keyLength: keyLength, tagLength: checkLength), key: key, direction: direction)
        case .chaCha20Poly1305: return try PacketCipher(.chaCha20Poly1305, key: key, direction: direction)
        case .gcm(let keyLength, _):
            return try PacketCipher(
                .gcm(keyLength: keyLength), key: key, direction: direction, multiBuffer: multiBuffer)
        }
    }

    private static func burstKeys(
        _ suite: Suite, _ keys: SuiteKeys, _ direction: PacketCipher.Direction, _ multiBuffer: MultiBuffer,
        _ cipher: borrowing PacketCipher?, _ authenticator: borrowing PacketAuthenticator?
    ) -> BurstKeys? {
        let algorithm: PacketCipher.Algorithm
        switch suite.encryption {
        case .cbc(let cipher): algorithm = .cbc(cipher)
        case .ctr(let keyLength): algorithm = .ctr(keyLength: keyLength)
        default: return nil
        }
        guard let integrity = suite.integrity, case .hmac(let hash) = integrity.algorithm,
            let burstSuite = BurstSuite(algorithm, hash: hash)
        else { return nil }
        switch cipher {
        case .some(let cipher):
            switch authenticator {
            case .some(let authenticator):
                return BurstKeys(
                    burstSuite, key: keys.encryption.slice(0..<suite.encryption.keyLength),
                    integrityKey: keys.integrity, checkLength: integrity.checkLength, direction: direction,
                    multiBuffer: multiBuffer, cipher: cipher, authenticator: authenticator)
            case .none: return nil
            }
        case .none: return nil
        }
    }

    private static func authenticator(
        _ suite: Suite, _ keys: SuiteKeys
    ) throws(CryptographyError) -> PacketAuthenticator? {
        guard let integrity = suite.integrity else { return nil }
        switch integrity.algorithm {
        case .hmac(let hash): return try PacketAuthenticator(hash, key: keys.integrity)
        case .aesXCBC: return try PacketAuthenticator(aesXCBC: keys.integrity)
        }
    }

    deinit {
        nonce.deallocate()
        code.deallocate()
    }

    /// Encrypts and authenticates a packet that is laid out as ESP has it, without its check value.
    @inline(__always)
    func seal(_ packet: Packet) -> Bool {
        let body = packet.start + (ESPHeader.length + suite.encryption.vectorLength)
        let count = packet.count - ESPHeader.length - suite.encryption.vectorLength
        switch suite {
        case .combined:
            return sealer?.seal(
                nonce: nonce, associated: packet.start, associatedCount: ESPHeader.length, data: body, count: count,
                tag: packet.start + packet.count, tagCount: suite.checkLength) ?? false
        case .separate:
            let isEncrypted = sealer?.run(iv: nonce, data: body, count: count) ?? true
            return authenticator?.compute(packet.start, count: packet.count, code: code) ?? true && isEncrypted
        }
    }

    /// Authenticates and decrypts what ``seal(_:)`` made.
    @inline(__always)
    func open(_ packet: Packet) -> Bool {
        let body = packet.start + (ESPHeader.length + suite.encryption.vectorLength)
        let count = packet.count - ESPHeader.length - suite.encryption.vectorLength
        switch suite {
        case .combined:
            return opener?.open(
                nonce: nonce, associated: packet.start, associatedCount: ESPHeader.length, data: body, count: count,
                tag: packet.start + packet.count, tagCount: suite.checkLength) ?? false
        case .separate:
            let isRead = authenticator?.compute(packet.start, count: packet.count, code: code) ?? true
            return opener?.run(iv: nonce, data: body, count: count) ?? true && isRead
        }
    }

    /// All packets of a batch, together where the suite gains by it; false where the library refuses.
    private func seal(_ batch: borrowing PacketBatch) -> Bool {
        switch sealingKeys {
        case .some(let keys): return together(batch, keys)
        case .none: break
        }
        for position in 0..<batch.count where !seal(batch[position]) { return false }
        return true
    }

    private func open(_ batch: borrowing PacketBatch) -> Bool {
        switch openingKeys {
        case .some(let keys): return together(batch, keys)
        case .none: break
        }
        for position in 0..<batch.count where !open(batch[position]) { return false }
        return true
    }

    private func together(_ batch: borrowing PacketBatch, _ keys: borrowing BurstKeys) -> Bool {
        for position in 0..<batch.count {
            burst.append(
                keys, position: position, start: batch[position].start, count: batch[position].count,
                vectorOffset: ESPHeader.length, bodyOffset: ESPHeader.length + suite.encryption.vectorLength, salt: 0,
                behind: nil)
        }
        burst.run()
        defer { burst.removeAll() }
        for index in 0..<burst.count where !burst.isGood(index) { return false }
        return true
    }

    /// What sealing and opening a packet of `payload` bytes costs, `burstCount` at a time.
    func measure(
        payload: Int, burstCount: Int = batchCount, nanoseconds: UInt64
    ) -> (seal: Figure, open: Figure) {
        var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
        let count = payload + suite.overhead(payloadLength: payload) - suite.checkLength
        fill(&batch, count: count)
        batch.count = min(burstCount, batchCount)
        let seal = Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            watch.start()
            guard self.seal(batch) else { fatalError("the library refused") }
            watch.stop()
            return batch.count
        }
        let open = Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            guard self.seal(batch) else { fatalError("the library refused") }
            watch.start()
            guard self.open(batch) else { fatalError("the library refused") }
            watch.stop()
            return batch.count
        }
        return (seal, open)
    }
}

/// How many packets go through everything at once, as in the gateway.
let batchCount = 64

/// Fills a batch with packets of `count` bytes.
func fill(_ batch: inout PacketBatch, count: Int) {
    batch.reset()
    for position in 0..<batchCount {
        batch[position].start.initializeMemory(as: UInt8.self, repeating: UInt8(position), count: count)
        batch[position].count = count
    }
    batch.count = batchCount
}
