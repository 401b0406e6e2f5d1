import IO
import Logging
import Synchronization
import Testing
import Wire

@testable import Gateway

@Suite("Host names, kept fresh")
struct NameTableTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)
    private static let one = IPAddress.v4(IPv4Address(192, 0, 2, 1))
    private static let two = IPAddress.v4(IPv4Address(192, 0, 2, 2))
    private static let six = IPAddress.v6(IPv6Address(high: 0x2001_0db8_0000_0000, low: 7))

    private func events(_ table: inout NameTable) -> [NameTable.Event] {
        var events: [NameTable.Event] = []
        while let event = table.pollEvent() { events.append(event) }
        return events
    }

    /// Answers the one question that there is.
    private func answer(_ table: inout NameTable, _ answer: NameAnswer, now: Instant) throws {
        let asked = table.pollQuestion()
        let question = try #require(asked)
        table.receive(answer, for: question, now: now)
    }

    @Test("a new name is asked for at once, and again after its interval; only a change is told")
    func refresh() throws {
        var table = NameTable()
        var now = Self.start
        table.want(["Host.Example"], now: now)
        #expect(table.addresses == ["host.example": []] && table.nextDeadline == nil)
        try answer(&table, .addresses([Self.six, Self.one]), now: now)
        #expect(events(&table) == [.changed(name: "host.example", addresses: [Self.one, Self.six])])
        #expect(table.nextDeadline == now + NameTable.refreshInterval && table.pollQuestion() == nil)
        table.handleTimeout(now: now + NameTable.refreshInterval / 2)
        #expect(table.pollQuestion() == nil)
        now += NameTable.refreshInterval
        table.handleTimeout(now: now)
        try answer(&table, .addresses([Self.one, Self.six, Self.one]), now: now)
        #expect(events(&table).isEmpty)
        now += NameTable.refreshInterval
        table.handleTimeout(now: now)
        try answer(&table, .addresses([Self.two]), now: now)
        #expect(events(&table) == [.changed(name: "host.example", addresses: [Self.two])])
        #expect(table.addresses == ["host.example": [Self.two]])
    }

    @Test("a failure is told once, tried again ever more slowly, and the last good answer stays")
    func backoff() throws {
        var table = NameTable()
        var now = Self.start
        table.want(["a"], now: now)
        try answer(&table, .addresses([Self.one]), now: now)
        _ = events(&table)
        now += NameTable.refreshInterval
        var delays: [Duration] = []
        for _ in 0..<8 {
            table.handleTimeout(now: now)
            try answer(&table, .failure("no name server"), now: now)
            let due = try #require(table.nextDeadline)
            delays.append(due.since(now))
            now = due
        }
        #expect(delays == [2, 4, 8, 16, 32, 60, 60, 60].map { Duration.seconds($0) })
        #expect(events(&table) == [.failing(name: "a", reason: "no name server")])
        #expect(table.addresses == ["a": [Self.one]])
        table.handleTimeout(now: now)
        try answer(&table, .addresses([Self.one]), now: now)
        #expect(events(&table) == [.recovered(name: "a")])
        #expect(table.nextDeadline == now + NameTable.refreshInterval)
    }

    @Test("the last good answer counts until its time is over, and no longer")
    func retention() throws {
        var table = NameTable()
        var now = Self.start
        table.want(["a"], now: now)
        try answer(&table, .addresses([Self.one]), now: now)
        _ = events(&table)
        let end = now + NameTable.retentionDuration
        var lostAt: Instant?
        while now < end + .seconds(600), lostAt == nil {
            now = try #require(table.nextDeadline)
            table.handleTimeout(now: now)
            try answer(&table, .failure("away"), now: now)
            if events(&table).contains(.changed(name: "a", addresses: [])) { lostAt = now }
        }
        let lost = try #require(lostAt)
        #expect(lost >= end && lost.since(end) <= NameTable.refreshInterval)
        #expect(table.addresses == ["a": []])
    }

    @Test("the bounds: names, addresses of one name, and questions at once")
    func bounds() throws {
        var table = NameTable()
        let names = (0..<NameTable.namesMaximum + 3).map { "host\(1000 + $0).example" }
        #expect(table.want(names, now: Self.start) == Array(names.suffix(3)))
        #expect(table.addresses.count == NameTable.namesMaximum)
        var questions: [NameTable.Question] = []
        while let question = table.pollQuestion() { questions.append(question) }
        #expect(questions.count == NameTable.questionsAtOnceMaximum)
        let many = (0..<500).map { IPAddress.v4(IPv4Address(10, 0, UInt8($0 / 250), UInt8($0 % 250))) }
        table.receive(.addresses(many.reversed()), for: questions[0], now: Self.start)
        let kept = table.addresses[questions[0].name] ?? []
        #expect(kept == Array(many.prefix(NameTable.addressesPerNameMaximum)))
        #expect(table.pollQuestion() != nil && table.pollQuestion() == nil)
    }

    @Test("what is no host's address is no answer")
    func unusable() throws {
        var table = NameTable()
        table.want(["a"], now: Self.start)
        let wrong = ["0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.1.1", "::", "ff02::1"].compactMap(IPAddress.init)
        try answer(&table, .addresses(wrong), now: Self.start)
        #expect(events(&table) == [.failing(name: "a", reason: "no address of a host")])
        table.handleTimeout(now: Self.start + NameTable.retryInitial)
        try answer(&table, .addresses(wrong + [Self.one]), now: Self.start + NameTable.retryInitial)
        #expect(table.addresses == ["a": [Self.one]])
    }

    @Test("a name that is no longer wanted is forgotten, and an answer that comes late is ignored")
    func forgotten() throws {
        var table = NameTable()
        table.want(["a", "b"], now: Self.start)
        let asked = table.pollQuestion()
        let old = try #require(asked)
        table.want(["b"], now: Self.start)
        table.want(["a", "b"], now: Self.start)
        table.receive(.addresses([Self.one]), for: old, now: Self.start)
        #expect(table.addresses == ["a": [], "b": []] && events(&table).isEmpty)
        for _ in 0..<2 { try answer(&table, .addresses([Self.two]), now: Self.start) }
        table.receive(.addresses([Self.one]), for: old, now: Self.start)
        #expect(table.addresses == ["a": [Self.two], "b": [Self.two]])
        table.want([], now: Self.start)
        #expect(table.addresses.isEmpty && table.nextDeadline == nil && table.pollQuestion() == nil)
    }

    @Test("the service looks names up beside the loop, and tells all addresses when one changes")
    func service() async throws {
        let loop = ControlLoop()
        let told = Mutex<[[String: [IPAddress]]]>([])
        let lookup = NameLookup(on: loop) { (name) throws(NameError) in
            guard name == "known.example" else { throw NameError(description: "no such name") }
            return [Self.six, Self.one]
        }
        let first: [String: [IPAddress]] = await withCheckedContinuation { continuation in
            let isDone = Atomic(false)
            let log = Logger(label: "names") { _ in SwiftLogNoOpLogHandler() }
            let service = NameService(on: loop, lookup: lookup, log: log) { addresses in
                told.withLock { $0.append(addresses) }
                if !isDone.exchange(true, ordering: .relaxed) { continuation.resume(returning: addresses) }
            }
            loop.execute { service.want(["known.example", "unknown.example"]) }
        }
        #expect(first["known.example"] == [Self.one, Self.six])
        #expect(told.withLock { $0.count } == 1)
        loop.shutDown()
    }

    @Test("the system's resolver knows addresses and localhost, and says why it does not know a name")
    func system() async {
        let loop = ControlLoop()
        let lookup = NameLookup(on: loop)
        func look(_ name: String) async -> Result<[IPAddress], NameError> {
            await withCheckedContinuation { continuation in
                lookup.addresses(of: name) { continuation.resume(returning: $0) }
            }
        }
        #expect(await look("192.0.2.7") == .success([.v4(IPv4Address(192, 0, 2, 7))]))
        #expect(await look("2001:db8::7") == .success([Self.six]))
        let local = try? await look("localhost").get()
        #expect(local?.isEmpty == false)
        lookup.close()
        loop.shutDown()
    }
}
