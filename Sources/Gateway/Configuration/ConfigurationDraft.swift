import Cryptography
import IKE
import IO
import Logging
import Wire

/// What one source, or several laid over each other, say about each setting. Each value is right by itself; whether they
/// go together is ``GatewayConfiguration/init(draft:hasFile:)``'s to say.
struct ConfigurationDraft: Sendable {
    var policy = Policy()
    var enablesModp1024 = Setting<Bool>.absent
    var rules = Setting<[Rule]>.absent
    var tunnels = Setting<[Tunnel]>.absent
    var preSharedKey = Setting<SecretBytes>.absent
    var keys = Setting<[Key]>.absent
    var aggressiveMode = Setting<AggressiveMode>.absent
    var certificates = Setting<Certificates>.absent
    var securityPolicy = Setting<PolicyDraft>.absent
    var publicAddress = Setting<IPv4Address>.absent
    var endpoints = Setting<[IPAddress]>.absent
    var users = Setting<[User]>.absent
    var network = Setting<IPv4Network>.absent
    var local = Setting<IPv4Address>.absent
    var pool = Setting<ClosedRange<IPv4Address>>.absent
    var hostName = Setting<String>.absent
    var tunnelSecret = Setting<SecretBytes>.absent
    var mtuBytes = Setting<Int>.absent
    var authentication = Setting<[PPPAuthentication]>.absent
    var dnsServers = Setting<[IPv4Address]>.absent
    var nbnsServers = Setting<[IPv4Address]>.absent
    var masquerades = Setting<Bool>.absent
    var interface = Setting<String>.absent
    var workers = Setting<Int>.absent
    var offloads = Setting<[Offloads]>.absent
    var logLevel = Setting<Logger.Level>.absent
    var limits = Limits()
    var rateLimit = RateLimit()
    var api = Setting<API>.absent

    /// What may differ from peer to peer: at the top for everybody, in a rule for some.
    struct Policy: Sendable {
        var profile = Setting<IKEProfile>.absent
        var authentication = Setting<[PeerAuthentication]>.absent
        var ike = Setting<IKE>.absent
        var esp = Setting<ESP>.absent
        var header = Setting<AH>.absent
        var extendedSequenceNumbers = Setting<IPsecOption>.absent
        var replayWindow = Setting<Int>.absent
        var lifetimes = Setting<Lifetimes>.absent
        var deadPeerDetection = Setting<DeadPeerDetection>.absent

        /// Whether it names nothing at all.
        var isEmpty: Bool {
            profile.isAbsent && authentication.isAbsent && ike.isAbsent && esp.isAbsent && header.isAbsent
                && extendedSequenceNumbers.isAbsent && replayWindow.isAbsent && lifetimes.isAbsent
                && deadPeerDetection.isAbsent
        }
    }

    struct IKE: Sendable {
        var ciphers = Setting<[CBCCipher]>.absent
        var hashes = Setting<[HashAlgorithm]>.absent
        var groups = Setting<[DiffieHellmanGroup]>.absent
    }

    struct ESP: Sendable {
        var ciphers = Setting<[ESPCipher]>.absent
        /// Nil stands for none.
        var integrities = Setting<[IPsecIntegrity?]>.absent
        var truncatesSHA256 = Setting<Bool>.absent
        var compression = Setting<IPsecOption>.absent
    }

    struct AH: Sendable {
        var integrities = Setting<[IPsecIntegrity]>.absent
    }

    struct Lifetimes: Sendable {
        var ikeSeconds = Setting<Int>.absent
        var ipsecSeconds = Setting<Int>.absent
        var ipsecKilobytes = Setting<Int>.absent
    }

    struct DeadPeerDetection: Sendable {
        var interval = Setting<Int>.absent
        var attempts = Setting<Int>.absent
        var pause = Setting<Int>.absent
    }

    /// A policy for some peers.
    struct Rule: Sendable {
        var place: SettingPlace
        var name = Setting<String>.absent
        var networks = Setting<[AddressRange]>.absent
        var policy = Policy()
    }

