import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Key material")
struct KeyMaterialTests {
    /// The sample exchange that ike-scan publishes for its cracker: MD5, group 2, the pre-shared key `abc123`.
    @Test("SKEYID and HASH_R of ike-scan's published exchange")
    func publishedExchange() throws {
        let responderPublic = hex(
            """
            5c7916ddf8db4d233b3b36005bb3ccc115a73807e11a897be943fd4a2d0f942624cb00588d8b3a0a26502b73e639df217ef6c4cb90f96b0a
            3c3ef2f62ed025b4a705df9de65e33e380c1ba5fa23bf1f9911bbf388d0844256fa0131fc5cf8acb396936ba3295b4637b039d93f58db90a
            3a1cf1ef5051103bacf6e1a3334f9f89
            """)
        let initiatorPublic = hex(
            """
            fde8c68c5f324c7dbcbadde1d757af6962c63496c009f77cad647f2997fd4295e50821453a6dc2f6279fd7fef68768584d9cee0da6e68a53
            4a097ce206bf77ecc798310206f3f82d92d02c885794e0a430ceb2d6b43c2aff45a6e14c6558382df0692ff65c2724eef750764ee456f314
            24a5ebd9e115d826bbb9722111aa4e01
            """)
        let cookies = IKECookies(initiator: 0x756e_3fa1_1c1b_102c, responder: 0xb2a3_c7aa_4be9_5e85)
        let keys = try KeyMaterial(
            suite: PhaseOneSuite(cipher: .tripleDES, hash: .md5, group: .modp1024),
            authentication: PhaseOneAuthentication(method: .preSharedKey), preSharedKey: SecretBytes(utf8: "abc123"),
            initiatorNonce: hex("251d7ace920b17cb34f9d561bca46d037b337d19"),
            responderNonce: hex("e045819a64edbf022620bff3efdb935216584cc4"), sharedSecret: SecretBytes([1]),
            cookies: cookies)
        let hash = keys.identityHash(
            ownPublic: responderPublic, otherPublic: initiatorPublic, ownCookie: cookies.responder,
            otherCookie: cookies.initiator,
            securityAssociation: hex(
                "00000001000000010000002c01010001000000240101000080010001800200018003000180040002800b0001000c000400007080"
            ),
            identification: hex("01000000ac100202"))
        #expect(hash == hex("b9c594fa3fca6bb30a85c4208a8df348"))
    }

    @Test("a cipher key longer than the PRF's output is expanded as appendix B says")
    func expansion() {
        let key = [UInt8](0..<20)
        let first = hmac(.sha1, key, [0])
        let expected = Array((first + hmac(.sha1, key, first)).prefix(32))
        #expect(bytes(of: KeyMaterial.expand(SecretBytes(key), hash: .sha1, to: 32)) == expected)
        #expect(bytes(of: KeyMaterial.expand(SecretBytes(key), hash: .sha1, to: 16)) == Array(key.prefix(16)))
        #expect(bytes(of: KeyMaterial.expand(SecretBytes(key), hash: .sha1, to: 20)) == key)
    }

    @Test("the children's keys are cut into cipher key, salt and integrity key")
    func cutting() {
        let material = SecretBytes([UInt8](0..<36))
        let combined = ChildKeys(
            material, .encapsulatingSecurityPayload,
            of: IPsecSuite(cipher: .aesGCM(keyBits: 256, icvBytes: 16), integrity: nil))
        #expect(bytes(of: combined.encryption) == [UInt8](0..<32))
        #expect(bytes(of: combined.salt) == [UInt8](32..<36))
        #expect(combined.authentication.count == 0)
        let plain = ChildKeys(
            material, .encapsulatingSecurityPayload,
            of: IPsecSuite(cipher: .aesCBC(keyBits: 128), integrity: .hmacSHA1))
        #expect(bytes(of: plain.encryption) == [UInt8](0..<16))
        #expect(bytes(of: plain.authentication) == [UInt8](16..<36))
    }
}
