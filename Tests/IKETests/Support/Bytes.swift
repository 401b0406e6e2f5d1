import Cryptography
import Wire

// The test initiator's own byte work: written without a look at the gateway's, so that one does not repeat the other's
// mistakes.

func be16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

func be32(_ value: Int) -> [UInt8] { be16(value >> 16 & 0xffff) + be16(value & 0xffff) }

func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

func hmac(_ hash: HashAlgorithm, _ key: [UInt8], _ data: [UInt8]) -> [UInt8] {
    var mac = HMAC(hash, key: SecretBytes(key))
    mac.update(data)
    return mac.finish()
}

func bytes(of secret: SecretBytes) -> [UInt8] { [UInt8](copying: secret.span) }

/// A seeded generator, so that each run of a test is the same.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Attributes: basic, and of four bytes.
func basic(_ type: Int, _ value: Int) -> [UInt8] { be16(0x8000 | type) + be16(value) }
func long(_ type: Int, _ value: Int) -> [UInt8] { be16(type) + be16(4) + be32(value) }

/// A transform substructure.
func transform(number: Int, id: Int, last: Bool, _ attributes: [UInt8]) -> [UInt8] {
    [last ? 0 : 3, 0] + be16(8 + attributes.count) + [UInt8(number), UInt8(id), 0, 0] + attributes
}

/// A proposal substructure of the transforms' attributes.
func proposal(
    number: Int, protocolID: Int, spi: [UInt8], last: Bool, transforms: [(id: Int, attributes: [UInt8])]
) -> [UInt8] {
    let list = transforms.enumerated().flatMap { index, item in
        transform(number: index + 1, id: item.id, last: index == transforms.count - 1, item.attributes)
    }
    return [last ? 0 : 2, 0] + be16(8 + spi.count + list.count)
        + [UInt8(number), UInt8(protocolID), UInt8(spi.count), UInt8(transforms.count)] + spi + list
}

/// An SA payload's body.
func securityAssociation(_ proposals: [UInt8]) -> [UInt8] { be32(1) + be32(1) + proposals }

/// Chains payloads.
func chain(_ payloads: [(type: Int, body: [UInt8])]) -> [UInt8] {
    payloads.enumerated().flatMap { index, payload in
        let next = index + 1 < payloads.count ? payloads[index + 1].type : 0
        return [UInt8(next), 0] + be16(payload.body.count + 4) + payload.body
    }
}

/// Takes a chain apart. Only for what the gateway sends: it traps on nonsense.
func unchain(_ bytes: [UInt8], first: Int) -> [(type: Int, body: [UInt8])] {
    var result: [(Int, [UInt8])] = []
    var type = first
    var at = 0
    while type != 0 {
        let length = Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
        result.append((type, Array(bytes[(at + 4)..<(at + length)])))
        type = Int(bytes[at])
        at += length
    }
    return result
}

/// A message with its header.
func message(
    _ initiator: [UInt8], _ responder: [UInt8], exchange: Int, flags: Int = 0, id: [UInt8] = [0, 0, 0, 0], first: Int,
    body: [UInt8]
) -> [UInt8] {
    initiator + responder + [UInt8(first), 0x10, UInt8(exchange), UInt8(flags)] + id + be32(28 + body.count) + body
}

/// Zeros up to the next whole block.
func padded(_ bytes: [UInt8], _ block: Int) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: (block - bytes.count % block) % block)
}

let allowedAddress = IPv4Address(192, 0, 2, 7)
let gatewayAddress = IPv4Address(198, 51, 100, 1)
