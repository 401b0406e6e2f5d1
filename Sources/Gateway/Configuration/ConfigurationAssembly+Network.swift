import Wire

/// The inner network.
extension ConfigurationAssembly {
    mutating func l2tpSettings() -> GatewayConfiguration.L2TPSettings? {
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
    mutating func users(_ l2tp: GatewayConfiguration.L2TPSettings?) -> [GatewayConfiguration.User]? {
        guard case .given(let drafts, _) = draft.users else {
            if draft.users.isAbsent { missing("users", "VPN_USER and VPN_PASSWORD", "at least one user") }
            return nil
        }
        var names: [String: SettingPlace] = [:]
        var addresses: [IPv4Address: SettingPlace] = [:]
        var users: [GatewayConfiguration.User] = []
        let rateLimits = draft.rateLimit.limits(or: .none)
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
            users.append(
                .init(
                    name: name, password: password, address: user.address.value,
                    rateLimits: user.rateLimit.limits(or: rateLimits)))
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
