import CLinux
import Glibc
import Wire

/// A TUN interface with one queue per worker. The interface, its addresses and its routes end with the last queue.
public final class TUNDevice: Sendable {
    /// The name of the interface, as the system has it.
    public let name: String
    private let descriptors: [FileDescriptor]

    private let offloads: Offloads
    /// Which of the offloads that were wanted the system does not have.
    public let missing: Offloads

    /// Makes the interface `name` ("culvert0"; with "culvert%d", a free number is found) with `queues` queues, which use
    /// those of `offloads` that the system has.
    ///
    /// - Parameter exclusive: Refuses an interface that is there already (`EBUSY`), which may be another gateway's.
    public init(
        name: String, queues: Int = 1, exclusive: Bool = true, offloads: Offloads = .none
    ) throws(SystemError) {
        precondition(queues > 0)
        let (first, actual) = try Self.open(name, exclusive: exclusive)
        var descriptors = [first]
        while descriptors.count < queues { descriptors.append(try Self.open(actual, exclusive: false).0) }
        self.name = actual
        self.descriptors = descriptors
        let wantsLarge = offloads.contains(.tunSegmentation)
        // UDP in segments came much later than TCP.
        let hasLarge =
            wantsLarge
            && (culvert_tun_accept_large(first.descriptor, true, true) >= 0
                || culvert_tun_accept_large(first.descriptor, true, false) >= 0)
        missing = wantsLarge && !hasLarge ? .tunSegmentation : .none
        self.offloads = offloads.subtracting(missing)
    }

    /// How many queues the interface has.
    public var queueCount: Int { descriptors.count }

    /// Queue `index`, for one worker, with a reader and a writer of its own, for batches of at most `batchCapacity` packets.
    public func queue(_ index: Int, batchCapacity: Int = TUNQueue.batchCapacityUsual) -> TUNQueue {
        TUNQueue(device: descriptors[index], offloads: offloads, batchCapacity: batchCapacity)
    }

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
