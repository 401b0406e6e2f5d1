import L2TP
import Synchronization
import Testing
import Wire

@testable import Gateway

@Suite("The packet path, in clear")
struct PacketPathClearTests {
    /// A SCCRQ as far as the worker reads it: a control header with Tunnel ID 0, and something behind it.
    private static let request: [UInt8] =
        [0xc8, 2] + be16(20) + [UInt8](repeating: 0, count: 8) + [0, 0, 0, 0, 0, 0, 0, 1]
    private static let elsewhere = OuterPath(
        remote: Endpoint(IPv4Address(203, 0, 113, 99), 1701), local: PathBench.path.local)

    /// A worker with a peer in clear, at `PathBench.path`, that has a session in its network phase.
    private func bench() throws -> PathBench { try PathBench(encapsulation: .clear) }

    @Test("an IP packet of a peer in clear goes in, and one to it leaves from UDP 1701 as L2TP and nothing else")
    func bothWays() throws {
        let bench = try bench()
        let inner = innerPacket()
        let outcome = bench.receiveClear([PathBench.data(PathBench.frame(inner))])
        #expect(outcome.map(\.isDelivered) == [true] && outcome.first?.bytes == inner)
        let packet = innerPacket(from: PathBench.host, to: PathBench.address)
        let sent = bench.send([packet])
        guard case .sendClear? = sent.first?.disposition else {
            Issue.record("not in clear: \(sent)")
            return
        }
        #expect(sent.first?.bytes.suffix(packet.count) == packet[...])
        #expect(sent.first?.bytes.prefix(2) == [0, 2])
        #expect(bench.batch[0].path == PathBench.path)
    }

    @Test("a control message of a peer in clear is told with its name; an ESP packet to it is nothing")
    func control() throws {
        let bench = try bench()
        bench.receiveClear([[0xc8, 2] + be16(12) + be16(7) + be16(0) + be16(1) + be16(1)])
        let told = bench.packets.reports.contains { report in
            if case .control(peer: 500, remotePort: PathBench.path.remote.port, _) = report { true } else { false }
        }
        #expect(told)
    }

    @Test("data with the ids of a session is nobody's from another address or port, and where the session has SAs")
    func otherPeers() throws {
        let data = [PathBench.data(PathBench.frame(innerPacket()))]
        let clear = try bench()
        #expect(clear.receiveClear(data, path: Self.elsewhere).allSatisfy { !$0.isDelivered })
        var otherPort = PathBench.path
        otherPort.remote.port &+= 1
        #expect(clear.receiveClear(data, path: otherPort).allSatisfy { !$0.isDelivered })
        #expect(clear.packets.drops[.clearStranger] == 2)
        let secured = try PathBench()
        #expect(secured.receiveClear(data).allSatisfy { !$0.isDelivered })
        #expect(secured.packets.drops[.clearStranger] == 1 && secured.packets.reports.isEmpty)
        #expect(secured.traffic.packetsIn.load(ordering: .relaxed) == 0)
    }

    @Test("a peer in clear does not reach the sessions of another one, nor of a peer with SAs")
    func sessionsOfOthers() throws {
        let bench = try PathBench()
        bench.carryOut(.addPeer(slot: 6, identifier: 600, path: Self.elsewhere, encapsulation: .clear))
        let data = [PathBench.data(PathBench.frame(innerPacket()))]
        #expect(bench.receiveClear(data, path: Self.elsewhere).allSatisfy { !$0.isDelivered })
        #expect(bench.packets.drops[.unknownSession] == 1)
    }

    @Test("of strangers only a SCCRQ is told, and only so many in a second")
    func strangers() throws {
        let bench = try bench()
        let wrong: [[UInt8]] = [
            [], [0xc8], Array(Self.request.prefix(12)), PathBench.data([0xc0, 0x21, 1, 1]),
            [0xc8, 2] + be16(20) + be16(7) + Array(Self.request.dropFirst(6)),
            [0xc8, 3] + Array(Self.request.dropFirst(2)),
        ]
        bench.receiveClear(wrong, path: Self.elsewhere)
        #expect(bench.packets.reports.isEmpty && bench.packets.drops[.clearStranger] == UInt64(wrong.count))
        for _ in 0..<3 {
            bench.receiveClear(Array(repeating: Self.request, count: 40), path: Self.elsewhere)
        }
        #expect(bench.packets.reports.count == PacketPath.strangersMaximum)
        #expect(bench.packets.drops[.tooManyStrangers] == UInt64(120 - PacketPath.strangersMaximum))
        bench.wait(PacketPath.strangersInterval)
        bench.receiveClear([Self.request], path: Self.elsewhere)
        #expect(bench.packets.reports.count == PacketPath.strangersMaximum + 1)
    }

    @Test("a peer in clear that is gone is a stranger, and needs no keepalives while it is there")
    func gone() throws {
        let bench = try bench()
        let peer = try #require(bench.packets.peers[5])
        bench.load([PacketPath.keepalive])
        guard case .done = bench.packets.sendKeepalive(&bench.batch[0], to: peer) else {
            Issue.record("a keepalive in clear")
            return
        }
        bench.carryOut(.removePeer(slot: 5))
        #expect(bench.packets.clearPeers.isEmpty)
        bench.receiveClear([PathBench.data(PathBench.frame(innerPacket()))])
        #expect(bench.packets.drops[.clearStranger] == 1)
    }
}
