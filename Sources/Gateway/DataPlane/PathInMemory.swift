import ESP
import Wire

/// One worker's packet path with peers on it that have a session each, without sockets: what benchmarks measure. It stands in
/// this module, so that they need to see nothing else of it and the path is optimized as in the gateway.
package struct PathInMemory: ~Copyable {
    /// What the client's data messages bear, and ours.
    package static let tunnel: UInt16 = 0x1234
    package static let session: UInt16 = 0x5678
    /// The first client's inner address.
    package static let clientAddress = clientAddress(0)
    /// By which the first client sends to us.
    package static let inboundIndex = inboundIndex(0)
    /// The most clients: their SAs take a part of a worker's slots that the control loop could give out, too.
    package static let clientsMaximum = SecurityParameterIndexAllocator.usedMaximum - 2
    /// Has room for so many.
    private static let network = IPv4Network(IPv4Address(10, 10, 0, 0), prefixLength: 15)

    private var path: PacketPath
    private let now = Instant(nanoseconds: 1_000_000_000)

    /// A client's inner address.
    package static func clientAddress(_ client: Int) -> IPv4Address {
        IPv4Address(IPv4Address(10, 10, 0, 2).value + UInt32(client))
    }

    /// By which a client sends to us. As when slots are drawn at random, neighbours do not lie side by side.
    package static func inboundIndex(_ client: Int) -> SecurityParameterIndex {
        SecurityParameterIndex(0x1000_0000 | UInt32((0x42 + client * 0x9e37) % SecurityParameterIndex.slotCount))
    }

    /// Where a client is.
    package static func outerPath(_ client: Int) -> OuterPath {
        OuterPath(
            remote: Endpoint(IPv4Address(IPv4Address(192, 0, 2, 7).value + UInt32(client)), 4500),
            local: .v4(IPv4Address(198, 51, 100, 1)))
    }

    /// A path for `clients` clients, whose SAs have this protection and the same keys, each direction its own. Nil where the keys
    /// do not fit it.
    package init?(
        clients: Int = 1, protection: Protection, inboundKeys: ProtectionKeys, outboundKeys: ProtectionKeys,
        mtuBytes: Int, batchCapacity: Int
    ) {
        guard let network = Self.network, (1...Self.clientsMaximum).contains(clients) else { return nil }
        let routes = RouteTable(network)
        var path = PacketPath(worker: 0, routes: routes, batchCapacity: batchCapacity)
        func association(_ index: SecurityParameterIndex, _ keys: ProtectionKeys) -> AssociationParameters {
            AssociationParameters(index: index, protection: protection, keys: keys, limit: .none)
        }
        var isInstalled = true
        for client in 0..<clients {
            let outboundIndex = SecurityParameterIndex(0xc000_0001 + UInt32(client))
            let commands: [WorkerCommand] = [
                .addPeer(
                    slot: client, identifier: UInt64(client) + 1, path: Self.outerPath(client), encapsulation: .udp),
                .installInbound(association(Self.inboundIndex(client), inboundKeys), peer: client),
                .installOutbound(association(outboundIndex, outboundKeys), peer: client),
                .addSession(
                    slot: client,
                    SessionParameters(
                        identifier: UInt64(client) + 1, peer: client, tunnel: Self.tunnel, session: Self.session,
                        remoteTunnel: 7, remoteSession: 9, remotePort: 1701, isSequenced: false,
                        traffic: SessionTraffic())),
                .setNetwork(
                    slot: client,
                    NetworkParameters(
                        address: Self.clientAddress(client), mtuBytes: mtuBytes, omitsAddressAndControl: true,
                        compressesProtocol: true)),
            ]
            for command in commands where !path.carryOut(command) { isInstalled = false }
            routes.set(Self.clientAddress(client), to: RouteTable.Entry(worker: 0, slot: client))
        }
        guard isInstalled else { return nil }
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
