import Cryptography
import IKE
import IO
import Logging
import Synchronization
import Wire

/// Asks OCSP responders for the control loop: one question per certificate at a time, within the operator's time, and not
/// again as long as the last answer counts.
final class OnlineStatusService: Sendable {
    /// The media types of RFC 6960 appendix A.
    private static let types = (sent: "application/ocsp-request", accepted: "application/ocsp-response")

    private struct State {
        var cache = OnlineStatusCache()
        /// Who waits for the end of a question that another one has put.
        var waiting: [OnlineStatusRequest.Subject: [@Sendable () -> Void]] = [:]
        var counters: [String: UInt64] = [:]
    }

    private let settings: OnlineStatusSettings
    private let fetcher: HTTPFetcher
    private let loop: ControlLoop
    private let log: Logger
    private let wallSeconds: @Sendable () -> Int64
    // Touched on the loop only; the lock tells the compiler so.
    private let state = Mutex(State())

    /// - Parameter wallSeconds: The time by which answers count, in seconds since 1970.
    init(
        _ settings: OnlineStatusSettings, on loop: ControlLoop, log: Logger,
        wallSeconds: @escaping @Sendable () -> Int64 = { SystemClock.wallSeconds }
    ) {
        (self.settings, self.loop, self.log, self.wallSeconds) = (settings, loop, log, wallSeconds)
        fetcher = HTTPFetcher(on: loop)
    }

    /// What happened how often: `ocsp.asked`, `ocsp.kept`, and `ocsp.timedOut` and the like.
    var counters: [String: UInt64] { state.withLock { $0.counters } }

    /// Puts the questions of `inquiry` and has its conclusion drawn beside the loop, ``OnlineStatusSettings/timeout`` from
    /// now on at the latest. To be called on the loop, where `then` runs too.
    func carryOut(_ inquiry: IKEStatusInquiry, then: @escaping @Sendable (IKEWorkResult) -> Void) {
        let deadline = SystemClock.now + settings.timeout
        let gathered = Gathered(count: inquiry.questions.count)
        for (index, question) in inquiry.questions.enumerated() {
            ask(question, deadline: deadline, mayWait: true) { [self] answer in
                guard let answers = gathered.add(answer, at: index) else { return }
                loop.runBlocking { [wallSeconds] in
                    inquiry.conclude(answers.map(\.answer), wallSeconds: wallSeconds())
                } then: { [self] conclusion in
                    for (finding, answer) in zip(conclusion.findings, answers) { take(finding, answer) }
                    then(conclusion.result)
                }
            }
        }
    }

    /// Takes no more questions. To be called on the loop.
    func close() { fetcher.close() }

    /// - Parameter mayWait: Whether this may wait for another inquiry with the same question. Whoever has waited once asks
    ///   himself, so that two inquiries never wait for each other.
    private func ask(
        _ question: IKEStatusQuestion, deadline: Instant, mayWait: Bool,
        then: @escaping @Sendable (Gathered.Answer) -> Void
    ) {
        let subject = question.request.subject
        switch state.withLock({ $0.cache.entry(subject, at: wallSeconds()) }) {
        case .answer(let answer):
            count("ocsp.kept")
            return then(Gathered.Answer(answer: .kept(answer), isNew: false))
        case .failure(let problem): return then(Gathered.Answer(answer: .none(problem), isNew: false))
        case nil: break
        }
        // A client that dials again and again must not multiply the questions.
        let waits = state.withLock { state in
            guard mayWait, state.waiting[subject] != nil else {
                if state.waiting[subject] == nil { state.waiting[subject] = [] }
                return false
            }
            state.waiting[subject]?.append { [self] in ask(question, deadline: deadline, mayWait: false, then: then) }
            return true
        }
        if !waits { fetch(question, deadline: deadline) { then(Gathered.Answer(answer: $0, isNew: true)) } }
    }

    private func fetch(
        _ question: IKEStatusQuestion, deadline: Instant, then: @escaping @Sendable (IKEStatusAnswer) -> Void
    ) {
        switch settings.target(of: question.place) {
        case .failure(let reason): then(.none(.noAnswer("\(reason)")))
        case .success(let (url, rule)):
            count("ocsp.asked")
            let post = HTTPPost(question.request.der, types: Self.types, to: url, rule: rule)
            fetcher.send(post, within: deadline.since(SystemClock.now)) { [self] result in
                switch result {
                case .success(let answer): then(.received(answer))
                case .failure(let reason):
                    count("ocsp.\(reason)")
                    then(.none(.noAnswer("\(reason) at \(url)")))
                }
            }
        }
    }

    /// Remembers what was found, says what is not known, and lets those go on who wait for it.
    private func take(_ finding: IKEStatusFinding, _ answer: Gathered.Answer) {
        let subject = finding.request.subject
        let waiting = state.withLock { state in
            state.cache.learn(finding, from: answer.answer, isNew: answer.isNew, at: wallSeconds())
            return answer.isNew ? state.waiting.removeValue(forKey: subject) ?? [] : []
        }
        waiting.forEach { $0() }
        guard let problem = finding.problem else { return }
        log.warning(
            "the status of a certificate is not known",
            metadata: [
                "certificate": "\(finding.request.certificate.subjectText)", "because": "\(problem)",
                "client": settings.policy.isRequired ? "refused" : "let in",
            ])
    }

    private func count(_ name: String) { state.withLock { $0.counters[name, default: 0] += 1 } }
}

/// The answers to one inquiry's questions, as they come.
private final class Gathered: Sendable {
    struct Answer: Sendable {
        let answer: IKEStatusAnswer
        /// Whether somebody was asked for it, rather than memory.
        let isNew: Bool
    }

    private let answers: Mutex<[Answer?]>

    init(count: Int) { answers = Mutex(Array(repeating: nil, count: count)) }

    /// Takes an answer; gives all when it was the last.
    func add(_ answer: Answer, at index: Int) -> [Answer]? {
        answers.withLock { answers in
            answers[index] = answer
            let known = answers.compactMap { $0 }
            return known.count == answers.count ? known : nil
        }
    }
}
