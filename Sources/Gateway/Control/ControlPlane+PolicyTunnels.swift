import ESP
import IKE
import Logging
import Wire

/// What the policy's rules that negotiate security have: tunnels that come and go with them, and soft associations.
extension ControlPlane {
    /// How long a peer that need not have IPsec is waited for, before packets go to it in clear: a repeated first message
    /// or two.
    static let softCallDuration = Duration.seconds(5)
    /// How long packets go to it in clear before it is asked anew.
    static let softDuration = Duration.seconds(300)

    /// The number of the tunnel of that name.
    func number(ofTunnel name: String) -> Int? {
        configuredTunnels.firstIndex { !$0.isRemoved && $0.configuration.name == name }
    }

    /// Whether a tunnel that IKE speaks of is there; L2TP, which has none, always is.
    func isKnown(_ tunnel: String?) -> Bool { tunnel.map { number(ofTunnel: $0) != nil } ?? true }

    // MARK: The rules

    /// Takes the tunnels of the policy that counts now: what is as it was keeps its SAs, all else of before ends.
    mutating func takePolicyTunnels(now: Instant) {
        var wanted: [String: GatewayConfiguration.Tunnel] = [:]
        for tunnel in policy.tunnels { wanted[tunnel.name] = tunnel }
        var (kept, isChanged): (Set<String>, Bool) = ([], false)
        for number in configuredTunnels.indices
        where configuredTunnels[number].configuration.terms != nil && !configuredTunnels[number].isRemoved {
            let configuration = configuredTunnels[number].configuration
            if wanted[configuration.name] == configuration {
                kept.insert(configuration.name)
            } else {
                removeTunnel(number, now: now)
                isChanged = true
            }
        }
        let new = policy.tunnels.filter { !kept.contains($0.name) }
        guard isChanged || !new.isEmpty else { return }
        // What removed ones still had is given back under their numbers before these are given out again.
        settle(now: now)
        let numbers = new.map { place(ConfiguredTunnel(configuration: $0)) }
        publishTunnels()
        for number in numbers { startTunnel(number, now: now) }
    }

    /// Gives a tunnel a number that none has.
    private mutating func place(_ tunnel: ConfiguredTunnel) -> Int {
        if let number = configuredTunnels.firstIndex(where: \.isRemoved) {
            configuredTunnels[number] = tunnel
            return number
        }
        configuredTunnels.append(tunnel)
        return configuredTunnels.count - 1
    }

    private mutating func removeTunnel(_ number: Int, now: Instant) {
        setRoutes(of: number, false)
        configuredTunnels[number].isRemoved = true
        configuredTunnels[number].wanted = []
        configuredTunnels[number].softUntil = nil
        tunnelDeadlines.set(nil, for: number)
        broadcast(.dropHeld(tunnel: number))
        for peer in peers.values {
            for association in peer.associations where association.tunnel == number {
                ike.deleteSecurityAssociation(inboundSPI: association.inbound.value, now: now, using: &random)
            }
        }
        log.info("tunnel ends with its rule", metadata: ["tunnel": "\(configuredTunnels[number].configuration.name)"])
    }

    /// Tells IKE and the workers which tunnels there are. In IKE the policy's most specific filters come first.
    private mutating func publishTunnels() {
        let all = configuration.tunnels + policy.tunnels
        ike.configuration.tunnels = all.map(\.ike)
        ike.configuration.rules = configuration.ikeRules(all)
        let table = TunnelTable(
            configuredTunnels.map { ($0.isRemoved ? [] : $0.configuration.selectors, $0.configuration.outer) })
        for number in configuredTunnels.indices where !configuredTunnels[number].isRemoved {
            table.set(number, to: tunnelTable.place(number))
        }
        tunnelTable = table
        broadcast(.setTunnels(table))
    }

    /// What of the machine's own traffic is to come to the TUN interface, so that it goes by SAs in transport mode, and what
    /// is not, though it is between the same ends: what counts first is at the front, and what is in none stays as it is.
    /// Diverted is the traffic of rules which ask for security, and of those which only grant it while a peer has asked; not
    /// while there is a soft association.
    var diversions: [TrafficDiversion] {
        let open = Set(openPolicyTunnels.map { configuredTunnels[$0].configuration.name })
        return policy.choices.map {
            TrafficDiversion(traffic: $0.traffic, isDiverted: $0.tunnel.map(open.contains) ?? false)
        }
    }

    /// What ``diversions`` depends on, which is much less.
    var diversionState: DiversionState {
        DiversionState(revision: policy.revision, open: policy.choices.isEmpty ? [] : openPolicyTunnels)
    }

    /// The numbers of the policy's tunnels whose packets are to come.
    private var openPolicyTunnels: [Int] {
        configuredTunnels.indices.filter { number in
            let tunnel = configuredTunnels[number]
            guard !tunnel.isRemoved, tunnel.configuration.terms != nil, tunnel.softUntil == nil else { return false }
            return tunnel.configuration.start != .respond || tunnel.peer != nil
        }
    }

    /// Whether a packet of the machine's own is to come to the TUN interface.
    func isDiverted(_ flow: PacketFlow) -> Bool {
        diversions.first { $0.traffic.matches(outbound: flow) }?.isDiverted ?? false
    }

    // MARK: Soft associations

    /// Whether a peer whose time to answer at all is over has answered, and so has IPsec: it gets the time to finish.
    mutating func mayWaitLonger(_ number: Int, now: Instant) -> Bool {
        guard configuredTunnels[number].configuration.terms?.fallsBack ?? false, !configuredTunnels[number].isAnswered,
            let call = configuredTunnels[number].call, ike.isAnswered(call)
        else { return false }
        configuredTunnels[number].isAnswered = true
        configuredTunnels[number].nextCall = now + (Self.callDuration - Self.softCallDuration)
        return true
    }

    /// Whether a call in vain leads to clear: where the rule says so, and nothing has shown that the peer has IPsec. One
    /// that answers and does not agree gets nothing, else whoever spoils an exchange could have it all in clear.
    func mayFallBack(_ number: Int) -> Bool {
        let tunnel = configuredTunnels[number]
        return tunnel.configuration.terms?.fallsBack ?? false && tunnel.call != nil && !tunnel.isAnswered
            && tunnel.peer == nil
    }

    /// Lets packets go in clear to a peer that has no IPsec.
    mutating func fallBack(_ number: Int, now: Instant) {
        let configuration = configuredTunnels[number].configuration
        configuredTunnels[number].softUntil = now + Self.softDuration
        configuredTunnels[number].wanted = []
        configuredTunnels[number].failures = 0
        (configuredTunnels[number].call, configuredTunnels[number].nextCall) = (nil, nil)
        counters.count(.softAssociations)
        log.warning(
            "soft association: a peer does not answer IKE, and packets go to it in clear",
            metadata: [
                "rule": "\(configuration.terms?.rule ?? "")", "peer": "\(configuration.peer.map { "\($0)" } ?? "")",
            ])
        broadcast(.dropHeld(tunnel: number))
        setTunnelDeadline(number)
    }
}

/// Which of the policy's tunnels take the machine's own traffic, of which policy.
struct DiversionState: Equatable {
    let revision: Int
    let open: [Int]
}
