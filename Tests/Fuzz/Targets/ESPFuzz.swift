import Cryptography
import ESP
import Wire

/// ESP packets into the inbound table: bytes of strangers, of which none may get in, and authentic packets with any
/// plaintext, of which exactly those get in that RFC 4303 lets in.
enum ESPFuzz {
    private static let recordsMaximum = 40
    private static let batchCapacity = 6
    private static let owner = 7

    private enum Kind {
        static let opens: UInt8 = 1
        static let authentic: UInt8 = 2
        static let otherSPI: UInt8 = 4
        static let repeats: UInt8 = 8
    }

    private static let suites: [Suite] = [
        .combined(.gcm(keyLength: 16, checkLength: 16)), .combined(.gcm(keyLength: 32, checkLength: 8)),
        .separate(.cbc(.aes128), .sha1_96),
        .separate(.cbc(.aes256), .sha256_128), .separate(.cbc(.tripleDES), .md5_96), .separate(.null, .sha512_256),
        .separate(.cbc(.des), .sha384_192),
    ]

    /// The table is large and empty for the most part: one serves all inputs, its SAs installed anew for each.
    private final class Bench {
        var table = InboundTable(batchCapacity: ESPFuzz.batchCapacity)
    }
    nonisolated(unsafe) private static let bench = Bench()

    /// What the receiver of one SA is to know, kept in the simplest way.
    private struct Model {
        var seen: Set<UInt32> = []
        var highest: UInt32 = 0
        var packets = 0
        var bytes = 0
        let limitBytes: Int

        func check(_ sequence: UInt32) -> InboundDrop? {
            if sequence > highest { return nil }
            if sequence == 0 { return .replayed }
            if highest - sequence >= UInt32(ReplayWindow.defaultSize) { return .tooOld }
            return seen.contains(sequence) ? .replayed : nil
        }
    }

    private struct Sent {
        var bytes: [UInt8]
        /// The SA and the plaintext, trailer included; nil for bytes of a stranger.
        var authentic: (suite: Int, sequence: UInt32, plaintext: [UInt8])?
    }

    static func run(_ input: Script) {
        var input = input
        let isLimited = input.byte() & 1 != 0
        var models: [Model] = []
        for position in suites.indices {
            models.append(Model(limitBytes: isLimited ? 1024 : .max))
            guard
                let association = try? InboundSecurityAssociation(
                    index: index(position), owner: owner + position, protection: Protection(payload: suites[position]),
                    keys: ProtectionKeys(payload: keys(position)),
                    limit: isLimited ? VolumeLimit(kilobytes: 1) : .none)
            else { fatalError("property violated: an SA with right keys is made") }
            bench.table.install(association)
        }
        require(bench.table.count == suites.count, "an SA takes its slot over")
        var batch: [Sent] = []
        var records = 0
        while !input.isAtEnd, records < recordsMaximum {
            records += 1
            let kind = input.byte()
            if kind & Kind.repeats != 0, let last = batch.last {
                batch.append(last)
            } else {
                batch.append(read(kind, &input))
            }
            if kind & Kind.opens != 0 || batch.count == batchCapacity {
                open(batch, &models)
                batch.removeAll()
            }
        }
        open(batch, &models)
        for position in suites.indices {
            let traffic = bench.table.traffic(index(position))
            require(traffic?.packets == UInt64(models[position].packets), "packets are counted")
            require(traffic?.bytes == UInt64(models[position].bytes), "bytes are counted")
        }
    }

    private static func read(_ kind: UInt8, _ input: inout Script) -> Sent {
        let position = Int(input.byte()) % suites.count
        guard kind & Kind.authentic != 0 else {
            var bytes = input.block()
            if kind & Kind.otherSPI == 0, bytes.count >= 4 {
                bytes.replaceSubrange(0..<4, with: IPv4Address(index(position).value).octets)
            }
            return Sent(bytes: bytes, authentic: nil)
        }
        // Small steps, and now and then the far ends of the range.
        let word = input.word()
        let sequence = word & 0x8000 == 0 ? UInt32(word) : UInt32.max - UInt32(word & 0x7fff)
        var plaintext = input.block()
        let alignment = suites[position].encryption.alignment
        // Whole blocks; the input's own bytes stay at the end, where padding and trailer are.
        plaintext = [UInt8](repeating: 0, count: (alignment - plaintext.count % alignment) % alignment) + plaintext
        let bytes = seal(plaintext, position, sequence: sequence)
        return Sent(bytes: bytes, authentic: (position, sequence, plaintext))
    }

