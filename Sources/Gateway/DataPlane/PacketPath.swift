import Cryptography
import ESP
import L2TP
import PPP
import Wire

/// What is to be done with a packet after a stage of the path.
enum Disposition: Sendable {
    /// Nothing: it was dropped and counted, or the control loop has a copy.
    case done
    /// It goes to the inside, through the TUN interface.
    case deliver
    /// It goes to its peer in UDP 4500.
    case sendInUDP
    /// It goes to its peer in UDP 500.
    case sendInUDPOfIKE
    /// It goes to its peer as IP protocol 50.
    case sendRaw
    /// It goes to its peer in clear, from UDP 1701.
    case sendClear
    /// It goes to another worker, which owns the session.
    case handOver(worker: Int)
    /// It does not fit where it goes: it must be cut, or its sender be told.
    case tooLarge(OutboundPlace, mtuBytes: Int)
}

/// Where a packet from inside goes.
enum OutboundPlace: Sendable {
    /// To a session, by its slot.
    case session(Int)
    /// To the peer in a slot, by an outbound SA.
    case association(peer: Int, SecurityParameterIndex)
}

/// One worker's path of packets, in memory: from ESP to the inner packet and back. No system call is made here.
///
/// It owns what it touches: SAs, peers, sessions. Batches go through it stage by stage, packets stay in their slots, and
/// nothing is allocated, locked or counted by reference for a packet of data. Messages for the control loop are copied
/// into `reports`.
struct PacketPath: ~Copyable {
    /// What fits a slot: the largest packet that the outer MTU lets through, fragments put together, with room to spare.
    static let packetSizeMaximum = 2048 * 2
    /// L2TP's UDP port (RFC 2661 section 8.1).
    static let l2tpPort: UInt16 = 1701
    static let udpHeaderLength = 8
    /// How many zero bytes tell ESP from IKE on UDP 500.
    static let nonIKEMarkerLength = 8
    /// What keeps a NAT's mapping alive (RFC 3948 section 2.3).
    static let keepalive: [UInt8] = [0xff]
    /// How often the control loop is told that a session is alive.
    static let activityInterval = Duration.seconds(10)
    /// The most messages that wait for the control loop between two wakeups of it, per worker.
    static let reportsMaximum = 4096

    /// Of how many unknown SPIs the control loop is told within ``unknownSPIInterval``, per worker: whoever sends garbage does
    /// not keep it busy.
    static let unknownSPIsMaximum = 20
    static let unknownSPIInterval = Duration.seconds(1)

    /// What every link takes that carries IPv6 (RFC 8200 section 5).
    static let minimumMTUBytesOfIPv6 = 1280
    /// How often the control loop is told that a tunnel lacks an SA.
    static let acquireInterval = Duration.seconds(1)
    /// How often the control loop is told of packets that came by an SA that is not for them.
    static let auditInterval = Duration.seconds(1)

    let worker: Int
    let routes: RouteTable
    var tunnels: TunnelTable
    var inboundTable: InboundTable
    var inboundEntries = SlotTable<InboundEntry>()
    var inboundSlots = SlotAllocator()
    /// What waits for an SA, by the tunnel's number.
    var held = SlotTable<HeldPackets>()
    /// Whose wait is over.
    var heldDue: [Int] = []
    /// What waits for the successor of a used-up SA, by the peer's slot, and whose wait is over.
    var waiting = SlotTable<HeldPackets>()
    var waitingDue: [Int] = []
    var auditTold = Instant.zero
    var auditCount: UInt64 = 0
    var peers = SlotTable<PeerEntry>()
    /// The slots of peers without IPsec, which only their path tells apart.
    var clearPeers: [OuterPath: Int] = [:]
    var strangersSince = Instant.zero
    var strangersTold = 0
    var sessions = SlotTable<SessionEntry>()
    let compressor = PacketCompressor()
    let multiBuffer: MultiBuffer
    /// What is encrypted or decrypted together. A batch from inside is sealed at its end; ``burstPosition`` is where in it the
    /// packet under way is, negative where it is not of a batch and leaves at once.
    let burst: PacketBurst
    private var burstPosition = -1
    /// Datagrams whose ports count and that came in fragments, by the SA's number, or ``insideOwner``.
    var reassembly = FragmentReassembly()
    static let insideOwner = -1
    var random = RandomBlock()
    var drops = Counters<PacketPathDrop>()
    /// What could not be sealed: each also counts as ``PacketPathDrop/notEncrypted``.
    var notSealed = Counters<OutboundDrop>()
    /// What went by all SAs there have been.
    var sent = Traffic()
    /// How many packets came to this worker and are another's, who was given them.
    var handedOver: UInt64 = 0
    /// How often an SA was given keys, and how many there are to send by.
    var keyAdditions: UInt64 = 0
    var outboundCount: UInt64 = 0
    var reports: [WorkerReport] = []
    private var unknownSPIsSince = Instant.zero
    private var unknownSPIsTold = 0
    let dispositions: UnsafeMutablePointer<Disposition>
    private let capacity: Int

