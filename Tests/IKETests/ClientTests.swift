import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("The offers of real clients")
struct ClientTests {
    /// Where the client is, as it believes and as the gateway sees it.
    enum Place: CaseIterable {
        case direct
        case behindNAT
        /// The gateway is behind a port mapping, as in a container.
        case gatewayBehindNAT
    }

    /// The gateway of `profile`, the client before it.
    static func world(
        _ client: RealClient, _ profile: IKEProfile, _ place: Place = .direct,
        change: (inout IKEConfiguration) -> Void = { _ in }
    ) -> World {
        let own = place == .behindNAT ? IPv4Address(10, 0, 0, 2) : allowedAddress
        var settings = client.settings(own: own)
        let key = client.aggressive == nil ? "correct horse" : "group key"
        settings.preSharedKey = Array(key.utf8)
        var world = World(profile: profile, settings: settings) {
            for name in ["sales", "sales.example.org", "sales@example.org"] {
                $0.groups.byName[name] = SecretBytes(utf8: "group key")
            }
            change(&$0)
        }
        if place == .behindNAT {
            world.outer = Endpoint(allowedAddress, 40500)
            world.outerFloated = Endpoint(allowedAddress, 44500)
        }
        if place == .gatewayBehindNAT { world.gateway = IPv4Address(172, 17, 0, 2) }
        return world
    }

    /// Phase 1 and quick mode, with the message ids that the client would choose.
    static func dial(_ world: inout World, _ client: RealClient) {
        world.client.start(now: world.now)
        world.run(for: .seconds(2))
        guard world.client.phase == .established else { return }
        world.client.startQuickMode(id: client.countsMessageIDs ? [0, 0, 0, 1] : nil, now: world.now)
        world.run(for: .seconds(2))
    }

    @Test(
        "each client is let in where a profile has its algorithms, with its own bytes in the answers, wherever NATs are",
        arguments: RealClient.all, Place.allCases)
    func dialIn(client: RealClient, place: Place) throws {
        for (profile, suites) in client.accepted {
            var world = Self.world(client, profile, place)
            Self.dial(&world, client)
            let established = try #require(world.established.first)
            #expect(world.established.count == 1 && established.suite.description == suites.ike)
            // The transform comes back with the client's own attributes: their order, and their encoding.
            #expect(client.offers(transform: world.client.answeredTransform))
            let ready = try #require(world.ready.first)
            #expect(world.ready.count == 1 && ready.suite.description == suites.esp)
            #expect(world.keysAgree && world.confirmed.count == 1)
            #expect(ready.lifetimeSeconds == UInt64(client.phaseTwoSeconds))
            #expect(ready.lifetimeKilobytes == client.phaseTwoKilobytes.map { UInt64($0) })
            let isEncapsulated = place != .direct && client.speaksNATTraversal
            #expect(ready.encapsulation == (isEncapsulated ? .udp : IPsecEncapsulation.none))
            let child = try #require(world.client.children.first)
            let mode = basic(4, client.encapsulation(isTranslated: isEncapsulated))
            #expect(contains(child.transform, mode))
            #expect(child.originalAddresses.count == (isEncapsulated ? 2 : 0))
            #expect(world.initialContacts == (client.sendsInitialContact ? 1 : 0))
            #expect(world.refusals.isEmpty && world.drops.isEmpty, "\(world.drops)")
        }
    }

    private func contains(_ bytes: [UInt8], _ attribute: [UInt8]) -> Bool {
        bytes.indices.contains { Array(bytes[$0...].prefix(4)) == attribute }
    }

    @Test("where a profile lacks its algorithms a client is refused with what differs", arguments: RealClient.all)
    func refused(client: RealClient) throws {
        for profile in IKEProfile.allCases where client.accepted[profile] == nil {
            var world = Self.world(client, profile)
            Self.dial(&world, client)
            #expect(world.established.isEmpty && world.engine.associationCount == 0)
            let refusal = try #require(world.refusals.first)
            #expect(world.refusals.count == 1 && refusal.reason == .noProposalChosen)
            #expect(refusal.offers.count == client.phaseOne.count)
            #expect(world.client.clearNotifications.allSatisfy { $0 == 14 })
            #expect(!world.client.clearNotifications.isEmpty)
        }
    }

    @Test("the default profile lets in every system that still receives updates")
    func current() {
        #expect(RealClient.current.allSatisfy { $0.accepted[.default] != nil })
        // And none that needs what is broken.
        let old = RealClient.all.filter { client in
            client.phaseOne.allSatisfy { [1, 2].contains($0.group) || [1, 5].contains($0.cipher) }
        }
        #expect(old.allSatisfy { $0.accepted[.default] == nil } && old.count >= 12)
    }

