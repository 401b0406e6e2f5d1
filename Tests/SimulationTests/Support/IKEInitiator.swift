import Cryptography
import Wire

/// IKEv1 as a client speaks it: main mode, quick mode, Informational, NAT traversal, retransmission (RFC 2409, 3947). One
/// offer: AES-256, SHA-256, the group of the settings; in ESP AES-GCM-128 or AES-256 with SHA-256.
struct IKEInitiator {
    struct Settings {
        var preSharedKey = "labsecret"
        /// Where the client believes to be.
        var own = Endpoint(IPv4Address(10, 0, 0, 2), 500)
        var server = Simulation.gatewayAddress
        var sendsInitialContact = false
        var group = DiffieHellmanGroup.curve25519
        /// AES-GCM, or AES-CBC and an HMAC.
        var isCombined = true
        var lifetimeSeconds = 3600
        var answersQuickMode = true
        var natTraversal = NATPaper.rfc3947
        /// How many addresses quick mode tells: of the client, and of the gateway.
        var originalAddressCount = 2
        /// Windows does not come to a gateway that says to be behind a NAT.
        var isWindows = false
        var retransmissionInterval = Duration.seconds(1)
        /// With what it signs in the place of the pre-shared key.
        var signature: Signature?
    }

    /// RSA, with a certificate.
    struct Signature {
        var certificate: Certificate
        var key: SignatureKey
        /// The body of the identification payload.
        var identity: [UInt8]
    }

    /// A pair of IPsec SAs.
    struct Child {
        var inboundSPI: UInt32
        var outboundSPI: UInt32
        /// Key material of packets to the client, and to the gateway.
        var inbound: [UInt8]
        var outbound: [UInt8]
        /// Whether the gateway began it: then it is used when the gateway's last message has come.
        var isAnswered = false
    }

    enum Phase { case idle, sentOffer, sentKeyExchange, sentAuthentication, established, failed }

    /// A quick mode of the gateway's.
    private struct Answered {
        var question: [UInt8]
        var answer: [UInt8]
        var inboundSPI: UInt32
        /// Both nonces.
        var nonces: [UInt8]
        var iv: [UInt8]
    }

    private struct Quick {
        var id: [UInt8]
        var spi: [UInt8]
        var nonce: [UInt8]
        var iv: [UInt8]
        var last: [UInt8]?
    }

    var settings: Settings
    private(set) var phase = Phase.idle
    /// What is to be sent: bytes, and whether from and to port 4500.
    var outbox: [(bytes: [UInt8], isFloated: Bool)] = []
    /// Pairs that were negotiated and not yet taken.
    var children: [Child] = []
    /// All original addresses that the gateway told.
    private(set) var told: [[UInt8]] = []
    /// Inbound SPIs of pairs that the gateway began, and may be used now.
    var confirmed: [UInt32] = []
    /// SPIs that the gateway deleted: its own, of packets to it.
    var deleted: [UInt32] = []
    /// All of these that there ever were.
    private(set) var everDeleted: [UInt32] = []
    /// How many R-U-THERE came, and which SPIs the gateway said that it does not know.
    private(set) var questions = 0
    private(set) var invalidSPIs: [UInt32] = []
    private(set) var isDeleted = false
    /// Whether there is a NAT on the way, and whether IKE went to port 4500 for it.
    private(set) var isTranslated = false
    private(set) var hasFloated = false
    private(set) var initiatorCookie: [UInt8] = []
    private(set) var responderCookie: [UInt8] = []
    private var generator: SeededGenerator
    private var pair: DiffieHellmanKeyPair?
    private var responderPublic: [UInt8] = []
    private var nonce: [UInt8] = []
    private var root: [UInt8] = []
    private var derivation: [UInt8] = []
    private var authentication: [UInt8] = []
    private var encryption: [UInt8] = []
    private var iv: [UInt8] = []
    private var lastBlock: [UInt8] = []
    private var quick: Quick?
    private var answered: [[UInt8]: Answered] = [:]
    private var pending: (bytes: [UInt8], isFloated: Bool)?
    private var nextRetransmission: Instant?
    private var retransmissions = 0

