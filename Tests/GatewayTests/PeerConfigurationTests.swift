import Cryptography
import IKE
import Testing
import Wire

@testable import Gateway

/// The lines that every legal file of these tests begins with: three of them.
private let base = """
    psk: labsecret
    users:
      - {name: alice, password: wonderland}

    """

private func load(_ addition: String) throws(ConfigurationError) -> LoadedConfiguration {
    try ConfigurationLoader.load(text: base + addition, name: "c.yaml")
}

/// What is wrong with the base and `addition`, one line per issue.
private func issues(_ addition: String) -> [String] {
    do throws(ConfigurationError) {
        _ = try load(addition)
        return []
    } catch {
        return error.issues.map(\.description)
    }
}

private func warnings(_ addition: String) throws -> [String] { try load(addition).warnings.map(\.description) }

@Suite("What the configuration says of peers in IKE")
struct PeerConfigurationTests {
    @Test("nothing is the default profile, dead peers asked after a minute, and no aggressive mode")
    func defaults() throws {
        let ike = try load("").configuration.ike
        var expected = IKEPolicy(.default)
        expected.deadPeerDetection = IKEDeadPeerDetection(interval: .seconds(60))
        #expect(ike.policy == expected)
        #expect(ike.rules.isEmpty && ike.groups.byName.isEmpty && !ike.groups.acceptsAny)
        #expect(ike.preSharedKeys.keys == [PreSharedKey(SecretBytes(utf8: "labsecret"))])
    }

    @Test("lists stand in the place of the profile's, in their order, each by itself")
    func lists() throws {
        let policy = try load(
            """
            profile: modern
            ike: {ciphers: [3des, aes256], groups: [modp1024, curve25519]}
            esp:
              ciphers: [null, aes128gcm8, des]
              integrity: [md5, sha256]
              truncateSHA256: true
            """
        ).configuration.ike.policy
        #expect(policy.phaseOne.ciphers == [.tripleDES, .aes256])
        #expect(policy.phaseOne.hashes == PhaseOneAlgorithms(.modern).hashes)
        #expect(policy.phaseOne.groups == [.modp1024, .curve25519])
        #expect(policy.phaseTwo.ciphers == [.null, .aesGCM(keyBits: 128, icvBytes: 8), .des])
        #expect(policy.phaseTwo.integrities == [.hmacMD5, .hmacSHA256] && policy.phaseTwo.truncatesSHA256)
    }

    @Test("lifetimes and dead peer detection reach IKE, kilobytes among them; zero is none")
    func numbers() throws {
        let text = """
            lifetimes: {ikeSeconds: 3600, ipsecSeconds: 1800, ipsecKilobytes: 250000}
            deadPeerDetection: {interval: 20, attempts: 2, pause: 3}
            """
        let policy = try load(text).configuration.ike.policy
        #expect(policy.lifetimes.ikeMaximumSeconds == 3600 && policy.lifetimes.ipsecMaximumSeconds == 1800)
        #expect(policy.lifetimes.ipsecMaximumKilobytes == 250_000)
        #expect(policy.deadPeerDetection?.interval == .seconds(20) && policy.deadPeerDetection?.attempts == 2)
        #expect(policy.deadPeerDetection?.pause == .seconds(3))
        let none = try load("deadPeerDetection: {interval: 0}\nlifetimes: {ipsecKilobytes: 0}").configuration.ike.policy
        #expect(none.deadPeerDetection == nil && none.lifetimes.ipsecMaximumKilobytes == nil)
        let attempts = try load("deadPeerDetection: {attempts: 9}").configuration.ike.policy.deadPeerDetection
        #expect(attempts?.interval == .seconds(60) && attempts?.attempts == 9 && attempts?.pause == .seconds(20))
    }

