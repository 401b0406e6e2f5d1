import Wire

/// Exchanges in the order of their arrival, in all and by address, so that the oldest can make room at no cost.
struct ArrivalList: Sendable {
    private struct Node: Sendable {
        var address: IPAddress
        var older: UInt64?
        var newer: UInt64?
        var olderOfAddress: UInt64?
        var newerOfAddress: UInt64?
    }

    private struct Group: Sendable {
        var count = 0
        var oldest: UInt64?
        var newest: UInt64?
    }

    private var nodes: [UInt64: Node] = [:]
    private var groups: [IPAddress: Group] = [:]
    private(set) var oldest: UInt64?
    private var newest: UInt64?

    init() {}

    var count: Int { nodes.count }

    func count(of address: IPAddress) -> Int { groups[address.counted]?.count ?? 0 }

    func oldest(of address: IPAddress) -> UInt64? { groups[address.counted]?.oldest }

    /// Appends `cookie`, which is not in the list.
    mutating func append(_ cookie: UInt64, address: IPAddress) {
        let address = address.counted
        var group = groups[address] ?? Group()
        nodes[cookie] = Node(address: address, older: newest, olderOfAddress: group.newest)
        if let newest { nodes.change(newest) { $0.newer = cookie } } else { oldest = cookie }
        newest = cookie
        if let newest = group.newest {
            nodes.change(newest) { $0.newerOfAddress = cookie }
        } else {
            group.oldest = cookie
        }
        group.newest = cookie
        group.count += 1
        groups[address] = group
    }

    /// Takes `cookie` out, if it is in the list.
    mutating func remove(_ cookie: UInt64) {
        guard let node = nodes.removeValue(forKey: cookie) else { return }
        if let older = node.older { nodes.change(older) { $0.newer = node.newer } } else { oldest = node.newer }
        if let newer = node.newer { nodes.change(newer) { $0.older = node.older } } else { newest = node.older }
        if let older = node.olderOfAddress { nodes.change(older) { $0.newerOfAddress = node.newerOfAddress } }
        if let newer = node.newerOfAddress { nodes.change(newer) { $0.olderOfAddress = node.olderOfAddress } }
        guard var group = groups[node.address] else { return }
        group.count -= 1
        if group.oldest == cookie { group.oldest = node.newerOfAddress }
        if group.newest == cookie { group.newest = node.olderOfAddress }
        groups[node.address] = group.count == 0 ? nil : group
    }
}

/// Slows an address that keeps failing to authenticate: guessing a key takes as long as the interval says, and nobody at
/// another address notices.
struct FailureList: Sendable {
    /// The most addresses that are remembered.
    static let addressesMaximum = 4096

    private var limits: [IPAddress: RateLimit] = [:]

    init() {}

    /// Whether `address` may try.
    mutating func allows(_ address: IPAddress, now: Instant) -> Bool {
        limits[address.counted]?.allows(now) ?? true
    }

    /// Notes a failure of `address`.
    mutating func note(_ address: IPAddress, limits bounds: IKELimits, now: Instant) {
        let address = address.counted
        if limits[address] == nil, limits.count >= Self.addressesMaximum {
            limits = limits.filter { !$0.value.isFull(now) }
            // All are being slowed: forgetting them all is the lesser evil beside growing without bound.
            if limits.count >= Self.addressesMaximum { limits.removeAll() }
        }
        var limit =
            limits[address]
            ?? RateLimit(
                capacity: bounds.failuresPerAddressMaximum, interval: bounds.failureInterval)
        _ = limit.take(now)
        limits[address] = limit
    }
}
