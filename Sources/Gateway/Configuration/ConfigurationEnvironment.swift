import Cryptography
import Wire

/// Reads the environment, in the names that users of the common L2TP/IPsec containers know.
struct ConfigurationEnvironment {
    private var variables: [String: String] = [:]
    private(set) var issues: [ConfigurationIssue] = []
    private(set) var warnings: [ConfigurationIssue] = []

    /// The variables that set something.
    static let names: Set<String> = [
        "VPN_IPSEC_PSK", "VPN_USER", "VPN_PASSWORD", "VPN_ADDL_USERS", "VPN_ADDL_PASSWORDS", "VPN_DNS_SRV1",
        "VPN_DNS_SRV2", "VPN_PUBLIC_IP", "VPN_L2TP_NET", "VPN_L2TP_LOCAL", "VPN_L2TP_POOL", "VPN_ENABLE_MODP1024",
        "CULVERT_PROFILE",
    ]

    /// What to say of variables that set something in other containers.
    private static let foreignNames = [
        "VPN_ANDROID_MTU_FIX": "is not needed here, TCP's segment size is always clamped",
        "VPN_ADDL_IP_ADDRS": "is ignored; fixed addresses are given as users[].address in a configuration file",
        "VPN_ENABLE_MODP1536": "is ignored; CULVERT_PROFILE=legacy serves clients that old",
        "VPN_DISABLE_IPSEC_L2TP": "is ignored: L2TP is what this gateway does",
    ]

    /// The DNS servers that clients are told when nobody says otherwise.
    static let dnsServersDefault = [IPv4Address(8, 8, 8, 8), IPv4Address(8, 8, 4, 4)]

    /// What the variables say, what is wrong with them, and what is suspicious.
    static func read(
        _ environment: [String: String]
    ) -> (draft: ConfigurationDraft, issues: [ConfigurationIssue], warnings: [ConfigurationIssue]) {
        var reader = ConfigurationEnvironment()
        for (name, value) in environment where name.hasPrefix("VPN_") || name.hasPrefix("CULVERT_") {
            // An empty variable is one that a template left empty: not given.
            let clean = unquoted(value)
            if !clean.isEmpty { reader.variables[name] = clean }
        }
        let draft = reader.draft()
        reader.warnOfForeignNames()
        return (draft, reader.issues, reader.warnings)
    }

    /// Without blanks around, and without one pair of quotes, which `docker run --env-file` leaves in place.
    static func unquoted(_ text: String) -> String {
        let text = ValueRules.trimmed(text)
        for quote in ["\"", "'"] where text.count >= 2 && text.hasPrefix(quote) && text.hasSuffix(quote) {
            return String(text.dropFirst().dropLast())
        }
        return text
    }

    private mutating func draft() -> ConfigurationDraft {
        var draft = ConfigurationDraft()
        draft.policy.profile = setting("CULVERT_PROFILE", ValueRules.profile)
        draft.enablesModp1024 = enablesModp1024()
        draft.preSharedKey = setting("VPN_IPSEC_PSK", ValueRules.preSharedKey)
        draft.publicAddress = setting("VPN_PUBLIC_IP", ValueRules.address)
        draft.users = users()
        draft.network = setting("VPN_L2TP_NET", ValueRules.network)
        draft.local = setting("VPN_L2TP_LOCAL", ValueRules.address)
        draft.pool = setting("VPN_L2TP_POOL", ValueRules.pool)
        draft.dnsServers = dnsServers()
        return draft
    }

    private static func place(_ name: String) -> SettingPlace { SettingPlace(source: .environment, key: name) }

    private mutating func setting<Value>(
        _ name: String, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<Value> {
        guard let text = variables[name] else { return .absent }
        return setting(text, Self.place(name), rule)
    }

    private mutating func setting<Value>(
        _ text: String, _ place: SettingPlace, _ rule: (String) throws(Refusal) -> Value
    ) -> Setting<Value> {
        do throws(Refusal) {
            return .given(try rule(text), place)
        } catch {
            issues.append(place.issue(error))
            return .refused
        }
    }

    /// `yes` in any case; what users of other containers wrote there beside it never did anything, and does not here.
    private mutating func enablesModp1024() -> Setting<Bool> {
        let place = Self.place("VPN_ENABLE_MODP1024")
        guard let text = variables[place.key]?.lowercased() else { return .absent }
        if text != "yes", text != "no" {
            warnings.append(place.issue("\(ValueRules.quoted(text)) is taken for no", allowed: "yes, no"))
        }
        return .given(text == "yes", place)
    }

    private mutating func users() -> Setting<[ConfigurationDraft.User]> {
        let found = issues.count
        var users: [ConfigurationDraft.User] = []
        switch (variables["VPN_USER"], variables["VPN_PASSWORD"]) {
        case (nil, nil): break
        case (_?, nil):
            issues.append(Self.place("VPN_PASSWORD").issue("is missing", allowed: "the password of VPN_USER"))
        case (nil, _?):
            issues.append(Self.place("VPN_USER").issue("is missing", allowed: "the name that VPN_PASSWORD belongs to"))
        case (let name?, let password?):
            users.append(
                user(name, Self.place("VPN_USER"), password, Self.place("VPN_PASSWORD")))
        }
        users += additionalUsers()
        guard issues.count == found else { return .refused }
        guard let place = users.first?.name.place else { return .absent }
        return .given(users, place)
    }

    private mutating func additionalUsers() -> [ConfigurationDraft.User] {
        let names = words("VPN_ADDL_USERS")
        let passwords = words("VPN_ADDL_PASSWORDS")
        guard names.count == passwords.count else {
            issues.append(
                Self.place("VPN_ADDL_PASSWORDS").issue(
                    "has \(passwords.count) passwords for the \(names.count) names in VPN_ADDL_USERS",
                    allowed: "as many passwords as names, blanks between them"))
            return []
        }
        var users: [ConfigurationDraft.User] = []
        for (index, (name, password)) in zip(names, passwords).enumerated() {
            let place = { (name: String) in Self.place("\(name)[\(index)]") }
            users.append(user(name, place("VPN_ADDL_USERS"), password, place("VPN_ADDL_PASSWORDS")))
        }
        return users
    }

    private mutating func user(
        _ name: String, _ namePlace: SettingPlace, _ password: String, _ passwordPlace: SettingPlace
    ) -> ConfigurationDraft.User {
        .init(
            name: setting(name, namePlace, ValueRules.userName),
            password: setting(password, passwordPlace, ValueRules.password))
    }

    private func words(_ name: String) -> [String] {
        (variables[name] ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
    }

    /// Either variable alone does what it does in the containers that have it: the first alone is the only server, the
    /// second alone goes with the first default.
    private mutating func dnsServers() -> Setting<[IPv4Address]> {
        let first = setting("VPN_DNS_SRV1", ValueRules.address)
        let second = setting("VPN_DNS_SRV2", ValueRules.address)
        if first.isRefused || second.isRefused { return .refused }
        switch (first, second) {
        case (.given(let first, let place), .given(let second, _)):
            return .given(first == second ? [first] : [first, second], place)
        case (.given(let first, let place), _): return .given([first], place)
        case (_, .given(let second, let place)):
            let first = Self.dnsServersDefault[0]
            return .given(first == second ? [first] : [first, second], place)
        default: return .absent
        }
    }

    private mutating func warnOfForeignNames() {
        for name in variables.keys.sorted() where !Self.names.contains(name) {
            let problem = Self.foreignNames[name] ?? "is not a variable that this gateway knows; it is ignored"
            warnings.append(Self.place(name).issue(problem))
        }
    }
}
