import CAllocationCounter
import Cryptography
import ESP
import Synchronization
import Testing
import Wire

@testable import Gateway

/// One worker's path with a peer whose SAs are a tunnel's, and the peer at the other end of them.
private final class TunnelBench {
    static let (own, peer) = (IPv4Address(198, 51, 100, 1), IPv4Address(203, 0, 113, 1))
    static let outer = OuterPath(remote: Endpoint(peer, 4500), local: .v4(own))

    var packets: PacketPath
    var batch = PacketBatch(capacity: 64, packetSizeMaximum: 4096)
    let table: TunnelTable
    let counted = SessionTraffic()
    let inbound = SecurityParameterIndex(0x8000_0011)
    let outbound = SecurityParameterIndex(0xc0ff_ee01)
    private let protection: Protection
    private var peerSends: OutboundSecurityAssociation
    private var peerReceives = InboundTable(batchCapacity: 64)
    private var random = RandomBlock()

    init(
        _ use: AssociationUse? = nil, selectors: [TrafficSelector] = [TunnelBench.selector],
        rules: OuterHeaderRules = OuterHeaderRules()
    ) throws {
        let use = use ?? AssociationUse(mode: .tunnel, tunnel: 0, selector: selectors.first)
        table = TunnelTable([(selectors, rules)])
        protection = Protection(payload: .combined(.gcm(keyLength: 16, checkLength: 16)), mode: use.mode)
        let network = try #require(IPv4Network("192.168.42.0/24"))
        packets = PacketPath(worker: 0, routes: RouteTable(network), tunnels: table, batchCapacity: 64)
        peerSends = try OutboundSecurityAssociation(index: inbound, protection: protection, keys: Self.keys(1))
        peerReceives.install(
            try InboundSecurityAssociation(index: outbound, owner: 0, protection: protection, keys: Self.keys(2)))
        let commands: [WorkerCommand] = [
            .addPeer(slot: 5, identifier: 500, path: Self.outer, encapsulation: .udp),
            .installInbound(parameters(inbound, 1, use), peer: 5),
            .installOutbound(parameters(outbound, 2, use), peer: 5),
        ]
        for command in commands { carryOut(command) }
        table.set(0, to: TunnelTable.Place(worker: 0, peer: 5))
    }

    static var selector: TrafficSelector {
        TrafficSelector(local: range("10.1.0.0", 16), remote: range("10.2.0.0", 16))
    }

    static var selectorIPv6: TrafficSelector {
        TrafficSelector(local: range("fd01::", 48), remote: range("fd02::", 48))
    }

    static func range(_ text: String, _ bits: Int) -> AddressRange {
        IPAddress(text).flatMap { AddressRange($0, prefixLength: bits) } ?? .anyIPv4
    }

    private static func keys(_ seed: UInt8) -> ProtectionKeys {
        ProtectionKeys(
            payload: SuiteKeys(
                encryption: SecretBytes([UInt8](repeating: seed, count: 20)), integrity: SecretBytes([])))
    }

    func parameters(_ index: SecurityParameterIndex, _ seed: UInt8, _ use: AssociationUse) -> AssociationParameters {
        AssociationParameters(
            index: index, protection: protection, keys: Self.keys(seed), limit: .none, use: use, traffic: counted)
    }

    func carryOut(_ command: WorkerCommand) {
        let isDone = packets.carryOut(command)
        #expect(isDone)
    }

    func load(_ list: [[UInt8]], path: OuterPath = outer, trafficClass: UInt8 = 0) {
        batch.reset()
        for (position, bytes) in list.enumerated() {
            batch[position].start.copyMemory(from: bytes, byteCount: bytes.count)
            batch[position].count = bytes.count
            batch[position].path = path
            batch[position].outer.trafficClass = trafficClass
        }
        batch.count = list.count
    }

    func seal(_ payload: [UInt8], nextHeader: UInt8) -> [UInt8] {
        let slot = PacketBatch(capacity: 1, packetSizeMaximum: 4096)
        slot[0].start.copyMemory(from: payload, byteCount: payload.count)
        slot[0].count = payload.count
        _ = peerSends.seal(&slot[0], nextHeader: nextHeader, random: &random)
        return [UInt8](copying: slot[0].span)
    }

