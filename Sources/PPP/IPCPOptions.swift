import Wire

/// What a user gets when he is let in.
public struct AddressAssignment: Hashable, Sendable {
    /// RFC 1877 knows a primary and a secondary server of each kind.
    public static let serversMaximum = 2

    /// The client's inner address.
    public let address: IPv4Address
    /// Our own inner address, the client's next hop.
    public let localAddress: IPv4Address
    /// Name servers, at most two; more are left out.
    public let dns: [IPv4Address]
    /// NetBIOS name servers (WINS), at most two; more are left out.
    public let nbns: [IPv4Address]

    /// The assignment of `address` to a client whose next hop is `localAddress`.
    public init(address: IPv4Address, localAddress: IPv4Address, dns: [IPv4Address] = [], nbns: [IPv4Address] = []) {
        (self.address, self.localAddress) = (address, localAddress)
        (self.dns, self.nbns) = (Self.usable(dns), Self.usable(nbns))
    }
}

extension AddressAssignment {
    /// The first servers of a list, which is the same for many links: in its own memory where it is short enough.
    fileprivate static func usable(_ servers: [IPv4Address]) -> [IPv4Address] {
        servers.count <= serversMaximum ? servers : Array(servers.prefix(serversMaximum))
    }
}

/// The options of the Internet Protocol Control Protocol, RFC 1332 and RFC 1877.
struct IPCPOptions: NegotiatedOptions {
    /// RFC 1332 section 3 and RFC 1877 section 1. What is not in ``rules`` is rejected: IP-Addresses (1, obsolete),
    /// Van Jacobson compression (2, RFC 1144), Mobile-IPv4 (4).
    enum Option {
        static let addresses: UInt8 = 1
        static let compression: UInt8 = 2
        static let address: UInt8 = 3
        static let primaryDNS: UInt8 = 129
        static let primaryNBNS: UInt8 = 130
        static let secondaryDNS: UInt8 = 131
        static let secondaryNBNS: UInt8 = 132
    }

    let assignment: AddressAssignment
    private var announcesLocalAddress = true

    init(_ assignment: AddressAssignment) { self.assignment = assignment }

    static let protocolNumber = PPPProtocol.ipcp

    static let rules: [OptionRule<IPCPOptions>] = [
        server(Option.address) { $0.assignment.address },
        server(Option.primaryDNS) { $0.assignment.dns.first },
        server(Option.secondaryDNS) { $0.assignment.dns.dropFirst().first },
        server(Option.primaryNBNS) { $0.assignment.nbns.first },
        server(Option.secondaryNBNS) { $0.assignment.nbns.dropFirst().first },
    ]

    /// An address of which we know the right value: anything else, 0.0.0.0 above all, is answered with it (RFC 1332
    /// section 3.3, RFC 1877 section 1.1); one that we have none of is rejected.
    private static func server(
        _ type: UInt8, _ address: @escaping @Sendable (IPCPOptions) -> IPv4Address?
    ) -> OptionRule<IPCPOptions> {
        OptionRule(type, dataBytes: 4, standard: { address($0)?.octets }) { owner, data in
            guard let right = address(owner)?.octets else { return .reject }
            return data == right ? .acknowledge : .suggest(right)
        }
    }

    var request: [ConfigureOption] {
        announcesLocalAddress ? [ConfigureOption(Option.address, uint32: assignment.localAddress.value)] : []
    }

    mutating func preview(_ options: [ConfigureOption], random: UInt32) -> RequestVerdict? { nil }

    /// RFC 1332 section 3.3: an address that the peer did not ask for, and must have, is appended to a Configure-Nak.
    func missing(in options: [ConfigureOption]) -> [ConfigureOption] {
        options.contains { $0.type == Option.address }
            ? [] : [ConfigureOption(Option.address, uint32: assignment.address.value)]
    }

    /// A client that will not take the address it is given cannot be routed.
    func failure(withoutOption type: UInt8) -> PPPProtocolFailure? {
        type == Option.address ? .addressRefused : nil
    }

    mutating func acknowledged(_ options: [ConfigureOption]) {}

    /// Our own address is ours to say.
    mutating func learn(suggestion: ConfigureOption, random: UInt32) -> PPPProtocolFailure? { nil }

    mutating func learn(rejection: ConfigureOption) -> PPPProtocolFailure? {
        if rejection.type == Option.address { announcesLocalAddress = false }
        return nil
    }
}
