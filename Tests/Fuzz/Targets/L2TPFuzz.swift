import Cryptography
import Wire

@testable import L2TP
@testable import L2TPTests

/// Control messages of clients that IPsec has let in: raw, or with header and numbers as the channel wants them, so that
/// the state machines behind it are reached. And data headers, read and written.
enum L2TPFuzz {
    private static let recordsMaximum = 64

    fileprivate enum Kind {
        static let mask: UInt8 = 7
        static let raw: UInt8 = 0
        static let request: UInt8 = 1
        static let inTunnel: UInt8 = 2
        static let inSession: UInt8 = 3
        static let time: UInt8 = 4
        static let data: UInt8 = 5
        static let operation: UInt8 = 6
        static let numbered: UInt8 = 7
        static let secondPeer: UInt8 = 8
        static let otherPort: UInt8 = 16
        static let acknowledgesNothing: UInt8 = 32
        static let repeats: UInt8 = 64
    }

    fileprivate static let secret = SecretBytes(utf8: "tunnel secret")

    private static func configuration(hasSecret: Bool) -> L2TPConfiguration {
        var configuration = L2TPConfiguration()
        configuration.secret = hasSecret ? secret : nil
        // Small, so that inputs of some messages reach them.
        configuration.tunnelsPerPeerMaximum = 4
        configuration.halfOpenTunnelsPerPeerMaximum = 2
        configuration.endedTunnelsPerPeerMaximum = 3
        configuration.sessionsPerTunnelMaximum = 3
        configuration.tunnelsMaximum = 6
        configuration.sendQueueMaximum = 8
        configuration.refusalsQueuedMaximum = 4
        return configuration
    }
    private static let servers = [false, true].map { L2TPServer(configuration: configuration(hasSecret: $0)) }

    /// What the clients' ends know of one tunnel.
    fileprivate struct ClientTunnel {
        var id: L2TPTunnelID
        var remoteID: UInt16
        var ns: UInt16 = 1
        var nr: UInt16 = 0
        var session: UInt16 = 0
    }

    fileprivate struct Play {
        var server: L2TPServer
        var generator = SeededRandom()
        var now = Instant(nanoseconds: 1_000_000_000)
        /// The newest last.
        var tunnels: [ClientTunnel] = []
        var last: [UInt8] = []
        var peers: Set<UInt64> = []
        var liveTunnels: Set<L2TPTunnelID> = []
        var liveSessions: Set<L2TPSessionID> = []
    }

    static func run(_ input: Script) {
        var input = input
        var play = Play(server: servers[Int(input.byte() & 1)])
        var records = 0
        while !input.isAtEnd, records < recordsMaximum {
            records += 1
            play.step(&input)
            play.checkBounds()
        }
        // All clients are gone without a word: half an hour later so is everything that was theirs.
        play.pass(.seconds(1800))
        require(play.server.tunnelCount == 0 && play.server.sessionCount == 0, "nothing is left")
        require(play.server.nextDeadline == nil, "nothing is left to wait for")
        require(play.liveTunnels.isEmpty && play.liveSessions.isEmpty, "what began has ended")
        require(play.server.peers.isEmpty && play.server.slotByID.isEmpty, "no record is left")
        require(play.server.tunnelIDUse.allSatisfy { $0 == 0 }, "every Tunnel ID is free again")
    }

    // MARK: - Seeds

