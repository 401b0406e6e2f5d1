import Cryptography
import IKE

// The clients of the reference's section 3, in its order.
extension RealClient {
    private static let (des, tripleDES, aes) = (Offers.des, Offers.tripleDES, Offers.aes)
    private static let (md5, sha1, sha256, sha384, sha512) = (
        Offers.md5, Offers.sha1, Offers.sha256, Offers.sha384, Offers.sha512
    )
    /// ESP transforms, and integrity algorithms as phase 2 numbers them.
    private static let (espDES, espTripleDES, espNull, espAES, espGCM16) = (2, 3, 11, 12, 20)
    private static let (hmacMD5, hmacSHA1, hmacSHA256, hmacSHA384, hmacSHA512) = (1, 2, 5, 6, 7)

    /// Each cipher with each integrity algorithm.
    private static func combined(_ ciphers: [(Int, Int?)], _ integrities: [Int]) -> [PhaseTwo] {
        ciphers.flatMap { cipher in integrities.map { PhaseTwo(cipher.0, cipher.1, $0) } }
    }

    /// The same under all profiles but `modern`.
    private static func supported(_ ike: String, _ esp: String) -> [IKEProfile: Suites] {
        [.default: Suites(ike: ike, esp: esp), .legacy: Suites(ike: ike, esp: esp)]
    }

    private static func legacy(_ ike: String, _ esp: String) -> [IKEProfile: Suites] {
        [.legacy: Suites(ike: ike, esp: esp)]
    }

    // MARK: - Windows

    /// MS NT5 ISAKMPOAKLEY, with what tells the version.
    static func windowsVendorIDs(version: UInt8) -> [[UInt8]] {
        var all = Offers.windowsVendorIDs
        all[1] = Array(all[1].dropLast()) + [version]
        return all
    }

    static func windows(_ name: String, version: UInt8) -> RealClient {
        RealClient(
            description: name, program: .windows,
            phaseOne: [
                PhaseOne(aes, 256, sha1, 20), PhaseOne(aes, 128, sha1, 19), PhaseOne(aes, 256, sha1, 14),
                PhaseOne(tripleDES, nil, sha1, 14), PhaseOne(tripleDES, nil, sha1, 2),
            ], phaseOneSeconds: 28800, vendorIDs: windowsVendorIDs(version: version),
            phaseTwo: [
                PhaseTwo(espAES, 256, hmacSHA1), PhaseTwo(espAES, 128, hmacSHA1), PhaseTwo(espTripleDES, nil, hmacSHA1),
                PhaseTwo(espDES, nil, hmacSHA1), PhaseTwo(espNull, nil, hmacSHA1),
            ], phaseTwoSeconds: 3600, phaseTwoKilobytes: 250_000,
            accepted: supported("aes256-sha1-ecp384", "aes256-sha1"), nonceLength: 48, identityPort: [0, 0, 0],
            countsMessageIDs: true)
    }

    static let windows11 = windows("Windows 8 to 11", version: 9)

    static let windowsXP = RealClient(
        description: "Windows XP", program: .windows,
        phaseOne: [
            PhaseOne(tripleDES, nil, sha1, 14), PhaseOne(tripleDES, nil, sha1, 2), PhaseOne(tripleDES, nil, md5, 2),
            PhaseOne(des, nil, sha1, 1), PhaseOne(des, nil, md5, 1),
        ], phaseOneSeconds: 28800,
        vendorIDs: [hex("1e2b516905991c7d7c96fcbfb587e46100000004"), Offers.fragmentation, Offers.draft02n],
        phaseTwo: [
            PhaseTwo(espTripleDES, nil, hmacMD5), PhaseTwo(espTripleDES, nil, hmacSHA1),
            PhaseTwo(espDES, nil, hmacMD5),
        ], phaseTwoSeconds: 3600, phaseTwoKilobytes: 250_000, accepted: legacy("3des-sha1-modp2048", "3des-sha1"),
        usesDraftNumbers: true, originalAddressCount: 1, nonceLength: 20, identityPort: [0, 0, 0])

    /// With the NAT traversal of KB818043, which names itself in quick mode.
    static let windows2000 = changed(windowsXP, "Windows 2000 with KB818043") {
        $0.vendorIDs[0] = hex("1e2b516905991c7d7c96fcbfb587e46100000002")
        $0.ownName = "old-box.example.org"
    }

