import Cryptography
import Testing
import Wire

@Suite("Ciphers by published vectors")
struct PublishedCipherTests {
    private static let cbc: [(String, CBCCipher?, [PublishedCase])] = [
        ("RFC 3602", .aes128, CBCVectors.rfc3602), ("NIST SP 800-38A", nil, CBCVectors.sp80038a),
        ("NIST triple DES", .tripleDES, CBCVectors.tripleDES), ("NIST DES", .des, CBCVectors.des),
    ]
    private static let gcm: [(String, [PublishedCase])] = [
        ("McGrew and Viega", GCMVectors.mcgrewViega), ("NIST", GCMVectors.nist),
        ("draft-mcgrew-gcm-test-01", GCMVectors.esp),
    ]

    private static func cipher(_ known: CBCCipher?, _ vector: PublishedCase) -> CBCCipher {
        known ?? [16: .aes128, 24: .aes192][vector["key"].count] ?? .aes256
    }

    @Test("CBC: RFC 3602, NIST SP 800-38A F.2, NIST triple DES and DES", arguments: cbc)
    func blocks(_ source: String, _ known: CBCCipher?, _ vectors: [PublishedCase]) throws {
        #expect(vectors.count >= 3)
        for vector in vectors {
            let cipher = Self.cipher(known, vector)
            let key = SecretBytes(vector["key"])
            #expect(try cipher.encrypt(vector["plaintext"], key: key, iv: vector["iv"]) == vector["ciphertext"])
            #expect(try cipher.decrypt(vector["ciphertext"], key: key, iv: vector["iv"]) == vector["plaintext"])
        }
    }

    @Test("CBC in place, one context for several packets: the same cases", arguments: cbc)
    func blocksInPlace(_ source: String, _ known: CBCCipher?, _ vectors: [PublishedCase]) throws {
        for vector in vectors {
            let algorithm = PacketCipher.Algorithm.cbc(Self.cipher(known, vector))
            let key = SecretBytes(vector["key"])
            let sealer = try PacketCipher(algorithm, key: key, direction: .encrypt)
            let opener = try PacketCipher(algorithm, key: key, direction: .decrypt)
            for _ in 0..<2 {
                var data = vector["plaintext"]
                let sealed = sealer.run(iv: vector["iv"], data: &data, count: vector["plaintext"].count)
                #expect(sealed && data == vector["ciphertext"])
                let opened = opener.run(iv: vector["iv"], data: &data, count: vector["plaintext"].count)
                #expect(opened && data == vector["plaintext"])
            }
        }
    }

    @Test("AES-GCM: its authors' cases, NIST's, and the draft's for ESP", arguments: gcm)
    func authenticated(_ source: String, _ vectors: [PublishedCase]) throws {
        #expect(vectors.count >= 12)
        for (position, vector) in vectors.enumerated() {
            let comment = Comment(rawValue: "\(source) \(position + 1)")
            let key = SecretBytes(vector["key"])
            let sealer = try PacketCipher(.gcm(keyLength: key.count), key: key, direction: .encrypt)
            let opener = try PacketCipher(.gcm(keyLength: key.count), key: key, direction: .decrypt)
            for length in [16, 12, 8] where length <= vector["tag"].count {
                check(vector, sealer, opener, tagLength: length, comment)
            }
        }
    }

    @Test(
        "AES-CCM with nonces of 11 bytes: NIST's cases, and strongSwan's",
        arguments: [CCMVectors.nist, CCMVectors.strongSwan])
    func counterWithCBC(_ vectors: [PublishedCase]) throws {
        #expect(vectors.count >= 5)
        for (position, vector) in vectors.enumerated() {
            let key = SecretBytes(vector["key"])
            let algorithm = PacketCipher.Algorithm.ccm(keyLength: key.count, tagLength: vector["tag"].count)
            let sealer = try PacketCipher(algorithm, key: key, direction: .encrypt)
            let opener = try PacketCipher(algorithm, key: key, direction: .decrypt)
            check(vector, sealer, opener, tagLength: vector["tag"].count, "\(position + 1)")
        }
    }

    @Test("CCM's cases have check values of all three lengths")
    func checkLengths() {
        let lengths = Set((CCMVectors.nist + CCMVectors.strongSwan).map { "\($0["key"].count) \($0["tag"].count)" })
        #expect(lengths == ["16 8", "16 12", "16 16", "24 8", "24 12", "24 16", "32 8", "32 12", "32 16"])
    }