    init(_ settings: Settings, generator: SeededGenerator) { (self.settings, self.generator) = (settings, generator) }

    private var offer: [UInt8] {
        let method = settings.signature == nil ? 1 : 3
        var attributes: [UInt8] = [0x80, 1, 0, 7, 0x80, 14, 1, 0, 0x80, 2, 0, 4, 0x80, 4]
        attributes += be16(Int(settings.group.rawValue)) + [0x80, 3] + be16(method)
        attributes += [0x80, 11, 0, 1, 0x80, 12] + be16(28800)
        let transform: [UInt8] = [0, 0] + be16(8 + attributes.count) + [1, 1, 0, 0] + attributes
        return be32(1) + be32(1) + [0, 0] + be16(8 + transform.count) + [1, 1, 0, 1] + transform
    }

    private var identity: [UInt8] {
        settings.signature?.identity ?? [1, 17, 1, 244] + settings.own.address.octets
    }

    // MARK: Sending

    private mutating func send(_ bytes: [UInt8], retransmit: Bool, now: Instant) {
        outbox.append((bytes, hasFloated))
        guard retransmit else { return }
        pending = (bytes, hasFloated)
        retransmissions = 0
        nextRetransmission = now + settings.retransmissionInterval
    }

    var nextDeadline: Instant? { nextRetransmission }

    mutating func handleTimeout(now: Instant) {
        guard let due = nextRetransmission, due <= now, let pending else { return }
        retransmissions += 1
        guard retransmissions <= 12 else {
            if phase != .established { phase = .failed }
            return settle()
        }
        outbox.append(pending)
        nextRetransmission = now + settings.retransmissionInterval
    }

    private mutating func settle() { (pending, nextRetransmission) = (nil, nil) }

    mutating func start(now: Instant) {
        initiatorCookie = generator.bytes(8)
        responderCookie = [UInt8](repeating: 0, count: 8)
        phase = .sentOffer
        // NAT traversal and dead peer detection.
        var vendorIDs: [[UInt8]] = [
            settings.natTraversal.vendorID,
            [0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 0x01, 0x00],
        ]
        if settings.isWindows {
            vendorIDs.append([
                0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4, 0x61, 0, 0, 0,
                9,
            ])
        }
        let payloads = [(type: 1, body: offer)] + vendorIDs.map { (type: 13, body: $0) }
        send(message(exchange: 2, first: 1, body: Self.chain(payloads)), retransmit: true, now: now)
    }

    private func message(exchange: Int, flags: Int = 0, id: [UInt8] = [0, 0, 0, 0], first: Int, body: [UInt8])
        -> [UInt8]
    {
        initiatorCookie + responderCookie + [UInt8(first), 0x10, UInt8(exchange), UInt8(flags)] + id
            + be32(28 + body.count) + body
    }

    private static func chain(_ payloads: [(type: Int, body: [UInt8])]) -> [UInt8] {
        payloads.enumerated().flatMap { index, payload in
            let next = index + 1 < payloads.count ? payloads[index + 1].type : 0
            return [UInt8(next), 0] + be16(payload.body.count + 4) + payload.body
        }
    }

    private static func unchain(_ bytes: [UInt8], first: Int) -> [(type: Int, body: [UInt8])] {
        var result: [(Int, [UInt8])] = []
        var (type, at) = (first, 0)
        while type != 0, at + 4 <= bytes.count {
            let length = number(bytes[(at + 2)..<(at + 4)])
            guard length >= 4, at + length <= bytes.count else { return [] }
            result.append((type, Array(bytes[(at + 4)..<(at + length)])))
            type = Int(bytes[at])
            at += length
        }
        return result
    }

    /// Encrypts with the running initialization vector and moves it on.
    private mutating func encrypted(exchange: Int, id: [UInt8], _ payloads: [(type: Int, body: [UInt8])]) -> [UInt8] {
        var plain = Self.chain(payloads)
        plain += [UInt8](repeating: 0, count: (16 - plain.count % 16) % 16)
        let body = (try? CBCCipher.aes256.encrypt(plain, key: SecretBytes(encryption), iv: iv)) ?? []
        iv = Array(body.suffix(16))
        return message(exchange: exchange, flags: 1, id: id, first: payloads[0].type, body: body)
    }