    init(
        worker: Int, routes: RouteTable, tunnels: TunnelTable = .empty, batchCapacity: Int,
        multiBuffer: MultiBuffer = .wanted
    ) {
        self.worker = worker
        self.routes = routes
        self.tunnels = tunnels
        self.multiBuffer = multiBuffer
        burst = PacketBurst(multiBuffer)
        inboundTable = InboundTable(batchCapacity: batchCapacity, compressor: compressor, burst: burst)
        capacity = batchCapacity
        dispositions = .allocate(capacity: batchCapacity)
        dispositions.initialize(repeating: .done, count: batchCapacity)
    }

    deinit { dispositions.deallocate() }

    /// What is to be done with the packet at `position` of the batch that went through last.
    func disposition(_ position: Int) -> Disposition {
        precondition(position >= 0 && position < capacity)
        return dispositions[position]
    }

    mutating func report(_ report: WorkerReport) {
        guard reports.count < Self.reportsMaximum else { return drops.count(.controlQueueFull) }
        reports.append(report)
    }

    // MARK: From the outer network

    /// Takes the IKE messages and keepalives out of what came in on UDP 4500 (RFC 3948 section 2); what is left is ESP.
    mutating func separateIKE(_ batch: inout PacketBatch, port: UInt16) {
        let marker = 4
        var kept = 0
        for position in 0..<batch.count {
            if batch[position].count <= marker {
                drops.count(Self.isKeepalive(batch[position]) ? .natKeepalive : .tooShort)
            } else if batch[position].uint32(at: 0) == 0 {
                var message = batch[position]
                message.removeFirst(marker)
                report(.ike(message: [UInt8](copying: message.span), path: message.path, port: port))
            } else {
                // The slots trade places, so that each still belongs to one position.
                if kept != position { swap(&batch, kept, position) }
                kept += 1
            }
        }
        batch.count = kept
    }

    @inline(__always)
    private func swap(_ batch: inout PacketBatch, _ first: Int, _ second: Int) {
        let packet = batch[first]
        batch[first] = batch[second]
        batch[second] = packet
    }

    private static func isKeepalive(_ packet: Packet) -> Bool { packet.count == 1 && packet.byte(at: 0) == 0xff }

    /// Takes the IKE messages and keepalives out of what came in on UDP 500; what is left is ESP, which has the non-IKE
    /// marker where they have their initiator's cookie (draft-ietf-ipsec-udp-encaps-00 section 2).
    mutating func separateESP(_ batch: inout PacketBatch, port: UInt16) {
        var kept = 0
        for position in 0..<batch.count {
            var packet = batch[position]
            if Self.isKeepalive(packet) {
                drops.count(.natKeepalive)
            } else if packet.count > Self.nonIKEMarkerLength, packet.uint32(at: 0) == 0, packet.uint32(at: 4) == 0 {
                packet.removeFirst(Self.nonIKEMarkerLength)
                batch[position] = batch[kept]
                batch[kept] = packet
                kept += 1
            } else {
                report(.ike(message: [UInt8](copying: packet.span), path: packet.path, port: port))
            }
        }
        batch.count = kept
    }

