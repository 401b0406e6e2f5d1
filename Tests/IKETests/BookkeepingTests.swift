import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Bookkeeping")
struct BookkeepingTests {
    @Test("deadlines come in order, the newest setting of a key counts, and removal leaves no memory behind")
    func deadlines() {
        var queue = DeadlineQueue<Int>()
        var generator = SplitMix(state: 1)
        var model: [Int: Instant] = [:]
        for _ in 0..<5000 {
            let key = Int.random(in: 0..<200, using: &generator)
            if Bool.random(using: &generator) {
                let instant = Instant(nanoseconds: UInt64.random(in: 1...1_000_000, using: &generator))
                queue.set(key, instant)
                model[key] = instant
            } else {
                queue.remove(key)
                model[key] = nil
            }
            let isEarlyEnough = (queue.next ?? .zero) <= (model.values.min() ?? Instant(nanoseconds: .max))
            guard queue.count == model.count, isEarlyEnough else { return #expect(Bool(false), "key \(key)") }
        }
        var last = Instant.zero
        while let due = queue.popDue(Instant(nanoseconds: 1_000_000)) {
            let instant = model.removeValue(forKey: due) ?? .zero
            #expect(instant >= last)
            last = instant
        }
        #expect(model.isEmpty)
        #expect(queue.next == nil)
    }

    @Test("the arrival list knows the oldest of all and of each address through any removals")
    func arrivals() {
        var list = ArrivalList()
        var model: [(cookie: UInt64, address: IPAddress)] = []
        var generator = SplitMix(state: 2)
        for cookie in 1...2000 as ClosedRange<UInt64> {
            if Int.random(in: 0..<5, using: &generator) < 3 || model.isEmpty {
                let address = IPAddress.v4(IPv4Address(UInt32.random(in: 0..<7, using: &generator)))
                list.append(cookie, address: address)
                model.append((cookie, address))
            } else {
                let victim = model.remove(at: Int.random(in: 0..<model.count, using: &generator))
                list.remove(victim.cookie)
                list.remove(victim.cookie)
            }
            var isRight = list.count == model.count && list.oldest == model.first?.cookie
            for number in 0..<7 as Range<UInt32> {
                let address = IPAddress.v4(IPv4Address(number))
                let own = model.filter { $0.address == address }
                isRight =
                    isRight && list.oldest(of: address) == own.first?.cookie && list.count(of: address) == own.count
            }
            guard isRight else { return #expect(Bool(false), "cookie \(cookie)") }
        }
    }

    @Test("a rate lets through its capacity and then one per interval")
    func rates() {
        var limit = RateLimit(capacity: 3, interval: .seconds(1))
        var now = Instant(nanoseconds: 5)
        let burst = { (limit: inout RateLimit, now: Instant) in
            (0..<5).reduce(0) { sum, _ in sum + (limit.take(now) ? 1 : 0) }
        }
        var taken = [burst(&limit, now)]
        for wait: Duration in [
            .milliseconds(999), .milliseconds(1), .milliseconds(2500), .milliseconds(500), .seconds(1_000_000),
        ] {
            now += wait
            taken.append(burst(&limit, now))
        }
        #expect(taken == [3, 0, 1, 2, 1, 3])
    }

    @Test("without a key for its address a peer is refused at its offer")
    func noKey() {
        var world = World { $0.preSharedKeys = PreSharedKeys(defaultKey: nil) }
        world.dialIn()
        #expect(world.refusals.map(\.reason) == [.noPreSharedKey])
        #expect(world.engine.associationCount == 0)
    }

    @Test(
        "our order of preference decides, weak parts last",
        arguments: [
            ([(7, 128, 4, 15), (7, 256, 2, 14)], "aes256-sha1-modp2048"),
            ([(7, 256, 4, 2), (7, 128, 2, 14)], "aes128-sha1-modp2048"),
            ([(7, 256, 2, 14), (7, 256, 4, 14)], "aes256-sha256-modp2048"),
            ([(7, 256, 4, 14), (7, 256, 4, 19)], "aes256-sha256-ecp256"),
        ] as [([(Int, Int, Int, Int)], String)])
    func preference(offers: [(Int, Int, Int, Int)], expected: String) throws {
        let offer = Offers.offer(offers.map { Offers.phaseOne($0.0, $0.1, $0.2, $0.3, life: Offers.hour) })
        let payload = try SecurityAssociationPayload(parsing: offer, limits: IKELimits())
        let result = PhaseOneNegotiation(algorithms: PhaseOneAlgorithms(.legacy)).choose(from: payload)
        guard case .chosen(let choice) = result else { return #expect(Bool(false)) }
        #expect(choice.suite.description == expected)
    }

    @Test("a suite is named as its users write it, triple DES as 3des")
    func suiteNames() {
        let suite = PhaseOneSuite(cipher: .tripleDES, hash: .md5, group: .modp1024)
        #expect("\(suite)" == "3des-md5-modp1024")
        #expect(CBCCipher.allCases.map { "\($0)" } == ["des", "3des", "aes128", "aes192", "aes256"])
    }
}
