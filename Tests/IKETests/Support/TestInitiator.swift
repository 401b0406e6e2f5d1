import Cryptography
import Wire

/// A client, written from the RFCs without the gateway's code: main mode, quick mode, Informational, NAT traversal,
/// retransmission. It believes only what verifies.
struct TestInitiator {
    enum NATNumbers {
        /// RFC 3947; drafts 02 and 03; drafts 00 and 01.
        case rfc, draft, firstDraft

        var detection: Int { self == .rfc ? 20 : self == .draft ? 130 : 15 }
        var original: Int { self == .rfc ? 21 : self == .draft ? 131 : 16 }
        var mode: Int { self == .rfc ? 4 : 61444 }
    }

    struct Settings {
        var preSharedKey: [UInt8] = Array("correct horse".utf8)
        var offer = Offers.strongSwan
        var vendorIDs = Offers.strongSwanVendorIDs
        var natTraversal = true
        /// Which payload numbers and encapsulation values of NAT traversal it uses.
        var numbers = NATNumbers.rfc
        /// Those of drafts 02 and 03.
        var usesDraftNumbers: Bool {
            get { numbers == .draft }
            set { numbers = newValue ? .draft : .rfc }
        }
        /// Where it believes to be.
        var own = Endpoint(allowedAddress, 500)
        var server = Endpoint(gatewayAddress, 500)
        var identity: [UInt8] = [1, 17, 1, 244, 192, 0, 2, 7]
        var sendsInitialContact = false
        /// IDci and IDcr bodies of quick mode.
        var selectors: [[UInt8]] = [[1, 17, 6, 165, 192, 0, 2, 7], [1, 17, 6, 165, 198, 51, 100, 1]]
        var originalAddressCount = 2
        /// What stands in the reserved bytes of NAT-OA.
        var originalAddressReserved: [UInt8] = [0, 0, 0]
        var nonceLength = 24
        var quickNonceLength = 20
        var quickGroup: DiffieHellmanGroup?
        /// Aggressive mode with a key of this group, rather than main mode.
        var aggressiveGroup: DiffieHellmanGroup?
        var encryptsAggressiveProof = true
        /// Whether message 3 of aggressive mode has NAT-D payloads of the ports that it floats to, as strongSwan's.
        var detectsByFloatedPorts = false
        /// Signatures rather than a pre-shared key.
        var signature: Signature?
        var quickOffer: @Sendable (_ spi: [UInt8], _ mode: Int) -> [UInt8] = {
            Offers.strongSwanQuick(spi: $0, mode: $1, combined: true)
        }
    }

    /// How it proves itself by a signature.
    struct Signature {
        /// Bodies of CERT payloads.
        var certificates: [[UInt8]]
        var key: SignatureKey
        /// The hash of the proofs, where it is not the negotiated one.
        var hash: HashAlgorithm?
        /// Bodies of CERTREQ payloads in message 3.
        var requests: [[UInt8]] = []
        /// The gateway's certificate, where it need not be sent.
        var gateway: [UInt8] = []
        /// What becomes of the signature on its way out.
        var change: @Sendable ([UInt8]) -> [UInt8] = { $0 }
    }

    struct Keys {
        var hash: HashAlgorithm
        var cipher: CBCCipher
        var group: DiffieHellmanGroup
        var root: [UInt8] = []
        var derivation: [UInt8] = []
        var authentication: [UInt8] = []
        var encryption: [UInt8] = []
    }

    struct Child: Equatable {
        /// The key material of one protocol.
        struct Keys: Equatable {
            var protocolID: UInt8
            var inbound: [UInt8]
            var outbound: [UInt8]
        }

        var inboundSPI: [UInt8]
        var outboundSPI: [UInt8]
        /// Of AH, then of ESP.
        var keys: [Keys]
        var outboundCPI: [UInt8]?
        var originalAddresses: [[UInt8]]
        var transform: [UInt8]
    }

    struct Quick {
        var id: [UInt8]
        var spi: [UInt8]
        var nonce: [UInt8]
        var pair: DiffieHellmanKeyPair?
        var iv: [UInt8]
        var last: [UInt8]?
    }

    enum Phase { case idle, sentOffer, sentKeyExchange, sentAuthentication, established, failed }

