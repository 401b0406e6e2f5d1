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

/// One offer that was not acceptable, and why.
public struct IKERefusedOffer: Sendable, Hashable, CustomStringConvertible {
    /// The proposal's number.
    public let proposal: UInt8
    /// The transform's number.
    public let transform: UInt8
    /// The offer in our names, as far as we know them.
    public let offer: String
    /// The first attribute that we do not accept.
    public let attribute: IKEOfferAttribute

    /// The most offers that one record lists.
    static let listMaximum = 32

    /// Such as `1.4 3des-sha1-modp1024: encryption`.
    public var description: String { "\(proposal).\(transform) \(offer): \(attribute.rawValue)" }
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
        SecurityAssociationPayload.answer(
            proposalNumber: proposalNumber, protocolID: ProtocolID.isakmp, securityParameterIndex: [],
            transform: transform)
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
        var refused: [IKERefusedOffer] = []
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
                        IKERefusedOffer(
                            proposal: proposal.number, transform: transform.number, offer: Self.name(transform),
                            attribute: mismatch.attribute))
                }
            }
        }
        return best.map { .chosen($0.choice) } ?? .refused(refused)
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

    struct Mismatch: Error {
        let attribute: IKEOfferAttribute
    }

    private typealias Evaluation = Result<(PhaseOneSuite, PhaseOneAuthenticationMethod, Life), Mismatch>

    private func evaluate(_ transform: Transform, protocolID: UInt8) -> Evaluation {
        let refuse = { (attribute: IKEOfferAttribute) in Evaluation.failure(Mismatch(attribute: attribute)) }
        guard protocolID == ProtocolID.isakmp, transform.id == Self.keyIKE else { return refuse(.protocolID) }
        guard let numbers = transform.numbers(single: Class.single, repeated: Class.repeated) else {
            return refuse(.unknownAttribute)
        }
        guard let cipher = Self.cipher(numbers), algorithms.ciphers.contains(cipher) else { return refuse(.encryption) }
        guard let hash = Self.hash(numbers), algorithms.hashes.contains(hash) else { return refuse(.hash) }
        let method = numbers[Class.authenticationMethod].flatMap { UInt16(exactly: $0) }
            .flatMap(PhaseOneAuthenticationMethod.init(rawValue:))
        guard let method, methods.contains(method) else { return refuse(.authenticationMethod) }
        guard let group = Self.group(numbers), algorithms.groups.contains(group) else { return refuse(.group) }
        guard
            let life = Life(
                transform.attributes, typeAttribute: Class.lifeType, durationAttribute: Class.lifeDuration)
        else { return refuse(.life) }
        return .success((PhaseOneSuite(cipher: cipher, hash: hash, group: group), method, life))
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

    /// The offer in words, numbers where we have no name.
    static func name(_ transform: Transform) -> String {
        let numbers = Dictionary(
            transform.attributes.compactMap { attribute in attribute.number.map { (attribute.type, $0) } },
            uniquingKeysWith: { first, _ in first })
        let unknown = { (kind: UInt16) in numbers[kind].map { "(\($0))" } ?? "none" }
        let cipher = cipher(numbers).map { "\($0)" } ?? "cipher" + unknown(Class.encryption)
        let hash = hash(numbers).map { "\($0)" } ?? "hash" + unknown(Class.hash)
        let group = group(numbers).map { "\($0)" } ?? "group" + unknown(Class.group)
        return "\(cipher)-\(hash)-\(group)"
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
}
