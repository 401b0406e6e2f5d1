import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Pre-shared keys")
struct PreSharedKeyTests {
    private static func key(_ number: UInt8, _ network: String? = nil, _ identity: String? = nil) throws -> PreSharedKey
    {
        PreSharedKey(
            SecretBytes([number]), network: try network.map { try #require(range($0)) }, identity: identity)
    }

    private static func numbers(_ keys: [PreSharedKey]) -> [UInt8] { keys.flatMap { bytes(of: $0.secret) } }

    @Test("those for an identity in a network first, then by identity, by network, for all; the longest prefix first")
    func order() throws {
        let keys = PreSharedKeys([
            try Self.key(1), try Self.key(2, "10.0.0.0/8"), try Self.key(3, "10.1.0.0/16"), try Self.key(4, nil, "a"),
            try Self.key(5, "10.0.0.0/8", "a"), try Self.key(6, "10.1.0.0/16", "a"), try Self.key(7, "10.1.0.0/16"),
            try Self.key(8),
        ])
        #expect(Self.numbers(keys.candidates(for: .v4(IPv4Address(10, 1, 2, 3)))) == [6, 5, 4, 3, 7, 2, 1, 8])
        #expect(Self.numbers(keys.candidates(for: .v4(IPv4Address(10, 2, 2, 3)))) == [5, 4, 2, 1, 8])
        #expect(Self.numbers(keys.candidates(for: .v4(IPv4Address(192, 0, 2, 3)))) == [4, 1, 8])
        #expect(Self.numbers(keys.candidates(for: .v6(IPv6Address(high: 1, low: 1)))) == [4, 1, 8])
        #expect(keys.mostCandidates == 8)
        #expect(PreSharedKeys(defaultKey: nil).candidates(for: .v4(.any)).isEmpty)
        #expect(PreSharedKeys(defaultKey: nil).mostCandidates == 0)
    }

    @Test("never more than the limit, and how many there would be can be asked")
    func limit() throws {
        let keys = PreSharedKeys(
            try (0..<40 as Range<UInt8>).map { try Self.key($0) }
                + [try Self.key(50, "10.0.0.0/8"), try Self.key(51, "172.16.0.0/12")])
        #expect(keys.candidates(for: .v4(IPv4Address(10, 0, 0, 1))).count == PreSharedKeys.candidatesMaximum)
        #expect(keys.mostCandidates == 41)
    }

    @Test("an identity is named as people write it")
    func names() {
        let named = { (type: UInt8, data: [UInt8], text: String) in IKEIdentity(type: type, data: data).isNamed(text) }
        #expect(named(2, Array("Branch.Example.org".utf8), "branch.example.ORG"))
        #expect(!named(2, Array("branch.example.org".utf8), "branch.example.com"))
        #expect(named(3, Array("alice@example.org".utf8), "alice@example.org"))
        #expect(!named(3, Array("Alice@example.org".utf8), "alice@example.org"))
        #expect(named(11, Array("Vertrieb Süd".utf8), "Vertrieb Süd") && !named(11, [], "a"))
        #expect(named(1, [10, 0, 0, 2], "10.0.0.2") && !named(1, [10, 0, 0, 2], "10.0.0.20"))
        #expect(!named(4, [10, 0, 0, 2, 255, 255, 255, 0], "10.0.0.2"))
    }
}

@Suite("Main mode with several pre-shared keys")
struct PreSharedKeyTrialTests {
    private static func key(_ text: String, _ network: String? = nil, _ identity: String? = nil) throws -> PreSharedKey
    {
        PreSharedKey(
            SecretBytes(utf8: text), network: try network.map { try #require(range($0)) }, identity: identity)
    }

    private static func world(
        _ keys: [PreSharedKey], key: String, identity: [UInt8]? = nil, seed: UInt64 = 7
    ) -> World {
        var settings = TestInitiator.Settings()
        settings.preSharedKey = Array(key.utf8)
        if let identity { settings.identity = identity }
        return World(settings: settings, seed: seed) { $0.preSharedKeys = PreSharedKeys(keys) }
    }

    private static func name(_ text: String) -> [UInt8] { [2, 0, 0, 0] + Array(text.utf8) }

    @Test("each of them dials in: for an identity in a network, for an identity, for a network, for all")
    func each() throws {
        let keys = [
            try Self.key("both", "192.0.2.0/24", "both.example"), try Self.key("name", nil, "name.example"),
            try Self.key("network", "192.0.2.0/28"), try Self.key("wide", "192.0.0.0/8"), try Self.key("default"),
        ]
        for (key, identity) in [
            ("both", "both.example"), ("name", "NAME.example"), ("network", "who.example"), ("wide", "ever.example"),
            ("default", "default.example"),
        ] {
            for seed in 0..<5 as Range<UInt64> {
                var world = Self.world(keys, key: key, identity: Self.name(identity), seed: seed)
                if seed > 0 { world.faults = World.Faults(loss: 0.2, duplication: 0.2, reordering: 0.2) }
                world.dialIn(main: .seconds(14), quick: .seconds(14))
                #expect(world.keysAgree && world.established.count == 1, "\(key) \(seed)")
                #expect(world.refusals.isEmpty, "\(key) \(seed)")
            }
        }
    }

    @Test("any bytes, and as many keys as may be: the last one dials in, too")
    func last() throws {
        var keys: [PreSharedKey] = []
        for number in 0..<PreSharedKeys.candidatesMaximum - 1 { keys.append(try Self.key("key \(number)")) }
        let noise = [UInt8](0...255)
        var world = Self.world(keys + [PreSharedKey(SecretBytes(noise))], key: "")
        world.client.settings.preSharedKey = noise
        world.dialIn()
        #expect(world.keysAgree)
        var other = Self.world(keys + [PreSharedKey(SecretBytes([])), PreSharedKey(SecretBytes(noise))], key: "")
        other.client.settings.preSharedKey = noise
        other.dialIn()
        #expect(other.established.isEmpty && other.refusals.map(\.reason) == [.preSharedKeyMismatch])
    }

    @Test("no key fits: said so, with how many were tried, once")
    func none() throws {
        var world = Self.world([try Self.key("one"), try Self.key("two", nil, "a")], key: "three")
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.preSharedKeyMismatch])
        #expect(world.refusals.first?.detail == "none of 2 keys fits")
        #expect(world.client.clearNotifications.first == 24)
        #expect(world.established.isEmpty)
    }

    @Test("a key fits that is for another identity: said so, with both")
    func otherIdentity() throws {
        let keys = [try Self.key("own", nil, "a.example"), try Self.key("default")]
        var world = Self.world(keys, key: "own", identity: Self.name("b.example"))
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.preSharedKeyOfOtherIdentity])
        #expect(world.refusals.first?.detail == "it has the key of a.example and names itself b.example")
        #expect(world.established.isEmpty && world.engine.peerCount == 0)
        // The same with one key alone.
        var single = Self.world([keys[0]], key: "own", identity: Self.name("b.example"))
        single.dialIn()
        #expect(single.refusals.map(\.reason) == [.preSharedKeyOfOtherIdentity])
    }

