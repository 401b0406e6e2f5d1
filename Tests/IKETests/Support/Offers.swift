import Wire

/// The offers of real clients (reference table of client proposals), as bytes.
enum Offers {
    static let des = 1
    static let tripleDES = 5
    static let aes = 7
    static let md5 = 1
    static let sha1 = 2
    static let sha256 = 4
    static let sha384 = 5
    static let sha512 = 6

    /// A phase-1 transform's attributes, with the seconds of its life in a long attribute as Windows has them, or a basic
    /// one as racoon has them.
    static func phaseOne(_ cipher: Int, _ bits: Int?, _ hash: Int, _ group: Int, life: [UInt8]) -> [UInt8] {
        basic(1, cipher) + (bits.map { basic(14, $0) } ?? []) + basic(2, hash) + basic(4, group) + basic(3, 1) + life
    }

    static func offer(_ transforms: [[UInt8]]) -> [UInt8] {
        securityAssociation(
            proposal(
                number: 1, protocolID: 1, spi: [], last: true, transforms: transforms.map { (1, $0) }))
    }

    // Vendor ids.
    static let natTraversal = hex("4a131c81070358455c5728f20e95452f")
    static let draft02n = hex("90cb80913ebb696e086381b5ec427b1f")
    static let draft03 = hex("7d9419a65310ca6f2c179d9215529d56")
    static let draft02 = hex("cd60464335df21f87cfdb2fc68b6a448")
    static let draft01 = hex("16f6ca16e4a4066d83821a0f0aeaa862")
    static let draft00 = hex("4485152d18b6bbcd0be8a8469579ddcc")
    static let appleDraft = hex("4df37928e9fc4fd1b3262170d515c662")
    static let deadPeerDetection = hex("afcad71368a1f1c96b8696fc77570100")
    static let fragmentation = hex("4048b7d56ebce88525e7de7f00d6c2d3")
    static let racoon = hex("7003cbc1097dbe9c2600ba6983bc8b35")
    static let extendedAuthentication = hex("09002689dfd6b712")

    /// Windows 8 to 11, in wire order.
    static let windowsVendorIDs = [
        hex("01528bbbc00696121849ab9a1c5b2a5100000001"), hex("1e2b516905991c7d7c96fcbfb587e46100000009"), natTraversal,
        draft02n, fragmentation, hex("fb1de3cdf341b7ea16b7e5be0855f120"), hex("26244d38eddb61b3172a36e3d0cfb819"),
        hex("e3a5966a76379fe707228231e5ce8652"),
    ]

    static let windowsLife = basic(11, 1) + long(12, 28800)

    /// Windows Vista to 11.
    static let windows = offer([
        phaseOne(aes, 256, sha1, 20, life: windowsLife), phaseOne(aes, 128, sha1, 19, life: windowsLife),
        phaseOne(aes, 256, sha1, 14, life: windowsLife), phaseOne(tripleDES, nil, sha1, 14, life: windowsLife),
        phaseOne(tripleDES, nil, sha1, 2, life: windowsLife),
    ])

    /// Windows 2000 and XP.
    static let windowsXP = offer([
        phaseOne(tripleDES, nil, sha1, 14, life: windowsLife), phaseOne(tripleDES, nil, sha1, 2, life: windowsLife),
        phaseOne(tripleDES, nil, md5, 2, life: windowsLife), phaseOne(des, nil, sha1, 1, life: windowsLife),
        phaseOne(des, nil, md5, 1, life: windowsLife),
    ])
    static let windowsXPVendorIDs = [hex("1e2b516905991c7d7c96fcbfb587e46100000003"), fragmentation, draft02n]

    static let hour = basic(11, 1) + basic(12, 3600)
    static let eightHours = basic(11, 1) + basic(12, 28800)

    /// iOS and macOS, fourteen transforms.
    static let apple = offer(
        [
            (aes, 256, sha256, 14), (aes, 256, sha1, 14), (aes, 256, md5, 14), (aes, 256, sha512, 14),
            (aes, 256, sha256, 5), (aes, 256, sha1, 5), (aes, 256, md5, 5), (aes, 256, sha256, 2), (aes, 256, sha1, 2),
            (aes, 256, md5, 2), (aes, 128, sha1, 2), (aes, 128, md5, 2), (tripleDES, nil, sha1, 2),
            (tripleDES, nil, md5, 2),
        ].map { (item: (Int, Int?, Int, Int)) in phaseOne(item.0, item.1, item.2, item.3, life: hour) })
    static let appleVendorIDs = [
        natTraversal, appleDraft, hex("8f8d83826d246b6fc7a8a6a428c11de8"), hex("439b59f8ba676c4c7737ae22eab8f582"),
        hex("4d1e0e136deafa34c4f3ea9f02ec7285"), hex("80d0bb3def54565ee84645d4c85ce3ee"),
        hex("9909b64eed937c6573de52ace952fa6b"), draft03, draft02, draft02n, fragmentation + hex("80000000"),
        deadPeerDetection,
    ]

