/// The life of an SA as its offer says (RFC 2407 section 4.5, RFC 2409 appendix A).
struct Life: Hashable, Sendable {
    var seconds: UInt64?
    var kilobytes: UInt64?

    /// Reads the pairs of life type and life duration: several, in any order of types, each duration after its type.
    /// Nil where a duration has no type or a type is unknown.
    init?(_ attributes: [Attribute], typeAttribute: UInt16, durationAttribute: UInt16) {
        var type: UInt64?
        for attribute in attributes {
            if attribute.type == typeAttribute {
                guard let number = attribute.number, type == nil else { return nil }
                type = number
            } else if attribute.type == durationAttribute {
                // "4294967295" and longer mean for ever; more than eight bytes are no number of ours.
                let duration = attribute.number ?? .max
                switch type {
                case 1 where seconds == nil: seconds = duration
                case 2 where kilobytes == nil: kilobytes = duration
                default: return nil
                }
                type = nil
            }
        }
        // A life of nothing would end the SA before its first packet.
        guard type == nil, seconds != 0, kilobytes != 0 else { return nil }
    }

    /// Takes the shorter of both for each bound.
    mutating func shorten(to other: Life) {
        seconds = [seconds, other.seconds].compactMap { $0 }.min()
        kilobytes = [kilobytes, other.kilobytes].compactMap { $0 }.min()
    }

    /// The kilobytes, never more than `maximum`; nil where neither side has a bound.
    func boundedKilobytes(_ maximum: UInt64?) -> UInt64? { [kilobytes, maximum].compactMap { $0 }.min() }

    /// The attributes of our bounds that are shorter than these, as a RESPONDER-LIFETIME says them; nil where none is.
    func shorterAttributes(
        seconds maximum: UInt64, kilobytes maximumKilobytes: UInt64?, typeAttribute: UInt16, durationAttribute: UInt16
    ) -> [UInt8]? {
        var attributes: [UInt8] = []
        if maximum < seconds ?? IKELifetimes.unspecifiedSeconds {
            attributes += Attribute.bytes(typeAttribute, 1) + Attribute.bytes(durationAttribute, maximum)
        }
        if let maximumKilobytes, maximumKilobytes < kilobytes ?? .max {
            attributes += Attribute.bytes(typeAttribute, 2) + Attribute.bytes(durationAttribute, maximumKilobytes)
        }
        return attributes.isEmpty ? nil : attributes
    }

    /// The seconds, never more than `maximum`.
    func boundedSeconds(_ maximum: UInt64) -> UInt64 { min(seconds ?? IKELifetimes.unspecifiedSeconds, maximum) }
}
