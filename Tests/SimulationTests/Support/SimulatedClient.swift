import Cryptography
import Wire

/// A client of the gateway: IKE, ESP, L2TP and PPP, one upon the other. It sends into `outbox`.
final class SimulatedClient {
    enum Stage { case idle, securing, tunnelling, linking, up, ended }

    /// What told the client that it is hung up.
    enum Farewell: Equatable { case terminateRequest, callDisconnect, stopControlConnection, deleteIPsec, deleteIKE }

    struct Outgoing {
        /// Our port; 0 for IP protocol 50.
        var port: UInt16
        var bytes: [UInt8]
    }

    /// How long an attempt may take before the client gives it up and dials again.
    static let attemptDuration = Duration.seconds(45)

    private static let nonIKEMarker = [UInt8](repeating: 0, count: 8)

    let index: Int
    let site: Site
    let address: IPv4Address
    var settings: IKEInitiator.Settings { didSet { ike.settings = settings } }
    var user: String
    var password = "secret"
    var l2tpPort = 1701
    var mruBytes = 1400
    var compresses = false
    var ignoresHello = false
    var echoInterval = Duration.seconds(10)
    /// Dials again whenever it is down.
    var wantsIn = false
    /// Speaks L2TP without IPsec.
    var isInClear = false
    private(set) var stage = Stage.idle
    private(set) var hasVanished = false
    private(set) var attempts = 0
    private(set) var farewells: [Farewell] = []
    /// The inner addresses that it had, in all its sessions.
    private(set) var addresses: Set<IPv4Address> = []
    /// Serials of probes that came, in their order.
    var requestsReceived: [Int] = []
    var repliesReceived: [Int] = []
    private(set) var keepalivesReceived = 0
    /// Packets that were somebody else's.
    private(set) var strangersReceived = 0
    var outbox: [Outgoing] = []
    private(set) var ike: IKEInitiator
    private(set) var tunnel: TunnelClient?
    private(set) var link: LinkClient?
    private(set) var associations: [ClientAssociation] = []
    private let codec: PacketCodec
    private var generator: SeededGenerator
    private var attemptDeadline: Instant?
    private var redialAt: Instant?
    private var oldAssociationsEnd: Instant?
    private var isNegotiating = false

    init(index: Int, site: Site, address: IPv4Address, user: String, codec: PacketCodec, seed: UInt64) {
        (self.index, self.site, self.address, self.user, self.codec) = (index, site, address, user, codec)
        settings = IKEInitiator.Settings(own: Endpoint(address, 500))
        generator = SeededGenerator(seed)
        ike = IKEInitiator(settings, generator: SeededGenerator(generator.next()))
    }

    var innerAddress: IPv4Address? { stage == .up ? link?.address : nil }
    var wasRefused: Bool { link?.wasRefused ?? false }

    // MARK: What it is told to do

    /// Dials, whatever it was doing: nothing of that is remembered.
    func dial(now: Instant) {
        attempts += 1
        (hasVanished, isNegotiating) = (false, false)
        (tunnel, link, associations, farewells) = (nil, nil, [], [])
        (redialAt, oldAssociationsEnd) = (nil, nil)
        attemptDeadline = now + Self.attemptDuration
        stage = .securing
        ike = IKEInitiator(settings, generator: SeededGenerator(generator.next()))
        if isInClear { startTunnel(now: now) } else { ike.start(now: now) }
        flush(now: now)
    }

    /// Is gone, without a word.
    func vanish() {
        (hasVanished, stage, wantsIn, redialAt) = (true, .idle, false, nil)
        outbox.removeAll()
    }

    /// Hangs up, and forgets: what is lost on the way is not sent again.
    func hangUp(now: Instant) {
        link?.hangUp()
        flush(now: now)
        tunnel?.hangUp(now: now)
        flush(now: now)
        for association in associations { ike.deleteChild(association.inboundSPI, now: now) }
        ike.deleteItself(now: now)
        flush(now: now)
        end(now: now)
        ike = IKEInitiator(settings, generator: SeededGenerator(generator.next()))
        (tunnel, link, associations) = (nil, nil, [])
    }

    /// Negotiates a new pair of IPsec SAs; the old one is deleted a while after that.
    func rekey(now: Instant) {
        ike.startQuickMode(now: now)
        flush(now: now)
    }

    /// Makes a new ISAKMP SA in the place of the one it has; everything else goes on.
    func renewIKE(now: Instant) {
        ike = IKEInitiator(settings, generator: SeededGenerator(generator.next()))
        ike.start(now: now)
        flush(now: now)
    }

