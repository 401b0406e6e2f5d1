import CertificateVectors
import Cryptography
import IKE
import Wire

/// The gateway and one client on a virtual clock, with a network between them that may lose, double and reorder.
struct World {
    struct Faults {
        var loss = 0.0
        var duplication = 0.0
        var reordering = 0.0
    }

    private struct Flight {
        var arrival: Instant
        var toGateway: Bool
        var bytes: [UInt8]
        var floated: Bool
    }

    var engine: IKEEngine
    var client: TestInitiator
    var now = Instant(nanoseconds: 1_000_000_000)
    /// Where the gateway sees the client, before and after the float to port 4500.
    var outer = Endpoint(allowedAddress, 500)
    var outerFloated = Endpoint(allowedAddress, 4500)
    /// Where the gateway's packets arrive: its own address behind a NAT.
    var gateway = gatewayAddress
    var faults = Faults()
    var acceptsQuickModes = true
    var performsWork = true
    /// What OCSP responders say.
    var responder: (IKEStatusQuestion) -> IKEStatusAnswer = { _ in .none(.noAnswer("nobody is there to ask")) }
    /// Whether they take for ever to say it.
    var holdsInquiries = false
    /// What they were asked.
    var inquiries: [IKEStatusInquiry] = []
    /// The time at which certificates are looked at.
    var wallSeconds = CertificateVectors.time
    /// What the client makes of a message: its fragments.
    var cut: ([UInt8]) -> [[UInt8]] = { [$0] }
    var events: [IKEEvent] = []
    var sent: [(bytes: [UInt8], transmit: IKETransmit)] = []
    /// What the client has sent.
    var recorded: [(bytes: [UInt8], floated: Bool)] = []
    private var flights: [Flight] = []
    private var fragments: [[UInt8]: [Int: [UInt8]]] = [:]
    private var lastFragments: [[UInt8]: Int] = [:]
    private var generator: SplitMix
    private var nextSPI: UInt32 = 0x1000

