import Yams

/// One mapping of a YAML file: its keys, where each stands, and the path to it.
struct YAMLSection {
    let file: String
    /// `users[1]` in `users[1].name`; empty at the top.
    let path: String
    let line: Int
    private let entries: [String: (node: Node, line: Int)]

    private init(file: String, path: String, line: Int, entries: [String: (node: Node, line: Int)]) {
        (self.file, self.path, self.line, self.entries) = (file, path, line, entries)
    }

    /// The mapping `node`. Refuses anything else, and every key that is not one of `keys`; nil if it is no mapping.
    init?(_ node: Node, file: String, path: String, line: Int, keys: [String], issues: inout [ConfigurationIssue]) {
        let source = ConfigurationSource.file(file, line: line)
        let allowed = keys.joined(separator: ", ")
        guard case .mapping(let mapping) = node else {
            let problem = "is \(YAMLSection.kind(of: node)), not a mapping"
            issues.append(
                ConfigurationIssue(source: source, key: path, problem: problem, allowed: "the keys \(allowed)"))
            return nil
        }
        var entries: [String: (node: Node, line: Int)] = [:]
        for (keyNode, value) in mapping {
            let keyLine = keyNode.mark?.line ?? line
            guard let key = keyNode.scalar?.string, keys.contains(key) else {
                let name = keyNode.scalar.map { ValueRules.quoted($0.string) } ?? YAMLSection.kind(of: keyNode)
                let plain = keyNode.scalar.map { $0.string } ?? ""
                let isClean = !plain.isEmpty && plain.count <= 64 && !ValueRules.hasControlCharacters(plain)
                issues.append(
                    ConfigurationIssue(
                        source: .file(file, line: keyLine), key: YAMLSection.join(path, isClean ? plain : name),
                        problem: "is not a key that this gateway knows", allowed: allowed))
                continue
            }
            entries[key] = (value, keyLine)
        }
        self.init(file: file, path: path, line: line, entries: entries)
    }

    /// A section with nothing in it.
    static func empty(file: String, path: String, line: Int) -> YAMLSection {
        YAMLSection(file: file, path: path, line: line, entries: [:])
    }

    /// What the key holds, and where it stands.
    func entry(_ key: String) -> (node: Node, place: SettingPlace)? {
        guard let entry = entries[key] else { return nil }
        return (entry.node, SettingPlace(source: .file(file, line: entry.line), key: YAMLSection.join(path, key)))
    }

    /// Where the section itself stands.
    var place: SettingPlace { SettingPlace(source: .file(file, line: line), key: path) }

    /// Where the section stands, for what is missing in it.
    func place(of key: String) -> SettingPlace {
        SettingPlace(source: .file(file, line: line), key: YAMLSection.join(path, key))
    }

    static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// What a node is, in words for people.
    static func kind(of node: Node) -> String {
        switch node {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        case .scalar(let scalar):
            if isNull(scalar) {
                "empty"
            } else if scalar.style == .plain, Int(scalar.string) != nil {
                "a number"
            } else if scalar.style == .plain, ["true", "false"].contains(scalar.string) {
                "true or false"
            } else {
                "text"
            }
        }
    }

    /// Whether a scalar is YAML's way to say "nothing": `key:`, `key: ~`, `key: null`.
    static func isNull(_ scalar: Node.Scalar) -> Bool {
        scalar.style == .plain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }
}
