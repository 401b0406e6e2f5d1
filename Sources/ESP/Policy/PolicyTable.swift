import Wire

/// What a policy depends on beside its words: which addresses are ours, and which addresses names have.
public struct PolicyEnvironment: Hashable, Sendable {
    /// Our addresses.
    public var myAddresses: [IPAddress]
    /// The broadcast addresses of our networks, beside 255.255.255.255.
    public var broadcasts: [IPv4Address]
    /// The addresses of names; a name that is missing matches nothing.
    public var names: [String: [IPAddress]]

    /// What is known of the host.
    public init(
        myAddresses: [IPAddress] = [], broadcasts: [IPv4Address] = [], names: [String: [IPAddress]] = [:]
    ) {
        (self.myAddresses, self.broadcasts, self.names) = (myAddresses, broadcasts, names)
    }
}

/// What a policy says about a packet, and why.
public struct PolicyVerdict: Hashable, Sendable {
    /// What is done with the packet.
    public enum Treatment: String, Sendable {
        /// It goes in clear.
        case permit
        /// It does not go.
        case block
        /// It goes by an SA; without one, ``PolicyVerdict/mayGoInClear`` says what happens.
        case secure
    }

    /// Why.
    public enum Reason: UInt8, CaseIterable, Sendable {
        /// No filter has it.
        case noFilter
        /// The rule permits it.
        case ruleMatches
        /// It is IKE, ESP or AH of ours, by which everything else is secured.
        case isIPsecItself
        /// Broadcasts cannot be secured.
        case isBroadcast
        /// Multicasts cannot be secured.
        case isMulticast
        /// RSVP cannot be secured in transport mode.
        case isRSVP
        /// IKE cannot be secured in transport mode.
        case isIKE
        /// Kerberos cannot be secured in transport mode.
        case isKerberos
    }

    /// What is done with it.
    public var treatment: Treatment
    /// The rule, by its place in the policy; nil where none is about it.
    public var rule: Int?
    /// Why.
    public var reason: Reason
    /// Of a packet to be secured: whether it may go in clear where there is no SA.
    public var mayGoInClear: Bool
    /// Of a packet to be secured: whether we ask the peer for an SA where there is none.
    public var asksForSecurity: Bool

    @usableFromInline init(
        _ treatment: Treatment, rule: Int?, _ reason: Reason, mayGoInClear: Bool = false, asksForSecurity: Bool = false
    ) {
        (self.treatment, self.rule, self.reason) = (treatment, rule, reason)
        (self.mayGoInClear, self.asksForSecurity) = (mayGoInClear, asksForSecurity)
    }
}

/// Where a packet goes.
public enum PolicyDirection: String, CaseIterable, Sendable {
    /// To us, or through us from outside.
    case inbound
    /// From us, or through us to the outside.
    case outbound
}

/// Why a policy cannot be compiled.
public struct PolicyTableError: Error, Hashable, Sendable, CustomStringConvertible {
    /// In words.
    public let description: String

    /// A reason in words.
    public init(description: String) { self.description = description }
}

/// A policy, compiled: asked about packets, the most specific filter first.
///
/// A filter's weight is how many address bits of both ends it fixes (a host of either version 128, a subnet its prefix, of
/// IPv4 96 more, any address none), then whether it names a protocol, then how many ports. So a host comes before its subnet
/// and a subnet before everything; of two with the same addresses the one with a protocol or a port. Of equals, the earlier
/// rule counts, and in it the earlier filter.
public struct PolicyTable: Sendable {
    /// The most entries, mirrored ones and every address of a name counted.
    public static let entriesMaximum = 16_384

    /// One end of an entry.
    public enum Side: Hashable, Sendable {
        /// Any address.
        case any
        /// One of ours.
        case mine
        /// One of these.
        case range(AddressRange)
    }

    /// A filter in one direction, with addresses.
    public struct Entry: Hashable, Sendable {
        /// Where packets come from.
        public let source: Side
        /// Where they go.
        public let destination: Side
        /// Of which protocol; nil for any.
        public let protocolNumber: UInt8?
        /// From which port; nil for any.
        public let sourcePort: UInt16?
        /// To which port; nil for any.
        public let destinationPort: UInt16?
        /// The rule, by its place in the policy.
        public let rule: Int
        /// How specific it is.
        public let weight: Int
        /// On which connections.
        public let connection: ConnectionType
    }

    /// The policy.
    public let policy: SecurityPolicy
    /// What it was compiled for.
    public let environment: PolicyEnvironment
    /// The entries, the one that counts first at the front.
    public let entries: [Entry]
    /// Of each entry, between which first octets its destinations lie: most entries are passed over by this alone.
    private let octets: [ClosedRange<UInt16>]