    init(
        profile: IKEProfile = .default, settings: TestInitiator.Settings = .init(),
        preSharedKey: String = "correct horse",
        seed: UInt64 = 7, change: (inout IKEConfiguration) -> Void = { _ in }
    ) {
        var configuration = IKEConfiguration(
            profile: profile, preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: preSharedKey)))
        change(&configuration)
        engine = IKEEngine(configuration: configuration)
        client = TestInitiator(settings, seed: seed &+ 1000)
        generator = SplitMix(state: seed)
    }

    /// A client behind a NAT that gives it these ports.
    mutating func translate(port: UInt16 = 40500, floated: UInt16 = 44500) {
        client.settings.own = Endpoint(IPv4Address(10, 0, 0, 2), 500)
        client.settings.identity = [1, 17, 1, 244, 10, 0, 0, 2]
        outer = Endpoint(allowedAddress, port)
        outerFloated = Endpoint(allowedAddress, floated)
    }

    /// Hands bytes to the gateway and collects what comes out, without the network.
    mutating func deliver(_ bytes: [UInt8], from remote: Endpoint? = nil, floated: Bool = false) {
        engine.receive(
            bytes.span.bytes, from: remote ?? (floated ? outerFloated : outer),
            to: Endpoint(gateway, floated ? 4500 : 500), now: now, using: &generator)
        settle()
    }

    /// Runs the gateway's work and fetches its output, until nothing is left.
    mutating func settle() {
        while performsWork, let work = engine.pollWork() { perform(work) }
        while let event = engine.pollEvent() {
            events.append(event)
            if case .quickModeRequested(let request) = event, acceptsQuickModes {
                nextSPI += 1
                engine.accept(request.id, inboundSPI: nextSPI, now: now, using: &generator)
                while performsWork, let work = engine.pollWork() { perform(work) }
            }
        }
        var writer = ByteWriter()
        while let transmit = engine.pollTransmit(into: &writer) {
            sent.append((writer.bytes, transmit))
            if transmit.remote.address == outer.address {
                launch(writer.bytes, toGateway: false, floated: transmit.local.port == 4500)
            }
            writer.removeAll()
        }
    }

    /// Does a piece of work, and has OCSP responders asked for it.
    private mutating func perform(_ work: IKEWork) {
        switch work.begin(wallSeconds: wallSeconds) {
        case .done(let result): engine.complete(result, now: now, using: &generator)
        case .ask(let inquiry):
            inquiries.append(inquiry)
            guard !holdsInquiries else { return }
            let conclusion = inquiry.conclude(inquiry.questions.map(responder), wallSeconds: wallSeconds)
            engine.complete(conclusion.result, now: now, using: &generator)
        }
    }

    private mutating func launch(_ bytes: [UInt8], toGateway: Bool, floated: Bool) {
        let draw = { (generator: inout SplitMix) in Double.random(in: 0..<1, using: &generator) }
        if draw(&generator) < faults.loss { return }
        let copies = draw(&generator) < faults.duplication ? 2 : 1
        for _ in 0..<copies {
            let delay = draw(&generator) < faults.reordering ? Int.random(in: 10...2500, using: &generator) : 10
            flights.append(
                Flight(
                    arrival: now + .milliseconds(delay), toGateway: toGateway, bytes: bytes, floated: floated))
        }
    }

    /// The message that a datagram to the client is, or completes.
    private mutating func whole(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count > 36, bytes[16] == 132 else { return bytes }
        let (id, number, isLast) = (Array(bytes[32..<34]), Int(bytes[34]), bytes[35] == 1)
        if isLast { lastFragments[id] = number }
        fragments[id, default: [:]][number] = Array(bytes.dropFirst(36))
        guard let last = lastFragments[id], fragments[id]?.count == last else { return nil }
        defer { fragments[id] = nil }
        return (1...last).flatMap { fragments[id]?[$0] ?? [] }
    }

    /// Moves the clock to where something happens, until `duration` is over.
    mutating func run(for duration: Duration) {
        let end = now + duration
        while true {
            for item in client.outbox {
                for bytes in cut(item.bytes) { launch(bytes, toGateway: true, floated: item.floated) }
            }
            recorded += client.outbox
            client.outbox.removeAll()
            let arrival = flights.map(\.arrival).min()
            guard let next = earliest(earliest(arrival, client.nextDeadline), engine.nextDeadline), next <= end else {
                break
            }
            now = max(now, next)
            if let index = flights.firstIndex(where: { $0.arrival <= now }) {
                let flight = flights.remove(at: index)
                if flight.toGateway {
                    deliver(flight.bytes, floated: flight.floated)
                } else {
                    if let bytes = whole(flight.bytes) { client.receive(bytes, now: now) }
                }
                continue
            }
            client.handleTimeout(now: now)
            engine.handleTimeout(now: now, using: &generator)
            settle()
        }
        now = end
        engine.handleTimeout(now: now, using: &generator)
        settle()
    }

    /// Main mode and, if it worked, quick mode.
    mutating func dialIn(main: Duration = .seconds(3), quick: Duration = .seconds(3)) {
        client.start(now: now)
        run(for: main)
        guard client.phase == .established else { return }
        client.startQuickMode(now: now)
        run(for: quick)
    }

    // What happened.

    var established: [PeerEstablished] {
        events.compactMap { if case .peerEstablished(let value) = $0 { value } else { nil } }
    }
    var ready: [ChildSecurityAssociation] {
        events.compactMap { if case .securityAssociationReady(let value) = $0 { value } else { nil } }
    }
    var confirmed: [UInt32] {
        events.compactMap { if case .securityAssociationConfirmed(_, let spi) = $0 { spi } else { nil } }
    }
    var refusals: [IKERefusal] { events.compactMap { if case .refused(let value) = $0 { value } else { nil } } }
    var requests: [QuickModeRequest] {
        events.compactMap { if case .quickModeRequested(let value) = $0 { value } else { nil } }
    }
    var ended: [IKEEndReason] {
        events.compactMap { if case .securityAssociationDeleted(_, _, let reason) = $0 { reason } else { nil } }
    }
    var ikeEnded: [IKEEndReason] {
        events.compactMap { if case .ikeSecurityAssociationEnded(_, _, let reason) = $0 { reason } else { nil } }
    }
    var moves: [IKEPath] { events.compactMap { if case .peerMoved(_, let path) = $0 { path } else { nil } } }
    var initialContacts: Int { events.reduce(0) { if case .initialContact = $1 { $0 + 1 } else { $0 } } }
    var peersEnded: Int { events.reduce(0) { if case .peerEnded = $1 { $0 + 1 } else { $0 } } }

    /// Whether both ends have the same keys for the newest pair of IPsec SAs.
    var keysAgree: Bool {
        guard let ours = ready.last, let theirs = client.children.last else { return false }
        let material = { (keys: ChildKeys) in
            bytes(of: keys.encryption) + bytes(of: keys.salt) + bytes(of: keys.authentication)
        }
        guard !ours.protections.isEmpty, ours.protections.count == theirs.keys.count else { return false }
        return zip(ours.protections, theirs.keys).allSatisfy { ours, theirs in
            let (inbound, outbound) = (material(ours.inboundKeys), material(ours.outboundKeys))
            return ours.ipsecProtocol.rawValue == theirs.protocolID && !inbound.isEmpty
                && theirs.outbound.starts(with: inbound) && theirs.inbound.starts(with: outbound)
        }
            && UInt32(theirs.outboundSPI) == ours.inboundSPI && UInt32(theirs.inboundSPI) == ours.outboundSPI
    }
}

extension UInt32 {
    init(_ octets: [UInt8]) { self = octets.reduce(0) { $0 << 8 | UInt32($1) } }
}
