import Cryptography
import ESP
import L2TP
import PPP
import Wire

@testable import Gateway

/// A worker's whole path: what a client sends inside an authentic SA, and what comes from the TUN interface. Every packet
/// is delivered, reported or dropped with a reason, and nothing gets through that is not the session's.
enum PacketPathFuzz {
    private static let recordsMaximum = 40
    fileprivate static let batchCapacity = 4

    fileprivate enum Kind {
        static let mask: UInt8 = 7
        static let raw: UInt8 = 0
        static let l2tp: UInt8 = 1
        static let frame: UInt8 = 2
        static let inner: UInt8 = 3
        static let outward: UInt8 = 4
        static let command: UInt8 = 5
        static let outer: UInt8 = 6
        static let secondSession: UInt8 = 8
        static let isShort: UInt8 = 16
        static let hasLength: UInt8 = 32
        static let opens: UInt8 = 64
        static let moved: UInt8 = 128
    }

    fileprivate static let suite = Suite.combined(.gcm(keyLength: 16, checkLength: 16))
    fileprivate static let gateway = IPv4Address(192, 168, 42, 1)
    fileprivate static let path = OuterPath(
        remote: Endpoint(IPv4Address(192, 0, 2, 7), 4500), local: .v4(IPv4Address(198, 51, 100, 1)))
    fileprivate static let inbound = SecurityParameterIndex(0x1200_0101)
    fileprivate static let outbound = SecurityParameterIndex(0x3400_0202)
    /// The second session wants sequence numbers and short headers, and has rate limits.
    fileprivate static let networks: [NetworkParameters] = [
        NetworkParameters(
            address: IPv4Address(192, 168, 42, 10), mtuBytes: 1400, omitsAddressAndControl: false,
            compressesProtocol: false),
        NetworkParameters(
            address: IPv4Address(192, 168, 42, 11), mtuBytes: 576, omitsAddressAndControl: true,
            compressesProtocol: true),
    ]

    fileprivate static func keys(_ seed: UInt64) -> SuiteKeys {
        var generator = SeededRandom(state: seed)
        return SuiteKeys(encryption: SecretBytes(generator.bytes(20)), integrity: SecretBytes([]))
    }

    /// The tables are large, and empty for the most part: they serve all inputs, what is in them is made anew for each.
    fileprivate final class Bench {
        let routes: RouteTable
        var path: PacketPath
        var client: OutboundSecurityAssociation
        var clientTable = InboundTable(batchCapacity: PacketPathFuzz.batchCapacity)
        var random = RandomBlock()
        var batch = PacketBatch(capacity: PacketPathFuzz.batchCapacity, packetSizeMaximum: 4096)
        var now = Instant(nanoseconds: 1_000_000_000)

        init() {
            guard let network = IPv4Network("192.168.42.0/24"), let client = Self.makeClient() else {
                fatalError("property violated: an SA with right keys is made")
            }
            routes = RouteTable(network)
            path = PacketPath(worker: 0, routes: routes, batchCapacity: PacketPathFuzz.batchCapacity)
            self.client = client
        }

        private static func makeClient() -> OutboundSecurityAssociation? {
            try? OutboundSecurityAssociation(
                index: PacketPathFuzz.inbound, protection: Protection(payload: PacketPathFuzz.suite),
                keys: ProtectionKeys(payload: PacketPathFuzz.keys(1)))
        }
    }
    nonisolated(unsafe) private static let bench = Bench()

    static func run(_ input: Script) {
        var input = input
        bench.reset()
        var records = 0
        while !input.isAtEnd, records < recordsMaximum {
            records += 1
            bench.step(&input)
        }
        bench.receive()
        bench.clear()
    }

    // MARK: - Seeds

