extension IPv6Address: Comparable {
    /// Orders addresses as numbers.
    @inlinable public static func < (left: IPv6Address, right: IPv6Address) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }
}

/// The addresses from a first to a last one, of one IP version: a host, a network, or any range in between
/// (RFC 4301 section 4.4.1.1).
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    /// The lowest.
    public let first: IPAddress
    /// The highest.
    public let last: IPAddress

    /// Every IPv4 address.
    public static let anyIPv4 = AddressRange(unchecked: .v4(.any), .v4(IPv4Address(.max)))
    /// Every IPv6 address.
    public static let anyIPv6 = AddressRange(
        unchecked: .v6(IPv6Address(high: 0, low: 0)), .v6(IPv6Address(high: .max, low: .max)))

    /// One address.
    @inlinable public init(_ address: IPAddress) { (first, last) = (address, address) }

    /// The addresses from `first` to `last`; nil where they are not of one version, or in the wrong order.
    public init?(_ first: IPAddress, through last: IPAddress) {
        switch (first, last) {
        case (.v4(let low), .v4(let high)): guard low <= high else { return nil }
        case (.v6(let low), .v6(let high)): guard low <= high else { return nil }
        default: return nil
        }
        (self.first, self.last) = (first, last)
    }

    /// The addresses whose `prefixLength` leading bits are those of `address`; nil if that is no length of its version.
    public init?(_ address: IPAddress, prefixLength: Int) {
        switch address {
        case .v4(let address):
            guard let network = IPv4Network(address, prefixLength: prefixLength) else { return nil }
            (first, last) = (.v4(network.address), .v4(network.last))
        case .v6(let address):
            guard (0...128).contains(prefixLength) else { return nil }
            let high = Self.hostBits(prefixLength, of: 0)
            let low = Self.hostBits(prefixLength, of: 64)
            first = .v6(IPv6Address(high: address.high & ~high, low: address.low & ~low))
            last = .v6(IPv6Address(high: address.high | high, low: address.low | low))
        }
    }

    /// The range that `text` writes as an address or as `address/bits`, or nil. Host bits that are set are refused.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, let address = IPAddress(first) else { return nil }
        guard parts.count == 2 else { self.init(address); return }
        // `Int` alone would take a sign too.
        guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bits = Int(parts[1]),
            let range = AddressRange(address, prefixLength: bits), range.first == address
        else { return nil }
        self = range
    }

    /// The addresses of an IPv4 network.
    public init(_ network: IPv4Network) { (first, last) = (.v4(network.address), .v4(network.last)) }

    private init(unchecked first: IPAddress, _ last: IPAddress) { (self.first, self.last) = (first, last) }

    /// The bits behind the prefix, of the 64 from bit `start` on.
    private static func hostBits(_ prefixLength: Int, of start: Int) -> UInt64 {
        let kept = min(max(prefixLength - start, 0), 64)
        return kept == 64 ? 0 : UInt64.max >> UInt64(kept)
    }

    /// Whether `address` is one of them.
    @inlinable public func contains(_ address: IPAddress) -> Bool {
        switch (first, last, address) {
        case (.v4(let first), .v4(let last), .v4(let address)): first <= address && address <= last
        case (.v6(let first), .v6(let last), .v6(let address)): first <= address && address <= last
        default: false
        }
    }

    /// Whether all of `other` are among them.
    @inlinable public func contains(_ other: AddressRange) -> Bool { contains(other.first) && contains(other.last) }

    /// Whether both have an address in common.
    public func overlaps(_ other: AddressRange) -> Bool {
        contains(other.first) || contains(other.last) || other.contains(first)
    }

    /// The number of leading bits, where the range is a network: a host has all of them.
    public var prefixLength: Int? {
        let bits = first.octets.count * 8
        return (0...bits).last { AddressRange(first, prefixLength: $0) == self }
    }

    /// A host as its address, a network as `address/bits`, another range as `first-last`.
    public var description: String {
        if first == last { return "\(first)" }
        return prefixLength.map { "\(first)/\($0)" } ?? "\(first)-\(last)"
    }
}