    static let windows2000Plain = changed(windows2000, "Windows 2000 without NAT traversal") {
        $0.vendorIDs = [hex("1e2b516905991c7d7c96fcbfb587e46100000002")]
        ($0.speaksNATTraversal, $0.ownName) = (false, nil)
    }

    /// Members of a domain, which would rather use Kerberos.
    static let windowsDomain = changed(windowsXP, "Windows XP with GSSAPI vendor ids") {
        $0.vendorIDs += [hex("621b04bb09882ac1e15935fefa24aeee"), hex("ad2c0dd0b9c32083ccba25b8861ec455")]
    }

    // MARK: - macOS and iOS

    static let apple = RealClient(
        description: "macOS and iOS", program: .racoon,
        phaseOne: [
            PhaseOne(aes, 256, sha256, 14), PhaseOne(aes, 256, sha1, 14), PhaseOne(aes, 256, md5, 14),
            PhaseOne(aes, 256, sha512, 14), PhaseOne(aes, 256, sha256, 5), PhaseOne(aes, 256, sha1, 5),
            PhaseOne(aes, 256, md5, 5), PhaseOne(aes, 256, sha256, 2), PhaseOne(aes, 256, sha1, 2),
            PhaseOne(aes, 256, md5, 2), PhaseOne(aes, 128, sha1, 2), PhaseOne(aes, 128, md5, 2),
            PhaseOne(tripleDES, nil, sha1, 2), PhaseOne(tripleDES, nil, md5, 2),
        ], phaseOneSeconds: 3600, vendorIDs: Offers.appleVendorIDs,
        phaseTwo: combined([(espAES, 256), (espAES, 128), (espTripleDES, nil)], [hmacSHA1, hmacMD5]),
        phaseTwoSeconds: 3600, accepted: supported("aes256-sha256-modp2048", "aes256-sha1"), ownPort: 54321,
        sendsInitialContact: true)

    static let iOS = changed(apple, "iOS with port 0 in quick mode") { $0.ownPort = 0 }

    static let macOS106 = changed(apple, "macOS 10.6 and after") {
        $0.phaseOne = [
            PhaseOne(aes, 256, sha1, 2), PhaseOne(aes, 256, md5, 2), PhaseOne(aes, 128, sha1, 2),
            PhaseOne(aes, 128, md5, 2), PhaseOne(tripleDES, nil, sha1, 2), PhaseOne(tripleDES, nil, md5, 2),
        ]
        $0.accepted = legacy("aes256-sha1-modp1024", "aes256-sha1")
    }

    static let macOSOldest = changed(apple, "macOS before 10.6") {
        $0.phaseOne = [PhaseOne(tripleDES, nil, sha1, 2)]
        $0.vendorIDs = [Offers.racoon, Offers.draft02, Offers.draft02n]
        $0.usesDraftNumbers = true
        $0.phaseTwo = [PhaseTwo(espTripleDES, nil, hmacSHA1)]
        $0.accepted = legacy("3des-sha1-modp1024", "3des-sha1")
    }

    /// With a group's name, and the group of its first attempt.
    static let appleGroup = changed(apple, "macOS with a group name") {
        $0.aggressive = Aggressive(identity: [11, 0, 0, 0] + Array("sales".utf8), group: .modp2048)
        $0.phaseOne = $0.phaseOne.filter { $0.group == 14 }
    }

    /// Its second attempt.
    static let appleGroupRetried = changed(apple, "macOS with a group name, the second time") {
        $0.aggressive = Aggressive(identity: [2, 0, 0, 0] + Array("sales".utf8), group: .modp1024)
        $0.phaseOne = $0.phaseOne.filter { $0.group == 2 }
        $0.accepted = legacy("aes256-sha256-modp1024", "aes256-sha1")
    }

    // MARK: - Android

    static let android2 = RealClient(
        description: "Android 2 and 3", program: .racoon,
        phaseOne: [
            PhaseOne(tripleDES, nil, sha1, 2), PhaseOne(tripleDES, nil, md5, 2), PhaseOne(des, nil, sha1, 2),
            PhaseOne(des, nil, md5, 2), PhaseOne(aes, 128, sha1, 2), PhaseOne(aes, 128, md5, 2),
        ], phaseOneSeconds: 28800, vendorIDs: [Offers.natTraversal, Offers.draft02, Offers.draft02n, Offers.draft00],
        phaseTwo: combined([(espTripleDES, nil), (espDES, nil), (espAES, 128)], [hmacSHA1, hmacMD5]),
        phaseTwoSeconds: 28800, accepted: legacy("aes128-sha1-modp1024", "aes128-sha1"), ownPort: 0)

