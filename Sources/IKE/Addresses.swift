import Wire

extension AddressRange {
    /// How many leading bits all addresses have in common: of two that contain an address, the one with more says more
    /// about it.
    var commonPrefixLength: Int {
        var count = 0
        for (low, high) in zip(first.octets, last.octets) {
            let difference = low ^ high
            count += difference.leadingZeroBitCount
            if difference != 0 { break }
        }
        return count
    }
}

extension IPAddress {
    /// What stands for one host where things are counted by address: who has one IPv6 address has its /64.
    var counted: IPAddress {
        switch self {
        case .v4: self
        case .v6(let address): .v6(IPv6Address(high: address.high, low: 0))
        }
    }
}
