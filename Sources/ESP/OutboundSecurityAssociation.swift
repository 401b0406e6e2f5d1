import Cryptography
import Wire

/// Why a packet could not be sent.
public enum OutboundDrop: UInt8, Sendable, CaseIterable {
    /// The sequence numbers are used up; they must not wrap (RFC 4303 section 3.3.3).
    case sequenceExhausted
    /// The SA has protected as many bytes as was agreed.
    case volumeExhausted
    /// There was no randomness, or the library refused.
    case cipherFailure
    /// AH cannot write an outer header for it: longer than IP carries, or between addresses of two versions.
    case notAddressable
}

/// An SA, or AH around ESP, by which we send, in the memory of the worker that owns it.
public struct OutboundSecurityAssociation: ~Copyable {
    /// At how many packets a successor is wanted where sequence numbers have 32 bits, long before they are used up.
    public static let softPackets: UInt32 = 0xf000_0000
    /// From then on its owner is told each time these bits of the sequence number are zero.
    private static let packetNoticeMask: UInt64 = 0x00ff_ffff

    /// The number that the peer gave it: that of ESP, or of AH where there is no ESP.
    public let index: SecurityParameterIndex
    /// The number that the peer gave AH.
    public let outerIndex: SecurityParameterIndex
    /// Whether the packet that was sealed last took it to its soft or its hard limit, of bytes or of packets: its owner is
    /// to be told.
    public private(set) var isNoticeDue = false

    private var volume: VolumeMeter
    var sequence: UInt64 = 0
    private let sequenceMaximum: UInt64
    private let header: AuthenticationHeaderState?
    private let payload: SuiteState?
    private let layout: SuiteLayout
    private let hasHeader: Bool
    private let hasPayload: Bool
    private let compressionIndex: UInt16?
    private let compressor: PacketCompressor?
    private var pace = CompressionPace()

    /// An SA that was negotiated. Its packets are compressed, where that was agreed, by its worker's `compressor`; without
    /// one they go as they are, which their receiver must accept (RFC 3173 section 2.2). Throws when a key has another
    /// length than its algorithm's, or for a combination that no standard has.
    public init(
        index: SecurityParameterIndex, outerIndex: SecurityParameterIndex? = nil, protection: Protection,
        keys: ProtectionKeys, limit: VolumeLimit = .none, compressor: PacketCompressor? = nil,
        multiBuffer: MultiBuffer = .wanted
    ) throws(CryptographyError) {
        try protection.check()
        let header = try protection.makeHeaderState(keys)
        let payload = try protection.makePayloadState(keys, direction: .encrypt, multiBuffer: multiBuffer)
        self.header = header
        self.payload = payload
        self.index = index
        self.outerIndex = outerIndex ?? index
        hasHeader = protection.authenticationHeader != nil
        hasPayload = protection.payload != nil
        layout = SuiteLayout(protection.payload)
        sequenceMaximum = protection.usesExtendedSequenceNumbers ? .max : UInt64(UInt32.max)
        volume = VolumeMeter(limit)
        compressionIndex = protection.compression?.outboundIndex
        let isCompressing = protection.compression != nil && compressor?.prepare() ?? false
        self.compressor = isCompressing ? compressor : nil
    }

    /// What was sent.
    public var traffic: Traffic { volume.traffic }
    /// Whether it has protected as many bytes as was agreed, and protects nothing more.
    @inline(__always) public var isUsedUp: Bool { volume.isUsedUp }

    /// Protects in place: compresses, encapsulates by ESP, authenticates by AH. Of AH the result begins with its outer IP
    /// header, for which the packet's path and outer fields are set before. The packet must have the headroom and tailroom
    /// of a ``PacketBatch``.
    public mutating func seal(_ packet: inout Packet, nextHeader: UInt8, random: inout RandomBlock) -> OutboundDrop? {
        var total = Traffic()
        return seal(&packet, nextHeader: nextHeader, random: &random, total: &total)
    }

