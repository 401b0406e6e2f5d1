import Glibc
import IO
import Synchronization
import Testing
import Wire

/// Waits for something that another thread does.
final class Latch: Sendable {
    private let count = Mutex(0)

    func signal() { count.withLock { $0 += 1 } }

    /// Whether `wanted` signals have come within two seconds.
    func reaches(_ wanted: Int) -> Bool {
        let deadline = SystemClock.now + .seconds(2)
        while SystemClock.now < deadline {
            if count.withLock({ $0 }) >= wanted { return true }
            usleep(500)
        }
        return false
    }

    var value: Int { count.withLock { $0 } }
}

@Suite("The control loop", .serialized)
struct ControlLoopTests {
    @Test("work runs on the loop in its order; what waits runs elsewhere and comes back")
    func execute() {
        let loop = ControlLoop()
        defer { loop.shutDown() }
        let seen = Mutex<[Int]>([])
        let done = Latch()
        for number in 0..<100 { loop.execute { seen.withLock { $0.append(number) } } }
        loop.runBlocking {
            loop.isOnLoop
        } then: { wasOnLoop in
            #expect(!wasOnLoop && loop.isOnLoop)
            done.signal()
        }
        #expect(done.reaches(1))
        #expect(seen.withLock { $0 } == Array(0..<100))
        #expect(!loop.isOnLoop)
    }

    @Test("a timer fires once at the last deadline that was set, not before, and not when it was taken back")
    func timer() {
        let loop = ControlLoop()
        defer { loop.shutDown() }
        let fired = Latch()
        let firedAt = Mutex<Instant?>(nil)
        let timer = loop.makeTimer {
            firedAt.withLock { $0 = SystemClock.now }
            fired.signal()
        }
        let start = SystemClock.now
        let deadline = start + .milliseconds(60)
        loop.execute {
            timer.set(start + .seconds(3600))
            timer.set(start + .milliseconds(20))
            timer.set(deadline)
        }
        #expect(fired.reaches(1))
        #expect((firedAt.withLock { $0 } ?? .zero) >= deadline)
        loop.execute { timer.set(.zero) }
        #expect(fired.reaches(2))
        loop.execute {
            timer.set(SystemClock.now + .milliseconds(10))
            timer.set(nil)
        }
        usleep(40_000)
        #expect(fired.value == 2)
        loop.execute { timer.set(Instant(nanoseconds: .max)) }
        loop.execute { timer.set(SystemClock.now) }
        #expect(fired.reaches(3))
    }

    actor Plane {
        let loop: ControlLoop
        private(set) var count = 0

        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.unownedExecutor }

        init(loop: ControlLoop) { self.loop = loop }

        func step() { count += 1 }
    }

    @Test("an actor lives on the loop, and callbacks enter it without waiting")
    func actors() async {
        let loop = ControlLoop()
        let plane = Plane(loop: loop)
        let done = Latch()
        loop.execute {
            plane.assumeIsolated { $0.step() }
            done.signal()
        }
        await plane.step()
        #expect(done.reaches(1))
        #expect(await plane.count == 2)
        loop.shutDown()
    }

    @Test("signals come to the loop, one by one")
    func signals() throws {
        let loop = ControlLoop()
        defer { loop.shutDown() }
        let seen = Mutex<[ProcessSignal]>([])
        let done = Latch()
        let watcher = try SignalWatcher([.hangUp, .terminate], on: loop) { signal in
            seen.withLock { $0.append(signal) }
            done.signal()
        }
        #expect(throws: SystemError.self) { try SignalWatcher(on: loop) { _ in } }
        kill(getpid(), SIGHUP)
        #expect(done.reaches(1))
        kill(getpid(), SIGTERM)
        #expect(done.reaches(2))
        #expect(seen.withLock { $0 } == [.hangUp, .terminate])
        watcher.stop()
        try SignalWatcher([.hangUp], on: loop) { _ in }.stop()
    }
}
