import Cryptography
import Testing
import Wire

@testable import L2TP

@Suite struct TunnelTests {
    @Test("xl2tpd's own bytes bring up a tunnel and a session, and end them") func xl2tpd() throws {
        var bench = Bench()
        let sccrp = try #require(try bench.give(xl2tpdRequest).first)
        #expect(sccrp.type == .sccrp && sccrp.header.tunnelID == 0xd3cf && sccrp.header.nr == SequenceNumber(1))
        let tunnel = try #require(sccrp.message.uint16(.assignedTunnelID))
        let addressed = { (bytes: [UInt8], session: UInt16) in
            bytes.prefix(4) + [UInt8(tunnel >> 8), UInt8(tunnel & 0xff), UInt8(session >> 8), UInt8(session & 0xff)]
                + bytes.dropFirst(8)
        }
        try bench.give(
            hex("c8020014") + [UInt8(tunnel >> 8), UInt8(tunnel & 0xff)] + hex("0000 0001 0001 8008000000000003"))
        let icrp = try #require(try bench.give(Array(addressed(xl2tpdCallRequest, 0))).first)
        #expect(icrp.type == .icrp && icrp.header.sessionID == 0x1111)
        let session = try #require(icrp.message.uint16(.assignedSessionID))
        try bench.give(Array(addressed(xl2tpdCallConnected, session)))
        let id = L2TPSessionID(tunnel: L2TPTunnelID(peer: 1, value: tunnel), value: session)
        let value = try #require(bench.server.session(id))
        #expect(value.peerSessionID == 0x1111 && value.peerTunnelID == 0xd3cf && value.framingType == 1)
        #expect(!value.requiresSequencing && value.callSerialNumber == 1)
        #expect(bench.events.contains(.sessionEstablished(value)))
        try bench.give(Array(addressed(xl2tpdDisconnect, session)))
        let reason = L2TPEndReason.disconnectedByPeer(.disconnect(.lossOfCarrier, error: L2TPErrorCode.none))
        #expect(bench.events.last == .sessionEnded(id, reason))
        #expect(bench.server.sessionCount == 0 && bench.server.tunnelCount == 1)
    }

    @Test("what ICCN and ICRQ say is in the session") func sessionValue() throws {
        var bench = Bench()
        let tunnel = try bench.establish()
        let request = ClientBody.icrq(
            sessionID: 70, serial: 5,
            extra: avp(.callingNumber, Array("0123".utf8)) + avp(.calledNumber, Array("4\n5".utf8)))
        let icrp = try #require(try bench.give(control(tunnel: tunnel.value, ns: 2, nr: 1, request)).first)
        let session = try #require(icrp.message.uint16(.assignedSessionID))
        let connected = ClientBody.iccn(
            avp(.sequencingRequired, []) + avp(.rxConnectSpeed, UInt32(5)) + avp(.initialReceivedLCP, [1, 2, 3])
                + avp(.proxyAuthenType, UInt16(2)) + avp(.proxyAuthenName, Array("user".utf8)))
        try bench.give(control(tunnel: tunnel.value, session: session, ns: 3, nr: 2, connected))
        let value = try #require(bench.server.session(L2TPSessionID(tunnel: tunnel, value: session)))
        #expect(value.requiresSequencing && value.callingNumber == "0123" && value.calledNumber == "45")
        #expect(value.txSpeedBitsPerSecond == 10_000_000 && value.rxSpeedBitsPerSecond == 5)
        #expect(Array(bench.server.sessions) == [value] && bench.server.tunnels.map(\.sessionCount) == [1])
        #expect(bench.server.drops[.ignoredAVP] == 0)
    }

