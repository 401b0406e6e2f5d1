import Cryptography
import Wire

/// What the gateway accepts in phase 1 and phase 2, by name.
public enum IKEProfile: String, CaseIterable, Sendable {
    /// No SHA-1, no MODP group below 3072 bits.
    case modern
    /// Every system that still receives updates connects: AES, SHA-1 and SHA-2, Diffie-Hellman 14 and above.
    case `default`
    /// Adds 3DES, DES, MD5 and Diffie-Hellman 1, 2 and 5: Windows 2000 and XP, Android up to 11, cheap routers.
    case legacy
}

/// The phase-1 algorithms that we accept, the most wanted first.
public struct PhaseOneAlgorithms: Sendable, Equatable {
    /// Ciphers.
    public var ciphers: [CBCCipher]
    /// Hashes, each also as HMAC for the PRF.
    public var hashes: [HashAlgorithm]
    /// Groups, for phase 1 and for perfect forward secrecy in phase 2.
    public var groups: [DiffieHellmanGroup]

    /// Explicit lists, the most wanted first.
    public init(ciphers: [CBCCipher], hashes: [HashAlgorithm], groups: [DiffieHellmanGroup]) {
        (self.ciphers, self.hashes, self.groups) = (ciphers, hashes, groups)
    }

    /// What we offer: the most wanted of each, so that the offer stays short.
    var offered: [PhaseOneSuite] {
        groups.prefix(10).flatMap { group in
            ciphers.filter { $0 == ciphers.first || $0 == .aes128 || $0 == .tripleDES }.flatMap { cipher in
                hashes.filter { $0 == hashes.first || $0 == .sha1 }.map {
                    PhaseOneSuite(cipher: cipher, hash: $0, group: group)
                }
            }
        }
    }

    /// The lists of `profile`.
    public init(_ profile: IKEProfile) {
        ciphers = [.aes256, .aes192, .aes128]
        hashes = [.sha256, .sha384, .sha512]
        // The strength of 128 bits and more first, among them the fast ones; MODP-2048 is what most clients have.
        groups = [.ecp256, .ecp384, .curve25519, .ecp521, .modp3072, .modp4096, .modp6144, .modp8192]
        if profile != .modern {
            hashes.append(.sha1)
            groups.insert(.modp2048, at: 6)
        }
        if profile == .legacy {
            ciphers += [.tripleDES, .des]
            hashes.append(.md5)
            groups += [.modp1536, .modp1024, .modp768]
        }
    }
}

/// The phase-2 algorithms that we accept, the most wanted first.
public struct PhaseTwoAlgorithms: Sendable, Equatable {
    /// Ciphers, combined ones among them.
    public var ciphers: [ESPCipher]
    /// Integrity algorithms for the ciphers that have none of their own.
    public var integrities: [ESPIntegrity]
    /// Whether HMAC-SHA2-256 is cut to 96 bits, for Android up to 7: then no other client can use it.
    public var truncatesSHA256 = false

    /// Explicit lists, the most wanted first.
    public init(ciphers: [ESPCipher], integrities: [ESPIntegrity]) {
        (self.ciphers, self.integrities) = (ciphers, integrities)
    }

    /// What we offer: all that we accept, as far as one offer should be long.
    var offered: [ESPNegotiatedSuite] {
        let all = ciphers.flatMap { cipher in
            cipher.isCombined
                ? [ESPNegotiatedSuite(cipher: cipher, integrity: nil)]
                : integrities.map {
                    let isCut = $0 == .hmacSHA256 && truncatesSHA256
                    return ESPNegotiatedSuite(cipher: cipher, integrity: isCut ? .hmacSHA256Truncated96 : $0)
                }
        }
        return Array(all.prefix(24))
    }

    /// The lists of `profile`.
    public init(_ profile: IKEProfile) {
        ciphers = [
            .aesGCM(keyBits: 256, icvBytes: 16), .aesGCM(keyBits: 192, icvBytes: 16),
            .aesGCM(keyBits: 128, icvBytes: 16), .aesCBC(keyBits: 256), .aesCBC(keyBits: 192), .aesCBC(keyBits: 128),
        ]
        integrities = [.hmacSHA256, .hmacSHA384, .hmacSHA512]
        if profile != .modern { integrities.append(.hmacSHA1) }
        if profile == .legacy {
            ciphers += [.tripleDES, .des]
            integrities.append(.hmacMD5)
        }
    }
}

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

