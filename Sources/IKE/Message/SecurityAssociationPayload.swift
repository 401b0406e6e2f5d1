import Wire

/// A data attribute (RFC 2408 section 3.3): type and value, the value as a number where it is one.
struct Attribute: Hashable, Sendable {
    var type: UInt16
    /// The number, basic or of up to eight bytes; nil for something longer, which no attribute that we know is.
    var number: UInt64?

    /// Reads all attributes of a transform.
    static func parse(_ bytes: [UInt8]) throws(IKEDrop) -> [Attribute] {
        try bytes.read { (reader) throws(IKEDrop) in
            var attributes: [Attribute] = []
            attributes.reserveCapacity(bytes.count / 4)
            while !reader.isAtEnd {
                let field = try reader.uint16()
                let type = field & 0x7fff
                if field & 0x8000 != 0 {
                    attributes.append(Attribute(type: type, number: UInt64(try reader.uint16())))
                } else {
                    let value = try reader.bytes(Int(try reader.uint16()))
                    guard !value.isEmpty else { throw .malformedAttribute }
                    let number = value.count <= 8 ? value.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } : nil
                    attributes.append(Attribute(type: type, number: number))
                }
            }
            return attributes
        }
    }
}

extension Attribute {
    /// An attribute as it travels: basic where the number is small enough, otherwise of four or eight bytes.
    static func bytes(_ type: UInt16, _ number: UInt64) -> [UInt8] {
        if let number = UInt16(exactly: number) { return (type | 0x8000).octets + number.octets }
        if let number = UInt32(exactly: number) { return type.octets + UInt16(4).octets + number.octets }
        return type.octets + UInt16(8).octets + number.octets
    }
}

/// A transform payload (RFC 2408 section 3.6).
struct Transform: Hashable, Sendable {
    var number: UInt8
    var id: UInt8
    /// The attributes byte for byte as they came: the answer repeats them so.
    var attributeBytes: [UInt8]
    var attributes: [Attribute]

    init(number: UInt8, id: UInt8, attributeBytes: [UInt8]) throws(IKEDrop) {
        (self.number, self.id, self.attributeBytes) = (number, id, attributeBytes)
        attributes = try Attribute.parse(attributeBytes)
    }
}

/// A proposal payload (RFC 2408 section 3.5).
struct Proposal: Hashable, Sendable {
    var number: UInt8
    var protocolID: UInt8
    var securityParameterIndex: [UInt8]
    var transforms: [Transform]
}

/// Protocol identifiers (RFC 2407 section 4.4.1).
enum ProtocolID {
    static let isakmp: UInt8 = 1
    static let authenticationHeader: UInt8 = 2
    static let esp: UInt8 = 3
    static let compression: UInt8 = 4
}

/// A security association payload (RFC 2408 section 3.4): what the peer offers.
struct SecurityAssociationPayload: Hashable, Sendable {
    /// The IPsec domain of interpretation (RFC 2407).
    static let ipsecDomain: UInt32 = 1
    /// SIT_IDENTITY_ONLY (RFC 2407 section 4.2.1).
    static let identityOnly: UInt32 = 1

    var proposals: [Proposal]

    init(proposals: [Proposal]) { self.proposals = proposals }

    init(parsing body: [UInt8], limits: IKELimits) throws(IKEDrop) {
        proposals = try body.read { (reader) throws(IKEDrop) in
            guard try reader.uint32() == Self.ipsecDomain, try reader.uint32() == Self.identityOnly else {
                throw .domainUnsupported
            }
            var proposals: [Proposal] = []
            var transformCount = 0
            var more = true
            while more {
                guard proposals.count < limits.proposalsMaximum else { throw .tooManyProposals }
                let next = PayloadType(rawValue: try reader.uint8())
                guard next == .none || next == .proposal else { throw .malformedProposal }
                more = next == .proposal
                guard try reader.uint8() == 0 else { throw .reservedNotZero }
                let length = Int(try reader.uint16())
                guard length >= Payload.headerByteCount else { throw .payloadLength }
                var part = try reader.part(length - Payload.headerByteCount)
                let proposal = try Self.proposal(
                    from: &part, transformsMaximum: limits.transformsMaximum - transformCount)
                transformCount += proposal.transforms.count
                proposals.append(proposal)
            }
            try reader.end()
            return proposals
        }
    }

