import Wire

/// What the traffic of a quick mode is for.
struct TrafficPurpose {
    /// The configured tunnel that it is of; nil for L2TP.
    var tunnel: IKETunnel?
    /// The modes that it may have.
    var modes: Set<IPsecMode>
    /// The traffic; nil where a side was named by something that is no address.
    var traffic: TrafficSelector?
}

/// Why a peer does not get the traffic that it asks for.
struct TrafficRefusal: Error {
    let detail: String
}

extension IKEEngine {
    /// What the peer's traffic is for. A peer gets what a tunnel of its own has, or less of it, and otherwise L2TP with us;
    /// who it is, its authentication says, and not what it asks for.
    func trafficPurpose(
        of selectors: IKESelectors?, _ established: Association.Established, _ path: IKEPath
    ) -> Result<TrafficPurpose, TrafficRefusal> {
        let traffic = selectors.map { $0.traffic } ?? Self.traffic(of: path)
        let own = configuration.tunnels.filter { isPeer(established, of: $0, path) }
        if let (tunnel, part) = match(traffic, own, established, path) {
            if let rival = rival(for: part, of: established.peer) {
                let detail = "\(part) of tunnel \(tunnel.name) is in use by peer \(rival)"
                return .failure(TrafficRefusal(detail: detail))
            }
            return .success(TrafficPurpose(tunnel: tunnel, modes: [tunnel.mode], traffic: part))
        }
        let modes = modesForL2TP(selectors, traffic, established, path)
        guard modes.isEmpty else { return .success(TrafficPurpose(modes: modes, traffic: traffic)) }
        return .failure(TrafficRefusal(detail: detail(selectors, traffic, own, path)))
    }

    // MARK: - Tunnels

    /// Whether a peer is the one that a tunnel is with. A name counts where it is proved, and an address where nobody else
    /// can have it: behind a NAT it is that of many.
    private func isPeer(
        _ established: Association.Established, of tunnel: IKETunnel, _ path: IKEPath
    ) -> Bool {
        let address = path.remote.address
        let hasOwnAddress = !(established.nat?.remote ?? false)
        guard tunnel.peerAddresses.isEmpty || tunnel.peerAddresses.contains(where: { $0.contains(address) }) else {
            return false
        }
        guard let name = tunnel.peerIdentity else { return !tunnel.peerAddresses.isEmpty && hasOwnAddress }
        guard established.identity.isNamed(name) else { return false }
        return peers[established.peer]?.isIdentityProven ?? false
            || hasOwnAddress && established.identity.address == address
    }

    /// The tunnel with this traffic or more, and the traffic.
    private func match(
        _ traffic: TrafficSelector?, _ tunnels: [IKETunnel], _ established: Association.Established, _ path: IKEPath
    ) -> (IKETunnel, TrafficSelector)? {
        guard let traffic, !tunnels.isEmpty else { return nil }
        var candidates = [(IPsecMode.tunnel, traffic), (.transport, traffic)]
        if established.nat?.isTranslated ?? false {
            // In transport mode the hosts are the endpoints, whatever they are called behind a NAT.
            var seen = traffic
            let endpoints = Self.traffic(of: path)
            (seen.local, seen.remote) = (endpoints.local, endpoints.remote)
            candidates[1].1 = seen
        }
        for (mode, traffic) in candidates {
            let fitting = tunnels.filter { tunnel in
                tunnel.mode == mode && tunnel.selectors.contains { $0.contains(traffic) }
            }
            let tunnel = fitting.first { $0.selectors.contains(traffic) } ?? fitting.first
            if let tunnel { return (tunnel, traffic) }
        }
        return nil
    }

    /// Another peer that has some of the traffic. Nobody takes it away from it, unless it has proved to be the same: one
    /// that came back at another place.
    private func rival(for traffic: TrafficSelector, of peer: PeerID) -> String? {
        guard let own = peers[peer] else { return nil }
        for child in children.values {
            guard child.peer != peer, child.agreed.tunnel != nil, child.agreed.traffic?.overlaps(traffic) ?? false,
                let other = peers[child.peer]
            else { continue }
            let isSame =
                other.identity == own.identity && other.isCertified == own.isCertified
                && (own.isIdentityProven && other.isIdentityProven
                    || other.path.remote.address == own.path.remote.address)
            if !isSame { return "\(other.identity) at \(other.path.remote.address)" }
        }
        return nil
    }

    // MARK: - L2TP

    /// In which modes the traffic may be that of L2TP with us: UDP, on whichever ports in transport mode: Windows has 1701,
    /// Apple an ephemeral one, Android 0.
    private func modesForL2TP(
        _ selectors: IKESelectors?, _ traffic: TrafficSelector?, _ established: Association.Established, _ path: IKEPath
    ) -> Set<IPsecMode> {
        var modes: Set<IPsecMode> = []
        // The identity may be a private address behind a NAT, or a name with clients of KB818043: the SA is bound to the
        // peer whatever it says. A whole network, though, is a tunnel and not a transport.
        let sides = selectors.map { [$0.initiator, $0.responder] } ?? []
        let isTransport = sides.allSatisfy { side in
            isHost(side.identity) && (side.protocolNumber == 17 || side.protocolNumber == 0 && side.port == 0)
        }
        if isTransport { modes.insert(.transport) }
        if let traffic, traffic.local.first == traffic.local.last, traffic.remote.first == traffic.remote.last,
            traffic.protocolNumber ?? 17 == 17, traffic.localPort ?? 1701 == 1701,
            isOwn(traffic.local.first, established, path)
        {
            modes.insert(.tunnel)
        }
        return modes
    }

    /// Whether an identification is that of one host, by an address or a name.
    private func isHost(_ identity: IKEIdentity) -> Bool {
        let networks = [
            IKEIdentity.ipv4Subnet, IKEIdentity.ipv6Subnet, IKEIdentity.ipv4Range, IKEIdentity.ipv6Range,
        ]
        return !networks.contains(identity.type) || identity.range.map { $0.first == $0.last } ?? false
    }

    /// Whether `address` is ours, as the peer knows us; before a NAT of ours it may know us by any.
    private func isOwn(_ address: IPAddress, _ established: Association.Established, _ path: IKEPath) -> Bool {
        address == path.local.address || address == configuration.identityAddress || established.nat?.local ?? false
    }

    // MARK: - Words

    private func detail(
        _ selectors: IKESelectors?, _ traffic: TrafficSelector?, _ own: [IKETunnel], _ path: IKEPath
    ) -> String {
        let asked = selectors.map { "\($0.initiator) to \($0.responder)" } ?? "\(path)"
        if let traffic {
            let other = configuration.tunnels.first { $0.selectors.contains { $0.contains(traffic) } }
            if let other { return "\(asked); tunnel \(other.name) has it, but this peer is not that of the tunnel" }
        }
        guard !own.isEmpty else { return asked }
        let names = own.map { tunnel in
            "tunnel \(tunnel.name) has \(tunnel.selectors.map(\.description).joined(separator: ", "))"
        }
        return "\(asked); \(names.joined(separator: ", "))"
    }
}

extension TrafficSelector {
    /// Whether some traffic is of both.
    func overlaps(_ other: TrafficSelector) -> Bool {
        local.overlaps(other.local) && remote.overlaps(other.remote)
            && Self.isCommon(protocolNumber, other.protocolNumber) && Self.isCommon(localPort, other.localPort)
            && Self.isCommon(remotePort, other.remotePort)
    }

    private static func isCommon<Number: Equatable>(_ first: Number?, _ second: Number?) -> Bool {
        first == nil || second == nil || first == second
    }
}
