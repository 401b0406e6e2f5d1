import Cryptography
import Testing
import Wire

@testable import IKE

#if canImport(Glibc)
    import Glibc
#endif

/// What a seed draws: a line, an agreement, and what happens to both sides.
private struct PairScenario {
    let seed: UInt64
    /// The share of messages that are lost, and of those that come twice; twice as many come late.
    var fault: Double
    var isAggressive: Bool
    var quickGroup: DiffieHellmanGroup?
    var isTranslated: Bool
    var countsKilobytes: Bool
    var cutsMessages: Bool
    /// Which side asks the other whether it is there, if any.
    var detecting: ClosedRange<Int>?
    /// Which side loses its memory in the middle.
    var restarting: Int?
    var rebinds: Bool
    /// The algorithms and protocols that side 0 asks for; nil for those of the configuration.
    var suite: IPsecSuite?
    /// Whether it is for networks behind both, in tunnel mode.
    var isTunnel: Bool

    /// ESP, AH, or AH around ESP, with compression and extended sequence numbers or without.
    private static func suite(_ generator: inout SplitMix, isTranslated: Bool) -> IPsecSuite {
        let integrities: [IPsecIntegrity] = [.hmacSHA256, .hmacSHA512, .hmacSHA1, .aesXCBC]
        let integrity = { (generator: inout SplitMix) in
            integrities[Int.random(in: integrities.indices, using: &generator)]
        }
        let cipher = ESPCipher.all[Int.random(in: ESPCipher.all.indices, using: &generator)]
        // A NAT changes what AH authenticates.
        let kind = isTranslated ? 0 : Int.random(in: 0...2, using: &generator)
        var suite = IPsecSuite(
            cipher: cipher, integrity: cipher.isCombined ? nil : integrity(&generator))
        if kind > 0 { suite.authenticationHeader = integrity(&generator) }
        if kind == 2 { suite.payload = nil }
        suite.compresses = Bool.random(using: &generator)
        suite.usesExtendedSequenceNumbers = Bool.random(using: &generator)
        return suite
    }

    init(seed: UInt64) {
        var generator = SplitMix(state: seed &* 0x9e37_79b9 &+ 17)
        let chance = { (generator: inout SplitMix, one: Int) in Int.random(in: 0..<one, using: &generator) == 0 }
        self.seed = seed
        fault = Double(Int.random(in: 0...5, using: &generator)) * 0.06
        isAggressive = chance(&generator, 3)
        quickGroup = chance(&generator, 4) ? .curve25519 : nil
        isTranslated = chance(&generator, 3)
        countsKilobytes = chance(&generator, 4)
        cutsMessages = chance(&generator, 4)
        restarting = chance(&generator, 5) ? Int.random(in: 0...1, using: &generator) : nil
        detecting = restarting != nil ? 0...1 : chance(&generator, 2) ? 0...1 : nil
        rebinds = isTranslated && chance(&generator, 2)
        suite = chance(&generator, 4) ? nil : Self.suite(&generator, isTranslated: isTranslated)
        isTunnel = !isTranslated && chance(&generator, 3)
    }

    /// The traffic of a tunnel, 10.1.0.0/16 behind side 0 and 10.2.0.0/16 behind side 1.
    private static func traffic(of side: Int) -> TrafficSelector? {
        let networks = ["10.1.0.0/16", "10.2.0.0/16"].compactMap(range)
        guard networks.count == 2 else { return nil }
        return TrafficSelector(local: networks[side], remote: networks[1 - side])
    }

