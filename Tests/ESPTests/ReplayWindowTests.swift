import ESP
import Testing

/// A receiver with a window: asks, and marks what is fresh.
struct Receiver: ~Copyable {
    var window: ReplayWindow

    init(_ size: Int) { window = ReplayWindow(size: size) }

    mutating func receive(_ sequence: UInt64) -> ReplayWindow.Verdict {
        let verdict = window.check(sequence)
        if verdict == .fresh { _ = window.mark(sequence) }
        return verdict
    }

    /// Of a packet that bears the low half alone: which number it was taken for, and what was said of it.
    mutating func receive(low: UInt32) -> (UInt64, ReplayWindow.Verdict) {
        let sequence = window.extended(low)
        return (sequence, receive(sequence))
    }
}

/// A window that remembers everything.
struct SlowWindow {
    let size: UInt64
    var seen: Set<UInt64> = []
    var highest: UInt64 = 0

    var bottom: UInt64 { highest >= size ? highest - size + 1 : 0 }

    /// The smallest number with these low 32 bits that is not before the window.
    func extended(_ low: UInt32) -> UInt64 {
        var candidate = UInt64(low)
        if candidate < bottom { candidate += (bottom >> 32) << 32 }
        return candidate < bottom ? candidate + 1 << 32 : candidate
    }

    mutating func receive(_ sequence: UInt64) -> ReplayWindow.Verdict {
        if sequence == 0 { return .replayed }
        if sequence < bottom { return .tooOld }
        guard seen.insert(sequence).inserted else { return .replayed }
        highest = max(highest, sequence)
        return .fresh
    }
}

@Suite("The anti-replay window (RFC 4303 section 3.4.3, RFC 6479)")
struct ReplayWindowTests {
    private static let sizes = [32, 33, 63, 64, 65, 100, 128, 256, 512, 1000, 1024, 2048, 4095, 4096]

    @Test("the number 0 is never accepted, 1 is the first", arguments: sizes)
    func start(size: Int) {
        var receiver = Receiver(size)
        let verdicts = [0, 1, 1, 0].map { receiver.receive($0) }
        #expect(verdicts == [.replayed, .fresh, .replayed, .replayed])
    }

    @Test("numbers may come in any order inside the window, each once", arguments: sizes)
    func order(size: Int) {
        var receiver = Receiver(size)
        let size = UInt64(size)
        var verdicts = [receiver.receive(size)]
        for sequence in 1..<size { verdicts.append(receiver.receive(sequence)) }
        #expect(verdicts.allSatisfy { $0 == .fresh })
        verdicts = (1...size).map { receiver.receive($0) }
        #expect(verdicts.allSatisfy { $0 == .replayed })
        verdicts = [size + 1, 1, 2].map { receiver.receive($0) }
        #expect(verdicts == [.fresh, .tooOld, .replayed])
    }

