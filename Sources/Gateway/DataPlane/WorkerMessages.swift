import ESP
import Wire

/// One direction of an SA as the control loop tells a worker of it.
final class AssociationParameters: Sendable {
    let index: SecurityParameterIndex
    /// AH's, where it is around ESP and the peer receives it by another number than ESP.
    let outerIndex: SecurityParameterIndex?
    let protection: Protection
    let keys: ProtectionKeys
    let limit: VolumeLimit
    /// What it is for.
    let use: AssociationUse
    /// What both directions of the pair have moved.
    let traffic: SessionTraffic

    init(
        index: SecurityParameterIndex, outerIndex: SecurityParameterIndex? = nil, protection: Protection,
        keys: ProtectionKeys, limit: VolumeLimit, use: AssociationUse = .l2tp,
        traffic: SessionTraffic = SessionTraffic()
    ) {
        (self.index, self.outerIndex, self.protection, self.keys) = (index, outerIndex, protection, keys)
        (self.limit, self.use, self.traffic) = (limit, use, traffic)
    }
}

/// What the control loop tells a worker. Slots are given out by the control loop.
enum WorkerCommand: Sendable {
    case addPeer(slot: Int, identifier: UInt64, path: OuterPath, encapsulation: OuterEncapsulation)
    case movePeer(slot: Int, path: OuterPath, encapsulation: OuterEncapsulation)
    case removePeer(slot: Int)
    /// The largest packet that the way to the peer takes.
    case setPathMTU(peer: Int, bytes: Int)
    case installInbound(AssociationParameters, peer: Int)
    case installOutbound(AssociationParameters, peer: Int)
    case removeInbound(SecurityParameterIndex)
    case removeOutbound(SecurityParameterIndex, peer: Int)
    case addSession(slot: Int, SessionParameters)
    /// The client's L2TP port changed.
    case moveSession(slot: Int, remotePort: UInt16)
    /// IP packets may flow; with nil, no more.
    case setNetwork(slot: Int, NetworkParameters?)
    /// How much IP packets may move each way.
    case setRateLimits(slot: Int, RateLimits)
    case removeSession(slot: Int)
    /// An L2TP control message, to be sent to the client's UDP port.
    case sendControl(peer: Int, remotePort: UInt16, message: [UInt8])
    /// A PPP frame, to be sent as an L2TP data message.
    case sendFrame(session: Int, frame: [UInt8])
    /// A NAT keepalive (RFC 3948 section 4), where nothing was sent to the peer since the one before.
    case sendKeepalive(peer: Int)
    /// The tunnels are others now.
    case setTunnels(TunnelTable)
    /// There is an SA for what waits for one.
    case sendHeld(tunnel: Int)
    /// What waits for an SA of the tunnel is not going to get one soon.
    case dropHeld(tunnel: Int)
    /// L2TP in clear may come from now on, or no more: the worker that has UDP 1701 opens or closes it.
    case serveClear(Bool)
    case stop
}

/// An SA by its direction: our SPIs and a peer's may be the same number.
enum AssociationName: Hashable, Sendable {
    case inbound(SecurityParameterIndex)
    case outbound(SecurityParameterIndex)
}

/// What a worker tells the control loop. Peers and sessions go by their identifiers, since a slot may have a new owner by
/// the time it is read.
enum WorkerReport: Sendable {
    /// An IKE message, without the non-ESP marker; `port` is ours.
    case ike(message: [UInt8], path: OuterPath, port: UInt16)
    /// An L2TP control message, without its UDP header.
    case control(peer: UInt64, remotePort: UInt16, message: [UInt8])
    /// A PPP frame that is not an IP packet.
    case frame(session: UInt64, frame: [UInt8])
    /// A PPP frame that is not an IP packet, for a session that the worker does not have: perhaps not yet, where it came
    /// right behind the message that sets the session up.
    case earlyFrame(peer: UInt64, tunnel: UInt16, session: UInt16, frame: [UInt8])
    /// Authentic ESP came from another address or port than before.
    case peerMoved(peer: UInt64, path: OuterPath)
    /// Data came on a session; told again only after a while.
    case activity(session: UInt64)
    /// The first authentic packet came by an SA.
    case firstUse(SecurityParameterIndex)
    /// An SA of a peer has come to its soft or its hard limit with what it has protected; told again in between.
    case limitReached(peer: UInt64, AssociationName, Traffic)
    /// ESP came by an SPI that no SA has; with port 0, as IP protocol 50. At most ``PacketPath/unknownSPIsMaximum`` a second.
    case unknownSPI(SecurityParameterIndex, path: OuterPath)
    /// The system has refused something that it was to do for many packets at once; it is not asked again.
    case offloadRefused(name: String, error: Int32)
    /// A router said that a packet was too large. At most ``Worker/pathMTUReportsMaximum`` a second.
    case tooLargeForPath(PathMTUReport)
    /// A packet that belongs to a tunnel has no SA to go by; told again only after ``PacketPath/acquireInterval``.
    case acquire(TunnelTable.Match)
    /// A packet came by an SA that is not for it; told again only after ``PacketPath/auditInterval``, with how many there were.
    case outsideSelector(peer: UInt64, SecurityParameterIndex, PacketFlow, count: UInt64)
    /// A control message that came in clear, from somebody who is no peer. At most ``PacketPath/strangersMaximum`` a second.
    case stranger(message: [UInt8], path: OuterPath)
    /// UDP 1701 could not be opened, for this reason.
    case clearPortFailed(String)
    /// The TUN interface was taken away: nothing comes or goes any more.
    case interfaceGone
}
