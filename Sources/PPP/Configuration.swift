import Wire

/// How the gateway speaks PPP: the same for all links.
public struct PPPConfiguration: Sendable {
    /// The restart timer and counters of RFC 1661 section 4.6.
    public struct Restart: Sendable {
        /// The time between two transmissions of a request.
        public var interval = Duration.seconds(3)
        /// Configure-Requests without an answer, and refusals of ours in a row, before we give up.
        public var configureMaximum = 10
        /// Terminate-Requests without an answer before the link ends anyway.
        public var terminateMaximum = 2
        /// Configure-Naks in a row before we reject instead.
        public var failureMaximum = 5

        /// The numbers of RFC 1661.
        public init() {}
    }

    /// The largest information field that we take, in bytes.
    public var mruBytes: UInt16 = 1400
    /// The ways in which a user may authenticate, the one that we ask for first in front. None: nobody gets in.
    public var authenticationMethods: [AuthenticationMethod] = [.msChapV2, .chapMD5, .pap]
    /// A peer that is silent for so long is asked whether it is still there.
    public var echoInterval = Duration.seconds(30)
    /// So many Echo-Requests in a row without an answer end the link.
    public var echoMissesMaximum = 4
    /// Restart timer and counters.
    public var restart = Restart()
    /// How long the user may take to prove who he is, the decision included.
    public var authenticationTimeLimit = Duration.seconds(30)
    /// How long LCP, and later IPCP, may take to open.
    public var negotiationTimeLimit = Duration.seconds(60)
    /// How often a link may begin its negotiation anew.
    public var renegotiationsMaximum = 10
    /// What we call ourselves in a CHAP Challenge.
    public var serverName = "culvert"

    /// The defaults.
    public init() {}
}

/// Limits of a link that no operator has reason to change.
enum PPPLimit {
    /// Frames that wait to be taken by `pollTransmit`.
    static let transmitQueueMaximum = 32
    /// Protocol-Rejects and Code-Rejects that a link sends in a second: a flood of CCP or ECP gets no more.
    static let rejectsPerSecondMaximum = 10
    /// A user name (RFC 2759 section 4 has up to 256, PAP up to 255).
    static let userNameBytesMaximum = 255
    /// A client that has just begun to speak is given so long to answer what we asked before it did: longer than any usual
    /// way there and back, since a request that comes a second time makes an open link negotiate anew.
    static let lateStartPatience = Duration.seconds(1)
    /// An authentication attempt was refused: so long the refusal can still be repeated to a client that missed it.
    static let refusalLinger = Duration.seconds(3)
}