    static var seeds: [(name: String, bytes: [UInt8])] {
        let vector = [UInt8](repeating: 0x33, count: 16)
        let hidden =
            avp(.randomVector, vector)
            + hiddenAVP(.callingNumber, Array("100".utf8), secret: secret, vector: vector, padding: 5)
        let challenged = ClientBody.sccrq(tunnelID: 9, extra: avp(.challenge, [UInt8](repeating: 4, count: 16)))
        return [
            (
                "dial",
                script { writer in
                    writer.dial()
                    writer.raw([Kind.time, 70])
                    writer.inTunnel(ClientBody.hello)
                    writer.control(Kind.inSession, ClientBody.cdn(sessionID: 70))
                    writer.inTunnel(ClientBody.stopCCN(tunnelID: 7))
                }
            ),
            (
                "two-clients",
                script { writer in
                    writer.dial()
                    writer.dial(Kind.secondPeer)
                    writer.raw([Kind.operation, 0, Kind.time, 9, Kind.operation | Kind.secondPeer, 3])
                }
            ),
            (
                "secret",
                script(hasSecret: true) { writer in
                    writer.control(Kind.request, challenged)
                    writer.inTunnel(ClientBody.scccn(avp(.challengeResponse, [UInt8](repeating: 1, count: 16))))
                }
            ),
            (
                "hidden",
                script(hasSecret: true) { writer in
                    writer.control(Kind.request, ClientBody.sccrq(tunnelID: 8, extra: hidden))
                    writer.inTunnel(ClientBody.icrq(sessionID: 3, extra: hidden))
                }
            ),
            (
                "outgoing",
                script { writer in
                    writer.dial()
                    writer.inTunnel(ClientBody.ocrq(sessionID: 4))
                    writer.inTunnel(ClientBody.icrq(sessionID: 5))
                    writer.inTunnel(ClientBody.icrq(sessionID: 5))
                }
            ),
            (
                "again",
                script { writer in
                    for _ in 0..<4 { writer.control(Kind.request, ClientBody.sccrq(tunnelID: 7)) }
                    writer.byte(Kind.repeats)
                    for id in 10..<18 as Range<UInt16> {
                        writer.control(Kind.request, ClientBody.sccrq(tunnelID: id, window: nil))
                    }
                    writer.raw([Kind.time, 40])
                }
            ),
            (
                "order",
                script { writer in
                    writer.control(Kind.request, ClientBody.sccrq(tunnelID: 7))
                    writer.raw([Kind.numbered, 2])
                    writer.block(ClientBody.icrq(sessionID: 5))
                    writer.raw([Kind.numbered, 1])
                    writer.block(ClientBody.scccn())
                    writer.raw([Kind.numbered | Kind.acknowledgesNothing, 200])
                    writer.block([])
                }
            ),
            (
                "data",
                script { writer in
                    for bytes in [
                        hex("0002 1234 5678 ff03"), hex("4a02 0012 0001 0002 0007 0000 0003 aaaaaa c0"),
                        hex("0802 0001 0002 0003 0000 c0"),
                        hex("4002 0009 0001 0002 c0 dead"), hex("0202 0001 0002 0002 c0"),
                    ] {
                        writer.byte(Kind.data)
                        writer.block(bytes)
                    }
                }
            ),
            (
                "raw",
                script { writer in
                    writer.byte(Kind.raw)
                    writer.block(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7)))
                    writer.byte(Kind.raw)
                    writer.block(control(tunnel: 0, ns: 0, nr: 0, ClientBody.stopCCN(tunnelID: 7)))
                    writer.byte(Kind.raw)
                    writer.block(control(tunnel: 5, ns: 0, nr: 0, []))
                }
            ),
        ]
    }

    private static func script(hasSecret: Bool = false, _ fill: (inout ScriptWriter) -> Void) -> [UInt8] {
        var writer = ScriptWriter()
        writer.byte(hasSecret ? 1 : 0)
        fill(&writer)
        return writer.bytes
    }
}

extension ScriptWriter {
    fileprivate mutating func control(_ kind: UInt8, _ body: [UInt8]) {
        byte(kind)
        block(body)
    }

    fileprivate mutating func inTunnel(_ body: [UInt8]) { control(L2TPFuzz.Kind.inTunnel, body) }

    /// Tunnel and session, as a client sets them up.
    fileprivate mutating func dial(_ flags: UInt8 = 0) {
        control(L2TPFuzz.Kind.request | flags, ClientBody.sccrq(tunnelID: 7))
        control(L2TPFuzz.Kind.inTunnel | flags, ClientBody.scccn())
        control(L2TPFuzz.Kind.inTunnel | flags, ClientBody.icrq(sessionID: 70))
        control(L2TPFuzz.Kind.inSession | flags, ClientBody.iccn())
    }
}

extension L2TPFuzz.Play {
    typealias Kind = L2TPFuzz.Kind

