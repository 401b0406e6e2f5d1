import Cryptography
import ESP
import Wire

@testable import Gateway

func be16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

/// One worker's packet path with one peer and one session on it, and the client at the other end of the SAs.
final class PathBench {
    struct Outcome {
        var disposition: Disposition
        var bytes: [UInt8]

        var isDelivered: Bool { if case .deliver = disposition { true } else { false } }
        var isSent: Bool { if case .sendInUDP = disposition { true } else { false } }
    }

    static let address = IPv4Address(192, 168, 42, 10)
    static let host = IPv4Address(10, 99, 0, 1)
    static let path = OuterPath(
        remote: Endpoint(IPv4Address(203, 0, 113, 1), 4500), local: .v4(IPv4Address(198, 51, 100, 1)))
    static let network = NetworkParameters(
        address: address, mtuBytes: 1400, omitsAddressAndControl: false, compressesProtocol: false)
    /// Where ESP carries the client's UDP header.
    static let remotePort: UInt16 = 1701

    var packets: PacketPath
    var batch: PacketBatch
    let routes: RouteTable
    let traffic = SessionTraffic()
    let inbound = SecurityParameterIndex(0x8000_0011)
    let outbound = SecurityParameterIndex(0xc0ff_ee01)
    private let suite: Suite
    private let limit: VolumeLimit
    private var clientSends: OutboundSecurityAssociation
    private var clientReceives: InboundTable
    private var random = RandomBlock()
    private var now = Instant(nanoseconds: 1_000_000_000)

    init(
        suite: Suite = .combined(.gcm(keyLength: 16, checkLength: 16)), isSequenced: Bool = false,
        network: NetworkParameters? = network,
        encapsulation: OuterEncapsulation = .udp, limit: VolumeLimit = .none, batchCapacity: Int = 64,
        multiBuffer: MultiBuffer = .wanted
    ) throws {
        (self.suite, self.limit) = (suite, limit)
        batch = PacketBatch(capacity: batchCapacity, packetSizeMaximum: 4096)
        clientReceives = InboundTable(batchCapacity: batchCapacity)
        let table = RouteTable(IPv4Network(IPv4Address(192, 168, 42, 0), prefixLength: 24) ?? Self.everything)
        routes = table
        packets = PacketPath(worker: 0, routes: table, batchCapacity: batchCapacity, multiBuffer: multiBuffer)
        clientSends = try OutboundSecurityAssociation(
            index: inbound, protection: Protection(payload: suite), keys: ProtectionKeys(payload: Self.keys(suite, 1)))
        clientReceives.install(
            try InboundSecurityAssociation(
                index: outbound, owner: 0, protection: Protection(payload: suite),
                keys: ProtectionKeys(payload: Self.keys(suite, 2))))
        carryOut(.addPeer(slot: 5, identifier: 500, path: Self.path, encapsulation: encapsulation))
        carryOut(.installInbound(parameters(inbound, 1), peer: 5))
        carryOut(.installOutbound(parameters(outbound, 2), peer: 5))
        add(session: 70, at: 9, isSequenced: isSequenced)
        carryOut(.setNetwork(slot: 9, network))
        routes.set(Self.address, to: RouteTable.Entry(worker: 0, slot: 9))
    }

    private static let everything = IPv4Network(.any, prefixLength: 32) ?? { preconditionFailure("0.0.0.0/32") }()

    private static func keys(_ suite: Suite, _ seed: UInt8) -> SuiteKeys {
        let integrity = suite.integrity?.keyLength ?? 0
        return SuiteKeys(
            encryption: SecretBytes(
                [UInt8](repeating: seed, count: suite.encryption.keyLength + suite.encryption.saltLength)),
            integrity: SecretBytes([UInt8](repeating: seed &+ 100, count: integrity)))
    }