    private static func proposal(from reader: inout ByteReader, transformsMaximum: Int) throws(IKEDrop) -> Proposal {
        let number = try reader.uint8()
        let protocolID = try reader.uint8()
        let spiLength = Int(try reader.uint8())
        let count = Int(try reader.uint8())
        let spi = try reader.bytes(spiLength)
        guard count > 0 else { throw .malformedProposal }
        guard count <= transformsMaximum else { throw .tooManyProposals }
        var transforms: [Transform] = []
        for index in 0..<count {
            // The chain of next payloads and the count must tell the same number of transforms.
            let expected: PayloadType = index + 1 < count ? .transform : .none
            guard PayloadType(rawValue: try reader.uint8()) == expected else { throw .malformedProposal }
            guard try reader.uint8() == 0 else { throw .reservedNotZero }
            let length = Int(try reader.uint16())
            guard length >= 8 else { throw .payloadLength }
            var part = try reader.part(length - Payload.headerByteCount)
            let transformNumber = try part.uint8()
            let id = try part.uint8()
            guard try part.uint16() == 0 else { throw .reservedNotZero }
            let attributes = try part.bytes(part.remaining)
            transforms.append(try Transform(number: transformNumber, id: id, attributeBytes: attributes))
        }
        try reader.end()
        return Proposal(
            number: number, protocolID: protocolID, securityParameterIndex: spi, transforms: transforms)
    }

    /// A proposal as it is written: the transforms by number, identifier and attributes.
    struct Written {
        var number: UInt8 = 1
        var protocolID: UInt8
        var securityParameterIndex: [UInt8]
        var transforms: [(number: UInt8, id: UInt8, attributes: [UInt8])]

        var length: Int { transforms.reduce(8 + securityParameterIndex.count) { $0 + 8 + $1.attributes.count } }

        /// Transforms that we number, the most wanted first.
        static func numbered(
            _ transforms: [(id: UInt8, attributes: [UInt8])]
        ) -> [(number: UInt8, id: UInt8, attributes: [UInt8])] {
            transforms.prefix(255).enumerated().map { (UInt8(clamping: $0 + 1), $1.id, $1.attributes) }
        }
    }

    /// The payload of some proposals. Those of one number stand together (RFC 2408 section 4.2).
    static func body(_ proposals: [Written]) -> [UInt8] {
        var writer = ByteWriter(capacity: proposals.reduce(8) { $0 + $1.length })
        writer.write(ipsecDomain)
        writer.write(identityOnly)
        for (index, proposal) in proposals.enumerated() {
            let next: PayloadType = index + 1 == proposals.count ? .none : .proposal
            writer.write([next.rawValue, 0])
            writer.write(UInt16(clamping: proposal.length))
            writer.write([
                proposal.number, proposal.protocolID, UInt8(clamping: proposal.securityParameterIndex.count),
                UInt8(clamping: proposal.transforms.count),
            ])
            writer.write(proposal.securityParameterIndex)
            for (index, transform) in proposal.transforms.enumerated() {
                let next: PayloadType = index + 1 == proposal.transforms.count ? .none : .transform
                writer.write([next.rawValue, 0])
                writer.write(UInt16(clamping: 8 + transform.attributes.count))
                writer.write([transform.number, transform.id, 0, 0])
                writer.write(transform.attributes)
            }
        }
        return writer.bytes
    }

    /// The payload that offers one proposal of the transforms given as identifier and attributes, the most wanted first.
    static func offer(
        protocolID: UInt8, securityParameterIndex: [UInt8], transforms: [(id: UInt8, attributes: [UInt8])]
    ) -> [UInt8] {
        body([
            Written(
                protocolID: protocolID, securityParameterIndex: securityParameterIndex,
                transforms: Written.numbered(transforms))
        ])
    }

    /// The proposals by number, in the order in which the numbers come: those of one number stand together
    /// (RFC 2408 section 4.2).
    var bundles: [[Proposal]] {
        var positions: [UInt8: Int] = [:]
        var bundles: [[Proposal]] = []
        for proposal in proposals {
            if let position = positions[proposal.number] {
                bundles[position].append(proposal)
            } else {
                positions[proposal.number] = bundles.count
                bundles.append([proposal])
            }
        }
        return bundles
    }
}
