import Wire

/// Ordered rules about packets: what is permitted, blocked, or secured.
public struct SecurityPolicy: Hashable, Sendable {
    /// The most rules.
    public static let rulesMaximum = 256
    /// The most filters in all rules.
    public static let filtersMaximum = 1024

    /// What the operator calls it.
    public var name: String
    /// The rules; where two filters are equally specific, the earlier rule decides.
    public var rules: [PolicyRule]

    /// A policy by its rules.
    public init(_ name: String, _ rules: [PolicyRule]) { (self.name, self.rules) = (name, rules) }
}

/// A filter list, what is done with its packets, and how peers prove who they are.
public struct PolicyRule: Hashable, Sendable {
    /// What the operator calls it.
    public var name: String
    /// Which packets.
    public var filterList: FilterList
    /// What is done with them.
    public var action: FilterAction
    /// How the peer may authenticate, the most wanted first; none leaves it to the gateway's `authentication`.
    public var authentication: [PolicyAuthentication]
    /// On which connections.
    public var connection: ConnectionType
    /// The other end of the tunnel; nil for transport mode.
    public var tunnelEndpoint: IPAddress?

    /// A rule.
    public init(
        _ name: String, _ filterList: FilterList, _ action: FilterAction, authentication: [PolicyAuthentication] = [],
        connection: ConnectionType = .all, tunnelEndpoint: IPAddress? = nil
    ) {
        (self.name, self.filterList, self.action) = (name, filterList, action)
        (self.authentication, self.connection, self.tunnelEndpoint) = (authentication, connection, tunnelEndpoint)
    }
}

/// How a peer proves who it is.
public enum PolicyAuthentication: String, CaseIterable, Sendable {
    /// An X.509 certificate.
    case certificate
    /// A pre-shared key.
    case psk
}

/// Which connections a rule is for.
public enum ConnectionType: String, CaseIterable, Sendable {
    /// All of them.
    case all
    /// The host's networks.
    case lan
    /// Dial-in.
    case remoteAccess = "remote-access"

    /// Whether packets of `connection` are meant.
    @inlinable public func includes(_ connection: Connection) -> Bool {
        switch self {
        case .all: true
        case .lan: connection == .lan
        case .remoteAccess: connection == .remoteAccess
        }
    }
}

/// By what a packet comes or goes.
public enum Connection: String, CaseIterable, Sendable {
    /// One of the host's networks.
    case lan
    /// A dial-in: L2TP, and what a client's session carries.
    case remoteAccess = "remote-access"
}

/// The three policies that need not be written.
public enum PredefinedPolicy: String, CaseIterable, Sendable {
    /// Client (respond only).
    case client
    /// Server (request security).
    case server
    /// Secure server (require security).
    case secureServer = "secure-server"

    /// What is done with the packets that it is about.
    public var action: FilterAction {
        switch self {
        case .client: .respondOnly
        case .server: .requestSecurity
        case .secureServer: .requireSecurity
        }
    }

    /// Whether a client without IPsec is let in, in clear.
    public var allowsClearL2TP: Bool { self != .secureServer }

    /// Its rules: the one that L2TP brings by itself, and with `coversHost` the same for all that the host sends and gets.
    public func policy(coversHost: Bool = false) -> SecurityPolicy {
        let l2tp = PolicyRule("l2tp", .l2tp, action, connection: .remoteAccess)
        let host = PolicyRule("host", .allIPTraffic, action)
        return SecurityPolicy(rawValue, coversHost ? [l2tp, host] : [l2tp])
    }
}
