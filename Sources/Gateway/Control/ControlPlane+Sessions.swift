import Accounts
import Cryptography
import IKE
import L2TP
import Logging
import PPP
import Synchronization
import Wire

/// From L2TP to PPP to accounts, addresses and routes.
extension ControlPlane {
    mutating func handle(_ event: L2TPEvent, now: Instant) {
        switch event {
        case .tunnelEstablished(let tunnel):
            let peer = PeerID(rawValue: tunnel.id.peer)
            peers[peer]?.tunnelCount += 1
            setPeerDeadline(nil, peer: peer)
            advanceDialIn(of: peer, to: .tunnel)
            noteSoftAssociation(of: peer)
            log.info(
                "tunnel established",
                metadata: [
                    "tunnel": "\(tunnel.id)", "host": "\(tunnel.hostName)", "from": "\(outerAddress(of: peer))",
                    "port": "\(tunnel.peer.port)",
                ])
        case .tunnelEnded(let tunnel, let reason): tunnelEnded(tunnel, reason, now: now)
        case .sessionEstablished(let session): sessionEstablished(session, now: now)
        case .sessionEnded(let session, let reason):
            guard let identifier = sessionsByL2TP[session] else { return }
            endSession(identifier, .tunnel(reason), now: now)
        case .sessionFailed(let session, let reason): noteCallFailure(session, reason, now: now)
        case .callRefused(let tunnel, let result):
            noteFailure(of: PeerID(rawValue: tunnel.peer), .callRefused, .call, detail: "\(result)", now: now)
        case .tunnelMoved(let tunnel, let port):
            for identifier in sessions(of: PeerID(rawValue: tunnel.peer)) {
                guard let session = clientSessions[identifier], session.tunnel == tunnel else { continue }
                put(.command(worker: session.worker, .moveSession(slot: session.slot, remotePort: port)))
            }
        case .tunnelRefused(let peer, let hostName, let result):
            noteTunnelRefusal(PeerID(rawValue: peer.id), hostName: hostName, result, now: now)
        }
    }

    /// The sessions of a peer, without a look at any other's.
    func sessions(of peer: PeerID) -> [UInt64] {
        l2tp.sessions(of: peer.rawValue).compactMap { sessionsByL2TP[$0] }
    }

    /// Why the sessions of a peer are about to end, where nothing else was said before.
    mutating func noteEnd(_ end: SessionEnd, ofSessionsOf peer: PeerID) {
        for session in sessions(of: peer) where clientSessions[session]?.end == nil {
            clientSessions[session]?.end = end
        }
    }

    func outerAddress(of peer: PeerID) -> String { peers[peer].map { "\($0.path.remote)" } ?? "-" }

    private mutating func tunnelEnded(_ tunnel: L2TPTunnelID, _ reason: L2TPEndReason, now: Instant) {
        let identifier = PeerID(rawValue: tunnel.peer)
        log.info(
            "tunnel ended",
            metadata: ["tunnel": "\(tunnel)", "from": "\(outerAddress(of: identifier))", "reason": "\(reason)"])
        if reason == .unanswered { settleDoubt(about: identifier, now: now) }
        guard let peer = peers[identifier] else { return }
        let left = l2tp.tunnels(of: tunnel.peer).count(where: \.isEstablished)
        noteTunnelEnd(of: identifier, wasEstablished: left < peer.tunnelCount, reason, now: now)
        peers[identifier]?.tunnelCount = left
        guard left == 0 else { return }
        // Without a tunnel the peer's SAs are of no use for long; one that we hang up loses them in a moment.
        let isOver = peer.farewell != nil || peer.clear?.isProven == false
        let delay = isOver ? Self.lastWordDuration : Self.idlePeerDuration
        setPeerDeadline(now + delay, peer: identifier)
    }

    private mutating func sessionEstablished(_ session: L2TPSession, now: Instant) {
        let identifier = PeerID(rawValue: session.peer.id)
        guard let peer = peers[identifier], !isShuttingDown, clientSessions.count < configuration.limits.sessions else {
            if !isShuttingDown { noteFailure(of: identifier, .sessionLimitReached, .call, now: now) }
            return l2tp.disconnectSession(session.id, result: .disconnect(.noFacilities), now: now)
        }
        guard policyAllowsL2TP(of: peer) else {
            noteFailure(of: identifier, .policyForbids, .call, now: now)
            return l2tp.disconnectSession(session.id, result: .disconnect(.administrative), now: now)
        }
        guard let terms = linkTerms(isInClear: peer.clear != nil) else {
            noteFailure(
                of: identifier, .noCommonAuthentication, .userAuthentication,
                detail: "PAP would show the password, and nothing else is configured", now: now)
            return l2tp.disconnectSession(session.id, result: .disconnect(.administrative), now: now)
        }
        advanceDialIn(of: identifier, to: .session)
        let name = nextSessionIdentifier()
        let slot = allocateSessionSlot(worker: peer.worker)
        let client = ClientSession(
            identifier: name, peer: identifier, l2tp: session.id, worker: peer.worker,
            slot: slot, timer: linkTimers.allocate(name), traffic: SessionTraffic(), link: PPPLink(terms))
        clientSessions[name] = client
        sessionsByL2TP[session.id] = name
        put(
            .command(
                worker: peer.worker,
                .addSession(
                    slot: slot,
                    SessionParameters(
                        identifier: name, peer: peer.slot, tunnel: session.id.tunnel.value, session: session.id.value,
                        remoteTunnel: session.peerTunnelID, remoteSession: session.peerSessionID,
                        remotePort: session.peer.port, isSequenced: session.requiresSequencing,
                        traffic: client.traffic))))
        clientSessions[name]?.link.start(now: now, using: &random)
        serveLink(name, now: now)
    }