    var settings: Settings
    var phase = Phase.idle
    var generator: SplitMix
    /// What is to be sent: bytes, and from and to port 4500 or 500.
    var outbox: [(bytes: [UInt8], floated: Bool)] = []
    var initiatorCookie: [UInt8] = []
    var responderCookie: [UInt8] = []
    var answeredTransform: [UInt8] = []
    var answeredVendorIDs: [[UInt8]] = []
    var keys: Keys?
    var iv: [UInt8] = []
    var lastBlock: [UInt8] = []
    var pair: DiffieHellmanKeyPair?
    var nonce: [UInt8] = []
    var believesOwnNAT = false
    var believesServerNAT = false
    var hasFloated = false
    var responderIdentity: [UInt8] = []
    var quick: Quick?
    var children: [Child] = []
    var deleted: [[UInt8]] = []
    var isIKEDeleted = false
    var notifications: [Int] = []
    var deadPeerAnswers: [[UInt8]] = []
    var clearNotifications: [Int] = []
    private var pending: (bytes: [UInt8], floated: Bool)?
    private var nextRetransmission: Instant?
    private var retransmissions = 0

    init(_ settings: Settings = Settings(), seed: UInt64 = 1) {
        self.settings = settings
        generator = SplitMix(state: seed)
    }

    // MARK: - Sending

    mutating func send(_ bytes: [UInt8], retransmit: Bool, now: Instant) {
        outbox.append((bytes, hasFloated))
        guard retransmit else { return }
        pending = (bytes, hasFloated)
        retransmissions = 0
        nextRetransmission = now + .seconds(1)
    }

    var nextDeadline: Instant? { nextRetransmission }

    mutating func handleTimeout(now: Instant) {
        guard let due = nextRetransmission, due <= now, let pending else { return }
        retransmissions += 1
        if retransmissions > 12 {
            phase = phase == .established ? .established : .failed
            nextRetransmission = nil
            return
        }
        outbox.append((pending.bytes, pending.floated))
        nextRetransmission = now + .seconds(1)
    }

    /// Falls silent: nothing is sent again.
    mutating func settle() {
        pending = nil
        nextRetransmission = nil
    }

    mutating func start(now: Instant) {
        initiatorCookie = generator.bytes(8)
        responderCookie = [UInt8](repeating: 0, count: 8)
        hasFloated = false
        phase = .sentOffer
        nonce = generator.bytes(settings.nonceLength)
        pair = settings.aggressiveGroup.flatMap { try? DiffieHellmanKeyPair.generate($0) }
        send(firstMessage, retransmit: true, now: now)
    }

    var firstMessage: [UInt8] {
        var payloads = [(type: 1, body: settings.offer)]
        if let pair, settings.aggressiveGroup != nil {
            payloads += [(4, pair.publicValue), (10, nonce), (5, settings.identity)]
            payloads += (settings.signature?.requests ?? []).map { (7, $0) }
        }
        payloads += settings.vendorIDs.map { (type: 13, body: $0) }
        return message(
            initiatorCookie, [UInt8](repeating: 0, count: 8), exchange: settings.aggressiveGroup == nil ? 2 : 4,
            first: 1, body: chain(payloads))
    }

    // MARK: - Receiving

    mutating func receive(_ bytes: [UInt8], now: Instant) {
        guard bytes.count >= 28, Array(bytes[0..<8]) == initiatorCookie else { return }
        if bytes[18] == 5, bytes[19] & 1 == 0 {
            let payloads = unchain(Array(bytes.dropFirst(28)), first: Int(bytes[16]))
            clearNotifications += payloads.filter { $0.type == 11 }.map { Int($0.body[6]) << 8 | Int($0.body[7]) }
            return
        }
        switch (bytes[18], phase) {
        case (2, .sentOffer): receiveAnswer(bytes, now: now)
        case (4, .sentOffer): receiveAggressiveAnswer(bytes, now: now)
        case (2, .sentKeyExchange): receiveKeyExchange(bytes, now: now)
        case (2, .sentAuthentication): receiveAuthentication(bytes)
        case (32, .established): receiveQuick(bytes, now: now)
        case (5, .established): receiveInformational(bytes)
        case (4, .established): outbox.append((aggressiveProof, hasFloated))
        default: break
        }
    }

