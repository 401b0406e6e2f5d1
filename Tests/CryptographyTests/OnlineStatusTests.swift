import CertificateVectors
import Testing

@testable import Cryptography

/// A client of an authority with an OCSP responder, and what is believed about it.
private struct StatusCase {
    static let time = CertificateVectors.time

    /// Gives the nonce of the committed question: the byte 1, again and again.
    struct Ones: RandomNumberGenerator {
        mutating func next() -> UInt64 { 0x0101_0101_0101_0101 }
    }

    static func trust(lists: [String] = [], strength: CertificateStrength = .modern) throws -> CertificateTrust {
        try CertificateTrust(
            authorities: CertificateVectors.certificates("ocsp/root", "ocsp/issuer"),
            revocationLists: lists.map { try CertificateVectors.list($0) }, strength: strength)
    }

    static func request(about name: String = "client", by issuer: String = "issuer") throws -> OnlineStatusRequest {
        var generator = Ones()
        return try OnlineStatusRequest(
            about: CertificateVectors.certificate("ocsp/\(name)"),
            issuedBy: CertificateVectors.certificate("ocsp/\(issuer)"), using: &generator)
    }

    static func response(
        _ answer: [UInt8], about name: String = "client", lists: [String] = [],
        strength: CertificateStrength = .modern, from origin: OnlineStatusResponse.Origin = .responder,
        at time: Int64 = time
    ) throws -> OnlineStatusResponse {
        try OnlineStatusResponse(
            der: answer, to: request(about: name), from: origin, trust: trust(lists: lists, strength: strength),
            at: time)
    }

    static func response(_ answer: String, about name: String = "client") throws -> OnlineStatusResponse {
        try response(CertificateVectors.answer("ocsp/\(answer)"), about: name)
    }
}

@Suite("A certificate's status by OCSP")
struct OnlineStatusTests {
    @Test("a question is what openssl would ask, with our nonce")
    func question() throws {
        #expect(try StatusCase.request().der == CertificateVectors.bytes("ocsp/nonce.req"))
    }

    @Test("what is kept is found by certificate and issuer, whatever the nonce")
    func subject() throws {
        var generator = SystemRandom()
        let (client, issuer) = (
            try CertificateVectors.certificate("ocsp/client"), try CertificateVectors.certificate("ocsp/issuer")
        )
        let first = try OnlineStatusRequest(about: client, issuedBy: issuer, using: &generator)
        let second = try OnlineStatusRequest(about: client, issuedBy: issuer, using: &generator)
        #expect(first.der != second.der && first.subject == second.subject)
        #expect(try StatusCase.request(about: "revoked").subject != first.subject)
        #expect(try StatusCase.request(by: "root").subject != first.subject)
    }

    @Test("good: from a delegate, from the issuer itself, and with our nonce in it")
    func good() throws {
        for name in ["good", "good-issuer", "good-nonce"] {
            let response = try StatusCase.response(name)
            #expect(response.verdict == .good, "\(name)")
            #expect((response.nextUpdate ?? 0) > StatusCase.time)
        }
    }

    @Test("revoked: since when, and that a key was lost")
    func revoked() throws {
        let response = try StatusCase.response("revoked", about: "revoked")
        guard case .revoked(let since, let reason) = response.verdict else {
            Issue.record("\(response.verdict)")
            return
        }
        #expect(since <= response.thisUpdate && reason == 1)
    }

