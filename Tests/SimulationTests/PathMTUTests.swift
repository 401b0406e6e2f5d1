import ESP
import IKE
import Testing
import Wire

@testable import Gateway

@Suite("What routers say of the size of packets")
struct PathMTUTests {
    /// A router's report that an ESP packet by `index` was too large, from one gateway to the other.
    private static func report(_ index: UInt32, from side: Int, mtuBytes: UInt16) throws -> PathMTUReport {
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 100)
        batch.count = 1
        guard case .v4(let own) = GatewayPair.addresses[side], case .v4(let other) = GatewayPair.addresses[1 - side]
        else {
            throw NoReport()
        }
        batch[0].count = 8
        batch[0].store(index, at: 0)
        batch[0].store(UInt32(1), at: 4)
        batch[0].prependIPv4Header(protocolNumber: IPProtocol.esp, from: own, to: other)
        batch[0].prepend(8)
        batch[0].store(UInt32(0x0304_0000), at: 0)
        batch[0].store(UInt32(mtuBytes), at: 4)
        batch[0].store(InternetChecksum.of(batch[0].start, count: batch[0].count), at: 2)
        return try #require(PathMTUReport(batch[0], version: 4))
    }

    private struct NoReport: Error {}

    /// Whether a packet of 1300 bytes goes through in one piece; a simulated worker does not cut.
    private static func goesWhole(_ pair: GatewayPair) -> Bool {
        let before = pair.delivered[1].count
        pair.run(.seconds(1))
        pair.send(GatewayPair.packet(from: 0, serial: 9, byteCount: 1300), from: 0)
        pair.run(.seconds(1))
        return pair.delivered[1].count > before
    }

    @Test("a report that quotes an SPI of ours makes packets smaller for ten minutes; another one changes nothing")
    func learn() throws {
        let pair = try GatewayPair(GatewayPair.networks())
        pair.send(GatewayPair.packet(from: 0, serial: 1), from: 0)
        #expect(pair.run(atMost: .seconds(5)) { $0.serials(1) == [1] })
        let peer = try #require(pair.gateways[0].plane.peers.values.first)
        let index = try #require(peer.associations.first?.outbound.value)
        #expect(Self.goesWhole(pair))

        let forged = try Self.report(index &+ 1, from: 0, mtuBytes: 1000)
        pair.tell(0) { $0.receive(.tooLargeForPath(forged), now: $1) }
        #expect(Self.goesWhole(pair))
        #expect(pair.gateways[0].plane.counters[.pathMTUReportsRefused] == 1)

        let genuine = try Self.report(index, from: 0, mtuBytes: 1000)
        pair.tell(0) { $0.receive(.tooLargeForPath(genuine), now: $1) }
        #expect(!Self.goesWhole(pair))
        #expect(pair.gateways[0].plane.associations().allSatisfy { $0.pathMTU == 1000 })

        // Said again after five minutes: it counts from then.
        pair.run(.seconds(300))
        pair.tell(0) { $0.receive(.tooLargeForPath(genuine), now: $1) }
        pair.run(.seconds(400))
        #expect(!Self.goesWhole(pair))
        pair.run(.seconds(300))
        #expect(Self.goesWhole(pair))
        #expect(pair.gateways[0].plane.pathMTUsLearned.isEmpty)
    }

    @Test("what was said of the way to a peer is forgotten when it moves")
    func move() throws {
        let pair = try GatewayPair(GatewayPair.networks())
        pair.send(GatewayPair.packet(from: 0, serial: 1), from: 0)
        #expect(pair.run(atMost: .seconds(5)) { $0.serials(1) == [1] })
        let peer = try #require(pair.gateways[0].plane.peers.values.first)
        let report = try Self.report(try #require(peer.associations.first?.outbound.value), from: 0, mtuBytes: 1000)
        pair.tell(0) { $0.receive(.tooLargeForPath(report), now: $1) }
        var path = peer.path
        path.remote.port = 4501
        pair.tell(0) { $0.receive(.peerMoved(peer: peer.identifier.rawValue, path: path), now: $1) }
        #expect(pair.gateways[0].plane.peers.values.first?.pathMTUBytes == 1500)
        #expect(pair.gateways[0].plane.pathMTUsLearned.isEmpty)
    }

    @Test("nobody makes packets smaller than every host takes")
    func bound() throws {
        let pair = try GatewayPair(GatewayPair.networks())
        pair.send(GatewayPair.packet(from: 0, serial: 1), from: 0)
        #expect(pair.run(atMost: .seconds(5)) { $0.serials(1) == [1] })
        let peer = try #require(pair.gateways[0].plane.peers.values.first)
        let report = try Self.report(try #require(peer.associations.first?.outbound.value), from: 0, mtuBytes: 68)
        pair.tell(0) { $0.receive(.tooLargeForPath(report), now: $1) }
        #expect(pair.gateways[0].plane.peers.values.first?.pathMTUBytes == PathMTU.lowestIPv4)
    }
}