    private mutating func receiveAnswer(_ bytes: [UInt8], now: Instant) {
        guard bytes[16] == 1 else { return }
        responderCookie = Array(bytes[8..<16])
        let payloads = unchain(Array(bytes.dropFirst(28)), first: 1)
        // DOI, situation, proposal header of 8 bytes, transform header of 8 bytes, attributes.
        answeredTransform = Array(payloads[0].body.dropFirst(16))
        answeredVendorIDs = payloads.filter { $0.type == 13 }.map(\.body)
        guard let keys = Self.keys(attributes: Array(answeredTransform.dropFirst(8))),
            let pair = try? DiffieHellmanKeyPair.generate(keys.group)
        else { return phase = .failed }
        (self.keys, self.pair) = (keys, pair)
        nonce = generator.bytes(settings.nonceLength)
        var list = [(type: 4, body: pair.publicValue), (type: 10, body: nonce)]
        let speaks = answeredVendorIDs.contains {
            [
                Offers.natTraversal, Offers.draft02n, Offers.draft02, Offers.draft03, Offers.draft01, Offers.draft00,
            ].contains($0)
        }
        list += (settings.signature?.requests ?? []).map { (7, $0) }
        if settings.natTraversal, speaks {
            list += [settings.server, settings.own].map { (type: detectionType, body: detection($0, keys.hash)) }
        }
        phase = .sentKeyExchange
        send(
            message(initiatorCookie, responderCookie, exchange: 2, first: 4, body: chain(list)), retransmit: true,
            now: now)
    }

    private static func keys(attributes: [UInt8]) -> Keys? {
        var values: [Int: Int] = [:]
        var at = 0
        while at + 4 <= attributes.count {
            let type = Int(attributes[at]) << 8 | Int(attributes[at + 1])
            let value = Int(attributes[at + 2]) << 8 | Int(attributes[at + 3])
            at += 4
            if type & 0x8000 != 0 { values[type & 0x7fff] = value } else { at += value }
        }
        let hashes: [Int: HashAlgorithm] = [1: .md5, 2: .sha1, 4: .sha256, 5: .sha384, 6: .sha512]
        let aes: [Int: CBCCipher] = [128: .aes128, 192: .aes192, 256: .aes256]
        let cipher: CBCCipher? = values[1] == 7 ? aes[values[14] ?? 128] : values[1] == 5 ? .tripleDES : .des
        guard let hash = values[2].flatMap({ hashes[$0] }), let cipher,
            let group = values[4].flatMap({ DiffieHellmanGroup(rawValue: UInt16($0)) })
        else { return nil }
        return Keys(hash: hash, cipher: cipher, group: group)
    }

    private func detection(_ endpoint: Endpoint, _ hash: HashAlgorithm) -> [UInt8] {
        hash.digest(initiatorCookie + responderCookie + endpoint.address.octets + be16(Int(endpoint.port)))
    }

    private mutating func receiveAggressiveAnswer(_ bytes: [UInt8], now: Instant) {
        guard bytes[16] == 1 else { return }
        responderCookie = Array(bytes[8..<16])
        let payloads = unchain(Array(bytes.dropFirst(28)), first: 1)
        answeredTransform = Array(payloads[0].body.dropFirst(16))
        answeredVendorIDs = payloads.filter { $0.type == 13 }.map(\.body)
        keys = Self.keys(attributes: Array(answeredTransform.dropFirst(8)))
        guard let pair, keys?.group == settings.aggressiveGroup, let public_ = deriveKeys(payloads), let keys else {
            return phase = .failed
        }
        responderIdentity = payloads.first { $0.type == 5 }?.body ?? []
        let cookies = initiatorCookie + responderCookie
        answeredRequests = payloads.filter { $0.type == 7 }.map(\.body)
        let expected = hmac(
            settings.signature?.hash ?? keys.hash, keys.root,
            public_ + pair.publicValue + responderCookie + initiatorCookie + settings.offer + responderIdentity)
        guard isProven(by: payloads, expected) else { return phase = .failed }
        let proof = hmac(
            settings.signature?.hash ?? keys.hash, keys.root,
            pair.publicValue + public_ + cookies + settings.offer + settings.identity)
        var list = self.proof(of: proof)
        if settings.natTraversal, payloads.contains(where: { $0.type == detectionType }) {
            let floats = settings.detectsByFloatedPorts && isTranslated
            list += [settings.server, settings.own].map {
                (detectionType, detection(floats ? Endpoint(address: $0.address, port: 4500) : $0, keys.hash))
            }
        }
        if settings.sendsInitialContact { list.append((11, be32(1) + [1, 16] + be16(24578) + cookies)) }
        hasFloated = isTranslated && settings.numbers != .firstDraft
        let last =
            settings.encryptsAggressiveProof
            ? encrypted(exchange: 4, id: [0, 0, 0, 0], list)
            : message(initiatorCookie, responderCookie, exchange: 4, first: list[0].type, body: chain(list))
        lastBlock = iv
        settle()
        aggressiveProof = last
        send(last, retransmit: false, now: now)
        phase = .established
    }

