import Foundation
import IKE
import Testing
import Wire

@testable import Gateway

private func failure(
    _ reason: FailureReason = .preSharedKeyMismatch, _ step: FailureStep = .mainModeAuthentication, host: Int = 1,
    port: UInt16 = 500, user: String = "", identity: String = "", isStranger: Bool = false
) -> Failure {
    Failure(
        reason: reason, step: step, remote: Endpoint(IPv4Address(UInt32(0xC000_0200 + host)), port),
        local: .v4(IPv4Address(198, 51, 100, 1)), identity: identity, user: user, isStranger: isStranger)
}

private func time(_ seconds: Int) -> Date { Date(timeIntervalSince1970: 1_700_000_000 + Double(seconds)) }

@Suite("The log of failures")
struct FailureLogTests {
    @Test("the last hundred are kept, the newest in front")
    func ring() {
        var log = FailureLog()
        for host in 0..<150 { log.note(failure(host: host), at: time(host)) }
        #expect(log.records.count == 100)
        #expect(log.records.map(\.id) == (51...150).reversed().map(UInt64.init))
        #expect(log.records.first?.outerAddress == "192.0.2.149" && log.records.last?.outerAddress == "192.0.2.50")
    }

    @Test("the same client that fails for the same reason again is counted and moved to the front")
    func merging() throws {
        var log = FailureLog()
        #expect(log.note(failure(), at: time(0)).count == 1)
        log.note(failure(host: 2), at: time(1))
        #expect(log.note(failure(port: 4711), at: time(2)).count == 2)
        let record = try #require(log.records.first)
        #expect(log.records.count == 2 && record.id == 1 && record.count == 2)
        #expect(record.first == time(0) && record.last == time(2) && record.outerPort == 4711)
    }

    @Test("another reason, step, user, identity or address is another record")
    func distinct() {
        var log = FailureLog()
        log.note(failure(), at: time(0))
        log.note(failure(.badSignature), at: time(0))
        log.note(failure(.preSharedKeyMismatch, .aggressiveMode), at: time(0))
        log.note(failure(user: "alice"), at: time(0))
        log.note(failure(identity: "10.0.0.2"), at: time(0))
        log.note(failure(host: 2), at: time(0))
        #expect(log.records.count == 6)
    }

    @Test("a flood of first messages from forged addresses takes a small share, and leaves who comes back")
    func flood() {
        var log = FailureLog()
        for host in 0..<70 { log.note(failure(host: host), at: time(0)) }
        for second in 1...2 { log.note(failure(.noProposalChosen, host: 100, isStranger: true), at: time(second)) }
        for host in 1000..<9000 { log.note(failure(.noProposalChosen, host: host, isStranger: true), at: time(3)) }
        #expect(log.records.count == 90)
        #expect(log.records.count { $0.reason == .preSharedKeyMismatch } == 70)
        #expect(log.records.contains { $0.outerAddress == "192.0.2.100" && $0.count == 2 })
    }

    @Test("one address that tries name after name takes no more than its share")
    func guesser() {
        var log = FailureLog()
        for host in 0..<60 { log.note(failure(host: host), at: time(0)) }
        for name in 0..<500 {
            log.note(failure(.unknownUser, .userAuthentication, host: 99, user: "name\(name)"), at: time(1))
        }
        #expect(log.records.count { $0.outerAddress == "192.0.2.99" } == FailureLog.recordsPerAddressMaximum)
        #expect(log.records.count == 60 + FailureLog.recordsPerAddressMaximum)
        #expect(log.records.first?.user == "name499")
    }

    @Test("what a peer wrote is cut, and steers no terminal")
    func hostileText() throws {
        var log = FailureLog()
        log.note(failure(user: "\u{1b}[2J\r\nroot" + String(repeating: "x", count: 5000)), at: time(0))
        let record = try #require(log.records.first)
        #expect(record.user.hasPrefix("?[2J??rootxxx") && record.user.hasSuffix("x..."))
        #expect(record.user.unicodeScalars.count == Failure.textMaximum + 3)
    }

    @Test("where the kind of client is known, only what that one's user sees is told")
    func symptoms() throws {
        var log = FailureLog()
        var windows = failure()
        windows.client = .windows
        #expect(log.note(windows, at: time(0)).symptoms.map(\.error) == [789])
        #expect(log.note(failure(host: 2), at: time(0)).symptoms.map(\.client) == [.windows, .apple, .linux])
    }
}

@Suite("How failures are printed")
struct FailureListingTests {
    private func record(_ failure: Failure) throws -> FailureRecord {
        var log = FailureLog()
        log.note(failure, at: time(0))
        log.note(failure, at: time(60))
        return try #require(log.records.first)
    }

    @Test("a paragraph says who, when, at which step, why, what the client sees and what to change")
    func paragraph() throws {
        var known = failure(.wrongPassword, .userAuthentication, port: 4500, user: "alice", identity: "10.0.0.2")
        known.client = .windows
        let lines = FailureListing.lines([try record(known)], width: 400)
        let starts = [
            "WHO           user alice, 192.0.2.1:4500, calls itself 10.0.0.2, a Windows client, dialed 198.51.100.1",
            "WHEN          2023-11-14T22:14:20Z, 2 times since 2023-11-14T22:13:20Z",
            "STEP          PPP authentication (user and password)",
            "WHY           The password is wrong. [wrongPassword]",
            "CLIENT SEES   Windows: error 691: ", "CHANGE        at the gateway: ", "              at the client: ",
        ]
        #expect(lines.count == starts.count)
        for (line, start) in zip(lines, starts) { #expect(line.hasPrefix(start), "\(line)") }
    }

    @Test("lines are wrapped to the terminal, whatever its width", arguments: [1, 50, 72, 200])
    func wrapped(width: Int) throws {
        var long = failure(.noProposalChosen, .mainModeOffer, identity: String(repeating: "abc", count: 60))
        long.detail = String(repeating: "word ", count: 30)
        let lines = FailureListing.lines([try record(long), try record(failure())], width: width)
        #expect(lines.allSatisfy { $0.count <= max(width, 50) && $0.last != " " })
        #expect(lines.count(where: \.isEmpty) == 1)
        #expect(lines.filter { $0.hasPrefix("WHO") }.count == 2)
    }

    @Test("where there is none, what that means is said")
    func none() {
        #expect(FailureListing.lines([]).first?.hasPrefix("No dial-in was refused.") == true)
    }

    @Test("a record survives JSON")
    func json() throws {
        let records = [try record(failure(.noProposalChosen, .mainModeOffer, user: "\"quoted\" and ünïcode"))]
        let line = try OperatorJSON.line(OperatorResponse.failures(records))
        #expect(try OperatorJSON.value(OperatorResponse.self, from: line) == .failures(records))
    }
}
