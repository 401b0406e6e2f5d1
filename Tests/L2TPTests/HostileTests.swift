import Testing
import Wire

@testable import L2TP

/// What gateways of this kind have fallen over.
@Suite struct HostileTests {
    /// The only answer to a SCCRQ with this body.
    private func answer(to body: [UInt8]) throws -> Sent {
        var bench = Bench()
        let sent = try bench.give(control(tunnel: 0, ns: 0, nr: 0, body))
        #expect(sent.count == 1 && bench.server.tunnelCount == 0 && bench.server.slotByID.isEmpty)
        #expect(bench.server.drops[.requestRefused] == 1)
        return try #require(sent.first)
    }

    @Test("a SCCRQ without a host name is refused") func noHostName() throws {
        let body =
            avp(.messageType, UInt16(1)) + avp(.protocolVersion, UInt16(0x0100)) + avp(.framingCapabilities, UInt32(3))
            + avp(.assignedTunnelID, UInt16(7))
        let stop = try answer(to: body)
        #expect(stop.type == .stopCCN && stop.header.tunnelID == 7 && stop.header.nr == SequenceNumber(1))
        #expect(stop.result.code == 2 && stop.message.fault == nil)
    }

    @Test("Assigned Tunnel ID 0, or none, is refused") func tunnelIDZero() throws {
        let zero = try answer(to: ClientBody.sccrq(tunnelID: 0))
        #expect(zero.header.tunnelID == 0 && zero.result.code == 2 && zero.result.errorCode == 3)
        let none = try answer(to: Array(xl2tpdRequest.dropFirst(12).dropLast(16)))
        #expect(none.header.tunnelID == 0 && none.result.code == 2)
    }

    @Test("another protocol version is refused with ours") func version() throws {
        let body = ClientBody.sccrq(tunnelID: 7)
        var other = body
        other[14] = 2
        let stop = try answer(to: other)
        #expect(stop.result.code == 5 && stop.result.errorCode == 0x0100)
    }

    @Test("an unknown mandatory AVP in a SCCRQ is refused with error 8 and its number") func unknownAVP() throws {
        let stop = try answer(to: ClientBody.sccrq(tunnelID: 7, extra: avp(1234, [])))
        #expect(stop.header.tunnelID == 7 && stop.result.code == 2 && stop.result.errorCode == 8)
        #expect(stop.result.message.contains("1234"))
    }

    @Test("a SCCRQ with broken AVPs is answered once and leaves nothing", arguments: [0, 1, 5, 1023])
    func brokenAVP(length: Int) throws {
        let stop = try answer(to: ClientBody.sccrq(tunnelID: 7, extra: avp(8, [1], length: length)))
        #expect(stop.result.code == 2 && stop.result.errorCode == 2 && stop.header.tunnelID == 7)
    }

    @Test("without a tunnel nothing but a SCCRQ is heard") func withoutTunnel() throws {
        var bench = Bench()
        for body in [
            ClientBody.hello, [], ClientBody.scccn(), ClientBody.icrq(sessionID: 1), ClientBody.stopCCN(tunnelID: 3),
            avp(0, [0, 99]), [0], [1, 2, 3],
        ] {
            #expect(try bench.give(control(tunnel: 0, ns: 0, nr: 0, body)).isEmpty)
        }
        #expect(try bench.give(control(tunnel: 0, ns: 5, nr: 0, ClientBody.sccrq(tunnelID: 1))).isEmpty)
        #expect(bench.server.drops[.withoutTunnel] == 8 && bench.server.drops[.outsideWindow] == 1)
        #expect(bench.events.isEmpty && bench.server.slotByID.isEmpty)
    }