    static var seeds: [(name: String, bytes: [UInt8])] {
        let host = IPv4Address(203, 0, 113, 80)
        let lcp: [UInt8] = [0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4]
        var all: [(name: String, bytes: [UInt8])] = []
        for (position, network) in networks.enumerated() {
            let session = position == 1 ? Kind.secondSession : 0
            let syn = synchronize(from: network.address, to: host, segmentSize: 1460)
            let answer = synchronize(from: host, to: network.address, segmentSize: 1460, odd: true)
            let large = datagram(
                protocolNumber: 17, from: host, to: network.address, [UInt8](repeating: 7, count: 900))
            var writer = ScriptWriter()
            for (kind, bytes) in [
                (Kind.inner, syn), (Kind.inner | Kind.isShort | Kind.hasLength, syn), (Kind.frame, lcp),
                (Kind.frame | Kind.hasLength, [0x21] + syn),
                (Kind.l2tp | Kind.opens, [0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0]),
                (Kind.l2tp, [0x4a, 2, 0, 20, 0, 1, 0, 2, 0, 7, 0, 0, 0, 0] + lcp), (Kind.outward, answer),
                (Kind.outward, large),
                (
                    Kind.inner | Kind.moved | Kind.opens,
                    datagram(protocolNumber: 17, from: host, to: network.address, lcp)
                ),
                (Kind.raw, [17, 6, 165, 6, 165, 0, 8, 0, 0]), (Kind.raw, [4] + syn),
                (Kind.raw, [17, 0, 53, 6, 165, 0, 12, 0, 0, 1, 2, 3, 4]),
                (Kind.outer, [0xff]), (Kind.outer, [0, 0, 0, 0, 1, 2, 3]), (Kind.outer, [1, 2, 3]),
            ] as [(UInt8, [UInt8])] {
                writer.byte(kind | session)
                writer.block(bytes)
            }
            all.append(("session-\(position)", writer.bytes))
            var commands = ScriptWriter()
            for command in 0..<8 as Range<UInt8> {
                commands.raw([Kind.command | session, command])
                commands.byte(Kind.inner | session | Kind.opens)
                commands.block(syn)
                commands.byte(Kind.outward | session)
                commands.block(answer)
            }
            all.append(("commands-\(position)", commands.bytes))
        }
        return all
    }
}

extension PacketPathFuzz.Bench {
    private typealias Kind = PacketPathFuzz.Kind
    private typealias Fuzz = PacketPathFuzz

    func reset() {
        path.reports.removeAll(keepingCapacity: true)
        path.drops = Counters()
        now = Instant(nanoseconds: 1_000_000_000)
        batch.reset()
        clear()
        run(.addPeer(slot: 0, identifier: 11, path: Fuzz.path, encapsulation: .udp))
        install()
        for slot in 0..<2 { addSession(slot) }
    }

    /// The peer hangs up.
    func clear() {
        for slot in 0..<2 { run(.removeSession(slot: slot)) }
        run(.removePeer(slot: 0))
    }

    private func run(_ command: WorkerCommand) { require(path.carryOut(command), "a command is carried out") }

    private func install() {
        let parameters = { (index: SecurityParameterIndex, seed: UInt64) in
            AssociationParameters(
                index: index, protection: Protection(payload: Fuzz.suite),
                keys: ProtectionKeys(payload: Fuzz.keys(seed)), limit: .none)
        }
        run(.installInbound(parameters(Fuzz.inbound, 1), peer: 0))
        run(.installOutbound(parameters(Fuzz.outbound, 2), peer: 0))
        guard
            let sealing = try? OutboundSecurityAssociation(
                index: Fuzz.inbound, protection: Protection(payload: Fuzz.suite),
                keys: ProtectionKeys(payload: Fuzz.keys(1))),
            let opening = try? InboundSecurityAssociation(
                index: Fuzz.outbound, owner: 0, protection: Protection(payload: Fuzz.suite),
                keys: ProtectionKeys(payload: Fuzz.keys(2)))
        else { fatalError("property violated: an SA with right keys is made") }
        client = sealing
        clientTable.install(opening)
    }

    private func addSession(_ slot: Int) {
        run(
            .addSession(
                slot: slot,
                SessionParameters(
                    identifier: UInt64(21 + slot), peer: 0, tunnel: 1, session: UInt16(2 + slot), remoteTunnel: 7,
                    remoteSession: UInt16(70 + slot), remotePort: 1701, isSequenced: slot == 1,
                    traffic: SessionTraffic())))
        run(.setNetwork(slot: slot, Fuzz.networks[slot]))
        let rate = slot == 1 ? DataRate("8 kbit/s") : nil
        run(.setRateLimits(slot: slot, RateLimits(fromClient: rate, toClient: rate)))
        routes.set(Fuzz.networks[slot].address, to: RouteTable.Entry(worker: 0, slot: slot))
    }

