import CertificateVectors
import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("A client dials in with a certificate")
struct CertificateDialInTests {
    @Test(
        "RSA and ECDSA of every size, under every negotiated hash",
        arguments: [
            ("client-rsa2048", "gateway-rsa2048", 3, nil), ("client-rsa4096", "gateway-rsa2048", 3, nil),
            ("client-p256", "gateway-p256", 9, HashAlgorithm.sha256),
            ("client-p384", "gateway-p384", 10, .sha384), ("client-p521", "gateway-p521", 11, .sha512),
        ] as [(String, String, Int, HashAlgorithm?)])
    func methods(client: String, gateway: String, method: Int, proofHash: HashAlgorithm?) throws {
        for hash in [Offers.sha1, Offers.sha256, Offers.sha512] {
            var world = try CertificateCase(
                client: client, gateway: [gateway], method: method, hash: hash, proofHash: proofHash
            ).world()
            world.dialIn(main: .milliseconds(300), quick: .milliseconds(300))
            #expect(world.client.phase == .established)
            #expect(world.keysAgree)
            #expect(world.drops.isEmpty)
            let own = try CertificateVectors.certificate(gateway)
            #expect(world.client.responderCertificates == [[4] + own.der])
            #expect(world.client.responderIdentity == [9, 0, 0, 0] + own.subject)
        }
    }

    @Test("message 4 asks for our authorities, and only with a signature")
    func requests() throws {
        var world = try CertificateCase().world()
        world.dialIn()
        let root = try CertificateVectors.certificate("root")
        #expect(world.client.answeredRequests == [[4] + root.subject])

        var plain = TestInitiator.Settings()
        plain.offer = CertificateCase.offer(methods: [1])
        var other = try CertificateCase().world(plain)
        other.dialIn()
        #expect(other.client.phase == .established)
        #expect(other.client.answeredRequests.isEmpty)
    }

    @Test("the method is chosen by our order, whatever the client's")
    func order() throws {
        var plain = TestInitiator.Settings()
        plain.offer = CertificateCase.offer(methods: [3, 9, 1])
        var first = try CertificateCase(methods: [.preSharedKey, .rsaSignature]).world(plain)
        first.dialIn()
        #expect(first.client.phase == .established && first.client.responderCertificates.isEmpty)

        var signing = try CertificateCase().settings()
        signing.offer = CertificateCase.offer(methods: [1, 9, 3])
        var second = try CertificateCase(methods: [.rsaSignature, .preSharedKey]).world(signing)
        second.dialIn()
        #expect(second.client.phase == .established && second.client.responderCertificates.count == 1)
    }

