import CNFTables

/// What nftables said when it refused.
public struct NFTablesError: Error, Hashable, Sendable, CustomStringConvertible {
    /// nftables' own words, or ours.
    public let description: String
}

/// A table of nftables that is ours alone, for as long as this object lives. It is put in place, replaced and taken away in
/// one step each; a table of its name that a killed process has left is replaced; no rule of anybody else is touched.
///
/// Where the kernel can (5.12 and later), the table is bound to this process: the kernel removes it when the process ends,
/// however it ends, and nobody else can change it meanwhile.
final class NFTablesTable {
    /// Whether the kernel removes the table by itself when this process ends.
    private(set) var isBoundToProcess = false

    private let family: String
    private let name: String
    /// For what it is, for messages.
    private let purpose: String
    private let context: OpaquePointer
    private var isInPlace = false

    init(family: String, name: String, purpose: String) throws(NFTablesError) {
        guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else {
            throw NFTablesError(description: "\(purpose): nftables does not start")
        }
        (self.family, self.name, self.purpose, self.context) = (family, name, purpose, context)
        nft_ctx_buffer_output(context)
        nft_ctx_buffer_error(context)
    }

    deinit {
        try? end()
        nft_ctx_free(context)
    }

    /// Puts a table of these contents (chains, counters) in place, of what it had before nothing stays. On an error all is
    /// as it was.
    func put(_ contents: String) throws(NFTablesError) {
        let table = "\(family) \(name)"
        let isOwned = "table \(table) {\n    flags owner;\n\(contents)}\n"
        if isInPlace, isBoundToProcess {
            try run("delete table \(table)\n\(isOwned)")
            return
        }
        // Adding it before deleting it makes the deletion right whether or not it was there.
        let fresh = "add table \(table)\ndelete table \(table)\n"
        do {
            try run(fresh + isOwned)
            isBoundToProcess = true
        } catch {
            try run("\(fresh)table \(table) {\n\(contents)}\n")
        }
        isInPlace = true
    }

    /// What nftables answers to `list` and this.
    func list(_ what: String) throws(NFTablesError) -> String {
        try run("list \(what) table \(family) \(name)")
        return nft_ctx_get_output_buffer(context).map { String(cString: $0) } ?? ""
    }

    /// Takes the table away.
    func end() throws(NFTablesError) {
        guard isInPlace else { return }
        isInPlace = false
        try run("delete table \(family) \(name)")
    }

    /// Whether `name` can stand in quotes in nftables' language without meaning anything else (no `*`, which matches).
    static func isPlainName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name.utf8.allSatisfy(isPlain)
    }

    static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private func run(_ commands: String) throws(NFTablesError) {
        guard nft_run_cmd_from_buffer(context, commands) != 0 else { return }
        let said = nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? ""
        let first = said.split(separator: "\n").first.map(String.init) ?? "refused without a word"
        let advice = first.contains("not permitted") ? " (needs the capability CAP_NET_ADMIN)" : ""
        throw NFTablesError(description: "\(purpose): nftables: \(first)\(advice)")
    }
}
