import Cryptography
import FoundationEssentials
import Yams

/// How one setting is read.
extension ConfigurationFile {
    /// The section `key`, empty where it is not given.
    mutating func section(_ parent: YAMLSection, _ key: String, _ keys: [String]) -> YAMLSection {
        let path = YAMLSection.join(parent.path, key)
        guard let (node, place) = parent.entry(key), case .file(_, let line) = place.source else {
            return .empty(file: name, path: path, line: parent.line)
        }
        return YAMLSection(node, file: name, path: path, line: line, keys: keys, issues: &issues)
            ?? .empty(file: name, path: path, line: line)
    }

    /// The section `key` by `read`, where it is given.
    mutating func mapping<Value: Sendable>(
        _ parent: YAMLSection, _ key: String, _ keys: [String], _ read: (inout ConfigurationFile, YAMLSection) -> Value
    ) -> Setting<Value> {
        guard let (node, place) = parent.entry(key) else { return .absent }
        let section = section(parent, key, keys)
        return node.mapping == nil ? .refused : .given(read(&self, section), place)
    }

    /// A list of mappings, as many as `count` allows, each by `read`.
    mutating func mappings<Value: Sendable>(
        _ parent: YAMLSection, _ key: String, _ keys: [String], _ count: ClosedRange<Int>,
        _ read: (inout ConfigurationFile, YAMLSection) -> Value
    ) -> Setting<[Value]> {
        guard let (node, place) = parent.entry(key) else { return .absent }
        let allowed = "a list of {\(keys.joined(separator: ", "))}"
        guard let sequence = node.sequence else {
            issues.append(place.issue("is \(YAMLSection.kind(of: node)), not a list", allowed: allowed))
            return .refused
        }
        guard count.contains(sequence.count) else {
            let bounds = "\(allowed), \(count.lowerBound) to \(count.upperBound)"
            issues.append(place.issue("has \(sequence.count) entries", allowed: bounds))
            return .refused
        }
        var values: [Value] = []
        for (index, element) in sequence.enumerated() {
            let section = YAMLSection(
                element, file: name, path: "\(place.key)[\(index)]", line: element.mark?.line ?? parent.line,
                keys: keys,
                issues: &issues)
            if let section { values.append(read(&self, section)) }
        }
        return values.count == sequence.count ? .given(values, place) : .refused
    }

    /// A pre-shared key: text, or whichever bytes in base64 behind YAML's tag `!!binary`.
    mutating func preSharedKey(_ section: YAMLSection, _ key: String) -> Setting<SecretBytes> {
        guard let (node, place) = section.entry(key), node.tag == Tag(.binary) else {
            return text(section, key, ValueRules.preSharedKey)
        }
        return value(node, place, ValueRules.binaryPreSharedKey)
    }

    /// A setting whose text, exactly as it is written, is a value by `rule`.
    ///
    /// A number or `yes` is taken as the text that it is: `password: 0042` is the password 0042.
    mutating func text<Value>(
        _ section: YAMLSection, _ key: String, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<Value> {
        guard let (node, place) = section.entry(key) else { return .absent }
        return value(node, place, rule)
    }

    /// The same, for a setting that must not be left out.
    mutating func required<Value>(
        _ section: YAMLSection, _ key: String, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<Value> {
        guard section.entry(key) == nil else { return text(section, key, rule) }
        do throws(Refusal) {
            // What must be given must not be empty either: the rule knows what is allowed.
            _ = try rule("")
        } catch {
            issues.append(section.place(of: key).issue("is missing", allowed: error.allowed))
        }
        return .refused
    }

    mutating func value<Value>(
        _ node: Node, _ place: SettingPlace, _ rule: (String) throws(Refusal) -> Value,
        readsNull: Bool = true
    ) -> Setting<Value> {
        do throws(Refusal) {
            guard let scalar = node.scalar else {
                throw Refusal(problem: "is \(YAMLSection.kind(of: node))", allowed: "one value, as text")
            }
            return .given(try rule(readsNull && YAMLSection.isNull(scalar) ? "" : scalar.string), place)
        } catch {
            issues.append(place.issue(error))
            return .refused
        }
    }

    mutating func bool(_ section: YAMLSection, _ key: String) -> Setting<Bool> {
        guard let (node, place) = section.entry(key) else { return .absent }
        if let scalar = node.scalar, scalar.style == .plain {
            if scalar.string == "true" { return .given(true, place) }
            if scalar.string == "false" { return .given(false, place) }
        }
        issues.append(place.issue("is \(YAMLSection.kind(of: node)), not true or false", allowed: "true, false"))
        return .refused
    }

    mutating func integer(_ section: YAMLSection, _ key: String, _ range: ClosedRange<Int>) -> Setting<Int> {
        guard let (node, place) = section.entry(key) else { return .absent }
        let allowed = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard let scalar = node.scalar, !YAMLSection.isNull(scalar) else {
            issues.append(place.issue("is \(YAMLSection.kind(of: node)), not a number", allowed: allowed))
            return .refused
        }
        guard scalar.style == .plain, let number = Int(scalar.string) else {
            let problem = scalar.style == .plain ? "is not a whole number" : "is in quotes, so it is text, not a number"
            issues.append(place.issue("\(ValueRules.quoted(scalar.string)) \(problem)", allowed: allowed))
            return .refused
        }
        guard range.contains(number) else {
            issues.append(place.issue("\(number) is out of range", allowed: allowed))
            return .refused
        }
        return .given(number, place)
    }

    /// A list of distinct values, or one value in the place of a list of one.
    mutating func oneOrMore<Value: Hashable & Sendable>(
        _ section: YAMLSection, _ key: String, _ count: ClosedRange<Int>, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<[Value]> {
        guard let (node, place) = section.entry(key), node.scalar != nil else { return list(section, key, count, rule) }
        switch value(node, place, rule) {
        case .given(let value, let place): return .given([value], place)
        case .refused: return .refused
        case .absent: return .absent
        }
    }

    /// A list of distinct values, as many as `count` allows.
    mutating func list<Value: Hashable & Sendable>(
        _ section: YAMLSection, _ key: String, _ count: ClosedRange<Int>, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<[Value]> {
        guard let (node, place) = section.entry(key) else { return .absent }
        let allowed = "a list of \(count.lowerBound) to \(count.upperBound)"
        guard let sequence = node.sequence else {
            issues.append(place.issue("is \(YAMLSection.kind(of: node)), not a list", allowed: allowed))
            return .refused
        }
        var isRefused = false
        if !count.contains(sequence.count) {
            issues.append(place.issue("has \(sequence.count) entries", allowed: allowed))
            isRefused = true
        }
        var values: [Value] = []
        for (index, element) in sequence.enumerated() {
            let line = element.mark?.line ?? section.line
            let elementPlace = SettingPlace(source: .file(name, line: line), key: "\(place.key)[\(index)]")
            // In a list, null is a word like others: a cipher's.
            guard let value = value(element, elementPlace, rule, readsNull: false).value else {
                isRefused = true
                continue
            }
            if values.contains(value) {
                issues.append(elementPlace.issue("is in the list twice", allowed: "each value once"))
                isRefused = true
            }
            values.append(value)
        }
        return isRefused ? .refused : .given(values, place)
    }
}
