import Testing
import Wire

@testable import IO

@Suite("Interfaces, addresses and routes", .enabled(if: mayMakeNamespaces, namespacesNeeded))
struct NetlinkTests {
    @Test("an interface gets its size, its queue, its address, and is on")
    func configure() throws {
        try inOwnNamespace {
            let device = try TUNDevice(name: "culvert0")
            let netlink = try Netlink()
            let before = try netlink.interface(named: "culvert0")
            #expect(!before.isUp)
            try netlink.bringUp(interface: before.index, mtuBytes: 1280, transmitQueueLength: 4321)
            let after = try netlink.interface(index: before.index)
            #expect(after.isUp && after.mtuBytes == 1280 && after.transmitQueueLength == 4321)
            #expect(after.name == device.name)

            let plain = InterfaceAddress(
                interfaceIndex: after.index, address: .v4(IPv4Address(10, 9, 0, 1)), prefixLength: 24)
            let pointToPoint = InterfaceAddress(
                interfaceIndex: after.index, address: .v4(IPv4Address(10, 9, 1, 1)), prefixLength: 32,
                peer: .v4(IPv4Address(10, 9, 1, 2)))
            try netlink.add(plain)
            try netlink.add(pointToPoint)
            // The system itself gives it one of IPv6.
            #expect(Set(try netlink.addresses().filter { $0.address.version == 4 }) == [plain, pointToPoint])
            let error = #expect(throws: NetlinkError.self) { try netlink.add(plain) }
            #expect(error?.reason == .exists)
        }
    }

    @Test("routes are added, listed, removed; those of others are left alone")
    func routes() throws {
        try inOwnNamespace {
            let device = try TUNDevice(name: "culvert0")
            let netlink = try Netlink()
            let index = try netlink.interface(named: device.name).index
            let address = IPv4Address(10, 9, 0, 1)
            try netlink.add(InterfaceAddress(interfaceIndex: index, address: .v4(address), prefixLength: 24))
            try netlink.bringUp(interface: index, mtuBytes: 1400)
            #expect(try netlink.defaultRoute() == nil)

            let pool = Route(to: try network("10.20.0.0/16"), interfaceIndex: index)
            let host = Route(to: try network("10.30.0.7/32"), interfaceIndex: index, metric: 50)
            let foreign = Route(to: try network("10.40.0.0/16"), interfaceIndex: index, protocol: 3)
            let fallback = Route(
                to: try network("0.0.0.0/0"), interfaceIndex: index, gateway: .v4(IPv4Address(10, 9, 0, 2)), metric: 9,
                protocol: 3)
            var worse = fallback
            worse.metric = 10
            for route in [pool, host, foreign, worse, fallback] { try netlink.add(route) }
            #expect(Set(try netlink.routes()) == [pool, host])
            #expect(Set(try netlink.routes(by: nil)).isSuperset(of: [pool, host, foreign, fallback, worse]))
            #expect(try netlink.defaultRoute() == fallback)
            let twice = #expect(throws: NetlinkError.self) { try netlink.add(pool) }
            #expect(twice?.reason == .exists)

            try netlink.remove(host)
            let absent = #expect(throws: NetlinkError.self) { try netlink.remove(host) }
            #expect(absent?.reason == .notFound)
            #expect(try netlink.removeOwnRoutes() == 1)
            #expect(try netlink.routes() == [])
            #expect(try netlink.routes(by: 3).count == 3)
        }
    }

