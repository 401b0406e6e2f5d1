import ESP
import Wire

/// What is not L2TP in transport mode: networks behind peers, hosts, and L2TP in tunnel mode.
extension PacketPath {
    // MARK: From the peer

    /// A packet that came by an SA in tunnel mode, or by one in transport mode that is not L2TP's. True: to be delivered.
    mutating func receiveTunnelled(
        _ packet: inout Packet, _ result: InboundResult, by entry: UnsafeMutablePointer<InboundEntry>,
        from peer: UnsafeMutablePointer<PeerEntry>, now: Instant
    ) -> Bool {
        let outerTrafficClass = packet.outer.trafficClass
        if entry.pointee.use.mode == .transport {
            guard restoreHeader(of: &packet, nextHeader: result.nextHeader, entry.pointee.use, peer.pointee.path) else {
                return refuse(.badInnerPacket)
            }
        } else {
            let version: UInt8? =
                switch result.nextHeader {
                case IPProtocol.ipv4: 4
                case IPProtocol.ipv6: 6
                default: nil
                }
            guard let version, packet.count >= IPv4Header.lengthMinimum, packet.byte(at: 0) >> 4 == version else {
                return refuse(.notInTunnelMode)
            }
        }
        guard OuterHeaderRules.giveBack(outerTrafficClass: outerTrafficClass, to: packet) else {
            return refuse(.congestedWithoutECN)
        }
        // RFC 4301 section 7: nobody can say of a later fragment whether it is for the SA.
        if FragmentReassembly.isFragment(packet), entry.pointee.use.asksPorts {
            guard reassemble(&packet, owner: result.owner, now: now) else { return false }
        }
        guard let flow = PacketFlow(packet) else { return refuse(.badInnerPacket) }
        // RFC 4301 section 5.2 step 4: what an SA is not for must not come by it, and is audited.
        if let selector = entry.pointee.use.selector, !selector.matches(inbound: flow) {
            audit(flow, result.index, from: peer, now: now)
            return refuse(.outsideSelector)
        }
        let isToUs = flow.destination == peer.pointee.path.local || entry.pointee.use.tunnel < 0
        if isToUs, flow.protocolNumber == IPProtocol.udp, flow.destinationPort == Self.l2tpPort {
            return receiveTunnelledL2TP(&packet, from: peer, now: now)
        }
        guard entry.pointee.use.tunnel >= 0 else { return refuse(.notL2TPPort) }
        guard !isToUs || !Self.isIPsec(flow) else { return refuse(.nestedIPsec) }
        trim(&packet)
        clamp(packet, mtuBytes: peer.pointee.pathMTUBytes)
        return true
    }

    /// Puts a fragment with the others of its datagram. True: that is whole now, and in the fragment's place.
    private mutating func reassemble(_ packet: inout Packet, owner: Int, now: Instant) -> Bool {
        guard let whole = reassembly.add(packet, owner: owner, now: now) else { return false }
        // What was taken off in front is less than the tailroom.
        guard whole.count <= Self.packetSizeMaximum else { return refuse(.reassembledTooLarge) }
        packet.start.copyMemory(from: whole.start, byteCount: whole.count)
        packet.count = whole.count
        packet.outer.isReassembled = true
        return true
    }

    /// L2TP out of tunnel mode: the same as in transport mode behind one more header. Its addresses are the client's affair,
    /// and two clients may have the same; ours goes back to them.
    private mutating func receiveTunnelledL2TP(
        _ packet: inout Packet, from peer: UnsafeMutablePointer<PeerEntry>, now: Instant
    ) -> Bool {
        guard let header = IPv4Header(packet) else { return refuse(.badInnerPacket) }
        guard header.fragmentOffset == 0, !header.moreFragments else { return refuse(.fragment) }
        peer.pointee.l2tpAddresses = (header.source, header.destination)
        packet.count = header.totalLength
        packet.removeFirst(header.length)
        return receiveUDP(&packet, from: peer, now: now)
    }

    /// Tells the control loop of a packet outside of its SA's selector, some of many.
    private mutating func audit(
        _ flow: PacketFlow, _ index: SecurityParameterIndex, from peer: UnsafeMutablePointer<PeerEntry>, now: Instant
    ) {
        auditCount += 1
        guard now.since(auditTold) >= Self.auditInterval else { return }
        report(.outsideSelector(peer: peer.pointee.identifier, index, flow, count: auditCount))
        (auditTold, auditCount) = (now, 0)
    }

