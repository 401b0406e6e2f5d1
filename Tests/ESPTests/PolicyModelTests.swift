import ESP
import FoundationEssentials
import Testing
import Wire

/// The same question, answered slowly: every filter is looked at, both ways, and the words of docs/policies.md are followed
/// one after the other. It shares nothing with the table but the policy itself.
private struct PolicyModel {
    let policy: SecurityPolicy
    let environment: PolicyEnvironment

    private func has(_ address: PolicyFilter.Address, _ candidate: IPAddress) -> (bits: Int, Bool) {
        switch address {
        case .any: return (0, true)
        case .mine: return (128, environment.myAddresses.contains(candidate))
        case .name(let name): return (128, environment.names[name]?.contains(candidate) ?? false)
        case .range(let range):
            let width = range.first.octets.count * 8
            return (128 - width + (range.prefixLength ?? 0), range.contains(candidate))
        }
    }

    func ask(_ flow: PacketFlow, _ direction: PolicyDirection, over connection: Connection) -> (
        treatment: PolicyVerdict.Treatment, rule: Int?, mayGoInClear: Bool
    ) {
        var best: (rule: Int, key: [Int])?
        for (number, rule) in policy.rules.enumerated() {
            guard rule.connection == .all || rule.connection.rawValue == connection.rawValue else { continue }
            for filter in rule.filterList.filters {
                for isReversed in filter.isMirrored ? [false, true] : [false] {
                    let source = has(isReversed ? filter.destination : filter.source, flow.source)
                    let destination = has(isReversed ? filter.source : filter.destination, flow.destination)
                    let ports =
                        isReversed
                        ? (filter.destinationPort, filter.sourcePort) : (filter.sourcePort, filter.destinationPort)
                    guard source.1, destination.1,
                        filter.transport.number == nil || filter.transport.number == flow.protocolNumber,
                        ports.0 == nil || ports.0 == flow.sourcePort,
                        ports.1 == nil || ports.1 == flow.destinationPort
                    else { continue }
                    let key = [
                        source.bits + destination.bits, filter.transport.number == nil ? 0 : 1,
                        (ports.0 == nil ? 0 : 1) + (ports.1 == nil ? 0 : 1),
                    ]
                    if let known = best, !known.key.lexicographicallyPrecedes(key) { continue }
                    best = (number, key)
                }
            }
        }
        let mine = environment.myAddresses
        let ownPort = mine.contains(flow.destination) ? flow.destinationPort : flow.sourcePort
        let carries = flow.protocolNumber == 50 || flow.protocolNumber == 51
        let makes = flow.protocolNumber == 17 && (ownPort == 500 || ownPort == 4500)
        let isIPsec = (mine.contains(flow.source) || mine.contains(flow.destination)) && (carries || makes)
        guard let best else { return (.permit, nil, false) }
        let rule = policy.rules[best.rule]
        if isIPsec {
            guard let end = rule.tunnelEndpoint else { return (.permit, nil, false) }
            if flow.source == end || flow.destination == end { return (.permit, nil, false) }
        }
        switch rule.action.kind {
        case .permit: return (.permit, best.rule, false)
        case .block: return (.block, best.rule, false)
        case .negotiate(let security):
            let lenient = security.acceptsUnsecured || security.fallsBack
            let isCast: Bool
            switch flow.destination {
            case .v4(let address):
                isCast =
                    address == IPv4Address(255, 255, 255, 255) || environment.broadcasts.contains(address)
                    || (IPv4Address(224, 0, 0, 0)...IPv4Address(239, 255, 255, 255)).contains(address)
            case .v6: isCast = flow.destination.octets[0] == 255
            }
            if isCast { return (lenient || direction == .outbound ? .permit : .block, best.rule, false) }
            if rule.tunnelEndpoint == nil {
                let ports = [flow.sourcePort, flow.destinationPort]
                if flow.protocolNumber == 46 {
                    return (lenient || direction == .outbound ? .permit : .block, best.rule, false)
                }
                if flow.protocolNumber == 17, ports.contains(500) { return (.permit, best.rule, false) }
                if flow.protocolNumber == 17 || flow.protocolNumber == 6, ports.contains(88) {
                    return (lenient ? .permit : .block, best.rule, false)
                }
            }
            return (.secure, best.rule, direction == .inbound ? lenient : security.fallsBack)
        }
    }
}

