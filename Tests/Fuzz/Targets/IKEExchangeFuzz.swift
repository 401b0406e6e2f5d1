import Cryptography
import Wire

@testable import IKE
@testable import IKETests

/// Whole exchanges between two gateways, of which any message is changed on its way: by somebody who sees everything and
/// has no key, or by a peer who has the keys and lies. The input chooses the exchange and, message by message, what
/// becomes of it.
enum IKEExchangeFuzz {
    private static let stepsMaximum = 60
    /// Real computations, and each of them twice where a change is compared with its original.
    private static let clonesMaximum = 24
    private static let groups: [DiffieHellmanGroup] = [.curve25519]

    /// What becomes of the message that comes next; all else delivers it.
    fileprivate enum Step {
        static let mask: UInt8 = 15
        static let flip: UInt8 = 1
        static let cut: UInt8 = 2
        static let extend: UInt8 = 3
        static let field: UInt8 = 4
        static let payloads: UInt8 = 5
        static let twice: UInt8 = 6
        static let later: UInt8 = 7
        static let replay: UInt8 = 8
        static let lose: UInt8 = 9
        static let lie: UInt8 = 10
        static let time: UInt8 = 11
        static let act: UInt8 = 12
        static let elsewhere: UInt8 = 13
        /// The changed message comes before the true one, rather than instead of it.
        static let before: UInt8 = 16
    }

    fileprivate enum Scenario {
        static let aggressive: UInt8 = 1
        static let translated: UInt8 = 2
        static let fragments: UInt8 = 4
        static let secrecy: UInt8 = 8
        static let detection: UInt8 = 16
        static let draft: UInt8 = 32
        static let connected: UInt8 = 64
        static let legacy: UInt8 = 128
    }

    fileprivate struct Play {
        var pair: Pair
        let scenario: UInt8
        /// What was delivered and has had its effect: a replay of it has none.
        var recorded: [Pair.Held] = []
        /// What the sides know of each quick mode: its nonces, and the last block of its last message.
        var quickModes: [UInt32: QuickMode] = [:]
        var clonesLeft = IKEExchangeFuzz.clonesMaximum
        /// A peer has lied: what it believes is its own affair.
        var hasLied = false
    }

    fileprivate struct QuickMode {
        var nonces: [[UInt8]] = []
        var lastBlock: [UInt8] = []
    }

    static func run(_ input: Script) {
        var input = input
        var play = Play(input.byte())
        play.begin()
        var steps = 0
        while !input.isAtEnd, steps < stepsMaximum {
            steps += 1
            play.step(&input)
            play.checkBounds()
        }
        play.finish()
    }

    fileprivate static func pair(_ scenario: UInt8) -> Pair {
        var pair = Pair(seed: UInt64(scenario)) { configuration, _ in
            configuration.policy.phaseOne = PhaseOneAlgorithms(scenario & Scenario.legacy != 0 ? .legacy : .default)
            configuration.policy.phaseOne.groups = groups
            configuration.groups.acceptsAny = scenario & Scenario.aggressive != 0
            if scenario & Scenario.fragments != 0 { configuration.limits.unfragmentedBytesMaximum = 160 }
            if scenario & Scenario.detection != 0 {
                configuration.policy.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(20))
            }
            configuration.policy.lifetimes.ipsecMaximumSeconds = 300
            configuration.policy.lifetimes.ikeMaximumSeconds = 400
            configuration.limits.associationsPerPeerMaximum = 3
            configuration.limits.securityAssociationsPerPeerMaximum = 6
            configuration.limits.halfOpenMaximum = 8
            configuration.limits.unauthenticatedMaximum = 8
            configuration.limits.aggressiveMaximum = 8
            configuration.limits.partialMessagesMaximum = 8
        }
        if scenario & Scenario.translated != 0 { pair.translation = Pair.Translation() }
        return pair
    }
}

// MARK: - Playing

