import Cryptography
import Testing
import Wire

@testable import ESP

/// What a document publishes of a transform: with ESP's header where it has one.
private struct TransformVector: Sendable {
    let key: [UInt8]
    let salt: [UInt8]
    /// The initialization vector as it travels.
    let vector: [UInt8]
    let plaintext: [UInt8]
    /// The check value behind it where the cipher makes one.
    let ciphertext: [UInt8]
}

private let counted = (0..<36).map { UInt8($0) }

/// RFC 3686 section 6, test vectors 1 to 9.
private let counterVectors: [TransformVector] = [
    TransformVector(
        key: hex("AE6852F8121067CC4BF7A5765577F39E"), salt: hex("00000030"), vector: hex("0000000000000000"),
        plaintext: Array("Single block msg".utf8), ciphertext: hex("E4095D4FB7A7B3792D6175A3261311B8")),
    TransformVector(
        key: hex("7E24067817FAE0D743D6CE1F32539163"), salt: hex("006CB6DB"), vector: hex("C0543B59DA48D90B"),
        plaintext: Array(counted[..<32]),
        ciphertext: hex("5104A106168A72D9790D41EE8EDAD388EB2E1EFC46DA57C8FCE630DF9141BE28")),
    TransformVector(
        key: hex("7691BE035E5020A8AC6E618529F9A0DC"), salt: hex("00E0017B"), vector: hex("27777F3F4A1786F0"),
        plaintext: counted,
        ciphertext: hex("C1CF48A89F2FFDD9CF4652E9EFDB72D74540A42BDE6D7836D59A5CEAAEF3105325B2072F")),
    TransformVector(
        key: hex("16AF5B145FC9F579C175F93E3BFB0EED863D06CCFDB78515"), salt: hex("00000048"),
        vector: hex("36733C147D6D93CB"), plaintext: Array("Single block msg".utf8),
        ciphertext: hex("4B55384FE259C9C84E7935A003CBE928")),
    TransformVector(
        key: hex("7C5CB2401B3DC33C19E7340819E0F69C678C3DB8E6F6A91A"), salt: hex("0096B03B"),
        vector: hex("020C6EADC2CB500D"), plaintext: Array(counted[..<32]),
        ciphertext: hex("453243FC609B23327EDFAAFA7131CD9F8490701C5AD4A79CFC1FE0FF42F4FB00")),
    TransformVector(
        key: hex("02BF391EE8ECB159B959617B0965279BF59B60A786D3E0FE"), salt: hex("0007BDFD"),
        vector: hex("5CBD60278DCC0912"), plaintext: counted,
        ciphertext: hex("96893FC55E5C722F540B7DD1DDF7E758D288BC95C69165884536C811662F2188ABEE0935")),
    TransformVector(
        key: hex("776BEFF2851DB06F4C8A0542C8696F6C6A81AF1EEC96B4D37FC1D689E6C1C104"), salt: hex("00000060"),
        vector: hex("DB5672C97AA8F0B2"), plaintext: Array("Single block msg".utf8),
        ciphertext: hex("145AD01DBF824EC7560863DC71E3E0C0")),
    TransformVector(
        key: hex("F6D66D6BD52D59BB0796365879EFF886C66DD51A5B6A99744B50590C87A23884"), salt: hex("00FAAC24"),
        vector: hex("C1585EF15A43D875"), plaintext: Array(counted[..<32]),
        ciphertext: hex("F05E231B3894612C49EE000B804EB2A9B8306B508F839D6A5530831D9344AF1C")),
    TransformVector(
        key: hex("FF7A617CE69148E4F1726E2F43581DE2AA62D9F805532EDFF1EED687FB54153D"), salt: hex("001CC5B7"),
        vector: hex("51A51D70A1C11148"), plaintext: counted,
        ciphertext: hex("EB6C52821D0BBBF7CE7594462ACA4FAAB407DF866569FD07F48CC0B583D6071F1EC0E6B8")),
]

