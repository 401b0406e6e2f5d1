import Testing
import Wire

@testable import L2TP

/// What real clients do that the RFC does not foresee.
@Suite struct ClientQuirkTests {
    @Test("HELLO comes only after silence of the interval; data postpones it") func helloTime() throws {
        var bench = Bench()
        let id = try bench.connect()
        try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 2, []))
        #expect(try bench.wait(.seconds(50)).allSatisfy { $0.sent.type != .hello })
        bench.server.noteActivity(on: id.tunnel, now: bench.now)
        #expect(try bench.wait(.seconds(59)).isEmpty)
        let sent = try bench.wait(.seconds(1.5))
        #expect(sent.map(\.sent.type) == [.hello])
        try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 3, []))
        #expect(try bench.wait(.seconds(59)).isEmpty && bench.server.session(id) != nil)
    }

    @Test("a tunnel without any sign of life ends after the retransmissions of its HELLO") func dead() throws {
        var bench = Bench()
        let id = try bench.connect()
        try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 2, []))
        let start = bench.now
        let sent = try bench.wait(.seconds(100)).filter { $0.sent.type == .hello }
        #expect(sent.map { $0.time.since(start) } == [60, 61, 63, 67, 75, 83].map { .seconds($0) })
        #expect(bench.events.suffix(2) == [.sessionEnded(id, .unanswered), .tunnelEnded(id.tunnel, .unanswered)])
        #expect(bench.server.slotByID.isEmpty)
    }

    @Test("Android never acknowledges HELLO: with data the tunnel lives on, and can still be hung up")
    func android() throws {
        var bench = Bench()
        let id = try bench.connect()
        try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 2, []))
        var hellos: [Instant] = []
        for _ in 0..<20 {
            // A burst of data, then two minutes of silence but for one packet in the middle of each HELLO's time.
            bench.server.noteActivity(on: id.tunnel, now: bench.now)
            hellos += try bench.wait(.seconds(61.5)).filter { $0.sent.type == .hello }.map(\.time)
            bench.server.noteActivity(on: id.tunnel, now: bench.now)
            hellos += try bench.wait(.seconds(30)).filter { $0.sent.type == .hello }.map(\.time)
        }
        #expect(bench.server.session(id) != nil && hellos.count <= 60)
        bench.server.disconnectSession(id, result: .disconnect(.administrative), now: bench.now)
        let sent = try bench.drain()
        // The CDN takes the HELLO's number, and comes under the next one too: whichever the phone expects, it gets it.
        #expect(sent.map(\.type) == [.cdn, .cdn, .stopCCN])
        #expect(sent.map(\.header.ns.value) == [2, 3, 4] && sent[0].header.sessionID == 70)
        try bench.wait(.seconds(60))
        #expect(bench.server.slotByID.isEmpty)
        #expect(bench.events.count { if case .tunnelEnded = $0 { true } else { false } } == 1)
    }

    @Test("macOS hangs up with CDN and StopCCN in one breath, its codes in little-endian") func macOS() throws {
        var bench = Bench()
        let id = try bench.connect(from: L2TPPeer(id: 1, port: 51_234))
        let port = L2TPPeer(id: 1, port: 51_234)
        try bench.give(
            control(
                tunnel: id.tunnel.value, session: id.value, ns: 4, nr: 2,
                ClientBody.cdn(sessionID: 70, result: [3, 0, 0, 0])), from: port)
        try bench.give(
            control(tunnel: id.tunnel.value, ns: 5, nr: 2, ClientBody.stopCCN(tunnelID: 7, result: [6, 0, 0, 0])),
            from: port)
        #expect(
            bench.events.suffix(2) == [
                .sessionEnded(id, .disconnectedByPeer(.disconnect(.administrative, error: L2TPErrorCode.none))),
                .tunnelEnded(id.tunnel, .stoppedByPeer(.stop(.shuttingDown, error: L2TPErrorCode.none))),
            ])
    }

    @Test("macOS sends an early HELLO to no tunnel: silence") func earlyHello() throws {
        var bench = Bench()
        #expect(try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.hello)).isEmpty)
        #expect(bench.events.isEmpty)
    }

    @Test("a client that vanished and dials again gets in at once, and its old tunnel ends in seconds") func redial()
        throws
    {
        var bench = Bench()
        let old = try bench.connect(7)
        bench.now += .seconds(20)
        let new = try bench.connect(8)
        #expect(bench.server.session(old) != nil && bench.server.session(new) != nil)
        try bench.give(control(tunnel: new.tunnel.value, ns: 4, nr: 2, []))
        try bench.wait(.seconds(4))
        #expect(bench.server.session(old) == nil && bench.server.session(new) != nil)
        #expect(bench.events.contains(.tunnelEnded(old.tunnel, .unanswered)))
    }

    @Test("the older tunnel of the same port is asked at once, that of another port is not") func probes() throws {
        var bench = Bench()
        let same = try bench.connect(7)
        let other = try bench.connect(8, from: L2TPPeer(id: 1, port: 5000))
        for id in [same, other] {
            try bench.give(
                control(tunnel: id.tunnel.value, ns: 4, nr: 2, []),
                from: L2TPPeer(id: 1, port: id == same ? 1701 : 5000))
        }
        let sccrp = try #require(
            try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 9))).first)
        let tunnel = try #require(sccrp.message.uint16(.assignedTunnelID))
        let sent = try bench.give(control(tunnel: tunnel, ns: 1, nr: 1, ClientBody.scccn()))
        #expect(sent.filter { $0.type == .hello }.map(\.header.tunnelID) == [7])
        try bench.give(control(tunnel: same.tunnel.value, ns: 4, nr: 3, []))
        try bench.wait(.seconds(20))
        #expect(bench.server.session(same) != nil && bench.server.session(other) != nil)
    }

    @Test("a client that restarted under the same Tunnel ID replaces its old tunnel, which hears nothing")
    func restarted() throws {
        var bench = Bench()
        let old = try bench.connect(1)
        bench.now += .seconds(30)
        let sent = try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 1)))
        #expect(sent.map(\.type) == [.sccrp])
        #expect(
            bench.events.suffix(2) == [.sessionEnded(old, .replaced), .tunnelEnded(old.tunnel, .replaced)])
        #expect(bench.server.tunnelCount == 1)
    }

    @Test("a late copy of the SCCRQ does not replace the tunnel that it made") func lateCopy() throws {
        var bench = Bench()
        let id = try bench.connect(1)
        bench.now += .seconds(1)
        #expect(try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 1))).isEmpty)
        #expect(bench.server.session(id) != nil && bench.server.drops[.lateRequest] == 1)
    }

    @Test("two clients behind one peer may use the same Tunnel ID from different ports") func samePeer() throws {
        var bench = Bench()
        let first = try bench.connect(1)
        let second = try bench.connect(1, from: L2TPPeer(id: 1, port: 2000))
        #expect(bench.server.session(first) != nil && bench.server.session(second) != nil)
        #expect(first.tunnel != second.tunnel && first.value != second.value)
        #expect(bench.server.tunnels(of: 1).map(\.id) == [first.tunnel, second.tunnel])
        #expect(bench.server.tunnels(of: 2).isEmpty)
    }

    @Test("a client that gives up before it had our SCCRP is understood") func cancelled() throws {
        var bench = Bench()
        try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7)))
        let sent = try bench.give(control(tunnel: 0, ns: 1, nr: 0, ClientBody.stopCCN(tunnelID: 7)))
        #expect(sent.map(\.type) == [nil] && bench.server.tunnelCount == 0)
    }

    @Test("a receive window of 0 counts as 1, a missing one as 4") func window() throws {
        for (window, expected) in [(0, 1), (nil, 4), (9, 9)] as [(UInt16?, Int)] {
            var bench = Bench()
            try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7, window: window)))
            let id = try #require(bench.server.tunnels.map(\.id).first)
            try bench.give(control(tunnel: id.value, ns: 1, nr: 1, ClientBody.scccn()))
            var sent = 0
            for count in 0..<12 as Range<UInt16> {
                sent += try bench.give(
                    control(tunnel: id.value, ns: 2 + count, nr: 1, ClientBody.icrq(sessionID: 1 + count))
                )
                .count
            }
            // Slow start has seen one acknowledgement by now, the rest goes as the hang-up opens the window.
            bench.server.disconnectTunnel(id, result: .stop(.clear), now: bench.now)
            sent += try bench.drain().count
            #expect(sent == expected)
        }
    }
}