    @Test("a message in the wrong state ends the tunnel with result 7") func wrongState() throws {
        for body in [
            ClientBody.sccrq(tunnelID: 7), ClientBody.scccn(),
            Reply.sccrp(.init(), tunnelID: 1, challenge: nil, response: nil),
        ] {
            var bench = Bench()
            let id = try bench.establish()
            let sent = try bench.give(control(tunnel: id.value, ns: 2, nr: 1, body))
            #expect(sent.map(\.type) == [.stopCCN] && sent.first?.result.code == 7)
            #expect(bench.server.tunnelCount == 0)
        }
        var bench = Bench()
        let sccrp = try #require(
            try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 7))).first)
        let tunnel = try #require(sccrp.message.uint16(.assignedTunnelID))
        let sent = try bench.give(control(tunnel: tunnel, ns: 1, nr: 1, ClientBody.icrq(sessionID: 1)))
        #expect(sent.first?.type == .stopCCN && sent.first?.result.code == 7)
    }

    @Test("an unknown mandatory message type ends the tunnel with error 8, an unknown optional one is ignored")
    func unknownMessage() throws {
        var bench = Bench()
        let id = try bench.establish()
        #expect(try bench.give(control(tunnel: id.value, ns: 2, nr: 1, avp(0, [0, 99], mandatory: false))).isEmpty)
        #expect(bench.server.drops[.unknownOptionalMessage] == 1 && bench.server.tunnelCount == 1)
        let sent = try bench.give(control(tunnel: id.value, ns: 3, nr: 1, avp(0, [0, 99])))
        #expect(sent.map(\.type) == [.stopCCN] && sent.first?.result.code == 2 && sent.first?.result.errorCode == 8)
    }

    @Test("an unknown mandatory AVP ends the session that its message is about, not the tunnel") func sessionAVP()
        throws
    {
        var bench = Bench()
        let id = try bench.connect()
        let body =
            avp(.messageType, UInt16(16)) + avp(.accm, [UInt8](repeating: 0, count: 10)) + avp(77, [1], vendor: 9)
        let sent = try bench.give(control(tunnel: id.tunnel.value, session: id.value, ns: 4, nr: 2, body))
        #expect(sent.map(\.type) == [.cdn] && sent.first?.result.errorCode == 8 && sent.first?.header.sessionID == 70)
        #expect(bench.server.sessionCount == 0 && bench.server.tunnelCount == 1)
        let request = ClientBody.icrq(sessionID: 71, extra: avp(88, []))
        let refused = try bench.give(control(tunnel: id.tunnel.value, ns: 5, nr: 3, request))
        #expect(refused.map(\.type) == [.cdn] && refused.first?.header.sessionID == 71)
        #expect(bench.server.sessionCount == 0 && bench.server.drops[.callRefused] == 1)
    }

    @Test("WEN and SLI do no harm, with or without what they must have") func lineMessages() throws {
        var bench = Bench()
        let id = try bench.connect()
        var ns: UInt16 = 4
        for body in [
            avp(.messageType, UInt16(15)) + avp(.callErrors, [UInt8](repeating: 0, count: 26)),
            avp(.messageType, UInt16(16)) + avp(.accm, [UInt8](repeating: 0, count: 10)), avp(.messageType, UInt16(16)),
            avp(.messageType, UInt16(15)) + avp(.callErrors, [1]),
        ] {
            #expect(try bench.give(control(tunnel: id.tunnel.value, session: id.value, ns: ns, nr: 2, body)).isEmpty)
            ns += 1
        }
        #expect(bench.server.session(id) != nil)
    }

    @Test("Assigned Session ID 0, one in use and outgoing calls are refused with a CDN") func refusedCalls() throws {
        var bench = Bench()
        let id = try bench.connect()
        for (index, (body, code, error)) in [
            (ClientBody.icrq(sessionID: 0), 2, 3), (ClientBody.icrq(sessionID: 70), 2, 5),
            (ClientBody.ocrq(sessionID: 72), 5, 0),
        ].enumerated() {
            let sent = try bench.give(
                control(tunnel: id.tunnel.value, ns: UInt16(4 + index), nr: UInt16(2 + index), body))
            #expect(sent.map(\.type) == [.cdn])
            #expect(sent.first?.result.code == UInt16(code) && sent.first?.result.errorCode == UInt16(error))
            #expect(sent.first?.message.uint16(.assignedSessionID) != 0)
        }
        #expect(bench.server.sessionCount == 1 && bench.server.tunnelCount == 1)
    }

    @Test("a message of any length is taken or counted, never more") func longMessage() throws {
        var bench = Bench()
        let id = try bench.establish()
        let filler = (0..<70).flatMap { _ in avp(200, [UInt8](repeating: 0, count: 1017), mandatory: false) }
        #expect(
            try bench.give(control(tunnel: id.value, ns: 2, nr: 1, ClientBody.hello + filler.prefix(60_000))).isEmpty)
        #expect(bench.server.drops[.tooLong] == 1 && bench.server.tunnelCount == 1)
        try bench.give(control(tunnel: id.value, ns: 2, nr: 1, ClientBody.hello + filler.prefix(1023 * 7)))
        #expect(bench.server.drops[.ignoredAVP] == 7 && bench.server.tunnelCount == 1)
    }

    @Test("a storm of ZLBs is met with silence") func zlbStorm() throws {
        var bench = Bench()
        let id = try bench.connect()
        try bench.wait(.seconds(0.2))
        for number in 0..<500 as Range<UInt16> {
            let zlb = control(tunnel: id.tunnel.value, session: id.value, ns: number &* 131, nr: number &* 257, [])
            #expect(try bench.give(zlb).isEmpty)
        }
        #expect(try bench.wait(.seconds(0.5)).isEmpty && bench.server.session(id) != nil)
    }

    @Test("messages for sessions that do not exist are counted") func unknownSession() throws {
        var bench = Bench()
        let id = try bench.connect()
        for (index, body) in [ClientBody.iccn(), ClientBody.cdn(sessionID: 99), Reply.icrp(sessionID: 5)].enumerated() {
            let message = control(
                tunnel: id.tunnel.value, session: id.value ^ 1, ns: UInt16(4 + index), nr: 2, body)
            #expect(try bench.give(message).isEmpty)
        }
        #expect(bench.server.drops[.unknownSession] == 3 && bench.server.session(id) != nil)
        // A CDN before the client knew our id: header 0, its own id in the AVP.
        try bench.give(control(tunnel: id.tunnel.value, ns: 7, nr: 2, ClientBody.cdn(sessionID: 70)))
        #expect(bench.server.session(id) == nil)
    }

    @Test("ICCN twice ends the session") func connectedTwice() throws {
        var bench = Bench()
        let id = try bench.connect()
        let sent = try bench.give(control(tunnel: id.tunnel.value, session: id.value, ns: 4, nr: 2, ClientBody.iccn()))
        #expect(sent.map(\.type) == [.cdn] && bench.server.sessionCount == 0 && bench.server.tunnelCount == 1)
    }

    @Test("a flood of SCCRQs keeps no more than its limit, and its peer can still dial in") func requestFlood() throws {
        var bench = Bench()
        let limit = bench.server.configuration.halfOpenTunnelsPerPeerMaximum
        for id in 1...2000 as ClosedRange<UInt16> {
            try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: id)))
        }
        #expect(bench.server.tunnelCount == limit && bench.server.slots.count <= limit + 1)
        #expect(bench.server.drops[.tooManyHalfOpenTunnels] == UInt64(2000 - limit))
        #expect(bench.events.count == 2000 - limit)
        _ = try bench.establish(5000)
        _ = try bench.establish(7, from: .second)
        try bench.wait(.seconds(200))
        #expect(bench.server.slotByID.isEmpty && bench.server.peers.isEmpty && bench.server.nextDeadline == nil)
        #expect(
            bench.server.tunnelIDUse.allSatisfy { $0 == 0 }
                && bench.server.vacantSlots.count == bench.server.slots.count)
    }

    @Test("tunnels and sessions beyond their limits are refused") func limits() throws {
        var configuration = L2TPConfiguration()
        configuration.tunnelsPerPeerMaximum = 2
        configuration.sessionsPerTunnelMaximum = 1
        var bench = Bench(configuration)
        let id = try bench.connect(1)
        _ = try bench.establish(2)
        let refused = try bench.give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: 3)))
        let stop = try #require(refused.first { $0.type == .stopCCN })
        #expect(stop.result.errorCode == 4 && stop.header.tunnelID == 3)
        let call = try bench.give(control(tunnel: id.tunnel.value, ns: 4, nr: 2, ClientBody.icrq(sessionID: 99)))
        #expect(call.first?.type == .cdn && call.first?.result.code == 4)
        _ = try bench.establish(3, from: .second)
    }

    @Test("a client that asks and never acknowledges is cut off") func neverAcknowledges() throws {
        var bench = Bench()
        let id = try bench.establish()
        for count in 0..<100 as Range<UInt16> {
            try bench.give(control(tunnel: id.value, ns: 2 + count, nr: 1, ClientBody.icrq(sessionID: 0)))
        }
        #expect(bench.server.slotByID.isEmpty && bench.events.last == .tunnelEnded(id, .unanswered))
    }

    @Test("tunnels made and ended in a loop are remembered up to a limit only") func endedLoop() throws {
        var bench = Bench()
        for round in 0..<100 as Range<UInt16> {
            let id = try bench.establish(round + 1)
            if round % 2 == 0 {
                try bench.give(control(tunnel: id.value, ns: 2, nr: 1, ClientBody.stopCCN(tunnelID: round + 1)))
            } else {
                bench.server.disconnectTunnel(id, result: .stop(.clear), now: bench.now)
                _ = try bench.drain()
            }
        }
        #expect(bench.server.slotByID.count <= bench.server.configuration.endedTunnelsPerPeerMaximum)
        #expect(bench.server.tunnelCount == 0)
    }

    @Test("random bytes, and right messages with random changes, do no harm", arguments: 0..<8 as Range<UInt64>)
    func noise(seed: UInt64) throws {
        var generator = SeededGenerator(seed)
        var bench = Bench()
        let id = try bench.connect()
        let bodies = [
            ClientBody.sccrq(tunnelID: 9), ClientBody.scccn(), ClientBody.icrq(sessionID: 9), ClientBody.iccn(),
            ClientBody.hello, ClientBody.cdn(sessionID: 70), ClientBody.stopCCN(tunnelID: 7),
            ClientBody.ocrq(sessionID: 1),
        ]
        for round in 0..<3000 {
            var bytes = control(
                tunnel: generator.chance(70) ? id.tunnel.value : 0, session: generator.chance(50) ? id.value : 0,
                ns: UInt16(truncatingIfNeeded: generator.next() % 12),
                nr: UInt16(truncatingIfNeeded: generator.next() % 4),
                bodies[round % bodies.count])
            for _ in 0..<Int.random(in: 0..<4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if generator.chance(10) { bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator))) }
            try bench.give(bytes)
            if generator.chance(20) { try bench.wait(.milliseconds(Int64.random(in: 1...9000, using: &generator))) }
        }
        try bench.wait(.seconds(300))
        #expect(bench.server.slotByID.isEmpty && bench.server.tunnelCount == 0 && bench.server.sessionCount == 0)
        #expect(bench.server.nextDeadline == nil && bench.server.peers.isEmpty)
        let began = bench.events.count { if case .sessionEstablished = $0 { true } else { false } }
        let ended = bench.events.count { if case .sessionEnded = $0 { true } else { false } }
        #expect(began == ended)
    }
}
