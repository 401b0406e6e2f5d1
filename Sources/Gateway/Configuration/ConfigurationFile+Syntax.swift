import Yams

/// What is not YAML at all.
extension ConfigurationFile {
    /// What Yams found wrong, in our form.
    static func issue(_ error: any Error, name: String, text: String) -> ConfigurationIssue {
        let allowed = "YAML as in deploy/examples/full.yaml"
        func issue(_ line: Int, _ key: String, _ problem: String) -> ConfigurationIssue {
            ConfigurationIssue(source: .file(name, line: max(line, 1)), key: key, problem: problem, allowed: allowed)
        }
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return issue(mark.line, "", "is not YAML: \(problem) in column \(mark.column)")
        case .reader(let problem, let offset, _, _):
            let line = text.prefix(offset ?? 0).count { $0.isNewline } + 1
            return issue(line, "", "is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let key = duplicates.first ?? ""
            let line = secondLine(of: key, after: context.mark, in: text)
            return ConfigurationIssue(
                source: .file(name, line: line), key: key,
                problem: "is given twice, first in line \(context.mark.line)",
                allowed: "each key once")
        default:
            return issue(1, "", "is not YAML")
        }
    }

    /// Yams tells where a repeated key stands first; the operator wants to know where it stands again: the next line that
    /// has it in the same column.
    private static func secondLine(of key: String, after mark: Mark, in text: String) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let keys = ["\(key):", "\"\(key)\":", "'\(key)':"]
        for (index, line) in lines.enumerated() where index + 1 > mark.line {
            let rest = line.dropFirst(mark.column - 1)
            if line.count > mark.column - 1, keys.contains(where: { rest.hasPrefix($0) }) { return index + 1 }
        }
        return mark.line
    }
}
