import Accounts
import Cryptography
import IO
import Synchronization
import Wire

/// Why the API refused a request without asking the gateway.
enum OperatorAPIDrop: UInt8, CaseIterable, Sendable {
    /// No token came with it.
    case noToken
    /// The token is nobody's.
    case wrongToken
    /// Wrong tokens came from its address, and its time to wait is not over.
    case slowed
    /// The token may look, and not change.
    case notAllowed
    /// Nothing is there, or not for this method.
    case notFound
    /// The body is no request, or another than the path says.
    case badRequest
}

/// The operators' API over HTTPS, in memory: whom it answers, and what it asks the gateway. The requests and the answers
/// are those of the socket: `GET /v1/NAME` asks what takes no arguments, `POST /v1/NAME` brings the socket's line. For
/// monitoring, `GET /metrics` has the statistics as Prometheus reads them.
final class OperatorAPI: Sendable {
    /// What is to be done with a request.
    enum Decision: Equatable {
        /// The gateway is asked, on behalf of the holder of the token that is called so.
        case ask(OperatorRequest, holder: String)
        /// The gateway is asked for its statistics, which are answered as metrics.
        case askForMetrics
        /// It is answered without.
        case answer(APIResponse)
    }

    private static let prefix = "/v1/"
    private static let metrics = "/metrics"

    private struct State {
        var limiter: GuessLimiter<IPAddress>
        var drops = Counters<OperatorAPIDrop>()
    }

    private let tokens: [OperatorAPISettings.Token]
    private let state: Mutex<State>

    init(_ tokens: [OperatorAPISettings.Token], limits: GuessLimits = GuessLimits()) {
        self.tokens = tokens
        state = Mutex(State(limiter: GuessLimiter(limits)))
    }

    /// How many requests were refused here, by reason.
    var drops: Counters<OperatorAPIDrop> { state.withLock { $0.drops } }

    /// What is to be done with `request`. Who asks comes first: a stranger learns nothing else.
    func decide(_ request: APIRequest, now: Instant) -> Decision {
        let guesser = Self.guesser(request.remote)
        if let until = state.withLock({ $0.limiter.blocked(guesser, now: now) }) {
            let seconds = Int(clamping: until.since(now).components.seconds) + 1
            return refuse(.slowed, 429, "too many wrong tokens came from here", retryAfterSeconds: seconds)
        }
        guard let presented = Self.token(request.authorization) else {
            return refuse(.noToken, 401, "a token is needed: Authorization: Bearer TOKEN")
        }
        guard let holder = holder(of: presented) else {
            _ = state.withLock { $0.limiter.noteFailure(guesser, now: now) }
            return refuse(.wrongToken, 401, "the token is not known")
        }
        return decide(request, holder)
    }

    private func decide(_ request: APIRequest, _ holder: OperatorAPISettings.Token) -> Decision {
        if request.target == Self.metrics {
            return request.method == "GET" ? .askForMetrics : refuse(.notFound, 405, "metrics take GET")
        }
        guard request.target.hasPrefix(Self.prefix) else {
            return refuse(.notFound, 404, "there are \(Self.prefix) and \(Self.metrics)")
        }
        let name = String(request.target.dropFirst(Self.prefix.count))
        guard OperatorRequest.names.contains(name) else {
            return refuse(.notFound, 404, "there are \(OperatorRequest.names.joined(separator: ", "))")
        }
        let line: [UInt8]
        switch request.method {
        case "GET": line = [UInt8](#"{"command":"\#(name)"}"#.utf8)
        case "POST": line = request.body
        default: return refuse(.notFound, 405, "there are GET and POST")
        }
        let asked: OperatorRequest
        do throws(OperatorRefusal) {
            asked = try OperatorService.request(line)
        } catch {
            return refuse(.badRequest, 400, error.message)
        }
        guard asked.name == name else { return refuse(.badRequest, 400, "the path is for \(name) alone") }
        if asked.isChange {
            // A link that somebody follows must never change anything.
            guard request.method == "POST" else { return refuse(.notFound, 405, "\(name) takes POST") }
            guard holder.scope == .operate else { return refuse(.notAllowed, 403, "the token may read alone") }
        }
        return .ask(asked, holder: holder.name)
    }

    /// The gateway's answer as HTTP has it.
    static func response(_ answer: OperatorResponse) -> APIResponse {
        let status = if case .error = answer { 422 } else { 200 }
        return APIResponse(status: status, body: OperatorService.line(answer))
    }

    /// The gateway's statistics as metrics.
    static func metrics(_ answer: OperatorResponse) -> APIResponse {
        guard case .statistics(let record) = answer else { return response(answer) }
        return APIResponse(
            status: 200, body: StatisticsMetrics.text(record), type: "text/plain; version=0.0.4; charset=utf-8")
    }

    private func refuse(
        _ reason: OperatorAPIDrop, _ status: Int, _ message: String, retryAfterSeconds: Int? = nil
    ) -> Decision {
        state.withLock { $0.drops.count(reason) }
        return .answer(
            APIResponse(
                status: status, body: OperatorService.line(.error(message)), retryAfterSeconds: retryAfterSeconds))
    }

    /// RFC 6750 section 2.1; the scheme's name is case-insensitive (RFC 9110 section 11.1).
    private static func token(_ authorization: String?) -> SecretBytes? {
        guard let words = authorization?.split(separator: " ", omittingEmptySubsequences: true), words.count == 2,
            words[0].lowercased() == "bearer", words[1].utf8.count <= ValueRules.apiTokenCharactersMaximum
        else { return nil }
        return SecretBytes(utf8: String(words[1]))
    }

    /// Looks at every token, and at every byte of its digest, so that time tells neither whose nor how much is right.
    private func holder(of token: SecretBytes) -> OperatorAPISettings.Token? {
        let digest = OperatorAPISettings.Token.digest(token)
        var found: OperatorAPISettings.Token?
        for known in tokens where known.digest == digest { found = known }
        return found
    }

    /// An IPv6 host has a network of 64 bits for itself, so that is who guesses.
    private static func guesser(_ address: IPAddress) -> IPAddress {
        guard case .v6(let address) = address else { return address }
        return .v6(IPv6Address(high: address.high, low: 0))
    }
}
