import ESP
import Wire

/// What concerns packets: filters, actions and rules.
extension ValueRules {
    /// The longest name of a filter list, an action or a rule.
    static let policyNameBytesMaximum = 64

    static func policyUse(_ text: String) throws(Refusal) -> String {
        let names = PredefinedPolicy.allCases.reversed().map(\.rawValue) + [PolicyDocument.custom]
        return try word(text, names.map { ($0, $0) })
    }

    /// Whether a predefined policy is about the whole host.
    static func policyCover(_ text: String) throws(Refusal) -> Bool {
        try word(text, [("l2tp", false), ("host", true)])
    }

    static func policyName(_ text: String) throws(Refusal) -> String {
        guard (1...policyNameBytesMaximum).contains(text.utf8.count), !hasControlCharacters(text) else {
            throw Refusal(
                problem: text.isEmpty ? "is empty" : "\(quoted(text)) is not a name",
                allowed: "1 to \(policyNameBytesMaximum) bytes without control characters")
        }
        return text
    }

    static func filterAddress(_ text: String) throws(Refusal) -> PolicyFilter.Address {
        let allowed = "my-address, any, an address, a subnet such as 192.0.2.0/24 or 2001:db8::/32, or a DNS name"
        switch text {
        case "my-address": return .mine
        case "any": return .any
        default: break
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if let address = parts.first.flatMap({ IPAddress($0) }) {
            guard parts.count == 2 else { return .range(AddressRange(address)) }
            let isNumber = !parts[1].isEmpty && parts[1].utf8.allSatisfy { (0x30...0x39).contains($0) }
            guard isNumber, let length = Int(parts[1]), let range = AddressRange(address, prefixLength: length) else {
                throw Refusal(problem: "\(quoted(text)) is not a subnet", allowed: allowed)
            }
            guard range.first == address else {
                throw Refusal(problem: "\(quoted(text)) has host bits that are not zero", allowed: "\(range)")
            }
            return .range(range)
        }
        // Digits and dots alone are an address with a mistake in it, which no name server is to be asked for.
        guard text.contains(where: \.isLetter), !text.hasPrefix("-"), !text.hasPrefix("."), !text.contains(".."),
            let name = try? hostName(text)
        else { throw Refusal(problem: "\(quoted(text)) is not an address", allowed: allowed) }
        return .name(name.lowercased())
    }

    static func filterProtocol(_ text: String) throws(Refusal) -> PolicyProtocol {
        guard let transport = PolicyProtocol(text) else {
            let names = PolicyProtocol.names.map(\.name).joined(separator: ", ")
            throw Refusal(
                problem: text == "other" ? "'other' needs its number" : "\(quoted(text)) is not a protocol",
                allowed: "any, \(names), a number from 0 to 255, other NUMBER")
        }
        return transport
    }

    static func filterActionKind(_ text: String) throws(Refusal) -> String {
        try word(text, ["permit", "block", "negotiate"].map { ($0, $0) })
    }

    static func securityMethod(_ text: String) throws(Refusal) -> String {
        try word(text, ["high", "medium", "custom"].map { ($0, $0) })
    }

    static func methodIntegrity(_ text: String) throws(Refusal) -> MethodIntegrity {
        try word(text, MethodIntegrity.allCases.map { ($0.rawValue, $0) })
    }

    static func payloadIntegrity(_ text: String) throws(Refusal) -> MethodIntegrity? {
        try word(text, [("none", nil)] + MethodIntegrity.allCases.map { ($0.rawValue, $0) })
    }

    static func payloadEncryption(_ text: String) throws(Refusal) -> MethodEncryption? {
        try word(text, [("none", nil)] + MethodEncryption.allCases.map { ($0.rawValue, $0) })
    }

    static func policyAuthentication(_ text: String) throws(Refusal) -> PolicyAuthentication {
        let known = PolicyAuthentication.allCases.map { ($0.rawValue, $0) }
        guard text != "kerberos" else {
            throw Refusal(
                problem: "'kerberos' needs a domain that both ends are members of, which this gateway is not",
                allowed: known.map(\.0).joined(separator: ", "))
        }
        return try word(text, known)
    }

    static func connectionType(_ text: String) throws(Refusal) -> ConnectionType {
        try word(text, ConnectionType.allCases.map { ($0.rawValue, $0) })
    }

    /// The other end of a tunnel, which is fixed: an address, or nil for none.
    static func tunnelEndpoint(_ text: String) throws(Refusal) -> IPAddress? {
        guard text != "none" else { return nil }
        guard let address = IPAddress(text) else {
            throw Refusal(problem: "\(quoted(text)) is not an address", allowed: "none, or the peer's IP address")
        }
        return address
    }

    private static func word<Value>(_ text: String, _ values: [(String, Value)]) throws(Refusal) -> Value {
        guard let value = values.first(where: { $0.0 == text }) else {
            throw Refusal(
                problem: "\(quoted(text)) is not known", allowed: values.map(\.0).joined(separator: ", "))
        }
        return value.1
    }
}
