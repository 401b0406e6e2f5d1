import Cryptography
import Wire

/// Chooses a phase-2 offer (RFC 2407 section 4.5, RFC 2409 section 5.5): one proposal, or all proposals of one number, which
/// are chosen whole or not at all (RFC 2408 section 4.2).
struct PhaseTwoNegotiation {
    /// Attribute classes of RFC 2407 section 4.5.
    enum Class {
        static let lifeType: UInt16 = 1
        static let lifeDuration: UInt16 = 2
        static let group: UInt16 = 3
        static let encapsulationMode: UInt16 = 4
        static let authentication: UInt16 = 5
        static let keyLength: UInt16 = 6
        /// RFC 3168 section 9.2.1: since RFC 6040 a tunnel has one way to treat congestion marks, whatever this says.
        static let congestionTunnel: UInt16 = 10
        /// RFC 4304.
        static let extendedSequenceNumbers: UInt16 = 11
        /// Those with a number each.
        static let single: Set = [
            group, encapsulationMode, authentication, keyLength, congestionTunnel, extendedSequenceNumbers,
        ]
        /// Those that come once for each bound of a life.
        static let repeated: Set = [lifeType, lifeDuration]
    }

    /// IPCOMP_DEFLATE (RFC 2407 section 4.4.5).
    static let deflateTransformID: UInt8 = 2
    /// SPIs of 1 to 255 are reserved and 0 is none (RFC 4303 section 2.1, RFC 4302 section 2.4). Of CPIs, 0 to 63 are known
    /// without negotiation and 64 to 255 reserved (RFC 3173 section 3.3).
    static let reservedIndexes: ClosedRange<UInt32> = 0...255

    /// What the ISAKMP SA has found out about NATs on the way.
    enum Path: Sendable {
        /// The peer does not speak NAT traversal: packets as they are.
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
    /// Whether there must be perfect forward secrecy.
    var requiresGroup = false
    /// Which modes are for the traffic.
    var modes: Set<IPsecMode> = [.transport]

    /// What the protocols of one offer have in common.
    private struct Terms: Hashable {
        var mode: EncapsulationMode
        var group: DiffieHellmanGroup?
        var usesExtendedSequenceNumbers: Bool
    }

    /// What one transform adds to a suite.
    private enum Algorithm: Hashable {
        case header(IPsecIntegrity)
        case payload(IPsecSuite.Payload)
        case compression
    }

    /// One transform that could be a part.
    private struct Candidate {
        let terms: Terms
        let algorithm: Algorithm
        let life: Life
        let part: ChosenPhaseTwo.Part
    }

    func choose(from payload: SecurityAssociationPayload) -> NegotiationResult<ChosenPhaseTwo> {
        var best: (rank: [Int], choice: ChosenPhaseTwo)?
        var refused: [UnacceptableOffer] = []
        for bundle in payload.bundles {
            for (rank, choice) in choices(from: bundle, &refused)
            where best.map({ rank.lexicographicallyPrecedes($0.rank) }) ?? true {
                best = (rank, choice)
            }
        }
        if let best { return .chosen(best.choice) }
        return .refused(
            UnacceptableOffer.described(
                Array(refused.prefix(IKERefusedOffer.listMaximum)),
                name: { Self.name($0.transform, of: $0.proposal) }, offered: { Self.value($0, of: $1) },
                accepted: accepted))
    }

    /// All ways to take the proposals of one number, with how much each is wanted.
    private func choices(
        from bundle: [Proposal], _ refused: inout [UnacceptableOffer]
    ) -> [(rank: [Int], choice: ChosenPhaseTwo)] {
        var members: [[Candidate]] = []
        for proposal in bundle {
            var candidates: [Candidate] = []
            for transform in proposal.transforms {
                switch evaluate(transform, of: proposal, in: bundle) {
                case .success(let candidate):
                    let isRepetition = candidates.contains {
                        $0.terms == candidate.terms && $0.algorithm == candidate.algorithm
                    }
                    if !isRepetition { candidates.append(candidate) }
                case .failure(let mismatch):
                    guard refused.count < IKERefusedOffer.listMaximum else { continue }
                    refused.append(
                        UnacceptableOffer(proposal: proposal, transform: transform, attributes: mismatch.attributes))
                }
            }
            members.append(candidates)
        }
        guard !members.contains(where: \.isEmpty), let first = bundle.first, let transform = first.transforms.first
        else {
            return []
        }
        let choices = combine(members, number: first.number)
        if choices.isEmpty {
            // Each part would do, but not together.
            refused.append(UnacceptableOffer(proposal: first, transform: transform, attributes: [.protocolID]))
        }
        return choices
    }

