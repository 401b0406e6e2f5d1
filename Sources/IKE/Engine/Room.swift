import Wire

// What an ISAKMP SA and a peer may have, and what makes room for more.
extension IKEEngine {
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
    /// has a successor by which something came. That need not be the newest, which may have just been made.
    mutating func hasRoomForChild(
        _ peer: PeerID, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Bool {
        let pairs = peers[peer]?.children ?? []
        guard pairs.count >= limits.securityAssociationsPerPeerMaximum else { return true }
        let replaced = pairs.filter { spi in
            guard let child = children[spi] else { return false }
            return child.isReplaced
                || pairs.contains { other in
                    guard let other = children[other], other.hasTraffic, !other.isPassive, !other.isReplaced else {
                        return false
                    }
                    return (child.isPassive || other.number > child.number) && other.agreed.isSimilar(to: child.agreed)
                }
        }
        guard let oldest = replaced.min(by: { (children[$0]?.number ?? 0) < (children[$1]?.number ?? 0) }) else {
            return false
        }
        let isTold = children[oldest]?.isReplaced ?? false
        endChild(oldest, reason: .replacedAtLimit, announce: !isTold, now: now, using: &generator)
        return true
    }
}
