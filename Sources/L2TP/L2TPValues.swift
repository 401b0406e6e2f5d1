import Wire

/// A tunnel, as an operator sees it.
public struct L2TPTunnel: Hashable, Sendable {
    /// Its name.
    public var id: L2TPTunnelID
    /// The client, and the UDP port that it speaks from now.
    public var peer: L2TPPeer
    /// The Tunnel ID that the client assigned: what our messages carry.
    public var peerTunnelID: UInt16
    /// The client's Host Name, made printable.
    public var hostName: String
    /// The client's Vendor Name, made printable; may be empty.
    public var vendorName: String
    /// Whether the control connection is set up.
    public var isEstablished: Bool
    /// Since when: established, or begun if it is not.
    public var since: Instant
    /// The last sign of life.
    public var lastHeard: Instant
    /// How many sessions it has, those being set up included.
    public var sessionCount: Int
}

/// An established session: all that the data path and PPP need to know.
public struct L2TPSession: Hashable, Sendable {
    /// Its name, with our ids: what the client's data messages carry.
    public var id: L2TPSessionID
    /// The client, and the UDP port that it speaks from now.
    public var peer: L2TPPeer
    /// The Tunnel ID that the client assigned: what our data messages carry.
    public var peerTunnelID: UInt16
    /// The Session ID that the client assigned: what our data messages carry.
    public var peerSessionID: UInt16
    /// The client asks for sequence numbers in every data message, both ways (RFC 2661, 4.4.6).
    public var requiresSequencing: Bool
    /// What the client calls this call.
    public var callSerialNumber: UInt32
    /// Who called, if the client says; printable.
    public var callingNumber: String
    /// Which number was called, if the client says; printable.
    public var calledNumber: String
    /// Bit 0 (1): synchronous framing, bit 1 (2): asynchronous (4.4.6).
    public var framingType: UInt32
    /// Speed of the client's line in bits per second, as it says.
    public var txSpeedBitsPerSecond: UInt32
    /// The same for the other direction, equal if the client says nothing.
    public var rxSpeedBitsPerSecond: UInt32
    /// Since when it is established.
    public var since: Instant
}

/// Why a tunnel or session ended.
public enum L2TPEndReason: Hashable, Sendable, CustomStringConvertible {
    /// The client sent StopCCN.
    case stoppedByPeer(L2TPResult)
    /// The client sent CDN.
    case disconnectedByPeer(L2TPResult)
    /// The gateway asked for it, with this result.
    case closedByUs(L2TPResult)
    /// The client acknowledged nothing, and gave no other sign of life where one was enough.
    case unanswered
    /// The setup was begun, and not finished in time.
    case notSetUpInTime
    /// The tunnel had no session for too long.
    case withoutSessions
    /// The client began anew.
    case replaced
    /// The IPsec peer is gone.
    case peerEnded
    /// The client's Challenge Response is wrong or missing.
    case authenticationFailed
    /// The client broke the protocol in this way.
    case protocolError(String)

    /// The reason as it stands in logs.
    public var description: String {
        switch self {
        case .stoppedByPeer(let result): "client closed the tunnel: \(result)"
        case .disconnectedByPeer(let result): "client hung up: \(result)"
        case .closedByUs(let result): "closed by the gateway: \(result)"
        case .unanswered: "client does not answer"
        case .notSetUpInTime: "not set up in time"
        case .withoutSessions: "tunnel without sessions"
        case .replaced: "client began anew"
        case .peerEnded: "IPsec peer is gone"
        case .authenticationFailed: "tunnel authentication failed"
        case .protocolError(let fault): "client broke the protocol: \(fault)"
        }
    }
}

/// What happened.
public enum L2TPEvent: Hashable, Sendable {
    /// A control connection is set up.
    case tunnelEstablished(L2TPTunnel)
    /// A tunnel ended, established before or not; the events of its sessions came first. Comes once for every tunnel.
    case tunnelEnded(L2TPTunnelID, L2TPEndReason)
    /// A session is set up: PPP may begin.
    case sessionEstablished(L2TPSession)
    /// A session ended that ``sessionEstablished(_:)`` told of. Comes once for each.
    case sessionEnded(L2TPSessionID, L2TPEndReason)
    /// A session ended while it was being set up. Comes once for each.
    case sessionFailed(L2TPSessionID, L2TPEndReason)
    /// A client's call was refused before it was a session.
    case callRefused(L2TPTunnelID, L2TPResult)
    /// A client speaks from another UDP port now; data of the tunnel's sessions goes there too.
    case tunnelMoved(L2TPTunnelID, port: UInt16)
    /// A client's request for a tunnel was refused.
    case tunnelRefused(L2TPPeer, hostName: String, L2TPResult)
}
