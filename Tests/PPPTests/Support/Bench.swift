import Cryptography
import Wire

@testable import PPP

/// A generator that gives the same numbers in every run: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// What a link under test was seen to send.
struct SentFrame: Equatable {
    var protocolNumber: UInt16
    var packet: ControlPacket
    var hasAddressAndControl: Bool

    init(_ bytes: [UInt8]) throws {
        let frame = try Frame(bytes.span.bytes)
        protocolNumber = frame.protocolNumber
        packet = try ControlPacket(parsing: frame.information)
        hasAddressAndControl = bytes.starts(with: [0xFF, 0x03])
    }

    var options: [ConfigureOption] { (try? ConfigureOption.parse(packet.body)) ?? [] }
}

/// A link on a bench: the test plays the client by hand, frame by frame, on a virtual clock.
struct Bench {
    static let assignment = AddressAssignment(
        address: IPv4Address(192, 168, 42, 10), localAddress: IPv4Address(192, 168, 42, 1),
        dns: [IPv4Address(9, 9, 9, 9)], nbns: [])
    static let password = SecretBytes(utf8: "clientPass")

    var link: PPPLink
    var generator = SeededGenerator(seed: 1)
    var now = Instant.zero + .seconds(1000)
    var events: [PPPEvent] = []

    init(_ change: (inout PPPConfiguration) -> Void = { _ in }) {
        var configuration = PPPConfiguration()
        change(&configuration)
        link = PPPLink(Shared(configuration))
    }

    mutating func start() -> [SentFrame] {
        link.start(now: now, using: &generator)
        return sent()
    }

    /// All frames that wait to be sent.
    mutating func sent() -> [SentFrame] {
        var frames: [SentFrame] = []
        var writer = ByteWriter()
        while link.pollTransmit(into: &writer) {
            if let frame = try? SentFrame(writer.bytes) { frames.append(frame) }
            writer.removeAll()
        }
        while let event = link.pollEvent() { events.append(event) }
        return frames
    }

    /// The client sends bytes as they are.
    mutating func receive(raw bytes: [UInt8]) -> [SentFrame] {
        link.receive(bytes.span.bytes, now: now, using: &generator)
        return sent()
    }

    /// The client sends a packet, in a frame as pppd makes it.
    @discardableResult
    mutating func receive(_ number: UInt16, _ code: UInt8, _ identifier: UInt8, _ body: [UInt8] = []) -> [SentFrame] {
        let packet = ControlPacket(code: code, identifier: identifier, body: body)
        return receive(raw: [0xFF, 0x03, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] + packet.bytes)
    }

    @discardableResult
    mutating func receiveRequest(
        _ number: UInt16 = PPPProtocol.lcp, _ identifier: UInt8 = 1, _ options: [ConfigureOption] = []
    ) -> [SentFrame] {
        receive(number, Code.configureRequest, identifier, ConfigureOption.encode(options))
    }

    /// Time passes; all that becomes due on the way is done at its time.
    @discardableResult
    mutating func advance(_ duration: Duration) -> [SentFrame] {
        var frames: [SentFrame] = []
        let end = now + duration
        var steps = 0
        while let due = link.nextDeadline, due <= end, steps < 10000 {
            now = max(now, due)
            link.handleTimeout(now: now, using: &generator)
            frames += sent()
            steps += 1
        }
        now = end
        return frames
    }

    /// LCP open, with the client's own request and our request acknowledged. Returns what was sent last: a Challenge.
    @discardableResult
    mutating func openLCP(_ options: [ConfigureOption] = []) -> [SentFrame] {
        guard let request = start().first else { return [] }
        receiveRequest(PPPProtocol.lcp, 1, options)
        return receive(PPPProtocol.lcp, Code.configureAck, request.packet.identifier, request.packet.body)
    }

    /// The user's answer to a CHAP Challenge.
    static func response(
        to challenge: ControlPacket, _ method: AuthenticationMethod, user: String = "User",
        password: SecretBytes = password
    ) -> [UInt8] {
        let value = Array(challenge.body.dropFirst().prefix(Int(challenge.body.first ?? 0)))
        let name = Array(user.utf8)
        if method == .chapMD5 {
            let digest = HashAlgorithm.md5.digest([challenge.identifier], [UInt8](copying: password.span), value)
            return [16] + digest + name
        }
        let peerChallenge = [UInt8](repeating: 0x5A, count: 16)
        let exchange = MSCHAPv2(authenticatorChallenge: value, peerChallenge: peerChallenge, userName: name)
        let ntResponse = (try? exchange.ntResponse(password: password)) ?? []
        return [49] + peerChallenge + [UInt8](repeating: 0, count: 8) + ntResponse + [0] + name
    }

    /// LCP open and the user's proof sent; the event `authenticate` is in `events`.
    mutating func prove(_ options: [ConfigureOption] = []) {
        guard let challenge = openLCP(options).last else { return }
        receive(
            challenge.protocolNumber, AuthenticationCode.chapResponse, challenge.packet.identifier,
            Self.response(to: challenge.packet, link.lcp.options.methods.first ?? .msChapV2))
    }

    /// The gateway says yes.
    @discardableResult
    mutating func accept(_ assignment: AddressAssignment = assignment) -> [SentFrame] {
        link.authenticated(.accepted(assignment, authenticatorResponse: "S=0123"), now: now)
        return sent()
    }

    /// The network phase, IPCP open.
    mutating func openNetwork(_ options: [ConfigureOption] = []) {
        prove(options)
        guard let request = accept().last else { return }
        receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
        receiveRequest(PPPProtocol.ipcp, 1, [ConfigureOption(3, uint32: Self.assignment.address.value)])
    }

    /// The reason in the event `ended`, if there was one; nil also when there were two.
    var endReason: PPPEndReason? {
        let reasons = events.compactMap { if case .ended(let reason) = $0 { reason } else { nil } }
        return reasons.count == 1 ? reasons[0] : nil
    }

    var networks: [PPPNetwork] { events.compactMap { if case .networkUp(let network) = $0 { network } else { nil } } }

    var users: [String] { events.compactMap { if case .authenticate(let user, _) = $0 { user } else { nil } } }
}
