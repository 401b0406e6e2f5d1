import Testing
import Wire

@testable import Gateway

@Suite("Rules that bring the machine's own traffic to its SAs")
struct DiversionRulesTests {
    private static let peer = IPAddress.v4(IPv4Address(192, 0, 2, 11))
    private static let own = IPAddress.v4(IPv4Address(192, 0, 2, 1))
    private static let inside = IPAddress.v4(IPv4Address(10, 99, 0, 1))

    private func diversion(
        _ isDiverted: Bool, from local: IPAddress = own, to remote: AddressRange = AddressRange(peer),
        _ port: UInt16? = nil
    ) -> TrafficDiversion {
        TrafficDiversion(
            traffic: TrafficSelector(
                local: AddressRange(local), remote: remote, protocolNumber: port == nil ? nil : 17, remotePort: port),
            isDiverted: isDiverted)
    }

    private func rules(_ diversions: TrafficDiversion..., usual: IPAddress? = own) -> [DiversionRules.Item] {
        DiversionRules(diversions, own: []) { _ in usual }.items
    }

    @Test("one rule for each kind of traffic, whatever address of ours it leaves from: the usual one is preferred")
    func sources() {
        let both = rules(diversion(true, from: Self.inside, 161), diversion(true, 161))
        #expect(both.map(\.address) == [Self.own] && both.map(\.source) == [nil])
        #expect(both.map(\.destinationPort) == [161] && both.map(\.sourcePort) == [nil])
        let unknown = rules(diversion(true, from: Self.inside, 161), diversion(true, 161), usual: nil)
        #expect(unknown.map(\.address) == [Self.inside])
    }

    @Test("where addresses of ours differ, or none is the usual one, only who has chosen an address is meant")
    func differing() {
        let differing = rules(diversion(false, from: Self.inside, 161), diversion(true, 161))
        #expect(differing.map(\.source) == [Self.inside, nil] && differing.map(\.address) == [nil, Self.own])
        let unusual = rules(diversion(true, from: Self.inside, 161))
        #expect(unusual.map(\.source) == [Self.inside] && unusual.map(\.address) == [Self.inside])
    }

    @Test("what leaves an address that the policy does not speak of is left alone")
    func others() throws {
        let addresses = [Self.own, Self.inside, try #require(IPAddress("2001:db8::1"))]
        let found = DiversionRules([diversion(true, 161)], own: addresses) { _ in Self.own }.items
        #expect(found.map(\.source) == [Self.inside, nil] && found.map(\.address) == [nil, Self.own])
        #expect(found.first?.destination == .anyIPv4)
        #expect(DiversionRules([diversion(false, 161)], own: addresses) { _ in Self.own }.items.isEmpty)
    }

    @Test("what goes past the rules has its place before those that count less, and none behind them")
    func order() throws {
        let network = try #require(AddressRange("192.0.2.0/24"))
        let found = rules(
            diversion(false, 500), diversion(true, 161), diversion(false, to: network, 53), diversion(true),
            diversion(false, to: network))
        #expect(found.map(\.destinationPort) == [500, 161, 53, nil])
        #expect(found.map(\.address) == [nil, Self.own, nil, Self.own])
        #expect(rules(diversion(false, 161)).isEmpty)
        #expect(rules().isEmpty)
    }

    @Test("no more rules than the system can look through; those that count least are left out")
    func bound() {
        let many = (0..<UInt16(DiversionRules.maximum + 7)).map { diversion(true, 1 + $0) }
        let rules = DiversionRules(many, own: []) { _ in Self.own }
        #expect(rules.items.count == DiversionRules.maximum && rules.leftOut == 7)
        #expect(rules.items.last?.destinationPort == UInt16(DiversionRules.maximum))
    }

    private func items(_ ports: [UInt16]) -> [DiversionRules.Item] {
        ports.map {
            DiversionRules.Item(
                destination: AddressRange(Self.peer), protocolNumber: 17, sourcePort: nil, destinationPort: $0,
                address: Self.own)
        }
    }

    @Test("a change touches nothing but what is new or gone, and keeps the order")
    func difference() {
        let first = PlacedDiversions().changes(to: items([1, 2, 3]), in: 100..<200)
        #expect(first.removed.isEmpty && first.added == first.result.places)
        let second = first.result.changes(to: items([9, 1, 8, 3]), in: 100..<200)
        #expect(second.removed.map(\.item.destinationPort) == [2])
        #expect(second.added.map(\.item.destinationPort) == [9, 8])
        let same = second.result.changes(to: items([9, 1, 8, 3]), in: 100..<200)
        #expect(same.removed.isEmpty && same.added.isEmpty)
        let none = same.result.changes(to: [], in: 100..<200)
        #expect(none.removed == same.result.places && none.added.isEmpty)
    }

    @Test("whatever changes, what is there in the end is what is wanted, in its order and range")
    func anyChange() {
        var random = SystemRandomNumberGenerator()
        let range: Range<UInt32> = 100..<118
        var (placed, there) = (PlacedDiversions(), Set<PlacedDiversions.Place>())
        for _ in 0..<500 {
            let wanted = items((1...16).filter { _ in Bool.random(using: &random) }.shuffled(using: &random))
            let change = placed.changes(to: wanted, in: range)
            #expect(Set(change.removed).isSubset(of: there))
            there.subtract(change.removed)
            #expect(there.isDisjoint(with: change.added))
            there.formUnion(change.added)
            let sorted = there.sorted { $0.priority < $1.priority }
            #expect(sorted == change.result.places && sorted.map(\.item) == wanted)
            #expect(Set(sorted.map(\.priority)).count == wanted.count)
            #expect(sorted.allSatisfy { range.contains($0.priority) })
            placed = change.result
        }
    }
}
