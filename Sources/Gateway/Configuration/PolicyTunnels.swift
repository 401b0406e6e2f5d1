import ESP
import IKE
import Wire

/// What the rules of a policy that negotiate security come to: traffic with peers, as tunnels of the file are.
///
/// A rule with a tunnel endpoint is one of these, in tunnel mode. In transport mode each pair of an address of ours and a
/// definite one of a peer's is one; a subnet is not, since IKE has to know whom to call. The most specific filters come
/// first, in IKE as for packets.
struct PolicyTunnels {
    /// The most of these; each has a place in every worker's table.
    static let maximum = 1024
    /// The most kinds of traffic of one of these, since each is an SA of its own.
    static let selectorsMaximum = 256

    private let configuration: GatewayConfiguration
    private let table: PolicyTable
    private(set) var tunnels: [GatewayConfiguration.Tunnel] = []
    /// What of the machine's own traffic is theirs in transport mode, and what is not though it is between the same ends; what
    /// counts first is at the front.
    private(set) var choices: [TrafficChoice] = []
    private var positions: [String: Int] = [:]

    /// Compiles `table` for the gateway of `configuration`.
    ///
    /// - Throws: Where a rule asks for what this gateway cannot do.
    init(_ table: PolicyTable, of configuration: GatewayConfiguration) throws(PolicyTableError) {
        (self.table, self.configuration) = (table, configuration)
        for rule in table.policy.rules where rule.connection.includes(.lan) { try check(rule) }
        for entry in table.entries where entry.connection.includes(.lan) {
            let rule = table.policy.rules[entry.rule]
            guard case .negotiate(let security) = rule.action.kind else { continue }
            if let endpoint = rule.tunnelEndpoint {
                // Windows has a second rule for what comes in, whose endpoint is our own: the first one has its SAs already.
                guard !table.isMine(endpoint) else { continue }
                for selector in networks(entry, endpoint) {
                    try add(selector, rule, security, source: nil, to: endpoint)
                }
            } else {
                for selector in hosts(entry) {
                    try add(selector, rule, security, source: selector.local.first, to: selector.remote.first)
                }
            }
        }
        try checkPeers()
        choices = makeChoices()
    }

    private static func name(_ rule: PolicyRule, source: IPAddress?, to peer: IPAddress) -> String {
        "\(rule.name): \(source.map { "\($0)-" } ?? "")\(peer)"
    }

    private mutating func add(
        _ selector: TrafficSelector, _ rule: PolicyRule, _ security: NegotiatedSecurity, source: IPAddress?,
        to peer: IPAddress
    ) throws(PolicyTableError) {
        let name = Self.name(rule, source: source, to: peer)
        guard let position = positions[name] else {
            guard tunnels.count < Self.maximum else {
                throw PolicyTableError(description: "there are more than \(Self.maximum) pairs of peers to be secured")
            }
            positions[name] = tunnels.count
            return tunnels.append(tunnel(name, selector, rule, security, source: source, to: peer))
        }
        // A mirrored filter has its answers beside it, which are the same SA's.
        let (known, answers) = (tunnels[position].selectors, selector.reversed)
        guard !known.contains(selector), !known.contains(answers) else { return }
        guard known.count < Self.selectorsMaximum else {
            throw PolicyTableError(
                description: "rule \(rule.name) has more than \(Self.selectorsMaximum) filters for one peer")
        }
        tunnels[position].selectors.append(selector)
    }

    private func tunnel(
        _ name: String, _ selector: TrafficSelector, _ rule: PolicyRule, _ security: NegotiatedSecurity,
        source: IPAddress?, to peer: IPAddress
    ) -> GatewayConfiguration.Tunnel {
        var tunnel = GatewayConfiguration.Tunnel(name, peer: peer, selectors: [selector])
        tunnel.source = source
        tunnel.mode = rule.tunnelEndpoint == nil ? .transport : .tunnel
        tunnel.start = security.initiates ? .onDemand : .respond
        let base = configuration.peerPolicy(for: peer)
        if !rule.authentication.isEmpty { tunnel.policy = base.authenticating(by: rule.authentication) }
        var terms = GatewayConfiguration.RuleTerms(rule.name)
        for method in security.methods {
            let life = IKETunnel.SuiteLifetime(
                seconds: method.seconds.map { UInt64(clamping: $0) },
                kilobytes: method.kilobytes.map { UInt64(clamping: $0) })
            for suite in method.suites(base.ike.phaseTwo) where !terms.suites.contains(suite) {
                terms.suites.append(suite)
                if life != IKETunnel.SuiteLifetime() { terms.lifetimes[suite] = life }
            }
        }
        terms.hasPerfectForwardSecrecy = security.hasPerfectForwardSecrecy
        terms.fallsBack = security.fallsBack
        tunnel.terms = terms
        return tunnel
    }

