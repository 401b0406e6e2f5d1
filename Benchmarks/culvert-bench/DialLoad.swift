import Cryptography
import IKE
import IO
import Wire

/// Many clients on two sockets, each with an address of its own.
final class DialLoad {
    /// What came of a run.
    struct Result {
        var done = 0
        var failed = 0
        var seconds = 0.0
    }

    private static let batchCapacity = 64
    private static let packetSizeMaximum = 2048
    private static let marker: [UInt8] = [0, 0, 0, 0]
    /// A dial-in that takes longer has failed.
    private static let patience = Duration.seconds(5)

    private struct Client {
        var initiator: TestInitiator
        let begun: Instant
        var hasAsked = false
    }

    private let server: IPv4Address
    private let network: IPv4Network
    private let preSharedKey: [UInt8]
    private let plain: UDPSocket
    private let encapsulated: UDPSocket
    private let poller: Poller
    private var incoming = PacketBatch(capacity: batchCapacity, packetSizeMaximum: packetSizeMaximum)
    private var outgoing = PacketBatch(capacity: batchCapacity, packetSizeMaximum: packetSizeMaximum)
    private var clients: [IPv4Address: Client] = [:]
    private var lastHost: UInt32 = 0

    init(server: IPv4Address, network: IPv4Network, preSharedKey: [UInt8]) throws {
        (self.server, self.network, self.preSharedKey) = (server, network, preSharedKey)
        plain = try UDPSocket(port: 500, batchCapacity: Self.batchCapacity)
        encapsulated = try UDPSocket(port: 4500, batchCapacity: Self.batchCapacity)
        poller = try Poller()
        try poller.add(plain, token: 0)
        try poller.add(encapsulated, token: 1)
    }

    /// Keeps `inFlight` clients dialling in for `duration`, or until `staying` of them are in and stay; otherwise each
    /// hangs up when it is in, by Deletes.
    func run(
        _ group: DiffieHellmanGroup, inFlight: Int, duration: Duration, staying: Int? = nil
    ) throws -> Result {
        let begun = SystemClock.now
        let end = begun + duration
        var result = Result()
        clients.removeAll()
        var now = begun
        while now < end, staying.map({ result.done < $0 }) ?? true {
            while clients.count < inFlight { begin(group, now: now) }
            flush()
            let ready = poller.wait(until: earliest(end, now + .milliseconds(100)))
            now = SystemClock.now
            if ready.isEmpty { expire(now: now, &result) }
            if ready.contains(0) { receive(plain, now: now, hangsUp: staying == nil, &result) }
            if ready.contains(1) { receive(encapsulated, now: now, hangsUp: staying == nil, &result) }
        }
        flush()
        result.seconds = Double(now.nanoseconds - begun.nanoseconds) / 1e9
        return result
    }

    private func begin(_ group: DiffieHellmanGroup, now: Instant) {
        // The network's own address is nobody's.
        lastHost = lastHost % ((UInt32.max >> UInt32(network.prefixLength)) - 1) + 1
        let address = IPv4Address(network.address.value + lastHost)
        var settings = DialCrowd.settings(group, at: address)
        settings.preSharedKey = preSharedKey
        settings.own = Endpoint(IPv4Address(192, 168, 1, 2), 500)
        settings.server = Endpoint(server, 500)
        settings.selectors[1] = [1, 17, 6, 165] + server.octets
        var client = Client(initiator: TestInitiator(settings, seed: UInt64(address.value)), begun: now)
        client.initiator.start(now: now)
        send(&client, at: address)
        clients[address] = client
    }

    private func expire(now: Instant, _ result: inout Result) {
        for address in Array(clients.keys) {
            guard var client = clients[address] else { continue }
            if client.begun + Self.patience < now {
                clients[address] = nil
                result.failed += 1
                continue
            }
            client.initiator.handleTimeout(now: now)
            send(&client, at: address)
            clients[address] = client
        }
    }

    private func receive(_ socket: UDPSocket, now: Instant, hangsUp: Bool, _ result: inout Result) {
        incoming.reset()
        _ = socket.receive(into: &incoming)
        for position in 0..<incoming.count {
            let packet = incoming[position]
            guard case .v4(let address) = packet.path.local, var client = clients[address] else { continue }
            var message = [UInt8](copying: packet.span)
            if socket === encapsulated {
                guard message.starts(with: Self.marker) else { continue }
                message.removeFirst(Self.marker.count)
            }
            client.initiator.receive(message, now: now)
            if client.initiator.phase == .established, !client.hasAsked {
                client.hasAsked = true
                client.initiator.startQuickMode(now: now)
            }
            let child = client.initiator.children.first
            if hangsUp, let child { hangUp(&client, child, now: now) }
            send(&client, at: address)
            clients[address] = child == nil ? client : nil
            result.done += child == nil ? 0 : 1
        }
    }

    private func hangUp(_ client: inout Client, _ child: TestInitiator.Child, now: Instant) {
        let deletes = [client.initiator.deletePayload(spis: [child.inboundSPI]), client.initiator.deleteIKEPayload]
        for delete in deletes {
            let message = client.initiator.informational([delete])
            client.initiator.send(message, retransmit: false, now: now)
        }
    }

    private func send(_ client: inout Client, at address: IPv4Address) {
        for item in client.initiator.outbox {
            let bytes = item.floated ? Self.marker + item.bytes : item.bytes
            guard bytes.count <= Self.packetSizeMaximum else { continue }
            if outgoing.count == Self.batchCapacity { flush() }
            let slot = outgoing.count
            outgoing.count += 1
            outgoing[slot].start.copyMemory(from: bytes, byteCount: bytes.count)
            outgoing[slot].count = bytes.count
            outgoing[slot].path = OuterPath(
                remote: Endpoint(server, item.floated ? 4500 : 500), local: .v4(address))
            _ = (item.floated ? encapsulated : plain).stage(outgoing[slot])
        }
        client.initiator.outbox.removeAll()
    }

    private func flush() {
        _ = plain.flush()
        _ = encapsulated.flush()
        outgoing.reset()
    }
}
