import ESP
import Wire

/// The packet policy as its author wrote it: a predefined policy or none, and lists, actions and rules beside it.
public struct PolicyDocument: Sendable, Equatable {
    /// The predefined policy; nil for `custom`, where the own rules stand alone.
    public var use: PredefinedPolicy? = .secureServer
    /// Whether the predefined policy is about all that the host sends and gets, rather than L2TP alone.
    public var coversHost = false
    /// Filter lists of its own, names distinct.
    public var filterLists: [FilterList] = []
    /// Filter actions of its own, names distinct.
    public var filterActions: [FilterAction] = []
    /// Rules of its own, names distinct.
    public var rules: [PolicyRule] = []

    /// What counts where nobody says anything.
    public init() {}

    /// The names of the rules that stand there without being written.
    static let rulesOfItself = ["l2tp", "host"]

    /// What says `use: custom`.
    static let custom = "custom"

    /// The words for ``use``.
    var useName: String { use?.rawValue ?? Self.custom }

    /// The policy: its own rules before those of the predefined one. Without such a one, L2TP brings its rule all the same,
    /// and an own rule that is as specific comes before it.
    public var policy: SecurityPolicy {
        let base = (use ?? .secureServer).policy(coversHost: use != nil && coversHost)
        return SecurityPolicy(useName, rules + base.rules)
    }

    /// The names in its filters that have to be resolved, in order and each once.
    public var names: [String] {
        var names: [String] = []
        for filter in rules.flatMap(\.filterList.filters) {
            for case .name(let name) in [filter.source, filter.destination] where !names.contains(name) {
                names.append(name)
            }
        }
        return names
    }

    /// What it comes to, on one line.
    var summary: String {
        let own = rules.isEmpty ? "" : ", \(rules.count) \(rules.count == 1 ? "rule" : "rules") of its own"
        return useName + (use != nil && coversHost ? " for all of the host" : "") + own
    }

    // MARK: - As YAML

    /// The document that `text`, the contents of the file `name`, makes of `base`: what it leaves out stays, and its lists,
    /// actions and rules come behind those that are there.
    ///
    /// - Throws: Everything that is wrong, at once, as for the rest of the configuration.
    public static func read(
        _ text: String, name: String, over base: PolicyDocument = PolicyDocument()
    ) throws(ConfigurationError) -> PolicyDocument {
        let (draft, issues) = ConfigurationFile.readPolicy(text, name: name)
        var assembly = PolicyAssembly(issues: issues)
        if draft.isAbsent, issues.isEmpty {
            let source = ConfigurationSource.file(name, line: 1)
            assembly.issues.append(
                .init(source: source, key: "policy", problem: "is missing", allowed: "a policy, or a part of one"))
        }
        let document = assembly.document(draft, over: base)
        guard assembly.issues.isEmpty else { throw ConfigurationError(assembly.issues) }
        return document
    }

    /// The document as a file that says the same, with `policy:` at its top.
    public var yaml: String {
        var lines = ["policy:", "  use: \(useName)"]
        if use != nil { lines.append("  covers: \(coversHost ? "host" : "l2tp")") }
        if !filterLists.isEmpty { lines.append("  filterLists:") }
        for list in filterLists {
            lines += ["    - name: \(Self.quoted(list.name))", "      filters:"]
            for filter in list.filters { lines += Self.lines(filter) }
        }
        if !filterActions.isEmpty { lines.append("  filterActions:") }
        for action in filterActions { lines += Self.lines(action) }
        if !rules.isEmpty { lines.append("  rules:") }
        for rule in rules {
            lines += [
                "    - name: \(Self.quoted(rule.name))", "      filterList: \(Self.quoted(rule.filterList.name))",
                "      filterAction: \(Self.quoted(rule.action.name))",
            ]
            if !rule.authentication.isEmpty {
                let names = rule.authentication.map(\.rawValue).joined(separator: ", ")
                lines.append("      authentication: [\(names)]")
            }
            lines.append("      connection: \(rule.connection.rawValue)")
            if let endpoint = rule.tunnelEndpoint { lines.append("      tunnelEndpoint: \"\(endpoint)\"") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ filter: PolicyFilter) -> [String] {
        var lines = ["        - source: \(word(filter.source))", "          destination: \(word(filter.destination))"]
        lines.append("          protocol: \(filter.transport)")
        if let port = filter.sourcePort { lines.append("          sourcePort: \(port)") }
        if let port = filter.destinationPort { lines.append("          destinationPort: \(port)") }
        lines.append("          mirrored: \(filter.isMirrored)")
        return lines
    }

    private static func lines(_ action: FilterAction) -> [String] {
        var lines = ["    - name: \(quoted(action.name))"]
        switch action.kind {
        case .permit: lines.append("      action: permit")
        case .block: lines.append("      action: block")
        case .negotiate(let security):
            lines += [
                "      action: negotiate", "      acceptUnsecured: \(security.acceptsUnsecured)",
                "      fallBack: \(security.fallsBack)", "      respondOnly: \(!security.initiates)",
                "      perfectForwardSecrecy: \(security.hasPerfectForwardSecrecy)",
            ]
            if !security.methods.isEmpty { lines.append("      methods:") }
            for method in security.methods { lines += Self.lines(method) }
        }
        return lines
    }

    private static func lines(_ method: SecurityMethod) -> [String] {
        var lines: [String]
        switch method.protection {
        case .high: lines = ["        - method: high"]
        case .medium: lines = ["        - method: medium"]
        case .custom(let header, let payload):
            lines = ["        - method: custom"]
            if let header { lines.append("          ah: \(header.rawValue)") }
            if let payload {
                lines += [
                    "          encryption: \(payload.encryption?.rawValue ?? "none")",
                    "          integrity: \(payload.integrity?.rawValue ?? "none")",
                ]
            }
        }
        if let seconds = method.seconds { lines.append("          seconds: \(seconds)") }
        if let kilobytes = method.kilobytes { lines.append("          kilobytes: \(kilobytes)") }
        return lines
    }

    private static func word(_ address: PolicyFilter.Address) -> String {
        switch address {
        case .mine: "my-address"
        case .any: "any"
        case .range(let range): "\"\(range)\""
        case .name(let name): name
        }
    }

    private static func quoted(_ name: String) -> String {
        "\"\(name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }
}
