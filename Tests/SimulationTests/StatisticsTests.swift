import Testing
import Wire

@testable import ESP
@testable import Gateway

@Suite("Statistics add up")
struct StatisticsTests {
    private static let site = IPv4Address(203, 0, 113, 1)

    @Test(
        "to the byte, over SAs and sessions, while keys are renewed and when all have ended",
        arguments: ["", "lifetimes: {ipsecKilobytes: 60}"])
    func bytes(configuration: String) throws {
        let world = try Simulation(configuration: configuration)
        let nat = world.addSite(Self.site, isNAT: true)
        let clients = [
            world.addDirectClient(), world.addClient(nat, address: IPv4Address(10, 0, 0, 2)),
            world.addClient(nat, address: IPv4Address(10, 0, 0, 3)),
        ]
        for client in clients { world.connect(client) }
        for serial in 0..<300 {
            for client in clients {
                world.tell(client) { client, _ in
                    client.sendProbe(serial: serial, to: Simulation.host, byteCount: 300 + serial + client.index)
                }
                world.run(.milliseconds(3))
            }
        }
        // By then the gateway sends by what was made last, too.
        world.run(.seconds(7))
        let sessions = world.gateway.plane.sessions()
        #expect(sessions.count == 3)
        #expect(sessions.reduce(0) { $0 + $1.bytesIn } == UInt64(world.innerBytesOut))
        #expect(sessions.reduce(0) { $0 + $1.bytesOut } == UInt64(world.innerBytesIn))
        #expect(sessions.reduce(0) { $0 + $1.packetsIn } == 900 && sessions.reduce(0) { $0 + $1.packetsOut } == 900)
        expectBytes(world)
        let record = world.gateway.statisticsRecord()
        #expect(record.isakmp.mainModes == 3 && record.isakmp.authenticationFailures == 0)
        #expect(configuration.isEmpty ? record.isakmp.quickModes == 3 : record.isakmp.quickModes >= 9)
        // Each quick mode gives a worker two keys.
        #expect(record.ipsec.keyAdditions == 2 * record.isakmp.quickModes)
        #expect(record.drops.filter { $0.key.hasPrefix("esp.") }.isEmpty)

        for client in clients { world.tell(client) { client, now in client.hangUp(now: now) } }
        world.run(.seconds(240))
        let end = world.gateway.statisticsRecord().ipsec
        #expect(end.activeAssociations == 0 && end.keyAdditions == record.ipsec.keyAdditions)
        #expect(end.confidentialBytesReceived > record.ipsec.confidentialBytesReceived)
        #expect(end.confidentialBytesReceived == UInt64(world.codec.sealedBytes))
        #expect(end.confidentialBytesReceived == world.gateway.endedBytesReceived)
    }

    /// What the gateway says of bytes is what the clients' SAs say, and what its own SAs say.
    private func expectBytes(_ world: Simulation, _ location: SourceLocation = #_sourceLocation) {
        let ipsec = world.gateway.statisticsRecord().ipsec
        #expect(ipsec.confidentialBytesReceived == UInt64(world.codec.sealedBytes), sourceLocation: location)
        #expect(ipsec.confidentialBytesSent == UInt64(world.codec.openedBytes), sourceLocation: location)
        #expect(ipsec.confidentialBytesReceived == world.gateway.bytesReceivedBySAs, sourceLocation: location)
        #expect(ipsec.authenticatedBytesSent == 0 && ipsec.authenticatedBytesReceived == 0, sourceLocation: location)
        let associations = world.gateway.plane.peers.values.reduce(0) { $0 + $1.associations.count }
        #expect(ipsec.activeAssociations == UInt64(2 * associations), sourceLocation: location)
    }

    @Test("what is not accepted counts once, under its name, and none of its bytes")
    func refused() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.connect(client)
        var last: Datagram?
        world.tap = { if $0.isRaw, $0.to.address == Simulation.gatewayAddress { last = $0 } }
        world.expectData(client, serial: 1)
        let before = world.gateway.statisticsRecord()
        let packet = try #require(last)
        world.tap = nil
        var spoilt = packet
        spoilt.bytes[packet.bytes.count - 1] ^= 1
        // Behind the last, so that its sequence number alone would be taken.
        spoilt.bytes[7] &+= 1
        var stray = packet
        stray.bytes[3] ^= 1
        for datagram in [packet, spoilt, stray, stray] { world.send(datagram) }
        world.run(.milliseconds(200))
        let after = world.gateway.statisticsRecord()
        #expect(after.ipsec.packetsReplayed == before.ipsec.packetsReplayed + 1)
        #expect(after.ipsec.packetsNotAuthenticated == before.ipsec.packetsNotAuthenticated + 1)
        #expect(after.ipsec.badSPIPackets == before.ipsec.badSPIPackets + 2)
        #expect(after.ipsec.confidentialBytesReceived == before.ipsec.confidentialBytesReceived)
        #expect(after.drops["esp.replayed"] == 1 && after.drops["esp.notAuthentic"] == 1)
        #expect(after.drops["esp.unknownIndex"] == 2)
    }

    @Test("a wrong key in phase 1 is an authentication failure, and no main mode")
    func authenticationFailure() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        client.settings.preSharedKey = "guess"
        world.dial(client)
        world.run(.seconds(5))
        let isakmp = world.gateway.statisticsRecord().isakmp
        #expect(isakmp.authenticationFailures >= 1 && isakmp.mainModes == 0 && isakmp.quickModes == 0)
    }
}
