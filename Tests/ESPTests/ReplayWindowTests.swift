import ESP
import Testing

@Suite("The anti-replay window (RFC 4303 section 3.4.3)")
struct ReplayWindowTests {
    /// Asks, and marks what is fresh, as the receiver does.
    private func receive(_ window: inout ReplayWindow, _ sequence: UInt32) -> ReplayWindow.Verdict {
        let verdict = window.check(sequence)
        if verdict == .fresh { _ = window.mark(sequence) }
        return verdict
    }

    @Test("the number 0 is never accepted, 1 is the first")
    func start() {
        var window = ReplayWindow()
        #expect(receive(&window, 0) == .replayed)
        #expect(receive(&window, 1) == .fresh)
        #expect(receive(&window, 1) == .replayed)
        #expect(receive(&window, 0) == .replayed)
    }

    @Test("numbers may come in any order inside the window, each once")
    func order() {
        var window = ReplayWindow()
        #expect(receive(&window, 64) == .fresh)
        for sequence in UInt32(1)...63 { #expect(receive(&window, sequence) == .fresh) }
        for sequence in UInt32(1)...64 { #expect(receive(&window, sequence) == .replayed) }
        #expect(receive(&window, 65) == .fresh)
        #expect(receive(&window, 1) == .tooOld)
        #expect(receive(&window, 2) == .replayed)
    }

    @Test("a jump of a window or more forgets the past and accepts none of it")
    func jump() {
        var window = ReplayWindow()
        #expect(receive(&window, 10) == .fresh)
        #expect(receive(&window, 10 + 64) == .fresh)
        #expect(receive(&window, 10) == .tooOld)
        #expect(receive(&window, 11) == .fresh)
        #expect(receive(&window, 1_000_000) == .fresh)
        #expect(receive(&window, 75) == .tooOld)
    }

    @Test("the last number is accepted once and nothing wraps")
    func end() {
        var window = ReplayWindow()
        #expect(receive(&window, .max) == .fresh)
        #expect(receive(&window, .max) == .replayed)
        #expect(receive(&window, .max - 63) == .fresh)
        #expect(receive(&window, .max - 64) == .tooOld)
        #expect(receive(&window, 1) == .tooOld)
    }

    @Test("random orders agree with a set that remembers everything")
    func model() {
        var generator = SeededGenerator(seed: 8)
        var window = ReplayWindow()
        var seen: Set<UInt32> = []
        var highest: UInt32 = 0
        for _ in 0..<200_000 {
            let low = highest > 100 ? highest - 100 : 0
            let sequence = UInt32.random(in: low...highest + 30, using: &generator)
            let expected: ReplayWindow.Verdict =
                sequence == 0 || seen.contains(sequence) && highest - sequence < 64
                ? .replayed : sequence + 64 <= highest ? .tooOld : .fresh
            // Too old and seen: either is right.
            let verdict = receive(&window, sequence)
            if sequence != 0 || highest < 64 { #expect(verdict == expected) }
            if verdict == .fresh {
                seen.insert(sequence)
                highest = max(highest, sequence)
            }
        }
    }
}

@Suite("Security parameters indexes")
struct SecurityParameterIndexTests {
    @Test("an index says its worker and its slot")
    func layout() throws {
        let index = try #require(SecurityParameterIndex(worker: 3, slot: 0x1_2345, entropy: 0x1ff))
        #expect(index.worker == 3)
        #expect(index.slot == 0x1_2345)
        #expect(index.value >> 23 == 0x1ff)
        #expect(SecurityParameterIndex(worker: 0, slot: 255, entropy: 0) == nil)
        #expect(SecurityParameterIndex(worker: 32, slot: 0, entropy: 0) == nil)
    }

    @Test("100,000 indexes are distinct, in distinct slots, and come back")
    func allocation() {
        var generator = SeededGenerator(seed: 9)
        var allocator = SecurityParameterIndexAllocator(workerCount: 1)
        var slots: Set<Int> = []
        var indexes: [SecurityParameterIndex] = []
        for _ in 0..<100_000 {
            guard let index = allocator.allocate(worker: 0, using: &generator) else { break }
            #expect(index.value >= 256)
            slots.insert(index.slot)
            indexes.append(index)
        }
        #expect(slots.count == 100_000)
        indexes.forEach { allocator.release($0) }
        #expect(allocator.count(worker: 0) == 0)
    }

    @Test("a worker whose slots are half used gives out no more")
    func limit() {
        var generator = SeededGenerator(seed: 10)
        var allocator = SecurityParameterIndexAllocator(workerCount: 2)
        for _ in 0..<SecurityParameterIndexAllocator.usedMaximum {
            #expect(allocator.allocate(worker: 1, using: &generator) != nil)
        }
        #expect(allocator.allocate(worker: 1, using: &generator) == nil)
        #expect(allocator.allocate(worker: 0, using: &generator) != nil)
    }
}
