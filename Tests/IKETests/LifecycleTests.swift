import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("The life of peers and their SAs")
struct LifecycleTests {
    private func connected(_ settings: TestInitiator.Settings = .init(), translated: Bool = true) -> World {
        var world = World(settings: settings)
        if translated { world.translate() }
        world.dialIn()
        #expect(world.keysAgree)
        return world
    }

    @Test("a client that rekeys its ISAKMP SA is the same peer, and its IPsec SAs outlive the old one")
    func rekey() {
        var world = connected()
        let old = world.client
        // Behind a NAT a rekey begins on the floated port.
        world.outer = world.outerFloated
        world.client.start(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.established.count == 2)
        #expect(world.established[0].peer == world.established[1].peer)
        #expect(world.established[1].isRenewal)
        var deleter = old
        world.deliver(deleter.informational([old.deleteIKEPayload]), floated: true)
        #expect(world.ikeEnded == [.deletedByPeer])
        #expect(world.engine.securityAssociationCount == 1)
        #expect(world.ended.isEmpty && world.peersEnded == 0)
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.ready.count == 2)
        #expect(world.keysAgree)
    }

    @Test("the Delete of the only ISAKMP SA leaves the IPsec SAs; a new main mode finds the same peer")
    func deleteOfISAKMP() {
        var world = connected()
        world.deliver(world.client.informational([world.client.deleteIKEPayload]), floated: true)
        #expect(world.engine.associationCount == 0)
        #expect(world.engine.securityAssociationCount == 1)
        #expect(world.engine.peerCount == 1)
        world.outer = world.outerFloated
        world.client.start(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.established.count == 2)
        #expect(world.established[0].peer == world.established[1].peer)
    }

    @Test("two clients behind one NAT with the same identity are two peers")
    func twoBehindOneNAT() {
        var world = connected()
        world.translate(port: 40501, floated: 44501)
        world.client = TestInitiator(world.client.settings, seed: 99)
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.engine.peerCount == 2)
        #expect(world.established[0].peer != world.established[1].peer)
    }

    @Test("one Informational with two Deletes of several SPIs ends exactly the peer's own SAs")
    func deletes() {
        var world = connected()
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.engine.securityAssociationCount == 3)
        let spis = world.client.children.map(\.inboundSPI)
        let first = world.client.deletePayload(spis: [spis[0], [0xde, 0xad, 0xbe, 0xef]])
        let second = world.client.deletePayload(spis: [spis[1], spis[0]])
        world.deliver(world.client.informational([first, second]), floated: true)
        #expect(world.ended == [.deletedByPeer, .deletedByPeer])
        #expect(world.engine.securityAssociationCount == 1)
        #expect(world.engine.drops[.unknownDeletedSPI] == 2)
        #expect(world.client.deleted.isEmpty)
    }

    @Test("a peer cannot delete another peer's SAs")
    func foreignDelete() {
        var world = connected()
        let victim = world.client
        world.translate(port: 40501, floated: 44501)
        world.client = TestInitiator(world.client.settings, seed: 99)
        world.dialIn()
        let foreign = world.client.deletePayload(spis: [victim.children[0].inboundSPI])
        world.deliver(world.client.informational([foreign, victim.deleteIKEPayload]), floated: true)
        #expect(world.ended.isEmpty && world.ikeEnded.isEmpty)
        #expect(world.engine.drops[.unknownDeletedSPI] == 2)
    }

    @Test("hanging up sends a Delete for each IPsec SA, then for the ISAKMP SA")
    func hangUp() throws {
        var world = connected()
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        let peer = try #require(world.established.first?.peer)
        var generator = SplitMix(state: 5)
        world.engine.deletePeer(peer, now: world.now, using: &generator)
        world.settle()
        world.run(for: .seconds(1))
        #expect(world.client.deleted == world.client.children.map(\.outboundSPI))
        #expect(world.client.isIKEDeleted)
        #expect(world.engine.peerCount == 0)
        #expect(world.engine.associationCount == 0)
        #expect(world.engine.securityAssociationCount == 0)
        #expect(world.peersEnded == 1)
        world.run(for: .seconds(60))
        #expect(world.engine.nextDeadline == nil)
    }

    @Test("an IPsec SA's life ends with a Delete to the peer and an event; then the ISAKMP SA's")
    func expiry() {
        var world = connected()
        world.run(for: .seconds(3640))
        // Before that, the SPIs of our own rekeys, which this client leaves without an answer.
        #expect(world.ended.filter { $0 != .neverConfirmed } == [.expired])
        #expect(world.client.deleted.last == world.client.children.last?.outboundSPI)
        #expect(world.ikeEnded.isEmpty)
        world.run(for: .seconds(10800))
        #expect(world.ikeEnded == [.expired])
        #expect(world.peersEnded == 1)
        #expect(world.engine.nextDeadline == nil)
    }

    @Test("our bounds cut a longer life")
    func bounds() {
        var world = World { $0.policy.lifetimes.ipsecMaximumSeconds = 600 }
        world.dialIn()
        #expect(world.ready.first?.lifetimeSeconds == 600)
    }

    @Test("R-U-THERE is answered; an older sequence number is not; a repeated one is")
    func deadPeerDetection() {
        var world = connected()
        for (sequence, answers) in [(100, 1), (101, 2), (99, 2), (101, 3)] {
            world.deliver(world.client.informational([world.client.areYouThere(sequence)]), floated: true)
            world.run(for: .seconds(1))
            #expect(world.client.deadPeerAnswers.count == answers)
        }
        #expect(world.engine.drops[.deadPeerSequence] == 1)
        #expect(world.client.deadPeerAnswers.last == be32(101))
    }

    @Test("a client whose NAT gives it a new port goes on: quick mode there moves the peer")
    func moves() {
        var world = connected()
        let old = world.outerFloated
        world.outerFloated = Endpoint(allowedAddress, 51111)
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.keysAgree)
        #expect(world.moves.map(\.remote) == [world.outerFloated])
        #expect(world.ready.last?.path.remote == world.outerFloated)
        #expect(world.ready.first?.path.remote == old)
        #expect(world.engine.peerCount == 1)
    }

    @Test("a replayed quick mode or R-U-THERE from elsewhere moves nobody")
    func replayMovesNobody() {
        var world = connected()
        var hello = world.client.informational([world.client.areYouThere(7)])
        world.deliver(hello, floated: true)
        hello = world.client.informational([world.client.areYouThere(8)])
        world.deliver(hello, floated: true)
        let elsewhere = Endpoint(IPv4Address(203, 0, 113, 66), 4500)
        world.deliver(hello, from: elsewhere, floated: true)
        let removal = world.client.informational([world.client.deletePayload(spis: [[1, 2, 3, 4]])])
        world.deliver(removal, from: elsewhere, floated: true)
        #expect(world.moves.isEmpty)
    }

    @Test("the gateway tells of a new port that ESP showed; Deletes go there")
    func gatewayMoves() throws {
        var world = connected()
        let peer = try #require(world.established.first?.peer)
        let other = Endpoint(allowedAddress, 52222)
        world.engine.peerMoved(
            peer, to: IKEPath(local: Endpoint(gatewayAddress, 4500), remote: other), now: world.now)
        var generator = SplitMix(state: 5)
        world.engine.deletePeer(peer, now: world.now, using: &generator)
        world.settle()
        #expect(world.sent.suffix(2).allSatisfy { $0.transmit.remote == other })
    }

    @Test("a lost message 3 of quick mode: the first packet confirms, otherwise the SA ends")
    func lostConfirmation() throws {
        for usesTraffic in [true, false] {
            var world = World()
            world.client.start(now: world.now)
            world.run(for: .seconds(2))
            world.client.startQuickMode(now: world.now)
            let request = try #require(world.client.outbox.first?.bytes)
            world.client.outbox.removeAll()
            world.client.settle()
            world.deliver(request)
            world.client.settings.preSharedKey = []
            world.client.phase = .idle
            let spi = try #require(world.ready.first?.inboundSPI)
            if usesTraffic { world.engine.noteInboundTraffic(spi: spi) }
            world.run(for: .seconds(60))
            #expect(world.confirmed == (usesTraffic ? [spi] : []))
            #expect(world.ended == (usesTraffic ? [] : [.neverConfirmed]))
        }
    }

    @Test("an SPI that was accepted comes back when Diffie-Hellman is never done, or its ISAKMP SA ends before")
    func spiComesBack() {
        for deletes in [true, false] {
            var settings = TestInitiator.Settings()
            settings.quickGroup = .ecp256
            settings.quickOffer = { Offers.strongSwanQuick(spi: $0, mode: $1, combined: true, group: 19) }
            var world = World(settings: settings)
            world.client.start(now: world.now)
            world.run(for: .seconds(2))
            world.performsWork = false
            world.client.startQuickMode(now: world.now)
            world.run(for: .seconds(1))
            world.client.settle()
            #expect(world.requests.count == 1)
            if deletes { world.deliver(world.client.informational([world.client.deleteIKEPayload])) }
            world.run(for: .seconds(31))
            #expect(world.ended == [.neverConfirmed])
            #expect(world.ready.isEmpty)
        }
    }

    @Test("the gateway may decline a quick mode")
    func decline() throws {
        var world = World()
        world.acceptsQuickModes = false
        world.client.start(now: world.now)
        world.run(for: .seconds(2))
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(1))
        let request = try #require(world.requests.first)
        var generator = SplitMix(state: 5)
        world.engine.refuse(request.id, now: world.now, using: &generator)
        world.settle()
        world.run(for: .seconds(2))
        #expect(world.client.notifications.first == 14)
        #expect(world.refusals.map(\.reason) == [.declinedByGateway])
        #expect(!world.engine.accept(request.id, inboundSPI: 4096, now: world.now, using: &generator))
        world.run(for: .seconds(60))
        #expect(world.ready.isEmpty)
    }

    @Test("at the limit of ISAKMP SAs of one peer the oldest makes room")
    func associationsPerPeer() {
        var world = connected(translated: false)
        for _ in 0..<12 {
            world.client.start(now: world.now)
            world.run(for: .seconds(1))
        }
        #expect(world.engine.associationCount == 8)
        #expect(world.engine.peerCount == 1)
        #expect(world.ikeEnded.count == 5)
    }

    @Test("200 dial-ins and hang-ups leave nothing behind")
    func nothingStays() {
        var world = World()
        world.translate()
        for _ in 0..<200 {
            world.client = TestInitiator(world.client.settings, seed: UInt64(world.sent.count))
            world.dialIn(main: .milliseconds(100), quick: .milliseconds(100))
            let child = world.client.deletePayload(spis: world.client.children.map(\.inboundSPI))
            world.deliver(world.client.informational([child]), floated: true)
            world.deliver(world.client.informational([world.client.deleteIKEPayload]), floated: true)
        }
        #expect(world.established.count == 200)
        #expect(world.engine.peerCount == 0)
        #expect(world.engine.associationCount == 0)
        #expect(world.engine.securityAssociationCount == 0)
        world.run(for: .seconds(31))
        #expect(world.engine.nextDeadline == nil)
    }
}
