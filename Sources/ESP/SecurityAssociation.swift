import Cryptography
import Wire

/// What ends an SA by use (RFC 2407 section 4.5, life type kilobytes).
///
/// What counts is ``Traffic``: the payload. RFC 2401 section 4.4.3 would have padding counted too, as a peer may do; it then
/// comes to its own limit some percent before us, and makes the successor itself.
public struct VolumeLimit: Sendable, Equatable {
    /// How many bytes the SA may protect; `UInt64.max` for no limit.
    public let bytes: UInt64
    /// At how many a successor is wanted; `bytes` where none is.
    public let softBytes: UInt64

    /// No limit.
    public static let none = VolumeLimit(kilobytes: .max)

    /// A limit in kilobytes of 1024 bytes, and at how many of these a successor is wanted, if one is.
    public init(kilobytes: UInt64, softKilobytes: UInt64? = nil) {
        bytes = Self.bytes(kilobytes)
        softBytes = min(bytes, softKilobytes.map(Self.bytes) ?? bytes)
    }

    private static func bytes(_ kilobytes: UInt64) -> UInt64 {
        let (bytes, overflow) = kilobytes.multipliedReportingOverflow(by: 1024)
        return overflow ? .max : bytes
    }
}

/// Packets and bytes that were protected: by an SA, or by all of a worker's in one direction.
public struct Traffic: Sendable, Equatable {
    /// How many packets.
    public var packets: UInt64 = 0
    /// How many bytes: those of the payload, before padding and headers.
    public var bytes: UInt64 = 0
    /// How many bytes ESP carried: its payload, without padding and headers.
    public var confidentialBytes: UInt64 = 0
    /// How many bytes AH carried: all that follows it, an ESP packet as a whole.
    public var authenticatedBytes: UInt64 = 0

    /// Nothing yet.
    public init() {}

    /// Adds what came to an SA's traffic since it was `earlier`: how a worker keeps its total beyond its SAs' ends.
    @inlinable
    public mutating func add(_ later: Traffic, since earlier: Traffic) {
        packets &+= later.packets &- earlier.packets
        bytes &+= later.bytes &- earlier.bytes
        confidentialBytes &+= later.confidentialBytes &- earlier.confidentialBytes
        authenticatedBytes &+= later.authenticatedBytes &- earlier.authenticatedBytes
    }
}

/// What an SA has protected, against its limit.
struct VolumeMeter: Sendable {
    /// How often the owner is told again between the soft and the hard limit: a report may find no room, and a first
    /// attempt at a successor fail.
    static let reminders: UInt64 = 8

    let limit: VolumeLimit
    private(set) var traffic = Traffic()
    /// At how many bytes the owner is told next.
    private var notice: UInt64

    init(_ limit: VolumeLimit) { (self.limit, notice) = (limit, limit.softBytes) }

    var isUsedUp: Bool { traffic.bytes >= limit.bytes }

    /// Counts a packet. True where the owner is to be told, at last when the hard limit is reached.
    @inline(__always)
    mutating func count(_ bytes: Int) -> Bool {
        traffic.packets &+= 1
        traffic.bytes &+= UInt64(bytes)
        traffic.confidentialBytes &+= UInt64(bytes)
        guard traffic.bytes >= notice else { return false }
        moveNotice()
        return true
    }

    private mutating func moveNotice() {
        guard !isUsedUp else { return notice = .max }
        let step = max(1, (limit.bytes - limit.softBytes) / Self.reminders)
        notice = min(limit.bytes, traffic.bytes &+ step)
    }
}

/// An SA by which we receive, in the memory of the worker that owns it.
public struct InboundSecurityAssociation: ~Copyable {
    /// The number in the packets.
    public let index: SecurityParameterIndex
    /// What the owner of the table keeps for the peer: a slot of its own. The SA says who the client is.
    public let owner: Int
    var volume: VolumeMeter
    var window = ReplayWindow()
    let state: SuiteState

