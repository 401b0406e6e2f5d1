import Cryptography
import IKE

/// What OCSP responders said lately, so that a client that dials again is not asked about again.
///
/// Answers are kept as they came and are verified each time, so that nothing here has to be believed. Times are in seconds
/// since 1970.
struct OnlineStatusCache {
    /// The most certificates that are remembered.
    static let entriesMaximum = 1024
    /// The largest answer that is kept.
    static let answerBytesMaximum = 8192
    /// How long an answer is kept at most, whatever it says of the next one.
    static let answerSecondsMaximum: Int64 = 86_400
    /// How long an answer is kept that does not say when the next one is due, or that does not know the certificate: its
    /// authority may be about to tell the responder.
    static let undatedSeconds: Int64 = 60
    /// How long nobody is asked again after there was no good answer.
    static let failureSeconds: Int64 = 30

    enum Entry: Equatable {
        /// An answer that was good.
        case answer([UInt8])
        /// There was none, and why.
        case failure(IKEStatusProblem)
    }

    private var entries: [OnlineStatusRequest.Subject: (entry: Entry, until: Int64)] = [:]

    /// How many are remembered.
    var count: Int { entries.count }

    /// What is remembered and still counts.
    mutating func entry(_ subject: OnlineStatusRequest.Subject, at time: Int64) -> Entry? {
        guard let (entry, until) = entries[subject] else { return nil }
        guard time < until else {
            entries[subject] = nil
            return nil
        }
        return entry
    }

    /// Takes what came of a question: of a new answer or of one that is remembered.
    mutating func learn(_ finding: IKEStatusFinding, from answer: IKEStatusAnswer, isNew: Bool, at time: Int64) {
        let subject = finding.request.subject
        switch (finding.response, answer) {
        case (.success(let response), .received(let answer)): keep(answer, response, for: subject, at: time)
        // It does not hold any more, as after a new revocation list: to be asked for again.
        case (.failure, .kept): entries[subject] = nil
        case (.failure(let problem), _) where isNew:
            insert(
                .failure(problem), for: subject, until: time + Self.failureSeconds, at: time)
        default: break
        }
    }

    private mutating func keep(
        _ answer: [UInt8], _ response: OnlineStatusResponse, for subject: OnlineStatusRequest.Subject, at time: Int64
    ) {
        guard answer.count <= Self.answerBytesMaximum else { return }
        let dated = response.verdict == .unknown ? nil : response.nextUpdate
        let until = min(dated ?? time + Self.undatedSeconds, time + Self.answerSecondsMaximum)
        insert(.answer(answer), for: subject, until: until, at: time)
    }

    private mutating func insert(
        _ entry: Entry, for subject: OnlineStatusRequest.Subject, until: Int64, at time: Int64
    ) {
        if entries.count >= Self.entriesMaximum, entries[subject] == nil {
            entries = entries.filter { time < $0.value.until }
            // All still count: what ends first is missed least.
            if entries.count >= Self.entriesMaximum, let first = entries.min(by: { $0.value.until < $1.value.until }) {
                entries[first.key] = nil
            }
        }
        entries[subject] = (entry, until)
    }
}