extension IKEExchangeFuzz.Play {
    private typealias Step = IKEExchangeFuzz.Step
    private typealias Scenario = IKEExchangeFuzz.Scenario

    init(_ scenario: UInt8) {
        self.scenario = scenario
        pair = IKEExchangeFuzz.pair(scenario)
    }

    private func wants(_ flag: UInt8) -> Bool { scenario & flag != 0 }

    private mutating func dial(_ side: Int, sendsInitialContact: Bool = false) {
        let isAggressive = wants(Scenario.aggressive)
        _ = pair.initiate(from: side) {
            if isAggressive { $0.mode = .aggressive }
            $0.sendsInitialContact = sendsInitialContact
        }
    }

    private mutating func quickMode(_ side: Int) {
        let group: DiffieHellmanGroup? = wants(Scenario.secrecy) ? .curve25519 : nil
        pair.quickMode(from: side) { $0.group = group }
    }

    mutating func begin() {
        if wants(Scenario.connected) {
            dial(0)
            pair.run(for: .seconds(1))
            quickMode(0)
            pair.run(for: .seconds(1))
            require(pair.isMirrored && pair.keysAgree, "two honest sides agree")
        }
        pair.holdsMessages = true
        if !wants(Scenario.connected) { dial(0) }
    }

    mutating func step(_ input: inout Script) {
        let kind = input.byte()
        switch kind & Step.mask {
        case Step.time: return pair.run(for: .seconds(Int(input.byte())))
        case Step.act: return act(input.byte())
        case Step.replay:
            guard !recorded.isEmpty else { return }
            return forge(recorded[Int(input.byte()) % recorded.count], of: nil)
        default: break
        }
        guard !pair.held.isEmpty else { return act(kind >> 4) }
        let original = pair.held.removeFirst()
        note(original)
        switch kind & Step.mask {
        case Step.flip, Step.cut, Step.extend, Step.field, Step.payloads:
            forge(changed(original, kind & Step.mask, &input), of: original)
            if kind & Step.before != 0 { deliver(original) }
        case Step.twice:
            deliver(original)
            forge(original, of: original)
        case Step.later: pair.held.append(original)
        case Step.lose: break
        case Step.lie:
            hasLied = true
            pair.deliver(lie(original, &input) ?? original)
        case Step.elsewhere:
            forge(original, of: original, from: Endpoint(IPv4Address(203, 0, 113, 99), 4500))
        default: deliver(original)
        }
    }

    /// Delivers a message as it is, and remembers it where it has had an effect.
    private mutating func deliver(_ held: Pair.Held) {
        let before = state(held.target, isPhaseOne: false)
        let waiting = pair.held.count
        pair.deliver(held)
        guard recorded.count < 64, pair.held.count > waiting || state(held.target, isPhaseOne: false) != before else {
            return
        }
        recorded.append(held)
    }

    /// Something that a side wants.
    private mutating func act(_ byte: UInt8) {
        let side = Int(byte & 1)
        switch byte >> 1 & 7 {
        case 0, 1: quickMode(side)
        case 2: pair.rekey(side)
        case 3: dial(side)
        case 4: dial(side, sendsInitialContact: true)
        case 5: if let spi = pair.sides[side].sending { pair.hangUp(side, spi: spi) }
        case 6: pair.rebind()
        default: pair.run(for: .seconds(25))
        }
    }

    /// Remembers a message, and of quick modes what HASH(2) and HASH(3) cover.
    private mutating func note(_ held: Pair.Held) {
        guard let header = try? Header(parsing: held.bytes), header.exchange == .quickMode,
            let plain = plaintext(held, header)
        else { return }
        let chain = try? PayloadChain(parsing: plain, first: header.nextPayload, padded: true, limit: 128)
        if let nonce = chain?[.nonce] { quickModes[header.messageID, default: .init()].nonces.append(nonce) }
        quickModes[header.messageID, default: .init()].lastBlock = Array(held.bytes.suffix(keysBlock(held, header)))
    }

