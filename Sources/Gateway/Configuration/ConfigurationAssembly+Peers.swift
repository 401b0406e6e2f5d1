import Cryptography
import IKE
import Wire

/// Policies, rules and keys of IKE.
extension ConfigurationAssembly {
    // MARK: - Policies

    /// What counts for everybody whom no rule names.
    mutating func policyForAll() -> GatewayConfiguration.PeerPolicy {
        var base = GatewayConfiguration.PeerPolicy(
            profile: .default, authentication: authenticationDefault, ike: IKEPolicy(.default))
        base.ike.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(60))
        // Clients dial in with keys that live for a day, so that the client's own, shorter lifetime decides when to rekey:
        // who rekeys on both ends at once only makes collisions. Windows rekeys IPsec after 1 h, Android after 8 h.
        var policy = policy(draft.policy, from: base)
        if case .given(true, let place) = draft.enablesModp1024 {
            checkModp1024(policy, place)
            policy.ike.enableModp1024()
        }
        return policy
    }

    /// Certificates first where there are any: whoever has one shall not need the key that everybody knows.
    private var authenticationDefault: [PeerAuthentication] {
        guard !draft.certificates.isAbsent else { return [.psk] }
        let isWithoutGroups = draft.aggressiveMode.value?.groups.isAbsent ?? true
        let isWithoutKeys = draft.preSharedKey.isAbsent && draft.keys.isAbsent && isWithoutGroups
        return isWithoutKeys ? [.certificate] : [.certificate, .psk]
    }

    private mutating func checkModp1024(_ policy: GatewayConfiguration.PeerPolicy, _ place: SettingPlace) {
        if draft.policy.ike.value?.groups.value?.contains(.modp1024) == false {
            issues.append(
                place.issue("contradicts ike.groups, which leaves it out", allowed: "false, or modp1024 in ike.groups"))
        } else if policy.profile == .modern {
            issues.append(
                place.issue("contradicts the profile modern, which has no group below 3072 bits", allowed: "false"))
        }
    }

    /// What `draft` names in the place of what `base` has. A profile brings all of its algorithms with it.
    mutating func policy(
        _ draft: ConfigurationDraft.Policy, from base: GatewayConfiguration.PeerPolicy
    ) -> GatewayConfiguration.PeerPolicy {
        var policy = base
        if let profile = draft.profile.value {
            policy.profile = profile
            policy.ike.phaseOne = PhaseOneAlgorithms(profile)
            // A profile is about ESP's lists, and leaves alone what no profile has.
            let lists = PhaseTwoAlgorithms(profile)
            (policy.ike.phaseTwo.ciphers, policy.ike.phaseTwo.integrities) = (lists.ciphers, lists.integrities)
            policy.ike.phaseTwo.allowsNoIntegrity = false
        }
        if let authentication = draft.authentication.value { policy.authentication = authentication }
        policy.ike.authenticationMethods = policy.authentication.flatMap { kind -> [PhaseOneAuthenticationMethod] in
            kind == .psk ? [.preSharedKey] : PhaseOneAuthenticationMethod.allCases.filter(\.isSignature)
        }
        if let ike = draft.ike.value {
            policy.ike.phaseOne.ciphers = ike.ciphers.value ?? policy.ike.phaseOne.ciphers
            policy.ike.phaseOne.hashes = ike.hashes.value ?? policy.ike.phaseOne.hashes
            policy.ike.phaseOne.groups = ike.groups.value ?? policy.ike.phaseOne.groups
        }
        if let esp = draft.esp.value {
            policy.ike.phaseTwo.ciphers = esp.ciphers.value ?? policy.ike.phaseTwo.ciphers
            if case .given(let integrities, let place) = esp.integrities {
                policy.ike.phaseTwo.integrities = integrities.compactMap(\.self)
                policy.ike.phaseTwo.allowsNoIntegrity = integrities.contains(nil)
                let ciphers = policy.ike.phaseTwo.ciphers
                if integrities == [nil], ciphers.contains(.null) {
                    issues.append(
                        place.issue(
                            "leaves nothing at all for the cipher null", allowed: "an algorithm beside none"))
                }
            }
            policy.ike.phaseTwo.compression = esp.compression.value ?? policy.ike.phaseTwo.compression
            policy.ike.phaseTwo.truncatesSHA256 = esp.truncatesSHA256.value ?? policy.ike.phaseTwo.truncatesSHA256
            if case .given(true, let place) = esp.truncatesSHA256,
                !policy.ike.phaseTwo.integrities.contains(.hmacSHA256)
            {
                issues.append(place.issue("is about sha256, which esp.integrity leaves out", allowed: "false"))
            }
        }
        let header = draft.header.value?.integrities.value
        policy.ike.phaseTwo.headerIntegrities = header ?? policy.ike.phaseTwo.headerIntegrities
        policy.ike.phaseTwo.extendedSequenceNumbers =
            draft.extendedSequenceNumbers.value ?? policy.ike.phaseTwo.extendedSequenceNumbers
        policy.ike.replayWindow = draft.replayWindow.value ?? policy.ike.replayWindow
        if let lifetimes = draft.lifetimes.value { Self.change(&policy.ike.lifetimes, by: lifetimes) }
        if let detection = draft.deadPeerDetection.value {
            policy.ike.deadPeerDetection = Self.changed(policy.ike.deadPeerDetection, by: detection)
        }
        return policy
    }

    private static func change(_ lifetimes: inout IKELifetimes, by draft: ConfigurationDraft.Lifetimes) {
        if let seconds = draft.ikeSeconds.value { lifetimes.ikeMaximumSeconds = UInt64(seconds) }
        if let seconds = draft.ipsecSeconds.value { lifetimes.ipsecMaximumSeconds = UInt64(seconds) }
        if let kilobytes = draft.ipsecKilobytes.value {
            lifetimes.ipsecMaximumKilobytes = kilobytes == 0 ? nil : UInt64(kilobytes)
        }
    }

    private static func changed(
        _ detection: IKEDeadPeerDetection?, by draft: ConfigurationDraft.DeadPeerDetection
    ) -> IKEDeadPeerDetection? {
        guard draft.interval.value != 0 else { return nil }
        var changed = detection ?? IKEDeadPeerDetection(interval: .seconds(60))
        if let interval = draft.interval.value { changed.interval = .seconds(interval) }
        if let attempts = draft.attempts.value { changed.attempts = attempts }
        if let pause = draft.pause.value { changed.pause = .seconds(pause) }
        return changed
    }

    // MARK: - Rules

    /// The rules, each with what it leaves out from `base`.
    mutating func rules(_ base: GatewayConfiguration.PeerPolicy) -> [GatewayConfiguration.Rule] {
        var names: [String: SettingPlace] = [:]
        var networks: [AddressRange: SettingPlace] = [:]
        var rules: [GatewayConfiguration.Rule] = []
        for draft in draft.rules.value ?? [] {
            if case .given(let name, let place) = draft.name { refuseSecond(name, place, &names) }
            if case .given(let own, let place) = draft.networks {
                for network in own { refuseSecond(network, place, &networks) }
            }
            if draft.policy.isEmpty {
                issues.append(
                    draft.place.issue(
                        "says nothing that differs from what counts for all",
                        allowed: ConfigurationFile.Keys.policy.joined(separator: ", ")))
            }
            let policy = policy(draft.policy, from: base)
            guard let name = draft.name.value, let networks = draft.networks.value else { continue }
            rules.append(.init(name: name, networks: networks, policy: policy))
        }
        return rules
    }

    /// Refuses what is given a second time, and says where it was the first.
    mutating func refuseSecond<Value: Hashable>(
        _ value: Value, _ place: SettingPlace, _ places: inout [Value: SettingPlace]
    ) {
        if let first = places[value] {
            issues.append(
                place.issue(
                    "\(ValueRules.quoted("\(value)")) is there already: \(first.source) \(first.key)",
                    allowed: "each once"))
        }
        places[value] = places[value] ?? place
    }

    // MARK: - Pre-shared keys

    /// The keys beside the one for all.
    mutating func preSharedKeys() -> [PreSharedKey] {
        /// Whose a key is.
        struct Owner: Hashable, CustomStringConvertible {
            var identity: String?
            var network: AddressRange?
            var description: String { [identity, network.map { "\($0)" }].compactMap(\.self).joined(separator: ", ") }
        }
        guard case .given(let drafts, let place) = draft.keys else { return [] }
        var owners: [Owner: SettingPlace] = [:]
        var keys: [PreSharedKey] = []
        for draft in drafts {
            if draft.identity.isAbsent, draft.network.isAbsent {
                issues.append(
                    draft.place.issue(
                        "is nobody's: that is what psk is for", allowed: "an identity, a network, or both"))
            } else if !draft.identity.isRefused, !draft.network.isRefused {
                refuseSecond(Owner(identity: draft.identity.value, network: draft.network.value), draft.place, &owners)
            }
            guard let secret = draft.secret.value else { continue }
            keys.append(PreSharedKey(secret, network: draft.network.value, identity: draft.identity.value))
        }
        let most = PreSharedKeys(keys).mostCandidates + (draft.preSharedKey.isAbsent ? 0 : 1)
        if most > PreSharedKeys.candidatesMaximum {
            issues.append(
                place.issue(
                    "has \(most) keys, psk among them, that a peer of one address may have: each costs a try",
                    allowed: "\(PreSharedKeys.candidatesMaximum) at most for an address; give keys a network"))
        }
        return keys
    }

    /// The groups of aggressive mode, and who else may use it. `methods` are those of all policies.
    mutating func aggressiveMode(_ methods: [PeerAuthentication]) -> GatewayConfiguration.AggressiveMode {
        guard case .given(let mode, let place) = draft.aggressiveMode else { return .init() }
        let acceptsAny = mode.acceptsAnyIdentity.value ?? false
        let allowsSignatures = mode.allowsSignatures.value ?? false
        if acceptsAny, let place = mode.acceptsAnyIdentity.place, draft.preSharedKey.isAbsent, draft.keys.isAbsent {
            issues.append(place.issue("needs a key for those", allowed: "false, or psk or keys beside it"))
        }
        if allowsSignatures, let place = mode.allowsSignatures.place, !methods.contains(.certificate) {
            issues.append(place.issue("is not used, for authentication names no certificate", allowed: "false"))
        }
        let isForGroups = mode.groups.isRefused || mode.groups.value?.isEmpty == false || acceptsAny
        if isForGroups, !methods.contains(.psk) {
            issues.append(place.issue("is not used, for authentication does not name psk", allowed: "psk there"))
        }
        if !isForGroups, !allowsSignatures, !mode.acceptsAnyIdentity.isRefused, !mode.allowsSignatures.isRefused {
            issues.append(
                place.issue(
                    "is for nobody",
                    allowed: "a group at least, anyIdentity: true or certificates: true; or leave it out"))
        }
        var names: [String: SettingPlace] = [:]
        var groups: [GatewayConfiguration.Group] = []
        for group in mode.groups.value ?? [] {
            if case .given(let name, let place) = group.name { refuseSecond(name, place, &names) }
            guard let name = group.name.value, let secret = group.secret.value else { continue }
            groups.append(.init(name: name, secret: secret))
        }
        return .init(groups: groups, acceptsAnyIdentity: acceptsAny, allowsSignatures: allowsSignatures)
    }
}
