import Testing
import Wire

@testable import PPP

private typealias Option = IPCPOptions.Option

private let address = ConfigureOption(Option.address, uint32: Bench.assignment.address.value)
private let anyAddress = ConfigureOption(Option.address, uint32: 0)

/// A bench whose user is in, and IPCP begun; with our first Configure-Request of IPCP.
private func benchInNetworkPhase(_ options: [ConfigureOption] = []) throws -> (Bench, SentFrame) {
    var bench = Bench()
    bench.prove(options)
    let request = try #require(bench.accept().last)
    return (bench, request)
}

@Suite struct IPCPTests {
    @Test("our Configure-Request says our own address")
    func firstRequest() throws {
        let (_, request) = try benchInNetworkPhase()
        #expect(request.protocolNumber == PPPProtocol.ipcp)
        #expect(request.hasAddressAndControl)
        #expect(request.options == [ConfigureOption(3, [192, 168, 42, 1])])
    }

    @Test("what Windows and pppd ask for: VJ and servers we have none of rejected, address and DNS given, then up")
    func negotiation() throws {
        var (bench, request) = try benchInNetworkPhase([
            ConfigureOption(LCPOptions.Option.mru, uint16: 1300),
            ConfigureOption(LCPOptions.Option.addressCompression),
        ])
        #expect(!request.hasAddressAndControl)
        bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
        let zero = [UInt8](repeating: 0, count: 4)
        let bad = [
            ConfigureOption(Option.compression, [0, 0x2D, 0x0F, 1]), ConfigureOption(Option.secondaryDNS, zero),
            ConfigureOption(Option.primaryNBNS, zero), ConfigureOption(Option.secondaryNBNS, zero),
            ConfigureOption(Option.addresses, zero + zero),
        ]
        let dns = ConfigureOption(Option.primaryDNS, zero)
        let reject = try #require(bench.receiveRequest(PPPProtocol.ipcp, 1, [anyAddress, dns] + bad).first)
        #expect(reject.packet.code == Code.configureReject)
        #expect(reject.options == bad)
        let nak = try #require(bench.receiveRequest(PPPProtocol.ipcp, 2, [anyAddress, dns]).first)
        #expect(nak.packet.code == Code.configureNak)
        #expect(nak.options == [address, ConfigureOption(Option.primaryDNS, [9, 9, 9, 9])])
        let ack = try #require(bench.receiveRequest(PPPProtocol.ipcp, 3, nak.options).first)
        #expect(ack.packet == ControlPacket(code: Code.configureAck, identifier: 3, body: nak.packet.body))
        #expect(
            bench.networks == [
                PPPNetwork(
                    assignment: Bench.assignment, peerMRUBytes: 1300,
                    framing: PPPFraming(compressesAddressAndControl: true), authenticationMethod: .msChapV2)
            ])
        #expect(bench.endReason == nil)
    }

    @Test("two servers of each kind are given in their order")
    func servers() throws {
        var bench = Bench()
        bench.prove()
        let servers = (1...4).map { IPv4Address(10, 0, 0, $0) }
        bench.accept(
            AddressAssignment(
                address: Bench.assignment.address, localAddress: Bench.assignment.localAddress,
                dns: [servers[0], servers[1], servers[3]], nbns: [servers[2], servers[3]]))
        let asked = [Option.primaryDNS, Option.secondaryDNS, Option.primaryNBNS, Option.secondaryNBNS]
        let nak = try #require(
            bench.receiveRequest(PPPProtocol.ipcp, 1, [address] + asked.map { ConfigureOption($0, uint32: 0) }).first)
        #expect(nak.options == zip(asked, servers).map { ConfigureOption($0, uint32: $1.value) })
    }

    @Test("another address than the assigned one, or one of a wrong length, gets a Nak with the assigned one")
    func wrongAddress() throws {
        var (bench, _) = try benchInNetworkPhase()
        for option in [ConfigureOption(Option.address, [10, 0, 0, 1]), ConfigureOption(Option.address, [10, 0])] {
            let nak = try #require(bench.receiveRequest(PPPProtocol.ipcp, 1, [option]).first)
            #expect(nak.packet.code == Code.configureNak)
            #expect(nak.options == [address])
        }
        #expect(bench.networks.isEmpty)
    }

    @Test("a client that asks for no address is told to")
    func missingAddress() throws {
        var (bench, _) = try benchInNetworkPhase()
        let nak = try #require(bench.receiveRequest(PPPProtocol.ipcp, 1, []).first)
        #expect(nak.packet.code == Code.configureNak)
        #expect(nak.options == [address])
    }

    @Test("0.0.0.0 again and again: five Naks, then the link ends", arguments: [[anyAddress], []])
    func spam(options: [ConfigureOption]) throws {
        var (bench, _) = try benchInNetworkPhase()
        var naks = 0
        for round in 0..<100 where bench.endReason == nil {
            let replies = bench.receiveRequest(PPPProtocol.ipcp, UInt8(round), options)
            naks += replies.count { $0.packet.code == Code.configureNak }
        }
        #expect(naks == 5)
        bench.advance(.seconds(10))
        #expect(bench.endReason == .protocolFailure(.addressRefused))
        #expect(bench.networks.isEmpty)
    }

    @Test("a DNS server that the client insists on is rejected in the end, and the link goes on without")
    func insistentDNS() throws {
        var (bench, request) = try benchInNetworkPhase()
        bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
        let own = ConfigureOption(Option.primaryDNS, [1, 1, 1, 1])
        for round in 0..<5 { bench.receiveRequest(PPPProtocol.ipcp, UInt8(round), [address, own]) }
        let reject = try #require(bench.receiveRequest(PPPProtocol.ipcp, 9, [address, own]).first)
        #expect(reject.packet.code == Code.configureReject)
        #expect(reject.options == [own])
        bench.receiveRequest(PPPProtocol.ipcp, 10, [address])
        #expect(bench.networks.count == 1)
    }

    @Test("our own address is ours to say: a Nak changes nothing, a Reject leaves it out")
    func ownAddress() throws {
        var (bench, request) = try benchInNetworkPhase()
        let nak = [UInt8]([3, 6, 10, 9, 9, 9])
        request = try #require(bench.receive(PPPProtocol.ipcp, Code.configureNak, request.packet.identifier, nak).first)
        #expect(request.options == [ConfigureOption(3, [192, 168, 42, 1])])
        request = try #require(
            bench.receive(PPPProtocol.ipcp, Code.configureReject, request.packet.identifier, request.packet.body).first)
        #expect(request.options.isEmpty)
    }

    @Test("CCP, IPV6CP, ECP and what nobody knows get a Protocol-Reject, and IPCP goes on beside them")
    func otherProtocols() throws {
        var (bench, request) = try benchInNetworkPhase()
        for number in [PPPProtocol.ccp, PPPProtocol.ipv6cp, PPPProtocol.ecp, 0x8235] {
            let body: [UInt8] = [18, 6, 1, 0, 0, 0x40]
            let reply = try #require(bench.receive(number, Code.configureRequest, 1, body).first)
            #expect(reply.protocolNumber == PPPProtocol.lcp)
            #expect(reply.packet.code == Code.protocolReject)
            let rejected = ControlPacket(code: Code.configureRequest, identifier: 1, body: body).bytes
            #expect(reply.packet.body == [UInt8(number >> 8), UInt8(number & 0xFF)] + rejected)
        }
        bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
        bench.receiveRequest(PPPProtocol.ipcp, 1, [address])
        #expect(bench.networks.count == 1)
        // A client that closes CCP afterwards does not close IPCP.
        bench.receive(PPPProtocol.ccp, Code.terminateRequest, 2)
        #expect(bench.link.ipcp?.state == .opened)
    }

    @Test("a flood of CCP and ECP gets ten answers a second and disturbs nothing")
    func flood() throws {
        var (bench, request) = try benchInNetworkPhase()
        var answers = 0
        for round in 0..<1000 {
            let number = round.isMultiple(of: 2) ? PPPProtocol.ccp : PPPProtocol.ecp
            answers += bench.receiveRequest(number, UInt8(truncatingIfNeeded: round)).count
        }
        #expect(answers == 10)
        #expect(bench.link.drops[.rejectLimit] == 990)
        bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
        bench.receiveRequest(PPPProtocol.ipcp, 1, [address])
        #expect(bench.networks.count == 1)
    }

    @Test("frames that nobody takes from the queue do not fill memory")
    func queueLimit() {
        var bench = Bench()
        bench.openNetwork()
        let echo = ControlPacket(code: Code.echoRequest, identifier: 1, body: [1, 2, 3, 4])
        for _ in 0..<1000 {
            bench.link.receive(([0xC0, 0x21] + echo.bytes).span.bytes, now: bench.now, using: &bench.generator)
        }
        #expect(bench.sent().count == PPPLimit.transmitQueueMaximum)
        #expect(bench.link.drops[.transmitQueueFull] == UInt64(1000 - PPPLimit.transmitQueueMaximum))
    }

    @Test("a lost Configure-Ack of IPCP: the repeated request is acknowledged again, packets keep flowing")
    func repeatedRequest() {
        var bench = Bench()
        bench.openNetwork()
        #expect(bench.receiveRequest(PPPProtocol.ipcp, 1, [address]).map(\.packet.code) == [Code.configureAck])
        #expect(bench.networks.count == 1)
        #expect(!bench.events.contains { if case .networkDown = $0 { true } else { false } })
    }

    @Test("IPCP negotiated anew: packets stop, and flow again")
    func renegotiation() throws {
        var bench = Bench()
        bench.openNetwork()
        let request = try #require(
            bench.receiveRequest(PPPProtocol.ipcp, 2, [anyAddress]).first { $0.packet.code == Code.configureRequest })
        guard case .networkDown? = bench.events.last else { throw Missing() }
        bench.receive(PPPProtocol.ipcp, Code.configureAck, request.packet.identifier, request.packet.body)
        bench.receiveRequest(PPPProtocol.ipcp, 3, [address])
        #expect(bench.networks.count == 2)
    }

    @Test("the client closes IPCP: there is nothing left, so the link ends")
    func clientClosesIPCP() {
        var bench = Bench()
        bench.openNetwork()
        let sent = bench.receive(PPPProtocol.ipcp, Code.terminateRequest, 7)
        #expect(sent.map(\.packet.code) == [Code.terminateAck, Code.terminateRequest])
        bench.advance(.seconds(10))
        #expect(bench.endReason == .userHangUp)
    }

    @Test("a client that never finishes IPCP is sent away after its requests are used up")
    func silentIPCP() throws {
        var (bench, _) = try benchInNetworkPhase()
        bench.advance(.seconds(70))
        #expect(bench.endReason == .negotiationTimedOut)
    }

    @Test("an IP packet on the control path is a counted drop")
    func dataFrame() {
        var bench = Bench()
        bench.openNetwork()
        #expect(bench.receive(raw: [0xFF, 0x03, 0x00, 0x21, 0x45]).isEmpty)
        #expect(bench.receive(raw: [0x21, 0x45]).isEmpty)
        #expect(bench.link.drops[.dataFrame] == 2)
    }
}
