import Cryptography
import Wire

/// The offer that we chose in quick mode: one proposal, or several that stand together.
struct ChosenPhaseTwo: Hashable, Sendable {
    /// One protocol of it.
    struct Part: Hashable, Sendable {
        var protocolID: UInt8
        /// The peer's SPI or CPI.
        var index: UInt32
        /// In how many bytes it came: a CPI may have two or four (RFC 3173 section 3.3).
        var indexBytes: Int
        var transform: Transform
    }

    var suite: IPsecSuite
    var life: Life
    var mode: EncapsulationMode
    /// The group of perfect forward secrecy.
    var group: DiffieHellmanGroup?
    var proposalNumber: UInt8
    /// The protocols in the peer's order, in which we answer.
    var parts: [Part]

    /// The peer's SPIs and CPI.
    var outbound: OutboundIndexes { OutboundIndexes(parts.map { ($0.protocolID, $0.index) }) }

    /// The SA payload of message 2: the peer's transforms byte for byte, our SPI for AH and ESP, and our CPI.
    func answer(inboundSPI: UInt32, inboundCPI: UInt16?) -> [UInt8] {
        SecurityAssociationPayload.body(
            parts.map { part in
                let isCompression = part.protocolID == ProtocolID.compression
                let index = isCompression ? UInt32(inboundCPI ?? 0) : inboundSPI
                return .init(
                    number: proposalNumber, protocolID: part.protocolID,
                    securityParameterIndex: index.octets.suffix(part.indexBytes),
                    transforms: [(part.transform.number, part.transform.id, part.transform.attributeBytes)])
            })
    }
}

/// The numbers that a peer gave a pair of SAs or bundles, by protocol.
struct OutboundIndexes: Hashable, Sendable {
    private(set) var header: UInt32?
    private(set) var payload: UInt32?
    private(set) var compression: UInt16?

    init(_ indexes: [(protocolID: UInt8, index: UInt32)]) {
        for (protocolID, index) in indexes {
            switch protocolID {
            case ProtocolID.authenticationHeader: header = index
            case ProtocolID.esp: payload = index
            case ProtocolID.compression: compression = UInt16(truncatingIfNeeded: index)
            default: break
            }
        }
    }

    /// The SPI of AH or ESP.
    subscript(ipsecProtocol: IPsecProtocol) -> UInt32? {
        switch ipsecProtocol {
        case .authenticationHeader: header
        case .encapsulatingSecurityPayload: payload
        }
    }

    /// Whether `index` is one of them, by the number of its protocol.
    func contains(_ index: UInt32, of protocolID: UInt8) -> Bool {
        switch protocolID {
        case ProtocolID.authenticationHeader: header == index
        case ProtocolID.esp: payload == index
        case ProtocolID.compression: compression.map(UInt32.init) == index
        default: false
        }
    }
}

/// What we offer in quick mode.
struct PhaseTwoOffer {
    let mode: EncapsulationMode
    let group: DiffieHellmanGroup?
    let seconds: UInt64
    let kilobytes: UInt64?
    /// What differs from both for single suites.
    var suiteLifetimes: [IPsecSuite: IKETunnel.SuiteLifetime] = [:]

    private typealias Class = PhaseTwoNegotiation.Class

    /// What the suites of one proposal have in common. The transforms of protocols that stand together are chosen each by
    /// itself (RFC 2408 section 4.2), so that with AH around ESP each algorithm of AH gets a proposal of its own.
    private struct Shape: Hashable {
        let bundledHeader: IPsecIntegrity?
        let hasPayload: Bool
        let compresses: Bool
        let usesExtendedSequenceNumbers: Bool

        init(_ suite: IPsecSuite) {
            hasPayload = suite.payload != nil
            bundledHeader = hasPayload ? suite.authenticationHeader : nil
            compresses = suite.compresses
            usesExtendedSequenceNumbers = suite.usesExtendedSequenceNumbers
        }
    }

    /// The SA payload that offers `suites`, the most wanted first.
    func body(_ suites: [IPsecSuite], inboundSPI: UInt32, inboundCPI: UInt16?) -> [UInt8] {
        // A later proposal is wanted less than an earlier one (RFC 2408 section 4.2): only neighbours share one.
        var runs: [(shape: Shape, suites: [IPsecSuite])] = []
        for suite in suites {
            let shape = Shape(suite)
            if runs.last?.shape == shape {
                runs[runs.count - 1].suites.append(suite)
            } else {
                runs.append((shape, [suite]))
            }
        }
        var proposals: [SecurityAssociationPayload.Written] = []
        for (index, (shape, suites)) in runs.prefix(255).enumerated() {
            let number = UInt8(clamping: index + 1)
            let add = { (protocolID: UInt8, index: [UInt8], transforms: [(id: UInt8, attributes: [UInt8])]) in
                proposals.append(
                    .init(
                        number: number, protocolID: protocolID, securityParameterIndex: index,
                        transforms: SecurityAssociationPayload.Written.numbered(transforms)))
            }
            let headers = shape.bundledHeader == nil ? suites : Array(suites.prefix(1))
            let headerTransforms = headers.compactMap(header)
            if !headerTransforms.isEmpty {
                add(ProtocolID.authenticationHeader, inboundSPI.octets, headerTransforms)
            }
            if shape.hasPayload { add(ProtocolID.esp, inboundSPI.octets, suites.compactMap(payload)) }
            if shape.compresses, let inboundCPI {
                add(ProtocolID.compression, inboundCPI.octets, [(PhaseTwoNegotiation.deflateTransformID, terms(nil))])
            }
        }
        return SecurityAssociationPayload.body(proposals)
    }

    private func header(_ suite: IPsecSuite) -> (id: UInt8, attributes: [UInt8])? {
        guard let integrity = suite.authenticationHeader else { return nil }
        return (
            integrity.headerTransformID,
            Attribute.bytes(Class.authentication, UInt64(integrity.attribute)) + terms(suite)
        )
    }

    private func payload(_ suite: IPsecSuite) -> (id: UInt8, attributes: [UInt8])? {
        guard let payload = suite.payload else { return nil }
        var attributes: [UInt8] = []
        if let integrity = payload.integrity {
            attributes += Attribute.bytes(Class.authentication, UInt64(integrity.attribute))
        }
        if payload.cipher.saysKeyLength {
            attributes += Attribute.bytes(Class.keyLength, UInt64(payload.cipher.keyLengthBits))
        }
        return (payload.cipher.transformID, attributes + terms(suite))
    }

    /// What every protocol's transform says. Compression has neither a group nor sequence numbers.
    private func terms(_ suite: IPsecSuite?) -> [UInt8] {
        let own = suite.flatMap { suiteLifetimes[$0] }
        var attributes =
            Attribute.bytes(Class.lifeType, 1) + Attribute.bytes(Class.lifeDuration, own?.seconds ?? seconds)
        if let kilobytes = own?.kilobytes ?? kilobytes {
            attributes += Attribute.bytes(Class.lifeType, 2) + Attribute.bytes(Class.lifeDuration, kilobytes)
        }
        attributes += Attribute.bytes(Class.encapsulationMode, UInt64(mode.rawValue))
        guard let suite else { return attributes }
        if let group { attributes += Attribute.bytes(Class.group, UInt64(group.rawValue)) }
        if suite.usesExtendedSequenceNumbers { attributes += Attribute.bytes(Class.extendedSequenceNumbers, 1) }
        return attributes
    }
}
