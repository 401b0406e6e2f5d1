import ESP
import Wire

/// One worker's packet path with one peer and one session on it, without sockets: what benchmarks measure. It stands in this
/// module, so that they need to see nothing else of it and the path is optimized as in the gateway.
package struct PathInMemory: ~Copyable {
    /// What the client's data messages bear, and ours.
    package static let tunnel: UInt16 = 0x1234
    package static let session: UInt16 = 0x5678
    /// The client's inner address.
    package static let clientAddress = IPv4Address(10, 10, 0, 2)
    /// By which the client sends to us.
    package static let inboundIndex = SecurityParameterIndex(0x1000_0042)
    /// By which we send to it.
    package static let outboundIndex = SecurityParameterIndex(0xc000_0001)

    private var path: PacketPath
    private let now = Instant(nanoseconds: 1_000_000_000)

    /// A path whose SAs have this protection, each direction its keys. Nil where the keys do not fit it.
    package init?(
        protection: Protection, inboundKeys: ProtectionKeys, outboundKeys: ProtectionKeys, mtuBytes: Int,
        batchCapacity: Int
    ) {
        guard let network = IPv4Network(IPv4Address(10, 10, 0, 0), prefixLength: 24) else { return nil }
        let routes = RouteTable(network)
        var path = PacketPath(worker: 0, routes: routes, batchCapacity: batchCapacity)
        let outer = OuterPath(
            remote: Endpoint(IPv4Address(192, 0, 2, 7), 4500), local: .v4(IPv4Address(198, 51, 100, 1)))
        func association(_ index: SecurityParameterIndex, _ keys: ProtectionKeys) -> AssociationParameters {
            AssociationParameters(index: index, protection: protection, keys: keys, limit: .none)
        }
        let commands: [WorkerCommand] = [
            .addPeer(slot: 0, identifier: 1, path: outer, encapsulation: .udp),
            .installInbound(association(Self.inboundIndex, inboundKeys), peer: 0),
            .installOutbound(association(Self.outboundIndex, outboundKeys), peer: 0),
            .addSession(
                slot: 0,
                SessionParameters(
                    identifier: 1, peer: 0, tunnel: Self.tunnel, session: Self.session, remoteTunnel: 7,
                    remoteSession: 9, remotePort: 1701, isSequenced: false, traffic: SessionTraffic())),
            .setNetwork(
                slot: 0,
                NetworkParameters(
                    address: Self.clientAddress, mtuBytes: mtuBytes, omitsAddressAndControl: true,
                    compressesProtocol: true)),
        ]
        var isInstalled = true
        for command in commands where !path.carryOut(command) { isInstalled = false }
        guard isInstalled else { return nil }
        routes.set(Self.clientAddress, to: RouteTable.Entry(worker: 0, slot: 0))
        self.path = path
    }

    /// Takes a batch that came on UDP 4500 inwards, as a worker does; returns how many packets are to be delivered.
    package mutating func receive(_ batch: inout PacketBatch) -> Int {
        path.separateIKE(&batch, port: IKEPort.encapsulated)
        path.receive(&batch, by: .udp, now: now)
        var delivered = 0
        for position in 0..<batch.count { if case .deliver = path.disposition(position) { delivered += 1 } }
        path.reports.removeAll(keepingCapacity: true)
        return delivered
    }

    /// Takes a batch from inside outwards, as a worker does; returns how many packets are to be sent.
    package mutating func send(_ batch: inout PacketBatch) -> Int {
        path.send(&batch, now: now)
        var sent = 0
        for position in 0..<batch.count { if case .sendInUDP = path.disposition(position) { sent += 1 } }
        return sent
    }
}
