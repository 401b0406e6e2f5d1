import Cryptography
import Wire

/// The offer that we chose in quick mode.
struct ChosenPhaseTwo: Hashable, Sendable {
    var suite: IPsecSuite
    var life: Life
    var mode: EncapsulationMode
    /// The group of perfect forward secrecy.
    var group: DiffieHellmanGroup?
    var proposalNumber: UInt8
    var outboundSPI: UInt32
    var transform: Transform

    /// The SA payload of message 2.
    func answer(inboundSPI: UInt32) -> [UInt8] {
        SecurityAssociationPayload.answer(
            proposalNumber: proposalNumber, protocolID: ProtocolID.esp, securityParameterIndex: inboundSPI.octets,
            transform: transform)
    }
}

/// Chooses a phase-2 transform (RFC 2407 section 4.5, RFC 2409 section 5.5).
struct PhaseTwoNegotiation {
    /// Attribute classes of RFC 2407 section 4.5.
    enum Class {
        static let lifeType: UInt16 = 1
        static let lifeDuration: UInt16 = 2
        static let group: UInt16 = 3
        static let encapsulationMode: UInt16 = 4
        static let authentication: UInt16 = 5
        static let keyLength: UInt16 = 6
        /// RFC 3168: which says nothing in transport mode.
        static let congestionTunnel: UInt16 = 10
        /// Those with a number each.
        static let single: Set = [group, encapsulationMode, authentication, keyLength, congestionTunnel]
        /// Those that come once for each bound of a life.
        static let repeated: Set = [lifeType, lifeDuration]
    }

    /// The transform that offers `suite`.
    static func offer(
        _ suite: IPsecSuite, mode: EncapsulationMode, group: DiffieHellmanGroup?, seconds: UInt64,
        kilobytes: UInt64?
    ) -> (id: UInt8, attributes: [UInt8]) {
        var attributes = Attribute.bytes(Class.lifeType, 1) + Attribute.bytes(Class.lifeDuration, seconds)
        if let kilobytes {
            attributes += Attribute.bytes(Class.lifeType, 2) + Attribute.bytes(Class.lifeDuration, kilobytes)
        }
        attributes += Attribute.bytes(Class.encapsulationMode, UInt64(mode.rawValue))
        if let integrity = suite.payload?.integrity {
            attributes += Attribute.bytes(Class.authentication, UInt64(integrity.attribute))
        }
        switch suite.payload?.cipher {
        case .aesCBC(let keyBits), .aesGCM(let keyBits, _):
            attributes += Attribute.bytes(Class.keyLength, UInt64(keyBits))
        case .des, .tripleDES, .null, nil: break
        }
        if let group { attributes += Attribute.bytes(Class.group, UInt64(group.rawValue)) }
        return (suite.payload?.cipher.transformID ?? 0, attributes)
    }

    /// What the ISAKMP SA has found out about NATs on the way.
    enum Path: Sendable {
        /// The peer does not speak NAT traversal: transport mode as it is.
        case unknown
        /// No NAT was found. A peer that believes in one may still encapsulate.
        case direct
        /// A NAT was found: packets must be encapsulated in UDP.
        case translated
    }

    let algorithms: PhaseTwoAlgorithms
    let groups: [DiffieHellmanGroup]
    let path: Path
    /// Whether the message carries a KE payload.
    let hasKeyExchange: Bool

