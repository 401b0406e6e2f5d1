import Testing
import Wire

@testable import PPP

private typealias Option = LCPOptions.Option

@Suite struct LCPTests {
    @Test("our Configure-Request has FF 03, the MRU, MS-CHAPv2 and a magic number")
    func firstRequest() throws {
        var bench = Bench()
        let frame = try #require(bench.start().first)
        #expect(frame.protocolNumber == PPPProtocol.lcp)
        #expect(frame.hasAddressAndControl)
        #expect(frame.packet.code == Code.configureRequest)
        #expect(frame.options.map(\.type) == [Option.mru, Option.authentication, Option.magicNumber])
        #expect(frame.options[0].uint16 == 1400)
        #expect(frame.options[1].data == [0xC2, 0x23, 0x81])
    }

    @Test("an unanswered Configure-Request is sent ten times, three seconds apart, unchanged; then the link ends")
    func silentPeer() throws {
        var bench = Bench()
        let first = try #require(bench.start().first)
        #expect(bench.advance(.seconds(2)).isEmpty)
        let repeated = bench.advance(.seconds(100))
        #expect(repeated.count == 9)
        #expect(repeated.allSatisfy { $0 == first })
        #expect(bench.endReason == .negotiationTimedOut)
        #expect(bench.link.nextDeadline == nil)
    }

    @Test("a client that starts late is asked again soon after its own first request, not after three seconds")
    func lateClient() throws {
        var bench = Bench()
        let first = try #require(bench.start().first)
        let options = ConfigureOption.encode([ConfigureOption(Option.mru, uint16: 1400)])
        #expect(bench.advance(.seconds(1)).isEmpty)
        let answers = bench.receive(PPPProtocol.lcp, Code.configureRequest, 1, options)
        #expect(answers.map(\.packet.code) == [Code.configureAck])
        #expect(bench.advance(.milliseconds(1100)) == [first])
        // Only once: then the restart timer has its usual time again.
        #expect(bench.advance(.milliseconds(2500)).isEmpty)
    }

    @Test("a client that answers at once is not asked again")
    func punctualClient() throws {
        var bench = Bench()
        bench.openLCP()
        #expect(bench.advance(.seconds(2)).allSatisfy { $0.protocolNumber != PPPProtocol.lcp })
    }

