import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("The offers of real clients")
struct ClientTests {
    private static func windows() -> TestInitiator.Settings {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.windows
        settings.vendorIDs = Offers.windowsVendorIDs
        settings.identity = [1, 0, 0, 0, 192, 0, 2, 7]
        settings.quickOffer = { Offers.windowsQuick(spi: $0, mode: $1) }
        return settings
    }

    @Test("Windows 10 and 11: the first packet has its 408 bytes, AES-256 with ECP-384 is chosen, message ids count up")
    func windows11() {
        var world = World(settings: Self.windows())
        world.translate()
        world.client.settings.identity = [1, 0, 0, 0, 10, 0, 0, 2]
        world.client.start(now: world.now)
        #expect(world.client.firstMessage.count == 408)
        world.run(for: .seconds(2))
        #expect(world.established.first?.suite == PhaseOneSuite(cipher: .aes256, hash: .sha1, group: .ecp384))
        // Transform 1, its own bytes: life in four bytes as it came.
        #expect(
            world.client.answeredTransform
                == transform(
                    number: 1, id: 1, last: true, Offers.phaseOne(7, 256, 2, 20, life: Offers.windowsLife)))
        #expect(world.client.answeredVendorIDs == [Offers.natTraversal, Offers.fragmentation])
        world.client.startQuickMode(id: [0, 0, 0, 1], now: world.now)
        world.run(for: .seconds(2))
        #expect(world.keysAgree)
        #expect(world.ready.first?.suite == ESPNegotiatedSuite(cipher: .aesCBC(keyBits: 256), integrity: .hmacSHA1))
        #expect(world.ready.first?.lifetimeSeconds == 3600)
        #expect(world.ready.first?.lifetimeKilobytes == 250_000)
        #expect(world.ready.first?.encapsulation == .udp)
        world.client.startQuickMode(id: [0, 0, 0, 2], now: world.now)
        world.run(for: .seconds(2))
        #expect(world.ready.count == 2)
        #expect(world.drops.isEmpty)
    }

    @Test("Windows before a gateway behind a NAT gets its own hash back and believes that only it is translated")
    func windowsBeforeTranslatedGateway() {
        var world = World(settings: Self.windows())
        world.gateway = IPv4Address(172, 17, 0, 2)
        world.dialIn()
        #expect(world.client.believesOwnNAT && !world.client.believesServerNAT)
        #expect(world.established.first?.nat?.local == true)
        #expect(world.ready.first?.encapsulation == .udp)
        #expect(world.keysAgree)
        // Our address is the one that it knows.
        #expect(world.client.children.first?.originalAddresses.last == gatewayAddress.octets)
    }

    @Test("with the switch off, or for another client, a gateway behind a NAT says so")
    func honest() {
        var world = World(settings: Self.windows()) { $0.hidesOwnNATFromWindows = false }
        world.gateway = IPv4Address(172, 17, 0, 2)
        world.dialIn()
        #expect(world.client.believesServerNAT)
        var other = World()
        other.gateway = IPv4Address(172, 17, 0, 2)
        other.dialIn()
        #expect(other.client.believesServerNAT)
        #expect(other.keysAgree)
    }

    @Test("Windows XP: draft-02 with a line end, its payload numbers and encapsulation, in the legacy profile")
    func windowsXP() {
        var settings = Self.windows()
        settings.offer = Offers.windowsXP
        settings.vendorIDs = Offers.windowsXPVendorIDs
        settings.usesDraftNumbers = true
        settings.originalAddressCount = 1
        settings.quickOffer = { spi, mode in
            let life = Offers.windowsQuickLife
            return securityAssociation(
                proposal(
                    number: 1, protocolID: 3, spi: spi, last: true,
                    transforms: [1, 2].map { (3, Offers.phaseTwo(mode: mode, integrity: $0, life: life)) }))
        }
        var world = World(profile: .legacy, settings: settings)
        world.translate()
        world.dialIn()
        #expect(world.established.first?.suite == PhaseOneSuite(cipher: .tripleDES, hash: .sha1, group: .modp2048))
        #expect(world.client.answeredVendorIDs == [Offers.draft02n, Offers.fragmentation])
        #expect(world.keysAgree)
        #expect(world.ready.first?.encapsulation == .udp)
        #expect(world.ready.first?.suite == ESPNegotiatedSuite(cipher: .tripleDES, integrity: .hmacSHA1))
        #expect(world.client.children.first?.originalAddresses.count == 2)

        var refused = World(settings: settings)
        refused.dialIn()
        #expect(refused.refusals.first?.offers.first?.attribute == .encryption)
    }

    @Test("Windows 2000 behind a NAT without NAT traversal: transport mode as it is, names as quick-mode ids")
    func windows2000() {
        var settings = Self.windows()
        settings.offer = Offers.windowsXP
        settings.vendorIDs = [hex("1e2b516905991c7d7c96fcbfb587e46100000002")]
        settings.natTraversal = false
        settings.selectors = [[2, 17, 6, 165] + Array("old-box".utf8), [1, 17, 6, 165, 198, 51, 100, 1]]
        var world = World(profile: .legacy, settings: settings)
        world.translate(port: 500)
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.established.first?.nat == nil)
        #expect(world.ready.first?.encapsulation == IPsecEncapsulation.none)
        #expect(world.ready.first?.selectors?.initiator.identity.description == "old-box")
    }

    @Test("macOS and iOS: fourteen transforms, an ephemeral port, DPD and fragmentation vendor ids")
    func apple() {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.apple
        settings.vendorIDs = Offers.appleVendorIDs
        settings.sendsInitialContact = true
        settings.selectors = [[1, 17, 0xd4, 0x31, 10, 0, 0, 2], [1, 17, 6, 165, 198, 51, 100, 1]]
        settings.quickOffer = { Offers.racoonQuick(spi: $0, mode: $1) }
        var world = World(settings: settings)
        world.translate()
        world.dialIn()
        #expect(world.established.first?.suite == PhaseOneSuite(cipher: .aes256, hash: .sha256, group: .modp2048))
        #expect(
            world.client.answeredVendorIDs == [
                Offers.natTraversal, Offers.deadPeerDetection, Offers.fragmentation + hex("80000000"),
            ])
        #expect(world.keysAgree)
        #expect(world.initialContacts == 1)
        #expect(world.ready.first?.selectors?.initiator.port == 0xd431)
        #expect(world.ready.first?.suite.description == "aes256-sha1")
    }

    @Test("Android 9: group 2 only, refused with its reason by default, accepted with legacy or with group 2 alone")
    func android() {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.android
        settings.vendorIDs = Offers.androidVendorIDs
        settings.selectors = [[1, 17, 0, 0, 10, 0, 0, 2], [1, 17, 6, 165, 198, 51, 100, 1]]
        settings.quickOffer = { Offers.racoonQuick(spi: $0, mode: $1, integrities: [7, 5, 2, 1]) }
        var refused = World(settings: settings)
        refused.dialIn()
        #expect(refused.client.clearNotifications == [14, 14, 14])
        #expect(refused.refusals.map(\.reason) == [.noProposalChosen])
        #expect(refused.refusals.first?.offers.first?.attribute == .group)
        #expect(refused.refusals.first?.offers.first?.description == "1.1 aes256-sha384-modp1024: group")
        #expect(refused.engine.associationCount == 0)

        for profile in [IKEProfile.legacy, .default] {
            var world = World(profile: profile, settings: settings) { $0.policy.enableModp1024() }
            world.translate()
            world.dialIn()
            #expect(world.established.first?.suite == PhaseOneSuite(cipher: .aes256, hash: .sha256, group: .modp1024))
            #expect(world.keysAgree)
            #expect(world.ready.first?.suite.description == "aes256-sha256")
            #expect(world.ready.first?.selectors?.initiator.port == 0)
        }
    }

    @Test("strongSwan, ChromeOS and NetworkManager in the default profile")
    func others() {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.chromeOS
        var world = World(settings: settings)
        world.dialIn()
        #expect(world.established.first?.suite == PhaseOneSuite(cipher: .aes128, hash: .sha256, group: .modp3072))
        #expect(world.keysAgree)
        #expect(
            world.client.answeredVendorIDs == [
                Offers.natTraversal, Offers.deadPeerDetection, Offers.fragmentation + hex("80000000"),
            ])
    }

    @Test("a cheap router in the legacy profile, refused by default")
    func cheapRouter() {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.cheapRouter
        settings.vendorIDs = []
        settings.natTraversal = false
        var world = World(profile: .legacy, settings: settings)
        world.dialIn()
        #expect(world.established.first?.suite == PhaseOneSuite(cipher: .tripleDES, hash: .sha1, group: .modp1024))
        #expect(world.client.answeredVendorIDs.isEmpty)
        var refused = World(settings: settings)
        refused.dialIn()
        #expect(refused.refusals.count == 1)
        #expect(refused.client.phase == .sentOffer)
    }

    @Test("the answer to a first message is never more than 1.5 times as large")
    func amplification() {
        for (offer, vendorIDs) in [
            (Offers.windows, Offers.windowsVendorIDs), (Offers.strongSwan, Offers.strongSwanVendorIDs),
            (Offers.strongSwan, []), (Offers.apple, Offers.appleVendorIDs),
        ] {
            var settings = TestInitiator.Settings()
            settings.offer = offer
            settings.vendorIDs = vendorIDs
            var world = World(settings: settings)
            world.client.start(now: world.now)
            let question = world.client.firstMessage
            world.deliver(question)
            #expect(world.sent.count == 1)
            #expect((world.sent.first?.bytes.count ?? .max) * 2 <= question.count * 3)
            // Nothing is repeated unasked.
            world.client.outbox.removeAll()
            world.client.settle()
            world.client.phase = .idle
            world.run(for: .seconds(120))
            #expect(world.sent.count == 1)
            #expect(world.engine.associationCount == 0)
        }
    }
}
