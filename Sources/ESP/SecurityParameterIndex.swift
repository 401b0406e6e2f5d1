import Wire

/// A security parameters index: the number in each ESP packet that names the SA at its receiver.
///
/// Ours are laid out so that a packet finds its SA in one step: some bits say which worker owns the SA, some which slot of
/// that worker's table holds it. Slots are drawn at random among many more than are used, and the bits that are left are
/// random, so an outsider cannot guess one. Any receiver may do so (RFC 4301 section 4.1: the SPI has local meaning only).
public struct SecurityParameterIndex: Hashable, Sendable, CustomStringConvertible {
    /// 1 to 255 are reserved, 0 is never sent (RFC 4303 section 2.1).
    public static let lowestUsable: UInt32 = 256
    /// Where the worker's number begins.
    public static let workerShift = 18
    /// The bits of the worker's number.
    public static let workerBits = 5
    /// How many slots each worker has.
    public static let slotCount = 1 << workerShift
    /// The most workers there can be.
    public static let workerCountMaximum = 1 << workerBits

    /// The number as it travels.
    public let value: UInt32

    /// The index with the number `value`.
    @inlinable public init(_ value: UInt32) { self.value = value }

    /// The index of `slot` at `worker`, whose free bits come from `entropy`; nil where that gives a reserved one.
    public init?(worker: Int, slot: Int, entropy: UInt32) {
        guard (0..<Self.workerCountMaximum).contains(worker), (0..<Self.slotCount).contains(slot) else { return nil }
        let free = entropy << UInt32(Self.workerShift + Self.workerBits)
        value = free | UInt32(worker) << UInt32(Self.workerShift) | UInt32(slot)
        guard value >= Self.lowestUsable else { return nil }
    }

    /// The worker that owns the SA.
    @inlinable public var worker: Int { Int(value >> UInt32(Self.workerShift)) & (Self.workerCountMaximum - 1) }

    /// The slot in that worker's table.
    @inlinable public var slot: Int { Int(value) & (Self.slotCount - 1) }

    /// Eight hexadecimal digits.
    public var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

/// Gives out security parameters indexes and takes them back. It lives with the control loop, which makes every SA.
public struct SecurityParameterIndexAllocator: Sendable {
    /// At most half of a worker's slots are used, so that a random one is soon found and stays hard to guess.
    public static let usedMaximum = SecurityParameterIndex.slotCount / 2

    private var used: [Set<UInt32>]

    /// An allocator for `workerCount` workers.
    public init(workerCount: Int) { used = Array(repeating: [], count: workerCount) }

    /// How many indexes a worker has in use.
    public func count(worker: Int) -> Int { used[worker].count }

    /// A fresh index of `worker`; nil when it has too many.
    public mutating func allocate(
        worker: Int, using generator: inout some RandomNumberGenerator
    ) -> SecurityParameterIndex? {
        guard used[worker].count < Self.usedMaximum else { return nil }
        while true {
            let drawn = generator.next()
            let slot = Int(truncatingIfNeeded: drawn) & (SecurityParameterIndex.slotCount - 1)
            let entropy = UInt32(truncatingIfNeeded: drawn >> 32)
            guard let index = SecurityParameterIndex(worker: worker, slot: slot, entropy: entropy) else { continue }
            if used[worker].insert(UInt32(slot)).inserted { return index }
        }
    }

    /// Takes an index back. Its slot may be given out again at once, with other random bits.
    public mutating func release(_ index: SecurityParameterIndex) { used[index.worker].remove(UInt32(index.slot)) }
}