    // MARK: - Changes without keys

    private func changed(_ held: Pair.Held, _ kind: UInt8, _ input: inout Script) -> Pair.Held {
        var held = held
        let count = held.bytes.count
        switch kind {
        case Step.flip: held.bytes[Int(input.word()) % count] ^= max(1, input.byte())
        case Step.cut: held.bytes = mended(Array(held.bytes.prefix(Int(input.word()) % count)), input.byte())
        case Step.extend: held.bytes = mended(held.bytes + input.block().prefix(64), input.byte())
        case Step.field:
            // Next payload, version, exchange, flags, message id.
            held.bytes[16 + Int(input.byte() % 8)] = input.byte()
        default: held.bytes = rearranged(held.bytes, input.byte())
        }
        return held
    }

    private func mended(_ bytes: [UInt8], _ choice: UInt8) -> [UInt8] {
        var bytes = bytes
        if choice & 1 == 1, bytes.count >= 28 { bytes.replaceSubrange(24..<28, with: be32(bytes.count)) }
        return bytes
    }

    /// The payloads of a message in clear, in another order, one twice, or one missing.
    private func rearranged(_ bytes: [UInt8], _ choice: UInt8) -> [UInt8] {
        guard let header = try? Header(parsing: bytes), !header.flags.contains(.encryption),
            let chain = try? PayloadChain(
                parsing: Array(bytes.dropFirst(Header.byteCount)), first: header.nextPayload, padded: false, limit: 128)
        else { return bytes }
        return MessageWriter.message(header, Self.rearranged(chain.payloads, choice))
    }

    private static func rearranged(_ payloads: [Payload], _ choice: UInt8) -> [Payload] {
        var payloads = payloads
        guard payloads.count > 1 else { return payloads + payloads }
        let (first, second) = (Int(choice >> 2 & 7) % payloads.count, Int(choice >> 5) % payloads.count)
        switch choice & 3 {
        case 0: payloads.swapAt(first, second)
        case 1: payloads.insert(payloads[first], at: second)
        case 2: payloads.remove(at: first)
        default: payloads[first].type = payloads[second].type
        }
        return payloads
    }

    /// Delivers what somebody without keys has made. It does nothing, or what the message that it was made of would do.
    /// Only of phase 1 there is more than its hashes cover: vendor ids, NAT-D, notifications.
    private mutating func forge(_ forged: Pair.Held, of original: Pair.Held?, from remote: Endpoint? = nil) {
        let isPhaseOne = (original ?? forged).bytes[20..<24].allSatisfy { $0 == 0 }
        let before = state(forged.target, isPhaseOne: isPhaseOne)
        var allowed = [before]
        if let original, clonesLeft > 0 {
            clonesLeft -= 1
            var honest = self
            honest.pair.deliver(original, from: remote)
            allowed.append(honest.state(forged.target, isPhaseOne: isPhaseOne))
        }
        // A fragment completes what others have begun, forged or not: alone it says nothing of its message.
        let isFragment = PayloadType(rawValue: (original ?? forged).bytes[16]) == .fragment
        let isChecked = !isFragment && (original == nil || allowed.count > 1)
        pair.deliver(forged, from: remote)
        let after = state(forged.target, isPhaseOne: isPhaseOne)
        require(!isChecked || allowed.contains(after), "\(before) became \(after)")
    }

    /// What nobody without keys may change.
    private func state(_ side: Int, isPhaseOne: Bool) -> [String] {
        let side = pair.sides[side]
        let children = [
            "pairs \(side.pairs.map(\.description).sorted())", "outbound \(side.outbound)",
            "ended \(side.ended.count)", "peers ended \(side.peersEnded)",
        ]
        guard !isPhaseOne else { return children }
        let paths = side.engine.peers.values.map { "\($0.id) \($0.path)" }.sorted()
        return children + ["established \(side.established.count)", "paths \(paths)"]
    }

