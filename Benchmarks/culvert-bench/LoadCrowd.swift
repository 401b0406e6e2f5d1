import Cryptography
import ESP
import Gateway
import IKE
import IO
import Wire

/// Many clients that dial in at a gateway and stay: IKE, L2TP and PPP on this thread, packets on the load client's.
final class LoadCrowd {
    /// What the clients are and ask for.
    struct Settings {
        var server: IPv4Address
        /// The clients' addresses, from the first behind the network's own.
        var outer: IPv4Network
        /// The gateway's addresses for clients, and the servers that they talk to: the client with the n-th inner address talks
        /// to the n-th server.
        var inner: IPv4Network
        var servers: IPv4Network
        var preSharedKey: [UInt8]
        var user: String
        var password: String
        var suite: LoadSuite
        var group: DiffieHellmanGroup
        var mtuBytes: Int
        /// Whether they know of no NAT, so that ESP travels as IP protocol 50.
        var isPlain: Bool
        /// How many dial in at once.
        var inFlight: Int
    }

    private enum Stage { case securing, tunnelling, linking, up }

    private struct Client {
        let address: IPv4Address
        var initiator: TestInitiator
        let begun: Instant
        var stage = Stage.securing
        var inboundSPI: [UInt8]?
        var tunnel: TunnelClient?
        var link: LinkClient?
    }

    /// A dial-in that takes longer has failed.
    private static let patience = Duration.seconds(20)
    /// How often those are looked at who wait for an answer.
    private static let lookInterval = Duration.milliseconds(100)
    /// Clients are not to disturb a measurement by asking whether the gateway is there.
    private static let echoInterval = Duration.seconds(3600)

    private let settings: Settings
    private let plane: LoadClient
    private var clients: [Int: Client] = [:]
    private var dialling: Set<Int> = []
    private var indexes = SecurityParameterIndexAllocator(workerCount: 1)
    private var generator = SystemRandom()
    private var nextLook = Instant.zero
    /// Who is in, in the order in which they came in: inner address and server.
    private(set) var connected: [(inner: IPv4Address, server: IPv4Address)] = []
    private(set) var failed = 0

    init(_ settings: Settings, plane: LoadClient) { (self.settings, self.plane) = (settings, plane) }

    /// Dials in `count` clients; returns when each is in or has failed.
    func dial(_ count: Int) {
        var begun = 0
        while connected.count + failed < count {
            while begun < count, dialling.count < settings.inFlight {
                begin(begun)
                begun += 1
            }
            serve(until: SystemClock.now + Self.lookInterval)
        }
    }

    /// Answers what the gateway asks, for so long.
    func serve(for duration: Duration) {
        let end = SystemClock.now + duration
        while SystemClock.now < end { serve(until: end) }
    }

    /// Answers what the gateway asks next, if it asks something before `end`.
    private func serve(until end: Instant) {
        for report in plane.wait(until: min(end, nextLook)) { take(report, now: SystemClock.now) }
        let now = SystemClock.now
        if now >= nextLook { look(now: now) }
    }

    private func begin(_ index: Int) {
        let now = SystemClock.now
        let address = IPv4Address(settings.outer.address.value + 1 + UInt32(index))
        var initiator = DialCrowd.settings(settings.group, at: address)
        initiator.offer = settings.suite.phaseOne(settings.group)
        initiator.preSharedKey = settings.preSharedKey
        // With a private address of its own it believes in a NAT, as most clients have one.
        initiator.own = Endpoint(settings.isPlain ? address : IPv4Address(192, 168, 1, 2), 500)
        initiator.server = Endpoint(settings.server, 500)
        initiator.selectors[1] = [1, 17, 6, 165] + settings.server.octets
        let suite = settings.suite
        initiator.quickOffer = { suite.phaseTwo(spi: $0, mode: $1) }
        var client = Client(
            address: address, initiator: TestInitiator(initiator, seed: UInt64(address.value)), begun: now)
        if settings.suite == .clear {
            plane.add(client: index, at: address, by: .clear)
            startTunnel(&client, now: now)
        } else {
            client.initiator.start(now: now)
        }
        dialling.insert(index)
        settle(&client, index, now: now)
    }

    /// Asks again who did not get an answer, and gives up who did not for too long.
    private func look(now: Instant) {
        nextLook = now + Self.lookInterval
        for index in dialling {
            guard var client = clients[index] else { continue }
            guard now.since(client.begun) < Self.patience else {
                dialling.remove(index)
                clients[index] = nil
                failed += 1
                continue
            }
            if client.stage == .securing { client.initiator.handleTimeout(now: now) }
            client.tunnel?.handleTimeout(now: now)
            client.link?.handleTimeout(now: now)
            settle(&client, index, now: now)
        }
    }

    private func take(_ report: LoadClient.Report, now: Instant) {
        switch report {
        case .ike(let message, let local):
            let index = Int(local.value) - Int(settings.outer.address.value) - 1
            guard var client = clients[index] else { return }
            client.initiator.receive(message, now: now)
            settle(&client, index, now: now)
        case .control(let index, let message):
            guard var client = clients[index] else { return }
            client.tunnel?.receive(message, now: now)
            settle(&client, index, now: now)
        case .frame(let index, let frame):
            guard var client = clients[index] else { return }
            client.link?.receive(frame, now: now)
            settle(&client, index, now: now)
        }
    }

