/// Why the packet path dropped a packet that ESP had accepted, or that came from inside.
enum PacketPathDrop: UInt8, CaseIterable, Sendable {
    /// A NAT keepalive (RFC 3948 section 2.3): nothing to do.
    case natKeepalive
    /// Shorter than an ESP header or the non-ESP marker.
    case tooShort
    /// It came to an address that is not one of the configured endpoints.
    case notOurEndpoint
    /// The payload of ESP is not UDP, or its UDP header does not fit.
    case notUDP
    /// UDP, but not to L2TP's port: the SA was made for L2TP alone.
    case notL2TPPort
    /// An L2TP data header that does not hold together.
    case badL2TPHeader
    /// L2TP data for a tunnel and session that its peer does not have.
    case unknownSession
    /// L2TP data that came late on a session whose order matters (RFC 2661 section 5.4).
    case outOfSequence
    /// A PPP frame without a whole protocol field.
    case badPPPFrame
    /// An IP packet before the user was authenticated and an address was agreed on.
    case beforeNetworkPhase
    /// The payload is not a whole IPv4 packet.
    case badInnerPacket
    /// The inner source address is not the session's.
    case spoofedSource
    /// From inside: not IPv4.
    case notIPv4
    /// From inside: no session has the destination address.
    case noSessionForAddress
    /// From inside: too large, and must not be fragmented. Its sender was told.
    case tooLargeToSend
    /// From inside: the session's peer has no SA to send by.
    case noOutboundAssociation
    /// For another worker, whose ring is full.
    case handOverFull
    /// The SA's sequence numbers or agreed volume are used up, or encryption failed.
    case notEncrypted
    /// A message for the control loop, which has too many waiting.
    case controlQueueFull
    /// An SA whose keys do not fit its algorithms: a fault of ours, since the negotiation made both.
    case notInstalled
    /// A message from the control loop for a peer or session that is gone.
    case messageForGone
}