    /// Takes a batch of ESP packets, which came by `encapsulation`, to the inner packets in them. ``disposition(_:)`` says
    /// which are to be delivered.
    mutating func receive(
        _ batch: inout PacketBatch, as header: InboundTable.Header = .esp, by encapsulation: OuterEncapsulation,
        now: Instant
    ) {
        inboundTable.open(batch, as: header)
        for position in 0..<batch.count {
            let result = inboundTable.result(position)
            guard result.drop == nil, let entry = inboundEntries[result.owner], let peer = peers[entry.pointee.peer]
            else {
                if result.drop == .unknownIndex { noteUnknownSPI(result.index, path: batch[position].path, now: now) }
                dispositions[position] = .done
                continue
            }
            if result.isNewest, batch[position].path != peer.pointee.path {
                follow(peer, to: batch[position].path, by: encapsulation)
            }
            if result.isFirst { report(.firstUse(result.index)) }
            if result.isNoticeDue, let traffic = inboundTable.traffic(result.index) {
                report(.limitReached(peer: peer.pointee.identifier, .inbound(result.index), traffic))
            }
            entry.pointee.countIn(batch[position].count)
            // What gets a header back, or is put together of fragments, needs room.
            if entry.pointee.use.mode == .transport
                ? entry.pointee.use.tunnel >= 0
                : entry.pointee.use.asksPorts && FragmentReassembly.isFragment(batch[position])
            {
                batch.moveIntoSlot(position)
            }
            let isDelivered =
                if entry.pointee.use.mode == .tunnel || entry.pointee.use.tunnel >= 0 {
                    receiveTunnelled(&batch[position], result, by: entry, from: peer, now: now)
                } else if result.nextHeader == IPProtocol.udp {
                    receiveUDP(&batch[position], from: peer, now: now)
                } else {
                    refuse(.notUDP)
                }
            dispositions[position] = isDelivered ? .deliver : .done
        }
    }

    /// A peer whose SA we do not have any more, after a restart above all, shall learn it; IKE knows whether it is one.
    private mutating func noteUnknownSPI(_ index: SecurityParameterIndex, path: OuterPath, now: Instant) {
        if now.since(unknownSPIsSince) >= Self.unknownSPIInterval { (unknownSPIsSince, unknownSPIsTold) = (now, 0) }
        guard unknownSPIsTold < Self.unknownSPIsMaximum, index.value >= SecurityParameterIndex.lowestUsable else {
            return
        }
        unknownSPIsTold += 1
        report(.unknownSPI(index, path: path))
    }

    /// A NAT may give a peer another port or address at any time; the newest authentic packet tells where it is now.
    private mutating func follow(
        _ peer: UnsafeMutablePointer<PeerEntry>, to path: OuterPath, by encapsulation: OuterEncapsulation
    ) {
        // Without UDP there is no NAT to follow, and what came by another port of ours than the peer's does not say where
        // the NAT takes packets from that one.
        guard encapsulation != .none, peer.pointee.encapsulation == encapsulation else { return }
        peer.pointee.path = path
        report(.peerMoved(peer: peer.pointee.identifier, path: path))
    }

    mutating func refuse(_ reason: PacketPathDrop) -> Bool {
        drops.count(reason)
        return false
    }

    mutating func receiveUDP(
        _ packet: inout Packet, from peer: UnsafeMutablePointer<PeerEntry>, now: Instant
    ) -> Bool {
        guard packet.count >= Self.udpHeaderLength else { return refuse(.notUDP) }
        let length = Int(packet.uint16(at: 4))
        guard length >= Self.udpHeaderLength, length <= packet.count else { return refuse(.notUDP) }
        guard packet.uint16(at: 2) == Self.l2tpPort else { return refuse(.notL2TPPort) }
        let remotePort = packet.uint16(at: 0)
        // The UDP checksum is not looked at: a NAT has spoilt it, and ESP has vouched for every byte (RFC 3948 section 3.1.2).
        packet.count = length
        packet.removeFirst(Self.udpHeaderLength)
        return receiveL2TP(&packet, from: peer, remotePort: remotePort, now: now)
    }

