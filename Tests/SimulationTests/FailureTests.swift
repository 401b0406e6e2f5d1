import Cryptography
import Foundation
import IKE
import Testing
import Wire

@testable import Gateway

extension Simulation {
    var failures: [FailureRecord] { gateway.plane.failures() }

    /// Exactly one dial-in has failed, once, at `step` for `reason`.
    @discardableResult
    func expectFailure(
        _ reason: FailureReason, _ step: FailureStep, _ location: SourceLocation = #_sourceLocation
    ) throws -> FailureRecord {
        #expect(failures.map(\.reason) == [reason], sourceLocation: location)
        let record = try #require(failures.first, sourceLocation: location)
        #expect(record.step == step && record.count == 1, sourceLocation: location)
        #expect(record.sentence == reason.advice.sentence, sourceLocation: location)
        #expect(!(record.changeAtGateway + record.changeAtClient).isEmpty, sourceLocation: location)
        return record
    }
}

@Suite("Each way to fail leaves one record that says why")
struct FailureTests {
    @Test("a session that was up and ended is no failure, however it ended")
    func none() throws {
        let world = try Simulation()
        let clients = (0..<3).map { _ in world.addDirectClient() }
        clients.forEach { world.connect($0) }
        world.tell(clients[0]) { client, now in client.hangUp(now: now) }
        clients[1].vanish()
        _ = world.tellGateway { gateway, now in gateway.drop(.user("user2"), now: now) }
        world.run(.seconds(400))
        #expect(world.failures.isEmpty)
        #expect(world.gateway.plane.counters[.dialInsRefused] == 0)
    }

    @Test("a wrong pre-shared key")
    func wrongKey() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.settings.preSharedKey = "guess"
        world.dial(client)
        world.run(.seconds(120))
        let record = try world.expectFailure(.preSharedKeyMismatch, .mainModeAuthentication)
        #expect(record.outerAddress == "192.0.2.1" && record.outerPort == 500)
        #expect(record.localAddress == "198.51.100.1")
        #expect(record.changeAtGateway.first?.contains("`psk`") == true)
        world.dial(client)
        world.run(.seconds(120))
        #expect(world.failures.map(\.count) == [2])
    }

    @Test("a group that is not accepted: which offer, in what it differs, and what to change")
    func offers() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.settings.group = .modp1024
        world.dial(client)
        world.run(.seconds(60))
        let record = try world.expectFailure(.noProposalChosen, .mainModeOffer)
        #expect(record.offers == [.init(offer: "1.1 aes256-sha256-modp1024", differs: ["group": "modp1024"])])
        #expect(record.accepts["group"]?.contains("modp2048") == true)
        #expect(
            record.changeAtGateway.first == "for its offer 1.1 aes256-sha256-modp1024: add modp1024 to `ike.groups`")
        #expect(record.changeAtGateway.contains { $0.contains("`enableModp1024: true`") })
        #expect(record.changeAtGateway.contains { $0.contains("`profile: legacy`") })
    }

    @Test("a wrong password, an unknown user, and too many guesses: each with the user's name")
    func users() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.password = "guess"
        for _ in 0..<4 {
            world.dial(client)
            #expect(world.run(atMost: .seconds(5)) { _ in client.wasRefused })
        }
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.wasRefused })
        client.user = "nobody\u{7}"
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.wasRefused })
        world.run(.seconds(120))
        #expect(world.failures.map(\.reason) == [.unknownUser, .guessesSlowed, .wrongPassword])
        #expect(world.failures.map(\.user) == ["nobody?", "user0", "user0"])
        #expect(world.failures.map(\.count) == [1, 1, 4])
        #expect(world.failures.allSatisfy { $0.step == .userAuthentication && $0.identity == "192.0.2.1" })
        #expect(world.failures.allSatisfy { $0.symptoms.contains { $0.error == 691 } })
    }

    @Test("no address is free, and a user who is connected often enough")
    func limits() throws {
        let world = try Simulation(
            configuration: "l2tp: {pool: 192.168.42.10 - 192.168.42.11}\nlimits: {sessionsPerUser: 1}")
        let clients = (0..<4).map { _ in world.addDirectClient() }
        clients[3].user = "user0"
        world.connect(clients[0])
        world.connect(clients[1])
        for client in clients[2...] {
            world.dial(client)
            #expect(world.run(atMost: .seconds(5)) { _ in client.wasRefused })
        }
        #expect(world.failures.map(\.reason) == [.userSessionLimitReached, .noAddressFree])
        #expect(world.failures.map(\.user) == ["user0", "user2"])
    }
}

@Suite("A dial-in that stops without being refused leaves a record of where it stopped")
struct UnfinishedDialInTests {
    /// Runs one dial-in through a network that loses what `isLost` says, until all that it began has had its time.
    private func dial(
        configuration: String = "", _ isLost: @escaping (Datagram, SimulatedClient) -> Bool
    ) throws -> Simulation {
        let world = try Simulation(configuration: configuration)
        let client = world.addDirectClient()
        world.tap = { datagram in world.faults.loss = isLost(datagram, client) ? 1 : 0 }
        world.dial(client)
        world.run(.seconds(240))
        world.tap = nil
        return world
    }

    private func isFromGateway(_ datagram: Datagram) -> Bool { datagram.from.address == Simulation.gatewayAddress }