    func step(_ input: inout Script) {
        let kind = input.byte()
        let slot = kind & Kind.secondSession != 0 ? 1 : 0
        switch kind & Kind.mask {
        case Kind.command: command(input.byte(), slot)
        case Kind.outward: sendOutward(input.block())
        case Kind.outer: separate(input.block())
        case Kind.raw:
            let nextHeader = input.byte()
            queue(input.block(), nextHeader: nextHeader, kind)
        case Kind.l2tp: queue(udp(input.block()), nextHeader: 17, kind)
        case Kind.frame: queue(udp(data(input.block(), kind, slot)), nextHeader: 17, kind)
        default:
            let prefix: [UInt8] = kind & Kind.isShort != 0 ? [0x21] : [0xff, 3, 0, 0x21]
            queue(udp(data(prefix + input.block(), kind, slot)), nextHeader: 17, kind)
        }
    }

    private func udp(_ payload: [UInt8]) -> [UInt8] {
        let length = UInt16(clamping: payload.count + 8)
        return [6, 165, 6, 165, UInt8(length >> 8), UInt8(truncatingIfNeeded: length), 0, 0] + payload
    }

    private func data(_ frame: [UInt8], _ kind: UInt8, _ slot: Int) -> [UInt8] {
        guard kind & Kind.hasLength != 0 else { return [0, 2, 0, 1, 0, UInt8(2 + slot)] + frame }
        let length = UInt16(clamping: frame.count + 8)
        return [0x40, 2, UInt8(length >> 8), UInt8(truncatingIfNeeded: length), 0, 1, 0, UInt8(2 + slot)] + frame
    }

    private func command(_ choice: UInt8, _ slot: Int) {
        receive()
        switch choice & 7 {
        case 0: run(.setNetwork(slot: slot, nil))
        case 1: run(.setNetwork(slot: slot, Fuzz.networks[slot]))
        case 2: run(.removeSession(slot: slot))
        case 3: addSession(slot)
        case 4: run(.moveSession(slot: slot, remotePort: 40_000))
        case 5: run(.removeOutbound(Fuzz.outbound, peer: 0))
        case 6: now += .seconds(11)
        default: clear()
        }
    }

    // MARK: - From the client

    /// Puts a packet that the client has sealed into the batch.
    private func queue(_ bytes: [UInt8], nextHeader: UInt8, _ kind: UInt8) {
        let bytes = bytes.prefix(batch.packetSizeMaximum)
        let position = batch.count
        batch[position].start.copyMemory(from: Array(bytes), byteCount: bytes.count)
        batch[position].count = bytes.count
        require(client.seal(&batch[position], nextHeader: nextHeader, random: &random) == nil, "the client can send")
        batch[position].path = Fuzz.path
        if kind & Kind.moved != 0 { batch[position].path.remote.port = 50_000 }
        batch.count += 1
        if kind & Kind.opens != 0 || batch.count == batch.capacity { receive() }
    }

    /// Everything that was dropped, or told to the control loop as a message.
    private var accounted: UInt64 {
        let esp = InboundDrop.allCases.reduce(0) { $0 + path.inboundTable.drops[$1] }
        let dropped = PacketPathDrop.allCases.reduce(0) { $0 + path.drops[$1] }
        let told = path.reports.count { report in
            switch report {
            case .ike, .control, .frame, .earlyFrame, .stranger: true
            case .peerMoved, .activity, .firstUse, .limitReached, .unknownSPI, .interfaceGone, .acquire,
                .outsideSelector, .clearPortFailed, .offloadRefused, .tooLargeForPath:
                false
            }
        }
        return esp + dropped + UInt64(told)
    }

