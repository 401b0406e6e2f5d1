import ESP
import L2TP
import Synchronization
import Wire

/// What a session has moved. Its worker counts, the control loop reads.
final class SessionTraffic: Sendable {
    let packetsIn = Atomic<UInt64>(0)
    let bytesIn = Atomic<UInt64>(0)
    let packetsOut = Atomic<UInt64>(0)
    let bytesOut = Atomic<UInt64>(0)

    /// One more packet from the client, of `count` bytes. Only the owning worker writes, so that no locked instruction is
    /// needed.
    @inline(__always)
    func countIn(_ count: Int) {
        packetsIn.store(packetsIn.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        bytesIn.store(bytesIn.load(ordering: .relaxed) &+ UInt64(count), ordering: .relaxed)
    }

    /// One more packet to the client, of `count` bytes.
    @inline(__always)
    func countOut(_ count: Int) {
        packetsOut.store(packetsOut.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        bytesOut.store(bytesOut.load(ordering: .relaxed) &+ UInt64(count), ordering: .relaxed)
    }
}

/// How ESP travels to and from a peer.
enum OuterEncapsulation: Sendable {
    /// As IP protocol 50.
    case none
    /// In UDP 4500 (RFC 3948).
    case udp
    /// In UDP 500, behind the eight zero bytes of draft-ietf-ipsec-udp-encaps-00. Such peers live at the worker that reads
    /// port 500.
    case udpOfIKE
}

/// What a worker knows of a peer: where it is, by which SAs it is sent to, and its sessions.
struct PeerEntry: ~Copyable {
    /// The outbound SAs, the newest first: it is the one that is used. Older ones are there until the peer deletes them.
    private struct Link {
        let association: UnsafeMutablePointer<OutboundSecurityAssociation>
        var next: UnsafeMutablePointer<Link>?
    }

    /// The control loop's name for the peer.
    let identifier: UInt64
    /// Where it was heard from last, by a packet that was authentic.
    var path: OuterPath
    /// How ESP goes there.
    var encapsulation: OuterEncapsulation
    /// The slot of its first session, -1 for none.
    var firstSession = -1
    /// What had been sent to it when a keepalive was due last.
    var trafficAtKeepalive = Traffic()
    /// How many SAs there are to send by.
    private(set) var outboundCount: UInt64 = 0
    private var newest: UnsafeMutablePointer<Link>?

    init(identifier: UInt64, path: OuterPath, encapsulation: OuterEncapsulation) {
        (self.identifier, self.path, self.encapsulation) = (identifier, path, encapsulation)
        newest = nil
    }

    deinit {
        var link = newest
        while let current = link {
            link = current.pointee.next
            Self.free(current)
        }
    }

    /// The SA to send by.
    @inline(__always)
    var outbound: UnsafeMutablePointer<OutboundSecurityAssociation>? { newest?.pointee.association }

    mutating func add(_ association: consuming OutboundSecurityAssociation) {
        let memory = UnsafeMutablePointer<OutboundSecurityAssociation>.allocate(capacity: 1)
        memory.initialize(to: association)
        let link = UnsafeMutablePointer<Link>.allocate(capacity: 1)
        link.initialize(to: Link(association: memory, next: newest))
        newest = link
        outboundCount &+= 1
    }

    /// Ends the SA with that SPI; false where there is none.
    mutating func remove(_ index: SecurityParameterIndex) -> Bool {
        var previous: UnsafeMutablePointer<Link>?
        var link = newest
        while let current = link {
            let next = current.pointee.next
            if current.pointee.association.pointee.index == index {
                if let previous { previous.pointee.next = next } else { newest = next }
                Self.free(current)
                outboundCount &-= 1
                return true
            }
            (previous, link) = (current, next)
        }
        return false
    }

    private static func free(_ link: UnsafeMutablePointer<Link>) {
        link.pointee.association.deinitialize(count: 1)
        link.pointee.association.deallocate()
        link.deallocate()
    }
}

/// How frames to a session are built, once its network phase is reached.
struct NetworkParameters: Sendable, Equatable {
    /// The client's inner address.
    var address: IPv4Address
    /// The largest IP packet that it takes, in bytes.
    var mtuBytes: Int
    /// Whether the address and control fields are left out (RFC 1661 section 6.6).
    var omitsAddressAndControl: Bool
    /// Whether the protocol field has one byte (RFC 1661 section 6.5).
    var compressesProtocol: Bool
}

/// What a worker knows of a session.
struct SessionEntry: ~Copyable {
    /// The control loop's name for the session.
    let identifier: UInt64
    /// The slot of the peer that it came in on.
    let peer: Int
    /// Our L2TP ids, which its data messages bear.
    let tunnel: UInt16
    let session: UInt16
    /// The client's L2TP ids, which ours bear.
    let remoteTunnel: UInt16
    let remoteSession: UInt16
    /// The client's UDP port inside ESP.
    var remotePort: UInt16
    /// Whether our data messages are numbered (RFC 2661 section 5.4).
    let isSequenced: Bool
    /// The numbers of data messages, both ways.
    var sequence = L2TPDataSequence()
    /// Nil until the user is authenticated and the address agreed.
    var network: NetworkParameters?
    /// When the control loop was told last that something came.
    var activityTold = Instant.zero
    /// The slot of the peer's next session, -1 for none.
    var nextOfPeer = -1
    private let traffic: Unmanaged<SessionTraffic>

    init(_ parameters: SessionParameters) {
        identifier = parameters.identifier
        peer = parameters.peer
        (tunnel, session) = (parameters.tunnel, parameters.session)
        (remoteTunnel, remoteSession) = (parameters.remoteTunnel, parameters.remoteSession)
        remotePort = parameters.remotePort
        isSequenced = parameters.isSequenced
        traffic = .passRetained(parameters.traffic)
    }

    deinit { traffic.release() }

    @inline(__always)
    func countIn(_ count: Int) { traffic._withUnsafeGuaranteedRef { $0.countIn(count) } }

    @inline(__always)
    func countOut(_ count: Int) { traffic._withUnsafeGuaranteedRef { $0.countOut(count) } }
}

/// A session as the control loop tells a worker of it.
struct SessionParameters: Sendable {
    let identifier: UInt64
    let peer: Int
    let tunnel: UInt16
    let session: UInt16
    let remoteTunnel: UInt16
    let remoteSession: UInt16
    let remotePort: UInt16
    let isSequenced: Bool
    let traffic: SessionTraffic
}
