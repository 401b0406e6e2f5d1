import Cryptography
import IKE
import IO
import Logging
import Wire

/// What a text has to look like to be a value: the same rules for the file, the environment and the state.
enum ValueRules {
    /// The longest PSK. More than any client's form takes.
    static let preSharedKeyBytesMaximum = 256
    /// Below this many characters a PSK is guessed from one recorded exchange in no time; a warning says so.
    static let preSharedKeyCharactersAdvised = 8
    /// PAP and CHAP give a name's and a password's length in one byte (RFC 1334 2.2.1).
    static let userBytesMaximum = 255
    /// A host name AVP has this much room at most in the 10-bit AVP length (RFC 2661 4.1); ours is of a DNS name's length.
    static let hostNameBytesMaximum = 253
    /// Below a kilobyte a second nobody gets anything done, and a unit was mistaken.
    static let rateBytesPerSecondMinimum: UInt64 = 1000
    /// PATH_MAX.
    static let pathBytesMaximum = 4096
    /// IFNAMSIZ without its terminator.
    static let interfaceBytesMaximum = 15

    /// Keys that stand in manuals and sample files, and that scanners therefore try first.
    static let wellKnownPreSharedKeys: Set<String> = [
        "vpn", "vpn123", "secret", "password", "passw0rd", "psk", "ipsec", "l2tp", "test", "admin", "changeme",
        "your_ipsec_pre_shared_key", "your-ipsec-pre-shared-key", "yourpsk", "presharedkey", "pre-shared-key",
        "preshared", "sharedsecret", "shared-secret", "mysecret", "culvert", "softether", "123456", "1234567",
        "12345678",
        "123456789", "1234567890", "qwerty", "qwertyuiop",
    ]
    /// What stands in sample files, ours included, where a secret is to be filled in.
    static let placeholders: Set<String> = [
        "replace-this-key", "replace-this-password", "your_vpn_password", "your-vpn-password",
    ]

    static func address(_ text: String) throws(Refusal) -> IPv4Address {
        guard let address = IPv4Address(text) else {
            throw Refusal(problem: "\(quoted(text)) is not an IPv4 address", allowed: "an address such as 192.0.2.1")
        }
        // "This network" and everything from multicast upwards name no single machine (RFC 1122 3.2.1.3).
        guard address.value >> 24 != 0, address.value >> 28 < 0xE else {
            throw Refusal(problem: "\(address) is no machine's address", allowed: "a unicast IPv4 address")
        }
        return address
    }

    /// An outer address of either IP version.
    static func outerAddress(_ text: String) throws(Refusal) -> IPAddress {
        guard let six = IPv6Address(text) else { return .v4(try address(text)) }
        // Unspecified, loopback, link-local and multicast addresses are no place to dial (RFC 4291 section 2.4).
        guard six.high != 0 || six.low > 1, six.high >> 54 != 0xfe80 >> 6, six.high >> 56 != 0xff else {
            throw Refusal(problem: "\(six) is no machine's address", allowed: "a unicast IPv6 address that is routed")
        }
        return .v6(six)
    }

    static func offload(_ text: String) throws(Refusal) -> Offloads {
        guard let offload = Offloads.named.first(where: { $0.key == text })?.value else {
            throw Refusal(
                problem: "\(quoted(text)) is not an offload",
                allowed: Offloads.named.map(\.key).joined(separator: ", "))
        }
        return offload
    }

    static func network(_ text: String) throws(Refusal) -> IPv4Network {
        let allowed = "an IPv4 network of 8 to 30 bits, its host bits zero, such as 192.168.42.0/24"
        guard let network = IPv4Network(text) else {
            throw Refusal(problem: "\(quoted(text)) is not a network", allowed: allowed)
        }
        guard (8...30).contains(network.prefixLength) else {
            throw Refusal(problem: "a prefix of \(network.prefixLength) bits does not do", allowed: allowed)
        }
        return network
    }

    static func pool(_ text: String) throws(Refusal) -> ClosedRange<IPv4Address> {
        let allowed = "the first and the last address, such as 192.168.42.10-192.168.42.250"
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { trimmed($0) }
        guard ends.count == 2, let first = IPv4Address(ends[0]), let last = IPv4Address(ends[1]) else {
            throw Refusal(problem: "\(quoted(text)) is not a range of addresses", allowed: allowed)
        }
        guard first <= last else { throw Refusal(problem: "\(quoted(text)) ends before it begins", allowed: allowed) }
        return first...last
    }

    /// A rate limit; nil for "none".
    static func rate(_ text: String) throws(Refusal) -> DataRate? {
        guard text != "none" else { return nil }
        guard let rate = DataRate(text), rate.bytesPerSecond >= rateBytesPerSecondMinimum else {
            throw Refusal(
                problem: "\(quoted(text)) is not a rate",
                allowed: "none, or 8 kbit/s to 1000 Gbit/s: a whole number of kbit/s, Mbit/s or Gbit/s")
        }
        return rate
    }

    static func profile(_ text: String) throws(Refusal) -> IKEProfile { try choice(text) }

    static func authentication(_ text: String) throws(Refusal) -> PPPAuthentication { try choice(text) }

    static func peerAuthentication(_ text: String) throws(Refusal) -> PeerAuthentication { try choice(text) }

