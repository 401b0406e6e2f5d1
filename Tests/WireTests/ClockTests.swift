import Testing
import Wire

@Suite("Points in time")
struct InstantTests {
    @Test("durations move a point both ways")
    func moves() {
        let point = Instant(nanoseconds: 10_000_000_000)
        #expect(point + .seconds(2) == Instant(nanoseconds: 12_000_000_000))
        #expect(point + .milliseconds(-1500) == Instant(nanoseconds: 8_500_000_000))
        #expect(point + .nanoseconds(1) == Instant(nanoseconds: 10_000_000_001))
        #expect(point + .nanoseconds(-1) == Instant(nanoseconds: 9_999_999_999))
        #expect(point + .zero == point)
        // Less than a nanosecond is nothing.
        #expect(point + Duration(secondsComponent: 0, attosecondsComponent: 999_999_999) == point)
        var moved = point
        moved += .seconds(1)
        #expect(moved == Instant(nanoseconds: 11_000_000_000))
    }

    @Test("a point that the clock cannot hold becomes its first or its last")
    func saturates() {
        let last = Instant(nanoseconds: .max)
        #expect(Instant.zero + .seconds(-1) == .zero)
        #expect(Instant(nanoseconds: 5) + .nanoseconds(-6) == .zero)
        #expect(last + .nanoseconds(1) == last)
        #expect(Instant(nanoseconds: .max - 5) + .nanoseconds(5) == last)
        #expect(Instant.zero + .seconds(Int64.max) == last)
        #expect(last + .seconds(Int64.min) == .zero)
        #expect(Instant(nanoseconds: 1) + .seconds(9_223_372_037) == last)
        #expect(last + .seconds(-9_223_372_037) == .zero)
    }

    @Test("the time since a later point is zero, and a long one is cut")
    func since() {
        let point = Instant(nanoseconds: 1_000)
        #expect(point.since(Instant(nanoseconds: 400)) == .nanoseconds(600))
        #expect(point.since(Instant(nanoseconds: 2_000)) == .zero)
        #expect(point.since(point) == .zero)
        #expect(Instant(nanoseconds: .max).since(.zero) == .nanoseconds(Int64.max))
    }

    @Test("the earlier of two deadlines, where there may be none")
    func earlier() {
        let (first, second) = (Instant(nanoseconds: 1), Instant(nanoseconds: 2))
        #expect(earliest(first, second) == first && earliest(second, first) == first)
        #expect(earliest(nil, second) == second && earliest(first, nil) == first && earliest(nil, nil) == nil)
        #expect(first < second && !(second < first) && !(first < first))
    }
}

@Suite("Many deadlines")
struct DeadlineHeapTests {
    @Test("what is set, moved and removed at random agrees with a sorted list", arguments: 0..<20 as Range<UInt64>)
    func model(seed: UInt64) {
        var generator = SeededGenerator(seed)
        var heap = DeadlineHeap()
        var model: [Int: Instant] = [:]
        for _ in 0..<2000 {
            let slot = Int.random(in: 0..<60, using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<6:
                let deadline = Instant(nanoseconds: UInt64.random(in: 0..<500, using: &generator))
                heap.set(deadline, for: slot)
                model[slot] = deadline
            case 6..<8:
                heap.set(nil, for: slot)
                model[slot] = nil
            default:
                let now = Instant(nanoseconds: UInt64.random(in: 0..<500, using: &generator))
                if let due = heap.firstDue(at: now) {
                    #expect(model[due] == model.values.min() && model[due].map { $0 <= now } == true)
                    heap.set(nil, for: due)
                    model[due] = nil
                } else {
                    #expect(model.values.allSatisfy { $0 > now })
                }
            }
            #expect(heap.earliest == model.values.min(), "seed \(seed)")
        }
        var drained: [Instant] = []
        while let slot = heap.firstDue(at: Instant(nanoseconds: .max)) {
            if let deadline = model.removeValue(forKey: slot) { drained.append(deadline) }
            heap.set(nil, for: slot)
        }
        #expect(model.isEmpty && drained == drained.sorted() && heap.earliest == nil)
    }

    @Test("a slot that was never set can be cleared")
    func unknown() {
        var heap = DeadlineHeap()
        heap.set(nil, for: 7)
        #expect(heap.earliest == nil && heap.firstDue(at: Instant(nanoseconds: .max)) == nil)
    }
}

@Suite("Counters")
struct CountersTests {
    private enum Reason: UInt8, CaseIterable { case first, second, third }

    @Test("each reason has its own number, and only what was counted is listed")
    func counts() {
        var counters = Counters<Reason>()
        counters.count(.first)
        counters.add(41, to: .third)
        counters.count(.third)
        #expect(counters[.first] == 1 && counters[.second] == 0 && counters[.third] == 42)
        #expect(counters.nonzero.map(\.reason) == [.first, .third] && counters.nonzero.map(\.count) == [1, 42])
    }

    @Test("a count beyond the largest number begins anew instead of trapping")
    func wraps() {
        var counters = Counters<Reason>()
        counters.add(.max, to: .second)
        counters.count(.second)
        #expect(counters[.second] == 0)
    }
}
