import Cryptography
import Wire

@testable import ESP

/// A pair of IPsec SAs at a client.
final class ClientAssociation {
    let inboundSPI: UInt32
    let outboundSPI: UInt32
    /// Whether the client sends by it.
    var isReady: Bool
    fileprivate var outbound: OutboundSecurityAssociation
    fileprivate let inbound: SuiteState
    fileprivate var window = ReplayWindow()

    fileprivate init(_ child: IKEInitiator.Child, _ suite: Suite) throws(CryptographyError) {
        (inboundSPI, outboundSPI, isReady) = (child.inboundSPI, child.outboundSPI, !child.isAnswered)
        outbound = try OutboundSecurityAssociation(
            index: SecurityParameterIndex(child.outboundSPI), protection: Protection(payload: suite),
            keys: ProtectionKeys(payload: Self.keys(child.outbound, suite)))
        inbound = try SuiteState(suite, keys: Self.keys(child.inbound, suite), direction: .decrypt)
    }

    private static func keys(_ material: [UInt8], _ suite: Suite) -> SuiteKeys {
        let count = suite.encryption.keyLength + suite.encryption.saltLength
        let rest = suite.integrity?.keyLength ?? 0
        return SuiteKeys(
            encryption: SecretBytes(Array(material[..<count])),
            integrity: SecretBytes(Array(material[count..<count + rest])))
    }
}

/// ESP for all clients: one packet at a time, in one slot.
final class PacketCodec {
    private var batch = PacketBatch(capacity: 1, packetSizeMaximum: 4096)
    private var random = RandomBlock()
    /// What all clients have sealed and opened, in bytes of payload.
    private(set) var sealedBytes = 0
    private(set) var openedBytes = 0

    func association(_ child: IKEInitiator.Child, isCombined: Bool) -> ClientAssociation? {
        try? ClientAssociation(
            child, isCombined ? .combined(.gcm(keyLength: 16, checkLength: 16)) : .separate(.cbc(.aes256), .sha256_128))
    }

    func seal(_ payload: [UInt8], by association: ClientAssociation, _ nextHeader: UInt8) -> [UInt8]? {
        load(payload)
        guard association.outbound.seal(&batch[0], nextHeader: nextHeader, random: &random) == nil else { return nil }
        sealedBytes += payload.count
        return [UInt8](copying: batch[0].span)
    }

    func open(_ packet: [UInt8], by association: ClientAssociation) -> [UInt8]? {
        load(packet)
        let state = packet.count
        let sequence = UInt64(number(packet[4..<8]))
        guard case .fresh = association.window.check(sequence) else { return nil }
        let overhead = ESPHeader.length + association.inbound.vectorLength + association.inbound.checkLength
        guard state >= overhead + 2, (state - overhead) % association.inbound.alignment == 0,
            association.inbound.open(batch[0], sequence: sequence)
        else { return nil }
        _ = association.window.mark(sequence)
        let body = [UInt8](copying: batch[0].span).dropFirst(ESPHeader.length + association.inbound.vectorLength)
            .dropLast(association.inbound.checkLength)
        guard let next = body.last, next == 17 else { return nil }
        let pad = Int(body[body.endIndex - 2])
        guard body.count >= pad + 2 else { return nil }
        openedBytes += body.count - pad - 2
        return Array(body.dropLast(pad + 2))
    }

    private func load(_ bytes: [UInt8]) {
        batch.reset()
        batch.count = 1
        batch[0].start.copyMemory(from: bytes, byteCount: bytes.count)
        batch[0].count = bytes.count
    }
}