    @Test("addresses and routes of IPv6 are set beside those of IPv4, with source and metric, replaced and removed")
    func version6() throws {
        try inOwnNamespace {
            let device = try TUNDevice(name: "culvert0")
            let netlink = try Netlink()
            let index = try netlink.interface(named: device.name).index
            try netlink.bringUp(interface: index, mtuBytes: 1400)
            let own = IPv6Address(high: 0x2001_0db8_0000_0001, low: 1)
            let address = InterfaceAddress(interfaceIndex: index, address: .v6(own), prefixLength: 128)
            try netlink.add(address)
            #expect(try netlink.addresses().contains(address))
            let there = try #require(
                AddressRange(.v6(IPv6Address(high: 0x2001_0db8_0000_0002, low: 0)), prefixLength: 64))
            let six = Route(to: there, interfaceIndex: index, metric: 50)
            let four = Route(to: try network("10.20.0.0/16"), interfaceIndex: index)
            try netlink.add(six)
            try netlink.add(four)
            #expect(Set(try netlink.routes()) == [six, four])
            var better = four
            better.source = .v4(IPv4Address(10, 9, 0, 1))
            try netlink.add(
                InterfaceAddress(interfaceIndex: index, address: .v4(IPv4Address(10, 9, 0, 1)), prefixLength: 32))
            try netlink.replace(better)
            #expect(Set(try netlink.routes()) == [six, better])
            let odd = try #require(AddressRange(.v4(.any), through: .v4(IPv4Address(10, 0, 0, 7))))
            #expect(throws: NetlinkError.self) { try netlink.add(Route(to: odd, interfaceIndex: index)) }
            #expect(try netlink.removeOwnRoutes() == 2)
            #expect(try netlink.routes() == [])
        }
    }

    @Test("a name that no interface has is not found")
    func absent() throws {
        let netlink = try Netlink()
        let error = #expect(throws: NetlinkError.self) { try netlink.interface(named: "nothere0") }
        #expect(error?.reason == .notFound)
        #expect(error?.description.contains("nothere0") == true)
    }

    @Test("the interface and its routes end with the process's last queue")
    func ends() throws {
        try inOwnNamespace {
            let netlink = try Netlink()
            do {
                let device = try TUNDevice(name: "culvert0", queues: 2)
                let index = try netlink.interface(named: device.name).index
                try netlink.bringUp(interface: index, mtuBytes: 1400)
                try netlink.add(Route(to: try network("10.20.0.0/16"), interfaceIndex: index))
                #expect(try netlink.routes().count == 1)
            }
            #expect(try netlink.routes() == [])
            #expect(throws: NetlinkError.self) { try netlink.interface(named: "culvert0") }
        }
    }
}

@Suite("Masquerading", .enabled(if: mayMakeNamespaces, namespacesNeeded))
struct MasqueradeTests {
    @Test("a table of its own is there while it lasts, and gone afterwards")
    func comesAndGoes() throws {
        try inOwnNamespace {
            let reader = try TableReader()
            #expect(reader.rules == nil)
            do {
                let masquerade = try Masquerade(
                    sources: [try network("192.168.42.0/24"), try network("192.168.43.0/24")],
                    exceptInterface: "culvert0")
                let rules = reader.rules ?? ""
                #expect(rules.contains("ip saddr 192.168.42.0/24 oifname != \"culvert0\""))
                #expect(rules.contains("ip saddr 192.168.43.0/24 oifname != \"culvert0\""))
                #expect(rules.contains("masquerade") && rules.contains("type nat hook postrouting"))
                try masquerade.end()
                #expect(reader.rules == nil)
                try masquerade.end()
            }
            do {
                let again = try Masquerade(sources: [try network("10.0.0.0/8")], exceptInterface: "culvert0")
                #expect(reader.rules != nil)
                withExtendedLifetime(again) {}
            }
            #expect(reader.rules == nil)
        }
    }

    @Test("what a killed process has left is replaced, whatever else there is stays")
    func leftover() throws {
        try inOwnNamespace {
            let reader = try TableReader()
            try reader.run("table ip culvert { chain old { type filter hook input priority 0; policy drop; }; }")
            try reader.run("table ip other { chain forward { type filter hook forward priority 0; }; }")
            let masquerade = try Masquerade(sources: [try network("10.0.0.0/8")], exceptInterface: "culvert0")
            #expect(reader.rules?.contains("drop") == false)
            #expect(reader.rules?.contains("masquerade") == true)
            try masquerade.end()
            #expect(reader.rules == nil)
            try reader.run("list table ip other")
        }
    }

