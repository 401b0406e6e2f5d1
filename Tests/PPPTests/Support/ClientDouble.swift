import Cryptography
import Wire

@testable import PPP

/// A dialling client as its own small program, apart from the automaton under test: it asks until it is answered, agrees
/// to what it knows, and follows every Nak and Reject.
struct ClientDouble {
    /// One of its two negotiations.
    private struct Negotiation {
        let number: UInt16
        var wanted: [ConfigureOption]
        var identifier: UInt8 = 1
        var isAcknowledged = false
        var hasAcknowledged = false
        var lastRequest: ControlPacket?
        var isOpen: Bool { isAcknowledged && hasAcknowledged }
    }

    var password: SecretBytes
    var methodsAccepted: [AuthenticationMethod]
    private(set) var outbox: [[UInt8]] = []
    private(set) var nextDeadline: Instant?
    private(set) var isAuthenticated = false
    private(set) var isEnded = false
    private(set) var failureText: String?
    private var lcp: Negotiation
    private var ipcp = Negotiation(
        number: PPPProtocol.ipcp,
        wanted: [
            ConfigureOption(IPCPOptions.Option.compression, [0, 0x2D, 0x0F, 1]),
            ConfigureOption(IPCPOptions.Option.address, uint32: 0),
            ConfigureOption(IPCPOptions.Option.primaryDNS, uint32: 0),
            ConfigureOption(IPCPOptions.Option.secondaryDNS, uint32: 0),
        ])
    private var response: [UInt8]?
    private let userName: String

    init(user: String, password: SecretBytes, accepting methods: [AuthenticationMethod], magicNumber: UInt32) {
        (userName, self.password, methodsAccepted) = (user, password, methods)
        lcp = Negotiation(
            number: PPPProtocol.lcp,
            wanted: [
                ConfigureOption(LCPOptions.Option.mru, uint16: 1400),
                ConfigureOption(LCPOptions.Option.magicNumber, uint32: magicNumber),
                ConfigureOption(LCPOptions.Option.protocolCompression),
                ConfigureOption(LCPOptions.Option.addressCompression),
                ConfigureOption(LCPOptions.Option.callback, [6]),
            ])
    }

    /// The address that IPCP gave, once it is open.
    var address: IPv4Address? {
        guard ipcp.isOpen else { return nil }
        return ipcp.wanted.first { $0.type == IPCPOptions.Option.address }?.uint32.map { IPv4Address($0) }
    }

    mutating func takeOutbox() -> [[UInt8]] {
        defer { outbox = [] }
        return outbox
    }

    mutating func start(now: Instant) { handleTimeout(now: now) }

    /// Every three seconds, what is still unanswered is said again.
    mutating func handleTimeout(now: Instant) {
        guard !isEnded else { return nextDeadline = nil }
        nextDeadline = now + .seconds(3)
        if !lcp.isAcknowledged { ask(lcp) }
        if !isAuthenticated, let response, lcp.isOpen { outbox.append(response) }
        if isAuthenticated, !ipcp.isAcknowledged { ask(ipcp) }
    }

    mutating func hangUp() {
        send(PPPProtocol.lcp, ControlPacket(code: Code.terminateRequest, identifier: 200))
        isEnded = true
    }

    mutating func receive(_ bytes: [UInt8], now: Instant) throws {
        guard !isEnded else { return }
        let frame = try SentFrame(bytes)
        switch frame.protocolNumber {
        case PPPProtocol.lcp: receiveLCP(frame)
        case PPPProtocol.ipcp where isAuthenticated: Self.negotiate(&ipcp, frame, into: &outbox) { _ in nil }
        case PPPProtocol.chap, PPPProtocol.pap: receiveAuthentication(frame)
        default: break
        }
    }

    private mutating func receiveLCP(_ frame: SentFrame) {
        switch frame.packet.code {
        case Code.terminateRequest:
            send(PPPProtocol.lcp, ControlPacket(code: Code.terminateAck, identifier: frame.packet.identifier))
            isEnded = true
        case Code.echoRequest:
            guard lcp.isOpen else { return }
            send(
                PPPProtocol.lcp,
                ControlPacket(code: Code.echoReply, identifier: frame.packet.identifier, body: [0, 0, 0, 0]))
        default:
            let wasOpen = lcp.isOpen
            let accepted = methodsAccepted
            Self.negotiate(&lcp, frame, into: &outbox) { option in
                guard option.type == LCPOptions.Option.authentication,
                    !accepted.contains(where: { $0.optionData == option.data })
                else { return nil }
                return accepted.first.map { ConfigureOption(option.type, $0.optionData) }
            }
            if !wasOpen, lcp.isOpen, methodsAccepted == [.pap] { sendPAP() }
        }
    }

