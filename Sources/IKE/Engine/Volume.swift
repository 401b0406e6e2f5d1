import Wire

// Lives of kilobytes, which may end within a fraction of a second: limits that nobody reaches with lives of hours.
extension IKEEngine {
    /// Tells how many kilobytes an SA has carried in the direction that has carried more. A successor is made before the
    /// agreed number is reached; at that number the SA ends.
    public mutating func noteVolume(
        inboundSPI: UInt32, kilobytes: UInt64, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let child = children[inboundSPI], let maximum = child.agreed.kilobytes else { return }
        guard kilobytes >= maximum else {
            if let soft = child.softKilobytes, kilobytes >= soft {
                rekey(inboundSPI: inboundSPI, now: now, using: &generator)
            }
            return
        }
        rekey(inboundSPI: inboundSPI, now: now, using: &generator)
        // The worker uses it no more. A Delete of it in the middle of the quick mode for its successor could end that:
        // strongSwan keeps the state of three exchanges, and what still comes by the SA would be answered, too.
        if children[inboundSPI]?.isRekeying == true {
            children[inboundSPI]?.isUsedUp = true
        } else {
            endChild(inboundSPI, reason: .expired, announce: true, now: now, using: &generator)
        }
    }

    /// A quick mode of ours to replace a pair is over, whatever came of it.
    mutating func rekeyHasEnded(_ inboundSPI: UInt32, now: Instant) {
        guard let child = children[inboundSPI] else { return }
        children[inboundSPI]?.isRekeying = false
        if child.isUsedUp, !child.isReplaced { deadlines.set(.child(inboundSPI), now) }
    }

    /// Whether an ISAKMP SA can remember one more quick mode. Where it is full, the finished one that would be forgotten
    /// first is forgotten now: its last message will hardly be asked for again.
    mutating func hasRoomForQuickMode(_ cookie: UInt64) -> Bool {
        guard let quickModes = associations[cookie]?.established?.quickModes else { return false }
        guard quickModes.count >= limits.quickModeRecordsMaximum else { return true }
        let finished = quickModes.filter { $0.value.isFinished }.keys.map { QuickModeID(cookie: cookie, messageID: $0) }
        guard let oldest = finished.min(by: { (end(of: $0) ?? .zero) < (end(of: $1) ?? .zero) }) else { return false }
        deadlines.remove(.quickMode(oldest))
        _ = update(cookie) { $0.quickModes.removeValue(forKey: oldest.messageID) }
        return true
    }

    private func end(of id: QuickModeID) -> Instant? { deadlines.instant(.quickMode(id)) }

    /// Whether a peer may have one more pair of SAs. Where it has all that it may have, the oldest goes before its time that
    /// has a successor by which something came.
    mutating func hasRoomForChild(
        _ peer: PeerID, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Bool {
        let pairs = peers[peer]?.children ?? []
        guard pairs.count >= limits.securityAssociationsPerPeerMaximum else { return true }
        let replaced = pairs.filter { spi in
            guard let child = children[spi] else { return false }
            return child.isReplaced || successor(of: spi, child).map { children[$0]?.hasTraffic == true } ?? false
        }
        guard let oldest = replaced.min(by: { (children[$0]?.number ?? 0) < (children[$1]?.number ?? 0) }) else {
            return false
        }
        let isTold = children[oldest]?.isReplaced ?? false
        endChild(oldest, reason: .replacedAtLimit, announce: !isTold, now: now, using: &generator)
        return true
    }
}