    /// One layer upon the other: begins what can begin now, and sends what is to be sent.
    private func settle(_ client: inout Client, _ index: Int, now: Instant) {
        if client.stage == .securing { secure(&client, index, now: now) }
        if client.stage == .tunnelling, let tunnel = client.tunnel, tunnel.stage == .connected {
            plane.add(
                LoadClient.Session(
                    own: (UInt16(tunnel.tunnelID), UInt16(tunnel.sessionID)),
                    remote: (UInt16(tunnel.serverTunnel), UInt16(tunnel.serverSession))), of: index)
            client.stage = .linking
            var link = LinkClient(
                user: settings.user, password: settings.password, mruBytes: settings.mtuBytes,
                magicNumber: generator.bytes(4))
            link.echoInterval = Self.echoInterval
            link.start(now: now)
            client.link = link
        }
        if client.stage == .linking, let inner = client.link?.address {
            client.stage = .up
            dialling.remove(index)
            let server = IPv4Address(inner.value - settings.inner.address.value + settings.servers.address.value)
            plane.connect(client: index, to: server, mtuBytes: settings.mtuBytes)
            connected.append((inner, server))
        }
        send(&client, index)
        clients[index] = client
    }

    private func secure(_ client: inout Client, _ index: Int, now: Instant) {
        if client.initiator.phase == .established, client.inboundSPI == nil,
            let own = indexes.allocate(worker: 0, using: &generator)
        {
            client.inboundSPI = be32(Int(own.value))
            client.initiator.startQuickMode(spi: client.inboundSPI, now: now)
        }
        guard let child = client.initiator.children.first, let keys = child.keys.first else { return }
        plane.add(client: index, at: client.address, by: client.initiator.hasFloated ? .udp : .none)
        plane.install(
            client: index, inbound: settings.suite.association(child.inboundSPI, keys.inbound),
            outbound: settings.suite.association(child.outboundSPI, keys.outbound))
        startTunnel(&client, now: now)
    }

    private func startTunnel(_ client: inout Client, now: Instant) {
        client.stage = .tunnelling
        var tunnel = TunnelClient(
            tunnelID: Int.random(in: 1...0xffff, using: &generator),
            sessionID: Int.random(in: 1...0xffff, using: &generator))
        tunnel.start(now: now)
        client.tunnel = tunnel
    }

    private func send(_ client: inout Client, _ index: Int) {
        for item in client.initiator.outbox {
            plane.sendIKE(item.bytes, from: client.address, floated: item.floated)
        }
        client.initiator.outbox.removeAll()
        for message in client.tunnel?.outbox ?? [] { plane.sendControl(message, of: index) }
        client.tunnel?.outbox.removeAll()
        for frame in client.link?.outbox ?? [] { plane.sendFrame(frame, of: index) }
        client.link?.outbox.removeAll()
    }
}

/// What the clients' packets are protected by.
enum LoadSuite: String, CaseIterable {
    /// AES-GCM-16 with keys of 256 bits.
    case gcm
    /// AES-CBC with keys of 256 bits and HMAC-SHA1-96.
    case cbc
    /// Nothing: L2TP without IPsec.
    case clear

    private static let seconds = basic(1, 1) + basic(2, 28800)

    private var suite: Suite {
        self == .gcm ? .combined(.gcm(keyLength: 32, checkLength: 16)) : .separate(.cbc(.aes256), .sha1_96)
    }

    /// One proposal with AES-256 and SHA-1, which all gateways take.
    func phaseOne(_ group: DiffieHellmanGroup) -> [UInt8] {
        Offers.offer([
            Offers.phaseOne(
                Offers.aes, 256, Offers.sha1, Int(group.rawValue), life: basic(11, 1) + basic(12, 28800))
        ])
    }

    /// One proposal of ESP (RFC 4106 section 8.5, RFC 2407 section 4.4.4).
    func phaseTwo(spi: [UInt8], mode: Int) -> [UInt8] {
        let isCombined = self == .gcm
        let attributes = Offers.phaseTwo(mode: mode, integrity: isCombined ? nil : 2, bits: 256, life: Self.seconds)
        return securityAssociation(
            proposal(
                number: 1, protocolID: 3, spi: spi, last: true, transforms: [(isCombined ? 20 : 12, attributes)]))
    }

    /// The SA that comes of the key material of one direction.
    func association(_ spi: [UInt8], _ material: [UInt8]) -> LoadClient.Association {
        let count = suite.encryption.keyLength + suite.encryption.saltLength
        let keys = SuiteKeys(
            encryption: SecretBytes(Array(material.prefix(count))),
            integrity: SecretBytes(Array(material.dropFirst(count).prefix(suite.integrity?.keyLength ?? 0))))
        return LoadClient.Association(
            index: SecurityParameterIndex(UInt32(number(spi))), suite: suite, keys: keys)
    }
}
