import FoundationEssentials

/// A pair of IPsec SAs, or of bundles, as operators see it. In and out are the gateway's.
public struct AssociationRecord: Codable, Equatable, Sendable {
    /// The peer's outer address.
    public var peer: String
    /// The peer's outer UDP port; 0 where packets come without UDP.
    public var port: UInt16
    /// Who the peer is by IKE.
    public var identity: String
    /// The SPI of packets to us, in hexadecimal.
    public var spiIn: String
    /// The SPI of packets to the peer, in hexadecimal; of a bundle, that of ESP.
    public var spiOut: String
    /// `transport` or `tunnel`.
    public var mode: String
    /// The algorithms, such as `aes256-sha1` or `ah-sha256+aes128`.
    public var suite: String
    /// What it is for: `l2tp`, or the name of a tunnel.
    public var purpose: String
    /// Its traffic, our side first; empty where that is L2TP's.
    public var traffic: String
    /// Whether the peer has shown that it has the keys, so that we send by it.
    public var isConfirmed: Bool
    /// When it was negotiated.
    public var since: Date
    /// How long it lives in all.
    public var lifetimeSeconds: UInt64
    /// When it ends, if it has no successor before.
    public var expires: Date
    /// How much it carries in either direction in all, in kilobytes of 1024; nil for no bound.
    public var lifetimeKilobytes: UInt64?
    /// How much until it ends, in the direction that has carried more.
    public var remainingKilobytes: UInt64?
    /// Bytes of what ESP or AH carried from the peer.
    public var bytesIn: UInt64
    /// Bytes of what ESP or AH carried to the peer.
    public var bytesOut: UInt64
    /// Packets from the peer.
    public var packetsIn: UInt64
    /// Packets to the peer.
    public var packetsOut: UInt64
    /// How many sequence numbers up to the highest are remembered (RFC 6479).
    public var replayWindow: Int
    /// By which UDP port of ours its packets go for a NAT: `4500`, `500`, or `none`.
    public var encapsulation: String
    /// The largest packet that the way to the peer takes; nil where nobody has said so.
    public var pathMTU: Int?
}

/// A tunnel to a fixed peer, or a rule of the policy with one, as operators see it.
public struct PeerTunnelRecord: Codable, Equatable, Sendable {
    /// What the operator calls it; of a rule, the rule's name with both ends.
    public var name: String
    /// The rule of the policy that it comes of; nil for a tunnel of the configuration.
    public var rule: String?
    /// The peer's outer address, as it is or as it is configured; empty where it may be any and is not there.
    public var peer: String
    /// `transport` or `tunnel`.
    public var mode: String
    /// `onDemand`, `always` or `respond`.
    public var start: String
    /// `up`, `down`, `calling`, or `clear` for a soft association.
    public var state: String
    /// Since when it is up; nil where it is not.
    public var since: Date?
    /// How often it came up, renewals left out.
    public var upCount: UInt64
    /// The traffic, our side first.
    public var traffic: [String]
    /// How many pairs of SAs it has.
    public var associations: Int
    /// Bytes from the peer by these.
    public var bytesIn: UInt64
    /// Bytes to the peer by these.
    public var bytesOut: UInt64
}

/// The tunnels of both kinds, as `--json` lists them: one array.
public struct TunnelListing: Encodable, Equatable, Sendable {
    /// Those of L2TP.
    public var tunnels: [TunnelRecord]
    /// Those to fixed peers.
    public var toPeers: [PeerTunnelRecord]

    /// Both kinds.
    public init(tunnels: [TunnelRecord], toPeers: [PeerTunnelRecord]) {
        (self.tunnels, self.toPeers) = (tunnels, toPeers)
    }

    /// Writes all of them into one array.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        for tunnel in tunnels { try container.encode(tunnel) }
        for tunnel in toPeers { try container.encode(tunnel) }
    }
}
