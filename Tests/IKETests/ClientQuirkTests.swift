import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("What real clients do that the RFCs do not foresee")
struct ClientQuirkTests {
    @Test(
        "Windows asks for 17/0 on its own side first, then for 17/1701",
        arguments: [ClientTests.Place.direct, .behindNAT])
    func windowsSelectors(place: ClientTests.Place) {
        for zeroSide in [0, 1] {
            var world = ClientTests.world(.windows11, .default, place)
            let usual = world.client.settings.selectors
            world.client.settings.selectors[zeroSide].replaceSubrange(2..<4, with: [0, 0])
            ClientTests.dial(&world, .windows11)
            world.client.settings.selectors = usual
            world.client.startQuickMode(id: [0, 0, 0, 2], now: world.now)
            world.run(for: .seconds(2))
            #expect(world.ready.count == 2 && world.keysAgree)
            let ports = world.ready.map { [$0.selectors?.initiator.port, $0.selectors?.responder.port] }
            #expect(ports == [zeroSide == 0 ? [0, 1701] : [1701, 0], [1701, 1701]])
            #expect(world.drops.isEmpty)
        }
    }

    @Test("Windows whose SCCRQ is not answered makes new SAs at 0, 0, 3, 7, 15 and 29 s, each Delete after the new one")
    func windowsRetries() {
        var world = ClientTests.world(.windows11, .default, .behindNAT)
        world.client.start(now: world.now)
        world.run(for: .seconds(1))
        let begin = world.now
        for (index, second) in [0, 0, 3, 7, 15, 29].enumerated() {
            world.run(for: max(.zero, (begin + .seconds(second)).since(world.now)))
            let old = world.client.children.last
            world.client.startQuickMode(id: [0, 0, 0, UInt8(index + 1)], now: world.now)
            world.run(for: .milliseconds(200))
            #expect(world.ready.count == index + 1 && world.keysAgree)
            guard let old else { continue }
            let delete = world.client.deletePayload(spis: [old.inboundSPI])
            world.deliver(world.client.informational([delete]), floated: true)
            #expect(world.engine.securityAssociationCount == 1)
        }
        #expect(world.ended == Array(repeating: .deletedByPeer, count: 5))
        world.deliver(world.client.informational([world.client.deleteIKEPayload]), floated: true)
        #expect(world.ikeEnded == [.deletedByPeer] && world.peersEnded == 0)
        #expect(world.engine.securityAssociationCount == 1 && world.drops.isEmpty)
    }

    @Test("a client that names itself in quick mode (KB818043) gets its name back, its address is that of NAT-OA")
    func named() {
        var world = ClientTests.world(.windows2000, .legacy, .behindNAT)
        ClientTests.dial(&world, .windows2000)
        #expect(world.ready.first?.selectors?.initiator.identity.description == "old-box.example.org")
        #expect(world.ready.first?.originalAddresses.initiator == .v4(IPv4Address(10, 0, 0, 2)))
        #expect(world.ready.first?.originalAddresses.responder == nil)
    }

    @Test("the bundles of AH and ESP that Windows XP offers are passed over for what stands beside them")
    func bundles() {
        var world = ClientTests.world(.windowsXP, .legacy)
        let esp = RealClient.windowsXP
        world.client.settings.quickOffer = { spi, mode in
            let life = Offers.windowsQuickLife
            let header = { (number: Int, last: Bool, id: Int, transform: Int, integrity: Int) in
                proposal(
                    number: number, protocolID: id, spi: spi, last: last,
                    transforms: [(transform, Offers.phaseTwo(mode: mode, integrity: integrity, life: life))])
            }
            return securityAssociation(
                header(1, false, 2, 3, 2) + header(1, false, 3, 3, 2) + header(2, false, 2, 2, 1)
                    + header(2, false, 3, 3, 1) + header(3, false, 3, 3, 1) + header(4, true, 3, 2, 1))
        }
        ClientTests.dial(&world, esp)
        #expect(world.keysAgree && world.ready.first?.suite.description == "3des-md5")
    }

    @Test(
        "zero, one or two NAT-OA, with whatever in their reserved bytes", arguments: 0...2, [[0, 0, 0], [1, 2, 0x5a]])
    func originalAddresses(count: Int, reserved: [UInt8]) {
        for client in [RealClient.windows11, .android6, .windowsXP] {
            var world = ClientTests.world(client, .legacy, .behindNAT)
            world.client.settings.originalAddressCount = count
            world.client.settings.originalAddressReserved = reserved
            ClientTests.dial(&world, client)
            #expect(world.keysAgree && world.drops.isEmpty, "\(client)")
            let own: IPAddress? = count > 0 ? .v4(IPv4Address(10, 0, 0, 2)) : nil
            let server: IPAddress? = count > 1 ? .v4(gatewayAddress) : nil
            #expect(world.ready.first?.originalAddresses.initiator == own)
            #expect(world.ready.first?.originalAddresses.responder == server)
        }
    }