    var aggressiveProof: [UInt8] = []
    private var detectionType: Int { settings.numbers.detection }
    /// Whether there is a NAT on the way: then it goes to port 4500, but for drafts 00 and 01.
    private var isTranslated: Bool { believesOwnNAT || believesServerNAT }

    /// Derives the keys and learns of NATs; returns the responder's public value.
    private mutating func deriveKeys(_ payloads: [(type: Int, body: [UInt8])]) -> [UInt8]? {
        guard var keys, let pair, let public_ = payloads.first(where: { $0.type == 4 })?.body,
            let responderNonce = payloads.first(where: { $0.type == 10 })?.body,
            let secret = try? pair.sharedSecret(with: public_)
        else { return nil }
        let shared = IKETests.bytes(of: secret)
        let cookies = initiatorCookie + responderCookie
        keys.root =
            settings.signature == nil
            ? hmac(keys.hash, settings.preSharedKey, nonce + responderNonce)
            : hmac(keys.hash, nonce + responderNonce, shared)
        keys.derivation = hmac(keys.hash, keys.root, shared + cookies + [0])
        keys.authentication = hmac(keys.hash, keys.root, keys.derivation + shared + cookies + [1])
        let raw = hmac(keys.hash, keys.root, keys.authentication + shared + cookies + [2])
        keys.encryption = raw
        if raw.count < keys.cipher.keyLength {
            let first = hmac(keys.hash, raw, [0])
            let second = hmac(keys.hash, raw, first)
            keys.encryption = first + second
        }
        keys.encryption = Array(keys.encryption.prefix(keys.cipher.keyLength))
        self.keys = keys
        let detections = payloads.filter { $0.type == detectionType }.map(\.body)
        if detections.count >= 2 {
            believesOwnNAT = detections[0] != detection(settings.own, keys.hash)
            believesServerNAT = !detections.dropFirst().contains(detection(settings.server, keys.hash))
        }
        iv = Array(keys.hash.digest(pair.publicValue + public_).prefix(keys.cipher.blockLength))
        responderPublic = public_
        return public_
    }

    private mutating func receiveKeyExchange(_ bytes: [UInt8], now: Instant) {
        guard bytes[16] == 4, let pair else { return }
        let payloads = unchain(Array(bytes.dropFirst(28)), first: 4)
        guard let public_ = deriveKeys(payloads), let keys else { return phase = .failed }
        let cookies = initiatorCookie + responderCookie
        answeredRequests = payloads.filter { $0.type == 7 }.map(\.body)
        let identityHash = hmac(
            settings.signature?.hash ?? keys.hash, keys.root,
            pair.publicValue + public_ + cookies + settings.offer + settings.identity)
        var list = [(type: 5, body: settings.identity)]
        list += proof(of: identityHash)
        if settings.sendsInitialContact { list.append((11, be32(1) + [1, 16] + be16(24578) + cookies)) }
        hasFloated = isTranslated && settings.numbers != .firstDraft
        phase = .sentAuthentication
        send(encrypted(exchange: 2, id: [0, 0, 0, 0], list), retransmit: true, now: now)
    }

    var responderPublic: [UInt8] = []
    /// Bodies of the CERTREQ payloads in message 4 and of the CERT payloads in message 6.
    var answeredRequests: [[UInt8]] = []
    var responderCertificates: [[UInt8]] = []

    /// Encrypts with the running initialization vector and moves it on.
    mutating func encrypted(exchange: Int, id: [UInt8], _ payloads: [(type: Int, body: [UInt8])]) -> [UInt8] {
        guard let keys else { return [] }
        let plain = padded(chain(payloads), keys.cipher.blockLength)
        let body = (try? keys.cipher.encrypt(plain, key: SecretBytes(keys.encryption), iv: iv)) ?? []
        iv = Array(body.suffix(keys.cipher.blockLength))
        return message(
            initiatorCookie, responderCookie, exchange: exchange, flags: 1, id: id, first: payloads[0].type, body: body)
    }

    private mutating func decrypted(_ bytes: [UInt8], iv: [UInt8]) -> [UInt8]? {
        guard let keys else { return nil }
        return try? keys.cipher.decrypt(Array(bytes.dropFirst(28)), key: SecretBytes(keys.encryption), iv: iv)
    }

