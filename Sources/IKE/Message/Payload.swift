import Wire

/// What a payload is (RFC 2408 section 3.1, RFC 3947 section 6, and the drafts' private numbers).
struct PayloadType: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt8

    static let none = PayloadType(rawValue: 0)
    static let securityAssociation = PayloadType(rawValue: 1)
    static let proposal = PayloadType(rawValue: 2)
    static let transform = PayloadType(rawValue: 3)
    static let keyExchange = PayloadType(rawValue: 4)
    static let identification = PayloadType(rawValue: 5)
    static let certificate = PayloadType(rawValue: 6)
    static let certificateRequest = PayloadType(rawValue: 7)
    static let hash = PayloadType(rawValue: 8)
    static let signature = PayloadType(rawValue: 9)
    static let nonce = PayloadType(rawValue: 10)
    static let notification = PayloadType(rawValue: 11)
    static let delete = PayloadType(rawValue: 12)
    static let vendorID = PayloadType(rawValue: 13)
    /// The attributes of mode configuration and XAUTH.
    static let attributes = PayloadType(rawValue: 14)
    /// NAT-D of draft-ietf-ipsec-nat-t-ike-00 and -01, the number being another payload's today (RFC 6407).
    static let natDetectionFirstDraft = PayloadType(rawValue: 15)
    static let natOriginalAddressFirstDraft = PayloadType(rawValue: 16)
    static let natDetection = PayloadType(rawValue: 20)
    static let natOriginalAddress = PayloadType(rawValue: 21)
    static let natDetectionDraft = PayloadType(rawValue: 130)
    static let natOriginalAddressDraft = PayloadType(rawValue: 131)
    static let fragment = PayloadType(rawValue: 132)

    /// Whether the number is for private use: what we do not know there is passed over (RFC 2408 section 3.1).
    var isPrivate: Bool { rawValue >= 128 }
}

/// One payload without its generic header.
struct Payload: Hashable, Sendable {
    static let headerByteCount = 4

    var type: PayloadType
    var body: [UInt8]
}

/// The payloads of a message, in order, and where the last one ends.
struct PayloadChain: Sendable {
    /// What an encrypted message may carry behind its last payload. RFC 2409 pads to the block; some pad more.
    static let paddingMaximum = 255

    /// The bytes that the chain was read from, for the hashes over them.
    let bytes: [UInt8]
    let payloads: [Payload]
    /// Where the second payload's generic header begins in `bytes`; `end` where there is none.
    private let second: Int
    /// Where the last payload ends: behind it is only padding.
    let end: Int

    /// Reads a chain that begins with a payload of type `first`.
    ///
    /// - Parameter padded: whether the bytes were decrypted, and so may end in padding.
    init(parsing bytes: [UInt8], first: PayloadType, padded: Bool, limit: Int) throws(IKEDrop) {
        var payloads: [Payload] = []
        payloads.reserveCapacity(min(limit, 8))
        var second: Int?
        let end = try bytes.read { (reader) throws(IKEDrop) -> Int in
            var type = first
            while type != .none {
                guard payloads.count < limit else { throw .tooManyPayloads }
                if payloads.count == 1 { second = bytes.count - reader.remaining }
                let next = PayloadType(rawValue: try reader.uint8())
                guard try reader.uint8() == 0 else { throw .reservedNotZero }
                let length = Int(try reader.uint16())
                guard length >= Payload.headerByteCount else { throw .payloadLength }
                payloads.append(Payload(type: type, body: try reader.bytes(length - Payload.headerByteCount)))
                type = next
            }
            let end = bytes.count - reader.remaining
            // libreswan fills messages in clear up to a multiple of four with zeros.
            let isPadding = padded ? reader.remaining <= Self.paddingMaximum : reader.remaining < 4
            guard isPadding, padded || bytes[end...].allSatisfy({ $0 == 0 }) else { throw .trailingBytes }
            return end
        }
        (self.bytes, self.payloads, self.second, self.end) = (bytes, payloads, second ?? end, end)
    }

