import Cryptography
import Testing
import Wire

@Suite("The packet path's ciphers against the plain ones")
struct PacketCipherTests {
    @Test("CBC in place agrees with CBC over arrays, for random keys and lengths", arguments: CBCCipher.allCases)
    func cbc(_ cipher: CBCCipher) throws {
        var generator = SeededGenerator(seed: 11)
        let key = SecretBytes(generator.bytes(cipher.keyLength))
        let sealer = try PacketCipher(.cbc(cipher), key: key, direction: .encrypt)
        let opener = try PacketCipher(.cbc(cipher), key: key, direction: .decrypt)
        for _ in 0..<100 {
            let plaintext = generator.bytes(Int.random(in: 1...128, using: &generator) * cipher.blockLength)
            let iv = generator.bytes(cipher.blockLength)
            var data = plaintext
            let sealed = sealer.run(iv: iv, data: &data, count: plaintext.count)
            #expect(sealed)
            #expect(try data == cipher.encrypt(plaintext, key: key, iv: iv))
            #expect(try cipher.decrypt(data, key: key, iv: iv) == plaintext)
            let opened = opener.run(iv: iv, data: &data, count: plaintext.count)
            #expect(opened && data == plaintext)
        }
    }

    @Test(
        "HMAC of packets agrees with HMAC, for random keys and lengths",
        arguments: [HashAlgorithm.md5, .sha1, .sha256, .sha384, .sha512])
    func authentication(_ hash: HashAlgorithm) throws {
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<100 {
            let key = SecretBytes(generator.bytes(Int.random(in: 0...64, using: &generator)))
            let authenticator = try PacketAuthenticator(hash, key: key)
            for _ in 0..<3 {
                let message = generator.bytes(Int.random(in: 0...2000, using: &generator))
                var hmac = HMAC(hash, key: key)
                hmac.update(message)
                var code = [UInt8](repeating: 0xee, count: PacketAuthenticator.codeLengthMaximum)
                #expect(authenticator.compute(message, count: message.count, code: &code))
                let expected = hmac.finish()
                let verified = authenticator.verify(
                    message, count: message.count, code: expected, codeCount: hash.digestLength)
                #expect(verified && Array(code.prefix(hash.digestLength)) == expected)
            }
        }
    }

    @Test("GCM opens what it sealed, for random keys and lengths, and nothing else", arguments: [16, 24, 32])
    func gcm(_ keyLength: Int) throws {
        var generator = SeededGenerator(seed: 13)
        let key = SecretBytes(generator.bytes(keyLength))
        let sealer = try PacketCipher(.gcm(keyLength: keyLength), key: key, direction: .encrypt)
        let opener = try PacketCipher(.gcm(keyLength: keyLength), key: key, direction: .decrypt)
        for _ in 0..<100 {
            let plaintext = generator.bytes(Int.random(in: 0...2000, using: &generator))
            let (nonce, header) = (generator.bytes(12), generator.bytes(8))
            var (data, tag) = (plaintext, [UInt8](repeating: 0, count: 16))
            let sealed = sealer.seal(
                nonce: nonce, associated: header, associatedCount: 8, data: &data, count: plaintext.count,
                tag: &tag, tagCount: 16)
            var copy = data
            tag[0] ^= 1
            let refused = !opener.open(
                nonce: nonce, associated: header, associatedCount: 8, data: &copy, count: plaintext.count,
                tag: tag, tagCount: 16)
            tag[0] ^= 1
            // A refusal leaves nothing behind that the next packet would suffer from.
            let opened = opener.open(
                nonce: nonce, associated: header, associatedCount: 8, data: &data, count: plaintext.count,
                tag: tag, tagCount: 16)
            #expect(sealed && refused && opened && data == plaintext)
        }
    }
}