    // MARK: - What cannot be

    /// A rule must not name what there is nothing for: its peers would all be refused.
    private func check(_ rule: PolicyRule) throws(PolicyTableError) {
        if rule.authentication.contains(.certificate), configuration.certificates == nil {
            throw PolicyTableError(
                description: "rule \(rule.name) wants certificates, and none are configured; allowed: psk")
        }
        if rule.authentication.contains(.psk), configuration.preSharedKey == nil, configuration.keys.isEmpty {
            throw PolicyTableError(
                description: "rule \(rule.name) wants a pre-shared key, and none is configured; allowed: certificate")
        }
    }

    /// Phase 1 is with a machine, whatever it is for: two rules cannot want it in two ways.
    private func checkPeers() throws(PolicyTableError) {
        var first: [IPAddress: GatewayConfiguration.Tunnel] = [:]
        let names = Set(configuration.tunnels.map(\.name))
        for tunnel in tunnels {
            guard !names.contains(tunnel.name) else {
                throw PolicyTableError(description: "a tunnel has the name that a rule's would have: \(tunnel.name)")
            }
            guard let peer = tunnel.peer, tunnel.policy != nil else { continue }
            if let other = first[peer], other.policy != tunnel.policy {
                throw PolicyTableError(
                    description: "rules \(other.terms?.rule ?? "") and \(tunnel.terms?.rule ?? "") "
                        + "want \(peer) to authenticate in two ways; allowed: one")
            }
            first[peer] = first[peer] ?? tunnel
        }
    }

    // MARK: - Traffic

    /// The traffic of an entry between addresses of ours and a definite one of a peer's, one by one.
    private func hosts(_ entry: PolicyTable.Entry) -> [TrafficSelector] {
        var selectors: [TrafficSelector] = []
        for isOutbound in [true, false] {
            let (ours, theirs) = isOutbound ? (entry.source, entry.destination) : (entry.destination, entry.source)
            guard case .range(let peer) = theirs, peer.first == peer.last, isPeer(peer.first) else { continue }
            for mine in table.environment.myAddresses where contains(ours, mine) && reaches(peer.first, from: mine) {
                let selector = entry.selector(AddressRange(mine), peer, isOutbound: isOutbound)
                if isSecurable(selector) { selectors.append(selector) }
            }
        }
        return selectors
    }

    /// The traffic of an entry for a tunnel to `endpoint`: our side is the source, unless it is plain that it is not.
    private func networks(_ entry: PolicyTable.Entry, _ endpoint: IPAddress) -> [TrafficSelector] {
        let isForUs = isOurs(entry.destination) && !isOurs(entry.source)
        let isFromPeer = !isOurs(entry.source) && isOf(endpoint, entry.source) && !isOf(endpoint, entry.destination)
        let isOutbound = !isForUs && !isFromPeer
        let (ours, theirs) = isOutbound ? (entry.source, entry.destination) : (entry.destination, entry.source)
        return ranges(ours).flatMap { local in
            ranges(theirs).compactMap { remote in
                local.first.version == remote.first.version
                    ? entry.selector(local, remote, isOutbound: isOutbound) : nil
            }
        }
    }

    // MARK: - The machine's own traffic

    private func makeChoices() -> [TrafficChoice] {
        let secured = tunnels.filter { $0.mode == .transport }.flatMap(\.selectors)
        guard !secured.isEmpty else { return [] }
        var choices: [TrafficChoice] = []
        for entry in table.entries where entry.connection.includes(.lan) {
            let rule = table.policy.rules[entry.rule]
            let hosts = rule.tunnelEndpoint == nil && rule.action.isNegotiated ? hosts(entry) : []
            for selector in hosts {
                choices += selector.exemptParts.map { TrafficChoice(traffic: $0, tunnel: nil) }
                let name = Self.name(rule, source: selector.local.first, to: selector.remote.first)
                choices.append(TrafficChoice(traffic: selector, tunnel: name))
            }
            guard hosts.isEmpty else { continue }
            // A rule that permits, blocks, or names no peer: it keeps packets from those that count less.
            choices += outbound(entry).filter { other in secured.contains { $0.intersection(other) != nil } }
                .map { TrafficChoice(traffic: $0, tunnel: nil) }
        }
        // A mirrored filter says the same twice.
        var seen: Set<TrafficSelector> = []
        choices = choices.filter { seen.insert($0.traffic).inserted }
        let last = choices.lastIndex { $0.tunnel != nil } ?? -1
        return Array(choices.prefix(last + 1))
    }

