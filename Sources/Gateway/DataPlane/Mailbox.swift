import Synchronization

/// Messages from one thread to another, for the control plane: in order, bounded, and taken all at once.
final class Mailbox<Message: Sendable>: Sendable {
    private let messages = Mutex<[Message]>([])
    private let hasMessages = Atomic<Bool>(false)
    private let capacity: Int
    private let notify: @Sendable () -> Void

    /// A mailbox for at most `capacity` messages; `notify` is called when the first one is put into an empty one.
    init(capacity: Int, notify: @escaping @Sendable () -> Void) {
        self.capacity = capacity
        self.notify = notify
    }

    /// Puts messages in, as many as there is room for, and returns how many were refused.
    @discardableResult
    func put(_ new: [Message]) -> Int {
        guard !new.isEmpty else { return 0 }
        let (wasEmpty, refused) = messages.withLock { messages in
            let wasEmpty = messages.isEmpty
            let accepted = min(new.count, capacity - messages.count)
            messages.append(contentsOf: new.prefix(accepted))
            hasMessages.store(true, ordering: .releasing)
            return (wasEmpty, new.count - accepted)
        }
        if wasEmpty { notify() }
        return refused
    }

    /// Whether nothing waits; costs its reader no lock.
    var isEmpty: Bool { !hasMessages.load(ordering: .acquiring) }

    /// Takes everything out.
    func takeAll() -> [Message] {
        messages.withLock { messages in
            let taken = messages
            hasMessages.store(false, ordering: .releasing)
            messages.removeAll(keepingCapacity: taken.count <= 256)
            return taken
        }
    }
}