    /// Compiles `policy`.
    public init(_ policy: SecurityPolicy, in environment: PolicyEnvironment) throws(PolicyTableError) {
        self.policy = policy
        self.environment = environment
        let filters = policy.rules.reduce(0) { $0 + $1.filterList.filters.count }
        guard policy.rules.count <= SecurityPolicy.rulesMaximum, filters <= SecurityPolicy.filtersMaximum else {
            throw PolicyTableError(
                description: "\(policy.rules.count) rules with \(filters) filters are more than "
                    + "\(SecurityPolicy.rulesMaximum) and \(SecurityPolicy.filtersMaximum)")
        }
        var entries: [Entry] = []
        for (number, rule) in policy.rules.enumerated() {
            for filter in rule.filterList.filters {
                for source in Self.sides(filter.source, environment) {
                    for destination in Self.sides(filter.destination, environment) {
                        guard entries.count + 2 <= Self.entriesMaximum else {
                            throw PolicyTableError(
                                description: "names have so many addresses that there are more than "
                                    + "\(Self.entriesMaximum) entries")
                        }
                        Self.add(filter, source, destination, rule, number, to: &entries)
                    }
                }
            }
        }
        let order = entries.indices.sorted { (-entries[$0].weight, $0) < (-entries[$1].weight, $1) }
        let sorted = order.map { entries[$0] }
        self.entries = sorted
        octets = sorted.map { Self.octets(of: $0.destination) }
    }

    private static func add(
        _ filter: PolicyFilter, _ source: Side, _ destination: Side, _ rule: PolicyRule, _ number: Int,
        to entries: inout [Entry]
    ) {
        let weight =
            (bits(source) + bits(destination)) * 8 + (filter.transport.number == nil ? 0 : 4)
            + (filter.sourcePort == nil ? 0 : 1) + (filter.destinationPort == nil ? 0 : 1)
        entries.append(
            Entry(
                source: source, destination: destination, protocolNumber: filter.transport.number,
                sourcePort: filter.sourcePort, destinationPort: filter.destinationPort, rule: number, weight: weight,
                connection: rule.connection))
        guard filter.isMirrored else { return }
        entries.append(
            Entry(
                source: destination, destination: source, protocolNumber: filter.transport.number,
                sourcePort: filter.destinationPort, destinationPort: filter.sourcePort, rule: number, weight: weight,
                connection: rule.connection))
    }

    private static func sides(_ address: PolicyFilter.Address, _ environment: PolicyEnvironment) -> [Side] {
        switch address {
        case .any: [.any]
        case .mine: [.mine]
        case .range(let range): [.range(range)]
        case .name(let name): (environment.names[name] ?? []).map { .range(AddressRange($0)) }
        }
    }

    /// How many bits of an address a side fixes, of the 128 that both versions are counted with.
    private static func bits(_ side: Side) -> Int {
        switch side {
        case .any: return 0
        case .mine: return 128
        case .range(let range):
            let total = range.first.octets.count * 8
            return range.prefixLength.map { $0 + 128 - total } ?? (128 - total)
        }
    }

    /// The first octet of an IPv4 address; of an IPv6 address 256 more.
    private static func octet(of address: IPAddress) -> UInt16 {
        switch address {
        case .v4(let address): UInt16(truncatingIfNeeded: address.value >> 24)
        case .v6(let address): 256 + UInt16(truncatingIfNeeded: address.high >> 56)
        }
    }

    private static func octets(of side: Side) -> ClosedRange<UInt16> {
        guard case .range(let range) = side else { return 0...511 }
        return octet(of: range.first)...octet(of: range.last)
    }

    // MARK: - Asking

    /// What the policy says about a packet. Allocates nothing.
    public func ask(
        _ flow: PacketFlow, _ direction: PolicyDirection, over connection: Connection = .lan
    ) -> PolicyVerdict {
        guard let entry = entry(for: flow, over: connection) else {
            return PolicyVerdict(.permit, rule: nil, isIPsecItself(flow) ? .isIPsecItself : .noFilter)
        }
        let rule = entries[entry].rule
        let tunnelEndpoint = policy.rules[rule].tunnelEndpoint
        if isIPsecItself(flow),
            tunnelEndpoint == nil || flow.source == tunnelEndpoint || flow.destination == tunnelEndpoint
        {
            return PolicyVerdict(.permit, rule: nil, .isIPsecItself)
        }
        switch policy.rules[rule].action.kind {
        case .permit: return PolicyVerdict(.permit, rule: rule, .ruleMatches)
        case .block: return PolicyVerdict(.block, rule: rule, .ruleMatches)
        case .negotiate(let security):
            if let reason = exemption(flow, isTunnel: tunnelEndpoint != nil) {
                return PolicyVerdict(
                    Self.goesInClear(reason, direction, security) ? .permit : .block, rule: rule, reason)
            }
            let mayGoInClear =
                direction == .inbound ? security.acceptsUnsecured || security.fallsBack : security.fallsBack
            return PolicyVerdict(
                .secure, rule: rule, .ruleMatches, mayGoInClear: mayGoInClear, asksForSecurity: security.initiates)
        }
    }

    /// The first entry that has the packet.
    public func entry(for flow: PacketFlow, over connection: Connection) -> Int? {
        let octet = Self.octet(of: flow.destination)
        for index in octets.indices where octets[index].contains(octet) {
            if matches(entries[index], flow, over: connection) { return index }
        }
        return nil
    }

