import Cryptography

/// What an operator may set, and the limits that keep one client from taking what belongs to all.
public struct L2TPConfiguration: Sendable {
    /// What we call ourselves in the Host Name AVP (RFC 2661, 4.4.3); must not be empty.
    public var hostName = "culvert"
    /// What we call ourselves in the Vendor Name AVP; left out when empty.
    public var vendorName = "Culvert"
    /// How many control messages a peer may send before it waits for an acknowledgement; also how far ahead of the
    /// expected one a message may be and still be kept.
    public var receiveWindow: UInt16 = 16
    /// The secret of tunnel authentication (RFC 2661, 5.1.1) and of hidden AVPs (4.3). With one, every client is
    /// challenged and must answer; without one, a client that challenges us is refused.
    public var secret: SecretBytes?

    /// After how long without a sign of life a HELLO is sent (RFC 2661, 5.5).
    public var helloInterval: Duration = .seconds(60)
    /// How long a message waits for its acknowledgement before it is sent again the first time (5.8).
    public var retransmissionInitial: Duration = .seconds(1)
    /// What that time doubles up to (5.8: no less than 8 s).
    public var retransmissionCap: Duration = .seconds(8)
    /// How often a message is sent again before the tunnel counts as dead (5.8 recommends 5).
    public var retransmissionsMaximum = 5
    /// The same for the HELLO that asks whether the older tunnel of a client that dialled anew is alive: there is
    /// reason to think that it is not, so 3 s of silence must do.
    public var probeRetransmissionsMaximum = 1
    /// How long an acknowledgement waits for a message to ride on (5.8: the ZLB may be delayed, but well below the
    /// peer's retransmission timer).
    public var acknowledgementDelay: Duration = .milliseconds(50)
    /// How long a tunnel that its peer stopped is remembered, to acknowledge the StopCCN again (5.7: a full
    /// retransmission cycle, e.g. 1 + 2 + 4 + 8 + 8 + 8 s).
    public var lingerDuration: Duration = .seconds(31)
    /// How long a tunnel, and a session in it, may take from its first message to its last one of setup.
    public var setupDuration: Duration = .seconds(30)
    /// How long a tunnel may be without any session.
    public var emptyTunnelDuration: Duration = .seconds(120)
    /// For how long after it was set up a tunnel takes a byte-identical SCCRQ for a late copy of its own rather than
    /// for a client that restarted. Must stay below a client's retransmissions of a SCCRQ taken together.
    public var lateRequestDuration: Duration = .seconds(3)

    /// Most live tunnels of one IPsec peer. A client needs one; a client that vanished and dials anew needs more for a
    /// while; a gateway behind which several dial may need a few.
    public var tunnelsPerPeerMaximum = 16
    /// Most tunnels of one peer whose setup has not finished; beyond, the oldest of them makes room.
    public var halfOpenTunnelsPerPeerMaximum = 8
    /// Most ended tunnels of one peer that are still remembered; beyond, the oldest is forgotten.
    public var endedTunnelsPerPeerMaximum = 16
    /// Most sessions in one tunnel.
    public var sessionsPerTunnelMaximum = 16
    /// Most tunnels in all, remembered ones included.
    public var tunnelsMaximum = 200_000
    /// Most control messages that wait to be sent in one tunnel; a tunnel that needs more is stuck, and ends.
    public var sendQueueMaximum = 64
    /// Most octets of a control message. The longest legal ones, an ICCN with all that a proxy may say, stay far below.
    public var messageByteCountMaximum = 8192
    /// Most tunnels that one call of `handleTimeout` looks after.
    public var tunnelsPerWakeupMaximum = 4096
    /// Most answers without a tunnel (refusals) that wait to be sent; beyond, they are not made.
    public var refusalsQueuedMaximum = 256

    /// The defaults.
    public init() {}
}
