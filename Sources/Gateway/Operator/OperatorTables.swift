import FoundationEssentials
import Wire

/// The answers as people read them: aligned columns, RFC 3339 times in UTC, bytes in readable units.
public enum OperatorTables {
    /// One line per session.
    public static func sessions(_ sessions: [SessionRecord]) -> [String] {
        guard !sessions.isEmpty else { return ["No sessions."] }
        let rows = sessions.sorted { $0.id < $1.id }.map { session -> [String] in
            [
                "\(session.id)", session.user, outer(session.outerAddress, session.outerPort), session.innerAddress,
                time(session.since), TextTable.bytes(session.bytesIn), TextTable.bytes(session.bytesOut),
                "\(session.packetsIn)", "\(session.packetsOut)", session.ikeCipher, session.espCipher, session.ikeSA,
                session.espSA, "\(session.l2tpTunnel)/\(session.l2tpSession)",
                session.protection, limit(session.rateLimitIn), limit(session.rateLimitOut),
            ]
        }
        return TextTable.lines(
            [
                ("ID", .right), ("USER", .left), ("OUTER", .left), ("INNER", .left), ("SINCE", .left),
                ("IN", .right), ("OUT", .right), ("PACKETS IN", .right), ("PACKETS OUT", .right), ("IKE", .left),
                ("ESP", .left), ("IKE SA", .left), ("ESP SA", .left), ("L2TP", .left), ("PROTECTION", .left),
                ("LIMIT IN", .right), ("LIMIT OUT", .right),
            ], rows)
    }

    /// One line per tunnel.
    public static func tunnels(_ tunnels: [TunnelRecord]) -> [String] {
        guard !tunnels.isEmpty else { return ["No tunnels."] }
        let rows = tunnels.sorted { $0.id < $1.id }.map { tunnel -> [String] in
            [
                "\(tunnel.id)", "\(tunnel.remoteID)", tunnel.hostName, outer(tunnel.outerAddress, tunnel.outerPort),
                "\(tunnel.l2tpPort)", time(tunnel.since), tunnel.users.joined(separator: ","),
                TextTable.bytes(tunnel.bytesIn), TextTable.bytes(tunnel.bytesOut), "\(tunnel.packetsIn)",
                "\(tunnel.packetsOut)", tunnel.ikeCipher, tunnel.espCipher, tunnel.ikeSA, tunnel.espSA,
                tunnel.protection,
            ]
        }
        return TextTable.lines(
            [
                ("ID", .right), ("REMOTE ID", .right), ("HOST", .left), ("OUTER", .left), ("L2TP PORT", .right),
                ("SINCE", .left), ("USERS", .left), ("IN", .right), ("OUT", .right), ("PACKETS IN", .right),
                ("PACKETS OUT", .right), ("IKE", .left), ("ESP", .left), ("IKE SA", .left), ("ESP SA", .left),
                ("PROTECTION", .left),
            ], rows)
    }

    /// Both kinds of tunnels, each with columns of its own.
    public static func tunnels(_ listing: TunnelListing) -> [String] {
        guard !listing.toPeers.isEmpty else { return tunnels(listing.tunnels) }
        let rows = listing.toPeers.map { tunnel -> [String] in
            [
                tunnel.name, tunnel.peer, tunnel.mode, tunnel.state, tunnel.since.map(time) ?? "",
                "\(tunnel.associations)", TextTable.bytes(tunnel.bytesIn), TextTable.bytes(tunnel.bytesOut),
                tunnel.traffic.joined(separator: ", "),
            ]
        }
        let lines = TextTable.lines(
            [
                ("NAME", .left), ("PEER", .left), ("MODE", .left), ("STATE", .left), ("SINCE", .left),
                ("SAS", .right), ("IN", .right), ("OUT", .right), ("TRAFFIC", .left),
            ], rows)
        return listing.tunnels.isEmpty ? lines : tunnels(listing.tunnels) + [""] + lines
    }

