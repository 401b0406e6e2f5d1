import Testing
import Wire

@testable import Gateway

@Suite("Networks behind two gateways")
struct LanToLanTests {
    @Test(
        "the first packet brings the tunnel up, from either side, and is not lost", arguments: [0, 1], [false, true])
    func onDemand(side: Int, isIPv6: Bool) throws {
        let pair = try GatewayPair(GatewayPair.networks())
        #expect(pair.gateways.allSatisfy { $0.networks.count == 2 })
        pair.send(GatewayPair.packet(from: side, serial: 1, isIPv6: isIPv6), from: side)
        #expect(pair.run(atMost: .seconds(5)) { $0.serials(1 - side) == [1] })
        pair.send(GatewayPair.packet(from: 1 - side, serial: 2, isIPv6: isIPv6), from: 1 - side)
        #expect(pair.run(atMost: .seconds(1)) { $0.serials(side) == [2] })
        #expect(pair.gateways.allSatisfy { $0.plane.configuredTunnels[0].peer != nil })
        // Nobody hangs up whom no L2TP comes from.
        pair.run(.seconds(300))
        #expect(pair.gateways.allSatisfy { $0.plane.peers.count == 1 && $0.plane.counters[.dialInsRefused] == 0 })
    }
}