    private static func negotiate(
        _ negotiation: inout Negotiation, _ frame: SentFrame, into outbox: inout [[UInt8]],
        counterOffer: (ConfigureOption) -> ConfigureOption?
    ) {
        switch frame.packet.code {
        case Code.configureRequest:
            let wasOpen = negotiation.isOpen
            let counter = frame.options.compactMap(counterOffer)
            negotiation.hasAcknowledged = counter.isEmpty
            let body = counter.isEmpty ? frame.packet.body : ConfigureOption.encode(counter)
            let reply = ControlPacket(
                code: counter.isEmpty ? Code.configureAck : Code.configureNak, identifier: frame.packet.identifier,
                body: body)
            outbox.append(bytes(negotiation.number, reply))
            // A new request to an open end begins the negotiation anew (RFC 1661 section 4.1), a repeated one does not.
            if wasOpen, negotiation.lastRequest != frame.packet {
                negotiation.isAcknowledged = false
                negotiation.identifier &+= 1
                outbox.append(request(negotiation))
            }
            negotiation.lastRequest = frame.packet
        case Code.configureAck where frame.packet.identifier == negotiation.identifier:
            negotiation.isAcknowledged = true
        case Code.configureNak where frame.packet.identifier == negotiation.identifier:
            for option in frame.options {
                guard let index = negotiation.wanted.firstIndex(where: { $0.type == option.type }) else { continue }
                negotiation.wanted[index] = option
            }
            negotiation.identifier &+= 1
            outbox.append(request(negotiation))
        case Code.configureReject where frame.packet.identifier == negotiation.identifier:
            negotiation.wanted.removeAll(where: frame.options.contains)
            negotiation.identifier &+= 1
            outbox.append(request(negotiation))
        default: break
        }
    }

    private mutating func receiveAuthentication(_ frame: SentFrame) {
        guard lcp.isOpen else { return }
        let isPAP = frame.protocolNumber == PPPProtocol.pap
        switch (isPAP, frame.packet.code) {
        case (false, AuthenticationCode.chapChallenge):
            let method = methodsAccepted.first ?? .msChapV2
            let body = Bench.response(to: frame.packet, method, user: userName, password: password)
            let packet = ControlPacket(
                code: AuthenticationCode.chapResponse, identifier: frame.packet.identifier, body: body)
            response = Self.bytes(PPPProtocol.chap, packet)
            send(PPPProtocol.chap, packet)
        case (false, AuthenticationCode.chapSuccess), (true, AuthenticationCode.papAck):
            guard !isAuthenticated else { return }
            isAuthenticated = true
            ask(ipcp)
        case (false, AuthenticationCode.chapFailure), (true, AuthenticationCode.papNak):
            failureText = String(decoding: frame.packet.body, as: UTF8.self)
            hangUp()
        default: break
        }
    }

    private mutating func sendPAP() {
        let body =
            [UInt8(userName.utf8.count)] + Array(userName.utf8) + [UInt8(password.count)]
            + [UInt8](copying: password.span)
        let packet = ControlPacket(code: AuthenticationCode.papRequest, identifier: 1, body: body)
        response = Self.bytes(PPPProtocol.pap, packet)
        send(PPPProtocol.pap, packet)
    }

    private mutating func ask(_ negotiation: Negotiation) { outbox.append(Self.request(negotiation)) }

    private mutating func send(_ number: UInt16, _ packet: ControlPacket) { outbox.append(Self.bytes(number, packet)) }

    private static func request(_ negotiation: Negotiation) -> [UInt8] {
        bytes(
            negotiation.number,
            ControlPacket(
                code: Code.configureRequest, identifier: negotiation.identifier,
                body: ConfigureOption.encode(negotiation.wanted)))
    }

    private static func bytes(_ number: UInt16, _ packet: ControlPacket) -> [UInt8] {
        [0xFF, 0x03, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] + packet.bytes
    }
}
