import CAllocationCounter
import Cryptography
import ESP
import L2TP
import Synchronization
import Testing
import Wire

@testable import Gateway

@Suite("The packet path, to the client")
struct PacketPathOutboundTests {
    /// What the client finds behind the UDP header.
    private func messages(_ outcomes: [PathBench.Outcome], _ bench: PathBench) -> [[UInt8]] {
        bench.open(outcomes.map(\.bytes)).map { Array($0.dropFirst(8)) }
    }

    @Test("a packet goes in PPP, L2TP, UDP and ESP to where the peer is")
    func encapsulate() throws {
        let bench = try PathBench()
        let packet = innerPacket(from: PathBench.host, to: PathBench.address)
        let outcomes = bench.send([packet])
        #expect(outcomes[0].isSent && bench.batch[0].path == PathBench.path)
        let datagram = bench.open(outcomes.map(\.bytes))[0]
        #expect(Array(datagram.prefix(8)) == be16(1701) + be16(1701) + be16(datagram.count) + [0, 0])
        #expect(Array(datagram.dropFirst(8)) == be16(2) + be16(17) + be16(80) + PathBench.frame(packet))
        #expect(bench.traffic.packetsOut.load(ordering: .relaxed) == 1)
        #expect(bench.traffic.bytesOut.load(ordering: .relaxed) == 60)
    }

    @Test("frames are shortened as the client agreed, and numbered if it asked for that")
    func forms() throws {
        let packet = innerPacket(from: PathBench.host, to: PathBench.address)
        for (omits, compresses, start) in [
            (false, false, [0xff, 3, 0, 0x21]), (true, false, [0, 0x21]), (false, true, [0xff, 3, 0x21]),
            (true, true, [0x21]),
        ] as [(Bool, Bool, [UInt8])] {
            var network = PathBench.network
            (network.omitsAddressAndControl, network.compressesProtocol) = (omits, compresses)
            let bench = try PathBench(isSequenced: true, network: network)
            let outcomes = bench.send([packet, packet])
            let header = { (ns: Int) in be16(0x0802) + be16(17) + be16(80) + be16(ns) + be16(0) }
            #expect(messages(outcomes, bench) == [header(0) + start + packet, header(1) + start + packet])
        }
    }

    @Test("a packet of the session's size goes out, one byte more is too large, and its pieces fit")
    func tooLarge() throws {
        let bench = try PathBench()
        let outcomes = bench.send(
            [1400, 1401].map { innerPacket(from: PathBench.host, to: PathBench.address, byteCount: $0) })
        #expect(outcomes[0].isSent)
        guard case .tooLarge(.session(9), mtuBytes: 1400) = outcomes[1].disposition else {
            Issue.record("\(outcomes[1].disposition)")
            return
        }
        let header = try #require(IPv4Header(bench.batch[1]))
        var fragments = try #require(IPv4Fragmenter(bench.batch[1], header, mtuBytes: 1400))
        let scratch = PacketBatch(capacity: 2, packetSizeMaximum: 4096)
        var sealed: [[UInt8]] = []
        for slot in 0..<2 {
            let isThere = fragments.next(into: &scratch[slot])
            #expect(isThere)
            guard case .sendInUDP = bench.packets.encapsulate(&scratch[slot], session: 9) else {
                Issue.record("a fragment was not sent")
                return
            }
            sealed.append([UInt8](copying: scratch[slot].span))
        }
        var more = scratch[0]
        let isOver = !fragments.next(into: &more)
        #expect(isOver)
        // UDP 8, L2TP 6, PPP 4.
        #expect(bench.open(sealed).map(\.count) == [18 + 20 + 1376, 18 + 20 + 5])
    }

    @Test("a packet for a session of another worker is handed over")
    func handOver() throws {
        let bench = try PathBench()
        bench.routes.set(IPv4Address(192, 168, 42, 11), to: RouteTable.Entry(worker: 3, slot: 1))
        let packet = innerPacket(from: PathBench.host, to: IPv4Address(192, 168, 42, 11))
        let outcome = bench.send([packet])[0]
        guard case .handOver(worker: 3) = outcome.disposition else {
            Issue.record("\(outcome.disposition)")
            return
        }
        #expect(outcome.bytes == packet)
    }

