import Cryptography
import ESP
import IKE
import L2TP
import Logging
import Wire

/// From IKE to ESP: the one place where keys move.
extension ControlPlane {
    mutating func handle(_ event: IKEEvent, now: Instant) {
        switch event {
        case .peerEstablished(let established): peerEstablished(established, now: now)
        case .initialContact(let peer): initialContact(peer, now: now)
        case .peerMoved(let peer, let path): move(peer, to: path, now: now)
        case .quickModeRequested(let request): quickModeRequested(request, now: now)
        case .securityAssociationReady(let association): install(association, now: now)
        case .securityAssociationConfirmed(let peer, let inboundSPI): confirm(peer, inboundSPI, now: now)
        case .securityAssociationDeleted(let peer, let inboundSPI, let reason):
            remove(peer, inboundSPI, reason, now: now)
        case .ikeSecurityAssociationEnded(let peer, let cookies, let reason):
            if peers[peer]?.cookies == cookies { peers[peer]?.cookies = nil }
            log.debug("IKE SA ended", metadata: ["peer": "\(peer)", "reason": "\(reason)"])
        case .peerUnresponsive(let peer): peerUnresponsive(peer, now: now)
        case .peerEnded(let peer): peerEnded(peer, now: now)
        case .refused(let refusal):
            noteRefusedCall(refusal, now: now)
            noteRefusal(refusal, now: now)
        }
    }

    private mutating func peerEstablished(_ established: PeerEstablished, now: Instant) {
        counters.count(.mainModes)
        let path = OuterPath(remote: established.path.remote, local: established.path.local.address)
        if peers[established.peer] == nil {
            let worker = established.encapsulation == .udpOfIKE ? IKEPort.worker : leastLoadedWorker
            peers[established.peer] = Peer(
                identifier: established.peer, worker: worker, slot: allocatePeerSlot(worker: worker),
                timer: peerTimers.allocate(established.peer), path: path,
                identity: established.identity, ikeSuite: established.suite)
            setPeerDeadline(now + Self.idlePeerDuration, peer: established.peer)
        } else if peers[established.peer]?.farewell != nil, !isShuttingDown {
            // It was hung up and dials again already: its old SAs go, as they were about to, and the new one stays.
            peers[established.peer]?.farewell = nil
            forgetTunnels(of: established.peer, .operatorHangUp, now: now)
            setPeerDeadline(now + Self.idlePeerDuration, peer: established.peer)
        } else if peers[established.peer]?.tunnelCount == 0 {
            // It has just come back, with all the time of a newcomer.
            setPeerDeadline(now + Self.idlePeerDuration, peer: established.peer)
        }
        if !isCalled(established.cookies) { beginDialIn(of: established.peer, now: now) }
        // It authenticated when the gateway had begun to end.
        if isShuttingDown { bidFarewell(established.peer, .shutdown, now: now) }
        peers[established.peer]?.ikeSuite = established.suite
        peers[established.peer]?.client = FailedClientKind(established.vendorIDs)
        peers[established.peer]?.cookies = established.cookies
        if established.nat?.local == true {
            peers[established.peer]?.needsKeepalives = true
            keepaliveDeadline = keepaliveDeadline ?? now + Self.keepaliveInterval
        }
        log.info(
            "IKE SA established",
            metadata: [
                "peer": "\(established.peer)", "from": "\(established.path.remote)",
                "identity": "\(established.identity)",
                "by": "\(established.method)", "cipher": "\(established.suite)",
                "renewal": "\(established.isRenewal)",
                "nat": "\(Self.place(of: established.nat))",
            ])
        noteReachable(established.peer, now: now)
    }

    /// Who is behind a NAT, for the log.
    private static func place(of nat: IKENATDetection?) -> String {
        switch (nat?.remote, nat?.local) {
        case (true, true): "both"
        case (true, _): "client"
        case (_, true): "gateway"
        case (nil, nil): "unknown"
        default: "none"
        }
    }

    /// The client says that it has just begun (RFC 2407 section 4.6.3.3), and that what it had before is dead. Some say so
    /// each time they replace their ISAKMP SA (libreswan with initial-contact=yes), and their session must not end by it:
    /// so tunnels are asked, and end within seconds where nobody answers.
    private mutating func initialContact(_ peer: PeerID, now: Instant) {
        guard let known = peers[peer], !known.associations.isEmpty else { return }
        log.info("client began anew", metadata: ["peer": "\(peer)", "from": "\(known.path.remote)"])
        guard known.tunnelCount > 0 else { return forgetTunnels(of: peer, .initialContact, now: now) }
        peers[peer]?.doubt = Peer.Doubt(
            associations: known.associations.map(\.inbound), until: now + Self.doubtDuration)
        l2tp.peerDoubted(peer.rawValue, now: now)
    }