    /// Of GCM a shorter tag is the beginning of a longer one.
    private func check(
        _ vector: PublishedCase, _ sealer: borrowing PacketCipher, _ opener: borrowing PacketCipher, tagLength: Int,
        _ comment: Comment
    ) {
        let (nonce, associated) = (vector["nonce"], vector["associated"])
        let expectedTag = Array(vector["tag"].prefix(tagLength))
        var data = vector["plaintext"]
        let count = data.count
        var tag = [UInt8](repeating: 0, count: tagLength)
        let sealed = sealer.seal(
            nonce: nonce, associated: associated, associatedCount: associated.count, data: &data, count: count,
            tag: &tag, tagCount: tagLength)
        #expect(sealed && data == vector["ciphertext"] && tag == expectedTag, comment)
        let opened = opener.open(
            nonce: nonce, associated: associated, associatedCount: associated.count, data: &data, count: count,
            tag: expectedTag, tagCount: tagLength)
        #expect(opened && data == vector["plaintext"], comment)
        // One bit wrong in each of tag, associated data, nonce and ciphertext.
        tag[tagLength - 1] ^= 0x80
        var changed: [(nonce: [UInt8], associated: [UInt8], data: [UInt8], tag: [UInt8])] = [
            (nonce, associated, vector["ciphertext"], tag)
        ]
        changed.append(
            (Array(nonce.dropLast()) + [nonce[nonce.count - 1] ^ 1], associated, vector["ciphertext"], expectedTag))
        if !associated.isEmpty {
            changed.append((nonce, [associated[0] ^ 1] + associated.dropFirst(), vector["ciphertext"], expectedTag))
        }
        if count > 0 {
            let data = vector["ciphertext"]
            changed.append((nonce, associated, [data[0] ^ 1] + data.dropFirst(), expectedTag))
        }
        for var item in changed {
            let opened = opener.open(
                nonce: item.nonce, associated: item.associated, associatedCount: item.associated.count,
                data: &item.data, count: count, tag: item.tag, tagCount: tagLength)
            #expect(!opened, comment)
        }
    }

    @Test("keys, vectors and data of other lengths are refused")
    func lengths() throws {
        for cipher in CBCCipher.allCases {
            let key = SecretBytes([UInt8](repeating: 1, count: cipher.keyLength))
            let iv = [UInt8](repeating: 2, count: cipher.blockLength)
            let block = [UInt8](repeating: 3, count: cipher.blockLength)
            #expect(try cipher.encrypt([], key: key, iv: iv) == [])
            for wrong in [cipher.keyLength - 1, cipher.keyLength + 1, 0] {
                let wrongKey = SecretBytes([UInt8](repeating: 1, count: wrong))
                #expect(throws: CryptographyError.wrongLength) { try cipher.encrypt(block, key: wrongKey, iv: iv) }
                #expect(throws: CryptographyError.wrongLength) {
                    _ = try PacketCipher(.cbc(cipher), key: wrongKey, direction: .encrypt)
                }
            }
            #expect(throws: CryptographyError.wrongLength) { try cipher.decrypt(block, key: key, iv: iv + [0]) }
            for count in 1..<cipher.blockLength {
                #expect(throws: CryptographyError.wrongLength) {
                    try cipher.decrypt(block + [UInt8](repeating: 0, count: count), key: key, iv: iv)
                }
            }
        }
        for length in [0, 15, 17, 20, 33] {
            #expect(throws: CryptographyError.wrongLength) {
                _ = try PacketCipher(
                    .gcm(keyLength: length), key: SecretBytes([UInt8](repeating: 0, count: length)), direction: .decrypt
                )
            }
        }
        #expect(throws: CryptographyError.wrongLength) { try encryptDESBlock(key: hex("0123456789abcdef"), block: [1]) }
    }

    @Test("a block of DES: the first of NIST SP 800-17's table of variable plaintexts, and FIPS 81's example")
    func desBlock() throws {
        #expect(
            try encryptDESBlock(key: hex("0101010101010101"), block: hex("8000000000000000")) == hex("95f8a5e5dd31d900")
        )
        #expect(
            try encryptDESBlock(key: hex("0123456789abcdef"), block: Array("Now is t".utf8)) == hex("3fa40e8a984d4815"))
    }
}
