import CertificateVectors
import Cryptography
import IKE
import Wire

/// Two gateways that dial each other on a virtual clock, each with a model of the data plane, and a bad line between them.
struct Pair {
    /// What a gateway does with the engine's events.
    struct Side {
        var engine: IKEEngine
        let endpoint: Endpoint
        /// SPIs of packets to us and, for each, that of packets back.
        var inbound: [UInt32: UInt32] = [:]
        /// SPIs of packets to the peer, the one in use last.
        var outbound: [UInt32] = []
        var nextSPI: UInt32
        var established: [PeerEstablished] = []
        var ready: [ChildSecurityAssociation] = []
        var refusals: [IKERefusal] = []
        var requests: [QuickModeRequest] = []
        var ended: [(spi: UInt32, reason: IKEEndReason)] = []
        var peersEnded = 0
        var unresponsive = 0
        var accepts = true
        /// Packets of the peer's that no SA here was for.
        var lostPackets = 0
        var receivedPackets = 0
        /// Kilobytes by inbound SPI, of the direction that carried more, where they are counted.
        var kilobytes: [UInt32: [UInt64]] = [:]

        /// The inbound SPI of the pair that packets go out by.
        var sending: UInt32? { outbound.last.flatMap { last in inbound.first { $0.value == last }?.key } }

        /// Every pair of SPIs, ours first.
        var pairs: Set<[UInt32]> { Set(inbound.map { [$0.key, $0.value] }) }
    }

    private enum Content {
        case message([UInt8], IKETransmit)
        case packet(UInt32)
    }

    private struct Flight {
        var arrival: Instant
        var target: Int
        var content: Content
        /// The generation of the NAT's mapping that it goes to or comes from.
        var mapping: Int
    }

    /// A message on its way.
    struct Held {
        var bytes: [UInt8]
        let transmit: IKETransmit
        let target: Int
    }

    /// Before side 0, with the address that side 1 sees: each mapping has ports of its own.
    struct Translation {
        var address = IPv4Address(203, 0, 113, 7)
        var mapping = 0

        func outside(_ port: UInt16, mapping: Int) -> Endpoint {
            Endpoint(address, port == 500 ? 20_000 + UInt16(mapping) : 30_000 + UInt16(mapping))
        }

        /// Where a packet to `endpoint` goes behind the NAT; nil where nothing is mapped to it any more.
        func inside(_ endpoint: Endpoint) -> UInt16? {
            let ports: [UInt16] = [500, 4500]
            return ports.first { outside($0, mapping: mapping) == endpoint }
        }
    }

    var sides: [Side]
    var now = Instant(nanoseconds: 1_000_000_000)
    var faults = World.Faults()
    /// A NAT before side 0.
    var translation: Translation?
    /// Whether side 0 acts on a peer that is gone as a client does, and side 1 on INITIAL-CONTACT as a gateway.
    var redials = false
    /// What each packet of the data path counts.
    var packetKilobytes: UInt64 = 0
    /// The outermost protocol of its packets.
    var packetProtocol = IPsecProtocol.encapsulatingSecurityPayload
    var trafficInterval: Duration?
    /// Whether a message gets through.
    var filter: (_ message: [UInt8], _ target: Int) -> Bool = { _, _ in true }
    var messages: [[UInt8]] = []
    /// The time at which certificates are looked at.
    var wallSeconds = CertificateVectors.time
    var performsWork = true
    /// Whether messages wait to be delivered by hand.
    var holdsMessages = false
    var held: [Held] = []
    private var nextTraffic: Instant?
    private var flights: [Flight] = []
    private var generator: SplitMix