    @Test("a batch keeps its order, and what has no session, no SA or no IP header is dropped by its reason")
    func mixedBatch() throws {
        let bench = try PathBench()
        let good = (0..<3 as Range<UInt8>).map { innerPacket(from: PathBench.host, to: PathBench.address, mark: $0) }
        var stale = RouteTable.Entry(worker: 0, slot: 40)
        bench.routes.set(IPv4Address(192, 168, 42, 12), to: stale)
        stale = RouteTable.Entry(worker: 0, slot: 9)
        bench.routes.set(IPv4Address(192, 168, 42, 13), to: stale)
        let outcomes = bench.send([
            good[0], innerPacket(to: IPv4Address(192, 168, 42, 12)), good[1], [0x60] + [UInt8](repeating: 0, count: 39),
            innerPacket(to: IPv4Address(192, 168, 42, 13)), innerPacket(to: IPv4Address(10, 0, 0, 1)), good[2], [],
        ])
        #expect(outcomes.map(\.isSent) == [true, false, true, false, false, false, true, false])
        let sent = messages(outcomes.filter(\.isSent), bench)
        #expect(sent.map { Array($0.dropFirst(10)) } == good)
        #expect(bench.packets.drops[.noSessionForAddress] == 3 && bench.packets.drops[.notIP] == 2)
        bench.carryOut(.removeOutbound(bench.outbound, peer: 5))
        #expect(!bench.send([good[0]])[0].isSent)
        #expect(bench.packets.drops[.noOutboundAssociation] == 1)
        #expect(bench.traffic.packetsOut.load(ordering: .relaxed) == 3)
    }

    @Test("a SYN to the client announces no more than fits")
    func segmentSize() throws {
        let bench = try PathBench()
        let packet = synchronize(from: PathBench.host, to: PathBench.address, segmentSize: 1460)
        let message = messages(bench.send([packet]), bench)[0]
        #expect(Array(message.suffix(2)) == be16(1360))
    }

    @Test("the newest SA is used, and when it goes the one before it is again")
    func associations() throws {
        let bench = try PathBench()
        let packet = innerPacket(from: PathBench.host, to: PathBench.address)
        let index = { (outcome: PathBench.Outcome) in Array(outcome.bytes.prefix(4)) }
        let newer = SecurityParameterIndex(0xc0ff_ee02)
        #expect(index(bench.send([packet])[0]) == [0xc0, 0xff, 0xee, 1])
        bench.carryOut(.installOutbound(bench.parameters(newer, 3), peer: 5))
        #expect(index(bench.send([packet])[0]) == [0xc0, 0xff, 0xee, 2])
        bench.carryOut(.removeOutbound(newer, peer: 5))
        #expect(index(bench.send([packet])[0]) == [0xc0, 0xff, 0xee, 1])
    }

    @Test("what an SA may not carry any more waits for its successor, in order, and as much as there is room for")
    func successor() throws {
        let bench = try PathBench(limit: VolumeLimit(kilobytes: 1))
        let packet = { (mark: UInt8) in
            var bytes = innerPacket(from: PathBench.host, to: PathBench.address, byteCount: 1000)
            bytes[999] = mark
            return bytes
        }
        #expect(bench.send([packet(0)])[0].isSent)
        let count = PacketPath.waitingMaximum + 2
        for mark in 0...count {
            let isSent = bench.send([packet(UInt8(truncatingIfNeeded: mark))])[0].isSent
            #expect(isSent == (mark == 0))
        }
        #expect(bench.packets.drops[.heldTooMany] == 2 && bench.packets.drops[.notEncrypted] == 0)
        let isDue = bench.packets.isHeldDue
        #expect(!isDue)
        bench.carryOut(.installOutbound(bench.parameters(SecurityParameterIndex(0xc0ff_ee02), 3), peer: 5))
        var marks: [UInt8] = []
        var taken = PacketBatch(capacity: 64, packetSizeMaximum: PacketPath.packetSizeMaximum)
        while bench.packets.isHeldDue {
            taken.reset()
            guard bench.packets.takeHeld(into: &taken) else { break }
            marks += (0..<taken.count).map { taken[$0].byte(at: 999) }
        }
        #expect(marks == (3...count).map { UInt8(truncatingIfNeeded: $0) })
        // A peer that goes takes with it what waits.
        let other = try PathBench(limit: VolumeLimit(kilobytes: 1))
        for mark in 0..<5 { _ = other.send([packet(UInt8(mark))]) }
        other.carryOut(.removePeer(slot: 5))
        #expect(other.packets.drops[.heldInVain] == 3)
    }

