import Testing
import Wire

@testable import PPP

@Suite struct EchoTests {
    @Test("a silent peer is asked after 30 s, four times, and then the link ends")
    func silence() {
        var bench = Bench()
        bench.openNetwork()
        #expect(bench.advance(.seconds(29)).isEmpty)
        let asked = bench.advance(.seconds(100))
        #expect(asked.map(\.packet.code) == [UInt8](repeating: Code.echoRequest, count: 4))
        #expect(asked.allSatisfy { $0.packet.body == IPv4Address(bench.link.lcp.options.magicNumber).octets })
        #expect(bench.endReason == nil)
        let farewell = bench.advance(.seconds(30))
        #expect(farewell.map(\.packet.code) == [Code.terminateRequest])
        #expect(bench.endReason == .peerSilent)
        #expect(bench.link.nextDeadline == nil)
    }

    @Test("an answered echo keeps the link, one that answers nothing is dropped")
    func answered() throws {
        var bench = Bench()
        bench.openNetwork()
        for _ in 0..<20 {
            let request = try #require(bench.advance(.seconds(31)).first)
            bench.receive(PPPProtocol.lcp, Code.echoReply, request.packet.identifier, [1, 2, 3, 4])
        }
        #expect(bench.endReason == nil)
        #expect(bench.link.drops.nonzero.isEmpty)
        bench.receive(PPPProtocol.lcp, Code.echoReply, 200, [1, 2, 3, 4])
        #expect(bench.link.drops[.unexpectedEchoReply] == 1)
    }

    @Test("data from the client makes echoes unnecessary")
    func activity() {
        var bench = Bench()
        bench.openNetwork()
        for _ in 0..<20 {
            #expect(bench.advance(.seconds(20)).isEmpty)
            bench.link.noteActivity(now: bench.now)
        }
        #expect(bench.advance(.seconds(31)).count == 1)
    }

    @Test("the peer's Echo-Request is answered with its data and our magic number, once each")
    func answering() throws {
        var bench = Bench()
        bench.openNetwork()
        for round in 0..<100 {
            let replies = bench.receive(PPPProtocol.lcp, Code.echoRequest, UInt8(round), [9, 9, 9, 9, 1, 2])
            let magic = IPv4Address(bench.link.lcp.options.magicNumber).octets
            #expect(
                replies.map(\.packet)
                    == [ControlPacket(code: Code.echoReply, identifier: UInt8(round), body: magic + [1, 2])])
        }
        #expect(bench.receive(PPPProtocol.lcp, Code.discardRequest, 1, [9, 9, 9, 9, 1]).isEmpty)
    }

    @Test("an echo loop: our own magic number in an Echo-Request or -Reply is a counted drop with no answer")
    func loop() throws {
        var bench = Bench()
        bench.openNetwork()
        let request = try #require(bench.advance(.seconds(31)).first)
        #expect(bench.receive(PPPProtocol.lcp, Code.echoRequest, 1, request.packet.body).isEmpty)
        #expect(bench.receive(PPPProtocol.lcp, Code.echoReply, request.packet.identifier, request.packet.body).isEmpty)
        #expect(bench.link.drops[.loopedBack] == 2)
        bench.advance(.seconds(130))
        #expect(bench.endReason == .peerSilent)
    }

    @Test("echoes before LCP is open, and echoes without a magic number, are dropped")
    func early() {
        var bench = Bench()
        _ = bench.start()
        #expect(bench.receive(PPPProtocol.lcp, Code.echoRequest, 1, [1, 2, 3, 4]).isEmpty)
        #expect(bench.receive(PPPProtocol.lcp, Code.echoRequest, 1, [1, 2, 3]).isEmpty)
        #expect(bench.link.drops[.wrongPhase] == 1)
        #expect(bench.link.drops[.malformedPacket] == 1)
    }
}
