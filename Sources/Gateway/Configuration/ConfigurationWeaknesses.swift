import Cryptography
import ESP
import IKE
import Wire

/// What is legal, but weaker or more fragile than its author may think: one line each.
extension GatewayConfiguration {
    /// The weaknesses of what `draft` chose, at the setting that chose them.
    func weaknesses(_ draft: ConfigurationDraft) -> [ConfigurationIssue] {
        var warnings = Self.keyWeaknesses(draft)
        // What a rule has from above is said there.
        warnings += ([draft.policy] + (draft.rules.value ?? []).map(\.policy)).flatMap(Self.policyWeaknesses)
        if case .given(let policy, _) = draft.securityPolicy, let place = policy.use.place {
            switch securityPolicy.use {
            case .client, .server: warnings.append(place.issue("lets clients without IPsec in, in clear"))
            case .secureServer, nil: break
            }
        }
        for (rule, draft) in zip(securityPolicy.rules, draft.securityPolicy.value?.rules.value ?? []) {
            warnings += Self.ruleWeaknesses(rule, draft)
        }
        for action in draft.securityPolicy.value?.filterActions.value ?? [] {
            for method in action.methods.value ?? [] {
                if case .given(.some(.des), let place) = method.encryption {
                    warnings.append(place.issue("is broken in hours"))
                }
            }
        }
        if case .given(let mode, let place) = draft.aggressiveMode {
            if !aggressiveMode.groups.isEmpty || aggressiveMode.acceptsAnyIdentity {
                warnings.append(
                    place.issue(
                        "shows whoever asks a hash of a key, to be guessed from; main mode with certificates does not"))
            }
            if case .given(true, let place) = mode.acceptsAnyIdentity {
                warnings.append(place.issue("shows that of main mode's keys to everybody: for a laboratory alone"))
            }
        }
        return warnings
    }

    /// Where a rule negotiates and IKE cannot do it: whom to call, an address has to say, and L2TP has settings of its own.
    private static func ruleWeaknesses(_ rule: PolicyRule, _ draft: PolicyDraft.Rule) -> [ConfigurationIssue] {
        guard case .negotiate(let security) = rule.action.kind else { return [] }
        guard rule.connection.includes(.lan) else {
            let places = [draft.authentication.place, security.methods.isEmpty ? nil : draft.filterAction.place]
            return places.compactMap(\.self).map {
                $0.issue("is not given to IKE: L2TP's SAs go by authentication, esp and lifetimes")
            }
        }
        let isIndefinite = rule.filterList.filters.contains { filter in
            ![filter.source, filter.destination].contains { side in
                switch side {
                case .mine, .any: false
                case .range(let range): range.first == range.last
                case .name: true
                }
            }
        }
        guard rule.tunnelEndpoint == nil, isIndefinite, let place = draft.filterList.place else { return [] }
        return [place.issue("has filters that name no single peer: they get no SAs, only what goes in clear or not")]
    }

    private static func keyWeaknesses(_ draft: ConfigurationDraft) -> [ConfigurationIssue] {
        let groups = draft.aggressiveMode.value?.groups.value ?? []
        let secrets = [draft.preSharedKey] + (draft.keys.value ?? []).map(\.secret) + groups.map(\.secret)
        var warnings: [ConfigurationIssue] = []
        for case .given(let key, let place) in secrets {
            if key.count < ValueRules.preSharedKeyCharactersAdvised {
                warnings.append(
                    place.issue("is short enough to be guessed from one recorded dial-in; take 20 characters"))
            }
            if key.span.withUnsafeBytes({ $0.contains { $0 >= 0x80 } }) {
                warnings.append(place.issue("is not all ASCII, and clients differ in how they encode that"))
            }
        }
        return warnings
    }

    /// Where a policy itself lets in what can be broken.
    private static func policyWeaknesses(_ draft: ConfigurationDraft.Policy) -> [ConfigurationIssue] {
        var warnings: [ConfigurationIssue] = []
        if case .given(.legacy, let place) = draft.profile {
            warnings.append(
                place.issue("lets in DES and the group of 768 bits, which are broken, with 3DES, MD5 and SHA-1"))
        }
        let (ike, esp) = (draft.ike.value, draft.esp.value)
        if case .given(let ciphers, let place) = ike?.ciphers, ciphers.contains(.des) {
            warnings.append(place.issue("lets in DES, which is broken in hours"))
        }
        if case .given(let groups, let place) = ike?.groups, groups.contains(.modp768) {
            warnings.append(place.issue("lets in modp768, a group that has been broken"))
        }
        if case .given(let ciphers, let place) = esp?.ciphers {
            if ciphers.contains(.des) { warnings.append(place.issue("lets in DES, which is broken in hours")) }
            if ciphers.contains(.null) {
                warnings.append(place.issue("lets in null: everybody on the way can read along"))
            }
        }
        if case .given(let integrities, let place) = esp?.integrities, integrities.contains(nil) {
            warnings.append(place.issue("lets in none: everybody on the way can change packets"))
        }
        if case .given(let integrities, let place) = draft.header.value?.integrities, !integrities.isEmpty {
            warnings.append(place.issue("lets in AH alone: everybody on the way can read along"))
        }
        return warnings
    }
}
