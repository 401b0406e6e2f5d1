import Glibc
import NetworkNamespaces
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

    @Test("rules take packets by destination, protocol, ports and source, and go past others")
    func trafficRules() throws {
        try inOwnNamespace {
            let netlink = try Netlink()
            var devices: [TUNDevice] = []
            defer { withExtendedLifetime(devices) {} }
            let (usual, ours) = (IPv4Address(10, 9, 0, 1), IPv4Address(172, 16, 0, 1))
            for (name, address) in [("culvert0", usual), ("culvert1", ours)] {
                devices.append(try TUNDevice(name: name))
                let index = try netlink.interface(named: name).index
                try netlink.bringUp(interface: index, mtuBytes: 1400)
                try netlink.add(InterfaceAddress(interfaceIndex: index, address: .v4(address), prefixLength: 24))
            }
            let (peer, other) = (IPv4Address(10, 9, 0, 2), IPv4Address(10, 9, 0, 3))
            let host = AddressRange(.v4(peer))
            var route = Route(
                to: host, interfaceIndex: try netlink.interface(named: "culvert1").index, source: .v4(ours))
            route.table = 17_300
            try netlink.add(route)
            func rule(_ priority: UInt32, _ action: RoutingRule.Action) -> RoutingRule {
                var rule = RoutingRule(version: 4, priority: priority, action)
                (rule.isOwn, rule.destination) = (true, host)
                return rule
            }
            var past = rule(1, .skip(to: 9))
            (past.protocolNumber, past.sourcePorts) = (17, 500...500)
            var asked = rule(2, .lookUp(table: route.table))
            (asked.protocolNumber, asked.destinationPorts) = (17, 161...162)
            var answered = rule(3, .lookUp(table: route.table))
            (answered.protocolNumber, answered.sourcePorts) = (17, 161...161)
            var chosen = rule(4, .unreachable)
            chosen.source = AddressRange(.v4(ours))
            let all = [past, asked, answered, chosen, RoutingRule(version: 4, priority: 9, .pass)]
            for rule in all { try netlink.add(rule) }

            #expect(try source(to: peer, 161) == ours && source(to: peer, 162) == ours)
            #expect(try source(to: peer, 163) == usual && source(to: other, 161) == usual)
            #expect(try source(to: peer, 163, from: (.any, 161)) == ours)
            #expect(try source(to: peer, 161, from: (.any, 500)) == usual, "it goes past")
            #expect(throws: SystemError.self) { try source(to: peer, 163, from: (ours, 0)) }
            #expect(try source(to: peer, 161, protocol: 6) == usual, "TCP is another protocol")

            try netlink.remove(asked)
            #expect(try source(to: peer, 161) == usual && source(to: peer, 163, from: (.any, 161)) == ours)
            #expect(try netlink.removeOwnRules() == 4)
            #expect(try source(to: peer, 163, from: (.any, 161)) == usual)

            var version6 = RoutingRule(version: 6, priority: 1, .skip(to: 2))
            version6.destination = AddressRange("2001:db8::/32")
            (version6.isOwn, version6.protocolNumber, version6.destinationPorts) = (true, 6, 80...80)
            try netlink.add(version6)
            try netlink.remove(version6)
            asked.destination = version6.destination
            #expect(throws: NetlinkError.self) { try netlink.add(asked) }
            #expect(try netlink.removeOwnRules() == 0)
        }
    }
}

/// The address that a socket for datagrams takes to send to a port, once it is bound to `local`. With TCP, the address of a
/// connection that is being made.
private func source(
    to remote: IPv4Address, _ port: UInt16, from local: (IPv4Address, UInt16)? = nil, protocol: UInt8 = 17
) throws -> IPv4Address {
    func socketAddress(_ address: IPv4Address, _ port: UInt16) -> sockaddr_in {
        sockaddr_in(
            sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
            sin_addr: in_addr(s_addr: address.value.bigEndian),
            sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
    }
    func pass(_ address: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>) -> Int32) -> Int32 {
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
    }
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let kind = `protocol` == 6 ? SOCK_STREAM : SOCK_DGRAM
    let descriptor = socket(AF_INET, Int32(kind.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    defer { close(descriptor) }
    if let local {
        var address = socketAddress(local.0, local.1)
        guard pass(&address, { bind(descriptor, $0, size) }) == 0 else {
            throw SystemError(operation: "bind", number: errno)
        }
    }
    var address = socketAddress(remote, port)
    guard pass(&address, { connect(descriptor, $0, size) }) == 0 || errno == EINPROGRESS else {
        throw SystemError(operation: "connect", number: errno)
    }
    var length = size
    _ = pass(&address) { getsockname(descriptor, $0, &length) }
    return IPv4Address(UInt32(bigEndian: address.sin_addr.s_addr))
}

func network(_ text: String) throws -> IPv4Network { try #require(IPv4Network(text)) }
