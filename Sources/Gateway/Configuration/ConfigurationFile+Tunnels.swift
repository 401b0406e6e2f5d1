import IKE
import Wire

/// What is read about tunnels.
extension ConfigurationFile {
    mutating func tunnels(_ top: YAMLSection) -> Setting<[ConfigurationDraft.Tunnel]> {
        mappings(top, "tunnels", Keys.tunnel, 0...256) { file, section in
            var tunnel = ConfigurationDraft.Tunnel(place: section.place)
            tunnel.name = file.required(section, "name", ValueRules.peerName)
            tunnel.peer = file.required(section, "peer", ValueRules.tunnelPeer)
            tunnel.identity = file.text(section, "identity", ValueRules.peerName)
            tunnel.source = file.text(section, "source", ValueRules.anyAddress)
            for key in ["local", "remote"] where section.entry(key) == nil {
                file.issues.append(
                    section.place(of: key).issue("is missing", allowed: "networks or addresses, 1 to 16"))
            }
            tunnel.local = file.oneOrMore(section, "local", 1...16, ValueRules.tunnelNetwork)
            tunnel.remote = file.oneOrMore(section, "remote", 1...16, ValueRules.tunnelNetwork)
            tunnel.mode = file.text(section, "mode", ValueRules.tunnelMode)
            tunnel.protocolNumber = file.text(section, "protocol", ValueRules.ipProtocol)
            tunnel.localPort = file.integer(section, "localPort", 1...65_535)
            tunnel.remotePort = file.integer(section, "remotePort", 1...65_535)
            tunnel.start = file.text(section, "start", ValueRules.tunnelStart)
            tunnel.group = file.text(section, "pfs", ValueRules.ikeGroup)
            tunnel.secret = file.preSharedKey(section, "psk")
            tunnel.copiesDSCP = file.bool(section, "copyDSCP")
            tunnel.doNotFragment = file.text(section, "doNotFragment", ValueRules.doNotFragment)
            tunnel.metric = file.integer(section, "metric", 0...4_294_967_295)
            tunnel.policy = file.policy(section)
            return tunnel
        }
    }
}

extension ValueRules {
    /// A machine's address of either version.
    static func anyAddress(_ text: String) throws(Refusal) -> IPAddress {
        guard let address = IPAddress(text) else {
            throw Refusal(
                problem: "\(quoted(text)) is not an address", allowed: "an address such as 192.0.2.1 or 2001:db8::1")
        }
        return address
    }

    /// Where a tunnel's peer is; nil for anywhere.
    static func tunnelPeer(_ text: String) throws(Refusal) -> IPAddress? {
        if text == "any" { return nil }
        guard let address = IPAddress(text) else {
            throw Refusal(
                problem: "\(quoted(text)) is not an address",
                allowed: "an address such as 192.0.2.1 or 2001:db8::1, or any, which needs an identity")
        }
        return address
    }

    /// A network or an address at one end of a tunnel.
    static func tunnelNetwork(_ text: String) throws(Refusal) -> AddressRange {
        guard let range = AddressRange(text) else {
            throw Refusal(
                problem: "\(quoted(text)) is not a network",
                allowed: "a network, its host bits zero, such as 10.1.0.0/16 or 2001:db8:1::/48, or an address")
        }
        return range
    }

    static func tunnelMode(_ text: String) throws(Refusal) -> IPsecMode {
        guard let mode = IPsecMode(rawValue: text) else {
            throw Refusal(problem: "\(quoted(text)) is not known", allowed: "tunnel, transport")
        }
        return mode
    }

    static func tunnelStart(_ text: String) throws(Refusal) -> GatewayConfiguration.Tunnel.Start {
        guard let start = GatewayConfiguration.Tunnel.Start(rawValue: text) else {
            throw Refusal(
                problem: "\(quoted(text)) is not known",
                allowed: GatewayConfiguration.Tunnel.Start.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return start
    }

    /// A protocol by its name or number.
    static func ipProtocol(_ text: String) throws(Refusal) -> UInt8 {
        let names = [
            "icmp": IPProtocol.icmp, "tcp": IPProtocol.tcp, "udp": IPProtocol.udp, "icmpv6": IPProtocol.icmpv6,
        ]
        guard let number = names[text] ?? UInt8(text), number > 0 else {
            throw Refusal(
                problem: "\(quoted(text)) is not known", allowed: "icmp, icmpv6, tcp, udp, or a number from 1 to 255")
        }
        return number
    }

    static func doNotFragment(_ text: String) throws(Refusal) -> OuterHeaderRules.DoNotFragment {
        switch text {
        case "copy": return .copy
        case "set": return .set
        case "clear": return .clear
        default: throw Refusal(problem: "\(quoted(text)) is not known", allowed: "copy, set, clear")
        }
    }
}
