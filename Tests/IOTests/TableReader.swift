import CNFTables
import IO

/// nftables as somebody else uses it.
final class TableReader {
    private let context: OpaquePointer

    init() throws {
        struct Failure: Error {}
        guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else { throw Failure() }
        self.context = context
        nft_ctx_buffer_output(context)
        nft_ctx_buffer_error(context)
    }

    deinit { nft_ctx_free(context) }

    /// Our table as nftables lists it, nil if there is none.
    var rules: String? {
        guard nft_run_cmd_from_buffer(context, "list table ip \(Masquerade.table)") == 0 else { return nil }
        return nft_ctx_get_output_buffer(context).map { String(cString: $0) }
    }

    func run(_ commands: String) throws {
        struct Refused: Error { let text: String }
        guard nft_run_cmd_from_buffer(context, commands) == 0 else {
            throw Refused(text: nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? "")
        }
    }
}
