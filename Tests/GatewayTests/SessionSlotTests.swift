import Cryptography
import ESP
import Testing
import Wire

@testable import Gateway

@Suite("A worker's slots of sessions")
struct SessionSlotTests {
    private func carryOut(_ command: WorkerCommand, _ path: inout PacketPath) {
        let isDone = path.carryOut(command)
        #expect(isDone)
    }

    private func add(_ slot: Int, to path: inout PacketPath) {
        let parameters = SessionParameters(
            identifier: UInt64(slot), peer: 0, tunnel: 1, session: UInt16(slot + 1), remoteTunnel: 1,
            remoteSession: UInt16(slot + 1), remotePort: 1701, isSequenced: false, traffic: SessionTraffic())
        carryOut(.addSession(slot: slot, parameters), &path)
    }

    /// The slots of the peer's sessions, as a packet looks through them; nil when there is no end to them.
    private func slots(of path: borrowing PacketPath) -> [Int]? {
        var found: [Int] = []
        var slot = path.peers[0]?.pointee.firstSession ?? -1
        while let session = path.sessions[slot] {
            guard found.count < 8 else { return nil }
            found.append(slot)
            slot = session.pointee.nextOfPeer
        }
        return found
    }

    @Test("a session that is put where another is takes its place, in the peer's list too")
    func replacement() throws {
        let network = try #require(IPv4Network("192.168.42.0/24"))
        var path = PacketPath(worker: 0, routes: RouteTable(network), batchCapacity: 1)
        carryOut(.addPeer(slot: 0, identifier: 1, path: .none, encapsulation: .udp), &path)
        for slot in [0, 1, 1, 0] { add(slot, to: &path) }
        #expect(slots(of: path) == [0, 1])
        carryOut(.removeSession(slot: 0), &path)
        #expect(slots(of: path) == [1])
        carryOut(.removeSession(slot: 1), &path)
        #expect(slots(of: path) == [])
    }
}