    /// The first payload's body of type `type`.
    subscript(type: PayloadType) -> [UInt8]? { payloads.first { $0.type == type }?.body }

    /// The bodies of all payloads of type `type`, in order.
    func all(_ type: PayloadType) -> [[UInt8]] {
        var bodies: [[UInt8]] = []
        for payload in payloads where payload.type == type { bodies.append(payload.body) }
        return bodies
    }

    /// What a HASH payload in front covers: all behind it, without padding (RFC 2409 section 5.5).
    var bytesAfterFirst: [UInt8] { Array(bytes[second..<end]) }

    /// Checks the chain against the table of its step.
    func check(_ rules: PayloadRules) throws(IKEDrop) {
        if let first = rules.first, payloads.first?.type != first {
            throw payloads.contains { $0.type == first } ? .payloadOrder : .missingPayload
        }
        for payload in payloads where rules.occurrences[payload.type] == nil {
            guard payload.type != .fragment else { throw .fragment }
            guard payload.type.isPrivate else { throw .unexpectedPayload }
        }
        for (type, occurrences) in rules.occurrences {
            let count = payloads.reduce(0) { $0 + ($1.type == type ? 1 : 0) }
            guard count >= occurrences.lowerBound else { throw .missingPayload }
            guard count <= occurrences.upperBound else { throw .duplicatePayload }
        }
    }
}

/// How often which payload may stand in a message, and which comes first: RFC 2409 section 5 as a table.
struct PayloadRules: Sendable {
    /// The payload that must come first, nil where RFC 2409 leaves the order open.
    let first: PayloadType?
    /// How often each may occur; what is not listed may not occur, private numbers apart.
    let occurrences: [PayloadType: ClosedRange<Int>]

    private static let vendorIDs = 0...32
    private static let notifications = 0...8
    /// Windows asks for each authority of its machine store.
    static let certificateRequests = 0...100

    /// Main mode, message 1: HDR, SA.
    static let mainModeFirst = PayloadRules(
        first: .securityAssociation,
        occurrences: [.securityAssociation: 1...1, .vendorID: vendorIDs, .notification: notifications])

    /// Main mode, message 3: HDR, KE, Ni, and NAT-D (RFC 3947 section 3.2: several where the peer has several
    /// addresses). A certificate request is allowed beside a pre-shared key and means nothing then.
    static let mainModeKeyExchange = PayloadRules(
        first: nil,
        occurrences: [
            .keyExchange: 1...1, .nonce: 1...1, .natDetection: 0...8, .natDetectionDraft: 0...8,
            .natDetectionFirstDraft: 0...8, .certificateRequest: certificateRequests, .vendorID: vendorIDs,
            .notification: notifications,
        ])

    /// Main mode, message 5 with a pre-shared key: HDR*, IDii, HASH_I.
    static let mainModeAuthentication = PayloadRules(
        first: nil,
        occurrences: [
            .identification: 1...1, .hash: 1...1, .vendorID: vendorIDs, .notification: notifications,
            .certificateRequest: certificateRequests,
        ])

    /// Aggressive mode, message 1: HDR, SA, KE, Ni, IDii.
    static let aggressiveFirst = PayloadRules(
        first: .securityAssociation,
        occurrences: [
            .securityAssociation: 1...1, .keyExchange: 1...1, .nonce: 1...1, .identification: 1...1,
            .certificateRequest: certificateRequests, .vendorID: vendorIDs, .notification: notifications,
        ])

    /// Aggressive mode, message 2 with a pre-shared key: HDR, SA, KE, Nr, IDir, HASH_R, and NAT-D.
    static let aggressiveSecond = PayloadRules(
        first: .securityAssociation,
        occurrences: [
            .securityAssociation: 1...1, .keyExchange: 1...1, .nonce: 1...1, .identification: 1...1, .hash: 1...1,
            .natDetection: 0...8, .natDetectionDraft: 0...8, .natDetectionFirstDraft: 0...8,
            .certificateRequest: certificateRequests,
            .vendorID: vendorIDs,
            .notification: notifications,
        ])

