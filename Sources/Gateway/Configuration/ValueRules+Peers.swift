import Cryptography
import FoundationEssentials
import IKE
import IO
import Wire

/// What concerns peers in IKE: algorithms, names, networks and keys.
extension ValueRules {
    /// Where to ask for the status of certificates.
    static func responder(_ text: String) throws(Refusal) -> String {
        guard HTTPURL(text) != nil else {
            throw Refusal(
                problem: "\(quoted(text)) is not an http URL",
                allowed: "a URL such as http://ocsp.example.org/; not https, for answers are signed by themselves")
        }
        return text
    }

    /// A host that may be asked because a certificate says so: as it stands there.
    static func responderHost(_ text: String) throws(Refusal) -> String {
        guard let url = HTTPURL("http://\(text)/"), url.host == text.lowercased(), url.port == 80 else {
            throw Refusal(
                problem: "\(quoted(text)) is not a host", allowed: "a name such as ocsp.example.org, or an address")
        }
        return url.host
    }

    /// The longest name of a rule, a group or an identity. More than any client's form takes.
    static let peerNameBytesMaximum = 256

    static func ikeCipher(_ text: String) throws(Refusal) -> CBCCipher {
        try named(text, [.aes256, .aes192, .aes128, .tripleDES, .des])
    }

    static func ikeHash(_ text: String) throws(Refusal) -> HashAlgorithm {
        try named(text, [.sha256, .sha384, .sha512, .sha1, .md5])
    }

    static func ikeGroup(_ text: String) throws(Refusal) -> DiffieHellmanGroup {
        try named(text, DiffieHellmanGroup.allCases.reversed())
    }

    static func espCipher(_ text: String) throws(Refusal) -> ESPCipher { try named(text, ESPCipher.all) }

    /// An integrity algorithm of ESP, or nil for "none".
    static func espIntegrity(_ text: String) throws(Refusal) -> IPsecIntegrity? {
        guard text != "none" else { return nil }
        return try named(text, integrities, andAlso: "none")
    }

    static func headerIntegrity(_ text: String) throws(Refusal) -> IPsecIntegrity { try named(text, integrities) }

    static func ipsecOption(_ text: String) throws(Refusal) -> IPsecOption { try choice(text) }

    private static var integrities: [IPsecIntegrity] {
        [.hmacSHA256, .hmacSHA384, .hmacSHA512, .hmacSHA1, .aesXCBC, .hmacMD5]
    }

    /// A value by its usual short name.
    private static func named<Value>(
        _ text: String, _ values: [Value], andAlso other: String? = nil
    ) throws(Refusal) -> Value {
        guard let value = values.first(where: { "\($0)" == text }) else {
            throw Refusal(
                problem: "\(quoted(text)) is not known",
                allowed: (values.map { "\($0)" } + [other].compactMap(\.self)).joined(separator: ", "))
        }
        return value
    }

    /// The name of a rule or a group, or what a peer calls itself.
    static func peerName(_ text: String) throws(Refusal) -> String {
        guard !text.isEmpty, text.utf8.count <= peerNameBytesMaximum, !hasControlCharacters(text) else {
            throw Refusal(
                problem: "is not a name", allowed: "1 to \(peerNameBytesMaximum) bytes without control characters")
        }
        return text
    }

    /// Where peers come from: a network, or one address.
    static func peerNetwork(_ text: String) throws(Refusal) -> AddressRange {
        let allowed =
            "an IPv4 or IPv6 network, its host bits zero, such as 203.0.113.0/24 or 2001:db8::/32, or an address"
        guard let network = AddressRange(text) else {
            throw Refusal(problem: "\(quoted(text)) is not a network", allowed: allowed)
        }
        guard network.prefixLength != 0 else {
            throw Refusal(problem: "\(network) is everybody: that is what the file says outside", allowed: allowed)
        }
        return network
    }

    /// A key of any bytes, in base64.
    static func binaryPreSharedKey(_ text: String) throws(Refusal) -> SecretBytes {
        let allowed = "1 to \(preSharedKeyBytesMaximum) bytes in base64 behind !!binary"
        guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
            throw Refusal(problem: "is not base64", allowed: allowed)
        }
        guard (1...preSharedKeyBytesMaximum).contains(data.count) else {
            throw Refusal(problem: "is \(data.count) bytes long", allowed: allowed)
        }
        return SecretBytes([UInt8](data))
    }
}
