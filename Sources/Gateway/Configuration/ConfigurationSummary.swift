import Logging
import Wire

extension GatewayConfiguration {
    /// What the configuration comes to, for people: one `name  value` line per setting, no secret in any.
    public var summary: [String] {
        let names = users.prefix(4).map { ValueRules.quoted($0.name) }.joined(separator: ", ")
        let rows: [(String, String)] = [
            ("profile", profile.rawValue + (enablesModp1024 ? ", with MODP 1024" : "")),
            ("authentication", authentication.map(\.rawValue).joined(separator: ", ")),
            ("endpoints", endpoints.isEmpty ? "all addresses" : list(endpoints)),
            ("public address", publicAddress?.description ?? "not given"),
            ("users", "\(users.count): \(names)\(users.count > 4 ? ", ..." : "")"),
            (
                "inner network",
                "\(l2tp.network), gateway \(l2tp.local), pool \(l2tp.pool.lowerBound)-\(l2tp.pool.upperBound)"
            ),
            ("PPP", "MTU \(ppp.mtuBytes), \(ppp.authentication.map(\.rawValue).joined(separator: ", "))"),
            ("DNS", dnsServers.isEmpty ? "none" : list(dnsServers)),
            ("NBNS", nbnsServers.isEmpty ? "none" : list(nbnsServers)),
            ("masquerade", masquerades ? "on" : "off"),
            ("interface", interface),
            ("workers", workers == 0 ? "one per core" : "\(workers)"),
            ("log level", logLevel.rawValue),
        ]
        return TextTable.pairs(rows)
    }

    private func list(_ addresses: [IPv4Address]) -> String { addresses.map(\.description).joined(separator: ", ") }
}
