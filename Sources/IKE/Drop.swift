/// Why a message, or a part of one, was put aside without any change of state.
public enum IKEDrop: String, CaseIterable, Error, Sendable {
    // The header.
    /// Fewer bytes than an ISAKMP header.
    case shortMessage
    /// The header's length is not the datagram's.
    case lengthMismatch
    /// A message of another version of IKE.
    case otherVersion
    /// The initiator's cookie is zero.
    case zeroInitiatorCookie
    /// Flags that RFC 2408 reserves.
    case reservedFlags
    /// The authentication-only flag, which no exchange of ours uses.
    case authenticationOnlyFlag
    /// An exchange that we do not speak.
    case unsupportedExchange
    /// Aggressive mode, which no configured rule allows.
    case aggressiveModeDisabled
    /// A fragment (payload 132) among other payloads.
    case fragment
    /// A fragment that contradicts itself, or fragments that make no message of their exchange.
    case malformedFragment
    /// A fragment that has come before.
    case repeatedFragment
    /// More fragments, or more bytes in them, than a message may have.
    case tooManyFragments
    /// An incomplete message, the oldest, that made room for a newer one.
    case partialMessageEvicted
    /// An incomplete message whose time ran out.
    case partialMessageExpired
    /// A phase-1 message with a message id.
    case messageIDNotZero
    /// A phase-2 message without a message id.
    case messageIDZero
    /// Cookies that name no ISAKMP SA of ours.
    case unknownCookies

    // The payloads.
    /// A length that reaches beyond what encloses it.
    case truncated
    /// A payload length below its own header.
    case payloadLength
    /// A reserved field that is not zero.
    case reservedNotZero
    /// Bytes behind the last payload.
    case trailingBytes
    /// More payloads than the limit.
    case tooManyPayloads
    /// A payload that the exchange does not allow at this step.
    case unexpectedPayload
    /// A payload that the step needs and that is not there.
    case missingPayload
    /// A payload more often than the step allows.
    case duplicatePayload
    /// A payload that must come first and does not.
    case payloadOrder
    /// A proposal, transform or SA payload that contradicts itself.
    case malformedProposal
    /// More proposals or transforms than the limit.
    case tooManyProposals
    /// An attribute whose encoding is not one of RFC 2408 section 3.3.
    case malformedAttribute
    /// A domain of interpretation or situation other than IPsec's identity only.
    case domainUnsupported
    /// A nonce outside 8 to 256 bytes.
    case nonceLength
    /// A Diffie-Hellman public value that is not as long as its group's.
    case publicValueLength
    /// A Diffie-Hellman public value that must not be used.
    case publicValueRefused
    /// An identification payload that contradicts itself.
    case malformedIdentification
    /// A certificate payload without a certificate.
    case malformedCertificate
    /// A certificate request that is too long.
    case malformedCertificateRequest
    /// A notification payload that contradicts itself.
    case malformedNotification
    /// A delete payload that contradicts itself.
    case malformedDelete
    /// A NAT original address payload that contradicts itself.
    case malformedOriginalAddress

    // Encryption and authentication.
    /// An encrypted body that is not a multiple of the cipher's block.
    case notBlockMultiple
    /// The cipher refused.
    case decryptionFailed
    /// An encrypted message before there are keys.
    case encryptedTooEarly
    /// A message in clear where there are keys.
    case clearTooLate
    /// A HASH payload that does not verify.
    case hashMismatch

    // State.
    /// The same initiator cookie from the same endpoint with another first message.
    case changedFirstMessage
    /// A repetition of a request older than the last.
    case obsoleteRequest
    /// A repetition of a request that is being worked on.
    case repeatedWhileBusy
    /// A message that the exchange's state does not expect.
    case wrongState
    /// A message id that was used before in this ISAKMP SA.
    case repeatedMessageID
    /// A message 3 from another address than message 1.
    case otherAddress
    /// A result of work whose exchange has ended meanwhile.
    case staleWorkResult

    // Limits.
    /// A first message from an address that has failed to authenticate too often.
    case addressSlowed
    /// A half-open exchange, the oldest of all, that made room for a newer one.
    case halfOpenEvicted
    /// A half-open exchange, the oldest of its address, that made room for a newer one of the same address.
    case halfOpenEvictedForAddress
    /// A half-open exchange whose time ran out.
    case halfOpenExpired
    /// A message 3 beyond the limit of unauthenticated exchanges.
    case tooManyUnauthenticated
    /// A proof beyond the limit of failed ones of its exchange.
    case tooManyFailedProofs
    /// A first message of aggressive mode beyond the rate.
    case aggressiveRateLimited
    /// A message 5 beyond the limit of ISAKMP SAs.
    case tooManyAssociations
    /// Work beyond the queue's limit.
    case workQueueFull
    /// A quick mode beyond the limit of one ISAKMP SA.
    case tooManyQuickModes
    /// A quick mode beyond the limit of IPsec SAs of one peer.
    case tooManySecurityAssociations
    /// An answer that would be more than 1.5 times its question.
    case answerTooLarge
    /// A Notify beyond the rate.
    case notifyRateLimited
    /// A refusal record beyond the rate.
    case refusalRateLimited
    /// An output that the caller did not fetch in time.
    case outputFull

    // Refusals.
    /// None of the proposals is acceptable.
    case noProposalChosen
    /// No pre-shared key is configured for the address.
    case noPreSharedKey
    /// Message 5 does not prove the pre-shared key.
    case preSharedKeyMismatch
    /// Message 5 proves a pre-shared key that is for another identity.
    case preSharedKeyOfOtherIdentity
    /// A certificate or a signature that is not believed.
    case certificateRefused
    /// Selectors that we do not serve.
    case selectorsRefused

    // What we begin.
    /// A quick mode of ours without an answer.
    case quickModeUnanswered
    /// A quick mode of ours that the peer refused.
    case quickModeRefused
    /// A phase 1 of ours without an answer.
    case initiationUnanswered
    /// A phase 1 of ours beyond the limit.
    case tooManyInitiations

    // Informational.
    /// An Informational exchange in clear.
    case unauthenticatedInformational
    /// A Delete for an SA that the peer does not have.
    case unknownDeletedSPI
    /// An R-U-THERE older than one seen before, or with cookies of another SA.
    case deadPeerSequence
    /// ESP with an SPI that no SA has, from where no peer is.
    case unknownSPI
    /// A notification that needs no action.
    case notificationIgnored
}

/// How often each drop happened.
public struct IKEDropCounters: Sendable {
    private var counts = [UInt64](repeating: 0, count: IKEDrop.allCases.count)
    private static let positions = Dictionary(
        uniqueKeysWithValues: IKEDrop.allCases.enumerated().map { ($0.element, $0.offset) })

    init() {}

    /// How often `drop` happened.
    public subscript(drop: IKEDrop) -> UInt64 { Self.positions[drop].map { counts[$0] } ?? 0 }

    /// All drops together.
    public var total: UInt64 { counts.reduce(0, &+) }

    mutating func count(_ drop: IKEDrop) {
        if let position = Self.positions[drop] { counts[position] &+= 1 }
    }
}
