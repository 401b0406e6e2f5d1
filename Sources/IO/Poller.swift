import CLinux
import Wire

/// Waits for a few descriptors on behalf of one thread. Each has a token from 0 to 63; what is ready comes out as a set of
/// tokens. A descriptor stays ready until all has been read from it.
public final class Poller {
    private let epoll: FileDescriptor

    /// A poller that waits for nothing yet.
    public init() throws(SystemError) {
        epoll = FileDescriptor(owning: try checked(culvert_epoll_create(), "make a poller"))
    }

    /// Waits for `source` from now on, too; it must outlive its being waited for.
    public func add(_ source: some Pollable, token: Int) throws(SystemError) {
        precondition((0..<64).contains(token))
        try checked(culvert_epoll_add(epoll.descriptor, source.descriptor, UInt32(token)), "poll a descriptor")
    }

    /// Waits for `source` no more.
    public func remove(_ source: some Pollable) throws(SystemError) {
        try checked(culvert_epoll_remove(epoll.descriptor, source.descriptor), "poll a descriptor no more")
    }

    /// Waits until something is ready or `deadline` has come; without one, for as long as it takes. May wake early.
    public func wait(until deadline: Instant?) -> ReadySet {
        let timeout = deadline.map { deadline in
            let now = SystemClock.now.nanoseconds
            return deadline.nanoseconds > now ? Int64(clamping: deadline.nanoseconds - now) : 0
        }
        var ready: UInt64 = 0
        _ = culvert_epoll_wait(epoll.descriptor, timeout ?? -1, &ready)
        return ReadySet(tokens: ready)
    }
}

/// The tokens of descriptors that are ready to be read.
public struct ReadySet: Hashable, Sendable {
    let tokens: UInt64

    /// Whether the descriptor with `token` is ready.
    public func contains(_ token: Int) -> Bool { tokens >> UInt64(truncatingIfNeeded: token) & 1 != 0 }

    /// Whether none is ready.
    public var isEmpty: Bool { tokens == 0 }
}

/// Wakes a thread that waits in a ``Poller``. Any thread may call ``wake()``.
public final class Waker: Pollable, Sendable {
    private let event: FileDescriptor

    /// A waker that has not been called.
    public init() throws(SystemError) {
        event = FileDescriptor(owning: try checked(culvert_eventfd(), "make a waker"))
    }

    /// The descriptor, for a ``Poller``.
    public var descriptor: Int32 { event.descriptor }

    /// Makes the descriptor ready.
    public func wake() { _ = culvert_eventfd_signal(event.descriptor) }

    /// Makes the descriptor not ready. To be called by the woken thread, before it looks at what it was woken for.
    public func clear() { _ = culvert_eventfd_clear(event.descriptor) }
}
