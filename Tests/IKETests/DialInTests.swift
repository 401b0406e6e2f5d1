import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("A client dials in")
struct DialInTests {
    @Test("main mode and quick mode without a NAT end with the same keys on both sides")
    func direct() {
        var world = World()
        world.dialIn()
        #expect(world.client.phase == .established)
        #expect(world.established.count == 1)
        #expect(world.established.first?.nat == IKENATDetection(remote: false, local: false))
        #expect(world.keysAgree)
        #expect(world.ready.first?.encapsulation == IPsecEncapsulation.none)
        #expect(
            world.ready.first?.suite == IPsecSuite(cipher: .aesGCM(keyBits: 128, icvBytes: 16), integrity: nil))
        #expect(world.confirmed == world.ready.map(\.inboundSPI))
        #expect(world.drops.isEmpty)
        #expect(world.client.responderIdentity == [1, 0, 0, 0] + gatewayAddress.octets)
    }

    @Test("a client behind a NAT floats to port 4500 and gets UDP encapsulation and both original addresses")
    func translated() {
        var world = World()
        world.translate()
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.client.believesOwnNAT && !world.client.believesServerNAT)
        #expect(world.established.first?.nat == IKENATDetection(remote: true, local: false))
        #expect(world.established.first?.path.remote == world.outerFloated)
        #expect(world.established.first?.path.local.port == 4500)
        #expect(world.ready.first?.encapsulation == .udp)
        #expect(world.client.children.first?.originalAddresses == [allowedAddress.octets, gatewayAddress.octets])
        #expect(world.ready.first?.originalAddresses.initiator == .v4(IPv4Address(10, 0, 0, 2)))
    }

    @Test("perfect forward secrecy in quick mode", arguments: [DiffieHellmanGroup.modp2048, .ecp256, .curve25519])
    func perfectForwardSecrecy(group: DiffieHellmanGroup) {
        var settings = TestInitiator.Settings()
        settings.quickGroup = group
        settings.quickOffer = {
            Offers.strongSwanQuick(spi: $0, mode: $1, combined: false, group: Int(group.rawValue))
        }
        var world = World(settings: settings)
        world.dialIn()
        #expect(world.keysAgree)
        #expect(world.requests.first?.group == group)
        #expect(world.drops.isEmpty)
    }

    @Test("every phase-1 cipher, hash and group", arguments: CBCCipher.allCases)
    func suites(cipher: CBCCipher) {
        let ciphers: [CBCCipher: (Int, Int?)] = [
            .des: (1, nil), .tripleDES: (5, nil), .aes128: (7, 128), .aes192: (7, 192), .aes256: (7, 256),
        ]
        let groups: [Int] = [2, 5, 14, 15, 19, 20, 21, 31]
        let hashes: [Int] = [1, 2, 4, 5, 6]
        guard let (number, bits) = ciphers[cipher] else { return }
        for index in 0..<max(groups.count, hashes.count) {
            var settings = TestInitiator.Settings()
            let (hash, group) = (hashes[index % hashes.count], groups[index])
            settings.offer = Offers.offer([Offers.phaseOne(number, bits, hash, group, life: Offers.hour)])
            var world = World(profile: .legacy, settings: settings)
            world.dialIn(main: .milliseconds(200), quick: .milliseconds(200))
            #expect(world.keysAgree, "hash \(hash) group \(group)")
        }
    }

    @Test("any message lost once is sent again by the client and answered from the store")
    func loss() {
        for seed in 0..<60 as Range<UInt64> {
            var world = World(seed: seed)
            world.faults = World.Faults(loss: 0.25, duplication: 0.2, reordering: 0.2)
            if seed % 2 == 0 { world.translate() }
            world.dialIn(main: .seconds(14), quick: .seconds(14))
            #expect(world.client.phase == .established, "seed \(seed)")
            #expect(world.keysAgree, "seed \(seed)")
            #expect(world.established.count == 1)
            #expect(world.ready.count == 1)
        }
    }

    @Test("a wrong pre-shared key is recognised, recorded once and answered")
    func wrongKey() {
        var world = World(preSharedKey: "another")
        world.dialIn()
        #expect(world.client.phase == .sentAuthentication)
        #expect(world.refusals.map(\.reason) == [.preSharedKeyMismatch])
        #expect(world.refusals.first?.step == .mainModeAuthentication)
        #expect(world.client.clearNotifications == [24])
        #expect(world.established.isEmpty)
        world.run(for: .seconds(40))
        #expect(world.engine.associationCount == 0)
        #expect(world.refusals.count == 1)
    }
}

extension World {
    /// What was dropped, by name.
    var drops: [IKEDrop: UInt64] {
        Dictionary(uniqueKeysWithValues: IKEDrop.allCases.map { ($0, engine.drops[$0]) }).filter { $0.value > 0 }
    }
}