    /// A tunnel has not answered. Where the client had said before that it began anew, the SAs of then are dead, too.
    mutating func settleDoubt(about peer: PeerID, now: Instant) {
        guard let doubt = peers[peer]?.doubt else { return }
        peers[peer]?.doubt = nil
        guard now <= doubt.until else { return }
        for index in doubt.associations {
            ike.deleteSecurityAssociation(inboundSPI: index.value, now: now, using: &random)
        }
    }

    /// Ends everything of a peer but its newest IKE SA, without a word in its tunnels.
    private mutating func forgetTunnels(of peer: PeerID, _ end: SessionEnd, now: Instant) {
        noteEnd(end, ofSessionsOf: peer)
        l2tp.peerReplaced(peer.rawValue, now: now)
        for association in peers[peer]?.associations ?? [] {
            ike.deleteSecurityAssociation(inboundSPI: association.inbound.value, now: now, using: &random)
        }
    }

    private mutating func quickModeRequested(_ request: QuickModeRequest, now: Instant) {
        if request.role == .responder, request.tunnel == nil {
            if peers[request.peer]?.dialIn == nil { beginDialIn(of: request.peer, now: now) }
            advanceDialIn(of: request.peer, to: .quickMode)
        }
        guard let peer = peers[request.peer], !isShuttingDown, isKnown(request.tunnel),
            request.encapsulation != .udpOfIKE || peer.worker == IKEPort.worker,
            let index = indexes.allocate(worker: peer.worker, using: &random)
        else { return ike.refuse(request.id, now: now, using: &random) }
        if !ike.accept(request.id, inboundSPI: index.value, now: now, using: &random) { indexes.release(index) }
    }

    private mutating func install(_ child: ChildSecurityAssociation, now: Instant) {
        guard var peer = peers[child.peer] else { return }
        // Its rule has left the policy while it was being made.
        guard isKnown(child.tunnel) else {
            ike.deleteSecurityAssociation(inboundSPI: child.inboundSPI, now: now, using: &random)
            return
        }
        let tunnel = child.tunnel.flatMap { number(ofTunnel: $0) }
        let use = AssociationUse(child, tunnel: tunnel)
        let (inbound, outbound) = AssociationParameters.pair(of: child, use: use)
        let encapsulation = OuterEncapsulation(child.encapsulation)
        // Once it is installed, its newest authentic packet says where a peer is, not where a quick mode began.
        if !peer.isInstalled || peer.encapsulation != encapsulation {
            let port = encapsulation == .none ? 0 : child.path.remote.port
            peer.path = OuterPath(
                remote: Endpoint(address: child.path.remote.address, port: port), local: child.path.local.address)
        }
        if peer.isInstalled, peer.encapsulation != encapsulation {
            put(
                .command(
                    worker: peer.worker, .movePeer(slot: peer.slot, path: peer.path, encapsulation: encapsulation)))
        }
        peer.encapsulation = encapsulation
        if !peer.isInstalled {
            put(
                .command(
                    worker: peer.worker,
                    .addPeer(
                        slot: peer.slot, identifier: peer.identifier.rawValue, path: peer.path,
                        encapsulation: peer.encapsulation)))
            peer.isInstalled = true
            put(.findPathMTU(peer.identifier, peer.path))
        }
        put(.command(worker: peer.worker, .installInbound(inbound, peer: peer.slot)))
        peer.associations.append(
            Peer.Association(
                inbound: inbound.index, outbound: outbound.index, suite: child.suite, mode: child.mode,
                tunnel: tunnel, selector: tunnel.flatMap { configuredTunnels[$0].selector(for: child.traffic) },
                traffic: use.selector.map { Shared($0) }, moved: inbound.traffic, since: now,
                lifetimeSeconds: child.lifetimeSeconds,
                lifetimeKilobytes: child.lifetimeKilobytes,
                replayWindow: child.replayWindow ?? ReplayWindow.defaultSize, outboundParameters: outbound)
        )
        peers[child.peer] = peer
        endClearPeers(at: peer.path.remote.address, now: now)
        counters.count(.quickModes)
        log.info(
            "IPsec SAs negotiated",
            metadata: [
                "peer": "\(child.peer)", "from": "\(child.path.remote)", "cipher": "\(child.suite)",
                "in": "\(inbound.index)", "out": "\(outbound.index)", "encapsulation": "\(child.encapsulation)",
                "seconds": "\(child.lifetimeSeconds)", "mode": "\(child.mode)",
                "traffic": "\(use.selector.map { "\($0)" } ?? "L2TP")",
            ])
    }

