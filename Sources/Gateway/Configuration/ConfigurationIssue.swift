/// Where a setting comes from.
public enum ConfigurationSource: Hashable, Sendable, CustomStringConvertible {
    /// A line of a configuration file, counted from 1.
    case file(String, line: Int)
    /// An environment variable.
    case environment
    /// The file in the state directory that keeps the credentials the gateway made.
    case credentials(String)
    /// Nobody gave it.
    case builtIn

    /// `FILE:LINE`, `environment`, the credentials' path, or `built-in`.
    public var description: String {
        switch self {
        case .file(let name, let line): "\(name):\(line)"
        case .environment: "environment"
        case .credentials(let path): path
        case .builtIn: "built-in"
        }
    }
}

/// One thing that is wrong with a configuration, or merely suspicious. Never holds a secret.
public struct ConfigurationIssue: Hashable, Sendable, CustomStringConvertible {
    /// Where the setting was given.
    public let source: ConfigurationSource
    /// The key's path in the file (`users[1].name`) or the variable's name.
    public let key: String
    /// What is wrong, as the end of a sentence that begins with the key.
    public let problem: String
    /// What may stand there instead.
    public let allowed: String?

    /// The issue `problem` of the setting `key`.
    public init(source: ConfigurationSource, key: String, problem: String, allowed: String? = nil) {
        (self.source, self.key, self.problem, self.allowed) = (source, key, problem, allowed)
    }

    /// `FILE:LINE: KEY: what is wrong; allowed: what is allowed`, on one line.
    public var description: String {
        let place = key.isEmpty ? "\(source)" : "\(source): \(key)"
        return "\(place): \(problem)" + (allowed.map { "; allowed: \($0)" } ?? "")
    }
}

/// Why a configuration was refused: everything that is wrong with it, in the order of the file.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// What is wrong. Never empty.
    public let issues: [ConfigurationIssue]

    init(_ issues: [ConfigurationIssue]) {
        // Lines of the file first and in its order; what else there is keeps the order in which it was found.
        let numbered = issues.enumerated().map { (line: Self.line(of: $1), index: $0, issue: $1) }
        self.issues = numbered.sorted { ($0.line, $0.index) < ($1.line, $1.index) }.map(\.issue)
    }

    /// One line per issue.
    public var description: String { issues.map(\.description).joined(separator: "\n") }

    private static func line(of issue: ConfigurationIssue) -> Int {
        if case .file(_, let line) = issue.source { line } else { Int.max }
    }
}

/// Why a text is not the value that it should be.
struct Refusal: Error {
    var problem: String
    var allowed: String
}

/// Where a setting stands: for messages that are about several settings at once.
struct SettingPlace: Hashable, Sendable {
    var source: ConfigurationSource
    var key: String

    func issue(_ problem: String, allowed: String? = nil) -> ConfigurationIssue {
        ConfigurationIssue(source: source, key: key, problem: problem, allowed: allowed)
    }

    func issue(_ refusal: Refusal) -> ConfigurationIssue { issue(refusal.problem, allowed: refusal.allowed) }
}

/// What a source says about one setting.
enum Setting<Value: Sendable>: Sendable {
    /// Nothing.
    case absent
    /// Something that is wrong, and an issue says so: neither another source nor a default may take its place.
    case refused
    /// A value that is right by itself.
    case given(Value, SettingPlace)

    /// This setting, or where it says nothing, that of a source of lower rank.
    func or(_ other: Setting) -> Setting { if case .absent = self { other } else { self } }

    var value: Value? { if case .given(let value, _) = self { value } else { nil } }
    var place: SettingPlace? { if case .given(_, let place) = self { place } else { nil } }
    var isRefused: Bool { if case .refused = self { true } else { false } }
    var isAbsent: Bool { if case .absent = self { true } else { false } }
}
