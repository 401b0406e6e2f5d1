import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Profiles")
struct ProfileTests {
    private static let strongGroups: Set<DiffieHellmanGroup> = [
        .ecp256, .ecp384, .ecp521, .curve25519, .modp3072, .modp4096, .modp6144, .modp8192,
    ]

    @Test("modern has no SHA-1 and no MODP group below 3072 bits, in neither phase")
    func modern() {
        let (one, two) = (PhaseOneAlgorithms(.modern), PhaseTwoAlgorithms(.modern))
        #expect(Set(one.ciphers) == [.aes256, .aes192, .aes128])
        #expect(Set(one.hashes) == [.sha256, .sha384, .sha512])
        #expect(Set(one.groups) == Self.strongGroups)
        #expect(Set(two.integrities) == [.hmacSHA256, .hmacSHA384, .hmacSHA512])
        #expect(two.ciphers.allSatisfy { [.aesCBC(keyBits: $0.keyLengthBits)].contains($0) || $0.isCombined })
    }

    @Test("default adds SHA-1 and MODP 2048, and nothing older")
    func ordinary() {
        let (one, two) = (PhaseOneAlgorithms(.default), PhaseTwoAlgorithms(.default))
        #expect(one.ciphers == PhaseOneAlgorithms(.modern).ciphers)
        #expect(Set(one.hashes) == [.sha256, .sha384, .sha512, .sha1])
        #expect(Set(one.groups) == Self.strongGroups.union([.modp2048]))
        #expect(two.ciphers == PhaseTwoAlgorithms(.modern).ciphers)
        #expect(Set(two.integrities) == [.hmacSHA256, .hmacSHA384, .hmacSHA512, .hmacSHA1])
    }

    @Test("legacy adds 3DES, DES, MD5 and the groups 1, 2 and 5; nothing is in it twice, and NULL in none")
    func legacy() {
        let (one, two) = (PhaseOneAlgorithms(.legacy), PhaseTwoAlgorithms(.legacy))
        #expect(Set(one.ciphers) == Set(CBCCipher.allCases) && one.ciphers.count == CBCCipher.allCases.count)
        #expect(Set(one.hashes) == [.sha256, .sha384, .sha512, .sha1, .md5] && one.hashes.count == 5)
        #expect(Set(one.groups) == Set(DiffieHellmanGroup.allCases))
        #expect(one.groups.count == DiffieHellmanGroup.allCases.count)
        #expect(Set(two.ciphers) == Set(PhaseTwoAlgorithms(.default).ciphers).union([.tripleDES, .des]))
        #expect(Set(two.integrities) == [.hmacSHA256, .hmacSHA384, .hmacSHA512, .hmacSHA1, .hmacMD5])
        for profile in IKEProfile.allCases { #expect(!PhaseTwoAlgorithms(profile).ciphers.contains(.null)) }
    }

    @Test("every group there is, in phase 1 and as perfect forward secrecy", arguments: DiffieHellmanGroup.allCases)
    func groups(group: DiffieHellmanGroup) {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.offer([
            Offers.phaseOne(Offers.aes, 256, Offers.sha1, Int(group.rawValue), life: Offers.hour)
        ])
        settings.quickGroup = group
        settings.quickOffer = {
            Offers.strongSwanQuick(spi: $0, mode: $1, combined: false, group: Int(group.rawValue))
        }
        var world = World(profile: .legacy, settings: settings)
        world.dialIn()
        #expect(world.keysAgree && world.requests.first?.group == group)
    }

    @Test(
        "modern refuses perfect forward secrecy by a group that it would refuse in phase 1",
        arguments: [DiffieHellmanGroup.modp2048, .modp1024])
    func forwardSecrecy(group: DiffieHellmanGroup) {
        var settings = TestInitiator.Settings()
        settings.offer = Offers.offer([Offers.phaseOne(Offers.aes, 256, Offers.sha256, 31, life: Offers.hour)])
        settings.quickGroup = group
        settings.quickOffer = {
            Offers.strongSwanQuick(spi: $0, mode: $1, combined: false, group: Int(group.rawValue))
        }
        var world = World(profile: .modern, settings: settings)
        world.dialIn()
        #expect(world.established.count == 1 && world.ready.isEmpty)
        #expect(world.refusals.first?.offers.first?.attribute == .group)
    }

    @Test("NULL encryption comes by an explicit list alone")
    func null() {
        var settings = TestInitiator.Settings()
        settings.quickOffer = { spi, mode in
            securityAssociation(
                proposal(
                    number: 1, protocolID: 3, spi: spi, last: true,
                    transforms: [(11, Offers.phaseTwo(mode: mode, integrity: 2, life: Offers.windowsQuickLife))]))
        }
        var refused = World(profile: .legacy, settings: settings)
        refused.dialIn()
        #expect(refused.ready.isEmpty && refused.refusals.first?.offers.first?.attribute == .encryption)
        var world = World(settings: settings) { $0.policy.phaseTwo.ciphers.append(.null) }
        world.dialIn()
        #expect(world.ready.first?.suite.description == "null-sha1" && world.keysAgree)
    }
}

@Suite("Rules for the peers of some networks")
struct RuleTests {
    /// A configuration with `policy` for the network of the tests' client, or for another one.
    private func world(
        inside isInside: Bool = true, settings: TestInitiator.Settings = .init(), _ change: (inout IKEPolicy) -> Void
    ) throws -> World {
        let other = range("10.0.0.0/8")
        let network = try #require(isInside ? AddressRange(.v4(allowedAddress), prefixLength: 24) : other)
        var policy = IKEPolicy(.default)
        change(&policy)
        return World(settings: settings) { $0.rules = [IKERule("rule", networks: [network], policy: policy)] }
    }

