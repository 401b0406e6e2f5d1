import Wire

/// An L2TPv2 network server, the LNS of RFC 2661, for clients that come in over IPsec.
///
/// It does no I/O: messages that came out of ESP go in by ``receive(_:from:now:using:)``, time by
/// ``handleTimeout(now:using:)`` no later than ``nextDeadline``; what is to be sent comes out of ``pollTransmit(into:)``
/// and what happened out of ``pollEvent()``, both to be emptied after every call. Every operation costs the same with
/// one tunnel as with 100,000.
public struct L2TPServer: Sendable {
    /// What belongs to one IPsec peer.
    struct PeerRecord: Sendable {
        /// The slots of its tunnels, the oldest first.
        var slots: [Int] = []
    }

    /// A refusal, which has no tunnel and hence nobody to send it again: the client's repetition brings the next.
    struct Refusal: Sendable {
        var peer: L2TPPeer
        var tunnelID: UInt16
        var body: [UInt8]
    }

    /// While fewer tunnels than this exist, a Tunnel ID is unique in the whole server.
    static let serverWideTunnelIDs = 60_000

    /// What the operator set.
    public let configuration: L2TPConfiguration
    /// What had no effect, by reason.
    public private(set) var drops = Counters<L2TPDrop>()
    /// How many tunnels are established or being set up.
    public internal(set) var tunnelCount = 0
    /// How many sessions are established or being set up.
    public internal(set) var sessionCount = 0

    let timing: ReliableChannel.Timing
    var slots = RecordList<Tunnel>()
    var vacantSlots: [Int] = []
    var slotByID: [L2TPTunnelID: Int] = [:]
    var peers: [UInt64: PeerRecord] = [:]
    /// How many tunnels have each Tunnel ID.
    var tunnelIDUse = [UInt32](repeating: 0, count: 65_536)
    var deadlines = DeadlineHeap()
    var transmitQueue = FIFO<Int>()
    var refusals = FIFO<Refusal>()
    var events = FIFO<L2TPEvent>()

    /// A server without tunnels.
    public init(configuration: L2TPConfiguration = L2TPConfiguration()) {
        self.configuration = configuration
        timing = ReliableChannel.Timing(configuration)
    }

    // MARK: What comes out

    /// The next thing that happened.
    public mutating func pollEvent() -> L2TPEvent? { events.popFirst() }

    /// Appends the next control message to `writer`, without a UDP header, and says whom it goes to.
    public mutating func pollTransmit(into writer: inout ByteWriter) -> L2TPPeer? {
        if let refusal = refusals.popFirst() {
            let header = ControlHeader(
                tunnelID: refusal.tunnelID, sessionID: 0, ns: .zero, nr: SequenceNumber(1))
            header.write(body: refusal.body, into: &writer)
            return refusal.peer
        }
        while let slot = transmitQueue.popFirst() {
            slots[slot].isQueued = false
            guard !slots[slot].isVacant,
                slots[slot].channel.nextTransmission(to: slots[slot].remoteID, into: &writer)
            else { continue }
            settle(slot)
            return slots[slot].peer
        }
        return nil
    }

    /// When ``handleTimeout(now:using:)`` must be called at the latest; nil for never.
    public var nextDeadline: Instant? { deadlines.earliest }

    // MARK: What an operator sees

    /// The tunnels that are established or being set up. Made as they are asked for; take an `Array` of them before
    /// changing the server, else all its tunnels are copied.
    public var tunnels: some Sequence<L2TPTunnel> { slots.lazy.filter(\.isLive).map(\.summary) }

    /// The tunnels of one IPsec peer, established or being set up, without a look at any other's.
    public func tunnels(of peer: UInt64) -> [L2TPTunnel] {
        (peers[peer]?.slots ?? []).filter { slots[$0].isLive }.map { slots[$0].summary }
    }

    /// The established sessions; made as they are asked for, like ``tunnels``.
    public var sessions: some Sequence<L2TPSession> {
        slots.lazy.filter(\.isLive).flatMap { tunnel in tunnel.sessions.compactMap { tunnel.establishedSession($0.id) }
        }
    }

    /// A tunnel that is established or being set up.
    public func tunnel(_ id: L2TPTunnelID) -> L2TPTunnel? { liveSlot(id).map { slots[$0].summary } }

    /// The sessions of one IPsec peer, established or being set up, without a look at any other's.
    public func sessions(of peer: UInt64) -> [L2TPSessionID] {
        (peers[peer]?.slots ?? []).flatMap { slot in
            slots[slot].sessions.map { L2TPSessionID(tunnel: slots[slot].id, value: $0.id) }
        }
    }

    /// An established session.
    public func session(_ id: L2TPSessionID) -> L2TPSession? {
        liveSlot(id.tunnel).flatMap { slots[$0].establishedSession(id.value) }
    }

    // MARK: What the gateway says

    /// Authenticated data came in on a tunnel: as good as the answer to a HELLO. Cheap enough for every batch.
    public mutating func noteActivity(on id: L2TPTunnelID, now: Instant) {
        guard let slot = slotByID[id] else { return }
        // The deadline in the heap stays where it is; when it comes, the HELLO moves on.
        slots[slot].lastHeard = max(slots[slot].lastHeard, now)
    }