    // MARK: - Lies

    private func keys(_ held: Pair.Held, _ header: Header) -> (keys: KeyMaterial, lastBlock: [UInt8])? {
        let established = pair.sides[1 - held.target].engine.association(of: header.cookies)?.established
        return established.map { ($0.keys, $0.lastBlock) }
    }

    private func keysBlock(_ held: Pair.Held, _ header: Header) -> Int {
        keys(held, header)?.keys.cipher.blockLength ?? 0
    }

    private func vector(_ held: Pair.Held, _ header: Header) -> [UInt8]? {
        guard let (keys, lastBlock) = keys(held, header) else { return nil }
        if let known = quickModes[header.messageID], !known.lastBlock.isEmpty { return known.lastBlock }
        return keys.initializationVector(lastBlock: lastBlock, messageID: header.messageID)
    }

    private func plaintext(_ held: Pair.Held, _ header: Header) -> [UInt8]? {
        guard header.flags.contains(.encryption), let vector = vector(held, header) else { return nil }
        return try? keys(held, header)?.keys.decrypt(Array(held.bytes.dropFirst(Header.byteCount)), iv: vector)
    }

    /// The message with other contents, encrypted and with the HASH payload that belongs to them.
    private func lie(_ held: Pair.Held, _ input: inout Script) -> Pair.Held? {
        // The note of this message has moved its exchange on: what is decrypted here is decrypted from before that.
        var before = self
        if let header = try? Header(parsing: held.bytes), let known = quickModes[header.messageID] {
            guard known.nonces.count < 2 else { return nil }
            before.quickModes[header.messageID] = nil
        }
        guard let header = try? Header(parsing: held.bytes), header.messageID != 0,
            let plain = before.plaintext(held, header), let (keys, _) = keys(held, header),
            let vector = before.vector(held, header),
            let chain = try? PayloadChain(parsing: plain, first: header.nextPayload, padded: true, limit: 128),
            chain.payloads.first?.type == .hash
        else { return nil }
        var payloads = Array(chain.payloads.dropFirst())
        let choice = input.byte()
        if choice & 1 == 0, let index = payloads.indices.first(where: { $0 == Int(choice >> 1) % payloads.count }) {
            let position = Int(input.word())
            let value = input.byte()
            if payloads[index].body.isEmpty {
                payloads[index].body = [value]
            } else {
                payloads[index].body[position % payloads[index].body.count] = value
            }
        } else {
            payloads = Self.rearranged(payloads, input.byte())
        }
        let hash = keys.messageHash(header.messageID.octets, MessageWriter.chain(payloads))
        let all = [Payload(type: .hash, body: hash)] + payloads
        guard let body = try? keys.encrypt(MessageWriter.chain(all), iv: vector) else { return nil }
        return Pair.Held(
            bytes: MessageWriter.message(header, first: .hash, body: body), transmit: held.transmit,
            target: held.target)
    }

    // MARK: - What must hold

    func checkBounds() {
        for side in pair.sides {
            let (engine, limits) = (side.engine, side.engine.configuration.limits)
            let perPeer = limits.associationsPerPeerMaximum + 1
            require(
                engine.associationCount <= limits.halfOpenMaximum + limits.unauthenticatedMaximum
                    + limits.aggressiveMaximum
                    + engine.initiations.count + perPeer * max(1, engine.peerCount), "ISAKMP SAs are bounded")
            require(
                engine.securityAssociationCount <= (limits.securityAssociationsPerPeerMaximum + 1)
                    * max(1, engine.peerCount),
                "IPsec SAs are bounded")
            require(
                engine.partialMessages.count <= limits.partialMessagesMaximum + limits.partialFirstMessagesMaximum,
                "messages in fragments are bounded")
        }
        require(hasLied || pair.keysAgree, "a pair has the same keys on both sides")
    }

