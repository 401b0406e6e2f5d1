/// At which step a dial-in came to its end, in the order in which a dial-in takes them.
public enum FailureStep: String, Codable, CaseIterable, Sendable {
    /// Main mode, messages 1 and 2: the client's offers.
    case mainModeOffer
    /// Main mode, messages 3 and 4: the key exchange.
    case mainModeKeyExchange
    /// Main mode, messages 5 and 6: who the client is.
    case mainModeAuthentication
    /// Aggressive mode, as a whole.
    case aggressiveMode
    /// An exchange that the gateway began.
    case initiation
    /// Another exchange than these.
    case otherExchange
    /// Quick mode: the offers for IPsec.
    case quickMode
    /// The IPsec SAs are there, and L2TP should come.
    case ipsec
    /// L2TP's tunnel.
    case tunnel
    /// L2TP's call.
    case call
    /// PPP's LCP.
    case link
    /// PPP's authentication: the user's name and password.
    case userAuthentication
    /// PPP's IPCP: the inner address.
    case address

    /// The step in words.
    public var text: String {
        switch self {
        case .mainModeOffer: "IKE main mode, messages 1 and 2 (offers)"
        case .mainModeKeyExchange: "IKE main mode, messages 3 and 4 (key exchange)"
        case .mainModeAuthentication: "IKE main mode, messages 5 and 6 (authentication)"
        case .aggressiveMode: "IKE aggressive mode"
        case .initiation: "IKE, begun by the gateway"
        case .otherExchange: "IKE, another exchange"
        case .quickMode: "IKE quick mode (offers for IPsec)"
        case .ipsec: "IPsec is up, L2TP should follow"
        case .tunnel: "L2TP tunnel"
        case .call: "L2TP call"
        case .link: "PPP link (LCP)"
        case .userAuthentication: "PPP authentication (user and password)"
        case .address: "PPP address (IPCP)"
        }
    }
}

/// Why a dial-in came to nothing. The words are stable: scripts may rely on them. What each means, what the user sees and
/// what is to be changed is in ``advice``.
public enum FailureReason: String, Codable, CaseIterable, Sendable {
    // IKE, phase 1.
    case noProposalChosen
    case preSharedKeyMismatch
    case preSharedKeyOfOtherIdentity
    case noPreSharedKey
    case unknownIdentity
    case aggressiveModeDisabled
    case aggressiveModeUnanswered
    case publicValueRefused
    case authenticationNeverCame
    case addressSlowed
    case ikeLimitReached
    case exchangeUnsupported
    case initiationUnanswered
    case otherIdentity
    // Certificates.
    case noCertificate
    case malformedCertificate
    case certificateExpired
    case certificateNotYetValid
    case unknownAuthority
    case certificateRevoked
    case revocationUnknown
    case noStatusAnswer
    case wrongName
    case wrongUsage
    case badSignature
    case weakKey
    case invalidChain
    // IKE, phase 2, and what should come in the IPsec SAs.
    case noIPsecProposalChosen
    case selectorsRefused
    case declinedByGateway
    case malformedQuickMode
    case quickModeNeverCame
    case quickModeUnfinished
    case espNeverCame
    case tunnelNeverCame
    // L2TP.
    case tunnelSecretUnknown
    case tunnelSecretWrong
    case tunnelLimitReached
    case tunnelRequestRefused
    case tunnelUnfinished
    case tunnelClosedByClient
    case callNeverCame
    case callRefused
    case callUnfinished
    case callClosedByClient
    case sessionLimitReached
    case policyForbids
    // PPP.
    case linkUnanswered
    case linkNotConverging
    case linkLoopedBack
    case noCommonAuthentication
    case authenticationUnanswered
    case wrongPassword
    case unknownUser
    case guessesSlowed
    case userSessionLimitReached
    case noAddressFree
    case addressNotConverging
    case addressRefused
    case networkRefused
    case clientHungUp
    case clientSilent
    case protocolViolated
}
