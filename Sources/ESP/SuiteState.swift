import Cryptography
import Wire

/// The algorithms of one direction of an SA, their keys set: what transforms the packet, one at a time.
///
/// The caller has checked lengths and looks after sequence numbers; this only encrypts and authenticates in place.
struct SuiteState: ~Copyable {
    enum Kind {
        case null
        case cbc
        case gcm
    }

    let kind: Kind
    let vectorLength: Int
    let checkLength: Int
    let alignment: Int
    private let cipher: PacketCipher?
    private let authenticator: PacketAuthenticator?
    private let salt: UInt32

    init(
        _ protection: Protection, keys: ProtectionKeys, direction: PacketCipher.Direction
    ) throws(CryptographyError) {
        guard let suite = protection.payload, let keys = keys.payload, protection.authenticationHeader == nil,
            protection.compression == nil, suite.isAuthenticated, !protection.usesExtendedSequenceNumbers
        else { throw .unsupported }
        try self.init(suite, keys: keys, direction: direction)
    }

    init(_ suite: Suite, keys: SuiteKeys, direction: PacketCipher.Direction) throws(CryptographyError) {
        let encryption = suite.encryption
        guard keys.encryption.count == encryption.keyLength + encryption.saltLength else { throw .wrongLength }
        let cipher = try Self.makeCipher(encryption, key: keys.encryption, direction: direction)
        let authenticator = try Self.makeAuthenticator(suite, key: keys.integrity)
        kind = encryption.isCombined ? .gcm : encryption == .null ? .null : .cbc
        self.cipher = cipher
        self.authenticator = authenticator
        vectorLength = encryption.vectorLength
        checkLength = suite.checkLength
        alignment = encryption.alignment
        salt =
            encryption.saltLength == 0
            ? 0 : keys.encryption.span.unsafeLoadUnaligned(fromByteOffset: encryption.keyLength, as: UInt32.self)
    }

    private static func makeCipher(
        _ encryption: Encryption, key: SecretBytes, direction: PacketCipher.Direction
    ) throws(CryptographyError) -> PacketCipher? {
        switch encryption {
        case .null: return nil
        case .cbc(let algorithm): return try PacketCipher(.cbc(algorithm), key: key, direction: direction)
        case .ctr, .ccm, .chaCha20Poly1305: throw .unsupported
        case .gcm(let keyLength, let checkLength):
            guard [8, 12, 16].contains(checkLength) else { throw .wrongLength }
            return try PacketCipher(.gcm(keyLength: keyLength), key: key.slice(0..<keyLength), direction: direction)
        }
    }

    private static func makeAuthenticator(
        _ suite: Suite, key: SecretBytes
    ) throws(CryptographyError) -> PacketAuthenticator? {
        guard let integrity = suite.integrity else { return nil }
        guard key.count == integrity.keyLength else { throw .wrongLength }
        guard case .hmac(let hash) = integrity.algorithm else { throw .unsupported }
        return try PacketAuthenticator(hash, key: key)
    }

    /// Verifies and decrypts a whole ESP packet in place. False when it is not authentic.
    @inline(__always)
    func open(_ packet: Packet) -> Bool {
        let body = packet.start + (ESPHeader.length + vectorLength)
        let bodyCount = packet.count - ESPHeader.length - vectorLength - checkLength
        let check = body + bodyCount
        switch kind {
        case .gcm:
            var nonce = makeNonce(vector: packet.start + ESPHeader.length)
            return withUnsafeBytes(of: &nonce) { nonce in
                guard let address = nonce.baseAddress else { return false }
                return cipher?.open(
                    nonce: address, associated: packet.start, associatedCount: ESPHeader.length, data: body,
                    count: bodyCount, tag: check, tagCount: checkLength) ?? false
            }
        case .cbc, .null:
            guard
                authenticator?.verify(
                    packet.start, count: packet.count - checkLength, code: check, codeCount: checkLength) ?? false
            else { return false }
            guard kind == .cbc else { return true }
            return cipher?.runCBC(iv: packet.start + ESPHeader.length, data: body, count: bodyCount) ?? false
        }
    }

    /// Encrypts and authenticates in place a packet whose header, payload, padding and trailer stand already; room for the
    /// vector is left behind the header, room for the check value is behind the packet and not yet counted in it.
    @inline(__always)
    func seal(_ packet: Packet, vectorCounter: UInt64, random: inout RandomBlock) -> Bool {
        let vector = packet.start + ESPHeader.length
        let body = vector + vectorLength
        let bodyCount = packet.count - ESPHeader.length - vectorLength
        let check = packet.start + packet.count
        switch kind {
        case .gcm:
            // A counter as the vector never repeats under one key (RFC 4106 section 3.1).
            vector.storeBytes(of: vectorCounter.bigEndian, as: UInt64.self)
            var nonce = makeNonce(vector: vector)
            return withUnsafeBytes(of: &nonce) { nonce in
                guard let address = nonce.baseAddress else { return false }
                return cipher?.seal(
                    nonce: address, associated: packet.start, associatedCount: ESPHeader.length, data: body,
                    count: bodyCount, tag: check, tagCount: checkLength) ?? false
            }
        case .cbc:
            // CBC's vector must be unpredictable (RFC 3602 section 3).
            guard random.fill(vector, count: vectorLength),
                cipher?.runCBC(iv: vector, data: body, count: bodyCount) ?? false
            else { return false }
        case .null: break
        }
        authenticate(packet, check: check)
        return true
    }

    /// GCM's nonce: the salt, then the vector (RFC 4106 section 4).
    @inline(__always)
    private func makeNonce(vector: UnsafeMutableRawPointer) -> (UInt32, UInt32, UInt32) {
        (salt, vector.loadUnaligned(as: UInt32.self), vector.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    }

    @inline(__always)
    private func authenticate(_ packet: Packet, check: UnsafeMutableRawPointer) {
        // The whole digest may be longer than the tailroom that the check value needs: it is computed aside.
        withUnsafeTemporaryAllocation(byteCount: PacketAuthenticator.codeLengthMaximum, alignment: 8) { code in
            guard let address = code.baseAddress else { return }
            authenticator?.compute(packet.start, count: packet.count, code: address)
            check.copyMemory(from: address, byteCount: checkLength)
        }
    }
}
