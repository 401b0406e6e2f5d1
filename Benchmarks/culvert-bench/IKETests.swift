import Cryptography

/// The test initiator calls this by its own module's name.
enum IKETests {
    static func bytes(of secret: SecretBytes) -> [UInt8] { culvert_bench.bytes(of: secret) }
}

/// The number that octets write, most significant first: the L2TP and PPP clients call this.
func number(_ octets: some Sequence<UInt8>) -> Int { octets.reduce(0) { $0 << 8 | Int($1) } }
