import Wire

@testable import Accounts

/// A pool behind a reference, so that an expectation can change it.
final class PoolBox {
    private(set) var pool: AddressPool

    init(_ pool: AddressPool) { self.pool = pool }

    var size: Int { pool.size }
    var leasedCount: Int { pool.leasedCount }
    func isLeased(_ address: IPv4Address) -> Bool { pool.isLeased(address) }
    func lease(for user: String) -> IPv4Address? { pool.lease(for: user) }
    func leaseFixed(_ address: IPv4Address) -> Bool { pool.leaseFixed(address) }
    func reserve(_ address: IPv4Address) { pool.reserve(address) }
    func unreserve(_ address: IPv4Address) { pool.unreserve(address) }

    @discardableResult
    func release(_ address: IPv4Address) -> Bool { pool.release(address) }
}

/// A limiter behind a reference.
final class LimiterBox {
    private var limiter: GuessLimiter<GuessSource>

    init(_ limits: GuessLimits = GuessLimits()) { limiter = GuessLimiter(limits) }

    var count: Int { limiter.count }
    func blocked(_ key: GuessSource, now: Instant) -> Instant? { limiter.blocked(key, now: now) }
    func noteSuccess(_ key: GuessSource) { limiter.noteSuccess(key) }

    @discardableResult
    func noteFailure(_ key: GuessSource, leniency: Int = 1, now: Instant) -> Instant? {
        limiter.noteFailure(key, leniency: leniency, now: now)
    }
}
