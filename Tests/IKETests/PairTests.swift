import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Two gateways")
struct PairTests {
    @Test("main mode and quick mode, begun by us, end with the same keys on both sides; PFS or not")
    func mainMode() {
        for group in [nil, .curve25519, .ecp256, .modp2048] as [DiffieHellmanGroup?] {
            var pair = Pair { configuration, _ in configuration.policy.phaseOne.groups.append(.modp2048) }
            pair.connect {
                $0.sendsInitialContact = true
            } quick: {
                $0.group = group
            }
            #expect(pair.isMirrored && pair.keysAgree)
            #expect(pair.sides[1].requests.first?.group == group)
            #expect(pair.sides[0].established.first?.cookies == pair.sides[1].established.first?.cookies)
            #expect(pair.sides[0].established.first?.nat == IKENATDetection(remote: false, local: false))
            #expect(pair.sides[0].engine.initiations.isEmpty && pair.sides[0].engine.retransmissions.isEmpty)
        }
    }

    @Test("aggressive mode, begun by us, with a group's name and key")
    func aggressiveMode() {
        var pair = Pair { configuration, _ in configuration.groups.byName["sales"] = SecretBytes(utf8: "group key") }
        pair.connect {
            $0.mode = .aggressive
            $0.identity = IKEIdentity(type: IKEIdentity.keyID, data: Array("sales".utf8))
            $0.preSharedKey = SecretBytes(utf8: "group key")
        }
        #expect(pair.isMirrored && pair.keysAgree)
        #expect(pair.sides[1].established.first?.identity.description == "sales")
    }

    @Test("a gateway with another address than it has is found out, and both go on at port 4500")
    func translated() {
        var pair = Pair()
        // What the responder sees is not what the initiator believes to send from.
        pair.connect { $0.path.local = Endpoint(IPv4Address(10, 0, 0, 9), 500) }
        #expect(pair.sides[0].established.first?.path.local.port == 4500 || pair.sides[0].established.first?.nat != nil)
    }

    @Test("no answer, an unauthenticated refusal, a wrong key: the attempt ends with its record, and nothing is left")
    func failures() {
        var silent = Pair()
        silent.filter = { _, _ in false }
        let cookie = silent.initiate()
        silent.run(for: .seconds(70))
        #expect(silent.messages.count == 5)
        #expect(silent.sides[0].refusals.map(\.reason) == [.noAnswer])
        #expect(silent.sides[0].refusals.first?.cookies.initiator == cookie)
        #expect(silent.sides[0].engine.associationCount == 0 && silent.sides[0].engine.nextDeadline == nil)

        var refused = Pair { configuration, side in if side == 1 { configuration.policy.phaseOne.groups = [.modp3072] }
        }
        _ = refused.initiate()
        refused.run(for: .seconds(70))
        #expect(refused.sides[0].refusals.first?.detail == "NO-PROPOSAL-CHOSEN")
        #expect(refused.sides[0].engine.associationCount == 0)

        var wrong = Pair()
        _ = wrong.initiate { $0.preSharedKey = SecretBytes(utf8: "wrong") }
        wrong.run(for: .seconds(70))
        #expect(wrong.sides[0].refusals.first?.detail == "AUTHENTICATION-FAILED")
        #expect(wrong.sides[1].refusals.map(\.reason) == [.preSharedKeyMismatch])
        #expect(wrong.sides[0].established.isEmpty && wrong.sides[1].established.isEmpty)
    }

    @Test("what we began gets its answers in fragments too, aggressive mode's first among them")
    func fragments() {
        for mode in [IKEInitiation.Mode.main, .aggressive] {
            var pair = Pair { configuration, _ in
                configuration.groups.acceptsAny = true
                configuration.limits.unfragmentedBytesMaximum = 120
            }
            pair.connect { $0.mode = mode }
            #expect(pair.isMirrored && pair.keysAgree)
            #expect(pair.messages.contains { $0[16] == 132 })
        }
    }

    @Test("a quick mode that is refused is told why, whoever began the ISAKMP SA")
    func refusedQuickMode() {
        for side in [0, 1] {
            var pair = Pair { configuration, side in
                let keyBits = side == 0 ? 256 : 128
                configuration.policy.phaseTwo = PhaseTwoAlgorithms(
                    ciphers: [.aesCBC(keyBits: keyBits)], integrities: [.hmacSHA256])
            }
            _ = pair.initiate()
            pair.run(for: .seconds(5))
            pair.quickMode(from: side)
            pair.run(for: .seconds(5))
            #expect(pair.sides[1 - side].refusals.map(\.reason) == [.noProposalChosen])
            #expect(pair.sides[side].engine.drops[.quickModeRefused] == 1)
            #expect(pair.sides[side].ended.map(\.reason) == [.neverConfirmed])
        }
    }