    /// What a tunnel carries beside IP packets of its SA's traffic would be a tunnel in itself.
    private static func isIPsec(_ flow: PacketFlow) -> Bool {
        switch flow.protocolNumber {
        case IPProtocol.esp, IPProtocol.ah: true
        case IPProtocol.udp: flow.destinationPort == IKEPort.plain || flow.destinationPort == IKEPort.encapsulated
        default: false
        }
    }

    /// Cuts what stands behind the IP packet: traffic flow confidentiality padding (RFC 4303 section 2.7).
    private func trim(_ packet: inout Packet) {
        if let header = IPv4Header(packet) {
            packet.count = header.totalLength
        } else if let header = IPv6Header(packet) {
            packet.count = header.totalLength
        }
    }

    private func clamp(_ packet: Packet, mtuBytes: Int) {
        if let header = IPv4Header(packet) {
            TCPSegmentSize.clamp(packet, header, mtuBytes: mtuBytes)
        } else if let header = IPv6Header(packet) {
            TCPSegmentSize.clamp(packet, header, mtuBytes: mtuBytes)
        }
    }

    // MARK: From inside

    /// Takes a packet that no session has to the tunnel that it belongs to.
    mutating func routeIntoTunnel(_ packet: inout Packet, now: Instant) -> Disposition {
        if tunnels.asksPorts, FragmentReassembly.isFragment(packet) {
            guard reassemble(&packet, owner: Self.insideOwner, now: now) else { return .done }
        }
        guard let flow = PacketFlow(packet) else { return drop(.notIP) }
        guard let match = tunnels.lookUp(flow) else { return drop(.noSessionForAddress) }
        guard let place = tunnels.place(match.tunnel) else { return hold(packet, for: match, now: now) }
        guard place.worker == worker else { return .handOver(worker: place.worker) }
        guard let peer = peers[place.peer], let association = peer.pointee.outbound(tunnel: match.tunnel, flow) else {
            return hold(packet, for: match, now: now)
        }
        // A network behind a peer may have the peer's own address in it: what goes there in the tunnel already must not go
        // round for ever.
        guard flow.destination != peer.pointee.path.remote.address || !Self.isIPsec(flow) else {
            return drop(.nestedIPsec)
        }
        if association.pointee.association.isUsedUp {
            return awaitSuccessor(packet, of: association, peer: place.peer, now: now)
        }
        // Transport mode protects whole datagrams (RFC 4301 section 7).
        if association.pointee.use.mode == .transport, FragmentReassembly.isFragment(packet) {
            guard reassemble(&packet, owner: Self.insideOwner, now: now) else { return .done }
        }
        trim(&packet)
        let mtuBytes = payloadMaximum(of: association, to: peer)
        // Who sent an IPv6 packet in fragments would send the same in smaller ones, which make the same packet here.
        let isFinal = packet.outer.isReassembled && packet.byte(at: 0) >> 4 == 6
        if packet.count > mtuBytes, association.pointee.use.mode == .tunnel, !isFinal {
            return .tooLarge(
                .association(peer: place.peer, association.pointee.association.index), mtuBytes: mtuBytes)
        }
        clamp(packet, mtuBytes: mtuBytes)
        return encapsulate(&packet, by: association, to: peer)
    }

    /// How large a packet may be that is to go by an SA: what the way to its peer leaves. An IPv6 packet of 1280 bytes must
    /// get through in any case (RFC 8200 section 5); its outer packet is fragmented if need be.
    private func payloadMaximum(
        of association: UnsafeMutablePointer<OutboundEntry>, to peer: UnsafeMutablePointer<PeerEntry>
    ) -> Int {
        let isIPv6 = if case .v6 = peer.pointee.path.local { true } else { false }
        var budget = peer.pointee.pathMTUBytes - (isIPv6 ? IPv6Header.length : IPv4Header.lengthMinimum)
        switch peer.pointee.encapsulation {
        case .none, .clear: break
        case .udp: budget -= Self.udpHeaderLength
        case .udpOfIKE: budget -= Self.udpHeaderLength + Self.nonIKEMarkerLength
        }
        return association.pointee.payloadMaximum(budget, isIPv6: isIPv6)
    }

