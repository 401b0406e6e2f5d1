import Cryptography
import IKE
import Wire

@testable import IKETests

/// What only a peer with the keys can send: the payloads behind the cipher, in message 5, quick mode and Informational.
/// The input is the plaintext; encryption, and mostly the HASH payload, are done for it.
enum IKEEncryptedFuzz {
    private static let recordsMaximum = 24
    private static let deadlinesMaximum = 5000
    /// Longer than any life that is accepted.
    private static let lives = Duration.seconds(3 * 86_400)

    fileprivate enum Kind {
        static let mask: UInt8 = 7
        static let raw: UInt8 = 0
        static let quickMode: UInt8 = 1
        static let informational: UInt8 = 2
        static let authentication: UInt8 = 3
        static let wholeQuickMode: UInt8 = 4
        static let confirmation: UInt8 = 5
        static let time: UInt8 = 6
        static let ciphertext: UInt8 = 7
        static let refusesQuickMode: UInt8 = 8
        static let moved: UInt8 = 16
        static let twice: UInt8 = 32
        static let continues: UInt8 = 64
    }

    private enum Stage: UInt8, CaseIterable {
        case keysAgreed
        case established
        case withChild
    }

    /// The gateway and a client behind a NAT, as far as the stage says. Made once, and copied for each input.
    nonisolated(unsafe) private static let worlds: [World] = Stage.allCases.map { stage in
        var settings = TestInitiator.Settings()
        settings.offer = Offers.offer([Offers.phaseOne(Offers.aes, 256, Offers.sha256, 31, life: Offers.hour)])
        var world = World(profile: .legacy, settings: settings) { configuration in
            configuration.policy.phaseOne.groups = [.curve25519, .ecp256]
            configuration.limits.securityAssociationsPerPeerMaximum = 4
            configuration.limits.associationsPerPeerMaximum = 2
            configuration.limits.quickModesMaximum = 3
        }
        world.translate()
        world.client.start(now: world.now)
        while world.client.phase != .sentAuthentication { world.exchange() }
        if stage != .keysAgreed {
            while world.client.phase != .established { world.exchange() }
        }
        if stage == .withChild { world.runQuickMode() }
        return world
    }

    static func run(_ input: Script) {
        var input = input
        var world = worlds[Int(input.byte()) % worlds.count]
        var records = 0
        while !input.isAtEnd, records < recordsMaximum {
            records += 1
            play(&world, &input)
            let limits = world.engine.configuration.limits
            require(world.engine.peerCount <= 1, "one client is one peer")
            // The newest comes before the oldest is let go.
            require(
                world.engine.securityAssociationCount <= limits.securityAssociationsPerPeerMaximum,
                "IPsec SAs are bounded: \(world.engine.securityAssociationCount)")
            require(world.engine.associationCount <= limits.associationsPerPeerMaximum + 1, "ISAKMP SAs are bounded")
        }
        end(&world)
    }

    private static func play(_ world: inout World, _ input: inout Script) {
        let kind = input.byte()
        world.acceptsQuickModes = kind & Kind.refusesQuickMode == 0
        switch kind & Kind.mask {
        case Kind.time: return pass(&world, .seconds(Int(input.byte()) * 8))
        case Kind.wholeQuickMode: return world.runQuickMode()
        default: break
        }
        guard let message = message(kind, world, &input) else { return }
        let sentBefore = world.sent.count
        let remote = kind & Kind.moved != 0 ? Endpoint(allowedAddress, 50_000) : world.outerFloated
        for _ in 0..<(kind & Kind.twice != 0 ? 2 : 1) { world.deliver(message, from: remote, floated: true) }
        require(world.sent.count - sentBefore <= 8, "few answers to one message")
        for (bytes, transmit) in world.sent[sentBefore...] {
            require(transmit.remote.address == remote.address, "answers go to the peer")
            require(bytes.count >= 28 && Array(bytes[24..<28]) == be32(bytes.count), "the length is right")
        }
    }

