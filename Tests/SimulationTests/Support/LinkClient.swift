import Cryptography
import Wire

/// PPP as a client speaks it (RFC 1661, 1994, 2759, 1332): it asks until it is answered, agrees to what it knows, and
/// follows every Nak and Reject.
struct LinkClient {
    private struct Negotiation {
        let number: Int
        var wanted: [(type: UInt8, data: [UInt8])]
        var identifier: UInt8 = 1
        var isAcknowledged = false
        var hasAcknowledged = false
        var isOpen: Bool { isAcknowledged && hasAcknowledged }
    }

    /// How it can prove who it is: by CHAP, with MS-CHAPv2's algorithm (RFC 2759 section 4).
    private static let authentication: [UInt8] = [0xc2, 0x23, 0x81]

    enum Stage { case establish, authenticate, network, up, ended }

    let user: String
    let password: String
    var outbox: [[UInt8]] = []
    private(set) var stage = Stage.establish
    private(set) var wasRefused = false
    /// A Terminate-Request came.
    private(set) var wasTerminated = false
    /// Whether the gateway proved to know the password too (RFC 2759 section 5).
    private(set) var isServerProven = false
    private(set) var nextDeadline: Instant?
    /// How often it asks whether the gateway is there.
    var echoInterval = Duration.seconds(10)
    private(set) var echoesUnanswered = 0
    private var lcp: Negotiation
    private var ipcp = Negotiation(
        number: 0x8021, wanted: [(3, [0, 0, 0, 0]), (129, [0, 0, 0, 0]), (131, [0, 0, 0, 0])])
    private var response: [UInt8]?
    private var expectedProof = ""
    private var identifier: UInt8 = 100
    private var nextEcho = Instant.zero
    private let magicNumber: [UInt8]

    init(user: String, password: String, mruBytes: Int = 1400, compresses: Bool = false, magicNumber: [UInt8]) {
        (self.user, self.password, self.magicNumber) = (user, password, magicNumber)
        lcp = Negotiation(number: 0xc021, wanted: [(1, be16(mruBytes)), (5, magicNumber)])
        if compresses { lcp.wanted += [(7, []), (8, [])] }
    }

    /// The address that IPCP gave, once it is open.
    var address: IPv4Address? {
        guard stage == .up else { return nil }
        return ipcp.wanted.first { $0.type == 3 }.map { IPv4Address(UInt32(number($0.data))) }
    }

    mutating func start(now: Instant) { handleTimeout(now: now) }

    /// What is still unanswered is said again; an open link is asked whether the gateway is there.
    mutating func handleTimeout(now: Instant) {
        guard stage != .ended else { return nextDeadline = nil }
        if let nextDeadline, nextDeadline > now { return }
        nextDeadline = now + .seconds(2)
        if !lcp.isAcknowledged { ask(lcp) }
        if stage == .authenticate, let response { outbox.append(response) }
        if stage == .network, !ipcp.isAcknowledged { ask(ipcp) }
        if stage == .up {
            nextDeadline = nextEcho
            guard nextEcho <= now else { return }
            nextEcho = now + echoInterval
            nextDeadline = nextEcho
            echoesUnanswered += 1
            if echoesUnanswered > 4 { return end() }
            identifier &+= 1
            send(0xc021, 9, identifier, magicNumber)
        }
    }

    private mutating func end() { (stage, nextDeadline) = (.ended, nil) }

    mutating func hangUp() {
        send(0xc021, 5, 200, [])
        end()
    }

    mutating func receive(_ bytes: [UInt8], now: Instant) {
        var at = bytes.starts(with: [0xff, 3]) ? 2 : 0
        guard bytes.count >= at + 6 else { return }
        let number = number16(bytes, at)
        at += 2
        let length = number16(bytes, at + 2)
        guard length >= 4, at + length <= bytes.count else { return }
        let (code, identifier, body) = (bytes[at], bytes[at + 1], Array(bytes[(at + 4)..<(at + length)]))
        echoesUnanswered = 0
        let before = stage
        switch number {
        case 0xc021: receiveLCP(code, identifier, body, now: now)
        case 0xc223: receiveCHAP(code, identifier, body)
        case 0x8021 where stage == .network || stage == .up: Self.negotiate(&ipcp, code, identifier, body, &outbox)
        default: break
        }
        if stage == .network, ipcp.isOpen {
            stage = .up
            nextEcho = now + echoInterval
        }
        if stage != before { nextDeadline = stage == .ended ? nil : stage == .up ? nextEcho : now + .seconds(2) }
    }

    private func number16(_ bytes: [UInt8], _ at: Int) -> Int { Int(bytes[at]) << 8 | Int(bytes[at + 1]) }

