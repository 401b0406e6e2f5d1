import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Quirks of peers, and what they are told")
struct QuirkTests {
    /// A message of a phase-2 exchange, as the client would write it.
    private func phaseTwo(
        _ client: inout TestInitiator, exchange: Int, id: [UInt8], _ payloads: [(type: Int, body: [UInt8])]
    ) -> [UInt8] {
        var bytes = client.informational(payloads, id: id)
        bytes[18] = UInt8(exchange)
        return bytes
    }

    private func connected(_ settings: TestInitiator.Settings = .init()) -> World {
        var world = World(settings: settings)
        world.dialIn()
        #expect(world.keysAgree)
        return world
    }

    @Test("new group mode and transactions: a proven peer is told by proof, at a rate; anybody else hears nothing")
    func otherExchanges() {
        for exchange in [33, 6] {
            var world = connected()
            let payload =
                exchange == 33 ? (type: 1, body: Offers.strongSwan) : (type: 14, body: [1, 0, 0, 1, 0, 0, 0, 0])
            let bytes = phaseTwo(&world.client, exchange: exchange, id: [1, 2, 3, 4], [payload])
            var forged = bytes
            forged[forged.count - 1] ^= 1
            let sent = world.sent.count
            world.deliver(forged)
            #expect(world.sent.count == sent)
            world.deliver(bytes)
            world.run(for: .seconds(1))
            #expect(world.client.notifications == [29])
            #expect(world.engine.drops[.unsupportedExchange] == 1)
            for _ in 0..<200 { world.deliver(bytes) }
            #expect(world.engine.drops[.notifyRateLimited] > 0)
            #expect(world.engine.associationCount == 1)
        }
    }

    @Test("an unknown SPI: its peer is told, at a rate, that it is invalid and deleted; a stranger hears nothing")
    func unknownSPI() {
        var world = connected()
        var generator = SplitMix(state: 1)
        for port in [500, 0] as [UInt16] {
            world.engine.noteUnknownSPI(
                0xdead_beef, of: .encapsulatingSecurityPayload, from: Endpoint(allowedAddress, port), now: world.now,
                using: &generator)
        }
        world.settle()
        world.run(for: .seconds(1))
        #expect(world.client.notifications == [11, 11])
        #expect(world.client.deleted == [[0xde, 0xad, 0xbe, 0xef], [0xde, 0xad, 0xbe, 0xef]])
        let sent = world.sent.count
        world.engine.noteUnknownSPI(
            5000, of: .encapsulatingSecurityPayload, from: Endpoint(IPv4Address(203, 0, 113, 1), 4500), now: world.now,
            using: &generator)
        world.settle()
        #expect(world.sent.count == sent && world.engine.drops[.unknownSPI] == 1)
        for _ in 0..<100 {
            world.engine.noteUnknownSPI(
                5000, of: .encapsulatingSecurityPayload, from: Endpoint(allowedAddress, 500), now: world.now,
                using: &generator)
        }
        world.settle()
        #expect(world.sent.count <= sent + 20)
    }

    @Test("Windows' fourth quick-mode message, CONNECTED after a commit bit, changes nothing")
    func fourthMessage() throws {
        var pair = Pair()
        pair.connect()
        let id = try #require(pair.sides[0].requests.first?.id)
        let association = try #require(pair.sides[0].engine.associations[id.cookie])
        let keys = try #require(association.established).keys
        let notification = NotificationPayload(
            protocolID: 3, type: IKENotification(rawValue: 16384),
            securityParameterIndex: [0, 0, 16, 1])
        let payloads = [Payload(type: .notification, body: notification.body)]
        let hash = keys.messageHash(id.messageID.octets, MessageWriter.chain(payloads))
        let body = try keys.encrypt(
            MessageWriter.chain([Payload(type: .hash, body: hash)] + payloads), iv: [UInt8](repeating: 1, count: 16))
        let bytes = MessageWriter.message(
            Header(
                cookies: association.cookies, exchange: .quickMode, flags: [.encryption, .commit],
                messageID: id.messageID), first: .hash, body: body)
        var generator = SplitMix(state: 1)
        let path = association.path
        pair.sides[0].engine.receive(
            bytes.span.bytes, from: path.remote, to: path.local, now: pair.now, using: &generator)
        pair.run(for: .seconds(5))
        #expect(pair.isMirrored && pair.sides[0].inbound.count == 1)
        let drops = pair.sides[0].engine.drops
        #expect(drops[.obsoleteRequest] == 1 || drops[.repeatedMessageID] == 1)
    }