    /// Takes from each protocol a transform of the same terms, in every way.
    private func combine(
        _ members: [[Candidate]], number: UInt8
    ) -> [(rank: [Int], choice: ChosenPhaseTwo)] {
        var combinations: [(terms: Terms?, parts: [Candidate])] = [(nil, [])]
        for member in members {
            combinations = combinations.flatMap { combination in
                member.compactMap { candidate in
                    // Compression says no group and no sequence numbers, only a mode.
                    let terms = candidate.algorithm == .compression ? nil : candidate.terms
                    let isFit = terms == nil || combination.terms == nil || terms == combination.terms
                    return isFit ? (combination.terms ?? terms, combination.parts + [candidate]) : nil
                }
            }
        }
        return combinations.compactMap { combination in
            guard let terms = combination.terms, var life = combination.parts.first?.life else { return nil }
            var suite = IPsecSuite()
            suite.usesExtendedSequenceNumbers = terms.usesExtendedSequenceNumbers
            for candidate in combination.parts {
                guard candidate.terms.mode == terms.mode else { return nil }
                life.shorten(to: candidate.life)
                switch candidate.algorithm {
                case .header(let integrity): suite.authenticationHeader = integrity
                case .payload(let payload): suite.payload = payload
                case .compression: suite.compresses = true
                }
            }
            guard let rank = algorithms.rank(suite) else { return nil }
            return (
                rank + [terms.group.flatMap { groups.firstIndex(of: $0) } ?? 0],
                ChosenPhaseTwo(
                    suite: suite, life: life, mode: terms.mode, group: terms.group, proposalNumber: number,
                    parts: combination.parts.map(\.part))
            )
        }
    }

    // MARK: - One transform

    private func evaluate(
        _ transform: Transform, of proposal: Proposal, in bundle: [Proposal]
    ) -> Result<Candidate, OfferMismatch> {
        guard Self.isLegal(bundle) else { return .failure(OfferMismatch(.protocolID)) }
        guard let index = Self.index(of: proposal) else { return .failure(OfferMismatch(.securityParameterIndex)) }
        guard let numbers = transform.numbers(single: Class.single, repeated: Class.repeated) else {
            return .failure(OfferMismatch(.unknownAttribute))
        }
        var mismatches: [IKEOfferAttribute] = []
        let algorithm: Algorithm?
        switch proposal.protocolID {
        case ProtocolID.esp:
            let hasHeader = bundle.contains { $0.protocolID == ProtocolID.authenticationHeader }
            algorithm = payload(transform, numbers, isInsideHeader: hasHeader, &mismatches)
        case ProtocolID.authenticationHeader: algorithm = header(transform, numbers, &mismatches)
        default: algorithm = compression(transform, &mismatches)
        }
        let isCompression = proposal.protocolID == ProtocolID.compression
        let mode = mode(numbers, isCompression: isCompression)
        if mode == nil { mismatches.append(.encapsulationMode) }
        let group = numbers[Class.group].flatMap { UInt16(exactly: $0) }.flatMap(DiffieHellmanGroup.init(rawValue:))
        let isGroupLegal =
            numbers[Class.group] == nil
            ? !hasKeyExchange && !requiresGroup : hasKeyExchange && group.map(groups.contains) ?? false
        if !isGroupLegal, !isCompression { mismatches.append(.group) }
        let sequenceNumbers = numbers[Class.extendedSequenceNumbers]
        let areNumbersLegal =
            sequenceNumbers == nil
            || sequenceNumbers == 1 && !isCompression && algorithms.extendedSequenceNumbers != .never
        if !areNumbersLegal { mismatches.append(.extendedSequenceNumbers) }
        let life = Life(transform.attributes, typeAttribute: Class.lifeType, durationAttribute: Class.lifeDuration)
        if life == nil { mismatches.append(.life) }
        // All of them, so that who mends one does not meet the next.
        guard let algorithm, let mode, let life, mismatches.isEmpty else { return .failure(OfferMismatch(mismatches)) }
        return .success(
            Candidate(
                terms: Terms(
                    mode: mode, group: isCompression ? nil : group, usesExtendedSequenceNumbers: sequenceNumbers != nil),
                algorithm: algorithm, life: life,
                part: ChosenPhaseTwo.Part(
                    protocolID: proposal.protocolID, index: index, indexBytes: proposal.securityParameterIndex.count,
                    transform: transform)))
    }