    /// The peer has the keys too: from now on we send by them. The old SA stays until its Delete or its end, so that
    /// nothing on its way is lost.
    private mutating func confirm(_ identifier: PeerID, _ inboundSPI: UInt32, now: Instant) {
        guard let peer = peers[identifier],
            let position = peer.associations.firstIndex(where: { $0.inbound.value == inboundSPI && !$0.isConfirmed }),
            let parameters = peer.associations[position].outboundParameters
        else { return }
        peers[identifier]?.associations[position].isConfirmed = true
        peers[identifier]?.associations[position].outboundParameters = nil
        advanceDialIn(of: identifier, to: .confirmed)
        put(.command(worker: peer.worker, .installOutbound(parameters, peer: peer.slot)))
        guard peer.associations[position].tunnel != nil else { return }
        peers[identifier]?.dialIn = nil
        tunnelIsUp(peer.associations[position], of: peer, now: now)
    }

    /// An SA has come to a limit of what it may protect: IKE makes a successor in time, and at the hard limit ends it.
    mutating func limitReached(
        _ identifier: PeerID, _ name: AssociationName, _ traffic: Traffic, now: Instant
    ) {
        let pair = peers[identifier]?.associations.first {
            switch name {
            case .inbound(let index): $0.inbound == index
            case .outbound(let index): $0.outbound == index
            }
        }
        guard let pair else { return }
        log.debug(
            "IPsec SA is at a limit",
            metadata: [
                "peer": "\(identifier)", "in": "\(pair.inbound)", "bytes": "\(traffic.bytes)",
                "packets": "\(traffic.packets)",
            ])
        if traffic.packets >= UInt64(OutboundSecurityAssociation.softPackets) {
            ike.rekey(inboundSPI: pair.inbound.value, now: now, using: &random)
        }
        ike.noteVolume(
            inboundSPI: pair.inbound.value, kilobytes: traffic.bytes / 1024, now: now, using: &random)
    }

    private mutating func remove(
        _ identifier: PeerID, _ inboundSPI: UInt32, _ reason: IKEEndReason, now: Instant
    ) {
        let index = SecurityParameterIndex(inboundSPI)
        guard let peer = peers[identifier],
            let position = peer.associations.firstIndex(where: { $0.inbound == index })
        else { return indexes.release(index) }
        // What is still to be said by this SA goes first.
        sendTunnelMessages()
        let association = peer.associations[position]
        peers[identifier]?.associations.remove(at: position)
        let ending = EndingInbound(
            deadline: now + Self.inboundLingerDuration, peer: identifier, worker: peer.worker, index: index)
        // Where it has others, it replaced this one in the midst of traffic.
        if reason == .deletedByPeer, peer.associations.count > 1 { endingInbound.append(ending) } else { end(ending) }
        put(.command(worker: peer.worker, .removeOutbound(association.outbound, peer: peer.slot)))
        log.log(
            level: reason == .usedUp ? .notice : .debug,
            reason == .usedUp
                ? "IPsec SAs ended: their kilobytes are used up, and the peer did not agree on others in time"
                : "IPsec SAs ended",
            metadata: [
                "peer": "\(identifier)", "from": "\(peer.path.remote)", "in": "\(index)", "reason": "\(reason)",
            ])
        if let peer = peers[identifier] { tunnelLost(association, of: peer, now: now) }
    }

    /// Takes an inbound SA from its worker, and gives the SPI back.
    private mutating func end(_ ending: EndingInbound) {
        indexes.release(ending.index)
        put(.command(worker: ending.worker, .removeInbound(ending.index)))
    }

    /// Ends what peers have deleted a while ago.
    mutating func endInbound(now: Instant) {
        while let first = endingInbound.first, first.deadline <= now {
            endingInbound.removeFirst()
            end(first)
        }
    }

