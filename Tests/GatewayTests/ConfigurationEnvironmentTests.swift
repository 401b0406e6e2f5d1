import Cryptography
import IKE
import Testing
import Wire

@testable import Gateway

private let base = ["VPN_IPSEC_PSK": "labsecret", "VPN_USER": "alice", "VPN_PASSWORD": "wonderland"]

private func load(_ environment: [String: String]) throws(ConfigurationError) -> LoadedConfiguration {
    var generator = SystemRandom()
    // A directory that cannot be made: whoever reaches for the state where all is given fails.
    return try ConfigurationLoader.load(
        file: nil, environment: environment, stateDirectory: "/dev/null/state", using: &generator)
}

private func issues(_ addition: [String: String]) -> [String] {
    do throws(ConfigurationError) {
        _ = try load(base.merging(addition) { $1 })
        return []
    } catch {
        return error.issues.map(\.description)
    }
}

@Suite("The environment")
struct ConfigurationEnvironmentTests {
    @Test("key, user and password are enough, and all else is as users of such containers know it")
    func minimal() throws {
        let loaded = try load(base)
        let configuration = loaded.configuration
        #expect(loaded.warnings == [])
        #expect(loaded.ownCredentials == .none)
        #expect(configuration.preSharedKey == SecretBytes(utf8: "labsecret"))
        #expect(configuration.users.map(\.name) == ["alice"])
        #expect(configuration.users[0].password == SecretBytes(utf8: "wonderland"))
        #expect(configuration.dnsServers.map(\.description) == ["8.8.8.8", "8.8.4.4"])
        #expect(configuration.l2tp.network.description == "192.168.42.0/24")
        #expect(configuration.l2tp.local.description == "192.168.42.1")
        #expect(configuration.l2tp.pool.lowerBound.description == "192.168.42.10")
        #expect(configuration.l2tp.pool.upperBound.description == "192.168.42.250")
        #expect(configuration.masquerades)
        #expect(configuration.policy.profile == .default)
        #expect(!configuration.policy.ike.phaseOne.groups.contains(.modp1024))
    }

    @Test("every variable reaches its place, quotes and blanks around the value or not")
    func everything() throws {
        let configuration = try load([
            "VPN_IPSEC_PSK": "'labsecret'", "VPN_USER": "\"alice\"", "VPN_PASSWORD": " wonderland ",
            "VPN_ADDL_USERS": "\"bob  carol\"", "VPN_ADDL_PASSWORDS": "'builder  alto'", "VPN_DNS_SRV1": "'10.0.0.1'",
            "VPN_DNS_SRV2": "10.0.0.2", "VPN_PUBLIC_IP": "203.0.113.1", "VPN_L2TP_NET": "10.9.0.0/24",
            "VPN_L2TP_LOCAL": "10.9.0.254", "VPN_L2TP_POOL": "10.9.0.1-10.9.0.99", "CULVERT_PROFILE": "modern",
            "PATH": "/bin",
        ]).configuration
        #expect(configuration.preSharedKey == SecretBytes(utf8: "labsecret"))
        #expect(configuration.users.map(\.name) == ["alice", "bob", "carol"])
        let passwords = ["wonderland", "builder", "alto"].map { SecretBytes(utf8: $0) }
        #expect(configuration.users.map(\.password) == passwords)
        #expect(configuration.dnsServers.map(\.description) == ["10.0.0.1", "10.0.0.2"])
        #expect(configuration.publicAddress == IPv4Address(203, 0, 113, 1))
        #expect(configuration.l2tp.network.description == "10.9.0.0/24")
        #expect(configuration.l2tp.local.description == "10.9.0.254")
        #expect(configuration.l2tp.pool == IPv4Address(10, 9, 0, 1)...IPv4Address(10, 9, 0, 99))
        #expect(configuration.policy.profile == .modern)
    }

    @Test("one pair of quotes goes, the rest of the value stays")
    func quotes() {
        #expect(ConfigurationEnvironment.unquoted("'a'") == "a")
        #expect(ConfigurationEnvironment.unquoted(" \"a b\" ") == "a b")
        #expect(ConfigurationEnvironment.unquoted("\"'a'\"") == "'a'")
        #expect(ConfigurationEnvironment.unquoted("'a\"") == "'a\"")
        #expect(ConfigurationEnvironment.unquoted("'") == "'")
        #expect(ConfigurationEnvironment.unquoted("''") == "")
        #expect(ConfigurationEnvironment.unquoted("a'b") == "a'b")
    }

    @Test(
        "either DNS variable alone does what it does elsewhere",
        arguments: [
            (["VPN_DNS_SRV1": "1.1.1.1"], ["1.1.1.1"]), (["VPN_DNS_SRV2": "1.0.0.1"], ["8.8.8.8", "1.0.0.1"]),
            (["VPN_DNS_SRV1": "1.1.1.1", "VPN_DNS_SRV2": "1.1.1.1"], ["1.1.1.1"]),
            (["VPN_DNS_SRV1": "", "VPN_DNS_SRV2": ""], ["8.8.8.8", "8.8.4.4"]),
        ])
    func dns(addition: [String: String], expected: [String]) throws {
        let configuration = try load(base.merging(addition) { $1 }).configuration
        #expect(configuration.dnsServers.map(\.description) == expected)
    }

