/// A whole ESP packet as a document publishes it, and what is in it.
struct PublishedPacket: Sendable {
    let key: [UInt8]
    /// GCM's salt.
    var salt: [UInt8] = []
    let packet: [UInt8]
    let payload: [UInt8]
    let nextHeader: UInt8
}

/// Whole ESP packets as documents publish them.
enum PublishedPackets {
    /// draft-mcgrew-gcm-test-01 section 4, those with sequence numbers of 32 bits.
    static let gcm: [PublishedPacket] = [
        PublishedPacket(
            key: hex("feffe9928665731c6d6a8f9467308308"),
            salt: hex("cafebabe"),
            packet: hex(
                """
                0000a5f80000000afacedbaddecaf888deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c
                3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a
                """),
            payload: hex(
                """
                4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d0010000010000000000000373697009637962
                65726369747902646b0000010001
                """),
            nextHeader: 1),
        PublishedPacket(
            key: hex("abbccddef00112233445566778899aababbccddef00112233445566778899aab"),
            salt: hex("11223344"),
            packet: hex(
                """
                4a2cbfe3000000020102030405060708ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763
                748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c4915956c96
                """),
            payload: hex(
                """
                4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b401010402
                """),
            nextHeader: 1),
        PublishedPacket(
            key: hex("00000000000000000000000000000000"),
            salt: hex("00000000"),
            packet: hex(
                """
                000000000000000100000000000000004688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284
                456476492719ffb64de7d9dca1e1d894bc3bd57873ed4d181d19d4d5c8c18af3f821d496eeb096e98ad2b69e4799c71d
                """),
            payload: hex(
                """
                4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c6d6e6f7071727374
                757677616263646566676869
                """),
            nextHeader: 1),
        PublishedPacket(
            key: hex("feffe9928665731c6d6a8f9467308308feffe9928665731c"),
            salt: hex("cafebabe"),
            packet: hex(
                """
                0000a5f80000000afacedbaddecaf888a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0
                315b27452144cc7795457b9652037f5318027b5b4cd7a636
                """),
            payload: hex(
                """
                45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d07568
                """),
            nextHeader: 1),
        PublishedPacket(
            key: hex("7d773d00c144c525ac619d18c84a3f47"),
            salt: hex("d9664267"),
            packet: hex(
                """
                335467aeffffffff43457e9182443bc6437f866bcb3f699fe9b0822bac961c4504bef270
                """),
            payload: hex(""),
            nextHeader: 1),
    ]

    /// RFC 3602 section 4, cases 5 to 8: without a check value.
    static let cbc: [PublishedPacket] = [
        PublishedPacket(
            key: hex("90d382b410eeba7ad938c46cec1a82bf"),
            packet: hex(
                """
                0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849a4870b66cc6b9965
                330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d59
                13ac19b7cfbad4a6
                """),
            payload: hex(
                """
                08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627
                28292a2b2c2d2e2f3031323334353637
                """),
            nextHeader: 1),
        PublishedPacket(
            key: hex("90d382b410eeba7ad938c46cec1a82bf"),
            packet: hex(
                """
                000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109689bb379d2d750c0
                d915dca346a89f75
                """),
            payload: hex("0800b5e8a80a0500a69c083d0b660e00777777777777777777777777"),
            nextHeader: 1),
        PublishedPacket(
            key: hex("0123456789abcdef0123456789abcdef"),
            packet: hex(
                """
                0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a9301
                3c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2
                201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d
                """),
            payload: hex(
                """
                45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f10111213
                1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
                """),
            nextHeader: 4),
        PublishedPacket(
            key: hex("0123456789abcdef0123456789abcdef"),
            packet: hex(
                """
                000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048fe45318e11f8a0f62
                ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc
                6d17a0decbb13892
                """),
            payload: hex(
                """
                45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffffffffffff
                ffffffffffffffffffffffffffffffffffffffff
                """),
            nextHeader: 4),
    ]
}
