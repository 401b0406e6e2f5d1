import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Under attack: offers of quick mode")
struct HostileQuickModeTests {
    @Test("quick mode: AH, tunnel mode, bundles, SPIs below 256, AES-GMAC, wrong key lengths are refused by Notify")
    func quickOffers() {
        let attributes = Offers.phaseTwo(
            mode: 2, integrity: 2, bits: 256, life: Offers.hour.isEmpty ? [] : basic(1, 1) + basic(2, 3600))
        let life = basic(1, 1) + basic(2, 3600)
        let list: [(IKEOfferAttribute, @Sendable ([UInt8]) -> [UInt8])] = [
            (.protocolID, { proposal(number: 1, protocolID: 2, spi: $0, last: true, transforms: [(3, attributes)]) }),
            (
                .protocolID,
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
                        transforms: [(12, Offers.phaseTwo(mode: 1, integrity: 2, bits: 256, life: life))])
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
}
