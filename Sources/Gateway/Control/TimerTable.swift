import Wire

/// The deadlines of many owners, each of whom has a number here, which goes on to somebody else when it is given back.
struct TimerTable<Owner: Sendable>: Sendable {
    private var deadlines = DeadlineHeap()
    private var numbers = SlotAllocator()
    /// By number; of one that nobody has, the last who had it.
    private var owners: [Owner] = []

    /// How many numbers are given out.
    var count: Int { numbers.count }

    /// The earliest deadline.
    var earliest: Instant? { deadlines.earliest }

    /// A number for `owner`, who has no deadline yet.
    mutating func allocate(_ owner: Owner) -> Int {
        let number = numbers.allocate()
        if number < owners.count { owners[number] = owner } else { owners.append(owner) }
        return number
    }

    /// Takes a number and its deadline back.
    mutating func release(_ number: Int) {
        deadlines.set(nil, for: number)
        numbers.release(number)
    }

    /// Sets, moves or removes a deadline.
    mutating func set(_ deadline: Instant?, for number: Int) { deadlines.set(deadline, for: number) }

    /// Takes out a deadline that has come, and says whose it is.
    mutating func popDue(at now: Instant) -> Owner? {
        guard let number = deadlines.firstDue(at: now) else { return nil }
        deadlines.set(nil, for: number)
        return owners[number]
    }
}