    private static func message(_ kind: UInt8, _ world: World, _ input: inout Script) -> [UInt8]? {
        let client = world.client
        guard let keys = client.keys, let pair = client.pair else { return nil }
        let id = [0, 0, 1, input.byte()] as [UInt8]
        let first = input.byte()
        let derived = Array(keys.hash.digest(client.lastBlock + id).prefix(keys.cipher.blockLength))
        // A later message of an exchange begins where the one before it ended.
        let continued = Array((world.sent.last?.bytes ?? []).suffix(keys.cipher.blockLength))
        let vector = kind & Kind.continues != 0 && continued.count == derived.count ? continued : derived
        func seal(_ plain: [UInt8], _ exchange: Int, _ id: [UInt8], first: UInt8, vector: [UInt8]) -> [UInt8]? {
            let whole = padded(plain, keys.cipher.blockLength)
            guard let body = try? keys.cipher.encrypt(whole, key: SecretBytes(keys.encryption), iv: vector) else {
                return nil
            }
            return IKETests.message(
                client.initiatorCookie, client.responderCookie, exchange: exchange, flags: 1, id: id, first: Int(first),
                body: body)
        }
        switch kind & Kind.mask {
        case Kind.quickMode, Kind.informational, Kind.confirmation:
            let exchange = kind & Kind.mask == Kind.informational ? 5 : 32
            let rest = input.block()
            let hash = hmac(keys.hash, keys.authentication, id + rest)
            return seal([first, 0] + be16(4 + hash.count) + hash + rest, exchange, id, first: 8, vector: vector)
        case Kind.authentication:
            let identity = input.block()
            let rest = input.block()
            let cookies = client.initiatorCookie + client.responderCookie
            let hash = hmac(
                keys.hash, keys.root,
                pair.publicValue + client.responderPublic + cookies + client.settings.offer + identity)
            let payloads: [UInt8] =
                [8, 0] + be16(4 + identity.count) + identity + [first, 0] + be16(4 + hash.count) + hash
            let vector = keys.hash.digest(pair.publicValue + client.responderPublic).prefix(keys.cipher.blockLength)
            return seal(payloads + rest, 2, [0, 0, 0, 0], first: 5, vector: Array(vector))
        case Kind.ciphertext:
            let body = input.block()
            return IKETests.message(
                client.initiatorCookie, client.responderCookie, exchange: Int(first & 63), flags: 1, id: id, first: 8,
                body: body)
        default:
            let exchange = Int(input.byte())
            return seal(input.block(), exchange, id, first: first, vector: vector)
        }
    }

    private static func pass(_ world: inout World, _ duration: Duration) {
        let end = world.now + duration
        var steps = 0
        while let next = world.engine.nextDeadline, next <= end {
            steps += 1
            require(steps <= deadlinesMaximum, "time goes on")
            world.now = max(world.now, next)
            world.step()
        }
        world.now = end
        world.step()
    }

    /// Three days of silence: every life has ended, and each thing that began has ended once.
    private static func end(_ world: inout World) {
        pass(&world, lives)
        require(world.engine.associationCount == 0 && world.engine.halfOpenCount == 0, "no ISAKMP SA is left")
        require(world.engine.securityAssociationCount == 0, "no IPsec SA is left")
        require(world.engine.peerCount == 0 && world.engine.nextDeadline == nil, "no peer and no deadline is left")
        var peers: Set<PeerID> = []
        var children: Set<UInt32> = []
        for event in world.events {
            switch event {
            case .peerEstablished(let established):
                require(established.isRenewal == peers.contains(established.peer), "a peer is new once")
                peers.insert(established.peer)
            case .peerEnded(let peer): require(peers.remove(peer) != nil, "a peer ends once")
            case .securityAssociationReady(let child):
                require(children.insert(child.inboundSPI).inserted, "an IPsec SA begins once")
            case .securityAssociationConfirmed(_, let spi):
                require(children.contains(spi), "it is confirmed while it is")
            case .securityAssociationDeleted(_, let spi, _): children.remove(spi)
            case .quickModeRequested(let request): require(peers.contains(request.peer), "only a peer may ask")
            default: break
            }
        }
        require(peers.isEmpty && children.isEmpty, "what began has ended")
    }

    // MARK: - Seeds

