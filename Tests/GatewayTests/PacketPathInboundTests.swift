import ESP
import L2TP
import Synchronization
import Testing
import Wire

@testable import Gateway

@Suite("The packet path, from the client")
struct PacketPathInboundTests {
    @Test("IKE and keepalives are taken out of a batch, and ESP keeps its order and its slots")
    func separate() throws {
        let bench = try PathBench()
        let esp: [[UInt8]] = [[0, 0, 0, 1, 9], [0x80, 0, 0, 0, 8, 8, 8], [0, 1, 0, 0, 7]]
        bench.load([
            [0, 0, 0, 0, 1, 2, 3], esp[0], [0xff], [0, 0, 0], esp[1], [], [0, 0, 0, 0], [0xfe], [0, 0, 0, 0, 4], esp[2],
        ])
        bench.packets.separateIKE(&bench.batch, port: 4500)
        #expect((0..<bench.batch.count).map { [UInt8](copying: bench.batch[$0].span) } == esp)
        let messages = bench.packets.reports.compactMap { report in
            if case .ike(let message, PathBench.path, 4500) = report { message } else { nil }
        }
        #expect(messages == [[1, 2, 3], [4]])
        #expect(bench.packets.drops[.natKeepalive] == 1 && bench.packets.drops[.tooShort] == 4)
        #expect(Set((0..<bench.batch.capacity).map { bench.batch[$0].start }).count == bench.batch.capacity)
    }

    @Test("on port 500, eight zero bytes are before ESP; everything else is IKE, but for keepalives")
    func separateESP() throws {
        let bench = try PathBench()
        let marker = [UInt8](repeating: 0, count: 8)
        let messages: [[UInt8]] = [[1, 2, 3], marker, [0, 0, 0, 0, 0, 0, 0, 1, 2], [0xff, 0xff], []]
        bench.load([marker + [1, 2, 3], messages[0], [0xff], marker + [4]] + messages.dropFirst())
        bench.packets.separateESP(&bench.batch, port: 500)
        #expect((0..<bench.batch.count).map { [UInt8](copying: bench.batch[$0].span) } == [[1, 2, 3], [4]])
        let reported = bench.packets.reports.compactMap { report in
            if case .ike(let message, PathBench.path, 500) = report { message } else { nil }
        }
        #expect(reported == messages && bench.packets.drops[.natKeepalive] == 1)
        #expect(Set((0..<bench.batch.capacity).map { bench.batch[$0].start }).count == bench.batch.capacity)
    }

    @Test("every form of a PPP frame is read: address and control or not, protocol of one byte or two")
    func forms() throws {
        let bench = try PathBench()
        let packet = innerPacket()
        let outcomes = bench.receive(
            frames: [[0xff, 3, 0, 0x21], [0xff, 3, 0x21], [0, 0x21], [0x21]].map { $0 + packet })
        #expect(outcomes.allSatisfy { $0.isDelivered && $0.bytes == packet })
        #expect(bench.traffic.packetsIn.load(ordering: .relaxed) == 4)
        #expect(bench.traffic.bytesIn.load(ordering: .relaxed) == 240)
    }

    @Test("frames that are cut short are dropped by their reason")
    func shortFrames() throws {
        let bench = try PathBench()
        let frames: [[UInt8]] = [
            [0xff], [0xff, 3], [0xff, 3, 0], [0x21], [0, 0x21], [0xff, 3, 0, 0x21, 0x45, 0, 0],
        ]
        #expect(bench.receive(frames: frames).allSatisfy { !$0.isDelivered })
        #expect(bench.packets.drops[.badPPPFrame] == 4 && bench.packets.drops[.badInnerPacket] == 2)
    }

    @Test("frames that are not IP go to the control loop whole, with their session's name")
    func controlFrames() throws {
        let bench = try PathBench()
        let frames: [[UInt8]] = [[0xff, 3, 0xc0, 0x21, 9, 1, 0, 4], [0x80, 0x21, 1, 1, 0, 4], [0xff, 3, 0, 0x57, 1]]
        bench.receive(frames: frames)
        let reported = bench.packets.reports.compactMap { report in
            if case .frame(700, let frame) = report { frame } else { nil }
        }
        #expect(reported == frames)
    }

