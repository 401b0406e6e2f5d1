import Cryptography

/// The test initiator calls this by its own module's name.
enum IKETests {
    static func bytes(of secret: SecretBytes) -> [UInt8] { culvert_bench.bytes(of: secret) }
}