    private mutating func receiveLCP(_ code: UInt8, _ identifier: UInt8, _ body: [UInt8], now: Instant) {
        switch code {
        case 5:
            send(0xc021, 6, identifier, [])
            wasTerminated = true
            end()
        case 9: send(0xc021, 10, identifier, magicNumber)
        case 10: break
        case 1 where Self.options(body).contains { $0.type == 3 && $0.data != Self.authentication }:
            send(0xc021, 3, identifier, [3, 5] + Self.authentication)
        default:
            guard stage != .ended else { return }
            let wasOpen = lcp.isOpen
            Self.negotiate(&lcp, code, identifier, body, &outbox)
            if code == 1, wasOpen {
                // The gateway begins anew (RFC 1661 section 4.1), unless it only repeats itself before we heard of it.
                guard stage == .up || stage == .network else { return }
                lcp.isAcknowledged = false
                lcp.identifier &+= 1
                ipcp.isAcknowledged = false
                ipcp.hasAcknowledged = false
                stage = .establish
                ask(lcp)
            }
            if stage == .establish, lcp.isOpen { stage = .authenticate }
        }
    }

    private mutating func receiveCHAP(_ code: UInt8, _ identifier: UInt8, _ body: [UInt8]) {
        guard stage != .ended else { return }
        switch code {
        case 1:
            guard lcp.isOpen, let count = body.first, body.count > Int(count) else { return }
            let peer = [UInt8](repeating: 0x5a, count: 16)
            let exchange = MSCHAPv2(
                authenticatorChallenge: Array(body[1...Int(count)]), peerChallenge: peer, userName: Array(user.utf8))
            let hash = MSCHAPv2.ntPasswordHash(SecretBytes(utf8: password))
            guard let answer = try? exchange.ntResponse(passwordHash: hash) else { return }
            expectedProof = exchange.authenticatorResponse(passwordHash: hash, ntResponse: answer)
            let value = peer + [UInt8](repeating: 0, count: 8) + answer + [0]
            response = frame(0xc223, 2, identifier, [UInt8(value.count)] + value + Array(user.utf8))
            if let response { outbox.append(response) }
        case 3 where stage == .authenticate:
            isServerProven = String(decoding: body, as: UTF8.self).hasPrefix(expectedProof) && !expectedProof.isEmpty
            guard isServerProven else { return }
            stage = .network
            ask(ipcp)
        case 4:
            wasRefused = true
            hangUp()
        default: break
        }
    }

    private static func options(_ body: [UInt8]) -> [(type: UInt8, data: [UInt8])] {
        var result: [(UInt8, [UInt8])] = []
        var at = 0
        while at + 2 <= body.count, body[at + 1] >= 2, at + Int(body[at + 1]) <= body.count {
            result.append((body[at], Array(body[(at + 2)..<(at + Int(body[at + 1]))])))
            at += Int(body[at + 1])
        }
        return result
    }

    private static func negotiate(
        _ negotiation: inout Negotiation, _ code: UInt8, _ identifier: UInt8, _ body: [UInt8], _ outbox: inout [[UInt8]]
    ) {
        switch code {
        case 1:
            negotiation.hasAcknowledged = true
            outbox.append(packet(negotiation.number, 2, identifier, body))
        case 2 where identifier == negotiation.identifier: negotiation.isAcknowledged = true
        case 3 where identifier == negotiation.identifier:
            for option in options(body) {
                guard let index = negotiation.wanted.firstIndex(where: { $0.type == option.type }) else { continue }
                negotiation.wanted[index] = option
            }
            negotiation.identifier &+= 1
            outbox.append(request(negotiation))
        case 4 where identifier == negotiation.identifier:
            let rejected = options(body).map(\.type)
            negotiation.wanted.removeAll { rejected.contains($0.type) }
            negotiation.identifier &+= 1
            outbox.append(request(negotiation))
        default: break
        }
    }

    private static func request(_ negotiation: Negotiation) -> [UInt8] {
        packet(
            negotiation.number, 1, negotiation.identifier,
            negotiation.wanted.flatMap { [$0.type, UInt8($0.data.count + 2)] + $0.data })
    }

    private static func packet(_ number: Int, _ code: UInt8, _ identifier: UInt8, _ body: [UInt8]) -> [UInt8] {
        [0xff, 3] + be16(number) + [code, identifier] + be16(4 + body.count) + body
    }

    private mutating func ask(_ negotiation: Negotiation) { outbox.append(Self.request(negotiation)) }

    func frame(_ number: Int, _ code: UInt8, _ identifier: UInt8, _ body: [UInt8]) -> [UInt8] {
        Self.packet(number, code, identifier, body)
    }

    private mutating func send(_ number: Int, _ code: UInt8, _ identifier: UInt8, _ body: [UInt8]) {
        outbox.append(frame(number, code, identifier, body))
    }
}
