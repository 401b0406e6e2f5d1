import Cryptography
import Wire

/// The algorithms of an ISAKMP SA.
public struct PhaseOneSuite: Hashable, Sendable, CustomStringConvertible {
    /// The cipher of encrypted messages.
    public let cipher: CBCCipher
    /// The hash, and as HMAC the PRF.
    public let hash: HashAlgorithm
    /// The Diffie-Hellman group.
    public let group: DiffieHellmanGroup

    /// The suite of these three.
    public init(cipher: CBCCipher, hash: HashAlgorithm, group: DiffieHellmanGroup) {
        (self.cipher, self.hash, self.group) = (cipher, hash, group)
    }

    /// Such as `aes256-sha256-modp2048`.
    public var description: String { "\(cipher)-\(hash)-\(group)" }
}

/// An attribute in which an offer can differ from what we accept.
public enum IKEOfferAttribute: String, Sendable {
    /// The cipher or its key length.
    case encryption
    /// The hash.
    case hash
    /// The integrity algorithm of ESP.
    case integrity
    /// The integrity algorithm of AH.
    case headerIntegrity
    /// Compression, or its algorithm.
    case compression
    /// Sequence numbers of 64 bits.
    case extendedSequenceNumbers
    /// The Diffie-Hellman group.
    case group
    /// The authentication method.
    case authenticationMethod
    /// Life type or duration.
    case life
    /// Transport, tunnel or their UDP forms.
    case encapsulationMode
    /// The protocol: AH, IPComp, or several at once.
    case protocolID
    /// The SPI's length or value.
    case securityParameterIndex
    /// An attribute that we do not know, or one that is there twice.
    case unknownAttribute
}

/// An attribute of an offer that is not acceptable.
public struct IKEOfferMismatch: Sendable, Hashable {
    /// Which.
    public let attribute: IKEOfferAttribute
    /// What the offer has there, in our names as far as we know them.
    public let offered: String
    /// What we would accept there, the most wanted first; empty where that is no list of names.
    public let accepted: [String]
}

/// One offer that was not acceptable, and why.
public struct IKERefusedOffer: Sendable, Hashable, CustomStringConvertible {
    /// The proposal's number.
    public let proposal: UInt8
    /// The transform's number.
    public let transform: UInt8
    /// The offer in our names, as far as we know them.
    public let offer: String
    /// All attributes that we do not accept, at least one.
    public let mismatches: [IKEOfferMismatch]

    /// The most offers that one record lists.
    static let listMaximum = 32

    /// The first attribute that we do not accept.
    public var attribute: IKEOfferAttribute { mismatches.first?.attribute ?? .unknownAttribute }

    /// Such as `1.4 3des-sha1-modp1024`.
    public var numberedOffer: String { "\(proposal).\(transform) \(offer)" }

    /// Such as `1.4 3des-sha1-modp1024: encryption, group`.
    public var description: String {
        "\(numberedOffer): \(mismatches.map(\.attribute.rawValue).joined(separator: ", "))"
    }
}

/// An offer that is not acceptable, as it is found; put into words only where no other was.
struct UnacceptableOffer {
    var proposal: Proposal
    var transform: Transform
    /// All attributes that are not acceptable.
    var attributes: [IKEOfferAttribute]

    /// Offers in words. `offered` says what one has in an attribute, `accepted` what would be accepted there.
    static func described(
        _ offers: [UnacceptableOffer], name: (UnacceptableOffer) -> String,
        offered: (IKEOfferAttribute, UnacceptableOffer) -> String, accepted: (IKEOfferAttribute) -> [String]
    ) -> [IKERefusedOffer] {
        // The lists are the same for all, and made once.
        var lists: [IKEOfferAttribute: [String]] = [:]
        for attribute in Set(offers.flatMap(\.attributes)) { lists[attribute] = accepted(attribute) }
        return offers.map { offer in
            IKERefusedOffer(
                proposal: offer.proposal.number, transform: offer.transform.number, offer: name(offer),
                mismatches: offer.attributes.map {
                    IKEOfferMismatch(attribute: $0, offered: offered($0, offer), accepted: lists[$0] ?? [])
                })
        }
    }
}

/// Why an offer cannot be taken.
struct OfferMismatch: Error {
    let attributes: [IKEOfferAttribute]
    init(_ attributes: IKEOfferAttribute...) { self.attributes = attributes }
    init(_ attributes: [IKEOfferAttribute]) { self.attributes = attributes }
}

/// What came of an offer.
enum NegotiationResult<Chosen: Sendable>: Sendable {
    case chosen(Chosen)
    case refused([IKERefusedOffer])
}

/// The offer that we chose in main mode.
struct ChosenPhaseOne: Hashable, Sendable {
    var suite: PhaseOneSuite
    var method: PhaseOneAuthenticationMethod
    var life: Life

    /// What depends on the method.
    var authentication: PhaseOneAuthentication { PhaseOneAuthentication(method: method) }
    /// The hash of HASH_I and HASH_R.
    var proofHash: HashAlgorithm { authentication.proofHash(negotiated: suite.hash) }
    var proposalNumber: UInt8
    var transform: Transform