    @Test("keys for an identity, a network, both, and of bytes that are no text")
    func keys() throws {
        let text = """
            keys:
              - {psk: one one one, network: 203.0.113.0/24}
              - {psk: two two two, identity: branch.example.org}
              - {psk: three three, identity: "a b", network: 198.51.100.7}
              - {psk: !!binary AAH+/w==, network: 10.0.0.0/8}
            """
        let keys = try load(text).configuration.ike.preSharedKeys.keys
        let network = { (text: String) in try? ValueRules.peerNetwork(text) }
        #expect(
            keys == [
                PreSharedKey(SecretBytes(utf8: "three three"), network: network("198.51.100.7/32"), identity: "a b"),
                PreSharedKey(SecretBytes(utf8: "two two two"), identity: "branch.example.org"),
                PreSharedKey(SecretBytes(utf8: "one one one"), network: network("203.0.113.0/24")),
                PreSharedKey(SecretBytes([0, 1, 0xFE, 0xFF]), network: network("10.0.0.0/8")),
                PreSharedKey(SecretBytes(utf8: "labsecret")),
            ])
    }

    @Test("with keys of some, or groups alone, no key for all is needed")
    func noKeyForAll() throws {
        for key in ["keys: [{psk: one one one, identity: a}]", "aggressiveMode: {groups: [{name: a, psk: b b b b b}]}"]
        {
            let text = "users: [{name: alice, password: wonderland}]\n\(key)"
            let loaded = try ConfigurationLoader.load(text: text, name: "c.yaml")
            #expect(loaded.configuration.preSharedKey == nil)
            #expect(loaded.configuration.policy.authentication == [.psk])
        }
    }

    @Test("groups of aggressive mode, and any identity where it is said")
    func aggressiveMode() throws {
        let groups = try load("aggressiveMode: {groups: [{name: sales, psk: sales key 1}]}").configuration.ike.groups
        #expect(groups.byName == ["sales": SecretBytes(utf8: "sales key 1")] && !groups.acceptsAny)
        #expect(try load("aggressiveMode: {anyIdentity: true}").configuration.ike.groups.acceptsAny)
        #expect(try !load("aggressiveMode: {anyIdentity: true}").configuration.ike.allowsAggressiveSignatures)
    }

    @Test(
        "one thing wrong is one issue, at its line and key",
        arguments: [
            ("ike: [aes256]", "c.yaml:4: ike: is a list, not a mapping; allowed: the keys ciphers, hashes, groups"),
            ("ike: {cipher: [aes256]}", "c.yaml:4: ike.cipher: is not a key that this gateway knows"),
            (
                "ike: {ciphers: [aes]}",
                "c.yaml:4: ike.ciphers[0]: 'aes' is not known; allowed: aes256, aes192, aes128, 3des, des"
            ),
            ("ike: {ciphers: []}", "c.yaml:4: ike.ciphers: has 0 entries"),
            ("ike: {ciphers: aes256}", "c.yaml:4: ike.ciphers: is text, not a list"),
            ("ike: {hashes: [md4]}", "c.yaml:4: ike.hashes[0]: 'md4' is not known; allowed: sha256, sha384, sha512"),
            ("ike: {hashes: [sha1, sha1]}", "c.yaml:4: ike.hashes[1]: is in the list twice"),
            ("ike: {groups: [14]}", "c.yaml:4: ike.groups[0]: '14' is not known; allowed: curve25519, ecp521"),
            ("esp: {ciphers: [chacha]}", "c.yaml:4: esp.ciphers[0]: 'chacha' is not known; allowed: aes256gcm16"),
            ("esp: {integrity: [sha256-96]}", "c.yaml:4: esp.integrity[0]: 'sha256-96' is not known"),
            ("esp: {truncateSHA256: yes}", "c.yaml:4: esp.truncateSHA256: is text, not true or false"),
            (
                "esp: {integrity: [sha1], truncateSHA256: true}",
                "c.yaml:4: esp.truncateSHA256: is about sha256, which esp.integrity leaves out"
            ),
            ("deadPeerDetection: 60", "c.yaml:4: deadPeerDetection: is a number, not a mapping"),
            ("deadPeerDetection: {interval: -1}", "c.yaml:4: deadPeerDetection.interval: -1 is out of range"),
            ("deadPeerDetection: {attempts: 0}", "c.yaml:4: deadPeerDetection.attempts: 0 is out of range"),
            ("deadPeerDetection: {pause: 61}", "c.yaml:4: deadPeerDetection.pause: 61 is out of range"),
            ("keys: labsecret", "c.yaml:4: keys: is text, not a list; allowed: a list of {psk, identity, network}"),
            ("keys:\n  - {network: 10.0.0.0/8}", "c.yaml:5: keys[0].psk: is missing; allowed: 1 to 256 bytes"),
            ("keys:\n  - {psk: one one one}", "c.yaml:5: keys[0]: is nobody's: that is what psk is for"),
            ("keys:\n  - {psk: vpn, identity: a}", "c.yaml:5: keys[0].psk: is a well-known default"),
            ("keys:\n  - {psk: one one one, identity: ''}", "c.yaml:5: keys[0].identity: is not a name"),
            ("keys:\n  - {psk: one one one, network: 10.0.0.1/8}", "c.yaml:5: keys[0].network: '10.0.0.1/8' is not a"),
            ("keys:\n  - {psk: one one one, network: 0.0.0.0/0}", "c.yaml:5: keys[0].network: 0.0.0.0/0 is everybody"),
            ("keys:\n  - {psk: !!binary a, network: 10.0.0.0/8}", "c.yaml:5: keys[0].psk: is not base64"),
            ("keys:\n  - {psk: !!binary '', network: 10.0.0.0/8}", "c.yaml:5: keys[0].psk: is 0 bytes long"),
            (
                "keys:\n  - {psk: one one one, identity: a, address: 10.0.0.1}",
                "c.yaml:5: keys[0].address: is not a key that"
            ),
            (
                "keys:\n  - {psk: one one one, identity: a}\n  - {psk: two two two, identity: a}",
                "c.yaml:6: keys[1]: 'a' is there already: c.yaml:5 keys[0]; allowed: each once"
            ),
            (
                "keys:\n" + (1...32).map { "  - {psk: one one one, identity: a\($0)}\n" }.joined(),
                "c.yaml:4: keys: has 33 keys, psk among them, that a peer of one address may have"
            ),
            ("aggressiveMode: true", "c.yaml:4: aggressiveMode: is true or false, not a mapping"),
            ("aggressiveMode: {}", "c.yaml:4: aggressiveMode: is for nobody; allowed: a group at least"),
            (
                "aggressiveMode: {anyIdentity: 1}",
                "c.yaml:4: aggressiveMode.anyIdentity: is a number, not true or false"
            ),
            (
                "aggressiveMode: {anyIdentity: true, certificates: true}",
                "c.yaml:4: aggressiveMode.certificates: is not used, for authentication names no certificate"
            ),
            ("aggressiveMode: {certificates: no}", "c.yaml:4: aggressiveMode.certificates: is text, not true or false"),
            ("aggressiveMode: {groups: []}", "c.yaml:4: aggressiveMode: is for nobody"),
            ("aggressiveMode: {groups: [sales]}", "c.yaml:4: aggressiveMode.groups[0]: is text, not a mapping"),
            (
                "aggressiveMode:\n  groups:\n    - {name: sales}",
                "c.yaml:6: aggressiveMode.groups[0].psk: is missing; allowed: 1 to 256 bytes"
            ),
            (
                "aggressiveMode:\n  groups:\n    - {name: a, psk: one one one}\n    - {name: a, psk: two two two}",
                "c.yaml:7: aggressiveMode.groups[1].name: 'a' is there already: c.yaml:6 aggressiveMode.groups[0].name"
            ),
        ])
    func refused(addition: String, expected: String) {
        let found = issues(addition)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(expected) == true, "\(found)")
    }

    @Test("the group of 1024 bits by its switch contradicts a list without it, and not one with it")
    func modp1024() throws {
        #expect(
            issues("enableModp1024: true\nike: {groups: [ecp256]}") == [
                "c.yaml:4: enableModp1024: contradicts ike.groups, which leaves it out; "
                    + "allowed: false, or modp1024 in ike.groups"
            ])
        let text = "enableModp1024: true\nike: {groups: [modp1024, ecp256]}"
        #expect(try load(text).configuration.ike.policy.phaseOne.groups == [.modp1024, .ecp256])
    }

    @Test("what is known to be weak is warned of, a line for each; what is strong is not")
    func weaknesses() throws {
        #expect(try warnings("ike: {ciphers: [aes256]}\nesp: {ciphers: [aes256gcm16]}") == [])
        #expect(try warnings("profile: legacy").map { $0.prefix(17) } == ["c.yaml:4: profile"])
        let weak = """
            ike: {ciphers: [aes256, des], groups: [modp2048, modp768]}
            esp: {ciphers: [aes256, null, des]}
            aggressiveMode:
              groups: [{name: a, psk: short}]
              anyIdentity: true
            keys: [{psk: tiny, identity: a}]
            """
        #expect(
            try load(weak).warnings.map(\.key) == [
                "keys[0].psk", "aggressiveMode.groups[0].psk", "ike.ciphers", "ike.groups", "esp.ciphers",
                "esp.ciphers",
                "aggressiveMode", "aggressiveMode.anyIdentity",
            ])
        #expect(!(try warnings(weak).joined().contains("tiny")))
    }
}