/// How to find out that a peer is gone (RFC 3706).
public struct IKEDeadPeerDetection: Sendable, Equatable {
    /// After how long a silence a peer is asked whether it is there.
    public var interval: Duration
    /// How often it is asked, and after how long again, before it counts as dead.
    public var attempts = 5
    /// The pause between two questions.
    public var pause: Duration = .seconds(5)

    /// With questions after `interval`.
    public init(interval: Duration) { self.interval = interval }
}

/// How long SAs live at most. The peer's own life is accepted up to these.
public struct IKELifetimes: Sendable, Equatable {
    /// The most seconds of an ISAKMP SA. Clients ask for up to 24 hours.
    public var ikeMaximumSeconds: UInt64 = 86_400
    /// The most seconds of an IPsec SA. As long as only the peer rekeys, a bound below its own would cut its session.
    public var ipsecMaximumSeconds: UInt64 = 86_400
    /// The most kilobytes of an IPsec SA, in the direction that carries more; nil for as many as the peer wants.
    public var ipsecMaximumKilobytes: UInt64?
    /// At which share of its life an SA gets a successor from us: between these, at random, so that not all come at once,
    /// and late, so that a client that rekeys by itself comes first.
    public var rekeyShare: ClosedRange<Double> = 0.85...0.95
    /// Whether an ISAKMP SA that still has IPsec SAs gets a successor by main mode from us, where the peer is not Windows.
    public var rekeysPhaseOne = true
    /// How long what was replaced still receives: before its Delete, and once more after it.
    public var replacementGrace: Duration = .seconds(10)
    /// How much longer than the agreed life we keep an SA, so that the peer, who rekeys, sees its end first.
    public var expiryGrace: Duration = .seconds(30)
    /// What RFC 2407 section 4.5 assumes where the peer says nothing.
    public static let unspecifiedSeconds: UInt64 = 28_800

    /// The defaults.
    public init() {}
}

/// Every bound that the engine keeps.
public struct IKELimits: Sendable, Equatable {
    /// The most bytes of a message.
    public var messageBytesMaximum = 16_384
    /// The longest message that is sent in one datagram to a peer that understands fragments: with IPv4, UDP and the
    /// non-ESP marker 1280 bytes.
    public var unfragmentedBytesMaximum = 1248
    /// The most fragments of a message.
    public var fragmentsPerMessageMaximum = 64
    /// The most messages of known exchanges that are being put together. The oldest makes room.
    public var partialMessagesMaximum = 1024
    /// The most of these from one address.
    public var partialMessagesPerAddressMaximum = 256
    /// The most first messages that are being put together, of which nobody knows who sends them.
    public var partialFirstMessagesMaximum = 64
    /// The most of these from one address.
    public var partialFirstMessagesPerAddressMaximum = 4
    /// The most payloads in a message.
    public var payloadsMaximum = 128
    /// The most proposals in an SA payload.
    public var proposalsMaximum = 64
    /// The most transforms in an SA payload, all proposals together.
    public var transformsMaximum = 256
    /// The most exchanges that have not shown message 3. The oldest makes room.
    public var halfOpenMaximum = 4096
    /// The most of these from one address.
    public var halfOpenPerAddressMaximum = 512
    /// The most exchanges between message 3 and message 5.
    public var unauthenticatedMaximum = 2048
    /// The most of these from one address.
    public var unauthenticatedPerAddressMaximum = 256
    /// The most of these in aggressive mode, which have cost us a Diffie-Hellman and have shown nothing.
    public var aggressiveMaximum = 256
    /// The most of these from one address.
    public var aggressivePerAddressMaximum = 16
    /// First messages of aggressive mode per second that are worth a Diffie-Hellman.
    public var aggressivePerSecond = 200
    /// How long an exchange may take.
    public var exchangeLifetime: Duration = .seconds(30)
    /// How long we wait for an answer before we send again; each time twice as long.
    public var retransmissionInterval: Duration = .seconds(1)
    /// How often we send again.
    public var retransmissionsMaximum = 4
    /// The most exchanges of phase 1 that we begin at once.
    public var initiationsMaximum = 1024
    /// The most Diffie-Hellman computations that wait at once.
    public var workQueueMaximum = 1024
    /// The most ISAKMP SAs.
    public var associationsMaximum = 65_536
    /// The most ISAKMP SAs of one peer; the oldest makes room.
    public var associationsPerPeerMaximum = 8
    /// The most IPsec SAs of one peer.
    public var securityAssociationsPerPeerMaximum = 64
    /// The most quick modes at once in one ISAKMP SA.
    public var quickModesMaximum = 8
    /// The most quick modes that an ISAKMP SA remembers, finished ones among them.
    public var quickModeRecordsMaximum = 64
    /// How many used message ids an ISAKMP SA remembers.
    public var usedMessageIDsMaximum = 128
    /// Unknown SPIs per second about which a known peer is told.
    public var unknownSPIsPerSecond = 20
    /// Unauthenticated Notifies per second.
    public var notifiesPerSecond = 50
    /// Refusal records per second.
    public var refusalsPerSecond = 50
    /// How many refused first messages are remembered, so that their repetitions are not recorded again.
    public var refusalsRememberedMaximum = 1024
    /// Failed authentications of one address in a row before it is slowed.
    public var failuresPerAddressMaximum = 10
    /// How long a slowed address waits for one more attempt.
    public var failureInterval: Duration = .seconds(3)
    /// The most outputs (messages, events) that wait to be fetched.
    public var outputMaximum = 16_384

