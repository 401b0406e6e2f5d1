import Wire

/// An http or https URL (RFC 9110 section 4.2), as far as this gateway follows one: to a host, without user information
/// and without a fragment.
public struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    /// What stands before the colon.
    public enum Scheme: String, Hashable, Sendable {
        /// In clear.
        case http
        /// In TLS.
        case https

        /// The port where the URL names none.
        var portDefault: UInt16 { self == .http ? 80 : 443 }
    }

    /// The longest URL that is read.
    public static let bytesMaximum = 1024

    /// How it is spoken to.
    public let scheme: Scheme
    /// A name or an address, in lower case and without brackets.
    public let host: String
    /// The TCP port.
    public let port: UInt16
    /// Path and query, at least `/`.
    public let target: String

    /// The URL of that scheme that `text` writes, or nil.
    public init?(_ text: String, scheme kind: Scheme = .http) {
        let scheme = "\(kind)://"
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.bytesMaximum, bytes.allSatisfy({ (0x21...0x7e).contains($0) }),
            !bytes.contains(UInt8(ascii: "#")), text.prefix(scheme.count).lowercased() == scheme
        else { return nil }
        let rest = text.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        guard let (host, port) = Self.authority(rest[..<end], kind) else { return nil }
        self.scheme = kind
        (self.host, self.port) = (host.lowercased(), port)
        target = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
    }

    private static func authority(_ text: Substring, _ scheme: Scheme) -> (host: Substring, port: UInt16)? {
        let host: Substring
        let rest: Substring
        if text.hasPrefix("[") {
            guard let bracket = text.firstIndex(of: "]") else { return nil }
            host = text[..<bracket].dropFirst()
            rest = text[bracket...].dropFirst()
            guard host.utf8.allSatisfy({ isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { return nil }
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            (host, rest) = (text[..<colon], text[colon...])
            guard host.utf8.allSatisfy(isNameByte) else { return nil }
        }
        guard !host.isEmpty, host.utf8.count <= 253 else { return nil }
        if rest.isEmpty { return (host, scheme.portDefault) }
        // `UInt16` alone would take a sign too.
        guard rest.hasPrefix(":"), rest.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(rest.dropFirst()), port > 0
        else { return nil }
        return (host, port)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20)
            || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_")].contains(byte)
    }

    /// Host and port as a request names them (RFC 9110 section 7.2).
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == scheme.portDefault ? name : "\(name):\(port)"
    }

    /// The URL as text.
    public var description: String { "\(scheme)://\(authority)\(target)" }
}

/// To which addresses a host may lead.
///
/// Somebody else than the operator may have written the URL, and names lead wherever their owner likes: so it is the
/// address that counts, looked at after the name was resolved, and the connection goes to just that address.
public enum HTTPAddressRule: Sendable, Hashable, CaseIterable {
    /// To any: the operator wrote the URL.
    case any
    /// To machines of the Internet and of private networks, but neither to ourselves nor to neighbours on a link: where
    /// the operator has named the host.
    case publicOrPrivate
    /// To machines of the Internet only.
    case publicOnly

    /// Whether `address` may be asked.
    public func allows(_ address: IPAddress) -> Bool {
        switch (self, Reach(address)) {
        case (.any, _), (_, .everywhere): true
        case (.publicOrPrivate, .privateNetwork): true
        case (.publicOrPrivate, .local), (.publicOnly, .local), (.publicOnly, .privateNetwork): false
        }
    }

    /// From where an address can be reached, by the registries of RFC 6890.
    private enum Reach {
        case everywhere, privateNetwork, local

        init(_ address: IPAddress) {
            switch address {
            case .v4(let address): self.init(address)
            case .v6(let address): self.init(address)
            }
        }

        private init(_ address: IPv4Address) {
            if Self.localNetworks.contains(where: { $0.contains(address) }) {
                self = .local
            } else if Self.privateNetworks.contains(where: { $0.contains(address) }) {
                self = .privateNetwork
            } else {
                self = .everywhere
            }
        }

        private init(_ address: IPv6Address) {
            let embedded = IPv4Address(UInt32(truncatingIfNeeded: address.low))
            switch address.high {
            // ::ffff:0:0/96 is IPv4 in another dress; 64:ff9b::/96 and 2002::/16 lead there through a translator.
            case 0 where address.low >> 32 == 0xffff: self.init(embedded)
            case 0x0064_ff9b_0000_0000 where address.low >> 32 == 0: self.init(embedded)
            case let high where high >> 48 == 0x2002:
                self.init(IPv4Address(UInt32(truncatingIfNeeded: high >> 16)))
            // 2000::/3 is all that is given to machines of the Internet, fc00::/7 to those of private networks.
            case let high where high >> 61 == 0b001: self = .everywhere
            case let high where high >> 57 == 0b1111110: self = .privateNetwork
            default: self = .local
            }
        }

        private static let localNetworks = [
            "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ].compactMap { IPv4Network($0) }
        private static let privateNetworks = [
            "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15",
        ].compactMap { IPv4Network($0) }
    }
}
