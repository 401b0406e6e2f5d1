import Wire

/// Why a range of addresses cannot be a pool.
public enum AddressPoolError: Error, Equatable, Sendable {
    /// The first address is behind the last.
    case emptyRange
    /// More addresses than ``AddressPool/sizeMaximum``.
    case tooLarge
}

/// The inner addresses that clients get.
///
/// An address that was free the longest is leased first, so that none is used again at once; a user gets his last one
/// again if it is still free. Every operation takes constant time.
public struct AddressPool: Sendable {
    /// The addresses of a /8: more than a gateway can ever have sessions.
    public static let sizeMaximum = 1 << 24

    /// The first address.
    public let first: IPv4Address
    /// The last address.
    public let last: IPv4Address

    private enum Holder: Sendable {
        /// Leased to a user.
        case leased(user: String)
        /// Free, last held by a user.
        case free(lastUser: String)
    }

    /// The offset of the first address that was never leased: these come before the ones that are free again.
    private var untouched: Int = 0
    /// Offsets that were leased and are free again, the one that is free the longest in front.
    private var released = IndexQueue()
    private var holders: [Int: Holder] = [:]
    private var lastOffset: [String: Int] = [:]
    /// Addresses, in the range or out of it, that are only leased by name.
    private var reserved: Set<IPv4Address> = []
    private var fixedLeases: Set<IPv4Address> = []
    private var leasedFromRange = 0
    private var reservedInRange = 0

    /// The pool of `first` to `last`, both included. `reserved` (our own address, users' fixed ones) is only leased by
    /// `leaseFixed`.
    public init(
        first: IPv4Address, last: IPv4Address, reserved: [IPv4Address] = []
    ) throws(AddressPoolError) {
        guard first <= last else { throw .emptyRange }
        guard last.value - first.value < Self.sizeMaximum else { throw .tooLarge }
        (self.first, self.last) = (first, last)
        for address in reserved { reserve(address) }
    }

    /// How many addresses `lease` could have given out in all.
    public var size: Int { Int(last.value - first.value) + 1 - reservedInRange }

    /// How many are leased now, fixed ones included.
    public var leasedCount: Int { leasedFromRange + fixedLeases.count }

    /// Keeps an address for `leaseFixed`. One that is leased now stays so until it is released.
    public mutating func reserve(_ address: IPv4Address) {
        guard reserved.insert(address).inserted, let offset = offset(of: address) else { return }
        reservedInRange += 1
        released.remove(Int32(offset))
    }

    /// Gives a reserved address back to the range.
    public mutating func unreserve(_ address: IPv4Address) {
        guard reserved.remove(address) != nil, let offset = offset(of: address) else { return }
        reservedInRange -= 1
        guard offset < untouched, !fixedLeases.contains(address) else { return }
        if case .leased = holders[offset] { return }
        released.append(Int32(offset))
    }

    /// An address for `user`: his last one if it is free, or the one that was free the longest; nil when all are leased.
    public mutating func lease(for user: String) -> IPv4Address? {
        guard let offset = freeOffset(for: user) else { return nil }
        if case .free(let lastUser) = holders[offset], lastUser != user { lastOffset[lastUser] = nil }
        released.remove(Int32(offset))
        holders[offset] = .leased(user: user)
        leasedFromRange += 1
        return IPv4Address(first.value + UInt32(offset))
    }

    /// Leases a reserved address. False when it is leased already, or not reserved.
    public mutating func leaseFixed(_ address: IPv4Address) -> Bool {
        guard reserved.contains(address), !isLeased(address) else { return false }
        fixedLeases.insert(address)
        return true
    }

    /// Whether an address is leased.
    public func isLeased(_ address: IPv4Address) -> Bool {
        if fixedLeases.contains(address) { return true }
        if let offset = offset(of: address), case .leased = holders[offset] { return true }
        return false
    }

    /// Takes a leased address back. False when it was not leased.
    @discardableResult
    public mutating func release(_ address: IPv4Address) -> Bool {
        if fixedLeases.remove(address) != nil {
            // Reserved no longer: it joins the range.
            if !reserved.contains(address), let offset = offset(of: address), offset < untouched {
                released.append(Int32(offset))
            }
            return true
        }
        guard let offset = offset(of: address), case .leased(let user) = holders[offset] else { return false }
        leasedFromRange -= 1
        // A user of several sessions remembers the address that he gave back last; the others go to anybody.
        if let older = lastOffset.updateValue(offset, forKey: user), older != offset,
            case .free(lastUser: user) = holders[older]
        {
            holders[older] = nil
        }
        holders[offset] = .free(lastUser: user)
        if !reserved.contains(address) { released.append(Int32(offset)) }
        return true
    }

    private mutating func freeOffset(for user: String) -> Int? {
        if let offset = lastOffset[user], released.contains(Int32(offset)) { return offset }
        while untouched < Int(last.value - first.value) + 1 {
            let offset = untouched
            untouched += 1
            let address = IPv4Address(first.value + UInt32(offset))
            if !reserved.contains(address), !fixedLeases.contains(address) { return offset }
        }
        return released.first.map(Int.init)
    }

    private func offset(of address: IPv4Address) -> Int? {
        address >= first && address <= last ? Int(address.value - first.value) : nil
    }
}
