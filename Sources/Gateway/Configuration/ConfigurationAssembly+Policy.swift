import ESP
import Wire

/// Finds the names of a policy's parts and puts them together.
struct PolicyAssembly {
    var issues: [ConfigurationIssue] = []

    /// The document that `setting` says, over `base` of what there is already: what `setting` leaves out is as it was there,
    /// and its lists, actions and rules come behind those of `base`.
    mutating func document(_ setting: Setting<PolicyDraft>, over base: PolicyDocument) -> PolicyDocument {
        guard case .given(let draft, let place) = setting else { return base }
        var document = base
        if let use = draft.use.value { document.use = PredefinedPolicy(rawValue: use) }
        if let coversHost = draft.coversHost.value { document.coversHost = coversHost }
        if case .given(true, let place) = draft.coversHost, document.use == nil {
            issues.append(place.issue("is about the predefined policies", allowed: "a rule of your own"))
        }
        document.filterLists += (draft.filterLists.value ?? []).compactMap { filterList($0) }
        document.filterActions += (draft.filterActions.value ?? []).compactMap { filterAction($0) }
        distinct(document.filterLists.map(\.name) + FilterList.predefined.map(\.name), "filterLists", place)
        distinct(document.filterActions.map(\.name) + FilterAction.predefined.map(\.name), "filterActions", place)
        document.rules += (draft.rules.value ?? []).compactMap { rule($0, document) }
        distinct(document.rules.map(\.name) + PolicyDocument.rulesOfItself, "rules", place)
        if issues.isEmpty {
            do throws(PolicyTableError) {
                _ = try PolicyTable(document.policy, in: PolicyEnvironment())
            } catch {
                issues.append(place.issue(error.description))
            }
        }
        return document
    }

    private mutating func distinct(_ names: [String], _ kind: String, _ place: SettingPlace) {
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted {
            let key = YAMLSection.join(place.key, kind)
            issues.append(
                SettingPlace(source: place.source, key: key).issue(
                    "\(ValueRules.quoted(name)) is there already", allowed: "each name once"))
        }
    }

    private mutating func filterList(_ draft: PolicyDraft.List) -> FilterList? {
        let filters = (draft.filters.value ?? []).compactMap { filter($0) }
        return draft.name.value.map { FilterList($0, filters) }
    }

    private mutating func filter(_ draft: PolicyDraft.Filter) -> PolicyFilter? {
        guard let source = draft.source.value, let destination = draft.destination.value else { return nil }
        let transport = draft.transport.value ?? .any
        for case .given(_, let place) in [draft.sourcePort, draft.destinationPort]
        where !transport.hasPorts && !draft.transport.isRefused {
            issues.append(
                place.issue("needs a protocol that has ports", allowed: "protocol: tcp, udp, sctp or dccp beside it"))
        }
        if case .range(let from) = source, case .range(let to) = destination,
            from.first.octets.count != to.first.octets.count
        {
            issues.append(draft.place.issue("goes from one IP version to the other", allowed: "both ends of one"))
        }
        return PolicyFilter(
            from: source, to: destination, transport: transport,
            sourcePort: draft.sourcePort.value.map { UInt16(truncatingIfNeeded: $0) },
            destinationPort: draft.destinationPort.value.map { UInt16(truncatingIfNeeded: $0) },
            isMirrored: draft.isMirrored.value ?? true)
    }

    private mutating func filterAction(_ draft: PolicyDraft.Action) -> FilterAction? {
        guard let name = draft.name.value, let kind = draft.kind.value else { return nil }
        guard kind == "negotiate" else {
            let places = [
                draft.acceptsUnsecured.place, draft.fallsBack.place, draft.respondsOnly.place,
                draft.hasPerfectForwardSecrecy.place, draft.methods.place,
            ]
            for case let place? in places {
                issues.append(place.issue("is about security that is negotiated", allowed: "action: negotiate"))
            }
            return FilterAction(name, kind == "permit" ? .permit : .block)
        }
        return FilterAction(
            name,
            .negotiate(
                NegotiatedSecurity(
                    methods: (draft.methods.value ?? []).compactMap { method($0) },
                    acceptsUnsecured: draft.acceptsUnsecured.value ?? false,
                    fallsBack: draft.fallsBack.value ?? false, initiates: !(draft.respondsOnly.value ?? false),
                    hasPerfectForwardSecrecy: draft.hasPerfectForwardSecrecy.value ?? false)))
    }

