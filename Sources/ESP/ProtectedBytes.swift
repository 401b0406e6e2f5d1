/// Which of IPsec's protocols an SA, or a bundle of SAs under one name, puts around a packet.
public struct ProtectingProtocols: Sendable, Equatable {
    /// Whether there is ESP (RFC 4303).
    public let hasESP: Bool
    /// Whether there is AH (RFC 4302).
    public let hasAH: Bool

    init(_ protection: Protection) {
        hasESP = protection.payload != nil
        hasAH = protection.authenticationHeader != nil
    }
}

/// How many bytes all SAs of one direction have protected, those that have ended included: the bytes of ``Traffic``.
public struct ProtectedBytes: Sendable, Equatable {
    /// By ESP.
    public private(set) var confidentialBytes: UInt64 = 0
    /// By AH. What AH and ESP protected together counts here and there.
    public private(set) var authenticatedBytes: UInt64 = 0

    /// None yet.
    public init() {}

    /// Counts bytes of one more packet.
    public mutating func count(_ bytes: UInt64, by protocols: ProtectingProtocols) {
        if protocols.hasESP { confidentialBytes &+= bytes }
        if protocols.hasAH { authenticatedBytes &+= bytes }
    }
}