    /// The SA payload of message 2.
    var answer: [UInt8] {
        SecurityAssociationPayload.body([
            .init(
                number: proposalNumber, protocolID: ProtocolID.isakmp, securityParameterIndex: [],
                transforms: [(transform.number, transform.id, transform.attributeBytes)])
        ])
    }
}

/// Chooses a phase-1 transform (RFC 2409 section 5 and appendix A).
struct PhaseOneNegotiation {
    /// Attribute classes of RFC 2409 appendix A.
    enum Class {
        static let encryption: UInt16 = 1
        static let hash: UInt16 = 2
        static let authenticationMethod: UInt16 = 3
        static let group: UInt16 = 4
        static let groupType: UInt16 = 5
        static let lifeType: UInt16 = 11
        static let lifeDuration: UInt16 = 12
        static let keyLength: UInt16 = 14
        /// Those with a number each.
        static let single: Set = [encryption, hash, authenticationMethod, group, groupType, keyLength]
        /// Those that come once for each bound of a life.
        static let repeated: Set = [lifeType, lifeDuration]
    }

    static let keyIKE: UInt8 = 1

    let algorithms: PhaseOneAlgorithms
    /// The methods that this peer may use, the most wanted first.
    var methods: [PhaseOneAuthenticationMethod] = [.preSharedKey]

    /// The transform of the peer's that stands highest in our order, of all proposals together.
    func choose(from payload: SecurityAssociationPayload) -> NegotiationResult<ChosenPhaseOne> {
        var best: (rank: [Int], choice: ChosenPhaseOne)?
        var refused: [UnacceptableOffer] = []
        for proposal in payload.proposals {
            for transform in proposal.transforms {
                switch evaluate(transform, protocolID: proposal.protocolID) {
                case .success(let (suite, method, life)):
                    let rank = [methods.firstIndex(of: method) ?? .max] + rank(suite)
                    if best.map({ rank.lexicographicallyPrecedes($0.rank) }) ?? true {
                        let choice = ChosenPhaseOne(
                            suite: suite, method: method, life: life, proposalNumber: proposal.number,
                            transform: transform)
                        best = (rank, choice)
                    }
                case .failure(let mismatch):
                    guard refused.count < IKERefusedOffer.listMaximum else { continue }
                    refused.append(
                        UnacceptableOffer(proposal: proposal, transform: transform, attributes: mismatch.attributes))
                }
            }
        }
        if let best { return .chosen(best.choice) }
        return .refused(
            UnacceptableOffer.described(
                refused, name: { Self.name($0.transform) }, offered: { Self.value($0, of: $1.transform) },
                accepted: accepted))
    }

    /// What we accept in an attribute.
    private func accepted(_ attribute: IKEOfferAttribute) -> [String] {
        switch attribute {
        case .encryption: algorithms.ciphers.map { "\($0)" }
        case .hash: algorithms.hashes.map { "\($0)" }
        case .group: algorithms.groups.map { "\($0)" }
        case .authenticationMethod: methods.map { "\($0)" }
        case .integrity, .headerIntegrity, .compression, .extendedSequenceNumbers, .life, .encapsulationMode,
            .protocolID, .securityParameterIndex, .unknownAttribute:
            []
        }
    }

    /// Weak parts come last whatever else is strong; then our order of ciphers, hashes, groups.
    private func rank(_ suite: PhaseOneSuite) -> [Int] {
        let isWeak =
            [.modp768, .modp1024, .modp1536].contains(suite.group) || [.des, .tripleDES].contains(suite.cipher)
            || suite.hash == .md5
        return [
            isWeak ? 1 : 0, algorithms.ciphers.firstIndex(of: suite.cipher) ?? .max,
            algorithms.hashes.firstIndex(of: suite.hash) ?? .max, algorithms.groups.firstIndex(of: suite.group) ?? .max,
        ]
    }

    /// The transform that offers `suite`.
    static func offer(
        _ suite: PhaseOneSuite, method: PhaseOneAuthenticationMethod, seconds: UInt64
    ) -> (id: UInt8, attributes: [UInt8]) {
        let (cipher, keyBits): (UInt64, UInt64?) =
            switch suite.cipher {
            case .des: (1, nil)
            case .tripleDES: (5, nil)
            case .aes128: (7, 128)
            case .aes192: (7, 192)
            case .aes256: (7, 256)
            }
        let hash: UInt64 =
            switch suite.hash {
            case .md5, .md4: 1
            case .sha1: 2
            case .sha256: 4
            case .sha384: 5
            case .sha512: 6
            }
        var attributes = Attribute.bytes(Class.encryption, cipher)
        if let keyBits { attributes += Attribute.bytes(Class.keyLength, keyBits) }
        attributes += Attribute.bytes(Class.hash, hash) + Attribute.bytes(Class.group, UInt64(suite.group.rawValue))
        attributes += Attribute.bytes(Class.authenticationMethod, UInt64(method.rawValue))
        attributes += Attribute.bytes(Class.lifeType, 1) + Attribute.bytes(Class.lifeDuration, seconds)
        return (keyIKE, attributes)
    }

