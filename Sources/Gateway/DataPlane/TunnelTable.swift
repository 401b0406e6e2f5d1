import Synchronization
import Wire

/// Which packets from inside go by which tunnel: the policies of all tunnels compiled, and where each tunnel's peer is.
///
/// All networks behind peers are cut at their ends into ranges that do not overlap, in order, each with the selectors that
/// it is part of, the longest prefix first. So a look-up is a binary search and some comparisons, and nothing is hashed.
/// What stands here is written once, but for the places, which the control loop changes while workers read them.
final class TunnelTable: Sendable {
    /// What a packet belongs to.
    struct Match: Equatable {
        /// The tunnel's number.
        let tunnel: Int
        /// Which of its selectors.
        let selector: Int
    }

    /// Where a tunnel's peer lives.
    struct Place: Equatable {
        let worker: Int
        let peer: Int
    }

    private struct Candidate {
        let selector: TrafficSelector
        let match: Match
    }

    private struct Segment {
        /// The first address; an IPv4 address as a number.
        let first: IPv6Address
        let candidates: Range<Int>
    }

    private static let slotBits: UInt32 = 26
    /// No tunnels.
    static let empty = TunnelTable([])

    let count: Int
    // Written by the initializer only.
    private nonisolated(unsafe) let candidates: UnsafeMutablePointer<Candidate>
    private nonisolated(unsafe) let segments: UnsafeMutablePointer<Segment>
    private nonisolated(unsafe) let rulesOfTunnels: UnsafeMutablePointer<OuterHeaderRules>
    private let candidateCount: Int
    /// Whether any of the traffic is of certain ports.
    let asksPorts: Bool
    private let segmentsIPv4: Range<Int>
    private let segmentsIPv6: Range<Int>
    // Only atomic values stand there, which any thread may read and write.
    private nonisolated(unsafe) let places: UnsafeMutablePointer<Atomic<UInt32>>

    init(_ tunnels: [(selectors: [TrafficSelector], rules: OuterHeaderRules)]) {
        count = tunnels.count
        let all = tunnels.enumerated().flatMap { number, tunnel in
            tunnel.selectors.enumerated().map {
                Candidate(selector: $0.element, match: Match(tunnel: number, selector: $0.offset))
            }
        }
        var (segments, candidates): ([Segment], [Candidate]) = ([], [])
        Self.compile(all.filter { Self.isIPv4($0.selector.remote) }, &segments, &candidates)
        segmentsIPv4 = 0..<segments.count
        Self.compile(all.filter { !Self.isIPv4($0.selector.remote) }, &segments, &candidates)
        segmentsIPv6 = segmentsIPv4.upperBound..<segments.count
        self.segments = Self.memory(segments)
        self.candidates = Self.memory(candidates)
        candidateCount = candidates.count
        asksPorts = all.contains { $0.selector.asksPorts }
        rulesOfTunnels = Self.memory(tunnels.map(\.rules))
        places = .allocate(capacity: max(1, tunnels.count))
        for number in tunnels.indices { (places + number).initialize(to: Atomic(0)) }
    }

    deinit {
        segments.deinitialize(count: segmentsIPv6.upperBound)
        segments.deallocate()
        candidates.deinitialize(count: candidateCount)
        candidates.deallocate()
        rulesOfTunnels.deinitialize(count: count)
        rulesOfTunnels.deallocate()
        places.deinitialize(count: count)
        places.deallocate()
    }

    private static func memory<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
        for (position, element) in elements.enumerated() { (memory + position).initialize(to: element) }
        return memory
    }

    private static func isIPv4(_ range: AddressRange) -> Bool { if case .v4 = range.first { true } else { false } }

    private static func number(_ address: IPAddress) -> IPv6Address {
        switch address {
        case .v4(let address): IPv6Address(high: 0, low: UInt64(address.value))
        case .v6(let address): address
        }
    }

    /// The address after `address`; nil behind the last one of all.
    private static func after(_ address: IPv6Address) -> IPv6Address? {
        if address.low < .max { return IPv6Address(high: address.high, low: address.low + 1) }
        return address.high < .max ? IPv6Address(high: address.high + 1, low: 0) : nil
    }

    /// How much a selector says of a packet beside its addresses.
    private static func weight(_ selector: TrafficSelector) -> Int {
        (selector.protocolNumber == nil ? 0 : 4) + (selector.localPort == nil ? 0 : 1)
            + (selector.remotePort == nil ? 0 : 1)
    }

    private static func compile(_ all: [Candidate], _ segments: inout [Segment], _ candidates: inout [Candidate]) {
        let ends = all.flatMap { [number($0.selector.remote.first), after(number($0.selector.remote.last))] }
        for first in Set(ends.compactMap(\.self)).sorted() {
            let begin = candidates.count
            // The widest begins first and ends last: sorted by both, the narrowest is the last one. The sort is stable.
            candidates += all.filter {
                number($0.selector.remote.first) <= first && first <= number($0.selector.remote.last)
            }.sorted {
                let (first, second) = ($0.selector, $1.selector)
                guard first.remote == second.remote else {
                    return number(second.remote.first) < number(first.remote.first)
                        || number(second.remote.first) == number(first.remote.first)
                            && number(first.remote.last) < number(second.remote.last)
                }
                // Of the same networks, what says more of a packet comes first, as for filters of a policy.
                return weight(second) < weight(first)
            }
            segments.append(Segment(first: first, candidates: begin..<candidates.count))
        }
    }

    /// What an outbound packet of `flow` belongs to.
    @inline(__always)
    func lookUp(_ flow: PacketFlow) -> Match? {
        guard count > 0 else { return nil }
        let number = Self.number(flow.destination)
        var (low, high) =
            if case .v4 = flow.destination {
                (segmentsIPv4.lowerBound, segmentsIPv4.upperBound)
            } else {
                (segmentsIPv6.lowerBound, segmentsIPv6.upperBound)
            }
        let begin = low
        // The first segment that begins behind the address; the one before it is the address's.
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].first <= number { low = middle + 1 } else { high = middle }
        }
        guard low > begin else { return nil }
        for candidate in segments[low - 1].candidates where candidates[candidate].selector.matches(outbound: flow) {
            return candidates[candidate].match
        }
        return nil
    }

    /// What the outer headers of `tunnel` take from the inner ones.
    @inline(__always)
    func rules(_ tunnel: Int) -> OuterHeaderRules {
        tunnel >= 0 && tunnel < count ? rulesOfTunnels[tunnel] : OuterHeaderRules()
    }

    /// Where the peer of `tunnel` is; nil while there is none that has an SA.
    @inline(__always)
    func place(_ tunnel: Int) -> Place? {
        guard tunnel >= 0, tunnel < count else { return nil }
        let value = places[tunnel].load(ordering: .acquiring)
        guard value != 0 else { return nil }
        return Place(worker: Int((value - 1) >> Self.slotBits), peer: Int((value - 1) & (1 << Self.slotBits - 1)))
    }

    /// Says where the peer of `tunnel` is.
    func set(_ tunnel: Int, to place: Place?) {
        guard tunnel >= 0, tunnel < count else { return }
        let value = place.map { (UInt32($0.worker) << Self.slotBits | UInt32($0.peer)) + 1 } ?? 0
        places[tunnel].store(value, ordering: .releasing)
    }
}
