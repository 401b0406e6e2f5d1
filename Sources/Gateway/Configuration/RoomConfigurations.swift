import Accounts
import Cryptography
import ESP
import IKE
import L2TP
import PPP
import Wire

/// What the operator chose, in the words of each room.
extension GatewayConfiguration {
    /// IKE's part.
    var ike: IKEConfiguration {
        let everybody = preSharedKey.map { [PreSharedKey($0)] } ?? []
        var ike = IKEConfiguration(preSharedKeys: PreSharedKeys(keys + tunnels.compactMap(\.key) + everybody))
        ike.policy = policy.ike
        ike.rules = ikeRules(tunnels)
        ike.tunnels = tunnels.map(\.ike)
        for group in aggressiveMode.groups { ike.groups.byName[group.name] = group.secret }
        ike.groups.acceptsAny = aggressiveMode.acceptsAnyIdentity
        ike.allowsAggressiveSignatures = aggressiveMode.allowsSignatures
        ike.certificates = certificates?.loaded
        ike.identityAddress = publicAddress.map { .v4($0) }
        ike.limits.halfOpenMaximum = limits.halfOpenExchanges
        ike.limits.halfOpenPerAddressMaximum = limits.halfOpenExchangesPerAddress
        return ike
    }

    /// What counts in IKE for some peers. A tunnel's own settings come before those of a rule for the same address.
    func ikeRules(_ tunnels: [Tunnel]) -> [IKERule] {
        tunnels.compactMap(\.rule) + rules.map { IKERule($0.name, networks: $0.networks, policy: $0.policy.ike) }
    }

    /// The addresses that the policy calls ours, as far as they are known without the host.
    var policyEnvironment: PolicyEnvironment { PolicyEnvironment(myAddresses: endpoints) }

    /// L2TP's part.
    var l2tpServer: L2TPConfiguration {
        var server = L2TPConfiguration()
        server.hostName = l2tp.hostName
        server.secret = l2tp.secret
        server.tunnelsPerPeerMaximum = limits.tunnelsPerPeer
        server.sessionsPerTunnelMaximum = limits.sessionsPerTunnel
        return server
    }

    /// PPP's part.
    var pppLink: PPPConfiguration {
        var link = PPPConfiguration()
        link.mruBytes = UInt16(clamping: ppp.mtuBytes)
        link.authenticationMethods = ppp.authentication.map { method in
            switch method {
            case .mschapv2: .msChapV2
            case .chap: .chapMD5
            case .pap: .pap
            }
        }
        link.serverName = l2tp.hostName
        return link
    }

    /// Who may come in.
    func userTable() throws(UserTableError) -> UserTable {
        try UserTable(
            users.map {
                Accounts.User(
                    name: $0.name, password: $0.password, fixedAddress: $0.address, rateLimits: $0.rateLimits)
            })
    }

    /// The addresses for clients: the pool, without those that belong to one user alone.
    func addressPool() throws(AddressPoolError) -> AddressPool {
        try AddressPool(
            first: l2tp.pool.lowerBound, last: l2tp.pool.upperBound,
            reserved: users.compactMap(\.address) + [l2tp.local])
    }
}

extension GatewayConfiguration.Tunnel {
    /// The peer's address as a network, where it has one.
    private var network: AddressRange? { peer.map { AddressRange($0) } }

    /// The key that its peer alone has.
    fileprivate var key: PreSharedKey? { secret.map { PreSharedKey($0, network: network, identity: identity) } }

    /// What counts for its peer in IKE, where that differs.
    fileprivate var rule: IKERule? {
        guard let policy, let network else { return nil }
        return IKERule(name, networks: [network], policy: policy.ike)
    }
}

extension PPPAuthentication {
    /// The operator's word for a method.
    init(_ method: AuthenticationMethod) {
        self =
            switch method {
            case .msChapV2: .mschapv2
            case .chapMD5: .chap
            case .pap: .pap
            }
    }
}