    @Test("message 5 never comes: UDP 4500 is blocked, or fragments are lost")
    func noMessageFive() throws {
        let world = try dial { datagram, client in
            !isFromGateway(datagram) && client.ike.phase == .sentAuthentication
        }
        let record = try world.expectFailure(.authenticationNeverCame, .mainModeAuthentication)
        #expect(record.detail == "message 5 was to come to UDP 500")
        #expect(record.symptoms.contains { $0.error == 809 })
    }

    @Test("an exchange that stops before its client has shown that it receives leaves nothing")
    func noMessageThree() throws {
        let world = try dial { datagram, client in
            !isFromGateway(datagram) && client.ike.phase == .sentKeyExchange
        }
        #expect(world.failures.isEmpty)
    }

    @Test("IKE is through, and quick mode never comes")
    func noQuickMode() throws {
        let world = try dial { datagram, client in !isFromGateway(datagram) && client.ike.phase == .established }
        try world.expectFailure(.quickModeNeverCame, .quickMode)
    }

    @Test("IPsec is up, and ESP is blocked")
    func noESP() throws {
        let world = try dial { datagram, _ in datagram.isRaw }
        let record = try world.expectFailure(.espNeverCame, .ipsec)
        #expect(record.detail == "they were to come as IP protocol 50" && record.identity == "192.0.2.1")
    }

    @Test("the client asks for a tunnel, and our answers do not reach it")
    func noAnswer() throws {
        let world = try dial { datagram, _ in datagram.isRaw && isFromGateway(datagram) }
        #expect(world.failures.map(\.reason) == [.tunnelUnfinished])
        #expect(world.failures.first?.step == .tunnel)
    }

    @Test("the client does not know L2TP's own secret")
    func tunnelSecret() throws {
        let world = try dial(configuration: "l2tp: {secret: one-that-nobody-has-been-told}") { _, _ in false }
        #expect(world.failures.map(\.reason) == [.tunnelSecretWrong])
        #expect(world.failures.first?.changeAtGateway.first?.contains("`l2tp.secret`") == true)
    }

    @Test("as many sessions are connected as there may be")
    func sessionLimit() throws {
        let world = try Simulation(configuration: "limits: {sessions: 1}")
        let (first, second) = (world.addDirectClient(), world.addDirectClient())
        world.connect(first)
        world.dial(second)
        world.run(.seconds(120))
        #expect(world.failures.map(\.reason) == [.sessionLimitReached])
        #expect(world.failures.first?.outerAddress == "192.0.2.2" && world.failures.first?.step == .call)
    }

    @Test("the client hangs up in the middle of PPP")
    func hangUp() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.stage == .linking })
        world.run(.milliseconds(15))
        world.tell(client) { client, now in client.hangUp(now: now) }
        world.run(.seconds(120))
        #expect(world.failures.map(\.reason) == [.clientHungUp])
    }

    @Test("a client that vanishes in the middle of PPP")
    func vanished() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.stage == .linking })
        client.vanish()
        world.run(.seconds(300))
        #expect(world.failures.count == 1)
        let reasons: [FailureReason] = [.linkUnanswered, .authenticationUnanswered, .clientSilent]
        #expect(world.failures.allSatisfy { reasons.contains($0.reason) })
    }

    @Test("a client that gets in at the second attempt has failed once")
    func again() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.tap = { datagram in world.faults.loss = datagram.isRaw ? 1 : 0 }
        world.dial(client)
        world.run(.seconds(20))
        world.tap = nil
        world.faults.loss = 0
        world.connect(client)
        world.run(.seconds(200))
        #expect(world.failures.map(\.reason) == [.espNeverCame])
    }
}

@Suite("A client's certificate is refused, and culvert failures says why")
struct CertificateFailureTests {
    private func file(_ name: String) throws -> [UInt8] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: folder.appending(path: "Vectors/certificates/\(name)")))
    }

    private func certificate(_ name: String) throws -> Certificate {
        try #require(try Certificate.all(in: file("\(name).pem")).first)
    }

    private func key(_ name: String) throws -> SignatureKey {
        try SignatureKey(pem: SecretBytes(file("\(name).key")))
    }

    @Test(
        "revoked, expired, foreign, for another name: each with a reason of its own",
        arguments: [
            ("revoked", nil, .certificateRevoked), ("expired", nil, .certificateExpired),
            ("foreign-client", nil, .unknownAuthority), ("client-rsa2048", "other.example.org", .wrongName),
        ] as [(String, String?, FailureReason)])
    func refused(name: String, claim: String?, reason: FailureReason) throws {
        let world = try Simulation()
        let lists = try CertificateRevocationList.all(in: file("root.crl"))
        let trust = try CertificateTrust(authorities: [certificate("root")], revocationLists: lists)
        let gateway = try CertificateIdentity(chain: [certificate("gateway-rsa2048")], key: key("gateway-rsa2048"))
        world.gateway.plane.ike.configuration.certificates = IKECertificates(trust: trust, identities: [gateway])
        world.gateway.plane.ike.configuration.policy.authenticationMethods = [.rsaSignature]
        let client = world.addDirectClient()
        let own = try certificate(name)
        client.settings.signature = IKEInitiator.Signature(
            certificate: own, key: try key(name),
            identity: claim.map { [2, 0, 0, 0] + Array($0.utf8) } ?? [9, 0, 0, 0] + own.subject)
        world.dial(client)
        world.run(.seconds(120))
        let record = try world.expectFailure(reason, .mainModeAuthentication)
        #expect(record.outerAddress == "192.0.2.1" && !record.identity.isEmpty)
        #expect(record.detail.contains(claim ?? own.subjectText), "\(record.detail)")
    }
}
