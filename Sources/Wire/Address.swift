/// An IPv4 address.
public struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The address as a number, its first octet the most significant.
    public var value: UInt32

    /// The address with the number `value`.
    @inlinable public init(_ value: UInt32) { self.value = value }

    /// The address of four octets.
    @inlinable public init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        value = UInt32(first) << 24 | UInt32(second) << 16 | UInt32(third) << 8 | UInt32(fourth)
    }

    /// The address that `text` writes in four decimal parts, or nil.
    public init?(_ text: some StringProtocol) {
        var value: UInt32 = 0
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let octet = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(octet)
        }
        self.value = value
    }

    /// 0.0.0.0
    public static let any = IPv4Address(0)

    /// The four octets, in the order in which they travel.
    public var octets: [UInt8] { withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) } }

    /// Orders addresses as numbers.
    @inlinable public static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.value < right.value }

    /// Dotted decimal.
    public var description: String { octets.map(String.init).joined(separator: ".") }
}

/// An IPv6 address.
public struct IPv6Address: Hashable, Sendable, CustomStringConvertible {
    /// The first 64 bits.
    public var high: UInt64
    /// The last 64 bits.
    public var low: UInt64

    /// The address of two halves.
    @inlinable public init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

    /// The address that `text` writes as RFC 4291 section 2.2 allows, without a zone, or nil.
    public init?(_ text: some StringProtocol) {
        let sides = text.split(separator: "::", omittingEmptySubsequences: false)
        guard let head = Self.groups(sides[0], mayEndInIPv4: sides.count == 1) else { return nil }
        var groups = head
        if sides.count == 2 {
            guard let tail = Self.groups(sides[1], mayEndInIPv4: true), head.count + tail.count < 8 else { return nil }
            groups += repeatElement(0, count: 8 - head.count - tail.count) + tail
        }
        guard sides.count <= 2, groups.count == 8 else { return nil }
        let half = { (range: Range<Int>) in groups[range].reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
        self.init(high: half(0..<4), low: half(4..<8))
    }

    /// Groups of one to four hexadecimal digits between single colons; the last two may be an IPv4 address.
    private static func groups(_ text: some StringProtocol, mayEndInIPv4: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, let last = IPv4Address(part) {
                groups += [UInt16(last.value >> 16), UInt16(last.value & 0xffff)]
                continue
            }
            // `UInt16` alone would take a sign too.
            guard (1...4).contains(part.utf8.count), part.utf8.first != UInt8(ascii: "+"),
                part.utf8.first != UInt8(ascii: "-"), let group = UInt16(part, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
    }

    /// `::`
    public static let any = IPv6Address(high: 0, low: 0)

    /// The sixteen octets, in the order in which they travel.
    public var octets: [UInt8] {
        [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * UInt64($0))) } }
    }

    /// Eight groups in hexadecimal, the longest run of zeros shortened (RFC 5952).
    public var description: String {
        let groups = [high, low].flatMap { half in
            (0..<4).map { UInt16(truncatingIfNeeded: half >> (48 - 16 * UInt64($0))) }
        }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        let text = { (range: Range<Int>) in groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? text(0..<8) : "\(text(0..<best.lowerBound))::\(text(best.upperBound..<8))"
    }
}

/// An IP address of either version.
public enum IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// An IPv4 address.
    case v4(IPv4Address)
    /// An IPv6 address.
    case v6(IPv6Address)

    /// The address of either version that `text` writes, or nil.
    public init?(_ text: some StringProtocol) {
        if let address = IPv4Address(text) {
            self = .v4(address)
        } else if let address = IPv6Address(text) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// 4 or 6.
    @inlinable public var version: UInt8 {
        switch self {
        case .v4: 4
        case .v6: 6
        }
    }

    /// The address of 4 or 16 octets in the order in which they travel; nil for another number of them.
    public init?(octets: [UInt8]) {
        let number = { (part: ArraySlice<UInt8>) in part.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        switch octets.count {
        case 4: self = .v4(IPv4Address(UInt32(truncatingIfNeeded: number(octets[...]))))
        case 16: self = .v6(IPv6Address(high: number(octets.prefix(8)), low: number(octets.suffix(8))))
        default: return nil
        }
    }

    /// The octets, in the order in which they travel: 4 or 16.
    public var octets: [UInt8] {
        switch self {
        case .v4(let address): address.octets
        case .v6(let address): address.octets
        }
    }

    /// The address as people write it.
    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }
}

/// An IP address and a UDP port.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The address.
    public var address: IPAddress
    /// The UDP port.
    public var port: UInt16

    /// The port `port` at `address`.
    @inlinable public init(address: IPAddress, port: UInt16) { (self.address, self.port) = (address, port) }

    /// The port `port` at an IPv4 address.
    @inlinable public init(_ address: IPv4Address, _ port: UInt16) { self.init(address: .v4(address), port: port) }

    /// `address:port`, an IPv6 address in brackets.
    public var description: String {
        switch address {
        case .v4(let address): "\(address):\(port)"
        case .v6(let address): "[\(address)]:\(port)"
        }
    }
}

/// An IPv4 network: an address and the number of leading bits that count.
public struct IPv4Network: Hashable, Sendable, CustomStringConvertible {
    /// The network's address, its host bits zero.
    public let address: IPv4Address
    /// The number of leading bits, 0 to 32.
    public let prefixLength: Int

    /// The network of `prefixLength` leading bits around `address`; nil if that is not 0 to 32.
    public init?(_ address: IPv4Address, prefixLength: Int) {
        guard (0...32).contains(prefixLength) else { return nil }
        self.prefixLength = prefixLength
        self.address = IPv4Address(address.value & Self.mask(prefixLength))
    }

    /// The network that `text` writes as `address/bits`, or nil. Host bits that are set are refused.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        // `Int` alone would take a sign too.
        guard parts.count == 2, parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let address = IPv4Address(parts[0]), let bits = Int(parts[1]),
            let network = IPv4Network(address, prefixLength: bits), network.address == address
        else { return nil }
        self = network
    }

    /// Whether `candidate` lies in the network.
    public func contains(_ candidate: IPv4Address) -> Bool {
        candidate.value & Self.mask(prefixLength) == address.value
    }

    /// The last address, which in most networks is the broadcast address.
    public var last: IPv4Address { IPv4Address(address.value | ~Self.mask(prefixLength)) }

    /// `address/bits`.
    public var description: String { "\(address)/\(prefixLength)" }

    static func mask(_ prefixLength: Int) -> UInt32 { prefixLength == 0 ? 0 : UInt32.max << UInt32(32 - prefixLength) }
}