    /// One line per pair of SAs, ages and what is left of lives as of `now`.
    public static func associations(_ associations: [AssociationRecord], now: Date) -> [String] {
        guard !associations.isEmpty else { return ["No IPsec SAs."] }
        let rows = associations.map { pair -> [String] in
            let left = [seconds(from: now, to: pair.expires)] + (pair.remainingKilobytes.map { ["\($0) kB"] } ?? [])
            return [
                outer(pair.peer, pair.port), pair.spiIn, pair.spiOut, pair.mode, pair.suite,
                seconds(from: pair.since, to: now),
                left.joined(separator: ", "), TextTable.bytes(pair.bytesIn), TextTable.bytes(pair.bytesOut),
                "\(pair.replayWindow)", pair.encapsulation, pair.pathMTU.map { "\($0)" } ?? "",
                pair.isConfirmed ? pair.purpose : "\(pair.purpose) (not confirmed)",
            ]
        }
        return TextTable.lines(
            [
                ("PEER", .left), ("SPI IN", .left), ("SPI OUT", .left), ("MODE", .left), ("SUITE", .left),
                ("AGE", .right), ("LEFT", .right), ("IN", .right), ("OUT", .right), ("WINDOW", .right),
                ("NAT-T", .left), ("MTU", .right), ("FOR", .left),
            ], rows)
    }

    /// None where the clocks of two machines disagree.
    private static func seconds(from start: Date, to end: Date) -> String {
        "\(UInt64(clamping: Int64(min(max(0, end.timeIntervalSince(start)), 4e18)))) s"
    }

    /// The counters under their headings, then the drops that happened.
    public static func statistics(_ statistics: StatisticsRecord) -> [String] { table(statistics, rates: nil) }

    /// The same, with what came each second.
    public static func statistics(_ sample: StatisticsSample) -> [String] {
        table(sample.record, rates: sample.rates ?? [:])
    }

    private static func table(_ statistics: StatisticsRecord, rates: [String: Double]?) -> [String] {
        let all = statistics.rows
        let cells = all.map { row -> [String] in
            let readable = row.isBytes && row.value >= 1000 ? TextTable.bytes(row.value) : ""
            let rate = rates.map { [$0[row.name].map { rate in Self.rate(rate, isBytes: row.isBytes) } ?? ""] } ?? []
            return [row.title, "\(row.value)", readable] + rate
        }
        let columns: [(String, TextTable.Alignment)] =
            [("", .left), ("", .right), ("", .right)] + (rates == nil ? [] : [("PER SECOND", .right)])
        let lines = TextTable.lines(columns, cells)
        var result = TextTable.pairs([("version", statistics.version), ("since", time(statistics.since))])
        if rates != nil, let heading = lines.first { result.append(heading) }
        var group = ""
        for (row, line) in zip(all, lines.dropFirst()) {
            if row.group != group { result += ["", row.group.uppercased()] }
            group = row.group
            result.append(line)
        }
        return group == "DROPPED" ? result : result + ["", "DROPPED", "nothing"]
    }

    private static func rate(_ rate: Double, isBytes: Bool) -> String {
        if isBytes { return TextTable.bytes(UInt64(rate)) }
        let tenths = UInt64((rate * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func limit(_ bitsPerSecond: UInt64?) -> String {
        bitsPerSecond.flatMap { DataRate(bytesPerSecond: $0 / 8) }?.description ?? ""
    }

    /// Who was hung up.
    public static func dropped(_ result: DropResult) -> String {
        guard result.count > 0 else { return "Nobody was connected." }
        let ids = result.sessions.map(String.init).joined(separator: ", ")
        return "Hung up \(result.count) \(result.count == 1 ? "session" : "sessions"): \(ids)"
    }

    static func outer(_ address: String, _ port: UInt16) -> String {
        guard port != 0 else { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    static func time(_ date: Date) -> String { date.formatted(Date.ISO8601FormatStyle()) }
}
