import Cryptography
import Wire

/// A digest that recognises a repeated request. Its key is drawn for each process, so that nobody can make two messages of
/// one digest; that two happen to have it, one pair in 2^64, costs their own sender one message.
struct RequestDigest: Hashable, Sendable {
    private let value: Int

    init(_ message: [UInt8]) {
        var hasher = Hasher()
        message.withUnsafeBytes { hasher.combine(bytes: $0) }
        value = hasher.finalize()
    }
}

/// Our role in an exchange.
public enum IKERole: String, Sendable {
    /// We began it.
    case initiator
    /// The peer began it.
    case responder
}

/// What a peer's vendor ids promise that it can do.
struct PeerCapabilities: OptionSet, Hashable, Sendable {
    let rawValue: UInt8
    /// It puts fragments of IKE messages together.
    static let fragmentation = PeerCapabilities(rawValue: 1)
    /// It answers R-U-THERE (RFC 3706 section 5.1).
    static let deadPeerDetection = PeerCapabilities(rawValue: 2)
    /// It is of Microsoft's.
    static let microsoft = PeerCapabilities(rawValue: 4)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ vendorIDs: [IKEVendorID]) {
        self = []
        if vendorIDs.contains(.fragmentation) { insert(.fragmentation) }
        if vendorIDs.contains(.deadPeerDetection) { insert(.deadPeerDetection) }
        if vendorIDs.contains(.microsoft) { insert(.microsoft) }
    }
}

/// An ISAKMP SA, from its first message on.
struct Association: Sendable {
    var cookies: IKECookies
    /// Who began it.
    let role: IKERole
    /// How phase 1 goes.
    let exchange: ExchangeType
    /// What the peer's vendor ids promise.
    var capabilities: PeerCapabilities = []
    /// The path of the last message that was believed.
    var path: IKEPath
    /// Where message 1 came from: the port may not be that of message 5.
    let firstRemote: Endpoint
    var state: State
    /// When its life ends, which becomes a deadline when that of its successor has come: most are gone by then.
    var end = Instant(nanoseconds: .max)
    /// The request that was answered last, and the answer, to be repeated when the request is.
    var answered: (request: RequestDigest, answer: [UInt8])?
    /// How often the answer is repeated still; nil for as often as it is asked for. One that is more than 1.5 times as
    /// large as its question must not become an amplifier.
    var repetitionsLeft: Int?
    /// Requests before that. A late copy of one of them is not a new message.
    var olderRequests: [RequestDigest] = []

    /// In a box of its own: an association is looked up and handed on with every message, and the tables that hold it
    /// have room for more than there are.
    indirect enum State: Sendable {
        /// Message 2 is sent.
        case awaitingKeyExchange(Offer)
        /// Message 3 has come, Diffie-Hellman runs.
        case computing(KeyExchange)
        /// Message 4 is sent: there are keys, but the peer has not proved to know the pre-shared key.
        case awaitingAuthentication(Unauthenticated)
        /// Aggressive mode's message 1 has come, Diffie-Hellman runs and then our signature.
        case computingAggressive(Aggressive)
        /// Aggressive mode's message 2 is sent: the peer has not proved to know the pre-shared key.
        case awaitingProof(Unauthenticated)
        /// Main mode's message 5 has come, its signature is being checked and ours made; or aggressive mode's message 3.
        case authenticating(Authenticating)
        /// We began, and it is not over.
        case initiating(Initiation)
        /// Phase 1 is over.
        case established(Established)
    }

    /// What is known after message 1.
    struct Offer: Sendable {
        var chosen: ChosenPhaseOne
        /// SAi_b, the whole body of the peer's SA payload, for HASH_I.
        let securityAssociation: [UInt8]
        let variant: NATTraversalVariant?
        let vendorIDs: [IKEVendorID]
    }

    /// What is known after message 3.
    struct KeyExchange: Sendable {
        let offer: Offer
        let request: RequestDigest
        let publicValue: [UInt8]
        let nonce: [UInt8]
        let nat: IKENATDetection?
        /// The peer's NAT-D of our address, which Windows gets back as our own.
        let parrotedDetection: [UInt8]?
        /// From which authorities the peer wants our certificate.
        let requestedAuthorities: [[UInt8]]
        let workID: UInt64
    }

    /// What is known after the peer's last message, where it carries a signature.
    struct Authenticating: Sendable {
        let known: Unauthenticated
        let request: RequestDigest
        let path: IKEPath
        let chain: PayloadChain
        let identity: IKEIdentity
        /// How message 6 begins, who we are and our certificates; nothing in aggressive mode.
        let ownPayloads: [Payload]
        let initializationVector: [UInt8]
        /// The message itself, for a word in answer to it.
        let message: IKEEngine.Incoming
        let workID: UInt64
    }

