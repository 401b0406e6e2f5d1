import COpenSSL
import Wire

/// A name of a certificate's subject beside its distinguished name (RFC 5280 section 4.2.1.6), of the kinds that IKE
/// identities have.
public enum CertificateName: Hashable, Sendable, CustomStringConvertible {
    /// An rfc822Name: ID_USER_FQDN.
    case mailAddress([UInt8])
    /// A dNSName: ID_FQDN.
    case domainName([UInt8])
    /// An iPAddress of 4 or 16 octets: ID_IPV4_ADDR, ID_IPV6_ADDR.
    case address([UInt8])

    init?(type: Int32, bytes: [UInt8]) {
        switch type {
        case 1: self = .mailAddress(bytes)
        case 2: self = .domainName(bytes)
        case 7 where bytes.count == 4 || bytes.count == 16: self = .address(bytes)
        default: return nil
        }
    }

    /// The name as text; what is not printable ASCII as a question mark, so that a log may show it.
    public var description: String {
        switch self {
        case .mailAddress(let bytes), .domainName(let bytes):
            String(decoding: bytes.map { (0x21...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
        case .address(let bytes):
            bytes.count == 4
                ? bytes.map(String.init).joined(separator: ".")
                : IPv6Address(
                    high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                    low: bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
                ).description
        }
    }
}

/// Whom a peer claims to be, in the kinds that a certificate can confirm (RFC 4945 section 3.1).
public enum CertificateClaim: Hashable, Sendable {
    /// A distinguished name in DER.
    case distinguishedName([UInt8])
    /// One of the alternative names.
    case name(CertificateName)
}

extension Certificate {
    /// Whether the certificate confirms `claim`, to the last byte: no wildcards, nothing cut off at a zero.
    public func confirms(_ claim: CertificateClaim) -> Bool {
        switch claim {
        case .distinguishedName(let name): return DistinguishedName.areEqual(name, subject)
        case .name(.address(let address)): return alternativeNames.contains(.address(address))
        case .name(.domainName(let name)):
            return !name.isEmpty
                && alternativeNames.contains {
                    if case .domainName(let own) = $0 { own.lowercasedASCII == name.lowercasedASCII } else { false }
                }
        case .name(.mailAddress(let name)):
            return !name.isEmpty
                && alternativeNames.contains {
                    if case .mailAddress(let own) = $0 {
                        own.comparableMailAddress == name.comparableMailAddress
                    } else {
                        false
                    }
                }
        }
    }

    /// Whether one of the subject's names is as `pattern` wants it. A pattern with `=` is for the distinguished name: `*`
    /// stands for any characters within one of its parts, which may be written in either order. Any other is for the
    /// alternative names.
    public func hasName(like pattern: String) -> Bool {
        let texts =
            pattern.contains("=")
            ? [DistinguishedName.text(subject), DistinguishedName.text(subject, reversed: true)]
            : alternativeNames.map(\.description)
        let pattern = NamePattern(pattern)
        return texts.contains { pattern.matches($0) }
    }
}

/// Distinguished names as DER.
public enum DistinguishedName {
    /// The name as text with the escapes of RFC 4514, all ASCII; empty where it is not a name.
    public static func text(_ der: [UInt8], reversed: Bool = false) -> String {
        guard let text = culvert_name_text(der, der.count, reversed ? 1 : 0) else { return "" }
        defer { culvert_free(text) }
        return String(cString: text)
    }

    /// Whether both are names, the same by RFC 5280 section 7.1, and not empty.
    public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        culvert_names_equal(left, left.count, right, right.count) == 1
    }
}

/// A name with stars in it.
struct NamePattern {
    private let parts: [[UInt8]]

    init(_ text: String) {
        // People put blanks behind commas; RFC 4514 does not.
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if byte == UInt8(ascii: " "), bytes.isEmpty || bytes.last == UInt8(ascii: ",") { continue }
            bytes.append(byte)
        }
        parts = bytes.lowercasedASCII.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(
            Array.init)
    }

    /// A star never covers what ends a part of a distinguished name, nor what escapes such a thing: otherwise a subject
    /// could bring the rest of the pattern with it in one part of its own choice.
    private static let barriers = [UInt8](",+\\\"".utf8)

    func matches(_ text: String) -> Bool {
        guard let first = parts.first else { return false }
        let bytes = Array(text.utf8).lowercasedASCII
        guard bytes.starts(with: first) else { return false }
        // Where in `bytes` the parts so far may end. Never more positions than bytes, so no pattern takes long.
        var ends: Set<Int> = [first.count]
        for part in parts.dropFirst() {
            var next: Set<Int> = []
            var reach = -1
            for end in ends.sorted() where end > reach {
                reach = end
                while true {
                    if bytes[reach...].starts(with: part) { next.insert(reach + part.count) }
                    guard reach < bytes.count, !Self.barriers.contains(bytes[reach]) else { break }
                    reach += 1
                }
            }
            ends = next
        }
        return ends.contains(bytes.count)
    }
}

extension [UInt8] {
    /// The bytes with the letters A to Z as small ones, as names are compared (RFC 5280 section 7.2).
    public var lowercasedASCII: [UInt8] { map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 } }

    /// The domain of a mail address does not know case, the mailbox does (RFC 5280 section 7.5).
    var comparableMailAddress: [UInt8] {
        guard let sign = lastIndex(of: UInt8(ascii: "@")) else { return self }
        return Array(self[..<sign]) + Array(self[sign...]).lowercasedASCII
    }
}
