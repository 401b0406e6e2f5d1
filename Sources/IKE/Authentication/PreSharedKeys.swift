import Cryptography
import Wire

/// A pre-shared key of any bytes, and whose it is.
public struct PreSharedKey: Sendable, Equatable {
    /// The key itself.
    public let secret: SecretBytes
    /// From where it counts; nil for every address.
    public let network: AddressRange?
    /// Who has to name itself so to use it, as ``IKEIdentity/isNamed(_:)`` has it; nil for whoever.
    public let identity: String?

    /// The key of the peers in `network` that name themselves `identity`, each of them for any where it is nil.
    public init(_ secret: SecretBytes, network: AddressRange? = nil, identity: String? = nil) {
        (self.secret, self.network, self.identity) = (secret, network, identity)
    }

    /// Whether it counts for who comes from `address`.
    func isFor(_ address: IPAddress) -> Bool {
        network?.contains(address) ?? true
    }

    /// Whose it is, for a log: `branch.example.org in 203.0.113.0/24`.
    var owner: String {
        switch (identity, network) {
        case (let identity?, let network?): "\(identity) in \(network)"
        case (let identity?, nil): identity
        case (nil, let network?): "\(network)"
        case (nil, nil): "everybody"
        }
    }

    /// Keys are tried in this order: for an identity in a network, for an identity, for a network, for everybody; the
    /// longest prefix first.
    fileprivate var rank: (kind: Int, width: Int) {
        let kind =
            switch (identity, network) {
            case (.some, .some): 0
            case (.some, nil): 1
            case (nil, .some): 2
            case (nil, nil): 3
            }
        return (kind, network.map { 128 - $0.commonPrefixLength } ?? 0)
    }
}

/// The pre-shared keys of peers that have not named themselves when the key is needed.
///
/// In main mode the identity comes encrypted with the key, so that RFC 2409 section 5.4 leaves only the address to choose
/// by. But the messages before do not depend on the key: the responder may try one after the other on message 5, and so
/// the identity counts, too.
public struct PreSharedKeys: Sendable {
    /// The most keys that are tried on one message. A configuration with more for some address is refused.
    public static let candidatesMaximum = 32

    /// All keys, in the order in which they are tried; keys of the same kind as they were given.
    public let keys: [PreSharedKey]

    /// The keys, in any order.
    public init(_ keys: [PreSharedKey]) {
        let ranked = keys.enumerated().map { (rank: $0.element.rank, place: $0.offset, key: $0.element) }
        self.keys = ranked.sorted {
            ($0.rank.kind, $0.rank.width, $0.place) < ($1.rank.kind, $1.rank.width, $1.place)
        }.map(\.key)
    }

    /// One key for everybody; without it, nobody has one.
    public init(defaultKey: SecretBytes?) { self.init(defaultKey.map { [PreSharedKey($0)] } ?? []) }

    /// The keys that a peer at `address` may have, in the order in which they are tried.
    public func candidates(for address: IPAddress) -> [PreSharedKey] {
        Array(keys.lazy.filter { $0.isFor(address) }.prefix(Self.candidatesMaximum))
    }

    /// How many keys would have to be tried where most are, without regard to ``candidatesMaximum``.
    public var mostCandidates: Int {
        // Networks contain each other or have nothing in common: the most keys are where one of them begins.
        let everywhere = keys.reduce(0) { $0 + ($1.network == nil ? 1 : 0) }
        return Set(keys.compactMap(\.network?.first)).reduce(everywhere) { most, address in
            max(most, keys.reduce(0) { $0 + ($1.isFor(address) ? 1 : 0) })
        }
    }

    /// The key of a peer that has named itself before it proved anything: one for its name, or else for its address.
    func key(for identity: IKEIdentity, at address: IPAddress) -> SecretBytes? {
        candidates(for: address).first { $0.identity.map(identity.isNamed) ?? true }?.secret
    }

    /// The key with which we begin an exchange with `identity` at `address`, or with whoever is there.
    func key(to identity: IKEIdentity?, at address: IPAddress) -> SecretBytes? {
        if let identity { return key(for: identity, at: address) }
        return candidates(for: address).first { $0.identity == nil }?.secret
    }
}

extension IKEIdentity {
    /// Whether people would write the identity so: an address, a distinguished name as the log shows it, or a name, be it
    /// sent as ID_FQDN (which does not know case), ID_USER_FQDN or ID_KEY_ID.
    public func isNamed(_ text: String) -> Bool {
        switch type {
        case Self.domainName: data.lowercasedASCII == Array(text.utf8).lowercasedASCII
        case Self.userDomainName, Self.keyID: data == Array(text.utf8)
        default: description == text
        }
    }
}
