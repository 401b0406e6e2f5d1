import Wire

// Lives of kilobytes, which may end within a fraction of a second: limits that nobody reaches with lives of hours.

/// How fast a pair's kilobytes go.
struct VolumePace: Sendable {
    /// How often in a life the gateway tells how far it is.
    static let steps: UInt64 = 8
    /// Notices that come closer are one burst.
    private static let shortest = 0.001

    private(set) var kilobytesPerSecond: Double
    private var last: (instant: Instant, kilobytes: UInt64)
    private var isInherited = true
    /// How many there were when that was told last.
    var kilobytes: UInt64 { last.kilobytes }

    /// A pair that begins now, and whose predecessor's kilobytes went so fast.
    init(since now: Instant, inherited kilobytesPerSecond: Double) {
        self.kilobytesPerSecond = kilobytesPerSecond
        last = (now, 0)
    }

    /// After how many of so many kilobytes the gateway tells.
    static func step(of kilobytes: UInt64) -> UInt64 { max(1, kilobytes / steps) }

    /// Takes how many kilobytes there were until now, of so many. What the slower direction of a pair has carried tells
    /// nothing. Nobody knows when a pair's use began: so its first notice does not make it slower than the one before.
    mutating func note(_ kilobytes: UInt64, of maximum: UInt64, now: Instant) {
        guard kilobytes >= last.kilobytes, kilobytes - last.kilobytes >= max(1, Self.step(of: maximum) / 2) else {
            return
        }
        let seconds = max(Self.shortest, now.since(last.instant) / .seconds(1))
        let seen = Double(kilobytes - last.kilobytes) / seconds
        kilobytesPerSecond = isInherited ? max(kilobytesPerSecond, seen) : seen
        (last, isInherited) = ((now, kilobytes), false)
    }
}

extension Child {
    /// Whether we made it and its peer has not shown that it has it, too.
    var isUnproven: Bool { role == .initiator && !isConfirmed && !isReplaced && !isPassive }
}

extension IKEEngine {
    /// How many times as long as a quick mode takes the rest of a life should last when its successor is asked for: for a
    /// lost message, a busy peer, and a rate that grows.
    private static var negotiationsAhead: Double { 4 }
    /// How much the next measured negotiation counts in what is expected of the one after it, where it was faster.
    private static var negotiationShare: Double { 0.25 }

    /// Tells how many kilobytes an SA has carried in the direction that has carried more. A successor is made before the
    /// agreed number is reached; at that number the SA ends.
    public mutating func noteVolume(
        inboundSPI: UInt32, kilobytes: UInt64, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let child = children[inboundSPI], let maximum = child.agreed.kilobytes else { return }
        guard kilobytes >= maximum else {
            children.change(inboundSPI) { $0.pace.note(kilobytes, of: maximum, now: now) }
            if isSuccessorDue(inboundSPI, at: kilobytes) { rekey(inboundSPI: inboundSPI, now: now, using: &generator) }
            return
        }
        rekey(inboundSPI: inboundSPI, now: now, using: &generator)
        waitForSuccessor(inboundSPI, now: now, using: &generator)
    }

    /// Whether what is left of a pair's kilobytes lasts no longer than to make a successor, or its soft limit is reached.
    private func isSuccessorDue(_ inboundSPI: UInt32, at kilobytes: UInt64) -> Bool {
        guard let child = children[inboundSPI], let maximum = child.agreed.kilobytes, let soft = child.softKilobytes,
            kilobytes < maximum
        else { return false }
        guard kilobytes < soft else { return true }
        let seconds = (peers[child.peer]?.negotiation ?? limits.negotiationAssumed) / .seconds(1)
        let needed = child.pace.kilobytesPerSecond * seconds * Self.negotiationsAhead
        guard needed > Double(maximum - min(soft, maximum)) else { return false }
        // The next time we are told may be too late.
        return Double(maximum - kilobytes) <= needed + Double(VolumePace.step(of: maximum))
    }