    @Test("explicit lists for a network go before the configuration's, the longest prefix first")
    func rules() throws {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.cheapRouter
        settings.quickOffer = { Offers.racoonQuick(spi: $0, mode: $1) }
        let inside = try #require(AddressRange(.v4(allowedAddress), prefixLength: 24))
        let narrow = try #require(AddressRange(.v4(allowedAddress), prefixLength: 32))
        var old = IKEPolicy(.default)
        old.phaseOne = PhaseOneAlgorithms(ciphers: [.tripleDES], hashes: [.md5], groups: [.modp1024])
        old.phaseTwo = PhaseTwoAlgorithms(ciphers: [.tripleDES], integrities: [.hmacMD5])
        let legacy = IKERule("old", networks: [inside], policy: old)
        var world = World(settings: settings) { $0.rules = [legacy] }
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.established.first?.suite.description.contains("md5") == true)
        #expect(world.ready.first?.suite.description == "3des-md5")
        let modern = IKERule("new", networks: [narrow], policy: IKEPolicy(.modern))
        var refused = World(settings: settings) { $0.rules = [legacy, modern] }
        refused.dialIn()
        #expect(refused.refusals.map(\.reason) == [.noProposalChosen])
    }

    @Test(
        "dead peer detection: a silent peer is asked and answers; one that is gone is reported once, and nothing ends")
    func deadPeer() {
        var pair = Pair { configuration, side in
            if side == 0 { configuration.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(20)) }
        }
        pair.connect()
        let before = pair.messages.count
        pair.run(for: .seconds(200))
        // A question and an answer for each silence.
        #expect((16...22).contains(pair.messages.count - before))
        #expect(pair.sides[0].unresponsive == 0)
        pair.filter = { _, target in target == 0 }
        pair.run(for: .seconds(300))
        #expect(pair.sides[0].unresponsive == 1)
        #expect(pair.sides[0].inbound.count == 1 && pair.sides[0].peersEnded == 0)
        pair.filter = { _, _ in true }
        pair.quickMode()
        pair.run(for: .seconds(100))
        #expect(pair.sides[0].unresponsive == 1 && pair.sides[0].inbound.count == 2)
    }

    @Test("a peer without the vendor id of dead peer detection, as Windows is, is never asked")
    func noDeadPeerDetection() {
        var settings = TestInitiator.Settings()
        settings.vendorIDs = Offers.windowsVendorIDs
        var world = World(settings: settings) {
            $0.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(5))
        }
        world.dialIn()
        let sent = world.sent.count
        world.run(for: .seconds(300))
        #expect(world.sent.count == sent)
    }

    @Test("Android's HMAC-SHA2-256 of 96 bits, where the switch says so; our rekey offers the same again")
    func truncation() {
        var settings = TestInitiator.Settings()
        settings.quickOffer = { Offers.strongSwanQuick(spi: $0, mode: $1, combined: false) }
        for cuts in [false, true] {
            var world = World(settings: settings) { $0.policy.phaseTwo.truncatesSHA256 = cuts }
            world.dialIn()
            #expect(world.keysAgree)
            #expect(world.ready.first?.suite.payload?.integrity == (cuts ? .hmacSHA256Truncated96 : .hmacSHA256))
        }
        var pair = Pair { configuration, _ in
            configuration.policy.phaseTwo = PhaseTwoAlgorithms(
                ciphers: [.aesCBC(keyBits: 256)], integrities: [.hmacSHA256])
            configuration.policy.phaseTwo.truncatesSHA256 = true
        }
        pair.connect()
        pair.rekey(1)
        pair.run(for: .seconds(1))
        #expect(pair.isMirrored && pair.keysAgree && pair.sides[0].ready.count == 2)
        #expect(pair.sides[0].ready.allSatisfy { $0.suite.payload?.integrity == .hmacSHA256Truncated96 })
    }
}