@Suite("Rules for the peers of some networks")
struct RuleConfigurationTests {
    @Test("a rule starts from what counts for all, and changes what it names")
    func inherits() throws {
        let text = """
            profile: modern
            lifetimes: {ikeSeconds: 7200, ipsecSeconds: 1800}
            deadPeerDetection: {interval: 30}
            esp: {truncateSHA256: true}
            rules:
              - name: old-routers
                networks: [203.0.113.0/24, 198.51.100.7]
                profile: legacy
                ike: {groups: [modp768]}
                lifetimes: {ipsecSeconds: 600, ipsecKilobytes: 1000}
                deadPeerDetection: {interval: 0}
              - name: new
                networks: [203.0.113.8/29]
                esp: {truncateSHA256: false}
            """
        let configuration = try load(text).configuration
        let (old, new) = (configuration.rules[0].policy, configuration.rules[1].policy)
        #expect(configuration.ike.rules.map(\.name) == ["old-routers", "new"])
        #expect(configuration.ike.rules[0].networks.map(\.description) == ["203.0.113.0/24", "198.51.100.7"])
        #expect(old.profile == .legacy && old.authentication == [.psk])
        #expect(old.ike.phaseOne.ciphers == PhaseOneAlgorithms(.legacy).ciphers)
        #expect(old.ike.phaseOne.groups == [.modp768])
        #expect(old.ike.phaseTwo.ciphers == PhaseTwoAlgorithms(.legacy).ciphers && old.ike.phaseTwo.truncatesSHA256)
        #expect(old.ike.lifetimes.ikeMaximumSeconds == 7200 && old.ike.lifetimes.ipsecMaximumSeconds == 600)
        #expect(old.ike.lifetimes.ipsecMaximumKilobytes == 1000 && old.ike.deadPeerDetection == nil)
        var expected = configuration.policy
        expected.ike.phaseTwo.truncatesSHA256 = false
        #expect(new == expected)
    }