    mutating func step(_ input: inout Script) {
        let kind = input.byte()
        let peer = L2TPPeer(
            id: kind & Kind.secondPeer != 0 ? 2 : 1, port: kind & Kind.otherPort != 0 ? 40_000 : 1701)
        guard kind & Kind.repeats == 0 else { return give(last, from: peer) }
        let position = tunnels.lastIndex { $0.id.peer == peer.id }
        switch kind & Kind.mask {
        case Kind.raw: give(input.block(), from: peer)
        case Kind.request: give(control(tunnel: 0, ns: 0, nr: 0, input.block()), from: peer)
        case Kind.inTunnel, Kind.inSession, Kind.numbered:
            let isNumbered = kind & Kind.mask == Kind.numbered
            let ahead = isNumbered ? UInt16(bitPattern: Int16(Int8(bitPattern: input.byte()))) : 0
            let body = input.block()
            guard let position else { return }
            let tunnel = tunnels[position]
            if !isNumbered, !body.isEmpty { tunnels[position].ns &+= 1 }
            give(
                control(
                    tunnel: tunnel.id.value, session: kind & Kind.mask == Kind.inSession ? tunnel.session : 0,
                    // Numbered ones count from the beginning.
                    ns: isNumbered ? ahead : tunnel.ns, nr: kind & Kind.acknowledgesNothing != 0 ? 0 : tunnel.nr, body),
                from: peer)
        case Kind.time: pass(.milliseconds(Int64(input.byte()) * 500))
        case Kind.data: readDataHeader(input.block())
        default: operate(input.byte(), peer, position)
        }
    }

    /// The client's message, and what is answered at once.
    private mutating func give(_ bytes: [UInt8], from peer: L2TPPeer) {
        last = bytes
        peers.insert(peer.id)
        server.receive(bytes.span.bytes, from: peer, now: now, using: &generator)
        let answers = drain()
        require(answers.count <= 40, "\(answers.count) answers to one message")
        if bytes.count == ControlHeader.byteCount {
            require(answers.allSatisfy { $0.type != nil }, "an acknowledgement is not acknowledged")
        }
    }

    mutating func pass(_ duration: Duration) {
        let end = now + duration
        var steps = 0
        while let next = server.nextDeadline, next <= end {
            steps += 1
            require(steps <= 5000, "time goes on")
            now = max(now, next)
            server.handleTimeout(now: now, using: &generator)
            if let next = server.nextDeadline { require(next > now, "what is due is done") }
            _ = drain()
        }
        now = end
    }

    private mutating func operate(_ choice: UInt8, _ peer: L2TPPeer, _ position: Int?) {
        let tunnel = position.map { tunnels[$0] }
        switch choice & 7 {
        case 0:
            guard let tunnel else { break }
            let id = L2TPSessionID(tunnel: tunnel.id, value: tunnel.session)
            server.disconnectSession(id, result: .disconnect(.administrative), now: now)
        case 1: if let tunnel { server.disconnectTunnel(tunnel.id, result: .stop(.clear), now: now) }
        case 2: server.disconnectAll(now: now)
        case 3: server.peerEnded(peer.id, now: now)
        case 4: server.peerReplaced(peer.id, now: now)
        default: if let tunnel { server.noteActivity(on: tunnel.id, now: now) }
        }
        _ = drain()
    }

    func checkBounds() {
        let configuration = server.configuration
        require(server.tunnelCount == liveTunnelsOfServer.count, "tunnels are counted")
        for peer in peers {
            let live = liveTunnelsOfServer.filter { $0.peer.id == peer }
            require(live.count <= configuration.tunnelsPerPeerMaximum, "a peer's tunnels are bounded")
            let halfOpen = live.count { !$0.isEstablished }
            require(halfOpen <= configuration.halfOpenTunnelsPerPeerMaximum, "its unfinished tunnels are bounded")
            for tunnel in live {
                require(
                    tunnel.sessionCount <= configuration.sessionsPerTunnelMaximum, "a tunnel's sessions are bounded")
            }
        }
        require(server.slotByID.count <= configuration.tunnelsMaximum, "all tunnels are bounded")
        require(server.refusals.isEmpty && server.transmitQueue.isEmpty, "what was to be sent was fetched")
        require(Set(server.sessions.map(\.id)) == liveSessions, "sessions are what the events say")
    }

