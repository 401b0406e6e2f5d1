import Testing
import Wire

@testable import Accounts

private func source(_ number: UInt32) -> GuessSource { GuessSource(.v4(IPv4Address(number))) }

@Suite struct GuessLimiterTests {
    @Test("three mistakes are free, then the delay doubles up to its longest")
    func delays() {
        let limiter = LimiterBox()
        var now = Instant.zero + .seconds(10)
        for _ in 0..<3 { #expect(limiter.noteFailure(source(1), now: now) == nil) }
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            let until = limiter.noteFailure(source(1), now: now)
            #expect(until == now + .seconds(expected))
            #expect(limiter.blocked(source(1), now: now) == until)
            #expect(limiter.blocked(source(1), now: now + .seconds(expected)) == nil)
            #expect(limiter.blocked(source(2), now: now) == nil)
            now += .seconds(expected)
        }
    }

    @Test("failures without end do not overflow")
    func endless() {
        let limiter = LimiterBox()
        for _ in 0..<100_000 { limiter.noteFailure(source(1), now: .zero) }
        #expect(limiter.blocked(source(1), now: .zero) == .zero + .seconds(300))
    }

    @Test("leniency gives more free failures and shorter delays")
    func leniency() {
        let limiter = LimiterBox()
        for _ in 0..<12 { #expect(limiter.noteFailure(source(1), leniency: 4, now: .zero) == nil) }
        for _ in 0..<20 { limiter.noteFailure(source(1), leniency: 4, now: .zero) }
        #expect(limiter.blocked(source(1), now: .zero) == .zero + .seconds(75))
    }

    @Test("a success, or a quarter of an hour, makes forget")
    func forgetting() {
        let limiter = LimiterBox()
        for _ in 0..<5 { limiter.noteFailure(source(1), now: .zero) }
        limiter.noteSuccess(source(1))
        #expect(limiter.blocked(source(1), now: .zero) == nil)
        #expect(limiter.count == 0)
        for _ in 0..<5 { limiter.noteFailure(source(1), now: .zero) }
        #expect(limiter.blocked(source(1), now: .zero + .seconds(900)) == nil)
        #expect(limiter.count == 0)
    }

    @Test("memory is bounded: the guesser that was quiet the longest is forgotten first")
    func bound() {
        var limits = GuessLimits()
        limits.entriesMaximum = 1000
        let limiter = LimiterBox(limits)
        for _ in 0..<5 { limiter.noteFailure(source(0), now: .zero) }
        for number in 1...100_000 {
            limiter.noteFailure(source(UInt32(number)), now: .zero)
            // One that goes on guessing stays.
            if number.isMultiple(of: 500) { limiter.noteFailure(source(0), now: .zero) }
        }
        #expect(limiter.count == 1000)
        #expect(limiter.blocked(source(0), now: .zero) != nil)
    }

    @Test("a flood of guessers is forgotten by those who come afterwards")
    func givenBack() {
        let limiter = LimiterBox()
        for number in 0..<50_000 { limiter.noteFailure(source(UInt32(number)), now: .zero) }
        #expect(limiter.count == 50_000)
        for number in 0..<7000 { limiter.noteFailure(source(UInt32(number)), now: .zero + .seconds(1000)) }
        #expect(limiter.count == 7000)
    }

    @Test("an IPv6 guesser cannot change its address within its /64")
    func ipv6() {
        let first = GuessSource(.v6(IPv6Address(high: 0x2001_0DB8_0000_0001, low: 1)))
        #expect(first == GuessSource(.v6(IPv6Address(high: 0x2001_0DB8_0000_0001, low: 99))))
        #expect(first != GuessSource(.v6(IPv6Address(high: 0x2001_0DB8_0000_0002, low: 1))))
    }
}
