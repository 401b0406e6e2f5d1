import Wire

/// The deadlines of many things, the earliest at hand. Setting and removing are cheap; the heap holds outdated entries
/// until they surface, and is rebuilt when they become the majority, so that it never grows beyond what is alive.
struct DeadlineQueue<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        var instant: Instant
        var key: Key
    }

    private var current: [Key: Instant] = [:]
    private var heap: [Entry] = []
    private static var slack: Int { 64 }

    init() {}

    /// How many deadlines are set.
    var count: Int { current.count }

    /// The earliest deadline. Outdated entries at the top are left: they can only make it too early.
    var next: Instant? { heap.first?.instant }

    mutating func set(_ key: Key, _ instant: Instant) {
        current[key] = instant
        push(Entry(instant: instant, key: key))
        compactIfNeeded()
    }

    /// Whether `key` has a deadline.
    func contains(_ key: Key) -> Bool { current[key] != nil }

    func instant(_ key: Key) -> Instant? { current[key] }

    /// Sets a deadline that is there already to `instant` where that is earlier.
    mutating func advance(_ key: Key, to instant: Instant) {
        guard let known = current[key], instant < known else { return }
        set(key, instant)
    }

    mutating func remove(_ key: Key) {
        current[key] = nil
        dropOutdated()
        compactIfNeeded()
    }

    /// Takes out one key whose deadline has come.
    mutating func popDue(_ now: Instant) -> Key? {
        dropOutdated()
        guard let top = heap.first, top.instant <= now else { return nil }
        pop()
        current[top.key] = nil
        return top.key
    }

    private mutating func dropOutdated() {
        while let top = heap.first, current[top.key] != top.instant { pop() }
    }

    private mutating func compactIfNeeded() {
        guard heap.count > 2 * current.count + Self.slack else { return }
        heap = current.map { Entry(instant: $0.value, key: $0.key) }.sorted { $0.instant < $1.instant }
    }

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, heap[child].instant < heap[(child - 1) / 2].instant {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < heap.count else { return }
            let right = left + 1
            let least = right < heap.count && heap[right].instant < heap[left].instant ? right : left
            guard heap[least].instant < heap[parent].instant else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}

extension Dictionary {
    /// Changes the value of `key` in place; nil where there is none. Cheaper than to write through the subscript, whose
    /// coroutines take memory three times.
    @discardableResult
    mutating func change<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
        guard let index = index(forKey: key) else { return nil }
        return body(&values[index])
    }
}

/// A first-in first-out queue with a bound.
struct BoundedQueue<Element: Sendable>: Sendable {
    // Nil behind the head: what is taken out is moved, not copied.
    private var elements: [Element?] = []
    private var head = 0

    init() {}

    var count: Int { elements.count - head }

    /// Appends, or says that there is no room.
    mutating func append(_ element: Element, maximum: Int) -> Bool {
        guard count < maximum else { return false }
        elements.append(element)
        return true
    }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head].take()
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.capacity <= 256)
            head = 0
        } else if head >= 256, head * 2 >= elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }
}

/// Lets through so many per interval, and as many at once.
struct RateLimit: Sendable {
    let capacity: Int
    let interval: Duration
    private var tokens: Int
    private var last: Instant?

    /// `capacity` at once, one more each `interval`.
    init(capacity: Int, interval: Duration) {
        (self.capacity, self.interval, tokens) = (capacity, interval, capacity)
    }

    /// Whether all tokens are back at `now`.
    func isFull(_ now: Instant) -> Bool {
        var copy = self
        copy.refill(now)
        return copy.tokens >= copy.capacity
    }

    /// Whether one is left, without taking it.
    mutating func allows(_ now: Instant) -> Bool {
        refill(now)
        return tokens > 0
    }

    mutating func take(_ now: Instant) -> Bool {
        refill(now)
        guard tokens > 0 else { return false }
        tokens -= 1
        return true
    }

    private mutating func refill(_ now: Instant) {
        guard let last else {
            self.last = now
            return
        }
        let step = UInt64(max(1, interval / .nanoseconds(1)))
        let earned = now.since(last) / .nanoseconds(1) / Double(step)
        guard earned >= 1 else { return }
        let whole = Int(min(earned, Double(capacity)))
        tokens = min(capacity, tokens + whole)
        self.last = whole >= capacity ? now : last + interval * whole
    }
}
