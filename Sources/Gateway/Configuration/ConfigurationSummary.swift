import Cryptography
import IKE
import IO
import Logging
import Wire

extension GatewayConfiguration {
    /// What the configuration comes to, for people: one `name  value` line per setting, no secret in any.
    public var summary: [String] {
        let names = users.prefix(4).map { ValueRules.quoted($0.name) }.joined(separator: ", ")
        let rows: [(String, String)] =
            policy.summary + rules.flatMap(\.summary) + [
                ("keys", keySummary),
                ("certificates", certificates?.summary ?? "none"),
                ("aggressive mode", aggressiveMode.summary),
                ("packets", securityPolicy.summary),
                ("endpoints", endpoints.isEmpty ? "all addresses" : list(endpoints)),
                ("public address", publicAddress?.description ?? "not given"),
                ("users", "\(users.count): \(names)\(users.count > 4 ? ", ..." : "")"),
                (
                    "inner network",
                    "\(l2tp.network), gateway \(l2tp.local), pool \(l2tp.pool.lowerBound)-\(l2tp.pool.upperBound)"
                ),
                ("PPP", "MTU \(ppp.mtuBytes), \(ppp.authentication.map(\.rawValue).joined(separator: ", "))"),
                ("rate limit", rateLimitSummary),
                ("DNS", dnsServers.isEmpty ? "none" : list(dnsServers)),
                ("NBNS", nbnsServers.isEmpty ? "none" : list(nbnsServers)),
                ("masquerade", masquerades ? "on" : "off"),
                ("interface", interface),
                ("workers", workers == 0 ? "one per core" : "\(workers)"),
                ("offloads", offloads == .all ? "all that the system has" : offloads.description),
                ("log level", logLevel.rawValue),
                ("API", api.map { "\($0.listen), for \($0.tokens.map(\.name).joined(separator: ", "))" } ?? "none"),
            ]
        return TextTable.pairs(rows)
    }

    private var rateLimitSummary: String {
        let text = { (rate: DataRate?) in rate?.description ?? "none" }
        let others = users.count { $0.rateLimits != rateLimits }
        return "\(text(rateLimits.fromClient)) from each client, \(text(rateLimits.toClient)) to it"
            + (others == 0 ? "" : "; others for \(others) of the users")
    }

    private var keySummary: String {
        let beside = keys.isEmpty ? nil : "\(keys.count) for identities and networks"
        let kinds = [preSharedKey.map { _ in "one for all" }, beside].compactMap(\.self)
        return kinds.isEmpty ? "none" : kinds.joined(separator: ", ")
    }

    private func list(_ addresses: [some CustomStringConvertible]) -> String {
        addresses.map(\.description).joined(separator: ", ")
    }
}

extension GatewayConfiguration.PeerPolicy {
    /// One row for each kind of decision.
    fileprivate var summary: [(String, String)] {
        let names = { (values: [Any]) in values.map { "\($0)" }.joined(separator: " ") }
        let (one, two) = (ike.phaseOne, ike.phaseTwo)
        let lifetimes = ike.lifetimes
        var unusual: [(String, String)] = []
        if !two.headerIntegrities.isEmpty { unusual.append(("AH", names(two.headerIntegrities))) }
        if two.extendedSequenceNumbers != .accept {
            unusual.append(("64-bit numbers", two.extendedSequenceNumbers.rawValue))
        }
        if let window = ike.replayWindow { unusual.append(("replay window", "\(window)")) }
        return [
            ("profile", profile.rawValue),
            ("authentication", authentication.map(\.rawValue).joined(separator: ", ")),
            ("IKE", "\(names(one.ciphers)); \(names(one.hashes)); \(names(one.groups))"),
            (
                "ESP",
                "\(names(two.ciphers)); \(names(two.integrities))" + (two.allowsNoIntegrity ? " none" : "")
                    + (two.truncatesSHA256 ? ", sha256 cut to 96 bits" : "")
                    + (two.compression == .never ? "" : "; compression: \(two.compression)")
            ),
            (
                "lifetimes",
                "IKE \(lifetimes.ikeMaximumSeconds) s, IPsec \(lifetimes.ipsecMaximumSeconds) s"
                    + (lifetimes.ipsecMaximumKilobytes.map { ", \($0) kB" } ?? "")
            ),
            (
                "dead peers",
                ike.deadPeerDetection.map {
                    "asked after \($0.interval.components.seconds) s, \($0.attempts) times, "
                        + "\($0.pause.components.seconds) s apart"
                } ?? "not asked"
            ),
        ] + unusual
    }
}

extension GatewayConfiguration.Rule {
    /// Whom it is for, then its rows.
    fileprivate var summary: [(String, String)] {
        [("rule \(name)", networks.map(\.description).joined(separator: ", "))]
            + policy.summary.map { ("  " + $0.0, $0.1) }
    }
}

extension CertificateConfiguration {
    fileprivate var summary: String {
        guard let loaded else { return "not there yet" }
        return "\(loaded.identities.count) own, \(loaded.trust.authorities.count) authorities, "
            + "\(loaded.trust.revocationLists.count) revocation lists"
    }
}

extension GatewayConfiguration.AggressiveMode {
    fileprivate var summary: String {
        let others = [acceptsAnyIdentity ? "any identity" : nil, allowsSignatures ? "certificates" : nil]
        let names = groups.map { ValueRules.quoted($0.name) } + others.compactMap(\.self)
        guard !names.isEmpty else { return "off" }
        return names.joined(separator: ", ")
    }
}