    @Test("a rule's profile goes before lists that are for all, and its lists before its profile")
    func order() throws {
        let text = """
            ike: {ciphers: [aes128], groups: [ecp256]}
            rules:
              - {name: a, networks: [10.0.0.0/8], profile: legacy}
              - {name: b, networks: [10.1.0.0/16], ike: {groups: [ecp384]}}
            """
        let rules = try load(text).configuration.rules
        #expect(rules[0].policy.ike.phaseOne == PhaseOneAlgorithms(.legacy))
        #expect(rules[1].policy.ike.phaseOne.ciphers == [.aes128] && rules[1].policy.ike.phaseOne.groups == [.ecp384])
    }

    @Test(
        "one thing wrong is one issue, at its line and key",
        arguments: [
            (
                "rules: {name: a}",
                "c.yaml:4: rules: is a mapping, not a list; allowed: a list of {name, networks, profile"
            ),
            ("rules: [old]", "c.yaml:4: rules[0]: is text, not a mapping"),
            (
                "rules:\n  - {networks: [10.0.0.0/8], profile: legacy}",
                "c.yaml:5: rules[0].name: is missing; allowed: 1 to 256 bytes"
            ),
            ("rules:\n  - {name: a, profile: legacy}", "c.yaml:5: rules[0].networks: is missing; allowed: the peers'"),
            ("rules:\n  - {name: a, networks: [], profile: legacy}", "c.yaml:5: rules[0].networks: has 0 entries"),
            ("rules:\n  - {name: a, networks: [x], profile: legacy}", "c.yaml:5: rules[0].networks[0]: 'x' is not a"),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8, 10.0.0.0/8], profile: legacy}",
                "c.yaml:5: rules[0].networks[1]: is in the list twice"
            ),
            (
                "rules:\n  - {name: a, networks: [0.0.0.0/0], profile: legacy}",
                "c.yaml:5: rules[0].networks[0]: 0.0.0.0/0 is everybody"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8]}",
                "c.yaml:5: rules[0]: says nothing that differs from what counts for all; allowed: profile, ike, esp"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8], profile: old}",
                "c.yaml:5: rules[0].profile: 'old' is not known"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8], profile: legacy, enableModp1024: true}",
                "c.yaml:5: rules[0].enableModp1024: is not a key that this gateway knows"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8], authentication: [certificate]}",
                "c.yaml:5: rules[0].authentication: names certificates, and there are none"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8], esp: {integrity: [md5], truncateSHA256: true}}",
                "c.yaml:5: rules[0].esp.truncateSHA256: is about sha256, which esp.integrity leaves out"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8], profile: legacy}\n"
                    + "  - {name: a, networks: [10.0.0.0/9], profile: legacy}",
                "c.yaml:6: rules[1].name: 'a' is there already: c.yaml:5 rules[0].name; allowed: each once"
            ),
            (
                "rules:\n  - {name: a, networks: [10.0.0.0/8], profile: legacy}\n"
                    + "  - {name: b, networks: [192.0.2.0/24, 10.0.0.0/8], profile: modern}",
                "c.yaml:6: rules[1].networks: '10.0.0.0/8' is there already: c.yaml:5 rules[0].networks"
            ),
        ])
    func refused(addition: String, expected: String) {
        let found = issues(addition)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(expected) == true, "\(found)")
    }

    @Test("a rule's weaknesses are warned of where the rule chose them, and not where it has them from above")
    func weaknesses() throws {
        let text = """
            rules:
              - {name: a, networks: [10.0.0.0/8], profile: legacy}
              - {name: b, networks: [10.1.0.0/16], esp: {ciphers: [null]}}
              - {name: c, networks: [10.2.0.0/16], lifetimes: {ikeSeconds: 600}}
            """
        #expect(try load(text).warnings.map(\.key) == ["rules[0].profile", "rules[1].esp.ciphers"])
        #expect(
            try warnings("profile: legacy\nrules: [{name: c, networks: [10.2.0.0/16], esp: {truncateSHA256: true}}]")
                .count == 1)
    }

    @Test("the summary has everybody's settings, then each rule's, and no secret")
    func summary() throws {
        let text = """
            keys: [{psk: one one one, identity: a}]
            aggressiveMode: {groups: [{name: sales, psk: two two two}]}
            rules: [{name: old, networks: [10.0.0.0/8], profile: legacy}]
            """
        let lines = try load(text).configuration.summary
        for expected in [
            "profile           default", "rule old          10.0.0.0/8", "  profile         legacy",
            "aggressive mode   'sales'", "dead peers        asked after 60 s, 5 times, 20 s apart",
            "lifetimes         IKE 86400 s, IPsec 86400 s",
            "keys              one for all, 1 for identities and networks",
        ] {
            #expect(lines.contains(expected), "\(expected)")
        }
        #expect(lines.contains { $0.hasPrefix("  IKE ") && $0.contains("3des") && $0.contains("modp768") })
        #expect(lines.contains { $0.hasPrefix("ESP ") && $0.contains("aes256gcm16") })
        #expect(!lines.joined().contains("one one one") && !lines.joined().contains("two two two"))
    }
}
