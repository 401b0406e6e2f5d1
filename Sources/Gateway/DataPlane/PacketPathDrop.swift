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
    /// From a client that sends more than its rate limit.
    case overRateFromClient
    /// By an SA that is for other traffic than this (RFC 4301 section 5.2 step 4).
    case outsideSelector
    /// In tunnel mode, but not an IP packet, or not of the version that its SA says.
    case notInTunnelMode
    /// It had met congestion on the way, and its transport would not have understood it (RFC 6040 section 4.2).
    case congestedWithoutECN
    /// IKE, ESP or AH to our own outer address, out of a tunnel; or into a tunnel to the tunnel's own peer: it would loop.
    case nestedIPsec
    /// A fragment where the SA asks for whole packets.
    case fragment
    /// From inside: not an IP packet.
    case notIP
    /// From inside, for a tunnel that has no SA or a peer whose SA is used up: others wait already, and this was the oldest.
    case heldTooMany
    /// From inside, for a tunnel that has no SA, and got none while the packet waited; or for a peer that ended meanwhile.
    case heldInVain
    /// From inside: no session has the destination address.
    case noSessionForAddress
    /// From inside: the session is sent more than its rate limit.
    case overRateToClient
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
    /// A router's report that a packet was too large, one of too many.
    case tooManyPathMTUReports
    /// A datagram whose fragments were put together, and that is larger than a slot.
    case reassembledTooLarge
    /// It goes to an IPv6 address, and the machine has no IPv6, or its port 500 belongs to another worker.
    case noOuterSocket
    /// A message from the control loop for a peer or session that is gone.
    case messageForGone
    /// L2TP in clear of somebody who has no tunnel, and does not ask for one.
    case clearStranger
    /// Somebody without IPsec asks for a tunnel, and too many have just done so.
    case tooManyStrangers
}
