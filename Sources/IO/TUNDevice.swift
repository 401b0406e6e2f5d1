import CLinux
import Glibc
import Wire

/// A TUN interface with one queue per worker. The interface, its addresses and its routes end with the last queue.
public final class TUNDevice: Sendable {
    /// The name of the interface, as the system has it.
    public let name: String
    private let descriptors: [FileDescriptor]

    /// Makes the interface `name` ("culvert0"; with "culvert%d", a free number is found) with `queues` queues.
    ///
    /// - Parameter exclusive: Refuses an interface that is there already (`EBUSY`), which may be another gateway's.
    public init(name: String, queues: Int = 1, exclusive: Bool = true) throws(SystemError) {
        precondition(queues > 0)
        let (first, actual) = try Self.open(name, exclusive: exclusive)
        var descriptors = [first]
        while descriptors.count < queues { descriptors.append(try Self.open(actual, exclusive: false).0) }
        self.name = actual
        self.descriptors = descriptors
    }

    /// How many queues the interface has.
    public var queueCount: Int { descriptors.count }

    /// Queue `index`, for one worker, with a reader and a writer of its own.
    public func queue(_ index: Int) -> TUNQueue { TUNQueue(device: descriptors[index]) }

    private static func open(_ name: String, exclusive: Bool) throws(SystemError) -> (FileDescriptor, String) {
        var actual = [CChar](repeating: 0, count: Int(IFNAMSIZ))
        let returned = culvert_tun_open(name, exclusive, &actual)
        let descriptor = try checked(returned, "open TUN interface \(name)", advice: advice(for: -returned))
        let bytes = actual.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        return (FileDescriptor(owning: descriptor), String(decoding: bytes, as: UTF8.self))
    }

    private static func advice(for number: Int32) -> String? {
        switch number {
        case ENOENT, ENODEV, ENXIO: "/dev/net/tun is missing; a container needs --device /dev/net/tun"
        case EPERM, EACCES: "needs the capability CAP_NET_ADMIN, and read and write access to /dev/net/tun"
        case EBUSY: "an interface of this name exists; is another gateway running?"
        case EINVAL: "an interface of this name exists and is not a TUN interface of several queues"
        default: nil
        }
    }
}

/// One queue of a TUN interface, owned by one worker: IP packets that the system routes to us, and those that we give it.
public final class TUNQueue: Pollable {
    /// Packets dropped between the kernel and us.
    public private(set) var drops = PacketDropCounters()
    /// Whether the interface was taken away from under us. Nothing comes or goes any more.
    public private(set) var isGone = false

    private let device: FileDescriptor

    init(device: FileDescriptor) { self.device = device }

    /// The descriptor, for a ``Poller``.
    public var descriptor: Int32 { device.descriptor }

    /// Receives IP packets into the free slots of `batch` until there are none, without waiting. Returns how many came.
    public func receive(into batch: inout PacketBatch) -> Int {
        let first = batch.count
        // A bound on system calls as well as on packets, so that failures cannot keep us here.
        for _ in first..<batch.capacity {
            // The kernel cuts off silently what does not fit: one byte of tailroom tells.
            let count = read(descriptor, batch[batch.count].start, batch.packetSizeMaximum + 1)
            guard count > 0 else {
                isGone = count < 0 && errno == EBADFD
                break
            }
            guard count <= batch.packetSizeMaximum else {
                drops.count(.truncated)
                continue
            }
            batch[batch.count].count = count
            batch[batch.count].path = .none
            batch.count += 1
        }
        return batch.count - first
    }

    /// Gives the system `packets` as if they had come in on the interface. Returns how many it took; the others are in
    /// ``drops``.
    public func send(_ packets: Span<Packet>) -> Int {
        var sent = 0
        for index in packets.indices where send(packets[index]) { sent += 1 }
        return sent
    }

    /// Gives the system all packets of `batch`. Returns how many it took; the others are in ``drops``.
    public func send(_ batch: borrowing PacketBatch) -> Int {
        var sent = 0
        for index in 0..<batch.count where send(batch[index]) { sent += 1 }
        return sent
    }

    private func send(_ packet: Packet) -> Bool {
        guard write(descriptor, packet.start, packet.count) < 0 else { return true }
        let number = errno
        if number == EBADFD { isGone = true }
        drops.count(number == EIO ? .unreachable : PacketDrop(sendError: number))
        return false
    }
}
