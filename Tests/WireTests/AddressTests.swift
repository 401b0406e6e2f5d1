import Testing
import Wire

@Suite("Addresses")
struct AddressTests {
    @Test("dotted decimal is read and written")
    func dotted() {
        for text in ["0.0.0.0", "1.2.3.4", "192.168.42.10", "255.255.255.255"] {
            #expect(IPv4Address(text)?.description == text)
        }
        #expect(IPv4Address("10.0.0.1") == IPv4Address(10, 0, 0, 1))
        #expect(IPv4Address(10, 0, 0, 1).octets == [10, 0, 0, 1] && IPv4Address(10, 0, 0, 1).value == 0x0a00_0001)
        #expect(IPv4Address(9, 255, 255, 255) < IPv4Address(10, 0, 0, 0))
    }

    @Test("what is not four decimal numbers is no address")
    func malformed() {
        for text in [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "1.2.3.1000", "+1.2.3.4",
            "-1.2.3.4",
            " 1.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "1.2.3.a", "\u{0661}.2.3.4",
        ] {
            #expect(IPv4Address(text) == nil, "\(text)")
        }
    }

    @Test("IPv6 addresses are written as RFC 5952 recommends")
    func canonical() {
        let cases: [(UInt64, UInt64, String)] = [
            (0, 0, "::"), (0, 1, "::1"), (0x2001_0db8_0000_0000, 0x0000_0000_0000_0001, "2001:db8::1"),
            // Section 4.2.2: one group of zeros alone is not shortened.
            (0x2001_0db8_0000_0001, 0x0001_0001_0001_0001, "2001:db8:0:1:1:1:1:1"),
            // Section 4.2.3: the longest run, and of two equal ones the first.
            (0x2001_0000_0000_0001, 0x0000_0000_0000_0001, "2001:0:0:1::1"),
            (0x2001_0db8_0000_0000, 0x0001_0000_0000_0001, "2001:db8::1:0:0:1"),
            (0xfe80_0000_0000_0000, 0, "fe80::"), (0x0000_0000_0000_0000, 0xffff_0000_0000_0000, "::ffff:0:0:0"),
            // Section 4.3: lower case, without leading zeros (4.1).
            (0x00ab_0cde_f012_0003, 0xabcd_ef01_2345_6789, "ab:cde:f012:3:abcd:ef01:2345:6789"),
        ]
        for (high, low, text) in cases { #expect(IPv6Address(high: high, low: low).description == text) }
        #expect(IPv6Address(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10).octets == Array(1...16))
    }

    @Test("an endpoint writes its port, an IPv6 address in brackets")
    func endpoints() {
        #expect(Endpoint(IPv4Address(192, 0, 2, 1), 4500).description == "192.0.2.1:4500")
        #expect(Endpoint(address: .v6(IPv6Address(high: 0, low: 1)), port: 500).description == "[::1]:500")
        #expect(IPAddress.v4(IPv4Address(1, 2, 3, 4)).octets == [1, 2, 3, 4])
        #expect(IPAddress.v6(IPv6Address(high: 0, low: 1)).octets.count == 16)
    }

    @Test("networks contain their addresses, the first and the last among them")
    func networks() throws {
        let network = try #require(IPv4Network("192.168.42.0/24"))
        #expect(network.contains(IPv4Address(192, 168, 42, 0)) && network.contains(network.last))
        #expect(network.last == IPv4Address(192, 168, 42, 255) && network.description == "192.168.42.0/24")
        #expect(!network.contains(IPv4Address(192, 168, 43, 0)))
        #expect(IPv4Network(IPv4Address(10, 1, 2, 3), prefixLength: 8)?.address == IPv4Address(10, 0, 0, 0))
        let all = try #require(IPv4Network("0.0.0.0/0"))
        #expect(all.contains(IPv4Address(255, 1, 2, 3)) && all.last == IPv4Address(255, 255, 255, 255))
        let one = try #require(IPv4Network("1.2.3.4/32"))
        #expect(
            one.contains(IPv4Address(1, 2, 3, 4)) && !one.contains(IPv4Address(1, 2, 3, 5)) && one.last == one.address)
    }

    @Test("what is no network is refused, host bits that are set among it")
    func malformedNetworks() {
        for text in [
            "1.2.3.0", "1.2.3.0/", "1.2.3.0/33", "1.2.3.0/-1", "1.2.3.1/24", "/24", "1.2.3.0/24/24", "1.2.3/24",
            "1.2.3.0/+24",
        ] {
            #expect(IPv4Network(text) == nil, "\(text)")
        }
        #expect(IPv4Network(.any, prefixLength: 33) == nil && IPv4Network(.any, prefixLength: -1) == nil)
    }
}