    /// A fragment that does not tell its ports is of no entry that asks for them (RFC 4301 section 7).
    private func matches(_ entry: Entry, _ flow: PacketFlow, over connection: Connection) -> Bool {
        if let number = entry.protocolNumber, number != flow.protocolNumber { return false }
        if let port = entry.destinationPort, port != flow.destinationPort { return false }
        if let port = entry.sourcePort, port != flow.sourcePort { return false }
        return entry.connection.includes(connection) && contains(entry.destination, flow.destination)
            && contains(entry.source, flow.source)
    }

    private func contains(_ side: Side, _ address: IPAddress) -> Bool {
        switch side {
        case .any: true
        case .mine: isMine(address)
        case .range(let range): range.contains(address)
        }
    }

    /// Whether an address is one of ours.
    public func isMine(_ address: IPAddress) -> Bool {
        for mine in environment.myAddresses where mine == address { return true }
        return false
    }

    /// Whether L2TP from `remote` to our address `local` may come in clear: then UDP 1701 is served without an SA.
    public func allowsClearL2TP(from remote: Endpoint, to local: IPAddress) -> Bool {
        let flow = PacketFlow(
            source: remote.address, destination: local, protocolNumber: IPProtocol.udp, sourcePort: remote.port,
            destinationPort: Self.l2tpPort)
        let verdict = ask(flow, .inbound, over: .remoteAccess)
        // A policy that does not speak of L2TP has not allowed it: L2TP outside IPsec is a thing to be asked for.
        return verdict.treatment == .secure && verdict.mayGoInClear
            || verdict.treatment == .permit && verdict.rule != nil
    }

    /// Whether there may be any L2TP in clear, from wherever: else nothing need listen on UDP 1701.
    public var mayAllowClearL2TP: Bool {
        policy.rules.contains { rule in
            guard rule.connection.includes(.remoteAccess) else { return false }
            return switch rule.action.kind {
            case .permit: true
            case .block: false
            case .negotiate(let security): !security.isRequired
            }
        }
    }

    // MARK: - What cannot be secured

    static let l2tpPort: UInt16 = 1701

    static let ikePort: UInt16 = 500
    static let encapsulatedPort: UInt16 = 4500
    /// Kerberos' port in UDP and TCP (RFC 4120 section 7.2).
    public static let kerberosPort: UInt16 = 88

    /// Whether it is what carries or makes SAs: ESP, AH, IKE, from or to us. Blocking it would block all.
    private func isIPsecItself(_ flow: PacketFlow) -> Bool {
        guard isMine(flow.source) || isMine(flow.destination) else { return false }
        switch flow.protocolNumber {
        case IPProtocol.esp, IPProtocol.ah: return true
        case IPProtocol.udp:
            let port = isMine(flow.destination) ? flow.destinationPort : flow.sourcePort
            return port == Self.ikePort || port == Self.encapsulatedPort
        default: return false
        }
    }

    /// Why a packet cannot be secured, if so. Tunnel mode secures RSVP, IKE and Kerberos, and neither broadcasts nor
    /// multicasts.
    private func exemption(_ flow: PacketFlow, isTunnel: Bool) -> PolicyVerdict.Reason? {
        switch flow.destination {
        case .v4(let address):
            if address.value == UInt32.max { return .isBroadcast }
            for broadcast in environment.broadcasts where broadcast == address { return .isBroadcast }
            if address.value >> 28 == 0xe { return .isMulticast }
        case .v6(let address):
            if address.high >> 56 == 0xff { return .isMulticast }
        }
        guard !isTunnel else { return nil }
        if flow.protocolNumber == IPProtocol.rsvp { return .isRSVP }
        if flow.protocolNumber == IPProtocol.udp,
            flow.destinationPort == Self.ikePort || flow.sourcePort == Self.ikePort
        {
            return .isIKE
        }
        if flow.protocolNumber == IPProtocol.udp || flow.protocolNumber == IPProtocol.tcp,
            flow.destinationPort == Self.kerberosPort || flow.sourcePort == Self.kerberosPort
        {
            return .isKerberos
        }
        return nil
    }

    /// Whether a packet that `rule` would have secured cannot be, and goes in clear for that.
    public func mayGoUnsecured(_ flow: PacketFlow, by rule: PolicyRule, _ direction: PolicyDirection) -> Bool {
        guard case .negotiate(let security) = rule.action.kind,
            let reason = exemption(flow, isTunnel: rule.tunnelEndpoint != nil)
        else { return false }
        return Self.goesInClear(reason, direction, security)
    }

    /// Whether what cannot be secured goes in clear. Where security is required, only outgoing broadcasts, multicasts, RSVP
    /// and ISAKMP may be insecure; and ISAKMP that comes, without which there would be no security.
    private static func goesInClear(
        _ reason: PolicyVerdict.Reason, _ direction: PolicyDirection, _ security: NegotiatedSecurity
    ) -> Bool {
        guard security.isRequired else { return true }
        switch reason {
        case .isIKE, .isIPsecItself: return true
        case .isBroadcast, .isMulticast, .isRSVP: return direction == .outbound
        case .isKerberos, .noFilter, .ruleMatches: return false
        }
    }
}