    static var seeds: [(name: String, bytes: [UInt8])] {
        let spi: [UInt8] = [0xc0, 1, 2, 3]
        let nonce = (type: 10, body: [UInt8](repeating: 0x5a, count: 20))
        let selectors = TestInitiator.Settings().selectors.map { (type: 5, body: $0) }
        let originals = [[10, 0, 0, 2], [198, 51, 100, 1]].map { (address: [UInt8]) in
            (type: 21, body: [1, 0, 0, 0] + address)
        }
        let keys = (type: 4, body: [UInt8](repeating: 9, count: 32))
        let offers: [(String, [UInt8])] = [
            ("quick-windows", Offers.windowsQuick(spi: spi, mode: 4)),
            ("quick-racoon", Offers.racoonQuick(spi: spi, mode: 4)),
            ("quick-gcm", Offers.strongSwanQuick(spi: spi, mode: 3, combined: true)),
            ("quick-cbc", Offers.strongSwanQuick(spi: spi, mode: 4, combined: false)),
        ]
        var all = offers.map { name, offer in
            (name, script(.established) { $0.authentic(Kind.quickMode, [(1, offer), nonce] + selectors + originals) })
        }
        let secret = Offers.strongSwanQuick(spi: spi, mode: 4, combined: true, group: 31)
        all.append(
            (
                "quick-pfs",
                script(.established) {
                    $0.authentic(Kind.quickMode, [(1, secret), nonce, keys] + selectors)
                }
            ))
        let cookies = worlds[Int(Stage.withChild.rawValue)].client
        let both = cookies.initiatorCookie + cookies.responderCookie
        let informational: [(String, [(type: Int, body: [UInt8])])] = [
            ("delete-esp", [(12, be32(1) + [3, 4] + be16(1) + spi)]),
            ("delete-two", [(12, be32(1) + [3, 4] + be16(2) + spi + spi), (12, be32(1) + [1, 16] + be16(1) + both)]),
            ("delete-ike", [cookies.deleteIKEPayload]), ("r-u-there", [cookies.areYouThere(7)]),
            ("initial-contact", [(11, be32(1) + [1, 16] + be16(24578) + both)]),
        ]
        all += informational.map { name, payloads in
            (name, script(.withChild) { $0.authentic(Kind.informational, payloads) })
        }
        all.append(
            (
                "message-5",
                script(.keysAgreed) {
                    $0.byte(Kind.authentication)
                    $0.raw([0, 11])
                    $0.block(TestInitiator.Settings().identity)
                    $0.block(chain([(11, be32(1) + [1, 16] + be16(24578) + both)]))
                    $0.byte(Kind.wholeQuickMode)
                }
            ))
        all.append(
            (
                "rekeys",
                script(.withChild) {
                    for _ in 0..<6 { $0.raw([Kind.wholeQuickMode, Kind.time, 30]) }
                }
            ))
        all.append(
            ("refused", script(.established) { $0.raw([Kind.wholeQuickMode | Kind.refusesQuickMode, Kind.time, 9]) }))
        all.append(
            (
                "raw",
                script(.established) {
                    $0.raw([Kind.raw, 1, 8, 5])
                    $0.block(chain([(8, [UInt8](repeating: 0, count: 32)), (11, be32(1) + [1, 0] + be16(14))]))
                    $0.raw([Kind.ciphertext, 1, 5])
                    $0.block([UInt8](repeating: 3, count: 33))
                }
            ))
        return all
    }

    private static func script(_ stage: Stage, _ fill: (inout ScriptWriter) -> Void) -> [UInt8] {
        var writer = ScriptWriter()
        writer.byte(stage.rawValue)
        fill(&writer)
        return writer.bytes
    }
}

extension ScriptWriter {
    /// A message whose HASH payload will be right, of the payloads behind it.
    fileprivate mutating func authentic(_ kind: UInt8, _ payloads: [(type: Int, body: [UInt8])]) {
        raw([kind, 7, UInt8(payloads[0].type)])
        block(chain(payloads))
    }
}

extension World {
    /// The client's messages to the gateway, and the answers back, without delay or loss.
    fileprivate mutating func exchange() {
        let outbox = client.outbox
        client.outbox.removeAll()
        let first = sent.count
        for item in outbox { deliver(item.bytes, floated: item.floated) }
        for answer in sent[first...] { client.receive(answer.bytes, now: now) }
    }

    /// A quick mode of the client's own, after its own message 5 where that has not been sent.
    fileprivate mutating func runQuickMode() {
        if client.phase == .sentAuthentication { exchange() }
        guard client.phase == .established else { return }
        client.startQuickMode(now: now)
        for _ in 0..<2 { exchange() }
    }

    /// What is due at `now`.
    fileprivate mutating func step() {
        var generator = SeededRandom()
        engine.handleTimeout(now: now, using: &generator)
        if let next = engine.nextDeadline { require(next > now, "what is due is done") }
        settle()
    }
}
