import CertificateVectors
import Testing
import Wire

@testable import Cryptography

@Suite("Bare signatures")
struct SignatureKeyTests {
    static let names = ["client-rsa2048", "client-rsa4096", "client-p256", "client-p384", "client-p521"]
    /// RSA moduli that end within a byte, and one bit behind it.
    static let oddNames = ["odd-rsa2041", "odd-rsa2047", "odd-rsa2050"]

    @Test("what a key signs its certificate verifies, for every length of hash", arguments: names + oddNames)
    func roundTrip(name: String) throws {
        let (key, certificate) = (try CertificateVectors.key(name), try CertificateVectors.certificate(name))
        for length in [16, 20, 32, 48, 64] {
            let hash = (0..<UInt8(length)).map { $0 &* 7 &+ 1 }
            let signature = try key.sign(hash: hash)
            #expect(signature.count == key.kind.signatureLength)
            #expect(certificate.verifies(signature, of: hash))
            var other = hash
            other[0] ^= 1
            #expect(!certificate.verifies(signature, of: other))
        }
    }

    @Test("a signature with any byte changed, cut, longer or empty is refused", arguments: names + oddNames)
    func tampering(name: String) throws {
        let (key, certificate) = (try CertificateVectors.key(name), try CertificateVectors.certificate(name))
        let hash = [UInt8](repeating: 0x5a, count: 20)
        let signature = try key.sign(hash: hash)
        for index in stride(from: 0, to: signature.count, by: 7) {
            var changed = signature
            changed[index] ^= 0x40
            #expect(!certificate.verifies(changed, of: hash))
        }
        for wrong in [
            [], Array(signature.dropLast()), signature + [0], [0] + signature,
            [UInt8](repeating: 0, count: signature.count), [UInt8](repeating: 0xff, count: signature.count),
            Array(signature.prefix(signature.count / 2)) + [UInt8](repeating: 0, count: signature.count / 2),
        ] {
            #expect(!certificate.verifies(wrong, of: hash))
        }
        #expect(!certificate.verifies(signature, of: []))
    }

    @Test("an RSA signature is a PKCS#1 block of the hash alone, without DigestInfo")
    func withoutDigestInfo() throws {
        // The same key signs the same hash the same way: type 1 has no randomness.
        let key = try CertificateVectors.key("client-rsa2048")
        let hash = HashAlgorithm.sha1.digest([1, 2, 3])
        #expect(try key.sign(hash: hash) == key.sign(hash: hash))
        // With DigestInfo (SHA-1's prefix) in front it is a signature of another thing.
        let prefix: [UInt8] = [
            0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
        ]
        let certificate = try CertificateVectors.certificate("client-rsa2048")
        #expect(!certificate.verifies(try key.sign(hash: prefix + hash), of: hash))
    }

    @Test("a signature by another key is refused")
    func otherKey() throws {
        let hash = [UInt8](repeating: 1, count: 32)
        let signature = try CertificateVectors.key("gateway-rsa2048").sign(hash: hash)
        let certificate = try CertificateVectors.certificate("client-rsa2048")
        #expect(!certificate.verifies(signature, of: hash))
    }

    @Test("a key under a passphrase, a broken one and one that is another's are told apart")
    func keys() throws {
        let read = { (name: String) in try SignatureKey(pem: SecretBytes(CertificateVectors.bytes(name))) }
        #expect(throws: CertificateError.encrypted) { try read("encrypted.key") }
        #expect(throws: CertificateError.malformed) { try read("root.pem") }
        #expect(throws: CertificateError.malformed) { try SignatureKey(pem: SecretBytes([])) }
        #expect("\(try CertificateVectors.key("client-p256"))" == "<ecdsa256 private key>")
        let chain = try CertificateVectors.certificates("client-rsa2048", "intermediate", "root")
        let identity = try CertificateIdentity(chain: chain, key: CertificateVectors.key("client-rsa2048"))
        #expect(identity.intermediates == [chain[1]])
        #expect(throws: CertificateError.otherKey) {
            try CertificateIdentity(chain: chain, key: CertificateVectors.key("client-p256"))
        }
        #expect(throws: CertificateError.nothingFound) {
            try CertificateIdentity(chain: [], key: CertificateVectors.key("client-p256"))
        }
    }
}
