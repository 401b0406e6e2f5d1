import Cryptography
import Wire

/// The pre-shared keys. Main mode can choose only by address: the identity comes encrypted with the key.
public struct PreSharedKeys: Sendable {
    /// The keys of peers that name themselves before they prove anything: in aggressive mode.
    public var byIdentity: [IKEIdentity: SecretBytes] = [:]
    /// The key of every peer that has no other.
    public var defaultKey: SecretBytes?
    /// Keys of peers in a network; the longest prefix wins.
    public var byNetwork: [(network: IPv4Network, key: SecretBytes)]

    /// The default key and the keys by network.
    public init(defaultKey: SecretBytes?, byNetwork: [(network: IPv4Network, key: SecretBytes)] = []) {
        (self.defaultKey, self.byNetwork) = (defaultKey, byNetwork)
    }

    /// The key of the peer at `address`.
    func key(for address: IPAddress) -> SecretBytes? {
        guard case .v4(let address) = address else { return defaultKey }
        let candidates = byNetwork.filter { $0.network.contains(address) }
        return candidates.max { $0.network.prefixLength < $1.network.prefixLength }?.key ?? defaultKey
    }
}

/// Whom aggressive mode is for: macOS and iOS with a group name, Android with an IPsec identifier, old routers.
public struct IKEGroups: Sendable {
    /// The pre-shared keys of groups by name, which the peer sends as ID_KEY_ID, ID_FQDN or ID_USER_FQDN.
    public var byName: [String: SecretBytes] = [:]
    /// Whether any identity may use the keys of main mode. For a laboratory: who can listen, or only asks, gets to try
    /// keys against a hash of ours without our noticing.
    public var acceptsAny = false

    /// No groups.
    public init() {}
}

/// What the operator decides about IKE.
public struct IKEConfiguration: Sendable {
    /// What counts for everybody whom no rule names.
    public var policy: IKEPolicy
    /// Other policies for some. Which one counts, ``policy(for:)`` says, and the engine asks nothing else.
    public var rules: [IKERule] = []
    /// The pre-shared keys.
    public var preSharedKeys: PreSharedKeys
    /// The certificates; nil for none.
    public var certificates: IKECertificates?
    /// The groups of aggressive mode, which is off where there is none and no key by identity.
    public var groups = IKEGroups()
    /// The address that we name as our identity, for a gateway behind a NAT; otherwise the one that the packet came to.
    public var identityAddress: IPAddress?
    /// Whether a Microsoft client is told that the gateway is not behind a NAT when it is. Without it, Windows connects
    /// to such a gateway only after a registry edit (AssumeUDPEncapsulationContextOnSendRule).
    public var hidesOwnNATFromWindows = true
    /// Limits.
    public var limits = IKELimits()

    /// The algorithms of `profile` for everybody, with the given keys.
    public init(profile: IKEProfile = .default, preSharedKeys: PreSharedKeys) {
        policy = IKEPolicy(profile)
        self.preSharedKeys = preSharedKeys
    }

    /// What counts for the peer at `address`.
    func policy(for address: IPAddress) -> IKEPolicy {
        guard case .v4(let address) = address, !rules.isEmpty else { return policy }
        var best: (prefixLength: Int, policy: IKEPolicy)?
        for rule in rules {
            for network in rule.networks
            where network.contains(address) && network.prefixLength > best?.prefixLength ?? -1 {
                best = (network.prefixLength, rule.policy)
            }
        }
        return best?.policy ?? policy
    }

    /// The methods that a peer at `address` may use, of those that we have the means for.
    func authenticationMethods(at address: IPAddress) -> [PhaseOneAuthenticationMethod] {
        let signatures = certificates?.methods ?? []
        return policy(for: address).authenticationMethods.filter {
            $0 == .preSharedKey ? preSharedKeys.key(for: address) != nil : signatures.contains($0)
        }
    }

    /// Whether aggressive mode is for anybody.
    var allowsAggressiveMode: Bool {
        groups.acceptsAny || !groups.byName.isEmpty || !preSharedKeys.byIdentity.isEmpty
    }

    /// The key of who names itself in aggressive mode: its own, that of its group, or where any may come that of its
    /// address.
    func preSharedKey(for identity: IKEIdentity, at address: IPAddress) -> SecretBytes? {
        if let key = preSharedKeys.byIdentity[identity] { return key }
        let names = [IKEIdentity.keyID, IKEIdentity.domainName, IKEIdentity.userDomainName]
        if names.contains(identity.type), let name = String(validating: identity.data, as: UTF8.self),
            let key = groups.byName[name]
        {
            return key
        }
        return groups.acceptsAny ? preSharedKeys.key(for: address) : nil
    }
}
