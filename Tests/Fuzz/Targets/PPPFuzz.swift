import Cryptography
import Wire

@testable import PPP
@testable import PPPTests

/// Frames into a link, in each phase and with each way to authenticate: nobody gets in without the gateway's word, and
/// every link that falls silent ends.
enum PPPFuzz {
    private static let recordsMaximum = 64

    fileprivate enum Kind {
        static let mask: UInt8 = 7
        static let raw: UInt8 = 0
        static let packet: UInt8 = 1
        static let echoesRequest: UInt8 = 2
        static let proof: UInt8 = 3
        static let decision: UInt8 = 4
        static let time: UInt8 = 5
        static let hangUp: UInt8 = 6
        static let activity: UInt8 = 7
        static let isShort: UInt8 = 8
        static let matches: UInt8 = 16
        static let wrongLength: UInt8 = 32
    }

    fileprivate static let protocols: [UInt16] = [
        PPPProtocol.lcp, PPPProtocol.ipcp, PPPProtocol.chap, PPPProtocol.pap, PPPProtocol.ccp, PPPProtocol.ipv6cp,
        PPPProtocol.eap, PPPProtocol.ipv4,
    ]

    private enum Stage: UInt8, CaseIterable {
        case started
        case authenticating
        case deciding
        case open
    }

    /// A link in each stage, for each method. Made once, and copied for each input.
    private static let benches: [Bench] = AuthenticationMethod.allCases.flatMap { method in
        Stage.allCases.map { stage in
            var bench = Bench {
                $0.authenticationMethods = [method] + AuthenticationMethod.allCases.filter { $0 != method }
            }
            switch stage {
            case .started: _ = bench.start()
            case .authenticating: bench.openLCP()
            case .deciding, .open:
                if method == .pap {
                    bench.openLCP()
                    bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 1, proofPAP)
                } else {
                    bench.prove()
                }
                guard stage == .open, let request = bench.accept().last else { break }
                bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
                bench.receiveRequest(PPPProtocol.ipcp, 1, [ConfigureOption(3, uint32: Bench.assignment.address.value)])
                require(bench.networks.count == 1, "the template is open")
            }
            return bench
        }
    }

    fileprivate static let proofPAP: [UInt8] = [4] + Array("User".utf8) + [10] + Array("clientPass".utf8)

    fileprivate struct Play {
        var link: PPPLink
        var generator = SeededRandom()
        var now: Instant
        var user: String?
        var isAccepted = false
        var isNetworkUp = false
        var isEnded = false
        var asked = 0
        /// What was sent last in each protocol.
        var last: [UInt16: ControlPacket] = [:]
    }

    static func run(_ input: Script) {
        var input = input
        var play = Play(benches[Int(input.byte()) % benches.count])
        var records = 0
        while !input.isAtEnd, records < recordsMaximum {
            records += 1
            play.step(&input)
        }
        play.pass(.seconds(3600))
        // An open link whose peer refuses Echo-Requests is left to L2TP's HELLO.
        let isLeftToL2TP = play.isNetworkUp && play.link.drops[.refusalNoted] > 0
        require(play.isEnded || isLeftToL2TP, "a silent link ends, in \(play.link.phase)")
        require(play.link.nextDeadline == nil, "nothing is left to wait for")
    }

    // MARK: - Seeds

    static var seeds: [(name: String, bytes: [UInt8])] {
        let windows: [UInt8] = [1, 4, 5, 120, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2, 13, 3, 6]
        let network: [UInt8] = [3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0, 130, 6, 0, 0, 0, 0, 2, 6, 0, 45, 15, 1]
        let naks: [UInt8] = [3, 4, 0xc0, 0x23, 1, 4, 2, 0]
        let lcp: [(UInt8, [UInt8])] = [
            (1, windows), (3, naks), (4, [5, 6, 0, 0, 0, 0]), (5, []), (7, [9, 1, 0, 4]),
            (8, [0x80, 0x21, 1, 1, 0, 4]),
            (9, [0, 0, 0, 0, 1]), (10, [0, 0, 0, 0]), (11, [0, 0, 0, 0]), (12, [0, 0, 0, 0, 77]),
            (13, [UInt8](repeating: 0, count: 8)), (14, [1]),
        ]
        return benches.indices.flatMap { position in
            var writer = ScriptWriter()
            writer.byte(UInt8(position))
            writer.packet(0, 1, windows)
            writer.raw([Kind.echoesRequest, 0, 2, Kind.proof, Kind.decision, 0])
            writer.packet(1, 1, network)
            writer.raw([Kind.echoesRequest, 1, 2, Kind.activity, Kind.time, 40])
            for number in [2, 3, 4, 5, 6] as [UInt8] { writer.packet(number, 1, [4, 85, 115, 101, 114, 1, 2]) }
            writer.raw([Kind.raw, 0, 3, 0xff, 3, 0xc0, Kind.hangUp, Kind.time, 9])
            guard position < 4 else { return [("dial-\(position)", writer.bytes)] }
            var control = ScriptWriter()
            control.byte(UInt8(position))
            for (code, body) in lcp { control.packet(0, code, body) }
            control.raw([Kind.echoesRequest, 0, 3, Kind.echoesRequest, 1, 4, Kind.time, 250])
            control.packet(1, 5, [])
            return [("dial-\(position)", writer.bytes), ("control-\(position)", control.bytes)]
        }
    }
}

extension ScriptWriter {
    fileprivate mutating func packet(_ position: UInt8, _ code: UInt8, _ body: [UInt8]) {
        raw([PPPFuzz.Kind.packet, position, code, 1])
        block(body)
    }
}

extension PPPFuzz.Play {
    typealias Kind = PPPFuzz.Kind

