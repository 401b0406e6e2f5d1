import Cryptography
import Wire

/// Traffic with a fixed peer that IPsec protects: networks behind it in tunnel mode, or hosts in transport mode.
public struct IKETunnel: Sendable, Equatable {
    /// What the operator calls it.
    public var name: String
    /// Where the peer is. Several addresses are several places of one peer; none means that its identity alone counts.
    public var peerAddresses: [AddressRange]
    /// Who the peer has proved to be, as ``IKEIdentity/isNamed(_:)`` has it; nil where its address alone counts.
    public var peerIdentity: String?
    /// Tunnel or transport mode.
    public var mode: IPsecMode
    /// The traffic: the local side is ours. A peer may ask for any of them, and for less.
    public var selectors: [TrafficSelector]
    /// The algorithms; nil for those of the policy for the peer.
    public var algorithms: PhaseTwoAlgorithms?
    /// The most seconds of its SAs; nil for what the policy for the peer says.
    public var maximumSeconds: UInt64?
    /// The most kilobytes of its SAs; nil for what the policy for the peer says.
    public var maximumKilobytes: UInt64?
    /// How long the SAs of single suites live at most, in the place of both: what is offered together need not live equally
    /// long.
    public var suiteLifetimes: [IPsecSuite: SuiteLifetime] = [:]
    /// The group of perfect forward secrecy where we begin; nil for none.
    public var group: DiffieHellmanGroup?
    /// Whether there must be perfect forward secrecy, also without ``group``: we offer the group of phase 1 then, which both
    /// ends are known to have.
    public var requiresForwardSecrecy = false

    /// The most that the SAs of one suite live.
    public struct SuiteLifetime: Hashable, Sendable {
        /// The most seconds; nil for what counts for the tunnel.
        public var seconds: UInt64?
        /// The most kilobytes; nil for what counts for the tunnel.
        public var kilobytes: UInt64?

        /// Bounds, or none.
        public init(seconds: UInt64? = nil, kilobytes: UInt64? = nil) {
            (self.seconds, self.kilobytes) = (seconds, kilobytes)
        }
    }

    /// The traffic `selectors` with a peer at one of some addresses, of an identity, or both.
    public init(
        _ name: String, peerAddresses: [AddressRange] = [], peerIdentity: String? = nil, mode: IPsecMode = .tunnel,
        selectors: [TrafficSelector]
    ) {
        (self.name, self.peerAddresses, self.peerIdentity) = (name, peerAddresses, peerIdentity)
        (self.mode, self.selectors) = (mode, selectors)
    }
}
