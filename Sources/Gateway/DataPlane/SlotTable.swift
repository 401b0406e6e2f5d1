/// Records found by a number that the control loop gives out: one step, no hashing. Memory grows when a record is put in,
/// never when one is looked up.
struct SlotTable<Record: ~Copyable>: ~Copyable {
    private var slots: UnsafeMutablePointer<UnsafeMutablePointer<Record>?>
    private var capacity: Int
    /// How many records there are.
    private(set) var count = 0

    init() {
        capacity = 64
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: nil, count: capacity)
    }

    deinit {
        for slot in 0..<capacity {
            slots[slot]?.deinitialize(count: 1)
            slots[slot]?.deallocate()
        }
        slots.deallocate()
    }

    /// The record in `slot`, if there is one.
    @inline(__always)
    subscript(slot: Int) -> UnsafeMutablePointer<Record>? {
        guard slot >= 0, slot < capacity else { return nil }
        return slots[slot]
    }

    /// Puts a record into `slot`; one that was there ends.
    mutating func insert(_ record: consuming Record, at slot: Int) {
        precondition(slot >= 0)
        if slot >= capacity { grow(toHold: slot) }
        remove(at: slot)
        let memory = UnsafeMutablePointer<Record>.allocate(capacity: 1)
        memory.initialize(to: record)
        slots[slot] = memory
        count += 1
    }

    /// Ends the record in `slot`, if there is one.
    mutating func remove(at slot: Int) {
        guard let record = self[slot] else { return }
        slots[slot] = nil
        record.deinitialize(count: 1)
        record.deallocate()
        count -= 1
    }

    private mutating func grow(toHold slot: Int) {
        let larger = max(capacity * 2, slot + 1)
        let moved = UnsafeMutablePointer<UnsafeMutablePointer<Record>?>.allocate(capacity: larger)
        moved.initialize(repeating: nil, count: larger)
        moved.update(from: slots, count: capacity)
        slots.deallocate()
        (slots, capacity) = (moved, larger)
    }
}

/// Gives out the numbers of slots, those first that were given back, so that tables stay as small as they can.
struct SlotAllocator: Sendable {
    private var free: [Int] = []
    private var next = 0

    /// How many are given out.
    var count: Int { next - free.count }

    mutating func allocate() -> Int {
        if let slot = free.popLast() { return slot }
        defer { next += 1 }
        return next
    }

    mutating func release(_ slot: Int) { free.append(slot) }
}
