import Cryptography
import Wire

/// What IPComp (RFC 3173) calls its packets in the two directions: a number that each side gave the other.
public struct Compression: Sendable, Hashable {
    /// The compression parameter index of what we receive.
    public let inboundIndex: UInt16
    /// The compression parameter index of what we send.
    public let outboundIndex: UInt16

    /// A pair of indexes.
    public init(inboundIndex: UInt16, outboundIndex: UInt16) {
        (self.inboundIndex, self.outboundIndex) = (inboundIndex, outboundIndex)
    }
}

/// Everything that an SA, or a bundle of SAs under one name, does to a packet.
///
/// A bundle is AH around ESP, the only one that RFC 4301 section 4.5 and Windows ask for; compression comes first, inside
/// of both (RFC 3173 section 2.1). AH and ESP of a bundle have the same SPI of ours, so that one entry knows what a packet
/// must have.
public struct Protection: Sendable, Hashable {
    /// What the packet inside is (RFC 4301 section 3.2).
    public enum Mode: Sendable, Hashable {
        /// A transport protocol's.
        case transport
        /// A whole IP packet.
        case tunnel
    }

    /// How AH (RFC 4302) authenticates, if there is AH.
    public var authenticationHeader: Integrity?
    /// ESP's algorithms, if there is ESP.
    public var payload: Suite?
    /// The numbers of IPComp (RFC 3173), if packets are compressed.
    public var compression: Compression?
    /// What the packet inside is.
    public var mode: Mode
    /// Whether sequence numbers have 64 bits (RFC 4304).
    public var usesExtendedSequenceNumbers: Bool
    /// How many sequence numbers up to the highest are remembered, 32 to 4096 (RFC 6479).
    public var replayWindowSize: Int

    /// AH, ESP, or AH around ESP.
    public init(
        authenticationHeader: Integrity? = nil, payload: Suite?, compression: Compression? = nil,
        mode: Mode = .transport,
        usesExtendedSequenceNumbers: Bool = false, replayWindowSize: Int = ReplayWindow.defaultSize
    ) {
        self.authenticationHeader = authenticationHeader
        self.payload = payload
        self.compression = compression
        self.mode = mode
        self.usesExtendedSequenceNumbers = usesExtendedSequenceNumbers
        self.replayWindowSize = replayWindowSize
    }
}

/// The keys of one direction of a ``Protection``.
public struct ProtectionKeys: Sendable {
    /// AH's, if there is AH.
    public var authenticationHeader: SecretBytes?
    /// ESP's, if there is ESP.
    public var payload: SuiteKeys?

    /// The keys of one direction.
    public init(authenticationHeader: SecretBytes? = nil, payload: SuiteKeys?) {
        (self.authenticationHeader, self.payload) = (authenticationHeader, payload)
    }
}