    private mutating func method(_ draft: PolicyDraft.Method) -> SecurityMethod? {
        guard let kind = draft.kind.value else { return nil }
        let (seconds, kilobytes) = (draft.seconds.value, draft.kilobytes.value)
        guard kind == "custom" else {
            for case let place? in [draft.header.place, draft.encryption.place, draft.integrity.place] {
                issues.append(place.issue("is of a method of one's own", allowed: "method: custom"))
            }
            return SecurityMethod(kind == "high" ? .high : .medium, seconds: seconds, kilobytes: kilobytes)
        }
        let (encryption, integrity) = (draft.encryption.value ?? nil, draft.integrity.value ?? nil)
        if let encryption, let place = draft.integrity.place, encryption.isCombined, integrity != nil {
            issues.append(place.issue("is not used, for \(encryption.rawValue) authenticates itself", allowed: "none"))
        }
        let payload = SecurityMethod.Payload(encryption, integrity)
        let isRefused = draft.header.isRefused || draft.encryption.isRefused || draft.integrity.isRefused
        if draft.header.value == nil, payload == nil, !isRefused {
            issues.append(
                draft.place.issue(
                    "protects nothing", allowed: "ah, or encryption and integrity of which one is not none"))
        }
        return SecurityMethod(
            .custom(authenticationHeader: draft.header.value, payload: payload), seconds: seconds,
            kilobytes: kilobytes)
    }

    private mutating func rule(_ draft: PolicyDraft.Rule, _ document: PolicyDocument) -> PolicyRule? {
        let list = find(draft.filterList, FilterList.predefined + document.filterLists, "filter list", \.name)
        let action = find(draft.filterAction, FilterAction.predefined + document.filterActions, "filter action", \.name)
        guard let name = draft.name.value, let list, let action else { return nil }
        let endpoint = draft.tunnelEndpoint.value ?? nil
        if case .negotiate(let security) = action.kind {
            if endpoint != nil, !security.isRequired, let place = draft.filterAction.place {
                // Networks behind a gateway have no way to tell whether the other end can: clear is a leak, not a fallback.
                issues.append(
                    place.issue("may leave a tunnel's packets in clear", allowed: "an action that requires it"))
            }
        } else {
            for case let place? in [draft.authentication.place, endpoint == nil ? nil : draft.tunnelEndpoint.place] {
                issues.append(place.issue("is about security that is negotiated", allowed: "such a filterAction"))
            }
        }
        return PolicyRule(
            name, list, action, authentication: draft.authentication.value ?? [],
            connection: draft.connection.value ?? .all, tunnelEndpoint: endpoint)
    }

    private mutating func find<Value>(
        _ setting: Setting<String>, _ values: [Value], _ kind: String, _ name: (Value) -> String
    ) -> Value? {
        guard case .given(let wanted, let place) = setting else { return nil }
        if let value = values.first(where: { name($0) == wanted }) { return value }
        issues.append(
            place.issue(
                "\(ValueRules.quoted(wanted)) is no \(kind)", allowed: values.map(name).joined(separator: ", ")))
        return nil
    }
}

extension ConfigurationAssembly {
    /// What counts for packets.
    mutating func policyDocument() -> PolicyDocument {
        var assembly = PolicyAssembly()
        let document = assembly.document(draft.securityPolicy, over: PolicyDocument())
        issues += assembly.issues
        return document
    }
}
