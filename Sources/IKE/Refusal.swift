import Wire

/// At which step a peer was refused.
public enum IKEStep: String, Sendable {
    /// Main mode, message 1: the offer.
    case mainModeOffer
    /// Main mode, message 3: key exchange.
    case mainModeKeyExchange
    /// Main mode, message 5: authentication.
    case mainModeAuthentication
    /// Aggressive mode.
    case aggressiveMode
    /// Phase 1, begun by us.
    case initiation
    /// Quick mode, message 1.
    case quickModeOffer
    /// Another exchange.
    case other
}

/// Why a peer was refused.
public enum IKERefusalReason: String, Sendable {
    /// None of its offers is acceptable: see the offers.
    case noProposalChosen
    /// It does not know the pre-shared key, or knows another one.
    case preSharedKeyMismatch
    /// It knows a pre-shared key, but one that is for another identity than it names: see the detail.
    case preSharedKeyOfOtherIdentity
    /// No pre-shared key is configured for its address.
    case noPreSharedKey
    /// No group and no key is configured for the identity that it names: see the detail.
    case unknownIdentity
    /// Its Diffie-Hellman value must not be used.
    case publicValueRefused
    /// It proves itself by a signature and sent no certificate.
    case noCertificate
    /// Its certificate cannot be read.
    case malformedCertificate
    /// Its certificate, or one that it depends on, has expired.
    case certificateExpired
    /// Its certificate, or one that it depends on, is not valid yet.
    case certificateNotYetValid
    /// No authority that is configured stands behind its certificate.
    case unknownAuthority
    /// Its certificate, or one that it depends on, was revoked.
    case certificateRevoked
    /// Whether its certificate was revoked has to be known, and neither a list nor a responder's answer that still counts
    /// says so.
    case revocationUnknown
    /// Whether its certificate was revoked has to be known, and its OCSP responder does not answer in time.
    case noStatusAnswer
    /// Its certificate is for another name than it says, for one that may not come in, or not for whom we have called.
    case wrongName
    /// Its certificate is for another use.
    case wrongUsage
    /// Its signature, or one in its chain, is wrong.
    case badSignature
    /// A key or an algorithm in its chain is too weak.
    case weakKey
    /// Its chain is too long or contradicts itself.
    case invalidChain
    /// It proved to be another than whom we have called: see the detail.
    case otherIdentity
    /// It does not answer what we begin; its last unauthenticated Notify is the detail.
    case noAnswer
    /// It asks for aggressive mode, which is off.
    case aggressiveModeDisabled
    /// It asks for an exchange that we do not speak.
    case exchangeUnsupported
    /// It asks for traffic that we do not serve: see the detail.
    case selectorsRefused
    /// The gateway declined its IPsec SA.
    case declinedByGateway
    /// A bound is reached: see the detail.
    case limitReached
    /// Its keys are there since message 4, and message 5 never came.
    case authenticationMissing
    /// It had our answer in aggressive mode, and message 3 never came: as a rule it found another key in it.
    case aggressiveModeUnanswered
    /// Its address is slowed, after so many failures.
    case addressSlowed
    /// What it asks for by proof breaks the protocol: see the detail.
    case malformedRequest
}

/// One refusal: who, at which step, why, and what differed.
public struct IKERefusal: Sendable {
    /// The peer's endpoint.
    public let remote: Endpoint
    /// Ours.
    public let local: Endpoint
    /// The exchange's cookies; the responder's is zero where there was none.
    public let cookies: IKECookies
    /// The peer, where it is known.
    public let peer: PeerID?
    /// Who it says it is, where it has said so; not proved by that.
    public let identity: IKEIdentity?
    /// What it runs, as far as its vendor ids tell.
    public let vendorIDs: [IKEVendorID]
    /// Whether nothing has shown yet that it receives at its address, which may be forged then.
    public let isStranger: Bool
    /// At which step.
    public let step: IKEStep
    /// Why.
    public let reason: IKERefusalReason
    /// The offers that were not acceptable, at most 32.
    public let offers: [IKERefusedOffer]
    /// What else there is to say.
    public let detail: String
    /// The tunnel whose algorithms the offers were measured by; nil for L2TP's.
    public internal(set) var tunnel: String?
}