    /// Whether protocols may stand together: each once, and AH or ESP among them.
    private static func isLegal(_ bundle: [Proposal]) -> Bool {
        let protocols = Set(bundle.map(\.protocolID))
        let known: Set = [ProtocolID.authenticationHeader, ProtocolID.esp, ProtocolID.compression]
        return protocols.count == bundle.count && protocols.isSubset(of: known) && protocols != [ProtocolID.compression]
    }

    private static func index(of proposal: Proposal) -> UInt32? {
        let bytes = proposal.securityParameterIndex
        let isCompression = proposal.protocolID == ProtocolID.compression
        guard bytes.count == 4 || isCompression && bytes.count == 2 else { return nil }
        let index = bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        // A CPI in four bytes is in the last two (RFC 3173 section 3.3).
        guard !reservedIndexes.contains(index), !isCompression || index <= UInt16.max else { return nil }
        return index
    }

    private func payload(
        _ transform: Transform, _ numbers: [UInt16: UInt64], isInsideHeader: Bool,
        _ mismatches: inout [IKEOfferAttribute]
    ) -> Algorithm? {
        let known = ESPCipher(transformID: transform.id, keyBits: numbers[Class.keyLength])
        let cipher = known.flatMap { algorithms.ciphers.contains($0) ? $0 : nil }
        if cipher == nil { mismatches.append(.encryption) }
        let integrity = integrity(numbers, cipher: known, isInsideHeader: isInsideHeader)
        if integrity == nil { mismatches.append(.integrity) }
        guard let cipher, case .some(let integrity) = integrity else { return nil }
        return .payload(IPsecSuite.Payload(cipher: cipher, integrity: integrity))
    }

    /// The integrity algorithm, `.some(nil)` for none where that is right; nil where it is not acceptable.
    private func integrity(
        _ numbers: [UInt16: UInt64], cipher: ESPCipher?, isInsideHeader: Bool
    ) -> IPsecIntegrity?? {
        let isAbsent = numbers[Class.authentication] == nil
        // Of a cipher that we do not know nobody can say whether it needs one.
        guard let cipher, !cipher.isCombined else {
            return isAbsent ? .some(nil) : cipher == nil ? wanted(numbers) : nil
        }
        guard !isAbsent else {
            return cipher != .null && (algorithms.allowsNoIntegrity || isInsideHeader) ? .some(nil) : nil
        }
        return wanted(numbers)
    }

    private func wanted(_ numbers: [UInt16: UInt64]) -> IPsecIntegrity?? {
        guard let wanted = Self.integrity(numbers), wanted != .hmacSHA256Truncated96,
            algorithms.integrities.contains(where: { $0.attribute == wanted.attribute })
        else { return nil }
        return wanted == .hmacSHA256 && algorithms.truncatesSHA256 ? .hmacSHA256Truncated96 : wanted
    }

    /// AH's transform and its attribute name the same algorithm (RFC 2407 section 4.4.3).
    private func header(
        _ transform: Transform, _ numbers: [UInt16: UInt64], _ mismatches: inout [IKEOfferAttribute]
    ) -> Algorithm? {
        guard path != .translated else {
            // A NAT changes what AH authenticates (RFC 3947 section 1).
            mismatches.append(.protocolID)
            return nil
        }
        guard let integrity = Self.headerIntegrity(transform, numbers), numbers[Class.keyLength] == nil,
            algorithms.headerIntegrities.contains(integrity)
        else {
            mismatches.append(.headerIntegrity)
            return nil
        }
        return .header(integrity)
    }

    private static func headerIntegrity(_ transform: Transform, _ numbers: [UInt16: UInt64]) -> IPsecIntegrity? {
        guard let integrity = integrity(numbers), integrity != .hmacSHA256Truncated96,
            integrity.headerTransformID == transform.id
        else { return nil }
        return integrity
    }

    private func compression(_ transform: Transform, _ mismatches: inout [IKEOfferAttribute]) -> Algorithm? {
        guard transform.id == Self.deflateTransformID, algorithms.compression != .never else {
            mismatches.append(.compression)
            return nil
        }
        return .compression
    }

