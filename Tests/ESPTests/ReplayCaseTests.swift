import ESP
import Testing

/// The branches of Linux's net/xfrm/xfrm_replay.c, one after the other, at each size that RFC 6479's ring makes a difference
/// for: what its windows of one word (`legacy`), of many (`bmp`) and of extended numbers (`esn`) check and advance.
@Suite("The anti-replay window by the cases of Linux")
struct ReplayCaseTests {
    private static let sizes = [32, 64, 128, 256, 512, 1024, 2048, 4096]
    private static let run = UInt64(1) << 32

    /// A receiver with a window of `size` that has received `numbers`.
    private func filled(_ size: Int, _ numbers: UInt64...) -> Receiver {
        var receiver = Receiver(size)
        for number in numbers { _ = receiver.receive(number) }
        return receiver
    }

    // MARK: - check, of numbers of 32 bits

    @Test("check: number 0 is refused before anything was received, in the window and behind it", arguments: sizes)
    func zero(size: Int) {
        for top in [UInt64(0), 1, UInt64(size) - 1, UInt64(size), 3 * UInt64(size)] {
            let receiver = top == 0 ? Receiver(size) : filled(size, top)
            #expect(receiver.window.check(0) == .replayed, "top \(top)")
        }
    }

    @Test("check: a number above the highest is fresh, however far", arguments: sizes)
    func ahead(size: Int) {
        let receiver = filled(size, 7)
        let size = UInt64(size)
        for number in [8, 7 + size - 1, 7 + size, 8 + size, 7 + 64 * size, UInt64(UInt32.max)] {
            #expect(receiver.window.check(number) == .fresh, "\(number)")
        }
    }

    @Test("check: a difference of the window's size is too old, one less is not", arguments: sizes)
    func behind(size: Int) {
        let number = UInt64(size)
        for top in [number + 1, 5 * number - 1, 5 * number, 5 * number + 1, UInt64(UInt32.max)] {
            let receiver = filled(size, top)
            #expect(receiver.window.check(top - number) == .tooOld, "top \(top)")
            #expect(receiver.window.check(top - number + 1) == .fresh, "top \(top)")
        }
    }

    @Test("check: the bit of the highest, of the lowest and of every word's ends is found again", arguments: sizes)
    func bits(size: Int) {
        let number = UInt64(size)
        for top in [number, 3 * number - 1, 3 * number, 3 * number + 1, 3 * number + 33] {
            var receiver = filled(size, top)
            let offsets = (1..<number).filter { [0, 1, 31].contains($0 % 32) }
            for offset in offsets {
                let (first, second) = (receiver.receive(top - offset), receiver.receive(top - offset))
                #expect(first == .fresh && second == .replayed, "top \(top), \(offset) back")
            }
            let neighbours = (1..<number).filter { ![0, 1, 31].contains($0 % 32) }
            #expect(neighbours.allSatisfy { receiver.window.check(top - $0) == .fresh }, "top \(top)")
        }
    }

    @Test("check: a window larger than the highest number reaches to 1 and not below", arguments: sizes)
    func larger(size: Int) {
        for top in [UInt64(1), 2, 31, UInt64(size) - 1] {
            let receiver = filled(size, top)
            #expect((1..<top).allSatisfy { receiver.window.check($0) == .fresh }, "top \(top)")
            #expect(receiver.window.check(top) == .replayed && receiver.window.check(0) == .replayed)
        }
    }

    // MARK: - advance

    @Test(
        "advance: a difference below the window's size keeps the bits that stay in it, and no others", arguments: sizes)
    func advance(size: Int) {
        let number = UInt64(size)
        for difference in Set([1, 2, 31, 32, 33, number / 2, number - 2, number - 1]) where difference < number {
            // Every third number was received, up to a top that lies anywhere in the ring.
            for top in [2 * number - 1, 2 * number, 2 * number + 1, 7 * number + 17] {
                var receiver = Receiver(size)
                for received in stride(from: top - number + 1, through: top, by: 3) { _ = receiver.receive(received) }
                _ = receiver.receive(top)
                _ = receiver.receive(top + difference)
                var wrong = 0
                for candidate in top + difference - number + 1..<top + difference {
                    let isKnown = candidate <= top && (candidate == top || (candidate - (top - number + 1)) % 3 == 0)
                    if receiver.window.check(candidate) != (isKnown ? .replayed : .fresh) { wrong += 1 }
                }
                #expect(wrong == 0, "from \(top) by \(difference)")
                #expect(receiver.window.check(top + difference - number) == .tooOld)
            }
        }
    }

    @Test("advance: a difference of the window's size or more leaves the new number alone in it", arguments: sizes)
    func reset(size: Int) {
        let number = UInt64(size)
        for difference in [number, number + 1, 2 * number - 1, 2 * number, 2 * number + 1, 100 * number, 1 << 31] {
            var receiver = Receiver(size)
            for received in 1...number { _ = receiver.receive(received) }
            let top = number + difference
            _ = receiver.receive(top)
            #expect((top - number + 1..<top).allSatisfy { receiver.window.check($0) == .fresh }, "by \(difference)")
            #expect(receiver.window.check(top) == .replayed && receiver.window.check(top - number) == .tooOld)
        }
    }

