import Cryptography
import Wire

extension Protection {
    /// What no SA can be: without AH and ESP, with a window of another size, or with numbers of 64 bits that nothing
    /// authenticates (RFC 4303 section 2.2.1).
    func check() throws(CryptographyError) {
        guard authenticationHeader != nil || payload != nil, ReplayWindow.sizes.contains(replayWindowSize),
            !usesExtendedSequenceNumbers || payload?.isAuthenticated ?? true
        else { throw .unsupported }
    }

    /// AH's key set, where there is AH.
    func makeHeaderState(_ keys: ProtectionKeys) throws(CryptographyError) -> AuthenticationHeaderState? {
        guard let authenticationHeader else { return nil }
        guard let key = keys.authenticationHeader else { throw .wrongLength }
        return try AuthenticationHeaderState(
            authenticationHeader, key: key, usesExtendedSequenceNumbers: usesExtendedSequenceNumbers)
    }

    /// ESP's keys set, where there is ESP.
    func makePayloadState(
        _ keys: ProtectionKeys, direction: PacketCipher.Direction, multiBuffer: MultiBuffer
    ) throws(CryptographyError) -> SuiteState? {
        guard let payload else { return nil }
        guard let keys = keys.payload else { throw .wrongLength }
        return try SuiteState(
            payload, keys: keys, usesExtendedSequenceNumbers: usesExtendedSequenceNumbers, direction: direction,
            multiBuffer: multiBuffer)
    }
}

/// An SA, or AH and ESP under one name, by which we receive, in the memory of the worker that owns it.
public struct InboundSecurityAssociation: ~Copyable {
    /// The number in the packets, of AH and of ESP.
    public let index: SecurityParameterIndex
    /// What the owner of the table keeps for the peer: a slot of its own. The SA says who the client is.
    public let owner: Int

    var volume: VolumeMeter
    /// That of AH where there is AH, else of ESP.
    var window: ReplayWindow
    /// That of ESP inside AH.
    var innerWindow: ReplayWindow
    let header: AuthenticationHeaderState?
    let payload: SuiteState?
    /// ESP's lengths.
    let layout: SuiteLayout
    let hasHeader: Bool
    let hasPayload: Bool
    let isTunnel: Bool
    let usesExtendedSequenceNumbers: Bool
    /// What compressed packets bear, nil where there are none.
    let compressionIndex: UInt16?

    /// An SA that was negotiated. Throws when a key has another length than its algorithm's, or for a combination that no
    /// standard has.
    public init(
        index: SecurityParameterIndex, owner: Int, protection: Protection, keys: ProtectionKeys,
        limit: VolumeLimit = .none, multiBuffer: MultiBuffer = .wanted
    ) throws(CryptographyError) {
        try protection.check()
        let header = try protection.makeHeaderState(keys)
        let payload = try protection.makePayloadState(keys, direction: .decrypt, multiBuffer: multiBuffer)
        self.header = header
        self.payload = payload
        self.index = index
        self.owner = owner
        hasHeader = protection.authenticationHeader != nil
        hasPayload = protection.payload != nil
        layout = SuiteLayout(protection.payload)
        isTunnel = protection.mode == .tunnel
        usesExtendedSequenceNumbers = protection.usesExtendedSequenceNumbers
        compressionIndex = protection.compression?.inboundIndex
        volume = VolumeMeter(limit)
        // Numbers that nobody vouches for must not move a window (RFC 4303 section 3.4.3).
        let size = protection.replayWindowSize
        let isPayloadAuthenticated = protection.payload?.isAuthenticated ?? false
        window = hasHeader || isPayloadAuthenticated ? ReplayWindow(size: size) : .none()
        innerWindow = hasHeader && isPayloadAuthenticated ? ReplayWindow(size: size) : .none()
    }

    /// Whether its packets of one batch are opened together. AH goes packet by packet, and with it what is inside.
    @inline(__always) var joinsBursts: Bool {
        guard !hasHeader else { return false }
        return payload?.joinsBursts() ?? false
    }
    /// What was received.
    public var traffic: Traffic { volume.traffic }
    /// Whether nothing more may come by it.
    public var isUsedUp: Bool { volume.isUsedUp }
}
