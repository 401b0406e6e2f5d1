import CertificateVectors
import Cryptography
import Testing
import Wire

@testable import IKE

/// A client of an authority with an OCSP responder, and what the operator and the responder say.
private struct StatusDialIn {
    var client = "client"
    var policy = OnlineStatusPolicy()
    var answer = IKEStatusAnswer.none(.noAnswer("silence"))
    var lists: [String] = []

    func world(_ change: (inout TestInitiator.Settings) throws -> Void = { _ in }) throws -> World {
        var dialIn = CertificateCase(
            client: "ocsp/\(client)", gateway: ["ocsp/gateway"], others: ["ocsp/issuer"], lists: lists,
            authorities: ["ocsp/root"])
        dialIn.onlineStatus = policy
        var settings = try dialIn.settings()
        try change(&settings)
        var world = try dialIn.world(settings)
        let answer = answer
        world.responder = { _ in answer }
        return world
    }

    static func required(_ isRequired: Bool) -> OnlineStatusPolicy {
        var policy = OnlineStatusPolicy()
        policy.isRequired = isRequired
        policy.responder = "http://192.0.2.80/"
        return policy
    }
}

@Suite("A client dials in whose certificate's status is asked for")
struct OnlineStatusDialInTests {
    @Test("good: the client gets in, and one question was put about its certificate", arguments: [true, false])
    func good(isRequired: Bool) throws {
        var world = try StatusDialIn(
            policy: StatusDialIn.required(isRequired), answer: .received(CertificateVectors.answer("ocsp/good"))
        ).world()
        world.dialIn(main: .milliseconds(300), quick: .milliseconds(300))
        #expect(world.client.phase == .established && world.keysAgree && world.drops.isEmpty)
        #expect(world.inquiries.count == 1)
        let question = try #require(world.inquiries.first?.questions.first)
        #expect(world.inquiries.first?.questions.count == 1)
        #expect(question.request.certificate == (try CertificateVectors.certificate("ocsp/client")))
        #expect(question.place == .configured("http://192.0.2.80/"))
    }

    @Test("revoked: refused, whether an answer is required or not, new or remembered", arguments: [true, false])
    func revoked(isRequired: Bool) throws {
        let bytes = CertificateVectors.answer("ocsp/revoked")
        for answer in [IKEStatusAnswer.received(bytes), .kept(bytes)] {
            var world = try StatusDialIn(
                client: "revoked", policy: StatusDialIn.required(isRequired), answer: answer
            ).world()
            world.dialIn()
            #expect(world.refusals.map(\.reason) == [.certificateRevoked])
            #expect(world.refusals.first?.detail.contains("CN=revoked") == true)
            #expect(world.established.isEmpty && world.engine.associationCount == 0)
        }
    }

    private static let doubtful: [(IKEStatusAnswer, IKERefusalReason)] = [
        (.none(.noAnswer("timedOut")), .noStatusAnswer),
        (.none(.notBelieved(.badSignature)), .revocationUnknown),
        (.received([]), .revocationUnknown),
        (.received([0x30, 3, 0x0a, 1, 3]), .revocationUnknown),
        (.received(CertificateVectors.answer("ocsp/good-expired")), .revocationUnknown),
        (.received(CertificateVectors.answer("ocsp/foreign-signer")), .revocationUnknown),
        (.received(CertificateVectors.answer("ocsp/good-other-nonce")), .revocationUnknown),
        (.received(CertificateVectors.answer("ocsp/unknown")), .revocationUnknown),
    ]

    @Test("no answer, or none to be believed: lets in where none is required", arguments: doubtful.indices)
    func softFailure(index: Int) throws {
        var world = try StatusDialIn(policy: StatusDialIn.required(false), answer: Self.doubtful[index].0).world()
        world.dialIn()
        #expect(world.client.phase == .established && world.refusals.isEmpty)
        #expect(world.inquiries.count == 1)
    }

