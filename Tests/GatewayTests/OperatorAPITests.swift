import Accounts
import Foundation
import IO
import Testing
import Wire

@testable import Gateway

private let readToken = "read-only-token-of-the-monitor"
private let operateToken = "operating-token-of-the-admin"
private let stranger = IPAddress.v4(IPv4Address(198, 51, 100, 9))
private let start = Instant(nanoseconds: 1_000_000_000)

private func makeAPI() throws -> OperatorAPI {
    OperatorAPI([
        .init(name: "monitor", scope: .read, token: try ValueRules.apiToken(readToken)),
        .init(name: "admin", scope: .operate, token: try ValueRules.apiToken(operateToken)),
    ])
}

private func request(
    _ method: String, _ target: String, _ authorization: String?, _ body: String = "", from remote: IPAddress = stranger
) -> APIRequest {
    APIRequest(
        method: method, target: target, authorization: authorization, body: [UInt8](body.utf8), remote: remote)
}

/// The status of a refusal; 200 where the gateway would be asked.
private func status(_ decision: OperatorAPI.Decision) -> Int {
    if case .answer(let response) = decision { response.status } else { 200 }
}

@Suite("The operators' API")
struct OperatorAPITests {
    @Test(
        "what takes no arguments is asked by GET, and everything by POST with the socket's line",
        arguments: [
            ("GET", "statistics", "", OperatorRequest.statistics), ("GET", "sessions", "", .sessions),
            ("GET", "tunnels", "", .tunnels), ("GET", "failures", "", .failures),
            ("GET", "associations", "", .associations),
            ("POST", "statistics", #"{"command":"statistics"}"#, .statistics),
            ("POST", "drop", #"{"command":"drop","user":"alice"}"#, .drop(.user("alice"))),
        ])
    func asks(method: String, name: String, body: String, expected: OperatorRequest) throws {
        let decision = try makeAPI().decide(
            request(method, "/v1/\(name)", "Bearer \(operateToken)", body), now: start)
        #expect(decision == .ask(expected, holder: "admin"))
    }

    @Test("a token for reading looks at everything and changes nothing")
    func scopes() throws {
        let api = try makeAPI()
        for name in ["sessions", "tunnels", "associations", "statistics", "failures", "policy", "policyExport"] {
            #expect(
                status(api.decide(request("GET", "/v1/\(name)", "bearer \(readToken)"), now: start)) == 200, "\(name)")
        }
        let drop = request("POST", "/v1/drop", "Bearer \(readToken)", #"{"command":"drop","all":true}"#)
        #expect(status(api.decide(drop, now: start)) == 403)
        let changes: [PolicyRequest] = [
            .set(use: "client", coversHost: nil), .add(text: "", name: ""), .remove(rule: ""),
            .replace(text: "", name: ""),
        ]
        for change in changes {
            let body = String(decoding: try OperatorJSON.line(OperatorRequest.policy(change)), as: UTF8.self)
            let asked = request("POST", "/v1/\(change.name)", "Bearer \(readToken)", body)
            #expect(status(api.decide(asked, now: start)) == 403, "\(change)")
        }
        #expect(api.drops[.notAllowed] == 5)
    }

    @Test("a change by another path, or by GET, is no way around")
    func sidePaths() throws {
        let api = try makeAPI()
        let all = #"{"command":"drop","all":true}"#
        #expect(status(api.decide(request("POST", "/v1/sessions", "Bearer \(readToken)", all), now: start)) == 400)
        #expect(status(api.decide(request("GET", "/v1/drop", "Bearer \(operateToken)", all), now: start)) == 400)
        #expect(status(api.decide(request("DELETE", "/v1/drop", "Bearer \(operateToken)", all), now: start)) == 405)
    }

    @Test(
        "who has no token learns nothing, whatever is asked",
        arguments: [
            nil, "", "Bearer", "Bearer ", "Basic \(operateToken)", operateToken, "Bearer x",
            "Bearer \(operateToken) more", "Bearer \(operateToken)x", "Bearer \(operateToken.dropLast())",
            "Bearer " + String(repeating: "x", count: 100_000),
        ], ["/v1/statistics", "/v1/nothing", "/"])
    func strangers(authorization: String?, target: String) throws {
        let decision = try makeAPI().decide(request("GET", target, authorization), now: start)
        #expect(status(decision) == 401)
        guard case .answer(let response) = decision else { return }
        #expect(!String(decoding: response.body, as: UTF8.self).contains("there are"))
    }

    @Test(
        "what is not there, or is no request, is refused with words",
        arguments: [
            ("GET", "/", "", 404), ("GET", "/v1/", "", 404), ("GET", "/v1/nothing", "", 404),
            ("GET", "/v2/statistics", "", 404), ("GET", "/v1/statistics/", "", 404),
            ("GET", "/v1/statistics?x", "", 404),
            ("POST", "/v1/drop", "", 400), ("POST", "/v1/drop", "{}", 400),
            ("POST", "/v1/drop", #"{"command":"statistics"}"#, 400),
            ("POST", "/v1/drop", #"{"command":"drop"}"#, 400), ("PUT", "/v1/statistics", "", 405),
        ])
    func refusals(method: String, target: String, body: String, expected: Int) throws {
        let api = try makeAPI()
        let decision = api.decide(request(method, target, "Bearer \(operateToken)", body), now: start)
        #expect(status(decision) == expected)
        #expect(api.drops[.notFound] + api.drops[.badRequest] == 1)
    }

    @Test("wrong tokens are slowed for their address, right ones of it too, and for nobody else")
    func guessing() throws {
        let api = try makeAPI()
        let wrong = request("GET", "/v1/statistics", "Bearer \(String(repeating: "w", count: 30))")
        for _ in 0..<4 { #expect(status(api.decide(wrong, now: start)) == 401) }
        let right = request("GET", "/v1/statistics", "Bearer \(readToken)")
        guard case .answer(let response) = api.decide(right, now: start) else {
            Issue.record("a guesser was let in")
            return
        }
        #expect(response.status == 429 && response.retryAfterSeconds == 2)
        #expect(api.drops[.slowed] == 1 && api.drops[.wrongToken] == 4)
        let other = request(
            "GET", "/v1/statistics", "Bearer \(readToken)", from: .v4(IPv4Address(198, 51, 100, 10)))
        #expect(status(api.decide(other, now: start)) == 200)
        #expect(status(api.decide(right, now: start + .seconds(2))) == 200)
    }

    @Test("an IPv6 host is slowed with its network, for it may take any address of that")
    func guessingFromANetwork() throws {
        let api = try makeAPI()
        for low in 0..<4 {
            let remote = IPAddress.v6(IPv6Address(high: 0x2001_0db8_0000_0000, low: UInt64(low)))
            let wrong = request("GET", "/v1/x", "Bearer \(String(repeating: "w", count: 30))", from: remote)
            #expect(status(api.decide(wrong, now: start)) == 401)
        }
        let next = IPAddress.v6(IPv6Address(high: 0x2001_0db8_0000_0000, low: 99))
        let right = request("GET", "/v1/statistics", "Bearer \(readToken)", from: next)
        #expect(status(api.decide(right, now: start)) == 429)
    }

    @Test("metrics are the statistics in Prometheus' format, every line of it well-formed and every name once")
    func metrics() throws {
        let api = try makeAPI()
        #expect(api.decide(request("GET", "/metrics", "Bearer \(readToken)"), now: start) == .askForMetrics)
        #expect(status(api.decide(request("GET", "/metrics", nil), now: start)) == 401)
        #expect(status(api.decide(request("POST", "/metrics", "Bearer \(readToken)"), now: start)) == 405)
        var ipsec = IPsecStatistics()
        ipsec.confidentialBytesSent = 17
        let record = StatisticsRecord(
            version: "1\"2", since: Date(timeIntervalSince1970: 1_700_000_000), ipsec: ipsec,
            counters: ["sessions": 2, "usersAccepted": 3, "ike.halfOpen": 1], drops: ["esp.replayed": 4])
        let response = OperatorAPI.metrics(.statistics(record))
        #expect(response.status == 200 && response.type.hasPrefix("text/plain; version=0.0.4"))
        let text = String(decoding: response.body, as: UTF8.self)
        #expect(text.hasSuffix("\n"))
        let lines = text.split(separator: "\n").map(String.init)
        for line in [
            "culvert_ipsec_confidential_bytes_sent_total 17", "culvert_sessions 2", "culvert_users_accepted_total 3",
            "culvert_isakmp_half_open 1", "# TYPE culvert_isakmp_half_open gauge",
            "# TYPE culvert_isakmp_main_modes_total counter", #"culvert_dropped_total{reason="esp.replayed"} 4"#,
            #"culvert_info{version="1\"2"} 1"#, "culvert_start_time_seconds 1700000000",
        ] { #expect(lines.contains(line), "\(line)") }
        let sample = #/culvert_[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"\})? [0-9]+/#
        for line in lines where !line.hasPrefix("# ") { #expect(line.wholeMatch(of: sample) != nil, "\(line)") }
        let types = lines.filter { $0.hasPrefix("# TYPE ") }
        #expect(Set(types).count == types.count)
    }

    @Test("the gateway's own refusal is an error of HTTP too")
    func gatewayRefuses() {
        #expect(OperatorAPI.response(.error("no")) == APIResponse(status: 422, body: [UInt8](#"{"error":"no"}"#.utf8)))
        #expect(OperatorAPI.response(.failures([])).status == 200)
    }
}

@Suite("The operators' API in the configuration")
struct OperatorAPIConfigurationTests {
    private static let vectors = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Vectors/api").path

    private func load(_ api: String) throws -> LoadedConfiguration {
        let text = """
            psk: a key of my own, 42
            users: [{name: a, password: b}]
            api: {certificate: \(Self.vectors)/server.pem, key: \(Self.vectors)/server.key, \(api)}
            """
        return try ConfigurationLoader.load(text: text, name: "x.yaml", environment: [:])
    }

    private func issues(_ api: String) -> [String] {
        do {
            _ = try load(api)
            return []
        } catch let error as ConfigurationError {
            return error.issues.map { "\($0.key): \($0.problem)" }
        } catch {
            return ["\(error)"]
        }
    }

    @Test("it is off unless it is configured")
    func off() throws {
        let text = "psk: a key of my own, 42\nusers: [{name: a, password: b}]"
        #expect(
            try ConfigurationLoader.load(text: text, name: "x.yaml", environment: [:]).configuration.api == nil)
    }

    @Test("tokens stand in the configuration or in a file of their own, and are kept as digests alone")
    func tokens() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "tokens-\(UUID())").path
        try "# who may ask\n\nadmin operate \(operateToken)\n".write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        chmod(path, 0o600)
        let loaded = try load(
            "listen: '127.0.0.1:8443', tokenFile: \(path), tokens: [{name: m, scope: read, token: \(readToken)}]")
        let api = try #require(loaded.configuration.api)
        #expect(api.listen.description == "127.0.0.1:8443")
        #expect(api.tokens.map(\.name) == ["m", "admin"] && api.tokens.map(\.scope) == [.read, .operate])
        #expect(loaded.warnings == [])
        let shown = "\(loaded.configuration)" + loaded.configuration.summary.joined()
        #expect(!shown.contains(readToken) && !shown.contains(operateToken))
        chmod(path, 0o644)
        #expect(try load("listen: '127.0.0.1:8443', tokenFile: \(path)").warnings.map(\.key) == ["api.tokenFile"])
    }

    @Test("what is wrong is told with its place")
    func wrong() {
        let token = "{name: m, scope: read, token: \(readToken)}"
        #expect(issues("listen: '127.0.0.1:8443'") == ["api: answers nobody"])
        #expect(issues("tokens: [\(token)]") == ["api.listen: is missing"])
        #expect(issues("listen: 'localhost', tokens: [\(token)]") == ["api.listen: 'localhost' is no address and port"])
        #expect(
            issues("listen: '[::1]:1', tokens: [\(token), \(token)]") == [
                "api.tokens[1].name: 'm' or its token is there already"
            ])
        #expect(
            issues("listen: '[::1]:1', tokens: [{name: m, scope: all, token: short}]") == [
                "api.tokens[0].scope: 'all' is not known", "api.tokens[0].token: is no token",
            ])
        #expect(issues("listen: '[::1]:1', tokenFile: /nonexistent").first?.hasPrefix("api.tokenFile: ") == true)
        let text = """
            psk: a key of my own, 42
            users: [{name: a, password: b}]
            api: {certificate: /nonexistent, key: /nonexistent, listen: '[::1]:1', tokens: [\(token)]}
            """
        #expect(throws: ConfigurationError.self) {
            try ConfigurationLoader.load(text: text, name: "x.yaml", environment: [:])
        }
    }
}