    private func decrypted(_ bytes: [UInt8], iv: [UInt8]) -> [(type: Int, body: [UInt8])]? {
        guard bytes[19] & 1 == 1, (bytes.count - 28) % 16 == 0, bytes.count > 28 else { return nil }
        return (try? CBCCipher.aes256.decrypt(Array(bytes.dropFirst(28)), key: SecretBytes(encryption), iv: iv)).map {
            Self.unchain($0, first: Int(bytes[16]))
        }
    }

    // MARK: Main mode

    mutating func receive(_ bytes: [UInt8], now: Instant) {
        guard bytes.count >= 28, Array(bytes[0..<8]) == initiatorCookie else { return }
        switch (bytes[18], phase) {
        case (2, .sentOffer): receiveAnswer(bytes, now: now)
        case (2, .sentKeyExchange): receiveKeyExchange(bytes, now: now)
        case (2, .sentAuthentication): receiveAuthentication(bytes)
        case (32, .established): receiveQuick(bytes, now: now)
        case (5, .established): receiveInformational(bytes, now: now)
        default: break
        }
    }

    private mutating func receiveAnswer(_ bytes: [UInt8], now: Instant) {
        guard bytes[16] == 1, let pair = try? DiffieHellmanKeyPair.generate(settings.group) else { return }
        responderCookie = Array(bytes[8..<16])
        self.pair = pair
        nonce = generator.bytes(24)
        let detections = [settings.server, settings.own.address].map {
            (type: settings.natTraversal.detection, body: detection($0))
        }
        phase = .sentKeyExchange
        let payloads = [(type: 4, body: pair.publicValue), (type: 10, body: nonce)] + detections
        send(message(exchange: 2, first: 4, body: Self.chain(payloads)), retransmit: true, now: now)
    }

    private func detection(_ address: IPAddress) -> [UInt8] {
        HashAlgorithm.sha256.digest(initiatorCookie + responderCookie + address.octets + be16(500))
    }

    private mutating func receiveKeyExchange(_ bytes: [UInt8], now: Instant) {
        let payloads = Self.unchain(Array(bytes.dropFirst(28)), first: Int(bytes[16]))
        guard bytes[16] == 4, let pair, let theirs = payloads.first(where: { $0.type == 4 })?.body,
            let responderNonce = payloads.first(where: { $0.type == 10 })?.body,
            let secret = try? pair.sharedSecret(with: theirs)
        else { return }
        let shared = [UInt8](copying: secret.span)
        let cookies = initiatorCookie + responderCookie
        root =
            settings.signature == nil
            ? hmac(Array(settings.preSharedKey.utf8), nonce + responderNonce) : hmac(nonce + responderNonce, shared)
        derivation = hmac(root, shared + cookies + [0])
        authentication = hmac(root, derivation + shared + cookies + [1])
        encryption = hmac(root, authentication + shared + cookies + [2])
        let detections = payloads.filter { $0.type == settings.natTraversal.detection }.map(\.body)
        if detections.count >= 2 {
            let isServerTranslated = detections[1] != detection(settings.server)
            if settings.isWindows, isServerTranslated { return phase = .failed }
            isTranslated = isServerTranslated || detections[0] != detection(settings.own.address)
            hasFloated = isTranslated && settings.natTraversal.floats
        }
        iv = Array(HashAlgorithm.sha256.digest(pair.publicValue + theirs).prefix(16))
        responderPublic = theirs
        let hash = hmac(root, pair.publicValue + theirs + cookies + offer + identity)
        var payload = [(type: 5, body: identity), (type: 8, body: hash)]
        if let signature = settings.signature {
            guard let signed = try? signature.key.sign(hash: hash) else { return }
            payload = [(5, identity), (6, [4] + signature.certificate.der), (9, signed)]
        }
        if settings.sendsInitialContact { payload.append((11, be32(1) + [1, 16] + be16(24578) + cookies)) }
        phase = .sentAuthentication
        send(encrypted(exchange: 2, id: [0, 0, 0, 0], payload), retransmit: true, now: now)
    }

