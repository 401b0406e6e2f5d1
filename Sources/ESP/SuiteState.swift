import Cryptography
import Wire

/// ESP's algorithms of one direction of an SA, their keys set: what transforms the packet, one at a time.
///
/// The caller has checked lengths and looks after sequence numbers; this only encrypts and authenticates in place.
struct SuiteState: ~Copyable {
    private enum Kind {
        case null
        case cbc
        case ctr
        case combined
    }

    private let layout: SuiteLayout
    private let kind: Kind
    private let usesExtendedSequenceNumbers: Bool
    private let cipher: PacketCipher?
    private let authenticator: PacketAuthenticator?
    /// For packets that come with others; it borrows from the two before it.
    private let burstKeys: BurstKeys?
    private let hasBurstKeys: Bool
    /// The salt, in front of which CCM's shorter one has a byte that is not used.
    private let salt: UInt32
    private let nonceOffset: Int

    init(
        _ suite: Suite, keys: SuiteKeys, usesExtendedSequenceNumbers: Bool = false, direction: PacketCipher.Direction,
        multiBuffer: MultiBuffer = .wanted
    ) throws(CryptographyError) {
        let encryption = suite.encryption
        try Self.check(suite)
        guard keys.encryption.count == encryption.keyLength + encryption.saltLength else { throw .wrongLength }
        let cipher = try Self.makeCipher(
            encryption, key: keys.encryption, direction: direction, multiBuffer: multiBuffer)
        let authenticator = try Self.makeAuthenticator(suite, key: keys.integrity)
        let burstKeys = Self.makeBurstKeys(suite, keys, direction, multiBuffer, cipher, authenticator)
        hasBurstKeys = burstKeys != nil
        self.burstKeys = burstKeys
        self.cipher = cipher
        self.authenticator = authenticator
        self.usesExtendedSequenceNumbers = usesExtendedSequenceNumbers
        layout = SuiteLayout(suite)
        kind =
            switch encryption {
            case .null: .null
            case .cbc: .cbc
            case .ctr: .ctr
            case .gcm, .ccm, .chaCha20Poly1305: .combined
            }
        nonceOffset = 4 - encryption.saltLength
        salt =
            (encryption.keyLength..<encryption.keyLength + encryption.saltLength)
            .reduce(0) {
                $0 << 8 | UInt32(keys.encryption.span.unsafeLoadUnaligned(fromByteOffset: $1, as: UInt8.self))
            }
            .bigEndian
    }

    @inline(__always) var vectorLength: Int { layout.vectorLength }
    @inline(__always) var checkLength: Int { layout.checkLength }
    @inline(__always) var alignment: Int { layout.alignment }

    /// Which algorithms go together: a cipher is said to authenticate if and only if it does, and nothing at all is not ESP
    /// (RFC 4303 section 3.2), nor is a key stream that anybody may flip bits of (RFC 3686 section 2.2).
    private static func check(_ suite: Suite) throws(CryptographyError) {
        switch suite {
        case .combined(let encryption): guard encryption.isCombined else { throw .unsupported }
        case .separate(.null, nil), .separate(.ctr, nil): throw .unsupported
        case .separate(let encryption, _): guard !encryption.isCombined else { throw .unsupported }
        }
        switch suite.encryption {
        case .gcm(_, let checkLength), .ccm(_, let checkLength):
            guard [8, 12, 16].contains(checkLength) else { throw .wrongLength }
        case .null, .cbc, .ctr, .chaCha20Poly1305: break
        }
    }

    private static func makeAuthenticator(
        _ suite: Suite, key: SecretBytes
    ) throws(CryptographyError) -> PacketAuthenticator? {
        guard let integrity = suite.integrity else { return nil }
        return try integrity.makeAuthenticator(key: key)
    }

    private static func makeCipher(
        _ encryption: Encryption, key: SecretBytes, direction: PacketCipher.Direction, multiBuffer: MultiBuffer
    ) throws(CryptographyError) -> PacketCipher? {
        guard let algorithm = encryption.algorithm else { return nil }
        return try PacketCipher(
            algorithm, key: key.slice(0..<encryption.keyLength), direction: direction, multiBuffer: multiBuffer)
    }