    func choose(from payload: SecurityAssociationPayload) -> NegotiationResult<ChosenPhaseTwo> {
        var best: (rank: [Int], choice: ChosenPhaseTwo)?
        var refused: [UnacceptableOffer] = []
        for (index, proposal) in payload.proposals.enumerated() {
            // Proposals of one number stand together: ESP and AH, or ESP and IPComp (RFC 2408 section 4.2).
            let isCombined = payload.proposals.enumerated().contains {
                $0.offset != index && $0.element.number == proposal.number
            }
            for transform in proposal.transforms {
                switch evaluate(transform, of: proposal, isCombined: isCombined) {
                case .success(let choice):
                    let rank = rank(choice)
                    if best.map({ rank.lexicographicallyPrecedes($0.rank) }) ?? true { best = (rank, choice) }
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
                refused, name: { Self.name($0.transform, of: $0.proposal) }, offered: { Self.value($0, of: $1) },
                accepted: accepted))
    }

    /// What we accept in an attribute.
    private func accepted(_ attribute: IKEOfferAttribute) -> [String] {
        switch attribute {
        case .encryption: algorithms.ciphers.map { "\($0)" }
        case .integrity: algorithms.integrities.map { "\($0)" }
        case .group: hasKeyExchange ? groups.map { "\($0)" } : ["none: the message has no KE payload"]
        case .encapsulationMode:
            switch path {
            case .unknown: ["transport"]
            case .direct: ["transport", "UDP-encapsulated transport"]
            case .translated: ["UDP-encapsulated transport"]
            }
        case .protocolID: ["esp alone"]
        case .hash, .authenticationMethod, .life, .securityParameterIndex, .unknownAttribute: []
        }
    }

    private func rank(_ choice: ChosenPhaseTwo) -> [Int] {
        [
            choice.suite.payload.flatMap { algorithms.ciphers.firstIndex(of: $0.cipher) } ?? .max,
            choice.suite.payload?.integrity.flatMap { integrity in
                algorithms.integrities.firstIndex { $0.attribute == integrity.attribute }
            } ?? 0,
            choice.group.flatMap { groups.firstIndex(of: $0) } ?? 0,
        ]
    }

    private func evaluate(
        _ transform: Transform, of proposal: Proposal, isCombined: Bool
    ) -> Result<ChosenPhaseTwo, OfferMismatch> {
        guard proposal.protocolID == ProtocolID.esp, !isCombined else { return .failure(OfferMismatch(.protocolID)) }
        // SPIs of 1 to 255 are reserved and 0 is none (RFC 4303 section 2.1).
        let spi = proposal.securityParameterIndex.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard proposal.securityParameterIndex.count == 4, let outboundSPI = UInt32(exactly: spi), outboundSPI > 255
        else { return .failure(OfferMismatch(.securityParameterIndex)) }
        guard let numbers = transform.numbers(single: Class.single, repeated: Class.repeated) else {
            return .failure(OfferMismatch(.unknownAttribute))
        }
        let cipher = ESPCipher(transformID: transform.id, keyBits: numbers[Class.keyLength])
            .flatMap { algorithms.ciphers.contains($0) ? $0 : nil }
        let integrity = integrity(numbers, transform: transform)
        let mode = mode(numbers)
        let group = numbers[Class.group].flatMap { UInt16(exactly: $0) }.flatMap(DiffieHellmanGroup.init(rawValue:))
        let isGroupLegal =
            numbers[Class.group] == nil ? !hasKeyExchange : hasKeyExchange && group.map(groups.contains) ?? false
        let life = Life(transform.attributes, typeAttribute: Class.lifeType, durationAttribute: Class.lifeDuration)
        if let cipher, case .some(let integrity) = integrity, let mode, isGroupLegal, let life {
            return .success(
                ChosenPhaseTwo(
                    suite: IPsecSuite(cipher: cipher, integrity: integrity), life: life, mode: mode,
                    group: group, proposalNumber: proposal.number, outboundSPI: outboundSPI, transform: transform))
        }
        // All of them, so that who mends one does not meet the next.
        let attributes: [(IKEOfferAttribute, isAcceptable: Bool)] = [
            (.encryption, cipher != nil), (.integrity, integrity != nil), (.encapsulationMode, mode != nil),
            (.group, isGroupLegal), (.life, life != nil),
        ]
        return .failure(OfferMismatch(attributes.filter { !$0.isAcceptable }.map(\.0)))
    }

    /// The integrity algorithm, `.some(nil)` for a cipher that authenticates itself; nil where it is not acceptable.
    private func integrity(_ numbers: [UInt16: UInt64], transform: Transform) -> IPsecIntegrity?? {
        let cipher = ESPCipher(transformID: transform.id, keyBits: numbers[Class.keyLength])
        if cipher?.isCombined == true { return numbers[Class.authentication] == nil ? .some(nil) : nil }
        // Of a cipher that we do not know nobody can say whether it needs one.
        if cipher == nil, numbers[Class.authentication] == nil { return .some(nil) }
        guard let wanted = Self.integrity(numbers), algorithms.integrities.contains(wanted),
            wanted != .hmacSHA256Truncated96
        else { return nil }
        return wanted == .hmacSHA256 && algorithms.truncatesSHA256 ? .hmacSHA256Truncated96 : wanted
    }

    /// The mode, where it is transport and fits what is known of NATs. Where the attribute is missing the choice is ours
    /// (RFC 2407 section 4.5).
    private func mode(_ numbers: [UInt16: UInt64]) -> EncapsulationMode? {
        let fallback: EncapsulationMode = path == .translated ? .udpTransport : .transport
        guard let number = numbers[Class.encapsulationMode] else { return fallback }
        guard let mode = UInt16(exactly: number).flatMap(EncapsulationMode.init(rawValue:)), mode.isTransport else {
            return nil
        }
        switch path {
        case .unknown: return mode.isUDPEncapsulated ? nil : mode
        case .direct: return mode
        case .translated: return mode.isUDPEncapsulated ? mode : nil
        }
    }

    private static func integrity(_ numbers: [UInt16: UInt64]) -> IPsecIntegrity? {
        numbers[Class.authentication].flatMap { UInt16(exactly: $0) }.flatMap(IPsecIntegrity.init(rawValue:))
    }

    /// The offer in words, numbers where we have no name.
    static func name(_ transform: Transform, of proposal: Proposal) -> String {
        let numbers = transform.firstNumbers
        let offer = UnacceptableOffer(proposal: proposal, transform: transform, attributes: [])
        var name = "\(value(.protocolID, of: offer)) \(value(.encryption, of: offer))"
        if numbers[Class.authentication] != nil { name += "-\(value(.integrity, of: offer))" }
        if let number = numbers[Class.encapsulationMode] { name += " mode \(number)" }
        if let number = numbers[Class.group] { name += " group \(number)" }
        return name
    }

    /// What the offer has in an attribute, in words; numbers where we have no name.
    private static func value(_ attribute: IKEOfferAttribute, of offer: UnacceptableOffer) -> String {
        let transform = offer.transform
        let numbers = transform.firstNumbers
        let unknown = { (kind: UInt16) in numbers[kind].map { "(\($0))" } ?? "none" }
        switch attribute {
        case .encryption:
            return ESPCipher(transformID: transform.id, keyBits: numbers[Class.keyLength]).map { "\($0)" }
                ?? "transform(\(transform.id))"
        case .integrity: return integrity(numbers).map { "\($0)" } ?? "auth" + unknown(Class.authentication)
        case .group:
            let group = numbers[Class.group].flatMap { UInt16(exactly: $0) }
                .flatMap(DiffieHellmanGroup.init(rawValue:))
            return group.map { "\($0)" } ?? "group" + unknown(Class.group)
        case .encapsulationMode: return "mode" + unknown(Class.encapsulationMode)
        case .life: return "type" + unknown(Class.lifeType) + " duration" + unknown(Class.lifeDuration)
        case .protocolID:
            switch offer.proposal.protocolID {
            case ProtocolID.esp: return "esp"
            case ProtocolID.authenticationHeader: return "ah"
            case ProtocolID.compression: return "ipcomp"
            default: return "protocol(\(offer.proposal.protocolID))"
            }
        case .securityParameterIndex:
            return hexadecimal(offer.proposal.securityParameterIndex.prefix(16))
        case .hash, .authenticationMethod, .unknownAttribute: return ""
        }
    }
}
