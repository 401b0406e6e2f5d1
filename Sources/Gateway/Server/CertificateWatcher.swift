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
    /// How often it is looked whether optional files are there at last.
    static let waitingInterval = Duration.seconds(2)

    private struct State {
        /// What the files were when they were read; nil as long as they never could be.
        var fingerprint: [String]?
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

    /// Watches the files of `certificates`, which have just been read unless they are not there yet, and runs `apply` on
    /// the loop with what is new in them.
    init(
        _ certificates: CertificateConfiguration, on loop: ControlLoop, log: Logger,
        apply: @escaping @Sendable (IKECertificates) -> Void
    ) {
        (self.files, self.loop, self.log, self.apply) = (certificates.files, loop, log, apply)
        let isWaiting = certificates.loaded == nil
        state = Mutex(State(fingerprint: isWaiting ? nil : files.fingerprint()))
        let timer = loop.makeTimer { [weak self] in self?.check(isAsked: false) }
        state.withLock { $0.timer = timer }
        loop.execute { timer.set(SystemClock.now + (isWaiting ? Self.waitingInterval : Self.interval)) }
    }

    private enum Finding: Sendable {
        case unchanged
        case changed([String], IKECertificates, warnings: [String])
        case failed(String, isAbsence: Bool)
    }

    /// Looks at the files beside the loop; reads them where they changed, or where somebody asked for it.
    func check(isAsked: Bool) {
        let (isBusy, known) = state.withLock { state -> (Bool, [String]?) in
            guard !state.isChecking else {
                state.isAskedAgain = state.isAskedAgain || isAsked
                return (true, nil)
            }
            state.isChecking = true
            return (false, state.fingerprint)
        }
        guard !isBusy else { return }
        let files = files
        loop.runBlocking {
            let fingerprint = files.fingerprint()
            guard isAsked || fingerprint != known else { return Finding.unchanged }
            do throws(CertificateFiles.Failure) {
                let (certificates, warnings) = try files.load(wallSeconds: SystemClock.wallSeconds)
                return .changed(fingerprint, certificates, warnings: warnings.map { "\($0.key): \($0.problem)" })
            } catch {
                return .failed("certificates.\(error.key): \(error.problem)", isAbsence: error.isAbsence)
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
        case .failed(let problem, let isAbsence):
            // The fingerprint stays, so that a file that was only half written is tried again.
            let (isNew, isWaiting) = state.withLock { state in
                defer { state.problem = problem }
                return (state.problem != problem, state.fingerprint == nil)
            }
            // That optional files are not there yet was said at the start.
            if isAsked || (isNew && !(isWaiting && isAbsence)) {
                log.error("certificates stay as they were", metadata: ["problem": "\(problem)"])
            }
        }
        let (timer, isAskedAgain, isWaiting) = state.withLock { state in
            defer { (state.isChecking, state.isAskedAgain) = (false, false) }
            return (state.timer, state.isAskedAgain, state.fingerprint == nil)
        }
        if isAskedAgain { return check(isAsked: true) }
        timer?.set(SystemClock.now + (isWaiting ? Self.waitingInterval : Self.interval))
    }
}
