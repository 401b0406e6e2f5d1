import Cryptography
import Testing
import Wire

@Suite("Hash functions and HMAC by published vectors")
struct PublishedHashTests {
    private static let digestCases: [(HashAlgorithm, [PublishedCase])] = [
        (.md4, HashVectors.md4), (.md5, HashVectors.md5), (.sha1, HashVectors.sha1), (.sha256, HashVectors.sha256),
        (.sha384, HashVectors.sha384), (.sha512, HashVectors.sha512),
    ]
    private static let codeCases: [(HashAlgorithm, [PublishedCase])] = [
        (.md5, HMACVectors.md5), (.sha1, HMACVectors.sha1), (.sha256, HMACVectors.sha256),
        (.sha384, HMACVectors.sha384), (.sha512, HMACVectors.sha512),
    ]

    @Test("digests: RFC 1320, RFC 1321, NIST short messages", arguments: digestCases)
    func digests(_ hash: HashAlgorithm, _ vectors: [PublishedCase]) {
        #expect(vectors.count == 7)
        for vector in vectors {
            let message = vector["message"]
            #expect(hash.digest(message) == vector["digest"], "\(message.count) bytes")
            #expect(hash.digestLength == vector["digest"].count)
            // The parts of a message make no difference.
            let half = message.count / 2
            #expect(hash.digest(Array(message[..<half]), [], Array(message[half...])) == vector["digest"])
        }
    }

    @Test("HMAC: RFC 2202 and RFC 4231, all cases, at once and byte by byte", arguments: codeCases)
    func codes(_ hash: HashAlgorithm, _ vectors: [PublishedCase]) {
        #expect(vectors.count == 7)
        for (position, vector) in vectors.enumerated() {
            let expected = vector["code"]
            #expect(code(hash, vector) == expected, "case \(position + 1)")
            var hmac = HMAC(hash, key: SecretBytes(vector["key"]))
            for byte in vector["message"] { hmac.update(byte) }
            let found = hmac.finish()
            #expect(Array(found.prefix(expected.count)) == expected, "case \(position + 1)")
            var secret = HMAC(hash, key: SecretBytes(vector["key"]))
            secret.update(SecretBytes(vector["message"]))
            let key = secret.finishSecret()
            #expect(Array([UInt8](copying: key.span).prefix(expected.count)) == expected)
        }
    }

    private func code(_ hash: HashAlgorithm, _ vector: PublishedCase) -> [UInt8] {
        var hmac = HMAC(hash, key: SecretBytes(vector["key"]))
        hmac.update(vector["message"])
        return Array(hmac.finish().prefix(vector["code"].count))
    }

    @Test("the packet path's HMAC: the same cases where the key fits a block", arguments: codeCases)
    func packetCodes(_ hash: HashAlgorithm, _ vectors: [PublishedCase]) throws {
        let block = hash.digestLength > 32 ? 128 : 64
        for vector in vectors {
            guard vector["key"].count <= block else {
                #expect(throws: CryptographyError.wrongLength) {
                    _ = try PacketAuthenticator(hash, key: SecretBytes(vector["key"]))
                }
                continue
            }
            let authenticator = try PacketAuthenticator(hash, key: SecretBytes(vector["key"]))
            var code = [UInt8](repeating: 0, count: PacketAuthenticator.codeLengthMaximum)
            let (message, expected) = (vector["message"], vector["code"])
            #expect(authenticator.compute(message, count: message.count, code: &code))
            #expect(Array(code.prefix(expected.count)) == expected)
            let right = authenticator.verify(
                message, count: message.count, code: expected, codeCount: expected.count)
            var changed = expected
            changed[changed.count - 1] ^= 1
            let wrong = authenticator.verify(message, count: message.count, code: changed, codeCount: changed.count)
            #expect(right && !wrong)
        }
    }

    @Test("MD4 has no HMAC for packets")
    func noMD4() {
        #expect(throws: CryptographyError.libraryFailure) {
            _ = try PacketAuthenticator(.md4, key: SecretBytes([1, 2, 3]))
        }
    }
}