    @Test("unknown: the responder has never heard of the certificate")
    func unknown() throws { #expect(try StatusCase.response("unknown", about: "unknown").verdict == .unknown) }

    @Test(
        "who may not speak for the issuer is not believed",
        arguments: [
            "foreign-signer",  // a delegate of the issuer's own issuer
            "expired-signer", "wrong-usage",
        ])
    func signer(name: String) {
        #expect(throws: OnlineStatusError.foreignSigner) { try StatusCase.response(name) }
    }

    @Test("a delegate that the issuer has taken back speaks for it no longer, as far as we know")
    func withdrawnSigner() throws {
        let answer = CertificateVectors.answer("ocsp/withdrawn-signer")
        #expect(try StatusCase.response(answer).verdict == .good)
        #expect(throws: OnlineStatusError.foreignSigner) {
            try StatusCase.response(answer, lists: ["ocsp/issuer"])
        }
        #expect(
            try StatusCase.response(CertificateVectors.answer("ocsp/good"), lists: ["ocsp/issuer"]).verdict == .good)
    }

    @Test("an answer about another certificate is no answer")
    func otherCertificate() {
        #expect(throws: OnlineStatusError.otherCertificate) { try StatusCase.response("good", about: "revoked") }
        #expect(throws: OnlineStatusError.otherCertificate) { try StatusCase.response("revoked") }
        // Of another issuer, whom the client's issuer does not let speak for it.
        #expect(throws: OnlineStatusError.foreignSigner) { try StatusCase.response("issuer-good") }
    }

    @Test("the nonce of another question is refused; what was good for that one, and kept, is good")
    func otherNonce() throws {
        #expect(throws: OnlineStatusError.otherNonce) { try StatusCase.response("good-other-nonce") }
        let answer = CertificateVectors.answer("ocsp/good-other-nonce")
        #expect(try StatusCase.response(answer, from: .memory).verdict == .good)
    }

    @Test("an answer counts from its first to its last second, and five minutes around for clocks that are off")
    func times() throws {
        let answer = CertificateVectors.answer("ocsp/good-issuer")
        let response = try StatusCase.response(answer)
        let last = try #require(response.nextUpdate)
        for time in [response.thisUpdate - 300, response.thisUpdate, last] {
            #expect(try StatusCase.response(answer, at: time).verdict == .good)
        }
        #expect(throws: OnlineStatusError.notYetValid) {
            try StatusCase.response(answer, at: response.thisUpdate - 301)
        }
        #expect(throws: OnlineStatusError.expired) { try StatusCase.response(answer, at: last + 301) }
        #expect(throws: OnlineStatusError.expired) { try StatusCase.response("good-expired") }
    }

    @Test("an answer that does not say when the next is due counts for an hour")
    func undated() throws {
        let made = try StatusCase.response("good").thisUpdate
        let answer = CertificateVectors.answer("ocsp/good-undated")
        let response = try StatusCase.response(answer, at: made + 3600)
        #expect(response.verdict == .good && response.nextUpdate == nil)
        #expect(throws: OnlineStatusError.expired) { try StatusCase.response(answer, at: made + 7200) }
    }

    @Test("SHA-1 in an answer is too weak, unless certificates of that time are in use")
    func weak() throws {
        #expect(throws: OnlineStatusError.weakSignature) { try StatusCase.response("good-sha1") }
        let answer = CertificateVectors.answer("ocsp/good-sha1")
        #expect(try StatusCase.response(answer, strength: .legacy).verdict == .good)
    }

    @Test("an answer with any one byte changed or cut off is never good for something else")
    func damaged() throws {
        let answer = CertificateVectors.answer("ocsp/revoked")
        for count in 0..<answer.count {
            #expect(throws: OnlineStatusError.malformed) {
                try StatusCase.response(Array(answer[..<count]), about: "revoked")
            }
        }
        #expect(throws: OnlineStatusError.malformed) { try StatusCase.response(answer + [0], about: "revoked") }
        let whole = try StatusCase.response("revoked", about: "revoked")
        for index in answer.indices {
            var changed = answer
            changed[index] ^= 0x40
            // Some bytes of the delegate's certificate mean nothing to us; none of them changes what is said.
            if let response = try? StatusCase.response(changed, about: "revoked") { #expect(response == whole) }
        }
    }

    @Test("a signature with one bit changed is a bad signature")
    func badSignature() throws {
        let answer = CertificateVectors.answer("ocsp/good-issuer")
        let basic = CertificateVectors.answer("ocsp/good")
        #expect(answer != basic)
        // The issuer's signature is the 256 bytes before the certificates that go with it.
        let certificate = try CertificateVectors.certificate("ocsp/issuer")
        let end = try #require(answer.lastOffset(of: certificate.der))
        var changed = answer
        changed[end - 20] ^= 1
        #expect(throws: OnlineStatusError.badSignature) { try StatusCase.response(changed) }
    }

    @Test("what a responder declines is an error of its own, signed by nobody")
    func declined() {
        for status in [1, 2, 3, 5, 6] {
            #expect(throws: OnlineStatusError.refused(status: status)) {
                try StatusCase.response([0x30, 3, 0x0a, 1, UInt8(status)])
            }
        }
    }

    @Test("nothing larger than 64 KiB is looked at")
    func tooLarge() {
        #expect(throws: OnlineStatusError.tooLarge) {
            try StatusCase.response([UInt8](repeating: 0x30, count: OnlineStatusResponse.bytesMaximum + 1))
        }
        #expect(throws: OnlineStatusError.malformed) {
            try StatusCase.response([UInt8](repeating: 0x30, count: OnlineStatusResponse.bytesMaximum))
        }
        #expect(throws: OnlineStatusError.malformed) { try StatusCase.response([UInt8]()) }
    }

    @Test("where to ask stands in the certificate, or nowhere")
    func places() throws {
        #expect(
            try CertificateVectors.certificate("ocsp/client").statusResponders == ["http://status.example.org/ocsp"])
        #expect(try CertificateVectors.certificate("client-rsa2048").statusResponders.isEmpty)
    }

    @Test("the chain is told from the certificate to its anchor, whatever else lies around")
    func chain() throws {
        let trust = try CertificateTrust(authorities: [CertificateVectors.certificate("ocsp/root")])
        let client = try CertificateVectors.certificate("ocsp/client")
        let others = try CertificateVectors.certificates("client-plain", "ocsp/issuer", "ocsp/gateway")
        let chain = try trust.verify(client, with: others, at: StatusCase.time)
        #expect(try chain == [client] + CertificateVectors.certificates("ocsp/issuer", "ocsp/root"))
    }
}

extension [UInt8] {
    /// Where `other` begins for the last time.
    fileprivate func lastOffset(of other: [UInt8]) -> Int? {
        guard !other.isEmpty, other.count <= count else { return nil }
        return (0...(count - other.count)).last { self[$0..<($0 + other.count)].elementsEqual(other) }
    }
}
