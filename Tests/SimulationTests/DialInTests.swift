import Testing
import Wire

@testable import Gateway

@Suite("A whole gateway and clients that dial in")
struct DialInTests {
    @Test("a client dials in from its own address, and data flows both ways")
    func direct() throws {
        let world = try Simulation()
        let client = world.addDirectClient()
        world.expectLegalAlways()
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.stage == .up })
        #expect(client.link?.isServerProven == true)
        for serial in 0..<20 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
        }
        world.run(.seconds(1))
        #expect(world.requestsDelivered[client.index] == Array(0..<20))
        #expect(client.repliesReceived == Array(0..<20))
        #expect(world.forgeries == 0 && client.strangersReceived == 0)
        let record = try #require(world.gateway.plane.sessions().first)
        #expect(record.user == "user0")
        #expect(record.outerAddress == "192.0.2.1" && record.outerPort == 0)
        #expect(record.innerAddress == client.innerAddress?.description)
        #expect(record.packetsIn == 20 && record.packetsOut == 20)
        #expect(record.bytesIn == 20 * 38 && record.bytesOut == 20 * 38)
        #expect(record.authentication == "mschapv2")
        #expect(world.gateway.plane.tunnels().map(\.users) == [["user0"]])
    }

    @Test("a client dials in through a NAT, by either cipher and with short frames", arguments: [true, false])
    func translated(isCombined: Bool) throws {
        let world = try Simulation()
        let client = world.addClient(
            world.addSite(IPv4Address(203, 0, 113, 1), isNAT: true), address: IPv4Address(10, 0, 0, 2))
        client.settings.isCombined = isCombined
        client.compresses = true
        world.expectLegalAlways()
        world.dial(client)
        #expect(world.run(atMost: .seconds(5)) { _ in client.stage == .up })
        for serial in 0..<5 {
            world.tell(client) { client, _ in client.sendProbe(serial: serial, to: Simulation.host) }
        }
        world.run(.seconds(1))
        #expect(client.repliesReceived == Array(0..<5))
        #expect(world.gateway.plane.sessions().first?.outerPort == 20_001)
    }
}