    @Test("everybody's key is not enough for a name that has one of its own")
    func impostor() throws {
        let keys = [try Self.key("own", "192.0.2.0/24", "a.example"), try Self.key("default")]
        var world = Self.world(keys, key: "default", identity: Self.name("a.example"))
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.preSharedKeyOfOtherIdentity])
        #expect(world.refusals.first?.detail == "it has the key of everybody and names itself a.example")
        // Elsewhere than where that key counts, the name is one as any other.
        let elsewhere = [try Self.key("own", "198.51.100.0/24", "a.example"), try Self.key("default")]
        var other = Self.world(elsewhere, key: "default", identity: Self.name("a.example"))
        other.dialIn()
        #expect(other.established.count == 1)
    }

    @Test("one key may be for two identities")
    func shared() throws {
        let keys = [try Self.key("own", nil, "a.example"), try Self.key("own", nil, "b.example")]
        for name in ["a.example", "b.example"] {
            var world = Self.world(keys, key: "own", identity: Self.name(name))
            world.dialIn()
            #expect(world.established.count == 1)
        }
    }

    @Test("forged proofs leave the exchange to its owner, and beyond the limit cost nothing")
    func bounded() throws {
        var world = Self.world([try Self.key("one"), try Self.key("two"), try Self.key("three")], key: "three")
        world.client.start(now: world.now)
        world.run(for: .milliseconds(45))
        #expect(world.client.phase == .sentAuthentication)
        let cookies = world.client.initiatorCookie + world.client.responderCookie
        let noise = message(cookies, [], exchange: 2, flags: 1, first: 5, body: [UInt8](repeating: 9, count: 64))
        world.deliver(message(cookies, [], exchange: 2, flags: 1, first: 5, body: [UInt8](repeating: 9, count: 65)))
        for _ in 0..<3 { world.deliver(noise) }
        #expect(world.engine.drops[.preSharedKeyMismatch] == 3 && world.engine.drops[.notBlockMultiple] == 1)
        #expect(world.refusals.count == 1)
        world.run(for: .seconds(3))
        #expect(world.client.phase == .established)

        var flooded = Self.world([try Self.key("one"), try Self.key("two")], key: "two")
        flooded.client.start(now: flooded.now)
        flooded.run(for: .milliseconds(45))
        let others = flooded.client.initiatorCookie + flooded.client.responderCookie
        let flood = message(others, [], exchange: 2, flags: 1, first: 5, body: [UInt8](repeating: 9, count: 64))
        for _ in 0..<100 { flooded.deliver(flood) }
        #expect(flooded.engine.drops[.preSharedKeyMismatch] == 8 && flooded.engine.drops[.tooManyFailedProofs] == 92)
        #expect(flooded.refusals.count == 1)
    }

    @Test("what we replace an ISAKMP SA by is begun with the key that its peer had")
    func successor() throws {
        let own = try Self.key("own", nil, "192.0.2.1")
        var pair = Pair { configuration, side in
            configuration.policy.lifetimes.ikeMaximumSeconds = side == 1 ? 60 : 80
            configuration.policy.lifetimes.rekeysPhaseOne = side == 1
            configuration.preSharedKeys = PreSharedKeys(
                side == 1 ? [own, PreSharedKey(SecretBytes(utf8: "default"))] : [PreSharedKey(own.secret)])
        }
        pair.connect()
        pair.run(for: .seconds(400))
        #expect(pair.isMirrored && pair.sides.allSatisfy { $0.peersEnded == 0 })
        #expect(pair.sides[1].established.count > 3 && pair.sides[1].refusals.isEmpty)
    }
}
