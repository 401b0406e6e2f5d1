import Cryptography
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
    /// Not at all: a soft association, whose L2TP comes as plain UDP. Such peers live at the worker that reads port 1701.
    case clear
}

/// What a worker knows of a peer: where it is, by which SAs it is sent to, and its sessions.
struct PeerEntry: ~Copyable {
    /// The largest packet that the way to a peer takes until it is known (Ethernet's), in bytes.
    static let pathMTUBytesDefault = 1500

    /// The control loop's name for the peer.
    let identifier: UInt64
    /// Where it was heard from last, by a packet that was authentic.
    var path: OuterPath
    /// How ESP goes there.
    var encapsulation: OuterEncapsulation
    /// The largest packet that the way there takes, in bytes.
    var pathMTUBytes = Self.pathMTUBytesDefault
    /// The slot of its first session, -1 for none.
    var firstSession = -1
    /// Between which addresses its L2TP travels in tunnel mode: the client's own one and ours, as it sent last.
    var l2tpAddresses: (client: IPv4Address, own: IPv4Address) = (.any, .any)
    /// What had been sent to it when a keepalive was due last.
    var trafficAtKeepalive = Traffic()
    /// How many SAs there are to send by.
    private(set) var outboundCount: UInt64 = 0
    /// The outbound SAs, the newest first: of those for some traffic it is the one that is used. Older ones are there until
    /// the peer deletes them.
    private var newest: UnsafeMutablePointer<OutboundEntry>?

    init(identifier: UInt64, path: OuterPath, encapsulation: OuterEncapsulation) {
        (self.identifier, self.path, self.encapsulation) = (identifier, path, encapsulation)
        newest = nil
    }

    deinit {
        var entry = newest
        while let current = entry {
            entry = current.pointee.next
            Self.free(current)
        }
    }

    /// The SA to send L2TP by.
    @inline(__always)
    var outbound: UnsafeMutablePointer<OutboundEntry>? {
        var entry = newest
        while let current = entry {
            if current.pointee.use.tunnel < 0 { return current }
            entry = current.pointee.next
        }
        return nil
    }

    /// The SA to send a packet of `flow` by, which belongs to `tunnel`.
    @inline(__always)
    func outbound(tunnel: Int, _ flow: PacketFlow) -> UnsafeMutablePointer<OutboundEntry>? {
        var entry = newest
        while let current = entry {
            if current.pointee.use.tunnel == tunnel, current.pointee.use.selector?.matches(outbound: flow) ?? true {
                return current
            }
            entry = current.pointee.next
        }
        return nil
    }

    /// The outbound SA with this SPI.
    func outbound(_ index: SecurityParameterIndex) -> UnsafeMutablePointer<OutboundEntry>? {
        var entry = newest
        while let current = entry {
            if current.pointee.association.index == index { return current }
            entry = current.pointee.next
        }
        return nil
    }

    mutating func add(_ association: consuming OutboundEntry) {
        let memory = UnsafeMutablePointer<OutboundEntry>.allocate(capacity: 1)
        memory.initialize(to: association)
        memory.pointee.next = newest
        newest = memory
        outboundCount &+= 1
    }

    /// Ends the SA with that SPI; false where there is none.
    mutating func remove(_ index: SecurityParameterIndex) -> Bool {
        var previous: UnsafeMutablePointer<OutboundEntry>?
        var entry = newest
        while let current = entry {
            let next = current.pointee.next
            if current.pointee.association.index == index {
                if let previous { previous.pointee.next = next } else { newest = next }
                Self.free(current)
                outboundCount &-= 1
                return true
            }
            (previous, entry) = (current, next)
        }
        return false
    }

    private static func free(_ entry: UnsafeMutablePointer<OutboundEntry>) {
        entry.deinitialize(count: 1)
        entry.deallocate()
    }
}

/// What an SA is for.
struct AssociationUse: Sendable {
    /// L2TP in transport mode.
    static let l2tp = AssociationUse()

    /// Whether it is in transport or in tunnel mode.
    var mode = Protection.Mode.transport
    /// Whose packets it carries: a configured tunnel's number; -1 for L2TP's.
    var tunnel = -1
    /// The traffic, our side the local one; nil where that is L2TP's between the two ends, or not addresses.
    var selector: TrafficSelector?
    /// The addresses that the peer believes in (NAT-OA, RFC 3947 section 5.2): its own, and ours.
    var originalAddresses: (remote: IPAddress, local: IPAddress)?

}

