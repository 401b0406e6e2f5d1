import Glibc
import IO
import NetworkNamespaces
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

    @Test("a ping through the interface is answered by the system, packet by packet")
    func ping() throws {
        try inOwnNamespace {
            let (own, client) = (IPv4Address(10, 9, 0, 1), IPv4Address(10, 9, 0, 2))
            let queue = try interface(address: own).queue(0)
            let payloads = (1...3).map { [UInt8](repeating: UInt8($0), count: 400 * $0) }
            let requests = payloads.map { echo(type: 8, from: client, to: own, payload: $0) }
            #expect(queue.send(batch(requests, along: .none)) == 3)
            var received = PacketBatch(capacity: 8, packetSizeMaximum: 1400)
            let answers = try version4(3, from: queue, into: &received)
            try #require(answers.count == 3)
            for (index, answer) in answers.enumerated() {
                #expect(answer.count == 28 + payloads[index].count)
                #expect(Array(answer[12..<20]) == own.octets + client.octets)
                #expect(answer[20] == 0)
                #expect(Array(answer[28...]) == payloads[index])
            }
        }
    }

    @Test("a packet that no slot holds is counted, and a full batch leaves the rest for the next call")
    func limits() throws {
        try inOwnNamespace {
            let (own, client) = (IPv4Address(10, 9, 0, 1), IPv4Address(10, 9, 0, 2))
            let queue = try interface(address: own).queue(0)
            let payloads: [[UInt8]] = [[1], [UInt8](repeating: 2, count: 500), [3], [4]]
            let requests = payloads.map { echo(type: 8, from: client, to: own, payload: $0) }
            #expect(queue.send(batch(requests, along: .none)) == 4)
            var received = PacketBatch(capacity: 2, packetSizeMaximum: 100)
            #expect(try version4(3, from: queue, into: &received).map(\.last) == [1, 3, 4])
            #expect(queue.drops[.truncated] == 1)
        }
    }

    @Test("datagrams of one size go in as one and come out as one, and are the same: all offloads against none")
    func offloads() throws {
        for offloads in [Offloads.all, .none] {
            try inOwnNamespace {
                let (own, client) = (IPv4Address(10, 9, 0, 1), IPv4Address(10, 9, 0, 2))
                let queue = try interface(address: own, offloads: offloads).queue(0)
                let server = try UDPSocket(port: 4000, batchCapacity: 64, offloads: .all)
                let sizes = [Int](repeating: 1000, count: 20) + [77, 1200, 1200, 1]
                let contents = sizes.enumerated().map { [UInt8](repeating: UInt8($0.offset), count: $0.element) }
                let sent = contents.map { udp(from: client, to: own, payload: $0) }
                #expect(queue.send(batch(sent, along: .none)) == contents.count)
                var received = PacketBatch(
                    capacity: DatagramSocket.batchCapacityForCoalesced, packetSizeMaximum: 2000)
                var seen: [[UInt8]] = []
                while seen.count < contents.count, try isReadable(server) {
                    received.reset()
                    _ = server.receive(into: &received)
                    seen += received.contents
                }
                #expect(seen == contents)

                // Back: one message of many segments, cut by us where the interface takes it whole.
                let path = OuterPath(remote: Endpoint(client, 4000), local: .v4(own))
                #expect(server.send(batch(contents, along: path)) == contents.count)
                var answers = PacketBatch(capacity: 64, packetSizeMaximum: 2000)
                let packets = try version4(contents.count, from: queue, into: &answers)
                #expect(packets.map { Array($0.dropFirst(28)) } == contents)
                for packet in packets {
                    let pseudo = Array(packet[12..<20]) + [0, 17] + Array(packet[24..<26])
                    #expect(checksum(pseudo + Array(packet[20...])) == 0 && checksum(Array(packet[..<20])) == 0)
                }
                #expect(queue.coalescingRefusal == nil)
                #expect(PacketDrop.allCases.allSatisfy { queue.drops[$0] == 0 })
            }
        }
    }

    @Test("an interface that is taken away is noticed")
    func gone() throws {
        try inOwnNamespace {
            let device = try TUNDevice(name: "culvert0")
            let queue = device.queue(0)
            try Netlink().remove(interface: Netlink().interface(named: "culvert0").index)
            var received = PacketBatch(capacity: 2, packetSizeMaximum: 100)
            #expect(queue.receive(into: &received) == 0)
            #expect(queue.isGone)
        }
    }

    @Test("a raw socket gives the payload and both addresses, and sends with a header of the kernel's")
    func raw() throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let socket = try RawSocket(protocol: 50)
            let local = IPv4Address(127, 0, 0, 7)
            let path = OuterPath(remote: Endpoint(loopback, 0), local: .v4(local))
            let contents: [[UInt8]] = [bytes(0x1234_5678) + [1, 2, 3], [UInt8](repeating: 9, count: 3000), [1]]
            #expect(socket.send(batch(contents, along: path, packetSizeMaximum: 3000)) == 3)
            // As large as a slot: the header does not count.
            var received = PacketBatch(capacity: 4, packetSizeMaximum: 3000)
            try collect(3, from: socket, into: &received)
            #expect(received.contents == contents)
            #expect(received[0].path == OuterPath(remote: Endpoint(local, 0), local: .v4(loopback)))

            #expect(socket.send(batch([[UInt8](repeating: 8, count: 3041)], along: path, packetSizeMaximum: 4000)) == 1)
            try socket.sender.send([7], along: path)
            received.reset()
            try collect(1, from: socket, into: &received)
            #expect(received.contents == [[7]])
            #expect(socket.drops[.truncated] == 1)
        }
    }

    @Test("each worker's raw socket sees the packets with its numbers only")
    func rawSteering() throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let steering = WorkerSteering(workers: 2, shift: 28, mask: 0x0f)
            let sockets = [try RawSocket(protocol: 50), try RawSocket(protocol: 50)]
            for (worker, socket) in sockets.enumerated() { try socket.accept(only: worker, by: steering) }
            let path = OuterPath(remote: Endpoint(loopback, 0), local: .v4(loopback))
            let numbers: [UInt32] = [0x0000_0100, 0x1000_0000, 0x2000_0000, 0x1fff_ffff]
            let contents = numbers.map { bytes($0) + [0xaa] } + [[1, 2, 3]]
            #expect(try RawSocket(protocol: 50).send(batch(contents, along: path)) == 5)
            var received = PacketBatch(capacity: 8, packetSizeMaximum: 100)
            try collect(2, from: sockets[0], into: &received)
            #expect(received.contents == [contents[0], contents[2]])
            received.reset()
            try collect(2, from: sockets[1], into: &received)
            #expect(received.contents == [contents[1], contents[3]])
        }
    }

    /// Receives `count` IPv4 packets, in as many calls as it takes. Of itself, the system sends IPv6 packets, too.
    private func version4(_ count: Int, from queue: TUNQueue, into batch: inout PacketBatch) throws -> [[UInt8]] {
        var packets: [[UInt8]] = []
        let deadline = SystemClock.now + .seconds(2)
        while packets.count < count, SystemClock.now < deadline {
            batch.reset()
            if queue.receive(into: &batch) == 0 { _ = try isReadable(queue) }
            packets += batch.contents.filter { ($0.first ?? 0) >> 4 == 4 }
        }
        return packets
    }

    private func interface(address: IPv4Address, offloads: Offloads = .none) throws -> TUNDevice {
        let device = try TUNDevice(name: "culvert0", offloads: offloads)
        let netlink = try Netlink()
        let index = try netlink.interface(named: device.name).index
        try netlink.add(InterfaceAddress(interfaceIndex: index, address: .v4(address), prefixLength: 24))
        try netlink.bringUp(interface: index, mtuBytes: 1400)
        return device
    }
}

/// A new namespace's loopback interface is off.
func bringUpLoopback() throws {
    let netlink = try Netlink()
    try netlink.bringUp(interface: netlink.interface(named: "lo").index, mtuBytes: 65_536)
}
