import ESP
import Wire

@testable import Gateway

/// Two machines that send each other packets of their own. The first one runs the gateway; the other one runs another, or
/// has no IPsec at all. Each machine's system does with a packet what the gateway's policy has it told: to the TUN interface,
/// in clear, or nowhere.
final class HostPair {
    /// The port of the first machine that packets are about, and of the other.
    static let ports: [UInt16] = [5000, 6000]

    let pair: GatewayPair
    let hasIPsec: Bool
    /// Serial numbers of packets that came in clear and were let in, by machine.
    private(set) var heardInClear: [[Int]] = [[], []]
    /// Serial numbers of packets that were not let out, or not in.
    private(set) var blocked: [[Int]] = [[], []]

    /// - Parameters:
    ///   - policies: Each machine's `policy:`, and what is beside it; the other machine's counts only where it has IPsec.
    init(_ policies: [String], hasIPsec: Bool = true, addresses: [IPAddress] = GatewayPair.addresses) throws {
        self.hasIPsec = hasIPsec
        pair = try GatewayPair(policies, addresses: addresses)
        // Until the workers have what the policies come to.
        pair.run(.milliseconds(1))
        guard !hasIPsec else { return }
        pair.tamper = { $0.to.address == addresses[1] || $0.from.address == addresses[1] }
    }

    /// A policy with one rule about UDP between the ports of both machines.
    static func rule(_ action: String, from side: Int, use: String = "secure-server", more: String = "") -> String {
        """
        policy:
          use: \(use)
          filterLists:
            - name: both
              filters:
                - {source: my-address, sourcePort: \(ports[side]), destination: "\(GatewayPair.addresses[1 - side])",
                   protocol: udp, destinationPort: \(ports[1 - side])}
        \(more)
          rules:
            - {name: both, filterList: both, filterAction: \(action), connection: lan}
        """
    }

    var gateway: SimulatedGateway { pair.gateways[0] }

    /// Serial numbers of packets that came to a machine by an SA.
    func heardSecured(_ side: Int) -> [Int] { pair.serials(side) }

    /// Runs until packets with `serials` have come to a machine by SAs; whether they did. What is told of it between the
    /// gateway's threads has arrived then, too.
    func hears(_ serials: [Int], at side: Int, within limit: Duration = .seconds(5)) -> Bool {
        let isHeard = pair.run(atMost: limit) { _ in heardSecured(side) == serials }
        pair.run(.milliseconds(1))
        return isHeard
    }

    /// A program on a machine sends a packet to the other machine.
    func send(_ serial: Int, from side: Int, ports: [UInt16]? = nil, protocolNumber: UInt8 = 17) {
        let ports = ports ?? [Self.ports[side], Self.ports[1 - side]]
        let flow = PacketFlow(
            source: pair.addresses[side], destination: pair.addresses[1 - side], protocolNumber: protocolNumber,
            sourcePort: ports[0], destinationPort: ports[1])
        guard side == 0 || hasIPsec else { return arrive(serial, flow, at: 0) }
        let gateway = pair.gateways[side]
        if gateway.plane.isDiverted(flow) { return pair.send(Self.packet(flow, serial), from: side) }
        guard Self.isClear(gateway.plane.policy.table, flow, .outbound) else { return blocked[side].append(serial) }
        arrive(serial, flow, at: 1 - side)
    }

    /// A packet in clear reaches a machine.
    private func arrive(_ serial: Int, _ flow: PacketFlow, at side: Int) {
        guard side == 0 || hasIPsec, !Self.isClear(pair.gateways[side].plane.policy.table, flow, .inbound) else {
            return heardInClear[side].append(serial)
        }
        blocked[side].append(serial)
    }

    private static func isClear(_ table: PolicyTable, _ flow: PacketFlow, _ direction: PolicyDirection) -> Bool {
        let verdict = table.ask(flow, direction)
        return verdict.treatment == .permit || verdict.treatment == .secure && verdict.mayGoInClear
    }

    private static func packet(_ flow: PacketFlow, _ serial: Int) -> [UInt8] {
        let payload =
            be16(Int(flow.sourcePort ?? 0)) + be16(Int(flow.destinationPort ?? 0)) + be16(32) + [0, 0] + be32(serial)
            + [UInt8](repeating: 7, count: 20)
        return [0x45, 0, 0, UInt8(20 + payload.count), 0, 0, 0, 0, 64, flow.protocolNumber, 0, 0] + flow.source.octets
            + flow.destination.octets + payload
    }
}
