import FoundationEssentials

/// A session, as operators see it. In and out are the gateway's: in is what the client sent.
public struct SessionRecord: Codable, Equatable, Sendable, Identifiable {
    /// What `culvert drop ID` takes. Never used again while the gateway runs.
    public var id: UInt64
    /// Who authenticated in PPP.
    public var user: String
    /// The client's outer address, as the gateway sees it: behind a NAT, the NAT's.
    public var outerAddress: String
    /// The client's outer UDP port; 0 where ESP comes without UDP.
    public var outerPort: UInt16
    /// The address that the client got.
    public var innerAddress: String
    /// Since when the client has it.
    public var since: Date
    /// Bytes of inner packets from the client.
    public var bytesIn: UInt64
    /// Bytes of inner packets to the client.
    public var bytesOut: UInt64
    /// Inner packets from the client.
    public var packetsIn: UInt64
    /// Inner packets to the client.
    public var packetsOut: UInt64
    /// The algorithms of the IKE SA, such as `aes256-sha256-modp2048`.
    public var ikeCipher: String
    /// The algorithms of the IPsec SAs, such as `aes256-sha1`.
    public var espCipher: String
    /// Both cookies of the IKE SA in hexadecimal, `initiator:responder`; empty when it is gone and the session lives on.
    public var ikeSA: String
    /// The SPIs of the IPsec SAs in hexadecimal, `inbound:outbound`.
    public var espSA: String
    /// The gateway's id of the L2TP tunnel.
    public var l2tpTunnel: UInt16
    /// The gateway's id of the L2TP session.
    public var l2tpSession: UInt16
    /// How the user authenticated: `mschapv2`, `chap` or `pap`.
    public var authentication: String
    /// How the client's packets are protected: `esp`, `ah`, `ah+esp`, or `none` for a soft association.
    public var protection: String
    /// How many bits of inner packets a second may come from the client; nil is no limit.
    public var rateLimitIn: UInt64?
    /// How many may go to it.
    public var rateLimitOut: UInt64?

    /// A session's record.
    public init(
        id: UInt64, user: String, outerAddress: String, outerPort: UInt16, innerAddress: String, since: Date,
        bytesIn: UInt64, bytesOut: UInt64, packetsIn: UInt64, packetsOut: UInt64, ikeCipher: String, espCipher: String,
        ikeSA: String, espSA: String, l2tpTunnel: UInt16, l2tpSession: UInt16, authentication: String,
        protection: String = "esp", rateLimitIn: UInt64? = nil, rateLimitOut: UInt64? = nil
    ) {
        (self.id, self.user, self.since) = (id, user, since)
        (self.outerAddress, self.outerPort, self.innerAddress) = (outerAddress, outerPort, innerAddress)
        (self.bytesIn, self.bytesOut) = (bytesIn, bytesOut)
        (self.packetsIn, self.packetsOut) = (packetsIn, packetsOut)
        (self.ikeCipher, self.espCipher, self.ikeSA, self.espSA) = (ikeCipher, espCipher, ikeSA, espSA)
        (self.l2tpTunnel, self.l2tpSession, self.authentication) = (l2tpTunnel, l2tpSession, authentication)
        self.protection = protection
        (self.rateLimitIn, self.rateLimitOut) = (rateLimitIn, rateLimitOut)
    }
}

/// An L2TP tunnel, as operators see it.
public struct TunnelRecord: Codable, Equatable, Sendable, Identifiable {
    /// The gateway's id of the tunnel.
    public var id: UInt16
    /// The client's id of the tunnel.
    public var remoteID: UInt16
    /// What the client calls itself (RFC 2661 4.4.3, Host Name).
    public var hostName: String
    /// The client's outer address.
    public var outerAddress: String
    /// The client's outer UDP port; 0 where ESP comes without UDP.
    public var outerPort: UInt16
    /// The client's L2TP port, inside ESP.
    public var l2tpPort: UInt16
    /// Since when the tunnel is up.
    public var since: Date
    /// Who has sessions in it.
    public var users: [String]
    /// The ids of these sessions.
    public var sessions: [UInt64]
    /// Bytes of inner packets from the client.
    public var bytesIn: UInt64
    /// Bytes of inner packets to the client.
    public var bytesOut: UInt64
    /// Inner packets from the client.
    public var packetsIn: UInt64
    /// Inner packets to the client.
    public var packetsOut: UInt64
    /// The algorithms of the IKE SA.
    public var ikeCipher: String
    /// The algorithms of the IPsec SAs.
    public var espCipher: String
    /// Both cookies of the IKE SA in hexadecimal, `initiator:responder`.
    public var ikeSA: String
    /// The SPIs of the IPsec SAs in hexadecimal, `inbound:outbound`.
    public var espSA: String
    /// How its packets are protected: `esp`, `ah`, `ah+esp`, or `none` for a soft association.
    public var protection: String

    /// A tunnel's record.
    public init(
        id: UInt16, remoteID: UInt16, hostName: String, outerAddress: String, outerPort: UInt16, l2tpPort: UInt16,
        since: Date, users: [String], sessions: [UInt64], bytesIn: UInt64, bytesOut: UInt64, packetsIn: UInt64,
        packetsOut: UInt64, ikeCipher: String, espCipher: String, ikeSA: String, espSA: String,
        protection: String = "esp"
    ) {
        self.protection = protection
        (self.id, self.remoteID, self.hostName, self.since) = (id, remoteID, hostName, since)
        (self.outerAddress, self.outerPort, self.l2tpPort) = (outerAddress, outerPort, l2tpPort)
        (self.users, self.sessions) = (users, sessions)
        (self.bytesIn, self.bytesOut) = (bytesIn, bytesOut)
        (self.packetsIn, self.packetsOut) = (packetsIn, packetsOut)
        (self.ikeCipher, self.espCipher, self.ikeSA, self.espSA) = (ikeCipher, espCipher, ikeSA, espSA)
    }
}

/// Who was hung up.
public struct DropResult: Codable, Equatable, Sendable {
    /// How many sessions.
    public var count: Int
    /// Which sessions: their ids, in the order of ``SessionRecord/id``.
    public var sessions: [UInt64]

    /// The sessions `sessions` were hung up.
    public init(sessions: [UInt64]) { (self.count, self.sessions) = (sessions.count, sessions.sorted()) }
}
