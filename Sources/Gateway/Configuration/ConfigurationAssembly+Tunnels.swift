import IKE
import Wire

/// Tunnels to fixed peers.
extension ConfigurationAssembly {
    /// The tunnels, each with what it leaves out of its policy from `base`.
    mutating func tunnels(_ base: GatewayConfiguration.PeerPolicy) -> [GatewayConfiguration.Tunnel] {
        var names: [String: SettingPlace] = [:]
        var tunnels: [GatewayConfiguration.Tunnel] = []
        for draft in draft.tunnels.value ?? [] {
            if case .given(let name, let place) = draft.name { refuseSecond(name, place, &names) }
            let found = issues.count
            let policy = tunnelPolicy(draft, from: base)
            checkPeer(draft)
            checkTraffic(draft)
            guard issues.count == found, let name = draft.name.value, let peer = draft.peer.value,
                let local = draft.local.value, let remote = draft.remote.value
            else { continue }
            let selectors = local.flatMap { local in
                remote.compactMap { remote in
                    local.first.version == remote.first.version
                        ? TrafficSelector(
                            local: local, remote: remote, protocolNumber: draft.protocolNumber.value,
                            localPort: draft.localPort.value.map { UInt16(clamping: $0) },
                            remotePort: draft.remotePort.value.map { UInt16(clamping: $0) }) : nil
                }
            }
            guard !selectors.isEmpty else {
                issues.append(
                    draft.place.issue(
                        "has no local and remote networks of one IP version", allowed: "both IPv4, or both IPv6"))
                continue
            }
            var tunnel = GatewayConfiguration.Tunnel(
                name, peer: peer, identity: draft.identity.value, selectors: selectors)
            tunnel.source = draft.source.value
            tunnel.mode = draft.mode.value ?? .tunnel
            tunnel.start = draft.start.value ?? (peer == nil ? .respond : .onDemand)
            tunnel.policy = policy
            tunnel.group = draft.group.value
            tunnel.secret = draft.secret.value
            tunnel.outer = OuterHeaderRules(
                copiesDSCP: draft.copiesDSCP.value ?? true, doNotFragment: draft.doNotFragment.value ?? .copy)
            tunnel.metric = draft.metric.value ?? 0
            tunnels.append(tunnel)
        }
        return tunnels
    }

    private mutating func tunnelPolicy(
        _ draft: ConfigurationDraft.Tunnel, from base: GatewayConfiguration.PeerPolicy
    ) -> GatewayConfiguration.PeerPolicy? {
        guard !draft.policy.isEmpty else { return nil }
        if case .given(.v4, _) = draft.peer {
            return policy(draft.policy, from: base)
        }
        // Phase 1 begins before anybody has said who he is: only the address can tell which settings are his.
        for (key, isGiven) in [
            ("ike", !draft.policy.ike.isAbsent), ("authentication", !draft.policy.authentication.isAbsent),
            ("deadPeerDetection", !draft.policy.deadPeerDetection.isAbsent),
        ] where isGiven && !draft.peer.isRefused {
            issues.append(draft.place.issue("has \(key), which needs a peer with an IPv4 address", allowed: "none"))
        }
        return policy(draft.policy, from: base)
    }

    private mutating func checkPeer(_ draft: ConfigurationDraft.Tunnel) {
        guard case .given(let peer, let place) = draft.peer else { return }
        // Without either it would be everybody's key.
        if case .v6 = peer, !draft.secret.isAbsent, draft.identity.isAbsent {
            issues.append(draft.place.issue("has a psk, which a peer in IPv6 has by its identity", allowed: "identity"))
        }
        guard let peer else {
            if draft.identity.isAbsent {
                issues.append(place.issue("any is everybody", allowed: "an address, or an identity beside any"))
            }
            if let start = draft.start.value, start != .respond, let place = draft.start.place {
                issues.append(place.issue("needs an address to call", allowed: "respond"))
            }
            if draft.mode.value == .transport, let place = draft.mode.place {
                issues.append(place.issue("is between two addresses", allowed: "tunnel, or a peer with an address"))
            }
            return
        }
        if case .given(let source, let place) = draft.source, source.version != peer.version {
            issues.append(place.issue("\(source) is not of the IP version of \(peer)", allowed: "IPv\(peer.version)"))
        }
        if draft.mode.value == .transport, case .given(let remote, let place) = draft.remote,
            remote != [AddressRange(peer)]
        {
            issues.append(place.issue("is not the peer, which it is in transport mode", allowed: "\(peer)"))
        }
    }

    private mutating func checkTraffic(_ draft: ConfigurationDraft.Tunnel) {
        let hasPorts = draft.protocolNumber.value.map { IPProtocol.hasPorts($0) } ?? false
        for port in [draft.localPort, draft.remotePort] where !hasPorts && !draft.protocolNumber.isRefused {
            guard let place = port.place else { continue }
            issues.append(place.issue("needs a protocol that has ports", allowed: "protocol: tcp or udp beside it"))
        }
    }
}