    @Test("what Windows asks for: callback, MRRU and endpoint discriminator are rejected, the rest then acknowledged")
    func windows() throws {
        var bench = Bench()
        _ = bench.start()
        let good = [
            ConfigureOption(Option.mru, uint16: 1400), ConfigureOption(Option.magicNumber, uint32: 0x1234_5678),
            ConfigureOption(Option.protocolCompression), ConfigureOption(Option.addressCompression),
        ]
        let bad = [
            ConfigureOption(Option.callback, [6]), ConfigureOption(Option.multilinkMRRU, uint16: 1614),
            ConfigureOption(Option.endpointDiscriminator, [1] + [UInt8](repeating: 7, count: 16)),
        ]
        let reject = try #require(bench.receiveRequest(PPPProtocol.lcp, 0, good + bad).first)
        #expect(reject.packet.code == Code.configureReject)
        #expect(reject.packet.identifier == 0)
        #expect(reject.options == bad)
        let ack = try #require(bench.receiveRequest(PPPProtocol.lcp, 1, good).first)
        #expect(ack.packet == ControlPacket(code: Code.configureAck, identifier: 1, body: ConfigureOption.encode(good)))
        #expect(bench.link.lcp.options.peer.mruBytes == 1400)
        #expect(
            bench.link.lcp.options.peer.framing
                == PPPFraming(compressesAddressAndControl: true, compressesProtocol: true))
        // Identification, as Windows sends it twice: no answer, no drop.
        #expect(
            bench.receive(PPPProtocol.lcp, Code.identification, 2, [0, 0, 0, 0] + Array("MSRASV5.20".utf8)).isEmpty)
        #expect(bench.receive(PPPProtocol.lcp, Code.timeRemaining, 3, [0, 0, 0, 0, 0, 0, 0, 9]).isEmpty)
        #expect(bench.link.drops.nonzero.isEmpty)
    }

    @Test(
        "link quality, authentication of ourselves, and unknown options are rejected",
        arguments: [
            ConfigureOption(Option.quality, [0xC0, 0x25, 0, 0, 0, 0]),
            ConfigureOption(Option.authentication, [0xC0, 0x23]), ConfigureOption(99), ConfigureOption(0, [1]),
        ])
    func rejected(option: ConfigureOption) throws {
        var bench = Bench()
        _ = bench.start()
        let reply = try #require(bench.receiveRequest(PPPProtocol.lcp, 5, [option]).first)
        #expect(reply.packet.code == Code.configureReject)
        #expect(reply.options == [option])
    }

    @Test(
        "an option of a wrong length, or of a value that cannot be, gets a Nak with one that can",
        arguments: [
            (ConfigureOption(Option.mru, [5]), [0x05, 0xDC]), (ConfigureOption(Option.mru, uint16: 0), [0x05, 0xDC]),
            (ConfigureOption(Option.mru, uint16: 127), [0x05, 0xDC]),
            (ConfigureOption(Option.asyncMap, [0, 0]), [0, 0, 0, 0]),
        ])
    func suggested(option: ConfigureOption, data: [UInt8]) throws {
        var bench = Bench()
        _ = bench.start()
        let reply = try #require(bench.receiveRequest(PPPProtocol.lcp, 5, [option]).first)
        #expect(reply.packet.code == Code.configureNak)
        #expect(reply.options == [ConfigureOption(option.type, data)])
    }

    @Test("a boolean option with data, and a second option of the same type, are rejected")
    func booleansAndDuplicates() throws {
        var bench = Bench()
        _ = bench.start()
        let long = ConfigureOption(Option.protocolCompression, [1])
        #expect(try #require(bench.receiveRequest(PPPProtocol.lcp, 1, [long]).first).options == [long])
        let mru = ConfigureOption(Option.mru, uint16: 1400)
        let reply = try #require(bench.receiveRequest(PPPProtocol.lcp, 2, [mru, mru]).first)
        #expect(reply.packet.code == Code.configureReject)
        #expect(reply.options == [mru])
    }

    @Test("a magic number of zero gets a Nak with another one")
    func zeroMagicNumber() throws {
        var bench = Bench()
        _ = bench.start()
        let reply = try #require(
            bench.receiveRequest(PPPProtocol.lcp, 1, [ConfigureOption(Option.magicNumber, uint32: 0)]).first)
        #expect(reply.packet.code == Code.configureNak)
        #expect(reply.options.first?.uint32 != 0)
    }

    @Test("a line that is looped back is noticed and ends")
    func loopback() {
        var bench = Bench()
        var frames = bench.start()
        var rounds = 0
        while bench.endReason == nil, rounds < 100 {
            rounds += 1
            // All that we send comes back.
            let sent = frames
            frames = []
            for frame in sent {
                frames += bench.receive(
                    frame.protocolNumber, frame.packet.code, frame.packet.identifier, frame.packet.body)
            }
            if frames.isEmpty { frames = bench.advance(.seconds(3)) }
        }
        #expect(bench.endReason == .protocolFailure(.loopback))
    }

    @Test("after five Naks in a row the option is rejected instead")
    func naksBecomeRejects() throws {
        var bench = Bench()
        _ = bench.start()
        let option = ConfigureOption(Option.mru, uint16: 1)
        for round in 0..<5 {
            let reply = try #require(bench.receiveRequest(PPPProtocol.lcp, UInt8(round), [option]).first)
            #expect(reply.packet.code == Code.configureNak)
        }
        let reply = try #require(bench.receiveRequest(PPPProtocol.lcp, 9, [option]).first)
        #expect(reply.packet.code == Code.configureReject)
        #expect(reply.options == [option])
    }

    @Test("a peer that never accepts our request ends the link, and we sent no more than ten")
    func endlessNaks() throws {
        var bench = Bench()
        var request = try #require(bench.start().first)
        var requests = 1
        while bench.endReason == nil, requests < 100 {
            let replies = bench.receive(
                PPPProtocol.lcp, Code.configureNak, request.packet.identifier, [Option.mru, 4, 5, 0])
            guard let next = replies.last(where: { $0.packet.code == Code.configureRequest }) else { break }
            request = next
            requests += 1
        }
        #expect(requests == 11)
        bench.advance(.seconds(10))
        #expect(bench.endReason == .protocolFailure(.negotiationDiverges))
    }

    @Test("a peer that asks for something else for ever ends the link after a minute")
    func endlessRequests() {
        var bench = Bench()
        _ = bench.start()
        for round in 0..<200 where bench.endReason == nil {
            bench.receiveRequest(
                PPPProtocol.lcp, UInt8(truncatingIfNeeded: round), [ConfigureOption(200, [UInt8(round)])])
            bench.advance(.seconds(1))
        }
        #expect(bench.endReason == .negotiationTimedOut)
    }

    @Test("a Nak of a smaller MRU is followed, one of a larger is not; a rejected MRU and magic number are left out")
    func learning() throws {
        var bench = Bench()
        var request = try #require(bench.start().first)
        request = try #require(
            bench.receive(PPPProtocol.lcp, Code.configureNak, request.packet.identifier, [Option.mru, 4, 0x05, 0]).first
        )
        #expect(request.options[0].uint16 == 1280)
        request = try #require(
            bench.receive(PPPProtocol.lcp, Code.configureNak, request.packet.identifier, [Option.mru, 4, 0x06, 0]).first
        )
        #expect(request.options[0].uint16 == 1280)
        let rejected = [request.options[0], request.options[2]]
        request = try #require(
            bench.receive(
                PPPProtocol.lcp, Code.configureReject, request.packet.identifier, ConfigureOption.encode(rejected)
            ).first)
        #expect(request.options.map(\.type) == [Option.authentication])
    }

    @Test("an Ack or Reject that does not repeat our options, or has another identifier, is dropped")
    func strangers() throws {
        var bench = Bench()
        let request = try #require(bench.start().first)
        let identifier = request.packet.identifier
        bench.receive(PPPProtocol.lcp, Code.configureAck, identifier &+ 1, request.packet.body)
        bench.receive(PPPProtocol.lcp, Code.configureAck, identifier, Array(request.packet.body.dropLast()))
        // Without the authentication option: as if we had not asked.
        bench.receive(PPPProtocol.lcp, Code.configureAck, identifier, ConfigureOption.encode([request.options[0]]))
        bench.receive(PPPProtocol.lcp, Code.configureReject, identifier, [Option.asyncMap, 6, 0, 0, 0, 0])
        bench.receive(PPPProtocol.lcp, Code.configureReject, identifier, [Option.authentication, 4, 0xC0, 0x23])
        #expect(bench.link.drops[.wrongIdentifier] == 1)
        #expect(bench.link.drops[.notWhatWeSent] == 4)
        #expect(bench.link.lcp.state == .requestSent)
    }

    @Test("a lost Configure-Ack: the peer's repeated request is acknowledged again, and the open link stays open")
    func repeatedRequest() throws {
        var bench = Bench()
        bench.openNetwork()
        for _ in 0..<3 {
            let replies = bench.receiveRequest(PPPProtocol.lcp, 1)
            #expect(replies.map(\.packet.code) == [Code.configureAck])
        }
        #expect(bench.link.phase == .network)
        // A peer that repeats it even then has begun anew.
        #expect(
            bench.receiveRequest(PPPProtocol.lcp, 1).map(\.packet.code) == [Code.configureRequest, Code.configureAck])
        #expect(bench.link.phase == .establish)
    }

    @Test("a repeated Configure-Ack does not disturb an open link")
    func repeatedAck() throws {
        var bench = Bench()
        let request = try #require(bench.start().first)
        bench.receiveRequest()
        bench.receive(PPPProtocol.lcp, Code.configureAck, request.packet.identifier, request.packet.body)
        #expect(
            bench.receive(PPPProtocol.lcp, Code.configureAck, request.packet.identifier, request.packet.body).isEmpty)
        #expect(bench.link.phase == .authenticate)
    }

    @Test("an unknown code gets a Code-Reject with the packet, cut to the peer's MRU, and no more than ten a second")
    func unknownCode() throws {
        var bench = Bench()
        bench.openLCP([ConfigureOption(Option.mru, uint16: 200)])
        let body = [UInt8](repeating: 7, count: 400)
        let reply = try #require(bench.receive(PPPProtocol.lcp, 77, 3, body).first)
        #expect(reply.packet.code == Code.codeReject)
        #expect(reply.packet.body.count == 196)
        #expect(reply.packet.body.starts(with: [77, 3, 0x01, 0x94, 7]))
        for _ in 0..<20 { bench.receive(PPPProtocol.lcp, 77, 3) }
        #expect(bench.link.drops[.rejectLimit] == 11)
    }

    @Test("a Code-Reject of a code that a link needs ends it; one of Echo-Request stops the echo")
    func codeReject() throws {
        var bench = Bench()
        bench.openNetwork()
        bench.receive(PPPProtocol.lcp, Code.codeReject, 9, [Code.echoRequest, 1, 0, 8, 0, 0, 0, 0])
        #expect(bench.advance(.seconds(1000)).isEmpty)
        #expect(bench.endReason == nil)
        bench.receive(PPPProtocol.lcp, Code.codeReject, 10, [Code.configureRequest, 1, 0, 4])
        bench.advance(.seconds(10))
        #expect(bench.endReason == .protocolFailure(.codeRejected(1)))
    }

    @Test("a Protocol-Reject of LCP ends the link at once, one of IPCP with a farewell, one of another is noted")
    func protocolReject() {
        var bench = Bench()
        bench.openNetwork()
        bench.receive(PPPProtocol.lcp, Code.protocolReject, 1, [0x80, 0x57, 1, 1, 0, 4])
        #expect(bench.endReason == nil)
        #expect(bench.link.drops[.refusalNoted] == 1)
        var other = bench
        #expect(other.receive(PPPProtocol.lcp, Code.protocolReject, 2, [0xC0, 0x21]).count == 1)
        #expect(other.endReason == .protocolFailure(.protocolRejected(0xC021)))
        let farewell = bench.receive(PPPProtocol.lcp, Code.protocolReject, 2, [0x80, 0x21, 1])
        #expect(farewell.map(\.packet.code) == [Code.terminateRequest])
        bench.receive(PPPProtocol.lcp, Code.terminateAck, farewell[0].packet.identifier)
        #expect(bench.endReason == .protocolFailure(.protocolRejected(0x8021)))
    }

    @Test("a Protocol-Reject of LCP before LCP is open has no effect")
    func earlyProtocolReject() {
        var bench = Bench()
        _ = bench.start()
        bench.receive(PPPProtocol.lcp, Code.protocolReject, 2, [0xC0, 0x21])
        #expect(bench.endReason == nil)
        #expect(bench.link.drops[.wrongPhase] == 1)
    }

    @Test("the client hangs up: Terminate-Ack, the event at once, and nothing brings the link back")
    func userHangUp() {
        var bench = Bench()
        bench.openNetwork()
        let reply = bench.receive(PPPProtocol.lcp, Code.terminateRequest, 44, Array("User request".utf8))
        #expect(reply.map(\.packet) == [ControlPacket(code: Code.terminateAck, identifier: 44)])
        #expect(bench.endReason == .userHangUp)
        #expect(bench.link.nextDeadline == nil)
        #expect(bench.receive(PPPProtocol.lcp, Code.terminateRequest, 45).map(\.packet.code) == [Code.terminateAck])
        #expect(bench.receiveRequest(PPPProtocol.lcp, 46).isEmpty)
        #expect(bench.link.drops[.ended] == 1)
        bench.advance(.seconds(100))
        #expect(bench.endReason == .userHangUp)
    }

    @Test("we hang up: Terminate-Request with the reason, the event when it is answered, or after two without answer")
    func operatorHangUp() throws {
        var bench = Bench()
        bench.openNetwork()
        bench.link.terminate(.operatorHangUp, now: bench.now)
        let request = try #require(bench.sent().first)
        #expect(request.packet.code == Code.terminateRequest)
        #expect(String(decoding: request.packet.body, as: UTF8.self) == "hung up by operator")
        #expect(bench.endReason == nil)
        var answered = bench
        answered.receive(PPPProtocol.lcp, Code.terminateAck, request.packet.identifier &+ 1)
        #expect(answered.endReason == nil)
        answered.receive(PPPProtocol.lcp, Code.terminateAck, request.packet.identifier)
        #expect(answered.endReason == .operatorHangUp)
        #expect(bench.advance(.seconds(60)) == [request])
        #expect(bench.endReason == .operatorHangUp)
    }

    @Test("hanging up a link that was never started ends it with no frame")
    func neverStarted() {
        var bench = Bench()
        bench.link.terminate(.shutdown, now: bench.now)
        #expect(bench.sent().isEmpty)
        #expect(bench.endReason == .shutdown)
    }
}
