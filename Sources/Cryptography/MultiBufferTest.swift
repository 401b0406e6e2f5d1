import COpenSSL
import Wire

/// What the multi-buffer library must do right before a packet is given to it: known answers, and many packets compared with
/// OpenSSL. A library for every processor has a code path for each, and here is the one that counts.
enum MultiBufferTest {
    /// What is known to be right: computed by OpenSSL's command and Python's hmac and cryptography, not by this program.
    ///
    /// The message is bytes 0, 1, 2, ... : a header of 8, a vector, then a body of 96 that begins with 0 again. So are the
    /// cipher's keys, HMAC's begin with 0x80, the salt with 0x40.
    struct Answers {
        /// The first 12 bytes of HMAC's code over header, vector and ciphertext: of each cipher by MD5, SHA-1, SHA-256, SHA-384
        /// and SHA-512.
        var codes: [String]
        /// AES-GCM's tags, of 16 bytes, for keys of 16, 24 and 32.
        var tags: [String]

        static let known = Answers(
            codes: [
                "34a9333a17bcabb4cf089186 a05f1c313b87a192f22327d9 0285e52bd1ebde1e0280ce9f "
                    + "bb7228e761f61f1700cf3300 5493e5f6ebb31775fc6758af",
                "79e984a1b751967a97290cb5 3d2cc149dd83688f382266b0 f45cf23a447bc1bdc3ca6e54 "
                    + "514c4fed61ab5313aedce5f9 4dff99f7fd288d0f2a36ce0b",
                "3cf89f03927fe4a44965fd6c a6eede9f96edca517087108c 33a8352991f1806cf95c8d02 "
                    + "9b6950cdf7d0cfeb134dd396 52b0d95ec6013566704eb7fb",
                "92bc3eab967c437b94fa3529 3eebf167f234369ab7f9b55d 094aafdd121b0dad2646d747 "
                    + "e48822c83d8749fd3eb7d83c b42480d9e0bc2b6f0eef39f6",
                "9b00c9044c6491991de3da73 06ccc0bed7104b877278849d bc5bd6828df1eebb86c0b171 "
                    + "4eef255b700084dc9ea9cab9 5b4712eca97c5d0ac4d6dd80",
                "def2dde8514375d4e95859a0 e1830f0df1154a887b486e1d 9ffc6d4ef693614fb9249d6b "
                    + "d0f1b3393c535e4b66d18a6a fd32bee650d77e32f8335abe",
                "d4e2783d004c5d2138bcd044 a98c998dce586818e7cded40 7559c13f5fdbba263a1e6ece "
                    + "81ad4ce9852be9af8d385958 6e32fc068c7419e1a7ed316f",
            ],
            tags: [
                "a72d033a59697203604695243f89bbfc", "8268739418652f9feb78e46fe1a74570",
                "c2a6bd9f0751e3c19bd078c07b22707a",
            ])

        fileprivate func code(_ suite: BurstSuite) -> [UInt8] {
            let codes = codes[suite.cipher.rawValue].split(separator: " ")
            return bytes(codes[suite.index % BurstSuite.hashes.count])
        }

        fileprivate func tag(keyLength: Int) -> [UInt8] { bytes(Substring(tags[keyLength / 8 - 2])) }

        private func bytes(_ text: Substring) -> [UInt8] {
            let digits = text.compactMap(\.hexDigitValue)
            return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        }
    }

    /// The first packet's is that of the known answers. More packets than any of the library's code paths has lanes, and of
    /// lengths that end them at different times.
    private static let bodyLengths = [96] + (0..<32).map { $0 * 1008 % 1424 / 16 * 16 + 16 }
    private static let headerLength = 8
    private static let salt = UInt32(0x4041_4243).bigEndian
    private static let slotLength = 2048