/// A policy and packets by a seed, close enough to each other that most packets meet some filter.
private struct PolicyWorld {
    var generator: SeededGenerator
    static let addresses: [IPAddress] =
        (0..<6).map { .v4(IPv4Address(10, UInt8($0 / 3), 0, UInt8($0 % 3))) }
        + [
            .v4(IPv4Address(198, 51, 100, 1)), .v4(IPv4Address(.max)), .v4(IPv4Address(10, 1, 255, 255)),
            .v4(IPv4Address(224, 0, 0, 9)), .v6(IPv6Address(high: 0xfd00 << 48, low: 1)),
            .v6(IPv6Address(high: 0xfd00 << 48, low: 2)), .v6(IPv6Address(high: 0xff02 << 48, low: 1)),
        ]
    static let ports: [UInt16?] = [nil, 53, 80, 88, 161, 500, 1701, 4500]
    static let protocols: [UInt8] = [1, 6, 17, 46, 50, 51, 89]
    static let environment = PolicyEnvironment(
        myAddresses: [addresses[0], addresses[6], addresses[10]], broadcasts: [IPv4Address(10, 1, 255, 255)],
        names: ["one": [addresses[1]], "many": [addresses[2], addresses[3], addresses[11]]])

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: values.indices, using: &generator)] }
    mutating func flip() -> Bool { Bool.random(using: &generator) }

    mutating func address() -> PolicyFilter.Address {
        switch Int.random(in: 0..<7, using: &generator) {
        case 0: return .mine
        case 1: return .any
        case 2, 3: return .name(pick(["one", "many", "nothing"]))
        default:
            let address = pick(Self.addresses)
            let width = address.octets.count * 8
            let length = pick([0, 0, 7, 8, 15, 16, width - 2, width])
            return AddressRange(address, prefixLength: length).map { .range($0) } ?? .any
        }
    }

    mutating func policy() -> SecurityPolicy {
        let actions: [FilterAction] =
            FilterAction.predefined + [
                FilterAction("accept", .negotiate(NegotiatedSecurity(acceptsUnsecured: true))),
                FilterAction("fall back", .negotiate(NegotiatedSecurity(fallsBack: true))),
            ]
        let rules = (0..<Int.random(in: 1...6, using: &generator)).map { number in
            let filters = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                PolicyFilter(
                    from: address(), to: address(),
                    transport: PolicyProtocol(number: flip() ? nil : pick(Self.protocols)),
                    sourcePort: flip() || flip() ? nil : pick(Self.ports),
                    destinationPort: flip() || flip() ? nil : pick(Self.ports), isMirrored: flip())
            }
            return PolicyRule(
                "\(number)", FilterList("list", filters), pick(actions), connection: pick(ConnectionType.allCases),
                tunnelEndpoint: flip() ? nil : pick(Self.addresses))
        }
        return SecurityPolicy("random", rules)
    }

    mutating func flow() -> PacketFlow {
        let number = pick(Self.protocols)
        let hasPorts = number == 6 || number == 17
        return PacketFlow(
            source: pick(Self.addresses), destination: pick(Self.addresses), protocolNumber: number,
            sourcePort: hasPorts ? pick(Self.ports) ?? 9999 : nil,
            destinationPort: hasPorts ? pick(Self.ports) ?? 9999 : nil)
    }
}

@Suite("The policy table against a slow model")
struct PolicyModelTests {
    /// `CULVERT_MODEL_SEEDS=N` tries more.
    static let seeds = ProcessInfo.processInfo.environment["CULVERT_MODEL_SEEDS"].flatMap { UInt64($0) } ?? 100

    @Test("random policies say of random packets what the model says")
    func agrees() throws {
        var decided = 0
        for seed in 0..<Self.seeds {
            var world = PolicyWorld(seed: seed)
            let policy = world.policy()
            let table = try PolicyTable(policy, in: PolicyWorld.environment)
            let model = PolicyModel(policy: policy, environment: PolicyWorld.environment)
            for _ in 0..<200 {
                let (flow, direction) = (world.flow(), world.pick(PolicyDirection.allCases))
                let connection = world.pick(Connection.allCases)
                let (fast, slow) = (
                    table.ask(flow, direction, over: connection), model.ask(flow, direction, over: connection)
                )
                if fast.rule != nil { decided += 1 }
                guard fast.treatment == slow.treatment, fast.rule == slow.rule, fast.mayGoInClear == slow.mayGoInClear
                else {
                    Issue.record("seed \(seed): \(flow) \(direction) \(connection): \(fast) but \(slow) by \(policy)")
                    return
                }
            }
        }
        #expect(decided > Int(Self.seeds) * 20, "the packets hardly meet the filters")
    }
}
