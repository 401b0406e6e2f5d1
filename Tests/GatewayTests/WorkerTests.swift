import ESP
import Glibc
import IO
import Logging
import NetworkNamespaces
import Testing
import Wire

@testable import Gateway

/// Workers with sockets and a TUN interface, in a network namespace.
@Suite("Workers", .enabled(if: mayMakeNamespaces, "needs the right to make a network namespace (run as root)"))
struct WorkerTests {
    /// An ESP packet for an SA of `worker` that nobody has, as long as the others.
    private static func packet(of worker: UInt32) -> [UInt8] {
        let index = UInt32(0xab00_0000) | worker << UInt32(SecurityParameterIndex.workerShift) | 7
        return IPv4Address(index).octets + [UInt8](repeating: 1, count: 60)
    }

    @Test("a packet that the system puts together behind another worker's reaches the worker of its SA")
    func handedOver() throws {
        try inOwnNamespace {
            let netlink = try Netlink()
            try netlink.bringUp(interface: netlink.interface(named: "lo").index, mtuBytes: 65_536)
            let tunnels = try TUNDevice(name: "worker%d", queues: 2)
            let opened = try GatewayServer.openPorts(
                workerCount: 2, tunnels: tunnels, offloads: .udpCoalescing, log: Logger(label: "test"))
            let handles = opened.map { WorkerHandle(waker: $0.waker) }
            let reports = Mailbox<WorkerReport>(capacity: 16) {}
            let routes = RouteTable(try #require(IPv4Network(IPv4Address(10, 0, 0, 0), prefixLength: 24)))
            let threads = try opened.indices.map { index in
                nonisolated(unsafe) let worker = try Worker(
                    index: index, ports: opened[index].ports, handle: handles[index], reports: reports,
                    routes: routes, tunnels: .empty, endpoints: [], localAddress: IPv4Address(10, 0, 0, 1))
                return try WorkerThread(name: "worker") { worker.run() }
            }
            defer {
                handles.forEach { $0.send(.stop) }
                threads.forEach { $0.join() }
            }
            let client = try UDPSocket(port: 0, offloads: .udpSegmentation)
            let path = OuterPath(remote: Endpoint(IPv4Address(127, 0, 0, 1), IKEPort.encapsulated), local: .v4(.any))
            var packets = PacketBatch(capacity: 3, packetSizeMaximum: 100)
            for (position, bytes) in [0, 1, 1].map(Self.packet(of:)).enumerated() {
                packets[position].start.copyMemory(from: bytes, byteCount: bytes.count)
                packets[position].count = bytes.count
                packets[position].path = path
            }
            packets.count = 3
            #expect(client.send(packets) == 3)
            let deadline = SystemClock.now + .seconds(5)
            while unknown(handles[1]) < 2, SystemClock.now < deadline { sched_yield() }
            #expect(unknown(handles[0]) == 1 && unknown(handles[1]) == 2)
            #expect(handles[0].statistics.handedOverCount == 2 && handles[1].statistics.handedOverCount == 0)
        }
    }
}

/// How many packets named no SA of a worker's.
private func unknown(_ handle: WorkerHandle) -> UInt64 {
    handle.statistics.drops.first { $0.name == "esp.unknownIndex" }?.count ?? 0
}