    private static func makeBurstKeys(
        _ suite: Suite, _ keys: SuiteKeys, _ direction: PacketCipher.Direction, _ multiBuffer: MultiBuffer,
        _ cipher: borrowing PacketCipher?, _ authenticator: borrowing PacketAuthenticator?
    ) -> BurstKeys? {
        guard let algorithm = suite.encryption.algorithm, let integrity = suite.integrity,
            case .hmac(let hash) = integrity.algorithm, let burstSuite = BurstSuite(algorithm, hash: hash)
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

    /// Verifies and decrypts a whole ESP packet in place. False when it is not authentic. Of `sequence` the low half is what
    /// the packet bears.
    @inline(__always)
    func open(_ packet: Packet, sequence: UInt64) -> Bool {
        let vector = packet.start + ESPHeader.length
        let body = vector + vectorLength
        let bodyCount = packet.count - ESPHeader.length - vectorLength - checkLength
        let check = body + bodyCount
        if kind == .combined {
            return withNonce(vector) { nonce in
                withAssociated(packet, sequence) { associated, associatedCount in
                    cipher?.open(
                        nonce: nonce, associated: associated, associatedCount: associatedCount, data: body,
                        count: bodyCount, tag: check, tagCount: checkLength) ?? false
                }
            }
        }
        if checkLength > 0 {
            let isAuthentic =
                authenticator?.verify(
                    packet.start, count: packet.count - checkLength, behind: high(sequence), code: check,
                    codeCount: checkLength) ?? false
            guard isAuthentic else { return false }
        }
        return run(vector: vector, body: body, count: bodyCount)
    }

    /// Whether packets that come with others gain by being taken together. (No property: one behind an optional would be
    /// consumed.)
    @inline(__always)
    func joinsBursts() -> Bool { hasBurstKeys }

    /// Takes a packet to those that are verified and decrypted together. Only where ``joinsBursts()`` says so.
    @inline(__always)
    func open(_ packet: Packet, sequence: UInt64, in burst: PacketBurst, position: Int) {
        append(packet, count: packet.count - checkLength, sequence, to: burst, position: position)
    }

    /// The same for one to be sealed, which has its check value only when the burst has run. False without randomness.
    @inline(__always)
    func seal(
        _ packet: Packet, sequence: UInt64, random: inout RandomBlock, in burst: PacketBurst, position: Int
    ) -> Bool {
        guard writeVector(packet, sequence: sequence, random: &random) else { return false }
        append(packet, count: packet.count, sequence, to: burst, position: position)
        return true
    }

    @inline(__always)
    private func append(
        _ packet: Packet, count: Int, _ sequence: UInt64, to burst: PacketBurst, position: Int
    ) {
        switch burstKeys {
        case .some(let keys):
            burst.append(
                keys, position: position, start: packet.start, count: count, vectorOffset: ESPHeader.length,
                bodyOffset: ESPHeader.length + vectorLength, salt: salt, behind: high(sequence))
        case .none: break
        }
    }

    /// Encrypts a packet that is laid out as ESP has it, and writes the check value behind it.
    @inline(__always)
    func seal(_ packet: Packet, sequence: UInt64, random: inout RandomBlock) -> Bool {
        let vector = packet.start + ESPHeader.length
        let body = vector + vectorLength
        let bodyCount = packet.count - ESPHeader.length - vectorLength
        let check = packet.start + packet.count
        guard writeVector(packet, sequence: sequence, random: &random) else { return false }
        if kind == .combined {
            return withNonce(vector) { nonce in
                withAssociated(packet, sequence) { associated, associatedCount in
                    cipher?.seal(
                        nonce: nonce, associated: associated, associatedCount: associatedCount, data: body,
                        count: bodyCount, tag: check, tagCount: checkLength) ?? false
                }
            }
        }
        guard run(vector: vector, body: body, count: bodyCount) else { return false }
        return checkLength == 0 || authenticate(packet, sequence, check: check)
    }

    /// The number of the packet is the vector of counter modes, so that it never repeats under one key (RFC 4106 section
    /// 3.1). CBC's must be unpredictable (RFC 3602 section 3): false where there is no randomness.
    @inline(__always)
    private func writeVector(_ packet: Packet, sequence: UInt64, random: inout RandomBlock) -> Bool {
        let vector = packet.start + ESPHeader.length
        switch kind {
        case .null: break
        case .cbc: return random.fill(vector, count: vectorLength)
        case .ctr, .combined: vector.storeBytes(of: sequence.bigEndian, as: UInt64.self)
        }
        return true
    }

    /// The ciphers that do not authenticate.
    @inline(__always)
    private func run(vector: UnsafeMutableRawPointer, body: UnsafeMutableRawPointer, count: Int) -> Bool {
        switch kind {
        case .null: true
        case .cbc: cipher?.run(iv: vector, data: body, count: count) ?? false
        case .ctr: withNonce(vector) { cipher?.run(iv: $0, data: body, count: count) ?? false }
        case .combined: false
        }
    }

    @inline(__always)
    private func authenticate(_ packet: Packet, _ sequence: UInt64, check: UnsafeMutableRawPointer) -> Bool {
        // The whole digest may be longer than the tailroom that the check value needs: it is computed aside.
        withUnsafeTemporaryAllocation(byteCount: PacketAuthenticator.codeLengthMaximum, alignment: 8) { code in
            guard let address = code.baseAddress,
                authenticator?.compute(
                    packet.start, count: packet.count, behind: high(sequence), code: address) ?? false
            else { return false }
            check.copyMemory(from: address, byteCount: checkLength)
            return true
        }
    }

    /// The half of the sequence number that is authenticated and does not travel (RFC 4303 section 2.2.1).
    @inline(__always)
    private func high(_ sequence: UInt64) -> UInt32? {
        usesExtendedSequenceNumbers ? UInt32(truncatingIfNeeded: sequence >> 32) : nil
    }

    /// The salt, then the vector (RFC 4106 section 4, RFC 4309 section 4, RFC 7634 section 2); behind them the block counter
    /// that CTR begins with (RFC 3686 section 4).
    @inline(__always)
    private func withNonce(_ vector: UnsafeMutableRawPointer, _ body: (UnsafeRawPointer) -> Bool) -> Bool {
        // Written as a whole, as it is read: a processor waits for what it has to read out of two stores.
        let bytes = UInt64(littleEndian: vector.loadUnaligned(as: UInt64.self))
        var nonce = SIMD2<UInt64>(
            (UInt64(UInt32(littleEndian: salt)) | bytes << 32).littleEndian,
            (bytes >> 32 | UInt64(UInt32(1).byteSwapped) << 32).littleEndian)
        return withUnsafeBytes(of: &nonce) { nonce in
            guard let address = nonce.baseAddress else { return false }
            return body(address + nonceOffset)
        }
    }

    /// What a cipher authenticates beside the body: the header, in it all of the sequence number (RFC 4106 section 5).
    @inline(__always)
    private func withAssociated(
        _ packet: Packet, _ sequence: UInt64, _ body: (UnsafeRawPointer, Int) -> Bool
    ) -> Bool {
        guard usesExtendedSequenceNumbers else { return body(packet.start, ESPHeader.length) }
        var associated = (
            packet.start.loadUnaligned(as: UInt32.self), UInt32(truncatingIfNeeded: sequence >> 32).bigEndian,
            UInt32(truncatingIfNeeded: sequence).bigEndian
        )
        return withUnsafeBytes(of: &associated) { associated in
            guard let address = associated.baseAddress else { return false }
            return body(address, associated.count)
        }
    }
}

extension Integrity {
    /// The algorithm under `key`.
    func makeAuthenticator(key: SecretBytes) throws(CryptographyError) -> PacketAuthenticator {
        guard key.count == keyLength else { throw .wrongLength }
        switch algorithm {
        case .hmac(let hash): return try PacketAuthenticator(hash, key: key)
        case .aesXCBC: return try PacketAuthenticator(aesXCBC: key)
        }
    }
}
