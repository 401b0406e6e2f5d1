import IKE
import Logging
import Wire

/// Why dial-ins come to nothing: gathered here from all layers, for `culvert failures` and the log.
extension ControlPlane {
    func failures() -> [FailureRecord] { failureLog.records }

    /// Takes a failure into the log of failures, and tells the other log of it.
    mutating func note(_ failure: Failure, now: Instant) {
        let record = failureLog.note(failure, at: date(now))
        counters.count(.dialInsRefused)
        var metadata: Logger.Metadata = [
            "from": "\(failure.remote.map { "\($0)" } ?? "-")", "step": "\(record.step)", "reason": "\(record.reason)",
        ]
        if !record.user.isEmpty { metadata["user"] = "\(record.user)" }
        if !record.identity.isEmpty { metadata["identity"] = "\(record.identity)" }
        if !record.detail.isEmpty { metadata["detail"] = "\(record.detail)" }
        if record.count > 1 {
            metadata["count"] = "\(record.count)"
            return log.info("dial-in refused again: \(record.sentence)", metadata: metadata)
        }
        if !record.offers.isEmpty { metadata["offers"] = "\(record.offers.map(\.offer).joined(separator: " "))" }
        metadata["gateway"] = record.changeAtGateway.first.map { "\($0)" }
        metadata["client"] = record.changeAtClient.first.map { "\($0)" }
        log.notice("dial-in refused: \(record.sentence)", metadata: metadata)
    }

    /// The same for a peer that IKE has authenticated.
    mutating func noteFailure(
        of peer: PeerID, _ reason: FailureReason, _ step: FailureStep, user: String = "", detail: String = "",
        now: Instant
    ) {
        let known = peers[peer]
        peers[peer]?.dialIn = nil
        note(
            Failure(
                reason: reason, step: step, remote: known?.path.remote, local: known?.path.local,
                identity: (known?.identity).map { "\($0)" } ?? "", user: user, client: known?.client, detail: detail,
                isStranger: known?.clear?.isProven == false),
            now: now)
    }

    /// What IKE refused.
    mutating func noteRefusal(_ refusal: IKERefusal, now: Instant) {
        counters.count(.ikeRefusals)
        if let peer = refusal.peer { peers[peer]?.dialIn = nil }
        let client = refusal.peer.flatMap { peers[$0]?.client } ?? FailedClientKind(refusal.vendorIDs)
        note(
            Failure(
                reason: FailureReason(refusal.reason, step: refusal.step), step: FailureStep(refusal.step),
                remote: refusal.remote, local: refusal.local.address,
                identity: refusal.identity.map { "\($0)" } ?? "", client: client, detail: refusal.detail,
                offers: refusal.offers, rule: refusal.tunnel.flatMap { ruleWithMethods(ofTunnel: $0) },
                isStranger: refusal.isStranger), now: now)
    }
}

extension ControlPlane {
    /// The rule of the policy that says which methods a tunnel has; nil where the gateway's lists say it.
    private func ruleWithMethods(ofTunnel name: String) -> String? {
        guard let number = number(ofTunnel: name), let terms = configuredTunnels[number].configuration.terms else {
            return nil
        }
        return terms.suites.isEmpty ? nil : terms.rule
    }
}

extension FailedClientKind {
    /// What sends these vendor ids, where that is sure.
    init?(_ vendorIDs: [IKEVendorID]) {
        if vendorIDs.contains(.microsoft) {
            self = .windows
        } else if vendorIDs.contains(.natTraversalDraft) {
            self = .apple
        } else if vendorIDs.contains(.strongSwan) {
            self = .linux
        } else {
            return nil
        }
    }
}

extension FailureStep {
    /// IKE's step.
    init(_ step: IKEStep) {
        switch step {
        case .mainModeOffer: self = .mainModeOffer
        case .mainModeKeyExchange: self = .mainModeKeyExchange
        case .mainModeAuthentication: self = .mainModeAuthentication
        case .aggressiveMode: self = .aggressiveMode
        case .initiation: self = .initiation
        case .quickModeOffer: self = .quickMode
        case .other: self = .otherExchange
        }
    }
}

extension FailureReason {
    /// IKE's reason. What it means for the offers of phase 2 is another thing than for those of phase 1.
    init(_ reason: IKERefusalReason, step: IKEStep) {
        switch reason {
        case .noProposalChosen: self = step == .quickModeOffer ? .noIPsecProposalChosen : .noProposalChosen
        case .preSharedKeyMismatch: self = .preSharedKeyMismatch
        case .preSharedKeyOfOtherIdentity: self = .preSharedKeyOfOtherIdentity
        case .noPreSharedKey: self = .noPreSharedKey
        case .unknownIdentity: self = .unknownIdentity
        case .publicValueRefused: self = .publicValueRefused
        case .noCertificate: self = .noCertificate
        case .malformedCertificate: self = .malformedCertificate
        case .certificateExpired: self = .certificateExpired
        case .certificateNotYetValid: self = .certificateNotYetValid
        case .unknownAuthority: self = .unknownAuthority
        case .certificateRevoked: self = .certificateRevoked
        case .revocationUnknown: self = .revocationUnknown
        case .noStatusAnswer: self = .noStatusAnswer
        case .wrongName: self = .wrongName
        case .wrongUsage: self = .wrongUsage
        case .badSignature: self = .badSignature
        case .weakKey: self = .weakKey
        case .invalidChain: self = .invalidChain
        case .otherIdentity: self = .otherIdentity
        case .noAnswer: self = .initiationUnanswered
        case .aggressiveModeDisabled: self = .aggressiveModeDisabled
        case .exchangeUnsupported: self = .exchangeUnsupported
        case .selectorsRefused: self = .selectorsRefused
        case .declinedByGateway: self = .declinedByGateway
        case .limitReached: self = .ikeLimitReached
        case .authenticationMissing: self = .authenticationNeverCame
        case .aggressiveModeUnanswered: self = .aggressiveModeUnanswered
        case .addressSlowed: self = .addressSlowed
        case .malformedRequest: self = .malformedQuickMode
        }
    }
}