    @Test("no answer, or none to be believed: refuses where one is required", arguments: doubtful.indices)
    func hardFailure(index: Int) throws {
        let (answer, reason) = Self.doubtful[index]
        var world = try StatusDialIn(policy: StatusDialIn.required(true), answer: answer).world()
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [reason])
        #expect(world.established.isEmpty && world.engine.associationCount == 0)
    }

    @Test("a certificate that the responder does not know is refused where an answer is required")
    func unknown() throws {
        let answer = IKEStatusAnswer.received(CertificateVectors.answer("ocsp/unknown"))
        var world = try StatusDialIn(
            client: "unknown", policy: StatusDialIn.required(true), answer: answer
        ).world()
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.revocationUnknown])
        #expect(world.refusals.first?.detail.contains("does not know") == true)
    }

    // CVE-2022-40617: strongSwan asked at an address out of a certificate that nobody had verified yet.
    @Test("nobody is asked for a peer that has not proven itself, nor about a chain that does not hold")
    func unauthenticated() throws {
        var policy = StatusDialIn.required(true)
        (policy.responder, policy.usesCertificateURL, policy.checksIntermediates) = (nil, true, true)
        let cases: [(IKERefusalReason, (inout TestInitiator.Settings) throws -> Void)] = [
            // With the certificate of somebody else, whose key it has not.
            (.badSignature, { $0.signature?.key = try CertificateVectors.key("ocsp/revoked") }),
            (.wrongName, { $0.identity = [2, 0, 0, 0] + [UInt8]("somebody.example.org".utf8) }),
            (.unknownAuthority, { settings in settings.signature?.certificates.removeLast() }),
        ]
        for (reason, change) in cases {
            var world = try StatusDialIn(policy: policy).world(change)
            world.dialIn()
            #expect(world.refusals.map(\.reason) == [reason])
            #expect(world.inquiries.isEmpty, "\(reason)")
        }
    }

    @Test("what a revocation list takes back is not asked about")
    func listed() throws {
        // The list of the certificate's issuer takes one of its responders back.
        var dialIn = CertificateCase(client: "revoked", lists: ["root"])
        dialIn.onlineStatus = StatusDialIn.required(true)
        var world = try dialIn.world()
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.certificateRevoked] && world.inquiries.isEmpty)
    }

    @Test("where to ask: the operator's responder first, the certificate's place only by option")
    func places() throws {
        var policy = OnlineStatusPolicy()
        for (responder, usesURL, place) in [
            ("http://192.0.2.80/", true, IKEStatusQuestion.Place.configured("http://192.0.2.80/")),
            (nil, true, .certificate(["http://status.example.org/ocsp"])), (nil, false, .certificate([])),
        ] as [(String?, Bool, IKEStatusQuestion.Place)] {
            (policy.responder, policy.usesCertificateURL) = (responder, usesURL)
            var world = try StatusDialIn(policy: policy).world()
            world.dialIn()
            #expect(world.inquiries.first?.questions.map(\.place) == [place])
        }
    }

    @Test("intermediates are asked about by option, the authority never; each must be good")
    func intermediates() throws {
        var policy = StatusDialIn.required(true)
        policy.checksIntermediates = true
        let issuer = try CertificateVectors.certificate("ocsp/issuer")
        for (answer, isIn) in [("ocsp/issuer-good", true), ("ocsp/good", false)] {
            var world = try StatusDialIn(policy: policy).world()
            world.responder = { question in
                .received(CertificateVectors.answer(question.request.certificate == issuer ? answer : "ocsp/good"))
            }
            world.dialIn()
            #expect(
                try world.inquiries.first?.questions.map(\.request.certificate)
                    == CertificateVectors.certificates("ocsp/client", "ocsp/issuer"))
            #expect((world.client.phase == .established) == isIn)
            #expect(world.refusals.map(\.reason) == (isIn ? [] : [.revocationUnknown]))
        }
    }

    @Test("where nobody is there to ask, a required answer is missing")
    func alone() throws {
        for isRequired in [true, false] {
            var world = try StatusDialIn(policy: StatusDialIn.required(isRequired)).world()
            var generator = SystemRandom()
            world.performsWork = false
            world.dialIn()
            while let work = world.engine.pollWork() {
                world.engine.complete(
                    work.perform(wallSeconds: world.wallSeconds), now: world.now, using: &generator)
                world.settle()
                world.run(for: .seconds(1))
            }
            #expect(world.refusals.map(\.reason) == (isRequired ? [.noStatusAnswer] : []))
        }
    }

    @Test("an answer that comes after the exchange has ended changes nothing")
    func late() throws {
        var world = try StatusDialIn(policy: StatusDialIn.required(true)).world()
        world.holdsInquiries = true
        world.dialIn()
        let inquiry = try #require(world.inquiries.first)
        #expect(world.established.isEmpty && world.refusals.isEmpty && world.engine.associationCount == 1)
        world.run(for: .seconds(60))
        #expect(world.engine.associationCount == 0)
        let conclusion = inquiry.conclude(
            [.received(CertificateVectors.answer("ocsp/good"))], wallSeconds: world.wallSeconds)
        var generator = SystemRandom()
        world.engine.complete(conclusion.result, now: world.now, using: &generator)
        world.settle()
        #expect(world.drops[.staleWorkResult] == 1 && world.established.isEmpty)
    }
}
