import Cryptography
import IKE
import IO
import Logging
import Wire

/// Everything that an operator may choose, checked: who reads it has nothing left to check.
///
/// Made only by ``ConfigurationLoader``, from a file, the environment and the defaults.
public struct GatewayConfiguration: Sendable, Equatable {
    /// What counts in IKE for every peer that no rule names.
    public let policy: PeerPolicy
    /// What counts for the peers of some networks; the longest prefix decides.
    public let rules: [Rule]
    /// The traffic with fixed peers.
    public let tunnels: [Tunnel]
    /// The pre-shared key of all clients; nil where none is needed.
    public let preSharedKey: SecretBytes?
    /// Further keys, for an identity, a network, or both.
    public let keys: [PreSharedKey]
    /// Whom aggressive mode is for.
    public let aggressiveMode: AggressiveMode
    /// The certificates, where clients may use some.
    public let certificates: CertificateConfiguration?
    /// What is permitted, blocked and secured.
    public let securityPolicy: PolicyDocument
    /// The address that clients dial, where a NAT stands in front of the gateway or the operator names it.
    public let publicAddress: IPv4Address?
    /// The outer addresses to serve; none means all that the machine has.
    public let endpoints: [IPAddress]
    /// Who may come in. At least one, names and fixed addresses distinct.
    public let users: [User]
    /// The tunnels and the inner network.
    public let l2tp: L2TPSettings
    /// The links.
    public let ppp: PPPSettings
    /// The DNS servers that clients are told, at most two.
    public let dnsServers: [IPv4Address]
    /// The NetBIOS name servers that clients are told, at most two.
    public let nbnsServers: [IPv4Address]
    /// Whether what clients send leaves with the gateway's own address.
    public let masquerades: Bool
    /// The name of the TUN interface.
    public let interface: String
    /// How many data-plane workers to run; 0 means one per core.
    public let workers: Int
    /// Which work the system is to do for many packets at once, where it can.
    public let offloads: Offloads
    /// The least severe level that is logged.
    public let logLevel: Logger.Level
    /// How much of each thing there may be.
    public let limits: Limits
    /// How much each session may move, of users for whom nothing else is said.
    public let rateLimits: RateLimits
    /// The API for operators elsewhere; nil where there is none.
    public let api: OperatorAPISettings?

    /// What may differ from peer to peer in IKE.
    public struct PeerPolicy: Sendable, Equatable {
        /// The profile, whose algorithms count where no list stands in their place.
        public var profile: IKEProfile
        /// How clients may prove in IKE who they are, the most wanted first. Never empty.
        public var authentication: [PeerAuthentication]
        /// All that comes of it, for the engine.
        public var ike: IKEPolicy
    }

    /// A policy of their own for the peers of some networks.
    public struct Rule: Sendable, Equatable {
        /// What the operator calls it; no two have the same name.
        public let name: String
        /// Whose addresses; no two rules have the same network.
        public let networks: [AddressRange]
        /// What counts for these.
        public let policy: PeerPolicy
    }

    /// Whom aggressive mode is for: nobody, unless said otherwise.
    public struct AggressiveMode: Sendable, Equatable {
        /// Who names one of these groups, names distinct.
        public var groups: [Group] = []
        /// Whether any identity may use main mode's keys.
        public var acceptsAnyIdentity = false
        /// Whether it may be used with certificates.
        public var allowsSignatures = false
    }

    /// A group of aggressive mode.
    public struct Group: Sendable, Equatable {
        /// The name that its members send.
        public let name: String
        /// The key that they share.
        public let secret: SecretBytes
    }

    /// Somebody who may come in.
    public struct User: Sendable, Equatable {
        /// The name, as PPP sends it.
        public let name: String
        /// The password, in UTF-8.
        public let password: SecretBytes
        /// The inner address that only this user gets, inside ``L2TPSettings/network``; possibly inside the pool too, which
        /// must then not hand it to others.
        public let address: IPv4Address?
        /// How much each of the user's sessions may move.
        public let rateLimits: RateLimits
    }

    /// What concerns tunnels and inner addresses.
    public struct L2TPSettings: Sendable, Equatable {
        /// The inner network.
        public let network: IPv4Network
        /// The gateway's own inner address, inside `network` and outside `pool`.
        public let local: IPv4Address
        /// The addresses for clients, first and last included, inside `network`.
        public let pool: ClosedRange<IPv4Address>
        /// What the gateway calls itself in its SCCRP (RFC 2661 4.4.3).
        public let hostName: String
        /// The secret for tunnel authentication and hidden AVPs (RFC 2661 4.3, 5.1.1), if clients must know one.
        public let secret: SecretBytes?
    }

    /// What concerns links.
    public struct PPPSettings: Sendable, Equatable {
        /// The largest inner IP packet, and the MRU that is asked of clients.
        public let mtuBytes: Int
        /// How clients may authenticate, the one to propose first at the front. Never empty.
        public let authentication: [PPPAuthentication]
    }

    /// How much of each thing there may be.
    public struct Limits: Sendable, Equatable {
        /// Sessions in all.
        public let sessions: Int
        /// Sessions of one user at once; nil is no limit.
        public let sessionsPerUser: Int?
        /// L2TP tunnels of one IPsec peer.
        public let tunnelsPerPeer: Int
        /// Sessions in one L2TP tunnel.
        public let sessionsPerTunnel: Int
        /// IKE exchanges that are not yet authenticated, in all.
        public let halfOpenExchanges: Int
        /// IKE exchanges that are not yet authenticated, from one outer address.
        public let halfOpenExchangesPerAddress: Int
    }
}

/// How a client may prove in PPP who it is.
public enum PPPAuthentication: String, CaseIterable, Sendable {
    /// MS-CHAPv2 (RFC 2759).
    case mschapv2
    /// CHAP with MD5 (RFC 1994).
    case chap
    /// PAP (RFC 1334): the password itself, though inside ESP.
    case pap
}
