import Cryptography
import Wire

/// A client across all its ISAKMP SAs and IPsec SAs, until the last of them is gone.
public struct PeerID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number.
    public let rawValue: UInt64

    /// The peer of number `rawValue`.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The number.
    public var description: String { "\(rawValue)" }
}

/// The two endpoints that messages travel between.
public struct IKEPath: Hashable, Sendable, CustomStringConvertible {
    /// Ours.
    public var local: Endpoint
    /// The peer's.
    public var remote: Endpoint

    /// The path between `local` and `remote`.
    public init(local: Endpoint, remote: Endpoint) { (self.local, self.remote) = (local, remote) }

    /// `remote>local`.
    public var description: String { "\(remote)>\(local)" }
}

/// A quick mode in an ISAKMP SA.
public struct QuickModeID: Hashable, Sendable, CustomStringConvertible {
    /// Our cookie of the ISAKMP SA.
    public let cookie: UInt64
    /// The exchange's message id.
    public let messageID: UInt32

    /// Both in hexadecimal.
    public var description: String { "\(hexadecimal(cookie.octets)).\(hexadecimal(messageID.octets))" }
}

/// One side of the traffic of an IPsec SA.
public struct IKESelector: Hashable, Sendable, CustomStringConvertible {
    /// Whom the peer names: its private address as a rule, a name with old clients.
    public let identity: IKEIdentity
    /// The IP protocol: 17, or 0 for any.
    public let protocolNumber: UInt8
    /// The port: 1701, another, or 0 for any.
    public let port: UInt16

    /// The traffic of `identity` with a protocol and port, 0 for any.
    public init(identity: IKEIdentity, protocolNumber: UInt8, port: UInt16) {
        (self.identity, self.protocolNumber, self.port) = (identity, protocolNumber, port)
    }

    /// The body of the identification payload that says it.
    var body: [UInt8] {
        IdentificationPayload(identity: identity, protocolNumber: protocolNumber, port: port).body
    }

    /// `protocol/port identity`.
    public var description: String { "\(protocolNumber)/\(port) \(identity)" }
}

/// The traffic of an IPsec SA, as the peer's identification payloads say.
public struct IKESelectors: Hashable, Sendable {
    /// The peer's side: IDci, or IDcr where we began.
    public let initiator: IKESelector
    /// Our side: IDcr, or IDci where we began.
    public let responder: IKESelector
}

/// How an IPsec SA wraps packets.
public enum IPsecMode: String, Sendable {
    /// Transport mode.
    case transport
    /// Tunnel mode.
    case tunnel
}

/// How the packets of an IPsec SA travel.
public enum IPsecEncapsulation: String, Sendable {
    /// As IP protocol 50.
    case none
    /// In UDP port 4500 (RFC 3948).
    case udp
    /// In UDP port 500, behind eight zero bytes where an IKE message has its initiator's cookie: the non-IKE marker of
    /// draft-ietf-ipsec-udp-encaps-00.
    case udpOfIKE
}

/// The keys of one direction.
public struct ChildKeys: Sendable {
    /// The cipher's key.
    public let encryption: SecretBytes
    /// The salt of a combined cipher (RFC 4106 section 4), otherwise empty.
    public let salt: SecretBytes
    /// The integrity key, empty with a combined cipher.
    public let authentication: SecretBytes

    /// Cuts key material: cipher key, salt, integrity key (RFC 2407 section 4.5 leaves no other order in use).
    init(_ material: SecretBytes, _ ipsecProtocol: IPsecProtocol, of suite: IPsecSuite) {
        let cipher = ipsecProtocol == .encapsulatingSecurityPayload ? suite.payload?.cipher : nil
        let saltStart = (cipher?.keyLengthBits ?? 0) / 8
        let authenticationStart = saltStart + (cipher?.saltBytes ?? 0)
        encryption = material.slice(0..<saltStart)
        salt = material.slice(saltStart..<authenticationStart)
        authentication = material.slice(authenticationStart..<material.count)
    }
}

/// One protocol of a pair of IPsec SAs, or of a bundle.
public struct ChildProtection: Sendable {
    /// AH or ESP.
    public let ipsecProtocol: IPsecProtocol
    /// The SPI of packets to the peer; ours is one for all protocols of a bundle.
    public let outboundSPI: UInt32
    /// The keys of packets to us.
    public let inboundKeys: ChildKeys
    /// The keys of packets to the peer.
    public let outboundKeys: ChildKeys
}

/// The numbers under which compressed packets travel (RFC 3173 section 3.2).
public struct ChildCompression: Hashable, Sendable {
    /// The CPI of packets to us.
    public let inboundCPI: UInt16
    /// The CPI of packets to the peer.
    public let outboundCPI: UInt16
}

