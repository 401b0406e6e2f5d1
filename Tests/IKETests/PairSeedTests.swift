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
        // Nothing acknowledges a Delete: on a line that loses some, INVALID-SPI has to tell once in a while.
        if fault == 0, restarting == nil, lostOnBadLine.contains(where: { $0 > 0 }) {
            problems.append("packets lost: \(lostOnBadLine)")
        }
        close(&pair, &problems)
        return problems
    }

    private func connect(_ pair: inout Pair) {
        pair.connect {
            if isAggressive { $0.mode = .aggressive }
            $0.sendsInitialContact = detecting != nil
        } quick: {
            $0.group = quickGroup
        }
    }

    /// One side hangs up: nothing may be left on either.
    private func close(_ pair: inout Pair, _ problems: inout [String]) {
        pair.stopTraffic()
        pair.run(for: .seconds(1))
        pair.close(pair.random(0...1))
        pair.run(for: .seconds(40))
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
