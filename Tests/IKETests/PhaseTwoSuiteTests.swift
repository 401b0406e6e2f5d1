import Cryptography
import Testing
import Wire

@testable import IKE

/// One proposal of a quick mode's offer.
private struct Part: Sendable {
    var number = 1
    var protocolID: Int
    var id: Int
    var integrity: Int?
    var bits: Int?
    var mode: Int?
    /// Attributes behind the others.
    var more: [UInt8] = []
    /// The SPI in the place of the client's.
    var spi: [UInt8]?

    func body(_ spi: [UInt8], mode: Int, last: Bool) -> [UInt8] {
        let life = basic(1, 1) + basic(2, 3600)
        let index = self.spi ?? (protocolID == 4 ? [0x47, 0x11] : spi)
        return proposal(
            number: number, protocolID: protocolID, spi: index, last: last,
            transforms: [
                (id, Offers.phaseTwo(mode: self.mode ?? mode, integrity: integrity, bits: bits, life: life) + more)
            ])
    }

    static func offer(_ parts: [Part]) -> @Sendable ([UInt8], Int) -> [UInt8] {
        { spi, mode in
            securityAssociation(
                parts.enumerated().flatMap { $0.element.body(spi, mode: mode, last: $0.offset == parts.count - 1) })
        }
    }

    static let ah = Part(protocolID: 2, id: 5, integrity: 5)
    static let esp = Part(protocolID: 3, id: 12, integrity: 2, bits: 256)
    static let deflate = Part(protocolID: 4, id: 2)
}

@Suite("AH, bundles, compression and the rarer ciphers in quick mode")
struct PhaseTwoSuiteTests {
    /// Everything that there is.
    static func allowAll(_ configuration: inout IKEConfiguration) {
        configuration.policy.phaseTwo = PhaseTwoAlgorithms(
            ciphers: ESPCipher.all, integrities: [.hmacSHA256, .hmacSHA384, .hmacSHA512, .hmacSHA1, .aesXCBC, .hmacMD5])
        configuration.policy.phaseTwo.headerIntegrities = [.hmacSHA256, .hmacSHA384, .hmacSHA512, .hmacSHA1, .aesXCBC]
        configuration.policy.phaseTwo.compression = .accept
        configuration.policy.phaseTwo.allowsNoIntegrity = true
    }

    private static func world(
        _ parts: [Part], translated: Bool = false, _ change: (inout IKEConfiguration) -> Void = allowAll
    ) -> World {
        var settings = TestInitiator.Settings()
        settings.quickOffer = Part.offer(parts)
        var world = World(settings: settings, change: change)
        if translated { world.translate() }
        world.dialIn(quick: .milliseconds(500))
        return world
    }

    @Test("each is taken, and has the keys of its own protocol and SPI")
    func taken() {
        var xcbc = Part.ah
        (xcbc.id, xcbc.integrity) = (9, 9)
        var second = Part.esp
        second.number = 2
        var long = Part.deflate
        long.spi = [0, 0, 0x47, 0x11]
        var extended = (Part.ah, Part.esp)
        (extended.0.more, extended.1.more) = (basic(11, 1), basic(11, 1))
        var congestion = Part.esp
        congestion.more = basic(10, 1)
        let esp = { (id: Int, integrity: Int?, bits: Int?) in
            [Part(protocolID: 3, id: id, integrity: integrity, bits: bits)]
        }
        let cases: [([Part], String)] = [
            ([.ah], "ah-sha256"), ([xcbc], "ah-aesxcbc"), ([.ah, .esp], "ah-sha256+aes256-sha1"),
            ([.esp, .ah], "ah-sha256+aes256-sha1"), ([.esp, .deflate], "aes256-sha1+deflate"),
            ([.ah, .deflate], "ah-sha256+deflate"), ([.ah, .esp, .deflate], "ah-sha256+aes256-sha1+deflate"),
            ([.deflate, .esp, .ah], "ah-sha256+aes256-sha1+deflate"), ([.esp, long], "aes256-sha1+deflate"),
            // strongSwan with compress = yes.
            ([.esp, .deflate, second], "aes256-sha1+deflate"), ([extended.1], "aes256-sha1-esn"),
            ([extended.0, extended.1], "ah-sha256+aes256-sha1-esn"), ([congestion], "aes256-sha1"),
            (esp(13, 2, 128), "aes128ctr-sha1"), (esp(14, nil, 256), "aes256ccm8"), (esp(15, nil, 192), "aes192ccm12"),
            (esp(16, nil, 128), "aes128ccm16"), (esp(18, nil, 128), "aes128gcm8"), (esp(12, 9, 256), "aes256-aesxcbc"),
            (esp(11, 5, nil), "null-sha256"), (esp(254, nil, nil), "chacha20poly1305"), (esp(12, nil, 128), "aes128"),
        ]
        for (parts, name) in cases {
            let world = Self.world(parts)
            #expect(world.ready.first?.suite.description == name, "\(name) \(world.refusals.map(\.offers))")
            #expect(world.keysAgree, "\(name)")
            let compression = world.ready.first?.compression
            #expect((compression != nil) == name.contains("deflate"))
            #expect(compression.map { $0.outboundCPI == 0x4711 && (256...61_439).contains($0.inboundCPI) } ?? true)
            #expect(world.client.children.first?.outboundCPI?.suffix(2) == compression?.inboundCPI.octets[...])
        }
    }

