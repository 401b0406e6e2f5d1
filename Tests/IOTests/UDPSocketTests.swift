import Glibc
import IO
import Testing
import Wire

@Suite("UDP sockets")
struct UDPSocketTests {
    @Test("a batch goes out and comes in, each packet with its remote end and our address")
    func batchRoundTrip() throws {
        let server = try UDPSocket(port: 0)
        let client = try UDPSocket(address: .v4(loopback), port: 0)
        let destination = IPv4Address(127, 0, 0, 9)
        let path = OuterPath(remote: Endpoint(destination, server.port), local: .v4(.any))
        let contents = (0..<10).map { [UInt8](repeating: UInt8($0), count: 1 + $0 * 100) }
        #expect(client.send(batch(contents, along: path)) == 10)

        var received = PacketBatch(capacity: 16, packetSizeMaximum: 2000)
        try collect(10, from: server, into: &received)
        #expect(received.contents == contents)
        for index in 0..<received.count {
            #expect(received[index].path.local == .v4(destination))
            #expect(received[index].path.remote == Endpoint(loopback, client.port))
        }

        // And back along the same path: the answer comes from the address that was asked.
        #expect(server.send(received) == 10)
        var answers = PacketBatch(capacity: 16, packetSizeMaximum: 2000)
        try collect(10, from: client, into: &answers)
        #expect(answers.contents == contents)
        #expect(answers[0].path.remote == Endpoint(destination, server.port))
    }

    @Test("packets of one size cross together, and come out as they went in: all offloads against none")
    func offloads() throws {
        for (sending, receiving) in [(Offloads.all, .all), (.all, .none), (.none, .all)] as [(Offloads, Offloads)] {
            let server = try UDPSocket(port: 0, offloads: receiving)
            let client = try UDPSocket(address: .v4(loopback), port: 0, batchCapacity: 256, offloads: sending)
            let path = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(.any))
            // A burst with its shorter end, a longer one behind, sizes that change, and more than one message takes.
            let sizes =
                [Int](repeating: 1000, count: 30) + [300, 1400, 1400, 1, 2, 3] + [Int](repeating: 800, count: 100)
            let contents = sizes.enumerated().map { [UInt8](repeating: UInt8($0.offset), count: $0.element) }
            #expect(client.send(batch(contents, along: path)) == contents.count)
            let capacity = max(256, DatagramSocket.batchCapacityForCoalesced)
            var seen: [[UInt8]] = []
            var received = PacketBatch(capacity: capacity, packetSizeMaximum: 2000)
            while seen.count < contents.count, try isReadable(server) {
                received.reset()
                #expect(server.receive(into: &received) == received.count)
                seen += received.contents
                for index in 0..<received.count { #expect(received[index].path.remote.port == client.port) }
            }
            #expect(seen == contents)
            #expect(client.segmentationRefusal == nil)
            #expect(PacketDrop.allCases.allSatisfy { client.drops[$0] == 0 && server.drops[$0] == 0 })
        }
    }

