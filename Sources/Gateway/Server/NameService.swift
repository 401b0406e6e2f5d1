import IO
import Logging
import Synchronization
import Wire

/// Looks up the host names of policies and tunnels for the control loop, and keeps their addresses fresh.
final class NameService: Sendable {
    private let lookup: NameLookup
    private let timer: LoopTimer
    private let log: Logger
    private let clock: @Sendable () -> Instant
    private let changed: @Sendable ([String: [IPAddress]]) -> Void
    // Touched on the loop only; the lock tells the compiler so.
    private let table = Mutex(NameTable())

    /// - Parameter changed: Called on the loop with every wanted name's addresses, when one has changed.
    init(
        on loop: ControlLoop, lookup: NameLookup, log: Logger,
        clock: @escaping @Sendable () -> Instant = { SystemClock.now },
        changed: @escaping @Sendable ([String: [IPAddress]]) -> Void
    ) {
        (self.lookup, self.log, self.clock, self.changed) = (lookup, log, clock, changed)
        let relay = Relay()
        timer = loop.makeTimer { relay.service?.timeIsUp() }
        relay.service = self
    }

    /// Breaks the knot between the timer, which calls the service, and the service, which owns the timer.
    private final class Relay: @unchecked Sendable {
        // Set once, before the timer is set.
        weak var service: NameService?
    }

    /// Every wanted name's addresses as they are known now.
    var addresses: [String: [IPAddress]] { table.withLock { $0.addresses } }

    /// Which names are wanted from now on. To be called on the loop.
    func want(_ names: some Sequence<String>) {
        let now = clock()
        let refused = table.withLock { $0.want(names, now: now) }
        if !refused.isEmpty {
            log.warning("there are too many host names to look up", metadata: ["ignored": "\(refused)"])
        }
        carryOut()
    }

    /// Looks nothing up any more. To be called on the loop.
    func close() {
        timer.set(nil)
        lookup.close()
    }

    private func timeIsUp() {
        let now = clock()
        table.withLock { $0.handleTimeout(now: now) }
        carryOut()
    }

    private func carryOut() {
        while let question = table.withLock({ $0.pollQuestion() }) {
            lookup.addresses(of: question.name) { [self] result in
                let answer: NameAnswer =
                    switch result {
                    case .success(let addresses): .addresses(addresses)
                    case .failure(let error): .failure(error.description)
                    }
                table.withLock { $0.receive(answer, for: question, now: clock()) }
                carryOut()
            }
        }
        tell()
        timer.set(table.withLock { $0.nextDeadline })
    }

    private func tell() {
        var isChanged = false
        while let event = table.withLock({ $0.pollEvent() }) {
            switch event {
            case .changed(let name, let addresses):
                isChanged = true
                let list = addresses.map { "\($0)" }.joined(separator: " ")
                log.info("a host name's addresses changed", metadata: ["name": "\(name)", "addresses": "\(list)"])
            case .failing(let name, let reason):
                log.warning("a host name cannot be looked up", metadata: ["name": "\(name)", "because": "\(reason)"])
            case .recovered(let name):
                log.info("a host name can be looked up again", metadata: ["name": "\(name)"])
            }
        }
        if isChanged { changed(addresses) }
    }
}