    @Test("a repeated SCCRQ gets the same SCCRP again, not a second tunnel") func repeatedRequest() throws {
        var bench = Bench()
        let first = try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7)))
        bench.now += .seconds(0.5)
        let second = try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7)))
        #expect(first.map(\.bytes) == second.map(\.bytes) && second.count == 1 && bench.server.tunnelCount == 1)
    }

    @Test("a SCCRP without answer is sent again, and the tunnel ends after its setup time") func noConnected() throws {
        var bench = Bench()
        let sccrp = try #require(
            try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7))).first)
        let sent = try bench.wait(.seconds(70))
        #expect(sent.prefix(4).allSatisfy { $0.sent.bytes == sccrp.bytes })
        #expect(sent.contains { $0.sent.type == .stopCCN })
        #expect(bench.server.tunnelCount == 0 && bench.server.slotByID.isEmpty && bench.server.nextDeadline == nil)
        #expect(bench.events.count == 1)
        guard case .tunnelEnded(_, .notSetUpInTime) = bench.events.first else {
            Issue.record("\(bench.events)"); return
        }
    }

    @Test("a tunnel belongs to its IPsec peer; another's message has no effect") func otherPeer() throws {
        var bench = Bench()
        let id = try bench.establish()
        let stop = control(tunnel: id.value, ns: 2, nr: 1, ClientBody.stopCCN(tunnelID: 7))
        #expect(try bench.give(stop, from: .second).isEmpty)
        #expect(bench.server.drops[.tunnelOfAnotherPeer] == 1 && bench.server.tunnelCount == 1)
        #expect(try bench.give(control(tunnel: id.value ^ 1, ns: 2, nr: 1, ClientBody.hello)).isEmpty)
        #expect(bench.server.drops[.unknownTunnel] == 1)
    }

    @Test("a client that changes its port is followed") func portChange() throws {
        var bench = Bench()
        let id = try bench.connect()
        let moved = L2TPPeer(id: 1, port: 40_000)
        try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 2, ClientBody.hello), from: moved)
        #expect(bench.events.last == .tunnelMoved(id.tunnel, port: 40_000))
        bench.server.disconnectSession(id, result: .disconnect(.administrative), now: bench.now)
        #expect(try bench.drain().allSatisfy { $0.peer == moved })
        #expect(bench.server.tunnels.allSatisfy { $0.peer == moved })
    }

    @Test("the client's StopCCN ends everything, with one event each, and is acknowledged as often as it comes")
    func stopByPeer() throws {
        var bench = Bench()
        let id = try bench.connect()
        bench.events = []
        let stop = control(tunnel: id.tunnel.value, ns: 4, nr: 2, ClientBody.stopCCN(tunnelID: 7))
        let answer = try bench.give(stop)
        #expect(answer.map(\.bytes) == [control(tunnel: 7, ns: 2, nr: 5, [])])
        let reason = L2TPEndReason.stoppedByPeer(.stop(.clear))
        #expect(bench.events == [.sessionEnded(id, reason), .tunnelEnded(id.tunnel, reason)])
        bench.now += .seconds(20)
        #expect(try bench.give(stop).map(\.bytes) == answer.map(\.bytes))
        #expect(bench.events.count == 2 && bench.server.tunnelCount == 0)
        try bench.wait(.seconds(12))
        #expect(bench.server.slotByID.isEmpty && bench.server.peers.isEmpty && bench.server.nextDeadline == nil)
        #expect(try bench.give(stop).isEmpty)
    }

    @Test("the operator's hang-up sends CDN, then StopCCN, and forgets the tunnel with its acknowledgement")
    func disconnectSession() throws {
        var bench = Bench()
        let id = try bench.connect()
        bench.events = []
        bench.server.disconnectSession(id, result: .disconnect(.administrative, "bye"), now: bench.now)
        let sent = try bench.drain()
        #expect(sent.map(\.type) == [.cdn, .stopCCN])
        #expect(sent[0].header.sessionID == 70 && sent[0].result.code == 3 && sent[0].result.message == "bye")
        #expect(bench.events.count == 2 && bench.server.sessionCount == 0 && bench.server.tunnelCount == 0)
        #expect(bench.events.first == .sessionEnded(id, .closedByUs(.disconnect(.administrative, "bye"))))
        try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 4, []))
        #expect(bench.server.slotByID.isEmpty && bench.server.nextDeadline == nil && bench.events.count == 2)
    }

    @Test("with another session in the tunnel only the CDN goes") func disconnectOneOfTwo() throws {
        var bench = Bench()
        let first = try bench.connect()
        let icrp = try #require(
            try bench.give(control(tunnel: first.tunnel.value, ns: 4, nr: 2, ClientBody.icrq(sessionID: 71))).first)
        #expect(icrp.type == .icrp)
        bench.server.disconnectSession(first, result: .disconnect(.administrative), now: bench.now)
        #expect(try bench.drain().map(\.type) == [.cdn] && bench.server.tunnelCount == 1)
        bench.server.disconnectSession(first, result: .disconnect(.administrative), now: bench.now)
        #expect(try bench.drain().isEmpty)
    }

    @Test("a StopCCN that nobody acknowledges is repeated and then forgotten") func silentStop() throws {
        var bench = Bench()
        let id = try bench.establish()
        bench.server.disconnectTunnel(id, result: .stop(.shuttingDown), now: bench.now)
        let sent = try bench.wait(.seconds(40))
        #expect(sent.count { $0.sent.type == .stopCCN } == 6 && bench.server.slotByID.isEmpty)
        #expect(bench.events.count { if case .tunnelEnded = $0 { true } else { false } } == 1)
    }

    @Test("at the gateway's end every tunnel gets its StopCCN at once") func disconnectAll() throws {
        var bench = Bench()
        for peer in 1...20 as ClosedRange<UInt64> { _ = try bench.connect(from: L2TPPeer(id: peer, port: 1701)) }
        bench.server.disconnectAll(now: bench.now)
        let sent = try bench.drain()
        #expect(sent.filter { $0.type == .stopCCN }.map(\.peer.id).sorted() == Array(1...20))
        #expect(sent.allSatisfy { $0.result.code == 6 } && bench.server.tunnelCount == 0)
    }

    @Test("when the IPsec peer ends, its tunnels are forgotten in silence, others' are not") func peerEnds() throws {
        var bench = Bench()
        let id = try bench.connect()
        let other = try bench.connect(from: .second)
        bench.events = []
        bench.server.peerEnded(1, now: bench.now)
        #expect(try bench.drain().isEmpty)
        #expect(bench.events == [.sessionEnded(id, .peerEnded), .tunnelEnded(id.tunnel, .peerEnded)])
        #expect(bench.server.session(other) != nil && bench.server.tunnelCount == 1)
        bench.server.peerReplaced(2, now: bench.now)
        _ = try bench.drain()
        #expect(bench.events.last == .tunnelEnded(other.tunnel, .replaced) && bench.server.nextDeadline == nil)
    }

    @Test("a session that is not set up in time gets a CDN") func sessionNotSetUp() throws {
        var bench = Bench()
        let id = try bench.establish()
        try bench.give(control(tunnel: id.value, ns: 2, nr: 1, ClientBody.icrq(sessionID: 70)))
        try bench.give(control(tunnel: id.value, ns: 3, nr: 2, []))
        let sent = try bench.wait(.seconds(30.5)).map(\.sent).filter { $0.type != nil }
        #expect(sent.map(\.type) == [.cdn] && sent.first?.result.code == 10)
        #expect(bench.events.contains { if case .sessionFailed(_, .notSetUpInTime) = $0 { true } else { false } })
        #expect(bench.server.sessionCount == 0 && bench.server.tunnelCount == 1)
    }

    @Test("a tunnel that is without sessions for too long ends, though it is alive") func withoutSessions() throws {
        var bench = Bench()
        let id = try bench.establish()
        for second in 0..<12 {
            try bench.wait(.seconds(10))
            try bench.give(control(tunnel: id.value, ns: UInt16(2 + second), nr: 1, ClientBody.hello))
        }
        let reasons = bench.events.filter { if case .tunnelEnded = $0 { true } else { false } }
        #expect(reasons == [.tunnelEnded(id, .withoutSessions)])
    }

    @Test("a message keeps its session while it waits for the ones before it") func reorderedSetup() throws {
        var bench = Bench()
        let tunnel = try bench.establish()
        try bench.give(control(tunnel: tunnel.value, ns: 3, nr: 1, ClientBody.icrq(sessionID: 71)))
        let sent = try bench.give(control(tunnel: tunnel.value, ns: 2, nr: 1, ClientBody.icrq(sessionID: 70)))
        #expect(sent.map(\.type) == [.icrp, .icrp] && sent.map(\.header.sessionID) == [70, 71])
    }
}

