import Cryptography
import IKE

/// What is said about offers of which none was acceptable: in what each differs, what is accepted there, and the smallest
/// change of the configuration that would let one of them in.
struct OfferAdvice {
    private(set) var records: [FailureRecord.Offer] = []
    private(set) var accepts: [String: [String]] = [:]
    /// The changes, the smallest first; none where no change of algorithms would help.
    private(set) var changes: [String] = []

    init(_ offers: [IKERefusedOffer], reason: FailureReason) {
        for offer in offers {
            let differs = offer.mismatches.map { ($0.attribute.rawValue, $0.offered) }
            records.append(
                FailureRecord.Offer(
                    offer: offer.numberedOffer, differs: Dictionary(differs, uniquingKeysWith: { first, _ in first })))
            for mismatch in offer.mismatches { accepts[mismatch.attribute.rawValue] = mismatch.accepted }
        }
        // The first of those with the fewest differences: clients list what they like best first.
        guard let nearest = offers.min(by: { $0.mismatches.count < $1.mismatches.count }),
            !nearest.mismatches.isEmpty
        else { return }
        let isPhaseTwo = reason == .noIPsecProposalChosen
        let keys = nearest.mismatches.compactMap { Self.change($0, isPhaseTwo: isPhaseTwo) }
        guard keys.count == nearest.mismatches.count else { return }
        changes = ["for its offer \(nearest.numberedOffer): \(keys.joined(separator: " and "))"]
        changes += Self.profiles(that: nearest.mismatches, isPhaseTwo: isPhaseTwo)
    }

    /// What takes the value of one attribute in; nil where no key does.
    private static func change(_ mismatch: IKEOfferMismatch, isPhaseTwo: Bool) -> String? {
        let value = mismatch.offered
        switch mismatch.attribute {
        case .encryption: return "add \(value) to `\(isPhaseTwo ? "esp" : "ike").ciphers`"
        case .hash: return "add \(value) to `ike.hashes`"
        case .integrity: return "add \(value) to `esp.integrity`"
        case .headerIntegrity: return "add \(value) to `ah.integrity`"
        case .compression: return value == "deflate" ? "set `esp.compression: accept`" : nil
        case .extendedSequenceNumbers:
            return value == "64 bits" ? "set `extendedSequenceNumbers: accept`" : nil
        case .group: return "add \(value) to `ike.groups`"
        case .authenticationMethod:
            return value == PhaseOneAuthenticationMethod.preSharedKey.description
                ? "set `psk` and let `authentication` name psk"
                : "let `authentication` name certificate, and give `certificates` a key of this kind"
        case .life, .encapsulationMode, .protocolID, .securityParameterIndex, .unknownAttribute: return nil
        }
    }

    /// The switches that take all differences in at once.
    private static func profiles(that mismatches: [IKEOfferMismatch], isPhaseTwo: Bool) -> [String] {
        var changes: [String] = []
        if mismatches.count == 1, mismatches[0].attribute == .group,
            mismatches[0].offered == "\(DiffieHellmanGroup.modp1024)"
        {
            changes.append("or that group alone by `enableModp1024: true` (VPN_ENABLE_MODP1024=yes)")
        }
        let profile = IKEProfile.allCases.filter { $0 != .modern }.first { profile in
            mismatches.allSatisfy { names(of: $0.attribute, in: profile, isPhaseTwo: isPhaseTwo).contains($0.offered) }
        }
        if let profile {
            changes.append("or all that such clients need by `profile: \(profile)` (CULVERT_PROFILE=\(profile))")
        }
        return changes
    }

    private static func names(
        of attribute: IKEOfferAttribute, in profile: IKEProfile, isPhaseTwo: Bool
    ) -> [String] {
        let (first, second) = (PhaseOneAlgorithms(profile), PhaseTwoAlgorithms(profile))
        switch attribute {
        case .encryption: return isPhaseTwo ? second.ciphers.map { "\($0)" } : first.ciphers.map { "\($0)" }
        case .hash: return first.hashes.map { "\($0)" }
        case .integrity: return second.integrities.map { "\($0)" }
        case .group: return first.groups.map { "\($0)" }
        case .headerIntegrity, .compression, .extendedSequenceNumbers, .authenticationMethod, .life, .encapsulationMode,
            .protocolID, .securityParameterIndex, .unknownAttribute:
            return []
        }
    }
}
