import ESP
import IO
import Logging
import Wire

/// The data plane of many clients in one process: a worker as the gateway has it, with a TUN interface and outer sockets of its
/// own, that benchmarks load a gateway with. The path is symmetric; the one difference is what an inner address means. A session
/// here has the address of the *server* that its client talks to, so that the check of sources lets in what that server sends,
/// and the route table finds the session by the server. So each client talks to a server address of its own, and the network
/// behind the gateway gives all of them to one machine.
package final class LoadClient {
    /// What comes that is not an IP packet: for the clients' IKE, L2TP and PPP.
    package enum Report: Sendable {
        /// An IKE message to the client at `local`.
        case ike(message: [UInt8], local: IPv4Address)
        /// An L2TP control message.
        case control(client: Int, message: [UInt8])
        /// A PPP frame.
        case frame(client: Int, frame: [UInt8])
    }

    /// How a client's packets travel.
    package enum Encapsulation: Sendable {
        /// As IP protocol 50.
        case none
        /// In UDP 4500.
        case udp
        /// L2TP in UDP 1701, without IPsec: the same way of every packet but for cryptography.
        case clear
    }

    /// One direction of an SA.
    package struct Association: Sendable {
        let index: SecurityParameterIndex
        let suite: Suite
        let keys: SuiteKeys

        /// An SA by `index`, its receiver's number.
        package init(index: SecurityParameterIndex, suite: Suite, keys: SuiteKeys) {
            (self.index, self.suite, self.keys) = (index, suite, keys)
        }

        fileprivate var parameters: AssociationParameters {
            AssociationParameters(
                index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
                limit: .none)
        }
    }

    /// The numbers of a session: ours, then the gateway's.
    package struct Session: Sendable {
        let own: (tunnel: UInt16, session: UInt16)
        let remote: (tunnel: UInt16, session: UInt16)

        /// A session by the Tunnel ID and the Session ID that each end assigned.
        package init(own: (tunnel: UInt16, session: UInt16), remote: (tunnel: UInt16, session: UInt16)) {
            (self.own, self.remote) = (own, remote)
        }
    }

    /// Reports that wait to be looked at; more are dropped, and sent again by the gateway.
    private static let reportsMaximum = 1 << 20
    private static let wakeToken = 0

    private let server: IPv4Address
    private let tunnels: TUNDevice
    private let routes: RouteTable
    private let senders: OuterSenders
    private let handle: WorkerHandle
    private let reports: Mailbox<WorkerReport>
    private let reported: Waker
    private let poller: Poller
    private let thread: WorkerThread

    /// The data plane of clients of the gateway at `server`. It makes the TUN interface `interface`, to which the system is to
    /// route `servers`, the network of server addresses.
    package init(server: IPv4Address, interface: String, servers: IPv4Network, mtuBytes: Int) throws {
        self.server = server
        tunnels = try TUNDevice(name: interface, offloads: .all)
        let netlink = try Netlink()
        try netlink.bringUp(interface: netlink.interface(named: tunnels.name).index, mtuBytes: mtuBytes)
        routes = RouteTable(servers)
        let opened = try GatewayServer.openPorts(
            workerCount: 1, tunnels: tunnels, offloads: .all, log: Logger(label: "load"))[0]
        senders = opened.senders
        let handle = WorkerHandle(waker: opened.waker)
        self.handle = handle
        let reported = try Waker()
        self.reported = reported
        poller = try Poller()
        try poller.add(reported, token: Self.wakeToken)
        reports = Mailbox(capacity: Self.reportsMaximum) { reported.wake() }
        // Handed over whole: from here on it belongs to its thread.
        nonisolated(unsafe) let worker = try Worker(
            index: 0, ports: opened.ports, handle: handle, reports: reports, routes: routes, tunnels: .empty,
            endpoints: [], localAddress: servers.address)
        thread = try WorkerThread(name: "worker-0") { worker.run() }
        handle.send(.serveClear(true))
    }

    deinit {
        handle.send(.stop)
        thread.join()
    }

    /// Waits until something was reported or `deadline` has come, and takes all that there is.
    package func wait(until deadline: Instant) -> [Report] {
        if reports.isEmpty { _ = poller.wait(until: deadline) }
        reported.clear()
        return reports.takeAll().compactMap { report in
            switch report {
            case .ike(let message, let path, _):
                guard case .v4(let local) = path.local else { return nil }
                return .ike(message: message, local: local)
            case .control(let peer, _, let message): return .control(client: Int(peer), message: message)
            case .frame(let session, let frame): return .frame(client: Int(session), frame: frame)
            case .earlyFrame(let peer, _, _, let frame): return .frame(client: Int(peer), frame: frame)
            default: return nil
            }
        }
    }

    /// Sends an IKE message from a client's address, by port 4500 if it has `floated`, else 500.
    package func sendIKE(_ message: [UInt8], from local: IPv4Address, floated: Bool) {
        let sender = floated ? senders.encapsulated : senders.ike
        let port = floated ? IKEPort.encapsulated : IKEPort.plain
        // RFC 3948 section 2.2: on port 4500, four zero bytes tell IKE from ESP.
        let bytes = floated ? [0, 0, 0, 0] + message : message
        // What does not leave is sent again, as if it were lost on its way.
        try? sender.send(bytes, along: OuterPath(remote: Endpoint(server, port), local: .v4(local)))
    }

    /// A client comes, at an address of its own.
    package func add(client: Int, at local: IPv4Address, by encapsulation: Encapsulation) {
        let (port, outer): (UInt16, OuterEncapsulation) =
            switch encapsulation {
            case .none: (0, .none)
            case .udp: (IKEPort.encapsulated, .udp)
            case .clear: (PacketPath.l2tpPort, .clear)
            }
        let path = OuterPath(remote: Endpoint(server, port), local: .v4(local))
        handle.send(.addPeer(slot: client, identifier: UInt64(client), path: path, encapsulation: outer))
    }

    /// A client has its SAs.
    package func install(client: Int, inbound: Association, outbound: Association) {
        handle.send(.installInbound(inbound.parameters, peer: client))
        handle.send(.installOutbound(outbound.parameters, peer: client))
    }

    /// Sends an L2TP control message.
    package func sendControl(_ message: [UInt8], of client: Int) {
        handle.send(.sendControl(peer: client, remotePort: PacketPath.l2tpPort, message: message))
    }

    /// A client has its session.
    package func add(_ session: Session, of client: Int) {
        handle.send(
            .addSession(
                slot: client,
                SessionParameters(
                    identifier: UInt64(client), peer: client, tunnel: session.own.tunnel,
                    session: session.own.session, remoteTunnel: session.remote.tunnel,
                    remoteSession: session.remote.session, remotePort: PacketPath.l2tpPort, isSequenced: false,
                    traffic: SessionTraffic())))
    }

    /// Sends a PPP frame.
    package func sendFrame(_ frame: [UInt8], of client: Int) {
        handle.send(.sendFrame(session: client, frame: frame))
    }

    /// A client's network phase is reached: from now on it exchanges packets with the server at `address`.
    package func connect(client: Int, to address: IPv4Address, mtuBytes: Int) {
        handle.send(
            .setNetwork(
                slot: client,
                NetworkParameters(
                    address: address, mtuBytes: mtuBytes, omitsAddressAndControl: false, compressesProtocol: false)))
        routes.set(address, to: RouteTable.Entry(worker: 0, slot: client))
    }
}