/// A pair of IPsec SAs, or of bundles of them: all that is needed to install both directions.
public struct ChildSecurityAssociation: Sendable {
    /// Whose it is.
    public let peer: PeerID
    /// The quick mode that made it.
    public let quickMode: QuickModeID
    /// Who began that.
    public let role: IKERole
    /// The inbound SPI of the pair that it replaces, where we began it for that.
    public let replaces: UInt32?
    /// The SPI of packets to us.
    public let inboundSPI: UInt32
    /// The algorithms.
    public let suite: IPsecSuite
    /// The protocols with their keys, outermost first: AH, ESP, or AH and ESP.
    public let protections: [ChildProtection]
    /// The numbers of compression; nil where none was agreed.
    public let compression: ChildCompression?
    /// Transport or tunnel.
    public let mode: IPsecMode
    /// Whether and how packets travel in UDP.
    public let encapsulation: IPsecEncapsulation
    /// Where to and from.
    public let path: IKEPath
    /// The addresses that the peer believes in (NAT-OA): its own, and ours.
    public let originalAddresses: (initiator: IPAddress?, responder: IPAddress?)
    /// The traffic as the identification payloads say it; nil where the peer named none, which means the traffic between
    /// the two endpoints.
    public let selectors: IKESelectors?
    /// The traffic, our side the local one; nil where a side was named by something that is no address.
    public let traffic: TrafficSelector?
    /// Which configured tunnel it is for; nil for L2TP.
    public let tunnel: String?
    /// After how long the SA ends.
    public let lifetimeSeconds: UInt64
    /// After how many kilobytes in either direction the SA ends; the gateway counts them. Nil: no bound.
    public let lifetimeKilobytes: UInt64?
    /// At how many the gateway calls ``IKEEngine/noteVolume(inboundSPI:kilobytes:now:using:)``, for a successor.
    public let softKilobytes: UInt64?
    /// After each so many it calls that before, too, so that we see how fast they go.
    public var noticeKilobytes: UInt64? { lifetimeKilobytes.map { VolumePace.step(of: $0) } }
    /// How many sequence numbers up to the highest are to be remembered; nil for as many as it is by default.
    public let replayWindow: Int?

    /// The SPI of packets to the peer, of a bundle that of its innermost protocol.
    public var outboundSPI: UInt32 { protections.last?.outboundSPI ?? 0 }
}

/// What the gateway needs to decide about a quick mode.
public struct QuickModeRequest: Sendable {
    /// To answer with ``IKEEngine/accept(_:inboundSPI:now:using:)`` or ``IKEEngine/refuse(_:now:using:)``.
    public let id: QuickModeID
    /// Who began it; what we began, to replace a pair before it ends, is answered in the same way.
    public let role: IKERole
    /// With whom.
    public let peer: PeerID
    /// The message's path.
    public let path: IKEPath
    /// Transport or tunnel.
    public let mode: IPsecMode
    /// The traffic as the identification payloads say it, nil where the peer named none.
    public let selectors: IKESelectors?
    /// The traffic, our side the local one; nil where a side was named by something that is no address.
    public let traffic: TrafficSelector?
    /// Which configured tunnel it is for; nil for L2TP.
    public let tunnel: String?
    /// The algorithms that we would take.
    public let suite: IPsecSuite
    /// Whether and how packets would travel in UDP.
    public let encapsulation: IPsecEncapsulation
    /// The group of perfect forward secrecy, if any.
    public let group: DiffieHellmanGroup?
    /// The inbound SPI of the pair that it is to replace, where we began it.
    public let replaces: UInt32?
}

/// A new ISAKMP SA.
public struct PeerEstablished: Sendable {
    /// Whose: the same as before for a client that rekeys.
    public let peer: PeerID
    /// Its path.
    public let path: IKEPath
    /// Who it says it is.
    public let identity: IKEIdentity
    /// How it proved it. By a signature, its certificate confirms the identity.
    public let method: PhaseOneAuthenticationMethod
    /// The algorithms.
    public let suite: PhaseOneSuite
    /// The cookies.
    public let cookies: IKECookies
    /// How ESP in UDP travels with this peer, if it does.
    public let encapsulation: IPsecEncapsulation
    /// NATs on the way; nil where the peer does not speak NAT traversal.
    public let nat: IKENATDetection?
    /// What the peer runs, as far as its vendor ids tell.
    public let vendorIDs: [IKEVendorID]
    /// After how long the ISAKMP SA ends.
    public let lifetimeSeconds: UInt64
    /// Whether the peer was known before: a rekey, or a client that came back.
    public let isRenewal: Bool
}

/// Why an SA ended.
public enum IKEEndReason: String, Sendable {
    /// The peer deleted it.
    case deletedByPeer
    /// We deleted it.
    case deletedByUs
    /// Its life ended.
    case expired
    /// Quick mode's message 3 never came, nor a packet.
    case neverConfirmed
    /// It has carried all its kilobytes, and the peer gave no answer about a successor.
    case usedUp
    /// A newer one took its place at a limit.
    case replacedAtLimit
}

/// What happened.
public enum IKEEvent: Sendable {
    /// A peer authenticated: a new one, or a known one with a new ISAKMP SA.
    case peerEstablished(PeerEstablished)
    /// The peer says that it has no other SAs with us (RFC 2407 section 4.6.3.3). The gateway decides what that means.
    case initialContact(PeerID)
    /// A peer proved to be at another endpoint.
    case peerMoved(PeerID, IKEPath)
    /// A peer asks for a pair of IPsec SAs, or we do.
    case quickModeRequested(QuickModeRequest)
    /// Keys are there. Inbound may be used at once, outbound after the confirmation.
    case securityAssociationReady(ChildSecurityAssociation)
    /// The peer has the keys too: outbound may be used.
    case securityAssociationConfirmed(peer: PeerID, inboundSPI: UInt32)
    /// A pair of IPsec SAs is over.
    case securityAssociationDeleted(peer: PeerID, inboundSPI: UInt32, reason: IKEEndReason)
    /// An ISAKMP SA is over. Its peer's IPsec SAs live on.
    case ikeSecurityAssociationEnded(peer: PeerID, cookies: IKECookies, reason: IKEEndReason)
    /// A peer answers no R-U-THERE (RFC 3706). Nothing is ended by it: the gateway decides. It comes once for a silence.
    case peerUnresponsive(PeerID)
    /// The last SA of a peer is gone: its number will not be used again.
    case peerEnded(PeerID)
    /// A peer was refused.
    case refused(IKERefusal)
}

/// Where a message goes. The non-ESP marker is not in it: the local port says whether it is needed.
public struct IKETransmit: Sendable, Hashable {
    /// From which endpoint of ours.
    public let local: Endpoint
    /// Where to.
    public let remote: Endpoint
}