    @Test("an SA that comes to a limit is reported by direction with what it has carried, and at the hard one stops")
    func limits() throws {
        let bench = try PathBench(limit: VolumeLimit(kilobytes: 4, softKilobytes: 2))
        let packet = innerPacket(from: PathBench.host, to: PathBench.address, byteCount: 1000)
        let sent = (0..<6).map { _ in bench.send([packet])[0].isSent }
        #expect(sent == [true, true, true, true, true, false])
        #expect(bench.packets.drops[.notEncrypted] == 0)
        let reported = { (name: AssociationName) in
            bench.packets.reports.compactMap { report -> UInt64? in
                guard case .limitReached(500, name, let traffic) = report else { return nil }
                return traffic.bytes / 1024
            }
        }
        // Once more for the packet that waits.
        #expect(reported(.outbound(bench.outbound)) == [2, 3, 4, 4])
        bench.packets.reports.removeAll()
        let frame = PathBench.frame(innerPacket(byteCount: 1000))
        #expect(bench.receive(frames: .init(repeating: frame, count: 5)).filter(\.isDelivered).count == 5)
        #expect(reported(.inbound(bench.inbound)).last == 4)
        #expect(!bench.receive(frames: [frame])[0].isDelivered)
        #expect(bench.packets.inboundTable.drops[.volumeExhausted] == 1)
    }

    @Test("to a peer of the first drafts eight zero bytes go before ESP, from port 500")
    func nonIKEMarker() throws {
        let bench = try PathBench(encapsulation: .udpOfIKE)
        let outcome = bench.send([innerPacket(from: PathBench.host, to: PathBench.address)])[0]
        let isSent = if case .sendInUDPOfIKE = outcome.disposition { true } else { false }
        #expect(isSent)
        #expect(Array(outcome.bytes.prefix(12)) == [0, 0, 0, 0, 0, 0, 0, 0] + be16(0xc0ff) + be16(0xee01))
        #expect(!bench.open([Array(outcome.bytes.dropFirst(8))])[0].isEmpty)
    }

    @Test("a keepalive goes only where nothing else went since the one before")
    func keepalives() throws {
        let bench = try PathBench()
        let peer = try #require(bench.packets.peers[5])
        let isSent = { () -> Bool in
            bench.load([PacketPath.keepalive])
            let disposition = bench.packets.sendKeepalive(&bench.batch[0], to: peer)
            guard case .sendInUDP = disposition else { return false }
            return bench.batch[0].path == PathBench.path && [UInt8](copying: bench.batch[0].span) == [0xff]
        }
        #expect(isSent() && isSent())
        _ = bench.send([innerPacket(from: PathBench.host, to: PathBench.address)])
        #expect(!isSent())
        #expect(isSent())
    }

    @Test("sessions of one peer come and go in any order, and each finds its own")
    func sessions() throws {
        let bench = try PathBench()
        for (session, slot) in [(71, 1), (72, 200), (73, 3)] as [(UInt16, Int)] {
            bench.add(session: session, at: slot)
        }
        let reached = { () -> [UInt64] in
            bench.packets.reports.removeAll()
            let echo: [UInt8] = [0xff, 3, 0xc0, 0x21, 9, 1, 0, 4]
            bench.receive(datagrams: (70...73).map { PathBench.udp(PathBench.data(echo, session: $0)) })
            return bench.packets.reports.compactMap { if case .frame(let session, _) = $0 { session } else { nil } }
        }
        #expect(reached() == [700, 710, 720, 730])
        bench.carryOut(.removeSession(slot: 200))
        #expect(reached() == [700, 710, 730])
        bench.carryOut(.removeSession(slot: 3))
        bench.carryOut(.removeSession(slot: 9))
        bench.carryOut(.removeSession(slot: 9))
        #expect(reached() == [710] && bench.packets.sessions.count == 1)
        bench.carryOut(.removeSession(slot: 1))
        #expect(reached() == [] && bench.packets.peers[5]?.pointee.firstSession == -1)
        bench.carryOut(.removePeer(slot: 5))
        #expect(bench.packets.peers.count == 0)
    }

