import ESP
import Wire

/// The packet policy, as operators see it.
public struct PolicyRecord: Codable, Equatable, Sendable {
    /// The predefined policy that counts, or `custom`.
    public var use: String
    /// What a predefined policy is about: `l2tp` or `host`.
    public var covers: String
    /// Whether it is another one than the configuration has: then it ends with the process, unless it is exported.
    public var isChanged: Bool
    /// Its rules, those that it brings by itself at the end.
    public var rules: [Rule]
    /// The names in its filters, and their addresses now.
    public var names: [String: [String]]

    /// One rule.
    public struct Rule: Codable, Equatable, Sendable {
        /// What it is called.
        public var name: String
        /// Its filter list.
        public var filterList: String
        /// The list's filters in words.
        public var filters: [String]
        /// What is done with its packets.
        public var action: String
        /// What the action comes to, in words.
        public var treatment: String
        /// How peers authenticate; empty for the gateway's own methods.
        public var authentication: [String]
        /// `all`, `lan` or `remote-access`.
        public var connection: String
        /// The tunnel's other end; empty for transport mode.
        public var tunnelEndpoint: String
        /// The packets that nftables let through or dropped by it; nil where nothing of it is enforced there.
        public var packets: UInt64?
    }
}

/// What the policy says of a packet.
public struct PolicyAnswer: Codable, Equatable, Sendable {
    /// `permit`, `block` or `secure`.
    public var verdict: String
    /// Which way the packet goes: `inbound` or `outbound`.
    public var direction: String
    /// Over what: `lan` or `remote-access`.
    public var connection: String
    /// The rule that it meets; empty for none.
    public var rule: String
    /// The filter of the rule, in words; empty for none.
    public var filter: String
    /// Why, in words.
    public var reason: String
    /// Of a packet to be secured: whether it may go in clear where there is no SA.
    public var mayGoInClear: Bool
    /// By which SA or tunnel it goes now; empty for none.
    public var association: String
}

extension PolicyVerdict.Reason {
    /// The reason in words.
    var text: String {
        switch self {
        case .noFilter: "no filter of the policy has it"
        case .ruleMatches: "the rule's filter has it, and no filter that has it is more specific"
        case .isIPsecItself: "it is IKE, ESP or AH of this gateway, by which everything else is secured"
        case .isBroadcast: "broadcasts cannot be secured"
        case .isMulticast: "multicasts cannot be secured"
        case .isRSVP: "RSVP cannot be secured in transport mode"
        case .isIKE: "IKE cannot be secured in transport mode"
        case .isKerberos: "Kerberos cannot be secured in transport mode"
        }
    }
}

extension FilterAction {
    /// What it comes to, in words.
    var treatment: String {
        switch kind {
        case .permit: "permit"
        case .block: "block"
        case .negotiate(let security):
            [
                security.isRequired ? "secure" : security.initiates ? "secure if possible" : "clear unless asked",
                security.methods.isEmpty ? nil : security.methods.map(\.description).joined(separator: "; "),
                security.acceptsUnsecured && !security.fallsBack ? "accepts clear" : nil,
                security.hasPerfectForwardSecrecy ? "PFS" : nil,
            ].compactMap(\.self).joined(separator: ", ")
        }
    }
}

extension OperatorTables {
    /// One line per rule.
    public static func policy(_ policy: PolicyRecord) -> [String] {
        let rows = policy.rules.enumerated().flatMap { number, rule -> [[String]] in
            let first = [
                "\(number + 1)", rule.name, rule.filterList, rule.filters.first ?? "", rule.action, rule.treatment,
                rule.authentication.isEmpty ? "-" : rule.authentication.joined(separator: ","), rule.connection,
                rule.tunnelEndpoint.isEmpty ? "none" : rule.tunnelEndpoint, rule.packets.map { "\($0)" } ?? "-",
            ]
            return [first] + rule.filters.dropFirst().map { ["", "", "", $0] }
        }
        let head = TextTable.pairs(
            [
                ("policy", policy.use), ("covers", policy.covers),
                (
                    "changed",
                    policy.isChanged ? "yes; a restart undoes it (culvert policy export > FILE keeps it)" : "no"
                ),
            ]
                + policy.names.sorted { $0.key < $1.key }.map {
                    ("name \($0.key)", $0.value.isEmpty ? "has no address" : $0.value.joined(separator: ", "))
                })
        return head + [""]
            + TextTable.lines(
                [
                    ("#", .right), ("RULE", .left), ("LIST", .left), ("FILTER", .left), ("ACTION", .left),
                    ("TREATMENT", .left), ("AUTHENTICATION", .left), ("CONNECTION", .left), ("TUNNEL", .left),
                    ("PACKETS", .right),
                ], rows)
    }

    /// What the policy says of a packet, and why.
    public static func policy(_ answer: PolicyAnswer) -> [String] {
        let clear = answer.mayGoInClear ? "in clear" : "it is dropped"
        let pairs: [(String, String)] = [
            ("verdict", answer.verdict), ("direction", "\(answer.direction), \(answer.connection)"),
            ("rule", answer.rule.isEmpty ? "none" : answer.rule),
            ("filter", answer.filter.isEmpty ? "-" : answer.filter),
            ("because", answer.reason),
        ]
        let secured = [("without an SA", clear), ("SA", answer.association.isEmpty ? "none now" : answer.association)]
        return TextTable.pairs(pairs + (answer.verdict == PolicyVerdict.Treatment.secure.rawValue ? secured : []))
    }
}
