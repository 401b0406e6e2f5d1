import FoundationEssentials

/// What operators may ask of the control loop, which answers from its own thread and needs no lock.
public protocol OperatorState: ~Copyable {
    /// Who is connected.
    func sessions() -> [SessionRecord]
    /// Which L2TP tunnels there are.
    func tunnels() -> [TunnelRecord]
    /// Which tunnels to fixed peers there are, up or not.
    func tunnelsToPeers() -> [PeerTunnelRecord]
    /// Which IPsec SAs there are.
    func associations() -> [AssociationRecord]
    /// What was counted.
    func statistics() -> StatisticsRecord
    /// The last refused dial-ins, the newest first.
    func failures() -> [FailureRecord]
    /// Hangs up cleanly (CDN, StopCCN, Deletes) whomever `selector` means, and says whom.
    mutating func drop(_ selector: DropSelector) -> DropResult
    /// What is permitted, blocked and secured.
    func policyRecord() -> PolicyRecord
    /// The same as a configuration file has it.
    func policyText() -> String
    /// What the policy says of a packet.
    func testPolicy(_ question: PolicyQuestion) -> PolicyAnswer
    /// Changes the policy: all of what is asked, or nothing.
    mutating func changePolicy(_ request: PolicyRequest) throws(OperatorRefusal)
}

/// The gateway's side of the operator's socket: one line in, one line out.
public enum OperatorService {
    /// The longest request that is read; the socket's reader closes on what is longer.
    public static let requestBytesMaximum = 60 << 10

    /// The answer to the request `line`, whatever that is: both without the line end.
    public static func respond(
        to line: [UInt8], state: inout some OperatorState & ~Copyable
    ) -> [UInt8] {
        do throws(OperatorRefusal) {
            return self.line(answer(try request(line), state: &state))
        } catch {
            return self.line(.error(error.message))
        }
    }

    /// The answer to `request`.
    static func answer(
        _ request: OperatorRequest, state: inout some OperatorState & ~Copyable
    ) -> OperatorResponse {
        switch request {
        case .sessions: .sessions(state.sessions())
        case .tunnels: .tunnels(state.tunnels(), toPeers: state.tunnelsToPeers())
        case .associations: .associations(state.associations())
        case .statistics: .statistics(state.statistics())
        case .failures: .failures(state.failures())
        case .drop(let selector): .dropped(state.drop(selector))
        case .policy(let request): answer(request, state: &state)
        }
    }

    private static func answer(
        _ request: PolicyRequest, state: inout some OperatorState & ~Copyable
    ) -> OperatorResponse {
        switch request {
        case .show: return .policy(state.policyRecord())
        case .export: return .policyText(state.policyText())
        case .test(let question): return .policyAnswer(state.testPolicy(question))
        case .set, .add, .remove, .replace:
            do throws(OperatorRefusal) {
                try state.changePolicy(request)
                return .policy(state.policyRecord())
            } catch {
                return .error(error.message)
            }
        }
    }

    /// `response` as it is sent.
    static func line(_ response: OperatorResponse) -> [UInt8] {
        // Records hold text, whole numbers and dates, which always are JSON; should one not be, the asker learns it.
        return (try? OperatorJSON.line(response)) ?? [UInt8](#"{"error":"the answer cannot be written as JSON"}"#.utf8)
    }

    /// The request that `line` is.
    static func request(_ line: [UInt8]) throws(OperatorRefusal) -> OperatorRequest {
        guard line.count <= requestBytesMaximum else {
            throw OperatorRefusal(message: "the request is longer than \(requestBytesMaximum) bytes")
        }
        do {
            return try OperatorJSON.value(OperatorRequest.self, from: line)
        } catch let refusal as OperatorRefusal {
            throw refusal
        } catch DecodingError.keyNotFound(let key, _) {
            throw OperatorRefusal(message: "\(key.stringValue) is missing")
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            let key = context.codingPath.last?.stringValue
            throw OperatorRefusal(message: key.map { "\($0) is of the wrong type" } ?? "the request is not an object")
        } catch {
            throw OperatorRefusal(message: "the request is not a line of JSON")
        }
    }
}
