import Cryptography
import Wire

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
    /// The traffic with fixed peers. Nobody else's is accepted, L2TP's apart.
    public var tunnels: [IKETunnel] = []
    /// The pre-shared keys.
    public var preSharedKeys: PreSharedKeys
    /// The certificates; nil for none.
    public var certificates: IKECertificates?
    /// The groups of aggressive mode, which is off where there is none and signatures are not allowed in it.
    public var groups = IKEGroups()
    /// Whether aggressive mode is for signatures, too. Our certificate makes message 2 larger than 1.5 times message 1,
    /// so that who forges his address can have us send some KiB to it: at most `limits.aggressivePerSecond` times a second
    /// in all, and of one address `limits.aggressivePerAddressMaximum` exchanges at once.
    public var allowsAggressiveSignatures = false
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
        guard !rules.isEmpty else { return policy }
        var best: (prefixLength: Int, policy: IKEPolicy)?
        for rule in rules {
            for network in rule.networks
            where network.contains(address) && network.commonPrefixLength > best?.prefixLength ?? -1 {
                best = (network.commonPrefixLength, rule.policy)
            }
        }
        return best?.policy ?? policy
    }

    /// The methods that a peer at `address` may use, of those that we have the means for.
    func authenticationMethods(at address: IPAddress) -> [PhaseOneAuthenticationMethod] {
        let signatures = certificates?.methods ?? []
        return policy(for: address).authenticationMethods.filter {
            $0 == .preSharedKey ? !preSharedKeys.candidates(for: address).isEmpty : signatures.contains($0)
        }
    }

    /// Whether aggressive mode is for anybody.
    var allowsAggressiveMode: Bool {
        groups.acceptsAny || !groups.byName.isEmpty || (allowsAggressiveSignatures && certificates != nil)
    }

    /// The methods that who names itself in aggressive mode may use, of those that we have the means for.
    func aggressiveMethods(for identity: IKEIdentity, at address: IPAddress) -> [PhaseOneAuthenticationMethod] {
        let signatures = allowsAggressiveSignatures ? certificates?.methods ?? [] : []
        return policy(for: address).authenticationMethods.filter {
            $0 == .preSharedKey ? preSharedKey(for: identity, at: address) != nil : signatures.contains($0)
        }
    }

    /// Whether a key is for one identity alone, so that it proves it.
    func isOwnKey(_ secret: SecretBytes?, of identity: IKEIdentity, at address: IPAddress) -> Bool {
        guard let secret else { return false }
        let keys = preSharedKeys.candidates(for: address).filter { $0.secret == secret }
        let groups = groups.byName.filter { $0.value == secret }.map(\.key)
        return keys.count + groups.count > 0 && keys.allSatisfy { $0.identity.map(identity.isNamed) ?? false }
            && groups.allSatisfy(identity.isNamed)
    }

    /// The key of who names itself in aggressive mode: its group's, or where any may come that of main mode.
    func preSharedKey(for identity: IKEIdentity, at address: IPAddress) -> SecretBytes? {
        let names = [IKEIdentity.keyID, IKEIdentity.domainName, IKEIdentity.userDomainName]
        if names.contains(identity.type), let name = String(validating: identity.data, as: UTF8.self),
            let key = groups.byName[name]
        {
            return key
        }
        return groups.acceptsAny ? preSharedKeys.key(for: identity, at: address) : nil
    }
}