    /// What is known after aggressive mode's message 1.
    struct Aggressive: Sendable {
        let offer: Offer
        let request: RequestDigest
        /// How long message 1 was: its answer may not be much longer.
        let questionBytes: Int
        let publicValue: [UInt8]
        let nonce: [UInt8]
        let identity: IKEIdentity
        /// IDii_b, for HASH_I.
        let identification: [UInt8]
        /// From which authorities the peer wants our certificate; nil where it wants none.
        let requestedAuthorities: [[UInt8]]?
        var workID: UInt64
        /// What our message 2 will say, while it is being signed.
        var answer: Answer?

        struct Answer: Sendable {
            let known: Unauthenticated
            let nonce: [UInt8]
            /// IDir_b.
            let identification: [UInt8]
            let certificates: [Payload]
        }
    }

    /// What is known of an exchange that we began.
    struct Initiation: Sendable {
        let wanted: IKEInitiation
        let preSharedKey: SecretBytes?
        /// SAi_b.
        let securityAssociation: [UInt8]
        /// IDii_b. With signatures main mode knows it when it has chosen a certificate.
        var identification: [UInt8]
        /// With which certificate we prove ourselves.
        var own: CertificateIdentity?
        let nonce: [UInt8]
        var step: Step
        /// Why an answer was not believed, which may have been forged.
        var doubt: Doubt?
        /// The last Notify in clear that came for it.
        var hint: IKENotification?

        enum Step: Sendable {
            /// Main mode's message 1 is sent.
            case begun
            /// Our key pair is being made: main mode's message 2 has come, or aggressive mode begins.
            case generating(Offer?, workID: UInt64)
            /// Aggressive mode's message 1 is sent.
            case offered(DiffieHellmanKeyPair)
            /// Main mode's message 3 is sent.
            case exchanged(Offer, DiffieHellmanKeyPair)
            /// Main mode's message 4 or aggressive mode's message 2 has come, Diffie-Hellman runs.
            case agreeing(Answer, DiffieHellmanKeyPair, workID: UInt64)
            /// Main mode's message 4 has come, our signature for message 5 is being made.
            case signing(Unauthenticated, IKEPath, workID: UInt64)
            /// Main mode's message 5 is sent.
            case authenticating(Unauthenticated)
            /// Main mode's message 6 has come, its signature is being checked.
            case verifying(Unauthenticated, Last, workID: UInt64)
            /// Aggressive mode's message 2 is being checked, and our message 3 signed.
            case proving(Unauthenticated, IKEPath, Last, DiffieHellmanKeyPair, workID: UInt64)
        }

        struct Doubt: Sendable {
            let reason: IKERefusalReason
            let detail: String
        }

        /// The peer's last message, and who it says that it is.
        struct Last: Sendable {
            let message: IKEEngine.Incoming
            let chain: PayloadChain
            let identity: IKEIdentity
        }

        /// What the peer's public value came with.
        struct Answer: Sendable {
            let message: IKEEngine.Incoming
            let chain: PayloadChain
            let offer: Offer
            let publicValue: [UInt8]
            let nonce: [UInt8]
        }
    }

    /// What is known after message 4.
    struct Unauthenticated: Sendable {
        let offer: Offer
        /// Of several pre-shared keys that it may be, the keys of the first.
        var keys: KeyMaterial
        let initiatorPublic: [UInt8]
        let responderPublic: [UInt8]
        let nat: IKENATDetection?
        let hidesOwnNAT: Bool
        var initializationVector: [UInt8]
        /// From which authorities the peer wanted our certificate in message 3.
        var requestedAuthorities: [[UInt8]] = []
        /// The pre-shared keys that it may be, in main mode as responder.
        var trial: PreSharedKeyTrial?
        /// IDii_b, where it has come already: in aggressive mode.
        var identification: [UInt8] = []
        /// How many messages came that prove nothing.
        var failedProofs = 0

        /// HASH_I, by the method's hash (RFC 2409 section 5).
        func initiatorHash(_ cookies: IKECookies, identification: [UInt8]) -> [UInt8] {
            keys.identityHash(
                ownPublic: initiatorPublic, otherPublic: responderPublic, ownCookie: cookies.initiator,
                otherCookie: cookies.responder, securityAssociation: offer.securityAssociation,
                identification: identification, by: offer.chosen.proofHash)
        }