    /// Android 6 to 11: all of group 2.
    static let android = offer(
        [
            (aes, 256, sha384), (aes, 256, sha256), (aes, 256, sha512), (aes, 256, sha1), (aes, 256, md5),
            (aes, 128, sha256), (aes, 128, sha1), (aes, 128, md5), (tripleDES, nil, sha256), (tripleDES, nil, sha1),
            (tripleDES, nil, md5), (des, nil, sha256), (des, nil, sha1), (des, nil, md5),
        ].map { (item: (Int, Int?, Int)) in phaseOne(item.0, item.1, item.2, 2, life: eightHours) })
    static let androidVendorIDs = [
        natTraversal, draft02, draft02n, draft00, fragmentation + hex("80000000"), deadPeerDetection,
    ]

    /// strongSwan's aes256-sha256-modp2048, as its charon writes it.
    static let strongSwan = offer([
        basic(1, aes) + basic(14, 256) + basic(2, sha256) + basic(4, 14) + basic(3, 1) + basic(11, 1) + basic(12, 10800)
    ])
    static let strongSwanVendorIDs = [
        extendedAuthentication, deadPeerDetection, hex("882fe56d6fd20dbc2251613b2ebe5beb"),
        fragmentation + hex("80000000"),
        natTraversal, draft02n,
    ]

    /// ChromeOS of 2018.
    static let chromeOS = offer(
        [(aes, 128, sha256, 15), (aes, 128, sha1, 14), (tripleDES, nil, sha1, 5), (tripleDES, nil, sha1, 2)].map {
            (item: (Int, Int?, Int, Int)) in
            phaseOne(item.0, item.1, item.2, item.3, life: basic(11, 1) + basic(12, 10800))
        })

    /// TP-Link R483G.
    static let cheapRouter = offer(
        [(tripleDES, md5), (tripleDES, sha1)].map { phaseOne($0.0, nil, $0.1, 2, life: eightHours) })

    // Phase 2.

    /// One ESP transform's attributes.
    static func phaseTwo(mode: Int, integrity: Int?, bits: Int? = nil, group: Int? = nil, life: [UInt8]) -> [UInt8] {
        life + basic(4, mode) + (integrity.map { basic(5, $0) } ?? []) + (bits.map { basic(6, $0) } ?? [])
            + (group.map { basic(3, $0) } ?? [])
    }

    static let windowsQuickLife = basic(1, 1) + long(2, 3600) + basic(1, 2) + long(2, 250_000)

    /// Windows: five proposals of one transform each.
    static func windowsQuick(spi: [UInt8], mode: Int) -> [UInt8] {
        let list: [(id: Int, bits: Int?)] = [(12, 256), (12, 128), (3, nil), (2, nil), (11, nil)]
        return securityAssociation(
            list.enumerated().flatMap { index, item in
                proposal(
                    number: index + 1, protocolID: 3, spi: spi, last: index == list.count - 1,
                    transforms: [(item.id, phaseTwo(mode: mode, integrity: 2, bits: item.bits, life: windowsQuickLife))]
                )
            })
    }

    /// racoon, as in macOS and Android: one proposal of many transforms.
    static func racoonQuick(spi: [UInt8], mode: Int, integrities: [Int] = [2, 1]) -> [UInt8] {
        let ciphers: [(id: Int, bits: Int?)] = [(12, 256), (12, 128), (3, nil)]
        let life = basic(1, 1) + basic(2, 3600)
        let transforms = ciphers.flatMap { cipher in
            integrities.map { (cipher.id, phaseTwo(mode: mode, integrity: $0, bits: cipher.bits, life: life)) }
        }
        return securityAssociation(proposal(number: 1, protocolID: 3, spi: spi, last: true, transforms: transforms))
    }

    /// strongSwan's aes128gcm16 and aes256-sha256.
    static func strongSwanQuick(spi: [UInt8], mode: Int, combined: Bool, group: Int? = nil) -> [UInt8] {
        let attributes = phaseTwo(
            mode: mode, integrity: combined ? nil : 5, bits: combined ? 128 : 256, group: group,
            life: basic(1, 1) + basic(2, 3600))
        return securityAssociation(
            proposal(
                number: 1, protocolID: 3, spi: spi, last: true, transforms: [(combined ? 20 : 12, attributes)]))
    }
}