    @Test("a jump of a window or more forgets the past and accepts none of it", arguments: sizes)
    func jump(size: Int) {
        var receiver = Receiver(size)
        let size = UInt64(size)
        let numbers = [10, 10 + size, 10, 11, 1_000_000, 11 + size, 1_000_000 - size, 1_000_001 - size, 1_000_000]
        let verdicts = numbers.map { receiver.receive($0) }
        #expect(
            verdicts == [.fresh, .fresh, .tooOld, .fresh, .fresh, .tooOld, .tooOld, .fresh, .replayed])
    }

    @Test("a jump of every width inside two rings leaves nothing of what stood there before", arguments: sizes)
    func jumps(size: Int) {
        let size = UInt64(size)
        for width in stride(from: UInt64(1), through: 2 * size + 130, by: 7) {
            var receiver = Receiver(Int(size))
            for sequence in 1...size { _ = receiver.receive(sequence) }
            let top = size + width
            var wrong = receiver.receive(top) == .fresh ? 0 : 1
            for sequence in max(1, top - size + 1)..<top {
                let expected: ReplayWindow.Verdict = sequence <= size ? .replayed : .fresh
                if receiver.window.check(sequence) != expected { wrong += 1 }
            }
            #expect(wrong == 0, "width \(width)")
        }
    }

    @Test("the last number is accepted once and nothing wraps", arguments: sizes)
    func end(size: Int) {
        for last in [UInt64(UInt32.max), .max] {
            var receiver = Receiver(size)
            let size = UInt64(size)
            let verdicts = [last, last, last - size + 1, last - size, 1].map { receiver.receive($0) }
            #expect(verdicts == [.fresh, .replayed, .fresh, .tooOld, .tooOld])
        }
    }

    @Test("without a window everything is fresh and nothing is the newest")
    func none() {
        var window = ReplayWindow.none()
        for sequence in [UInt64(0), 1, 1, .max] {
            let (verdict, isNewest) = (window.check(sequence), window.mark(sequence))
            #expect(verdict == .fresh && !isNewest)
        }
    }

    @Test("a window is never smaller than 32 or larger than 4096")
    func bounds() {
        let sizes = [0, 1, 31, 32, 4096, 4097, .max].map { ReplayWindow(size: $0).size }
        #expect(sizes == [32, 32, 32, 32, 4096, 4096, 4096])
    }

    // The cases of Linux's xfrm_replay.c for extended numbers: the window in one run of 2^32 numbers, and across two.
    @Test(
        "extended numbers: the low half wraps forwards, and packets from before it still find their place",
        arguments: sizes)
    func wrap(size: Int) {
        var receiver = Receiver(size)
        let size = UInt64(size)
        let top = UInt64(1) << 32
        _ = receiver.receive(top - size)
        // A: all of the window lies below the wrap.
        var taken = [receiver.receive(low: UInt32.max)]
        #expect(taken[0] == (top - 1, .fresh))
        // Behind the wrap: a small number is ahead, not old.
        taken = [0, 0, 1, UInt32.max, UInt32(truncatingIfNeeded: top - 2)].map { receiver.receive(low: $0) }
        #expect(taken.map(\.0) == [top, top, top + 1, top - 1, top - 2])
        #expect(taken.map(\.1) == [.fresh, .replayed, .fresh, .replayed, .fresh])
        // B: the window reaches back across the wrap; its lowest number still is of the run before.
        let bottom = top + 1 - (size - 1)
        #expect(receiver.window.extended(UInt32(truncatingIfNeeded: bottom)) == bottom)
        #expect(receiver.window.extended(UInt32(truncatingIfNeeded: bottom - 1)) == bottom - 1 + top)
        // The window has left the wrap behind: what was before it now is a run ahead, which its check value refuses.
        _ = receiver.receive(top + 2 * size)
        #expect(receiver.window.extended(UInt32.max) == 2 * top - 1)
        #expect(receiver.window.extended(0) == 2 * top)
    }

    @Test("extended numbers: in the first run nothing is taken for the run before it", arguments: sizes)
    func firstRun(size: Int) {
        let receiver = Receiver(size)
        for low in [UInt32(1), 5, .max - 1, .max] { #expect(receiver.window.extended(low) == UInt64(low)) }
    }

    @Test("extended numbers: in the last run nothing wraps")
    func lastRun() {
        var receiver = Receiver(1024)
        _ = receiver.receive(UInt64.max - 5)
        #expect(receiver.window.extended(3) == UInt64(UInt32.max) << 32 | 3)
        let last = receiver.receive(low: .max)
        #expect(last == (.max, .fresh))
    }

    @Test("random orders agree with a window that remembers everything", arguments: sizes)
    func model(size: Int) {
        var generator = SeededGenerator(seed: UInt64(size))
        for first: UInt64 in [1, 0xffff_ec78, 0x6_ffff_f448] {
            var receiver = Receiver(size)
            var slow = SlowWindow(size: UInt64(size))
            _ = receiver.receive(first)
            _ = slow.receive(first)
            var wrong = 0
            for _ in 0..<20_000 {
                // Mostly around the window, now and then far ahead.
                let isJump = UInt8.random(in: 0...255, using: &generator) == 0
                let reach = UInt64(isJump ? 3 * size : size / 8 + 2)
                let back = UInt64(size + size / 4)
                let low = slow.highest > back ? slow.highest - back : 0
                let sequence = UInt64.random(in: low...slow.highest + reach, using: &generator)
                if receiver.receive(sequence) != slow.receive(sequence) { wrong += 1 }
                let half = UInt32(truncatingIfNeeded: sequence)
                if receiver.window.extended(half) != slow.extended(half) { wrong += 1 }
            }
            #expect(wrong == 0)
            #expect(receiver.window.highest == slow.highest)
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