/// RFC 7634 appendix A: an ICMP echo request in tunnel mode, as a whole ESP packet.
private let chaChaPacket = PublishedPacket(
    key: (0x80...0x9f).map { UInt8($0) }, salt: hex("a0a1a2a3"),
    packet: hex(
        """
        01020304 00000005 1011121314151617
        24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7
        2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0
        76aaa8266b7fb0f7b11b369907e1ad43
        """),
    payload: hex(
        """
        45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f10111213
        1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
        """),
    nextHeader: 4)

@Suite("ESP and AH by published vectors")
struct TransformVectorTests {
    /// Seals the plaintext as the body of a packet whose number is the vector, and opens it again.
    private func check(
        _ suite: ESP.Suite, _ keys: SuiteKeys, _ vector: TransformVector, header: [UInt8],
        _ multiBuffer: MultiBuffer = .off
    ) throws {
        let sealer = try SuiteState(suite, keys: keys, direction: .encrypt, multiBuffer: multiBuffer)
        let opener = try SuiteState(suite, keys: keys, direction: .decrypt, multiBuffer: multiBuffer)
        let number = vector.vector.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
        batch.append(header + [UInt8](repeating: 0, count: 8) + vector.plaintext)
        var random = RandomBlock()
        let isSealed = sealer.seal(batch[0], sequence: number, random: &random)
        batch[0].count += suite.checkLength
        let sealed = [UInt8](copying: batch[0].span)
        #expect(isSealed && sealed.starts(with: header + vector.vector + vector.ciphertext))
        let isOpened = opener.open(batch[0], sequence: number)
        #expect(isOpened)
        #expect([UInt8](copying: batch[0].span)[16...].starts(with: vector.plaintext))
        if sealer.joinsBursts() {
            try checkBurst(sealer, opener, vector, sealed, number, PacketBurst(multiBuffer), suite)
        }
    }

    /// The same with many packets together.
    private func checkBurst(
        _ sealer: borrowing SuiteState, _ opener: borrowing SuiteState, _ vector: TransformVector, _ expected: [UInt8],
        _ number: UInt64, _ burst: PacketBurst, _ suite: ESP.Suite
    ) throws {
        var batch = PacketBatch(capacity: 20, packetSizeMaximum: 2048)
        var random = RandomBlock()
        for position in 0..<batch.capacity {
            batch.append(expected[..<8] + [UInt8](repeating: 0, count: 8) + vector.plaintext)
            let isTaken = sealer.seal(
                batch[position], sequence: number, random: &random, in: burst, position: position)
            #expect(isTaken)
            batch[position].count += suite.checkLength
        }
        burst.run()
        for index in 0..<burst.count {
            #expect(burst.isGood(index) && [UInt8](copying: batch[index].span) == expected)
        }
        burst.removeAll()
        for position in 0..<batch.count {
            opener.open(batch[position], sequence: number, in: burst, position: position)
        }
        burst.run()
        for index in 0..<burst.count {
            #expect(burst.isGood(index) && [UInt8](copying: batch[index].span)[16...].starts(with: vector.plaintext))
        }
        #expect(burst.multiBufferCount == UInt64(2 * batch.count))
    }

    @Test("AES-CTR: the nine vectors of RFC 3686 section 6, both directions", arguments: bothLibraries)
    func counter(_ multiBuffer: MultiBuffer) throws {
        #expect(counterVectors.count == 9)
        for vector in counterVectors {
            let keys = SuiteKeys(
                encryption: SecretBytes(vector.key + vector.salt), integrity: SecretBytes((0..<20).map { UInt8($0) }))
            try check(
                .separate(.ctr(keyLength: vector.key.count), .sha1_96), keys, vector, header: hex("00000100 00000001"),
                multiBuffer)
        }
    }