    private mutating func receiveAuthentication(_ bytes: [UInt8]) {
        guard bytes[19] & 1 == 1, let keys, let pair, let plain = decrypted(bytes, iv: iv), bytes[16] == 5 else {
            return
        }
        let payloads = unchain(plain, first: 5)
        responderIdentity = payloads[0].body
        let expected = hmac(
            settings.signature?.hash ?? keys.hash, keys.root,
            responderPublic + pair.publicValue + responderCookie + initiatorCookie + settings.offer + responderIdentity)
        guard isProven(by: payloads, expected) else { return phase = .failed }
        lastBlock = Array(bytes.suffix(keys.cipher.blockLength))
        settle()
        phase = .established
    }

    /// The payloads that prove us: HASH, or CERT and SIG.
    private func proof(of hash: [UInt8]) -> [(type: Int, body: [UInt8])] {
        guard let signature = settings.signature else { return [(8, hash)] }
        return signature.certificates.map { (6, $0) } + [
            (9, signature.change((try? signature.key.sign(hash: hash)) ?? []))
        ]
    }

    /// Whether the gateway's payloads prove it, by a certificate among them or one that is known already.
    private mutating func isProven(by payloads: [(type: Int, body: [UInt8])], _ hash: [UInt8]) -> Bool {
        guard let signature = settings.signature else { return payloads.first { $0.type == 8 }?.body == hash }
        responderCertificates = payloads.filter { $0.type == 6 }.map(\.body)
        let der = responderCertificates.first.map { Array($0.dropFirst()) } ?? signature.gateway
        guard let body = payloads.first(where: { $0.type == 9 })?.body, let certificate = try? Certificate(der: der)
        else { return false }
        return certificate.verifies(body, of: hash)
    }

    // MARK: - Quick mode

    private func phaseTwoIV(_ id: [UInt8]) -> [UInt8] {
        keys.map { Array($0.hash.digest(lastBlock + id).prefix($0.cipher.blockLength)) } ?? []
    }

    var mode: Int { isTranslated ? settings.numbers.mode : 2 }

    /// - Parameter spi: By which we are to be sent to; without, one that nobody looks at.
    mutating func startQuickMode(id: [UInt8]? = nil, spi: [UInt8]? = nil, now: Instant) {
        guard let keys else { return }
        let id = id ?? generator.bytes(4)
        let spi = spi ?? [0xc0] + generator.bytes(3)
        let nonce = generator.bytes(settings.quickNonceLength)
        let pair = settings.quickGroup.flatMap { try? DiffieHellmanKeyPair.generate($0) }
        var list = [(type: 1, body: settings.quickOffer(spi, mode)), (type: 10, body: nonce)]
        if let pair { list.append((4, pair.publicValue)) }
        list += settings.selectors.map { (5, $0) }
        if isTranslated {
            let addresses = [settings.own.address.octets, settings.server.address.octets]
            list += addresses.prefix(settings.originalAddressCount).map {
                (settings.numbers.original, [1] + settings.originalAddressReserved + $0)
            }
        }
        iv = phaseTwoIV(id)
        let hash = hmac(keys.hash, keys.authentication, id + chain(list))
        let bytes = encrypted(exchange: 32, id: id, [(8, hash)] + list)
        quick = Quick(id: id, spi: spi, nonce: nonce, pair: pair, iv: iv)
        send(bytes, retransmit: true, now: now)
    }

