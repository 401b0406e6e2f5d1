import IO
import Yams

/// Reads the YAML configuration file: every key against its type and its rule, all that is wrong at once.
struct ConfigurationFile {
    /// The largest file that is read; thousands of users fit.
    static let bytesMaximum = 4 << 20

    /// What each mapping may have in it.
    enum Keys {
        static let policy = [
            "profile", "ike", "esp", "ah", "extendedSequenceNumbers", "replayWindow", "authentication", "lifetimes",
            "deadPeerDetection",
        ]
        static let top =
            policy + [
                "enableModp1024", "rules", "tunnels", "psk", "keys", "aggressiveMode", "certificates",
                "publicAddress", "endpoints", "policy",
                "users", "l2tp", "ppp", "dns", "nbns", "masquerade", "interface", "workers", "offloads", "log",
                "limits", "rateLimit",
                "api",
            ]
        static let ike = ["ciphers", "hashes", "groups"]
        static let esp = ["ciphers", "integrity", "truncateSHA256", "compression"]
        static let header = ["integrity"]
        static let deadPeerDetection = ["interval", "attempts", "pause"]
        static let rule = ["name", "networks"] + policy
        static let tunnel =
            [
                "name", "peer", "identity", "source", "local", "remote", "mode", "protocol", "localPort", "remotePort",
                "start", "pfs", "psk", "copyDSCP", "doNotFragment", "metric",
            ] + policy
        static let key = ["psk", "identity", "network"]
        static let aggressiveMode = ["groups", "anyIdentity", "certificates"]
        static let group = ["name", "psk"]
        static let user = ["name", "password", "address", "rateLimit"]
        static let rateLimit = ["fromClient", "toClient"]
        static let l2tp = ["network", "local", "pool", "hostName", "secret"]
        static let ppp = ["mtu", "authentication"]
        static let log = ["level"]
        static let certificates = [
            "ca", "certificate", "key", "crl", "requireRevocationCheck", "ocsp", "clientIdentities", "identity",
            "optional",
        ]
        static let onlineStatus = [
            "responder", "required", "timeoutMilliseconds", "useCertificateURL", "allowedHosts", "intermediates",
        ]
        static let limits = [
            "sessions", "sessionsPerUser", "tunnelsPerPeer", "sessionsPerTunnel", "halfOpen", "halfOpenPerAddress",
        ]
        static let lifetimes = ["ikeSeconds", "ipsecSeconds", "ipsecKilobytes"]
    }

    /// Every key there is, in whichever mapping.
    static let everyKey =
        [
            Keys.top, Keys.ike, Keys.esp, Keys.header, Keys.lifetimes, Keys.deadPeerDetection, Keys.rule, Keys.tunnel,
            Keys.key, Keys.aggressiveMode, Keys.group, Keys.certificates, Keys.onlineStatus, Keys.user, Keys.rateLimit,
            Keys.l2tp,
            Keys.ppp, Keys.log, Keys.limits,
            APIKeys.section, APIKeys.token, Array(PolicyKeys.all),
        ].joined()

    let name: String
    var issues: [ConfigurationIssue] = []

    private init(name: String) { self.name = name }

    /// What `text`, the contents of the file `name`, says, and what is wrong with it; no draft where it cannot be told what
    /// the file says at all.
    static func read(_ text: String, name: String) -> (draft: ConfigurationDraft?, issues: [ConfigurationIssue]) {
        var file = ConfigurationFile(name: name)
        let draft = file.draft(text)
        return (draft, file.issues)
    }

    /// What `text` says of packets, a file with `policy` alone in it.
    static func readPolicy(_ text: String, name: String) -> (draft: Setting<PolicyDraft>, issues: [ConfigurationIssue])
    {
        var file = ConfigurationFile(name: name)
        guard let root = file.root(text) else { return (.absent, file.issues) }
        let top = YAMLSection(
            root, file: name, path: "", line: root.mark?.line ?? 1, keys: ["policy"], issues: &file.issues)
        let draft = top.map { file.securityPolicy($0) } ?? .refused
        return (draft, file.issues)
    }

    /// The file's contents; nil where it is no YAML, or says nothing.
    private mutating func root(_ text: String) -> Node? {
        do {
            // The encoding is given, for Yams would otherwise ask the environment for it.
            let root = try Yams.compose(yaml: text, .default, .default, .utf8)
            return root?.scalar.map(YAMLSection.isNull) == true ? nil : root
        } catch {
            issues.append(Self.issue(error, name: name, text: text))
            return nil
        }
    }

    private mutating func draft(_ text: String) -> ConfigurationDraft? {
        // A file of comments alone says nothing, which is legal: the environment and the defaults say the rest.
        guard let root = root(text) else { return issues.isEmpty ? ConfigurationDraft() : nil }
        let line = root.mark?.line ?? 1
        guard
            let top = YAMLSection(root, file: name, path: "", line: line, keys: Keys.top, issues: &issues)
        else { return nil }
        return draft(top)
    }

    private mutating func draft(_ top: YAMLSection) -> ConfigurationDraft {
        var draft = ConfigurationDraft()
        draft.policy = policy(top)
        draft.enablesModp1024 = bool(top, "enableModp1024")
        draft.rules = rules(top)
        draft.tunnels = tunnels(top)
        draft.preSharedKey = preSharedKey(top, "psk")
        draft.keys = keys(top)
        draft.aggressiveMode = aggressiveMode(top)
        draft.certificates = certificates(top)
        draft.securityPolicy = securityPolicy(top)
        draft.publicAddress = text(top, "publicAddress", ValueRules.address)
        draft.endpoints = list(top, "endpoints", 0...64, ValueRules.outerAddress)
        draft.users = users(top)
        draft.dnsServers = list(top, "dns", 0...2, ValueRules.address)
        draft.nbnsServers = list(top, "nbns", 0...2, ValueRules.address)
        draft.masquerades = bool(top, "masquerade")
        draft.interface = text(top, "interface", ValueRules.interface)
        draft.workers = integer(top, "workers", 0...256)
        draft.offloads = list(top, "offloads", 0...Offloads.named.count, ValueRules.offload)

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
        draft.rateLimit = rateLimit(top)
        draft.api = operatorAPI(top)
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

    private mutating func rateLimit(_ parent: YAMLSection) -> ConfigurationDraft.RateLimit {
        let section = section(parent, "rateLimit", Keys.rateLimit)
        var limit = ConfigurationDraft.RateLimit()
        limit.fromClient = text(section, "fromClient", ValueRules.rate)
        limit.toClient = text(section, "toClient", ValueRules.rate)
        return limit
    }

    private mutating func users(_ top: YAMLSection) -> Setting<[ConfigurationDraft.User]> {
        mappings(top, "users", Keys.user, 1...100_000) { file, section in
            var user = ConfigurationDraft.User()
            user.name = file.required(section, "name", ValueRules.userName)
            user.password = file.required(section, "password", ValueRules.password)
            user.address = file.text(section, "address", ValueRules.address)
            user.rateLimit = file.rateLimit(section)
            return user
        }
    }
}