    func deleteIKE(now: Instant) {
        ike.deleteItself(now: now)
        flush(now: now)
    }

    /// Sends a probe to an address behind the gateway.
    func sendProbe(serial: Int, to destination: IPv4Address, byteCount: Int = Probe.byteCountMinimum) {
        guard let innerAddress else { return }
        let probe = Probe(
            from: innerAddress, to: destination, .request, client: index, serial: serial, byteCount: byteCount)
        sendPacket(probe.bytes)
    }

    /// Sends an IP packet, whatever is in it.
    func sendPacket(_ bytes: [UInt8]) { sendFrame([0xff, 3, 0, 0x21] + bytes) }

    /// Sends a PPP frame, whatever is in it.
    func sendFrame(_ frame: [UInt8]) {
        guard let tunnel, tunnel.serverSession != 0 else { return }
        sendL2TP([0, 2] + be16(tunnel.serverTunnel) + be16(tunnel.serverSession) + frame)
    }

    // MARK: Time

    var nextDeadline: Instant? {
        guard !hasVanished else { return nil }
        var next = earliest(ike.nextDeadline, earliest(tunnel?.nextDeadline, link?.nextDeadline))
        next = earliest(next, earliest(redialAt, oldAssociationsEnd))
        return earliest(next, attemptDeadline)
    }

    func handleTimeout(now: Instant) {
        guard !hasVanished else { return }
        if let redialAt, redialAt <= now { return dial(now: now) }
        if let due = attemptDeadline, due <= now {
            attemptDeadline = nil
            if stage != .up { return end(now: now) }
        }
        if let due = oldAssociationsEnd, due <= now {
            oldAssociationsEnd = nil
            for association in associations.dropLast() { ike.deleteChild(association.inboundSPI, now: now) }
            associations.removeFirst(max(0, associations.count - 1))
        }
        ike.handleTimeout(now: now)
        tunnel?.handleTimeout(now: now)
        link?.handleTimeout(now: now)
        advance(now: now)
        flush(now: now)
    }

    private func end(now: Instant) {
        guard stage != .ended, stage != .idle else { return }
        (stage, attemptDeadline) = (.ended, nil)
        if wantsIn { redialAt = now + .milliseconds(Int.random(in: 500...3000, using: &generator)) }
    }

    // MARK: Receiving

    /// A datagram to our `port`, 0 for IP protocol 50.
    func receive(_ bytes: [UInt8], port: UInt16, now: Instant) {
        guard !hasVanished else { return }
        if bytes == [0xff] {
            keepalivesReceived += 1
        } else if port == 1701 {
            if isInClear { receiveL2TP(bytes, now: now) }
        } else if port == 500, bytes.starts(with: Self.nonIKEMarker), !settings.natTraversal.floats {
            receiveESP(Array(bytes.dropFirst(8)), now: now)
        } else if port == 500 {
            ike.receive(bytes, now: now)
        } else if port == 4500, bytes.starts(with: [0, 0, 0, 0]) {
            ike.receive(Array(bytes.dropFirst(4)), now: now)
        } else if bytes.count > 8 {
            receiveESP(bytes, now: now)
        }
        advance(now: now)
        flush(now: now)
    }

    private func receiveESP(_ bytes: [UInt8], now: Instant) {
        let index = UInt32(number(bytes[0..<4]))
        guard let association = associations.first(where: { $0.inboundSPI == index }),
            let datagram = codec.open(bytes, by: association), datagram.count > 14
        else { return }
        association.isReady = true
        guard number(datagram[0..<2]) == 1701, number(datagram[2..<4]) == l2tpPort else { return }
        receiveL2TP(Array(datagram.dropFirst(8)), now: now)
    }

    private func receiveL2TP(_ message: [UInt8], now: Instant) {
        if message[0] & 0x80 != 0 {
            receiveControl(message, now: now)
        } else {
            receiveData(message, now: now)
        }
    }

    private func receiveControl(_ message: [UInt8], now: Instant) {
        guard let before = tunnel else { return }
        tunnel?.receive(message, now: now)
        guard let tunnel else { return }
        if tunnel.heardCDN, !before.heardCDN { farewells.append(.callDisconnect) }
        if tunnel.heardStopCCN, !before.heardStopCCN { farewells.append(.stopControlConnection) }
    }