    mutating func noteActivity(_ session: UInt64, now: Instant) {
        guard let known = clientSessions[session] else { return }
        clientSessions[session]?.link.noteActivity(now: now)
        ike.noteAlive(known.peer, now: now)
        l2tp.noteActivity(on: known.tunnel, now: now)
        setLinkDeadline(clientSessions[session]?.link.nextDeadline, session: session)
    }

    // MARK: The link

    /// Carries out what a link has to say and to send.
    mutating func serveLink(_ session: UInt64, now: Instant) {
        while let event = clientSessions[session]?.link.pollEvent() {
            switch event {
            case .authenticate(let user, let proof): authenticate(session, user: user, proof: proof, now: now)
            case .networkUp(let network): networkUp(session, network, now: now)
            case .networkDown: networkDown(session)
            case .ended(let reason):
                sendFrames(session)
                linkEnded(session, reason, now: now)
                return
            }
        }
        sendFrames(session)
        setLinkDeadline(clientSessions[session]?.link.nextDeadline, session: session)
    }

    private mutating func sendFrames(_ identifier: UInt64) {
        guard let session = clientSessions[identifier] else { return }
        var writer = ByteWriter()
        while clientSessions[identifier]?.link.pollTransmit(into: &writer) == true {
            put(.command(worker: session.worker, .sendFrame(session: session.slot, frame: writer.bytes)))
            writer.removeAll()
        }
    }

    private mutating func authenticate(_ identifier: UInt64, user: String, proof: CredentialProof, now: Instant) {
        guard let session = clientSessions[identifier], let peer = peers[session.peer] else { return }
        clientSessions[identifier]?.user = user
        let verdict = users.verify(
            user: user, proof: proof, from: peer.path.remote.address, now: now)
        let outcome: AuthenticationOutcome
        switch verdict {
        case .accepted(let account, let acceptance): outcome = admit(identifier, account, acceptance, now: now)
        // Who guesses names is not to learn which of them exist.
        case .wrongPassword: outcome = refuse(identifier, .wrongPassword, "Authentication failed", now: now)
        case .unknownUser: outcome = refuse(identifier, .unknownUser, "Authentication failed", now: now)
        case .slowedDown: outcome = refuse(identifier, .guessesSlowed, "Authentication failed", now: now)
        }
        clientSessions[identifier]?.link.authenticated(outcome, now: now)
    }

    /// Refuses a user, and says `text` to the client.
    private mutating func refuse(
        _ identifier: UInt64, _ reason: FailureReason, _ text: String, now: Instant
    ) -> AuthenticationOutcome {
        counters.count(.usersRefused)
        if let session = clientSessions[identifier] {
            noteFailure(of: session.peer, reason, .userAuthentication, user: session.user, now: now)
            clientSessions[identifier]?.isExplained = true
        }
        return .refused(message: text)
    }

    /// The user is who he says; whether he comes in depends on limits and addresses.
    private mutating func admit(
        _ identifier: UInt64, _ account: User, _ acceptance: ProofAcceptance, now: Instant
    ) -> AuthenticationOutcome {
        clientSessions[identifier]?.user = account.name
        guard isWithinLimit(identifier, now: now) else {
            return refuse(identifier, .userSessionLimitReached, "Too many sessions", now: now)
        }
        guard let address = clientSessions[identifier]?.address ?? lease(for: account, now: now) else {
            return refuse(identifier, .noAddressFree, "No address is free", now: now)
        }
        clientSessions[identifier]?.address = address
        clientSessions[identifier]?.rateLimits = account.rateLimits
        counters.count(.usersAccepted)
        return .accepted(
            AddressAssignment(
                address: address, localAddress: configuration.l2tp.local, dns: configuration.dnsServers,
                nbns: configuration.nbnsServers),
            authenticatorResponse: acceptance.authenticatorResponse)
    }

    /// Whether a user may have one more session. He may come back from the same place before the gateway knows that his
    /// last session there is dead; then that one gives way.
    private mutating func isWithinLimit(_ identifier: UInt64, now: Instant) -> Bool {
        guard let most = configuration.limits.sessionsPerUser, let session = clientSessions[identifier] else {
            return true
        }
        let others = clientSessions.values.filter {
            $0.user == session.user && $0.address != nil && $0.identifier != identifier
        }
        guard others.count >= most else { return true }
        let older = others.filter { $0.peer == session.peer && $0.tunnel != session.tunnel }
        guard let oldest = older.min(by: { $0.identifier < $1.identifier }) else { return false }
        replace(oldest, now: now)
        return true
    }