    /// What is delivered of a packet of the peer's.
    func receive(_ payload: [UInt8], nextHeader: UInt8 = 4, trafficClass: UInt8 = 0) -> [UInt8]? {
        load([seal(payload, nextHeader: nextHeader)], trafficClass: trafficClass)
        packets.receive(&batch, by: .udp, now: Instant(nanoseconds: 5_000_000_000))
        guard case .deliver = packets.disposition(0) else { return nil }
        return [UInt8](copying: batch[0].span)
    }

    func send(_ packet: [UInt8], at now: Instant = Instant(nanoseconds: 5_000_000_000)) -> Disposition {
        load([packet], path: .none)
        packets.send(&batch, now: now)
        return packets.disposition(0)
    }

    /// What the peer finds in a packet from inside, and the protocol that it is told; nil where nothing was sent.
    func sendAndOpen(_ packet: [UInt8]) -> (bytes: [UInt8], nextHeader: UInt8)? {
        guard case .sendInUDP = send(packet) else { return nil }
        peerReceives.open(batch, as: .esp)
        guard peerReceives.result(0).drop == nil else { return nil }
        return ([UInt8](copying: batch[0].span), peerReceives.result(0).nextHeader)
    }
}

private func packet(
    _ source: [UInt8] = [10, 2, 0, 9], _ destination: [UInt8] = [10, 1, 0, 9], protocolNumber: UInt8 = 17,
    byteCount: Int = 60, port: Int = 53, fragment: Int = 0, trafficClass: UInt8 = 0
) -> [UInt8] {
    [0x45, trafficClass] + be16(byteCount) + [0, 0] + be16(fragment) + [64, protocolNumber, 0, 0] + source
        + destination + be16(4000) + be16(port) + be16(byteCount - 20) + [0, 0]
        + [UInt8](repeating: 1, count: byteCount - 28)
}

private func packetIPv6(_ source: [UInt8] = [0xfd, 2], _ destination: [UInt8] = [0xfd, 1], byteCount: Int = 60)
    -> [UInt8]
{
    let address = { (head: [UInt8]) in head + [UInt8](repeating: 0, count: 14) }
    return [0x60, 0, 0, 0] + be16(byteCount - 40) + [17, 64] + address(source) + address(destination) + be16(4000)
        + be16(53) + be16(byteCount - 40) + [0, 0] + [UInt8](repeating: 1, count: byteCount - 48)
}

@Suite("The packet path, tunnels")
struct PacketPathTunnelTests {
    @Test("inner packets of the SA's traffic go inside, in IPv4 and IPv6, and what stands behind them is cut")
    func inbound() throws {
        let bench = try TunnelBench()
        #expect(bench.receive(packet() + [9, 9, 9]) == packet())
        let other = try TunnelBench(selectors: [TunnelBench.selectorIPv6])
        #expect(other.receive(packetIPv6() + [9], nextHeader: 41) == packetIPv6())
        #expect(bench.counted.packetsIn.load(ordering: .relaxed) == 1)
    }

    /// A datagram in two fragments, the second of which is in the first list's place where `isReversed`.
    private static func fragments(of datagram: [UInt8], isReversed: Bool = false) -> [[UInt8]] {
        let (header, split) = (20, 608)
        let piece = { (payload: ArraySlice<UInt8>, word: Int) in
            Array(datagram[..<2]) + be16(header + payload.count) + [0, 7] + be16(word) + Array(datagram[8..<header])
                + payload
        }
        let both = [piece(datagram[header..<header + split], 0x2000), piece(datagram[(header + split)...], split / 8)]
        return isReversed ? both.reversed() : both
    }

