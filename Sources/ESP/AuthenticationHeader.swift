import Cryptography
import Wire

/// The authentication header's layout (RFC 4302 section 2).
public enum AuthenticationHeader {
    /// Next header, payload length, reserved, SPI and sequence number.
    public static let fixedLength = 12
    /// Where the SPI stands.
    static let indexOffset = 4
    /// Where the sequence number stands.
    static let sequenceOffset = 8
    /// The outer hop limit, or time to live, of what we send.
    static let hopLimit: UInt8 = 64

    /// The length of the whole header with a check value of `checkLength` bytes: a multiple of 32 bits over IPv4 and of 64
    /// over IPv6 (RFC 4302 section 2.6).
    public static func length(checkLength: Int, alignment: Int) -> Int {
        (fixedLength + checkLength + alignment - 1) / alignment * alignment
    }

    /// The length that a received header claims: in 32-bit words, less two (RFC 4302 section 2.2).
    @inline(__always)
    static func claimedLength(_ packet: Packet) -> Int { (Int(packet.byte(at: 1)) + 2) * 4 }
}

/// AH of one direction of an SA, its key set.
struct AuthenticationHeaderState: ~Copyable {
    let checkLength: Int
    private let usesExtendedSequenceNumbers: Bool
    private let authenticator: PacketAuthenticator

    init(_ integrity: Integrity, key: SecretBytes, usesExtendedSequenceNumbers: Bool) throws(CryptographyError) {
        authenticator = try integrity.makeAuthenticator(key: key)
        checkLength = integrity.checkLength
        self.usesExtendedSequenceNumbers = usesExtendedSequenceNumbers
    }

    /// Whether a header may have this length. Linux pads to 64 bits over IPv4 too, unless it is told not to.
    @inline(__always)
    func isLength(_ length: Int) -> Bool {
        length == AuthenticationHeader.length(checkLength: checkLength, alignment: 4)
            || length == AuthenticationHeader.length(checkLength: checkLength, alignment: 8)
    }

    // MARK: - Inbound

    /// Whether a packet that begins with an authentication header of `length` bytes is what was sent (RFC 4302 section
    /// 3.4.4). Of `sequence` the low half is what it bears.
    func verify(_ packet: Packet, length: Int, sequence: UInt64) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: OuterHeader.lengthMaximum + length, alignment: 8) { room in
            guard let memory = room.baseAddress,
                let outerLength = OuterHeader.writeAuthenticated(of: packet, to: memory)
            else { return false }
            let header = memory + outerLength
            header.copyMemory(from: packet.start, byteCount: length)
            (header + AuthenticationHeader.fixedLength).initializeMemory(
                as: UInt8.self, repeating: 0, count: checkLength)
            return authenticator.verify(
                before: memory, beforeCount: outerLength + length, packet.start + length, count: packet.count - length,
                behind: high(sequence), code: packet.start + AuthenticationHeader.fixedLength, codeCount: checkLength)
        }
    }

    // MARK: - Outbound

    /// Puts AH and an outer IP header in front of a packet, by its path and its outer fields (RFC 4302 section 3.3). False
    /// where no header can say it: too long, or addresses of two versions.
    func seal(
        _ packet: inout Packet, nextHeader: UInt8, index: SecurityParameterIndex, sequence: UInt64
    ) -> Bool {
        let isVersion6 = if case .v6 = packet.path.local { true } else { false }
        let length = AuthenticationHeader.length(checkLength: checkLength, alignment: isVersion6 ? 8 : 4)
        packet.prepend(length)
        packet.store(nextHeader, at: 0)
        packet.store(UInt8(truncatingIfNeeded: length / 4 - 2), at: 1)
        packet.store(UInt16(0), at: 2)
        packet.store(index.value, at: AuthenticationHeader.indexOffset)
        packet.store(UInt32(truncatingIfNeeded: sequence), at: AuthenticationHeader.sequenceOffset)
        let fixedLength = AuthenticationHeader.fixedLength
        (packet.start + fixedLength).initializeMemory(as: UInt8.self, repeating: 0, count: length - fixedLength)
        guard OuterHeader.prepend(to: &packet, sequence: sequence, index: index) else { return false }
        let check = packet.start + (isVersion6 ? OuterHeader.lengthIPv6 : OuterHeader.lengthIPv4) + fixedLength
        let isWritten = withUnsafeTemporaryAllocation(
            byteCount: PacketAuthenticator.codeLengthMaximum, alignment: 8
        ) { code in
            guard let address = code.baseAddress,
                authenticator.compute(packet.start, count: packet.count, behind: high(sequence), code: address)
            else { return false }
            check.copyMemory(from: address, byteCount: checkLength)
            return true
        }
        OuterHeader.writeMutable(packet)
        packet.outer.bringsHeader = true
        return isWritten
    }

    /// The half of the sequence number that is authenticated and does not travel (RFC 4302 section 2.5.1).
    @inline(__always)
    private func high(_ sequence: UInt64) -> UInt32? {
        usesExtendedSequenceNumbers ? UInt32(truncatingIfNeeded: sequence >> 32) : nil
    }
}
