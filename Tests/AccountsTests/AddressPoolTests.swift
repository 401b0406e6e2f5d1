import Testing
import Wire

@testable import Accounts

private func address(_ last: UInt8) -> IPv4Address { IPv4Address(192, 168, 42, last) }

private func pool(_ first: UInt8, _ last: UInt8, reserved: [IPv4Address] = []) throws -> PoolBox {
    PoolBox(try AddressPool(first: address(first), last: address(last), reserved: reserved))
}

@Suite struct AddressPoolTests {
    @Test("each address is leased once, and then there are none")
    func exhaustion() throws {
        let pool = try pool(10, 12)
        let leased = (0..<3).compactMap { pool.lease(for: "user\($0)") }
        #expect(Set(leased) == [address(10), address(11), address(12)])
        #expect(pool.lease(for: "late") == nil)
        #expect(pool.leasedCount == 3)
        #expect(pool.release(address(11)))
        #expect(!pool.release(address(11)))
        #expect(pool.lease(for: "late") == address(11))
    }

    @Test("a user gets his last address again while it is free")
    func sameAddress() throws {
        let pool = try pool(10, 20)
        let alice = try #require(pool.lease(for: "alice"))
        let bob = try #require(pool.lease(for: "bob"))
        pool.release(alice)
        pool.release(bob)
        #expect(pool.lease(for: "bob") == bob)
        #expect(pool.lease(for: "alice") == alice)
        // A second session of the same user gets another one.
        #expect(pool.lease(for: "alice") != alice)
    }

    @Test("an address is not used again at once: the one that is free the longest comes first")
    func order() throws {
        let pool = try pool(10, 14)
        let leased = try (0..<5).map { try #require(pool.lease(for: "user\($0)")) }
        for index in [3, 0, 4] { pool.release(leased[index]) }
        #expect(pool.lease(for: "a") == leased[3])
        #expect(pool.lease(for: "b") == leased[0])
        pool.release(leased[3])
        #expect(pool.lease(for: "c") == leased[4])
        // Who lost his address to another gets any.
        #expect(pool.lease(for: "user4") == leased[3])
    }

    @Test("reserved addresses are only leased by name, in the range or out of it")
    func reserved() throws {
        let outside = IPv4Address(10, 9, 9, 9)
        let pool = try pool(10, 12, reserved: [address(11), outside, outside])
        #expect(pool.size == 2)
        #expect(pool.lease(for: "a") == address(10))
        #expect(pool.lease(for: "b") == address(12))
        #expect(pool.lease(for: "c") == nil)
        #expect(pool.leaseFixed(address(11)))
        #expect(!pool.leaseFixed(address(11)))
        #expect(pool.isLeased(address(11)))
        #expect(pool.leaseFixed(outside))
        #expect(!pool.leaseFixed(address(50)))
        #expect(pool.leasedCount == 4)
        #expect(pool.release(address(11)))
        #expect(pool.release(outside))
        #expect(pool.lease(for: "c") == nil)
    }

    @Test("reservations may come and go with a new configuration")
    func changingReservations() throws {
        let pool = try pool(10, 12)
        let first = try #require(pool.lease(for: "a"))
        pool.reserve(first)
        #expect(pool.isLeased(first))
        #expect(!pool.leaseFixed(first))
        pool.release(first)
        #expect(pool.lease(for: "a") != first)
        #expect(pool.leaseFixed(first))
        pool.unreserve(first)
        #expect(pool.lease(for: "b") == address(12))
        #expect(pool.lease(for: "c") == nil)
        pool.release(first)
        #expect(pool.lease(for: "c") == first)
        #expect(pool.size == 3)
    }

    @Test("ranges that cannot be are refused, the last address of all is none")
    func ranges() throws {
        #expect(throws: AddressPoolError.emptyRange) { try AddressPool(first: address(2), last: address(1)) }
        #expect(throws: AddressPoolError.tooLarge) {
            try AddressPool(first: IPv4Address(0), last: IPv4Address(UInt32.max))
        }
        let top = IPv4Address(UInt32.max)
        let pool = PoolBox(try AddressPool(first: top, last: top))
        #expect(pool.lease(for: "a") == top)
        #expect(pool.lease(for: "b") == nil)
    }

    @Test("100,000 leases, released and leased again, in constant time each")
    func large() throws {
        let pool = PoolBox(try AddressPool(first: IPv4Address(10, 0, 0, 0), last: IPv4Address(10, 1, 134, 159)))
        #expect(pool.size == 100_000)
        let clock = ContinuousClock()
        var leased: [IPv4Address] = []
        let time = clock.measure {
            leased = (0..<100_000).compactMap { pool.lease(for: "user\($0)") }
            for address in leased { pool.release(address) }
            for number in stride(from: 99_999, through: 0, by: -1) {
                let again = pool.lease(for: "user\(number)")
                if again != leased[number] { Issue.record("user\(number) lost its address") }
            }
        }
        #expect(Set(leased).count == 100_000)
        #expect(pool.lease(for: "late") == nil)
        // A pool that searched would take minutes.
        #expect(time < .seconds(20))
    }

    @Test("whatever is leased and released, no address is held twice and none is lost", arguments: 0..<20)
    func random(seed: Int) throws {
        let pool = try pool(1, 30, reserved: [address(7), address(8)])
        var held: [IPv4Address] = []
        var state = UInt64(seed) &* 2_654_435_761 &+ 1
        func draw(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<5000 {
            if draw(2) == 0 {
                let leased = pool.lease(for: "user\(draw(40))")
                #expect((leased == nil) == (held.count == 28))
                if let leased {
                    #expect(!held.contains(leased))
                    held.append(leased)
                }
            } else if !held.isEmpty {
                #expect(pool.release(held.remove(at: draw(held.count))))
            }
            #expect(pool.leasedCount == held.count)
        }
    }
}
