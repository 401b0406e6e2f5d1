import Cryptography
import Testing
import Wire

@testable import PPP

/// A gateway's link and a client over a line that loses, repeats and delays frames, on a virtual clock and from a seed.
private struct Line {
    var link: PPPLink
    var client: ClientDouble
    var now = Instant.zero + .seconds(5000)
    var generator: SeededGenerator
    var lossPercent = 0
    var duplicatePercent = 0
    /// Frames overtake each other when this is more than 1.
    var delayMaximumMilliseconds = 1
    var events: [PPPEvent] = []
    var inFlight: [(at: Instant, bytes: [UInt8], isToLink: Bool)] = []
    private var steps = 0

    init(
        seed: UInt64, methods: [AuthenticationMethod] = [.msChapV2], password: SecretBytes = Bench.password,
        configuration: PPPConfiguration = PPPConfiguration()
    ) {
        generator = SeededGenerator(seed: seed)
        link = PPPLink(Shared(configuration))
        client = ClientDouble(
            user: "User", password: password, accepting: methods, magicNumber: UInt32(truncatingIfNeeded: seed) | 1)
    }

    mutating func dial() {
        link.start(now: now, using: &generator)
        client.start(now: now)
        carry()
    }

    mutating func hangUp() {
        client.hangUp()
        carry()
    }

    private mutating func put(_ bytes: [UInt8], isToLink: Bool) {
        let copies = Int.random(in: 0..<100, using: &generator) < duplicatePercent ? 2 : 1
        for _ in 0..<copies where Int.random(in: 0..<100, using: &generator) >= lossPercent {
            let delay = Duration.milliseconds(Int.random(in: 1...delayMaximumMilliseconds, using: &generator))
            inFlight.append((now + delay, bytes, isToLink))
        }
    }

    /// Takes what both ends want to send, and does what a gateway does with events.
    private mutating func carry() {
        while let event = link.pollEvent() {
            events.append(event)
            guard case .authenticate(_, let proof) = event else { continue }
            switch proof.verify(password: Bench.password) {
            case .accepted(let acceptance):
                let response = acceptance.authenticatorResponse
                link.authenticated(.accepted(Bench.assignment, authenticatorResponse: response), now: now)
            case .refused: link.authenticated(.refused(message: "Access denied"), now: now)
            }
        }
        var writer = ByteWriter()
        while link.pollTransmit(into: &writer) {
            put(writer.bytes, isToLink: false)
            writer.removeAll()
        }
        for bytes in client.takeOutbox() { put(bytes, isToLink: true) }
    }

    /// Goes from one happening to the next until `isDone`, or for as long as `limit`.
    mutating func run(_ limit: Duration, until isDone: (Line) -> Bool = { _ in false }) throws {
        let end = now + limit
        carry()
        while !isDone(self), steps < 100_000 {
            steps += 1
            let arrival = inFlight.indices.min { inFlight[$0].at < inFlight[$1].at }
            let timer = earliest(link.nextDeadline, client.nextDeadline)
            guard let next = earliest(arrival.map { inFlight[$0].at }, timer), next <= end else { break }
            now = max(now, next)
            if let arrival, inFlight[arrival].at <= now {
                let frame = inFlight.remove(at: arrival)
                if frame.isToLink {
                    link.receive(frame.bytes.span.bytes, now: now, using: &generator)
                } else {
                    try client.receive(frame.bytes, now: now)
                }
            } else {
                if let due = link.nextDeadline, due <= now { link.handleTimeout(now: now, using: &generator) }
                if let due = client.nextDeadline, due <= now { client.handleTimeout(now: now) }
            }
            carry()
        }
        if steps < 100_000, !isDone(self) { now = end }
    }

    var isUp: Bool { client.address != nil && networkCount > 0 }
    var networkCount: Int { events.count { if case .networkUp = $0 { true } else { false } } }
    var endReasons: [PPPEndReason] { events.compactMap { if case .ended(let reason) = $0 { reason } else { nil } } }
}

@Suite struct TwoObjectTests {
    @Test("a client dials in, by each method, in well under a second", arguments: AuthenticationMethod.allCases)
    func dialIn(method: AuthenticationMethod) throws {
        var line = Line(seed: 7, methods: [method])
        line.dial()
        try line.run(.seconds(1)) { $0.isUp }
        #expect(line.client.address == Bench.assignment.address)
        #expect(line.networkCount == 1)
        guard case .networkUp(let network)? = line.events.last else { throw Missing() }
        #expect(network.authenticationMethod == method)
        #expect(network.framing == PPPFraming(compressesAddressAndControl: true, compressesProtocol: true))
        #expect(line.link.drops.nonzero.isEmpty)
        // An hour of quiet: the echoes keep it.
        try line.run(.seconds(3600))
        #expect(line.endReasons.isEmpty)
        line.hangUp()
        try line.run(.seconds(10))
        #expect(line.endReasons == [.userHangUp])
    }

    @Test(
        "a wrong password: the client hears 691, the gateway knows who it was", arguments: AuthenticationMethod.allCases
    )
    func wrongPassword(method: AuthenticationMethod) throws {
        var line = Line(seed: 9, methods: [method], password: SecretBytes(utf8: "guess"))
        line.dial()
        try line.run(.seconds(10))
        let text = try #require(line.client.failureText)
        #expect(text.contains(method == .msChapV2 ? "E=691 R=0" : "Access denied"))
        #expect(line.endReasons == [.authenticationFailed(user: "User")])
        #expect(line.networkCount == 0)
    }

    @Test("through loss, repetition and reordering every dial-in gets through", arguments: 0..<200)
    func badLine(seed: Int) throws {
        var line = Line(seed: UInt64(seed), methods: [AuthenticationMethod.allCases[seed % 3]])
        line.lossPercent = seed % 4 * 10
        line.duplicatePercent = seed % 5 * 10
        line.delayMaximumMilliseconds = seed.isMultiple(of: 2) ? 20 : 900
        line.dial()
        try line.run(.seconds(100)) { $0.isUp || !$0.endReasons.isEmpty }
        let isUp = line.isUp
        #expect(isUp, "seed \(seed): \(line.link.phase) \(line.endReasons)")
        #expect(line.client.address == Bench.assignment.address)
        // The line heals: what was still under way does no harm, and the link stays.
        (line.lossPercent, line.duplicatePercent) = (0, 0)
        try line.run(.seconds(600))
        #expect(line.endReasons.isEmpty, "seed \(seed)")
    }

    @Test("a client that vanishes is given up within three minutes, one under way within its time limit")
    func vanished() throws {
        var line = Line(seed: 4)
        line.dial()
        try line.run(.seconds(1)) { $0.isUp }
        line.lossPercent = 100
        try line.run(.seconds(180))
        #expect(line.endReasons == [.peerSilent])
        for milliseconds in stride(from: 0, to: 200, by: 5) {
            var line = Line(seed: 4)
            line.dial()
            try line.run(.milliseconds(milliseconds)) { $0.isUp }
            line.lossPercent = 100
            try line.run(.seconds(180))
            #expect(line.endReasons.count == 1)
        }
    }
}
