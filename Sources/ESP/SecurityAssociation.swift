import Cryptography
import Wire

/// What ends an SA by use (RFC 2407 section 4.5, life type kilobytes).
public struct VolumeLimit: Sendable, Equatable {
    /// How many bytes the SA may protect; `UInt64.max` for no limit.
    public let bytes: UInt64

    /// No limit.
    public static let none = VolumeLimit(bytes: .max)

    /// A limit in kilobytes of 1024 bytes.
    public init(kilobytes: UInt64) {
        let (bytes, overflow) = kilobytes.multipliedReportingOverflow(by: 1024)
        self.bytes = overflow ? .max : bytes
    }

    private init(bytes: UInt64) { self.bytes = bytes }
}

/// Packets and bytes that an SA has protected. Bytes are those of the payload, before padding and headers.
public struct Traffic: Sendable, Equatable {
    /// How many packets.
    public var packets: UInt64 = 0
    /// How many bytes.
    public var bytes: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// An SA by which we receive, in the memory of the worker that owns it.
public struct InboundSecurityAssociation: ~Copyable {
    /// The number in the packets.
    public let index: SecurityParameterIndex
    /// What the owner of the table keeps for the peer: a slot of its own. The SA says who the client is.
    public let owner: Int
    /// What was received.
    public private(set) var traffic = Traffic()
    /// What ends it.
    public let limit: VolumeLimit

    var window = ReplayWindow()
    let state: SuiteState

    /// An SA that was negotiated. Throws when a key has another length than its algorithm's.
    public init(
        index: SecurityParameterIndex, owner: Int, suite: Suite, keys: SuiteKeys, limit: VolumeLimit = .none
    ) throws(CryptographyError) {
        self.index = index
        self.owner = owner
        self.limit = limit
        state = try SuiteState(suite, keys: keys, direction: .decrypt)
    }

    /// Whether nothing more may come by it.
    public var isUsedUp: Bool { traffic.bytes >= limit.bytes }

    mutating func count(_ bytes: Int) {
        traffic.packets &+= 1
        traffic.bytes &+= UInt64(bytes)
    }
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
    /// The number that the peer gave it.
    public let index: SecurityParameterIndex
    /// What was sent.
    public private(set) var traffic = Traffic()
    /// What ends it.
    public let limit: VolumeLimit

    private var sequence: UInt32 = 0
    private let state: SuiteState

    /// An SA that was negotiated. Throws when a key has another length than its algorithm's.
    public init(
        index: SecurityParameterIndex, suite: Suite, keys: SuiteKeys, limit: VolumeLimit = .none
    ) throws(CryptographyError) {
        self.index = index
        self.limit = limit
        state = try SuiteState(suite, keys: keys, direction: .encrypt)
    }

    /// Encapsulates in place: padding and trailer behind the payload, header and vector in front of it, the check value at
    /// the end (RFC 4303 section 3.3). The packet must have the headroom and tailroom of a ``PacketBatch``.
    public mutating func seal(_ packet: inout Packet, nextHeader: UInt8, random: inout RandomBlock) -> OutboundDrop? {
        guard sequence < .max else { return .sequenceExhausted }
        guard traffic.bytes < limit.bytes else { return .volumeExhausted }
        let payloadCount = packet.count
        let padLength = appendTrailer(to: &packet, nextHeader: nextHeader)
        packet.count = payloadCount + padLength + ESPHeader.trailerLength
        packet.prepend(ESPHeader.length + state.vectorLength)
        sequence += 1
        packet.store(index.value, at: 0)
        packet.store(sequence, at: 4)
        guard state.seal(packet, vectorCounter: UInt64(sequence), random: &random) else { return .cipherFailure }
        packet.count += state.checkLength
        traffic.packets &+= 1
        traffic.bytes &+= UInt64(payloadCount)
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
