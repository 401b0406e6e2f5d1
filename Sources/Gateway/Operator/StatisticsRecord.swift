import FoundationEssentials

/// What the gateway counted since it started.
public struct StatisticsRecord: Codable, Equatable, Sendable {
    /// The version that runs.
    public var version: String
    /// When it started.
    public var since: Date
    /// What became of packets.
    public var ipsec: IPsecStatistics
    /// What was negotiated.
    public var isakmp: ISAKMPStatistics
    /// What else there is and what else happened how often, by name: `sessions`, `usersAccepted`, ...
    public var counters: [String: UInt64]
    /// What was dropped how often, by room and reason: `esp.replayed`, `l2tp.unknownSession`, ...
    public var drops: [String: UInt64]

    /// A record of counters.
    public init(
        version: String = culvertVersion, since: Date, ipsec: IPsecStatistics = IPsecStatistics(),
        isakmp: ISAKMPStatistics = ISAKMPStatistics(), counters: [String: UInt64], drops: [String: UInt64]
    ) {
        (self.version, self.since, self.ipsec, self.isakmp) = (version, since, ipsec, isakmp)
        (self.counters, self.drops) = (counters, drops)
    }
}

/// What became of packets. Bytes are those that ESP and AH carried: the payload in transport mode and the whole inner packet
/// in tunnel mode, without headers, padding and check values. A packet by AH around ESP counts for both; what AH carries
/// then is the ESP packet.
public struct IPsecStatistics: Codable, Equatable, Sendable {
    /// How many SAs there are, each direction for itself (RFC 4301 section 4.1).
    public var activeAssociations: UInt64 = 0
    /// How many SAs there have been: how often keys were given to a worker.
    public var keyAdditions: UInt64 = 0
    /// Bytes that went by ESP.
    public var confidentialBytesSent: UInt64 = 0
    /// Bytes that came by ESP.
    public var confidentialBytesReceived: UInt64 = 0
    /// Bytes that went by AH.
    public var authenticatedBytesSent: UInt64 = 0
    /// Bytes that came by AH.
    public var authenticatedBytesReceived: UInt64 = 0
    /// Packets whose SPI names no SA, or one that has protected as much as was agreed.
    public var badSPIPackets: UInt64 = 0
    /// Packets that were authentic and did not decrypt to anything.
    public var packetsNotDecrypted: UInt64 = 0
    /// Packets whose integrity check value was wrong.
    public var packetsNotAuthenticated: UInt64 = 0
    /// Packets that had come before, or whose sequence number is too old to tell.
    public var packetsReplayed: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// What was negotiated.
public struct ISAKMPStatistics: Codable, Equatable, Sendable {
    /// ISAKMP SAs that phase 1 made, by either side and in either mode.
    public var mainModes: UInt64 = 0
    /// Pairs of IPsec SAs that phase 2 made.
    public var quickModes: UInt64 = 0
    /// Peers that were let in in clear.
    public var softAssociations: UInt64 = 0
    /// Proofs of phase 1 that were wrong: keys, certificates, signatures.
    public var authenticationFailures: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// A record, and what has come since the one before.
public struct StatisticsSample: Sendable {
    /// The record.
    public let record: StatisticsRecord
    /// When it was taken.
    public let instant: ContinuousClock.Instant
    /// How much each number has grown a second, by its name, where there is one before of the same gateway.
    public let rates: [String: Double]?

    /// The sample behind `last`.
    public init(_ record: StatisticsRecord, at instant: ContinuousClock.Instant, after last: StatisticsSample?) {
        (self.record, self.instant) = (record, instant)
        // A gateway that has begun anew counts from zero.
        guard let last, last.record.since == record.since else {
            rates = nil
            return
        }
        let time = last.instant.duration(to: instant).components
        let seconds = max(Double(time.seconds) + Double(time.attoseconds) / 1e18, 1e-3)
        let before = Dictionary(uniqueKeysWithValues: last.record.rows.map { ($0.name, $0.value) })
        rates = Dictionary(
            uniqueKeysWithValues: record.rows.filter { !$0.isLevel }.map { row in
                let grown = row.value &- min(row.value, before[row.name] ?? 0)
                return (row.name, Double(grown) / seconds)
            })
    }