    init(_ bench: Bench) {
        (link, now) = (bench.link, bench.now)
        for event in bench.events { note(event) }
        isAccepted = isNetworkUp
        // The template's own last words are not known here, but what it would send again is.
        if isNetworkUp { user = "User" }
    }

    mutating func step(_ input: inout Script) {
        let kind = input.byte()
        switch kind & Kind.mask {
        case Kind.raw: receive(input.block())
        case Kind.packet:
            let number = PPPFuzz.protocols[Int(input.byte()) % PPPFuzz.protocols.count]
            let (code, identifier) = (input.byte(), input.byte())
            receive(frame(kind, number, code, identifier, input.block()))
        case Kind.echoesRequest:
            let number = PPPFuzz.protocols[Int(input.byte() & 1)]
            let code = input.byte()
            guard let request = last[number] else { break }
            receive(frame(kind, number, code, request.identifier, request.body))
        case Kind.proof: prove(kind)
        case Kind.decision: decide(input.byte())
        case Kind.time: pass(.milliseconds(Int64(input.byte()) * 500))
        case Kind.hangUp:
            link.terminate(.operatorHangUp, now: now)
            _ = drain()
        default: link.noteActivity(now: now)
        }
    }

    private func frame(
        _ kind: UInt8, _ number: UInt16, _ code: UInt8, _ identifier: UInt8, _ body: [UInt8]
    ) -> [UInt8] {
        let identifier = kind & Kind.matches != 0 ? last[number]?.identifier ?? identifier : identifier
        var packet = ControlPacket(code: code, identifier: identifier, body: body).bytes
        if kind & Kind.wrongLength != 0 { packet[3] = packet[3] &+ (identifier & 1 == 0 ? 1 : 255) }
        let isOneByte = number < 256 && kind & Kind.isShort != 0
        let address: [UInt8] = kind & Kind.isShort != 0 ? [] : [0xff, 3]
        return address + (isOneByte ? [] : [UInt8(number >> 8)]) + [UInt8(truncatingIfNeeded: number)] + packet
    }

    /// The right proof, as the client makes it.
    private mutating func prove(_ kind: UInt8) {
        guard let method = link.authenticator?.method else { return }
        if method == .pap {
            return receive(frame(kind, PPPProtocol.pap, AuthenticationCode.papRequest, 9, PPPFuzz.proofPAP))
        }
        guard let challenge = last[PPPProtocol.chap], challenge.code == AuthenticationCode.chapChallenge else { return }
        let response = Bench.response(to: challenge, method)
        receive(frame(kind, PPPProtocol.chap, AuthenticationCode.chapResponse, challenge.identifier, response))
    }

    private mutating func decide(_ choice: UInt8) {
        let isAccepting = choice & 1 == 0
        if isAccepting, asked > 0 { isAccepted = true }
        let outcome: AuthenticationOutcome =
            isAccepting ? .accepted(Bench.assignment, authenticatorResponse: "S=0123") : .refused(message: "no")
        link.authenticated(outcome, now: now)
        require(drain() <= 3, "few frames after a decision")
    }

    private mutating func receive(_ bytes: [UInt8]) {
        let wasEnded = isEnded
        link.receive(bytes.span.bytes, now: now, using: &generator)
        let count = drain()
        require(count <= 3, "\(count) frames in answer to one")
        if wasEnded { require(count <= 1, "an ended link only says that it has ended") }
    }

    mutating func pass(_ duration: Duration) {
        let end = now + duration
        var steps = 0
        while let next = link.nextDeadline, next <= end {
            steps += 1
            require(steps <= 2000, "time goes on")
            now = max(now, next)
            link.handleTimeout(now: now, using: &generator)
            if let next = link.nextDeadline { require(next > now, "what is due is done") }
            require(drain() <= 4, "few frames at one time")
        }
        now = end
    }

    /// Fetches what there is, and checks what can be said of every frame and every event.
    private mutating func drain() -> Int {
        var count = 0
        var writer = ByteWriter()
        while link.pollTransmit(into: &writer) {
            count += 1
            note(writer.bytes)
            writer.removeAll()
        }
        while let event = link.pollEvent() { note(event) }
        return count
    }

    private mutating func note(_ bytes: [UInt8]) {
        guard let frame = try? Frame(bytes.span.bytes), let packet = try? ControlPacket(parsing: frame.information)
        else {
            fatalError("property violated: a frame of ours can be read")
        }
        require(packet.body.count + ControlPacket.headerBytes == frame.information.count, "its length is right")
        // RFC 1661 section 6.1: every end can take 1500 bytes, whatever it asked for.
        require(frame.information.count <= max(1500, Int(link.lcp.options.peer.mruBytes)), "it fits the peer's MRU")
        if frame.protocolNumber == PPPProtocol.lcp { require(bytes.starts(with: [0xff, 3]), "LCP is never shortened") }
        if frame.protocolNumber == PPPProtocol.ipcp { require(isAccepted, "no IPCP before authentication") }
        if packet.code != Code.protocolReject || frame.protocolNumber != PPPProtocol.lcp {
            last[frame.protocolNumber] = packet
        }
    }

    private mutating func note(_ event: PPPEvent) {
        require(!isEnded, "nothing comes after the end")
        switch event {
        case .authenticate(let name, _):
            asked += 1
            require(asked <= 12, "few attempts in one link")
            if isAccepted { require(name == user, "who is in stays who he is") }
            user = name
        case .networkUp:
            require(isAccepted || asked == 1, "nobody is in whom the gateway has not let in")
            require(!isNetworkUp, "up after down")
            isNetworkUp = true
        case .networkDown:
            require(isNetworkUp, "down after up")
            isNetworkUp = false
        case .ended: isEnded = true
        }
    }
}
