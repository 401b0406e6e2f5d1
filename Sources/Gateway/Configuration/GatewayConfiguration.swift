import Cryptography
import Logging
import Wire

/// Everything that an operator may choose, checked: who reads it has nothing left to check.
///
/// Made only by ``ConfigurationLoader``, from a file, the environment and the defaults.
public struct GatewayConfiguration: Sendable, Equatable {
    /// Which algorithms are acceptable.
    public let profile: SecurityProfile
    /// Whether DH group 2 is acceptable, by the profile or by the switch of its own.
    public let enablesModp1024: Bool
    /// How clients may prove in IKE who they are, the most wanted first. Never empty.
    public let authentication: [PeerAuthentication]
    /// The pre-shared key of all clients; nil where none is needed.
    public let preSharedKey: SecretBytes?
    /// The certificates, where clients may use some.
    public let certificates: CertificateConfiguration?
    /// The address that clients dial, where a NAT stands in front of the gateway or the operator names it.
    public let publicAddress: IPv4Address?
    /// The outer addresses to serve; none means all that the machine has.
    public let endpoints: [IPv4Address]
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
    /// The least severe level that is logged.
    public let logLevel: Logger.Level
    /// How much of each thing there may be.
    public let limits: Limits
    /// How long SAs live at most.
    public let lifetimes: Lifetimes

    /// Somebody who may come in.
    public struct User: Sendable, Equatable {
        /// The name, as PPP sends it.
        public let name: String
        /// The password, in UTF-8.
        public let password: SecretBytes
        /// The inner address that only this user gets, inside ``L2TPSettings/network``; possibly inside the pool too, which
        /// must then not hand it to others.
        public let address: IPv4Address?
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

    /// How long SAs live at most. What a peer asks for is honoured where it is less.
    public struct Lifetimes: Sendable, Equatable {
        /// An IKE SA.
        public let ike: Duration
        /// A pair of IPsec SAs.
        public let ipsec: Duration
        /// How much a pair of IPsec SAs carries; nil is no limit of ours.
        public let ipsecKilobytes: UInt64?
    }
}

/// Which algorithms are acceptable to the gateway.
public enum SecurityProfile: String, CaseIterable, Sendable {
    /// No SHA-1, and no MODP group below 3072 bits.
    case modern
    /// What stock clients of today need, SHA-1 and MODP 2048 included.
    case `default`
    /// Also 3DES, MD5 and MODP 1024, for old Android, old routers and Windows XP.
    case legacy

    /// Whether SHA-1 is acceptable, as a hash and as HMAC.
    public var permitsSHA1: Bool { self != .modern }
    /// Whether MD5 is acceptable, as a hash and as HMAC.
    public var permitsMD5: Bool { self == .legacy }
    /// Whether 3DES is acceptable, in IKE and in ESP.
    public var permitsTripleDES: Bool { self == .legacy }
    /// The smallest acceptable MODP group, in bits.
    public var modpBitsMinimum: Int {
        switch self {
        case .modern: 3072
        case .default: 2048
        case .legacy: 1024
        }
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