    /// The same, which also counts in its worker's `total`.
    ///
    /// With a `burst`, which must have room, the packet may go to those that are encrypted together, which will know it by
    /// `position`: then it has its place and its length, but nobody may have it before the burst has run.
    @inline(__always)
    public mutating func seal(
        _ packet: inout Packet, nextHeader: UInt8, random: inout RandomBlock, total: inout Traffic,
        in burst: Unmanaged<PacketBurst>? = nil, position: Int = 0
    ) -> OutboundDrop? {
        guard sequence < sequenceMaximum else { return .sequenceExhausted }
        guard !volume.isUsedUp else { return .volumeExhausted }
        var nextHeader = nextHeader
        if compressionIndex != nil, let compressor { compress(&packet, &nextHeader, compressor) }
        sequence += 1
        var (encrypted, confidential, authenticated) = (0, 0, 0)
        if hasPayload {
            confidential = packet.count
            let count = encapsulate(
                &packet, nextHeader: nextHeader, random: &random, in: burst, position: position)
            guard let count else { return .cipherFailure }
            encrypted = count
            nextHeader = IPProtocol.esp
        }
        if hasHeader {
            authenticated = packet.count
            let isSealed =
                header?.seal(&packet, nextHeader: nextHeader, index: outerIndex, sequence: sequence) ?? false
            guard isSealed else { return .notAddressable }
        }
        let bytes = hasHeader ? packet.count : encrypted
        isNoticeDue = volume.count(
            bytes: bytes, confidentialBytes: confidential, authenticatedBytes: authenticated)
        total.count(bytes: bytes, confidentialBytes: confidential, authenticatedBytes: authenticated)
        if sequence & Self.packetNoticeMask == 0, sequenceMaximum == UInt64(UInt32.max),
            sequence >= UInt64(Self.softPackets)
        {
            isNoticeDue = true
        }
        return nil
    }

    /// ESP: padding and trailer behind the payload, header and vector in front of it, the check value at the end (RFC 4303
    /// section 3.3). Returns how many bytes were encrypted.
    @inline(__always)
    private mutating func encapsulate(
        _ packet: inout Packet, nextHeader: UInt8, random: inout RandomBlock, in burst: Unmanaged<PacketBurst>?,
        position: Int
    ) -> Int? {
        let padLength = Self.appendTrailer(to: &packet, nextHeader: nextHeader, alignment: layout.alignment)
        packet.count += padLength + ESPHeader.trailerLength
        let encrypted = packet.count
        packet.prepend(ESPHeader.length + layout.vectorLength)
        // In one store, since ciphers that authenticate read both at once.
        let header = UInt64(index.value) << 32 | UInt64(UInt32(truncatingIfNeeded: sequence))
        packet.start.storeBytes(of: header.bigEndian, as: UInt64.self)
        // AH covers what ESP has encrypted already.
        if let burst, !hasHeader, payload?.joinsBursts() ?? false {
            let isTaken = burst._withUnsafeGuaranteedRef {
                payload?.seal(packet, sequence: sequence, random: &random, in: $0, position: position) ?? false
            }
            guard isTaken else { return nil }
        } else {
            guard payload?.seal(packet, sequence: sequence, random: &random) ?? false else { return nil }
        }
        packet.count += layout.checkLength
        return encrypted
    }

    /// Writes padding 1, 2, 3, ... and the trailer behind the payload (RFC 4303 section 2.4); returns the pad length.
    @inline(__always)
    private static func appendTrailer(to packet: inout Packet, nextHeader: UInt8, alignment: Int) -> Int {
        let unpadded = packet.count + ESPHeader.trailerLength
        let padLength = (alignment - unpadded % alignment) % alignment
        for pad in 0..<padLength { packet.store(UInt8(truncatingIfNeeded: pad + 1), at: packet.count + pad) }
        packet.store(UInt8(truncatingIfNeeded: padLength), at: packet.count + padLength)
        packet.store(nextHeader, at: packet.count + padLength + 1)
        return padLength
    }

    private mutating func compress(_ packet: inout Packet, _ nextHeader: inout UInt8, _ compressor: PacketCompressor) {
        guard let compressionIndex, packet.count >= PacketCompressor.payloadLengthMinimum, pace.isDue() else { return }
        let isShorter = compressor.compress(&packet, nextHeader: nextHeader, index: compressionIndex)
        if isShorter { nextHeader = PacketCompressor.nextHeader }
        pace.note(helped: isShorter)
    }
}
