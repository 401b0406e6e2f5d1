import Glibc
import Wire

/// Asks a running gateway, by its operator's socket.
public enum OperatorClient {
    /// The most bytes of an answer: some hundred thousand sessions.
    public static let answerBytesMaximum = 256 << 20

    /// Sends `line` to the gateway that listens on `path` and returns its answer. Waits, at most for `timeLimit` in all.
    ///
    /// - Throws: `ENOENT` and `ECONNREFUSED` where no gateway runs, `EACCES` where we may not ask, `ETIMEDOUT`, and
    ///   `ECONNRESET` where the gateway hung up without an answer.
    public static func request(
        path: String, line: [UInt8], timeLimit: Duration = .seconds(40)
    ) throws(SystemError) -> [UInt8] {
        let operation = "ask the gateway on \(path)"
        guard !line.contains(UInt8(ascii: "\n")) else { throw SystemError(operation: operation, number: EINVAL) }
        let deadline = SystemClock.now + timeLimit
        let socket = try connect(path, operation, deadline)
        try send(line + [UInt8(ascii: "\n")], socket, operation, deadline)
        shutdown(socket.descriptor, Int32(SHUT_WR))
        let answer = try receive(socket, operation, deadline)
        guard !answer.isEmpty else {
            throw SystemError(
                operation: operation, number: ECONNRESET,
                advice: "it hung up without an answer; only root and the gateway's own user may ask")
        }
        return answer
    }

    private static func connect(
        _ path: String, _ operation: String, _ deadline: Instant
    ) throws(SystemError) -> FileDescriptor {
        guard path.utf8.count < MemoryLayout<sockaddr_un>.size - 2, !path.utf8.contains(0) else {
            throw SystemError(operation: operation, number: ENAMETOOLONG)
        }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw SystemError(operation: operation, number: errno) }
        let owner = FileDescriptor(owning: descriptor)
        while SocketFile.withAddress(path, { Glibc.connect(descriptor, $0, $1) }) != 0 {
            let number = errno
            // The gateway's queue is full: there is nothing to wait on but time.
            guard number == EAGAIN || number == EINTR, SystemClock.now < deadline else {
                throw SystemError(
                    operation: operation, number: number == EAGAIN ? ETIMEDOUT : number, advice: advice(for: number))
            }
            poll(nil, 0, 50)
        }
        return owner
    }

    private static func advice(for number: Int32) -> String? {
        switch number {
        case ENOENT, ECONNREFUSED: "is the gateway running? is this its socket? (--socket PATH)"
        case EACCES, EPERM: "only root and the gateway's own user may ask"
        default: nil
        }
    }

    private static func send(
        _ bytes: [UInt8], _ socket: FileDescriptor, _ operation: String, _ deadline: Instant
    ) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(socket.descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent, noSignal)
            }
            if count > 0 {
                sent += count
                continue
            }
            let number = errno
            // The gateway has hung up; it may have left an answer that says why.
            if number == EPIPE { return }
            guard number == EAGAIN || number == EINTR else { throw SystemError(operation: operation, number: number) }
            try wait(socket, Int16(POLLOUT), operation, deadline)
        }
    }

    private static let noSignal = Int32(MSG_NOSIGNAL)

    private static func receive(
        _ socket: FileDescriptor, _ operation: String, _ deadline: Instant
    ) throws(SystemError) -> [UInt8] {
        var answer: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = part.withUnsafeMutableBytes { read(socket.descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return answer }
            if count > 0 {
                guard answer.count + count <= answerBytesMaximum else {
                    throw SystemError(operation: operation, number: EMSGSIZE)
                }
                answer += part[..<count]
                continue
            }
            let number = errno
            guard number == EAGAIN || number == EINTR else { throw SystemError(operation: operation, number: number) }
            try wait(socket, Int16(POLLIN), operation, deadline)
        }
    }

    private static func wait(
        _ socket: FileDescriptor, _ events: Int16, _ operation: String, _ deadline: Instant
    ) throws(SystemError) {
        let left = deadline.since(SystemClock.now).components
        guard left.seconds > 0 || left.attoseconds > 0 else {
            throw SystemError(operation: operation, number: ETIMEDOUT)
        }
        var request = pollfd(fd: socket.descriptor, events: events, revents: 0)
        poll(&request, 1, Int32(min(left.seconds, 3600)) * 1000 + Int32(left.attoseconds / 1_000_000_000_000_000) + 1)
    }
}
