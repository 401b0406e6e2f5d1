import Cryptography
import Testing
import Wire

@testable import ESP
@testable import Gateway
@testable import IKE

@Suite("SAs that end by volume")
struct VolumeTests {
    @Test(
        "a limit of kilobytes gets successor after successor during traffic, and no packet is lost",
        arguments: [true, false], [true, false])
    func rekeys(isTranslated: Bool, isMostlyOutbound: Bool) throws {
        let world = try Simulation(configuration: "lifetimes: {ipsecKilobytes: 300}")
        let client =
            isTranslated
            ? world.addClient(
                world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
            : world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        let address = try #require(client.innerAddress)
        // 250 packets a second of 1,200 bytes: a life of 300 kB lasts one second, and a round trip takes 20 ms.
        for serial in 0..<4_000 {
            if isMostlyOutbound {
                world.inject(
                    Probe(
                        from: Simulation.host, to: address, .request, client: client.index, serial: serial,
                        byteCount: 1200
                    ).bytes)
            } else {
                world.tell(client) { client, _ in
                    client.sendProbe(serial: serial, to: Simulation.host, byteCount: 1200)
                }
            }
            world.run(.milliseconds(4))
        }
        world.run(.seconds(1))
        let received = isMostlyOutbound ? client.requestsReceived : world.requestsDelivered[client.index] ?? []
        #expect(received.sorted() == Array(0..<4_000))
        #expect(world.gateway.plane.counters[.quickModes] > 14)
        #expect(world.gateway.plane.sessions().count == 1)
        // What was replaced is deleted after its time.
        world.run(.seconds(40))
        #expect(world.gateway.statisticsRecord().ipsec.activeAssociations == 2)
        #expect(client.associations.count == 1)
    }

    @Test("where no successor comes about, a client that does not count is heard half as long again, and no longer")
    func end() throws {
        let world = try Simulation(configuration: "lifetimes: {ipsecKilobytes: 100}")
        let client = world.addDirectClient()
        world.expectLegalAlways()
        world.connect(client)
        // Quick modes of the gateway's get no answer.
        world.tell(client) { client, _ in client.settings.answersQuickMode = false }
        for serial in 0..<200 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host, byteCount: 1200) }
            world.run(.milliseconds(4))
        }
        let delivered = world.requestsDelivered[client.index] ?? []
        #expect(delivered == Array(0..<delivered.count) && (120...129).contains(delivered.count))
        // The worker uses it no more; IKE keeps it for as long as it asks for the successor that nobody answers about.
        world.run(.seconds(60))
        #expect(world.gateway.plane.ike.securityAssociationCount == 0)
        #expect(client.associations.isEmpty && client.farewells.contains(.deleteIPsec))
    }

    @Test("sequence numbers that come to their end have the SA renewed, and are never used twice")
    func sequenceNumbers() throws {
        let keys = SuiteKeys(
            encryption: SecretBytes([UInt8](repeating: 1, count: 20)), integrity: SecretBytes([UInt8]()))
        var association = try OutboundSecurityAssociation(
            index: SecurityParameterIndex(0x1_0000),
            protection: Protection(payload: .combined(.gcm(keyLength: 16, checkLength: 16))),
            keys: ProtectionKeys(payload: keys))
        var random = RandomBlock()
        let last = OutboundSecurityAssociation.softPackets
        let steps: [(before: UInt32, isNotice: Bool)] = [(last - 2, false), (last - 1, true), (last, false)]
        for step in steps {
            let batch = PacketBatch(capacity: 1, packetSizeMaximum: 100)
            batch[0].count = 10
            association.sequence = UInt64(step.before)
            #expect(association.seal(&batch[0], nextHeader: 17, random: &random) == nil)
            #expect(association.isNoticeDue == step.isNotice)
        }
        let batch = PacketBatch(capacity: 1, packetSizeMaximum: 100)
        association.sequence = UInt64(UInt32.max)
        #expect(association.seal(&batch[0], nextHeader: 17, random: &random) == .sequenceExhausted)

        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        let peer = try #require(world.gateway.plane.peers.values.first)
        let pair = try #require(peer.current)
        var traffic = Traffic()
        traffic.packets = UInt64(last)
        world.tellGateway { gateway, now in
            gateway.plane.receive(
                .limitReached(peer: peer.identifier.rawValue, .outbound(pair.outbound), traffic), now: now)
            gateway.carryOut(now: now)
        }
        world.run(.seconds(1))
        #expect(world.gateway.plane.counters[.quickModes] == 2)
        world.expectData(client, serial: 1)
    }

    @Test("a lost first attempt at a successor is made up for before the limit, with a link at its full speed")
    func lostAttempt() throws {
        let world = try Simulation(configuration: "lifetimes: {ipsecKilobytes: 2000}")
        let client = world.addDirectClient()
        world.connect(client)
        var (lost, serial) = (0, 0)
        // The gateway's first message of each quick mode is lost once.
        var seen: Set<[UInt8]> = []
        world.tamper = { datagram in
            guard datagram.from.port == 500, datagram.bytes.count > 28, datagram.bytes[18] == 32,
                seen.insert(Array(datagram.bytes[20..<24])).inserted, serial > 0
            else { return false }
            lost += 1
            return true
        }
        while serial < 4000 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host, byteCount: 1200) }
            serial += 1
            world.run(.milliseconds(2))
        }
        world.run(.seconds(1))
        #expect(world.requestsDelivered[client.index]?.sorted() == Array(0..<serial))
        #expect(lost >= 2 && world.gateway.plane.counters[.quickModes] > 3)
    }
}