    private var liveTunnelsOfServer: [L2TPTunnel] { Array(server.tunnels) }

    private mutating func drain() -> [Sent] {
        var all: [Sent] = []
        var writer = ByteWriter()
        while let peer = server.pollTransmit(into: &writer) {
            require(peers.contains(peer.id), "only who has spoken is spoken to")
            guard let sent = try? Sent(writer.bytes, to: peer) else {
                fatalError("property violated: what is sent can be read")
            }
            require(writer.count == ControlHeader.byteCount || sent.message.fault == nil, "what is sent is right")
            note(sent)
            all.append(sent)
            writer.removeAll()
        }
        while let event = server.pollEvent() { note(event) }
        return all
    }

    /// What the client learns from a message.
    private mutating func note(_ sent: Sent) {
        if sent.type == .sccrp, let value = sent.message.uint16(.assignedTunnelID) {
            let id = L2TPTunnelID(peer: sent.peer.id, value: value)
            if !tunnels.contains(where: { $0.id == id }) {
                tunnels.append(L2TPFuzz.ClientTunnel(id: id, remoteID: sent.header.tunnelID))
            }
        }
        guard sent.type != nil,
            let position = tunnels.lastIndex(where: {
                $0.id.peer == sent.peer.id && $0.remoteID == sent.header.tunnelID
            })
        else { return }
        tunnels[position].nr = max(tunnels[position].nr, sent.header.ns.value &+ 1)
        if sent.type == .icrp { tunnels[position].session = sent.message.uint16(.assignedSessionID) ?? 0 }
    }

    private mutating func note(_ event: L2TPEvent) {
        switch event {
        case .tunnelEstablished(let tunnel): require(liveTunnels.insert(tunnel.id).inserted, "a tunnel begins once")
        case .tunnelEnded(let id, _):
            require(!liveSessions.contains { $0.tunnel == id }, "its sessions end first")
            liveTunnels.remove(id)
        case .sessionEstablished(let session):
            require(liveTunnels.contains(session.id.tunnel), "a session is in a tunnel")
            require(liveSessions.insert(session.id).inserted, "a session begins once")
        case .sessionEnded(let id, _): require(liveSessions.remove(id) != nil, "a session ends once")
        case .sessionFailed(let id, _): require(!liveSessions.contains(id), "what was set up has not failed")
        case .tunnelMoved, .tunnelRefused, .callRefused: break
        }
    }

    /// A data message: nothing outside it is looked at, and what is written is what is read.
    private func readDataHeader(_ bytes: [UInt8]) {
        let exact = ExactPacket(bytes)
        guard case .data(let header) = L2TPDataHeader.parse(exact.packet) else { return }
        require(header.payloadOffset >= 6 && header.payloadCount > 0, "a payload follows a header")
        require(header.payloadOffset + header.payloadCount <= bytes.count, "the payload lies in the packet")
        require(header.tunnelID != 0 && header.sessionID != 0, "no id is 0")
        let payload = Array(bytes[header.payloadOffset..<header.payloadOffset + header.payloadCount])
        for withLength in [false, true] {
            let needed = 6 + (withLength ? 2 : 0) + (header.ns == nil ? 0 : 4)
            let again = ExactPacket(payload, headroom: needed)
            let isWritten = L2TPDataHeader.prepend(
                to: &again.packet, headroom: needed, tunnelID: header.tunnelID, sessionID: header.sessionID,
                ns: header.ns,
                withLength: withLength)
            require(isWritten && again.packet.count == needed + payload.count, "there is room for it")
            guard case .data(let read) = L2TPDataHeader.parse(again.packet) else {
                fatalError("property violated: what is written can be read")
            }
            require(read.tunnelID == header.tunnelID && read.sessionID == header.sessionID, "the ids are the same")
            require(read.ns == header.ns && read.payloadCount == payload.count, "number and length are the same")
            require(again.bytes.dropFirst(read.payloadOffset).elementsEqual(payload), "the payload is the same")
        }
    }
}