    @Test("a life of seconds: a successor in time, the old pair deleted when the new one is used, no packet lost")
    func rekey() {
        var pair = Pair { configuration, _ in
            configuration.policy.lifetimes.ipsecMaximumSeconds = 100
            configuration.policy.lifetimes.ikeMaximumSeconds = 250
        }
        pair.connect { _ in
        } quick: {
            $0.group = .curve25519
        }
        pair.startTraffic(.milliseconds(500))
        pair.run(for: .seconds(1000))
        #expect(pair.isMirrored && pair.keysAgree)
        #expect(pair.sides.allSatisfy { $0.lostPackets == 0 && $0.receivedPackets > 1900 })
        #expect(pair.sides.allSatisfy { $0.peersEnded == 0 && $0.inbound.count <= 3 })
        #expect(pair.sides[0].ready.count >= 10)
        #expect(pair.sides[0].ready.dropFirst().allSatisfy { $0.replaces != nil || $0.role == .responder })
        #expect(pair.sides[0].established.count >= 4)
    }

    @Test("a life of kilobytes: a successor before the last of them, the end at the last")
    func volume() throws {
        var pair = Pair { configuration, _ in configuration.policy.lifetimes.ipsecMaximumKilobytes = 1000 }
        pair.connect()
        let spi = try #require(pair.sides[0].ready.first?.inboundSPI)
        #expect(pair.sides[0].ready.first?.lifetimeKilobytes == 1000)
        pair.noteVolume(0, spi: spi, kilobytes: 400)
        pair.run(for: .seconds(1))
        #expect(pair.sides[0].ready.count == 1)
        pair.noteVolume(0, spi: spi, kilobytes: 960)
        pair.noteVolume(0, spi: spi, kilobytes: 970)
        pair.run(for: .seconds(1))
        #expect(pair.sides[0].ready.count == 2)
        // Until the peer shows that it has the successor, the first is sent by, to its last kilobyte.
        #expect(pair.sides[0].sending == spi)
        pair.noteVolume(0, spi: spi, kilobytes: 1000)
        pair.run(for: .seconds(1))
        #expect(pair.sides[0].sending != spi && pair.sides[0].ended.isEmpty)
        pair.startTraffic(.seconds(1))
        pair.run(for: .seconds(30))
        #expect(pair.sides[0].ended.map(\.spi) == [spi])
        #expect(pair.isMirrored)
    }

    @Test("a life of kilobytes gets its successor the earlier, the faster they go")
    func volumeAtSpeed() throws {
        for (pause, isEarly) in [(Duration.milliseconds(20), true), (.seconds(2), false)] {
            var pair = Pair { configuration, _ in configuration.policy.lifetimes.ipsecMaximumKilobytes = 1000 }
            pair.connect()
            let spi = try #require(pair.sides[0].ready.first?.inboundSPI)
            for kilobytes in [125, 250, 375] as [UInt64] {
                pair.noteVolume(0, spi: spi, kilobytes: kilobytes)
                pair.run(for: pause)
            }
            pair.run(for: .seconds(1))
            #expect(pair.sides[0].ready.count == (isEarly ? 2 : 1))
        }
    }

    @Test("a lost message 3: the pair before is sent by until the peer has asked for it again")
    func lostConfirmation() throws {
        var pair = Pair()
        pair.connect()
        pair.startTraffic(.milliseconds(20))
        pair.run(for: .seconds(1))
        var messages = 0
        pair.filter = { message, _ in
            guard message[18] == 32 else { return true }
            messages += 1
            return messages != 3
        }
        let spi = try #require(pair.sides[0].sending)
        pair.rekey(0)
        pair.run(for: .milliseconds(500))
        #expect(messages == 3 && pair.sides[0].ready.count == 2 && pair.sides[0].sending == spi)
        pair.run(for: .seconds(30))
        #expect(pair.sides.allSatisfy { $0.lostPackets == 0 && $0.inbound.count == 1 && $0.ready.count == 2 })
        #expect(pair.sides[0].sending != spi && pair.isMirrored)
    }

    @Test("a life of kilobytes that ends while its successor is made: its Delete waits for that")
    func volumeDuringRekey() throws {
        var pair = Pair { configuration, _ in configuration.policy.lifetimes.ipsecMaximumKilobytes = 1000 }
        pair.connect()
        let spi = try #require(pair.sides[0].ready.first?.inboundSPI)
        pair.startTraffic(.milliseconds(100))
        pair.noteVolume(0, spi: spi, kilobytes: 960)
        pair.noteVolume(0, spi: spi, kilobytes: 1000)
        pair.run(for: .seconds(1))
        #expect(pair.sides[0].ready.count == 2)
        #expect(pair.sides.allSatisfy { $0.ended.isEmpty })
        pair.run(for: .seconds(30))
        #expect(pair.sides[0].ended.map(\.spi) == [spi])
        #expect(pair.isMirrored)
    }