    /// Aggressive mode, message 3 with a pre-shared key: HDR*, HASH_I, and NAT-D. RFC 2409 section 5 leaves open whether
    /// it is encrypted; RFC 3947 section 3.2 puts NAT-D here.
    static let aggressiveThird = PayloadRules(
        first: nil,
        occurrences: [
            .hash: 1...1, .natDetection: 0...8, .natDetectionDraft: 0...8, .natDetectionFirstDraft: 0...8,
            .vendorID: vendorIDs,
            .notification: notifications,
        ])

    /// Quick mode, message 1: HDR*, HASH(1), SA, Ni [, KE] [, IDci, IDcr] [, NAT-OAi, NAT-OAr].
    static let quickModeFirst = PayloadRules(
        first: .hash,
        occurrences: [
            .hash: 1...1, .securityAssociation: 1...1, .nonce: 1...1, .keyExchange: 0...1, .identification: 0...2,
            .natOriginalAddress: 0...2, .natOriginalAddressDraft: 0...2, .natOriginalAddressFirstDraft: 0...2,
            .vendorID: vendorIDs,
            .notification: notifications,
        ])

    /// Quick mode, message 2: HDR*, HASH(2), SA, Nr [, KE] [, IDci, IDcr] [, NAT-OAi, NAT-OAr].
    static let quickModeSecond = quickModeFirst

    /// Quick mode, message 3: HDR*, HASH(3).
    static let quickModeLast = PayloadRules(
        first: .hash, occurrences: [.hash: 1...1, .vendorID: vendorIDs, .notification: notifications])

    /// New group mode, message 1: HDR*, HASH(1), SA (RFC 2409 section 5.6).
    static let newGroup = PayloadRules(first: .hash, occurrences: [.hash: 1...1, .securityAssociation: 1...1])

    /// A transaction, message 1: HDR*, HASH, ATTR.
    static let transaction = PayloadRules(first: .hash, occurrences: [.hash: 1...1, .attributes: 1...1])

    /// Informational: HDR*, HASH(1), N/D.
    static let informational = PayloadRules(
        first: .hash,
        occurrences: [.hash: 1...1, .notification: notifications, .delete: 0...16, .vendorID: vendorIDs])
}

/// Puts payloads behind a header.
enum MessageWriter {
    /// The chained payloads without a header, as they are encrypted and hashed.
    static func chain(_ payloads: [Payload]) -> [UInt8] {
        var writer = ByteWriter(capacity: payloads.reduce(0) { $0 + $1.body.count + Payload.headerByteCount })
        for (index, payload) in payloads.enumerated() {
            let next = index + 1 < payloads.count ? payloads[index + 1].type : .none
            writer.write(next.rawValue)
            writer.write(UInt8(0))
            writer.write(UInt16(clamping: payload.body.count + Payload.headerByteCount))
            writer.write(payload.body)
        }
        return writer.bytes
    }

    /// A HASH payload in front of payloads that are chained already, since the hash is one of them; `first` is the type
    /// of the first of these.
    static func chain(hash: [UInt8], before chain: [UInt8], first: PayloadType) -> [UInt8] {
        var writer = ByteWriter(capacity: Payload.headerByteCount + hash.count + chain.count)
        writer.write(first.rawValue)
        writer.write(UInt8(0))
        writer.write(UInt16(clamping: hash.count + Payload.headerByteCount))
        writer.write(hash)
        writer.write(chain)
        return writer.bytes
    }

    /// A whole message in clear.
    static func message(_ header: Header, _ payloads: [Payload]) -> [UInt8] {
        message(header, first: payloads.first?.type ?? .none, body: chain(payloads))
    }

    /// A whole message of a body that is already chained, encrypted or not.
    static func message(_ header: Header, first: PayloadType, body: [UInt8]) -> [UInt8] {
        var header = header
        header.nextPayload = first
        let length = Header.byteCount + body.count
        var writer = ByteWriter(capacity: length)
        header.write(into: &writer, length: length)
        writer.write(body)
        return writer.bytes
    }
}
