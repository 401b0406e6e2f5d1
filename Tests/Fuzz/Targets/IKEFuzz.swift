import Cryptography
import Wire

@testable import IKE
@testable import IKETests

/// Whole datagrams of strangers who do not know the pre-shared key: whatever they send, nobody is let in, nobody is
/// answered more than he sent, and nothing stays behind.
enum IKEFuzz {
    fileprivate static let recordsMaximum = 48
    /// Computations are real, but only of the groups that take a fraction of a millisecond, and not many.
    fileprivate static let computationsMaximum = 2

    fileprivate enum Kind {
        static let floated: UInt8 = 1
        static let otherAddress: UInt8 = 2
        static let answersCookie: UInt8 = 4
        static let repeated: UInt8 = 8
        static let mendsLength: UInt8 = 16
        static let withMarker: UInt8 = 32
        static let time: UInt8 = 0xc0
    }

    fileprivate static let configuration: IKEConfiguration = {
        var configuration = IKEConfiguration(
            profile: .legacy, preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse")))
        // Small, so that inputs of some datagrams reach them.
        configuration.limits.halfOpenMaximum = 6
        configuration.limits.halfOpenPerAddressMaximum = 4
        configuration.limits.unauthenticatedMaximum = 4
        configuration.limits.unauthenticatedPerAddressMaximum = 3
        configuration.limits.workQueueMaximum = 4
        configuration.limits.aggressiveMaximum = 3
        configuration.limits.aggressivePerAddressMaximum = 2
        configuration.limits.partialMessagesMaximum = 3
        configuration.limits.partialMessagesPerAddressMaximum = 2
        configuration.limits.partialFirstMessagesMaximum = 2
        configuration.limits.partialFirstMessagesPerAddressMaximum = 1
        configuration.groups.byName["group"] = SecretBytes(utf8: "group key")
        return configuration
    }()
    fileprivate static let template = IKEEngine(configuration: configuration)

    fileprivate struct Play {
        var engine = IKEFuzz.template
        var generator = SeededRandom()
        var now = Instant(nanoseconds: 1_000_000_000)
        var computationsLeft = IKEFuzz.computationsMaximum
        var responderCookie = [UInt8](repeating: 0, count: 8)
        var last: [UInt8] = []
        var addresses: Set<IPAddress> = []
        /// The bytes of all fragments, which are a question together.
        var fragmentBytes = 0
    }

    static func run(_ input: Script) {
        var input = input
        var play = Play()
        var records = 0
        while !input.isAtEnd, records < recordsMaximum {
            records += 1
            let kind = input.byte()
            if kind & Kind.time == Kind.time {
                play.pass(.milliseconds(Int64(kind & 0x3f) * 500))
            } else {
                play.deliver(kind, &input)
            }
        }
        // Silence: an exchange may take half a minute, and is forgotten then.
        play.pass(configuration.limits.exchangeLifetime + .seconds(1))
        require(play.engine.associationCount == 0 && play.engine.halfOpenCount == 0, "all are forgotten")
        require(play.engine.peerCount == 0 && play.engine.securityAssociationCount == 0, "nobody was let in")
        require(play.engine.partialMessages.isEmpty, "no fragment is left")
        require(play.engine.nextDeadline == nil, "nothing is left to wait for")
    }

    static var seeds: [(name: String, bytes: [UInt8])] {
        let quick = Offers.offer([Offers.phaseOne(Offers.aes, 256, Offers.sha256, 31, life: Offers.hour)])
        let clients: [(String, [UInt8], [[UInt8]], Bool)] = [
            ("windows", Offers.windows, Offers.windowsVendorIDs, false),
            ("windows-xp", Offers.windowsXP, Offers.windowsXPVendorIDs, true),
            ("apple", Offers.apple, Offers.appleVendorIDs, false),
            ("android", Offers.android, Offers.androidVendorIDs, false),
            ("strongswan", Offers.strongSwan, Offers.strongSwanVendorIDs, false),
            ("chromeos", Offers.chromeOS, Offers.strongSwanVendorIDs, false),
            ("router", Offers.cheapRouter, [], false),
            ("curve25519", quick, Offers.strongSwanVendorIDs, false),
        ]
        var all = clients.map { name, offer, vendorIDs, usesDraft in
            (name, mainMode(offer, vendorIDs, usesDraftNumbers: usesDraft))
        }
        var writer = ScriptWriter()
        for exchange in [2, 4, 5, 32] {
            writer.byte(0)
            writer.block(
                message(
                    [UInt8](repeating: 1, count: 8), [UInt8](repeating: 0, count: 8), exchange: exchange, first: 11,
                    body: chain([(11, be32(1) + [1, 0] + be16(14))])))
        }
        all.append(("exchanges", writer.bytes))
        all.append(("aggressive", aggressive(quick)))
        all.append(("fragments", fragments(quick)))
        return all
    }

    /// Aggressive mode's first message, with a group's name.
    private static func aggressive(_ offer: [UInt8]) -> [UInt8] {
        var settings = TestInitiator.Settings()
        (settings.offer, settings.aggressiveGroup) = (offer, .curve25519)
        settings.identity = [11, 0, 0, 0] + Array("group".utf8)
        var client = TestInitiator(settings)
        client.start(now: .zero)
        var writer = ScriptWriter()
        writer.byte(0)
        writer.block(client.firstMessage)
        writer.raw([Kind.repeated, Kind.time | 2, Kind.repeated | Kind.otherAddress])
        return writer.bytes
    }

    /// The first message in fragments: the last one first, and the first one twice.
    private static func fragments(_ offer: [UInt8]) -> [UInt8] {
        var settings = TestInitiator.Settings()
        settings.offer = offer
        var client = TestInitiator(settings)
        client.start(now: .zero)
        let whole = client.firstMessage
        let starts = Array(stride(from: 0, to: whole.count, by: 80))
        var writer = ScriptWriter()
        for (index, start) in starts.enumerated().reversed() + [(0, 0)] {
            let data = Array(whole[start..<min(start + 80, whole.count)])
            let body = be16(1) + [UInt8(index + 1), index + 1 == starts.count ? 1 : 0] + data
            writer.byte(0)
            writer.block(
                message(
                    Array(whole[0..<8]), Array(whole[8..<16]), exchange: 2, first: 132, body: chain([(132, body)])))
        }
        return writer.bytes
    }

    /// What a client sends up to message 5, which a stranger cannot make: it is encrypted with a wrong key here.
    private static func mainMode(_ offer: [UInt8], _ vendorIDs: [[UInt8]], usesDraftNumbers: Bool) -> [UInt8] {
        var settings = TestInitiator.Settings()
        settings.preSharedKey = Array("wrong horse".utf8)
        (settings.offer, settings.vendorIDs, settings.usesDraftNumbers) = (offer, vendorIDs, usesDraftNumbers)
        var world = World(profile: .legacy, settings: settings)
        world.client.start(now: world.now)
        var writer = ScriptWriter()
        var isFirst = true
        for _ in 0..<3 {
            for item in world.client.outbox {
                writer.byte(isFirst ? 0 : Kind.answersCookie | (item.floated ? Kind.floated : 0))
                writer.block(item.bytes)
                isFirst = false
                world.deliver(item.bytes, floated: item.floated)
            }
            world.client.outbox.removeAll()
            if let answer = world.sent.last { world.client.receive(answer.bytes, now: world.now) }
        }
        writer.byte(Kind.time | 4)
        writer.byte(Kind.repeated)
        return writer.bytes
    }
}

extension IKEFuzz.Play {
    mutating func deliver(_ kind: UInt8, _ input: inout Script) {
        typealias Kind = IKEFuzz.Kind
        var bytes = kind & Kind.repeated != 0 ? last : input.block()
        if kind & Kind.answersCookie != 0, bytes.count >= 16 { bytes.replaceSubrange(8..<16, with: responderCookie) }
        if kind & Kind.mendsLength != 0, bytes.count >= 28 { bytes.replaceSubrange(24..<28, with: be32(bytes.count)) }
        last = bytes
        if kind & Kind.withMarker != 0 { bytes = [0, 0, 0, 0] + bytes }
        let port: UInt16 = kind & Kind.floated != 0 ? 4500 : 500
        let address = kind & Kind.otherAddress != 0 ? IPv4Address(192, 0, 2, 8) : allowedAddress
        let (remote, local) = (Endpoint(address, port), Endpoint(gatewayAddress, port))
        addresses.insert(remote.address)
        engine.receive(bytes.span.bytes, from: remote, to: local, now: now, using: &generator)

        let isFragment = bytes.count > 16 && bytes[16] == 132
        if isFragment { fragmentBytes += bytes.count }
        let questionBytes = isFragment ? fragmentBytes : bytes.count
        // A first message; no later one has proved more than that its sender receives at its address.
        let isFirst = bytes.count < 16 || bytes[8..<16].allSatisfy { $0 == 0 }
        let answers = drain()
        require(answers.count <= 1, "one answer at most to one datagram")
        let computed = compute()
        for (answer, transmit) in answers + computed {
            // A repeated answer may go to the exchange's own address, which has spoken too.
            require(addresses.contains(transmit.remote.address), "only who has spoken is spoken to")
            guard isFirst else { continue }
            require(transmit.remote.address == remote.address, "the answer goes to where the question came from")
            require(answer.count * 2 <= questionBytes * 3, "\(questionBytes) bytes get \(answer.count)")
        }
        let limits = engine.configuration.limits
        require(engine.halfOpenCount <= limits.halfOpenMaximum, "half-open exchanges are bounded")
        require(
            engine.associationCount <= limits.halfOpenMaximum + limits.unauthenticatedMaximum, "exchanges are bounded")
        require(
            engine.partialMessages.count <= limits.partialMessagesMaximum + limits.partialFirstMessagesMaximum,
            "messages in fragments are bounded")
    }

