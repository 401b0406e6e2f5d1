import Yams

/// Reads the YAML configuration file: every key against its type and its rule, all that is wrong at once.
struct ConfigurationFile {
    /// The largest file that is read; thousands of users fit.
    static let bytesMaximum = 4 << 20

    /// What each mapping may have in it.
    private enum Keys {
        static let top = [
            "profile", "enableModp1024", "authentication", "psk", "certificates", "publicAddress", "endpoints", "users",
            "l2tp", "ppp", "dns", "nbns",
            "masquerade", "interface", "workers", "log", "limits", "lifetimes",
        ]
        static let user = ["name", "password", "address"]
        static let l2tp = ["network", "local", "pool", "hostName", "secret"]
        static let ppp = ["mtu", "authentication"]
        static let log = ["level"]
        static let certificates = [
            "ca", "certificate", "key", "crl", "requireRevocationCheck", "clientIdentities", "identity",
        ]
        static let limits = [
            "sessions", "sessionsPerUser", "tunnelsPerPeer", "sessionsPerTunnel", "halfOpen", "halfOpenPerAddress",
        ]
        static let lifetimes = ["ikeSeconds", "ipsecSeconds", "ipsecKilobytes"]
    }

    /// Every key there is, in whichever mapping.
    static let everyKey =
        Keys.top + Keys.certificates + Keys.user + Keys.l2tp + Keys.ppp + Keys.log + Keys.limits + Keys.lifetimes

    private let name: String
    private var issues: [ConfigurationIssue] = []

    private init(name: String) { self.name = name }

    /// What `text`, the contents of the file `name`, says, and what is wrong with it; no draft where it cannot be told what
    /// the file says at all.
    static func read(_ text: String, name: String) -> (draft: ConfigurationDraft?, issues: [ConfigurationIssue]) {
        var file = ConfigurationFile(name: name)
        let draft = file.draft(text)
        return (draft, file.issues)
    }

    private mutating func draft(_ text: String) -> ConfigurationDraft? {
        let root: Node?
        do {
            // The encoding is given, for Yams would otherwise ask the environment for it.
            root = try Yams.compose(yaml: text, .default, .default, .utf8)
        } catch {
            issues.append(Self.issue(error, name: name, text: text))
            return nil
        }
        // A file of comments alone says nothing, which is legal: the environment and the defaults say the rest.
        guard let root, root.scalar.map(YAMLSection.isNull) != true else { return ConfigurationDraft() }
        let line = root.mark?.line ?? 1
        guard
            let top = YAMLSection(root, file: name, path: "", line: line, keys: Keys.top, issues: &issues)
        else { return nil }
        return draft(top)
    }

    private mutating func draft(_ top: YAMLSection) -> ConfigurationDraft {
        var draft = ConfigurationDraft()
        draft.profile = text(top, "profile", ValueRules.profile)
        draft.enablesModp1024 = bool(top, "enableModp1024")
        draft.peerAuthentication = list(
            top, "authentication", 1...PeerAuthentication.allCases.count, ValueRules.peerAuthentication)
        draft.preSharedKey = text(top, "psk", ValueRules.preSharedKey)
        draft.certificates = certificates(top)
        draft.publicAddress = text(top, "publicAddress", ValueRules.address)
        draft.endpoints = list(top, "endpoints", 0...64, ValueRules.address)
        draft.users = users(top)
        draft.dnsServers = list(top, "dns", 0...2, ValueRules.address)
        draft.nbnsServers = list(top, "nbns", 0...2, ValueRules.address)
        draft.masquerades = bool(top, "masquerade")
        draft.interface = text(top, "interface", ValueRules.interface)
        draft.workers = integer(top, "workers", 0...256)

        let l2tp = section(top, "l2tp", Keys.l2tp)
        draft.network = text(l2tp, "network", ValueRules.network)
        draft.local = text(l2tp, "local", ValueRules.address)
        draft.pool = text(l2tp, "pool", ValueRules.pool)
        draft.hostName = text(l2tp, "hostName", ValueRules.hostName)
        draft.tunnelSecret = text(l2tp, "secret", ValueRules.tunnelSecret)

        let ppp = section(top, "ppp", Keys.ppp)
        // Below 1280 IPv6 cannot live (RFC 8200 5); 1460 is what Ethernet leaves after ESP in UDP, L2TP and PPP at best.
        draft.mtuBytes = integer(ppp, "mtu", 1280...1460)
        draft.authentication = list(
            ppp, "authentication", 1...PPPAuthentication.allCases.count, ValueRules.authentication)

        let log = section(top, "log", Keys.log)
        draft.logLevel = text(log, "level", ValueRules.logLevel)
        draft.limits = limits(top)
        draft.lifetimes = lifetimes(top)
        return draft
    }

    private mutating func limits(_ top: YAMLSection) -> ConfigurationDraft.Limits {
        let section = section(top, "limits", Keys.limits)
        var limits = ConfigurationDraft.Limits()
        limits.sessions = integer(section, "sessions", 1...1_000_000)
        limits.sessionsPerUser = integer(section, "sessionsPerUser", 0...1_000_000)
        // Tunnel and session ids have 16 bits, 0 excepted (RFC 2661 3.1).
        limits.tunnelsPerPeer = integer(section, "tunnelsPerPeer", 1...65_535)
        limits.sessionsPerTunnel = integer(section, "sessionsPerTunnel", 1...65_535)
        limits.halfOpen = integer(section, "halfOpen", 16...1_000_000)
        limits.halfOpenPerAddress = integer(section, "halfOpenPerAddress", 1...1_000_000)
        return limits
    }

