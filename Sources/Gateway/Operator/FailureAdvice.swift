/// The kinds of clients whose users see something that is known.
public enum FailedClientKind: String, Codable, CaseIterable, Sendable {
    /// The client that Windows is delivered with.
    case windows
    /// Those of macOS and iOS.
    case apple
    /// strongSwan or libreswan with xl2tpd and pppd, as with NetworkManager-l2tp.
    case linux

    /// The kind in words.
    public var text: String {
        switch self {
        case .windows: "Windows"
        case .apple: "macOS, iOS"
        case .linux: "Linux"
        }
    }
}

/// What the user of a kind of client sees.
public struct ClientSymptom: Codable, Equatable, Sendable {
    /// Which clients.
    public var client: FailedClientKind
    /// The error's number, where it has one.
    public var error: Int?
    /// What is said on the screen, or in the log of Linux.
    public var text: String

    /// The symptom of a kind of client.
    public init(client: FailedClientKind, error: Int? = nil, text: String) {
        (self.client, self.error, self.text) = (client, error, text)
    }

    static func windows(_ error: WindowsError) -> ClientSymptom {
        ClientSymptom(client: .windows, error: error.rawValue, text: error.text)
    }

    /// Apple's one message for everything before PPP.
    static let appleNoResponse = ClientSymptom(client: .apple, text: "The L2TP-VPN server did not respond.")

    static func linux(_ text: String) -> ClientSymptom { ClientSymptom(client: .linux, text: text) }
}

/// The errors of Windows' own client that a refused dial-in ends in: numbers and texts of its raserror.h.
enum WindowsError: Int, CaseIterable {
    case portDisconnected = 628
    case authenticationFailure = 691
    case pppTimeout = 718
    case noProtocolsConfigured = 720
    case pppNotConverging = 732
    case linkTerminated = 734
    case noAddressAssigned = 738
    case processingError = 789
    case negotiationTimedOut = 792
    case serverDoesNotRespond = 809

    var text: String {
        switch self {
        case .portDisconnected: "The connection was terminated by the remote computer before it could be completed."
        case .authenticationFailure:
            "The remote connection was denied because the user name and password combination you provided is not "
                + "recognized, or the selected authentication protocol is not permitted on the remote access server."
        case .pppTimeout:
            "The connection was terminated because the remote computer did not respond in a timely manner."
        case .noProtocolsConfigured: "A connection to the remote computer could not be established."
        case .pppNotConverging: "Your computer and the remote computer could not agree on PPP control protocols."
        case .linkTerminated: "The PPP link control protocol was terminated."
        case .noAddressAssigned:
            "The remote connection was not made because the remote access server did not assign an IP address."
        case .processingError:
            "The L2TP connection attempt failed because the security layer encountered a processing error during "
                + "initial negotiations with the remote computer."
        case .negotiationTimedOut: "The L2TP connection attempt failed because security negotiation timed out."
        case .serverDoesNotRespond:
            "The network connection between your computer and the VPN server could not be established because the "
                + "remote server is not responding."
        }
    }
}

/// What an administrator is told about a reason: what it means, what the user sees, and what to change on which side.
/// Configuration keys stand in backticks.
public struct FailureAdvice: Sendable, Equatable {
    /// What happened, as one sentence.
    public let sentence: String
    /// What users see, as far as it is known.
    public let symptoms: [ClientSymptom]
    /// What to change at the gateway; nil where nothing there is wrong.
    public let gateway: String?
    /// What to change at the client, or on the way between; nil where nothing there is wrong.
    public let client: String?

    init(_ sentence: String, sees symptoms: [ClientSymptom] = [], gateway: String? = nil, client: String? = nil) {
        (self.sentence, self.symptoms, self.gateway, self.client) = (sentence, symptoms, gateway, client)
    }
}

extension FailureReason {
    /// What an administrator is told about it.
    public var advice: FailureAdvice {
        switch self {
        case .noProposalChosen: .noProposalChosen
        case .preSharedKeyMismatch: .preSharedKeyMismatch
        case .preSharedKeyOfOtherIdentity: .preSharedKeyOfOtherIdentity
        case .noPreSharedKey: .noPreSharedKey
        case .unknownIdentity: .unknownIdentity
        case .aggressiveModeDisabled: .aggressiveModeDisabled
        case .aggressiveModeUnanswered: .aggressiveModeUnanswered
        case .publicValueRefused: .publicValueRefused
        case .authenticationNeverCame: .authenticationNeverCame
        case .addressSlowed: .addressSlowed
        case .ikeLimitReached: .ikeLimitReached
        case .exchangeUnsupported: .exchangeUnsupported
        case .initiationUnanswered: .initiationUnanswered
        case .otherIdentity: .otherIdentity
        case .noCertificate: .noCertificate
        case .malformedCertificate: .malformedCertificate
        case .certificateExpired: .certificateExpired
        case .certificateNotYetValid: .certificateNotYetValid
        case .unknownAuthority: .unknownAuthority
        case .certificateRevoked: .certificateRevoked
        case .revocationUnknown: .revocationUnknown
        case .noStatusAnswer: .noStatusAnswer
        case .wrongName: .wrongName
        case .wrongUsage: .wrongUsage
        case .badSignature: .badSignature
        case .weakKey: .weakKey
        case .invalidChain: .invalidChain
        case .noIPsecProposalChosen: .noIPsecProposalChosen
        case .selectorsRefused: .selectorsRefused
        case .declinedByGateway: .declinedByGateway
        case .malformedQuickMode: .malformedQuickMode
        case .quickModeNeverCame: .quickModeNeverCame
        case .quickModeUnfinished: .quickModeUnfinished
        case .espNeverCame: .espNeverCame
        case .tunnelNeverCame: .tunnelNeverCame
        case .tunnelSecretUnknown: .tunnelSecretUnknown
        case .tunnelSecretWrong: .tunnelSecretWrong
        case .tunnelLimitReached: .tunnelLimitReached
        case .tunnelRequestRefused: .tunnelRequestRefused
        case .tunnelUnfinished: .tunnelUnfinished
        case .tunnelClosedByClient: .tunnelClosedByClient
        case .callNeverCame: .callNeverCame
        case .callRefused: .callRefused
        case .callUnfinished: .callUnfinished
        case .callClosedByClient: .callClosedByClient
        case .sessionLimitReached: .sessionLimitReached
        case .policyForbids: .policyForbids
        case .linkUnanswered: .linkUnanswered
        case .linkNotConverging: .linkNotConverging
        case .linkLoopedBack: .linkLoopedBack
        case .noCommonAuthentication: .noCommonAuthentication
        case .authenticationUnanswered: .authenticationUnanswered
        case .wrongPassword: .wrongPassword
        case .unknownUser: .unknownUser
        case .guessesSlowed: .guessesSlowed
        case .userSessionLimitReached: .userSessionLimitReached
        case .noAddressFree: .noAddressFree
        case .addressNotConverging: .addressNotConverging
        case .addressRefused: .addressRefused
        case .networkRefused: .networkRefused
        case .clientHungUp: .clientHungUp
        case .clientSilent: .clientSilent
        case .protocolViolated: .protocolViolated
        }
    }
}
