import Cryptography
import ESP

/// A suite by the name that people know it by.
struct NamedSuite {
    let name: String
    let suite: Suite

    static let all: [NamedSuite] = [
        NamedSuite(name: "aes128-gcm16", suite: .combined(.gcm(keyLength: 16, checkLength: 16))),
        NamedSuite(name: "aes256-gcm16", suite: .combined(.gcm(keyLength: 32, checkLength: 16))),
        NamedSuite(name: "aes128-sha1", suite: .separate(.cbc(.aes128), .sha1_96)),
        NamedSuite(name: "aes256-sha1", suite: .separate(.cbc(.aes256), .sha1_96)),
        NamedSuite(name: "aes256-sha256", suite: .separate(.cbc(.aes256), .sha256_128)),
        NamedSuite(name: "aes256-sha512", suite: .separate(.cbc(.aes256), .sha512_256)),
        NamedSuite(name: "3des-sha1", suite: .separate(.cbc(.tripleDES), .sha1_96)),
        NamedSuite(name: "null-sha1", suite: .separate(.null, .sha1_96)),
    ]

    /// What clients use most.
    static let common = all.filter { ["aes128-gcm16", "aes256-gcm16", "aes128-sha1", "aes256-sha1"].contains($0.name) }

    /// Fresh keys.
    func keys() -> SuiteKeys {
        var random = SystemRandom()
        let integrity = suite.integrity?.keyLength ?? 0
        return SuiteKeys(
            encryption: SecretBytes(random.bytes(suite.encryption.keyLength + suite.encryption.saltLength)),
            integrity: SecretBytes(random.bytes(integrity)))
    }
}
