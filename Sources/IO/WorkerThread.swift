import CLinux
import Glibc
import Synchronization

/// A thread of its own for a worker: named, with a stack of known size, and undisturbed by signals.
public final class WorkerThread: Sendable {
    private let thread: pthread_t
    private let isJoined = Mutex(false)

    /// Starts a thread that runs `body` and ends. The system shows the first 15 bytes of `name`.
    public init(
        name: String, stackBytes: Int = 1 << 20, _ body: sending @escaping () -> Void
    ) throws(SystemError) {
        // SwiftNIO's modules bring the same headers, and the compiler takes the structure's initializer for theirs.
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        pthread_attr_init(attributes)
        defer {
            pthread_attr_destroy(attributes)
            attributes.deallocate()
        }
        pthread_attr_setstacksize(attributes, stackBytes)
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                _ = culvert_block_all_signals()
                culvert_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard failure == 0 else {
            start.release()
            throw SystemError(operation: "start thread \(name)", number: failure)
        }
        self.thread = thread
    }

    /// Waits until the thread has ended. To be called by another thread.
    public func join() {
        isJoined.withLock { isJoined in
            guard !isJoined else { return }
            pthread_join(thread, nil)
            isJoined = true
        }
    }

    deinit { if !isJoined.withLock({ $0 }) { pthread_detach(thread) } }
}

/// What a thread is started with.
private final class Start {
    let name: String
    let body: () -> Void

    init(name: String, body: @escaping () -> Void) { (self.name, self.body) = (name, body) }
}