    /// What leaves us of an entry's traffic.
    private func outbound(_ entry: PolicyTable.Entry) -> [TrafficSelector] {
        table.environment.myAddresses.filter { contains(entry.source, $0) }.flatMap { mine in
            ranges(entry.destination).filter { $0.first.version == mine.version }.map {
                entry.selector(AddressRange(mine), $0, isOutbound: true)
            }
        }
    }

    private func ranges(_ side: PolicyTable.Side) -> [AddressRange] {
        switch side {
        case .any: [.anyIPv4, .anyIPv6]
        case .mine: table.environment.myAddresses.map { AddressRange($0) }
        case .range(let range): [range]
        }
    }

    private func contains(_ side: PolicyTable.Side, _ address: IPAddress) -> Bool {
        switch side {
        case .any, .mine: true
        case .range(let range): range.contains(address)
        }
    }

    private func isOurs(_ side: PolicyTable.Side) -> Bool {
        switch side {
        case .any: false
        case .mine: true
        case .range(let range): table.environment.myAddresses.contains { range.contains($0) }
        }
    }

    private func isOf(_ endpoint: IPAddress, _ side: PolicyTable.Side) -> Bool {
        if case .range(let range) = side { range.contains(endpoint) } else { false }
    }

    /// Whether packets can go to a peer from an address of ours: a loopback address has none, and one of the link only peers
    /// on it.
    private func reaches(_ peer: IPAddress, from mine: IPAddress) -> Bool {
        switch (mine, peer) {
        case (.v4(let mine), .v4): return mine.value >> 24 != 127
        case (.v6(let mine), .v6(let peer)):
            return (mine.high, mine.low) != (0, 1) && (mine.high >> 54 == 0x3fa) == (peer.high >> 54 == 0x3fa)
        default: return false
        }
    }

    /// Whether there can be somebody at an address who is not us.
    private func isPeer(_ address: IPAddress) -> Bool {
        guard !table.isMine(address) else { return false }
        switch address {
        case .v4(let address):
            return (1..<0xe0).contains(address.value >> 24) && !table.environment.broadcasts.contains(address)
        case .v6(let address): return address.high >> 56 != 0xff && (address.high, address.low) != (0, 0)
        }
    }

    /// Whether transport mode secures it, and no rule that counts more says otherwise. L2TP is a matter of its own: its SAs
    /// are those of dial-in.
    private func isSecurable(_ selector: TrafficSelector) -> Bool {
        if selector.protocolNumber == IPProtocol.udp, selector.localPort == PacketPath.l2tpPort { return false }
        var flow = PacketFlow(
            source: selector.local.first, destination: selector.remote.first,
            protocolNumber: selector.protocolNumber ?? 0, sourcePort: selector.localPort,
            destinationPort: selector.remotePort)
        if table.ask(flow, .outbound).treatment == .secure { return true }
        (flow.source, flow.destination) = (flow.destination, flow.source)
        (flow.sourcePort, flow.destinationPort) = (flow.destinationPort, flow.sourcePort)
        return table.ask(flow, .inbound).treatment == .secure
    }
}

extension PolicyTable.Entry {
    /// Its traffic between two sides of ours and of a peer's.
    fileprivate func selector(_ local: AddressRange, _ remote: AddressRange, isOutbound: Bool) -> TrafficSelector {
        TrafficSelector(
            local: local, remote: remote, protocolNumber: protocolNumber,
            localPort: isOutbound ? sourcePort : destinationPort,
            remotePort: isOutbound ? destinationPort : sourcePort)
    }
}

/// Some of what the machine itself sends, and which tunnel of the policy has it.
struct TrafficChoice: Hashable, Sendable {
    let traffic: TrafficSelector
    /// The tunnel's name; nil where it goes past all of them.
    var tunnel: String?
}

extension FilterAction {
    fileprivate var isNegotiated: Bool { if case .negotiate = kind { true } else { false } }
}

extension TrafficSelector {
    /// What transport mode does not secure of it: ESP, AH and IKE themselves, RSVP, Kerberos.
    fileprivate var exemptParts: [TrafficSelector] {
        func all(_ number: UInt8, local: UInt16? = nil, remote: UInt16? = nil) -> TrafficSelector {
            TrafficSelector(
                local: self.local, remote: self.remote, protocolNumber: number, localPort: local, remotePort: remote)
        }
        let (udp, kerberos) = (IPProtocol.udp, PolicyTable.kerberosPort)
        let parts =
            [all(IPProtocol.esp), all(IPProtocol.ah), all(IPProtocol.rsvp)]
            + [all(udp, local: IKEPort.plain), all(udp, local: IKEPort.encapsulated), all(udp, remote: IKEPort.plain)]
            + [udp, IPProtocol.tcp].flatMap { [all($0, local: kerberos), all($0, remote: kerberos)] }
        return parts.compactMap(intersection)
    }

