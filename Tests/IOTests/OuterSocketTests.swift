import CLinux
import Glibc
import NetworkNamespaces
import Testing
import Wire

@testable import IO

private let loopback6 = IPv6Address(high: 0, low: 1)

/// Makes sockets and packets of AH and ESP of both versions in a namespace that has only a loopback interface.
@Suite("Outer sockets of both IP versions", .enabled(if: mayMakeNamespaces, namespacesNeeded))
struct OuterSocketTests {
    private static let path4 = OuterPath(remote: Endpoint(loopback, 0), local: .v4(IPv4Address(127, 0, 0, 7)))
    private static let path6 = OuterPath(remote: Endpoint(address: .v6(loopback6), port: 0), local: .v6(loopback6))

    private static func path(_ version: UInt8) -> OuterPath { version == 6 ? path6 : path4 }

    @Test("a raw socket of IPv6 gives payload and addresses, and sees the packets with its worker's numbers only")
    func raw6() throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let steering = WorkerSteering(workers: 2, shift: 28, mask: 0x0f, offset: 4)
            let sockets = try (0..<2).map { _ in try RawSocket(protocol: 51, version: 6) }
            for (worker, socket) in sockets.enumerated() { try socket.accept(only: worker, by: steering) }
            let contents = [0x0000_0001, 0x1000_0000, 0x2000_0000].map { [4, 4, 0, 0] + bytes($0) + [0xaa] }
            #expect(try RawSocket(protocol: 51, version: 6).send(batch(contents + [[1, 2]], along: Self.path6)) == 4)
            var received = PacketBatch(capacity: 8, packetSizeMaximum: 100)
            try collect(2, from: sockets[0], into: &received)
            #expect(received.contents == [contents[0], contents[2]])
            #expect(received[0].path == Self.path6 && received[0].outer == OuterFields())
            received.reset()
            try collect(1, from: sockets[1], into: &received)
            #expect(received.contents == [contents[1]])
        }
    }

    @Test("AH comes with its IPv4 header as it was sent, and in IPv6 without", arguments: [4, 6] as [UInt8])
    func keptHeader(version: UInt8) throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let socket = try RawSocket(protocol: 51, version: version, keepsHeader: true)
            let sender = try PacketSocket(version: version)
            let payload: [UInt8] = [17, 4, 0, 0] + bytes(0x1234_5678) + [UInt8](repeating: 7, count: 40)
            let outgoing = batch([payload], along: Self.path(version))
            outgoing[0].outer.trafficClass = 0xb9
            outgoing[0].outer.doNotFragment = true
            outgoing[0].prependHeader(51, identification: 0x4321)
            let sent = outgoing.contents[0]
            #expect(sender.stage(outgoing[0]) == 0)
            #expect(sender.flush() == 1)
            var received = PacketBatch(capacity: 2, packetSizeMaximum: 200)
            try collect(1, from: socket, into: &received)
            #expect(received.contents == [payload])
            let length = Int(received[0].outer.headerLength)
            #expect(length == (version == 6 ? 0 : 20) && received[0].outer.trafficClass == 0xb9)
            let header = Array(UnsafeRawBufferPointer(start: received[0].start - length, count: length))
            #expect(header == Array(sent.prefix(length)))
            #expect(received[0].path.remote == Endpoint(address: Self.path(version).local, port: 0))
        }
    }

    @Test("what AH has made is cut where the interface takes less and it may be, and refused where it may not")
    func cut() throws {
        for version: UInt8 in [4, 6] {
            try inOwnNamespace {
                let netlink = try Netlink()
                try netlink.bringUp(interface: netlink.interface(named: "lo").index, mtuBytes: 1500)
                let socket = try RawSocket(protocol: 51, version: version, keepsHeader: true)
                let sender = try PacketSocket(version: version)
                let payload = [17, 4, 0, 0] + bytes(0x1234_5678) + [UInt8](repeating: 7, count: 3000)
                let outgoing = batch([payload, payload], along: Self.path(version), packetSizeMaximum: 3100)
                outgoing[1].outer.doNotFragment = true
                for index in 0..<2 {
                    outgoing[index].prependHeader(51, identification: 77)
                    _ = sender.stage(outgoing[index])
                }
                // IPv6 has no bit that forbids us to cut what we originate.
                #expect(sender.flush() == (version == 6 ? 2 : 1))
                #expect(sender.drops[.tooLarge] == (version == 6 ? 0 : 1))
                var received = PacketBatch(capacity: 4, packetSizeMaximum: 4000)
                try collect(version == 6 ? 2 : 1, from: socket, into: &received)
                #expect(received.contents.allSatisfy { $0 == payload })
            }
        }
    }

    @Test(
        "DSCP and ECN go out and come in, in UDP and as a protocol of their own; 0 is 0", arguments: [4, 6] as [UInt8])
    func trafficClass(version: UInt8) throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let any: IPAddress = version == 6 ? .v6(.any) : .v4(.any)
            let udp = try UDPSocket(address: any, port: 4500)
            let esp = try RawSocket(protocol: 50, version: version)
            for (socket, port) in [(udp, 4500), (esp, 0)] as [(DatagramSocket, UInt16)] {
                var path = Self.path(version)
                path.remote.port = port
                let outgoing = batch([[1], [2], [3]], along: path)
                for (index, value) in [0, 0xb9, 0x03].enumerated() { outgoing[index].outer.trafficClass = UInt8(value) }
                #expect(socket.send(outgoing) == 3)
                var received = PacketBatch(capacity: 4, packetSizeMaximum: 100)
                try collect(3, from: socket, into: &received)
                #expect((0..<3).map { received[$0].outer.trafficClass } == [0, 0xb9, 0x03])
            }
        }
    }

    @Test("UDP packets that must not be cut go together from the port that others receive at, and never come in here")
    func unfragmented() throws {
        try inOwnNamespace {
            let netlink = try Netlink()
            try netlink.bringUp(interface: netlink.interface(named: "lo").index, mtuBytes: 1500)
            let workers = try (0..<2).map { _ in try UDPSocket(port: 4500, sharingPort: true) }
            try workers[0].steer(by: WorkerSteering(workers: 2, shift: 28, mask: 0x0f))
            let sender = try UDPSocket.unfragmented(port: 4500, offloads: .udpSegmentation)
            let heard = try RawSocket(protocol: 17, keepsHeader: true)
            var path = Self.path4
            path.remote.port = 4500
            let numbers: [UInt32] = [0, 0x1000_0000, 0x2000_0000]
            let contents = numbers.map { bytes($0) + [UInt8](repeating: 5, count: 1000) }
            for content in contents {
                #expect(sender.send(batch([content], along: path, packetSizeMaximum: 1500)) == 1)
            }
            let tooLarge = [UInt8](repeating: 0, count: 1473)
            #expect(sender.send(batch([tooLarge], along: path, packetSizeMaximum: 1500)) == 0)
            #expect(sender.drops[.tooLarge] == 1)
            var received = PacketBatch(capacity: 8, packetSizeMaximum: 1500)
            try collect(2, from: workers[0], into: &received)
            #expect(received.contents == [contents[0], contents[2]] && received[0].path.remote.port == 4500)
            received.reset()
            try collect(1, from: workers[1], into: &received)
            #expect(received.contents == [contents[1]])
            received.reset()
            #expect(sender.receive(into: &received) == 0)
            try collect(3, from: heard, into: &received)
            let word = (received[0].start - Int(received[0].outer.headerLength) + 6).load(as: UInt16.self)
            #expect(UInt16(bigEndian: word) & 0x4000 != 0)
            let together = batch(contents, along: path, packetSizeMaximum: 1500)
            #expect(sender.send(together) == 3 && sender.segmentationRefusal == nil)
            received.reset()
            try collect(3, from: workers[0], into: &received)
        }
    }

    @Test("a UDP packet of ours with a header of its own, which says that it must not be cut, is a UDP packet")
    func ownHeader() throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let udp = try UDPSocket(port: 4500)
            let sender = try PacketSocket(version: 4)
            var path = Self.path4
            path.remote.port = 4500
            let outgoing = batch([[9, 8, 7]], along: path)
            outgoing[0].outer.doNotFragment = true
            outgoing[0].outer.trafficClass = 2
            outgoing[0].prependUDPHeader(from: 4500)
            outgoing[0].prependHeader(17)
            #expect(sender.stage(outgoing[0]) + sender.flush() == 1)
            var received = PacketBatch(capacity: 1, packetSizeMaximum: 100)
            try collect(1, from: udp, into: &received)
            #expect(received.contents == [[9, 8, 7]])
            #expect(received[0].path.remote == Endpoint(IPv4Address(127, 0, 0, 7), 4500))
            #expect(received[0].outer.trafficClass == 2)
        }
    }

    @Test("UDP of IPv6 that must not be cut is refused where it does not fit; the rest is cut by the system")
    func doNotFragment6() throws {
        try inOwnNamespace {
            let netlink = try Netlink()
            try netlink.bringUp(interface: netlink.interface(named: "lo").index, mtuBytes: 1500)
            let socket = try UDPSocket(address: .v6(.any), port: 4500)
            var path = Self.path6
            path.remote.port = 4500
            let large = [UInt8](repeating: 1, count: 2000)
            let outgoing = batch([large, large, [2]], along: path, packetSizeMaximum: 2000)
            outgoing[1].outer.doNotFragment = true
            #expect(socket.send(outgoing) == 2)
            #expect(socket.drops[.tooLarge] == 1)
            var received = PacketBatch(capacity: 4, packetSizeMaximum: 3000)
            try collect(2, from: socket, into: &received)
            #expect((0..<2).map { received[$0].count } == [2000, 1])
        }
    }

    @Test("reports of routers come with the path, the SPI and the size; other ICMP messages do not")
    func pathMTU() throws {
        try inOwnNamespace {
            try bringUpLoopback()
            let reports = try PathMTUSocket(version: 4)
            let sender = try RawSocket(protocol: 1)
            let quoted = batch([bytes(0x1122_3344) + bytes(1)], along: Self.path4)
            quoted[0].prependHeader(50)
            let answer = batch([[]], along: .none)
            let header = try #require(IPv4Header(quoted[0]))
            ICMPError.tooLarge(mtuBytes: 1300).write(about: quoted[0], header, from: loopback, into: &answer[0])
            let message = Array(answer.contents[0].dropFirst(20))
            var broken = message
            broken[7] ^= 1
            var path = Self.path4
            path.local = .v4(loopback)
            #expect(sender.send(batch([[8, 0, 0xf7, 0xff, 0, 0, 0, 0], broken, message], along: path)) == 3)
            #expect(try isReadable(reports))
            var found: [PathMTUReport] = []
            let deadline = SystemClock.now + .seconds(2)
            while found.isEmpty, SystemClock.now < deadline { found = reports.receive() }
            #expect(found.map(\.path) == [Self.path4])
            #expect(found.map(\.mtuBytes) == [1300] && found.map(\.index) == [0x1122_3344])
        }
    }

    @Test("the system tells what fits a path, and that there is none")
    func systemMTU() throws {
        try inOwnNamespace {
            #expect(PathMTU.ofSystem(Self.path4) == nil)
            let netlink = try Netlink()
            try netlink.bringUp(interface: netlink.interface(named: "lo").index, mtuBytes: 1456)
            #expect(PathMTU.ofSystem(Self.path4) == 1456 && PathMTU.ofSystem(Self.path6) == 1456)
            #expect(HostSystem.hasIPv6)
            #expect(HostSystem.ipv6ForwardingIsOn == false)
        }
    }
}

extension Packet {
    /// Puts an IP header in front that says what the packet's path and fields do.
    fileprivate mutating func prependHeader(_ protocolNumber: UInt8, identification: UInt16 = 0) {
        switch (path.local, path.remote.address) {
        case (.v4(let local), .v4(let remote)):
            prependIPv4Header(
                protocolNumber: protocolNumber, from: local, to: remote, trafficClass: outer.trafficClass,
                doNotFragment: outer.doNotFragment, identification: identification)
        case (.v6(let local), .v6(let remote)):
            prependIPv6Header(nextHeader: protocolNumber, from: local, to: remote, trafficClass: outer.trafficClass)
        case (.v4, .v6), (.v6, .v4): break
        }
    }
}