    /// A pair has carried all that it may; the worker sends and takes nothing more in that direction. While there is hope
    /// for a successor it stays: a Delete of it in the middle of that quick mode could end that (strongSwan keeps the state
    /// of three exchanges), what still comes the other way would be lost, and packets wait.
    private mutating func waitForSuccessor(
        _ inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let child = children[inboundSPI], !child.isReplaced else { return }
        let isNews = child.usedUpSince == nil
        if isNews { children[inboundSPI]?.usedUpSince = now }
        if successor(of: inboundSPI, child) != nil { return hastenSuccessors(of: child, now: now) }
        if child.isRekeying {
            if isNews { hurryQuickMode(replacing: inboundSPI, child.peer, now: now) }
            return
        }
        let known = peers[child.peer]
        let isPending = known?.associations.contains { cookie in
            associations[cookie]?.established?.quickModes.values.contains { $0.isPending(like: child.agreed) } ?? false
        }
        guard known?.awaitingRekey.contains(inboundSPI) ?? false || isPending ?? false else {
            return endChild(inboundSPI, reason: .usedUp, announce: true, now: now, using: &generator)
        }
        if isNews { deadlines.set(.rekeyChild(inboundSPI), now + limits.retransmissionInterval) }
    }

    /// A quick mode of ours to replace a pair is over, whatever came of it. What is used up gets another, until the time of
    /// an exchange is over since then.
    mutating func rekeyHasEnded(_ inboundSPI: UInt32, now: Instant) {
        guard let child = children[inboundSPI] else { return }
        children[inboundSPI]?.isRekeying = false
        guard let since = child.usedUpSince, !child.isReplaced else { return }
        guard now + limits.waitingRetransmissionInterval < since + limits.exchangeLifetime else {
            return deadlines.set(.rekeyChild(inboundSPI), max(now, since + limits.exchangeLifetime))
        }
        deadlines.set(.rekeyChild(inboundSPI), now + limits.hurriedRetransmissionInterval)
    }

    // MARK: - From one pair to the next

    /// We have sent message 3. The peer installs the pair when it has come, and packets may overtake it, or it may be lost: so
    /// we go on sending by the pair that this one replaces until the peer has sent by the new one, or the old one ends.
    ///
    /// Where half of the old one was gone by now, and the new one's kilobytes are expected to last no longer than it takes to
    /// make the next, that is begun at once: a peer may send by the new one from now on.
    mutating func confirmInitiated(
        _ inboundSPI: UInt32, replaces old: UInt32?, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let old = old.flatMap({ children[$0] }), old.isConfirmed || old.isUnproven, !old.isPassive else {
            return confirm(inboundSPI)
        }
        let isUsedUp = old.usedUpSince != nil
        deadlines.set(
            .unproven(inboundSPI), now + (isUsedUp ? installationDuration(of: old.peer) : limits.proofPatience))
        let isHalfGone = isUsedUp || old.agreed.kilobytes.map { old.pace.kilobytes >= $0 / 2 } ?? false
        // One at a time is made ahead.
        guard old.isConfirmed, isHalfGone, isSuccessorDue(inboundSPI, at: 0) else { return }
        rekey(inboundSPI: inboundSPI, now: now, using: &generator)
    }

    /// The pair before an unproven one can carry no more. Its peer gets message 3 once more, in case the first was lost, and
    /// as long as it may take to install what that confirms. Not in the middle of another quick mode: strongSwan calls a
    /// repeated message 3 malformed, and could forget where that one is.
    private mutating func hastenSuccessors(of old: Child, now: Instant) {
        for spi in peers[old.peer]?.children ?? [] {
            guard let child = children[spi], child.isUnproven, child.agreed.isSimilar(to: old.agreed) else { continue }
            let exchange = associations[child.quickMode.cookie]?.established?.quickModes[child.quickMode.messageID]
            let isBusy = peers[old.peer]?.associations.contains { cookie in
                associations[cookie]?.established?.quickModes.values.contains { !$0.isFinished } ?? false
            }
            if isBusy != true, let exchange, let last = exchange.answer { transmit(last, on: exchange.path) }
            deadlines.advance(.unproven(spi), to: now + installationDuration(of: child.peer))
        }
    }

