import ESP
import IO
import Wire

/// Some of what the machine itself sends, and whether it is to come to the TUN interface.
struct TrafficDiversion: Hashable, Sendable {
    /// Which packets, as seen from us.
    let traffic: TrafficSelector
    /// Whether they are to come.
    let isDiverted: Bool
}

/// The rules of the system's routing policy by which the machine's own packets come to the TUN interface, or go past it.
///
/// A packet of a socket without an address has none when its route is looked for. So rules do not ask for the source, but
/// where the machine would not take that address by itself: then only who has chosen it is meant.
struct DiversionRules: Equatable {
    /// One rule, whatever its priority.
    struct Item: Hashable {
        /// The packets' source, where it is asked for.
        var source: IPAddress?
        let destination: AddressRange
        let protocolNumber: UInt8?
        let sourcePort: UInt16?
        let destinationPort: UInt16?
        /// The address of ours whose table is asked; nil to go past all of these rules.
        var address: IPAddress?
    }

    /// The most rules: the system asks one after the other for each connection.
    static let maximum = 1024

    /// What counts first is at the front.
    private(set) var items: [Item] = []
    /// How many would be too many.
    private(set) var leftOut = 0

    /// The rules for `diversions`, what counts first at the front.
    ///
    /// - Parameters:
    ///   - own: The machine's addresses.
    ///   - usual: The address that the machine itself takes to send to another one.
    init(_ diversions: [TrafficDiversion], own: [IPAddress], usual: (IPAddress) -> IPAddress?) {
        let locals = Set(diversions.lazy.filter(\.isDiverted).map(\.traffic.local.first))
        guard !locals.isEmpty else { return }
        // What leaves an address that the policy does not speak of has no SA to come to.
        for address in own where !locals.contains(address) && locals.contains(where: { $0.version == address.version })
        {
            items.append(
                Item(
                    source: address, destination: address.version == 6 ? .anyIPv6 : .anyIPv4, protocolNumber: nil,
                    sourcePort: nil, destinationPort: nil, address: nil))
        }
        var groups: [Item: [TrafficDiversion]] = [:]
        var order: [Item] = []
        for diversion in diversions {
            let traffic = diversion.traffic
            let key = Item(
                source: nil, destination: traffic.remote, protocolNumber: traffic.protocolNumber,
                sourcePort: traffic.localPort, destinationPort: traffic.remotePort, address: nil)
            if groups[key, default: []].isEmpty { order.append(key) }
            groups[key, default: []].append(diversion)
        }
        var sources: [IPAddress: IPAddress?] = [:]
        for key in order {
            let group = groups[key] ?? []
            let peer = key.destination.first
            // A network has no one way to it, and is only here to go past the rules.
            let own = key.destination.first == key.destination.last ? sources[peer] ?? usual(peer) : nil
            sources[peer] = own
            let main = group.first { own == nil || $0.traffic.local.first == own }
            var seen: Set<IPAddress> = []
            for other in group where other.isDiverted != main?.isDiverted {
                guard seen.insert(other.traffic.local.first).inserted else { continue }
                items.append(Self.item(key, other, asksSource: true))
            }
            if let main { items.append(Self.item(key, main, asksSource: false)) }
        }
        let last = items.lastIndex { $0.address != nil } ?? -1
        items.removeSubrange((last + 1)...)
        leftOut = max(items.count - Self.maximum, 0)
        items.removeLast(leftOut)
    }

    private static func item(_ key: Item, _ diversion: TrafficDiversion, asksSource: Bool) -> Item {
        var item = key
        let local = diversion.traffic.local.first
        item.source = asksSource ? local : nil
        item.address = diversion.isDiverted ? local : nil
        return item
    }
}

/// Rules at their priorities, the lowest first.
struct PlacedDiversions {
    /// A rule and its priority.
    struct Place: Hashable {
        let item: DiversionRules.Item
        let priority: UInt32
    }

    /// All of them.
    var places: [Place] = []

    /// What has to be removed and then added for the rules to be `items`, at priorities in `range`. What stays is not
    /// touched: its packets must not go in clear meanwhile.
    func changes(
        to items: [DiversionRules.Item], in range: Range<UInt32>
    ) -> (removed: [Place], added: [Place], result: PlacedDiversions) {
        let difference = items.difference(from: places.map(\.item))
        var removed: Set<Int> = []
        for case .remove(let offset, _, _) in difference { removed.insert(offset) }
        let kept = places.indices.filter { !removed.contains($0) }.map { places[$0] }
        let placed = Self.place(items, kept, range) ?? Self.place(items, [], range) ?? []
        let (before, after) = (Set(places), Set(placed))
        return (
            places.filter { !after.contains($0) }, placed.filter { !before.contains($0) },
            PlacedDiversions(places: placed)
        )
    }

    /// Places for `items`, of which `kept` have theirs; nil where there is no room between two of these.
    private static func place(_ items: [DiversionRules.Item], _ kept: [Place], _ range: Range<UInt32>) -> [Place]? {
        var placed: [Place] = []
        var (rest, waiting) = (kept[...], [DiversionRules.Item]())
        var free = range.lowerBound
        func spread(until end: UInt32) -> Bool {
            guard UInt32(waiting.count) <= end - free else { return false }
            let step = (end - free) / UInt32(waiting.count + 1)
            for (number, item) in waiting.enumerated() {
                let offset = step == 0 ? UInt32(number) : step * UInt32(number + 1)
                placed.append(Place(item: item, priority: free + offset))
            }
            waiting = []
            return true
        }
        for item in items {
            guard let next = rest.first, next.item == item else {
                waiting.append(item)
                continue
            }
            guard spread(until: next.priority) else { return nil }
            placed.append(next)
            (rest, free) = (rest.dropFirst(), next.priority + 1)
        }
        return spread(until: range.upperBound) ? placed : nil
    }
}