    @Test("advance: a number inside the window moves nothing", arguments: sizes)
    func inside(size: Int) {
        var receiver = filled(size, 2 * UInt64(size))
        for number in stride(from: 2 * UInt64(size) - 1, to: UInt64(size), by: -1) {
            let isNewest = receiver.window.mark(number)
            #expect(!isNewest && receiver.window.highest == 2 * UInt64(size))
        }
    }

    // MARK: - seqhi, check and advance of extended numbers

    @Test("esn, A: in one run, what is below the window is of the next run", arguments: sizes)
    func oneRun(size: Int) {
        for high in [UInt64(0), 1, 7] {
            let top = high * Self.run + UInt64(size) + 1000
            let receiver = filled(size, top)
            let bottom = top - UInt64(size) + 1
            let low = { UInt32(truncatingIfNeeded: $0 as UInt64) }
            #expect(receiver.window.extended(low(bottom)) == bottom)
            #expect(receiver.window.extended(low(bottom - 1)) == bottom - 1 + Self.run)
            #expect(receiver.window.extended(low(top)) == top && receiver.window.extended(low(top + 1)) == top + 1)
            #expect(receiver.window.extended(0) == (high + 1) * Self.run)
            #expect(receiver.window.extended(.max) == (high + 1) * Self.run - 1)
        }
    }

    @Test("esn, A: the lowest number of a run may be the window's lowest, and is of that run", arguments: sizes)
    func wholeWindow(size: Int) {
        let top = 5 * Self.run + UInt64(size) - 1
        var receiver = filled(size, top)
        let zero = receiver.receive(low: 0)
        #expect(zero == (5 * Self.run, .fresh) && receiver.window.check(5 * Self.run) == .replayed)
        #expect(receiver.window.extended(.max) == 6 * Self.run - 1)
        // In the first run 0 is no number at all, where Linux would take it once.
        let first = filled(size, UInt64(size) - 1)
        #expect(first.window.extended(0) == 0 && first.window.check(0) == .replayed)
    }

    @Test("esn, B: of a window over the end of a run the high numbers are of the run before", arguments: sizes)
    func twoRuns(size: Int) {
        for back in [UInt64(1), 2, 31, UInt64(size) - 1] {
            // So many numbers of the run before are in the window.
            let top = 3 * Self.run + UInt64(size) - 1 - back
            var receiver = filled(size, top)
            let bottom = UInt32(truncatingIfNeeded: top - UInt64(size) + 1)
            #expect(UInt64(UInt32.max - bottom) + 1 == back)
            #expect(receiver.window.extended(bottom) == 3 * Self.run - back)
            #expect(receiver.window.extended(bottom - 1) == 4 * Self.run - back - 1)
            let taken = [receiver.receive(low: bottom), receiver.receive(low: bottom), receiver.receive(low: .max)]
            #expect(taken[0] == (3 * Self.run - back, .fresh) && taken[1].1 == .replayed)
            #expect(taken[2] == (3 * Self.run - 1, back == 1 ? .replayed : .fresh))
            #expect(receiver.window.extended(0) == 3 * Self.run && receiver.window.highest == top)
        }
    }

    @Test("esn, B: in the first run there is none before it", arguments: sizes)
    func firstRun(size: Int) {
        for top in [UInt64(0), 1, UInt64(size) - 2] {
            let receiver = top == 0 ? Receiver(size) : filled(size, top)
            #expect(receiver.window.extended(.max) == UInt64(UInt32.max))
            #expect(receiver.window.extended(UInt32(top) + 1) == top + 1)
        }
    }

    @Test(
        "esn: the low half wraps with a step of one, of the window, and of more, and keeps what stays", arguments: sizes
    )
    func wraps(size: Int) {
        let number = UInt64(size)
        for step in [1, 2, number - 1, number, number + 1, 3 * number] {
            for before in [UInt64(1), 2, step] where before <= step {
                var receiver = Receiver(size)
                let top = Self.run - before
                for received in stride(from: top - number + 1, through: top, by: 2) { _ = receiver.receive(received) }
                _ = receiver.receive(top)
                let taken = receiver.receive(low: UInt32(truncatingIfNeeded: top + step))
                #expect(taken == (top + step, .fresh), "from \(before) before by \(step)")
                var wrong = 0
                for candidate in top + step - number + 1..<top + step {
                    let isKnown = candidate <= top && (candidate == top || (candidate - (top - number + 1)) % 2 == 0)
                    let (whole, verdict) = receiver.receive(low: UInt32(truncatingIfNeeded: candidate))
                    if whole != candidate || verdict != (isKnown ? .replayed : .fresh) { wrong += 1 }
                }
                #expect(wrong == 0, "from \(before) before by \(step)")
            }
        }
    }

    @Test(
        "recheck: the number of a packet is what it was taken for, though another has moved the window since",
        arguments: sizes)
    func recheck(size: Int) {
        var receiver = filled(size, Self.run - 2)
        // Both were looked at before either was authenticated.
        let numbers = [UInt32.max, 5, UInt32.max].map { receiver.window.extended($0) }
        let verdicts = numbers.map { receiver.receive($0) }
        #expect(numbers == [Self.run - 1, Self.run + 5, Self.run - 1])
        #expect(verdicts == [.fresh, .fresh, .replayed])
        let far = [3 * Self.run, Self.run + 4].map { receiver.receive($0) }
        #expect(far == [.fresh, .tooOld])
    }
}
