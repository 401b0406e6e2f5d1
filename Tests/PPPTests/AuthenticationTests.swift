import Cryptography
import Testing
import Wire

@testable import PPP

private let authentication = LCPOptions.Option.authentication

@Suite struct AuthenticationTests {
    @Test("MS-CHAPv2: challenge of 16 octets with our name, the right proof, the exact Success, then IPCP")
    func msChapV2() throws {
        var bench = Bench()
        let challenge = try #require(bench.openLCP().last)
        #expect(challenge.protocolNumber == PPPProtocol.chap)
        #expect(challenge.packet.code == AuthenticationCode.chapChallenge)
        #expect(challenge.packet.body[0] == 16)
        #expect(challenge.packet.body.dropFirst(17).elementsEqual("culvert".utf8))
        bench.receive(
            PPPProtocol.chap, AuthenticationCode.chapResponse, challenge.packet.identifier,
            Bench.response(to: challenge.packet, .msChapV2, user: "DOMAIN\\User"))
        #expect(bench.users == ["DOMAIN\\User"])
        guard case .authenticate(_, let proof) = bench.events[0],
            let acceptance = proof.verify(password: Bench.password).acceptance
        else { throw Missing() }
        #expect(proof.verify(password: SecretBytes(utf8: "other")).acceptance == nil)
        bench.link.authenticated(
            .accepted(Bench.assignment, authenticatorResponse: acceptance.authenticatorResponse), now: bench.now)
        let sent = bench.sent()
        let text = String(decoding: try #require(sent.first).packet.body, as: UTF8.self)
        #expect(sent[0].packet.code == AuthenticationCode.chapSuccess)
        #expect(sent[0].packet.identifier == challenge.packet.identifier)
        #expect(text.hasPrefix("S=") && text.hasSuffix(" M=OK") && text.utf8.count == 47)
        #expect(sent[1].protocolNumber == PPPProtocol.ipcp)
        #expect(sent[1].packet.code == Code.configureRequest)
    }

    @Test("MS-CHAPv2: the Failure is E=691 R=0 with a challenge and version 3, repeated when asked; then the link ends")
    func msChapV2Failure() throws {
        var bench = Bench()
        bench.prove()
        bench.link.authenticated(.refused(message: "no"), now: bench.now)
        let failure = try #require(bench.sent().first)
        let words = String(decoding: failure.packet.body, as: UTF8.self).split(separator: " ")
        #expect(failure.packet.code == AuthenticationCode.chapFailure)
        #expect(words.count == 5 && words[0] == "E=691" && words[1] == "R=0" && words[3] == "V=3" && words[4] == "M=no")
        #expect(words[2].hasPrefix("C=") && words[2].count == 34)
        let repeated = bench.receive(
            PPPProtocol.chap, AuthenticationCode.chapResponse, failure.packet.identifier,
            [49] + [UInt8](repeating: 0, count: 49))
        #expect(repeated == [failure])
        #expect(bench.users.count == 1)
        #expect(bench.advance(.seconds(4)).map(\.packet.code) == [Code.terminateRequest])
        bench.advance(.seconds(10))
        #expect(bench.endReason == .authenticationFailed(user: "User"))
    }

    @Test("a client that hangs up after a Failure still counts as one that failed")
    func hangUpAfterFailure() {
        var bench = Bench()
        bench.prove()
        bench.link.authenticated(.refused(message: "no"), now: bench.now)
        _ = bench.sent()
        bench.receive(PPPProtocol.lcp, Code.terminateRequest, 3)
        #expect(bench.endReason == .authenticationFailed(user: "User"))
    }

    @Test("CHAP with MD5: a proof that the password fits")
    func chapMD5() throws {
        var bench = Bench { $0.authenticationMethods = [.chapMD5] }
        bench.prove()
        guard case .authenticate("User", let proof)? = bench.events.first else { throw Missing() }
        #expect(proof.verify(password: Bench.password).acceptance != nil)
        #expect(bench.accept().first?.packet.code == AuthenticationCode.chapSuccess)
    }

    @Test("PAP: name and password, Ack with a message, the identifier of the last repetition")
    func pap() throws {
        var bench = Bench { $0.authenticationMethods = [.pap] }
        #expect(bench.openLCP().isEmpty)
        let body = [4] + Array("User".utf8) + [10] + Array("clientPass".utf8)
        bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 5, body)
        guard case .authenticate("User", let proof)? = bench.events.first else { throw Missing() }
        #expect(proof.verify(password: Bench.password).acceptance != nil)
        bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 6, body)
        #expect(bench.link.drops[.repeatedAttempt] == 1)
        let ack = try #require(bench.accept().first)
        #expect(
            ack.packet == ControlPacket(code: AuthenticationCode.papAck, identifier: 6, body: [2] + Array("OK".utf8)))
        // Lost on the way: the client asks again in the network phase (RFC 1334 section 2.2.1).
        let again = bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 7, body)
        #expect(again.map(\.packet.identifier) == [7])
        #expect(bench.users.count == 1)
    }

    @Test("PAP: a refusal is a Nak")
    func papNak() throws {
        var bench = Bench { $0.authenticationMethods = [.pap] }
        bench.openLCP()
        bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 5, [1, 0x41, 1, 0x42])
        bench.link.authenticated(.refused(message: "Access denied"), now: bench.now)
        let nak = try #require(bench.sent().first)
        #expect(nak.packet.code == AuthenticationCode.papNak)
        #expect(nak.packet.body.first == 13)
    }

    @Test("a Nak of another allowed method switches to it", arguments: [AuthenticationMethod.pap, .chapMD5])
    func switching(method: AuthenticationMethod) throws {
        var bench = Bench()
        let request = try #require(bench.start().first)
        let nak = ConfigureOption.encode([ConfigureOption(authentication, method.optionData)])
        let next = bench.receive(PPPProtocol.lcp, Code.configureNak, request.packet.identifier, nak)
        #expect(next.first?.options.first { $0.type == authentication }?.data == method.optionData)
        #expect(next.first?.packet.identifier != request.packet.identifier)
    }

    @Test("a peer that wants EAP, or none, is offered each method once; then the link ends and says why")
    func noneInCommon() throws {
        for isReject in [false, true] {
            var bench = Bench()
            var request = try #require(bench.start().first)
            var offered: [[UInt8]] = []
            for _ in 0..<10 where bench.endReason == nil {
                let option = try #require(request.options.first { $0.type == authentication })
                offered.append(option.data)
                let answer = isReject ? option : ConfigureOption(authentication, [0xC2, 0x27])
                let replies = bench.receive(
                    PPPProtocol.lcp, isReject ? Code.configureReject : Code.configureNak, request.packet.identifier,
                    ConfigureOption.encode([answer]))
                guard let next = replies.first, next.packet.code == Code.configureRequest else {
                    let text = String(decoding: replies.first?.packet.body ?? [], as: UTF8.self)
                    #expect(text == "no authentication method in common")
                    break
                }
                request = next
            }
            #expect(offered == [[0xC2, 0x23, 0x81], [0xC2, 0x23, 0x05], [0xC0, 0x23]])
            bench.advance(.seconds(10))
            #expect(bench.endReason == .protocolFailure(.noCommonAuthentication))
        }
    }

    @Test("with no method allowed nobody gets in")
    func noMethods() {
        var bench = Bench { $0.authenticationMethods = [] }
        _ = bench.start()
        #expect(bench.endReason == .protocolFailure(.noCommonAuthentication))
    }

    @Test("a challenge is repeated unchanged until it is answered, and the user has 30 s")
    func challengeRepeats() throws {
        var bench = Bench()
        let challenge = try #require(bench.openLCP().last)
        let repeated = bench.advance(.seconds(29))
        #expect(repeated.count == 9)
        #expect(repeated.allSatisfy { $0 == challenge })
        bench.advance(.seconds(20))
        #expect(bench.endReason == .authenticationTimedOut)
    }

    @Test("a decision that takes longer than 30 s is too late")
    func lateDecision() {
        var bench = Bench()
        bench.prove()
        bench.advance(.seconds(40))
        #expect(bench.endReason == .authenticationTimedOut)
        #expect(bench.accept().isEmpty)
        #expect(bench.networks.isEmpty)
    }

    @Test("a decision that was not asked for lets nobody in")
    func unaskedDecision() {
        var bench = Bench()
        #expect(bench.accept().isEmpty)
        bench.openLCP()
        #expect(bench.accept().isEmpty)
        #expect(bench.link.phase == .authenticate)
    }

    @Test(
        "a Success, Failure, Challenge or Ack from the client is a counted drop",
        arguments: [
            (PPPProtocol.chap, 1), (PPPProtocol.chap, 3), (PPPProtocol.chap, 4), (PPPProtocol.pap, 2),
            (PPPProtocol.pap, 3),
        ] as [(UInt16, UInt8)])
    func authenticatorMessages(number: UInt16, code: UInt8) {
        var bench = Bench { $0.authenticationMethods = [number == PPPProtocol.pap ? .pap : .msChapV2] }
        bench.openLCP()
        let identifier = UInt8(1)
        #expect(bench.receive(number, code, identifier, [4, 0x4F, 0x4B, 0x4F, 0x4B]).isEmpty)
        #expect(bench.link.drops[.authenticatorMessageFromPeer] == 1)
        #expect(bench.link.phase == .authenticate)
    }

    @Test("Change-Password and other unknown codes are dropped")
    func unknownCode() {
        var bench = Bench()
        bench.openLCP()
        bench.receive(PPPProtocol.chap, 7, 1, [UInt8](repeating: 0, count: 582))
        #expect(bench.link.drops[.unknownAuthenticationCode] == 1)
    }

    @Test("another authentication protocol than the negotiated one is dropped")
    func otherProtocol() {
        var bench = Bench()
        bench.openLCP()
        bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 5, [1, 0x41, 1, 0x42])
        #expect(bench.link.drops[.otherAuthenticationProtocol] == 1)
        #expect(bench.users.isEmpty)
    }

    @Test("a Response to another challenge is dropped")
    func wrongIdentifier() throws {
        var bench = Bench()
        let challenge = try #require(bench.openLCP().last)
        bench.receive(
            PPPProtocol.chap, AuthenticationCode.chapResponse, challenge.packet.identifier &+ 1,
            Bench.response(to: challenge.packet, .msChapV2))
        #expect(bench.link.drops[.wrongIdentifier] == 1)
        #expect(bench.users.isEmpty)
    }

    @Test(
        "a CHAP value size of 0, 1, one less, one more, or beyond the end is dropped", arguments: [0, 1, 48, 50, 255])
    func chapValueSize(size: UInt8) throws {
        for method in [AuthenticationMethod.msChapV2, .chapMD5] {
            var bench = Bench { $0.authenticationMethods = [method] }
            let challenge = try #require(bench.openLCP().last)
            var body = Bench.response(to: challenge.packet, method)
            body[0] = size
            bench.receive(PPPProtocol.chap, AuthenticationCode.chapResponse, challenge.packet.identifier, body)
            #expect(bench.link.drops[.malformedAuthentication] == 1)
            #expect(bench.users.isEmpty)
        }
    }

    @Test("a user name beyond 255 bytes is dropped")
    func longName() throws {
        var bench = Bench()
        let challenge = try #require(bench.openLCP().last)
        let name = String(repeating: "x", count: 256)
        bench.receive(
            PPPProtocol.chap, AuthenticationCode.chapResponse, challenge.packet.identifier,
            Bench.response(to: challenge.packet, .msChapV2, user: name))
        #expect(bench.link.drops[.malformedAuthentication] == 1)
    }

    @Test(
        "PAP lengths that go beyond the end, or leave something over, are dropped",
        arguments: [[255, 0x41], [1, 0x41], [1, 0x41, 2, 0x42], [1, 0x41, 1, 0x42, 0], [0, 255], [2, 0x41]])
    func papLengths(body: [UInt8]) {
        var bench = Bench { $0.authenticationMethods = [.pap] }
        bench.openLCP()
        bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 5, body)
        #expect(bench.link.drops[.malformedAuthentication] == 1)
        #expect(bench.users.isEmpty)
    }

    @Test("a PAP request without any length is dropped")
    func papEmpty() {
        var bench = Bench { $0.authenticationMethods = [.pap] }
        bench.openLCP()
        bench.receive(PPPProtocol.pap, AuthenticationCode.papRequest, 5, [0])
        #expect(bench.link.drops[.malformedPacket] == 1)
    }

    @Test("IPCP, CCP and EAP before the user has authenticated are dropped without an answer")
    func tooEarly() {
        var bench = Bench()
        bench.prove()
        for number in [PPPProtocol.ipcp, PPPProtocol.ccp, PPPProtocol.ipv6cp, PPPProtocol.eap] {
            #expect(bench.receiveRequest(number, 1).isEmpty)
        }
        #expect(bench.link.drops[.wrongPhase] == 4)
        var early = Bench()
        _ = early.start()
        #expect(early.receive(PPPProtocol.chap, AuthenticationCode.chapResponse, 0, [1, 1]).isEmpty)
        #expect(early.link.drops[.wrongPhase] == 1)
    }

    @Test("a Success that was lost is sent again with IPCP, until the client shows that it is further")
    func lostSuccess() {
        var bench = Bench()
        bench.prove()
        bench.accept()
        #expect(bench.advance(.seconds(3)).map(\.protocolNumber) == [PPPProtocol.chap, PPPProtocol.ipcp])
        bench.receiveRequest(PPPProtocol.ipcp, 1)
        #expect(bench.advance(.seconds(3)).map(\.protocolNumber) == [PPPProtocol.ipcp])
    }

    @Test("MS-CHAPv2 without an authenticator response is a Failure, and nobody gets in")
    func missingAuthenticatorResponse() {
        var bench = Bench()
        bench.prove()
        bench.link.authenticated(.accepted(Bench.assignment, authenticatorResponse: nil), now: bench.now)
        #expect(bench.sent().map(\.packet.code) == [AuthenticationCode.chapFailure])
        bench.advance(.seconds(20))
        #expect(bench.endReason == .authenticationFailed(user: "User"))
    }

    @Test("a link that negotiates anew must authenticate anew, as the same user")
    func renegotiation() throws {
        var bench = Bench()
        bench.openNetwork()
        for user in ["User", "Other"] {
            let magicNumber = ConfigureOption(5, uint32: UInt32(user.utf8.first ?? 1))
            let sent = bench.receiveRequest(PPPProtocol.lcp, 77, [magicNumber])
            let request = try #require(sent.first { $0.packet.code == Code.configureRequest })
            guard case .networkDown? = bench.events.last else { throw Missing() }
            #expect(bench.receiveRequest(PPPProtocol.ipcp, 9).isEmpty)
            let challenge = try #require(
                bench.receive(PPPProtocol.lcp, Code.configureAck, request.packet.identifier, request.packet.body).last)
            bench.receive(
                PPPProtocol.chap, AuthenticationCode.chapResponse, challenge.packet.identifier,
                Bench.response(to: challenge.packet, .msChapV2, user: user))
            if user == "User" {
                let request = try #require(bench.accept().last)
                bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
                bench.receiveRequest(PPPProtocol.ipcp, 1, [ConfigureOption(3, uint32: Bench.assignment.address.value)])
                #expect(bench.networks.count == 2)
            }
        }
        #expect(bench.users == ["User", "User"])
        bench.advance(.seconds(10))
        #expect(bench.endReason == .protocolFailure(.userChanged))
    }

    @Test("an answer to a question of before a new negotiation is not taken for one about the new attempt")
    func staleAnswer() throws {
        var bench = Bench()
        bench.prove()
        let sent = bench.receiveRequest(PPPProtocol.lcp, 77, [ConfigureOption(5, uint32: 5)])
        let request = try #require(sent.first { $0.packet.code == Code.configureRequest })
        let challenge = try #require(
            bench.receive(PPPProtocol.lcp, Code.configureAck, request.packet.identifier, request.packet.body).last)
        let response = Bench.response(to: challenge.packet, .msChapV2, user: "Other")
        let (code, identifier) = (AuthenticationCode.chapResponse, challenge.packet.identifier)
        bench.receive(PPPProtocol.chap, code, identifier, response)
        #expect(bench.users == ["User"])
        #expect(bench.link.drops[.repeatedAttempt] == 1)
        #expect(bench.accept().isEmpty)
        #expect(bench.link.phase == .authenticate)
        bench.receive(PPPProtocol.chap, code, identifier, response)
        #expect(bench.users == ["User", "Other"])
        #expect(bench.accept().first?.packet.code == AuthenticationCode.chapSuccess)
    }

    @Test("a link that negotiates anew again and again ends")
    func renegotiationLoop() {
        var bench = Bench()
        bench.openNetwork()
        for round in 0..<100 where bench.endReason == nil {
            let sent = bench.receiveRequest(
                PPPProtocol.lcp, UInt8(round + 100), [ConfigureOption(5, uint32: UInt32(round) + 1)])
            guard let request = sent.first(where: { $0.packet.code == Code.configureRequest }) else { break }
            bench.receive(PPPProtocol.lcp, Code.configureAck, request.packet.identifier, request.packet.body)
        }
        bench.advance(.seconds(10))
        #expect(bench.endReason == .protocolFailure(.renegotiationLoop))
    }
}

struct Missing: Error {}