    /// Traffic with a fixed peer.
    struct Tunnel: Sendable {
        var place: SettingPlace
        var name = Setting<String>.absent
        var peer = Setting<IPAddress?>.absent
        var identity = Setting<String>.absent
        var source = Setting<IPAddress>.absent
        var local = Setting<[AddressRange]>.absent
        var remote = Setting<[AddressRange]>.absent
        var mode = Setting<IPsecMode>.absent
        var protocolNumber = Setting<UInt8>.absent
        var localPort = Setting<Int>.absent
        var remotePort = Setting<Int>.absent
        var start = Setting<GatewayConfiguration.Tunnel.Start>.absent
        var group = Setting<DiffieHellmanGroup>.absent
        var secret = Setting<SecretBytes>.absent
        var copiesDSCP = Setting<Bool>.absent
        var doNotFragment = Setting<OuterHeaderRules.DoNotFragment>.absent
        var metric = Setting<Int>.absent
        var policy = Policy()
    }

    /// A pre-shared key beside the one for all.
    struct Key: Sendable {
        var place: SettingPlace
        var secret = Setting<SecretBytes>.absent
        var identity = Setting<String>.absent
        var network = Setting<AddressRange>.absent
    }

    struct AggressiveMode: Sendable {
        var groups = Setting<[Group]>.absent
        var acceptsAnyIdentity = Setting<Bool>.absent
        var allowsSignatures = Setting<Bool>.absent
    }

    /// A group of aggressive mode, and where each part stands.
    struct Group: Sendable {
        var name = Setting<String>.absent
        var secret = Setting<SecretBytes>.absent
    }

    /// A user, and where each part stands.
    struct User: Sendable {
        var name = Setting<String>.absent
        var password = Setting<SecretBytes>.absent
        var address = Setting<IPv4Address>.absent
        var rateLimit = RateLimit()
    }

    /// How much a session may move each way; nil stands for no limit.
    struct RateLimit: Sendable {
        var fromClient = Setting<DataRate?>.absent
        var toClient = Setting<DataRate?>.absent

        /// The limits, `others` where a direction is left out.
        func limits(or others: RateLimits) -> RateLimits {
            RateLimits(fromClient: fromClient.value ?? others.fromClient, toClient: toClient.value ?? others.toClient)
        }
    }

    /// Where certificates come from.
    struct Certificates: Sendable {
        var authorities = Setting<[String]>.absent
        var certificates = Setting<[String]>.absent
        var keys = Setting<[String]>.absent
        var revocationLists = Setting<[String]>.absent
        var requiresRevocationCheck = Setting<Bool>.absent
        var clientIdentities = Setting<[String]>.absent
        var ownIdentity = Setting<IKECertificates.OwnIdentity>.absent
        var isOptional = Setting<Bool>.absent
        var onlineStatus = Setting<OnlineStatus>.absent
    }

    /// How the status of certificates is asked for.
    struct OnlineStatus: Sendable {
        var responder = Setting<String>.absent
        var isRequired = Setting<Bool>.absent
        var timeoutMilliseconds = Setting<Int>.absent
        var usesCertificateURL = Setting<Bool>.absent
        var allowedHosts = Setting<[String]>.absent
        var checksIntermediates = Setting<Bool>.absent
    }

    struct Limits: Sendable {
        var sessions = Setting<Int>.absent
        var sessionsPerUser = Setting<Int>.absent
        var tunnelsPerPeer = Setting<Int>.absent
        var sessionsPerTunnel = Setting<Int>.absent
        var halfOpen = Setting<Int>.absent
        var halfOpenPerAddress = Setting<Int>.absent
    }

    /// Takes from `other`, a source of lower rank that knows the settings with names in the environment, what this one
    /// leaves out.
    mutating func fill(from other: ConfigurationDraft) {
        policy.profile = policy.profile.or(other.policy.profile)
        enablesModp1024 = enablesModp1024.or(other.enablesModp1024)
        preSharedKey = preSharedKey.or(other.preSharedKey)
        publicAddress = publicAddress.or(other.publicAddress)
        users = users.or(other.users)
        network = network.or(other.network)
        local = local.or(other.local)
        pool = pool.or(other.pool)
        dnsServers = dnsServers.or(other.dnsServers)
    }
}