    private mutating func certificates(_ top: YAMLSection) -> Setting<ConfigurationDraft.Certificates> {
        guard let (node, place) = top.entry("certificates") else { return .absent }
        guard node.scalar.map(YAMLSection.isNull) != true else { return .absent }
        let section = section(top, "certificates", Keys.certificates)
        let folder = PrivateFile.parent(of: name)
        let path = { (text: String) throws(Refusal) -> String in try ValueRules.path(text, relativeTo: folder) }
        var certificates = ConfigurationDraft.Certificates()
        certificates.authorities = oneOrMore(section, "ca", 1...64, path)
        certificates.certificates = oneOrMore(section, "certificate", 1...8, path)
        certificates.keys = oneOrMore(section, "key", 1...8, path)
        certificates.revocationLists = oneOrMore(section, "crl", 0...64, path)
        certificates.requiresRevocationCheck = bool(section, "requireRevocationCheck")
        certificates.clientIdentities = oneOrMore(section, "clientIdentities", 0...4096, ValueRules.identityPattern)
        certificates.ownIdentity = text(section, "identity", ValueRules.ownIdentity)
        return .given(certificates, place)
    }

    private mutating func lifetimes(_ top: YAMLSection) -> ConfigurationDraft.Lifetimes {
        let section = section(top, "lifetimes", Keys.lifetimes)
        var lifetimes = ConfigurationDraft.Lifetimes()
        lifetimes.ikeSeconds = integer(section, "ikeSeconds", 300...2_592_000)
        lifetimes.ipsecSeconds = integer(section, "ipsecSeconds", 300...2_592_000)
        // Life durations of four bytes are what every peer understands (RFC 2407 4.5).
        lifetimes.ipsecKilobytes = integer(section, "ipsecKilobytes", 0...4_294_967_295)
        return lifetimes
    }

    private mutating func users(_ top: YAMLSection) -> Setting<[ConfigurationDraft.User]> {
        guard let (node, place) = top.entry("users") else { return .absent }
        let allowed = "a list of {name, password, address}"
        guard case .sequence(let sequence) = node, !sequence.isEmpty else {
            let problem = node.sequence == nil ? "is \(YAMLSection.kind(of: node)), not a list" : "has nobody in it"
            issues.append(place.issue(problem, allowed: allowed))
            return .refused
        }
        var users: [ConfigurationDraft.User] = []
        for (index, element) in sequence.enumerated() {
            let path = "users[\(index)]"
            let section = YAMLSection(
                element, file: name, path: path, line: element.mark?.line ?? top.line,
                keys: Keys.user, issues: &issues)
            guard let section else {
                users.append(.init(name: .refused, password: .refused, address: .refused))
                continue
            }
            var user = ConfigurationDraft.User()
            user.name = required(section, "name", ValueRules.userName)
            user.password = required(section, "password", ValueRules.password)
            user.address = text(section, "address", ValueRules.address)
            users.append(user)
        }
        return .given(users, place)
    }
}

// MARK: - One setting

extension ConfigurationFile {
    /// The section `key`, empty where it is not given.
    private mutating func section(_ parent: YAMLSection, _ key: String, _ keys: [String]) -> YAMLSection {
        let path = YAMLSection.join(parent.path, key)
        guard let (node, place) = parent.entry(key), case .file(_, let line) = place.source else {
            return .empty(file: name, path: path, line: parent.line)
        }
        return YAMLSection(node, file: name, path: path, line: line, keys: keys, issues: &issues)
            ?? .empty(file: name, path: path, line: line)
    }

    /// A setting whose text, exactly as it is written, is a value by `rule`.
    ///
    /// A number or `yes` is taken as the text that it is: `password: 0042` is the password 0042.
    private mutating func text<Value>(
        _ section: YAMLSection, _ key: String, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<Value> {
        guard let (node, place) = section.entry(key) else { return .absent }
        return value(node, place, rule)
    }

    /// The same, for a setting that must not be left out.
    private mutating func required<Value>(
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

    private mutating func value<Value>(
        _ node: Node, _ place: SettingPlace, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<Value> {
        do throws(Refusal) {
            guard let scalar = node.scalar else {
                throw Refusal(problem: "is \(YAMLSection.kind(of: node))", allowed: "one value, as text")
            }
            return .given(try rule(YAMLSection.isNull(scalar) ? "" : scalar.string), place)
        } catch {
            issues.append(place.issue(error))
            return .refused
        }
    }

    private mutating func bool(_ section: YAMLSection, _ key: String) -> Setting<Bool> {
        guard let (node, place) = section.entry(key) else { return .absent }
        if let scalar = node.scalar, scalar.style == .plain {
            if scalar.string == "true" { return .given(true, place) }
            if scalar.string == "false" { return .given(false, place) }
        }
        issues.append(place.issue("is \(YAMLSection.kind(of: node)), not true or false", allowed: "true, false"))
        return .refused
    }

    private mutating func integer(_ section: YAMLSection, _ key: String, _ range: ClosedRange<Int>) -> Setting<Int> {
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
    private mutating func oneOrMore<Value: Hashable & Sendable>(
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
    private mutating func list<Value: Hashable & Sendable>(
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
            guard let value = value(element, elementPlace, rule).value else {
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

// MARK: - What is not YAML at all

extension ConfigurationFile {
    /// What Yams found wrong, in our form.
    private static func issue(_ error: any Error, name: String, text: String) -> ConfigurationIssue {
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
