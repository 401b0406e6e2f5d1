import Cryptography
import Testing

/// The bytes that a text of hexadecimal digits writes, blanks passed over.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

@Suite("Hash functions and HMAC")
struct HashTests {
    @Test("digests of \"abc\" (RFC 1320, RFC 1321, FIPS 180)")
    func digests() {
        let abc = Array("abc".utf8)
        #expect(HashAlgorithm.md4.digest(abc) == hex("a448017aaf21d8525fc10ae87aa6729d"))
        #expect(HashAlgorithm.md5.digest(abc) == hex("900150983cd24fb0d6963f7d28e17f72"))
        #expect(HashAlgorithm.sha1.digest(abc) == hex("a9993e364706816aba3e25717850c26c9cd0d89d"))
        #expect(
            HashAlgorithm.sha256.digest([0x61], Array("bc".utf8))
                == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    }

    @Test("HMAC by RFC 2202 and RFC 4231, case 2")
    func authenticationCodes() {
        let key = SecretBytes(utf8: "Jefe")
        func code(_ hash: HashAlgorithm) -> [UInt8] {
            var hmac = HMAC(hash, key: key)
            hmac.update(Array("what do ya want ".utf8))
            hmac.update(Array("for nothing?".utf8))
            return hmac.finish()
        }
        #expect(code(.md5) == hex("750c783e6ab0b503eaa86e310a5db738"))
        #expect(code(.sha1) == hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"))
        #expect(code(.sha256) == hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
        #expect(
            code(.sha384)
                == hex(
                    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"))
        #expect(
            code(.sha512)
                == hex(
                    """
                    164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
                    9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737
                    """))
    }
}
