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

/// How to find out that a peer is gone (RFC 3706).
public struct IKEDeadPeerDetection: Sendable, Equatable {
    /// After how long a silence a peer is asked whether it is there.
    public var interval: Duration
    /// How often it is asked, and after how long again, before it counts as dead.
    public var attempts = 5
    /// The pause between two questions. With all attempts it takes longer than the two and a half minutes after which PPP's
    /// echoes find out: IKE is not the first to give up on a session.
    public var pause: Duration = .seconds(20)

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
    /// How many kilobytes before its end an SA gets a successor at the least, where that is not more than half of its life:
    /// what a gigabit link carries in a second, which a round trip and a repeated message may take.
    public var rekeyHeadStartKilobytes: UInt64 = 131_072
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

    /// At how many of so many kilobytes an SA gets its successor, for a share of ``rekeyShare`` that was drawn.
    func softKilobytes(of kilobytes: UInt64, share: Double) -> UInt64 {
        let rest = Double(kilobytes) * (1 - share)
        // The share spreads the head start too.
        let headStart = Double(min(rekeyHeadStartKilobytes, kilobytes / 2)) * share
        return kilobytes - min(kilobytes, UInt64(max(rest, headStart)))
    }
}

/// What the operator decides about a peer by its address: the same for everybody, or other for the peers of some networks.
public struct IKEPolicy: Sendable, Equatable {
    /// Phase-1 algorithms.
    public var phaseOne: PhaseOneAlgorithms
    /// Phase-2 algorithms.
    public var phaseTwo: PhaseTwoAlgorithms
    /// How peers may prove who they are, the most wanted first. What needs something that is not configured is left out.
    public var authenticationMethods: [PhaseOneAuthenticationMethod] = [.preSharedKey]
    /// Lifetimes.
    public var lifetimes = IKELifetimes()
    /// How many sequence numbers up to the highest are remembered for each IPsec SA (RFC 6479); nil for as many as it is by
    /// default.
    public var replayWindow: Int?
    /// Whether and when silent peers are asked whether they are there; only those that say they understand it.
    public var deadPeerDetection: IKEDeadPeerDetection?

    /// The algorithms of `profile`.
    public init(_ profile: IKEProfile) {
        phaseOne = PhaseOneAlgorithms(profile)
        phaseTwo = PhaseTwoAlgorithms(profile)
    }

    /// Accepts Diffie-Hellman group 2 as the last choice, for Android up to 11, and nothing else of the legacy profile.
    public mutating func enableModp1024() {
        phaseTwo.preferLongerHMAC()
        if !phaseOne.groups.contains(.modp1024) { phaseOne.groups.append(.modp1024) }
    }
}

/// A policy of their own for the peers of some networks.
public struct IKERule: Sendable, Equatable {
    /// What the operator calls it.
    public var name: String
    /// Whose addresses; of several rules the longest prefix counts.
    public var networks: [AddressRange]
    /// What counts for these, and nothing of what counts for everybody else.
    public var policy: IKEPolicy

    /// The rule of some networks.
    public init(_ name: String, networks: [AddressRange], policy: IKEPolicy) {
        (self.name, self.networks, self.policy) = (name, networks, policy)
    }
}