@Suite struct TunnelAuthenticationTests {
    private let secret = SecretBytes(utf8: "tunnel secret")
    private var bench: Bench {
        var configuration = L2TPConfiguration()
        configuration.secret = secret
        return Bench(configuration)
    }

    private func request(_ bench: inout Bench, extra: [UInt8] = []) throws -> Sent {
        try #require(
            try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7, extra: extra))).first)
    }

    @Test("both ends prove that they know the secret") func mutual() throws {
        var bench = bench
        let sccrp = try request(&bench, extra: avp(.challenge, [1, 2, 3]))
        #expect(
            sccrp.message[.challengeResponse] == HashAlgorithm.md5.digest([2], Array("tunnel secret".utf8), [1, 2, 3]))
        let challenge = try #require(sccrp.message[.challenge])
        #expect(challenge.count == 16)
        let tunnel = try #require(sccrp.message.uint16(.assignedTunnelID))
        let response = HashAlgorithm.md5.digest([3], Array("tunnel secret".utf8), challenge)
        try bench.give(control(tunnel: tunnel, ns: 1, nr: 1, ClientBody.scccn(avp(.challengeResponse, response))))
        #expect(bench.server.tunnels.map(\.isEstablished) == [true])
    }

    @Test("a wrong and a missing Challenge Response end the tunnel with result 4", arguments: [false, true])
    func wrong(missing: Bool) throws {
        var bench = bench
        let tunnel = try #require(try request(&bench).message.uint16(.assignedTunnelID))
        let response = missing ? [] : avp(.challengeResponse, [UInt8](repeating: 1, count: 16))
        let sent = try bench.give(control(tunnel: tunnel, ns: 1, nr: 1, ClientBody.scccn(response)))
        #expect(sent.map(\.type) == [.stopCCN] && sent.first?.result.code == 4)
        #expect(bench.events == [.tunnelEnded(L2TPTunnelID(peer: 1, value: tunnel), .authenticationFailed)])
    }

    @Test("a client that challenges us where no secret is shared is refused") func noSecret() throws {
        var bench = Bench()
        let sent = try request(&bench, extra: avp(.challenge, [1]))
        #expect(sent.type == .stopCCN && sent.result.code == 4 && bench.server.tunnelCount == 0)
    }

    @Test("a hidden Assigned Tunnel ID is understood") func hidden() throws {
        var bench = bench
        let body =
            avp(.messageType, UInt16(1)) + avp(.randomVector, [9, 9]) + avp(.protocolVersion, UInt16(0x0100))
            + avp(.framingCapabilities, UInt32(1)) + avp(.hostName, [0x61])
            + hiddenAVP(.assignedTunnelID, [0, 77], secret: secret, vector: [9, 9], padding: 20)
        #expect(try bench.give(control(tunnel: 0, ns: 0, nr: 0, body)).first?.header.tunnelID == 77)
    }
}