    @Test("a method without a key of ours is not chosen, and the refusal says so")
    func unavailable() throws {
        var world = try CertificateCase(
            client: "client-p256", gateway: ["gateway-rsa2048"], method: 9,
            methods: [.ecdsaSignatureP256, .rsaSignature]
        ).world()
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.noProposalChosen])
        #expect(world.refusals.first?.offers.first?.attribute == .authenticationMethod)
        #expect(world.engine.associationCount == 0)
    }

    @Test("our certificate is the one whose authority the client asks for")
    func choice() throws {
        var settings = try CertificateCase().settings()
        let intermediate = try CertificateVectors.certificate("intermediate")
        settings.signature?.requests = [[4, 0x30, 0x00], [4], [10, 1, 2, 3], [4] + intermediate.subject]
        var world = try CertificateCase(gateway: ["gateway-rsa2048", "gateway-intermediate"]).world(settings)
        world.dialIn()
        #expect(world.client.phase == .established)
        // With its intermediate, without the root.
        let sent = try ["gateway-intermediate", "intermediate"].map {
            [4] + (try CertificateVectors.certificate($0).der)
        }
        #expect(world.client.responderCertificates == sent)
    }

    @Test("intermediates come in payloads of their own, in any order, or wrapped in PKCS#7 as Windows has it")
    func intermediates() throws {
        let base = CertificateCase(client: "client-second", others: ["intermediate", "second"])
        var world = try base.world()
        world.dialIn()
        #expect(world.client.phase == .established)

        var reversed = try base.settings()
        reversed.signature?.certificates.reverse()
        var second = try base.world(reversed)
        second.dialIn()
        #expect(second.client.phase == .established)

        var wrapped = try base.settings()
        wrapped.signature?.certificates = [[1] + CertificateVectors.bytes("client-second.p7b")]
        var third = try base.world(wrapped)
        third.dialIn()
        #expect(third.client.phase == .established)

        // A revocation list from the peer is passed over.
        var listed = try base.settings()
        listed.signature?.certificates.append([7, 1, 2, 3])
        var fourth = try base.world(listed)
        fourth.dialIn()
        #expect(fourth.client.phase == .established)
    }

    @Test(
        "every identity that the certificate confirms",
        arguments: [
            [2, 0, 0, 0] + Array("client.example.org".utf8), [3, 0, 0, 0] + Array("Alice@example.org".utf8),
            [1, 17, 1, 244, 192, 0, 2, 7],
        ] as [[UInt8]])
    func identities(identity: [UInt8]) throws {
        var world = try CertificateCase(identity: identity).world()
        world.dialIn()
        #expect(world.client.phase == .established)
        #expect(world.established.first?.identity.data == Array(identity.dropFirst(4)))
    }

    @Test("through loss, duplication and reordering, behind a NAT or not")
    func loss() throws {
        let base = CertificateCase(client: "client-p256", gateway: ["gateway-p256"], method: 9, proofHash: .sha256)
        for seed in 0..<20 as Range<UInt64> {
            var world = try base.world(seed: seed)
            world.faults = World.Faults(loss: 0.25, duplication: 0.2, reordering: 0.2)
            if seed % 2 == 0 {
                let identity = world.client.settings.identity
                world.translate()
                world.client.settings.identity = identity
            }
            world.dialIn(main: .seconds(14), quick: .seconds(14))
            #expect(world.keysAgree, "seed \(seed)")
            #expect(world.established.count == 1)
        }
    }
}

@Suite("Who is certified stays apart from who knows a key")
struct CertifiedPeerTests {
    @Test("a client with the pre-shared key that claims a certified name is another peer")
    func claim() throws {
        let base = CertificateCase()
        var world = try base.world()
        world.dialIn()
        let certified = try #require(world.established.first)
        #expect(certified.method == .rsaSignature)
        // The same name, the same endpoint, but only the key that everybody knows.
        world.client.settings.signature = nil
        world.client.settings.offer = CertificateCase.offer(methods: [1])
        world.dialIn()
        let claimed = try #require(world.established.last)
        #expect(claimed.method == .preSharedKey && claimed.identity == certified.identity)
        #expect(claimed.peer != certified.peer && !claimed.isRenewal)
        // Back with the certificate it is the first one again.
        world.client.settings = try base.settings()
        world.dialIn()
        #expect(world.established.last?.peer == certified.peer && world.established.last?.isRenewal == true)
    }

    @Test("no main mode of ours carries on with a key what a certificate began")
    func successor() throws {
        var world = try CertificateCase().world()
        world.engine.configuration.policy.lifetimes.ikeMaximumSeconds = 60
        world.dialIn()
        #expect(world.established.count == 1)
        let sent = world.sent.count
        world.run(for: .seconds(85))
        let began = world.sent.dropFirst(sent).filter { $0.bytes[18] == 2 && $0.bytes[8..<16].allSatisfy { $0 == 0 } }
        // Five times the same offer, for this client takes none: its only transform is for RSA signatures.
        #expect(began.count == 5)
        for message in began {
            #expect(
                message.bytes.firstRange(of: basic(3, 3)) != nil && message.bytes.firstRange(of: basic(3, 1)) == nil)
        }
        #expect(world.peersEnded == 0 && world.refusals.isEmpty)
    }
}