    /// Puts an IP packet into an SA of a tunnel. What does not fit is there only because it has to get through: its outer
    /// packet may be fragmented.
    mutating func encapsulate(
        _ packet: inout Packet, by association: UnsafeMutablePointer<OutboundEntry>,
        to peer: UnsafeMutablePointer<PeerEntry>
    ) -> Disposition {
        packet.outer = tunnels.rules(association.pointee.use.tunnel).fields(for: packet)
        if packet.outer.doNotFragment, packet.count > payloadMaximum(of: association, to: peer) {
            packet.outer.doNotFragment = false
        }
        if association.pointee.use.mode == .tunnel {
            let isIPv4 = packet.byte(at: 0) >> 4 == 4
            return seal(&packet, nextHeader: isIPv4 ? IPProtocol.ipv4 : IPProtocol.ipv6, by: association, to: peer)
        }
        // In transport mode the header stays outside: only its payload is protected, and fragments cannot be
        // (RFC 4301 section 3.2, RFC 4303 section 3.3.4).
        let nextHeader: UInt8
        if let header = IPv4Header(packet) {
            guard header.fragmentOffset == 0, !header.moreFragments else { return drop(.fragment) }
            nextHeader = header.protocolNumber
            packet.removeFirst(header.length)
        } else if let header = IPv6Header(packet) {
            guard !header.isFragment else { return drop(.fragment) }
            nextHeader = header.protocolNumber
            packet.removeFirst(header.payloadOffset)
        } else {
            return drop(.notIP)
        }
        return seal(&packet, nextHeader: nextHeader, by: association, to: peer)
    }

    // MARK: Headers

    /// Puts the inner header of tunnel mode before a UDP datagram of L2TP.
    func prependHeader(to packet: inout Packet, _ addresses: (client: IPv4Address, own: IPv4Address)) {
        packet.prependIPv4Header(protocolNumber: IPProtocol.udp, from: addresses.own, to: addresses.client)
    }

    /// Gives the payload of transport mode the IP header back that it travelled behind; false where that cannot be done.
    private func restoreHeader(
        of packet: inout Packet, nextHeader: UInt8, _ use: borrowing AssociationUseEntry, _ path: OuterPath
    ) -> Bool {
        if let original = use.originalAddresses { correctChecksum(of: packet, nextHeader, original, path) }
        switch (path.remote.address, path.local) {
        case (.v4(let remote), .v4(let local)):
            guard packet.count <= Int(UInt16.max) - IPv4Header.lengthMinimum else { return false }
            packet.prependIPv4Header(protocolNumber: nextHeader, from: remote, to: local)
        case (.v6(let remote), .v6(let local)):
            guard packet.count <= Int(UInt16.max) else { return false }
            packet.prependIPv6Header(nextHeader: nextHeader, from: remote, to: local)
        default: return false
        }
        return true
    }

    /// A NAT has changed addresses that TCP's and UDP's checksum covers: it is made right for what they are here
    /// (RFC 3948 section 3.1.2).
    private func correctChecksum(
        of packet: Packet, _ nextHeader: UInt8, _ original: (remote: IPAddress, local: IPAddress), _ path: OuterPath
    ) {
        let offset: Int
        switch nextHeader {
        case IPProtocol.tcp: offset = 16
        case IPProtocol.udp: offset = 6
        default: return
        }
        guard packet.count >= offset + 2 else { return }
        var checksum = packet.uint16(at: offset)
        // UDP without a checksum has none to make right.
        guard nextHeader == IPProtocol.tcp || checksum != 0 else { return }
        for (old, new) in [(original.remote, path.remote.address), (original.local, path.local)] {
            guard case .v4(let old) = old, case .v4(let new) = new else { continue }
            checksum = InternetChecksum.updated(
                checksum, from: UInt16(truncatingIfNeeded: old.value >> 16),
                to: UInt16(truncatingIfNeeded: new.value >> 16))
            checksum = InternetChecksum.updated(
                checksum, from: UInt16(truncatingIfNeeded: old.value), to: UInt16(truncatingIfNeeded: new.value))
        }
        packet.store(checksum, at: offset)
    }
}
