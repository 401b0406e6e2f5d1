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
        retransmissions[key] = Retransmission(message: message)
        deadlines.set(.retransmission(key), now + limits.retransmissionInterval)
        transmit(message, on: path)
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
        guard retransmission.count < limits.retransmissionsMaximum else {
            retransmissions[key] = nil
            switch key {
            case .phaseOne(let cookie): failInitiation(cookie, reason: .noAnswer, now: now, using: &generator)
            case .quickMode(let id):
                let proposed = associations[id.cookie]?.established?.quickModes[id.messageID]?.proposed
                guard let proposed else { return }
                drops.count(.quickModeUnanswered)
                let old = proposed.replaces
                endQuickMode(id, now: now, using: &generator)
                if let old, children[old] != nil { deadlines.set(.rekeyChild(old), now + limits.exchangeLifetime) }
            }
            return
        }
        retransmission.count += 1
        retransmissions[key] = retransmission
        deadlines.set(.retransmission(key), now + limits.retransmissionInterval * (1 << min(retransmission.count, 16)))
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
