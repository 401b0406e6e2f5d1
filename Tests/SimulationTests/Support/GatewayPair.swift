import Wire

@testable import Gateway

/// Two whole gateways, each the other's peer, with networks behind them and a line between them.
final class GatewayPair {
    static let addresses = [IPAddress.v4(IPv4Address(192, 0, 2, 1)), IPAddress.v4(IPv4Address(198, 51, 100, 1))]

    private(set) var gateways: [SimulatedGateway] = []
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var faults = Faults.none
    /// Says of each datagram whether the line loses it.
    var tamper: ((Datagram) -> Bool)?
    /// Inner packets that came out, by gateway.
    private(set) var delivered: [[[UInt8]]] = [[], []]
    private(set) var datagrams = 0
    private var generator: SeededGenerator
    private var flights = Flights()
    let addresses: [IPAddress]
    private let configurations: [GatewayConfiguration]

    /// - Parameter tunnels: The lines of the two gateways' files beside keys and users.
    init(
        _ tunnels: [String], seed: UInt64 = 1, workers: Int = 2, addresses: [IPAddress] = GatewayPair.addresses
    ) throws {
        generator = SeededGenerator(seed)
        self.addresses = addresses
        configurations = try tunnels.map { lines in
            let text = "psk: labsecret\nusers:\n  - {name: nobody, password: secret}\n\(lines)\n"
            return try ConfigurationLoader.load(text: text, name: "pair", environment: [:]).configuration
        }
        for side in configurations.indices {
            gateways.append(
                try SimulatedGateway(
                    configurations[side], workerCount: workers, seed: generator.next(), now: now,
                    address: addresses[side]))
        }
        for gateway in gateways { gateway.start(now: now) }
        collect()
    }

    /// The usual pair: 10.1.0.0/16 and fd01::/48 behind the one, 10.2.0.0/16 and fd02::/48 behind the other.
    static func networks(
        start: [String] = ["onDemand", "onDemand"], more: String = "", addresses: [IPAddress] = GatewayPair.addresses
    ) -> [String] {
        [(0, 1), (1, 0)].map { own, other in
            """
            tunnels:
              - name: other
                peer: "\(addresses[other])"
                local: [10.\(own + 1).0.0/16, "fd0\(own + 1)::/48"]
                remote: [10.\(other + 1).0.0/16, "fd0\(other + 1)::/48"]
                start: \(start[own])
            \(more)
            """
        }
    }

    /// A UDP packet from a host behind one gateway to one behind the other.
    static func packet(from side: Int, serial: Int, byteCount: Int = 100, isIPv6: Bool = false) -> [UInt8] {
        let (own, other) = (UInt8(side + 1), UInt8(2 - side))
        if isIPv6 {
            let address = { (side: UInt8) in [0xfd, side] + [UInt8](repeating: 0, count: 13) + [9] }
            return [0x60, 0, 0, 0] + [UInt8((byteCount - 40) >> 8), UInt8((byteCount - 40) & 255), 17, 64]
                + address(own) + address(other) + payload(byteCount - 40, serial)
        }
        return [0x45, 0, UInt8(byteCount >> 8), UInt8(byteCount & 255), 0, 0, 0, 0, 64, 17, 0, 0]
            + [10, own, 0, 9, 10, other, 0, 9] + payload(byteCount - 20, serial)
    }

    private static func payload(_ count: Int, _ serial: Int) -> [UInt8] {
        [0x10, 0, 0x20, 0, UInt8(count >> 8), UInt8(count & 255), 0, 0]
            + (0..<4).map { UInt8(truncatingIfNeeded: serial >> (24 - 8 * $0)) }
            + [UInt8](repeating: 7, count: count - 12)
    }

    /// A host behind a gateway sends; any of the workers reads it.
    func send(_ bytes: [UInt8], from side: Int) {
        let worker = Int.random(in: 0..<gateways[side].workers.count, using: &generator)
        gateways[side].receiveInside(bytes, worker: worker, now: now)
        collect()
    }

    /// A gateway loses its memory: it is stopped without a word, and starts again.
    func restart(_ side: Int) throws {
        gateways[side] = try SimulatedGateway(
            configurations[side], workerCount: gateways[side].workers.count, seed: generator.next(), now: now,
            address: addresses[side])
        gateways[side].start(now: now)
        collect()
    }

    func tell(_ side: Int, _ body: (SimulatedGateway, Instant) throws -> Void) rethrows {
        try body(gateways[side], now)
        collect()
    }

    /// Runs for `duration`.
    func run(_ duration: Duration) { run(atMost: duration) { _ in false } }

    /// Runs until `done` says so, for `limit` at most; whether it did.
    @discardableResult
    func run(atMost limit: Duration, until done: (GatewayPair) -> Bool) -> Bool {
        let end = now + limit
        while !done(self) {
            let deadline = gateways.reduce(nil as Instant?) { earliest($0, $1.nextDeadline) }
            guard let next = earliest(flights.next, deadline), next <= end else {
                now = end
                return done(self)
            }
            now = max(now, next)
            if let arrival = flights.next, arrival <= now, let datagram = flights.popFirst() {
                if let side = addresses.firstIndex(of: datagram.to.address) {
                    gateways[side].receive(datagram, now: now)
                }
            } else {
                for gateway in gateways where gateway.nextDeadline.map({ $0 <= now }) ?? false {
                    gateway.handleTimeout(now: now)
                }
            }
            collect()
        }
        return true
    }

    /// The serial numbers of what came out of a gateway.
    func serials(_ side: Int) -> [Int] {
        delivered[side].map { bytes in
            let offset = (bytes[0] >> 4 == 6 ? 40 : 20) + 8
            return bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
        }
    }

    private func collect() {
        for side in gateways.indices {
            delivered[side] += gateways[side].delivered
            gateways[side].delivered.removeAll()
            for datagram in gateways[side].outgoing {
                datagrams += 1
                if tamper?(datagram) == true || generator.chance(faults.loss) { continue }
                for _ in 0..<(generator.chance(faults.duplication) ? 2 : 1) {
                    var arrival = now + faults.delay
                    if generator.chance(faults.reordering) {
                        let most = Int(faults.delayMaximum / .milliseconds(1))
                        arrival += .milliseconds(Int.random(in: 0...most, using: &generator))
                    }
                    flights.insert(datagram, arrival: arrival)
                }
            }
            gateways[side].outgoing.removeAll()
        }
    }
}
