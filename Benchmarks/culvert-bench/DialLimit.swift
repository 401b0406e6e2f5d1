import Cryptography

/// The operations that a responder cannot do without in one dial-in, main mode with a pre-shared key and quick mode without
/// perfect forward secrecy, on inputs of the lengths that they have there: what no gateway on this library goes below.
struct DialLimit {
    private let group: DiffieHellmanGroup
    private let peerPublicValue: [UInt8]
    private let preSharedKey = SecretBytes(utf8: "correct horse")
    private let hash = HashAlgorithm.sha256
    private let cipher = CBCCipher.aes256

    // Lengths as in the dial-in of strongSwan's that is measured beside it.
    private let nonce = [UInt8](repeating: 1, count: 32)
    private let cookies = [UInt8](repeating: 2, count: 16)
    private let cookiesAndEndpoint = [UInt8](repeating: 3, count: 22)
    private let securityAssociation = [UInt8](repeating: 4, count: 52)
    private let identification = [UInt8](repeating: 5, count: 8)
    private let authenticationMessage = [UInt8](repeating: 6, count: 64)
    private let quickMessage = [UInt8](repeating: 7, count: 224)
    private let lastQuickMessage = [UInt8](repeating: 8, count: 48)
    private let vector = [UInt8](repeating: 9, count: 16)
    private let messageID = [UInt8](repeating: 10, count: 4)
    private let parameterIndex = [UInt8](repeating: 11, count: 5)

    init(_ group: DiffieHellmanGroup) throws(CryptographyError) {
        self.group = group
        peerPublicValue = try DiffieHellmanKeyPair.generate(group).publicValue
    }

    /// One dial-in's worth.
    func run() throws(CryptographyError) {
        let (pair, shared) = try runKeyExchange()
        try runMainMode(ownPublicValue: pair.publicValue, shared)
        try runQuickMode(key: shared.slice(0..<32))
    }

    /// A key pair and the shared secret.
    @discardableResult
    func runKeyExchange() throws(CryptographyError) -> (DiffieHellmanKeyPair, SecretBytes) {
        let pair = try DiffieHellmanKeyPair.generate(group)
        return (pair, try pair.sharedSecret(with: peerPublicValue))
    }

    /// SKEYID and what follows from it, four NAT-D, the first vector, HASH_I, HASH_R, messages 5 and 6.
    private func runMainMode(ownPublicValue: [UInt8], _ shared: SecretBytes) throws(CryptographyError) {
        var prf = HMAC(hash, key: preSharedKey)
        prf.update(nonce)
        prf.update(nonce)
        let root = prf.finishSecret()
        var key: SecretBytes?
        for number in 0..<3 as Range<UInt8> {
            var prf = HMAC(hash, key: root)
            if let key { prf.update(key) }
            prf.update(shared)
            prf.update(cookies)
            prf.update(number)
            key = prf.finishSecret()
        }
        for _ in 0..<4 { _ = hash.digest(cookiesAndEndpoint) }
        _ = hash.digest(peerPublicValue, ownPublicValue)
        for _ in 0..<2 {
            var prf = HMAC(hash, key: root)
            prf.update(ownPublicValue)
            prf.update(peerPublicValue)
            prf.update(cookies)
            prf.update(securityAssociation)
            prf.update(identification)
            _ = prf.finish()
        }
        guard let key else { return }
        _ = try cipher.decrypt(authenticationMessage, key: key, iv: vector)
        _ = try cipher.encrypt(authenticationMessage, key: key, iv: vector)
    }

    /// The first vector, HASH(1) to HASH(3), three messages, and KEYMAT of both directions: two blocks for AES-256-GCM.
    private func runQuickMode(key: SecretBytes) throws(CryptographyError) {
        _ = hash.digest(vector, messageID)
        for message in [quickMessage, quickMessage, nonce] {
            var prf = HMAC(hash, key: key)
            prf.update(messageID)
            prf.update(nonce)
            prf.update(message)
            _ = prf.finish()
        }
        _ = try cipher.decrypt(quickMessage, key: key, iv: vector)
        _ = try cipher.encrypt(quickMessage, key: key, iv: vector)
        _ = try cipher.decrypt(lastQuickMessage, key: key, iv: vector)
        for _ in 0..<2 {
            var block: SecretBytes?
            for _ in 0..<2 {
                var prf = HMAC(hash, key: key)
                if let block { prf.update(block) }
                prf.update(parameterIndex)
                prf.update(nonce)
                prf.update(nonce)
                block = prf.finishSecret()
            }
        }
    }
}
