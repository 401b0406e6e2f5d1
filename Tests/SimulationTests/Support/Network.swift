import Wire

/// Where clients are: an address of their own, or behind a NAT that many share.
final class Site {
    private struct Inner: Hashable {
        var address: IPv4Address
        var port: UInt16
    }

    private(set) var address: IPv4Address
    let isNAT: Bool
    private var outer: [Inner: UInt16] = [:]
    private var inner: [UInt16: Inner] = [:]
    private var nextPort: UInt16 = 20_000

    init(_ address: IPv4Address, isNAT: Bool) { (self.address, self.isNAT) = (address, isNAT) }

    /// The NAT forgets its mappings, and perhaps gets another address: what goes out next comes from another port.
    func rebind(to address: IPv4Address? = nil) {
        self.address = address ?? self.address
        outer.removeAll()
        inner.removeAll()
        nextPort += 1000
    }

    /// Where a datagram of a client seems to come from.
    func leave(_ client: SimulatedClient, port: UInt16) -> Endpoint {
        guard isNAT else { return Endpoint(address, port) }
        // Clients may have the same private address: each is its own box behind the NAT, which tells them apart by that.
        let key = Inner(address: IPv4Address(UInt32(client.index)), port: port)
        let mapped = outer[key] ?? nextPort
        if outer[key] == nil {
            outer[key] = mapped
            inner[mapped] = key
            nextPort += 1
        }
        return Endpoint(address, mapped)
    }

    /// Whom a datagram to one of our ports is for: the client's number and port.
    func arrive(port: UInt16) -> (client: Int, port: UInt16)? {
        inner[port].map { (Int($0.address.value), $0.port) }
    }
}

/// A paper of NAT traversal, as a client follows it.
enum NATPaper: CaseIterable {
    case rfc3947, draft03, draft02n, draft02, draft01, draft00

    var vendorID: [UInt8] {
        let words: [Int] =
            switch self {
            case .rfc3947: [0x4a13_1c81, 0x0703_5845, 0x5c57_28f2, 0x0e95_452f]
            case .draft03: [0x7d94_19a6, 0x5310_ca6f, 0x2c17_9d92, 0x1552_9d56]
            case .draft02n: [0x90cb_8091, 0x3ebb_696e, 0x0863_81b5, 0xec42_7b1f]
            case .draft02: [0xcd60_4643, 0x35df_21f8, 0x7cfd_b2fc, 0x68b6_a448]
            case .draft01: [0x16f6_ca16, 0xe4a4_066d, 0x8382_1a0f, 0x0aea_a862]
            case .draft00: [0x4485_152d, 0x18b6_bbcd, 0x0be8_a846, 0x9579_ddcc]
            }
        return words.flatMap(be32)
    }

    /// Whether it goes to port 4500 for a NAT; where it does not, ESP comes on port 500 behind eight zero bytes.
    var floats: Bool { self != .draft01 && self != .draft00 }
    /// The numbers of NAT-D and NAT-OA, and of transport mode in UDP.
    var detection: Int { self == .rfc3947 ? 20 : floats ? 130 : 15 }
    var original: Int { self == .rfc3947 ? 21 : floats ? 131 : 16 }
    var mode: Int { self == .rfc3947 ? 4 : 61444 }
}

/// A datagram on its way.
struct Datagram {
    var from: Endpoint
    var to: Endpoint
    /// IP protocol 50 rather than UDP.
    var isRaw: Bool
    var bytes: [UInt8]
}

/// What the network does to datagrams, each a share of them.
struct Faults {
    var loss = 0.0
    var duplication = 0.0
    var reordering = 0.0
    /// What a datagram takes at least.
    var delay = Duration.milliseconds(10)
    /// What one that is reordered takes at most.
    var delayMaximum = Duration.milliseconds(1500)

    static let none = Faults()
    static let bad = Faults(loss: 0.12, duplication: 0.08, reordering: 0.15)
}

/// Datagrams by their arrival.
struct Flights {
    private var heap: [(arrival: Instant, order: UInt64, datagram: Datagram)] = []
    private var order: UInt64 = 0

    var next: Instant? { heap.first?.arrival }

    mutating func insert(_ datagram: Datagram, arrival: Instant) {
        order += 1
        heap.append((arrival, order, datagram))
        var child = heap.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func popFirst() -> Datagram? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) {
                least = child
            }
            guard least != parent else { return first.datagram }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (heap[left].arrival, heap[left].order) < (heap[right].arrival, heap[right].order)
    }
}