    /// The traffic that is of both, where one side's addresses hold the other's; nil for none.
    fileprivate func intersection(_ other: TrafficSelector) -> TrafficSelector? {
        func common<Value: Equatable>(_ first: Value?, _ second: Value?) -> Value?? {
            guard let first, let second else { return .some(first ?? second) }
            return first == second ? .some(first) : nil
        }
        guard local.overlaps(other.local), remote.overlaps(other.remote),
            case .some(let number) = common(protocolNumber, other.protocolNumber),
            case .some(let localPort) = common(localPort, other.localPort),
            case .some(let remotePort) = common(remotePort, other.remotePort)
        else { return nil }
        return TrafficSelector(
            local: local.contains(other.local) ? other.local : local,
            remote: remote.contains(other.remote) ? other.remote : remote, protocolNumber: number,
            localPort: localPort, remotePort: remotePort)
    }

    /// The same traffic as its other end would say it.
    fileprivate var reversed: TrafficSelector {
        TrafficSelector(
            local: remote, remote: local, protocolNumber: protocolNumber, localPort: remotePort, remotePort: localPort)
    }
}

extension GatewayConfiguration {
    /// What counts for the peer at `address`, as IKE finds it: by the longest prefix.
    func peerPolicy(for address: IPAddress) -> PeerPolicy {
        var best: (length: Int, policy: PeerPolicy)?
        for rule in rules {
            for network in rule.networks
            where network.contains(address) && network.prefixLength ?? 0 > best?.length ?? -1 {
                best = (network.prefixLength ?? 0, rule.policy)
            }
        }
        return best?.policy ?? policy
    }
}

extension GatewayConfiguration.PeerPolicy {
    /// The same with other ways to authenticate, the most wanted first.
    fileprivate func authenticating(by methods: [PolicyAuthentication]) -> Self {
        var policy = self
        policy.authentication = methods.map { PeerAuthentication($0) }
        policy.ike.authenticationMethods = methods.flatMap { kind -> [PhaseOneAuthenticationMethod] in
            kind == .psk ? [.preSharedKey] : PhaseOneAuthenticationMethod.allCases.filter(\.isSignature)
        }
        return policy
    }
}

extension PeerAuthentication {
    /// What a rule of the policy says.
    init(_ authentication: PolicyAuthentication) {
        self =
            switch authentication {
            case .psk: .psk
            case .certificate: .certificate
            }
    }
}

// MARK: - Methods

extension SecurityMethod {
    /// AH's algorithms for `medium`, where the gateway's own list has none.
    private static let headerDefault: [IPsecIntegrity] = [.hmacSHA256, .hmacSHA1]

    /// What it means in IKE, the most wanted first. `high` and `medium` leave the algorithms to the gateway's lists.
    fileprivate func suites(_ lists: PhaseTwoAlgorithms) -> [IPsecSuite] {
        switch protection {
        case .high:
            return lists.offered.filter { suite in
                guard suite.authenticationHeader == nil, let payload = suite.payload else { return false }
                return payload.cipher != .null && (payload.cipher.isCombined || payload.integrity != nil)
            }
        case .medium:
            let integrities = lists.headerIntegrities.isEmpty ? Self.headerDefault : lists.headerIntegrities
            return integrities.map { IPsecSuite(authenticationHeader: $0) }
        case .custom(let header, let payload):
            return [
                IPsecSuite(
                    authenticationHeader: header.map { IPsecIntegrity($0) },
                    payload: payload.map { IPsecSuite.Payload($0) })
            ]
        }
    }
}

extension IPsecSuite.Payload {
    fileprivate init(_ payload: SecurityMethod.Payload) {
        let cipher: ESPCipher =
            switch payload.encryption {
            case nil: .null
            case .des: .des
            case .tripleDES: .tripleDES
            case .aes128: .aesCBC(keyBits: 128)
            case .aes192: .aesCBC(keyBits: 192)
            case .aes256: .aesCBC(keyBits: 256)
            case .aes128gcm16: .aesGCM(keyBits: 128, icvBytes: 16)
            case .aes256gcm16: .aesGCM(keyBits: 256, icvBytes: 16)
            }
        self.init(cipher: cipher, integrity: payload.integrity.map { IPsecIntegrity($0) })
    }
}

extension IPsecIntegrity {
    fileprivate init(_ integrity: MethodIntegrity) {
        self =
            switch integrity {
            case .md5: .hmacMD5
            case .sha1: .hmacSHA1
            case .sha256: .hmacSHA256
            case .sha384: .hmacSHA384
            case .sha512: .hmacSHA512
            }
    }
}