    private func receiveData(_ message: [UInt8], now: Instant) {
        guard let tunnel, number(message[2..<4]) == tunnel.tunnelID, number(message[4..<6]) == tunnel.sessionID,
            message[0] & 0x4a == 0
        else { return }
        var frame = Array(message.dropFirst(6))
        var offset = frame.starts(with: [0xff, 3]) ? 2 : 0
        guard frame.count > offset + 2 else { return }
        let isShort = frame[offset] & 1 == 1
        guard frame[offset + (isShort ? 0 : 1)] == 0x21, isShort || frame[offset] == 0 else {
            guard let before = link else { return }
            link?.receive(frame, now: now)
            if let link, link.wasTerminated, !before.wasTerminated { farewells.append(.terminateRequest) }
            return
        }
        offset += isShort ? 1 : 2
        frame.removeFirst(offset)
        guard let probe = Probe(frame), probe.client == index, probe.destination == innerAddress else {
            return strangersReceived += 1
        }
        switch probe.direction {
        case .request: requestsReceived.append(probe.serial)
        case .reply: repliesReceived.append(probe.serial)
        }
    }

    // MARK: One layer upon the other

    private func advance(now: Instant) {
        if stage == .securing, ike.phase == .failed { return end(now: now) }
        if stage == .securing, ike.phase == .established, !isNegotiating {
            isNegotiating = true
            ike.startQuickMode(now: now)
        }
        for child in ike.children {
            guard let association = codec.association(child, isCombined: settings.isCombined) else { continue }
            if !associations.isEmpty, !child.isAnswered { oldAssociationsEnd = now + .seconds(5) }
            associations.append(association)
        }
        ike.children.removeAll()
        for association in associations where ike.confirmed.contains(association.inboundSPI) {
            association.isReady = true
        }
        ike.confirmed.removeAll()
        if stage == .securing, !associations.isEmpty { startTunnel(now: now) }
        if stage == .tunnelling, tunnel?.stage == .connected { startLink(now: now) }
        if stage == .linking, let address = link?.address {
            (stage, attemptDeadline) = (.up, nil)
            addresses.insert(address)
        }
        if stage == .up, link?.stage != .up, link?.stage != .ended { stage = .linking }
        noticeFarewells(now: now)
    }

    private func startTunnel(now: Instant) {
        stage = .tunnelling
        var tunnel = TunnelClient(
            tunnelID: Int.random(in: 1...65535, using: &generator),
            sessionID: Int.random(in: 1...65535, using: &generator))
        tunnel.ignoresHello = ignoresHello
        tunnel.start(now: now)
        self.tunnel = tunnel
    }

    private func startLink(now: Instant) {
        stage = .linking
        var link = LinkClient(
            user: user, password: password, mruBytes: mruBytes, compresses: compresses, magicNumber: generator.bytes(4))
        link.echoInterval = echoInterval
        link.start(now: now)
        self.link = link
    }

    private func noticeFarewells(now: Instant) {
        for index in ike.deleted {
            let count = associations.count
            associations.removeAll { $0.outboundSPI == index }
            if associations.count < count { farewells.append(.deleteIPsec) }
        }
        ike.deleted.removeAll()
        if ike.isDeleted, stage != .idle, !farewells.contains(.deleteIKE), associations.isEmpty {
            farewells.append(.deleteIKE)
        }
        guard stage == .tunnelling || stage == .linking || stage == .up else { return }
        if tunnel?.stage == .ended || link?.stage == .ended || associations.isEmpty && !isInClear { end(now: now) }
    }

    // MARK: Sending

    private func flush(now: Instant) {
        for message in tunnel?.outbox ?? [] { sendL2TP(message) }
        tunnel?.outbox.removeAll()
        for frame in link?.outbox ?? [] { sendFrame(frame) }
        link?.outbox.removeAll()
        for item in ike.outbox {
            outbox.append(
                Outgoing(port: item.isFloated ? 4500 : 500, bytes: (item.isFloated ? [0, 0, 0, 0] : []) + item.bytes))
        }
        ike.outbox.removeAll()
    }

    private func sendL2TP(_ message: [UInt8]) {
        if isInClear { return outbox.append(Outgoing(port: 1701, bytes: message)) }
        sendUDP(be16(l2tpPort) + be16(1701) + be16(8 + message.count) + [0, 0] + message)
    }

    /// Sends the payload of ESP, whatever is in it.
    func sendUDP(_ datagram: [UInt8], nextHeader: UInt8 = 17) {
        let ready = associations.last { $0.isReady } ?? associations.last
        guard let association = ready, let packet = codec.seal(datagram, by: association, nextHeader) else {
            return
        }
        if ike.isTranslated, !settings.natTraversal.floats {
            outbox.append(Outgoing(port: 500, bytes: Self.nonIKEMarker + packet))
        } else {
            outbox.append(Outgoing(port: ike.hasFloated ? 4500 : 0, bytes: packet))
        }
    }
}