    private mutating func receiveQuick(_ bytes: [UInt8], now: Instant) {
        guard let keys, var quick, Array(bytes[20..<24]) == quick.id else { return }
        if let last = quick.last { return send(last, retransmit: false, now: now) }
        guard bytes[19] & 1 == 1, let plain = decrypted(bytes, iv: quick.iv), bytes[16] == 8 else { return }
        let payloads = unchain(plain, first: 8)
        let rest = chain(Array(payloads.dropFirst()))
        guard payloads[0].body == hmac(keys.hash, keys.authentication, quick.id + quick.nonce + rest) else { return }
        guard let nonce = payloads.first(where: { $0.type == 10 })?.body else { return }
        guard payloads.filter({ $0.type == 5 }).map(\.body) == settings.selectors else { return }
        let answer = payloads[1].body
        let parts = Self.proposals(answer)
        let outer = parts.first { $0.protocolID != 4 }
        guard let outboundSPI = outer?.spi else { return }
        var shared: [UInt8] = []
        if let pair = quick.pair {
            guard let value = payloads.first(where: { $0.type == 4 })?.body,
                let secret = try? pair.sharedSecret(with: value)
            else { return }
            shared = IKETests.bytes(of: secret)
        }
        let material = { (protocolID: UInt8, spi: [UInt8]) -> [UInt8] in
            var result: [UInt8] = []
            var block: [UInt8] = []
            while result.count < 160 {
                block = hmac(keys.hash, keys.derivation, block + shared + [protocolID] + spi + quick.nonce + nonce)
                result += block
            }
            return result
        }
        let original = payloads.filter { $0.type == settings.numbers.original }.map {
            Array($0.body.dropFirst(4))
        }
        children.append(
            Child(
                inboundSPI: quick.spi, outboundSPI: outboundSPI,
                keys: parts.filter { $0.protocolID != 4 }.map {
                    Child.Keys(
                        protocolID: $0.protocolID, inbound: material($0.protocolID, quick.spi),
                        outbound: material($0.protocolID, $0.spi))
                }.sorted { $0.protocolID < $1.protocolID },
                outboundCPI: parts.first(where: { $0.protocolID == 4 })?.spi, originalAddresses: original,
                transform: Array(answer.dropFirst(20))))
        iv = Array(bytes.suffix(keys.cipher.blockLength))
        let hash = hmac(keys.hash, keys.authentication, [0] + quick.id + quick.nonce + nonce)
        let last = encrypted(exchange: 32, id: quick.id, [(8, hash)])
        quick.last = last
        self.quick = quick
        settle()
        send(last, retransmit: false, now: now)
    }

    /// The proposals of an SA payload's body: protocol, SPI.
    private static func proposals(_ body: [UInt8]) -> [(protocolID: UInt8, spi: [UInt8])] {
        var list: [(protocolID: UInt8, spi: [UInt8])] = []
        var rest = Array(body.dropFirst(8))
        while rest.count >= 8 {
            let length = Int(rest[2]) << 8 | Int(rest[3])
            guard length >= 8, length <= rest.count else { break }
            list.append((rest[5], Array(rest[8..<(8 + Int(rest[6]))])))
            rest = Array(rest.dropFirst(length))
        }
        return list
    }

    // MARK: - Informational

    mutating func informational(_ payloads: [(type: Int, body: [UInt8])], id: [UInt8]? = nil) -> [UInt8] {
        guard let keys else { return [] }
        let id = id ?? generator.bytes(4)
        iv = phaseTwoIV(id)
        let hash = hmac(keys.hash, keys.authentication, id + chain(payloads))
        return encrypted(exchange: 5, id: id, [(8, hash)] + payloads)
    }

    mutating func deletePayload(spis: [[UInt8]]) -> (type: Int, body: [UInt8]) {
        (12, be32(1) + [3, 4] + be16(spis.count) + spis.flatMap { $0 })
    }

    var deleteIKEPayload: (type: Int, body: [UInt8]) {
        (12, be32(1) + [1, 16] + be16(1) + initiatorCookie + responderCookie)
    }

    func areYouThere(_ sequence: Int) -> (type: Int, body: [UInt8]) {
        (11, be32(1) + [1, 16] + be16(36136) + initiatorCookie + responderCookie + be32(sequence))
    }

    private mutating func receiveInformational(_ bytes: [UInt8]) {
        let id = Array(bytes[20..<24])
        guard bytes[19] & 1 == 1, let keys, let plain = decrypted(bytes, iv: phaseTwoIV(id)), bytes[16] == 8 else {
            return
        }
        let payloads = unchain(plain, first: 8)
        let rest = chain(Array(payloads.dropFirst()))
        guard payloads[0].body == hmac(keys.hash, keys.authentication, id + rest) else { return }
        for payload in payloads {
            if payload.type == 11 {
                let type = Int(payload.body[6]) << 8 | Int(payload.body[7])
                notifications.append(type)
                if type == 36137 { deadPeerAnswers.append(Array(payload.body.suffix(4))) }
            } else if payload.type == 12, payload.body[4] == 3 {
                deleted.append(Array(payload.body.suffix(4)))
            } else if payload.type == 12, payload.body[4] == 1 {
                isIKEDeleted = Array(payload.body.suffix(16)) == initiatorCookie + responderCookie
            }
        }
    }
}