    func receive() {
        let count = batch.count
        let before = accounted
        let hasPeer = path.peers[0] != nil
        path.receive(&batch, by: .udp, now: now)
        var delivered: UInt64 = 0
        for position in 0..<count {
            guard case .deliver = path.disposition(position) else { continue }
            delivered += 1
            let packet = batch[position]
            guard let header = IPv4Header(packet) else { fatalError("property violated: what is delivered is IPv4") }
            require(header.totalLength == packet.count, "nothing behind the datagram is delivered")
            let owners = (0..<2).filter { path.sessions[$0]?.pointee.network?.address == header.source }
            require(!owners.isEmpty, "the source address is a session's")
        }
        if hasPeer { require(accounted - before + delivered == UInt64(count), "every packet is accounted for") }
        require(path.reports.count <= PacketPath.reportsMaximum, "reports are bounded")
        batch.reset()
    }

    /// What comes on UDP 4500, ESP or not.
    private func separate(_ bytes: [UInt8]) {
        receive()
        batch[0].start.copyMemory(from: bytes, byteCount: min(bytes.count, batch.packetSizeMaximum))
        batch[0].count = min(bytes.count, batch.packetSizeMaximum)
        batch[0].path = Fuzz.path
        batch.count = 1
        let before = accounted
        path.separateIKE(&batch, port: 4500)
        require(accounted - before + UInt64(batch.count) == 1, "IKE, a keepalive, too short, or ESP")
        if batch.count == 1 { require(batch[0].count > 4 && batch[0].uint32(at: 0) != 0, "ESP has an SPI") }
        path.receive(&batch, by: .udp, now: now)
        if batch.count == 1, case .deliver = path.disposition(0) { fatalError("property violated: a stranger got in") }
        batch.reset()
    }

    // MARK: - From inside

    private func sendOutward(_ bytes: [UInt8]) {
        receive()
        let bytes = Array(bytes.prefix(batch.packetSizeMaximum))
        batch[0].start.copyMemory(from: bytes, byteCount: bytes.count)
        batch[0].count = bytes.count
        batch.count = 1
        let before = accounted
        path.send(&batch, now: now)
        switch path.disposition(0) {
        case .done: require(accounted == before + 1, "a drop is counted")
        case .tooLarge(.session(let slot), let mtuBytes):
            require(
                mtuBytes == Fuzz.networks[slot].mtuBytes && bytes.count > mtuBytes, "what is too large does not fit")
        case .sendInUDP:
            require(accounted == before, "what is sent is not dropped")
            open(sent: bytes)
        case .deliver, .sendRaw, .sendInUDPOfIKE, .sendClear, .handOver, .tooLarge(.association, _):
            fatalError("property violated: a packet from inside went elsewhere")
        }
        batch.reset()
    }

    /// The client opens what was sent: it is the packet that came from inside, whole.
    private func open(sent bytes: [UInt8]) {
        require(batch[0].path == path.peers[0]?.pointee.path, "it goes to where the peer is")
        clientTable.open(batch, as: .esp)
        let result = clientTable.result(0)
        require(result.drop == nil && result.nextHeader == 17, "the client can open it")
        var packet = batch[0]
        require(packet.count >= 8 && packet.uint16(at: 0) == 1701, "it comes from L2TP's port")
        require(Int(packet.uint16(at: 4)) == packet.count, "UDP's length is right")
        packet.removeFirst(8)
        guard case .data(let header) = L2TPDataHeader.parse(packet) else {
            fatalError("property violated: it is an L2TP data message")
        }
        let slot = Int(header.sessionID) - 70
        require(header.tunnelID == 7 && (0..<2).contains(slot), "the ids are the client's")
        require((header.ns != nil) == (slot == 1), "it is numbered where that was asked for")
        packet.removeFirst(header.payloadOffset)
        let prefix: [UInt8] = slot == 1 ? [0x21] : [0xff, 3, 0, 0x21]
        require([UInt8](copying: packet.span).starts(with: prefix), "the frame is as negotiated")
        packet.removeFirst(prefix.count)
        guard let inner = IPv4Header(packet) else { fatalError("property violated: the payload is IPv4") }
        require(inner.destination == Fuzz.networks[slot].address, "it is the session's")
        require(inner.totalLength == packet.count && packet.count <= Fuzz.networks[slot].mtuBytes, "it fits")
        let after = [UInt8](copying: packet.span)
        let changed = after.indices.filter { after[$0] != bytes[$0] }
        require(
            changed.isEmpty || inner.protocolNumber == IPProtocol.tcp && changed.count <= 4, "only a SYN is changed")
    }
}