    private typealias Evaluation = Result<(PhaseOneSuite, PhaseOneAuthenticationMethod, Life), OfferMismatch>

    private func evaluate(_ transform: Transform, protocolID: UInt8) -> Evaluation {
        guard protocolID == ProtocolID.isakmp, transform.id == Self.keyIKE else {
            return .failure(OfferMismatch(.protocolID))
        }
        guard let numbers = transform.numbers(single: Class.single, repeated: Class.repeated) else {
            return .failure(OfferMismatch(.unknownAttribute))
        }
        let cipher = Self.cipher(numbers).flatMap { algorithms.ciphers.contains($0) ? $0 : nil }
        let hash = Self.hash(numbers).flatMap { algorithms.hashes.contains($0) ? $0 : nil }
        let method = Self.method(numbers).flatMap { methods.contains($0) ? $0 : nil }
        let group = Self.group(numbers).flatMap { algorithms.groups.contains($0) ? $0 : nil }
        let life = Life(transform.attributes, typeAttribute: Class.lifeType, durationAttribute: Class.lifeDuration)
        if let cipher, let hash, let method, let group, let life {
            return .success((PhaseOneSuite(cipher: cipher, hash: hash, group: group), method, life))
        }
        // All of them, so that who mends one does not meet the next.
        let attributes: [(IKEOfferAttribute, isAcceptable: Bool)] = [
            (.encryption, cipher != nil), (.hash, hash != nil), (.authenticationMethod, method != nil),
            (.group, group != nil), (.life, life != nil),
        ]
        return .failure(OfferMismatch(attributes.filter { !$0.isAcceptable }.map(\.0)))
    }

    private static func method(_ numbers: [UInt16: UInt64]) -> PhaseOneAuthenticationMethod? {
        numbers[Class.authenticationMethod].flatMap { UInt16(exactly: $0) }
            .flatMap(PhaseOneAuthenticationMethod.init(rawValue:))
    }

    private static func cipher(_ numbers: [UInt16: UInt64]) -> CBCCipher? {
        switch (numbers[Class.encryption], numbers[Class.keyLength]) {
        case (1, nil): .des
        case (5, nil): .tripleDES
        case (7, nil), (7, 128): .aes128
        case (7, 192): .aes192
        case (7, 256): .aes256
        default: nil
        }
    }

    private static func hash(_ numbers: [UInt16: UInt64]) -> HashAlgorithm? {
        switch numbers[Class.hash] {
        case 1: .md5
        case 2: .sha1
        case 4: .sha256
        case 5: .sha384
        case 6: .sha512
        default: nil
        }
    }

    private static func group(_ numbers: [UInt16: UInt64]) -> DiffieHellmanGroup? {
        numbers[Class.group].flatMap { UInt16(exactly: $0) }.flatMap(DiffieHellmanGroup.init(rawValue:))
    }

    /// The offer in words.
    static func name(_ transform: Transform) -> String {
        [IKEOfferAttribute.encryption, .hash, .group].map { value($0, of: transform) }.joined(separator: "-")
    }

    /// What the offer has in an attribute, in words; numbers where we have no name.
    private static func value(_ attribute: IKEOfferAttribute, of transform: Transform) -> String {
        let numbers = transform.firstNumbers
        let unknown = { (kind: UInt16) in numbers[kind].map { "(\($0))" } ?? "none" }
        switch attribute {
        case .encryption: return cipher(numbers).map { "\($0)" } ?? "cipher" + unknown(Class.encryption)
        case .hash: return hash(numbers).map { "\($0)" } ?? "hash" + unknown(Class.hash)
        case .group: return group(numbers).map { "\($0)" } ?? "group" + unknown(Class.group)
        case .authenticationMethod:
            return method(numbers).map { "\($0)" } ?? "method" + unknown(Class.authenticationMethod)
        case .life: return "type" + unknown(Class.lifeType) + " duration" + unknown(Class.lifeDuration)
        case .protocolID: return "transform(\(transform.id))"
        case .integrity, .headerIntegrity, .compression, .extendedSequenceNumbers, .encapsulationMode,
            .securityParameterIndex, .unknownAttribute:
            return ""
        }
    }
}

extension Transform {
    /// The attributes as numbers by type; nil where one is unknown, has no number, or is there twice.
    func numbers(single: Set<UInt16>, repeated: Set<UInt16>) -> [UInt16: UInt64]? {
        var numbers: [UInt16: UInt64] = [:]
        numbers.reserveCapacity(single.count)
        for attribute in attributes where !repeated.contains(attribute.type) {
            guard single.contains(attribute.type), let number = attribute.number,
                numbers.updateValue(number, forKey: attribute.type) == nil
            else { return nil }
        }
        return numbers
    }

    /// The numbers of the attributes by type, for words about an offer; the first where one is there twice.
    var firstNumbers: [UInt16: UInt64] {
        Dictionary(
            attributes.compactMap { attribute in attribute.number.map { (attribute.type, $0) } },
            uniquingKeysWith: { first, _ in first })
    }
}
