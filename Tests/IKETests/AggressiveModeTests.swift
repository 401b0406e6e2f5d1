import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Aggressive mode")
struct AggressiveModeTests {
    static let groupName = Array("sales".utf8)

    static func settings(_ identity: [UInt8] = [11, 0, 0, 0] + groupName) -> TestInitiator.Settings {
        var settings = TestInitiator.Settings()
        settings.aggressiveGroup = .modp2048
        settings.identity = identity
        settings.preSharedKey = Array("group key".utf8)
        return settings
    }

    static func world(
        _ settings: TestInitiator.Settings = settings(), seed: UInt64 = 7,
        change: (inout IKEConfiguration) -> Void = { _ in }
    ) -> World {
        World(settings: settings, seed: seed) {
            $0.groups.byName["sales"] = SecretBytes(utf8: "group key")
            change(&$0)
        }
    }

    @Test("a group's member dials in, by ID_KEY_ID, ID_FQDN and ID_USER_FQDN", arguments: [11, 2, 3] as [UInt8])
    func dialIn(type: UInt8) {
        var world = Self.world(Self.settings([type, 0, 0, 0] + Self.groupName))
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.established.map(\.identity) == [IKEIdentity(type: type, data: Self.groupName)])
        #expect(world.established.first?.nat == IKENATDetection(remote: false, local: false))
        #expect(world.engine.unauthenticated.count == 0 && world.engine.aggressive.count == 0)
    }

    @Test("macOS and Android behind a NAT float to port 4500 with message 3, of the RFC's numbers or the drafts'")
    func translated() {
        for usesDraftNumbers in [false, true] {
            var settings = Self.settings()
            settings.vendorIDs =
                usesDraftNumbers ? [Offers.draft02n, Offers.draft02] : Offers.appleVendorIDs
            settings.usesDraftNumbers = usesDraftNumbers
            var world = Self.world(settings)
            world.translate()
            world.client.settings.identity = settings.identity
            world.dialIn()
            #expect(world.keysAgree)
            #expect(world.established.first?.path.remote == world.outerFloated)
            #expect(world.established.first?.nat == IKENATDetection(remote: true, local: false))
            #expect(world.ready.first?.encapsulation == .udp)
        }
    }

    @Test(
        "strongSwan's message 3 detects by the ports that it has floated to: the gateway is not behind a NAT for that")
    func translatedByFloatedPorts() {
        var settings = Self.settings()
        settings.detectsByFloatedPorts = true
        var world = Self.world(settings)
        world.translate()
        world.client.settings.identity = settings.identity
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.established.first?.nat == IKENATDetection(remote: true, local: false))
    }

    @Test("message 3 in clear is accepted, as RFC 2409 section 5 allows")
    func clear() {
        var settings = Self.settings()
        settings.encryptsAggressiveProof = false
        var world = Self.world(settings)
        world.dialIn()
        #expect(world.keysAgree)
    }

    @Test("the keys: the group's, and main mode's where any may come, those for an identity first")
    func keys() {
        let identity = IKEIdentity(type: 3, data: Array("road@example.org".utf8))
        var configuration = IKEConfiguration(preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "any")))
        #expect(!configuration.allowsAggressiveMode)
        let address = IPAddress.v4(allowedAddress)
        configuration.groups.byName["road@example.org"] = SecretBytes(utf8: "group")
        #expect(configuration.preSharedKey(for: identity, at: address) == SecretBytes(utf8: "group"))
        let other = IKEIdentity(type: 2, data: Array("branch.example.org".utf8))
        configuration.preSharedKeys = PreSharedKeys([
            PreSharedKey(SecretBytes(utf8: "any")),
            PreSharedKey(SecretBytes(utf8: "own"), identity: "Branch.example.org"),
        ])
        #expect(configuration.preSharedKey(for: other, at: address) == nil)
        #expect(configuration.preSharedKey(for: IKEIdentity(address), at: address) == nil)
        configuration.groups.acceptsAny = true
        #expect(configuration.preSharedKey(for: other, at: address) == SecretBytes(utf8: "own"))
        #expect(configuration.preSharedKey(for: identity, at: address) == SecretBytes(utf8: "group"))
        #expect(configuration.preSharedKey(for: IKEIdentity(address), at: address) == SecretBytes(utf8: "any"))
    }

    @Test("an unknown group is refused with its name, once, before any computation, and leaves nothing behind")
    func unknownGroup() {
        var world = Self.world(Self.settings([11, 0, 0, 0] + Array("marketing".utf8)))
        world.performsWork = false
        world.client.start(now: world.now)
        for _ in 0..<5 { world.deliver(world.client.firstMessage) }
        #expect(world.refusals.map(\.reason) == [.unknownIdentity])
        #expect(world.refusals.first?.detail == "marketing")
        #expect(world.engine.associationCount == 0)
        #expect(world.engine.pollWork() == nil)
        world.run(for: .seconds(1))
        #expect(world.client.clearNotifications.contains(18))
    }

    @Test("after a refused offer the same cookie with another offer is a new exchange, with a cookie of its own")
    func cookieAfterRefusal() {
        // CVE-2023-30570: the responder's cookie of a refused proposal was used again.
        var settings = Self.settings()
        settings.offer = Offers.cheapRouter
        var world = Self.world(settings)
        world.client.start(now: world.now)
        world.client.outbox.removeAll()
        world.deliver(world.client.firstMessage)
        #expect(world.refusals.map(\.reason) == [.noProposalChosen])
        #expect(world.engine.associationCount == 0 && world.engine.firstMessages.isEmpty)
        #expect(world.sent.last?.bytes[8..<16].allSatisfy { $0 == 0 } == true)
        world.client.settings.offer = Offers.strongSwan
        world.deliver(world.client.firstMessage)
        world.client.outbox.removeAll()
        world.run(for: .seconds(3))
        #expect(world.established.count == 1)
    }

    @Test("a wrong key, a forged proof, another address: refused, recorded once, and the true proof still counts")
    func proofs() throws {
        var world = Self.world()
        world.client.start(now: world.now)
        world.deliver(world.client.firstMessage)
        world.client.outbox.removeAll()
        world.client.receive(try #require(world.sent.last?.bytes), now: world.now)
        let proof = try #require(world.client.outbox.last?.bytes)
        world.client.outbox.removeAll()
        // NAT-D stands behind HASH_I and is not covered by it (RFC 3947 section 3.2).
        for index in [28, 40] {
            var forged = proof
            forged[index] ^= 1
            world.deliver(forged)
        }
        world.deliver(Array(proof.dropLast(1)))
        world.deliver(proof, from: Endpoint(IPv4Address(203, 0, 113, 9), 500))
        #expect(world.established.isEmpty)
        #expect(world.refusals.map(\.reason) == [.preSharedKeyMismatch])
        #expect(world.engine.drops[.preSharedKeyMismatch] == 2 && world.engine.drops[.otherAddress] == 1)
        world.deliver(proof)
        world.deliver(proof)
        #expect(world.established.count == 1)
        #expect(world.engine.drops[.obsoleteRequest] == 1)
    }

    @Test("a client with the wrong key does not believe us, and is slowed where it tries on")
    func wrongKey() {
        var settings = Self.settings()
        settings.preSharedKey = Array("wrong".utf8)
        var world = Self.world(settings)
        world.dialIn()
        #expect(world.client.phase == .failed)
        #expect(world.established.isEmpty)
        world.run(for: .seconds(31))
        #expect(world.engine.associationCount == 0)
        #expect(world.engine.nextDeadline == nil)
    }

    @Test("a flood of first messages is bounded by address, in all, by rate and by the work queue; honest ones get in")
    func flood() {
        var world = Self.world { $0.limits.workQueueMaximum = 64 }
        world.performsWork = false
        world.client.start(now: world.now)
        world.client.outbox.removeAll()
        var first = world.client.firstMessage
        for number in 0..<500 {
            first.replaceSubrange(0..<8, with: be32(1) + be32(number))
            world.deliver(first)
        }
        #expect(world.engine.aggressive.count == 16)
        for number in 0..<500 {
            first.replaceSubrange(0..<8, with: be32(2) + be32(number))
            world.deliver(first, from: Endpoint(IPv4Address(203, 0, 113, UInt8(number % 250)), 500))
        }
        #expect(world.engine.workTargets.count == 32)
        #expect(world.engine.drops[.workQueueFull] > 0)
        world.performsWork = true
        world.settle()
        for number in 0..<2000 {
            first.replaceSubrange(0..<8, with: be32(3) + be32(number))
            world.now += .milliseconds(2)
            world.deliver(
                first, from: Endpoint(IPv4Address(203, UInt8(number / 250), 114, UInt8(number % 250)), 500))
        }
        #expect(world.engine.aggressive.count == 256)
        #expect(world.engine.drops[.aggressiveRateLimited] > 0)
        world.run(for: .seconds(31))
        world.client = TestInitiator(Self.settings(), seed: 99)
        world.dialIn()
        #expect(world.keysAgree)
    }

    @Test("one that is lost is sent again; the answer is never more than 1.5 times as large, and never unasked")
    func loss() {
        for seed in 0..<40 as Range<UInt64> {
            var world = Self.world(seed: seed)
            world.faults = World.Faults(loss: 0.2, duplication: 0.2, reordering: 0.2)
            world.dialIn(main: .seconds(20), quick: .seconds(20))
            #expect(world.keysAgree || world.established.isEmpty, "seed \(seed)")
        }
        var world = Self.world()
        world.client.start(now: world.now)
        let first = world.client.firstMessage
        world.deliver(first)
        world.run(for: .zero)
        world.client.outbox.removeAll()
        #expect(world.sent.count == 1)
        #expect((world.sent.first?.bytes.count ?? .max) * 2 <= first.count * 3)
    }

    @Test("payloads missing, twice or misplaced; a public value of no group's length; a nonce too short")
    func malformed() throws {
        let pair = try DiffieHellmanKeyPair.generate(.modp2048)
        let identity: [UInt8] = [11, 0, 0, 0] + Self.groupName
        let nonce = [UInt8](repeating: 1, count: 16)
        typealias List = [(type: Int, body: [UInt8])]
        let whole: List = [(1, Offers.strongSwan), (4, pair.publicValue), (10, nonce), (5, identity)]
        let cases: [(List, IKEDrop)] = [
            (Array(whole.dropLast()), .missingPayload), (whole + [(5, identity)], .duplicatePayload),
            (Array(whole.reversed()), .payloadOrder), (whole + [(8, nonce)], .unexpectedPayload),
            ([whole[0], (4, Array(pair.publicValue.dropLast())), whole[2], whole[3]], .noProposalChosen),
            ([whole[0], whole[1], (10, [1, 2, 3]), whole[3]], .nonceLength),
            ([whole[0], whole[1], whole[2], (5, [1, 0, 0, 0, 1])], .malformedIdentification),
        ]
        for (payloads, drop) in cases {
            var world = Self.world()
            world.deliver(
                message(
                    [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 4, first: payloads[0].type,
                    body: chain(payloads)))
            #expect(world.engine.drops[drop] == 1, "\(drop): \(world.drops)")
            #expect(world.engine.associationCount == 0)
        }
        for value in [[UInt8](repeating: 0, count: 256), [UInt8](repeating: 255, count: 256)] {
            var world = Self.world()
            world.deliver(
                message(
                    [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 0, count: 8), exchange: 4, first: 1,
                    body: chain([whole[0], (4, value), whole[2], whole[3]])))
            #expect(world.refusals.map(\.reason) == [.publicValueRefused])
            #expect(world.engine.associationCount == 0)
        }
    }

    @Test("main mode's messages do not continue aggressive mode, nor the other way round")
    func mixed() throws {
        var world = Self.world()
        world.client.start(now: world.now)
        world.deliver(world.client.firstMessage)
        world.client.outbox.removeAll()
        world.client.receive(try #require(world.sent.last?.bytes), now: world.now)
        var proof = try #require(world.client.outbox.last?.bytes)
        proof[18] = 2
        world.deliver(proof)
        #expect(world.engine.drops[.wrongState] == 1)
        #expect(world.established.isEmpty)
    }
}
