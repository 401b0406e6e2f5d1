/// Why a control message, or a part of it, had no effect. Every reason has its counter.
public enum L2TPDrop: UInt8, Error, CaseIterable, Sendable {
    /// Shorter than a control header, or its T bit is not set.
    case notControl
    /// The version is not 2 (RFC 2661, 3.1; 1 is L2F).
    case badVersion
    /// A control message without the L or S bit, or with the O bit (3.1).
    case badFlags
    /// The Length field is not the length of the message.
    case badLength
    /// Longer than any message that makes sense.
    case tooLong
    /// For a tunnel that does not exist.
    case unknownTunnel
    /// For a tunnel of another IPsec peer.
    case tunnelOfAnotherPeer
    /// Without a tunnel, and neither a SCCRQ nor a StopCCN.
    case withoutTunnel
    /// Received before: acknowledged again, not processed again (5.8).
    case duplicate
    /// Too far ahead of what is expected (5.8).
    case outsideWindow
    /// Acknowledges what we never sent.
    case acknowledgesUnsent
    /// A SCCRQ that a new tunnel was already made for.
    case lateRequest
    /// An unfinished tunnel that made room for a newer SCCRQ of its peer.
    case tooManyHalfOpenTunnels
    /// A SCCRQ that was refused with a StopCCN.
    case requestRefused
    /// An ICRQ or OCRQ that was refused with a CDN.
    case callRefused
    /// A refusal that was not sent since too many wait.
    case tooManyRefusals
    /// A message of an optional type that we do not know (4.4.1).
    case unknownOptionalMessage
    /// An optional AVP that we do not know, or that is malformed (4.1, 7.1).
    case ignoredAVP
    /// For a session that does not exist.
    case unknownSession
    /// On a tunnel that is ending.
    case tunnelEnding
}