@Suite("A client's certificate is refused, each time for its own reason")
struct CertificateRefusalTests {
    private func expect(
        _ reason: IKERefusalReason, _ base: CertificateCase, sourceLocation: SourceLocation = #_sourceLocation,
        change: (inout TestInitiator.Settings) throws -> Void = { _ in }
    ) throws {
        var settings = try base.settings()
        try change(&settings)
        var world = try base.world(settings)
        world.dialIn()
        #expect(world.client.phase == .sentAuthentication, sourceLocation: sourceLocation)
        #expect(world.refusals.map(\.reason) == [reason], sourceLocation: sourceLocation)
        #expect(world.refusals.first?.step == .mainModeAuthentication, sourceLocation: sourceLocation)
        #expect(world.refusals.first?.detail.isEmpty == false, sourceLocation: sourceLocation)
        #expect(world.client.clearNotifications.first == 24, sourceLocation: sourceLocation)
        #expect(world.established.isEmpty && world.engine.associationCount == 0, sourceLocation: sourceLocation)
        #expect(world.engine.peerCount == 0, sourceLocation: sourceLocation)
    }

    @Test("revoked, expired, not yet valid, foreign, for another use")
    func certificates() throws {
        try expect(.certificateRevoked, CertificateCase(client: "revoked", lists: ["root"]))
        try expect(.certificateExpired, CertificateCase(client: "expired"))
        try expect(.certificateNotYetValid, CertificateCase(client: "future"))
        try expect(.unknownAuthority, CertificateCase(client: "foreign-client"))
        try expect(.unknownAuthority, CertificateCase(client: "client-second"))
        try expect(.wrongUsage, CertificateCase(client: "server-only"))
        try expect(.revocationUnknown, CertificateCase(requires: true))
    }