    func parameters(_ index: SecurityParameterIndex, _ seed: UInt8) -> AssociationParameters {
        AssociationParameters(
            index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: Self.keys(suite, seed)),
            limit: limit)
    }

    @discardableResult
    func carryOut(_ command: WorkerCommand) -> Bool { packets.carryOut(command) }

    /// Adds a session of the peer: our ids are 7 and `session`, the client's 17 and `session` + 10.
    func add(session: UInt16, at slot: Int, isSequenced: Bool = false) {
        carryOut(
            .addSession(
                slot: slot,
                SessionParameters(
                    identifier: UInt64(session) * 10, peer: 5, tunnel: 7, session: session, remoteTunnel: 17,
                    remoteSession: session + 10, remotePort: Self.remotePort, isSequenced: isSequenced, traffic: traffic
                )))
    }

    func wait(_ duration: Duration) { now += duration }

    // MARK: From the client

    /// The client's UDP datagram to our L2TP port.
    static func udp(_ message: [UInt8], to port: Int = 1701) -> [UInt8] {
        be16(Int(remotePort)) + be16(port) + be16(8 + message.count) + [0, 0] + message
    }

    /// An L2TP data message without any optional field.
    static func data(_ frame: [UInt8], session: Int = 70) -> [UInt8] { [0, 2] + be16(7) + be16(session) + frame }

    static func frame(_ packet: [UInt8]) -> [UInt8] { [0xff, 3, 0, 0x21] + packet }

    func seal(_ payload: [UInt8], nextHeader: UInt8 = 17) -> [UInt8] {
        let slot = PacketBatch(capacity: 1, packetSizeMaximum: 4096)
        slot[0].start.copyMemory(from: payload, byteCount: payload.count)
        slot[0].count = payload.count
        _ = clientSends.seal(&slot[0], nextHeader: nextHeader, random: &random)
        return [UInt8](copying: slot[0].span)
    }

    func load(_ list: [[UInt8]], path: OuterPath = PathBench.path) {
        batch.reset()
        for (position, bytes) in list.enumerated() {
            batch[position].start.copyMemory(from: bytes, byteCount: bytes.count)
            batch[position].count = bytes.count
            batch[position].path = path
        }
        batch.count = list.count
    }

    /// Takes sealed packets through the path as one batch.
    @discardableResult
    func receive(
        sealed list: [[UInt8]], path: OuterPath = PathBench.path, by encapsulation: OuterEncapsulation = .udp
    ) -> [Outcome] {
        load(list, path: path)
        packets.receive(&batch, by: encapsulation, now: now)
        return outcomes
    }

    /// Takes sealed packets through the path as one batch, each where the system put it: one right behind the other, without
    /// room.
    func receive(together list: [[UInt8]]) -> [Outcome] {
        var memory = list.flatMap(\.self)
        return memory.withUnsafeMutableBytes { memory in
            batch.reset()
            var offset = 0
            for (position, bytes) in list.enumerated() {
                guard let start = memory.baseAddress else { break }
                batch.count = position + 1
                batch[position] = Packet(start: start + offset, count: bytes.count, path: Self.path)
                offset += bytes.count
            }
            packets.separateIKE(&batch, port: 4500)
            packets.receive(&batch, by: .udp, now: now)
            return outcomes
        }
    }

    /// Takes what came to UDP 1701 through the path as one batch.
    @discardableResult
    func receiveClear(_ list: [[UInt8]], path: OuterPath = PathBench.path) -> [Outcome] {
        load(list, path: path)
        packets.receiveClear(&batch, now: now)
        return outcomes
    }

    /// The client sends UDP datagrams, as one batch.
    @discardableResult
    func receive(datagrams list: [[UInt8]]) -> [Outcome] { receive(sealed: list.map { seal($0) }) }

    /// The client sends PPP frames, as one batch.
    @discardableResult
    func receive(frames list: [[UInt8]]) -> [Outcome] { receive(datagrams: list.map { Self.udp(Self.data($0)) }) }

    // MARK: From inside

    /// Takes IP packets from inside through the path as one batch.
    func send(_ list: [[UInt8]]) -> [Outcome] {
        load(list, path: .none)
        packets.send(&batch, now: now)
        return outcomes
    }

    private var outcomes: [Outcome] {
        (0..<batch.count).map { Outcome(disposition: packets.disposition($0), bytes: [UInt8](copying: batch[$0].span)) }
    }

    /// What the client finds in ESP packets: the whole UDP datagram.
    func open(_ list: [[UInt8]]) -> [[UInt8]] {
        load(list)
        clientReceives.open(batch, as: .esp)
        return (0..<batch.count).map { clientReceives.result($0).drop == nil ? [UInt8](copying: batch[$0].span) : [] }
    }
}

/// A UDP or TCP packet in IPv4; `byteCount` in all.
func innerPacket(
    from source: IPv4Address = PathBench.address, to destination: IPv4Address = PathBench.host, byteCount: Int = 60,
    mark: UInt8 = 0
) -> [UInt8] {
    [0x45, 0] + be16(byteCount) + [0, mark, 0, 0, 64, 17, 0, 0] + source.octets + destination.octets
        + [UInt8](repeating: mark, count: byteCount - 20)
}

/// A TCP SYN that announces `segmentSize`.
func synchronize(from source: IPv4Address, to destination: IPv4Address, segmentSize: Int) -> [UInt8] {
    [0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0] + source.octets + destination.octets + be16(1000) + be16(80)
        + [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4] + be16(segmentSize)
}
