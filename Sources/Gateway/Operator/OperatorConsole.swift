import FoundationEssentials
import Wire

/// How a request gets to the gateway and its answer back.
public protocol OperatorTransport {
    /// Sends one line to the gateway whose socket, or whose URL, is `path` and returns the line that it answers, both without line end.
    func request(path: String, line: [UInt8]) throws -> [UInt8]
}

/// Why a command of an operator's came to nothing.
public enum OperatorFailure: Error, Equatable, CustomStringConvertible {
    /// Nobody answers at the socket.
    case noAnswer(path: String, reason: String)
    /// The gateway said no.
    case refused(String)
    /// What answered does not speak this protocol, or another version of it.
    case notUnderstood(path: String)

    /// What happened, and what to look at.
    public var description: String {
        switch self {
        case .noAnswer(let path, let reason):
            path.contains("://")
                ? "no gateway answers at \(path): \(reason)"
                : """
                no gateway answers at \(path): \(reason)
                Is it running (culvert serve), is this its socket (--socket PATH), and may you open it?
                """
        case .refused(let message): "the gateway refused: \(message)"
        case .notUnderstood(let path):
            "what answers at \(path) is not understood; is the gateway of another version than \(culvertVersion)?"
        }
    }
}

/// The operator's side of the socket.
public struct OperatorConsole {
    private let path: String
    private let transport: any OperatorTransport

    /// A console for the gateway whose socket, or whose URL, is `path`.
    public init(path: String, transport: any OperatorTransport) {
        (self.path, self.transport) = (path, transport)
    }

    /// Who is connected.
    public func sessions() throws(OperatorFailure) -> [SessionRecord] {
        guard case .sessions(let sessions) = try ask(.sessions) else { throw .notUnderstood(path: path) }
        return sessions
    }

    /// Which tunnels there are.
    public func tunnels() throws(OperatorFailure) -> TunnelListing {
        guard case .tunnels(let tunnels, let toPeers) = try ask(.tunnels) else { throw .notUnderstood(path: path) }
        return TunnelListing(tunnels: tunnels, toPeers: toPeers)
    }

    /// Which IPsec SAs there are.
    public func associations() throws(OperatorFailure) -> [AssociationRecord] {
        guard case .associations(let records) = try ask(.associations) else { throw .notUnderstood(path: path) }
        return records
    }

    /// What was counted.
    public func statistics() throws(OperatorFailure) -> StatisticsRecord {
        guard case .statistics(let statistics) = try ask(.statistics) else { throw .notUnderstood(path: path) }
        return statistics
    }

    /// The last refused dial-ins, the newest first.
    public func failures() throws(OperatorFailure) -> [FailureRecord] {
        guard case .failures(let failures) = try ask(.failures) else { throw .notUnderstood(path: path) }
        return failures
    }

    /// Hangs up.
    public func drop(_ selector: DropSelector) throws(OperatorFailure) -> DropResult {
        guard case .dropped(let result) = try ask(.drop(selector)) else { throw .notUnderstood(path: path) }
        return result
    }

    /// What is permitted, blocked and secured.
    public func policy() throws(OperatorFailure) -> PolicyRecord { try changePolicy(.show) }

    /// The policy as a configuration file has it.
    public func policyText() throws(OperatorFailure) -> String {
        guard case .policyText(let text) = try ask(.policy(.export)) else { throw .notUnderstood(path: path) }
        return text
    }

    /// What the policy says of a packet.
    public func policyAnswer(_ question: PolicyQuestion) throws(OperatorFailure) -> PolicyAnswer {
        guard case .policyAnswer(let answer) = try ask(.policy(.test(question))) else {
            throw .notUnderstood(path: path)
        }
        return answer
    }

    /// Changes the policy, and says what it is then.
    public func changePolicy(_ request: PolicyRequest) throws(OperatorFailure) -> PolicyRecord {
        guard case .policy(let policy) = try ask(.policy(request)) else { throw .notUnderstood(path: path) }
        return policy
    }

    private func ask(_ request: OperatorRequest) throws(OperatorFailure) -> OperatorResponse {
        let answer: [UInt8]
        do {
            answer = try transport.request(path: path, line: try OperatorJSON.line(request))
        } catch {
            throw .noAnswer(path: path, reason: "\(error)")
        }
        let response: OperatorResponse
        do {
            response = try OperatorJSON.value(OperatorResponse.self, from: answer)
        } catch {
            throw .notUnderstood(path: path)
        }
        if case .error(let message) = response { throw .refused(message) }
        return response
    }
}
