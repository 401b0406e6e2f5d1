import CLinux
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// The thread that the control plane lives on: work is run one piece after another, in the order in which it came.
///
/// An actor lives on it by naming ``unownedExecutor`` as its own; then what the loop calls back (``execute(_:)``,
/// ``makeTimer(_:)``, ...) may enter it by `assumeIsolated`, without waiting.
public final class ControlLoop: Sendable {
    /// Where channels of SwiftNIO live.
    public let eventLoop: any EventLoop

    private let group: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool

    /// How many threads there are for work that takes long.
    public static let blockingThreads = 2

    /// Starts the loop's thread, and `blockingThreads` more for work that takes long.
    public init(blockingThreads: Int = ControlLoop.blockingThreads) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        eventLoop = group.next()
        pool = NIOThreadPool(numberOfThreads: blockingThreads)
        pool.start()
    }

    /// The executor of actors that live on the loop.
    public var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }

    /// Whether the caller runs on the loop.
    public var isOnLoop: Bool { eventLoop.inEventLoop }

    /// Runs `body` on the loop, soon. Any thread may ask.
    public func execute(_ body: @escaping @Sendable () -> Void) { eventLoop.execute(body) }

    /// Runs `work`, which may wait, on a thread of its own, and `then` with its result on the loop. After ``shutDown()``
    /// neither is run.
    public func runBlocking<Result: Sendable>(
        _ work: @escaping @Sendable () -> Result, then: @escaping @Sendable (Result) -> Void
    ) {
        pool.runIfActive(eventLoop: eventLoop, work).whenSuccess(then)
    }

    /// A timer that runs `body` on the loop.
    public func makeTimer(_ body: @escaping @Sendable () -> Void) -> LoopTimer {
        LoopTimer(eventLoop: eventLoop, body: body)
    }

    /// Ends the threads, when the work that they are at is done. To be called by another thread than the loop's; once.
    public func shutDown() {
        precondition(!isOnLoop)
        try? pool.syncShutdownGracefully()
        try? group.syncShutdownGracefully()
    }
}

/// A deadline on a ``ControlLoop`` that can be moved as often as needed. To be used on the loop only.
public final class LoopTimer: Sendable {
    private struct State {
        var deadline: Instant?
        var armedFor: Instant?
        var scheduled: Scheduled<Void>?
    }

    private let eventLoop: any EventLoop
    private let body: @Sendable () -> Void
    private let state: NIOLoopBoundBox<State>

    fileprivate init(eventLoop: any EventLoop, body: @escaping @Sendable () -> Void) {
        self.eventLoop = eventLoop
        self.body = body
        state = .makeBoxSendingValue(State(), eventLoop: eventLoop)
    }

    /// Makes the timer fire once at `deadline`, or soon if that has passed; with nil, not at all. What was set before is
    /// forgotten.
    public func set(_ deadline: Instant?) {
        state.value.deadline = deadline
        guard let deadline else { return }
        // Deadlines mostly move into the future: then what is armed fires early and arms anew, at less cost than
        // cancelling each time.
        if let armedFor = state.value.armedFor, armedFor <= deadline { return }
        state.value.scheduled?.cancel()
        arm(for: deadline)
    }

    private func arm(for deadline: Instant) {
        let delay = deadline.since(SystemClock.now).components
        let nanoseconds = min(delay.seconds, 86_400 * 365) * 1_000_000_000 + delay.attoseconds / 1_000_000_000
        state.value.armedFor = deadline
        state.value.scheduled = eventLoop.scheduleTask(in: .nanoseconds(nanoseconds)) { [weak self] in self?.fire() }
    }

    private func fire() {
        state.value.armedFor = nil
        state.value.scheduled = nil
        guard let deadline = state.value.deadline else { return }
        guard deadline <= SystemClock.now else { return arm(for: deadline) }
        state.value.deadline = nil
        body()
    }
}

/// A signal that an operator or a supervisor sends to the gateway.
public enum ProcessSignal: CaseIterable, Hashable, Sendable {
    /// SIGTERM: end in good order.
    case terminate
    /// SIGINT (Ctrl-C): the same.
    case interrupt
    /// SIGHUP: read the configuration anew.
    case hangUp

    var number: Int32 {
        switch self {
        case .terminate: SIGTERM
        case .interrupt: SIGINT
        case .hangUp: SIGHUP
        }
    }
}

/// Tells a ``ControlLoop`` of signals, whichever thread the system interrupts with them. One at a time in a process.
public final class SignalWatcher: Sendable {
    private static let isTaken = Atomic(false)

    private let channel: any Channel
    private let writingEnd: FileDescriptor
    private let isStopped = Atomic(false)

    /// Runs `handler` on `loop` for every one of `signals` that comes from now on. To be called by another thread than the
    /// loop's.
    public init(
        _ signals: [ProcessSignal] = ProcessSignal.allCases, on loop: ControlLoop,
        handler: @escaping @Sendable (ProcessSignal) -> Void
    ) throws {
        guard !Self.isTaken.exchange(true, ordering: .acquiringAndReleasing) else {
            throw SystemError(operation: "watch signals a second time", number: EBUSY)
        }
        do {
            var ends: [Int32] = [-1, -1]
            try checked(culvert_pipe(&ends), "make a pipe for signals")
            writingEnd = FileDescriptor(owning: ends[1])
            channel = try NIOPipeBootstrap(group: loop.eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(SignalReader(handler: handler))
                    }
                }
                .takingOwnershipOfDescriptor(input: ends[0]).wait()
        } catch {
            Self.isTaken.store(false, ordering: .releasing)
            throw error
        }
        let numbers = signals.map(\.number)
        do {
            try checked(
                culvert_watch_signals(writingEnd.descriptor, numbers, UInt32(numbers.count)), "watch signals")
        } catch {
            stop()
            throw error
        }
    }

    deinit { stop() }

    /// Gives the signals their usual meaning back.
    public func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let numbers = ProcessSignal.allCases.map(\.number)
        _ = culvert_unwatch_signals(numbers, UInt32(numbers.count))
        channel.close(promise: nil)
        Self.isTaken.store(false, ordering: .releasing)
    }
}

/// Reads signal numbers, a byte each.
private final class SignalReader: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let handler: @Sendable (ProcessSignal) -> Void

    init(handler: @escaping @Sendable (ProcessSignal) -> Void) { self.handler = handler }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in unwrapInboundIn(data).readableBytesView {
            guard let signal = ProcessSignal.allCases.first(where: { $0.number == Int32(byte) }) else { continue }
            handler(signal)
        }
    }
}
