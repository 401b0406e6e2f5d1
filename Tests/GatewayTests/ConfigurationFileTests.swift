import Cryptography
import IKE
import Logging
import Testing
import Wire

@testable import Gateway

/// The lines that every legal file of these tests begins with: three of them.
private let base = """
    psk: labsecret
    users:
      - {name: alice, password: wonderland}

    """

private func load(_ text: String, _ environment: [String: String] = [:]) throws(ConfigurationError)
    -> GatewayConfiguration
{
    try ConfigurationLoader.load(text: text, name: "c.yaml", environment: environment).configuration
}

/// What is wrong with `text`, one line per issue.
private func issues(_ text: String, _ environment: [String: String] = [:]) -> [String] {
    do throws(ConfigurationError) {
        _ = try load(text, environment)
        return []
    } catch {
        return error.issues.map(\.description)
    }
}

@Suite("The configuration file")
struct ConfigurationFileTests {
    @Test("a key and a user are all that a file must have")
    func minimal() throws {
        let configuration = try load(base)
        #expect(configuration.preSharedKey == SecretBytes(utf8: "labsecret"))
        #expect(configuration.users.map(\.name) == ["alice"])
        #expect(configuration.users[0].password == SecretBytes(utf8: "wonderland"))
        #expect(configuration.users[0].address == nil)
        #expect(configuration.policy.profile == .default)
        #expect(!configuration.policy.ike.phaseOne.groups.contains(.modp1024))
        #expect(configuration.publicAddress == nil)
        #expect(configuration.endpoints == [])
        #expect(configuration.l2tp.network.description == "192.168.42.0/24")
        #expect(configuration.l2tp.local == IPv4Address(192, 168, 42, 1))
        #expect(configuration.l2tp.pool == IPv4Address(192, 168, 42, 10)...IPv4Address(192, 168, 42, 250))
        #expect(configuration.l2tp.hostName == "culvert")
        #expect(configuration.l2tp.secret == nil)
        #expect(configuration.ppp.mtuBytes == 1400)
        #expect(configuration.ppp.authentication == [.mschapv2, .chap, .pap])
        #expect(configuration.dnsServers.map(\.description) == ["8.8.8.8", "8.8.4.4"])
        #expect(configuration.nbnsServers == [])
        #expect(!configuration.masquerades)
        #expect(configuration.interface == "culvert0")
        #expect(configuration.workers == 0)
        #expect(configuration.logLevel == .info)
        #expect(configuration.limits.sessions == 10_000)
        #expect(configuration.limits.sessionsPerUser == nil)
        #expect(configuration.rateLimits == .none && configuration.users[0].rateLimits == .none)
        #expect(configuration.policy.ike.lifetimes == IKELifetimes())
        #expect(configuration.rules.isEmpty && configuration.keys.isEmpty)
        #expect(configuration.aggressiveMode == .init())
    }

