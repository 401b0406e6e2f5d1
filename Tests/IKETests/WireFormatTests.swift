import Testing
import Wire

@testable import IKE

@Suite("Wire formats")
struct WireFormatTests {
    private let limits = IKELimits()

    // MARK: - Header

    private let headerBytes = hex("0102030405060708 1112131415161718 01 10 02 01 00000000 0000001c")

    @Test("the header is parsed")
    func parseHeader() throws {
        let header = try Header(parsing: headerBytes)
        #expect(header.cookies == IKECookies(initiator: 0x0102_0304_0506_0708, responder: 0x1112_1314_1516_1718))
        #expect(header.nextPayload == .securityAssociation)
        #expect(header.exchange == .identityProtection)
        #expect(header.flags == .encryption)
    }

    @Test("the header is emitted")
    func emitHeader() throws {
        var writer = ByteWriter()
        try Header(parsing: headerBytes).write(into: &writer, length: 28)
        #expect(writer.bytes == headerBytes)
    }

    @Test("a header one byte short is refused")
    func shortHeader() {
        #expect(throws: IKEDrop.shortMessage) { try Header(parsing: Array(headerBytes.dropLast())) }
    }

    // MARK: - Payload chain

    private let chainBytes = hex("0a 00 0006 aabb 00 00 0005 cc")

    @Test("a chain is parsed")
    func parseChain() throws {
        let chain = try PayloadChain(parsing: chainBytes, first: .hash, padded: false, limit: 8)
        #expect(chain.payloads == [Payload(type: .hash, body: [0xaa, 0xbb]), Payload(type: .nonce, body: [0xcc])])
        #expect(chain.bytesAfterFirst == hex("00 00 0005 cc"))
        let padded = try PayloadChain(parsing: chainBytes + [9, 9, 9], first: .hash, padded: true, limit: 8)
        #expect(padded.bytesAfterFirst == hex("00 00 0005 cc"))
    }

    @Test("a chain is emitted")
    func emitChain() {
        let payloads = [Payload(type: .hash, body: [0xaa, 0xbb]), Payload(type: .nonce, body: [0xcc])]
        #expect(MessageWriter.chain(payloads) == chainBytes)
    }

