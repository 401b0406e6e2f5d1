import CLinux
import Glibc
import Wire

/// Sends IP packets of one version that begin with their own header, for AH, which covers it, and where the header must say
/// "don't fragment". Owned by one worker; nothing comes in.
///
/// The system does not cut such packets. One that is too large for the interface it leaves by is cut here, if it may be.
public final class PacketSocket {
    /// What fits through when the system does not tell: the least that hosts must take (RFC 791, RFC 8200).
    private static let minimumMTU = (v4: 576, v6: 1280)

    /// IPPROTO_RAW: a socket of it sends whatever protocol the header names.
    private static let anyProtocol: Int32 = 255

    /// Packets that did not go.
    public private(set) var drops = PacketDropCounters()

    private let socket: FileDescriptor
    private let version: UInt8
    private let mark: UInt32
    private let outgoing: DatagramBatch
    private let staging: PacketBatch
    private let piece: PacketBatch
    private var staged = 0
    private var identification = UInt32.random(in: 0...UInt32.max)

    /// Opens a socket for IP version `version`, whose packets are marked if `mark` is not 0.
    public init(version: UInt8, mark: UInt32 = 0, batchCapacity: Int = 64) throws(SystemError) {
        let returned = culvert_socket(version, true, Self.anyProtocol)
        let descriptor = try checked(
            returned, "open a raw socket for packets with headers",
            advice: returned == -EPERM ? "raw sockets need the capability CAP_NET_RAW" : nil)
        socket = FileDescriptor(owning: descriptor)
        // What says that it is of this protocol is nothing to us.
        try socket.closeToIncoming()
        if version == 4 { try checked(culvert_set_header_included(descriptor), "send packets with headers") }
        try checked(
            culvert_set_buffers(descriptor, Int32(DatagramSocket.bufferBytesWanted)), "size the socket's buffers")
        if mark != 0 {
            try checked(
                culvert_set_mark(descriptor, mark), "mark a socket", advice: "needs the capability CAP_NET_ADMIN")
        }
        (self.version, self.mark) = (version, mark)
        outgoing = try DatagramBatch(capacity: batchCapacity)
        staging = PacketBatch(capacity: batchCapacity, packetSizeMaximum: 0)
        piece = PacketBatch(capacity: 1, packetSizeMaximum: Self.packetSizeMaximum)
    }

    /// The largest interface MTU that pieces are made for.
    private static let packetSizeMaximum = 9216

    /// Puts `packet`, which begins with its IP header, with those that the next ``flush()`` sends to `path.remote`; its bytes
    /// must stay where they are until then. Returns how many packets went because a batch was full.
    public func stage(_ packet: Packet) -> Int {
        let sent = staged == outgoing.capacity ? flush() : 0
        var addressed = packet
        // The header says all the rest, and raw sockets of IPv6 refuse ports.
        addressed.path.remote.port = 0
        addressed.outer.trafficClass = 0
        addressed.outer.doNotFragment = false
        outgoing.stage(addressed, at: staged)
        staging[staged] = addressed
        staged += 1
        return sent
    }

    /// Sends what was staged. Returns how many packets went; the others are in ``drops``.
    public func flush() -> Int {
        let count = staged
        staged = 0
        var (next, sent) = (0, 0)
        while next < count {
            let returned = outgoing.send(next..<count, to: socket.descriptor)
            if returned > 0 {
                next += Int(returned)
                sent += Int(returned)
                continue
            }
            let reason = PacketDrop(sendError: -returned)
            if reason == .queueFull {
                drops.count(.queueFull, count - next)
                break
            }
            if reason == .tooLarge, sendInPieces(staging[next]) {
                sent += 1
            } else {
                drops.count(reason)
            }
            next += 1
        }
        return sent
    }

    /// Only where the interface takes less than the SA's packets have, which its MTU is made to avoid: slow is right.
    private func sendInPieces(_ packet: Packet) -> Bool {
        let mtu = min(PathMTU.ofSystem(packet.path, mark: mark) ?? leastMTU, Self.packetSizeMaximum)
        if let header = IPv4Header(packet) {
            guard !header.doNotFragment, var pieces = IPv4Fragmenter(packet, header, mtuBytes: mtu) else {
                return false
            }
            while pieces.next(into: &piece[0]) {
                guard sendPiece(along: packet.path) else { return false }
            }
            return true
        }
        guard let header = IPv6Header(packet) else { return false }
        identification &+= 1
        guard
            var pieces = IPv6Fragmenter(packet, header, mtuBytes: mtu, identification: identification)
        else { return false }
        while pieces.next(into: &piece[0]) {
            guard sendPiece(along: packet.path) else { return false }
        }
        return true
    }

    private func sendPiece(along path: OuterPath) -> Bool {
        var datagram = culvert_datagram(start: piece[0].start, count: piece[0].count, path: path)
        return culvert_datagram_send(socket.descriptor, &datagram) >= 0
    }

    private var leastMTU: Int { version == 6 ? Self.minimumMTU.v6 : Self.minimumMTU.v4 }
}
