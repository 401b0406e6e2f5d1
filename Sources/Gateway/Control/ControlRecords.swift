import ESP
import IKE
import L2TP
import PPP
import Wire

/// A peer as the control loop knows it: what its IKE SAs have negotiated, where it is, and at which worker.
struct Peer {
    /// A pair of IPsec SAs.
    struct Association {
        let inbound: SecurityParameterIndex
        let outbound: SecurityParameterIndex
        let suite: IPsecSuite
        let mode: IPsecMode
        /// The number of the tunnel that it is for; nil for L2TP.
        let tunnel: Int?
        /// Which of the tunnel's selectors it is of.
        let selector: Int?
        /// The traffic; nil where that is L2TP's or was not named by addresses.
        let traffic: Shared<TrafficSelector>?
        /// What both directions have moved.
        let moved: SessionTraffic
        /// When it was negotiated.
        let since: Instant
        /// After how many seconds it ends.
        let lifetimeSeconds: UInt64
        /// After how many kilobytes in either direction; nil for no bound.
        let lifetimeKilobytes: UInt64?
        /// How many sequence numbers are remembered.
        let replayWindow: Int
        /// Until the peer has the keys too: then the worker has them, and nobody else needs to.
        var outboundParameters: AssociationParameters?
        /// Whether the peer has the keys too, so that we send by it.
        var isConfirmed = false
    }

    /// A client has said that it began anew, and its tunnels are asked.
    struct Doubt {
        /// The SAs that it had then.
        let associations: [SecurityParameterIndex]
        /// A tunnel that ends later without an answer has nothing to do with it.
        let until: Instant
    }

    let identifier: PeerID
    /// Where its SAs and sessions live.
    let worker: Int
    let slot: Int
    /// The number of its deadline.
    let timer: Int
    var path: OuterPath
    var encapsulation = OuterEncapsulation.none
    /// Whether we are behind a NAT or a port map on the way to it, whose mapping we have to keep.
    var needsKeepalives = false
    /// What routers said of the way to it.
    var pathMTU = PathMTU()
    /// What the interface takes by which the way begins.
    var interfaceMTUBytes: Int?
    /// Whether the worker knows it: from its first IPsec SA on.
    var isInstalled = false
    /// Who it is by IKE; nil for a soft association's peer, which is whoever sends from there.
    var identity: IKEIdentity?
    /// What kind of client it is, where its vendor ids tell.
    var client: FailedClientKind?
    var ikeSuite: PhaseOneSuite?
    /// What there is to know of a peer without IPsec; nil for one with.
    var clear: ClearPeer?
    /// Both cookies of its newest IKE SA; nil when that is gone.
    var cookies: IKECookies?
    /// The oldest first; the last confirmed one is used for sending.
    var associations: [Association] = []
    var tunnelCount = 0
    /// What may be dead since the client said that it began anew; nil where it did not.
    var doubt: Doubt?
    /// How far its dial-in has come; nil where there is none, or none that has anything left to explain.
    var dialIn: DialIn?
    /// Why it is being hung up, if it is.
    var farewell: SessionEnd?

    /// The pair that packets to the peer go by.
    var current: Association? { associations.last { $0.isConfirmed } ?? associations.last }

    /// Whether it has SAs of configured tunnels.
    var hasTunnels: Bool { associations.contains { $0.tunnel != nil } }
}

/// Whether L2TP may come without IPsec, in clear.
enum ClearL2TP: Sendable, Equatable {
    /// It does not exist: nothing listens on UDP 1701.
    case refused
    /// A client without IPsec is let in where the policy says so, counted as a soft association and logged as such.
    case permitted
}

/// A peer that speaks L2TP in clear, at the other end of a soft association.
struct ClearPeer {
    /// Whether it has shown that it gets what we send there: it has finished the setup of a tunnel.
    var isProven = false
    /// How many bytes it may be sent until then.
    var budgetBytes = 0
}

/// A dial-in of a peer's that has yet to come to a session, or to a failure that is told.
struct DialIn {
    /// The steps behind it.
    enum Stage: Int, Comparable {
        /// IKE has authenticated it.
        case authenticated
        /// It asked for IPsec.
        case quickMode
        /// It confirmed the IPsec SAs.
        case confirmed
        /// A packet came in them.
        case used
        /// L2TP came.
        case tunnelling
        /// It has a tunnel.
        case tunnel
        /// It has a session, which tells its own end.
        case session

        static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }
    }

    var stage = Stage.authenticated
    let since: Instant
}

/// A PPP session as the control loop knows it.
struct ClientSession {
    /// The operator's name for it.
    let identifier: UInt64
    let peer: PeerID
    let l2tp: L2TPSessionID
    let worker: Int
    let slot: Int
    /// The number of its link's deadline.
    let timer: Int
    let traffic: SessionTraffic
    var link: PPPLink
    var user = ""
    /// The address that was leased, also while IPCP has yet to agree on it.
    var address: IPv4Address?
    /// How much it may move, which its user says.
    var rateLimits = RateLimits.none
    /// Since when IP packets may flow.
    var since: Instant?
    /// How the user authenticated.
    var authentication: AuthenticationMethod?
    /// Why it ends, where that is known before L2TP says so.
    var end: SessionEnd?
    /// Whether why it came to nothing is told already.
    var isExplained = false

    var tunnel: L2TPTunnelID { l2tp.tunnel }
}

/// Why a session ended, for the log and the operator.
indirect enum SessionEnd: Equatable, CustomStringConvertible {
    case link(PPPEndReason)
    case tunnel(L2TPEndReason)
    case operatorHangUp
    case shutdown
    case initialContact
    case peerUnresponsive
    case policyForbids
    case clearEnded

    var description: String {
        switch self {
        case .link(let reason): "\(reason)"
        case .tunnel(let reason): "\(reason)"
        case .operatorHangUp: "hung up by operator"
        case .shutdown: "gateway shuts down"
        case .policyForbids: "policy forbids it"
        case .peerUnresponsive: "peer does not answer (dead peer detection)"
        case .clearEnded: "no longer let in without IPsec"
        case .initialContact: "client began anew (INITIAL-CONTACT)"
        }
    }
}

/// An inbound SA that its peer has deleted, and when it is to be taken from its worker.
struct EndingInbound {
    let deadline: Instant
    let peer: PeerID
    let worker: Int
    let index: SecurityParameterIndex
}

/// What the control plane wants done.
enum ControlOutput: Sendable {
    /// An IKE message, without the non-ESP marker, from a port of ours.
    case sendIKE(message: [UInt8], local: Endpoint, remote: Endpoint)
    /// A command for a worker.
    case command(worker: Int, WorkerCommand)
    /// A network is behind the TUN interface, or no more; where it holds the peer that it is behind, what goes to the peer
    /// itself must not go there. What the machine itself sends there comes `from` an address of these.
    case route(to: AddressRange, from: [AddressRange], metric: Int, isThere: Bool, holdsPeer: Bool)
    /// Which address of ours do packets to a tunnel's peer leave from? ``ControlPlane/foundSource(of:_:now:)`` is told.
    case findSource(tunnel: Int, to: IPAddress)
    /// How large packets does the system take on the way to a peer? ``ControlPlane/foundPathMTU(of:path:bytes:)`` is told.
    case findPathMTU(PeerID, OuterPath)
    /// A Diffie-Hellman computation, beside the control loop.
    case compute(IKEWork)
}