    /// Takes an L2TP message; an IP packet in it goes on.
    mutating func receiveL2TP(
        _ packet: inout Packet, from peer: UnsafeMutablePointer<PeerEntry>, remotePort: UInt16, now: Instant
    ) -> Bool {
        switch L2TPDataHeader.parse(packet) {
        case .control:
            report(
                .control(
                    peer: peer.pointee.identifier, remotePort: remotePort, message: [UInt8](copying: packet.span)))
            return false
        case .drop:
            return refuse(.badL2TPHeader)
        case .data(let header):
            var slot = peer.pointee.firstSession
            while let session = sessions[slot] {
                if session.pointee.session == header.sessionID, session.pointee.tunnel == header.tunnelID {
                    if let ns = header.ns, session.pointee.isSequenced, !session.pointee.sequence.accept(ns) {
                        return refuse(.outOfSequence)
                    }
                    packet.removeFirst(header.payloadOffset)
                    packet.count = header.payloadCount
                    return receiveFrame(&packet, on: session, now: now)
                }
                slot = session.pointee.nextOfPeer
            }
            return receiveEarly(packet, header, from: peer)
        }
    }

    /// A frame of a session that is not there. The control loop may be about to say that it is: then a client's first
    /// Configure-Request must not be lost, since the next one comes seconds later.
    private mutating func receiveEarly(
        _ packet: Packet, _ header: L2TPDataHeader, from peer: UnsafeMutablePointer<PeerEntry>
    ) -> Bool {
        var frame = packet
        frame.removeFirst(header.payloadOffset)
        frame.count = header.payloadCount
        guard let (number, _) = Self.pppProtocol(of: frame) else { return refuse(.badPPPFrame) }
        guard number != PPPProtocol.ipv4 else { return refuse(.unknownSession) }
        report(
            .earlyFrame(
                peer: peer.pointee.identifier, tunnel: header.tunnelID, session: header.sessionID,
                frame: [UInt8](copying: frame.span)))
        return false
    }

    /// The protocol of a PPP frame (RFC 1661 section 2), and where its information begins: address and control fields are
    /// there or not, and the protocol has one byte or two.
    @inline(__always)
    private static func pppProtocol(of frame: Packet) -> (number: UInt16, offset: Int)? {
        let offset = frame.count >= 2 && frame.byte(at: 0) == 0xff && frame.byte(at: 1) == 0x03 ? 2 : 0
        guard frame.count >= offset + 2 else { return nil }
        let first = frame.byte(at: offset)
        // A protocol's first byte is even and its last odd, so that one byte can be told from two.
        return first & 1 == 1 ? (UInt16(first), offset + 1) : (frame.uint16(at: offset), offset + 2)
    }

    /// A PPP frame: an IP packet goes on, everything else is for the control loop.
    private mutating func receiveFrame(
        _ packet: inout Packet, on session: UnsafeMutablePointer<SessionEntry>, now: Instant
    ) -> Bool {
        if now.since(session.pointee.activityTold) >= Self.activityInterval {
            session.pointee.activityTold = now
            report(.activity(session: session.pointee.identifier))
        }
        guard let (number, offset) = Self.pppProtocol(of: packet) else { return refuse(.badPPPFrame) }
        guard number == PPPProtocol.ipv4 else {
            report(.frame(session: session.pointee.identifier, frame: [UInt8](copying: packet.span)))
            return false
        }
        packet.removeFirst(offset)
        guard let network = session.pointee.network else { return refuse(.beforeNetworkPhase) }
        guard let header = IPv4Header(packet) else { return refuse(.badInnerPacket) }
        guard header.source == network.address else { return refuse(.spoofedSource) }
        packet.count = header.totalLength
        guard session.pointee.mayReceive(packet.count, now: now) else { return refuse(.overRateFromClient) }
        TCPSegmentSize.clamp(packet, header, mtuBytes: network.mtuBytes)
        session.pointee.countIn(packet.count)
        return true
    }

