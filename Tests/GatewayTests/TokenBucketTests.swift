import ESP
import Synchronization
import Testing
import Wire

@testable import Gateway

/// An instant `milliseconds` after some other.
private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: 7_000_000_000) + .milliseconds(milliseconds) }

private func rate(_ bytesPerSecond: UInt64) throws -> DataRate {
    try #require(DataRate(bytesPerSecond: bytesPerSecond))
}

/// A bucket by reference, whose answers an expectation can take together.
private final class BucketBench {
    private var bucket: TokenBucket

    init(_ rate: DataRate) { bucket = TokenBucket(rate) }

    var depthBytes: UInt64 { bucket.depthBytes }

    func take(_ byteCount: Int, now: Instant) -> Bool { bucket.take(byteCount, now: now) }
}

@Suite("A token bucket")
struct TokenBucketTests {
    @Test("it begins full: 50 ms at its rate, or 64 KiB where that is more")
    func depth() throws {
        for (bytesPerSecond, depth) in [(1, 65_536), (1_000_000, 65_536), (10_000_000, 500_000)] as [(UInt64, Int)] {
            let bucket = BucketBench(try rate(bytesPerSecond))
            #expect(bucket.depthBytes == UInt64(depth))
            #expect(!bucket.take(depth + 1, now: at(0)))
            #expect(bucket.take(depth, now: at(0)) && !bucket.take(1, now: at(0)))
        }
    }

    @Test("it fills with time at its rate and no further than its depth, and what does not pass costs nothing")
    func filling() throws {
        let bucket = BucketBench(try rate(10_000_000))
        #expect(bucket.take(500_000, now: at(0)))
        #expect(!bucket.take(10_001, now: at(1)) && bucket.take(10_000, now: at(1)) && !bucket.take(1, now: at(1)))
        #expect(!bucket.take(500_001, now: at(60_000)) && bucket.take(500_000, now: at(60_000)))
    }

    @Test("nothing is lost between two looks, however often it is looked")
    func fractions() throws {
        // Three bytes a second and a look every millisecond: 3 thousandths of a byte each.
        let bucket = BucketBench(try rate(3))
        #expect(bucket.take(65_536, now: at(0)))
        let passed = (1...10_000).filter { bucket.take(1, now: at($0)) }
        #expect(passed.count == 30 && passed.first == 334)
    }

