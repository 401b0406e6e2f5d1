import Glibc
import IO
import Testing
import Wire

@Suite("TUN interfaces and raw sockets", .enabled(if: mayMakeNamespaces, namespacesNeeded))
struct TUNTests {
    @Test("an interface of several queues is made by pattern, and a name that is taken is refused")
    func queues() throws {
        try inOwnNamespace {
            let device = try TUNDevice(name: "culvert%d", queues: 3)
            #expect(device.name == "culvert0")
            #expect(device.queueCount == 3)
            let error = #expect(throws: SystemError.self) { try TUNDevice(name: "culvert0") }
            #expect(error?.number == EBUSY)
            #expect(try TUNDevice(name: "culvert%d").name == "culvert1")
            #expect(throws: SystemError.self) { try TUNDevice(name: "a-name-of-16-byte") }
        }
    }

    @Test("a queue whose interface is down takes nothing, and counts it")
    func down() throws {
        try inOwnNamespace {
            let queue = try TUNDevice(name: "culvert0").queue(0)
            let packet = echo(type: 8, from: IPv4Address(10, 9, 0, 2), to: IPv4Address(10, 9, 0, 1), payload: [1])
            #expect(queue.send(batch([packet], along: .none)) == 0)
            #expect(queue.drops[.unreachable] == 1)
            var received = PacketBatch(capacity: 2, packetSizeMaximum: 100)
            #expect(queue.receive(into: &received) == 0)
            #expect(!queue.isGone)
        }
    }
}
