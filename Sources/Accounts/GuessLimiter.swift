import Wire

/// How hard guesses are slowed.
public struct GuessLimits: Sendable {
    /// Failures that cost nothing: people mistype.
    public var freeFailures = 3
    /// The first delay; each further failure doubles it.
    public var firstDelay = Duration.seconds(1)
    /// The longest delay.
    public var longestDelay = Duration.seconds(300)
    /// So long after the last failure, all is forgotten.
    public var memory = Duration.seconds(900)
    /// How many guessers are remembered; beyond, the one whose last failure is the oldest is forgotten.
    public var entriesMaximum = 65536

    /// The defaults.
    public init() {}
}

/// Slows down who guesses: after some failures each further one costs its `Key` an exponentially growing delay. Others do
/// not notice. The key is what is to be slowed: an address that offers wrong PSKs, or an address and a user's name.
///
/// All operations take constant time, and memory is bounded by ``GuessLimits/entriesMaximum``.
public struct GuessLimiter<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        var failures = 0
        var lastFailure: Instant
        var blockedUntil: Instant
    }

    private let limits: GuessLimits
    private var entries: RecencyMap<Key, Entry>

    /// A limiter that has seen nothing.
    public init(_ limits: GuessLimits = GuessLimits()) {
        self.limits = limits
        entries = RecencyMap(countMaximum: max(1, limits.entriesMaximum))
    }

    /// How many guessers are remembered.
    public var count: Int { entries.count }

    /// Until when no attempt of `key` is to be looked at; nil: it may try now.
    public mutating func blocked(_ key: Key, now: Instant) -> Instant? {
        forget(now: now)
        guard let entry = entries[key], entry.blockedUntil > now else { return nil }
        return entry.blockedUntil
    }

    /// An attempt failed. With a `leniency` of n, n times as many failures are free, and the longest delay is 1/n.
    /// Answers until when the next attempt is to wait; nil: not at all.
    @discardableResult
    public mutating func noteFailure(_ key: Key, leniency: Int = 1, now: Instant) -> Instant? {
        forget(now: now)
        var entry = entries[key] ?? Entry(lastFailure: now, blockedUntil: .zero)
        entry.failures += 1
        entry.lastFailure = now
        let paid = entry.failures - limits.freeFailures * max(1, leniency)
        if paid > 0 {
            entry.blockedUntil = now + delay(afterPaidFailure: paid, longest: limits.longestDelay / max(1, leniency))
        }
        entries.setMostRecent(key, entry)
        return paid > 0 ? entry.blockedUntil : nil
    }

    /// An attempt succeeded: what `key` did before is forgiven.
    public mutating func noteSuccess(_ key: Key) { entries.remove(key) }

    private func delay(afterPaidFailure paid: Int, longest: Duration) -> Duration {
        // 2^20 first delays are beyond any sensible longest one, and far from overflow.
        min(limits.firstDelay * (1 << min(paid - 1, 20)), longest)
    }

    /// The entries stand in the order of their last failure, so the forgettable ones stand in front.
    private mutating func forget(now: Instant) {
        var work = Self.forgetPerCallMaximum
        while work > 0, let (key, entry) = entries.oldest, now.since(entry.lastFailure) >= limits.memory {
            entries.remove(key)
            work -= 1
        }
    }

    /// Old entries dropped in one call: more than one call adds, so they go faster than they come.
    private static var forgetPerCallMaximum: Int { 8 }
}

/// A dictionary of bounded size that knows which of its entries was set the longest ago, and drops that one when it is full.
struct RecencyMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Node: Sendable {
        var key: Key
        var value: Value
    }

    private let countMaximum: Int
    private var slots: [Key: Int32] = [:]
    private var nodes: [Node?] = []
    private var freeSlots: [Int32] = []
    private var order = IndexQueue()

    init(countMaximum: Int) { self.countMaximum = min(countMaximum, Int(Int32.max)) }

    var count: Int { slots.count }

    subscript(key: Key) -> Value? { slots[key].flatMap { nodes[Int($0)]?.value } }

    /// The entry that was set the longest ago.
    var oldest: (Key, Value)? { order.first.flatMap { nodes[Int($0)] }.map { ($0.key, $0.value) } }

    mutating func setMostRecent(_ key: Key, _ value: Value) {
        if let slot = slots[key] {
            nodes[Int(slot)]?.value = value
            order.remove(slot)
            order.append(slot)
            return
        }
        if slots.count >= countMaximum, let (oldKey, _) = oldest { remove(oldKey) }
        let slot: Int32
        if let free = freeSlots.popLast() {
            slot = free
            nodes[Int(slot)] = Node(key: key, value: value)
        } else {
            slot = Int32(nodes.count)
            nodes.append(Node(key: key, value: value))
        }
        slots[key] = slot
        order.append(slot)
    }

    mutating func remove(_ key: Key) {
        guard let slot = slots.removeValue(forKey: key) else { return }
        order.remove(slot)
        nodes[Int(slot)] = nil
        freeSlots.append(slot)
    }
}

/// A queue of small distinct numbers from which any can be taken out in constant time.
struct IndexQueue: Sendable {
    private static let none: Int32 = -1
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var isQueued: [Bool] = []
    private var head = none
    private var tail = none

    /// The number that is in the queue the longest.
    var first: Int32? { head == Self.none ? nil : head }

    /// Puts a number that is not in the queue at its end.
    mutating func append(_ index: Int32) {
        let position = Int(index)
        while next.count <= position {
            next.append(Self.none)
            previous.append(Self.none)
            isQueued.append(false)
        }
        guard !isQueued[position] else { return }
        isQueued[position] = true
        (previous[position], next[position]) = (tail, Self.none)
        if tail == Self.none { head = index } else { next[Int(tail)] = index }
        tail = index
    }

    /// Takes a number out, wherever it stands; no effect when it is not in.
    mutating func remove(_ index: Int32) {
        let position = Int(index)
        guard position < isQueued.count, isQueued[position] else { return }
        isQueued[position] = false
        let (before, after) = (previous[position], next[position])
        if before == Self.none { head = after } else { next[Int(before)] = after }
        if after == Self.none { tail = before } else { previous[Int(after)] = before }
    }

    /// Whether a number is in the queue.
    func contains(_ index: Int32) -> Bool { Int(index) < isQueued.count && isQueued[Int(index)] }
}
