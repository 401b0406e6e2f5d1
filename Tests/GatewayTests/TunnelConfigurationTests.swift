import Cryptography
import IKE
import Testing
import Wire

@testable import Gateway

private func load(_ tunnel: String) throws(ConfigurationError) -> LoadedConfiguration {
    let base = "psk: labsecret\nusers: [{name: alice, password: wonderland}]\ntunnels:\n  - "
    return try ConfigurationLoader.load(text: base + tunnel, name: "c.yaml")
}

/// What is wrong with a tunnel, one line per issue.
private func issues(_ tunnel: String) -> [String] {
    do throws(ConfigurationError) {
        _ = try load(tunnel)
        return []
    } catch {
        return error.issues.map(\.description)
    }
}

@Suite("What the configuration says of tunnels")
struct TunnelConfigurationTests {
    @Test("a tunnel joins the networks of one IP version, each with each, and begins on demand")
    func plain() throws {
        let tunnel = try #require(
            try load(
                """
                name: branch
                    peer: 203.0.113.7
                    local: [10.1.0.0/16, "fd01::/48"]
                    remote: [10.2.0.0/16, 10.3.0.1, "fd02::/48"]
                """
            ).configuration.tunnels.first)
        #expect(tunnel.name == "branch" && tunnel.peer == .v4(IPv4Address(203, 0, 113, 7)))
        #expect(
            tunnel.selectors.map(\.description) == [
                "10.1.0.0/16 == 10.2.0.0/16", "10.1.0.0/16 == 10.3.0.1", "fd01::/48 == fd02::/48",
            ])
        #expect(tunnel.start == .onDemand && tunnel.mode == .tunnel && tunnel.outer == OuterHeaderRules())
        #expect(tunnel.routes.map(\.description) == ["10.2.0.0/16", "10.3.0.1", "fd02::/48"])
    }

    @Test("a tunnel has its own key, algorithms and lifetimes, and the room of IKE is told of all")
    func own() throws {
        let configuration = try load(
            """
            name: branch
                peer: 203.0.113.7
                identity: branch.example.org
                local: 10.1.0.0/16
                remote: 10.2.0.0/16
                protocol: tcp
                localPort: 443
                start: always
                psk: anothersecret
                pfs: modp2048
                copyDSCP: false
                doNotFragment: clear
                metric: 7
                esp: {ciphers: [aes128gcm16]}
                lifetimes: {ipsecSeconds: 600, ipsecKilobytes: 1000}
            """
        ).configuration
        let ike = configuration.ike
        let tunnel = try #require(ike.tunnels.first)
        #expect(tunnel.algorithms?.ciphers == [.aesGCM(keyBits: 128, icvBytes: 16)])
        #expect(tunnel.maximumSeconds == 600 && tunnel.maximumKilobytes == 1000 && tunnel.group == .modp2048)
        #expect(tunnel.selectors.map(\.description) == ["10.1.0.0/16[443] == 10.2.0.0/16 proto 6"])
        #expect(ike.rules.map(\.name) == ["branch"])
        #expect(ike.preSharedKeys.keys.map(\.identity) == ["branch.example.org", nil])
        let own = configuration.tunnels[0]
        #expect(own.start == .always && own.metric == 7 && !own.outer.copiesDSCP && own.outer.doNotFragment == .clear)
    }

    @Test(
        "what cannot be is refused with what can",
        arguments: [
            ("{name: a, peer: any, local: 10.1.0.0/16, remote: 10.2.0.0/16}", "any is everybody"),
            (
                "{name: a, peer: any, identity: b, start: always, local: 10.1.0.0/16, remote: 10.2.0.0/16}",
                "needs an address to call; allowed: respond"
            ),
            ("{name: a, peer: nobody, local: 10.1.0.0/16, remote: 10.2.0.0/16}", "'nobody' is not an address"),
            ("{name: a, peer: 192.0.2.1, local: 10.1.0.0/16}", "remote: is missing"),
            ("{name: a, peer: 192.0.2.1, local: 10.1.0.1/16, remote: 10.2.0.0/16}", "'10.1.0.1/16' is not a network"),
            ("{name: a, peer: 192.0.2.1, local: 10.1.0.0/16, remote: 'fd02::/48'}", "of one IP version"),
            (
                "{name: a, peer: 192.0.2.1, mode: transport, local: 192.0.2.2, remote: 10.2.0.0/16}",
                "is not the peer, which it is in transport mode; allowed: 192.0.2.1"
            ),
            (
                "{name: a, peer: 192.0.2.1, local: 10.1.0.0/16, remote: 10.2.0.0/16, localPort: 80}",
                "needs a protocol that has ports"
            ),
            (
                "{name: a, peer: 192.0.2.1, local: 10.1.0.0/16, remote: 10.2.0.0/16, start: now}",
                "onDemand, always, respond"
            ),
            (
                "{name: a, peer: 'fd00::1', psk: asecretofours, local: 10.1.0.0/16, remote: 10.2.0.0/16}",
                "by its identity"
            ),
            (
                "{name: a, peer: 'fd00::1', authentication: [psk], local: 10.1.0.0/16, remote: 10.2.0.0/16}",
                "needs a peer with an IPv4 address"
            ),
            (
                "{name: a, peer: 192.0.2.1, source: 'fd00::1', local: 10.1.0.0/16, remote: 10.2.0.0/16}",
                "is not of the IP version"
            ),
        ])
    func refused(tunnel: String, part: String) {
        let found = issues(tunnel)
        #expect(found.count == 1 && found.first?.contains(part) == true, "\(found)")
    }
}
