import CNFTables
import Wire

/// What nftables said when it refused.
public struct NFTablesError: Error, Hashable, Sendable, CustomStringConvertible {
    /// nftables' own words, or ours.
    public let description: String
}

/// Hides the clients' inner addresses behind ours for as long as this object lives: the source addresses of packets that
/// leave by any interface but the tunnels' own are replaced (masqueraded).
///
/// All of it stands in a table of its own, which is put in place in one step and taken away in one; a table that a killed
/// process has left is replaced. No rule of anybody else is touched. The other side of that: a rule elsewhere that drops
/// forwarded packets cannot be overruled from here, since in nftables a packet must be accepted by every table's chain
/// (a firewall with `policy drop` on forwarding needs its own rule for our interface).
///
/// Where the kernel can (5.12 and later), the table is bound to this process: the kernel removes it when the process ends,
/// however it ends, and nobody else can change it meanwhile.
public final class Masquerade {
    /// The table's name; its family is `ip`.
    public static let table = "culvert"

    /// Whether the kernel removes the table by itself when this process ends.
    public let isBoundToProcess: Bool

    private let context: OpaquePointer
    private var isInPlace = true

    /// Masquerades what comes from `sources` and leaves by another interface than `interface`.
    public init(sources: [IPv4Network], exceptInterface interface: String) throws(NFTablesError) {
        guard Self.isPlainName(interface) else {
            throw NFTablesError(description: "masquerade: \(interface) is no interface name that nftables takes")
        }
        guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else {
            throw NFTablesError(description: "masquerade: nftables does not start")
        }
        self.context = context
        nft_ctx_buffer_output(context)
        nft_ctx_buffer_error(context)
        do {
            try Self.run(Self.rules(sources: sources, interface: interface, isBound: true), in: context)
            isBoundToProcess = true
        } catch {
            do {
                try Self.run(Self.rules(sources: sources, interface: interface, isBound: false), in: context)
                isBoundToProcess = false
            } catch {
                nft_ctx_free(context)
                throw error
            }
        }
    }

    deinit {
        try? end()
        nft_ctx_free(context)
    }

    /// Takes the table away, now rather than when this object ends.
    public func end() throws(NFTablesError) {
        guard isInPlace else { return }
        isInPlace = false
        try Self.run("delete table ip \(Self.table)", in: context)
    }

    /// The whole table. Adding it before deleting it makes the deletion right whether or not it was there; nftables does
    /// all of it or nothing.
    static func rules(sources: [IPv4Network], interface: String, isBound: Bool) -> String {
        let rules = sources.map { "        ip saddr \($0) oifname != \"\(interface)\" counter masquerade\n" }.joined()
        return """
            add table ip \(table)
            delete table ip \(table)
            table ip \(table) {
            \(isBound ? "    flags owner;\n" : "")    chain postrouting {
                    type nat hook postrouting priority 100; policy accept;
            \(rules)    }
            }
            """
    }

    /// Whether `name` can stand in quotes in nftables' language without meaning anything else (no `*`, which matches).
    static func isPlainName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    private static func run(_ commands: String, in context: OpaquePointer) throws(NFTablesError) {
        guard nft_run_cmd_from_buffer(context, commands) != 0 else { return }
        let said = nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? ""
        let first = said.split(separator: "\n").first.map(String.init) ?? "refused without a word"
        let advice = first.contains("not permitted") ? " (needs the capability CAP_NET_ADMIN)" : ""
        throw NFTablesError(description: "masquerade: nftables: \(first)\(advice)")
    }
}