    /// What a script is given.
    public var report: Report { Report(statistics: record, perSecond: rates ?? [:]) }

    /// A record with its rates.
    public struct Report: Codable, Sendable {
        /// The record.
        public let statistics: StatisticsRecord
        /// How much each number has grown a second; empty in the first.
        public let perSecond: [String: Double]
    }
}

extension StatisticsRecord {
    /// One number for people.
    struct Row {
        /// The heading that it stands under.
        var group: String
        /// What it is called there.
        var title: String
        var value: UInt64
        /// Whether it can shrink: how many there are, not how many there have been.
        var isLevel = false
        var isBytes = false

        var name: String { "\(group).\(title)" }
    }

    /// What `counters` holds under which heading; the rest is general.
    private static let groups = ["ike": "ISAKMP", "ocsp": "OCSP", "policy": "Policy"]
    /// What there is, in `counters`.
    private static let levels: Set<String> = [
        "sessions", "tunnels", "peers", "ike.associations", "ike.halfOpen", "addresses.leased",
    ]

    /// All numbers, in the order in which they are shown: what happened, then what was dropped.
    var rows: [Row] {
        var rows = [
            Row(group: "IPSEC", title: "active associations", value: ipsec.activeAssociations, isLevel: true),
            Row(group: "IPSEC", title: "key additions", value: ipsec.keyAdditions),
            Row(group: "IPSEC", title: "confidential bytes sent", value: ipsec.confidentialBytesSent, isBytes: true),
            Row(
                group: "IPSEC", title: "confidential bytes received", value: ipsec.confidentialBytesReceived,
                isBytes: true),
            Row(group: "IPSEC", title: "authenticated bytes sent", value: ipsec.authenticatedBytesSent, isBytes: true),
            Row(
                group: "IPSEC", title: "authenticated bytes received", value: ipsec.authenticatedBytesReceived,
                isBytes: true),
            Row(group: "IPSEC", title: "bad SPI packets", value: ipsec.badSPIPackets),
            Row(group: "IPSEC", title: "packets not decrypted", value: ipsec.packetsNotDecrypted),
            Row(group: "IPSEC", title: "packets not authenticated", value: ipsec.packetsNotAuthenticated),
            Row(group: "IPSEC", title: "packets replayed", value: ipsec.packetsReplayed),
            Row(group: "ISAKMP", title: "main modes", value: isakmp.mainModes),
            Row(group: "ISAKMP", title: "quick modes", value: isakmp.quickModes),
            Row(group: "ISAKMP", title: "soft associations", value: isakmp.softAssociations),
            Row(group: "ISAKMP", title: "authentication failures", value: isakmp.authenticationFailures),
        ]
        let counted = counters.sorted { $0.key < $1.key }.map { name, value in
            let dot = name.firstIndex(of: ".")
            let group = dot.flatMap { Self.groups[String(name[..<$0])] }
            let title = group == nil ? Substring(name) : dot.map { name[$0...].dropFirst() } ?? Substring(name)
            return Row(
                group: group ?? "GATEWAY", title: Self.words(title), value: value, isLevel: Self.levels.contains(name))
        }
        for group in ["ISAKMP", "GATEWAY", "OCSP", "Policy"] { rows += counted.filter { $0.group == group } }
        rows += drops.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map {
            Row(group: "DROPPED", title: $0.key, value: $0.value)
        }
        return rows
    }

    /// `usersAccepted` as `users accepted`.
    private static func words(_ name: Substring) -> String {
        name.reduce(into: "") { words, character in
            if character.isUppercase, words.last?.isLowercase == true {
                words += " " + character.lowercased()
            } else {
                words.append(character == "." ? " " : character)
            }
        }
    }
}
