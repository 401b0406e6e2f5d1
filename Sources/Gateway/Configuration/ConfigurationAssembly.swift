import Cryptography
import ESP
import IKE
import IO
import Logging
import Wire

/// Puts a draft together: fills in the defaults and checks what no single setting can be checked for.
struct ConfigurationAssembly {
    let draft: ConfigurationDraft
    /// What is legal but suspicious.
    var warnings: [ConfigurationIssue] = []
    /// Where to say that something is missing.
    private let missingSource: ConfigurationSource
    var issues: [ConfigurationIssue]

    static let networkDefault = IPv4Network(IPv4Address(192, 168, 42, 0), prefixLength: 24)
    static let mtuBytesDefault = 1400
    static let interfaceDefault = "culvert0"
    static let hostNameDefault = "culvert"

    /// The configuration that `draft` describes.
    ///
    /// - Parameters:
    ///   - issues: What is already known to be wrong.
    ///   - file: The name of the file that was read, if one was; without, the gateway serves clients that expect to reach
    ///     everything at once, so masquerading is on.
    static func assemble(
        _ draft: ConfigurationDraft, issues: [ConfigurationIssue], file: String?
    ) throws(ConfigurationError) -> (configuration: GatewayConfiguration, warnings: [ConfigurationIssue]) {
        let source = file.map { ConfigurationSource.file($0, line: 1) } ?? .environment
        var assembly = ConfigurationAssembly(draft: draft, missingSource: source, issues: issues)
        let configuration = assembly.configuration(masqueradesDefault: file == nil)
        guard let configuration, assembly.issues.isEmpty else { throw ConfigurationError(assembly.issues) }
        return (configuration, assembly.warnings)
    }

    private init(draft: ConfigurationDraft, missingSource: ConfigurationSource, issues: [ConfigurationIssue]) {
        (self.draft, self.missingSource, self.issues) = (draft, missingSource, issues)
    }

    private mutating func configuration(masqueradesDefault: Bool) -> GatewayConfiguration? {
        let l2tp = l2tpSettings()
        let users = users(l2tp)
        let policy = policyForAll()
        let rules = rules(policy)
        let tunnels = tunnels(policy)
        let securityPolicy = policyDocument()
        let methods =
            ([policy] + rules.map(\.policy)).flatMap(\.authentication)
            + securityPolicy.rules.flatMap(\.authentication).map { PeerAuthentication($0) }
        let keys = preSharedKeys()
        let aggressiveMode = aggressiveMode(methods)
        if draft.preSharedKey.isAbsent, draft.keys.isAbsent, aggressiveMode.groups.isEmpty, methods.contains(.psk) {
            missing("psk", "VPN_IPSEC_PSK", "a pre-shared key")
        }
        if case .given(_, let place) = draft.keys, !methods.contains(.psk) {
            warnings.append(place.issue("is not used, for authentication does not name psk"))
        }
        let certificates = certificates(methods, policy.profile)
        let limits = limits()
        let api = operatorAPI()
        guard let l2tp, let users, issues.isEmpty else { return nil }
        let configuration = GatewayConfiguration(
            policy: policy,
            rules: rules,
            tunnels: tunnels,
            preSharedKey: methods.contains(.psk) ? draft.preSharedKey.value : nil,
            keys: keys,
            aggressiveMode: aggressiveMode,
            certificates: certificates,
            securityPolicy: securityPolicy,
            publicAddress: draft.publicAddress.value,
            endpoints: draft.endpoints.value ?? [],
            users: users,
            l2tp: l2tp,
            ppp: .init(
                mtuBytes: draft.mtuBytes.value ?? Self.mtuBytesDefault,
                authentication: draft.authentication.value ?? [.mschapv2, .chap, .pap]),
            dnsServers: draft.dnsServers.value ?? ConfigurationEnvironment.dnsServersDefault,
            nbnsServers: draft.nbnsServers.value ?? [],
            masquerades: draft.masquerades.value ?? masqueradesDefault,
            interface: draft.interface.value ?? Self.interfaceDefault,
            workers: draft.workers.value ?? 0,
            offloads: draft.offloads.value.map { $0.reduce(.none) { $0.union($1) } } ?? .all,
            logLevel: draft.logLevel.value ?? .info,
            limits: limits, rateLimits: draft.rateLimit.limits(or: .none), api: api)
        return isCarriedOut(securityPolicy, by: configuration) ? configuration : nil
    }

    /// Whether the gateway has what the policy's rules ask for.
    private mutating func isCarriedOut(_ policy: PolicyDocument, by configuration: GatewayConfiguration) -> Bool {
        do throws(PolicyTableError) {
            _ = try ActivePolicy(policy, in: configuration.policyEnvironment, of: configuration)
            return true
        } catch {
            let place = draft.securityPolicy.place ?? SettingPlace(source: missingSource, key: "policy")
            issues.append(place.issue(error.description))
            return false
        }
    }

    mutating func missing(_ key: String, _ variable: String, _ allowed: String) {
        if case .environment = missingSource {
            issues.append(.init(source: .environment, key: variable, problem: "is missing", allowed: allowed))
        } else {
            issues.append(
                .init(
                    source: missingSource, key: key, problem: "is missing",
                    allowed: "\(allowed), here or in \(variable)"))
        }
    }

    private mutating func limits() -> GatewayConfiguration.Limits {
        let perUser = draft.limits.sessionsPerUser.value ?? 0
        let halfOpen = draft.limits.halfOpen.value ?? 4096
        // An office behind one address dials in at once after a power cut; an attacker has only one share.
        let perAddress = draft.limits.halfOpenPerAddress.value ?? min(256, halfOpen)
        if perAddress > halfOpen, let place = draft.limits.halfOpenPerAddress.place {
            issues.append(place.issue("\(perAddress) is more than halfOpen has", allowed: "\(halfOpen) at most"))
        }
        return .init(
            sessions: draft.limits.sessions.value ?? 10_000,
            sessionsPerUser: perUser == 0 ? nil : perUser,
            tunnelsPerPeer: draft.limits.tunnelsPerPeer.value ?? 8,
            sessionsPerTunnel: draft.limits.sessionsPerTunnel.value ?? 8,
            halfOpenExchanges: halfOpen,
            halfOpenExchangesPerAddress: perAddress)
    }
}