    @Test("every key reaches its place")
    func everything() throws {
        let configuration = try load(
            """
            profile: legacy
            enableModp1024: true
            psk: "a key: with # signs"
            publicAddress: 203.0.113.9
            endpoints: [192.0.2.1, "2001:db8::7"]
            users:
              - name: alice
                password: 0042
                address: 10.1.0.5
                rateLimit: {toClient: 2 Gbit/s}
              - {name: "bob smith", password: 'yes'}
              - {name: carol, password: c, rateLimit: {fromClient: none, toClient: 100 kbit/s}}
            rateLimit: {fromClient: 20 Mbit/s}
            l2tp:
              network: 10.1.0.0/16
              local: 10.1.0.2
              pool: 10.1.1.0 - 10.1.255.254
              hostName: gate.example
              secret: tunnel
            ppp: {mtu: 1280, authentication: [pap, mschapv2]}
            dns: [10.0.0.53]
            nbns: [10.0.0.54, 10.0.0.55]
            masquerade: true
            interface: vpn0
            workers: 3
            log: {level: debug}
            limits:
              sessions: 7
              sessionsPerUser: 1
              tunnelsPerPeer: 2
              sessionsPerTunnel: 3
              halfOpen: 100
              halfOpenPerAddress: 20
            lifetimes: {ikeSeconds: 3600, ipsecSeconds: 1800, ipsecKilobytes: 250000}
            """)
        #expect(configuration.policy.profile == .legacy)
        #expect(configuration.policy.ike.phaseOne.groups.contains(.modp1024))
        #expect(configuration.preSharedKey == SecretBytes(utf8: "a key: with # signs"))
        #expect(configuration.publicAddress == IPv4Address(203, 0, 113, 9))
        #expect(configuration.endpoints.map(\.description) == ["192.0.2.1", "2001:db8::7"])
        #expect(configuration.users.map(\.name) == ["alice", "bob smith", "carol"])
        let rates = { (fromClient: String?, toClient: String?) in
            RateLimits(fromClient: fromClient.flatMap { DataRate($0) }, toClient: toClient.flatMap { DataRate($0) })
        }
        #expect(configuration.rateLimits == rates("20 Mbit/s", nil))
        #expect(
            configuration.users.map(\.rateLimits) == [
                rates("20 Mbit/s", "2 Gbit/s"), rates("20 Mbit/s", nil), rates(nil, "100 kbit/s"),
            ])
        #expect(
            configuration.summary.contains {
                $0.hasSuffix("20 Mbit/s from each client, none to it; others for 2 of the users")
            })
        #expect(configuration.users[0].password == SecretBytes(utf8: "0042"))
        #expect(configuration.users[0].address == IPv4Address(10, 1, 0, 5))
        #expect(configuration.users[1].password == SecretBytes(utf8: "yes"))
        #expect(configuration.l2tp.local == IPv4Address(10, 1, 0, 2))
        #expect(configuration.l2tp.pool == IPv4Address(10, 1, 1, 0)...IPv4Address(10, 1, 255, 254))
        #expect(configuration.l2tp.hostName == "gate.example")
        #expect(configuration.l2tp.secret == SecretBytes(utf8: "tunnel"))
        #expect(configuration.ppp == .init(mtuBytes: 1280, authentication: [.pap, .mschapv2]))
        #expect(configuration.dnsServers == [IPv4Address(10, 0, 0, 53)])
        #expect(configuration.nbnsServers == [IPv4Address(10, 0, 0, 54), IPv4Address(10, 0, 0, 55)])
        #expect(configuration.masquerades)
        #expect(configuration.interface == "vpn0")
        #expect(configuration.workers == 3)
        #expect(configuration.logLevel == .debug)
        #expect(
            configuration.limits
                == .init(
                    sessions: 7, sessionsPerUser: 1, tunnelsPerPeer: 2, sessionsPerTunnel: 3, halfOpenExchanges: 100,
                    halfOpenExchangesPerAddress: 20))
        let lifetimes = configuration.policy.ike.lifetimes
        #expect(lifetimes.ikeMaximumSeconds == 3600 && lifetimes.ipsecMaximumSeconds == 1800)
        #expect(lifetimes.ipsecMaximumKilobytes == 250_000)
    }

    @Test(
        "one thing wrong is one issue, at its line and key",
        arguments: [
            ("profile: strong", "c.yaml:4: profile: 'strong' is not known; allowed: modern, default, legacy"),
            ("profile:", "c.yaml:4: profile: '' is not known; allowed: modern, default, legacy"),
            ("profile: [legacy]", "c.yaml:4: profile: is a list; allowed: one value, as text"),
            ("enableModp1024: yes", "c.yaml:4: enableModp1024: is text, not true or false; allowed: true, false"),
            ("enableModp1024: \"true\"", "c.yaml:4: enableModp1024: is text, not true or false; allowed: true, false"),
            ("masquerade: 1", "c.yaml:4: masquerade: is a number, not true or false; allowed: true, false"),
            ("publicAddress: 1.2.3", "c.yaml:4: publicAddress: '1.2.3' is not an IPv4 address"),
            ("publicAddress: 224.0.0.1", "c.yaml:4: publicAddress: 224.0.0.1 is no machine's address"),
            ("endpoints: 192.0.2.1", "c.yaml:4: endpoints: is text, not a list; allowed: a list of 0 to 64"),
            ("endpoints: [192.0.2.1, 192.0.2.1]", "c.yaml:4: endpoints[1]: is in the list twice"),
            ("endpoints: [\"fe80::1\"]", "c.yaml:4: endpoints[0]: fe80::1 is no machine's address"),
            ("endpoints:\n  - 192.0.2.1\n  - 0.0.0.0", "c.yaml:6: endpoints[1]: 0.0.0.0 is no machine's address"),
            ("dns: [1.1.1.1, 2.2.2.2, 3.3.3.3]", "c.yaml:4: dns: has 3 entries; allowed: a list of 0 to 2"),
            ("nbns: [x]", "c.yaml:4: nbns[0]: 'x' is not an IPv4 address"),
            ("nbns: [[1.1.1.1]]", "c.yaml:4: nbns[0]: is a list; allowed: one value, as text"),
            ("interface: much-too-long-name", "c.yaml:4: interface: 'much-too-long-name' is not a name"),
            ("interface: a/b", "c.yaml:4: interface: 'a/b' is not a name"),
            (
                "rateLimit: 20 Mbit/s",
                "c.yaml:4: rateLimit: is text, not a mapping; allowed: the keys fromClient, toClient"
            ),
            (
                "rateLimit: {up: none}",
                "c.yaml:4: rateLimit.up: is not a key that this gateway knows; allowed: fromClient,"
            ),
            (
                "rateLimit: {fromClient: 20}",
                "c.yaml:4: rateLimit.fromClient: '20' is not a rate; allowed: none, or 8 kbit/s to 1000 Gbit/s: a whole"
            ),
            ("rateLimit:\n  toClient: 7 kbit/s", "c.yaml:5: rateLimit.toClient: '7 kbit/s' is not a rate"),
            ("rateLimit: {toClient: 1001 Gbit/s}", "c.yaml:4: rateLimit.toClient: '1001 Gbit/s' is not a rate"),
            ("rateLimit: {toClient: }", "c.yaml:4: rateLimit.toClient: '' is not a rate"),
            ("workers: -1", "c.yaml:4: workers: -1 is out of range; allowed: a whole number from 0 to 256"),
            ("workers: many", "c.yaml:4: workers: 'many' is not a whole number"),
            ("workers: 1.5", "c.yaml:4: workers: '1.5' is not a whole number"),
            ("workers: '2'", "c.yaml:4: workers: '2' is in quotes, so it is text, not a number"),
            ("workers: {}", "c.yaml:4: workers: is a mapping, not a number"),
            ("workers: 99999999999999999999", "c.yaml:4: workers: '99999999999999999999' is not a whole number"),
            (
                "nonsense: 1",
                "c.yaml:4: nonsense: is not a key that this gateway knows; allowed: profile, ike, esp"
            ),
            ("PSK: abc", "c.yaml:4: PSK: is not a key that this gateway knows"),
            ("1: 2", "c.yaml:4: 1: is not a key that this gateway knows"),
            ("[a]: 2", "c.yaml:4: a list: is not a key that this gateway knows"),
            ("l2tp: 5", "c.yaml:4: l2tp: is a number, not a mapping; allowed: the keys network, local, pool"),
            ("l2tp:", "c.yaml:4: l2tp: is empty, not a mapping"),
            ("l2tp:\n  net: 10.0.0.0/8", "c.yaml:5: l2tp.net: is not a key that this gateway knows; allowed: network,"),
            ("l2tp:\n  network: 10.0.0.1/8", "c.yaml:5: l2tp.network: '10.0.0.1/8' is not a network"),
            ("l2tp:\n  network: 10.0.0.0/31", "c.yaml:5: l2tp.network: a prefix of 31 bits does not do"),
            ("l2tp:\n  local: 192.168.43.1", "c.yaml:5: l2tp.local: 192.168.43.1 is not inside 192.168.42.0/24"),
            (
                "l2tp:\n  local: 192.168.42.0",
                "c.yaml:5: l2tp.local: 192.168.42.0 is the first or last of 192.168.42.0/24"
            ),
            (
                "l2tp:\n  local: 192.168.42.20",
                "c.yaml:5: l2tp.local: the gateway's own address 192.168.42.20 lies in the pool"
            ),
            ("l2tp:\n  pool: 192.168.42.9", "c.yaml:5: l2tp.pool: '192.168.42.9' is not a range of addresses"),
            (
                "l2tp:\n  pool: 192.168.42.9-192.168.42.8",
                "c.yaml:5: l2tp.pool: '192.168.42.9-192.168.42.8' ends before it"
            ),
            (
                "l2tp:\n  pool: 192.168.42.9-192.168.43.8",
                "c.yaml:5: l2tp.pool: 192.168.43.8 is not inside 192.168.42.0/24"
            ),
            ("l2tp:\n  pool: 192.168.42.9-192.168.42.255", "c.yaml:5: l2tp.pool: 192.168.42.255 is the first or last"),
            (
                "l2tp:\n  pool: 192.168.42.1-192.168.42.9",
                "c.yaml:5: l2tp.pool: the gateway's own address 192.168.42.1 lies"
            ),
            ("l2tp: {hostName: 'a b'}", "c.yaml:4: l2tp.hostName: 'a b' is not a host name"),
            ("l2tp: {secret: ''}", "c.yaml:4: l2tp.secret: is empty; allowed: 1 to 255 bytes"),
            ("ppp: {mtu: 1279}", "c.yaml:4: ppp.mtu: 1279 is out of range; allowed: a whole number from 1280 to 1460"),
            ("ppp: {mtu: 1461}", "c.yaml:4: ppp.mtu: 1461 is out of range"),
            ("ppp: {authentication: []}", "c.yaml:4: ppp.authentication: has 0 entries; allowed: a list of 1 to 3"),
            (
                "ppp: {authentication: [eap]}",
                "c.yaml:4: ppp.authentication[0]: 'eap' is not known; allowed: mschapv2, chap, pap"
            ),
            ("ppp: {authentication: [pap, pap]}", "c.yaml:4: ppp.authentication[1]: is in the list twice"),
            ("log: {level: loud}", "c.yaml:4: log.level: 'loud' is not known; allowed: trace, debug, info"),
            ("log: debug", "c.yaml:4: log: is text, not a mapping; allowed: the keys level"),
            ("limits: {sessions: 0}", "c.yaml:4: limits.sessions: 0 is out of range"),
            ("limits: {halfOpen: 20, halfOpenPerAddress: 21}", "c.yaml:4: limits.halfOpenPerAddress: 21 is more than"),
            ("limits: {session: 1}", "c.yaml:4: limits.session: is not a key that this gateway knows"),
            ("lifetimes: {ikeSeconds: 299}", "c.yaml:4: lifetimes.ikeSeconds: 299 is out of range"),
            ("lifetimes: {ipsecKilobytes: -1}", "c.yaml:4: lifetimes.ipsecKilobytes: -1 is out of range"),
            ("psk: other-secret", "c.yaml:4: psk: is given twice, first in line 1; allowed: each key once"),
            ("profile: modern\nenableModp1024: true", "c.yaml:5: enableModp1024: contradicts the profile modern"),
            ("dns: [1.1.1.1", "c.yaml:"), ("\tdns: []", "c.yaml:4: is not YAML: "),
            ("dns: *nobody", "c.yaml:4: is not YAML: "),
        ])
    func refused(addition: String, expected: String) {
        let found = issues(base + addition)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(expected) == true, "\(found)")
    }

    @Test(
        "what a file lacks or has wrong of keys and users is refused",
        arguments: [
            (
                "users: [{name: a, password: b}]",
                "c.yaml:1: psk: is missing; allowed: a pre-shared key, here or in VPN_IPSEC_PSK"
            ),
            (
                "psk: labsecret",
                "c.yaml:1: users: is missing; allowed: at least one user, here or in VPN_USER and VPN_PASSWORD"
            ),
            ("psk:\nusers: [{name: a, password: b}]", "c.yaml:1: psk: is empty; allowed: 1 to 256 bytes"),
            ("psk: ''\nusers: [{name: a, password: b}]", "c.yaml:1: psk: is empty; allowed: 1 to 256 bytes"),
            ("psk: VPN\nusers: [{name: a, password: b}]", "c.yaml:1: psk: is a well-known default"),
            (
                "psk: your_ipsec_pre_shared_key\nusers: [{name: a, password: b}]",
                "c.yaml:1: psk: is a well-known default"
            ),
            ("psk: 12345678\nusers: [{name: a, password: b}]", "c.yaml:1: psk: is a well-known default"),
            ("psk: \"a\\tb\"\nusers: [{name: a, password: b}]", "c.yaml:1: psk: has a control character in it"),
            (
                "psk: {a: b}\nusers: [{name: a, password: b}]",
                "c.yaml:1: psk: is a mapping; allowed: one value, as text"
            ),
            (
                "psk: labsecret\nusers: []",
                "c.yaml:2: users: has 0 entries; allowed: a list of {name, password, address, rateLimit}, 1 to"
            ),
            ("psk: labsecret\nusers:", "c.yaml:2: users: is empty, not a list"),
            ("psk: labsecret\nusers: {alice: b}", "c.yaml:2: users: is a mapping, not a list"),
            (
                "psk: labsecret\nusers: [alice]",
                "c.yaml:2: users[0]: is text, not a mapping; allowed: the keys name, password"
            ),
            ("psk: labsecret\nusers:\n  - name: a", "c.yaml:3: users[0].password: is missing; allowed: 1 to 255 bytes"),
            ("psk: labsecret\nusers:\n  - password: a", "c.yaml:3: users[0].name: is missing; allowed: 1 to 255 bytes"),
            ("psk: labsecret\nusers:\n  - name: ''\n    password: b", "c.yaml:3: users[0].name: is empty"),
            ("psk: labsecret\nusers:\n  - name: a\n    password:", "c.yaml:4: users[0].password: is empty"),
            (
                "psk: labsecret\nusers:\n  - name: a\n    password: your_vpn_password",
                "c.yaml:4: users[0].password: is the placeholder of a sample file"
            ),
            (
                "psk: labsecret\nusers:\n  - name: a\n    pass: b\n    password: c",
                "c.yaml:4: users[0].pass: is not a key"
            ),
            (
                "psk: labsecret\nusers:\n  - {name: a, password: b}\n  - {name: a, password: c}",
                "c.yaml:4: users[1].name: 'a' is there already: c.yaml:3 users[0].name; allowed: each name once"
            ),
            (
                "psk: labsecret\nusers:\n  - {name: a, password: b, rateLimit: {fromClient: fast}}",
                "c.yaml:3: users[0].rateLimit.fromClient: 'fast' is not a rate; allowed: none, or 8 kbit/s"
            ),
            (
                "psk: labsecret\nusers:\n  - {name: a, password: b, address: 10.0.0.1}",
                "c.yaml:3: users[0].address: 10.0.0.1 is not inside 192.168.42.0/24; allowed: 192.168.42.1 to 192.168.42.254"
            ),
            (
                "psk: labsecret\nusers:\n  - {name: a, password: b, address: 192.168.42.1}",
                "c.yaml:3: users[0].address: 192.168.42.1 is the gateway's own"
            ),
            (
                "psk: labsecret\nusers:\n  - {name: a, password: b, address: 192.168.42.5}\n"
                    + "  - {name: c, password: d, address: 192.168.42.5}",
                "c.yaml:4: users[1].address: 192.168.42.5 is somebody's already: c.yaml:3 users[0].address"
            ),
            (
                "psk: labsecret\nusers:\n  - name: a\n    password: b\n    name: c",
                "c.yaml:5: name: is given twice, first in line 3; allowed: each key once"
            ),
            ("- psk\n- users", "c.yaml:1: is a list, not a mapping; allowed: the keys profile"),
            ("just words", "c.yaml:1: is text, not a mapping; allowed: the keys profile"),
        ])
    func keysAndUsers(text: String, expected: String) {
        let found = issues(text)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(expected) == true, "\(found)")
    }

    @Test(
        "an empty file, or one of comments, leaves all to the environment",
        arguments: ["", "# nothing\n", "---\n", "~"])
    func empty(text: String) throws {
        let environment = ["VPN_IPSEC_PSK": "labsecret", "VPN_USER": "alice", "VPN_PASSWORD": "wonderland"]
        #expect(try load(text, environment) == load(base))
        #expect(issues(text).count == 2)
    }

    @Test("all that is wrong is told at once, in the order of the file")
    func allAtOnce() {
        let found = issues("workers: x\npsk: vpn\nusers:\n  - {name: a}\nl2tp:\n  pool: 1.2.3.4-1.2.3.5\ndns: 5\n")
        let places = found.map { $0.split(separator: " ")[0..<2].joined(separator: " ") }
        #expect(
            places == [
                "c.yaml:1: workers:", "c.yaml:2: psk:", "c.yaml:4: users[0].password:", "c.yaml:6: l2tp.pool:",
                "c.yaml:6: l2tp.pool:", "c.yaml:7: dns:",
            ])
    }

    @Test("no issue repeats a secret")
    func secretsStaySecret() {
        let text = """
            psk: "tell nobody\\u0001"
            users:
              - {name: a, password: "tell nobody\\u0002"}
            l2tp: {secret: "tell nobody\\u0003"}
            """
        let found = issues(text)
        #expect(found.count == 3)
        #expect(!found.joined().contains("tell nobody"))
    }

    @Test("a printed configuration shows no secret")
    func noSecretsInDescriptions() throws {
        let configuration = try load(base)
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, configuration.summary.joined()] {
            #expect(!text.contains("labsecret") && !text.contains("wonderland"))
        }
    }

    @Test("a message about hostile text stays on its line")
    func controlCharactersInMessages() {
        let found = issues(base + "profile: \"a\\nb\\e[31m\"")
        #expect(found == ["c.yaml:4: profile: 'a?b?[31m' is not known; allowed: modern, default, legacy"])
    }

    @Test("a short key and one that is not ASCII are warned of, a good one is not")
    func weaknesses() throws {
        let warnings = { (key: String) throws(ConfigurationError) -> [String] in
            let text = base.replacing("labsecret", with: key)
            return try ConfigurationLoader.load(text: text, name: "c.yaml").warnings.map(\.description)
        }
        #expect(try warnings("labsecret") == [])
        #expect(try warnings("lab").map { $0.prefix(13) } == ["c.yaml:1: psk"])
        #expect(try warnings("schlüsselbund").map { $0.prefix(13) } == ["c.yaml:1: psk"])
    }

    @Test(
        "the pool and the gateway's address follow from the network",
        arguments: [
            ("10.1.0.0/24", "10.1.0.1", "10.1.0.10", "10.1.0.250"),
            ("10.0.0.0/8", "10.0.0.1", "10.0.0.10", "10.255.255.250"),
            ("10.1.0.64/26", "10.1.0.65", "10.1.0.74", "10.1.0.122"),
            ("10.1.0.16/28", "10.1.0.17", "10.1.0.18", "10.1.0.30"),
            ("10.1.0.4/30", "10.1.0.5", "10.1.0.6", "10.1.0.6"),
        ])
    func derivedPool(network: String, local: String, first: String, last: String) throws {
        let l2tp = try load(base + "l2tp: {network: \(network)}").l2tp
        #expect(l2tp.local.description == local)
        #expect(l2tp.pool.lowerBound.description == first)
        #expect(l2tp.pool.upperBound.description == last)
    }

    @Test("a list as deep as a file allows is refused, not followed")
    func deepNesting() {
        let found = issues(String(repeating: "[", count: 100_000))
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("c.yaml:1: is not YAML") == true)
    }
}
