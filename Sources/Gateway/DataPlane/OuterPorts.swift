import IO
import Wire

/// A worker's outer sockets of one IP version. A class, so that whoever takes it for a packet counts one reference at most.
final class OuterPorts {
    /// UDP 4500, shared by all workers and steered by SPI.
    let encapsulated: UDPSocket
    /// UDP 4500 out only, for IPv4 packets that are not to be fragmented.
    let unfragmented: UDPSocket?
    /// UDP 500; the worker ``IKEPort/worker`` has it.
    let ike: UDPSocket?
    /// IP protocol 50.
    let raw: RawSocket
    /// IP protocol 51. What is sent brings its IP header, and goes by ``whole``.
    let authenticated: RawSocket
    /// Out only: packets that bring their IP header.
    let whole: PacketSocket

    init(
        encapsulated: UDPSocket, unfragmented: UDPSocket?, ike: UDPSocket?, raw: RawSocket, authenticated: RawSocket,
        whole: PacketSocket
    ) {
        (self.encapsulated, self.unfragmented, self.ike) = (encapsulated, unfragmented, ike)
        (self.raw, self.authenticated, self.whole) = (raw, authenticated, whole)
    }

    /// The numbers of the sockets of one version for a poller.
    struct Tokens {
        let encapsulated: Int
        let ike: Int
        let raw: Int
        let authenticated: Int

        /// How many numbers a version takes.
        static let count = 4

        /// Numbers from `first` on.
        init(from first: Int) { (encapsulated, ike, raw, authenticated) = (first, first + 1, first + 2, first + 3) }
    }

    func add(to poller: Poller, _ tokens: Tokens) throws(SystemError) {
        try poller.add(encapsulated, token: tokens.encapsulated)
        if let ike { try poller.add(ike, token: tokens.ike) }
        try poller.add(raw, token: tokens.raw)
        try poller.add(authenticated, token: tokens.authenticated)
    }

    /// Puts a packet with those that ``flush()`` sends. False: it goes by UDP 500, which is another worker's.
    func stage(_ disposition: Disposition, _ packet: Packet) -> Bool {
        if packet.outer.bringsHeader {
            _ = whole.stage(packet)
            return true
        }
        if packet.outer.doNotFragment, case .v4(let remote) = packet.path.remote.address {
            if case .sendInUDP = disposition {
                _ = (unfragmented ?? encapsulated).stage(packet)
            } else {
                stageWhole(disposition, packet, to: remote)
            }
            return true
        }
        switch disposition {
        case .sendInUDP: _ = encapsulated.stage(packet)
        case .sendRaw: _ = raw.stage(packet)
        case .sendInUDPOfIKE:
            guard let ike else { return false }
            _ = ike.stage(packet)
        case .done, .deliver, .sendClear, .handOver, .tooLarge: break
        }
        return true
    }

    /// The headers that the system writes behind the other sockets let IPv4 packets be fragmented: this one is ours to write.
    private func stageWhole(_ disposition: Disposition, _ packet: Packet, to remote: IPv4Address) {
        var packet = packet
        var protocolNumber = IPProtocol.udp
        switch disposition {
        case .sendInUDPOfIKE: packet.prependUDPHeader(from: IKEPort.plain)
        case .sendRaw: protocolNumber = IPProtocol.esp
        case .done, .deliver, .sendInUDP, .sendClear, .handOver, .tooLarge: return
        }
        let local = if case .v4(let address) = packet.path.local { address } else { IPv4Address.any }
        packet.prependIPv4Header(
            protocolNumber: protocolNumber, from: local, to: remote, trafficClass: packet.outer.trafficClass)
        _ = whole.stage(packet)
    }

    /// Sends what was staged.
    func flush() {
        _ = encapsulated.flush()
        _ = unfragmented?.flush()
        _ = raw.flush()
        _ = ike?.flush()
        _ = whole.flush()
    }

    /// How many packets the sockets dropped.
    var dropTotal: UInt64 {
        encapsulated.drops.total &+ (unfragmented?.drops.total ?? 0) &+ (ike?.drops.total ?? 0) &+ raw.drops.total
            &+ authenticated.drops.total &+ whole.drops.total
    }

    /// What the sockets dropped.
    var drops: (udp: PacketDropCounters, ike: PacketDropCounters, raw: PacketDropCounters) {
        var udp = encapsulated.drops
        if let unfragmented { udp.add(unfragmented.drops) }
        var outside = raw.drops
        outside.add(authenticated.drops)
        outside.add(whole.drops)
        return (udp, ike?.drops ?? PacketDropCounters(), outside)
    }
}
