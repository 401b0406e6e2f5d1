/// The deadlines of many slots, each slot at most once, the earliest first: every change costs O(log n), and nothing
/// is ever scanned, with 100,000 of them as with one.
public struct DeadlineHeap: Sendable {
    private struct Entry: Sendable {
        var deadline: Instant
        var slot: Int
    }
    private static let absent = -1
    private var heap: [Entry] = []
    /// Where in `heap` each slot stands, or `absent`.
    private var positions: [Int] = []

    /// No deadlines.
    public init() {}

    /// The earliest deadline.
    public var earliest: Instant? { heap.first?.deadline }

    /// The slot with the earliest deadline, if that has come.
    public func firstDue(at now: Instant) -> Int? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        return first.slot
    }

    /// Gives `slot` a deadline, a new one, or none.
    public mutating func set(_ deadline: Instant?, for slot: Int) {
        while positions.count <= slot { positions.append(Self.absent) }
        let position = positions[slot]
        switch (deadline, position) {
        case (nil, Self.absent): break
        case (nil, _): remove(at: position)
        case (let deadline?, Self.absent):
            heap.append(Entry(deadline: deadline, slot: slot))
            positions[slot] = heap.count - 1
            siftUp(heap.count - 1)
        case (let deadline?, _):
            guard heap[position].deadline != deadline else { return }
            let earlier = deadline < heap[position].deadline
            heap[position].deadline = deadline
            if earlier { siftUp(position) } else { siftDown(position) }
        }
    }

    private mutating func remove(at position: Int) {
        positions[heap[position].slot] = Self.absent
        let last = heap.removeLast()
        guard position < heap.count else { return }
        heap[position] = last
        positions[last.slot] = position
        siftUp(position)
        siftDown(position)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].deadline < heap[parent].deadline else { return }
            exchange(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].deadline < heap[least].deadline { least = child }
            }
            guard least != parent else { return }
            exchange(parent, least)
            parent = least
        }
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        heap.swapAt(left, right)
        positions[heap[left].slot] = left
        positions[heap[right].slot] = right
    }
}