    static func ownIdentity(_ text: String) throws(Refusal) -> IKECertificates.OwnIdentity { try choice(text) }

    /// A file or a folder; what does not begin with a slash is looked for from `folder` on.
    static func path(_ text: String, relativeTo folder: String) throws(Refusal) -> String {
        guard !text.isEmpty, text.utf8.count < pathBytesMaximum, !hasControlCharacters(text) else {
            throw Refusal(problem: "is not a path", allowed: "the path of a file or a folder")
        }
        return text.hasPrefix("/") || folder == "." ? text : "\(folder)/\(text)"
    }

    /// Which clients may come in: a name of their certificate, with stars in it.
    static func identityPattern(_ text: String) throws(Refusal) -> String {
        let allowed = "a name such as *.example.org, *@example.org, 192.0.2.7 or 'O=Example, CN=*'"
        guard !text.isEmpty, text.utf8.count <= 1024, !hasControlCharacters(text) else {
            throw Refusal(problem: "is not a pattern for names", allowed: allowed)
        }
        // "Everybody" is what leaving the list out says, and then it is meant.
        guard text.contains(where: { $0 != "*" }) else {
            throw Refusal(problem: "\(quoted(text)) means everybody", allowed: allowed + "; leave the list out for all")
        }
        return text
    }

    static func logLevel(_ text: String) throws(Refusal) -> Logger.Level { try choice(text) }

    static func preSharedKey(_ text: String) throws(Refusal) -> SecretBytes {
        let allowed = "1 to \(preSharedKeyBytesMaximum) bytes, 20 random characters or more if it is to be strong"
        try secretText(text, maximum: preSharedKeyBytesMaximum, allowed: allowed)
        try refusePlaceholder(text)
        guard !wellKnownPreSharedKeys.contains(text.lowercased()) else {
            throw Refusal(problem: "is a well-known default that attackers try first", allowed: allowed)
        }
        return SecretBytes(utf8: text)
    }

    static func userName(_ text: String) throws(Refusal) -> String {
        let allowed = "1 to \(userBytesMaximum) bytes without control characters"
        try secretText(text, maximum: userBytesMaximum, allowed: allowed)
        return text
    }

    static func password(_ text: String) throws(Refusal) -> SecretBytes {
        let allowed = "1 to \(userBytesMaximum) bytes without control characters"
        try secretText(text, maximum: userBytesMaximum, allowed: allowed)
        try refusePlaceholder(text)
        return SecretBytes(utf8: text)
    }

    static func tunnelSecret(_ text: String) throws(Refusal) -> SecretBytes {
        try secretText(text, maximum: userBytesMaximum, allowed: "1 to \(userBytesMaximum) bytes")
        try refusePlaceholder(text)
        return SecretBytes(utf8: text)
    }

    static func hostName(_ text: String) throws(Refusal) -> String {
        let isLegal = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
        }
        guard !text.isEmpty, text.utf8.count <= hostNameBytesMaximum, isLegal else {
            throw Refusal(
                problem: "\(quoted(text)) is not a host name",
                allowed: "1 to \(hostNameBytesMaximum) letters, digits, dots and hyphens")
        }
        return text
    }

    static func interface(_ text: String) throws(Refusal) -> String {
        let isLegal = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !#"/:%"'\"#.utf8.contains($0) }
        guard !text.isEmpty, text.utf8.count <= interfaceBytesMaximum, isLegal, text != ".", text != ".." else {
            throw Refusal(
                problem: "\(quoted(text)) is not a name for an interface",
                allowed: "1 to \(interfaceBytesMaximum) visible characters without / : % and quotes")
        }
        return text
    }

    /// One of an enumeration's names.
    static func choice<Value>(_ text: String) throws(Refusal) -> Value
    where Value: RawRepresentable<String> & CaseIterable {
        guard let value = Value(rawValue: text) else {
            throw Refusal(
                problem: "\(quoted(text)) is not known", allowed: Value.allCases.map(\.rawValue).joined(separator: ", ")
            )
        }
        return value
    }

    private static func secretText(_ text: String, maximum: Int, allowed: String) throws(Refusal) {
        guard !text.isEmpty else { throw Refusal(problem: "is empty", allowed: allowed) }
        guard text.utf8.count <= maximum else {
            throw Refusal(problem: "is \(text.utf8.count) bytes long", allowed: allowed)
        }
        guard !hasControlCharacters(text) else {
            throw Refusal(problem: "has a control character in it", allowed: allowed)
        }
    }

    private static func refusePlaceholder(_ text: String) throws(Refusal) {
        guard !placeholders.contains(text.lowercased()) else {
            throw Refusal(problem: "is the placeholder of a sample file", allowed: "a secret of your own")
        }
    }

    static func hasControlCharacters(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
    }

    /// A text from outside, short enough and clean enough for a message on one line.
    static func quoted(_ text: String) -> String {
        let shown = String(text.prefix(64))
        let clean = shown.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "?" : String($0) }
        return "'\(clean.joined())\(text.count > 64 ? "..." : "")'"
    }

    /// Without blanks and line ends at both ends.
    static func trimmed(_ text: some StringProtocol) -> String {
        var rest = Substring(text)
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
