import CLinux
import Wire

/// Which address of ours the system sends from.
public enum SourceAddress {
    /// The address that packets to `remote` leave from, as routes and rules are now; nil where none leads there. Nothing is
    /// sent.
    ///
    /// - Parameter mark: The mark of our sockets, if they are marked.
    public static func toward(_ remote: IPAddress, mark: UInt32 = 0) -> IPAddress? {
        var (high, low): (UInt64, UInt64) =
            switch remote {
            case .v4(let address): (0, UInt64(address.value))
            case .v6(let address): (address.high, address.low)
            }
        guard culvert_source_address(remote.version, &high, &low, mark) == 0 else { return nil }
        return remote.version == 4
            ? .v4(IPv4Address(UInt32(truncatingIfNeeded: low))) : .v6(IPv6Address(high: high, low: low))
    }
}
