import Testing
import Wire

@testable import IO

@Suite("URLs and the addresses that they may lead to")
struct HTTPURLTests {
    @Test(
        "http URLs and what they mean",
        arguments: [
            ("http://ocsp.example.org", "ocsp.example.org", 80, "/"),
            ("HTTP://OCSP.Example.ORG/", "ocsp.example.org", 80, "/"),
            ("http://ocsp.example.org:8080/a/b?c=d", "ocsp.example.org", 8080, "/a/b?c=d"),
            ("http://ocsp.example.org?c=d", "ocsp.example.org", 80, "/?c=d"),
            ("http://192.0.2.1:2560/", "192.0.2.1", 2560, "/"),
            ("http://[2001:DB8::1]:2560/x", "2001:db8::1", 2560, "/x"),
        ] as [(String, String, UInt16, String)])
    func good(text: String, host: String, port: UInt16, target: String) throws {
        let url = try #require(HTTPURL(text))
        #expect((url.host, url.port, url.target) == (host, port, target))
        #expect(HTTPURL("\(url)") == url)
    }

    @Test(
        "what is no such URL",
        arguments: [
            "", "http://", "http:///x", "https://ocsp.example.org/", "ftp://ocsp.example.org/", "file:///etc/passwd",
            "ocsp.example.org", "ldap://ocsp.example.org/", "http://user@example.org/", "http://a:b@example.org/",
            "http://example.org#x", "http://example.org:0/", "http://example.org:65536/", "http://example.org:+80/",
            "http://example.org:/", "http://example.org:8 0/", "http://exa mple.org/", "http://example.org/\r\nX: y",
            "http://example.org/\u{0}", "http://exämple.org/", "http://[::1/", "http://[::1]x/", "http://[::1%25lo]/",
            "http://example.org\\@evil.example.org/", "http://a/" + String(repeating: "x", count: 1024),
        ])
    func bad(text: String) { #expect(HTTPURL(text) == nil) }

    /// The least strict rule of the three that forbids the address; nil if none does.
    private static let reach: [(IPAddress, publicOnly: Bool, publicOrPrivate: Bool)] = [
        (v4(93, 184, 216, 34), true, true), (v4(1, 1, 1, 1), true, true), (v4(172, 32, 0, 1), true, true),
        (v4(10, 0, 0, 1), false, true), (v4(10, 255, 255, 255), false, true), (v4(172, 16, 0, 1), false, true),
        (v4(172, 31, 255, 255), false, true), (v4(192, 168, 1, 1), false, true), (v4(100, 64, 0, 1), false, true),
        (v4(198, 18, 0, 1), false, true),
        (v4(127, 0, 0, 1), false, false), (v4(127, 255, 255, 255), false, false), (v4(0, 0, 0, 0), false, false),
        (v4(169, 254, 169, 254), false, false), (v4(192, 0, 0, 8), false, false), (v4(224, 0, 0, 1), false, false),
        (v4(255, 255, 255, 255), false, false), (v4(240, 0, 0, 1), false, false),
        (v6(0x2606_4700_0000_0000, 1), true, true), (v6(0x2001_0db8_0000_0000, 1), true, true),
        (v6(0xfd00_0000_0000_0000, 1), false, true), (v6(0xfc00_0000_0000_0000, 1), false, true),
        (v6(0, 1), false, false), (v6(0, 0), false, false), (v6(0xfe80_0000_0000_0000, 1), false, false),
        (v6(0xfec0_0000_0000_0000, 1), false, false), (v6(0xff02_0000_0000_0000, 1), false, false),
        // The same by way of IPv4: mapped, translated, tunnelled.
        (v6(0, 0x0000_ffff_7f00_0001), false, false), (v6(0, 0x0000_ffff_0a00_0001), false, true),
        (v6(0, 0x0000_ffff_0101_0101), true, true), (v6(0, 0x0000_0000_7f00_0001), false, false),
        (v6(0x0064_ff9b_0000_0000, 0xa9fe_a9fe), false, false), (v6(0x0064_ff9b_0000_0000, 0x0101_0101), true, true),
        (v6(0x0064_ff9b_0001_0000, 0x0101_0101), false, false),
        (v6(0x2002_7f00_0001_0000, 0), false, false), (v6(0x2002_c0a8_0101_0000, 0), false, true),
    ]

    private static func v4(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) -> IPAddress {
        .v4(IPv4Address(first, second, third, fourth))
    }

    private static func v6(_ high: UInt64, _ low: UInt64) -> IPAddress { .v6(IPv6Address(high: high, low: low)) }

    @Test("which addresses a name may lead to, by rule", arguments: reach.indices)
    func rules(index: Int) {
        let (address, publicOnly, publicOrPrivate) = Self.reach[index]
        #expect(HTTPAddressRule.any.allows(address))
        #expect(HTTPAddressRule.publicOnly.allows(address) == publicOnly, "\(address)")
        #expect(HTTPAddressRule.publicOrPrivate.allows(address) == publicOrPrivate, "\(address)")
    }
}
