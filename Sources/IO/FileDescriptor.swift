import Glibc

/// What a ``Poller`` can wait for.
public protocol Pollable {
    /// The descriptor, valid as long as its owner lives.
    var descriptor: Int32 { get }
}

/// The owner of a file descriptor, which it closes when the last reference ends.
public final class FileDescriptor: Pollable, Sendable {
    /// The descriptor.
    public let descriptor: Int32

    /// Takes `descriptor` over.
    public init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }
}