    @Test("while time stands still, and when it goes back, nothing comes into it")
    func standstill() throws {
        let bucket = BucketBench(try rate(1_000_000))
        #expect(bucket.take(65_536, now: at(1000)))
        for _ in 0..<3 { #expect(!bucket.take(1, now: at(1000))) }
        #expect(!bucket.take(1, now: at(0)) && !bucket.take(1, now: .zero))
        // What was filled once is not filled again.
        #expect(bucket.take(1000, now: at(1001)) && !bucket.take(1, now: at(1001)))
    }

    @Test("a byte a second is a byte a second")
    func slowest() throws {
        let bucket = BucketBench(try rate(1))
        #expect(bucket.take(65_536, now: at(0)))
        #expect(!bucket.take(1, now: at(999)) && bucket.take(1, now: at(1000)) && !bucket.take(1, now: at(1999)))
        #expect(bucket.take(1500, now: at(1_501_000)) && !bucket.take(1, now: at(1_501_000)))
    }

    @Test("the ends of time, rate and size do not overflow")
    func extremes() throws {
        let fastest = try rate(DataRate.bitsPerSecondMaximum / 8)
        let bucket = BucketBench(fastest)
        #expect(bucket.take(Int(bucket.depthBytes), now: .zero) && !bucket.take(1, now: .zero))
        #expect(bucket.take(125, now: Instant(nanoseconds: 1)) && !bucket.take(1, now: Instant(nanoseconds: 1)))
        let end = Instant(nanoseconds: .max)
        #expect(bucket.take(Int(bucket.depthBytes), now: end) && !bucket.take(1, now: end))
        for count in [Int.max, -1, Int.min] { #expect(!bucket.take(count, now: end)) }
        #expect(bucket.take(0, now: end))
        let slow = BucketBench(try rate(1))
        #expect(slow.take(65_536, now: .zero) && slow.take(65_536, now: end) && !slow.take(1, now: end))
    }
}

@Suite("Rate limits of sessions")
struct RateLimitTests {
    private func bench(_ limits: RateLimits, batchCapacity: Int = 64) throws -> PathBench {
        let bench = try PathBench(batchCapacity: batchCapacity)
        bench.carryOut(.setRateLimits(slot: 9, limits))
        return bench
    }

    private let frame = PathBench.frame(innerPacket(byteCount: 1000))
    private let packet = innerPacket(from: PathBench.host, to: PathBench.address, byteCount: 1000)

    @Test("a client that sends twice its rate gets half of it through, the rest is counted, and the other way is free")
    func fromClient() throws {
        let bench = try bench(RateLimits(fromClient: try rate(10_000_000), toClient: nil))
        // 20 packets of 1000 bytes each millisecond are twice the rate.
        var (delivered, sent) = (0, 0)
        for _ in 0..<200 {
            bench.wait(.milliseconds(1))
            delivered += bench.receive(frames: .init(repeating: frame, count: 20)).count(where: \.isDelivered)
            sent += bench.send(.init(repeating: packet, count: 20)).count(where: \.isSent)
        }
        // The bucket was full once, and is filled 199 times.
        #expect(delivered == 500 + 1990 && sent == 4000)
        #expect(bench.packets.drops[.overRateFromClient] == UInt64(4000 - delivered))
        #expect(bench.packets.drops[.overRateToClient] == 0)
        #expect(bench.traffic.packetsIn.load(ordering: .relaxed) == UInt64(delivered))
    }

    @Test("a client that is sent twice its rate gets half of it, the rest is counted, and the other way is free")
    func toClient() throws {
        let bench = try bench(RateLimits(fromClient: nil, toClient: try rate(10_000_000)))
        var (delivered, sent) = (0, 0)
        for _ in 0..<200 {
            bench.wait(.milliseconds(1))
            delivered += bench.receive(frames: .init(repeating: frame, count: 20)).count(where: \.isDelivered)
            sent += bench.send(.init(repeating: packet, count: 20)).count(where: \.isSent)
        }
        #expect(sent == 500 + 1990 && delivered == 4000)
        #expect(bench.packets.drops[.overRateToClient] == UInt64(4000 - sent))
        #expect(bench.packets.drops[.overRateFromClient] == 0)
        #expect(bench.traffic.packetsOut.load(ordering: .relaxed) == UInt64(sent))
    }

    @Test("one session at its limit takes nothing from another of the same client")
    func others() throws {
        let bench = try bench(RateLimits(fromClient: try rate(1000), toClient: try rate(1000)))
        bench.add(session: 71, at: 10)
        var network = PathBench.network
        network.address = IPv4Address(192, 168, 42, 11)
        bench.carryOut(.setNetwork(slot: 10, network))
        bench.routes.set(network.address, to: RouteTable.Entry(worker: 0, slot: 10))
        let other = PathBench.frame(innerPacket(from: network.address, byteCount: 1000))
        let datagrams = [PathBench.udp(PathBench.data(frame)), PathBench.udp(PathBench.data(other, session: 71))]
        var delivered = [0, 0]
        for _ in 0..<100 {
            for (position, outcome) in bench.receive(datagrams: datagrams).enumerated() where outcome.isDelivered {
                delivered[position] += 1
            }
        }
        #expect(delivered == [65, 100])
    }

    @Test("who agrees on the same address once more gets no new bucket, who gets another limit does")
    func renewal() throws {
        var limits = RateLimits(fromClient: try rate(1000), toClient: nil)
        let bench = try bench(limits, batchCapacity: 128)
        let send = { bench.receive(frames: .init(repeating: self.frame, count: 100)).count(where: \.isDelivered) }
        #expect(send() == 65)
        bench.carryOut(.setNetwork(slot: 9, nil))
        bench.carryOut(.setRateLimits(slot: 9, limits))
        bench.carryOut(.setNetwork(slot: 9, PathBench.network))
        #expect(send() == 0)
        limits.fromClient = try rate(2000)
        bench.carryOut(.setRateLimits(slot: 9, limits))
        #expect(send() == 65)
        bench.carryOut(.setRateLimits(slot: 9, .none))
        #expect(send() == 100)
    }

    @Test("what is too large counts as a whole, its pieces not again")
    func fragments() throws {
        let bench = try bench(RateLimits(fromClient: nil, toClient: try rate(1000)))
        let large = innerPacket(from: PathBench.host, to: PathBench.address, byteCount: 2000)
        let outcomes = bench.send(.init(repeating: large, count: 40))
        let places = outcomes.compactMap { outcome -> OutboundPlace? in
            if case .tooLarge(let place, _) = outcome.disposition { place } else { nil }
        }
        #expect(places.count == 32 && bench.packets.drops[.overRateToClient] == 8)
        bench.load([packet])
        let disposition = bench.packets.encapsulate(&bench.batch[0], to: try #require(places.first))
        let isSent = if case .sendInUDP = disposition { true } else { false }
        #expect(isSent)
    }

    @Test("what waits for a new SA counts when it is sent")
    func waiting() throws {
        let bench = try PathBench(limit: VolumeLimit(kilobytes: 1))
        bench.carryOut(.setRateLimits(slot: 9, RateLimits(fromClient: nil, toClient: try rate(1000))))
        #expect(bench.send([packet])[0].isSent)
        for _ in 0..<100 { _ = bench.send([packet]) }
        #expect(bench.packets.drops[.overRateToClient] == 0)
    }
}