    // MARK: - Opening

    private static func open(_ sent: [Sent], _ models: inout [Model]) {
        var batch = PacketBatch(capacity: batchCapacity, packetSizeMaximum: 64)
        // Each packet lies in memory of exactly its own size.
        let memory = sent.map { item in
            let start = UnsafeMutableRawPointer.allocate(byteCount: item.bytes.count, alignment: 1)
            item.bytes.withUnsafeBytes { source in
                if let address = source.baseAddress { start.copyMemory(from: address, byteCount: source.count) }
            }
            return start
        }
        defer { memory.forEach { $0.deallocate() } }
        for position in sent.indices {
            batch[position].start = memory[position]
            batch[position].count = sent[position].bytes.count
        }
        batch.count = sent.count
        let before = bench.table.drops
        let admitted = models
        bench.table.open(batch, as: .esp)
        var dropped = 0
        for position in sent.indices {
            let result = bench.table.result(position)
            if let drop = result.drop {
                dropped += 1
                require(bench.table.drops[drop] > before[drop], "a drop is counted")
            }
            guard let authentic = sent[position].authentic else {
                require(result.drop != nil, "a stranger's packet got in")
                continue
            }
            let expected = expect(authentic, admitted[authentic.suite], &models[authentic.suite])
            require(result.drop == expected.drop, "\(String(describing: result.drop)) for \(expected)")
            require(result.owner == owner + authentic.suite, "the SA says whose it is")
            guard let payload = expected.payload else { continue }
            require([UInt8](copying: batch[position].span) == payload, "the payload is what was sent")
            require(result.nextHeader == authentic.plaintext.last, "the next header is what was sent")
            require(result.isFirst == (models[authentic.suite].packets == 1), "the first is told")
        }
        let counted = InboundDrop.allCases.reduce(0) { $0 + Int(bench.table.drops[$1] - before[$1]) }
        require(counted == dropped, "each drop is counted once")
    }

    /// What RFC 4303 says of an authentic packet, given what the window held before the batch and what it holds now.
    private static func expect(
        _ authentic: (suite: Int, sequence: UInt32, plaintext: [UInt8]), _ admitted: Model, _ model: inout Model
    ) -> (drop: InboundDrop?, payload: [UInt8]?) {
        let plaintext = authentic.plaintext
        if plaintext.count < 2 { return (.badLength, nil) }
        if admitted.bytes >= admitted.limitBytes { return (.volumeExhausted, nil) }
        if let drop = admitted.check(authentic.sequence) { return (drop, nil) }
        // The packets before it in the batch count, too.
        if model.bytes >= model.limitBytes { return (.volumeExhausted, nil) }
        if let drop = model.check(authentic.sequence) { return (drop, nil) }
        model.seen.insert(authentic.sequence)
        model.highest = max(model.highest, authentic.sequence)
        let padLength = Int(plaintext[plaintext.count - 2])
        guard padLength + 2 <= plaintext.count else { return (.badPadding, nil) }
        let payload = Array(plaintext.dropLast(padLength + 2))
        let padding = plaintext.dropLast(2).suffix(padLength)
        guard padding.elementsEqual((0..<padLength).map { UInt8(truncatingIfNeeded: $0 + 1) }) else {
            return (.badPadding, nil)
        }
        model.packets += 1
        model.bytes += plaintext.count
        return plaintext.last == 59 ? (.dummy, nil) : (nil, payload)
    }

    // MARK: - Sealing, without the room's code

    private static func index(_ position: Int) -> SecurityParameterIndex {
        SecurityParameterIndex(0x1200_0100 + UInt32(position) * 3)
    }

