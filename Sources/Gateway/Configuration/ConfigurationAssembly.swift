import Cryptography
import IKE
import IO
import Logging
import Wire

/// Puts a draft together: fills in the defaults and checks what no single setting can be checked for.
struct ConfigurationAssembly {
    private let draft: ConfigurationDraft
    /// What is legal but suspicious.
    private var warnings: [ConfigurationIssue] = []
    /// Where to say that something is missing.
    private let missingSource: ConfigurationSource
    private var issues: [ConfigurationIssue]

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
        let profile = draft.profile.value ?? .default
        checkProfile(profile)
        let l2tp = l2tpSettings()
        let users = users(l2tp)
        let authentication = authentication()
        if draft.preSharedKey.isAbsent, authentication.contains(.psk) {
            missing("psk", "VPN_IPSEC_PSK", "a pre-shared key")
        }
        let certificates = certificates(authentication, profile)
        let limits = limits()
        guard let l2tp, let users, issues.isEmpty else { return nil }
        return GatewayConfiguration(
            profile: profile,
            enablesModp1024: profile == .legacy || draft.enablesModp1024.value == true,
            authentication: authentication,
            preSharedKey: authentication.contains(.psk) ? draft.preSharedKey.value : nil,
            certificates: certificates,
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
            logLevel: draft.logLevel.value ?? .info,
            limits: limits,
            lifetimes: lifetimes())
    }

    private mutating func missing(_ key: String, _ variable: String, _ allowed: String) {
        if case .environment = missingSource {
            issues.append(.init(source: .environment, key: variable, problem: "is missing", allowed: allowed))
        } else {
            issues.append(
                .init(
                    source: missingSource, key: key, problem: "is missing",
                    allowed: "\(allowed), here or in \(variable)"))
        }
    }

    private mutating func checkProfile(_ profile: SecurityProfile) {
        guard profile == .modern, case .given(true, let place) = draft.enablesModp1024 else { return }
        issues.append(
            place.issue("contradicts the profile modern, which has no group below 3072 bits", allowed: "false"))
    }

    private func lifetimes() -> GatewayConfiguration.Lifetimes {
        // A day, so that the client's own, shorter lifetime decides when to rekey: who rekeys on both ends at once only
        // makes collisions. Windows rekeys IPsec after 1 h, macOS after 1 h, Android after 8 h.
        let ike = draft.lifetimes.ikeSeconds.value ?? 86_400
        let ipsec = draft.lifetimes.ipsecSeconds.value ?? 86_400
        let kilobytes = draft.lifetimes.ipsecKilobytes.value ?? 0
        return .init(
            ike: .seconds(ike), ipsec: .seconds(ipsec), ipsecKilobytes: kilobytes == 0 ? nil : UInt64(kilobytes))
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

// MARK: - Who may come in by IKE

extension ConfigurationAssembly {
    /// Certificates first where there are any: whoever has one shall not need the key that everybody knows.
    private mutating func authentication() -> [PeerAuthentication] {
        if let given = draft.peerAuthentication.value { return given }
        guard !draft.certificates.isAbsent else { return [.psk] }
        return draft.preSharedKey.isAbsent ? [.certificate] : [.certificate, .psk]
    }

    private mutating func certificates(
        _ authentication: [PeerAuthentication], _ profile: SecurityProfile
    ) -> CertificateConfiguration? {
        guard case .given(let section, let place) = draft.certificates else {
            if authentication.contains(.certificate), let place = draft.peerAuthentication.place {
                issues.append(
                    place.issue("names certificates, and there are none", allowed: "psk, or a section certificates"))
            }
            return nil
        }
        guard authentication.contains(.certificate) else {
            warnings.append(place.issue("is not used, for authentication does not name it"))
            return nil
        }
        let inner = { (key: String) in SettingPlace(source: place.source, key: "certificates.\(key)") }
        let required = [
            ("ca", section.authorities, "the authorities' certificates: files or folders"),
            ("certificate", section.certificates, "the gateway's own certificate"),
            ("key", section.keys, "the private key of the gateway's certificate"),
        ]
        for (key, setting, allowed) in required where setting.isAbsent {
            issues.append(inner(key).issue("is missing", allowed: allowed))
        }
        guard let authorities = section.authorities.value, let own = section.certificates.value,
            let keys = section.keys.value, !section.revocationLists.isRefused, !section.clientIdentities.isRefused
        else { return nil }
        guard own.count == keys.count else {
            issues.append(
                (section.keys.place ?? inner("key")).issue(
                    "has \(keys.count) for \(own.count) certificates", allowed: "one key per certificate"))
            return nil
        }
        var files = CertificateFiles()
        (files.authorities, files.certificates, files.keys) = (authorities, own, keys)
        files.revocationLists = section.revocationLists.value ?? []
        files.requiresRevocationCheck = section.requiresRevocationCheck.value ?? false
        files.clientIdentities = section.clientIdentities.value ?? []
        files.ownIdentity = section.ownIdentity.value ?? .distinguishedName
        files.strength = profile == .legacy ? .legacy : .modern
        if files.requiresRevocationCheck, files.revocationLists.isEmpty {
            issues.append(
                inner("crl").issue("is missing, and requireRevocationCheck needs it", allowed: "files or folders"))
            return nil
        }
        return load(files, section, inner)
    }

    private mutating func load(
        _ files: CertificateFiles, _ section: ConfigurationDraft.Certificates, _ inner: (String) -> SettingPlace
    ) -> CertificateConfiguration? {
        let places = [
            "ca": section.authorities.place, "certificate": section.certificates.place, "key": section.keys.place,
            "crl": section.revocationLists.place,
        ]
        func place(_ key: String) -> SettingPlace { (places[key] ?? nil) ?? inner(key) }
        do throws(CertificateFiles.Failure) {
            let (loaded, found) = try files.load(wallSeconds: SystemClock.wallSeconds)
            for warning in found { warnings.append(place(warning.key).issue(warning.problem)) }
            return CertificateConfiguration(files: files, loaded: loaded)
        } catch {
            issues.append(place(error.key).issue(error.problem))
            return nil
        }
    }
}

// MARK: - The inner network

extension ConfigurationAssembly {
    private mutating func l2tpSettings() -> GatewayConfiguration.L2TPSettings? {
        // What is wrong by itself has been said; comparing the rest with a default would only add noise.
        guard !draft.network.isRefused, !draft.local.isRefused, !draft.pool.isRefused,
            let network = draft.network.value ?? Self.networkDefault
        else { return nil }
        let local = draft.local.value ?? IPv4Address(network.address.value + 1)
        let pool = draft.pool.value ?? Self.poolDefault(network)
        let found = issues.count
        checkInside(local, network, draft.local.place)
        for end in [pool.lowerBound, pool.upperBound] { checkInside(end, network, draft.pool.place) }
        if pool.contains(local), issues.count == found {
            let place = draft.local.place ?? draft.pool.place ?? Self.builtIn("l2tp.pool")
            issues.append(
                place.issue(
                    "the gateway's own address \(local) lies in the pool \(text(pool))",
                    allowed: "an address of \(network) outside the pool"))
        }
        guard issues.count == found else { return nil }
        return .init(
            network: network, local: local, pool: pool,
            hostName: draft.hostName.value ?? Self.hostNameDefault, secret: draft.tunnelSecret.value)
    }

    /// `.10` to `.250` of a network like 192.168.42.0/24; all but the gateway's address in a small one.
    private static func poolDefault(_ network: IPv4Network) -> ClosedRange<IPv4Address> {
        let (first, last) = (network.address.value, network.last.value)
        return network.prefixLength <= 26
            ? IPv4Address(first + 10)...IPv4Address(last - 5) : IPv4Address(first + 2)...IPv4Address(last - 1)
    }

    private mutating func checkInside(_ address: IPv4Address, _ network: IPv4Network, _ place: SettingPlace?) {
        let place = place ?? draft.network.place ?? Self.builtIn("l2tp.network")
        let first = IPv4Address(network.address.value + 1)
        let last = IPv4Address(network.last.value - 1)
        if !network.contains(address) {
            issues.append(place.issue("\(address) is not inside \(network)", allowed: "\(first) to \(last)"))
        } else if address < first || address > last {
            issues.append(
                place.issue("\(address) is the first or last of \(network), no host's", allowed: "\(first) to \(last)"))
        }
    }

    private static func builtIn(_ key: String) -> SettingPlace { SettingPlace(source: .builtIn, key: key) }

    private func text(_ range: ClosedRange<IPv4Address>) -> String { "\(range.lowerBound)-\(range.upperBound)" }
}

// MARK: - Users

extension ConfigurationAssembly {
    private mutating func users(_ l2tp: GatewayConfiguration.L2TPSettings?) -> [GatewayConfiguration.User]? {
        guard case .given(let drafts, _) = draft.users else {
            if draft.users.isAbsent { missing("users", "VPN_USER and VPN_PASSWORD", "at least one user") }
            return nil
        }
        var names: [String: SettingPlace] = [:]
        var addresses: [IPv4Address: SettingPlace] = [:]
        var users: [GatewayConfiguration.User] = []
        for user in drafts {
            if case .given(let name, let place) = user.name {
                if let first = names[name] {
                    issues.append(
                        place.issue(
                            "\(ValueRules.quoted(name)) is there already: \(first.source) \(first.key)",
                            allowed: "each name once"))
                }
                names[name] = names[name] ?? place
            }
            if case .given(let address, let place) = user.address, let l2tp {
                checkFixed(address, place, l2tp, addresses[address])
                addresses[address] = addresses[address] ?? place
            }
            guard let name = user.name.value, let password = user.password.value else { continue }
            users.append(.init(name: name, password: password, address: user.address.value))
        }
        return users.count == drafts.count ? users : nil
    }

    private mutating func checkFixed(
        _ address: IPv4Address, _ place: SettingPlace, _ l2tp: GatewayConfiguration.L2TPSettings, _ first: SettingPlace?
    ) {
        checkInside(address, l2tp.network, place)
        if address == l2tp.local {
            issues.append(place.issue("\(address) is the gateway's own", allowed: "any other of \(l2tp.network)"))
        }
        if let first {
            issues.append(
                place.issue(
                    "\(address) is somebody's already: \(first.source) \(first.key)", allowed: "each address once"))
        }
    }
}
