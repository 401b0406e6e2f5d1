import Wire

/// Hides the clients' inner addresses behind ours for as long as this object lives: the source addresses of packets that
/// leave by any interface but the tunnels' own are replaced (masqueraded).
///
/// All of it stands in a table of its own (``NFTablesTable``). The other side of that: a rule elsewhere that drops
/// forwarded packets cannot be overruled from here, since in nftables a packet must be accepted by every table's chain
/// (a firewall with `policy drop` on forwarding needs its own rule for our interface).
public final class Masquerade {
    /// The table's name; its family is `ip`.
    public static let table = "culvert"

    /// Whether the kernel removes the table by itself when this process ends.
    public var isBoundToProcess: Bool { table.isBoundToProcess }

    private let table: NFTablesTable

    /// Masquerades what comes from `sources` and leaves by another interface than `interface`.
    public init(sources: [IPv4Network], exceptInterface interface: String) throws(NFTablesError) {
        guard NFTablesTable.isPlainName(interface) else {
            throw NFTablesError(description: "masquerade: \(interface) is no interface name that nftables takes")
        }
        table = try NFTablesTable(family: "ip", name: Self.table, purpose: "masquerade")
        let rules = sources.map { "        ip saddr \($0) oifname != \"\(interface)\" counter masquerade\n" }.joined()
        try table.put(
            """
                chain postrouting {
                    type nat hook postrouting priority 100; policy accept;
            \(rules)    }

            """)
    }

    /// Takes the table away, now rather than when this object ends.
    public func end() throws(NFTablesError) { try table.end() }
}