    @Test("a chain one byte short, with lengths of 0 to 3, or beyond the limit is refused")
    func shortChain() {
        #expect(throws: IKEDrop.truncated) {
            try PayloadChain(parsing: Array(chainBytes.dropLast()), first: .hash, padded: false, limit: 8)
        }
        for length: UInt8 in 0...3 {
            var bytes = chainBytes
            bytes[3] = length
            #expect(throws: IKEDrop.payloadLength) {
                try PayloadChain(parsing: bytes, first: .hash, padded: false, limit: 8)
            }
        }
        #expect(throws: IKEDrop.tooManyPayloads) {
            try PayloadChain(parsing: chainBytes, first: .hash, padded: false, limit: 1)
        }
    }

    @Test("every legal table names its own first payload")
    func tables() {
        for rules: PayloadRules in [.mainModeFirst, .quickModeFirst, .quickModeLast, .informational] {
            let first = rules.first.flatMap { rules.occurrences[$0] }
            #expect(first == 1...1)
        }
    }

    // MARK: - SA

    @Test("Windows' offer is parsed: one proposal of five transforms, life of four bytes")
    func parseSecurityAssociation() throws {
        let payload = try SecurityAssociationPayload(parsing: Offers.windows, limits: limits)
        #expect(payload.proposals.count == 1)
        #expect(payload.proposals[0].transforms.map(\.number) == [1, 2, 3, 4, 5])
        #expect(payload.proposals[0].transforms[0].attributes.last == Attribute(type: 12, number: 28800))
        let quick = try SecurityAssociationPayload(
            parsing: Offers.windowsQuick(spi: [1, 2, 3, 4], mode: 4), limits: limits)
        #expect(quick.proposals.map(\.transforms.count) == [1, 1, 1, 1, 1])
        #expect(quick.proposals[4].securityParameterIndex == [1, 2, 3, 4])
    }

    @Test("an answer repeats the transform byte for byte")
    func emitSecurityAssociation() throws {
        let transform = try SecurityAssociationPayload(parsing: Offers.windows, limits: limits).proposals[0].transforms[
            2]
        let answer = SecurityAssociationPayload.body([
            .init(
                protocolID: 1, securityParameterIndex: [],
                transforms: [(transform.number, transform.id, transform.attributeBytes)])
        ])
        let back = try SecurityAssociationPayload(parsing: answer, limits: limits)
        #expect(back.proposals.count == 1)
        #expect(back.proposals[0].transforms == [transform])
        #expect(Array(answer.suffix(32)) == Offers.phaseOne(7, 256, 2, 14, life: Offers.windowsLife))
    }

    @Test("an SA cut anywhere is refused")
    func shortSecurityAssociation() {
        for offer in [Offers.windows, Offers.windowsQuick(spi: [1, 2, 3, 4], mode: 4), Offers.apple] {
            for count in 0..<offer.count {
                #expect(throws: IKEDrop.self) {
                    try SecurityAssociationPayload(parsing: Array(offer.prefix(count)), limits: limits)
                }
            }
        }
    }

    // MARK: - Life

    @Test("lives: seconds and kilobytes in any order, basic or long; a duration without a type is refused")
    func lives() throws {
        let life = { (bytes: [UInt8]) throws -> Life? in
            Life(try Attribute.parse(bytes), typeAttribute: 1, durationAttribute: 2)
        }
        #expect(try life(basic(1, 2) + long(2, 250_000) + basic(1, 1) + basic(2, 3600))?.seconds == 3600)
        #expect(try life(basic(1, 2) + long(2, 250_000))?.kilobytes == 250_000)
        #expect(try life([])?.boundedSeconds(86_400) == 28_800)
        #expect(try life(basic(1, 1) + be16(2) + be16(9) + [UInt8](repeating: 255, count: 9))?.seconds == .max)
        #expect(try life(basic(1, 1) + long(2, -1))?.boundedSeconds(86_400) == 86_400)
        for wrong in [
            basic(2, 3600), basic(1, 1), basic(1, 3) + basic(2, 1), basic(1, 1) + basic(2, 0),
            basic(1, 1) + basic(2, 5) + basic(1, 1) + basic(2, 5), basic(1, 1) + basic(1, 1) + basic(2, 5),
        ] {
            #expect(try life(wrong) == nil)
        }
    }

    // MARK: - Identification, notification, delete, NAT-OA

    @Test("identification payloads")
    func identification() throws {
        let bytes: [UInt8] = [1, 17, 6, 165, 10, 0, 0, 2]
        let payload = try IdentificationPayload(parsing: bytes)
        #expect(payload.identity.address == .v4(IPv4Address(10, 0, 0, 2)))
        #expect(payload.port == 1701)
        #expect(payload.body == bytes)
        #expect(
            try IdentificationPayload(parsing: [2, 0, 0, 0] + Array("host.example".utf8)).identity.description
                == "host.example")
        #expect(try IdentificationPayload(parsing: [11, 0, 0, 0, 0, 10]).identity.description == "type 11 0x000a")
        for wrong: [UInt8] in [
            [], [1, 17, 6], Array(bytes.dropLast()), bytes + [0], [0] + bytes.dropFirst(), [2, 0, 0, 0],
            [12, 0, 0, 0, 1],
        ] {
            #expect(throws: IKEDrop.self) { try IdentificationPayload(parsing: wrong) }
        }
    }

    @Test("notification payloads")
    func notification() throws {
        let bytes = be32(1) + [1, 2] + be16(14) + [7, 8, 9]
        let payload = try NotificationPayload(parsing: bytes)
        #expect(payload.type == .noProposalChosen)
        #expect(payload.securityParameterIndex == [7, 8])
        #expect(payload.data == [9])
        #expect(payload.body == bytes)
        #expect(throws: IKEDrop.truncated) { try NotificationPayload(parsing: Array(bytes.prefix(9))) }
    }

    @Test("delete payloads")
    func delete() throws {
        let bytes = be32(1) + [3, 4] + be16(2) + [1, 2, 3, 4, 5, 6, 7, 8]
        let payload = try DeletePayload(parsing: bytes)
        #expect(payload.securityParameterIndexes == [[1, 2, 3, 4], [5, 6, 7, 8]])
        #expect(payload.body == bytes)
        #expect(throws: IKEDrop.truncated) { try DeletePayload(parsing: Array(bytes.dropLast())) }
        #expect(throws: IKEDrop.trailingBytes) { try DeletePayload(parsing: bytes + [0]) }
    }

    @Test("NAT original addresses: Android's reserved bytes are not looked at")
    func originalAddress() throws {
        #expect(try OriginalAddressPayload.parse([1, 0, 0, 7, 10, 0, 0, 2]) == .v4(IPv4Address(10, 0, 0, 2)))
        #expect(OriginalAddressPayload.body(.v4(IPv4Address(10, 0, 0, 2))) == [1, 0, 0, 0, 10, 0, 0, 2])
        for wrong: [UInt8] in [
            [], [1, 0, 0], [1, 0, 0, 0, 10, 0, 0], [1, 0, 0, 0, 10, 0, 0, 2, 3], [2, 0, 0, 0, 10, 0, 0, 2],
        ] {
            #expect(throws: IKEDrop.malformedOriginalAddress) { try OriginalAddressPayload.parse(wrong) }
        }
    }

    @Test("vendor ids are known by their bytes, those with versions by their first")
    func vendorIDs() {
        for known in IKEVendorID.allCases { #expect(IKEVendorID(known.bytes) == known) }
        #expect(IKEVendorID(Offers.windowsVendorIDs[1]) == .microsoft)
        #expect(IKEVendorID(Offers.fragmentation + hex("80000000")) == .fragmentation)
        #expect(IKEVendorID(Offers.natTraversal + [0]) == nil)
        #expect(IKEVendorID([]) == nil)
        #expect(NATTraversalVariant([.natTraversalDraft02n, .natTraversal]) == .rfc3947)
        #expect(NATTraversalVariant([.natTraversalDraft00, .natTraversalDraft02]) == .draft02)
        #expect(NATTraversalVariant([.natTraversalDraft00]) == .draft00)
        #expect(NATTraversalVariant([.natTraversalDraft]) == nil)
    }
}
