import Testing
import Wire

@Suite("Address ranges and traffic selectors")
struct TrafficTests {
    private func v4(_ text: String) -> IPAddress { .v4(IPv4Address(text) ?? .any) }

    @Test("a network is the range from its first to its last address, of either version")
    func networks() throws {
        let four = try #require(AddressRange(v4("10.1.2.3"), prefixLength: 16))
        #expect(four.first == v4("10.1.0.0") && four.last == v4("10.1.255.255") && four.description == "10.1.0.0/16")
        #expect(four.contains(v4("10.1.200.1")) && !four.contains(v4("10.2.0.0")))
        for bits in [0, 1, 48, 63, 64, 65, 127, 128] {
            let address = IPv6Address(high: 0x2001_0db8_ffff_ffff, low: 0xffff_ffff_ffff_ffff)
            let six = try #require(AddressRange(.v6(address), prefixLength: bits))
            #expect(six.prefixLength == bits && six.contains(.v6(address)))
        }
        #expect(AddressRange(v4("10.0.0.0"), prefixLength: 33) == nil)
        #expect(AddressRange(v4("10.0.0.2"), through: v4("10.0.0.1")) == nil)
        #expect(AddressRange(v4("10.0.0.2"), through: .v6(IPv6Address(high: 0, low: 1))) == nil)
    }

    @Test("an IPv4 address is in no range of IPv6, nor the other way round")
    func versions() {
        #expect(!AddressRange.anyIPv6.contains(v4("10.0.0.1")))
        #expect(!AddressRange.anyIPv4.contains(.v6(IPv6Address(high: 0, low: 1))))
        #expect(AddressRange.anyIPv4.description == "0.0.0.0/0" && AddressRange.anyIPv6.description == "::/0")
    }

    @Test("a range that is no network is written with both ends")
    func odd() throws {
        let range = try #require(AddressRange(v4("10.0.0.1"), through: v4("10.0.0.6")))
        #expect(range.prefixLength == nil && range.description == "10.0.0.1-10.0.0.6")
        #expect(range.overlaps(AddressRange(v4("10.0.0.6"))) && !range.overlaps(AddressRange(v4("10.0.0.7"))))
    }

    @Test("a selector matches both directions, sides exchanged, and asks for protocol and ports")
    func directions() throws {
        let selector = TrafficSelector(
            local: AddressRange(v4("192.0.2.1")), remote: .anyIPv4, protocolNumber: 17, localPort: 161)
        let out = PacketFlow(
            source: v4("192.0.2.1"), destination: v4("198.51.100.7"), protocolNumber: 17, sourcePort: 161,
            destinationPort: 4000)
        let back = PacketFlow(
            source: v4("198.51.100.7"), destination: v4("192.0.2.1"), protocolNumber: 17, sourcePort: 4000,
            destinationPort: 161)
        #expect(selector.matches(outbound: out) && !selector.matches(inbound: out))
        #expect(selector.matches(inbound: back) && !selector.matches(outbound: back))
        var other = out
        other.protocolNumber = 6
        #expect(!selector.matches(outbound: other))
        var fragment = out
        (fragment.sourcePort, fragment.destinationPort) = (nil, nil)
        #expect(!selector.matches(outbound: fragment))
    }

    @Test("a selector contains what asks for the same and more")
    func containment() throws {
        let wide = TrafficSelector(local: .anyIPv4, remote: .anyIPv4)
        let narrow = TrafficSelector(
            local: AddressRange(v4("192.0.2.1")), remote: .anyIPv4, protocolNumber: 17, localPort: 1701)
        #expect(wide.contains(narrow) && !narrow.contains(wide) && narrow.contains(narrow))
    }

    @Test("a range is read as an address or as a network without host bits")
    func text() {
        for text in ["10.1.2.3", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1", "::/0"] {
            #expect(AddressRange(text)?.description == text)
        }
        for text in [
            "", "/", "10.1.0.0/", "10.1.0.0/+16", "10.1.0.0/33", "10.1.0.1/16", "10.1.0.0/16/1", "2001:db8::1/32",
            "2001:db8::/129", "name/8",
        ] {
            #expect(AddressRange(text) == nil, "\(text)")
        }
    }
}
