import Cryptography
import ESP
import Testing
import Wire

/// What AH authenticates, worked out slowly from the tables of RFC 4302: section 3.3.3.1 for the base headers, appendix A
/// for options and extension headers. It shares nothing with the room.
enum HeaderModel {
    /// Appendix A1: copy flag, class and number of the options that are included in the computation. All others are mutable,
    /// experimental or superseded, or in no table, and are zeroed as a whole.
    static let immutableOptions: [(copy: UInt8, class: UInt8, number: UInt8)] = [
        (0, 0, 0),  // End of Options List
        (0, 0, 1),  // No Operation
        (1, 0, 2),  // Security
        (1, 0, 5),  // Extended Security
        (1, 0, 6),  // Commercial Security
        (1, 0, 20),  // Router Alert
        (1, 0, 21),  // Sender Directed Multi-Destination Delivery
    ]

    /// The bytes over which the check value of `checkLength` bytes is computed, of a packet whose AH begins behind
    /// `headerLength` bytes; nil where these are no IP header.
    static func authenticated(_ packet: [UInt8], headerLength: Int, checkLength: Int, high: UInt32? = nil) -> [UInt8]? {
        guard var bytes = base(packet, headerLength) else { return nil }
        for offset in 0..<checkLength { bytes[headerLength + 12 + offset] = 0 }
        guard let high else { return bytes }
        return bytes + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: high >> $0) }
    }

    private static func base(_ packet: [UInt8], _ headerLength: Int) -> [UInt8]? {
        switch packet[0] >> 4 {
        case 4 where headerLength >= 20 && Int(packet[0] & 15) * 4 == headerLength: version4(packet, headerLength)
        case 6 where headerLength >= 40: version6(packet, headerLength)
        default: nil
        }
    }

    private static func version4(_ packet: [UInt8], _ headerLength: Int) -> [UInt8]? {
        var bytes = packet
        // Type of service; flags and fragment offset; time to live; checksum.
        for offset in [1, 6, 7, 8, 10, 11] { bytes[offset] = 0 }
        var offset = 20
        while offset < headerLength, packet[offset] != 0 {
            if packet[offset] == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < headerLength else { return nil }
            let length = Int(packet[offset + 1])
            guard length >= 2, offset + length <= headerLength else { return nil }
            let isImmutable = immutableOptions.contains { $0.copy << 7 | $0.class << 5 | $0.number == packet[offset] }
            if !isImmutable { bytes.replaceSubrange(offset..<offset + length, with: repeatElement(0, count: length)) }
            offset += length
        }
        return bytes
    }

    private static func version6(_ packet: [UInt8], _ headerLength: Int) -> [UInt8]? {
        var bytes = packet
        // Traffic class and flow label; hop limit.
        bytes.replaceSubrange(0..<4, with: [0x60, 0, 0, 0])
        bytes[7] = 0
        var (next, offset) = (packet[6], 40)
        while offset < headerLength {
            guard offset + 8 <= headerLength else { return nil }
            let end = offset + (Int(packet[offset + 1]) + 1) * 8
            guard end <= headerLength, [0, 43, 60].contains(next) else { return nil }
            var option = next == 43 ? end : offset + 2
            while option < end {
                if packet[option] == 0 {
                    option += 1
                    continue
                }
                guard option + 1 < end, option + 2 + Int(packet[option + 1]) <= end else { return nil }
                let data = option + 2..<option + 2 + Int(packet[option + 1])
                // The third bit of the type: the option's data may change on the way (RFC 8200 section 4.2).
                if packet[option] & 0b0010_0000 != 0 {
                    bytes.replaceSubrange(data, with: repeatElement(0, count: data.count))
                }
                option = data.upperBound
            }
            next = packet[offset]
            offset = end
        }
        return next == 51 ? bytes : nil
    }

    /// The check value by `integrity`, of the hashes.
    static func checkValue(_ bytes: [UInt8], _ integrity: Integrity, key: [UInt8]) -> [UInt8]? {
        guard case .hmac(let hash) = integrity.algorithm else { return nil }
        var hmac = HMAC(hash, key: SecretBytes(key))
        hmac.update(bytes)
        return Array(hmac.finish().prefix(integrity.checkLength))
    }
}

/// A receiver of AH, or of AH around ESP, that is fed whole IP packets.
struct HeaderReceiver: ~Copyable {
    let protection: Protection
    let index: SecurityParameterIndex
    let keys: ProtectionKeys
    var table = InboundTable(batchCapacity: 1)
    private var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)

    init(_ protection: Protection, index: SecurityParameterIndex, keys: ProtectionKeys) throws {
        (self.protection, self.index, self.keys) = (protection, index, keys)
        try forget()
    }

    /// A new SA in the place of the old one, which has received nothing yet.
    mutating func forget() throws {
        table.install(try InboundSecurityAssociation(index: index, owner: 1, protection: protection, keys: keys))
    }

    mutating func receive(_ packet: [UInt8], headerLength: Int) -> (InboundResult, [UInt8]) {
        batch.reset()
        batch.append(packet)
        batch[0].removeFirst(headerLength)
        batch[0].outer.headerLength = UInt8(headerLength)
        table.open(batch, as: .ah)
        return (table.result(0), [UInt8](copying: batch[0].span))
    }
}
