import CLinux
import IO
import Synchronization

/// The system did not make a network namespace.
struct NamespaceFailure: Error {
    let number: Int32
}

/// Runs `body` on a thread that has a network namespace of its own, so that nothing outside is touched. Sockets and
/// devices that `body` makes belong to that namespace.
public func inOwnNamespace(_ body: @escaping @Sendable () throws -> Void) throws {
    let failure = Mutex<(any Error)?>(nil)
    let thread = try WorkerThread(name: "namespace") {
        do {
            let returned = culvert_enter_new_network_namespace()
            guard returned == 0 else { throw NamespaceFailure(number: -returned) }
            try body()
        } catch {
            failure.withLock { $0 = error }
        }
    }
    thread.join()
    if let error = failure.withLock({ $0 }) { throw error }
}

/// Whether this machine lets the tests make network namespaces (root, or CAP_SYS_ADMIN).
public let mayMakeNamespaces: Bool = {
    let answer = Atomic(false)
    let thread = try? WorkerThread(name: "probe") {
        answer.store(culvert_enter_new_network_namespace() == 0, ordering: .releasing)
    }
    thread?.join()
    return answer.load(ordering: .acquiring)
}()
