import Foundation
import IO
import Testing
import Wire

@Suite("The system we run on")
struct HostSystemTests {
    @Test("the monotonic clock goes forward, and the wall clock is in this century")
    func clocks() {
        let first = SystemClock.now
        #expect(SystemClock.now >= first)
        #expect((1_700_000_000...4_102_444_800).contains(SystemClock.wallSeconds))
    }

    @Test("a point in time is written as RFC 3339 has it")
    func timestamps() {
        #expect(SystemClock.timestamp(wallSeconds: 0) == "1970-01-01T00:00:00Z")
        #expect(SystemClock.timestamp(wallSeconds: 951_782_399) == "2000-02-28T23:59:59Z")
        #expect(SystemClock.timestamp(wallSeconds: 951_782_400) == "2000-02-29T00:00:00Z")
        #expect(SystemClock.timestamp(wallSeconds: 1_000_000_000) == "2001-09-09T01:46:40Z")
        #expect(SystemClock.timestamp(wallSeconds: 4_107_542_399) == "2100-02-28T23:59:59Z")
        #expect(SystemClock.timestamp(wallSeconds: 4_107_542_400) == "2100-03-01T00:00:00Z")
        #expect(SystemClock.timestamp(wallSeconds: -1) == "1969-12-31T23:59:59Z")
    }

    @Test("forwarding is told as the system has it")
    func forwarding() { #expect(HostSystem.ipForwardingIsOn != nil) }

    @Test("capabilities have the kernel's names")
    func capabilities() {
        #expect(Capabilities.gateway.description == "CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE")
        #expect(Capabilities(rawValue: 1 << 12) == .netAdmin)
        #expect(Capabilities.gateway.subtracting([.netRaw, .netAdmin]).description == "CAP_NET_BIND_SERVICE")
    }

    @Test("locked memory is counted as such by the system", .enabled(if: HostSystem.mayLockAllMemory))
    func locked() throws {
        try HostSystem.lockMemory()
        defer { munlockall() }
        let lines = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("VmLck:") })
        #expect(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0 > 0)
    }
}
