import Testing
import Wire

@testable import IKE

@Suite("The papers of NAT traversal")
struct NATTraversalTests {
    /// A paper by the vendor ids that a client sends for it.
    struct Paper: CustomTestStringConvertible {
        var name: String
        var vendorIDs: [[UInt8]]
        var numbers: TestInitiator.NATNumbers
        /// Which of them is answered.
        var answer: [UInt8]

        var testDescription: String { name }
    }

    static let papers = [
        Paper(
            name: "RFC 3947, with everything before it", vendorIDs: Offers.androidVendorIDs, numbers: .rfc,
            answer: Offers.natTraversal),
        Paper(name: "draft 03", vendorIDs: [Offers.draft03], numbers: .draft, answer: Offers.draft03),
        Paper(
            name: "draft 02 with a line end", vendorIDs: [Offers.draft02n], numbers: .draft, answer: Offers.draft02n),
        Paper(name: "draft 02", vendorIDs: [Offers.draft00, Offers.draft02], numbers: .draft, answer: Offers.draft02),
        Paper(name: "draft 01", vendorIDs: [Offers.draft01], numbers: .firstDraft, answer: Offers.draft01),
        Paper(
            name: "draft 00, and 01 by its vendor id", vendorIDs: [Offers.draft00], numbers: .firstDraft,
            answer: Offers.draft00),
    ]

    @Test(
        "each paper with its payload numbers, encapsulation values and ports, through a NAT and without",
        arguments: papers, [true, false])
    func paper(_ paper: Paper, isTranslated: Bool) {
        for count in 0...2 {
            var settings = TestInitiator.Settings()
            settings.vendorIDs = paper.vendorIDs
            settings.numbers = paper.numbers
            settings.originalAddressCount = count
            var world = World(settings: settings)
            if isTranslated { world.translate() }
            world.dialIn()
            #expect(world.client.answeredVendorIDs.contains(paper.answer))
            #expect(world.established.first?.nat == IKENATDetection(remote: isTranslated, local: false))
            #expect(world.client.believesOwnNAT == isTranslated && !world.client.believesServerNAT)
            #expect(world.keysAgree)
            let isFirst = paper.numbers == .firstDraft
            #expect(world.client.hasFloated == (isTranslated && !isFirst))
            guard isTranslated else {
                #expect(world.ready.first?.encapsulation == IPsecEncapsulation.none)
                continue
            }
            #expect(world.ready.first?.encapsulation == (isFirst ? .udpOfIKE : .udp))
            #expect(world.ready.first?.path.remote == (isFirst ? world.outer : world.outerFloated))
            #expect(world.ready.first?.originalAddresses.initiator == (count > 0 ? .v4(IPv4Address(10, 0, 0, 2)) : nil))
            let told = [allowedAddress.octets, gatewayAddress.octets]
            #expect(world.client.children.first?.originalAddresses == (isFirst ? [told[1]] : told))
        }
    }

    @Test("a client of draft 00 stays on port 500: its new port there, and our rekey")
    func firstDraftMoves() throws {
        var settings = TestInitiator.Settings()
        settings.vendorIDs = [Offers.draft00]
        settings.numbers = .firstDraft
        var world = World(settings: settings)
        world.translate()
        world.dialIn()
        let first = try #require(world.ready.first)
        world.translate(port: 40999)
        world.client.startQuickMode(now: world.now)
        world.run(for: .seconds(2))
        #expect(world.moves == [IKEPath(local: Endpoint(gatewayAddress, 500), remote: world.outer)])
        #expect(world.ready.count == 2 && world.keysAgree)
        var generator = SplitMix(state: 3)
        world.engine.rekey(inboundSPI: world.ready[1].inboundSPI, now: world.now, using: &generator)
        world.settle()
        let question = try #require(world.sent.last)
        #expect(question.transmit.local.port == 500 && question.transmit.remote == world.outer)
        #expect(world.requests.last?.encapsulation == .udpOfIKE && world.requests.last?.role == .initiator)
        #expect(first.encapsulation == .udpOfIKE)
    }
}