    private static func counted(_ count: Int, from first: UInt8 = 0) -> [UInt8] {
        (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }

    // MARK: - A cipher with HMAC

    /// Whether bursts of `suite` come out as they must, both ways, and a changed packet is refused.
    static func passes(_ suite: BurstSuite, _ answers: Answers) -> Bool {
        guard let ends = try? Ends(suite) else { return false }
        let (burst, alone) = (PacketBurst(isOnLibrary: true, packetsMinimum: 1), PacketBurst(isOnLibrary: false))
        let plain = Packets(suite)
        let (packets, compared) = (Packets(suite), Packets(suite))
        for (packets, burst) in [(packets, burst), (compared, alone)] {
            guard packets.run(burst, ends.sealing, hasBehind: true) == bodyLengths.indices.map({ _ in true }),
                packets.run(burst, ends.opening, hasBehind: true) == bodyLengths.indices.map({ _ in true }),
                packets.bytes == plain.bytes,
                packets.run(burst, ends.sealing, hasBehind: false) == bodyLengths.indices.map({ _ in true }),
                packets.firstCode == answers.code(suite)
            else { return false }
        }
        guard packets.bytes == compared.bytes, packets.checks == compared.checks else { return false }
        packets.changeLastBit(of: bodyLengths.count - 1)
        let opened = packets.run(burst, ends.opening, hasBehind: false)
        return opened == bodyLengths.indices.map { $0 < bodyLengths.count - 1 }
            && burst.multiBufferCount == UInt64(4 * bodyLengths.count) && alone.multiBufferCount == 0
    }

    /// Both directions of an SA.
    private struct Ends: ~Copyable {
        let sealing: BurstKeys
        let opening: BurstKeys
        private let sealer: PacketCipher
        private let opener: PacketCipher
        private let authenticator: PacketAuthenticator

        init(_ suite: BurstSuite) throws(CryptographyError) {
            let length = suite.algorithm.keyLength
            let key = SecretBytes(counted(length))
            let integrityKey = SecretBytes(counted(suite.hash.digestLength, from: 0x80))
            let sealer = try PacketCipher(suite.algorithm, key: key, direction: .encrypt)
            let opener = try PacketCipher(suite.algorithm, key: key, direction: .decrypt)
            let authenticator = try PacketAuthenticator(suite.hash, key: integrityKey)
            guard
                let sealing = BurstKeys(
                    unverified: suite, key: key, integrityKey: integrityKey, checkLength: 12, direction: .encrypt,
                    cipher: sealer, authenticator: authenticator),
                let opening = BurstKeys(
                    unverified: suite, key: key, integrityKey: integrityKey, checkLength: 12, direction: .decrypt,
                    cipher: opener, authenticator: authenticator)
            else { throw .libraryFailure }
            self.sealing = sealing
            self.opening = opening
            self.sealer = sealer
            self.opener = opener
            self.authenticator = authenticator
        }
    }

    /// Packets of all lengths in memory of their own.
    private final class Packets {
        private static let checkLength = 12
        private let memory: UnsafeMutableRawPointer
        private let vectorLength: Int

        init(_ suite: BurstSuite) {
            vectorLength =
                switch suite.algorithm {
                case .cbc(let cipher): cipher.blockLength
                default: 8
                }
            memory = .allocate(byteCount: slotLength * bodyLengths.count, alignment: 64)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: slotLength * bodyLengths.count)
            for (index, length) in bodyLengths.enumerated() {
                slot(index).copyMemory(from: counted(headLength), byteCount: headLength)
                (slot(index) + headLength).copyMemory(from: counted(length), byteCount: length)
            }
        }

        deinit { memory.deallocate() }

        private var headLength: Int { headerLength + vectorLength }
        private func slot(_ index: Int) -> UnsafeMutableRawPointer { memory + index * slotLength }

        func run(_ burst: PacketBurst, _ keys: borrowing BurstKeys, hasBehind: Bool) -> [Bool] {
            for (index, length) in bodyLengths.enumerated() {
                burst.append(
                    keys, position: index, start: slot(index), count: headLength + length, vectorOffset: headerLength,
                    bodyOffset: headLength, salt: salt, behind: hasBehind ? UInt32(truncatingIfNeeded: index) : nil)
            }
            burst.run()
            defer { burst.removeAll() }
            return (0..<burst.count).map { burst.isGood($0) && burst.position($0) == $0 }
        }

        /// All packets without their check values.
        var bytes: [[UInt8]] {
            bodyLengths.indices.map { copy(slot($0), headLength + bodyLengths[$0]) }
        }

        var checks: [[UInt8]] {
            bodyLengths.indices.map {
                copy(slot($0) + headLength + bodyLengths[$0], Self.checkLength)
            }
        }

        var firstCode: [UInt8] { checks.first ?? [] }

        func changeLastBit(of index: Int) {
            let last = headLength + bodyLengths[index] - 1
            let byte = slot(index).load(fromByteOffset: last, as: UInt8.self)
            slot(index).storeBytes(of: byte ^ 1, toByteOffset: last, as: UInt8.self)
        }

        private func copy(_ start: UnsafeMutableRawPointer, _ count: Int) -> [UInt8] {
            [UInt8](UnsafeRawBufferPointer(start: start, count: count))
        }
    }

    // MARK: - AES-GCM

    /// Whether AES-GCM comes out as it must, both ways, and a changed packet is refused.
    static func passes(gcmKeyLength: Int, _ answers: Answers) -> Bool {
        let key = SecretBytes(counted(gcmKeyLength))
        let algorithm = PacketCipher.Algorithm.gcm(keyLength: gcmKeyLength)
        guard let sealer = PacketCipher(unverifiedGCM: key, direction: .encrypt),
            let opener = PacketCipher(unverifiedGCM: key, direction: .decrypt),
            let other = try? PacketCipher(algorithm, key: key, direction: .encrypt, multiBuffer: .off)
        else { return false }
        let nonce = counted(4, from: 0x40) + counted(8, from: 8)
        let header = counted(headerLength)
        for (index, length) in bodyLengths.enumerated() {
            let plain = counted(length)
            let tagCount = [16, 12, 8][index % 3]
            var (mine, theirs) = (plain, plain)
            var (tag, otherTag) = ([UInt8](repeating: 0, count: 16), [UInt8](repeating: 0, count: 16))
            let isSealed =
                sealer.seal(
                    nonce: nonce, associated: header, associatedCount: header.count, data: &mine, count: length,
                    tag: &tag, tagCount: tagCount)
                && other.seal(
                    nonce: nonce, associated: header, associatedCount: header.count, data: &theirs, count: length,
                    tag: &otherTag, tagCount: tagCount)
            guard isSealed, mine == theirs, tag == otherTag, index > 0 || tag == answers.tag(keyLength: gcmKeyLength)
            else { return false }
            let isOpened = opener.open(
                nonce: nonce, associated: header, associatedCount: header.count, data: &mine, count: length, tag: tag,
                tagCount: tagCount)
            tag[0] ^= 1
            let isChangedOpened = opener.open(
                nonce: nonce, associated: header, associatedCount: header.count, data: &theirs, count: length,
                tag: tag, tagCount: tagCount)
            guard isOpened, mine == plain, !isChangedOpened else { return false }
        }
        return true
    }
}