/// What an SA is for, in a worker's memory: little of it with L2TP in transport mode, by whose SAs most packets go.
struct AssociationUseEntry: ~Copyable {
    /// Whether it is in transport or in tunnel mode.
    let mode: Protection.Mode
    /// Whose packets it carries, as in ``AssociationUse``.
    let tunnel: Int
    /// All of it, where there is more to know.
    private let whole: UnsafeMutablePointer<AssociationUse>?

    init(_ use: AssociationUse) {
        (mode, tunnel) = (use.mode, use.tunnel)
        guard use.selector != nil || use.originalAddresses != nil else {
            whole = nil
            return
        }
        let memory = UnsafeMutablePointer<AssociationUse>.allocate(capacity: 1)
        memory.initialize(to: use)
        whole = memory
    }

    deinit {
        whole?.deinitialize(count: 1)
        whole?.deallocate()
    }

    /// The traffic, as in ``AssociationUse``.
    @inline(__always)
    var selector: TrafficSelector? { whole?.pointee.selector }

    /// The addresses that the peer believes in, as in ``AssociationUse``.
    var originalAddresses: (remote: IPAddress, local: IPAddress)? { whole?.pointee.originalAddresses }

    /// Whether a packet's ports say if it is of this traffic: L2TP's are those of one UDP port.
    @inline(__always)
    var asksPorts: Bool { tunnel < 0 || selector?.asksPorts ?? false }
}

/// What a worker knows of an SA by which packets come, beside what the ESP room does.
struct InboundEntry: ~Copyable {
    /// The slot of its peer.
    let peer: Int
    let use: AssociationUseEntry
    private let traffic: Unmanaged<SessionTraffic>

    init(peer: Int, _ parameters: AssociationParameters) {
        self.peer = peer
        use = AssociationUseEntry(parameters.use)
        traffic = .passRetained(parameters.traffic)
    }

    deinit { traffic.release() }

    @inline(__always)
    func countIn(_ count: Int) { traffic._withUnsafeGuaranteedRef { $0.countIn(count) } }
}

/// An SA by which packets go, and what it is for.
struct OutboundEntry: ~Copyable {
    var association: OutboundSecurityAssociation
    let use: AssociationUseEntry
    /// The one that was used before it.
    var next: UnsafeMutablePointer<OutboundEntry>?
    private let protection: Protection
    private let traffic: Unmanaged<SessionTraffic>

    /// An SA that was negotiated; where compression was, its packets go through the worker's `compressor`.
    init(
        _ parameters: AssociationParameters, compressor: PacketCompressor, multiBuffer: MultiBuffer
    ) throws(CryptographyError) {
        association = try OutboundSecurityAssociation(
            index: parameters.index, outerIndex: parameters.outerIndex, protection: parameters.protection,
            keys: parameters.keys, limit: parameters.limit, compressor: compressor, multiBuffer: multiBuffer)
        use = AssociationUseEntry(parameters.use)
        (protection, traffic) = (parameters.protection, .passRetained(parameters.traffic))
    }

    deinit { traffic.release() }

    @inline(__always)
    func countOut(_ count: Int) { traffic._withUnsafeGuaranteedRef { $0.countOut(count) } }

    /// The largest payload whose packet fits `budgetBytes`, which is what the outer IP and UDP headers leave. To be asked
    /// when packets turn out to be large, not for each.
    func payloadMaximum(_ budgetBytes: Int, isIPv6: Bool) -> Int {
        var budget = budgetBytes
        if let integrity = protection.authenticationHeader {
            // AH is whole words of 4 bytes, in IPv6 of 8 (RFC 4302 section 3.3.3.2.1).
            let unit = isIPv6 ? 8 : 4
            budget -= (12 + integrity.checkLength + unit - 1) / unit * unit
        }
        guard let suite = protection.payload else { return max(0, budget) }
        var payload = max(0, budget)
        while payload > 0, payload + suite.overhead(payloadLength: payload) > budget { payload -= 1 }
        return payload
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
    /// What may pass; nil is all.
    private var fromClient: TokenBucket?
    private var toClient: TokenBucket?
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

    /// Limits what may pass each way.
    mutating func limit(to limits: RateLimits) {
        // Who is told the same once more gets no new bucket, which would be full.
        if fromClient?.rate != limits.fromClient { fromClient = limits.fromClient.map { TokenBucket($0) } }
        if toClient?.rate != limits.toClient { toClient = limits.toClient.map { TokenBucket($0) } }
    }

    /// Whether a packet of `count` bytes from the client is within its rate.
    @inline(__always)
    mutating func mayReceive(_ count: Int, now: Instant) -> Bool { fromClient?.take(count, now: now) ?? true }

    /// Whether a packet of `count` bytes to the client is within its rate.
    @inline(__always)
    mutating func maySend(_ count: Int, now: Instant) -> Bool { toClient?.take(count, now: now) ?? true }

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
