import FoundationEssentials

/// A refused dial-in, as operators see it: who, when, at which step, why, what the user sees, and what to change. The same
/// client that fails for the same reason again is the same record, once more.
public struct FailureRecord: Codable, Equatable, Sendable, Identifiable {
    /// One offer of the client's, and in what it differs from all that the gateway accepts.
    public struct Offer: Codable, Equatable, Sendable {
        /// The offer, such as `1.4 3des-sha1-modp1024`: numbers of proposal and transform, and the algorithms.
        public var offer: String
        /// In which attributes it is not acceptable, and what it has there: `encryption` and `3des`.
        public var differs: [String: String]

        /// An offer that differs.
        public init(offer: String, differs: [String: String]) { (self.offer, self.differs) = (offer, differs) }
    }

    /// Its number; a higher one is newer.
    public var id: UInt64
    /// When it happened the first time.
    public var first: Date
    /// When it happened the last time.
    public var last: Date
    /// How often it happened.
    public var count: UInt64
    /// The client's outer address, as the gateway sees it: behind a NAT, the NAT's.
    public var outerAddress: String
    /// The client's outer UDP port at the last time; 0 where ESP comes without UDP.
    public var outerPort: UInt16
    /// Which address of the gateway it dialed.
    public var localAddress: String
    /// Who the client says it is in IKE; empty where that is not known.
    public var identity: String
    /// The user's name in PPP; empty where that is not known.
    public var user: String
    /// Which kind of client it is, as far as its vendor ids tell.
    public var client: FailedClientKind?
    /// At which step.
    public var step: FailureStep
    /// Why.
    public var reason: FailureReason
    /// The reason in words.
    public var sentence: String
    /// What exactly, such as a certificate's subject; may be empty.
    public var detail: String
    /// The offers that were not acceptable.
    public var offers: [Offer]
    /// What the gateway accepts in each attribute in which one of them differs.
    public var accepts: [String: [String]]
    /// What the user sees: only that client's where its kind is known.
    public var symptoms: [ClientSymptom]
    /// What to change at the gateway.
    public var changeAtGateway: [String]
    /// What to change at the client, or on the way between.
    public var changeAtClient: [String]
}
