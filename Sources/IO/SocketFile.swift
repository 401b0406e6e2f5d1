import Glibc
import Synchronization

/// A listening UNIX socket and its file, which only our user may open.
final class SocketFile: Sendable {
    /// How many connections the system keeps waiting for us.
    private static let backlog: Int32 = 16

    private let path: String
    private let identity: FileIdentity
    private let descriptor: Mutex<Int32?>

    init(path: String) throws(SystemError) {
        self.path = path
        let descriptor = try Self.listen(path)
        self.descriptor = Mutex(descriptor)
        guard let identity = FileIdentity(path: path) else {
            let number = errno
            Glibc.close(descriptor)
            throw SystemError(operation: "make socket \(path)", number: number)
        }
        self.identity = identity
    }

    deinit { if let left = descriptor.withLock({ $0 }) { Glibc.close(left) } }

    /// The listening socket, for its new owner. To be called once.
    func takeDescriptor() -> Int32 {
        descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor ?? -1
        }
    }

    /// Removes the file, unless somebody has put another one in its place.
    func remove() { if FileIdentity(path: path) == identity { unlink(path) } }

    private static func listen(_ path: String) throws(SystemError) -> Int32 {
        try makeFolders(for: path)
        try removeStale(path)
        let descriptor = try openSocket(path)
        // Before the file exists: it never has other rights than these.
        guard fchmod(descriptor, 0o600) == 0, Self.withAddress(path, { Glibc.bind(descriptor, $0, $1) }) == 0,
            Glibc.listen(descriptor, backlog) == 0
        else {
            let number = errno
            Glibc.close(descriptor)
            throw SystemError(operation: "listen on socket \(path)", number: number)
        }
        return descriptor
    }

    private static func openSocket(_ path: String) throws(SystemError) -> Int32 {
        guard path.utf8.count < MemoryLayout<sockaddr_un>.size - 2, !path.utf8.contains(0) else {
            throw SystemError(operation: "open socket \(path)", number: ENAMETOOLONG)
        }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw SystemError(operation: "open socket \(path)", number: errno) }
        return descriptor
    }

    private static func makeFolders(for path: String) throws(SystemError) {
        var folder = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: true).dropLast() {
            folder += folder.isEmpty && !path.hasPrefix("/") ? String(part) : "/\(part)"
            guard mkdir(folder, 0o755) != 0, errno != EEXIST else { continue }
            let number = errno
            // One that we may not make but that is there, on a file system that is read-only above it.
            var status = stat()
            if stat(folder, &status) == 0 { continue }
            throw SystemError(operation: "make folder \(folder)", number: number)
        }
    }

    /// Removes a socket file on which nobody answers.
    private static func removeStale(_ path: String) throws(SystemError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw SystemError(
                operation: "listen on socket \(path)", number: EEXIST, advice: "there is a file that is not a socket")
        }
        let descriptor = try openSocket(path)
        defer { Glibc.close(descriptor) }
        // Anything but a refusal means that somebody is there, if only with a full queue.
        guard withAddress(path, { connect(descriptor, $0, $1) }) != 0, errno == ECONNREFUSED else {
            throw SystemError(
                operation: "listen on socket \(path)", number: EADDRINUSE, advice: "another gateway answers on it")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw SystemError(operation: "remove stale socket \(path)", number: errno)
        }
    }

    /// Runs `body` with the socket address of `path`, which is short enough.
    static func withAddress<Result>(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

/// Which file it is that stands at a path.
private struct FileIdentity: Hashable {
    let device: UInt
    let number: UInt

    init?(path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        (device, number) = (UInt(status.st_dev), UInt(status.st_ino))
    }
}
