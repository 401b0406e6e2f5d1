import ESP
import IO
import Wire

extension PolicyTable {
    /// What nftables has to permit and to block of what the machine itself sends and gets in clear, the rule that counts
    /// first at the front, under the names of the policy's rules.
    var clearTraffic: [ClearTrafficRule] {
        var rules: [ClearTrafficRule] = []
        for entry in entries where entry.isOfHost {
            let rule = policy.rules[entry.rule]
            for direction in [ClearTrafficRule.Direction.inbound, .outbound] {
                let (ours, theirs) =
                    direction == .inbound ? (entry.destination, entry.source) : (entry.source, entry.destination)
                for selector in selectors(entry, local: ours, remote: theirs, isInbound: direction == .inbound) {
                    add(rule, direction, selector, to: &rules)
                }
            }
        }
        return rules
    }

    private func add(
        _ rule: PolicyRule, _ direction: ClearTrafficRule.Direction, _ selector: TrafficSelector,
        to rules: inout [ClearTrafficRule]
    ) {
        func put(_ verdict: ClearTrafficRule.Verdict, _ selector: TrafficSelector) {
            rules.append(ClearTrafficRule(rule.name, verdict, direction, .traffic(selector)))
        }
        switch rule.action.kind {
        case .permit: put(.permit, selector)
        case .block: put(.block, selector)
        case .negotiate(let security):
            let goesInClear =
                direction == .inbound ? security.acceptsUnsecured || security.fallsBack : security.fallsBack
            guard !goesInClear else { return put(.permit, selector) }
            // Where security is required, what cannot have it may leave and not come in. It is asked of the table itself, so
            // that one place knows.
            for part in direction == .outbound ? unsecurable(selector) : [] {
                let flow = PacketFlow(
                    source: part.local.first, destination: part.remote.first, protocolNumber: part.protocolNumber ?? 0,
                    sourcePort: part.localPort, destinationPort: part.remotePort)
                if mayGoUnsecured(flow, by: rule, .outbound) { put(.permit, part) }
            }
            put(.block, selector)
        }
    }

    /// An entry with the addresses of both sides, for as many pairs as it has.
    private func selectors(
        _ entry: Entry, local: Side, remote: Side, isInbound: Bool
    ) -> [TrafficSelector] {
        ranges(local, isOurs: true).flatMap { local in
            ranges(remote, isOurs: false).compactMap { remote in
                guard local.first.octets.count == remote.first.octets.count else { return nil }
                return TrafficSelector(
                    local: local, remote: remote, protocolNumber: entry.protocolNumber,
                    localPort: isInbound ? entry.destinationPort : entry.sourcePort,
                    remotePort: isInbound ? entry.sourcePort : entry.destinationPort)
            }
        }
    }

    /// The addresses of one side. Of a network that we are in, our own are meant on our side.
    private func ranges(_ side: Side, isOurs: Bool) -> [AddressRange] {
        switch side {
        case .any: [.anyIPv4, .anyIPv6]
        case .mine: environment.myAddresses.map { AddressRange($0) }
        case .range(let range):
            isOurs ? environment.myAddresses.filter { range.contains($0) }.map { AddressRange($0) } : [range]
        }
    }

    /// The parts of a selector that cannot be secured in transport mode: to broadcast and multicast addresses, RSVP, Kerberos.
    private func unsecurable(_ selector: TrafficSelector) -> [TrafficSelector] {
        var parts: [TrafficSelector] = []
        let multicast = [
            AddressRange(.v4(IPv4Address(224, 0, 0, 0)), prefixLength: 4),
            AddressRange(.v6(IPv6Address(high: 0xff00 << 48, low: 0)), prefixLength: 8),
        ].compactMap(\.self)
        let casts = ([IPv4Address(.max)] + environment.broadcasts).map { AddressRange(.v4($0)) } + multicast
        for cast in casts where cast.overlaps(selector.remote) {
            var part = selector
            part.remote = selector.remote.contains(cast) ? cast : selector.remote
            parts.append(part)
        }
        let mayBe = { (number: UInt8) in selector.protocolNumber == nil || selector.protocolNumber == number }
        if mayBe(IPProtocol.rsvp), selector.localPort == nil, selector.remotePort == nil {
            var part = selector
            part.protocolNumber = IPProtocol.rsvp
            parts.append(part)
        }
        let kerberos = PolicyTable.kerberosPort
        for number in [IPProtocol.udp, IPProtocol.tcp] where mayBe(number) {
            for isLocal in [true, false]
            where (isLocal ? selector.localPort : selector.remotePort) ?? kerberos == kerberos {
                var part = selector
                part.protocolNumber = number
                if isLocal { part.localPort = kerberos } else { part.remotePort = kerberos }
                parts.append(part)
            }
        }
        return parts
    }
}

extension PolicyTable.Entry {
    /// Whether it is about what the machine itself sends and gets: of dial-in, that is L2TP alone.
    fileprivate var isOfHost: Bool {
        connection != .remoteAccess
            || protocolNumber == IPProtocol.udp
                && (sourcePort == PacketPath.l2tpPort || destinationPort == PacketPath.l2tpPort)
    }
}