    @Test("keys of a wrong length are not installed, and commands for what is gone do nothing")
    func commands() throws {
        let bench = try PathBench()
        let wrong = AssociationParameters(
            index: SecurityParameterIndex(0x9000),
            protection: Protection(payload: .combined(.gcm(keyLength: 32, checkLength: 16))),
            keys: bench.parameters(bench.inbound, 1).keys, limit: .none)
        #expect(!bench.carryOut(.installInbound(wrong, peer: 5)) && !bench.carryOut(.installOutbound(wrong, peer: 5)))
        #expect(bench.carryOut(.installOutbound(wrong, peer: 99)))
        for command in [
            .movePeer(slot: 99, path: .none, encapsulation: .udp), .removePeer(slot: 99),
            .removeInbound(SecurityParameterIndex(0x9000)), .removeOutbound(bench.outbound, peer: 99),
            .moveSession(slot: 99, remotePort: 1), .setNetwork(slot: 99, nil), .removeSession(slot: 99),
            .removePeer(slot: -1),
        ] as [WorkerCommand] { #expect(bench.carryOut(command)) }
        #expect(bench.send([innerPacket(from: PathBench.host, to: PathBench.address)])[0].isSent)
    }

    @Test(
        "nothing is allocated for a packet of data, either way",
        arguments: [ESP.Suite.combined(.gcm(keyLength: 16, checkLength: 16)), .separate(.cbc(.aes256), .sha1_96)])
    func allocations(suite: ESP.Suite) throws {
        guard culvert_allocation_count() >= 0 else { return }
        let bench = try PathBench(suite: suite)
        let rounds = 200
        let inner = PathBench.udp(PathBench.data(PathBench.frame(innerPacket(byteCount: 1000))))
        let sealed = (0..<(rounds + 1) * 32).map { _ in bench.seal(inner) }
        let outer = innerPacket(from: PathBench.host, to: PathBench.address, byteCount: 1000)
        var (allocated, delivered, sent) = (0, 0, 0)
        for round in 0...rounds {
            bench.load(Array(sealed[round * 32..<round * 32 + 32]))
            var before = culvert_allocation_count()
            bench.packets.receive(&bench.batch, by: .udp, now: Instant(nanoseconds: 1))
            allocated += round == 0 ? 0 : culvert_allocation_count() - before
            for position in 0..<32 { if case .deliver = bench.packets.disposition(position) { delivered += 1 } }
            bench.load(.init(repeating: outer, count: 32))
            before = culvert_allocation_count()
            bench.packets.send(&bench.batch, now: .zero)
            allocated += round == 0 ? 0 : culvert_allocation_count() - before
            for position in 0..<32 { if case .sendInUDP = bench.packets.disposition(position) { sent += 1 } }
        }
        #expect(delivered == sealed.count && sent == sealed.count)
        #expect(allocated == 0, "\(allocated) allocations for \(2 * rounds * 32) packets")
    }
}

@Suite("The data plane's tables")
struct TableTests {
    @Test("routes are found by address, within the network and nowhere else")
    func routes() throws {
        let network = try #require(IPv4Network("192.168.42.0/24"))
        let routes = RouteTable(network)
        let entry = RouteTable.Entry(worker: 31, slot: 1 << 26 - 1)
        for address in [network.address, network.last] {
            #expect(routes.lookUp(address) == nil)
            routes.set(address, to: entry)
            #expect(routes.lookUp(address) == entry)
            routes.set(address, to: RouteTable.Entry(worker: 0, slot: 0))
            #expect(routes.lookUp(address) == RouteTable.Entry(worker: 0, slot: 0))
            routes.set(address, to: nil)
            #expect(routes.lookUp(address) == nil)
        }
        for address in [IPv4Address(192, 168, 41, 255), IPv4Address(192, 168, 43, 0), .any, IPv4Address(.max)] {
            routes.set(address, to: entry)
            #expect(routes.lookUp(address) == nil)
        }
    }

    @Test("slots are used again before new ones are, and counted")
    func slots() {
        var allocator = SlotAllocator()
        let first = (0..<3).map { _ in allocator.allocate() }
        #expect(first == [0, 1, 2] && allocator.count == 3)
        allocator.release(1)
        #expect(allocator.count == 2)
        let next = (0..<2).map { _ in allocator.allocate() }
        #expect(next == [1, 3])
    }

    @Test("a mailbox keeps its order and its bound, and knocks when the first message comes")
    func mailbox() {
        let knocks = SessionTraffic()
        let mailbox = Mailbox<Int>(capacity: 4) { knocks.countIn(1) }
        #expect(
            mailbox.put([]) == 0 && mailbox.put([1, 2]) == 0 && mailbox.put([3]) == 0 && mailbox.put([4, 5, 6]) == 2)
        #expect(knocks.packetsIn.load(ordering: .relaxed) == 1)
        #expect(mailbox.takeAll() == [1, 2, 3, 4] && mailbox.takeAll() == [])
        mailbox.put([7])
        #expect(knocks.packetsIn.load(ordering: .relaxed) == 2 && mailbox.takeAll() == [7])
    }
}