    /// The defaults.
    public init() {}
}

/// Other algorithms for the peers of a network.
public struct IKERule: Sendable {
    /// Whose addresses; of several rules the longest prefix counts.
    public var network: IPv4Network
    /// What these may have in phase 1.
    public var phaseOne: PhaseOneAlgorithms
    /// What these may have in phase 2.
    public var phaseTwo: PhaseTwoAlgorithms

    /// The rule of a network.
    public init(_ network: IPv4Network, phaseOne: PhaseOneAlgorithms, phaseTwo: PhaseTwoAlgorithms) {
        (self.network, self.phaseOne, self.phaseTwo) = (network, phaseOne, phaseTwo)
    }
}

/// What the operator decides about IKE.
public struct IKEConfiguration: Sendable {
    /// Phase-1 algorithms.
    public var phaseOne: PhaseOneAlgorithms
    /// Phase-2 algorithms.
    public var phaseTwo: PhaseTwoAlgorithms
    /// How peers may prove who they are, the most wanted first. What needs something that is not configured is left out.
    public var authenticationMethods: [PhaseOneAuthenticationMethod] = [.preSharedKey]
    /// Other algorithms for some.
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
    /// Whether and when silent peers are asked whether they are there; only those that say they understand it.
    public var deadPeerDetection: IKEDeadPeerDetection?
    /// Lifetimes.
    public var lifetimes = IKELifetimes()
    /// Limits.
    public var limits = IKELimits()

    /// The algorithms of `profile` with the given keys.
    public init(profile: IKEProfile = .default, preSharedKeys: PreSharedKeys) {
        phaseOne = PhaseOneAlgorithms(profile)
        phaseTwo = PhaseTwoAlgorithms(profile)
        self.preSharedKeys = preSharedKeys
    }

    /// The methods that a peer at `address` may use, of those that we have the means for.
    func authenticationMethods(at address: IPAddress) -> [PhaseOneAuthenticationMethod] {
        let signatures = certificates?.methods ?? []
        return authenticationMethods.filter {
            $0 == .preSharedKey ? preSharedKeys.key(for: address) != nil : signatures.contains($0)
        }
    }

    /// The algorithms for the peer at `address`.
    func algorithms(for address: IPAddress) -> (phaseOne: PhaseOneAlgorithms, phaseTwo: PhaseTwoAlgorithms) {
        guard case .v4(let address) = address else { return (phaseOne, phaseTwo) }
        let rule = rules.filter { $0.network.contains(address) }.max {
            $0.network.prefixLength < $1.network.prefixLength
        }
        return rule.map { ($0.phaseOne, $0.phaseTwo) } ?? (phaseOne, phaseTwo)
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

    /// Accepts Diffie-Hellman group 2 as the last choice, and nothing else of the legacy profile.
    public mutating func enableModp1024() {
        if !phaseOne.groups.contains(.modp1024) { phaseOne.groups.append(.modp1024) }
    }
}