    @Test("a name that the certificate does not confirm")
    func names() throws {
        for identity in [
            [2, 0, 0, 0] + Array("other.example.org".utf8), [1, 0, 0, 0, 192, 0, 2, 9], [11, 0, 0, 0, 1, 2, 3],
            [9, 0, 0, 0] + (try CertificateVectors.certificate("root").subject), [9, 0, 0, 0, 0x30],
            [9, 0, 0, 0, 0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] as [[UInt8]] {
            try expect(.wrongName, CertificateCase(identity: identity))
        }
    }

    @Test("a name that is not among the client identities")
    func patterns() throws {
        for (pattern, isAllowed) in [
            ("*.example.org", true), ("*.example.com", false), ("C=CH,O=Example,OU=*,CN=*", true),
        ] {
            var world = try CertificateCase().world()
            world.engine.configuration.certificates?.clientIdentities = [pattern]
            world.dialIn()
            #expect((world.client.phase == .established) == isAllowed, "\(pattern)")
            #expect(world.refusals.map(\.reason) == (isAllowed ? [] : [.wrongName]))
        }
    }

    @Test("a signature that is empty, changed, of another key or of another size")
    func signatures() throws {
        for change: @Sendable ([UInt8]) -> [UInt8] in [
            { _ in [] }, { $0.dropLast() + [($0.last ?? 0) ^ 1] }, { _ in [UInt8](repeating: 0, count: 256) },
            { Array($0.dropLast()) }, { $0 + [0] }, { _ in [0, 1, 0xff, 0] },
        ] {
            try expect(.badSignature, CertificateCase()) { $0.signature?.change = change }
        }
        try expect(
            .badSignature,
            CertificateCase(client: "client-p256", gateway: ["gateway-p256"], method: 9, proofHash: .sha256)
        ) { $0.signature?.change = { _ in [UInt8](repeating: 0, count: 64) } }
        try expect(.badSignature, CertificateCase()) {
            $0.signature?.key = try CertificateVectors.key("gateway-rsa2048")
        }
        // The right signature for a key of a kind that was not negotiated.
        try expect(.badSignature, CertificateCase(client: "client-p256", gateway: ["gateway-rsa2048"], method: 3))
    }

    @Test("no certificate, noise, more than anybody needs")
    func payloads() throws {
        try expect(.malformedCertificate, CertificateCase()) { $0.signature?.certificates = [[4, 1, 2, 3]] }
        try expect(.malformedCertificate, CertificateCase()) { $0.signature?.certificates.append([1, 0x30, 0x80]) }
        try expect(.malformedCertificate, CertificateCase()) {
            $0.signature?.certificates[0].append(0)
        }
        var world = try CertificateCase().world()
        world.client.settings.signature?.certificates = []
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.noCertificate])
    }

    @Test("more certificates than the limit, or an empty one, are dropped unread")
    func floods() throws {
        var many = try CertificateCase().world()
        let certificates = many.client.settings.signature?.certificates ?? []
        many.client.settings.signature?.certificates = (0..<10).flatMap { _ in certificates }
        many.dialIn(main: .milliseconds(500))
        #expect(many.engine.drops[.duplicatePayload] > 0 && many.refusals.isEmpty)

        var empty = try CertificateCase().world()
        empty.client.settings.signature?.certificates.append([4])
        empty.dialIn(main: .milliseconds(500))
        #expect(empty.engine.drops[.malformedCertificate] > 0)
        #expect(empty.established.isEmpty)
    }

    @Test("a message 5 that does not decrypt leaves the exchange to its owner")
    func noise() throws {
        var world = try CertificateCase().world()
        world.performsWork = true
        world.client.start(now: world.now)
        world.run(for: .milliseconds(45))
        #expect(world.client.phase == .sentAuthentication)
        let cookies = world.client.initiatorCookie + world.client.responderCookie
        for length in [16, 32, 64, 1024] {
            let body = [UInt8](repeating: UInt8(length & 255), count: length)
            world.deliver(message(cookies, [], exchange: 2, flags: 1, first: 5, body: body), floated: false)
        }
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)
        #expect(world.refusals.isEmpty)
    }

    @Test("while message 5 is worked on its repetitions wait, and a reload or an end of the exchange harms nothing")
    func meanwhile() throws {
        var world = try CertificateCase().world()
        world.client.start(now: world.now)
        world.run(for: .milliseconds(45))
        world.performsWork = false
        world.run(for: .seconds(2))
        #expect(world.engine.drops[.repeatedWhileBusy] > 0)
        world.engine.configuration.certificates = nil
        world.performsWork = true
        world.settle()
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)

        var late = try CertificateCase().world()
        late.client.start(now: late.now)
        late.run(for: .milliseconds(45))
        late.performsWork = false
        late.run(for: .seconds(40))
        #expect(late.engine.associationCount == 0)
        late.performsWork = true
        late.settle()
        #expect(late.engine.drops[.staleWorkResult] == 1 && late.established.isEmpty)
    }

    @Test("certificates that are gone from the configuration before message 5 end the exchange")
    func gone() throws {
        var world = try CertificateCase().world()
        world.client.start(now: world.now)
        world.run(for: .milliseconds(35))
        world.engine.configuration.certificates = nil
        world.run(for: .seconds(3))
        #expect(world.client.phase == .sentAuthentication)
        #expect(world.engine.associationCount == 0)
    }

    @Test("certificate payloads: parsed, emitted, and one byte short")
    func formats() throws {
        let root = try CertificateVectors.certificate("root")
        #expect(CertificatePayload(root).body == [4] + root.der)
        let parsed = try CertificatePayload(parsing: [1, 2, 3])
        #expect(parsed.encoding == 1 && parsed.data == [2, 3])
        #expect(throws: IKEDrop.malformedCertificate) { try CertificatePayload(parsing: [4]) }
        #expect(throws: IKEDrop.truncated) { try CertificatePayload(parsing: []) }
        let request = try CertificateRequestPayload(parsing: [4] + root.subject)
        #expect(request.authority == root.subject && request.body == [4] + root.subject)
        #expect(throws: IKEDrop.truncated) { try CertificateRequestPayload(parsing: []) }
        #expect(throws: IKEDrop.malformedCertificateRequest) {
            try CertificateRequestPayload(parsing: [4] + [UInt8](repeating: 0x30, count: 2049))
        }
        let names = try ["root", "intermediate", "second", "withdrawn"].map { try CertificateVectors.certificate($0) }
        #expect(CertificateRequestPayload.all(for: names + names).count == 4)
        let leaves = try ["client-rsa2048", "client-rsa4096", "client-p256", "client-p384", "client-p521", "revoked"]
            .map { try CertificateVectors.certificate($0) }
        let others = try ["expired", "future", "server-only", "weak-key", "weak-hash", "comma", "client-plain"]
            .map { try CertificateVectors.certificate($0) }
        #expect(CertificateRequestPayload.all(for: names + leaves + others).map(\.body) == [[4]])
    }
}