    /// Hangs up a session with CDN, and its tunnel with StopCCN if that was its last.
    public mutating func disconnectSession(_ id: L2TPSessionID, result: L2TPResult, now: Instant) {
        guard let slot = liveSlot(id.tunnel), slots[slot].position(id.value) != nil else { return }
        disconnect(id.value, in: slot, result: result, reason: .closedByUs(result), now: now)
        if slots[slot].isLive, slots[slot].sessions.isEmpty {
            stop(slot, result: .stop(.clear), reason: .closedByUs(.stop(.clear)), now: now)
        }
        settle(slot)
    }

    /// Hangs up a tunnel and all its sessions with StopCCN.
    public mutating func disconnectTunnel(_ id: L2TPTunnelID, result: L2TPResult, now: Instant) {
        guard let slot = liveSlot(id) else { return }
        stop(slot, result: result, reason: .closedByUs(result), now: now)
        settle(slot)
    }

    /// Hangs up everything with StopCCN, for the gateway's own end.
    public mutating func disconnectAll(result: L2TPResult = .stop(.shuttingDown), now: Instant) {
        for slot in slots.indices where slots[slot].isLive {
            stop(slot, result: result, reason: .closedByUs(result), now: now)
            settle(slot)
        }
    }

    /// An IPsec peer is gone: its tunnels are forgotten, and nothing is sent, as there is no SA to send it on.
    public mutating func peerEnded(_ peer: UInt64, now: Instant) { forget(peer, reason: .peerEnded) }

    /// An IPsec peer is gone since the same client came back as another one.
    public mutating func peerReplaced(_ peer: UInt64, now: Instant) { forget(peer, reason: .replaced) }

    /// The client may have lost its tunnels: they are asked at once, and end after some seconds without an answer.
    public mutating func peerDoubted(_ peer: UInt64, now: Instant) {
        for slot in peers[peer]?.slots ?? [] { probe(slot, now: now) }
    }

    /// Does what is due, for at most ``L2TPConfiguration/tunnelsPerWakeupMaximum`` tunnels: where more are due,
    /// ``nextDeadline`` stays in the past, and the caller comes back after it has looked at its packets.
    public mutating func handleTimeout(now: Instant, using generator: inout some RandomNumberGenerator) {
        for _ in 0..<max(configuration.tunnelsPerWakeupMaximum, 1) {
            guard let slot = deadlines.firstDue(at: now) else { return }
            expire(slot, now: now)
            settle(slot)
        }
    }

    // MARK: Slots

    func liveSlot(_ id: L2TPTunnelID) -> Int? {
        guard let slot = slotByID[id], slots[slot].isLive else { return nil }
        return slot
    }

    mutating func count(_ drop: L2TPDrop, times: Int = 1) { for _ in 0..<times { drops.count(drop) } }

    /// Puts a tunnel where it is found by its id, its peer and its deadline.
    mutating func occupy(with tunnel: Tunnel) -> Int {
        let slot: Int
        if let vacant = vacantSlots.popLast() {
            slot = vacant
            slots[slot] = tunnel
        } else {
            slot = slots.count
            slots.append(tunnel)
        }
        slotByID[tunnel.id] = slot
        peers[tunnel.id.peer, default: PeerRecord()].slots.append(slot)
        tunnelIDUse[Int(tunnel.id.value)] += 1
        tunnelCount += 1
        return slot
    }

    /// Forgets a tunnel that is over.
    mutating func vacate(_ slot: Int) {
        let id = slots[slot].id
        guard !slots[slot].isVacant else { return }
        slots[slot].state = .vacant
        slots[slot].channel = ReliableChannel(timing: timing, peerWindow: 1, receiveWindow: 1)
        slots[slot].setupDeadlines = []
        slotByID[id] = nil
        tunnelIDUse[Int(id.value)] -= 1
        if let position = peers[id.peer]?.slots.firstIndex(of: slot) { peers[id.peer]?.slots.remove(at: position) }
        if peers[id.peer]?.slots.isEmpty == true { peers[id.peer] = nil }
        deadlines.set(nil, for: slot)
        vacantSlots.append(slot)
    }

    /// Brings the queue and the heap in line with what a tunnel wants; to be called after whatever changed it.
    mutating func settle(_ slot: Int) {
        guard !slots[slot].isVacant else { return }
        if slots[slot].channel.hasTransmission, !slots[slot].isQueued {
            slots[slot].isQueued = true
            transmitQueue.append(slot)
        }
        deadlines.set(slots[slot].deadline(configuration), for: slot)
    }

    /// A random Tunnel ID that no tunnel of the peer has, and none at all while there are enough.
    func newTunnelID(of peer: UInt64, using generator: inout some RandomNumberGenerator) -> L2TPTunnelID? {
        let serverWide = slotByID.count < Self.serverWideTunnelIDs
        let start = UInt16.random(in: 1...UInt16.max, using: &generator)
        var candidate = start
        repeat {
            let id = L2TPTunnelID(peer: peer, value: candidate)
            let isFree = serverWide ? tunnelIDUse[Int(candidate)] == 0 : slotByID[id] == nil
            if candidate != 0, isFree { return id }
            candidate &+= 1
        } while candidate != start
        return nil
    }
}