    @Test("fragments are put together before anybody asks for ports, in any order", arguments: [false, true])
    func fragments(isReversed: Bool) throws {
        var selector = TunnelBench.selector
        (selector.protocolNumber, selector.localPort) = (17, 53)
        let bench = try TunnelBench(selectors: [selector])
        let whole = packet(byteCount: 1228)
        let pieces = Self.fragments(of: whole, isReversed: isReversed)
        #expect(bench.receive(pieces[0]) == nil)
        let delivered = try #require(bench.receive(pieces[1]))
        #expect(delivered.count == 1228 && Array(delivered[20...]) == Array(whole[20...]))
        let others = Self.fragments(of: packet(byteCount: 1228, port: 54), isReversed: isReversed)
        #expect(others.allSatisfy { bench.receive($0) == nil })
        #expect(bench.packets.drops[.outsideSelector] == 1)

        var outbound = TunnelBench.selector
        (outbound.protocolNumber, outbound.remotePort) = (17, 53)
        let way = try TunnelBench(selectors: [outbound])
        let answer = packet([10, 1, 0, 9], [10, 2, 0, 9], byteCount: 1228)
        let back = Self.fragments(of: answer, isReversed: isReversed)
        #expect(way.sendAndOpen(back[0]) == nil)
        #expect(way.sendAndOpen(back[1]).map { Array($0.bytes[20...]) } == Array(answer[20...]))
    }

