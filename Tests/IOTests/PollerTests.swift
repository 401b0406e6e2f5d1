import IO
import Synchronization
import Testing
import Wire

@Suite("Waiting and threads")
struct PollerTests {
    @Test("waiting ends at the deadline, not before it")
    func deadline() throws {
        let poller = try Poller()
        let deadline = SystemClock.now + .milliseconds(20)
        #expect(poller.wait(until: deadline).isEmpty)
        #expect(SystemClock.now >= deadline)
        #expect(poller.wait(until: .zero).isEmpty)
    }

    @Test("a waker wakes a thread that waits, once")
    func waker() throws {
        let waker = try Waker()
        let ready = Mutex<[ReadySet]>([])
        let poller = try Poller()
        try poller.add(waker, token: 63)
        try poller.add(try Waker(), token: 0)
        let thread = try WorkerThread(name: "a name that is too long") {
            let first = poller.wait(until: nil)
            waker.clear()
            let second = poller.wait(until: .zero)
            ready.withLock { $0 = [first, second] }
        }
        waker.wake()
        waker.wake()
        thread.join()
        thread.join()
        let seen = ready.withLock { $0 }
        #expect(seen.count == 2)
        #expect(seen.first?.contains(63) == true && seen.first?.contains(0) == false)
        #expect(seen.last?.isEmpty == true)
    }

    @Test("a socket is ready until it is empty, and not after it was removed")
    func socket() throws {
        let socket = try UDPSocket(address: .v4(loopback), port: 0)
        let poller = try Poller()
        try poller.add(socket, token: 3)
        try socket.sender.send([1], along: OuterPath(remote: Endpoint(loopback, socket.port), local: .v4(.any)))
        let deadline = SystemClock.now + .seconds(2)
        #expect(poller.wait(until: deadline).contains(3))
        #expect(poller.wait(until: deadline).contains(3))
        var received = PacketBatch(capacity: 1, packetSizeMaximum: 100)
        try collect(1, from: socket, into: &received)
        #expect(poller.wait(until: .zero).isEmpty)
        try poller.remove(socket)
        #expect(throws: SystemError.self) { try poller.remove(socket) }
    }
}