    mutating func pass(_ duration: Duration) {
        now += duration
        engine.handleTimeout(now: now, using: &generator)
        if let next = engine.nextDeadline { require(next > now, "what is due is done") }
        require(drain().isEmpty, "a responder sends nothing unasked")
    }

    private mutating func compute() -> [(bytes: [UInt8], transmit: IKETransmit)] {
        var all: [(bytes: [UInt8], transmit: IKETransmit)] = []
        while let work = engine.pollWork() {
            let isCheap = work.group == .curve25519 || work.group == .ecp256
            guard isCheap, computationsLeft > 0 else { continue }
            computationsLeft -= 1
            engine.complete(work.perform(), now: now, using: &generator)
            let answers = drain()
            require(answers.count <= 1, "one answer at most to one computation")
            all += answers
        }
        return all
    }

    /// Fetches what there is, and checks what can be said of every message and every event.
    private mutating func drain() -> [(bytes: [UInt8], transmit: IKETransmit)] {
        while let event = engine.pollEvent() {
            guard case .refused = event else { fatalError("property violated: a stranger caused \(event)") }
        }
        var all: [(bytes: [UInt8], transmit: IKETransmit)] = []
        var writer = ByteWriter()
        while let transmit = engine.pollTransmit(into: &writer) {
            let bytes = writer.bytes
            require(bytes.count >= 28 && Array(bytes[24..<28]) == be32(bytes.count), "the length is right")
            if bytes[18] == 2 { responderCookie = Array(bytes[8..<16]) }
            all.append((bytes, transmit))
            writer.removeAll()
        }
        return all
    }
}
