import FoundationEssentials

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
            ]
        }
        return TextTable.lines(
            [
                ("ID", .right), ("USER", .left), ("OUTER", .left), ("INNER", .left), ("SINCE", .left),
                ("IN", .right), ("OUT", .right), ("PACKETS IN", .right), ("PACKETS OUT", .right), ("IKE", .left),
                ("ESP", .left), ("IKE SA", .left), ("ESP SA", .left), ("L2TP", .left),
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
            ]
        }
        return TextTable.lines(
            [
                ("ID", .right), ("REMOTE ID", .right), ("HOST", .left), ("OUTER", .left), ("L2TP PORT", .right),
                ("SINCE", .left), ("USERS", .left), ("IN", .right), ("OUT", .right), ("PACKETS IN", .right),
                ("PACKETS OUT", .right), ("IKE", .left), ("ESP", .left), ("IKE SA", .left), ("ESP SA", .left),
            ], rows)
    }

    /// The counters, then the drops that happened.
    public static func statistics(_ statistics: StatisticsRecord) -> [String] {
        let head = TextTable.pairs([("version", statistics.version), ("since", time(statistics.since))])
        let drops = statistics.drops.filter { $0.value > 0 }
        return head + ["", "COUNTERS"] + numbers(statistics.counters) + ["", "DROPS"]
            + (drops.isEmpty ? ["none"] : numbers(drops))
    }

    /// Who was hung up.
    public static func dropped(_ result: DropResult) -> String {
        guard result.count > 0 else { return "Nobody was connected." }
        let ids = result.sessions.map(String.init).joined(separator: ", ")
        return "Hung up \(result.count) \(result.count == 1 ? "session" : "sessions"): \(ids)"
    }

    private static func numbers(_ values: [String: UInt64]) -> [String] {
        let rows = values.sorted { $0.key < $1.key }.map { [$0.key, "\($0.value)"] }
        return Array(TextTable.lines([("", .left), ("", .right)], rows).dropFirst())
    }

    static func outer(_ address: String, _ port: UInt16) -> String {
        guard port != 0 else { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    static func time(_ date: Date) -> String { date.formatted(Date.ISO8601FormatStyle()) }
}