    @Test("the length, sequence and offset fields of L2TP, each there or not, and what follows the length is not read")
    func optionalFields() throws {
        let bench = try PathBench()
        let frame = PathBench.frame(innerPacket())
        for bits in 0..<8 {
            let (hasLength, hasSequence, hasOffset) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0)
            let flags = 2 | (hasLength ? 0x4000 : 0) | (hasSequence ? 0x0800 : 0) | (hasOffset ? 0x0200 : 0)
            let rest =
                be16(7) + be16(70) + (hasSequence ? be16(bits) + be16(0) : []) + (hasOffset ? be16(3) + [1, 2, 3] : [])
                + frame
            let message = be16(flags) + (hasLength ? be16(rest.count + 4) : []) + rest
            let outcome = bench.receive(datagrams: [PathBench.udp(message + (hasLength ? [0xee] : []))])[0]
            #expect(outcome.isDelivered && outcome.bytes == innerPacket(), "\(bits)")
        }
        let wrong: [[UInt8]] = [
            be16(0x4002) + be16(500) + be16(7) + be16(70) + frame, be16(0x4002) + be16(7) + be16(7) + be16(70) + frame,
            be16(0x0202) + be16(7) + be16(70) + be16(200) + frame, be16(3) + be16(7) + be16(70) + frame,
            be16(2) + be16(0) + be16(70) + frame, be16(2) + be16(7) + be16(70), [0],
        ]
        #expect(bench.receive(datagrams: wrong.map { PathBench.udp($0) }).allSatisfy { !$0.isDelivered })
        #expect(bench.packets.drops[.badL2TPHeader] == UInt64(wrong.count))
    }

    @Test(
        "late data of a session that asked for order is dropped; without numbers, and without having asked, it is not")
    func order() throws {
        for isSequenced in [true, false] {
            let bench = try PathBench(isSequenced: isSequenced)
            let message = { (ns: Int) in
                PathBench.udp(be16(0x0802) + be16(7) + be16(70) + be16(ns) + be16(0) + PathBench.frame(innerPacket()))
            }
            let outcomes = bench.receive(datagrams: [0, 2, 1, 2, 3].map(message))
            #expect(
                outcomes.map(\.isDelivered)
                    == (isSequenced ? [true, true, false, false, true] : .init(repeating: true, count: 5)))
            #expect(bench.packets.drops[.outOfSequence] == (isSequenced ? 2 : 0))
            #expect(bench.receive(frames: [PathBench.frame(innerPacket())])[0].isDelivered)
        }
    }

    @Test("an unknown SPI is told with where it came from, some of them a second, and reserved ones never")
    func unknownSPIs() throws {
        let bench = try PathBench()
        let told = { () -> Int in
            defer { bench.packets.reports.removeAll() }
            return bench.packets.reports.count { report in
                if case .unknownSPI(_, PathBench.path) = report { true } else { false }
            }
        }
        let garbage = (0..<60).map { [0xaa, 0, 0, UInt8($0)] + [UInt8](repeating: 1, count: 40) }
        bench.receive(sealed: garbage)
        #expect(told() == PacketPath.unknownSPIsMaximum)
        #expect(bench.packets.inboundTable.drops[.unknownIndex] == 60)
        bench.receive(sealed: garbage)
        #expect(told() == 0)
        bench.wait(.seconds(1))
        bench.receive(sealed: [[0, 0, 0, 1] + [UInt8](repeating: 1, count: 40)])
        #expect(told() == 0)
        bench.receive(sealed: garbage)
        #expect(told() == PacketPath.unknownSPIsMaximum)
    }

    @Test("a batch keeps its order, whatever becomes of each of its packets")
    func mixedBatch() throws {
        let bench = try PathBench()
        let good = (0..<6 as Range<UInt8>).map { innerPacket(mark: $0) }
        var sealed = good.map { bench.seal(PathBench.udp(PathBench.data(PathBench.frame($0)))) }
        sealed[1][20] ^= 1
        sealed[3] = sealed[2]
        sealed.insert([1, 2, 3], at: 0)
        sealed.append(bench.seal(PathBench.udp(PathBench.data([0xff, 3, 0xc0, 0x21, 9, 1, 0, 4]))))
        let outcomes = bench.receive(sealed: sealed)
        #expect(outcomes.map(\.isDelivered) == [false, true, false, true, false, true, true, false])
        #expect(outcomes.filter(\.isDelivered).map(\.bytes) == [0, 2, 4, 5].map { good[$0] })
        #expect(
            bench.packets.inboundTable.drops[.notAuthentic] == 1 && bench.packets.inboundTable.drops[.replayed] == 1)
        #expect(bench.packets.inboundTable.drops[.badLength] == 1)
    }

    @Test("what follows the IP packet in its frame is cut off")
    func trailing() throws {
        let bench = try PathBench()
        let outcome = bench.receive(frames: [PathBench.frame(innerPacket()) + [0, 0, 0]])[0]
        #expect(outcome.isDelivered && outcome.bytes == innerPacket())
    }

    @Test("IP is let through after the network phase began and until it ends, with the session's source alone")
    func source() throws {
        let bench = try PathBench(network: nil)
        let frame = PathBench.frame(innerPacket())
        #expect(!bench.receive(frames: [frame])[0].isDelivered)
        bench.carryOut(.setNetwork(slot: 9, PathBench.network))
        #expect(bench.receive(frames: [frame])[0].isDelivered)
        #expect(
            !bench.receive(frames: [PathBench.frame(innerPacket(from: IPv4Address(192, 168, 42, 11)))])[0].isDelivered)
        bench.carryOut(.setNetwork(slot: 9, nil))
        #expect(!bench.receive(frames: [frame])[0].isDelivered)
        #expect(bench.packets.drops[.beforeNetworkPhase] == 2 && bench.packets.drops[.spoofedSource] == 1)
        #expect(bench.traffic.packetsIn.load(ordering: .relaxed) == 1)
    }

    @Test("a SYN from the client announces no more than fits")
    func segmentSize() throws {
        let bench = try PathBench()
        for (announced, expected) in [(1460, 1360), (1360, 1360), (536, 536)] {
            let packet = synchronize(from: PathBench.address, to: PathBench.host, segmentSize: announced)
            let outcome = bench.receive(frames: [PathBench.frame(packet)])[0]
            #expect(outcome.isDelivered && Array(outcome.bytes.suffix(2)) == be16(expected))
        }
    }

    @Test("control messages go to the control loop without their UDP header, with the peer and its port")
    func control() throws {
        let bench = try PathBench()
        let message = be16(0xc802) + be16(12) + [0, 0, 0, 0, 0, 0, 0, 0]
        bench.receive(datagrams: [PathBench.udp(message)])
        let reported = bench.packets.reports.compactMap { report in
            if case .control(500, PathBench.remotePort, let message) = report { message } else { nil }
        }
        #expect(reported == [message])
    }

    @Test("a frame of a session that the worker does not have yet goes to the control loop, an IP packet does not")
    func early() throws {
        let bench = try PathBench()
        let request: [UInt8] = [0xff, 3, 0xc0, 0x21, 1, 1, 0, 4]
        bench.receive(datagrams: [
            PathBench.udp(PathBench.data(request, session: 71)),
            PathBench.udp(PathBench.data(PathBench.frame(innerPacket()), session: 71)),
            PathBench.udp(PathBench.data([0xff], session: 71)),
        ])
        let reported = bench.packets.reports.compactMap { report in
            if case .earlyFrame(500, 7, 71, let frame) = report { frame } else { nil }
        }
        #expect(reported == [request])
        #expect(bench.packets.drops[.unknownSession] == 1 && bench.packets.drops[.badPPPFrame] == 1)
    }

    @Test("what is not UDP to L2TP's port is not for us")
    func others() throws {
        let bench = try PathBench()
        bench.receive(sealed: [bench.seal(PathBench.udp([1, 2]), nextHeader: 6)])
        bench.receive(datagrams: [
            [], [1, 2, 3, 4, 5, 6, 7], be16(1) + be16(1701) + be16(9) + [0, 0], PathBench.udp([0, 2], to: 53),
        ])
        #expect(bench.packets.drops[.notUDP] == 4 && bench.packets.drops[.notL2TPPort] == 1)
    }

    @Test("the newest packet tells where the peer is; an older one and one without UDP do not")
    func moving() throws {
        let bench = try PathBench()
        let elsewhere = OuterPath(remote: Endpoint(IPv4Address(203, 0, 113, 1), 5000), local: PathBench.path.local)
        let sealed = (0..<3).map { _ in bench.seal(PathBench.udp(PathBench.data(PathBench.frame(innerPacket())))) }
        bench.receive(sealed: [sealed[1]], path: elsewhere)
        bench.receive(sealed: [sealed[0]])
        #expect(bench.packets.peers[5]?.pointee.path == elsewhere)
        bench.receive(
            sealed: [sealed[2]],
            path: OuterPath(remote: Endpoint(IPv4Address(203, 0, 113, 1), 0), local: PathBench.path.local), by: .none)
        #expect(bench.packets.peers[5]?.pointee.path == elsewhere)
        let moves = bench.packets.reports.count { if case .peerMoved(500, elsewhere) = $0 { true } else { false } }
        #expect(moves == 1)
        // Nor does one that came by another port of ours.
        let old = try PathBench(encapsulation: .udpOfIKE)
        let packet = { old.seal(PathBench.udp(PathBench.data(PathBench.frame(innerPacket())))) }
        old.receive(sealed: [packet()], path: elsewhere, by: .udp)
        #expect(old.packets.peers[5]?.pointee.path == PathBench.path)
        old.receive(sealed: [packet()], path: elsewhere, by: .udpOfIKE)
        #expect(old.packets.peers[5]?.pointee.path == elsewhere)
        let raw = try PathBench(encapsulation: .none)
        raw.receive(sealed: [raw.seal(PathBench.udp(PathBench.data(PathBench.frame(innerPacket()))))], path: elsewhere)
        #expect(raw.packets.peers[5]?.pointee.path == PathBench.path)
    }

    @Test("the first packet of an SA is told once, and that a session lives once in a while")
    func reports() throws {
        let bench = try PathBench()
        let activities = {
            bench.packets.reports.count { if case .activity(700) = $0 { true } else { false } }
        }
        bench.wait(.seconds(20))
        for _ in 0..<3 { bench.receive(frames: [PathBench.frame(innerPacket())]) }
        #expect(activities() == 1)
        bench.wait(.seconds(9))
        bench.receive(frames: [PathBench.frame(innerPacket())])
        #expect(activities() == 1)
        bench.wait(.seconds(1))
        bench.receive(frames: [PathBench.frame(innerPacket())])
        #expect(activities() == 2)
        #expect(bench.packets.reports.count { if case .firstUse(bench.inbound) = $0 { true } else { false } } == 1)
    }

    @Test("what waits for the control loop has a bound, and what is beyond is counted")
    func bounded() throws {
        let bench = try PathBench()
        let echo: [UInt8] = [0xff, 3, 0xc0, 0x21, 9, 1, 0, 4]
        for _ in 0..<(PacketPath.reportsMaximum / 32 + 1) { bench.receive(frames: .init(repeating: echo, count: 32)) }
        #expect(bench.packets.reports.count == PacketPath.reportsMaximum)
        #expect(bench.packets.drops[.controlQueueFull] > 0)
    }
}