    @Test("Windows: messages of 408, 388 and 444 bytes, lives of four bytes, five proposals of one transform each")
    func windowsSizes() throws {
        let client = RealClient.windows11
        // Message 3 has 388 bytes with group 14.
        var world = Self.world(client, .default, .behindNAT) { $0.policy.phaseOne.groups = [.modp2048] }
        Self.dial(&world, client)
        #expect(world.recorded.map(\.bytes.count).prefix(2) == [408, 388])
        #expect(world.recorded[3].bytes.count == 444)
        #expect(world.recorded[3].bytes[20..<24] == [0, 0, 0, 1])
        #expect(world.client.answeredVendorIDs == [Offers.natTraversal, Offers.fragmentation])
        #expect(world.keysAgree)
        let payload = try SecurityAssociationPayload(
            parsing: client.quickOffer(spi: [1, 2, 3, 4], mode: 4), limits: IKELimits())
        #expect(payload.proposals.map(\.number) == [1, 2, 3, 4, 5])
        #expect(payload.proposals.allSatisfy { $0.transforms.count == 1 })
    }

    @Test("Windows before a gateway behind a NAT gets its own hash back and believes that only it is translated")
    func windowsBeforeTranslatedGateway() {
        var world = Self.world(.windows11, .default, .gatewayBehindNAT)
        Self.dial(&world, .windows11)
        #expect(world.client.believesOwnNAT && !world.client.believesServerNAT)
        #expect(world.established.first?.nat?.local == true)
        // Our address is the one that it knows.
        #expect(world.client.children.first?.originalAddresses.last == gatewayAddress.octets)
    }

    @Test("with the switch off, or for another client, a gateway behind a NAT says so")
    func honest() {
        for client in [RealClient.windows11, .apple] {
            var world = Self.world(client, .default, .gatewayBehindNAT) { $0.hidesOwnNATFromWindows = false }
            Self.dial(&world, client)
            #expect(world.client.believesServerNAT && world.keysAgree)
        }
    }

    @Test(
        "what we answer of vendor ids: the newest NAT traversal that both know, DPD and fragments in the client's way")
    func vendorIDs() {
        let fragmentation = Offers.fragmentation + hex("80000000")
        let expected: [(RealClient, [[UInt8]])] = [
            (.windows11, [Offers.natTraversal, Offers.fragmentation]),
            (.windowsXP, [Offers.draft02n, Offers.fragmentation]), (.windows2000Plain, []),
            (.apple, [Offers.natTraversal, Offers.deadPeerDetection, fragmentation]),
            (.macOSOldest, [Offers.draft02n]), (.android2, [Offers.natTraversal]),
            (.android6, [Offers.natTraversal, Offers.deadPeerDetection, fragmentation]),
            (.networkManagerLibreswan, [Offers.natTraversal, Offers.deadPeerDetection, fragmentation]),
            (.chromeOS, [Offers.natTraversal, Offers.deadPeerDetection, fragmentation]),
            (.archer, [Offers.deadPeerDetection]),
        ]
        for (client, answered) in expected {
            var world = Self.world(client, .legacy)
            Self.dial(&world, client)
            #expect(world.client.answeredVendorIDs == answered, "\(client)")
        }
    }

    @Test("macOS with a group name begins with group 14 and, refused, comes again with group 2")
    func groupNameRetried() {
        let (first, second) = (RealClient.appleGroup, RealClient.appleGroupRetried)
        var world = Self.world(first, .legacy) { $0.policy.phaseOne.groups = [.modp1024] }
        Self.dial(&world, first)
        #expect(world.refusals.map(\.reason) == [.noProposalChosen])
        #expect(world.client.clearNotifications.allSatisfy { $0 == 14 } && !world.client.clearNotifications.isEmpty)
        var settings = second.settings(own: allowedAddress)
        settings.preSharedKey = Array("group key".utf8)
        world.client = TestInitiator(settings, seed: 44)
        Self.dial(&world, second)
        #expect(world.established.first?.suite.group == .modp1024 && world.keysAgree)
    }

    @Test("Android with group 2 alone added to the default profile")
    func enabledGroup() {
        var world = Self.world(.android6, .default, .behindNAT) { $0.policy.enableModp1024() }
        Self.dial(&world, .android6)
        #expect(world.established.first?.suite.description == "aes256-sha256-modp1024")
        #expect(world.ready.first?.suite.description == "aes256-sha512" && world.keysAgree)
    }

    @Test(
        "the answer to a first message is never more than 1.5 times as large, and comes once", arguments: RealClient.all
    )
    func amplification(client: RealClient) {
        var world = Self.world(client, .legacy)
        world.client.start(now: world.now)
        let question = world.client.firstMessage
        world.client.outbox.removeAll()
        world.deliver(question)
        #expect(world.sent.count == 1)
        #expect((world.sent.first?.bytes.count ?? .max) * 2 <= question.count * 3)
        // Nothing is repeated unasked.
        world.client.settle()
        world.client.phase = .idle
        world.run(for: .seconds(120))
        #expect(world.sent.count == 1 && world.engine.associationCount == 0)
    }
}

extension RealClient {
    /// Whether an answered transform is one of those that were offered, byte for byte.
    func offers(transform answered: [UInt8]) -> Bool {
        guard answered.count > 8 else { return false }
        // Header of SA and proposal: 8 and 8 bytes. Each transform's first byte says whether it is the last.
        var at = 16
        let bytes = offer
        while at + 4 <= bytes.count {
            let length = Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
            if Array(bytes[(at + 2)..<(at + length)]) == Array(answered.dropFirst(2)) { return true }
            at += length
        }
        return false
    }
}