    private static func keys(_ position: Int) -> SuiteKeys {
        let suite = suites[position]
        var generator = SeededRandom(state: UInt64(position))
        let encryption = generator.bytes(suite.encryption.keyLength + suite.encryption.saltLength)
        let integrity = generator.bytes(suite.integrity?.keyLength ?? 0)
        return SuiteKeys(encryption: SecretBytes(encryption), integrity: SecretBytes(integrity))
    }

    private static func seal(_ plaintext: [UInt8], _ position: Int, sequence: UInt32) -> [UInt8] {
        let (suite, keys) = (suites[position], keys(position))
        let header = IPv4Address(index(position).value).octets + IPv4Address(sequence).octets
        let vector = [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: suite.encryption.vectorLength)
        switch suite {
        case .combined(.gcm(let keyLength, let checkLength)):
            return header + vector
                + sealGCM(plaintext, header, vector, keys, keyLength: keyLength, checkLength: checkLength)
        case .combined: return []
        case .separate(.cbc(let cipher), let integrity):
            guard let body = try? cipher.encrypt(plaintext, key: keys.encryption, iv: vector) else { return [] }
            return authenticated(header + vector + body, integrity, keys)
        case .separate(_, let integrity):
            return authenticated(header + plaintext, integrity, keys)
        }
    }

    private static func authenticated(_ bytes: [UInt8], _ integrity: Integrity?, _ keys: SuiteKeys) -> [UInt8] {
        guard let integrity, case .hmac(let hash) = integrity.algorithm else { return [] }
        var code = HMAC(hash, key: keys.integrity)
        code.update(bytes)
        return bytes + code.finish().prefix(integrity.checkLength)
    }

    private static func sealGCM(
        _ plaintext: [UInt8], _ header: [UInt8], _ vector: [UInt8], _ keys: SuiteKeys, keyLength: Int, checkLength: Int
    ) -> [UInt8] {
        guard
            let cipher = try? PacketCipher(
                .gcm(keyLength: keyLength), key: keys.encryption.slice(0..<keyLength), direction: .encrypt)
        else { return [] }
        let nonce = [UInt8](copying: keys.encryption.slice(keyLength..<keyLength + 4).span) + vector
        var output = plaintext + [UInt8](repeating: 0, count: checkLength)
        let isSealed = output.withUnsafeMutableBytes { output in
            nonce.withUnsafeBytes { nonce in
                header.withUnsafeBytes { header in
                    guard let data = output.baseAddress, let nonce = nonce.baseAddress, let header = header.baseAddress
                    else {
                        return false
                    }
                    return cipher.seal(
                        nonce: nonce, associated: header, associatedCount: 8, data: data, count: plaintext.count,
                        tag: data + plaintext.count, tagCount: checkLength)
                }
            }
        }
        return isSealed ? output : []
    }

    // MARK: - Seeds

    static var seeds: [(name: String, bytes: [UInt8])] {
        var all: [(name: String, bytes: [UInt8])] = []
        for position in suites.indices {
            var writer = ScriptWriter()
            writer.byte(UInt8(position & 1))
            let padLength = suites[position].encryption.alignment - 6
            let padding = (0..<max(0, padLength)).map { UInt8($0 + 1) }
            for (sequence, trailer) in [
                (1, padding + [UInt8(padding.count), 17]), (70, [1, 1, 4]), (69, [1, 1, 59]), (5, [9, 17]),
                (70, [0, 4]),
                (0xffff, [2, 17]), (0x8000, [255, 17]), (0, [0, 17]),
            ] as [(UInt16, [UInt8])] {
                writer.raw([Kind.authentic | (sequence == 69 ? Kind.opens : 0), UInt8(position)])
                writer.word(sequence)
                writer.block([4, 3, 2, 1] + trailer)
                if sequence == 1 { writer.byte(Kind.repeats) }
            }
            // The bytes of a stranger: nothing, a header alone, a whole packet, the same for an SPI that nobody has.
            for count in [0, 4, 8, 16, 36, 64] {
                writer.raw([count == 64 ? Kind.otherSPI : 0, UInt8(position)])
                writer.block([UInt8](repeating: 0, count: count))
            }
            all.append(("suite-\(position)", writer.bytes))
        }
        return all
    }
}