    @Test("without a list that names them, a bundle, AH and compression are passed over for what stands beside them")
    func notNamed() {
        var second = Part.esp
        second.number = 2
        for parts in [[Part.esp, .deflate, second], [.ah, .esp, second], [.ah, second]] {
            #expect(Self.world(parts) { _ in }.ready.first?.suite.description == "aes256-sha1")
        }
    }

    @Test("what stands together is refused whole where one part is bad, and the reason is told")
    func refused() {
        let part = { (part: Part, change: (inout Part) -> Void) in
            var part = part
            change(&part)
            return part
        }
        let esn = part(.esp) { $0.more = basic(11, 1) }
        let cases: [([Part], IKEOfferAttribute)] = [
            ([.ah, part(.esp) { $0.id = 99 }], .encryption), ([part(.ah) { $0.id = 3 }, .esp], .headerIntegrity),
            ([part(.ah) { $0.integrity = nil }], .headerIntegrity), ([.esp, .esp], .protocolID),
            ([.deflate], .protocolID),
            ([.ah, .esp, .deflate, .deflate], .protocolID), ([.esp, part(.deflate) { $0.id = 3 }], .compression),
            ([.esp, part(.deflate) { $0.spi = [0, 255] }], .securityParameterIndex),
            ([.esp, part(.deflate) { $0.spi = [0, 0] }], .securityParameterIndex),
            ([.esp, part(.deflate) { $0.spi = [0, 1, 0x47, 0x11] }], .securityParameterIndex),
            ([.esp, part(.deflate) { $0.spi = [1, 2, 3] }], .securityParameterIndex),
            ([part(.ah) { $0.spi = [0, 0, 0, 255] }, .esp], .securityParameterIndex),
            ([part(.ah) { $0.spi = [1, 2] }, .esp], .securityParameterIndex), ([.ah, esn], .protocolID),
            ([.ah, part(.esp) { $0.mode = 1 }], .protocolID), ([.esp, part(.deflate) { $0.mode = 1 }], .protocolID),
            ([part(.esp) { $0.more = basic(11, 2) }], .extendedSequenceNumbers),
            ([Part(protocolID: 3, id: 11)], .integrity), ([Part(protocolID: 3, id: 13, integrity: 2)], .encryption),
            ([part(.esp) { $0.more = basic(11, 1) + basic(11, 1) }], .unknownAttribute),
        ]
        for (parts, attribute) in cases {
            let world = Self.world(parts)
            #expect(world.ready.isEmpty && world.client.notifications == [14], "\(parts)")
            let attributes = world.refusals.first?.offers.flatMap(\.mismatches).map(\.attribute) ?? []
            #expect(attributes.contains(attribute), "\(parts): \(attributes)")
        }
    }

    @Test("AH does not pass a NAT, by itself or in a bundle")
    func headerBehindNAT() {
        for parts in [[Part.ah], [.ah, .esp]] {
            let world = Self.world(parts, translated: true)
            #expect(world.ready.isEmpty && world.refusals.first?.offers.first?.attribute == .protocolID)
        }
    }

    @Test("a rule about 64-bit numbers counts")
    func extendedSequenceNumbers() {
        var esn = Part.esp
        esn.more = basic(11, 1)
        let world = Self.world([esn]) { $0.policy.phaseTwo.extendedSequenceNumbers = .never }
        #expect(world.refusals.first?.offers.first?.attribute == .extendedSequenceNumbers)
    }

    @Test("255 proposals are too many, and change nothing")
    func manyProposals() {
        let world = Self.world(
            (1...255).map { number in
                var part = Part.esp
                part.number = number
                return part
            })
        #expect(world.ready.isEmpty && world.engine.drops[.tooManyProposals] == 1)
    }

    @Test("a Delete of any one of what stands together ends all of it", arguments: [2, 3, 4])
    func delete(protocolID: Int) throws {
        var world = Self.world([.ah, .esp, .deflate])
        #expect(world.engine.securityAssociationCount == 1)
        let spi = try #require(world.client.children.first).inboundSPI
        let index: [UInt8] = protocolID == 4 ? [0x47, 0x11] : spi
        let body = be32(1) + [UInt8(protocolID), UInt8(index.count)] + be16(1) + index
        world.deliver(world.client.informational([(12, body)]))
        #expect(world.engine.securityAssociationCount == 0)
    }
}