    /// An address for a user: his own, if he has one. He may come back before the gateway knows that his last session is
    /// dead; then that one gives way.
    private mutating func lease(for account: User, now: Instant) -> IPv4Address? {
        guard let fixed = account.fixedAddress else { return pool.lease(for: account.name) }
        // All sessions are gone through only where somebody has it.
        if pool.isLeased(fixed), let holder = clientSessions.values.first(where: { $0.address == fixed }) {
            replace(holder, now: now)
        }
        return pool.leaseFixed(fixed) ? fixed : nil
    }

    /// Ends a session in whose place another comes, and gives its address back at once.
    private mutating func replace(_ session: ClientSession, now: Instant) {
        clientSessions[session.identifier]?.end = .link(.replaced)
        networkDown(session.identifier)
        if let address = session.address { pool.release(address) }
        clientSessions[session.identifier]?.address = nil
        l2tp.disconnectSession(session.l2tp, result: L2TPResult(.replaced), now: now)
    }

    private mutating func networkUp(_ identifier: UInt64, _ network: PPPNetwork, now: Instant) {
        guard let session = clientSessions[identifier], let peer = peers[session.peer] else { return }
        let mtuBytes = min(Int(network.peerMRUBytes), configuration.ppp.mtuBytes)
        let address = network.assignment.address
        put(.command(worker: session.worker, .setRateLimits(slot: session.slot, session.rateLimits)))
        put(
            .command(
                worker: session.worker,
                .setNetwork(
                    slot: session.slot,
                    NetworkParameters(
                        address: address, mtuBytes: mtuBytes,
                        omitsAddressAndControl: network.framing.compressesAddressAndControl,
                        compressesProtocol: network.framing.compressesProtocol))))
        routes.set(address, to: RouteTable.Entry(worker: session.worker, slot: session.slot))
        if session.since == nil { counters.count(.sessionsStarted) }
        peers[session.peer]?.dialIn = nil
        clientSessions[identifier]?.since = session.since ?? now
        clientSessions[identifier]?.authentication = network.authenticationMethod
        log.info(
            "session up",
            metadata: [
                "session": "\(identifier)", "user": "\(session.user)", "from": "\(peer.path.remote)",
                "address": "\(address)", "mtu": "\(mtuBytes)", "authentication": "\(network.authenticationMethod)",
            ])
    }

    private mutating func networkDown(_ identifier: UInt64) {
        guard let session = clientSessions[identifier] else { return }
        if let address = session.address { routes.set(address, to: nil) }
        put(.command(worker: session.worker, .setNetwork(slot: session.slot, nil)))
    }

    private mutating func linkEnded(_ identifier: UInt64, _ reason: PPPEndReason, now: Instant) {
        guard let session = clientSessions[identifier] else { return }
        if session.end == nil { clientSessions[identifier]?.end = .link(reason) }
        setLinkDeadline(nil, session: identifier)
        l2tp.disconnectSession(session.l2tp, result: L2TPResult(reason), now: now)
    }

    // MARK: The end

    /// Gives back all that a session had. Comes once for each, from L2TP.
    private mutating func endSession(_ identifier: UInt64, _ end: SessionEnd, now: Instant) {
        guard let session = clientSessions.removeValue(forKey: identifier) else { return }
        sessionsByL2TP[session.l2tp] = nil
        noteSessionEnd(session, session.end ?? end, now: now)
        linkTimers.release(session.timer)
        for (reason, count) in session.link.drops.nonzero { linkDrops.add(count, to: reason) }
        if let address = session.address {
            routes.set(address, to: nil)
            pool.release(address)
        }
        put(.command(worker: session.worker, .removeSession(slot: session.slot)))
        releaseSessionSlot(session.slot, worker: session.worker)
        counters.count(.sessionsEnded)
        log.info(
            "session ended",
            metadata: [
                "session": "\(identifier)", "user": "\(session.user.isEmpty ? "-" : session.user)",
                "from": "\(outerAddress(of: session.peer))", "address": "\(session.address.map { "\($0)" } ?? "-")",
                "reason": "\(session.end ?? end)",
                "bytesIn": "\(session.traffic.bytesIn.load(ordering: .relaxed))",
                "bytesOut": "\(session.traffic.bytesOut.load(ordering: .relaxed))",
            ])
    }
}

extension L2TPResult {
    /// What the client is told in CDN when its link has ended (RFC 2661 section 4.4.2).
    init(_ reason: PPPEndReason) {
        switch reason {
        case .userHangUp: self = .disconnect(.lossOfCarrier)
        case .authenticationFailed, .operatorHangUp, .shutdown, .replaced: self = .disconnect(.administrative)
        case .noAddress, .limitReached: self = .disconnect(.noFacilities)
        default: self = .disconnect(.lossOfCarrier)
        }
    }
}