    // MARK: From inside

    /// Takes a batch of IP packets from the TUN interface to ESP packets for their peers.
    mutating func send(_ batch: inout PacketBatch, now: Instant) {
        for position in 0..<batch.count {
            // The datagram that its fragments make needs room.
            if FragmentReassembly.isFragment(batch[position]) { batch.moveIntoSlot(position) }
            burstPosition = position
            dispositions[position] = route(&batch[position], now: now)
            if burst.isFull { sealBurst() }
        }
        burstPosition = -1
        sealBurst()
    }

    /// Encrypts what was taken together; what the library refuses is not sent.
    private mutating func sealBurst() {
        guard burst.count > 0 else { return }
        burst.run()
        for index in 0..<burst.count where !burst.isGood(index) {
            notSealed.count(.cipherFailure)
            dispositions[burst.position(index)] = drop(.notEncrypted)
        }
        burst.removeAll()
    }

    /// Takes one packet to its session, wherever that is, or to the tunnel that it belongs to.
    private mutating func route(_ packet: inout Packet, now: Instant) -> Disposition {
        guard let header = IPv4Header(packet), let entry = routes.lookUp(header.destination) else {
            return routeIntoTunnel(&packet, now: now)
        }
        guard entry.worker == worker else { return .handOver(worker: entry.worker) }
        guard let session = sessions[entry.slot], let network = session.pointee.network,
            network.address == header.destination
        else { return drop(.noSessionForAddress) }
        packet.count = header.totalLength
        let fits = packet.count <= network.mtuBytes
        if fits, let association = peers[session.pointee.peer]?.pointee.outbound,
            association.pointee.association.isUsedUp
        {
            return awaitSuccessor(packet, of: association, peer: session.pointee.peer, now: now)
        }
        guard session.pointee.maySend(packet.count, now: now) else { return drop(.overRateToClient) }
        guard fits else { return .tooLarge(.session(entry.slot), mtuBytes: network.mtuBytes) }
        TCPSegmentSize.clamp(packet, header, mtuBytes: network.mtuBytes)
        return encapsulate(&packet, session: entry.slot)
    }

    /// Wraps a fragment of what was too large for `place`.
    mutating func encapsulate(_ packet: inout Packet, to place: OutboundPlace) -> Disposition {
        switch place {
        case .session(let slot): return encapsulate(&packet, session: slot)
        case .association(let slot, let index):
            guard let peer = peers[slot], let association = peer.pointee.outbound(index) else {
                return drop(.noOutboundAssociation)
            }
            return encapsulate(&packet, by: association, to: peer)
        }
    }

    mutating func drop(_ reason: PacketPathDrop) -> Disposition {
        drops.count(reason)
        return .done
    }

    /// Puts PPP, L2TP, UDP and ESP around an IP packet that fits its session.
    mutating func encapsulate(_ packet: inout Packet, session slot: Int) -> Disposition {
        guard let session = sessions[slot], let network = session.pointee.network else {
            return drop(.noSessionForAddress)
        }
        let innerCount = packet.count
        if network.compressesProtocol {
            packet.prepend(1)
            packet.store(UInt8(truncatingIfNeeded: PPPProtocol.ipv4), at: 0)
        } else {
            packet.prepend(2)
            packet.store(PPPProtocol.ipv4, at: 0)
        }
        if !network.omitsAddressAndControl {
            packet.prepend(2)
            packet.store(UInt16(0xff03), at: 0)
        }
        let disposition = sendFrame(&packet, session: session)
        if case .done = disposition { return .done }
        session.pointee.countOut(innerCount)
        return disposition
    }