    func configuration(_ base: IKEConfiguration, side: Int) -> IKEConfiguration {
        var configuration = base
        configuration.policy.phaseOne.groups = [.curve25519]
        configuration.policy.lifetimes.ipsecMaximumSeconds = 300
        configuration.policy.lifetimes.ikeMaximumSeconds = 400
        if countsKilobytes {
            configuration.policy.lifetimes.ipsecMaximumKilobytes = 2000
            configuration.policy.lifetimes.rekeyHeadStartKilobytes = 500
        }
        configuration.groups.acceptsAny = isAggressive
        if detecting?.contains(side) ?? false {
            configuration.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(20))
        }
        if suite != nil { PhaseTwoSuiteTests.allowAll(&configuration) }
        if isTunnel, let traffic = Self.traffic(of: side) {
            let peer = AddressRange(.v4(IPv4Address(192, 0, 2, UInt8(2 - side))))
            configuration.tunnels = [IKETunnel("branch", peerAddresses: [peer], selectors: [traffic])]
        }
        if cutsMessages { configuration.limits.unfragmentedBytesMaximum = 160 }
        return configuration
    }

    /// Plays it; what is not as it should be, in words.
    func play() -> [String] {
        var configurations: [IKEConfiguration] = []
        var pair = Pair(seed: seed) { configuration, side in
            configuration = self.configuration(configuration, side: side)
            configurations.append(configuration)
        }
        pair.faults = World.Faults(loss: fault, duplication: fault, reordering: fault * 2)
        if isTranslated { pair.translation = Pair.Translation() }
        if countsKilobytes { pair.packetKilobytes = 40 }
        pair.redials = true
        if suite?.authenticationHeader != nil { pair.packetProtocol = .authenticationHeader }
        connect(&pair)
        pair.startTraffic(.seconds(2))
        for round in 0..<3 {
            let first = pair.random(0...1)
            pair.rekey(first)
            pair.run(for: .milliseconds(pair.random(0...1) * pair.random(0...400)))
            pair.rekey(1 - first)
            pair.run(for: .seconds(pair.random(1...40)))
            if rebinds, round == 1 { pair.rebind() }
            if let restarting, round == 1 {
                pair.restart(restarting, configurations[restarting])
                // It is the silence of the other that side 0 redials upon.
                if restarting == 1 { pair.run(for: .seconds(90)) }
                connect(&pair)
            }
        }
        var problems: [String] = []
        let lostOnBadLine = pair.sides.map(\.lostPackets)
        pair.faults = World.Faults()
        connect(&pair)
        pair.startTraffic(.seconds(4))
        pair.run(for: .seconds(500))
        for _ in 0..<40 where !pair.isMirrored { pair.run(for: .seconds(1)) }
        if !pair.isMirrored { problems.append("not mirrored: \(pair.sides.map(\.pairs))") }
        if !pair.keysAgree { problems.append("other keys") }
        for child in pair.sides.flatMap(\.ready) where !isAgreed(child) {
            problems.append("agreed on \(child.suite), \(child.mode), for \(child.tunnel ?? "L2TP")")
        }
        // Nothing acknowledges a Delete: on a line that loses some, INVALID-SPI has to tell once in a while.
        if fault == 0, restarting == nil, lostOnBadLine.contains(where: { $0 > 0 }) {
            problems.append("packets lost: \(lostOnBadLine)")
        }
        close(&pair, &problems)
        return problems
    }

    /// Whether a pair of SAs, the first one and each that replaced it, is what was asked for.
    private func isAgreed(_ child: ChildSecurityAssociation) -> Bool {
        child.mode == (isTunnel ? .tunnel : .transport) && child.tunnel == (isTunnel ? "branch" : nil)
            && (suite == nil || child.suite == suite) && (child.compression != nil) == child.suite.compresses
            && child.protections.map(\.ipsecProtocol) == child.suite.protocols
    }

    private func connect(_ pair: inout Pair) {
        pair.connect {
            if isAggressive { $0.mode = .aggressive }
            $0.sendsInitialContact = detecting != nil
        } quick: {
            $0.group = quickGroup
            if let suite { $0.suites = [suite] }
            if isTunnel { ($0.mode, $0.tunnel, $0.traffic) = (.tunnel, "branch", Self.traffic(of: 0)) }
        }
    }

    /// One side hangs up: nothing may be left on either.
    private func close(_ pair: inout Pair, _ problems: inout [String]) {
        pair.stopTraffic()
        pair.run(for: .seconds(1))
        pair.close(pair.random(0...1))
        pair.run(for: .seconds(40))
        // A phase 1 that crosses the goodbye is established after it, with nothing in it. The gateway hangs up such a peer.
        if pair.sides.contains(where: { !$0.established.isEmpty && $0.engine.securityAssociationCount == 0 }) {
            for side in pair.sides.indices { pair.close(side) }
            pair.run(for: .seconds(40))
        }
        for (index, side) in pair.sides.enumerated() {
            let engine = side.engine
            if engine.associationCount + engine.securityAssociationCount + engine.peerCount > 0 {
                problems.append("left at side \(index): \(engine.associationCount) \(engine.securityAssociationCount)")
            }
            let isIdle = engine.retransmissions.isEmpty && engine.initiations.isEmpty && engine.partialMessages.isEmpty
            if !isIdle || engine.nextDeadline != nil { problems.append("side \(index) is not idle") }
            if !side.inbound.isEmpty { problems.append("side \(index) has SPIs that nobody gave back") }
        }
    }
}

@Suite("Two gateways on a bad line")
struct PairSeedTests {
    /// `make test` plays 10,000: `IKE_PAIR_SEEDS`. `IKE_PAIR_FIRST` says which one is the first, to play one alone.
    private static func number(_ name: String, _ fallback: UInt64) -> UInt64 {
        getenv(name).flatMap { UInt64(String(cString: $0)) } ?? fallback
    }

    private static let parts: UInt64 = 16

    @Test(
        "whatever a seed draws, both sides end in the same state, and nothing is left after the end",
        arguments: 0..<parts)
    func seeds(part: UInt64) {
        let first = Self.number("IKE_PAIR_FIRST", 0)
        let end = first + Self.number("IKE_PAIR_SEEDS", 800)
        for seed in stride(from: first + part, to: end, by: Int(Self.parts)) {
            let problems = PairScenario(seed: seed).play()
            #expect(problems.isEmpty, "\(PairScenario(seed: seed)): \(problems)")
        }
    }
}