    /// A peer answers no R-U-THERE, and nothing else came from it either: data, LCP's and L2TP's messages count as signs of
    /// life, and are told to IKE. So it is dead, and what it had ends.
    private mutating func peerUnresponsive(_ identifier: PeerID, now: Instant) {
        log.notice(
            "IKE peer does not answer", metadata: ["peer": "\(identifier)", "from": "\(outerAddress(of: identifier))"])
        counters.count(.deadPeers)
        noteEnd(.peerUnresponsive, ofSessionsOf: identifier)
        ike.deletePeer(identifier, now: now, using: &random)
    }

    mutating func peerEnded(_ identifier: PeerID, now: Instant) {
        guard let peer = peers[identifier] else { return }
        // Its sessions end by this, each with its event, which comes before the peer is forgotten.
        l2tp.peerEnded(identifier.rawValue, now: now)
        while let event = l2tp.pollEvent() { handle(event, now: now) }
        concludeDialIn(of: identifier, now: now)
        // Its slot may have another owner soon.
        for ending in endingInbound where ending.peer == identifier { end(ending) }
        endingInbound.removeAll { $0.peer == identifier }
        if peer.isInstalled { put(.command(worker: peer.worker, .removePeer(slot: peer.slot))) }
        releasePeerSlot(peer.slot, worker: peer.worker)
        peerTimers.release(peer.timer)
        peers[identifier] = nil
        if peer.clear != nil { clearPeers[peer.path] = nil }
        log.info("peer is gone", metadata: ["peer": "\(identifier)", "from": "\(peer.path.remote)"])
    }

    /// A peer without tunnels is hung up after a while, and one that is being hung up when its time is over.
    mutating func peerIsDue(_ identifier: PeerID, now: Instant) {
        guard let peer = peers[identifier] else { return }
        guard (peer.tunnelCount == 0 && !peer.hasTunnels) || peer.farewell != nil else { return }
        concludeDialIn(of: identifier, now: now)
        sendTunnelMessages()
        if peer.clear != nil { return peerEnded(identifier, now: now) }
        ike.deletePeer(identifier, now: now, using: &random)
    }

    // MARK: Peers that move

    /// ESP that was authentic came from elsewhere: IKE is told, so that its messages go there too.
    mutating func follow(_ identifier: PeerID, to path: OuterPath, now: Instant) {
        guard let known = peers[identifier] else { return }
        counters.count(.peersMoved)
        log.info(
            "client moved",
            metadata: ["peer": "\(identifier)", "to": "\(path.remote)", "user": "\(userName(of: identifier))"])
        peers[identifier]?.path = path
        pathHasChanged(of: identifier)
        endClearPeers(at: path.remote.address, now: now)
        let port = known.encapsulation == .udpOfIKE ? IKEPort.plain : IKEPort.encapsulated
        ike.peerMoved(
            identifier, to: IKEPath(local: Endpoint(address: path.local, port: port), remote: path.remote), now: now)
    }

    /// An authentic IKE message came from elsewhere: the worker is told, so that ESP goes there too.
    private mutating func move(_ identifier: PeerID, to path: IKEPath, now: Instant) {
        guard let peer = peers[identifier], peer.isInstalled else { return }
        // A NAT has another port for each of ours: only IKE by the port that ESP goes by tells where that goes.
        switch (peer.encapsulation, path.local.port) {
        case (.udp, IKEPort.encapsulated), (.udpOfIKE, IKEPort.plain): break
        default: return
        }
        let moved = OuterPath(remote: path.remote, local: path.local.address)
        guard peer.path != moved else { return }
        peers[identifier]?.path = moved
        pathHasChanged(of: identifier)
        endClearPeers(at: moved.remote.address, now: now)
        put(
            .command(
                worker: peer.worker, .movePeer(slot: peer.slot, path: moved, encapsulation: peer.encapsulation)))
    }

    /// Who is behind a NAT keeps its mapping, and that may be us.
    mutating func sendKeepalives(now: Instant) {
        keepaliveDeadline = nil
        for peer in peers.values where peer.needsKeepalives {
            keepaliveDeadline = now + Self.keepaliveInterval
            if peer.isInstalled { put(.command(worker: peer.worker, .sendKeepalive(peer: peer.slot))) }
        }
    }

    func userName(of peer: PeerID) -> String {
        sessions(of: peer).compactMap { clientSessions[$0]?.user }.first { !$0.isEmpty } ?? "-"
    }
}

extension OuterEncapsulation {
    /// What IKE negotiated.
    init(_ negotiated: IPsecEncapsulation) {
        self =
            switch negotiated {
            case .none: .none
            case .udp: .udp
            case .udpOfIKE: .udpOfIKE
            }
    }
}
