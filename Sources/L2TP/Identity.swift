/// The client that a message came from, or goes to. The security association says who it is, never an address.
public struct L2TPPeer: Hashable, Sendable {
    /// The IPsec peer that the security association belongs to.
    public var id: UInt64
    /// The client's UDP source port inside ESP. Any port is right; a client may change it while a tunnel lives.
    public var port: UInt16

    /// The IPsec peer `id`, speaking from UDP port `port`.
    public init(id: UInt64, port: UInt16) { (self.id, self.port) = (id, port) }
}

/// One of our tunnels: an IPsec peer and the Tunnel ID that we assigned to it.
///
/// Tunnel IDs are unique in the whole server while there are ids to spare; the peer is part of the name because beyond
/// that they are only unique per peer, and because no peer may name another's tunnel.
public struct L2TPTunnelID: Hashable, Sendable, CustomStringConvertible {
    /// The IPsec peer that the tunnel is bound to.
    public var peer: UInt64
    /// The Tunnel ID that we assigned, never 0.
    public var value: UInt16

    /// The tunnel `value` of the IPsec peer `peer`.
    @inlinable public init(peer: UInt64, value: UInt16) { (self.peer, self.value) = (peer, value) }

    /// `peer/tunnel`.
    public var description: String { "\(peer)/\(value)" }
}

/// One of our sessions: its tunnel and the Session ID that we assigned. Session IDs are unique per IPsec peer.
public struct L2TPSessionID: Hashable, Sendable, CustomStringConvertible {
    /// The tunnel that the session runs in.
    public var tunnel: L2TPTunnelID
    /// The Session ID that we assigned, never 0.
    public var value: UInt16

    /// The session `value` of `tunnel`.
    @inlinable public init(tunnel: L2TPTunnelID, value: UInt16) { (self.tunnel, self.value) = (tunnel, value) }

    /// `peer/tunnel/session`.
    public var description: String { "\(tunnel)/\(value)" }
}