    @Test("where no ports count, fragments go as they are")
    func fragmentsAsTheyAre() throws {
        let bench = try TunnelBench()
        for piece in Self.fragments(of: packet(byteCount: 1228)) { #expect(bench.receive(piece) == piece) }
    }

    @Test("in transport mode a datagram goes by its SA as a whole")
    func fragmentsInTransportMode() throws {
        let bench = try TunnelBench(AssociationUse(mode: .transport, tunnel: 0, selector: TunnelBench.selector))
        let datagram = packet([10, 1, 0, 9], [10, 2, 0, 9], byteCount: 1228)
        let pieces = Self.fragments(of: datagram)
        #expect(bench.sendAndOpen(pieces[0]) == nil)
        let opened = try #require(bench.sendAndOpen(pieces[1]))
        #expect(opened.nextHeader == 17 && opened.bytes == Array(datagram[20...]))
    }

    @Test("an IPv6 packet that came in fragments goes as a whole, its outer packet in fragments if need be")
    func fragmentsOfIPv6() throws {
        var selector = TrafficSelector(local: TunnelBench.range("fd01::", 48), remote: TunnelBench.range("fd02::", 48))
        (selector.protocolNumber, selector.remotePort) = (17, 53)
        let bench = try TunnelBench(selectors: [selector])
        let whole = packetIPv6([0xfd, 1], [0xfd, 2], byteCount: 2040)
        let pieces = [(0, 1000, 1), (1000, 2000, 0)].map { first, end, more in
            Array(whole[..<4]) + be16(8 + end - first) + [44, 64] + Array(whole[8..<40]) + [17, 0]
                + be16(first | more) + [0, 0, 0, 9] + Array(whole[(40 + first)..<(40 + end)])
        }
        #expect(bench.sendAndOpen(pieces[0]) == nil)
        guard case .sendInUDP = bench.send(pieces[1]) else { return #expect(Bool(false), "it was not sent") }
        #expect(!bench.batch[0].outer.doNotFragment)
        #expect(bench.batch[0].count > 2040)
        // One that came whole and does not fit is its sender's to make smaller.
        guard case .tooLarge = bench.send(whole) else { return #expect(Bool(false), "its sender was not told") }
    }

    @Test("a datagram that is larger than a slot when it is whole is dropped and counted")
    func fragmentsTooLarge() throws {
        var selector = TunnelBench.selector
        (selector.protocolNumber, selector.localPort) = (17, 53)
        let bench = try TunnelBench(selectors: [selector])
        let datagram = packet(byteCount: 4620)
        for piece in stride(from: 0, to: 4600, by: 1000) {
            let payload = datagram[(20 + piece)..<min(20 + piece + 1000, 4620)]
            let word = piece / 8 | (piece + 1000 < 4600 ? 0x2000 : 0)
            let bytes = Array(datagram[..<2]) + be16(20 + payload.count) + [0, 8] + be16(word)
            #expect(bench.receive(bytes + Array(datagram[8..<20]) + payload) == nil)
        }
        #expect(bench.packets.drops[.reassembledTooLarge] == 1)
    }

    @Test("what an SA is not for is dropped, and some of it is told: source, destination, protocol, port")
    func selectors() throws {
        var selector = TunnelBench.selector
        (selector.protocolNumber, selector.localPort) = (17, 53)
        let bench = try TunnelBench(selectors: [selector])
        #expect(bench.receive(packet()) != nil)
        let wrong = [
            packet([10, 3, 0, 9]), packet([10, 2, 0, 9], [10, 9, 0, 9]), packet(protocolNumber: 6), packet(port: 54),
            packet([10, 1, 0, 9], [10, 2, 0, 9]),
        ]
        for bytes in wrong { #expect(bench.receive(bytes) == nil) }
        #expect(bench.packets.drops[.outsideSelector] == 5)
        let told = bench.packets.reports.compactMap { report -> PacketFlow? in
            if case .outsideSelector(500, bench.inbound, let flow, 1) = report { flow } else { nil }
        }
        #expect(told.map(\.source) == [.v4(IPv4Address(10, 3, 0, 9))])
    }

    @Test("what is no IP packet of the version that the SA's trailer says is dropped")
    func versions() throws {
        let bench = try TunnelBench()
        #expect(bench.receive(packet(), nextHeader: 41) == nil && bench.receive(packet(), nextHeader: 17) == nil)
        #expect(bench.receive(packetIPv6()) == nil && bench.receive([0x45]) == nil && bench.receive([]) == nil)
        #expect(bench.packets.drops[.notInTunnelMode] == 4 && bench.packets.inboundTable.drops[.wrongProtection] == 1)
        #expect(bench.receive(Array(packet().prefix(40))) == nil && bench.packets.drops[.badInnerPacket] == 1)
    }

    @Test("congestion on the way is given back to a transport that knows it, and drops the others' packets")
    func congestion() throws {
        let bench = try TunnelBench()
        #expect(bench.receive(packet(trafficClass: 0xb8), trafficClass: 3) == nil)
        #expect(bench.packets.drops[.congestedWithoutECN] == 1)
        #expect(bench.receive(packet(trafficClass: 0xba), trafficClass: 3)?[1] == 0xbb)
        #expect(bench.receive(packet(trafficClass: 0xba), trafficClass: 0xfc)?[1] == 0xba)
    }

    @Test("packets from inside go by the tunnel of their destination, whole, as their IP version")
    func outbound() throws {
        let bench = try TunnelBench(
            AssociationUse(mode: .tunnel, tunnel: 0), selectors: [TunnelBench.selector, TunnelBench.selectorIPv6])
        let outward = packet([10, 1, 0, 9], [10, 2, 0, 9], trafficClass: 0xb9)
        let opened = try #require(bench.sendAndOpen(outward))
        #expect(opened.bytes == outward && opened.nextHeader == 4)
        #expect(bench.batch[0].path == TunnelBench.outer)
        #expect(bench.batch[0].outer.trafficClass == 0xb9 && !bench.batch[0].outer.doNotFragment)
        let outwardIPv6 = packetIPv6([0xfd, 1], [0xfd, 2])
        let openedIPv6 = try #require(bench.sendAndOpen(outwardIPv6))
        #expect(openedIPv6.bytes == outwardIPv6 && openedIPv6.nextHeader == 41)
        #expect(bench.batch[0].outer.doNotFragment)
        #expect(bench.counted.packetsOut.load(ordering: .relaxed) == 2)
        for bytes in [packet([10, 9, 0, 9], [10, 2, 0, 9]), packet([10, 1, 0, 9], [10, 3, 0, 9])] {
            guard case .done = bench.send(bytes) else { return #expect(Bool(false), "a stranger's packet was sent") }
        }
        #expect(bench.packets.drops[.noSessionForAddress] == 2)
    }

    @Test("what does not fit behind all headers is told so with the exact size, which then fits the path")
    func sizes() throws {
        for (pathMTU, isIPv4) in [(1500, true), (1400, true), (1000, true), (1500, false)] {
            let bench = try TunnelBench(
                AssociationUse(mode: .tunnel, tunnel: 0), selectors: [TunnelBench.selector, TunnelBench.selectorIPv6])
            bench.carryOut(.setPathMTU(peer: 5, bytes: pathMTU))
            let outward = { (count: Int) in
                isIPv4
                    ? packet([10, 1, 0, 9], [10, 2, 0, 9], byteCount: count)
                    : packetIPv6([0xfd, 1], [0xfd, 2], byteCount: count)
            }
            guard case .tooLarge(.association(peer: 5, bench.outbound), let mtuBytes) = bench.send(outward(1500)) else {
                return #expect(Bool(false), "it fits")
            }
            guard case .sendInUDP = bench.send(outward(mtuBytes)) else { return #expect(Bool(false), "does not fit") }
            // IPv4 and UDP before it.
            #expect(bench.batch[0].count + 28 <= pathMTU && bench.batch[0].count + 28 > pathMTU - 4)
            guard case .tooLarge = bench.send(outward(mtuBytes + 1)) else {
                return #expect(Bool(false), "one byte more fits")
            }
        }
    }

    @Test("without an SA packets wait, the oldest give way, the control loop is told once a second, and then they go")
    func waiting() throws {
        let bench = try TunnelBench()
        bench.table.set(0, to: nil)
        let outward = { (mark: Int) in packet([10, 1, 0, 9], [10, 2, 0, 9], port: mark) }
        let start = Instant(nanoseconds: 9_000_000_000)
        for mark in 0..<20 { _ = bench.send(outward(mark), at: start + .milliseconds(mark)) }
        let wishes = {
            bench.packets.reports.count { if case .acquire(.init(tunnel: 0, selector: 0)) = $0 { true } else { false } }
        }
        #expect(wishes() == 1 && bench.packets.drops[.heldTooMany] == 4)
        _ = bench.send(outward(20), at: start + PacketPath.acquireInterval)
        #expect(wishes() == 2)
        bench.table.set(0, to: TunnelTable.Place(worker: 0, peer: 5))
        bench.carryOut(.sendHeld(tunnel: 0))
        bench.batch.reset()
        let isHeld = bench.packets.takeHeld(into: &bench.batch)
        #expect(isHeld && bench.batch.count == PacketPath.heldMaximum)
        let ports = (0..<bench.batch.count).map { Int(bench.batch[$0].uint16(at: 22)) }
        #expect(ports == Array(5...20))
        bench.batch.reset()
        let isHeldStill = bench.packets.takeHeld(into: &bench.batch)
        let isDueStill = bench.packets.isHeldDue
        #expect(!isHeldStill && !isDueStill)
        bench.table.set(0, to: nil)
        _ = bench.send(outward(1), at: start + .seconds(2))
        bench.carryOut(.dropHeld(tunnel: 0))
        #expect(bench.packets.drops[.heldInVain] == 1)
    }

    @Test("of several SA pairs the one of the packet's traffic is used, and of these the newest")
    func choice() throws {
        let narrow = TrafficSelector(
            local: TunnelBench.range("10.1.0.0", 16), remote: TunnelBench.range("10.2.5.0", 24))
        let bench = try TunnelBench(
            AssociationUse(mode: .tunnel, tunnel: 0, selector: TunnelBench.selector),
            selectors: [TunnelBench.selector, narrow])
        let (second, third) = (SecurityParameterIndex(0xd000_0002), SecurityParameterIndex(0xd000_0003))
        let ofL2TP = AssociationUse.l2tp
        let ofNarrow = AssociationUse(mode: .tunnel, tunnel: 0, selector: narrow)
        bench.carryOut(.installOutbound(bench.parameters(second, 3, ofNarrow), peer: 5))
        bench.carryOut(.installOutbound(bench.parameters(third, 4, ofL2TP), peer: 5))
        let index = { (destination: [UInt8]) -> UInt32 in
            _ = bench.send(packet([10, 1, 0, 9], destination))
            return bench.batch[0].uint32(at: 0)
        }
        #expect(index([10, 2, 0, 9]) == bench.outbound.value && index([10, 2, 5, 9]) == second.value)
        #expect(bench.packets.peers[5]?.pointee.outbound?.pointee.association.index == third)
        bench.carryOut(.removeOutbound(second, peer: 5))
        #expect(index([10, 2, 5, 9]) == bench.outbound.value)
    }

    @Test("L2TP in tunnel mode is told to the control loop, and answered between the client's inner addresses")
    func l2tp() throws {
        let selector = TrafficSelector(
            local: AddressRange(.v4(TunnelBench.own)), remote: TunnelBench.range("192.168.1.7", 32), protocolNumber: 17,
            localPort: 1701)
        let bench = try TunnelBench(AssociationUse(mode: .tunnel, selector: selector))
        let message: [UInt8] = [0xc8, 2, 0, 12] + [UInt8](repeating: 0, count: 8)
        let datagram = be16(1701) + be16(1701) + be16(8 + message.count) + [0, 0] + message
        let inner =
            [0x45, 0] + be16(20 + datagram.count) + [0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 1, 7]
            + TunnelBench.own.octets + datagram
        #expect(bench.receive(inner) == nil)
        let told = bench.packets.reports.compactMap { report -> [UInt8]? in
            if case .control(500, 1701, let message) = report { message } else { nil }
        }
        #expect(told == [message])
        let peer = try #require(bench.packets.peers[5])
        bench.load([message])
        guard case .sendInUDP = bench.packets.sendL2TP(&bench.batch[0], to: peer, remotePort: 1701) else {
            return #expect(Bool(false), "not sent")
        }
        #expect(bench.packets.drops[.noOutboundAssociation] == 0)
        // The same SA has no room for anything else.
        #expect(bench.receive(packet([192, 168, 1, 7], TunnelBench.own.octets, port: 80)) == nil)
        #expect(bench.packets.drops[.outsideSelector] == 1)
    }

    @Test("IPsec in a tunnel between its own ends is dropped: it would go round for ever")
    func loops() throws {
        let everything = TrafficSelector(local: .anyIPv4, remote: .anyIPv4)
        let bench = try TunnelBench(selectors: [everything])
        let (own, peer) = (TunnelBench.own.octets, TunnelBench.peer.octets)
        for (number, port) in [(50, 0), (51, 0), (17, 500), (17, 4500)] as [(UInt8, Int)] {
            #expect(bench.receive(packet(peer, own, protocolNumber: number, port: port)) == nil)
            guard case .done = bench.send(packet(own, peer, protocolNumber: number, port: port)) else {
                return #expect(Bool(false), "sent")
            }
        }
        #expect(bench.packets.drops[.nestedIPsec] == 8)
        #expect(bench.receive(packet(peer, own, port: 80)) != nil && bench.sendAndOpen(packet(own, peer)) != nil)
    }

    @Test("in transport mode the payload alone travels, and gets a header and a right checksum behind a NAT")
    func transport() throws {
        let (own, peer) = (TunnelBench.own, TunnelBench.peer)
        let selector = TrafficSelector(local: AddressRange(.v4(own)), remote: AddressRange(.v4(peer)))
        let original = IPv4Address(192, 168, 1, 7)
        let bench = try TunnelBench(
            AssociationUse(mode: .transport, tunnel: 0, originalAddresses: (.v4(original), .v4(own))),
            selectors: [selector])
        let outward = packet(own.octets, peer.octets)
        let opened = try #require(bench.sendAndOpen(outward))
        #expect(opened.bytes == Array(outward.dropFirst(20)) && opened.nextHeader == 17)
        guard case .done = bench.send(packet(own.octets, peer.octets, fragment: 0x2000)) else {
            return #expect(Bool(false), "a fragment was sent")
        }
        var datagram = Array(packet().dropFirst(20))
        let checksum = Self.checksum(datagram, original, own)
        datagram.replaceSubrange(6..<8, with: be16(Int(checksum)))
        let delivered = try #require(bench.receive(datagram, nextHeader: 17))
        #expect(Array(delivered[12..<20]) == peer.octets + own.octets && delivered[9] == 17)
        #expect(Self.checksum(Array(delivered.dropFirst(20)), peer, own) == 0)
    }

    /// UDP's checksum with its pseudo-header: 0 where the datagram bears the right one.
    private static func checksum(_ datagram: [UInt8], _ source: IPv4Address, _ destination: IPv4Address) -> UInt16 {
        let bytes = source.octets + destination.octets + [0, 17] + be16(datagram.count) + datagram
        var sum = stride(from: 0, to: bytes.count, by: 2).reduce(0) { $0 + Int(bytes[$1]) << 8 + Int(bytes[$1 + 1]) }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }

    @Test("nothing is allocated for a packet in tunnel mode, either way")
    func allocations() throws {
        guard culvert_allocation_count() >= 0 else { return }
        let bench = try TunnelBench()
        let rounds = 100
        let sealed = (0..<(rounds + 1) * 32).map { _ in bench.seal(packet(byteCount: 1000), nextHeader: 4) }
        let outward = packet([10, 1, 0, 9], [10, 2, 0, 9], byteCount: 1000)
        var (allocated, delivered, sent) = (0, 0, 0)
        for round in 0...rounds {
            bench.load(Array(sealed[round * 32..<round * 32 + 32]))
            var before = culvert_allocation_count()
            bench.packets.receive(&bench.batch, by: .udp, now: Instant(nanoseconds: 1))
            allocated += round == 0 ? 0 : culvert_allocation_count() - before
            for position in 0..<32 { if case .deliver = bench.packets.disposition(position) { delivered += 1 } }
            bench.load(.init(repeating: outward, count: 32), path: .none)
            before = culvert_allocation_count()
            bench.packets.send(&bench.batch, now: .zero)
            allocated += round == 0 ? 0 : culvert_allocation_count() - before
            for position in 0..<32 { if case .sendInUDP = bench.packets.disposition(position) { sent += 1 } }
        }
        #expect(delivered == sealed.count && sent == sealed.count)
        #expect(allocated == 0, "\(allocated) allocations for \(2 * rounds * 32) packets")
    }

    @Test("the longest prefix decides, then the order; addresses beside all networks belong to no tunnel")
    func lookUp() {
        let tunnel = { (remotes: [AddressRange]) in
            (selectors: remotes.map { TrafficSelector(local: .anyIPv4, remote: $0) }, rules: OuterHeaderRules())
        }
        let table = TunnelTable([
            tunnel([TunnelBench.range("10.0.0.0", 8), TunnelBench.range("172.16.0.0", 12)]),
            tunnel([TunnelBench.range("10.2.0.0", 16), TunnelBench.range("10.2.3.4", 32)]),
            tunnel([TunnelBench.range("10.2.0.0", 16)]),
            (
                [TrafficSelector(local: .anyIPv4, remote: TunnelBench.range("10.2.3.0", 24), protocolNumber: 6)],
                OuterHeaderRules()
            ),
            ([TunnelBench.selectorIPv6], OuterHeaderRules()),
        ])
        let found = { (text: String, number: UInt8) -> [Int]? in
            guard let address = IPAddress(text) else { return nil }
            let source: IPAddress = address.version == 4 ? .v4(.any) : .v6(IPv6Address("fd01::1") ?? .any)
            return table.lookUp(PacketFlow(source: source, destination: address, protocolNumber: number)).map {
                [$0.tunnel, $0.selector]
            }
        }
        #expect(found("10.255.255.255", 17) == [0, 0] && found("172.31.255.255", 17) == [0, 1])
        #expect(found("10.2.0.0", 17) == [1, 0] && found("10.2.255.255", 17) == [1, 0])
        #expect(found("10.2.3.4", 6) == [1, 1] && found("10.2.3.5", 6) == [3, 0] && found("10.2.3.5", 17) == [1, 0])
        #expect(found("10.3.0.0", 17) == [0, 0] && found("11.0.0.0", 17) == nil && found("9.255.255.255", 17) == nil)
        #expect(found("fd02::7", 17) == [4, 0] && found("fd03::7", 17) == nil)
        #expect(
            TunnelTable.empty.lookUp(PacketFlow(source: .v4(.any), destination: .v4(.any), protocolNumber: 1)) == nil)
    }
}
