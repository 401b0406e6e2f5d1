import Cryptography
import ESP
import Testing
import Wire

/// The bytes that a text of hexadecimal digits writes, blanks passed over.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

extension PacketBatch {
    /// Puts a packet behind those that are there.
    mutating func append(_ bytes: [UInt8]) {
        self[count].start.copyMemory(from: bytes, byteCount: bytes.count)
        self[count].count = bytes.count
        count += 1
    }
}

/// Vectors are checked by the multi-buffer library, where it is there, and by OpenSSL alone.
let bothLibraries: [MultiBuffer] = [.wanted, .off]

/// Every suite that an SA can have and that notices a changed packet.
let allSuites: [ESP.Suite] = {
    let ciphers: [Encryption] =
        [.null] + CBCCipher.allCases.map { .cbc($0) } + [16, 24, 32].map { .ctr(keyLength: $0) }
    let separate = ciphers.flatMap { cipher in allIntegrities.map { ESP.Suite.separate(cipher, $0) } }
    let combined = [16, 24, 32].flatMap { key in
        [8, 12, 16].flatMap { check in
            [
                ESP.Suite.combined(.gcm(keyLength: key, checkLength: check)),
                .combined(.ccm(keyLength: key, checkLength: check)),
            ]
        }
    }
    return separate + combined + [.combined(.chaCha20Poly1305)]
}()

/// Every integrity that AH and ESP can have.
let allIntegrities: [Integrity] = [
    .md5_96, .sha1_96, .sha256_128, .sha256_96, .sha384_192, .sha512_256, .aesXCBC_96,
]

/// A suite where it does not matter which.
let someSuite = ESP.Suite.separate(.cbc(.aes128), .sha256_128)

/// Keys of the right lengths for a suite.
func randomKeys(for suite: ESP.Suite, using generator: inout some RandomNumberGenerator) -> SuiteKeys {
    let encryption = generator.bytes(suite.encryption.keyLength + suite.encryption.saltLength)
    let integrity = generator.bytes(suite.integrity?.keyLength ?? 0)
    return SuiteKeys(encryption: SecretBytes(encryption), integrity: SecretBytes(integrity))
}

/// Keys of the right lengths for a protection.
func randomKeys(for protection: Protection, using generator: inout some RandomNumberGenerator) -> ProtectionKeys {
    ProtectionKeys(
        authenticationHeader: protection.authenticationHeader.map { SecretBytes(generator.bytes($0.keyLength)) },
        payload: protection.payload.map { randomKeys(for: $0, using: &generator) })
}

/// Both ends of one SA, which has one number at both.
struct SAPair: ~Copyable {
    static let index = SecurityParameterIndex(0x1234_5678)
    static let version4 = OuterPath(
        remote: Endpoint(IPv4Address(192, 0, 2, 1), 0), local: .v4(IPv4Address(198, 51, 100, 2)))
    static let version6 = OuterPath(
        remote: Endpoint(address: .v6(IPv6Address(high: 0x2001_0db8_0000_0001, low: 1)), port: 0),
        local: .v6(IPv6Address(high: 0x2001_0db8_0000_0002, low: 0x1_0000_0002)))

    let protection: Protection
    let path: OuterPath
    var outbound: OutboundSecurityAssociation
    var table: InboundTable
    private var random = RandomBlock()
    private var batch = PacketBatch(capacity: 1, packetSizeMaximum: 2048)

    init(
        _ protection: Protection, path: OuterPath = Self.version4, seed: UInt64 = 1, limit: VolumeLimit = .none
    ) throws {
        var generator = SeededGenerator(seed: seed)
        let keys = randomKeys(for: protection, using: &generator)
        let outbound = try OutboundSecurityAssociation(
            index: Self.index, protection: protection, keys: keys, limit: limit, compressor: PacketCompressor())
        let inbound = try InboundSecurityAssociation(
            index: Self.index, owner: 7, protection: protection, keys: keys, limit: limit)
        self.protection = protection
        self.path = path
        self.outbound = outbound
        table = InboundTable(batchCapacity: 4)
        table.install(inbound)
    }

    /// A packet as it travels; with AH its outer IP header is part of it.
    mutating func seal(_ payload: [UInt8], nextHeader: UInt8 = 17) -> [UInt8] {
        batch.reset()
        batch.append(payload)
        batch[0].path = path
        batch[0].outer.trafficClass = 0x2e
        batch[0].outer.doNotFragment = true
        let drop = outbound.seal(&batch[0], nextHeader: nextHeader, random: &random)
        #expect(drop == nil)
        return [UInt8](copying: batch[0].span)
    }

    /// Receives a packet as it travelled; the header of IPv6 is taken away by the kernel.
    mutating func open(_ packet: [UInt8]) -> (InboundResult, [UInt8]) {
        batch.reset()
        batch.append(packet)
        batch[0].path = OuterPath(
            remote: Endpoint(address: path.local, port: 0), local: path.remote.address)
        let hasHeader = protection.authenticationHeader != nil
        if hasHeader, case .v4 = path.local, let first = packet.first {
            let length = min(Int(first & 0xf) * 4, packet.count)
            batch[0].removeFirst(length)
            batch[0].outer.headerLength = UInt8(length)
        } else if hasHeader {
            batch[0].removeFirst(min(40, packet.count))
        }
        table.open(batch, as: hasHeader ? .ah : .esp)
        return (table.result(0), [UInt8](copying: batch[0].span))
    }
}