    private mutating func receiveAuthentication(_ bytes: [UInt8]) {
        guard bytes[16] == 5, let pair, let payloads = decrypted(bytes, iv: iv), payloads.count >= 2 else { return }
        let expected = hmac(
            root, responderPublic + pair.publicValue + responderCookie + initiatorCookie + offer + payloads[0].body)
        guard payloads[1].body == expected else { return }
        lastBlock = Array(bytes.suffix(16))
        settle()
        phase = .established
    }

    // MARK: Quick mode

    private func phaseTwoIV(_ id: [UInt8]) -> [UInt8] {
        Array(HashAlgorithm.sha256.digest(lastBlock + id).prefix(16))
    }

    mutating func startQuickMode(now: Instant) {
        let (id, spi, nonce) = (generator.bytes(4), [0xc0] + generator.bytes(3), generator.bytes(20))
        let life: [UInt8] =
            [0x80, 1, 0, 1, 0x80, 2] + be16(settings.lifetimeSeconds) + [0x80, 4]
            + be16(isTranslated ? settings.natTraversal.mode : 2)
        let suite: [UInt8] = settings.isCombined ? [0x80, 6, 0, 128] : [0x80, 5, 0, 5, 0x80, 6, 1, 0]
        let transform =
            [0, 0] + be16(8 + life.count + suite.count) + [1, settings.isCombined ? 20 : 12, 0, 0] + life + suite
        let proposal = [0, 0] + be16(12 + transform.count) + [1, 3, 4, 1] + spi + transform
        var payloads = [(type: 1, body: be32(1) + be32(1) + proposal), (type: 10, body: nonce)]
        payloads += [settings.own.address, settings.server].map { (5, [1, 17] + be16(1701) + $0.octets) }
        if isTranslated {
            payloads += [settings.own.address, settings.server].prefix(settings.originalAddressCount).map {
                (settings.natTraversal.original, [1, 0, 0, 0] + $0.octets)
            }
        }
        iv = phaseTwoIV(id)
        let hash = hmac(authentication, id + Self.chain(payloads))
        let bytes = encrypted(exchange: 32, id: id, [(8, hash)] + payloads)
        quick = Quick(id: id, spi: spi, nonce: nonce, iv: iv)
        send(bytes, retransmit: true, now: now)
    }

    private mutating func receiveQuick(_ bytes: [UInt8], now: Instant) {
        guard var quick, Array(bytes[20..<24]) == quick.id else { return answerQuick(bytes, now: now) }
        // A repeated message 2: message 3 was lost.
        if let last = quick.last { return send(last, retransmit: false, now: now) }
        guard let payloads = decrypted(bytes, iv: quick.iv), payloads.first?.type == 8 else { return }
        let rest = Self.chain(Array(payloads.dropFirst()))
        guard payloads[0].body == hmac(authentication, quick.id + quick.nonce + rest),
            let nonce = payloads.first(where: { $0.type == 10 })?.body, payloads[1].body.count >= 20
        else { return }
        let outboundSPI = Array(payloads[1].body[16..<20])
        children.append(child(quick.spi, outboundSPI, nonces: quick.nonce + nonce))
        told += payloads.filter { $0.type == settings.natTraversal.original }.map {
            Array($0.body.dropFirst(4))
        }
        iv = Array(bytes.suffix(16))
        let last = encrypted(
            exchange: 32, id: quick.id, [(8, hmac(authentication, [0] + quick.id + quick.nonce + nonce))])
        quick.last = last
        self.quick = quick
        settle()
        send(last, retransmit: false, now: now)
    }

    private func child(_ inboundSPI: [UInt8], _ outboundSPI: [UInt8], nonces: [UInt8]) -> Child {
        let material = { [derivation] (spi: [UInt8]) -> [UInt8] in
            var result: [UInt8] = []
            var block: [UInt8] = []
            while result.count < 64 {
                block = hmac(derivation, block + [3] + spi + nonces)
                result += block
            }
            return result
        }
        return Child(
            inboundSPI: UInt32(number(inboundSPI)), outboundSPI: UInt32(number(outboundSPI)),
            inbound: material(inboundSPI), outbound: material(outboundSPI))
    }

