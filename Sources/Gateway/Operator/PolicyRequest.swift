import ESP
import Wire

/// What an operator asks about the packet policy, or changes in it.
public enum PolicyRequest: Equatable, Sendable {
    /// What it is.
    case show
    /// What it says of a packet.
    case test(PolicyQuestion)
    /// Another predefined policy, or `custom`, beside the rules that there are; nil leaves what it is about.
    case set(use: String, coversHost: Bool?)
    /// More lists, actions and rules, in the words of a file that is called `name` in messages.
    case add(text: String, name: String)
    /// One rule less.
    case remove(rule: String)
    /// The file's policy in the place of the one that there is.
    case replace(text: String, name: String)
    /// The policy as a file.
    case export
}

/// A packet that an operator asks about.
public struct PolicyQuestion: Equatable, Sendable {
    /// Where it comes from.
    public var source: IPAddress
    /// Where it goes.
    public var destination: IPAddress
    /// Of which protocol it is.
    public var protocolNumber: UInt8
    /// Its ports; nil where it has none, or where any will do.
    public var sourcePort: UInt16?
    /// Its destination port.
    public var destinationPort: UInt16?
    /// Over what it comes or goes; nil where L2TP's port tells that it is a dial-in, else the LAN.
    public var connection: Connection?

    /// A packet by its parts.
    public init(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, sourcePort: UInt16? = nil,
        destinationPort: UInt16? = nil, connection: Connection? = nil
    ) {
        (self.source, self.destination, self.protocolNumber) = (source, destination, protocolNumber)
        (self.sourcePort, self.destinationPort, self.connection) = (sourcePort, destinationPort, connection)
    }

    /// The packet that texts write, as on a command line.
    ///
    /// - Throws: What is wrong, in words.
    public init(
        source: String, destination: String, transport: String, sourcePort: String?, destinationPort: String?,
        connection: String? = nil
    ) throws(OperatorFailure) {
        func address(_ text: String) throws(OperatorFailure) -> IPAddress {
            guard let address = IPv4Address(text).map({ .v4($0) }) ?? IPv6Address(text).map({ IPAddress.v6($0) }) else {
                throw .refused("\(ValueRules.quoted(text)) is not an IP address")
            }
            return address
        }
        func port(_ text: String?) throws(OperatorFailure) -> UInt16? {
            guard let text else { return nil }
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(text) else {
                throw .refused("\(ValueRules.quoted(text)) is not a port, which is from 0 to 65535")
            }
            return port
        }
        guard let number = PolicyProtocol(transport)?.number else {
            throw .refused("\(ValueRules.quoted(transport)) is not one protocol, such as tcp, udp, icmp or 47")
        }
        let (from, to) = (try address(source), try address(destination))
        guard from.octets.count == to.octets.count else {
            throw .refused("both addresses have to be of one IP version")
        }
        let over = connection.map { Connection(rawValue: $0) }
        if let over, over == nil { throw .refused("the connection is lan or remote-access") }
        self.init(
            source: from, destination: to, protocolNumber: number, sourcePort: try port(sourcePort),
            destinationPort: try port(destinationPort), connection: over ?? nil)
        guard PolicyProtocol(number: number).hasPorts || (sourcePort == nil && destinationPort == nil) else {
            throw .refused("\(PolicyProtocol(number: number)) has no ports")
        }
    }
}

extension PolicyRequest {
    /// The value of `command`.
    var name: String {
        switch self {
        case .show: "policy"
        case .test: "policyTest"
        case .set: "policySet"
        case .add: "policyAdd"
        case .remove: "policyRemove"
        case .replace: "policyImport"
        case .export: "policyExport"
        }
    }

    /// Whether it changes anything.
    var isChange: Bool {
        switch self {
        case .show, .test, .export: false
        case .set, .add, .remove, .replace: true
        }
    }

    /// What the requests are called.
    static let names = [
        "policy", "policyTest", "policySet", "policyAdd", "policyRemove", "policyImport", "policyExport",
    ]

    private static let testKeys: Set = [
        "source", "destination", "protocol", "sourcePort", "destinationPort", "connection",
    ]

    /// Reads a request; nil where `command` is none about policies. Unknown keys are refused.
    init?(_ command: String, _ container: KeyedDecodingContainer<AnyKey>, _ keys: Set<String>) throws {
        func text(_ key: String) throws -> String { try container.decode(String.self, forKey: AnyKey(key)) }
        func optional(_ key: String) throws -> String? {
            try container.decodeIfPresent(String.self, forKey: AnyKey(key))
        }
        let allowed: Set<String>
        switch command {
        case "policyTest": allowed = Self.testKeys
        case "policySet": allowed = ["use", "covers"]
        case "policyAdd", "policyImport": allowed = ["text", "name"]
        case "policyRemove": allowed = ["rule"]
        default: allowed = []
        }
        if Self.names.contains(command), let key = keys.subtracting(allowed).min() {
            throw OperatorRefusal(message: "\(ValueRules.quoted(command)) takes no \(ValueRules.quoted(key))")
        }
        switch command {
        case "policy": self = .show
        case "policyExport": self = .export
        case "policyRemove": self = .remove(rule: try text("rule"))
        case "policyAdd": self = .add(text: try text("text"), name: try text("name"))
        case "policyImport": self = .replace(text: try text("text"), name: try text("name"))
        case "policySet":
            let (use, covers) = (try text("use"), try optional("covers"))
            do throws(Refusal) {
                let coversHost: Bool? = if let covers { try ValueRules.policyCover(covers) } else { nil }
                self = .set(use: try ValueRules.policyUse(use), coversHost: coversHost)
            } catch {
                throw OperatorRefusal(message: "\(error.problem); allowed: \(error.allowed)")
            }
        case "policyTest":
            let (source, destination) = (try text("source"), try text("destination"))
            let (transport, connection) = (try text("protocol"), try optional("connection"))
            let ports = (try optional("sourcePort"), try optional("destinationPort"))
            do throws(OperatorFailure) {
                self = .test(
                    try PolicyQuestion(
                        source: source, destination: destination, transport: transport, sourcePort: ports.0,
                        destinationPort: ports.1, connection: connection))
            } catch {
                guard case .refused(let message) = error else { throw error }
                throw OperatorRefusal(message: message)
            }
        default: return nil
        }
    }

    /// Writes what it has beside its name.
    func encode(to container: inout KeyedEncodingContainer<AnyKey>) throws {
        func put(_ value: String?, _ key: String) throws { try container.encodeIfPresent(value, forKey: AnyKey(key)) }
        switch self {
        case .show, .export: break
        case .remove(let rule): try put(rule, "rule")
        case .add(let text, let name), .replace(let text, let name):
            try put(text, "text")
            try put(name, "name")
        case .set(let use, let coversHost):
            try put(use, "use")
            try put(coversHost.map { $0 ? "host" : "l2tp" }, "covers")
        case .test(let question):
            try put("\(question.source)", "source")
            try put("\(question.destination)", "destination")
            try put("\(question.protocolNumber)", "protocol")
            try put(question.sourcePort.map { "\($0)" }, "sourcePort")
            try put(question.destinationPort.map { "\($0)" }, "destinationPort")
            try put(question.connection?.rawValue, "connection")
        }
    }
}
