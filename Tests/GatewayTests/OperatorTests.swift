import Foundation
import Testing
import Wire

@testable import Gateway

private let start = Date(timeIntervalSince1970: 1_700_000_000)

private func session(_ id: UInt64, _ user: String, inner: String = "192.168.42.10", port: UInt16 = 4500)
    -> SessionRecord
{
    SessionRecord(
        id: id, user: user, outerAddress: "198.51.100.7", outerPort: port, innerAddress: inner, since: start,
        bytesIn: 123_456_789, bytesOut: 999, packetsIn: 1000, packetsOut: 7, ikeCipher: "aes256-sha256-modp2048",
        espCipher: "aes256-sha1", ikeSA: "0011223344556677:8899aabbccddeeff", espSA: "c0000001:0badcafe",
        l2tpTunnel: 17,
        l2tpSession: 4, authentication: "mschapv2")
}

/// A control loop of two sessions.
private struct State: OperatorState {
    var connected = [session(1, "alice"), session(2, "bob", inner: "192.168.42.11", port: 0)]

    func sessions() -> [SessionRecord] { connected }

    func tunnels() -> [TunnelRecord] {
        [
            TunnelRecord(
                id: 17, remoteID: 9, hostName: "laptop", outerAddress: "198.51.100.7", outerPort: 4500, l2tpPort: 1701,
                since: start, users: ["alice"], sessions: [1], bytesIn: 1, bytesOut: 2, packetsIn: 3, packetsOut: 4,
                ikeCipher: "i", espCipher: "e", ikeSA: "a:b", espSA: "c:d")
        ]
    }

    func tunnelsToPeers() -> [PeerTunnelRecord] {
        [
            PeerTunnelRecord(
                name: "branch", rule: nil, peer: "192.0.2.9", mode: "tunnel", start: "onDemand", state: "down",
                since: nil,
                upCount: 3, traffic: ["10.1.0.0/16 == 10.2.0.0/16"], associations: 0, bytesIn: 0, bytesOut: 0)
        ]
    }

    func associations() -> [AssociationRecord] {
        [
            AssociationRecord(
                peer: "2001:db8::7", port: 4500, identity: "2001:db8::7", spiIn: "c0000001", spiOut: "0badcafe",
                mode: "tunnel", suite: "aes256-sha1", purpose: "branch", traffic: "10.1.0.0/16 == 10.2.0.0/16",
                isConfirmed: true, since: start, lifetimeSeconds: 3600, expires: start.addingTimeInterval(3600),
                lifetimeKilobytes: 100_000, remainingKilobytes: 99_000, bytesIn: 1_024_000, bytesOut: 7,
                packetsIn: 1000,
                packetsOut: 1, replayWindow: 64, encapsulation: "4500", pathMTU: nil)
        ]
    }

    func statistics() -> StatisticsRecord {
        var ipsec = IPsecStatistics()
        ipsec.activeAssociations = 8
        ipsec.confidentialBytesReceived = 1_234_567
        return StatisticsRecord(
            since: start, ipsec: ipsec, counters: ["sessions": 2, "usersAccepted": 1007],
            drops: ["esp.replayed": 3, "l2tp.noTunnel": 0])
    }

    func failures() -> [FailureRecord] { [] }

    func policyRecord() -> PolicyRecord {
        PolicyRecord(use: "secure-server", covers: "l2tp", isChanged: false, rules: [], names: [:])
    }

    func policyText() -> String { PolicyDocument().yaml }

    func testPolicy(_ question: PolicyQuestion) -> PolicyAnswer {
        PolicyAnswer(
            verdict: "permit", direction: "inbound", connection: "lan", rule: "", filter: "", reason: "none",
            mayGoInClear: false, association: "")
    }

    func changePolicy(_ request: PolicyRequest) throws(OperatorRefusal) { throw OperatorRefusal(message: "no") }

    mutating func drop(_ selector: DropSelector) -> DropResult {
        let dropped = connected.filter(selector.matches)
        connected.removeAll(where: selector.matches)
        return DropResult(sessions: dropped.map(\.id))
    }
}

