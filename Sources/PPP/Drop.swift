/// Why something that the peer sent had no effect. Every reason is counted, per link.
public enum PPPDrop: UInt8, CaseIterable, Sendable {
    /// A frame ends before its protocol field does.
    case truncatedFrame
    /// A protocol number that is even, which RFC 1661 section 2 forbids.
    case malformedProtocol
    /// A packet's length field is below 4 or beyond the frame's end, or its body is shorter than its code needs.
    case malformedPacket
    /// An option's length is 0, 1 or beyond the packet's end, or there are more options than anyone needs.
    case malformedOptions
    /// An authentication message whose inner lengths do not fit.
    case malformedAuthentication
    /// A protocol that is not to be spoken yet: authentication before LCP is open, IPCP before authentication.
    case wrongPhase
    /// An authentication protocol other than the negotiated one.
    case otherAuthenticationProtocol
    /// An Ack, Nak, Reject or Response to something else than what we sent last.
    case wrongIdentifier
    /// A Configure-Ack or -Reject that does not repeat what we sent.
    case notWhatWeSent
    /// A Success, Failure, Challenge or Authenticate-Ack: only we send these.
    case authenticatorMessageFromPeer
    /// A code that the authentication protocol does not have, such as Change-Password.
    case unknownAuthenticationCode
    /// An authentication attempt repeated while the first one is being decided.
    case repeatedAttempt
    /// An Echo-Reply that answers no Echo-Request of ours.
    case unexpectedEchoReply
    /// A message with our own magic number: the line is looped back.
    case loopedBack
    /// The peer refuses a protocol or a code that the link can do without.
    case refusalNoted
    /// We would have answered with a reject, but have sent enough of these this second.
    case rejectLimit
    /// More frames wait to be sent than a link may have.
    case transmitQueueFull
    /// An IP packet on the control path.
    case dataFrame
    /// The link has ended.
    case ended
}
