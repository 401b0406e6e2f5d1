import Wire

// Traffic as identification payloads say it (RFC 2407 section 4.6.2).

extension IKEIdentity {
    /// ID_IPV6_ADDR_SUBNET.
    public static let ipv6Subnet: UInt8 = 6
    /// ID_IPV4_ADDR_RANGE.
    public static let ipv4Range: UInt8 = 7
    /// ID_IPV6_ADDR_RANGE.
    public static let ipv6Range: UInt8 = 8

    /// The identity that is all addresses of `range`: a host, a network, or a range, whichever is the least that says it.
    public init(_ range: AddressRange) {
        let isIPv4 = if case .v4 = range.first { true } else { false }
        if range.first == range.last {
            self.init(range.first)
        } else if let prefixLength = range.prefixLength {
            let mask = Self.mask(prefixLength, octets: isIPv4 ? 4 : 16)
            self.init(type: isIPv4 ? Self.ipv4Subnet : Self.ipv6Subnet, data: range.first.octets + mask)
        } else {
            let octets = range.first.octets + range.last.octets
            self.init(type: isIPv4 ? Self.ipv4Range : Self.ipv6Range, data: octets)
        }
    }

    /// The addresses, where the identity is some: nil for a name, and for a mask or a range that is none.
    public var range: AddressRange? {
        if let address { return AddressRange(address) }
        let half = data.count / 2
        let octets = (Array(data.prefix(half)), Array(data.suffix(half)))
        switch (type, data.count) {
        case (Self.ipv4Subnet, 8), (Self.ipv6Subnet, 32):
            guard let address = IPAddress(octets: octets.0) else { return nil }
            let prefixLength = octets.1.reduce(0) { $0 + $1.nonzeroBitCount }
            guard octets.1 == Self.mask(prefixLength, octets: half) else { return nil }
            return AddressRange(address, prefixLength: prefixLength)
        case (Self.ipv4Range, 8), (Self.ipv6Range, 32):
            guard let first = IPAddress(octets: octets.0), let last = IPAddress(octets: octets.1) else { return nil }
            return AddressRange(first, through: last)
        default: return nil
        }
    }

    private static func mask(_ prefixLength: Int, octets: Int) -> [UInt8] {
        (0..<octets).map { index in
            let bits = min(max(prefixLength - index * 8, 0), 8)
            return bits == 0 ? 0 : UInt8.max << UInt8(8 - bits)
        }
    }
}

extension IKESelector {
    /// What an identification payload says.
    init(_ payload: IdentificationPayload) {
        self.init(identity: payload.identity, protocolNumber: payload.protocolNumber, port: payload.port)
    }

    /// The side of `traffic` with `range`, in the words of an identification payload: 0 for any.
    init(_ range: AddressRange, protocolNumber: UInt8?, port: UInt16?) {
        self.init(identity: IKEIdentity(range), protocolNumber: protocolNumber ?? 0, port: port ?? 0)
    }
}

extension IKESelectors {
    /// `traffic` in the words of identification payloads.
    init(_ traffic: TrafficSelector) {
        self.init(
            initiator: IKESelector(
                traffic.remote, protocolNumber: traffic.protocolNumber, port: traffic.remotePort),
            responder: IKESelector(traffic.local, protocolNumber: traffic.protocolNumber, port: traffic.localPort))
    }

    /// The traffic that they say, our side the local one; nil where a side is no addresses, or the sides are of two
    /// protocols or IP versions, or have ports of no protocol.
    public var traffic: TrafficSelector? {
        guard let local = responder.identity.range, let remote = initiator.identity.range,
            local.first.octets.count == remote.first.octets.count,
            initiator.protocolNumber == responder.protocolNumber,
            initiator.protocolNumber != 0 || initiator.port == 0 && responder.port == 0
        else { return nil }
        let any = { (number: UInt16) in number == 0 ? nil : number }
        return TrafficSelector(
            local: local, remote: remote,
            protocolNumber: initiator.protocolNumber == 0 ? nil : initiator.protocolNumber,
            localPort: any(responder.port), remotePort: any(initiator.port))
    }
}