        /// HASH_R, by the method's hash.
        func responderHash(_ cookies: IKECookies, identification: [UInt8]) -> [UInt8] {
            keys.identityHash(
                ownPublic: responderPublic, otherPublic: initiatorPublic, ownCookie: cookies.responder,
                otherCookie: cookies.initiator, securityAssociation: offer.securityAssociation,
                identification: identification, by: offer.chosen.proofHash)
        }
    }

    /// What is known after message 6.
    struct Established: Sendable {
        let peer: PeerID
        let identity: IKEIdentity
        let suite: PhaseOneSuite
        let keys: KeyMaterial
        let variant: NATTraversalVariant?
        let nat: IKENATDetection?
        let hidesOwnNAT: Bool
        /// The last cipher block of phase 1, from which phase-2 initialization vectors derive.
        let lastBlock: [UInt8]
        var quickModes: [UInt32: QuickMode] = [:]
        var usedMessageIDs: [UInt32] = []
        var nextUsedMessageID = 0
        /// The last R-U-THERE sequence number (RFC 3706 section 7).
        var deadPeerSequence: UInt32?
        /// The sequence number of our own R-U-THERE.
        var ownSequence: UInt32?

        /// How packets travel in an SA of `mode`.
        func encapsulation(in mode: EncapsulationMode) -> IPsecEncapsulation {
            mode.isUDPEncapsulated ? variant?.encapsulation ?? .udp : .none
        }

        /// Remembers a message id, the oldest of `maximum` forgotten. False where it was used before.
        mutating func use(_ messageID: UInt32, maximum: Int) -> Bool {
            guard !usedMessageIDs.contains(messageID) else { return false }
            if usedMessageIDs.count < maximum {
                usedMessageIDs.append(messageID)
            } else {
                usedMessageIDs[nextUsedMessageID] = messageID
                nextUsedMessageID = (nextUsedMessageID + 1) % maximum
            }
            return true
        }
    }

    /// A quick mode under way.
    struct QuickMode: Sendable {
        var path: IKEPath
        /// The peer's message that `answer` answers: message 1, or message 2 where we began.
        var request: RequestDigest?
        var answer: [UInt8]?
        /// When we began it, where we did.
        var began: Instant?
        var state: State

        indirect enum State: Sendable {
            /// We want a pair of IPsec SAs, and the gateway has been asked for an SPI.
            case proposed(Proposed)
            /// Our key pair is being made.
            case generating(Proposed, inboundSPI: UInt32, workID: UInt64)
            /// Our message 1 is sent.
            case awaitingAnswer(Sent)
            /// Message 2 has come, Diffie-Hellman runs.
            case agreeing(Sent, Answer, workID: UInt64)
            /// The gateway has been asked.
            case awaitingDecision(Request)
            /// Diffie-Hellman runs.
            case computing(Request, inboundSPI: UInt32, workID: UInt64)
            /// Message 2 is sent.
            case awaitingConfirmation(Answered)
            /// Message 3 has come or is sent, or the exchange was refused.
            case finished
        }

        /// What we want.
        struct Proposed: Sendable {
            let suites: [IPsecSuite]
            let agreed: Child.Agreement
            /// The inbound SPI of the pair that is to be replaced.
            let replaces: UInt32?
            /// Whether the peer began the same meanwhile.
            var isOverlapped: Bool
        }

        /// What is known after our message 1.
        struct Sent: Sendable {
            var proposed: Proposed
            let inboundSPI: UInt32
            let inboundCPI: UInt16?
            let nonce: [UInt8]
            let pair: DiffieHellmanKeyPair?
            let initializationVector: [UInt8]
        }

        /// What message 2 said.
        struct Answer: Sendable {
            let chosen: ChosenPhaseTwo
            let nonce: [UInt8]
            /// The traffic that the peer took, and its words for it, where that is less than we wanted.
            let narrowed: (selectors: IKESelectors, traffic: TrafficSelector)?
            let initializationVector: [UInt8]
        }

        struct Request: Sendable {
            let chosen: ChosenPhaseTwo
            let inboundCPI: UInt16?
            let nonce: [UInt8]
            let publicValue: [UInt8]?
            /// IDci and IDcr byte for byte, for the answer.
            let identifications: [[UInt8]]
            let selectors: IKESelectors?
            let traffic: TrafficSelector?
            let tunnel: String?
            let originalAddresses: [IPAddress]
            let initializationVector: [UInt8]
            /// The identification of the peer's side, and of ours.
            var peer: [UInt8]? { identifications.first }
            var own: [UInt8]? { identifications.last }
            /// Whether we had begun the same.
            var isOverlapped = false
        }

        struct Answered: Sendable {
            let inboundSPI: UInt32
            let initiatorNonce: [UInt8]
            let responderNonce: [UInt8]
            let initializationVector: [UInt8]
            let own: [UInt8]?
            let peer: [UInt8]?
        }

