import Cryptography
import Wire

/// What the gateway has to know or do.
public enum PPPEvent: Sendable {
    /// Someone wants to prove that he is `user` (as sent). Answer with `authenticated(_:now:)`, at any later time; a link
    /// that negotiates anew can ask a second time, always for the same user.
    case authenticate(user: String, proof: CredentialProof)
    /// IP packets may flow now.
    case networkUp(PPPNetwork)
    /// IP packets may not flow until the next `networkUp`: the peer negotiates anew.
    case networkDown
    /// The link is over; what `pollTransmit` still has is the farewell. Nothing comes after this.
    case ended(PPPEndReason)
}

/// What the packet path has to know of an open link.
public struct PPPNetwork: Hashable, Sendable {
    /// What the client was given.
    public let assignment: AddressAssignment
    /// The largest information field that the peer takes, in bytes: no IP packet to it may be longer.
    public let peerMRUBytes: UInt16
    /// How frames to the peer may be shortened. Frames from it may come in any of the forms.
    public let framing: PPPFraming
    /// How the user authenticated.
    public let authenticationMethod: AuthenticationMethod
}

/// The gateway's answer to `PPPEvent.authenticate`.
public enum AuthenticationOutcome: Sendable {
    /// The user is let in. MS-CHAPv2 needs the authenticator's own response, `S=` and 40 hexadecimal digits.
    case accepted(AddressAssignment, authenticatorResponse: String?)
    /// He is not; the text goes to the client.
    case refused(message: String)
}

/// How far a link came, in the phases of RFC 1661 section 3.
public enum PPPProgress: Int, Comparable, Sendable {
    /// LCP was never open.
    case link
    /// LCP was open, and the user had yet to prove who he is.
    case authentication
    /// The user was in, and IPCP had its turn.
    case network

    /// Whether `left` is less far than `right`.
    public static func < (left: PPPProgress, right: PPPProgress) -> Bool { left.rawValue < right.rawValue }
}

/// Why a link has ended.
public enum PPPEndReason: Hashable, Sendable, CustomStringConvertible {
    /// The client hung up.
    case userHangUp
    /// Wrong password, or no such user.
    case authenticationFailed(user: String)
    /// Nobody proved anything in time, or the decision took too long.
    case authenticationTimedOut
    /// The peer stopped answering Echo-Requests.
    case peerSilent
    /// LCP or IPCP did not open in time, or the peer never answered.
    case negotiationTimedOut
    /// The two ends cannot agree.
    case protocolFailure(PPPProtocolFailure)
    /// The operator hung up.
    case operatorHangUp
    /// The gateway is going down.
    case shutdown
    /// The same user or client came in anew, and this session gives way.
    case replaced
    /// There is no free address.
    case noAddress
    /// A limit on sessions or their time.
    case limitReached
    /// What carried the link is gone: the L2TP tunnel, or IPsec.
    case carrierLost

    /// The reason as it stands in logs and in the Terminate-Request.
    public var description: String {
        switch self {
        case .userHangUp: "user hang-up"
        case .authenticationFailed: "authentication failed"
        case .authenticationTimedOut: "authentication timed out"
        case .peerSilent: "peer does not answer"
        case .negotiationTimedOut: "negotiation timed out"
        case .protocolFailure(let failure): failure.description
        case .operatorHangUp: "hung up by operator"
        case .shutdown: "gateway shuts down"
        case .replaced: "replaced by a new session"
        case .noAddress: "no address is free"
        case .limitReached: "limit reached"
        case .carrierLost: "tunnel is gone"
        }
    }
}

/// What the two ends cannot agree on.
public enum PPPProtocolFailure: Hashable, Sendable, CustomStringConvertible {
    /// The peer accepts none of the authentication methods that we allow.
    case noCommonAuthentication
    /// Our own messages come back to us.
    case loopback
    /// The peer keeps refusing what we ask for.
    case negotiationDiverges
    /// The peer keeps beginning anew.
    case renegotiationLoop
    /// The client will not take the address that it is given.
    case addressRefused
    /// The peer closed IPCP before it was open.
    case networkRefused
    /// The peer does not know a protocol that a link needs.
    case protocolRejected(UInt16)
    /// The peer does not know a code that a link needs.
    case codeRejected(UInt8)
    /// The client authenticated as one user, and later as another.
    case userChanged

    /// The failure as it stands in logs and in the Terminate-Request.
    public var description: String {
        switch self {
        case .noCommonAuthentication: "no authentication method in common"
        case .loopback: "line is looped back"
        case .negotiationDiverges: "negotiation does not converge"
        case .renegotiationLoop: "negotiation begins again and again"
        case .addressRefused: "assigned address is not accepted"
        case .networkRefused: "IPCP is refused"
        case .protocolRejected(let number): "protocol 0x\(String(number, radix: 16)) is rejected"
        case .codeRejected(let code): "code \(code) is rejected"
        case .userChanged: "user changed"
        }
    }
}
