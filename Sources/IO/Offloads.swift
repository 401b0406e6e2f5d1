/// Which work the system may do for many packets at once. Each can be missing or switched off alone; nothing but speed depends
/// on it.
public struct Offloads: OptionSet, Hashable, Sendable, CustomStringConvertible {
    /// One bit for each.
    public let rawValue: UInt8

    /// Those whose bits are set.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Datagrams of one flow and size go out as one message (UDP_SEGMENT).
    public static let udpSegmentation = Offloads(rawValue: 1)
    /// Datagrams of one flow and size come in together (UDP_GRO).
    public static let udpCoalescing = Offloads(rawValue: 1 << 1)
    /// TCP segments and UDP datagrams of one flow come from the TUN interface as one packet, which we cut (TSO, USO).
    public static let tunSegmentation = Offloads(rawValue: 1 << 2)
    /// TCP segments and UDP datagrams of one flow go to the TUN interface as one packet.
    public static let tunCoalescing = Offloads(rawValue: 1 << 3)

    /// No help.
    public static let none: Offloads = []
    /// All there is.
    public static let all: Offloads = [.udpSegmentation, .udpCoalescing, .tunSegmentation, .tunCoalescing]

    /// Their names.
    public var description: String {
        isEmpty ? "none" : Self.named.filter { contains($0.value) }.map(\.key).joined(separator: ", ")
    }

    /// Each by the name that the configuration has for it.
    public static let named: KeyValuePairs<String, Offloads> = [
        "udpSegmentation": .udpSegmentation, "udpCoalescing": .udpCoalescing, "tunSegmentation": .tunSegmentation,
        "tunCoalescing": .tunCoalescing,
    ]
}
