import Cryptography
import IKE
import Wire

extension GatewayConfiguration {
    /// Traffic with a fixed peer that IPsec protects: networks behind it in tunnel mode, or hosts in transport mode.
    ///
    /// A tunnel of the file becomes one, and so does a policy's rule with a tunnel endpoint that negotiates security.
    public struct Tunnel: Sendable, Equatable {
        /// Who begins.
        public enum Start: String, CaseIterable, Sendable {
            /// The first packet that belongs to it. Its routes stand as long as the gateway runs.
            case onDemand
            /// The gateway, when it starts and whenever it is down. Its routes stand as long as the gateway runs.
            case always
            /// The peer. Its routes stand while it is up.
            case respond
        }

        /// What the operator calls it; no two have the same name.
        public var name: String
        /// Where the peer is; nil for whoever proves to be `identity`, which cannot be called.
        public var peer: IPAddress?
        /// Who the peer has to prove to be; nil where its address alone counts.
        public var identity: String?
        /// The address of ours that it goes from; nil for the one that the system takes.
        public var source: IPAddress?
        /// The traffic, our side the local one. At least one.
        public var selectors: [TrafficSelector]
        /// Tunnel or transport mode.
        public var mode = IPsecMode.tunnel
        /// Who begins.
        public var start = Start.onDemand
        /// What differs in IKE from what counts for all; nil for nothing.
        public var policy: PeerPolicy?
        /// The group of perfect forward secrecy; nil for none.
        public var group: DiffieHellmanGroup?
        /// The pre-shared key; nil for those that the file has beside the tunnels.
        public var secret: SecretBytes?
        /// What the outer header takes from the inner one.
        public var outer = OuterHeaderRules()
        /// The metric of its routes.
        public var metric = 0
        /// What the policy's rule says that it comes of; nil for a tunnel of the file.
        public var terms: RuleTerms?

        /// Traffic with a peer, everything else by default.
        public init(_ name: String, peer: IPAddress?, identity: String? = nil, selectors: [TrafficSelector]) {
            (self.name, self.peer, self.identity, self.selectors) = (name, peer, identity, selectors)
        }

        /// IKE's part.
        var ike: IKETunnel {
            var tunnel = IKETunnel(
                name, peerAddresses: peer.map { [AddressRange($0)] } ?? [], peerIdentity: identity, mode: mode,
                selectors: selectors)
            tunnel.algorithms = policy?.ike.phaseTwo
            tunnel.maximumSeconds = policy?.ike.lifetimes.ipsecMaximumSeconds
            tunnel.maximumKilobytes = policy?.ike.lifetimes.ipsecMaximumKilobytes
            tunnel.group = group
            guard let terms else { return tunnel }
            if !terms.suites.isEmpty { tunnel.algorithms = PhaseTwoAlgorithms(suites: terms.suites) }
            tunnel.suiteLifetimes = terms.lifetimes
            tunnel.requiresForwardSecrecy = terms.hasPerfectForwardSecrecy
            return tunnel
        }

        /// The networks that are reached through it. In transport mode that is the peer alone, whom the system reaches by
        /// itself: its packets come to the gateway only where a route says so. A rule of the policy says it packet by packet,
        /// which no route can (``ControlPlane/diversions``).
        var routes: [AddressRange] {
            if terms != nil, mode == .transport { return [] }
            var seen: Set<AddressRange> = []
            return selectors.map(\.remote).filter { seen.insert($0).inserted }
        }
    }

    /// What a rule of the policy says about its SAs.
    public struct RuleTerms: Sendable, Equatable {
        /// The rule's name.
        public var rule: String
        /// The suites of its methods, the most wanted first; none leaves them to the gateway's lists.
        public var suites: [IPsecSuite] = []
        /// How long SAs of these live, where the method says it.
        public var lifetimes: [IPsecSuite: IKETunnel.SuiteLifetime] = [:]
        /// Whether each key comes of a Diffie-Hellman exchange of its own.
        public var hasPerfectForwardSecrecy = false
        /// Whether packets go in clear to a peer that does not answer IKE.
        public var fallsBack = false

        /// The terms of a rule that names no methods.
        public init(_ rule: String) { self.rule = rule }
    }

    /// The tunnels' outbound policies, compiled.
    var tunnelTable: TunnelTable { TunnelTable(tunnels.map { ($0.selectors, $0.outer) }) }
}