/// What a policy or an SA is about, as seen from one end: whose packets, of which protocol, between which ports
/// (RFC 4301 section 4.4.1.1).
///
/// It has a local and a remote side and so holds for both directions: a packet that leaves has its source on the local side,
/// one that comes in has it on the remote side.
public struct TrafficSelector: Hashable, Sendable, CustomStringConvertible {
    /// Our side's addresses.
    public var local: AddressRange
    /// The peer's side's addresses.
    public var remote: AddressRange
    /// The IP protocol; nil for any.
    public var protocolNumber: UInt8?
    /// Our side's port of TCP, UDP, SCTP or DCCP; nil for any.
    public var localPort: UInt16?
    /// The peer's side's port; nil for any.
    public var remotePort: UInt16?

    /// The traffic between two sides, of one protocol and between two ports, or of any.
    public init(
        local: AddressRange, remote: AddressRange, protocolNumber: UInt8? = nil, localPort: UInt16? = nil,
        remotePort: UInt16? = nil
    ) {
        (self.local, self.remote, self.protocolNumber) = (local, remote, protocolNumber)
        (self.localPort, self.remotePort) = (localPort, remotePort)
    }

    /// Whether ports count, which only the first fragment of a datagram tells.
    @inlinable public var asksPorts: Bool { localPort != nil || remotePort != nil }

    /// Whether a packet that leaves is of it.
    @inlinable public func matches(outbound flow: PacketFlow) -> Bool {
        local.contains(flow.source) && remote.contains(flow.destination)
            && matches(flow, local: flow.sourcePort, remote: flow.destinationPort)
    }

    /// Whether a packet that came in is of it.
    @inlinable public func matches(inbound flow: PacketFlow) -> Bool {
        remote.contains(flow.source) && local.contains(flow.destination)
            && matches(flow, local: flow.destinationPort, remote: flow.sourcePort)
    }

    /// A fragment that does not tell its ports is of no selector that asks for them (RFC 4301 section 7).
    @usableFromInline func matches(_ flow: PacketFlow, local: UInt16?, remote: UInt16?) -> Bool {
        if let protocolNumber, protocolNumber != flow.protocolNumber { return false }
        if let localPort, localPort != local { return false }
        if let remotePort, remotePort != remote { return false }
        return true
    }

    /// Whether all traffic of `other` is of it.
    public func contains(_ other: TrafficSelector) -> Bool {
        local.contains(other.local) && remote.contains(other.remote)
            && (protocolNumber == nil || protocolNumber == other.protocolNumber)
            && (localPort == nil || localPort == other.localPort)
            && (remotePort == nil || remotePort == other.remotePort)
    }

    /// `local[:port] == remote[:port] [protocol]`.
    public var description: String {
        let side = { (range: AddressRange, port: UInt16?) in port.map { "\(range)[\($0)]" } ?? "\(range)" }
        let suffix = protocolNumber.map { " proto \($0)" } ?? ""
        return "\(side(local, localPort)) == \(side(remote, remotePort))\(suffix)"
    }
}

/// What selectors ask of a packet: addresses, protocol and ports.
public struct PacketFlow: Hashable, Sendable {
    /// Where it comes from.
    public var source: IPAddress
    /// Where it goes.
    public var destination: IPAddress
    /// The protocol of the payload, behind all extension headers of IPv6.
    public var protocolNumber: UInt8
    /// The source port of TCP, UDP, SCTP and DCCP; nil for other protocols, and where a fragment or a broken packet does not
    /// tell.
    public var sourcePort: UInt16?
    /// The destination port, in the same way.
    public var destinationPort: UInt16?

    /// A flow by its parts.
    @inlinable public init(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, sourcePort: UInt16? = nil,
        destinationPort: UInt16? = nil
    ) {
        (self.source, self.destination, self.protocolNumber) = (source, destination, protocolNumber)
        (self.sourcePort, self.destinationPort) = (sourcePort, destinationPort)
    }
}
