import Wire

// What we send again until it is answered: what we began ourselves, and quick mode's message 2. In phase 1 a responder
// repeats only what it is asked for again, or it could be used to amplify.
extension IKEEngine {
    enum RetransmissionKey: Hashable, Sendable {
        case phaseOne(UInt64)
        case quickMode(QuickModeID)
    }

    struct Retransmission: Sendable {
        let message: [UInt8]
        var count = 0
    }

    /// Sends `message` on `path`, and again with growing pauses until ``answered(_:)``.
    mutating func transmitUntilAnswered(
        _ message: [UInt8], on path: IKEPath, for key: RetransmissionKey, now: Instant
    ) {
        let retransmission = Retransmission(message: message)
        retransmissions[key] = retransmission
        let first = pause(key, retransmission, now: now) ?? limits.retransmissionInterval
        deadlines.set(.retransmission(key), now + first)
        transmit(message, on: path)
    }

    /// How long we wait for an answer before we send again; nil where it is given up.
    private func pause(_ key: RetransmissionKey, _ retransmission: Retransmission, now: Instant) -> Duration? {
        if case .quickMode(let id) = key { return quickModePause(id, retransmission, now: now) }
        guard retransmission.count <= limits.retransmissionsMaximum else { return nil }
        return limits.retransmissionInterval * (1 << min(retransmission.count, 16))
    }

    /// Stops sending again.
    mutating func answered(_ key: RetransmissionKey) {
        guard retransmissions.removeValue(forKey: key) != nil else { return }
        deadlines.remove(.retransmission(key))
    }

    /// The pause is over without an answer.
    mutating func retransmit(
        _ key: RetransmissionKey, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard var retransmission = retransmissions[key] else { return }
        retransmission.count += 1
        guard let pause = pause(key, retransmission, now: now) else {
            retransmissions[key] = nil
            switch key {
            case .phaseOne(let cookie): failInitiation(cookie, reason: .noAnswer, now: now, using: &generator)
            case .quickMode(let id):
                let proposed = associations[id.cookie]?.established?.quickModes[id.messageID]?.proposed
                guard let proposed else { return }
                drops.count(.quickModeUnanswered)
                let old = proposed.replaces
                endQuickMode(id, now: now, using: &generator)
                guard let old, let child = children[old], child.usedUpSince == nil else { return }
                deadlines.set(.rekeyChild(old), now + limits.exchangeLifetime)
            }
            return
        }
        if case .quickMode(let id) = key, moveToNewest(id, now: now, using: &generator) { return }
        retransmissions[key] = retransmission
        deadlines.set(.retransmission(key), now + pause)
        switch key {
        case .phaseOne(let cookie):
            guard let association = associations[cookie] else { return }
            transmit(retransmission.message, on: association.path)
        case .quickMode(let id):
            guard let association = associations[id.cookie] else { return }
            // Nothing answers aggressive mode's message 3: if it was lost, the peer does not understand this one.
            if association.role == .initiator, association.exchange == .aggressive, let last = association.answered {
                transmit(last.answer, on: association.path)
            }
            let path = association.established?.quickModes[id.messageID]?.path ?? association.path
            transmit(retransmission.message, on: path)
        }
    }
}