    init(seed: UInt64 = 1, change: (inout IKEConfiguration, Int) -> Void = { _, _ in }) {
        generator = SplitMix(state: seed &* 77)
        sides = (0..<2).map { index in
            var configuration = IKEConfiguration(
                preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse")))
            configuration.policy.phaseOne.groups = [.curve25519, .ecp256]
            change(&configuration, index)
            return Side(
                engine: IKEEngine(configuration: configuration),
                endpoint: Endpoint(IPv4Address(192, 0, 2, UInt8(index + 1)), 500),
                nextSPI: index == 0 ? 0x1000 : 0x20_0000)
        }
    }

    func path(from side: Int) -> IKEPath {
        IKEPath(local: sides[side].endpoint, remote: sides[1 - side].endpoint)
    }

    mutating func settle(_ index: Int) {
        var isBusy = true
        while isBusy {
            isBusy = false
            while performsWork, let work = sides[index].engine.pollWork() {
                isBusy = true
                sides[index].engine.complete(work.perform(wallSeconds: wallSeconds), now: now, using: &generator)
            }
            while let event = sides[index].engine.pollEvent() {
                isBusy = true
                handle(event, index)
            }
        }
        var writer = ByteWriter()
        while let transmit = sides[index].engine.pollTransmit(into: &writer) {
            messages.append(writer.bytes)
            if holdsMessages {
                held.append(Held(bytes: writer.bytes, transmit: transmit, target: 1 - index))
            } else if filter(writer.bytes, 1 - index) {
                launch(.message(writer.bytes, transmit), to: 1 - index)
            }
            writer.removeAll()
        }
    }

    private mutating func handle(_ event: IKEEvent, _ index: Int) {
        switch event {
        case .peerEstablished(let peer): sides[index].established.append(peer)
        case .quickModeRequested(let request):
            sides[index].requests.append(request)
            guard sides[index].accepts || request.role == .initiator else {
                return sides[index].engine.refuse(request.id, now: now, using: &generator)
            }
            sides[index].nextSPI += 1
            sides[index].engine.accept(request.id, inboundSPI: sides[index].nextSPI, now: now, using: &generator)
        case .securityAssociationReady(let child):
            sides[index].ready.append(child)
            sides[index].inbound[child.inboundSPI] = child.outboundSPI
        case .securityAssociationConfirmed(_, let spi):
            guard let outbound = sides[index].inbound[spi] else { return }
            sides[index].outbound.removeAll { $0 == outbound }
            sides[index].outbound.append(outbound)
        case .securityAssociationDeleted(_, let spi, let reason):
            sides[index].ended.append((spi, reason))
            let outbound = sides[index].inbound.removeValue(forKey: spi)
            sides[index].outbound.removeAll { $0 == outbound }
        case .peerEnded: sides[index].peersEnded += 1
        case .peerUnresponsive(let peer):
            sides[index].unresponsive += 1
            if redials, index == 0 { giveUp(peer) }
        case .initialContact(let peer):
            guard redials else { return }
            let old = sides[index].ready.filter { $0.peer == peer && sides[index].inbound[$0.inboundSPI] != nil }
            for child in old {
                sides[index].engine.deleteSecurityAssociation(
                    inboundSPI: child.inboundSPI, now: now, using: &generator)
            }
        case .refused(let refusal): sides[index].refusals.append(refusal)
        default: break
        }
    }

    private mutating func launch(_ content: Content, to target: Int) {
        let draw = { (generator: inout SplitMix) in Double.random(in: 0..<1, using: &generator) }
        let mapping = translation?.mapping ?? 0
        // Packets of the data path are all to arrive: it is their SAs that are looked at.
        if case .packet = content {
            return flights.append(
                Flight(arrival: now + .milliseconds(10), target: target, content: content, mapping: mapping))
        }
        if draw(&generator) < faults.loss { return }
        for _ in 0..<(draw(&generator) < faults.duplication ? 2 : 1) {
            let delay = draw(&generator) < faults.reordering ? Int.random(in: 10...1500, using: &generator) : 10
            flights.append(
                Flight(arrival: now + .milliseconds(delay), target: target, content: content, mapping: mapping))
        }
    }

    private mutating func arrive(_ flight: Flight) {
        let index = flight.target
        switch flight.content {
        case .message(let bytes, let transmit):
            guard let (remote, local) = translated(transmit, flight) else { return }
            sides[index].engine.receive(bytes.span.bytes, from: remote, to: local, now: now, using: &generator)
            settle(index)
        case .packet(let spi):
            guard let child = sides[index].ready.last(where: { $0.inboundSPI == spi }),
                sides[index].inbound[spi] != nil
            else {
                sides[index].lostPackets += 1
                let source = translation.flatMap { index == 1 ? $0.outside(4500, mapping: flight.mapping) : nil }
                sides[index].engine.noteUnknownSPI(
                    spi, of: packetProtocol, from: source ?? sides[1 - index].endpoint, now: now,
                    using: &generator)
                return settle(index)
            }
            sides[index].receivedPackets += 1
            sides[index].engine.noteInboundTraffic(spi: spi)
            sides[index].engine.noteAlive(child.peer, now: now)
            if let translation, index == 1 {
                let path = IKEPath(
                    local: Endpoint(address: sides[1].endpoint.address, port: 4500),
                    remote: translation.outside(4500, mapping: flight.mapping))
                sides[1].engine.peerMoved(child.peer, to: path, now: now)
            }
            countPacket(index, spi, direction: 0)
            settle(index)
        }
    }

    /// Delivers a message, as if from `remote` where that is given.
    mutating func deliver(_ held: Held, from remote: Endpoint? = nil) {
        let flight = Flight(
            arrival: now, target: held.target, content: .message(held.bytes, held.transmit),
            mapping: translation?.mapping ?? 0)
        guard let (source, local) = translated(held.transmit, flight) else { return }
        sides[held.target].engine.receive(
            held.bytes.span.bytes, from: remote ?? source, to: local, now: now, using: &generator)
        settle(held.target)
    }

    /// From and to where a message comes in behind the NAT or before it; nil where its mapping is gone.
    private func translated(_ transmit: IKETransmit, _ flight: Flight) -> (remote: Endpoint, local: Endpoint)? {
        guard let translation else { return (transmit.local, transmit.remote) }
        guard flight.target == 0 else {
            return (translation.outside(transmit.local.port, mapping: flight.mapping), transmit.remote)
        }
        guard let port = translation.inside(transmit.remote) else { return nil }
        return (transmit.local, Endpoint(address: sides[0].endpoint.address, port: port))
    }

    private mutating func countPacket(_ index: Int, _ spi: UInt32, direction: Int) {
        guard packetKilobytes > 0 else { return }
        sides[index].kilobytes[spi, default: [0, 0]][direction] += packetKilobytes
        noteVolume(index, spi: spi, kilobytes: sides[index].kilobytes[spi]?.max() ?? 0)
    }

    mutating func run(for duration: Duration) {
        let end = now + duration
        for index in 0..<2 { settle(index) }
        while true {
            let deadline = earliest(sides[0].engine.nextDeadline, sides[1].engine.nextDeadline)
            guard let next = earliest(earliest(flights.map(\.arrival).min(), deadline), nextTraffic), next <= end else {
                break
            }
            now = max(now, next)
            if let position = flights.indices.filter({ flights[$0].arrival <= now }).min(by: {
                flights[$0].arrival < flights[$1].arrival
            }) {
                arrive(flights.remove(at: position))
                continue
            }
            if let due = nextTraffic, due <= now {
                nextTraffic = trafficInterval.map { now + $0 }
                for index in 0..<2 {
                    guard let spi = sides[index].outbound.last else { continue }
                    launch(.packet(spi), to: 1 - index)
                    if let inbound = sides[index].sending { countPacket(index, inbound, direction: 1) }
                }
            }
            for index in 0..<2 {
                sides[index].engine.handleTimeout(now: now, using: &generator)
                settle(index)
            }
        }
        now = end
    }

    mutating func startTraffic(_ interval: Duration) {
        trafficInterval = interval
        nextTraffic = now
    }

    mutating func initiate(from side: Int = 0, change: (inout IKEInitiation) -> Void = { _ in }) -> UInt64? {
        var initiation = IKEInitiation(path(from: side))
        change(&initiation)
        let cookie = sides[side].engine.initiate(to: initiation, now: now, using: &generator)
        settle(side)
        return cookie
    }

    @discardableResult
    mutating func quickMode(from side: Int = 0, change: (inout QuickModeProposal) -> Void = { _ in }) -> QuickModeID? {
        guard let peer = sides[side].established.last?.peer else { return nil }
        var proposal = QuickModeProposal()
        change(&proposal)
        let id = sides[side].engine.initiateQuickMode(peer, proposal, now: now, using: &generator)
        settle(side)
        return id
    }

    /// Asks a side to replace the pair that it sends by.
    mutating func rekey(_ side: Int) {
        guard let spi = sides[side].sending else { return }
        sides[side].engine.rekey(inboundSPI: spi, now: now, using: &generator)
        settle(side)
    }

    mutating func noteVolume(_ side: Int, spi: UInt32, kilobytes: UInt64) {
        sides[side].engine.noteVolume(inboundSPI: spi, kilobytes: kilobytes, now: now, using: &generator)
        settle(side)
    }

    mutating func stopTraffic() { (trafficInterval, nextTraffic) = (nil, nil) }

    /// The NAT forgets its mappings and makes others.
    mutating func rebind() { translation?.mapping += 1 }

    /// A side has lost all that it knew, and begins with `configuration`.
    mutating func restart(_ side: Int, _ configuration: IKEConfiguration) {
        sides[side].engine = IKEEngine(configuration: configuration)
        (sides[side].inbound, sides[side].outbound) = ([:], [])
        (sides[side].established, sides[side].ready) = ([], [])
    }

    /// Side 0 takes its peer for dead, and will have to dial again.
    private mutating func giveUp(_ peer: PeerID) {
        sides[0].engine.forget(peer)
        (sides[0].inbound, sides[0].outbound, sides[0].established) = ([:], [], [])
    }

    /// A side ends one pair of SAs.
    mutating func hangUp(_ side: Int, spi: UInt32) {
        sides[side].engine.deleteSecurityAssociation(inboundSPI: spi, now: now, using: &generator)
        settle(side)
    }

    mutating func close(_ side: Int) {
        for peer in Set(sides[side].established.map(\.peer)) {
            sides[side].engine.deletePeer(peer, now: now, using: &generator)
        }
        settle(side)
    }

    mutating func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    /// Phase 1 and quick mode, tried until both work.
    mutating func connect(
        change: (inout IKEInitiation) -> Void = { _ in }, quick: (inout QuickModeProposal) -> Void = { _ in }
    ) {
        for _ in 0..<10 where sides[0].established.isEmpty || sides[1].established.isEmpty {
            _ = initiate(change: change)
            run(for: .seconds(35))
        }
        for _ in 0..<10 where sides[0].outbound.isEmpty || sides[1].outbound.isEmpty {
            quickMode(change: quick)
            run(for: .seconds(35))
        }
    }

    /// Whether both sides have the same pairs of SAs with the same keys, and each sends by one that the other has.
    var isMirrored: Bool {
        let swapped = Set(sides[1].pairs.map { [$0[1], $0[0]] })
        guard sides[0].pairs == swapped, !swapped.isEmpty else { return false }
        guard let first = sides[0].outbound.last, let second = sides[1].outbound.last else { return false }
        return sides[1].inbound[first] != nil && sides[0].inbound[second] != nil
    }

    /// Whether the keys of every pair that both sides have had are the same.
    var keysAgree: Bool {
        let material = { (keys: ChildKeys) in
            bytes(of: keys.encryption) + bytes(of: keys.salt) + bytes(of: keys.authentication)
        }
        return sides[0].ready.allSatisfy { child in
            guard let other = sides[1].ready.first(where: { $0.inboundSPI == child.outboundSPI }) else { return true }
            return child.protections.map { material($0.inboundKeys) }
                == other.protections.map { material($0.outboundKeys) }
                && child.protections.map { material($0.outboundKeys) }
                    == other.protections.map { material($0.inboundKeys) }
                && child.suite == other.suite && child.mode == other.mode
                && child.encapsulation == other.encapsulation && child.role != other.role
        }
    }
}
