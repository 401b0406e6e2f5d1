import CLinux
import Glibc
import IO
import Synchronization
import Testing
import Wire

@Suite("The operator's socket")
struct OperatorSocketTests {
    @Test("a request is answered, and the answer ends with the connection")
    func roundTrip() throws {
        try withSocket { path, _, _ in
            #expect(ask(path, "hello") == "you said hello")
            #expect(ask(path, "") == "you said ")
            let longest = String(repeating: "x", count: 64 << 10)
            #expect(ask(path, longest) == "you said \(longest)")
        }
    }

    @Test("an answer of megabytes arrives whole, also when it is given later by another thread")
    func largeAnswer() throws {
        let answer = [UInt8](repeating: UInt8(ascii: "a"), count: 8 << 20)
        try withSocket(handler: { _, respond in
            guard let thread = try? WorkerThread(name: "answer", { respond(answer) }) else { return }
            thread.join()
        }) { path, _, _ in
            let received = try OperatorClient.request(path: path, line: Array("all".utf8))
            #expect(received == answer)
        }
    }

    @Test("the file is our user's alone; folders are made, and the file goes with the socket")
    func file() throws {
        let path = try withSocket { path, _, _ in
            var status = stat()
            #expect(stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(status.st_uid == geteuid())
            return path
        }
        #expect(access(path, F_OK) != 0)
    }

    @Test("a socket that somebody answers on is left alone, one that nobody answers on is replaced")
    func stale() throws {
        try withSocket { path, loop, _ in
            let error = #expect(throws: SystemError.self) {
                try OperatorSocket(path: path, on: loop) { _, respond in respond([]) }
            }
            #expect(error?.number == EADDRINUSE)
            #expect(ask(path, "still there") == "you said still there")
        }
        let path = try temporaryPath()
        let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #expect(mkdir(String(path.dropLast("/culvert.sock".utf8.count)), 0o700) == 0)
        #expect(withSocketAddress(path) { bind(dead, $0, $1) } == 0)
        close(dead)
        try withSocket(path: path) { path, _, _ in #expect(ask(path, "new") == "you said new") }
    }

    @Test("a file that is no socket is not touched")
    func foreignFile() throws {
        let folder = try temporaryPath()
        #expect(mkdir(String(folder.dropLast("/culvert.sock".utf8.count)), 0o700) == 0)
        close(open(folder, O_CREAT | O_WRONLY | O_EXCL, 0o600))
        let error = #expect(throws: SystemError.self) { try withSocket(path: folder) { _, _, _ in } }
        #expect(error?.number == EEXIST)
        #expect(access(folder, F_OK) == 0)
        unlink(folder)
    }

    @Test("a request that is too long, has bytes behind it, or does not end, gets no answer and is counted")
    func badRequests() throws {
        try withSocket { path, _, server in
            let long = [UInt8](repeating: UInt8(ascii: "x"), count: (64 << 10) + 1)
            #expect(throws: SystemError.self) { try OperatorClient.request(path: path, line: long) }
            #expect(server.drops(.requestTooLong) == 1)
            #expect(exchange(path, "one\ntwo\n") == "")
            #expect(exchange(path, "one\n\n") == "")
            #expect(server.drops(.trailingBytes) == 2)
            #expect(exchange(path, "no end") == "")
            #expect(exchange(path, "") == "")
            #expect(server.drops(.endedEarly) == 2)
            #expect(throws: SystemError.self) { try OperatorClient.request(path: path, line: Array("a\nb".utf8)) }
            #expect(ask(path, "after") == "you said after")
        }
    }

    @Test("who is silent is hung up on, and a gateway without an answer does not hold its operator for ever")
    func timeLimits() throws {
        var limits = OperatorSocketLimits()
        limits.transferTime = .milliseconds(50)
        limits.answerTime = .milliseconds(50)
        try withSocket(limits: limits, handler: { _, _ in }) { path, _, server in
            let silent = connected(path)
            defer { close(silent) }
            var byte: UInt8 = 0
            #expect(read(silent, &byte, 1) == 0)
            #expect(server.drops(.tooSlow) == 1)
            #expect(ask(path, "anything") == nil)
            #expect(server.drops(.noAnswer) == 1)
        }
    }

    @Test("there are no more connections than there may be, and room again afterwards")
    func connectionLimit() throws {
        try withSocket { path, _, server in
            let held = (0..<16).map { _ in connected(path) }
            let one = connected(path)
            var byte: UInt8 = 0
            #expect(read(one, &byte, 1) <= 0)
            #expect(server.drops(.tooManyConnections) == 1)
            close(one)
            for descriptor in held { close(descriptor) }
            let deadline = SystemClock.now + .seconds(2)
            while server.drops(.endedEarly) < 16, SystemClock.now < deadline { usleep(1000) }
            #expect(ask(path, "room") == "you said room")
        }
    }

    @Test("another user may not ask, even if the file lets him")
    func foreignUser() throws {
        guard geteuid() == 0 else { return }
        try withSocket { path, _, server in
            chmod(path, 0o666)
            let answer = Mutex("none")
            // The user of one thread only: the C library would change all of them.
            let thread = try WorkerThread(name: "nobody") {
                _ = culvert_set_thread_user(65_534)
                answer.withLock { $0 = exchange(path, "hello\n") }
            }
            thread.join()
            #expect(answer.withLock { $0 } == "")
            #expect(server.drops(.foreignUser) == 1)
        }
    }

    @Test("without a gateway the client says so")
    func noGateway() {
        let error = #expect(throws: SystemError.self) {
            try OperatorClient.request(path: "/nonexistent/culvert.sock", line: [])
        }
        #expect(error?.number == ENOENT)
        #expect(error?.description.contains("is the gateway running?") == true)
    }
}

/// Runs `body` with an operator's socket that says back what it hears.
@discardableResult
private func withSocket<Result>(
    path: String? = nil, limits: OperatorSocketLimits = OperatorSocketLimits(),
    handler: @escaping OperatorSocket.Handler = { line, respond in respond(Array("you said ".utf8) + line) },
    _ body: (String, ControlLoop, OperatorSocket) throws -> Result
) throws -> Result {
    let path = try path ?? temporaryPath()
    let loop = ControlLoop()
    defer { loop.shutDown() }
    let server = try OperatorSocket(path: path, on: loop, limits: limits, handler: handler)
    defer {
        server.close()
        rmdir(String(path.dropLast("/culvert.sock".utf8.count)))
    }
    return try body(path, loop, server)
}

/// A path in a folder that does not exist yet.
private func temporaryPath() throws -> String {
    "/tmp/culvert-test-\(getpid())-\(UInt64.random(in: 0 ... .max))/culvert.sock"
}

private func ask(_ path: String, _ line: String) -> String? {
    guard let answer = try? OperatorClient.request(path: path, line: Array(line.utf8)) else { return nil }
    return String(decoding: answer, as: UTF8.self)
}

private func withSocketAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}

private func connected(_ path: String) -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    #expect(withSocketAddress(path) { connect(descriptor, $0, $1) } == 0)
    return descriptor
}

/// Sends `text` as it is, ends sending, and returns all that comes back.
private func exchange(_ path: String, _ text: String) -> String {
    let descriptor = connected(path)
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    shutdown(descriptor, Int32(SHUT_WR))
    var answer = ""
    var part = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(descriptor, &part, part.count)
        guard count > 0 else { return answer }
        answer += String(decoding: part[..<count], as: UTF8.self)
    }
}
