import Cryptography
import Wire

/// The keys of an ISAKMP SA and what is computed with them (RFC 2409 section 5 and appendix B).
final class KeyMaterial: Sendable {
    let hash: HashAlgorithm
    let cipher: CBCCipher
    /// SKEYID, for HASH_I and HASH_R.
    let root: SecretBytes
    /// SKEYID_d, from which IPsec keys derive.
    let derivation: SecretBytes
    /// SKEYID_a, which authenticates phase-2 messages.
    let authentication: SecretBytes
    /// The cipher's key, from SKEYID_e.
    let encryption: SecretBytes

    /// SKEYID as the authentication method has it, and what follows from it.
    convenience init(
        suite: PhaseOneSuite, authentication: PhaseOneAuthentication, preSharedKey: SecretBytes?,
        initiatorNonce: [UInt8], responderNonce: [UInt8], sharedSecret: SecretBytes, cookies: IKECookies
    ) throws(IKEDrop) {
        let root = try authentication.root(
            hash: suite.hash, preSharedKey: preSharedKey, initiatorNonce: initiatorNonce,
            responderNonce: responderNonce, sharedSecret: sharedSecret)
        self.init(suite: suite, root: root, sharedSecret: sharedSecret, cookies: cookies)
    }

    /// SKEYID_d, SKEYID_a, SKEYID_e and the cipher's key from SKEYID, however that was made.
    init(suite: PhaseOneSuite, root: SecretBytes, sharedSecret: SecretBytes, cookies: IKECookies) {
        (hash, cipher, self.root) = (suite.hash, suite.cipher, root)
        let next = { (previous: SecretBytes?, number: UInt8) in
            var prf = HMAC(suite.hash, key: root)
            if let previous { prf.update(previous) }
            prf.update(sharedSecret)
            prf.update(cookies.octets)
            prf.update(number)
            return prf.finishSecret()
        }
        derivation = next(nil, 0)
        authentication = next(derivation, 1)
        encryption = Self.expand(next(authentication, 2), hash: suite.hash, to: suite.cipher.keyLength)
    }

    /// The same without SKEYID, for which nothing asks any more once both have proved who they are.
    var afterPhaseOne: KeyMaterial { KeyMaterial(withoutRoot: self) }

    private static let noRoot = SecretBytes([])

    private init(withoutRoot keys: KeyMaterial) {
        (hash, cipher, root) = (keys.hash, keys.cipher, Self.noRoot)
        (derivation, authentication, encryption) = (keys.derivation, keys.authentication, keys.encryption)
    }

    /// Appendix B: where SKEYID_e is too short, Ka = K1 | K2 | ..., K1 = prf(SKEYID_e, 0), Kn = prf(SKEYID_e, Kn-1).
    static func expand(_ key: SecretBytes, hash: HashAlgorithm, to count: Int) -> SecretBytes {
        guard key.count < count else { return key.slice(0..<count) }
        var blocks: [SecretBytes] = []
        while blocks.count * hash.digestLength < count {
            var prf = HMAC(hash, key: key)
            if let last = blocks.last { prf.update(last) } else { prf.update(0) }
            blocks.append(prf.finishSecret())
        }
        return SecretBytes.concatenate(blocks).slice(0..<count)
    }

    /// HASH_I and HASH_R: prf(SKEYID, g^x of the sender | g^x of the other | cookie of the sender | cookie of the other |
    /// SAi_b | ID_b of the sender).
    func identityHash(
        ownPublic: [UInt8], otherPublic: [UInt8], ownCookie: UInt64, otherCookie: UInt64, securityAssociation: [UInt8],
        identification: [UInt8], by algorithm: HashAlgorithm? = nil
    ) -> [UInt8] {
        var prf = HMAC(algorithm ?? hash, key: root)
        prf.update(ownPublic)
        prf.update(otherPublic)
        prf.update(ownCookie.octets)
        prf.update(otherCookie.octets)
        prf.update(securityAssociation)
        prf.update(identification)
        return prf.finish()
    }

    /// prf(SKEYID_a, parts), for HASH(1), HASH(2) and HASH(3) of section 5.5 and HASH(1) of section 5.7.
    func messageHash(_ parts: [UInt8]...) -> [UInt8] {
        var prf = HMAC(hash, key: authentication)
        for part in parts { prf.update(part) }
        return prf.finish()
    }

    /// The first initialization vector of phase 1: hash(g^xi | g^xr), cut to the block (appendix B).
    func firstInitializationVector(initiatorPublic: [UInt8], responderPublic: [UInt8]) -> [UInt8] {
        Array(hash.digest(initiatorPublic, responderPublic).prefix(cipher.blockLength))
    }

    /// The first initialization vector of a phase-2 exchange: hash(last phase-1 block | M-ID), cut to the block.
    func initializationVector(lastBlock: [UInt8], messageID: UInt32) -> [UInt8] {
        Array(hash.digest(lastBlock, messageID.octets).prefix(cipher.blockLength))
    }

    /// KEYMAT of one direction (section 5.5), expanded to `count` bytes.
    func childKeys(
        sharedSecret: SecretBytes?, protocolID: UInt8, securityParameterIndex: UInt32, initiatorNonce: [UInt8],
        responderNonce: [UInt8], count: Int
    ) -> SecretBytes {
        var blocks: [SecretBytes] = []
        while blocks.count * hash.digestLength < count {
            var prf = HMAC(hash, key: derivation)
            if let last = blocks.last { prf.update(last) }
            if let sharedSecret { prf.update(sharedSecret) }
            prf.update(protocolID)
            prf.update(securityParameterIndex.octets)
            prf.update(initiatorNonce)
            prf.update(responderNonce)
            blocks.append(prf.finishSecret())
        }
        return SecretBytes.concatenate(blocks).slice(0..<count)
    }

    /// Pads with zeros to the block and encrypts a chain of payloads.
    func encrypt(_ chain: [UInt8], iv: [UInt8]) throws(IKEDrop) -> [UInt8] {
        let excess = chain.count % cipher.blockLength
        let padding = excess == 0 ? 0 : cipher.blockLength - excess
        do {
            return try cipher.encrypt(chain + [UInt8](repeating: 0, count: padding), key: encryption, iv: iv)
        } catch { throw .decryptionFailed }
    }

    /// Decrypts a body after checking its length.
    func decrypt(_ body: [UInt8], iv: [UInt8]) throws(IKEDrop) -> [UInt8] {
        guard !body.isEmpty, body.count % cipher.blockLength == 0 else { throw .notBlockMultiple }
        do { return try cipher.decrypt(body, key: encryption, iv: iv) } catch { throw .decryptionFailed }
    }

    /// The initialization vector of the next message of an exchange: the last cipher block of this one, which may be given
    /// with its header or without.
    func nextInitializationVector(after encrypted: [UInt8]) -> [UInt8] { Array(encrypted.suffix(cipher.blockLength)) }
}
