import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Under attack: offers of quick mode")
struct HostileQuickModeTests {
    @Test(
        "quick mode: AH and bundles where no list names it, unknown modes, SPIs below 256, AES-GMAC, wrong key lengths are refused by Notify"
    )
    func quickOffers() {
        let attributes = Offers.phaseTwo(
            mode: 2, integrity: 2, bits: 256, life: Offers.hour.isEmpty ? [] : basic(1, 1) + basic(2, 3600))
        let life = basic(1, 1) + basic(2, 3600)
        let list: [(IKEOfferAttribute, @Sendable ([UInt8]) -> [UInt8])] = [
            (
                .headerIntegrity,
                { proposal(number: 1, protocolID: 2, spi: $0, last: true, transforms: [(3, attributes)]) }
            ),
            (
                .headerIntegrity,
                {
                    proposal(number: 1, protocolID: 3, spi: $0, last: false, transforms: [(12, attributes)])
                        + proposal(number: 1, protocolID: 2, spi: $0, last: true, transforms: [(3, attributes)])
                }
            ),
            (
                .securityParameterIndex,
                { _ in
                    proposal(number: 1, protocolID: 3, spi: [0, 0, 0, 255], last: true, transforms: [(12, attributes)])
                }
            ),
            (
                .securityParameterIndex,
                { _ in proposal(number: 1, protocolID: 3, spi: [], last: true, transforms: [(12, attributes)]) }
            ),
            (
                .encapsulationMode,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 5, integrity: 2, bits: 256, life: life))])
                }
            ),
            (
                .encryption,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(23, Offers.phaseTwo(mode: 2, integrity: nil, bits: 128, life: life))])
                }
            ),
            (
                .encryption,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: 2, bits: 0, life: life))])
                }
            ),
            (
                .encryption,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(20, Offers.phaseTwo(mode: 2, integrity: nil, bits: nil, life: life))])
                }
            ),
            (
                .integrity,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(20, Offers.phaseTwo(mode: 2, integrity: 2, bits: 128, life: life))])
                }
            ),
            (
                .integrity,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: nil, bits: 128, life: life))])
                }
            ),
            (
                .group,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: 2, bits: 128, group: 14, life: life))])
                }
            ),
            (
                .life,
                {
                    proposal(
                        number: 1, protocolID: 3, spi: $0, last: true,
                        transforms: [(12, Offers.phaseTwo(mode: 2, integrity: 2, bits: 128, life: basic(2, 3600)))])
                }
            ),
        ]
        for (attribute, offer) in list {
            var settings = TestInitiator.Settings()
            settings.quickOffer = { spi, _ in securityAssociation(offer(spi)) }
            var world = World(settings: settings)
            world.dialIn(quick: .milliseconds(500))
            #expect(world.ready.isEmpty)
            #expect(world.refusals.first?.offers.first?.attribute == attribute, "\(world.refusals)")
            #expect(world.client.notifications == [14])
        }
    }

    @Test("quick mode for other protocols, or for one side only, is refused by Notify")
    func quickSelectors() {
        for selectors: [[UInt8]] in [
            [[1, 6, 0, 80, 10, 0, 0, 1], [1, 6, 0, 80, 10, 0, 0, 2]], [[1, 17, 6, 165, 10, 0, 0, 1]],
            [[1, 17, 6, 165, 10, 0, 0], [1, 17, 6, 165, 10, 0, 0, 2]],
            [[99, 17, 6, 165, 10], [1, 17, 6, 165, 10, 0, 0, 2]],
        ] {
            var settings = TestInitiator.Settings()
            settings.selectors = selectors
            var world = World(settings: settings)
            world.dialIn(quick: .milliseconds(500))
            #expect(world.ready.isEmpty)
            #expect(world.client.notifications.count == 1)
        }
    }

    @Test("a proven peer's message 1 with payloads missing, twice, of IKEv2 or of another message: refused by Notify")
    func quickPayloads() {
        typealias List = [(type: Int, body: [UInt8])]
        let spi: [UInt8] = [0xc0, 1, 2, 3]
        let offer = (type: 1, body: Offers.strongSwanQuick(spi: spi, mode: 2, combined: true))
        let nonce = (type: 10, body: [UInt8](repeating: 7, count: 20))
        let secret = (type: 4, body: [UInt8](repeating: 2, count: 256))
        let identity = (type: 5, body: [1, 17, 6, 165, 192, 0, 2, 7] as [UInt8])
        let cases: [(List, IKEDrop)] = [
            ([nonce], .missingPayload), ([offer], .missingPayload), ([offer, nonce, nonce], .duplicatePayload),
            ([offer, offer, nonce], .duplicatePayload), ([offer, nonce, secret, secret], .duplicatePayload),
            ([offer, nonce, identity, identity, identity], .duplicatePayload),
            ([offer, nonce, (20, [UInt8](repeating: 1, count: 20))], .unexpectedPayload),
            ([offer, nonce, (33, [1, 2, 3, 4])], .unexpectedPayload), ([offer, nonce, secret], .noProposalChosen),
            ([offer, nonce, (21, [1, 0, 0, 0, 10])], .malformedOriginalAddress),
        ]
        for (payloads, drop) in cases {
            var world = World.connected()
            var bytes = world.client.informational(payloads, id: [9, 9, 9, 9])
            bytes[18] = 32
            world.deliver(bytes)
            #expect(world.engine.drops[drop] == 1, "\(drop): \(world.drops)")
            world.run(for: .seconds(1))
            #expect(world.client.notifications.count == 1 && world.ready.count == 1)
        }
    }

    @Test("groups of perfect forward secrecy that there are not, or whose public value cannot be (CVE-2014-9221)")
    func quickGroups() {
        for (group, length) in [(1025, 256), (0, 256), (65535, 0), (14, 255), (14, 0), (19, 65)] {
            var world = World.connected()
            let attributes = Offers.phaseTwo(
                mode: 2, integrity: 2, bits: 128, group: group, life: basic(1, 1) + basic(2, 3600))
            let offer = securityAssociation(
                proposal(number: 1, protocolID: 3, spi: [1, 2, 3, 4], last: true, transforms: [(12, attributes)]))
            var bytes = world.client.informational(
                [
                    (1, offer), (10, [UInt8](repeating: 7, count: 20)), (4, [UInt8](repeating: 2, count: length)),
                ], id: [9, 9, 9, 9])
            bytes[18] = 32
            world.deliver(bytes)
            let isKnown = group == 14 || group == 19
            #expect(world.engine.drops[isKnown ? .publicValueLength : .noProposalChosen] == 1, "\(group) \(length)")
            let hasWork = world.engine.pollWork() != nil
            #expect(world.requests.count == 1 && !hasWork)
        }
    }
}