    @Test("MODP 1024 comes with its own switch or with the legacy profile")
    func modp1024() throws {
        for (addition, expected) in [
            (["VPN_ENABLE_MODP1024": "yes"], true), (["VPN_ENABLE_MODP1024": "Yes"], true),
            (["VPN_ENABLE_MODP1024": "no"], false), (["CULVERT_PROFILE": "legacy"], true),
        ] {
            let loaded = try load(base.merging(addition) { $1 })
            #expect(loaded.configuration.policy.ike.phaseOne.groups.contains(.modp1024) == expected)
            #expect(loaded.warnings.map(\.key) == Array(addition.keys.filter { $0 == "CULVERT_PROFILE" }))
        }
        let loaded = try load(base.merging(["VPN_ENABLE_MODP1024": "1"]) { $1 })
        #expect(!loaded.configuration.policy.ike.phaseOne.groups.contains(.modp1024))
        #expect(
            loaded.warnings.map(\.description)
                == ["environment: VPN_ENABLE_MODP1024: '1' is taken for no; allowed: yes, no"])
    }

    @Test("a variable of another container is warned of in one line, and ignored")
    func foreignNames() throws {
        let loaded = try load(
            base.merging(["VPN_ANDROID_MTU_FIX": "yes", "VPN_SHA2_TRUNCBUG": "yes", "VPN_EMPTY": ""]) { $1 })
        let plain = try load(base)
        #expect(loaded.configuration == plain.configuration)
        #expect(
            loaded.warnings.map(\.description) == [
                "environment: VPN_ANDROID_MTU_FIX: is not needed here, TCP's segment size is always clamped",
                "environment: VPN_SHA2_TRUNCBUG: is not a variable that this gateway knows; it is ignored",
            ])
    }

    @Test(
        "a wrong variable is refused by its name",
        arguments: [
            ("VPN_IPSEC_PSK", "your_ipsec_pre_shared_key", "environment: VPN_IPSEC_PSK: is a well-known default"),
            ("VPN_IPSEC_PSK", "a\u{1}", "environment: VPN_IPSEC_PSK: has a control character"),
            ("VPN_USER", "", "environment: VPN_USER: is missing; allowed: the name that VPN_PASSWORD belongs to"),
            ("VPN_PASSWORD", "''", "environment: VPN_PASSWORD: is missing; allowed: the password of VPN_USER"),
            ("VPN_PASSWORD", "your_vpn_password", "environment: VPN_PASSWORD: is the placeholder"),
            ("VPN_ADDL_USERS", "bob carol", "environment: VPN_ADDL_PASSWORDS: has 0 passwords for the 2 names in"),
            ("VPN_ADDL_PASSWORDS", "x", "environment: VPN_ADDL_PASSWORDS: has 1 passwords for the 0 names in"),
            ("VPN_DNS_SRV1", "dns.example", "environment: VPN_DNS_SRV1: 'dns.example' is not an IPv4 address"),
            ("VPN_DNS_SRV2", "1", "environment: VPN_DNS_SRV2: '1' is not an IPv4 address"),
            ("VPN_PUBLIC_IP", "vpn.example", "environment: VPN_PUBLIC_IP: 'vpn.example' is not an IPv4 address"),
            ("VPN_L2TP_NET", "10.0.0.0", "environment: VPN_L2TP_NET: '10.0.0.0' is not a network"),
            ("VPN_L2TP_LOCAL", "10.0.0.1", "environment: VPN_L2TP_LOCAL: 10.0.0.1 is not inside 192.168.42.0/24"),
            ("VPN_L2TP_POOL", "10-20", "environment: VPN_L2TP_POOL: '10-20' is not a range of addresses"),
            (
                "CULVERT_PROFILE", "old",
                "environment: CULVERT_PROFILE: 'old' is not known; allowed: modern, default, legacy"
            ),
        ])
    func refused(name: String, value: String, expected: String) {
        let found = issues([name: value])
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(expected) == true, "\(found)")
    }

    @Test("an additional user of the same name is refused")
    func doubleName() {
        #expect(
            issues(["VPN_ADDL_USERS": "bob alice", "VPN_ADDL_PASSWORDS": "x y"]) == [
                "environment: VPN_ADDL_USERS[1]: 'alice' is there already: environment VPN_USER; allowed: each name once"
            ])
    }

    @Test("the file comes first, the environment fills what it leaves out")
    func precedence() throws {
        let environment = base.merging([
            "VPN_DNS_SRV1": "10.0.0.1", "VPN_L2TP_NET": "10.9.0.0/24", "CULVERT_PROFILE": "legacy",
            "VPN_PUBLIC_IP": "203.0.113.1",
        ]) { $1 }
        let text = """
            psk: from-the-file
            profile: default
            l2tp: {network: 10.8.0.0/24}
            """
        let configuration = try ConfigurationLoader.load(text: text, name: "c.yaml", environment: environment)
            .configuration
        #expect(configuration.preSharedKey == SecretBytes(utf8: "from-the-file"))
        #expect(configuration.users.map(\.name) == ["alice"])
        #expect(configuration.policy.profile == .default)
        #expect(configuration.dnsServers.map(\.description) == ["10.0.0.1"])
        #expect(configuration.l2tp.network.description == "10.8.0.0/24")
        #expect(configuration.l2tp.pool.lowerBound.description == "10.8.0.10")
        #expect(configuration.publicAddress == IPv4Address(203, 0, 113, 1))
        #expect(!configuration.masquerades)
    }

    @Test("a wrong value in the file is not replaced by a right one of the environment")
    func noFallback() {
        #expect(throws: ConfigurationError.self) {
            try ConfigurationLoader.load(text: "psk: vpn", name: "c.yaml", environment: base)
        }
    }
}
