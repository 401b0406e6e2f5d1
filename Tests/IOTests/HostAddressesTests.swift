import Testing
import Wire

@testable import IO

@Suite("The addresses of this machine")
struct HostAddressesTests {
    private let own = IPv4Address(192, 0, 2, 1)
    private let broadcast = IPv4Address(198, 51, 100, 255)

    @Test("an interface without a broadcast address is listed with its own, which is none")
    func ownAddress() {
        let host = HostAddresses([
            (.v4(own), own), (.v4(IPv4Address(198, 51, 100, 7)), broadcast), (.v6(IPv6Address(high: 0, low: 1)), nil),
        ])
        #expect(host.broadcasts == [broadcast])
        #expect(host.addresses.count == 3 && host.addresses.first == .v4(own))
    }

    @Test("what several interfaces have is told once")
    func twice() {
        let host = HostAddresses([(.v4(own), broadcast), (.v4(own), broadcast)])
        #expect(host.addresses == [.v4(own)] && host.broadcasts == [broadcast])
    }

    @Test("the machine tells some, and none of them as its own broadcast address")
    func system() {
        let host = HostAddresses.current
        #expect(!host.addresses.isEmpty)
        #expect(host.broadcasts.allSatisfy { !host.addresses.contains(.v4($0)) })
    }
}
