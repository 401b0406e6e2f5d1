import FoundationEssentials
import Wire

/// Which sessions to hang up.
public enum DropSelector: Equatable, Sendable {
    /// The session with this id.
    case id(UInt64)
    /// Every session of this user.
    case user(String)
    /// Every session with this inner or outer address.
    case address(IPAddress)
    /// Every session.
    case all

    /// Every session with the inner or outer address that `text` writes; nil if it is no address.
    public init?(address text: String) {
        guard let address = IPAddress(text) else { return nil }
        self = .address(address)
    }

    /// Whether `session` is meant.
    public func matches(_ session: SessionRecord) -> Bool {
        switch self {
        case .id(let id): session.id == id
        case .user(let user): session.user == user
        case .address(let address):
            session.innerAddress == address.description || session.outerAddress == address.description
        case .all: true
        }
    }
}

/// What an operator asks of the gateway: one line of JSON, such as `{"command":"drop","user":"alice"}`.
public enum OperatorRequest: Equatable, Sendable {
    /// Who is connected.
    case sessions
    /// Which tunnels there are.
    case tunnels
    /// Which IPsec SAs there are.
    case associations
    /// What was counted.
    case statistics
    /// Whose dial-ins came to nothing, and why.
    case failures
    /// Hang up.
    case drop(DropSelector)
    /// What is permitted, blocked and secured.
    case policy(PolicyRequest)

    /// Every request's name: the value of `command`, and its path in the API.
    static let names =
        ["sessions", "tunnels", "associations", "statistics", "failures", "drop"] + PolicyRequest.names

    /// The value of `command`.
    var name: String {
        switch self {
        case .sessions: "sessions"
        case .tunnels: "tunnels"
        case .associations: "associations"
        case .statistics: "statistics"
        case .failures: "failures"
        case .drop: "drop"
        case .policy(let request): request.name
        }
    }

    /// Whether it changes anything, so that a token for reading does not do.
    var isChange: Bool {
        switch self {
        case .sessions, .tunnels, .associations, .statistics, .failures: false
        case .drop: true
        case .policy(let request): request.isChange
        }
    }
}

/// What the gateway answers: one line of JSON with one key, that says what it holds.
public enum OperatorResponse: Equatable, Sendable {
    /// Who is connected.
    case sessions([SessionRecord])
    /// Which tunnels there are: those of L2TP, and those to fixed peers.
    case tunnels([TunnelRecord], toPeers: [PeerTunnelRecord] = [])
    /// Which IPsec SAs there are.
    case associations([AssociationRecord])
    /// What was counted.
    case statistics(StatisticsRecord)
    /// The last refused dial-ins, the newest first.
    case failures([FailureRecord])
    /// Who was hung up.
    case dropped(DropResult)
    /// What the policy is, also after a change.
    case policy(PolicyRecord)
    /// What the policy says of a packet.
    case policyAnswer(PolicyAnswer)
    /// The policy as a configuration file has it.
    case policyText(String)
    /// Why nothing was done.
    case error(String)
}

// MARK: - As JSON

/// A key by whatever name: what is not known must be seen to be refused.
struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
    init(_ name: String) { stringValue = name }
}

/// Why a request is refused, in words for the operator.
public struct OperatorRefusal: Error {
    /// The words.
    public var message: String
}

extension OperatorRequest: Codable {
    private enum Name {
        static let command = AnyKey("command")
        static let id = AnyKey("id")
        static let user = AnyKey("user")
        static let address = AnyKey("address")
        static let all = AnyKey("all")
    }