    @Test("where the kernel binds the table to us, nobody else can take it away, and it ends with us")
    func bound() throws {
        try inOwnNamespace {
            let reader = try TableReader()
            do {
                let masquerade = try Masquerade(sources: [try network("10.0.0.0/8")], exceptInterface: "culvert0")
                guard masquerade.isBoundToProcess else { return }
                #expect(throws: (any Error).self) { try reader.run("delete table ip culvert") }
                #expect(throws: NFTablesError.self) {
                    try Masquerade(sources: [], exceptInterface: "culvert1")
                }
                try reader.run("flush ruleset")
                #expect(reader.rules?.contains("masquerade") == true)
            }
            #expect(reader.rules == nil)
        }
    }

    @Test("an interface name that means something to nftables is refused")
    func names() {
        for name in ["", "eth*", "a\" accept; #", "a b", "sixteen-byte-nam", "a\n"] {
            #expect(!NFTablesTable.isPlainName(name))
            #expect(throws: NFTablesError.self) { try Masquerade(sources: [], exceptInterface: name) }
        }
        #expect(NFTablesTable.isPlainName("culvert0") && NFTablesTable.isPlainName("eth0.100"))
    }

    @Test("what has our sockets' mark goes past a table that all else meets, but for smaller networks of the main one")
    func rules() throws {
        try inOwnNamespace {
            let netlink = try Netlink()
            var devices: [TUNDevice] = []
            defer { withExtendedLifetime(devices) {} }
            for (name, address) in [("culvert0", IPv4Address(10, 9, 0, 1)), ("culvert1", IPv4Address(172, 16, 0, 1))] {
                let device = try TUNDevice(name: name)
                devices.append(device)
                let index = try netlink.interface(named: name).index
                try netlink.bringUp(interface: index, mtuBytes: 1400)
                try netlink.add(InterfaceAddress(interfaceIndex: index, address: .v4(address), prefixLength: 24))
            }
            let index = try netlink.interface(named: "culvert1").index
            let table: UInt32 = 17_108
            var route = Route(to: try network("10.0.0.0/8"), interfaceIndex: index)
            route.table = table
            try netlink.add(route)
            let rules = [
                RoutingRule(version: 4, priority: 1, mark: 7, .lookUp(table: Route.mainTable)),
                RoutingRule(version: 4, priority: 2, mark: 7, .unreachable),
                RoutingRule(version: 4, priority: 3, .lookUpLonger(than: 8, table: Route.mainTable)),
                RoutingRule(version: 4, priority: 4, .lookUp(table: table)),
                RoutingRule(version: 6, priority: 1, mark: 7, .unreachable),
            ]
            for rule in rules { try netlink.add(rule) }
            let twice = #expect(throws: NetlinkError.self) { try netlink.add(rules[1]) }
            #expect(twice?.reason == .exists)
            let (near, far) = (IPAddress.v4(IPv4Address(10, 9, 0, 2)), IPAddress.v4(IPv4Address(10, 200, 0, 1)))
            #expect(SourceAddress.toward(near) == .v4(IPv4Address(10, 9, 0, 1)))
            #expect(SourceAddress.toward(far) == .v4(IPv4Address(172, 16, 0, 1)))
            #expect(SourceAddress.toward(near, mark: 7) == .v4(IPv4Address(10, 9, 0, 1)))
            #expect(SourceAddress.toward(far, mark: 7) == nil)
            try netlink.remove(rules[3])
            #expect(SourceAddress.toward(far) == nil)
            #expect(try netlink.removeOwnRules() == 4)
            #expect(try netlink.removeOwnRules() == 0)
        }
    }
}

func network(_ text: String) throws -> IPv4Network { try #require(IPv4Network(text)) }