    /// Puts L2TP, UDP and ESP around a PPP frame.
    mutating func sendFrame(
        _ packet: inout Packet, session: UnsafeMutablePointer<SessionEntry>
    ) -> Disposition {
        guard let peer = peers[session.pointee.peer] else { return drop(.messageForGone) }
        guard
            L2TPDataHeader.prepend(
                to: &packet, headroom: L2TPDataHeader.byteCountMaximum, tunnelID: session.pointee.remoteTunnel,
                sessionID: session.pointee.remoteSession,
                ns: session.pointee.isSequenced ? session.pointee.sequence.next() : nil)
        else { return drop(.badL2TPHeader) }
        return sendL2TP(&packet, to: peer, remotePort: session.pointee.remotePort)
    }

    /// Puts UDP and ESP around an L2TP message.
    mutating func sendL2TP(
        _ packet: inout Packet, to peer: UnsafeMutablePointer<PeerEntry>, remotePort: UInt16
    ) -> Disposition {
        if peer.pointee.encapsulation == .clear { return address(&packet, to: peer) }
        guard let association = peer.pointee.outbound else { return drop(.noOutboundAssociation) }
        packet.prepend(Self.udpHeaderLength)
        packet.store(Self.l2tpPort, at: 0)
        packet.store(remotePort, at: 2)
        packet.store(UInt16(truncatingIfNeeded: packet.count), at: 4)
        // No UDP checksum: ESP vouches for the bytes, and a NAT in between would spoil it (RFC 3948 section 3.1.2).
        packet.store(UInt16(0), at: 6)
        guard association.pointee.use.mode == .tunnel else {
            return seal(&packet, nextHeader: IPProtocol.udp, by: association, to: peer)
        }
        prependHeader(to: &packet, peer.pointee.l2tpAddresses)
        return seal(&packet, nextHeader: IPProtocol.ipv4, by: association, to: peer)
    }

    /// Protects a packet by an SA and addresses it to its peer. What the outer header is to say stands in `packet.outer`.
    mutating func seal(
        _ packet: inout Packet, nextHeader: UInt8, by entry: UnsafeMutablePointer<OutboundEntry>,
        to peer: UnsafeMutablePointer<PeerEntry>
    ) -> Disposition {
        let count = packet.count
        // AH covers the outer addresses.
        packet.path = peer.pointee.path
        let reason = entry.pointee.association.seal(
            &packet, nextHeader: nextHeader, random: &random, total: &sent,
            in: burstPosition >= 0 ? .passUnretained(burst) : nil, position: burstPosition)
        if let reason {
            notSealed.count(reason)
            return drop(.notEncrypted)
        }
        entry.pointee.countOut(count)
        if entry.pointee.association.isNoticeDue {
            let name = AssociationName.outbound(entry.pointee.association.index)
            report(.limitReached(peer: peer.pointee.identifier, name, entry.pointee.association.traffic))
        }
        return address(&packet, to: peer)
    }

    /// Makes a NAT keepalive of `packet`, where the peer was sent nothing since the one before (RFC 3948 section 4).
    mutating func sendKeepalive(_ packet: inout Packet, to peer: UnsafeMutablePointer<PeerEntry>) -> Disposition {
        let traffic = peer.pointee.outbound?.pointee.association.traffic ?? Traffic()
        defer { peer.pointee.trafficAtKeepalive = traffic }
        guard traffic == peer.pointee.trafficAtKeepalive else { return .done }
        packet.path = peer.pointee.path
        switch peer.pointee.encapsulation {
        case .none, .clear: return .done
        case .udp: return .sendInUDP
        case .udpOfIKE: return .sendInUDPOfIKE
        }
    }

    /// Puts before an ESP packet what it needs in UDP, and says by which socket it goes.
    private func address(_ packet: inout Packet, to peer: UnsafeMutablePointer<PeerEntry>) -> Disposition {
        packet.path = peer.pointee.path
        switch peer.pointee.encapsulation {
        case .none: return .sendRaw
        case .clear: return .sendClear
        case .udp: return .sendInUDP
        case .udpOfIKE:
            packet.prepend(Self.nonIKEMarkerLength)
            packet.store(UInt32(0), at: 0)
            packet.store(UInt32(0), at: 4)
            return .sendInUDPOfIKE
        }
    }
}