    /// The line is good again: both sides find together, and after a hang-up and the lives of what the other side never
    /// heard of nothing is left.
    mutating func finish() {
        pair.holdsMessages = false
        let rest = pair.held
        pair.held.removeAll()
        for held in rest { pair.deliver(held) }
        pair.run(for: .seconds(70))
        // What is left of before is hung up, as it would leave no room for more.
        for side in 0..<2 { pair.close(side) }
        pair.run(for: .seconds(70))
        let before = pair.sides.map(\.established.count)
        for _ in 0..<3 where zip(pair.sides, before).contains(where: { $0.established.count == $1 }) {
            dial(0, sendsInitialContact: true)
            pair.run(for: .seconds(35))
        }
        for (side, count) in zip(pair.sides, before) {
            require(side.established.count > count, "a fresh dial-in works")
        }
        let pairs = pair.sides.map(\.ready.count)
        for _ in 0..<3 where zip(pair.sides, pairs).contains(where: { $0.ready.count == $1 }) {
            quickMode(0)
            pair.run(for: .seconds(35))
        }
        for (side, count) in zip(pair.sides, pairs) { require(side.ready.count > count, "a fresh quick mode works") }
        require(hasLied || pair.keysAgree, "and has the same keys on both sides")
        for side in 0..<2 { pair.close(side) }
        pair.run(for: .seconds(1000))
        for side in pair.sides {
            let engine = side.engine
            require(engine.associationCount == 0 && engine.securityAssociationCount == 0, "no SA is left")
            require(engine.peerCount == 0 && engine.nextDeadline == nil, "no peer and no deadline is left")
            require(side.inbound.isEmpty, "every SPI was given back")
        }
    }
}

// MARK: - Seeds

extension IKEExchangeFuzz {
    static var seeds: [(name: String, bytes: [UInt8])] {
        let honest = [UInt8](repeating: 0, count: 24)
        let all: [(String, [UInt8])] = [
            ("main", [0] + honest), ("aggressive", [Scenario.aggressive] + honest),
            ("translated", [Scenario.translated | Scenario.secrecy] + honest),
            ("fragments", [Scenario.fragments] + honest),
            ("detection", [Scenario.detection | Scenario.connected, Step.time, 30] + honest + [Step.time, 200]),
            ("rekeys", [Scenario.connected | Scenario.secrecy] + [Step.act, 4, Step.act, 5] + honest + [Step.act, 2]),
            ("deletes", [Scenario.connected] + [Step.act, 10] + honest + [Step.act, 11] + honest),
            ("rebinds", [Scenario.connected | Scenario.translated, Step.act, 12, Step.act, 0] + honest),
            ("initial-contact", [Scenario.connected, Step.act, 8] + honest + [Step.act, 1] + honest),
        ]
        let kinds: [(String, [UInt8])] = [
            ("flip", [Step.flip | Step.before, 0, 40, 1]), ("cut", [Step.cut | Step.before, 0, 60, 1]),
            ("extend", [Step.extend | Step.before, 0, 4, 1, 2, 3, 4, 1]),
            ("field", [Step.field | Step.before, 3, 2]), ("payloads", [Step.payloads | Step.before, 6]),
            ("twice", [Step.twice]), ("later", [Step.later]), ("replay", [0, Step.replay, 0]), ("lose", [Step.lose]),
            ("lie", [Step.lie, 2, 0, 9, 7]), ("elsewhere", [Step.elsewhere]),
        ]
        return all
            + kinds.flatMap { name, step in
                [0, Scenario.aggressive, Scenario.connected].map { (scenario: UInt8) in
                    let act: [UInt8] = scenario == Scenario.connected ? [Step.act, 0] : []
                    return ("\(name)-\(scenario)", [scenario] + act + (0..<8).flatMap { _ in step } + honest)
                }
            }
    }
}
