import Wire

/// A fragment payload (132): the way of Cisco, Microsoft and racoon to send a message that is larger than a datagram
/// should be ([MS-IKEE] section 2.2.7). Its header stands alone: no other payload goes with it.
struct FragmentPayload: Hashable, Sendable {
    static let headerByteCount = 4
    private static let last: UInt8 = 1

    /// Names the message. racoon and libreswan number every message 1.
    var id: UInt16
    /// Counts from 1.
    var number: Int
    var isLast: Bool
    var data: [UInt8]

    init(id: UInt16, number: Int, isLast: Bool, data: [UInt8]) {
        (self.id, self.number, self.isLast, self.data) = (id, number, isLast, data)
    }

    init(parsing body: [UInt8]) throws(IKEDrop) {
        self = try body.read { (reader) throws(IKEDrop) in
            let id = try reader.uint16()
            let number = Int(try reader.uint8())
            let flags = try reader.uint8()
            let data = try reader.bytes(reader.remaining)
            guard number > 0, flags & ~Self.last == 0, !data.isEmpty else { throw .malformedFragment }
            return FragmentPayload(id: id, number: number, isLast: flags & Self.last != 0, data: data)
        }
    }

    var body: [UInt8] { id.octets + [UInt8(clamping: number), isLast ? Self.last : 0] + data }

    /// Cuts `message` into messages of at most `bytesMaximum` bytes each; nil where that takes more than 255. As the
    /// others do it, the fragments' own headers are always those of phase 1, in clear and without a message id.
    static func split(_ message: [UInt8], header: Header, id: UInt16, bytesMaximum: Int) -> [[UInt8]]? {
        let room = bytesMaximum - Header.byteCount - Payload.headerByteCount - headerByteCount
        guard room > 0, message.count <= room * 255 else { return nil }
        let starts = Array(stride(from: 0, to: message.count, by: room))
        return starts.enumerated().map { index, start in
            let fragment = FragmentPayload(
                id: id, number: index + 1, isLast: index + 1 == starts.count,
                data: Array(message[start..<min(start + room, message.count)]))
            return MessageWriter.message(header, [Payload(type: .fragment, body: fragment.body)])
        }
    }
}

/// The fragments of one message, as far as they have come. Taking one in costs the same whatever their order.
struct FragmentCollection: Sendable {
    private var parts: [Int: [UInt8]] = [:]
    private var byteCount = 0
    private var lastNumber: Int?
    private var highest = 0

    init() {}

    /// Takes in a fragment, and returns the message if it is the one that was missing.
    ///
    /// A fragment that contradicts those before begins anew: whoever numbers all messages alike goes on with the next
    /// message, or somebody forges, who thus can delay but not break.
    mutating func add(_ fragment: FragmentPayload, limits: IKELimits) throws(IKEDrop) -> [UInt8]? {
        guard fragment.number <= limits.fragmentsPerMessageMaximum else { throw .tooManyFragments }
        if let known = parts[fragment.number], known == fragment.data,
            fragment.isLast == (lastNumber == fragment.number)
        {
            throw .repeatedFragment
        }
        let isContradiction =
            parts[fragment.number] != nil || lastNumber.map { fragment.number >= $0 } ?? false
            || fragment.isLast && highest > fragment.number
        if isContradiction { self = FragmentCollection() }
        guard byteCount + fragment.data.count <= limits.messageBytesMaximum else {
            self = FragmentCollection()
            throw .tooManyFragments
        }
        parts[fragment.number] = fragment.data
        byteCount += fragment.data.count
        highest = max(highest, fragment.number)
        if fragment.isLast { lastNumber = fragment.number }
        guard let lastNumber, parts.count == lastNumber else { return nil }
        var message: [UInt8] = []
        message.reserveCapacity(byteCount)
        for number in 1...lastNumber { message += parts[number] ?? [] }
        return message
    }
}