    /// It names a bound of kilobytes that is none: 0x7fffffff.
    static let android4 = changed(android2, "Android 4 and 5") {
        $0.phaseOne = [
            PhaseOne(aes, 256, sha1, 2), PhaseOne(aes, 256, md5, 2), PhaseOne(aes, 128, sha1, 2),
            PhaseOne(aes, 128, md5, 2), PhaseOne(tripleDES, nil, sha1, 2), PhaseOne(tripleDES, nil, md5, 2),
            PhaseOne(des, nil, sha1, 2), PhaseOne(des, nil, md5, 2),
        ]
        $0.vendorIDs = Offers.androidVendorIDs
        $0.phaseTwo = combined(
            [(espAES, 256), (espAES, 128), (espTripleDES, nil), (espDES, nil)], [hmacSHA1, hmacMD5])
        $0.phaseTwoKilobytes = 0x7fff_ffff
        $0.accepted = legacy("aes256-sha1-modp1024", "aes256-sha1")
    }

    /// With an IPsec identifier, which is a group's name to us: KEY_ID, FQDN where it has a dot, USER_FQDN where also an @.
    static let androidIdentifiers: [RealClient] = [
        (11, "sales"), (2, "sales.example.org"), (3, "sales@example.org"),
    ].map { (type: UInt8, name: String) in
        changed(android4, "Android 4 and 5 with the identifier \(name)") {
            $0.aggressive = Aggressive(identity: [type, 0, 0, 0] + Array(name.utf8), group: .modp1024)
        }
    }

    static let android6 = changed(android4, "Android 6 to 11") {
        $0.phaseOne = [
            PhaseOne(aes, 256, sha384, 2), PhaseOne(aes, 256, sha256, 2), PhaseOne(aes, 256, sha512, 2),
            PhaseOne(aes, 256, sha1, 2), PhaseOne(aes, 256, md5, 2), PhaseOne(aes, 128, sha256, 2),
            PhaseOne(aes, 128, sha1, 2), PhaseOne(aes, 128, md5, 2), PhaseOne(tripleDES, nil, sha256, 2),
            PhaseOne(tripleDES, nil, sha1, 2), PhaseOne(tripleDES, nil, md5, 2), PhaseOne(des, nil, sha256, 2),
            PhaseOne(des, nil, sha1, 2), PhaseOne(des, nil, md5, 2),
        ]
        $0.phaseTwo = combined(
            [(espAES, 256), (espAES, 128), (espTripleDES, nil), (espDES, nil)],
            [hmacSHA512, hmacSHA384, hmacSHA256, hmacSHA1, hmacMD5])
        // Up to 7 its SHA2-256 has 96 bits and nobody else's has: so anything but that.
        $0.accepted = legacy("aes256-sha256-modp1024", "aes256-sha512")
        $0.sendsInitialContact = true
        // Behind another phone's hotspot the last reserved byte of NAT-OA is not zero.
        $0.originalAddressReserved = [0, 0, 0x5a]
    }

    // MARK: - Linux and routers

    static let networkManager = RealClient(
        description: "NetworkManager-l2tp with strongSwan", program: .charon,
        phaseOne: [
            PhaseOne(aes, 256, sha256, 14), PhaseOne(aes, 256, sha256, 5), PhaseOne(aes, 256, sha256, 2),
            PhaseOne(aes, 256, sha1, 14), PhaseOne(aes, 256, sha1, 5), PhaseOne(aes, 256, sha1, 2),
            PhaseOne(aes, 256, sha1, 20), PhaseOne(aes, 128, sha1, 2), PhaseOne(aes, 128, sha1, 19),
            PhaseOne(tripleDES, nil, sha1, 14), PhaseOne(tripleDES, nil, sha1, 2),
        ], phaseOneSeconds: 10800, vendorIDs: Offers.strongSwanVendorIDs,
        phaseTwo: [
            PhaseTwo(espAES, 256, hmacSHA1), PhaseTwo(espAES, 128, hmacSHA1), PhaseTwo(espTripleDES, nil, hmacSHA1),
        ], phaseTwoSeconds: 3600, accepted: supported("aes256-sha256-modp2048", "aes256-sha1"), nonceLength: 32,
        identityPort: [0, 0, 0])

    static let networkManagerEphemeral = changed(networkManager, "NetworkManager-l2tp with an ephemeral port") {
        $0.ownPort = 0
    }