        var isFinished: Bool { if case .finished = state { true } else { false } }

        /// What we want of it, where we began it and it is under way.
        var proposed: Proposed? {
            get {
                switch state {
                case .proposed(let proposed), .generating(let proposed, _, _): proposed
                case .awaitingAnswer(let sent), .agreeing(let sent, _, _): sent.proposed
                case .awaitingDecision, .computing, .awaitingConfirmation, .finished: nil
                }
            }
            set {
                guard let newValue else { return }
                switch state {
                case .proposed: state = .proposed(newValue)
                case .generating(_, let spi, let work): state = .generating(newValue, inboundSPI: spi, workID: work)
                case .awaitingAnswer(var sent):
                    sent.proposed = newValue
                    state = .awaitingAnswer(sent)
                case .agreeing(var sent, let answer, let work):
                    sent.proposed = newValue
                    state = .agreeing(sent, answer, workID: work)
                case .awaitingDecision, .computing, .awaitingConfirmation, .finished: break
                }
            }
        }

        /// The SPI that the gateway gave and that no IPsec SA of ours has yet.
        var reservedSPI: UInt32? {
            switch state {
            case .generating(_, let spi, _), .computing(_, let spi, _): spi
            case .awaitingAnswer(let sent), .agreeing(let sent, _, _): sent.inboundSPI
            case .proposed, .awaitingDecision, .awaitingConfirmation, .finished: nil
            }
        }

        /// Whether a pair of the same traffic as `agreed` is being made.
        func isPending(like agreed: Child.Agreement) -> Bool {
            switch state {
            case .awaitingDecision(let request), .computing(let request, _, _):
                request.own == agreed.own && request.peer == agreed.peer
            case .awaitingConfirmation(let answered): answered.own == agreed.own && answered.peer == agreed.peer
            case .proposed, .generating, .awaitingAnswer, .agreeing: proposed?.agreed.isSimilar(to: agreed) ?? false
            case .finished: false
            }
        }
    }

    init(
        cookies: IKECookies, role: IKERole = .responder, exchange: ExchangeType = .identityProtection, path: IKEPath,
        state: State
    ) {
        (self.cookies, self.role, self.exchange) = (cookies, role, exchange)
        (self.path, firstRemote, self.state) = (path, path.remote, state)
    }

    /// The cookie that we chose, by which the engine knows the SA.
    var ownCookie: UInt64 { role == .responder ? cookies.responder : cookies.initiator }

    /// The key under which the first message is remembered.
    var firstMessage: IKEEngine.FirstMessageKey {
        IKEEngine.FirstMessageKey(initiatorCookie: cookies.initiator, remote: firstRemote)
    }

    /// What an established SA knows, nil before.
    var established: Established? { if case .established(let established) = state { established } else { nil } }

    /// Stores the answer to `request` in the place of the one before.
    mutating func remember(_ request: RequestDigest, answer: [UInt8]) {
        if let answered { olderRequests.append(answered.request) }
        answered = (request, answer)
    }
}

/// A client.
struct Peer: Sendable {
    let id: PeerID
    let identity: IKEIdentity
    /// Whether a certificate confirms the identity. With a key that many know, anybody may claim any name: so who is
    /// certified and who is not are never the same peer.
    let isCertified: Bool
    /// Whether nobody else can have named itself so: by a certificate, or by a key that is for this identity alone.
    var isIdentityProven = false
    var path: IKEPath
    /// How its last ISAKMP SA was made, for a successor when there is none left.
    var lastSuite: PhaseOneSuite?
    var lastPreSharedKey: SecretBytes?
    var lastMethod = PhaseOneAuthenticationMethod.preSharedKey
    var capabilities: PeerCapabilities = []
    /// When it was last heard of, and how many R-U-THERE it has left without an answer since.
    var lastHeard: Instant?
    var unanswered = 0
    /// How long its answers to quick mode take; nil before it has answered one.
    var negotiation: Duration?
    /// How we began it, where we did.
    var initiation: Shared<IKEInitiation>?
    /// Our cookies of its ISAKMP SAs, the newest last.
    var associations: [UInt64] = []
    /// Pairs of IPsec SAs that wait for a new ISAKMP SA to be replaced in.
    var awaitingRekey: [UInt32] = []
    /// The inbound SPIs of its IPsec SAs, the newest last.
    var children: [UInt32] = []
    var isEmpty: Bool { associations.isEmpty && children.isEmpty }
}

/// By what a client that comes back is recognised.
struct PeerKey: Hashable, Sendable {
    let remote: Endpoint
    let identity: IKEIdentity
    let isCertified: Bool
}