    /// A quick mode that the gateway began: its only offer is taken as it is.
    private mutating func answerQuick(_ bytes: [UInt8], now: Instant) {
        guard settings.answersQuickMode else { return }
        let id = Array(bytes[20..<24])
        if let known = answered[id] {
            if known.question == bytes { return send(known.answer, retransmit: false, now: now) }
            guard let last = decrypted(bytes, iv: known.iv)?.first?.body,
                last == hmac(authentication, [0] + id + known.nonces)
            else { return }
            return confirmed.append(known.inboundSPI)
        }
        guard let payloads = decrypted(bytes, iv: phaseTwoIV(id)), payloads.first?.type == 8,
            payloads[0].body == hmac(authentication, id + Self.chain(Array(payloads.dropFirst()))),
            let theirs = payloads.first(where: { $0.type == 10 })?.body, payloads[1].body.count >= 20
        else { return }
        let (spi, nonce) = ([0xc0] + generator.bytes(3), generator.bytes(20))
        var offer = payloads[1].body
        var pair = child(spi, Array(offer[16..<20]), nonces: theirs + nonce)
        pair.isAnswered = true
        offer.replaceSubrange(16..<20, with: spi)
        let rest = [(type: 1, body: offer), (type: 10, body: nonce)] + payloads.filter { $0.type == 5 }
        iv = Array(bytes.suffix(16))
        let answer = encrypted(
            exchange: 32, id: id, [(8, hmac(authentication, id + theirs + Self.chain(rest)))] + rest)
        answered[id] = Answered(
            question: bytes, answer: answer, inboundSPI: pair.inboundSPI, nonces: theirs + nonce, iv: iv)
        children.append(pair)
        send(answer, retransmit: false, now: now)
    }

    // MARK: Informational

    private mutating func inform(_ payload: (type: Int, body: [UInt8]), now: Instant) {
        guard phase == .established, !isDeleted else { return }
        let id = generator.bytes(4)
        iv = phaseTwoIV(id)
        let hash = hmac(authentication, id + Self.chain([payload]))
        send(encrypted(exchange: 5, id: id, [(8, hash), payload]), retransmit: false, now: now)
    }

    /// Deletes a pair of IPsec SAs, which we name by the SPI of packets to us.
    mutating func deleteChild(_ inboundSPI: UInt32, now: Instant) {
        inform((12, be32(1) + [3, 4] + be16(1) + be32(Int(inboundSPI))), now: now)
    }

    /// Deletes the ISAKMP SA, and leaves the IPsec SAs.
    mutating func deleteItself(now: Instant) {
        inform((12, be32(1) + [1, 16] + be16(1) + initiatorCookie + responderCookie), now: now)
        isDeleted = true
    }

    private mutating func receiveInformational(_ bytes: [UInt8], now: Instant) {
        let id = Array(bytes[20..<24])
        guard let payloads = decrypted(bytes, iv: phaseTwoIV(id)), payloads.first?.type == 8 else { return }
        guard payloads[0].body == hmac(authentication, id + Self.chain(Array(payloads.dropFirst()))) else { return }
        for payload in payloads {
            if payload.type == 12, payload.body.count >= 8 { receiveDelete(payload.body) }
            guard payload.type == 11, payload.body.count >= 12 else { continue }
            switch number(payload.body[6..<8]) {
            case 36136:
                questions += 1
                var answer = payload.body
                answer.replaceSubrange(6..<8, with: be16(36137))
                inform((11, answer), now: now)
            case 11:
                invalidSPIs.append(UInt32(number(payload.body.suffix(4))))
                // As strongSwan: no further than an error.
                return
            default: break
            }
        }
    }

    private mutating func receiveDelete(_ body: [UInt8]) {
        if body[4] == 3 {
            deleted.append(UInt32(number(body.suffix(4))))
            everDeleted.append(UInt32(number(body.suffix(4))))
        }
        if body[4] == 1, Array(body.suffix(16)) == initiatorCookie + responderCookie { isDeleted = true }
    }
}
