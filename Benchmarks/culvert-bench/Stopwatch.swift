import CBenchmark

/// Times rounds of work, of which only a part counts: what prepares a round does not.
struct Stopwatch {
    /// How many spans are measured; the best is what the machine can do when nobody disturbs it.
    static let spans = 8

    /// Counted nanoseconds and allocations in the span under way.
    private(set) var nanoseconds: UInt64 = 0
    private(set) var allocations: UInt64 = 0
    /// Of them, those of a part that a benchmark wants to know apart.
    private(set) var partNanoseconds: UInt64 = 0
    private var started: UInt64 = 0
    private var partStarted: UInt64 = 0
    private var allocationsBefore: UInt64 = 0

    /// Work counts from here on.
    @inline(__always)
    mutating func start() {
        allocationsBefore = culvert_allocation_count()
        started = culvert_nanoseconds()
    }

    /// Work counts no more.
    @inline(__always)
    mutating func stop() {
        nanoseconds += culvert_nanoseconds() - started
        allocations += culvert_allocation_count() - allocationsBefore
    }

    /// The part begins.
    mutating func startPart() { partStarted = culvert_nanoseconds() }

    /// The part ends.
    mutating func stopPart() { partNanoseconds += culvert_nanoseconds() - partStarted }

    /// Runs `round`, which returns how many pieces it did, for `duration` of counted or twice as much of any time, and
    /// that again and again after once for warming up.
    static func measure(nanoseconds duration: UInt64, _ round: (inout Stopwatch) -> Int) -> Figure {
        var best = Figure(nanoseconds: .infinity, partNanoseconds: 0, allocations: 0)
        for span in 0...spans {
            var watch = Stopwatch()
            var pieces = 0
            let begin = culvert_nanoseconds()
            while pieces == 0 || watch.nanoseconds < duration && culvert_nanoseconds() - begin < 2 * duration {
                pieces += round(&watch)
            }
            let figure = Figure(
                nanoseconds: Double(watch.nanoseconds) / Double(pieces),
                partNanoseconds: Double(watch.partNanoseconds) / Double(pieces),
                allocations: Double(watch.allocations) / Double(pieces))
            if span > 0, figure.nanoseconds < best.nanoseconds { best = figure }
        }
        return best
    }
}

/// What one piece of work costs.
struct Figure {
    let nanoseconds: Double
    let partNanoseconds: Double
    let allocations: Double

    var perSecond: Double { 1e9 / nanoseconds }

    /// The rate where each piece moves `bytes` bytes.
    func gigabitsPerSecond(bytes: Int) -> Double { Double(bytes) * 8 / nanoseconds }
}