    /// Reads a request. Unknown keys are refused: a misspelt selector must never hang up more than was meant.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: AnyKey.self)
        let command = try container.decode(String.self, forKey: Name.command)
        let keys = Set(container.allKeys.map(\.stringValue)).subtracting([Name.command.stringValue])
        if let request = try PolicyRequest(command, container, keys) {
            self = .policy(request)
            return
        }
        if command != "drop", let key = keys.min() {
            throw OperatorRefusal(message: "\(ValueRules.quoted(command)) takes no \(ValueRules.quoted(key))")
        }
        switch command {
        case "sessions": self = .sessions
        case "tunnels": self = .tunnels
        case "associations": self = .associations
        case "statistics": self = .statistics
        case "failures": self = .failures
        case "drop": self = .drop(try Self.selector(container, keys))
        default:
            throw OperatorRefusal(
                message: "\(ValueRules.quoted(command)) is no command; there are \(Self.names.joined(separator: ", "))")
        }
    }

    private static func selector(
        _ container: KeyedDecodingContainer<AnyKey>, _ keys: Set<String>
    ) throws -> DropSelector {
        guard keys.count == 1, let key = keys.first else {
            throw OperatorRefusal(message: "drop takes exactly one of id, user, address, all")
        }
        switch key {
        case "id": return .id(try container.decode(UInt64.self, forKey: Name.id))
        case "user": return .user(try container.decode(String.self, forKey: Name.user))
        case "address":
            let text = try container.decode(String.self, forKey: Name.address)
            guard let selector = DropSelector(address: text) else {
                throw OperatorRefusal(message: "\(ValueRules.quoted(text)) is not an IP address")
            }
            return selector
        case "all":
            guard try container.decode(Bool.self, forKey: Name.all) else {
                throw OperatorRefusal(message: "all can only be true")
            }
            return .all
        default:
            throw OperatorRefusal(message: "drop takes no \(ValueRules.quoted(key)), but one of id, user, address, all")
        }
    }

    /// Writes a request.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyKey.self)
        try container.encode(name, forKey: Name.command)
        switch self {
        case .sessions, .tunnels, .associations, .statistics, .failures: break
        case .policy(let request): try request.encode(to: &container)
        case .drop(let selector):
            switch selector {
            case .id(let id): try container.encode(id, forKey: Name.id)
            case .user(let user): try container.encode(user, forKey: Name.user)
            case .address(let address): try container.encode(address.description, forKey: Name.address)
            case .all: try container.encode(true, forKey: Name.all)
            }
        }
    }
}

extension OperatorResponse: Codable {
    private enum CodingKeys: String, CodingKey {
        case sessions, tunnels, tunnelsToPeers, associations, statistics, failures, dropped, policy, policyAnswer
        case policyText, error
    }

    /// Reads an answer.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let sessions = try container.decodeIfPresent([SessionRecord].self, forKey: .sessions) {
            self = .sessions(sessions)
        } else if let tunnels = try container.decodeIfPresent([TunnelRecord].self, forKey: .tunnels) {
            let toPeers = try container.decodeIfPresent([PeerTunnelRecord].self, forKey: .tunnelsToPeers)
            self = .tunnels(tunnels, toPeers: toPeers ?? [])
        } else if let associations = try container.decodeIfPresent([AssociationRecord].self, forKey: .associations) {
            self = .associations(associations)
        } else if let statistics = try container.decodeIfPresent(StatisticsRecord.self, forKey: .statistics) {
            self = .statistics(statistics)
        } else if let failures = try container.decodeIfPresent([FailureRecord].self, forKey: .failures) {
            self = .failures(failures)
        } else if let dropped = try container.decodeIfPresent(DropResult.self, forKey: .dropped) {
            self = .dropped(dropped)
        } else if let policy = try container.decodeIfPresent(PolicyRecord.self, forKey: .policy) {
            self = .policy(policy)
        } else if let answer = try container.decodeIfPresent(PolicyAnswer.self, forKey: .policyAnswer) {
            self = .policyAnswer(answer)
        } else if let text = try container.decodeIfPresent(String.self, forKey: .policyText) {
            self = .policyText(text)
        } else {
            self = .error(try container.decode(String.self, forKey: .error))
        }
    }

    /// Writes an answer.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .sessions(let sessions): try container.encode(sessions, forKey: .sessions)
        case .tunnels(let tunnels, let toPeers):
            try container.encode(tunnels, forKey: .tunnels)
            try container.encode(toPeers, forKey: .tunnelsToPeers)
        case .associations(let associations): try container.encode(associations, forKey: .associations)
        case .statistics(let statistics): try container.encode(statistics, forKey: .statistics)
        case .failures(let failures): try container.encode(failures, forKey: .failures)
        case .dropped(let dropped): try container.encode(dropped, forKey: .dropped)
        case .policy(let policy): try container.encode(policy, forKey: .policy)
        case .policyAnswer(let answer): try container.encode(answer, forKey: .policyAnswer)
        case .policyText(let text): try container.encode(text, forKey: .policyText)
        case .error(let message): try container.encode(message, forKey: .error)
        }
    }
}

/// JSON as the operator's socket and `--json` have it: dates by RFC 3339 in UTC, keys in order.
public enum OperatorJSON {
    /// `value` on one line.
    public static func line(_ value: some Encodable) throws -> [UInt8] { [UInt8](try encoder().encode(value)) }

    /// `value` for people and scripts to read.
    public static func text(_ value: some Encodable) throws -> String {
        let encoder = encoder()
        encoder.outputFormatting.insert(.prettyPrinted)
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// The value that `bytes` hold.
    public static func value<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(type, from: Data(bytes))
    }

    private static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return encoder
    }
}