    @Test("an encapsulation for every NAT traversal and place, and no other: 2, 4, 61444; for tunnels 1, 3, 61443")
    func encapsulation() {
        for (client, udp) in [(RealClient.windows11, 4), (.windowsXP, 61444), (.tpLink, nil)] as [(RealClient, Int?)] {
            for place in [ClientTests.Place.direct, .behindNAT] {
                for mode in [0, 1, 2, 3, 4, 5, 61443, 61444] {
                    var world = ClientTests.world(client, .legacy, place)
                    world.client.settings.quickOffer = { spi, _ in client.quickOffer(spi: spi, mode: mode) }
                    ClientTests.dial(&world, client)
                    // Who speaks a draft may be found with the RFC's number, and the other way round: both are plain.
                    let isUDP = udp != nil && [3, 4, 61443, 61444].contains(mode)
                    let isWanted = place == .behindNAT && udp != nil ? isUDP : [1, 2].contains(mode) || isUDP
                    #expect(world.keysAgree == isWanted, "\(client) \(place) \(mode)")
                    #expect(world.refusals.isEmpty == isWanted)
                    let isTunnel = [1, 3, 61443].contains(mode)
                    #expect(world.ready.allSatisfy { $0.mode == (isTunnel ? .tunnel : .transport) })
                    guard !isWanted else { continue }
                    #expect(world.refusals.first?.offers.first?.attribute == .encapsulationMode)
                }
            }
        }
    }

    @Test("macOS goes to port 4500 with message 3 already, and every message has a second non-ESP marker")
    func early() {
        for marks in [false, true] {
            var world = ClientTests.world(.apple, .default, .behindNAT)
            if marks { world.cut = { $0[19] & 1 == 1 ? [[0, 0, 0, 0] + $0] : [$0] } }
            world.client.start(now: world.now)
            world.run(for: .milliseconds(5))
            world.client.hasFloated = true
            world.run(for: .seconds(2))
            #expect(world.established.first?.path.remote == world.outerFloated)
            world.client.startQuickMode(now: world.now)
            world.run(for: .seconds(2))
            #expect(world.keysAgree && world.ready.first?.encapsulation == .udp && world.drops.isEmpty)
        }
    }

    @Test("a quick mode that is sent again after its ISAKMP SA was deleted is not heard; the session lives on")
    func lateQuickMode() throws {
        var world = ClientTests.world(.apple, .default, .behindNAT)
        ClientTests.dial(&world, .apple)
        let first = try #require(world.recorded.first { $0.bytes[18] == 32 })
        world.deliver(world.client.informational([world.client.deleteIKEPayload]), floated: true)
        let sent = world.sent.count
        world.deliver(first.bytes, floated: true)
        #expect(world.engine.drops[.unknownCookies] == 1 && world.sent.count == sent)
        #expect(world.engine.securityAssociationCount == 1 && world.ended.isEmpty)
        world.outer = world.outerFloated
        world.client = TestInitiator(world.client.settings, seed: 5)
        ClientTests.dial(&world, .apple)
        #expect(world.keysAgree && world.engine.peerCount == 1 && world.ready.count == 2)
    }

    @Test("an ephemeral port, port 0 and any protocol in quick mode's ids come back as they were")
    func ports() {
        for port in [0, 1024, 54321, 65535] {
            var client = RealClient.apple
            client.ownPort = port
            var world = ClientTests.world(client, .default, .behindNAT)
            ClientTests.dial(&world, client)
            #expect(world.ready.first?.selectors?.initiator.port == UInt16(port) && world.keysAgree)
        }
        var world = ClientTests.world(.apple, .default)
        world.client.settings.selectors = [
            [1, 0, 0, 0] + allowedAddress.octets, [1, 0, 0, 0] + gatewayAddress.octets,
        ]
        ClientTests.dial(&world, .apple)
        #expect(world.ready.first?.selectors?.responder.protocolNumber == 0 && world.keysAgree)
        world.client.settings.selectors = []
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(1))
        #expect(world.ready.count == 2 && world.ready.last?.selectors == nil && world.keysAgree)
    }

    @Test("the vendor ids are the digests that their papers name")
    func digests() {
        let names: [(IKEVendorID, String)] = [
            (.natTraversal, "RFC 3947"), (.natTraversalDraft03, "draft-ietf-ipsec-nat-t-ike-03"),
            (.natTraversalDraft02n, "draft-ietf-ipsec-nat-t-ike-02\n"),
            (.natTraversalDraft02, "draft-ietf-ipsec-nat-t-ike-02"),
            (.natTraversalDraft01, "draft-ietf-ipsec-nat-t-ike-01"),
            (.natTraversalDraft00, "draft-ietf-ipsec-nat-t-ike-00"), (.natTraversalDraft, "draft-ietf-ipsec-nat-t-ike"),
            (.fragmentation, "FRAGMENTATION"), (.microsoft, "MS NT5 ISAKMPOAKLEY"), (.gssapi, "GSSAPI"),
            (.microsoftInitialContact, "Vid-Initial-Contact"), (.microsoftGeneratedAddresses, "IKE CGA version 1"),
            (.microsoftNegotiationDiscovery, "MS-Negotiation Discovery Capable"), (.strongSwan, "strongSwan"),
        ]
        for (vendorID, name) in names {
            #expect(vendorID.bytes == HashAlgorithm.md5.digest(Array(name.utf8)), "\(name)")
        }
    }

    @Test("FRAGMENTATION names phase 1 (80000000) or both (c0000000), or nothing; 40000000 is aggressive mode alone")
    func fragmentation() {
        let capabilities: [([UInt8], Bool)] = [
            ([], true), (hex("80000000"), true), (hex("c0000000"), true), (hex("40000000"), false),
        ]
        for (word, isUnderstood) in capabilities {
            var client = RealClient.networkManager
            client.vendorIDs = [Offers.natTraversal, Offers.fragmentation + word]
            var world = ClientTests.world(client, .default)
            ClientTests.dial(&world, client)
            #expect(world.keysAgree)
            #expect(world.client.answeredVendorIDs.contains { $0.starts(with: Offers.fragmentation) } == isUnderstood)
        }
    }
}
