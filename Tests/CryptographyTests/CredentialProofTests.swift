import Testing
import Wire

@testable import Cryptography

/// RFC 2759 section 9.2.
private enum Vector {
    static let authenticatorChallenge = octets("5B5D7C7D7B3F2F3E3C2C602132262628")
    static let peerChallenge = octets("21402324255E262A28295F2B3A337C7E")
    static let ntResponse = octets("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
    static let password = SecretBytes(utf8: "clientPass")

    static func exchange(userName: String = "User") -> MSCHAPv2 {
        MSCHAPv2(
            authenticatorChallenge: authenticatorChallenge, peerChallenge: peerChallenge, userName: Array(userName.utf8)
        )
    }

    static func proof(userName: String = "User", ntResponse: [UInt8] = Vector.ntResponse) -> CredentialProof {
        .msChapV2(
            authenticatorChallenge: authenticatorChallenge, peerChallenge: peerChallenge, ntResponse: ntResponse,
            userName: Array(userName.utf8))
    }
}

private func octets(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

@Suite struct CredentialProofTests {
    @Test("RFC 2759 section 9.2: challenge hash, password hash, response and authenticator response")
    func hashGeneration() throws {
        let exchange = Vector.exchange()
        let hash = MSCHAPv2.ntPasswordHash(Vector.password)
        #expect(exchange.challengeHash == octets("D02E4386BCE91226"))
        #expect([UInt8](copying: hash.span) == octets("44EBBA8D5312B8D611474411F56989AE"))
        #expect(try exchange.ntResponse(passwordHash: hash) == Vector.ntResponse)
        #expect(try exchange.ntResponse(password: Vector.password) == Vector.ntResponse)
        #expect(
            exchange.authenticatorResponse(passwordHash: hash, ntResponse: Vector.ntResponse)
                == "S=407A5589115FD0D6209F510FE9C04566932CDA56")
    }

    @Test("RFC 2759 section 9.3: DES keys with odd parity")
    func parity() {
        let hash = MSCHAPv2.ntPasswordHash(SecretBytes(utf8: "MyPw"))
        let raw = [UInt8](copying: hash.span) + [0, 0, 0, 0, 0]
        #expect([UInt8](copying: hash.span) == octets("FC156AF7EDCD6C0EDDE3337D427F4EAC"))
        #expect(MSCHAPv2.addingParity(raw[0..<7]) == octets("FD0B5B5E7F6E34D9"))
        #expect(MSCHAPv2.addingParity(raw[7..<14]) == octets("0E6E796737EA08FE"))
        #expect(MSCHAPv2.addingParity(raw[14..<21]) == octets("4F57010101010101"))
    }

    @Test("RFC 3079 section 3.5.3: the master key of the same exchange")
    func masterKey() throws {
        let acceptance = try #require(Vector.proof().verify(password: Vector.password).acceptance)
        let key = try #require(acceptance.masterKey)
        #expect([UInt8](copying: key.span) == octets("FDECE3717A8C838CB388E527AE3CDD31"))
        #expect(acceptance.authenticatorResponse == "S=407A5589115FD0D6209F510FE9C04566932CDA56")
    }

    @Test("MS-CHAPv2: a domain in front of the user name is not hashed")
    func domain() {
        #expect(Vector.proof(userName: "DOMAIN\\User").verify(password: Vector.password).acceptance != nil)
        #expect(Vector.proof(userName: "User@DOMAIN").verify(password: Vector.password).acceptance == nil)
    }

    @Test("MS-CHAPv2: a wrong password, a response one bit off or one octet short is refused")
    func refusedMSCHAPv2() {
        #expect(Vector.proof().verify(password: SecretBytes(utf8: "clientpass")).acceptance == nil)
        var response = Vector.ntResponse
        response[23] ^= 1
        #expect(Vector.proof(ntResponse: response).verify(password: Vector.password).acceptance == nil)
        response.removeLast()
        #expect(Vector.proof(ntResponse: response).verify(password: Vector.password).acceptance == nil)
        #expect(Vector.proof(ntResponse: []).verify(password: Vector.password).acceptance == nil)
    }

    @Test("a password beyond ASCII is hashed as UTF-16, low octet first, surrogates included")
    func unicode() {
        // "\u{20AC}" is AC 20, "\u{1F511}" is 3D D8 11 DD.
        let hash = MSCHAPv2.ntPasswordHash(SecretBytes(utf8: "\u{20AC}\u{1F511}"))
        #expect([UInt8](copying: hash.span) == HashAlgorithm.md4.digest(octets("AC203DD811DD")))
    }

    @Test("CHAP with MD5: identifier, secret and challenge are hashed in this order (RFC 1994 section 4.1)")
    func chapMD5() {
        let challenge = octets("00112233445566778899AABBCCDDEEFF")
        let response = HashAlgorithm.md5.digest([7] + Array("secret".utf8) + challenge)
        let proof = CredentialProof.chapMD5(identifier: 7, challenge: challenge, response: response)
        #expect(proof.verify(password: SecretBytes(utf8: "secret")).acceptance != nil)
        #expect(proof.verify(password: SecretBytes(utf8: "Secret")).acceptance == nil)
        let other = CredentialProof.chapMD5(identifier: 8, challenge: challenge, response: response)
        #expect(other.verify(password: SecretBytes(utf8: "secret")).acceptance == nil)
        let short = CredentialProof.chapMD5(identifier: 7, challenge: challenge, response: Array(response.dropLast()))
        #expect(short.verify(password: SecretBytes(utf8: "secret")).acceptance == nil)
    }

    @Test("PAP: the password as it is, an empty one and a prefix are refused")
    func pap() {
        let right = SecretBytes(utf8: "secret")
        #expect(CredentialProof.pap(password: SecretBytes(utf8: "secret")).verify(password: right).acceptance != nil)
        #expect(CredentialProof.pap(password: SecretBytes(utf8: "secre")).verify(password: right).acceptance == nil)
        #expect(CredentialProof.pap(password: SecretBytes(utf8: "")).verify(password: right).acceptance == nil)
    }
}
