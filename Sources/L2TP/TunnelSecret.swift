import Cryptography
import Wire

/// What the secret shared with clients is used for: tunnel authentication and hidden AVPs. Both are MD5 by the RFC; what
/// protects L2TP is the IPsec around it.
enum TunnelSecret {
    /// How many random octets our Challenge has.
    static let challengeByteCount = 16

    /// The Challenge Response (RFC 2661, 4.4.3 and 5.1.1): MD5 over the type of the message that carries it, the secret
    /// and the challenge.
    static func response(in message: MessageType, secret: SecretBytes, challenge: [UInt8]) -> [UInt8] {
        HashAlgorithm.md5.digest(
            [UInt8(truncatingIfNeeded: message.rawValue)], [UInt8](copying: secret.span), challenge)
    }

    /// Whether `response` answers `challenge`.
    static func verify(
        _ response: [UInt8], in message: MessageType, secret: SecretBytes, challenge: [UInt8]
    ) -> Bool {
        let expected = Self.response(in: message, secret: secret, challenge: challenge)
        return constantTimeEqual(expected.span.bytes, response.span.bytes)
    }

    /// The value of a hidden AVP in clear (4.3), or nil if what came out of the cipher cannot be one.
    ///
    /// The plain text begins with the length of the original value, followed by the value and padding. That length is
    /// the output of a cipher, hence chosen by whoever sent the octets: it bounds nothing until it was checked.
    static func reveal(_ hidden: RawSpan, type: UInt16, secret: SecretBytes, randomVector: [UInt8]) -> [UInt8]? {
        let plain = applyStream(
            to: [UInt8](copying: hidden), type: type, secret: secret, randomVector: randomVector, decrypting: true)
        return plain.read { reader in
            guard let length = try? reader.readUInt16(), let value = try? reader.readBytes(Int(length)) else {
                return nil
            }
            return value
        }
    }

    /// The cipher of 4.3: b(1) = MD5(attribute type, secret, random vector), b(i) = MD5(secret, c(i-1)), each XORed with
    /// sixteen octets. `c` is always the hidden side, which is the input when decrypting and the output otherwise.
    static func applyStream(
        to input: [UInt8], type: UInt16, secret: SecretBytes, randomVector: [UInt8], decrypting: Bool
    ) -> [UInt8] {
        let secret = [UInt8](copying: secret.span)
        let typeOctets = [UInt8(truncatingIfNeeded: type >> 8), UInt8(truncatingIfNeeded: type)]
        var block = HashAlgorithm.md5.digest(typeOctets, secret, randomVector)
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        var start = 0
        while start < input.count {
            let end = min(start + block.count, input.count)
            output.append(contentsOf: zip(input[start..<end], block).map { $0 ^ $1 })
            guard end < input.count else { break }
            block = HashAlgorithm.md5.digest(secret, Array((decrypting ? input : output)[start..<end]))
            start = end
        }
        return output
    }
}
