import Cryptography
import ESP
import Wire

/// The bytes that a text of hexadecimal digits writes, blanks passed over.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

extension PacketBatch {
    /// Puts a packet behind those that are there.
    mutating func append(_ bytes: [UInt8]) {
        self[count].start.copyMemory(from: bytes, byteCount: bytes.count)
        self[count].count = bytes.count
        count += 1
    }
}

/// Every suite that an SA can have, with a name for messages.
let allSuites: [Suite] = {
    let ciphers: [Encryption] = [.null] + CBCCipher.allCases.map { .cbc($0) }
    let integrities: [Integrity] = [.md5_96, .sha1_96, .sha256_128, .sha384_192, .sha512_256]
    let separate = ciphers.flatMap { cipher in integrities.map { Suite.separate(cipher, $0) } }
    let combined = [16, 24, 32].flatMap { key in
        [8, 12, 16].map { Suite.combined(.gcm(keyLength: key, checkLength: $0)) }
    }
    return separate + combined
}()

/// Keys of the right lengths for a suite.
func randomKeys(for suite: Suite, using generator: inout some RandomNumberGenerator) -> SuiteKeys {
    let encryption = generator.bytes(suite.encryption.keyLength + suite.encryption.saltLength)
    let integrity = generator.bytes(suite.integrity?.keyLength ?? 0)
    return SuiteKeys(encryption: SecretBytes(encryption), integrity: SecretBytes(integrity))
}