    /// The mode, where it is for the traffic and fits what is known of NATs. Where the attribute is missing the choice is
    /// ours (RFC 2407 section 4.5), and for compression it is transport mode (RFC 3173 section 4.1).
    private func mode(_ numbers: [UInt16: UInt64], isCompression: Bool) -> EncapsulationMode? {
        let isTranslated = path == .translated
        guard let number = numbers[Class.encapsulationMode] else {
            guard modes.contains(.transport) else {
                return isCompression ? nil : isTranslated ? .udpTunnel : .tunnel
            }
            return isTranslated ? .udpTransport : .transport
        }
        guard let mode = UInt16(exactly: number).flatMap(EncapsulationMode.init(rawValue:)),
            modes.contains(mode.ipsecMode)
        else { return nil }
        switch path {
        case .unknown: return mode.isUDPEncapsulated ? nil : mode
        case .direct: return mode
        case .translated: return mode.isUDPEncapsulated ? mode : nil
        }
    }

    fileprivate static func integrity(_ numbers: [UInt16: UInt64]) -> IPsecIntegrity? {
        numbers[Class.authentication].flatMap { UInt16(exactly: $0) }.flatMap(IPsecIntegrity.init(rawValue:))
    }
}

// In words.
extension PhaseTwoNegotiation {
    /// What we accept in an attribute.
    fileprivate func accepted(_ attribute: IKEOfferAttribute) -> [String] {
        switch attribute {
        case .encryption: return algorithms.ciphers.map { "\($0)" }
        case .integrity: return algorithms.integrities.map { "\($0)" } + (algorithms.allowsNoIntegrity ? ["none"] : [])
        case .headerIntegrity: return algorithms.headerIntegrities.map { "\($0)" }
        case .compression: return algorithms.compression == .never ? ["none"] : ["deflate"]
        case .extendedSequenceNumbers:
            return algorithms.extendedSequenceNumbers == .never ? ["32 bits"] : ["32 bits", "64 bits"]
        case .group:
            let isPossible = hasKeyExchange || requiresGroup
            return isPossible ? groups.map { "\($0)" } : ["none: the message has no KE payload"]
        case .encapsulationMode:
            return [IPsecMode.transport, .tunnel].filter(modes.contains).flatMap { mode in
                switch path {
                case .unknown: ["\(mode)"]
                case .direct: ["\(mode)", "UDP-encapsulated \(mode)"]
                case .translated: ["UDP-encapsulated \(mode)"]
                }
            }
        case .protocolID:
            let isHeaderPossible = path != .translated && !algorithms.headerIntegrities.isEmpty
            return isHeaderPossible ? ["esp", "ah", "ah around esp"] : ["esp"]
        case .hash, .authenticationMethod, .life, .securityParameterIndex, .unknownAttribute: return []
        }
    }

    /// The offer in words, numbers where we have no name.
    static func name(_ transform: Transform, of proposal: Proposal) -> String {
        let numbers = transform.firstNumbers
        let offer = UnacceptableOffer(proposal: proposal, transform: transform, attributes: [])
        var name = value(.protocolID, of: offer)
        switch proposal.protocolID {
        case ProtocolID.esp:
            name += " \(value(.encryption, of: offer))"
            if numbers[Class.authentication] != nil { name += "-\(value(.integrity, of: offer))" }
        case ProtocolID.authenticationHeader: name += " \(value(.headerIntegrity, of: offer))"
        case ProtocolID.compression: name += " \(value(.compression, of: offer))"
        default: name += " transform(\(transform.id))"
        }
        if let number = numbers[Class.encapsulationMode] { name += " mode \(number)" }
        if let number = numbers[Class.group] { name += " group \(number)" }
        if numbers[Class.extendedSequenceNumbers] != nil { name += " esn" }
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
        case .integrity:
            guard numbers[Class.authentication] != nil else { return "none" }
            return integrity(numbers).map { "\($0)" } ?? "auth" + unknown(Class.authentication)
        case .headerIntegrity:
            return headerIntegrity(transform, numbers).map { "\($0)" }
                ?? "transform(\(transform.id)) auth" + unknown(Class.authentication)
        case .compression: return transform.id == deflateTransformID ? "deflate" : "transform(\(transform.id))"
        case .extendedSequenceNumbers:
            let number = numbers[Class.extendedSequenceNumbers]
            return number == nil ? "32 bits" : number == 1 ? "64 bits" : "kind" + unknown(Class.extendedSequenceNumbers)
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