    /// An SA that was negotiated. Throws when a key has another length than its algorithm's.
    public init(
        index: SecurityParameterIndex, owner: Int, protection: Protection, keys: ProtectionKeys,
        limit: VolumeLimit = .none
    ) throws(CryptographyError) {
        self.index = index
        self.owner = owner
        volume = VolumeMeter(limit)
        state = try SuiteState(protection, keys: keys, direction: .decrypt)
    }

    /// What was received.
    public var traffic: Traffic { volume.traffic }
    /// Whether nothing more may come by it.
    public var isUsedUp: Bool { volume.isUsedUp }
}

/// Why a packet could not be sent.
public enum OutboundDrop: UInt8, Sendable, CaseIterable {
    /// The 32-bit sequence numbers are used up; they must not wrap (RFC 4303 section 3.3.3).
    case sequenceExhausted
    /// The SA has protected as many bytes as was agreed.
    case volumeExhausted
    /// There was no randomness, or the library refused.
    case cipherFailure
}

/// An SA by which we send, in the memory of the worker that owns it.
public struct OutboundSecurityAssociation: ~Copyable {
    /// At how many packets a successor is wanted, long before the sequence numbers are used up.
    public static let softPackets: UInt32 = 0xf000_0000
    /// From then on its owner is told each time these bits of the sequence number are zero.
    private static let packetNoticeMask: UInt32 = 0x00ff_ffff

    /// The number that the peer gave it.
    public let index: SecurityParameterIndex
    /// Whether the packet that was sealed last took it to its soft or its hard limit, of bytes or of packets: its owner is
    /// to be told.
    public private(set) var isNoticeDue = false

    private var volume: VolumeMeter
    var sequence: UInt32 = 0
    private let state: SuiteState

    /// An SA that was negotiated. Throws when a key has another length than its algorithm's.
    public init(
        index: SecurityParameterIndex, outerIndex: SecurityParameterIndex? = nil, protection: Protection,
        keys: ProtectionKeys, limit: VolumeLimit = .none
    ) throws(CryptographyError) {
        self.index = index
        volume = VolumeMeter(limit)
        state = try SuiteState(protection, keys: keys, direction: .encrypt)
    }

    /// What was sent.
    public var traffic: Traffic { volume.traffic }

    /// Encapsulates in place: padding and trailer behind the payload, header and vector in front of it, the check value at
    /// the end (RFC 4303 section 3.3). The packet must have the headroom and tailroom of a ``PacketBatch``.
    public mutating func seal(_ packet: inout Packet, nextHeader: UInt8, random: inout RandomBlock) -> OutboundDrop? {
        guard sequence < .max else { return .sequenceExhausted }
        guard !volume.isUsedUp else { return .volumeExhausted }
        let payloadCount = packet.count
        let padLength = appendTrailer(to: &packet, nextHeader: nextHeader)
        packet.count = payloadCount + padLength + ESPHeader.trailerLength
        packet.prepend(ESPHeader.length + state.vectorLength)
        sequence += 1
        packet.store(index.value, at: 0)
        packet.store(sequence, at: 4)
        guard state.seal(packet, vectorCounter: UInt64(sequence), random: &random) else { return .cipherFailure }
        packet.count += state.checkLength
        isNoticeDue = volume.count(payloadCount)
        if sequence & Self.packetNoticeMask == 0, sequence >= Self.softPackets { isNoticeDue = true }
        return nil
    }

    /// Writes padding 1, 2, 3, ... and the trailer behind the payload (RFC 4303 section 2.4); returns the pad length.
    private func appendTrailer(to packet: inout Packet, nextHeader: UInt8) -> Int {
        let unpadded = packet.count + ESPHeader.trailerLength
        let padLength = (state.alignment - unpadded % state.alignment) % state.alignment
        for pad in 0..<padLength { packet.store(UInt8(truncatingIfNeeded: pad + 1), at: packet.count + pad) }
        packet.store(UInt8(truncatingIfNeeded: padLength), at: packet.count + padLength)
        packet.store(nextHeader, at: packet.count + padLength + 1)
        return padLength
    }
}