    @Test("ChaCha20-Poly1305: the packet of RFC 7634 appendix A, both directions")
    func chaCha() throws {
        let suite = ESP.Suite.combined(.chaCha20Poly1305)
        let keys = SuiteKeys(
            encryption: SecretBytes(chaChaPacket.key + chaChaPacket.salt), integrity: SecretBytes([]))
        var table = InboundTable(batchCapacity: 1)
        table.install(
            try InboundSecurityAssociation(
                index: SecurityParameterIndex(0x0102_0304), owner: 1,
                protection: Protection(payload: suite, mode: .tunnel), keys: ProtectionKeys(payload: keys)))
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)
        batch.append(chaChaPacket.packet)
        table.open(batch, as: .esp)
        #expect(table.result(0).drop == nil && table.result(0).nextHeader == 4)
        #expect([UInt8](copying: batch[0].span) == chaChaPacket.payload)
        try check(
            suite, keys,
            TransformVector(
                key: [], salt: [], vector: hex("1011121314151617"),
                plaintext: chaChaPacket.payload + hex("0102 02 04"), ciphertext: Array(chaChaPacket.packet[16...])),
            header: hex("01020304 00000005"))
    }

    @Test("AES-XCBC-MAC: the seven vectors of RFC 3566 section 4.6, in one piece and in three")
    func xcbc() throws {
        let key = SecretBytes((0..<16).map { UInt8($0) })
        let cases: [([UInt8], String)] = [
            ([], "75f0251d528ac01c4573dfd584d79f29"),
            (Array(counted[..<3]), "5b376580ae2f19afe7219ceef172756f"),
            (Array(counted[..<16]), "d2a246fa349b68a79998a4394ff7a263"),
            (Array(counted[..<20]), "47f51b4564966215b8985c63055ed308"),
            (Array(counted[..<32]), "f54f0ec8d2b9f3d36807734bd5283fd4"),
            (Array(counted[..<34]), "becbb3bccdb518a30677d5481fb6b4d8"),
            ([UInt8](repeating: 0, count: 1000), "f0dafee895db30253761103b5d84528f"),
        ]
        let authenticator = try PacketAuthenticator(aesXCBC: key)
        for (message, expected) in cases {
            var code = [UInt8](repeating: 0, count: PacketAuthenticator.codeLengthMaximum)
            let isComputed = authenticator.compute(message, count: message.count, code: &code)
            #expect(isComputed && Array(code[..<16]) == hex(expected))
            guard message.count >= 4 else { continue }
            let behind = message.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            for split in 0...min(message.count - 4, 40) {
                let (before, data) = (Array(message[..<split]), Array(message[split..<message.count - 4]))
                let isSame = authenticator.verify(
                    before: before, beforeCount: split, data, count: data.count, behind: behind,
                    code: hex(expected), codeCount: 16)
                #expect(isSame, "split at \(split)")
            }
        }
    }

    @Test("what no standard combines is no SA")
    func combinations() {
        var generator = SeededGenerator(seed: 1)
        let suites: [ESP.Suite] = [
            .separate(.null, nil), .separate(.ctr(keyLength: 16), nil), .combined(.null), .combined(.cbc(.aes128)),
            .separate(.gcm(keyLength: 16, checkLength: 16), .sha1_96), .separate(.chaCha20Poly1305, nil),
            .combined(.ctr(keyLength: 16)),
        ]
        for suite in suites {
            let keys = randomKeys(for: suite, using: &generator)
            #expect(throws: CryptographyError.unsupported) {
                _ = try SuiteState(suite, keys: keys, direction: .encrypt)
            }
        }
        let lengths: [ESP.Suite] = [
            .combined(.gcm(keyLength: 16, checkLength: 10)), .combined(.ccm(keyLength: 20, checkLength: 16)),
            .combined(.ccm(keyLength: 16, checkLength: 4)), .separate(.ctr(keyLength: 8), .sha1_96),
        ]
        for suite in lengths {
            let keys = randomKeys(for: suite, using: &generator)
            #expect(throws: CryptographyError.wrongLength) {
                _ = try SuiteState(suite, keys: keys, direction: .encrypt)
            }
        }
        let protections = [
            Protection(payload: nil), Protection(payload: someSuite, replayWindowSize: 31),
            Protection(payload: someSuite, replayWindowSize: 4097),
            Protection(payload: .separate(.cbc(.aes128), nil), usesExtendedSequenceNumbers: true),
        ]
        for protection in protections {
            let keys = randomKeys(for: protection, using: &generator)
            #expect(throws: CryptographyError.unsupported) {
                _ = try InboundSecurityAssociation(
                    index: SAPair.index, owner: 0, protection: protection, keys: keys)
            }
        }
    }
}