    @Test("packets that cannot go do not hold up those before and behind them")
    func segmentsRefused() throws {
        let server = try UDPSocket(port: 0)
        let client = try UDPSocket(address: .v4(loopback), port: 0, batchCapacity: 8, offloads: .all)
        let path = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(.any))
        // Nobody has port 0.
        var nowhere = path
        nowhere.remote.port = 0
        let mixed = batch([[1, 1], [2, 2], [3, 3], [4, 4]], along: path)
        mixed[1].path = nowhere
        mixed[2].path = nowhere
        #expect(client.send(mixed) == 2)
        var received = PacketBatch(capacity: 8, packetSizeMaximum: 100)
        try collect(2, from: server, into: &received)
        #expect(received.contents == [[1, 1], [4, 4]])
        #expect(PacketDrop.allCases.reduce(0) { $0 + client.drops[$1] } == 2)
    }

    @Test("packets come behind those that the batch holds, and no more than there are slots")
    func fillsBehind() throws {
        let server = try UDPSocket(port: 0, batchCapacity: 4)
        let path = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(loopback))
        #expect(server.send(batch((0..<9).map { [$0] }, along: path)) == 9)
        var received = PacketBatch(capacity: 6, packetSizeMaximum: 100)
        #expect(try isReadable(server))
        #expect(server.receive(into: &received) <= 4)
        try collect(6, from: server, into: &received)
        #expect(server.receive(into: &received) == 0)
        #expect(received.contents == (0..<6).map { [$0] })
        received.reset()
        try collect(3, from: server, into: &received)
        #expect(server.receive(into: &received) == 0)
        #expect(received.contents == [[6], [7], [8]])
    }

    @Test("a packet that no slot holds is dropped and counted, and every slot stays in the batch once")
    func truncated() throws {
        let server = try UDPSocket(port: 0)
        let path = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(loopback))
        let long = [UInt8](repeating: 0xff, count: 101)
        let whole = [UInt8](repeating: 0xee, count: 100)
        #expect(server.send(batch([[1], long, [2], long, whole], along: path)) == 5)
        var received = PacketBatch(capacity: 8, packetSizeMaximum: 100)
        try collect(3, from: server, into: &received)
        #expect(received.contents == [[1], [2], whole])
        #expect(server.drops[.truncated] == 2)
        let starts = (0..<8).map { received[$0].start }
        #expect(Set(starts).count == 8)
    }

    @Test("what cannot be sent is counted by its reason and does not hold up what is behind it")
    func sendErrors() throws {
        let server = try UDPSocket(port: 0)
        let here = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(loopback))
        let packets = batch([[1], [2], [3], [4], [5]], along: here, packetSizeMaximum: 70_000)
        packets[0].count = 70_000
        packets[2].path.remote = Endpoint(IPv4Address(255, 255, 255, 255), 9)
        // An address that is not ours cannot be the source.
        packets[3].path.local = .v4(IPv4Address(203, 0, 113, 77))
        let sent = server.send(packets)
        #expect(sent == 2)
        #expect(server.drops[.tooLarge] == 1)
        #expect(server.drops[.forbidden] == 1)
        let total = PacketDrop.allCases.reduce(0) { $0 + server.drops[$1] }
        #expect(total == 3)
        var received = PacketBatch(capacity: 8, packetSizeMaximum: 100)
        try collect(2, from: server, into: &received)
        #expect(received.contents == [[2], [5]])
    }

    @Test("a packet larger than the outer path is fragmented")
    func fragmented() throws {
        let server = try UDPSocket(port: 0)
        let path = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(loopback))
        let large = [UInt8](repeating: 7, count: 65_507)  // The most that UDP over IPv4 carries; the path has 65,536.
        #expect(server.send(batch([large], along: path, packetSizeMaximum: 66_000)) == 1)
        var received = PacketBatch(capacity: 1, packetSizeMaximum: 66_000)
        try collect(1, from: server, into: &received)
        #expect(received.contents == [large])
    }

    @Test("single packets go out beside the batches, from the address that is named")
    func singlePackets() throws {
        let server = try UDPSocket(port: 0)
        let local = IPv4Address(127, 0, 0, 5)
        let path = OuterPath(remote: Endpoint(loopback, server.port), local: .v4(local))
        try server.sender.send([1, 2, 3], along: path)
        try server.sender.send([], along: path)
        let tooLarge = [UInt8](repeating: 0, count: 65_508)
        #expect(throws: SystemError.self) { try server.sender.send(tooLarge, along: path) }
        var received = PacketBatch(capacity: 4, packetSizeMaximum: 100)
        try collect(2, from: server, into: &received)
        #expect(received.contents == [[1, 2, 3], []])
        #expect(received[0].path.remote == Endpoint(local, server.port))
    }

    @Test("IPv6 packets carry their addresses, too")
    func version6() throws {
        let loopback6 = IPv6Address(high: 0, low: 1)
        // Without IPv6 on this machine there is nothing to show.
        guard let server = try? UDPSocket(address: .v6(loopback6), port: 0) else { return }
        let path = OuterPath(remote: Endpoint(address: .v6(loopback6), port: server.port), local: .v6(loopback6))
        #expect(server.send(batch([[1, 2]], along: path)) == 1)
        var received = PacketBatch(capacity: 1, packetSizeMaximum: 100)
        try collect(1, from: server, into: &received)
        #expect(received[0].path == path)
    }

    @Test("the kernel gives each worker's socket the packets with its numbers")
    func steering() throws {
        let first = try UDPSocket(address: .v4(loopback), port: 0, sharingPort: true)
        let second = try UDPSocket(address: .v4(loopback), port: first.port, sharingPort: true)
        let steering = WorkerSteering(workers: 2, shift: 24, mask: 0x0f)
        try second.steer(by: steering)
        let path = OuterPath(remote: Endpoint(loopback, first.port), local: .v4(loopback))
        // No number (IKE behind a non-ESP marker), too short for one (NAT keepalive), worker 0, 1, and one there isn't.
        let zero: [[UInt8]] = [bytes(0) + [1], [0xff], bytes(0x1000_0001), bytes(0x0200_0001), bytes(0xf500_0000)]
        let one: [[UInt8]] = [bytes(0x0100_0000), bytes(0xf1ff_ffff) + [9]]
        for _ in 0..<5 {
            // From several ports, so that a hash would have spread them.
            let client = try UDPSocket(address: .v4(loopback), port: 0)
            #expect(client.send(batch(zero + one, along: path)) == 7)
        }
        var received = PacketBatch(capacity: 64, packetSizeMaximum: 100)
        try collect(25, from: first, into: &received)
        #expect(Set(received.contents) == Set(zero) && received.count == 25)
        received.reset()
        try collect(10, from: second, into: &received)
        #expect(Set(received.contents) == Set(one) && received.count == 10)
        #expect(steering.worker(of: 0xf1ff_ffff) == 1)
        #expect(steering.worker(of: 0x0200_0001) == 0)
    }

    @Test("a port that is taken is refused with its name")
    func portTaken() throws {
        let first = try UDPSocket(address: .v4(loopback), port: 0)
        let error = #expect(throws: SystemError.self) { try UDPSocket(address: .v4(loopback), port: first.port) }
        #expect(error?.number == EADDRINUSE)
        #expect(error?.description.contains("127.0.0.1:\(first.port)") == true)
    }
}
