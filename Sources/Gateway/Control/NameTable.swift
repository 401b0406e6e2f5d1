import Wire

/// What a resolver found out about a name.
enum NameAnswer: Equatable, Sendable {
    /// It has these addresses, of either IP version.
    case addresses([IPAddress])
    /// It has none, for this reason.
    case failure(String)
}

/// The addresses of the host names that policies and tunnels speak of, kept fresh.
///
/// It asks nobody and has no clock: ``pollQuestion()`` says which name is to be looked up, ``receive(_:for:now:)`` takes
/// what came of it, ``handleTimeout(now:)`` is to be called no later than ``nextDeadline``, and ``pollEvent()`` tells what
/// has changed. The system's resolver does not say for how long an answer counts, so all are asked for again after
/// ``refreshInterval``. A name that cannot be looked up keeps its last addresses for ``retentionDuration``: a name server
/// that is away for an hour must not change what a policy means.
struct NameTable: Sendable {
    /// The most names; further ones are not looked up.
    static let namesMaximum = 256
    /// The most addresses of one name: the lowest, so that the same answer in another order changes nothing.
    static let addressesPerNameMaximum = 64
    /// After how long a name is asked for again.
    static let refreshInterval = Duration.seconds(60)
    /// How long after a failure the same, doubled with each failure more until it is ``refreshInterval``.
    static let retryInitial = Duration.seconds(2)
    /// How long the last good answer counts where no other comes.
    static let retentionDuration = Duration.seconds(24 * 3600)
    /// How many names are looked up at once.
    static let questionsAtOnceMaximum = 2

    /// A name to be looked up.
    struct Question: Hashable, Sendable {
        let name: String
        /// Tells the answer to this from an older one's.
        let number: UInt64
    }

    /// What happened.
    enum Event: Equatable, Sendable {
        /// A name has these addresses now: whatever was made of the old ones is to be made anew.
        case changed(name: String, addresses: [IPAddress])
        /// A name that could be looked up cannot any more, or never could. Told once until it can again.
        case failing(name: String, reason: String)
        /// A name can be looked up again.
        case recovered(name: String)
    }

    private struct Record: Sendable {
        var addresses: [IPAddress] = []
        var answeredAt: Instant?
        var failures = 0
        /// When it is to be looked up; nil while it waits to be, or is.
        var dueAt: Instant?
        /// The question that is out.
        var question: UInt64?
    }

    private var records: [String: Record] = [:]
    private var queue: [String] = []
    private var questionsOut = 0
    private var lastQuestion: UInt64 = 0
    private var events: [Event] = []

    /// Every wanted name's addresses, none for a name that has not been looked up yet.
    var addresses: [String: [IPAddress]] { records.mapValues(\.addresses) }

    /// Which names are wanted from now on; others are forgotten. Returns those that are too many.
    @discardableResult
    mutating func want(_ names: some Sequence<String>, now: Instant) -> [String] {
        let sorted = Set(names.map { $0.lowercased() }).sorted()
        let kept = sorted.prefix(Self.namesMaximum)
        let wanted = Set(kept)
        for (name, record) in records where !wanted.contains(name) {
            if record.question != nil { questionsOut -= 1 }
            records[name] = nil
        }
        queue.removeAll { !wanted.contains($0) }
        for name in kept where records[name] == nil {
            records[name] = Record()
            queue.append(name)
        }
        return Array(sorted.dropFirst(Self.namesMaximum))
    }

    /// The next name to be looked up, until there is none or enough are under way.
    mutating func pollQuestion() -> Question? {
        guard questionsOut < Self.questionsAtOnceMaximum, !queue.isEmpty else { return nil }
        let name = queue.removeFirst()
        lastQuestion += 1
        questionsOut += 1
        records[name]?.question = lastQuestion
        return Question(name: name, number: lastQuestion)
    }

    /// Takes the answer to a question. One that nobody waits for any more is ignored.
    mutating func receive(_ answer: NameAnswer, for question: Question, now: Instant) {
        guard var record = records[question.name], record.question == question.number else { return }
        questionsOut -= 1
        record.question = nil
        let usable = Self.usable(answer)
        switch usable {
        case .addresses(let addresses):
            if record.failures > 0 { events.append(.recovered(name: question.name)) }
            record.failures = 0
            record.answeredAt = now
            record.dueAt = now + Self.refreshInterval
            change(&record, of: question.name, to: addresses)
        case .failure(let reason):
            if record.failures == 0 { events.append(.failing(name: question.name, reason: reason)) }
            record.failures += 1
            record.dueAt = now + Self.retryDelay(failures: record.failures)
            if let answeredAt = record.answeredAt, now.since(answeredAt) >= Self.retentionDuration {
                record.answeredAt = nil
                change(&record, of: question.name, to: [])
            }
        }
        records[question.name] = record
    }

    /// When ``handleTimeout(now:)`` has something to do; nil for never.
    var nextDeadline: Instant? { records.values.reduce(nil) { earliest($0, $1.dueAt) } }

    /// Does what is due.
    mutating func handleTimeout(now: Instant) {
        for name in records.keys.sorted() {
            guard let due = records[name]?.dueAt, due <= now else { continue }
            records[name]?.dueAt = nil
            queue.append(name)
        }
    }

    /// The next thing that happened.
    mutating func pollEvent() -> Event? { events.isEmpty ? nil : events.removeFirst() }

    /// An answer as far as it can be used: addresses of hosts, each once, not too many.
    private static func usable(_ answer: NameAnswer) -> NameAnswer {
        guard case .addresses(let all) = answer else { return answer }
        let hosts = Set(all.filter(isHost)).sorted { left, right in
            left.version != right.version
                ? left.version < right.version : left.octets.lexicographicallyPrecedes(right.octets)
        }
        guard !hosts.isEmpty else { return .failure("no address of a host") }
        return .addresses(Array(hosts.prefix(addressesPerNameMaximum)))
    }

    /// Whether a host may have this address: it is not unspecified, multicast or the limited broadcast.
    private static func isHost(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let address): address != .any && address.value >> 28 != 0xe && address.value != .max
        case .v6(let address): address != .any && address.high >> 56 != 0xff
        }
    }

    private static func retryDelay(failures: Int) -> Duration {
        var delay = retryInitial
        for _ in 1..<max(failures, 1) where delay < refreshInterval { delay = delay * 2 }
        return min(delay, refreshInterval)
    }

    private mutating func change(_ record: inout Record, of name: String, to addresses: [IPAddress]) {
        guard record.addresses != addresses else { return }
        record.addresses = addresses
        events.append(.changed(name: name, addresses: addresses))
    }
}
