import Cryptography
import IKE
import IO
import Logging
import Synchronization
import Wire

/// Reads the certificates' files again when they change, or when it is told to: a new revocation list counts within a
/// minute, without a restart. Files that cannot be read leave everything as it was, with a line in the log.
final class CertificateWatcher: Sendable {
    /// How often the files' times are looked at.
    static let interval = Duration.seconds(30)

    private struct State {
        var fingerprint: [String]
        /// What was wrong the last time, so that it is not said every time.
        var problem: String?
        var timer: LoopTimer?
        var isChecking = false
        var isAskedAgain = false
    }

    private let files: CertificateFiles
    private let loop: ControlLoop
    private let log: Logger
    private let apply: @Sendable (IKECertificates) -> Void
    private let state: Mutex<State>

    /// Watches `files`, which have just been read, and runs `apply` on the loop with what is new in them.
    init(
        _ files: CertificateFiles, on loop: ControlLoop, log: Logger,
        apply: @escaping @Sendable (IKECertificates) -> Void
    ) {
        (self.files, self.loop, self.log, self.apply) = (files, loop, log, apply)
        state = Mutex(State(fingerprint: files.fingerprint()))
        let timer = loop.makeTimer { [weak self] in self?.check(isAsked: false) }
        state.withLock { $0.timer = timer }
        loop.execute { timer.set(SystemClock.now + Self.interval) }
    }

    private enum Finding: Sendable {
        case unchanged
        case changed([String], IKECertificates, warnings: [String])
        case failed([String], String)
    }

    /// Looks at the files beside the loop; reads them where they changed, or where somebody asked for it.
    func check(isAsked: Bool) {
        let known: [String]? = state.withLock { state in
            guard !state.isChecking else {
                state.isAskedAgain = state.isAskedAgain || isAsked
                return nil
            }
            state.isChecking = true
            return state.fingerprint
        }
        guard let known else { return }
        let files = files
        loop.runBlocking {
            let fingerprint = files.fingerprint()
            guard isAsked || fingerprint != known else { return Finding.unchanged }
            do throws(CertificateFiles.Failure) {
                let (certificates, warnings) = try files.load(wallSeconds: SystemClock.wallSeconds)
                return .changed(fingerprint, certificates, warnings: warnings.map { "\($0.key): \($0.problem)" })
            } catch {
                return .failed(fingerprint, "certificates.\(error.key): \(error.problem)")
            }
        } then: { [weak self] finding in
            self?.take(finding, isAsked: isAsked)
        }
    }

    private func take(_ finding: Finding, isAsked: Bool) {
        switch finding {
        case .unchanged: break
        case .changed(let fingerprint, let certificates, let warnings):
            state.withLock { ($0.fingerprint, $0.problem) = (fingerprint, nil) }
            log.notice(
                "certificates read again",
                metadata: [
                    "authorities": "\(certificates.trust.authorities.count)",
                    "lists": "\(certificates.trust.revocationLists.count)", "own": "\(certificates.identities.count)",
                ])
            for warning in warnings { log.warning("certificates", metadata: ["warning": "\(warning)"]) }
            apply(certificates)
        case .failed(_, let problem):
            // The fingerprint stays, so that a file that was only half written is tried again.
            let isNew = state.withLock { state in
                defer { state.problem = problem }
                return state.problem != problem
            }
            if isNew || isAsked {
                log.error("certificates stay as they were", metadata: ["problem": "\(problem)"])
            }
        }
        let (timer, isAskedAgain) = state.withLock { state in
            defer { (state.isChecking, state.isAskedAgain) = (false, false) }
            return (state.timer, state.isAskedAgain)
        }
        if isAskedAgain { return check(isAsked: true) }
        timer?.set(SystemClock.now + Self.interval)
    }
}