    private func installationDuration(of peer: PeerID) -> Duration {
        let expected = (peers[peer]?.negotiation ?? limits.negotiationAssumed) * 3
        return min(max(expected, limits.installationDuration.lowerBound), limits.installationDuration.upperBound)
    }

    /// How fast the kilobytes of the last pair go that was for the same traffic.
    func pace(of agreed: Child.Agreement, _ peer: PeerID) -> Double {
        let last = peers[peer]?.children.last { children[$0]?.agreed.isSimilar(to: agreed) ?? false }
        return last.flatMap { children[$0]?.pace.kilobytesPerSecond } ?? 0
    }

    // MARK: - How long it takes

    /// Message 2 has come: what a peer takes for it. Where message 1 was sent more than once, nobody knows which it answers.
    mutating func noteNegotiation(_ id: QuickModeID, of peer: PeerID, now: Instant) {
        guard retransmissions[.quickMode(id)]?.count == 0,
            let began = associations[id.cookie]?.established?.quickModes[id.messageID]?.began
        else { return }
        let seen = now.since(began)
        peers.change(peer) { known in
            let before = known.negotiation ?? seen
            known.negotiation = max(seen, before * (1 - Self.negotiationShare) + seen * Self.negotiationShare)
        }
    }

    /// The pause before a quick mode is sent again, and whether it is given up by now instead.
    func quickModePause(_ id: QuickModeID, _ retransmission: Retransmission, now: Instant) -> Duration? {
        let exchange = associations[id.cookie]?.established?.quickModes[id.messageID]
        guard let exchange, let began = exchange.began,
            let old = exchange.proposed?.replaces.flatMap({ children[$0] }), old.agreed.kilobytes != nil
        else {
            guard retransmission.count <= limits.retransmissionsMaximum else { return nil }
            return limits.retransmissionInterval * (1 << min(retransmission.count, 16))
        }
        guard now < began + limits.exchangeLifetime else { return nil }
        let expected = (peers[old.peer]?.negotiation ?? limits.negotiationAssumed) * 3
        let first = min(max(expected, limits.hurriedRetransmissionInterval), limits.retransmissionInterval)
        let longest =
            old.usedUpSince == nil
            ? limits.retransmissionInterval * (1 << limits.retransmissionsMaximum)
            : limits.waitingRetransmissionInterval
        return min(first * (1 << min(retransmission.count, 16)), longest)
    }

    /// Traffic waits for a quick mode that nobody answers, and meanwhile there is another ISAKMP SA: a peer that was restarted
    /// knows only that. True: it is asked there instead.
    mutating func moveToNewest(
        _ id: QuickModeID, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Bool {
        guard let established = associations[id.cookie]?.established,
            peers[established.peer]?.associations.last != id.cookie,
            let old = established.quickModes[id.messageID]?.proposed?.replaces, children[old]?.usedUpSince != nil
        else { return false }
        endQuickMode(id, now: now, using: &generator)
        rekey(inboundSPI: old, now: now, using: &generator)
        return true
    }

    /// Traffic waits for the end of a quick mode: it is sent again now, not after a pause that has grown long.
    private mutating func hurryQuickMode(replacing old: UInt32, _ peer: PeerID, now: Instant) {
        for cookie in peers[peer]?.associations ?? [] {
            for (messageID, exchange) in associations[cookie]?.established?.quickModes ?? [:]
            where exchange.proposed?.replaces == old {
                let id = QuickModeID(cookie: cookie, messageID: messageID)
                deadlines.advance(
                    .retransmission(.quickMode(id)), to: now + limits.hurriedRetransmissionInterval)
            }
        }
    }
}