    static let networkManagerLibreswan = changed(networkManager, "NetworkManager-l2tp with libreswan") {
        let old = $0
        $0 = RealClient(
            description: old.description, program: .pluto, phaseOne: old.phaseOne.filter { $0.group != 2 },
            phaseOneSeconds: 28800,
            vendorIDs: [
                Offers.deadPeerDetection, Offers.fragmentation + hex("80000000"), Offers.natTraversal, Offers.draft03,
                Offers.draft02n, Offers.draft02,
            ], phaseTwo: old.phaseTwo, phaseTwoSeconds: 28800, accepted: old.accepted, nonceLength: 32,
            identityPort: [0, 0, 0])
    }

    static let chromeOS = changed(networkManager, "ChromeOS of 2018") {
        $0.phaseOne = [
            PhaseOne(aes, 128, sha256, 15), PhaseOne(aes, 128, sha1, 14), PhaseOne(tripleDES, nil, sha1, 5),
            PhaseOne(tripleDES, nil, sha1, 2),
        ]
        $0.phaseTwo = [
            PhaseTwo(espGCM16, 128, nil), PhaseTwo(espAES, 128, hmacSHA256), PhaseTwo(espAES, 128, hmacSHA1),
            PhaseTwo(espTripleDES, nil, hmacSHA1), PhaseTwo(espAES, 128, hmacMD5), PhaseTwo(espTripleDES, nil, hmacMD5),
        ]
        $0.accepted = supported("aes128-sha256-modp3072", "aes128gcm16")
        $0.accepted[.modern] = Suites(ike: "aes128-sha256-modp3072", esp: "aes128gcm16")
    }

    static let chromeOSOld = changed(networkManager, "ChromeOS before 2018") {
        $0.phaseOne = [PhaseOne(tripleDES, nil, sha1, 2)]
        $0.phaseTwo = [
            PhaseTwo(espAES, 128, hmacSHA1), PhaseTwo(espTripleDES, nil, hmacSHA1), PhaseTwo(espAES, 128, hmacMD5),
            PhaseTwo(espTripleDES, nil, hmacMD5),
        ]
        $0.accepted = legacy("3des-sha1-modp1024", "aes128-sha1")
    }

    static let tpLink = RealClient(
        description: "TP-Link R483G", program: .pluto,
        phaseOne: [PhaseOne(tripleDES, nil, md5, 2), PhaseOne(tripleDES, nil, sha1, 2)], phaseOneSeconds: 28800,
        vendorIDs: [Offers.deadPeerDetection], phaseTwo: combined([(espTripleDES, nil)], [hmacMD5, hmacSHA1]),
        phaseTwoSeconds: 28800, accepted: legacy("3des-sha1-modp1024", "3des-sha1"), speaksNATTraversal: false)

    static let archer = changed(tpLink, "Archer MR400") {
        $0.phaseOne = [PhaseOne(tripleDES, nil, md5, 2)]
        $0.accepted = legacy("3des-md5-modp1024", "3des-sha1")
    }

    static let desRouters = [(des, "des"), (tripleDES, "3des")].map { (cipher: Int, name: String) in
        changed(tpLink, "a router of \(name) and group 1") {
            $0.phaseOne = [PhaseOne(cipher, nil, md5, 1)]
            $0.phaseTwo = [PhaseTwo(cipher == des ? espDES : espTripleDES, nil, hmacMD5)]
            $0.accepted = legacy("\(name)-md5-modp768", "\(name)-md5")
        }
    }

    /// All of them.
    static let all =
        [
            windows("Windows Vista", version: 5), windows("Windows Server 2008", version: 6),
            windows("Windows 7", version: 7), windows11, windowsXP, windows2000, windows2000Plain, windowsDomain, apple,
            iOS, macOS106, macOSOldest, appleGroup, appleGroupRetried, android2, android4,
        ] + androidIdentifiers + [
            android6, networkManager, networkManagerEphemeral, networkManagerLibreswan, chromeOS, chromeOSOld, tpLink,
            archer,
        ] + desRouters

    /// Those that still receive updates, and so must get in as they are.
    static let current = [
        windows11, apple, iOS, networkManager, networkManagerEphemeral, networkManagerLibreswan, chromeOS,
    ]

    private static func changed(
        _ client: RealClient, _ description: String, _ change: (inout RealClient) -> Void
    ) -> RealClient {
        var client = client
        client.description = description
        change(&client)
        return client
    }
}
