/// Every bound that the engine keeps.
public struct IKELimits: Sendable, Equatable {
    /// The most bytes of a message.
    public var messageBytesMaximum = 16_384
    /// The longest message that is sent in one datagram to a peer that understands fragments: with IPv4, UDP and the
    /// non-ESP marker 1280 bytes.
    public var unfragmentedBytesMaximum = 1248
    /// The most fragments of a message.
    public var fragmentsPerMessageMaximum = 64
    /// The most messages of known exchanges that are being put together. The oldest makes room.
    public var partialMessagesMaximum = 1024
    /// The most of these from one address.
    public var partialMessagesPerAddressMaximum = 256
    /// The most first messages that are being put together, of which nobody knows who sends them.
    public var partialFirstMessagesMaximum = 64
    /// The most of these from one address.
    public var partialFirstMessagesPerAddressMaximum = 4
    /// The most payloads in a message.
    public var payloadsMaximum = 128
    /// The most proposals in an SA payload.
    public var proposalsMaximum = 64
    /// The most transforms in an SA payload, all proposals together.
    public var transformsMaximum = 256
    /// The most exchanges that have not shown message 3. The oldest makes room.
    public var halfOpenMaximum = 4096
    /// The most of these from one address.
    public var halfOpenPerAddressMaximum = 512
    /// The most exchanges between message 3 and message 5.
    public var unauthenticatedMaximum = 2048
    /// The most of these from one address.
    public var unauthenticatedPerAddressMaximum = 256
    /// The most of these in aggressive mode, which have cost us a Diffie-Hellman and have shown nothing.
    public var aggressiveMaximum = 256
    /// The most of these from one address.
    public var aggressivePerAddressMaximum = 16
    /// First messages of aggressive mode per second that are worth a Diffie-Hellman and a signature.
    public var aggressivePerSecond = 200
    /// How often aggressive mode's message 2 is repeated where our certificate makes it more than 1.5 times as large as
    /// message 1.
    public var largeAnswersMaximum = 3
    /// How many messages may prove nothing before an exchange looks at none any more: forged ones must not end it, and
    /// each may cost as many pre-shared keys as there are candidates, or a chain of certificates.
    public var failedProofsMaximum = 8
    /// How long an exchange may take.
    public var exchangeLifetime: Duration = .seconds(30)
    /// How long we wait for an answer before we send again; each time twice as long.
    public var retransmissionInterval: Duration = .seconds(1)
    /// How often we send again.
    public var retransmissionsMaximum = 4
    /// The first pause before a quick mode is sent again that replaces a pair with a life of kilobytes, at the least.
    public var hurriedRetransmissionInterval: Duration = .milliseconds(100)
    /// The longest such pause once that pair is used up, and traffic waits.
    public var waitingRetransmissionInterval: Duration = .seconds(2)
    /// How long a quick mode is expected to take with a peer that has answered none yet.
    public var negotiationAssumed: Duration = .milliseconds(100)
    /// How long we go on sending by a pair that we have replaced, for want of a sign that the peer has the new one: longer
    /// than it takes a lost message 3 to be asked for again.
    public var proofPatience: Duration = .seconds(5)
    /// How long a peer may take to install what message 3 confirms, once the pair before it can carry no more: three times as
    /// long as its answers take, within these. What waits meanwhile would be lost all at once if it went too early.
    public var installationDuration: ClosedRange<Duration> = .milliseconds(60)...(.milliseconds(400))
    /// The most exchanges of phase 1 that we begin at once.
    public var initiationsMaximum = 1024
    /// The most Diffie-Hellman computations that wait at once.
    public var workQueueMaximum = 1024
    /// The most ISAKMP SAs: those of 100,000 clients, with room for successors.
    public var associationsMaximum = 131_072
    /// The most ISAKMP SAs of one peer; the oldest makes room.
    public var associationsPerPeerMaximum = 8
    /// The most IPsec SAs of one peer. What has been replaced and only receives makes room.
    public var securityAssociationsPerPeerMaximum = 64
    /// The most quick modes at once in one ISAKMP SA.
    public var quickModesMaximum = 8
    /// The most quick modes that an ISAKMP SA remembers, finished ones among them, of which the oldest makes room.
    public var quickModeRecordsMaximum = 64
    /// How many used message ids an ISAKMP SA remembers.
    public var usedMessageIDsMaximum = 128
    /// Unknown SPIs per second about which a known peer is told.
    public var unknownSPIsPerSecond = 20
    /// Unauthenticated Notifies per second.
    public var notifiesPerSecond = 50
    /// Refusal records per second of peers that have shown that they receive at their address.
    public var refusalsPerSecond = 50
    /// Refusal records per second of those that have not: whoever forges addresses fills no log.
    public var strangerRefusalsPerSecond = 10
    /// How many refused first messages are remembered, so that their repetitions are not recorded again.
    public var refusalsRememberedMaximum = 1024
    /// Failed authentications of one address in a row before it is slowed.
    public var failuresPerAddressMaximum = 10
    /// How long a slowed address waits for one more attempt.
    public var failureInterval: Duration = .seconds(3)
    /// The most outputs (messages, events) that wait to be fetched.
    public var outputMaximum = 16_384

    /// The defaults.
    public init() {}
}
