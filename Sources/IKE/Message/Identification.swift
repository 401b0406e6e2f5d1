import Cryptography
import Wire

/// Who a peer says it is (RFC 2407 section 4.6.2).
public struct IKEIdentity: Hashable, Sendable, CustomStringConvertible {
    /// ID_IPV4_ADDR.
    public static let ipv4Address: UInt8 = 1
    /// ID_FQDN.
    public static let domainName: UInt8 = 2
    /// ID_USER_FQDN.
    public static let userDomainName: UInt8 = 3
    /// ID_IPV4_ADDR_SUBNET.
    public static let ipv4Subnet: UInt8 = 4
    /// ID_IPV6_ADDR.
    public static let ipv6Address: UInt8 = 5
    /// ID_DER_ASN1_DN.
    public static let distinguishedName: UInt8 = 9
    /// ID_KEY_ID.
    public static let keyID: UInt8 = 11

    /// The kind, by the number of RFC 2407 section 4.6.2.1.
    public let type: UInt8
    /// The identification data as they came.
    public let data: [UInt8]

    /// The identity of kind `type` with the data `data`.
    public init(type: UInt8, data: [UInt8]) { (self.type, self.data) = (type, data) }

    /// The identity that is an address.
    public init(_ address: IPAddress) {
        switch address {
        case .v4: self.init(type: Self.ipv4Address, data: address.octets)
        case .v6: self.init(type: Self.ipv6Address, data: address.octets)
        }
    }

    /// The address, where the identity is one.
    public var address: IPAddress? {
        switch (type, data.count) {
        case (Self.ipv4Address, 4), (Self.ipv6Address, 16): IPAddress(octets: data)
        default: nil
        }
    }

    /// An address or a name as people write it; what a log cannot show, in hexadecimal.
    public var description: String {
        if let address { return address.description }
        if type == Self.distinguishedName {
            let text = DistinguishedName.text(data)
            if !text.isEmpty { return text }
        }
        let isText = [Self.domainName, Self.userDomainName, Self.keyID].contains(type)
        if isText, !data.isEmpty, data.allSatisfy({ (0x21...0x7e).contains($0) }) {
            return String(decoding: data, as: UTF8.self)
        }
        return "type \(type) 0x\(hexadecimal(data.prefix(64)))"
    }
}

/// An identification payload (RFC 2407 section 4.6.2): an identity and, in quick mode, what traffic.
struct IdentificationPayload: Hashable, Sendable {
    var identity: IKEIdentity
    /// The IP protocol, 0 for any.
    var protocolNumber: UInt8
    /// The port, 0 for any.
    var port: UInt16

    /// The longest identity that we keep.
    static let dataMaximum = 1024

    init(identity: IKEIdentity, protocolNumber: UInt8 = 0, port: UInt16 = 0) {
        (self.identity, self.protocolNumber, self.port) = (identity, protocolNumber, port)
    }

    init(parsing body: [UInt8]) throws(IKEDrop) {
        self = try body.read { (reader) throws(IKEDrop) in
            let type = try reader.uint8()
            let protocolNumber = try reader.uint8()
            let port = try reader.uint16()
            let data = try reader.bytes(reader.remaining)
            let isLegal =
                switch type {
                case IKEIdentity.ipv4Address: data.count == 4
                case IKEIdentity.ipv4Subnet: data.count == 8
                case IKEIdentity.ipv6Address: data.count == 16
                case 6, 8: data.count == 32  // IPv6 subnet and range
                case 7: data.count == 8  // IPv4 range
                case 1...11: (1...Self.dataMaximum).contains(data.count)
                default: false
                }
            guard isLegal else { throw .malformedIdentification }
            return IdentificationPayload(
                identity: IKEIdentity(type: type, data: data), protocolNumber: protocolNumber, port: port)
        }
    }

    var body: [UInt8] { [identity.type, protocolNumber] + port.octets + identity.data }
}