    @Test("a life of kilobytes that ends before its successor was asked for: it is asked for then")
    func volumeAtOnce() throws {
        var pair = Pair { configuration, _ in configuration.policy.lifetimes.ipsecMaximumKilobytes = 1000 }
        pair.connect()
        let spi = try #require(pair.sides[0].ready.first?.inboundSPI)
        pair.noteVolume(0, spi: spi, kilobytes: 1000)
        pair.run(for: .seconds(1))
        #expect(pair.sides[0].ready.count == 2 && pair.sides[0].ended.isEmpty)
    }

    @Test("lives of kilobytes that end ten times a second: no limit of exchanges or SAs stops them")
    func volumeStorm() {
        var pair = Pair { configuration, _ in configuration.policy.lifetimes.ipsecMaximumKilobytes = 1000 }
        pair.connect()
        pair.startTraffic(.milliseconds(20))
        for _ in 0..<300 {
            if let spi = pair.sides[0].sending { pair.noteVolume(0, spi: spi, kilobytes: 960) }
            pair.run(for: .milliseconds(100))
        }
        // At such a pace one more may be made ahead of each.
        #expect((301...601).contains(pair.sides[0].ready.count))
        #expect(pair.sides.allSatisfy { $0.lostPackets == 0 && $0.peersEnded == 0 && $0.inbound.count <= 65 })
        pair.run(for: .seconds(60))
        #expect(pair.isMirrored)
    }

    @Test("a pair of three that goes at the limit: the newest waits for its proof all the same")
    func limitDuringProof() throws {
        var pair = Pair { configuration, _ in configuration.limits.securityAssociationsPerPeerMaximum = 3 }
        pair.connect()
        // A peer that takes long to install a pair sends by the one before.
        pair.startTraffic(.milliseconds(20))
        pair.rekey(0)
        pair.run(for: .milliseconds(500))
        let inUse = try #require(pair.sides[0].sending)
        pair.stopTraffic()
        pair.run(for: .milliseconds(50))
        pair.rekey(0)
        pair.run(for: .milliseconds(50))
        #expect(pair.sides[0].inbound.count == 3 && pair.sides[0].sending == inUse)
        pair.quickMode()
        #expect(pair.sides[0].ended.map(\.reason) == [.replacedAtLimit])
        #expect(pair.sides[0].sending == inUse)
    }

    @Test("RESPONDER-LIFETIME is sent where ours is shorter, and both keep to it")
    func responderLifetime() {
        var pair = Pair { configuration, side in
            configuration.policy.lifetimes.ipsecMaximumSeconds = side == 0 ? 3600 : 600
            configuration.policy.lifetimes.ipsecMaximumKilobytes = side == 0 ? nil : 70_000
        }
        pair.connect()
        for side in pair.sides {
            #expect(side.ready.first?.lifetimeSeconds == 600)
            #expect(side.ready.first?.lifetimeKilobytes == 70_000)
        }
    }

    @Test("a peer that refuses our rekey, or never answers it, keeps its session until the pair's own end")
    func refusedRekey() throws {
        for refuses in [true, false] {
            var pair = Pair { configuration, side in
                configuration.policy.lifetimes.ipsecMaximumSeconds = 600
                configuration.policy.lifetimes.rekeyShare = side == 0 ? 0.85...0.86 : 1...1
            }
            pair.connect()
            pair.startTraffic(.seconds(5))
            pair.sides[1].accepts = false
            if !refuses {
                pair.filter = { message, target in target == 0 || message[18] != 32 }
            }
            pair.run(for: .seconds(540))
            #expect(pair.sides[0].ready.count == 1 && pair.isMirrored)
            #expect(pair.sides[0].requests.count >= 2)
            #expect(pair.sides[0].ended.allSatisfy { $0.reason == .neverConfirmed })
            #expect(pair.sides[0].engine.drops[refuses ? .quickModeRefused : .quickModeUnanswered] > 0)
            #expect(pair.sides[0].peersEnded == 0 && pair.sides[0].lostPackets == 0)
        }
    }

    @Test("both rekey at once: both new pairs live, one is used on both sides, the others are deleted in order")
    func simultaneous() {
        for seed in 0..<30 as Range<UInt64> {
            var pair = Pair(seed: seed)
            pair.connect { _ in
            } quick: {
                $0.group = seed % 2 == 0 ? .curve25519 : nil
            }
            pair.startTraffic(.milliseconds(200))
            pair.run(for: .seconds(1))
            pair.rekey(0)
            pair.rekey(1)
            pair.run(for: .seconds(2))
            #expect(pair.sides.allSatisfy { $0.ready.count == 3 && $0.inbound.count == 3 })
            #expect(pair.isMirrored && pair.keysAgree)
            let used = pair.sides.map { $0.outbound.last }
            #expect(pair.sides[0].inbound.first { $0.value == used[0] }?.key == used[1], "seed \(seed)")
            pair.run(for: .seconds(60))
            #expect(pair.isMirrored)
            #expect(pair.sides.allSatisfy { $0.inbound.count == 1 && $0.lostPackets == 0 }, "seed \(seed)")
        }
    }
}