/// What the state's tunnels are, as they are sent and as they are listed.
private func answer(_ state: State) -> OperatorResponse { .tunnels(state.tunnels(), toPeers: state.tunnelsToPeers()) }
private var listing: TunnelListing { TunnelListing(tunnels: State().tunnels(), toPeers: State().tunnelsToPeers()) }

private func respond(_ line: String, _ state: inout State) -> String {
    String(decoding: OperatorService.respond(to: [UInt8](line.utf8), state: &state), as: UTF8.self)
}

@Suite("The operator's socket")
struct OperatorServiceTests {
    @Test("sessions are listed with every field, dates by RFC 3339, on one line")
    func sessions() throws {
        var state = State()
        let answer = respond(#"{"command":"sessions"}"#, &state)
        #expect(!answer.contains("\n"))
        #expect(answer.contains(#""since":"2023-11-14T22:13:20Z""#))
        #expect(answer.contains(#""bytesIn":123456789"#))
        #expect(try OperatorJSON.value(OperatorResponse.self, from: [UInt8](answer.utf8)) == .sessions(state.connected))
    }

    @Test("what --json prints is an array of objects with the promised keys and types")
    func printed() throws {
        let text = try OperatorJSON.text([session(1, "alice")])
        let array = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
        let object = try #require(array?.first)
        #expect(array?.count == 1)
        #expect(object["id"] as? Int == 1)
        #expect(object["user"] as? String == "alice")
        #expect(object["outerAddress"] as? String == "198.51.100.7")
        #expect(object["outerPort"] as? Int == 4500)
        #expect(object["innerAddress"] as? String == "192.168.42.10")
        #expect(object["since"] as? String == "2023-11-14T22:13:20Z")
        #expect(object["bytesIn"] as? Int == 123_456_789)
        #expect(object["bytesOut"] as? Int == 999)
        #expect(object["packetsIn"] as? Int == 1000)
        #expect(object["packetsOut"] as? Int == 7)
        #expect(try OperatorJSON.text([SessionRecord]()).filter { !$0.isWhitespace } == "[]")
    }

    @Test("tunnels and statistics are listed")
    func others() throws {
        var state = State()
        let tunnels = respond(#"{"command":"tunnels"}"#, &state)
        #expect(try OperatorJSON.value(OperatorResponse.self, from: [UInt8](tunnels.utf8)) == answer(state))
        let associations = respond(#"{"command":"associations"}"#, &state)
        #expect(
            try OperatorJSON.value(OperatorResponse.self, from: [UInt8](associations.utf8))
                == .associations(state.associations()))
        let statistics = respond(#"{"command":"statistics"}"#, &state)
        #expect(
            try OperatorJSON.value(OperatorResponse.self, from: [UInt8](statistics.utf8))
                == .statistics(state.statistics()))
    }

    @Test(
        "a selector hangs up whom it means and nobody else",
        arguments: [
            (#"{"command":"drop","id":2}"#, [2]), (#"{"command":"drop","user":"alice"}"#, [1]),
            (#"{"command":"drop","address":"192.168.42.11"}"#, [2]),
            (#"{"command":"drop","address":"198.51.100.7"}"#, [1, 2]),
            (#"{"command":"drop","all":true}"#, [1, 2]), (#"{"command":"drop","user":"Alice"}"#, []),
            (#" { "user" : "bob" , "command" : "drop" } "#, [2]), ("{\"command\":\"drop\",\"id\":1}\r\n", [1]),
        ])
    func drop(line: String, expected: [UInt64]) {
        var state = State()
        let ids = expected.map(String.init).joined(separator: ",")
        #expect(respond(line, &state) == "{\"dropped\":{\"count\":\(expected.count),\"sessions\":[\(ids)]}}")
        #expect(state.connected.map(\.id) == [1, 2].filter { !expected.contains($0) })
    }

    @Test(
        "IPv6 addresses are addresses, however they are written",
        arguments: ["2001:db8::7", "2001:0DB8:0:0:0:0:0:7", "2001:db8:0::0:7"])
    func dropIPv6(_ text: String) {
        var state = State()
        state.connected[1].outerAddress = "\(IPv6Address(high: 0x2001_0db8 << 32, low: 7))"
        #expect(respond(#"{"command":"drop","address":"\#(text)"}"#, &state).contains(#""sessions":[2]"#))
        #expect(DropSelector(address: text + "g") == nil && DropSelector(address: "192.0.2.1") != nil)
    }

    @Test(
        "what is no request is answered with an error and hangs nobody up",
        arguments: [
            ("", "the request is not a line of JSON"), ("drop", "the request is not a line of JSON"),
            ("[]", "the request is not an object"), ("null", "the request is not an object"),
            ("{}", "command is missing"), (#"{"command":1}"#, "command is of the wrong type"),
            (
                #"{"command":"dorp"}"#,
                "'dorp' is no command; there are \(OperatorRequest.names.joined(separator: ", "))"
            ),
            (#"{"command":"sessions","user":"a"}"#, "'sessions' takes no 'user'"),
            (#"{"command":"drop"}"#, "drop takes exactly one of id, user, address, all"),
            (#"{"command":"drop","id":1,"all":true}"#, "drop takes exactly one of id, user, address, all"),
            (#"{"command":"drop","usr":"alice"}"#, "drop takes no 'usr', but one of id, user, address, all"),
            (#"{"command":"drop","all":false}"#, "all can only be true"),
            (#"{"command":"drop","all":"yes"}"#, "all is of the wrong type"),
            (#"{"command":"drop","id":"1"}"#, "id is of the wrong type"),
            (#"{"command":"drop","user":null}"#, "user is of the wrong type"),
            (#"{"command":"drop","address":"here"}"#, "'here' is not an IP address"),
            (#"{"command":"drop","id":-1}"#, "the request is not a line of JSON"),
            ("{\"command\":\"sessions\"} {\"command\":\"drop\",\"all\":true}", "the request is not a line of JSON"),
            (String(repeating: "[", count: 4096), "the request is not a line of JSON"),
            (
                #"{"command":""# + String(repeating: "x", count: 70_000) + #""}"#,
                "the request is longer than 61440 bytes"
            ),
        ])
    func refused(line: String, message: String) throws {
        var state = State()
        let answer = respond(line, &state)
        #expect(try OperatorJSON.value(OperatorResponse.self, from: [UInt8](answer.utf8)) == .error(message))
        #expect(state.connected.count == 2)
    }

    @Test("bytes that are no UTF-8 are answered with an error")
    func notUTF8() {
        var state = State()
        let answer = OperatorService.respond(to: [0x7B, 0xFF, 0xFE, 0x7D], state: &state)
        #expect(String(decoding: answer, as: UTF8.self).hasPrefix(#"{"error":"#))
    }
}

/// A gateway in the same process, or a socket where something goes wrong.
private struct Transport: OperatorTransport {
    struct Refused: Error, CustomStringConvertible { var description: String { "Connection refused" } }
    var answer: (([UInt8]) -> [UInt8])?

    func request(path: String, line: [UInt8]) throws -> [UInt8] {
        guard let answer else { throw Refused() }
        return answer(line)
    }
}

@Suite("The operator's commands")
struct OperatorConsoleTests {
    private func console(_ answer: (([UInt8]) -> [UInt8])?) -> OperatorConsole {
        OperatorConsole(path: "/run/culvert/culvert.sock", transport: Transport(answer: answer))
    }

    @Test("every command gets through to the gateway and back")
    func roundTrips() throws {
        let gateway = console { line in
            var state = State()
            return OperatorService.respond(to: line, state: &state)
        }
        #expect(try gateway.sessions() == State().sessions())
        #expect(try gateway.tunnels() == listing)
        #expect(try gateway.associations() == State().associations())
        #expect(try gateway.statistics() == State().statistics())
        let selectors: [(DropSelector, [UInt64])] = [
            (.id(1), [1]), (.user("bob"), [2]), (.address(.v4(IPv4Address(192, 168, 42, 10))), [1]), (.all, [1, 2]),
        ]
        for (selector, ids) in selectors { #expect(try gateway.drop(selector) == DropResult(sessions: ids)) }
    }

    @Test("a gateway that does not answer is told with its socket, the reason and what to look at")
    func noAnswer() {
        #expect(throws: OperatorFailure.noAnswer(path: "/run/culvert/culvert.sock", reason: "Connection refused")) {
            try console(nil).sessions()
        }
        let text = "\(OperatorFailure.noAnswer(path: "/s", reason: "Connection refused"))"
        #expect(text.contains("/s: Connection refused") && text.contains("--socket"))
    }

    @Test("an error of the gateway and an answer of something else are told apart")
    func errors() {
        #expect(throws: OperatorFailure.refused("no")) {
            try console { _ in [UInt8](#"{"error":"no"}"#.utf8) }.sessions()
        }
        for answer in ["", "HTTP/1.1 400 Bad Request", #"{"tunnels":[]}"#, #"{"sessions":[{"id":1}]}"#] {
            #expect(throws: OperatorFailure.notUnderstood(path: "/run/culvert/culvert.sock")) {
                try console { _ in [UInt8](answer.utf8) }.sessions()
            }
        }
    }
}

@Suite("The operator's tables")
struct OperatorTablesTests {
    @Test("columns are aligned under their titles")
    func sessions() {
        let lines = OperatorTables.sessions([session(12, "bob", port: 0), session(3, "a long name")])
        #expect(lines.count == 3)
        for (column, values) in [("USER", ["a long name", "bob"]), ("INNER", ["192.168.42.10", "192.168.42.10"])] {
            let offset = lines[0].distance(from: lines[0].startIndex, to: lines[0].firstRange(of: column)!.lowerBound)
            for (line, value) in zip(lines.dropFirst(), values) { #expect(line.dropFirst(offset).hasPrefix(value)) }
        }
        #expect(
            lines[1].hasPrefix(
                " 3  a long name  198.51.100.7:4500  192.168.42.10  2023-11-14T22:13:20Z  123.4 MB  999 B"))
        #expect(lines[2].hasPrefix("12  bob          198.51.100.7       192.168.42.10"))
        #expect(lines.allSatisfy { $0.last != " " })
    }

    @Test("a session's rate limits stand in its line, and nothing where it has none")
    func rateLimits() throws {
        var limited = session(1, "alice")
        (limited.rateLimitIn, limited.rateLimitOut) = (20_000_000, 1_500_000)
        let lines = OperatorTables.sessions([limited, session(2, "bob")])
        #expect(lines[0].hasSuffix("PROTECTION   LIMIT IN    LIMIT OUT"))
        #expect(lines[1].hasSuffix("  esp         20 Mbit/s  1500 kbit/s") && lines[2].hasSuffix("  esp"))
        #expect(try OperatorJSON.text([limited]).contains("\"rateLimitIn\" : 20000000"))
    }

    @Test("SAs have a line for each pair, with what is left of their lives")
    func associations() {
        let lines = OperatorTables.associations(State().associations(), now: start.addingTimeInterval(60))
        #expect(
            lines.map { $0.split(separator: " ").joined(separator: " ") } == [
                "PEER SPI IN SPI OUT MODE SUITE AGE LEFT IN OUT WINDOW NAT-T MTU FOR",
                "[2001:db8::7]:4500 c0000001 0badcafe tunnel aes256-sha1 60 s 3540 s, 99000 kB 1.0 MB 7 B 64 4500 branch",
            ])
        // A clock that is behind the gateway's makes nothing negative.
        #expect(
            OperatorTables.associations(State().associations(), now: start.addingTimeInterval(-5))[1].contains(" 0 s"))
    }

    @Test("tunnels to fixed peers stand below those of L2TP, and in one array with them as JSON")
    func bothKinds() throws {
        let lines = OperatorTables.tunnels(listing)
        #expect(lines[0].hasPrefix("ID") && lines[2].isEmpty && lines[3].hasPrefix("NAME"))
        #expect(lines[4].split(separator: " ").prefix(4) == ["branch", "192.0.2.9", "tunnel", "down"])
        let text = try OperatorJSON.text(listing)
        let array = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
        #expect(array?.count == 2 && array?[0]["id"] as? Int == 17 && array?[1]["name"] as? String == "branch")
        #expect(array?[1]["since"] == nil)
        let none = try OperatorJSON.text(TunnelListing(tunnels: [], toPeers: []))
        #expect(none.filter { !$0.isWhitespace } == "[]")
    }

    @Test("nobody there is said in words")
    func empty() {
        #expect(OperatorTables.sessions([]) == ["No sessions."])
        #expect(OperatorTables.tunnels([]) == ["No tunnels."])
        #expect(OperatorTables.tunnels(TunnelListing(tunnels: [], toPeers: [])) == ["No tunnels."])
        #expect(OperatorTables.associations([], now: start) == ["No IPsec SAs."])
        #expect(OperatorTables.dropped(DropResult(sessions: [])) == "Nobody was connected.")
        #expect(OperatorTables.dropped(DropResult(sessions: [2, 1])) == "Hung up 2 sessions: 1, 2")
    }

    @Test("a name that a client chose does not steer the terminal")
    func hostileName() {
        let text = OperatorTables.sessions([session(1, "a\u{1B}[2J\u{202E}\nb")]).joined(separator: "|")
        #expect(text.contains("a?[2J??b"))
    }

    @Test("statistics stand under headings in the words of IPsec, and of the drops there are those that happened")
    func statistics() {
        let lines = OperatorTables.statistics(State().statistics())
        #expect(lines.prefix(4) == ["version  \(culvertVersion)", "since    2023-11-14T22:13:20Z", "", "IPSEC"])
        let words = lines.map { $0.split(separator: " ").joined(separator: " ") }
        for line in [
            "active associations 8", "confidential bytes received 1234567 1.2 MB", "authenticated bytes sent 0",
            "ISAKMP", "quick modes 0", "GATEWAY", "sessions 2", "users accepted 1007",
        ] { #expect(words.contains(line), "\(line)") }
        #expect(words.suffix(3) == ["", "DROPPED", "esp.replayed 3"])
        #expect(lines.allSatisfy { $0.last != " " })
        let nothing = StatisticsRecord(since: start, counters: [:], drops: ["esp.replayed": 0])
        #expect(OperatorTables.statistics(nothing).suffix(3) == ["", "DROPPED", "nothing"])
    }

    @Test("a sample behind another says what came each second; levels, and a gateway that began anew, have no rate")
    func rates() throws {
        let first = ContinuousClock.now
        var record = State().statistics()
        let before = StatisticsSample(record, at: first, after: nil)
        #expect(before.rates == nil && before.report.perSecond.isEmpty)
        record.ipsec.confidentialBytesReceived += 5_000_000
        record.ipsec.activeAssociations += 2
        record.drops["esp.replayed"] = 4
        record.counters["usersAccepted"] = 1000
        let sample = StatisticsSample(record, at: first + .milliseconds(2500), after: before)
        #expect(sample.rates?["IPSEC.confidential bytes received"] == 2_000_000)
        #expect(sample.rates?["IPSEC.active associations"] == nil && sample.rates?["GATEWAY.sessions"] == nil)
        #expect(sample.rates?["DROPPED.esp.replayed"] == 0.4)
        #expect(sample.rates?["GATEWAY.users accepted"] == 0)
        let words = OperatorTables.statistics(sample).map { $0.split(separator: " ").joined(separator: " ") }
        #expect(words.contains("confidential bytes received 6234567 6.2 MB 2.0 MB"))
        #expect(words.contains("esp.replayed 4 0.4") && words.contains("PER SECOND"))
        record.since += 60
        #expect(StatisticsSample(record, at: first + .seconds(9), after: sample).rates == nil)
    }

    @Test(
        "bytes are readable",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1999, "1.9 kB"), (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (UInt64.max, "18.4 EB"),
        ])
    func bytes(count: UInt64, text: String) {
        #expect(TextTable.bytes(count) == text)
    }
}
