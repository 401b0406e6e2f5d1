/// What ends an SA by use (RFC 2407 section 4.5, life type kilobytes).
///
/// What counts is ``Traffic/bytes``: the bytes to which the SA's algorithm was applied (RFC 2401 section 4.4.3, RFC 4301
/// section 4.4.2.1). With ESP that is what is encrypted: payload, padding and trailer. With AH it is what is
/// authenticated: outer header, AH itself and all that follows; so it is for AH around ESP, where each byte counts once.
public struct VolumeLimit: Sendable, Equatable {
    /// How many bytes the SA may protect; `UInt64.max` for no limit.
    public let bytes: UInt64
    /// At how many a successor is wanted; `bytes` where none is.
    public let softBytes: UInt64
    /// After each so many its owner is told until then; 0 for never.
    public let noticeBytes: UInt64

    /// No limit.
    public static let none = VolumeLimit(kilobytes: .max)

    /// A limit in kilobytes of 1024 bytes, at how many of these a successor is wanted, if one is, and after each how many
    /// its owner is told until then, if it is.
    public init(kilobytes: UInt64, softKilobytes: UInt64? = nil, noticeKilobytes: UInt64? = nil) {
        bytes = Self.bytes(kilobytes)
        softBytes = min(bytes, softKilobytes.map(Self.bytes) ?? bytes)
        noticeBytes = noticeKilobytes.map(Self.bytes) ?? 0
    }

    private init(bytes: UInt64, softBytes: UInt64, noticeBytes: UInt64) {
        (self.bytes, self.softBytes, self.noticeBytes) = (bytes, softBytes, noticeBytes)
    }

    /// The same for what a peer sends, who may not count: half as much again comes in while it has no successor to send by.
    /// strongSwan's kernel is not told of kilobytes agreed in IKEv1. What it sends is authentic all the same, and lost
    /// otherwise; we ourselves never send more than was agreed.
    public var forgiving: VolumeLimit {
        let (more, overflow) = bytes.addingReportingOverflow(bytes / 2)
        return VolumeLimit(bytes: overflow ? .max : more, softBytes: softBytes, noticeBytes: noticeBytes)
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
    /// How many bytes as a lifetime counts them, see ``VolumeLimit``.
    public var bytes: UInt64 = 0
    /// How many bytes ESP carried: its payload, without padding and headers.
    public var confidentialBytes: UInt64 = 0
    /// How many bytes AH carried: all that follows it, an ESP packet as a whole.
    public var authenticatedBytes: UInt64 = 0

    /// Nothing yet.
    public init() {}

    /// Adds one packet, of which each number says its share.
    @inline(__always)
    mutating func count(bytes: Int, confidentialBytes: Int, authenticatedBytes: Int) {
        packets &+= 1
        self.bytes &+= UInt64(bytes)
        self.confidentialBytes &+= UInt64(confidentialBytes)
        self.authenticatedBytes &+= UInt64(authenticatedBytes)
    }

    /// Adds what came to an SA's traffic since it was `earlier`.
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

    init(_ limit: VolumeLimit) {
        self.limit = limit
        notice = limit.noticeBytes > 0 ? min(limit.noticeBytes, limit.softBytes) : limit.softBytes
    }

    var isUsedUp: Bool { traffic.bytes >= limit.bytes }

    /// Counts a packet. True where the owner is to be told, at last when the hard limit is reached.
    @inline(__always)
    mutating func count(bytes: Int, confidentialBytes: Int, authenticatedBytes: Int) -> Bool {
        traffic.count(
            bytes: bytes, confidentialBytes: confidentialBytes, authenticatedBytes: authenticatedBytes)
        guard traffic.bytes >= notice else { return false }
        moveNotice()
        return true
    }

    private mutating func moveNotice() {
        guard !isUsedUp else { return notice = .max }
        guard traffic.bytes >= limit.softBytes else {
            return notice = min(limit.softBytes, traffic.bytes &+ limit.noticeBytes)
        }
        let interval = (limit.bytes - limit.softBytes) / Self.reminders
        let step = max(1, limit.noticeBytes > 0 ? min(limit.noticeBytes, interval) : interval)
        notice = min(limit.bytes, traffic.bytes &+ step)
    }
}