    @Test("the longest prefix of all rules' networks decides, and who is in none has what is for all")
    func longestPrefix() throws {
        let policy = { (groups: [DiffieHellmanGroup]) in
            var policy = IKEPolicy(.default)
            policy.phaseOne.groups = groups
            return policy
        }
        let networks = try ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"].map { try #require(range($0)) }
        var configuration = IKEConfiguration(preSharedKeys: PreSharedKeys(defaultKey: nil))
        configuration.rules = [
            IKERule("wide", networks: [networks[0], networks[2]], policy: policy([.ecp256])),
            IKERule("narrow", networks: [networks[1]], policy: policy([.ecp384])),
        ]
        let groups = { (address: IPv4Address) in configuration.policy(for: .v4(address)).phaseOne.groups }
        #expect(groups(IPv4Address(10, 1, 2, 3)) == [.ecp384])
        #expect(groups(IPv4Address(10, 2, 2, 3)) == [.ecp256])
        #expect(groups(IPv4Address(10, 3, 2, 3)) == [.ecp256])
        #expect(groups(IPv4Address(11, 1, 2, 3)) == PhaseOneAlgorithms(.default).groups)
        #expect(configuration.policy(for: .v6(IPv6Address(high: 1, low: 1))) == configuration.policy)
    }

    @Test("a rule's lifetimes bound both phases of its peers, and of nobody else")
    func lifetimes() throws {
        for isInside in [true, false] {
            var world = try world(inside: isInside) {
                $0.lifetimes.ikeMaximumSeconds = 900
                $0.lifetimes.ipsecMaximumSeconds = 600
                $0.lifetimes.ipsecMaximumKilobytes = 5000
            }
            world.dialIn()
            #expect((world.established.first?.lifetimeSeconds == 900) == isInside)
            #expect((world.ready.first?.lifetimeSeconds == 600) == isInside)
            #expect((world.ready.first?.lifetimeKilobytes == 5000) == isInside)
        }
    }

    @Test("a rule without pre-shared keys refuses who has nothing else, in both modes")
    func authentication() throws {
        var world = try world { $0.authenticationMethods = [.rsaSignature] }
        world.dialIn()
        #expect(world.established.isEmpty)
        #expect(world.refusals.first?.offers.first?.attribute == .authenticationMethod)
        var aggressive = world.engine.configuration
        aggressive.groups.acceptsAny = true
        let identity = IKEIdentity(.v4(allowedAddress))
        #expect(aggressive.aggressiveMethods(for: identity, at: .v4(allowedAddress)).isEmpty)
        #expect(aggressive.aggressiveMethods(for: identity, at: .v4(IPv4Address(10, 0, 0, 1))) == [.preSharedKey])
    }

    @Test("a rule's peers alone are asked whether they are there")
    func deadPeerDetection() throws {
        for isInside in [true, false] {
            var settings = TestInitiator.Settings()
            settings.vendorIDs.append(Offers.deadPeerDetection)
            var world = try world(inside: isInside, settings: settings) {
                $0.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(5))
            }
            world.dialIn()
            let before = world.sent.count
            world.run(for: .seconds(30))
            #expect((world.sent.count > before) == isInside)
        }
    }

    @Test("we begin an exchange with what the rule of the other end offers")
    func initiator() throws {
        var pair = Pair { configuration, side in
            configuration.policy.phaseOne.groups = [.ecp256]
            guard side == 0, let network = range("192.0.2.2") else { return }
            var policy = configuration.policy
            policy.phaseOne = PhaseOneAlgorithms(ciphers: [.aes128], hashes: [.sha384], groups: [.ecp256])
            policy.phaseTwo = PhaseTwoAlgorithms(ciphers: [.aesCBC(keyBits: 192)], integrities: [.hmacSHA512])
            policy.lifetimes.ipsecMaximumSeconds = 1200
            configuration.rules = [IKERule("other end", networks: [network], policy: policy)]
        }
        pair.connect()
        #expect(pair.sides[1].established.first?.suite.description == "aes128-sha384-ecp256")
        #expect(pair.sides[1].ready.first?.suite.description == "aes192-sha512")
        #expect(pair.sides[1].ready.first?.lifetimeSeconds == 1200)
    }
}
