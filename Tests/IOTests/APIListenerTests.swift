import Foundation
import Glibc
import Synchronization
import Testing
import Wire

@testable import IO

private func vector(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Vectors/api/\(name)").path
}

/// A listener on loopback that answers with what it was asked.
private func withListener(
    limits: APILimits = APILimits(), on host: String = "127.0.0.1", handler: APIListener.Handler? = nil,
    _ body: (APIListener) throws -> Void
) throws {
    let certificate = try APICertificate(certificatePath: vector("server.pem"), keyPath: vector("server.key"))
    let address = try #require(ListenAddress("\(host):0"))
    let listener = try APIListener(
        address, certificate: certificate, limits: limits,
        handler: handler ?? { request, respond in
            let text = "\(request.method) \(request.target) \(request.authorization ?? "-") \(request.remote) "
            respond(APIResponse(status: 200, body: [UInt8](text.utf8) + request.body))
        })
    defer { listener.close() }
    try body(listener)
}

private func question(
    _ listener: APIListener, host: String = "127.0.0.1", authority: String = "ca.pem", body: [UInt8] = []
) throws -> APIClient.Question {
    let url = try #require(HTTPURL("https://\(host):\(listener.port)/v1/x", scheme: .https))
    return APIClient.Question("POST", url, token: "t", authorityPath: vector(authority), body: body)
}

private func expectAnswer(_ question: APIClient.Question, _ location: SourceLocation = #_sourceLocation) throws {
    let answer = try APIClient.ask(question)
    #expect(answer.status == 200, sourceLocation: location)
}

/// A plain TCP connection to the listener.
private func connection(_ listener: APIListener) -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = listener.port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    #expect(connected == 0)
    return descriptor
}

/// Whatever comes until the other end hangs up; for at most five seconds.
private func rest(_ descriptor: Int32) -> [UInt8] {
    var time = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = recv(descriptor, &part, part.count, 0)
        guard count > 0 else { return bytes }
        bytes += part[..<count]
    }
}

/// Waits until so many connections were ended for `reason`, for at most five seconds.
private func expect(
    _ count: Int, _ reason: APIDrop, _ listener: APIListener, _ location: SourceLocation = #_sourceLocation
) {
    let deadline = SystemClock.now + .seconds(5)
    while listener.drops(reason) < count, SystemClock.now < deadline { usleep(5000) }
    #expect(listener.drops(reason) == count, "\(reason)", sourceLocation: location)
}

@Suite("The operators' API on a port")
struct APIListenerTests {
    @Test("a request over TLS is answered, by address and by name", arguments: ["127.0.0.1", "localhost"])
    func roundTrip(host: String) throws {
        try withListener { listener in
            let answer = try APIClient.ask(try question(listener, host: host, body: [UInt8]("body".utf8)))
            #expect(answer.status == 200)
            #expect(String(decoding: answer.body, as: UTF8.self) == "POST /v1/x Bearer t 127.0.0.1 body")
            for reason in APIDrop.allCases { #expect(listener.drops(reason) == 0, "\(reason)") }
        }
    }

    @Test("an answer of megabytes that another thread gives later arrives whole")
    func largeAnswer() throws {
        let body = [UInt8](repeating: UInt8(ascii: "a"), count: 8 << 20)
        try withListener(handler: { _, respond in
            guard let thread = try? WorkerThread(name: "answer", { respond(APIResponse(status: 422, body: body)) })
            else { return }
            thread.join()
        }) { listener in
            let answer = try APIClient.ask(try question(listener))
            #expect(answer.status == 422 && answer.body == body)
        }
    }

    @Test("a client that does not know the authority does not ask, and says why")
    func otherAuthority() throws {
        try withListener { listener in
            let failure = #expect(throws: APIClientFailure.self) {
                try APIClient.ask(try question(listener, authority: "other.pem"))
            }
            #expect(failure?.description.contains("not trusted") == true, "\(failure?.description ?? "")")
            expect(1, .noTLS, listener)
        }
    }

    @Test("a certificate for another address is not taken")
    func otherAddress() throws {
        try withListener(on: "0.0.0.0") { listener in
            let failure = #expect(throws: APIClientFailure.self) {
                try APIClient.ask(try question(listener, host: "127.0.0.2"))
            }
            #expect(failure?.description.contains("another name or address") == true, "\(failure?.description ?? "")")
        }
    }

    @Test("HTTP without TLS is hung up on")
    func noTLS() throws {
        try withListener { listener in
            let descriptor = connection(listener)
            defer { close(descriptor) }
            let text = "GET /v1/statistics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n"
            #expect(send(descriptor, text, text.utf8.count, 0) > 0)
            #expect(!String(decoding: rest(descriptor), as: UTF8.self).contains("HTTP/"))
            expect(1, .noTLS, listener)
        }
    }

    @Test("who says nothing, and who hangs up, costs nobody else anything")
    func slow() throws {
        var limits = APILimits()
        limits.transferTime = .milliseconds(300)
        try withListener(limits: limits) { listener in
            let silent = connection(listener)
            try expectAnswer(try question(listener))
            #expect(rest(silent) == [])
            close(silent)
            expect(1, .tooSlow, listener)
            close(connection(listener))
            expect(1, .endedEarly, listener)
        }
    }

    @Test("a gateway that does not answer in time is given up")
    func noAnswer() throws {
        var limits = APILimits()
        limits.answerTime = .milliseconds(200)
        let late = Mutex<(@Sendable (APIResponse) -> Void)?>(nil)
        try withListener(limits: limits, handler: { _, respond in late.withLock { $0 = respond } }) { listener in
            #expect(throws: APIClientFailure.self) { try APIClient.ask(try question(listener)) }
            expect(1, .noAnswer, listener)
            // An answer that comes later changes nothing.
            late.withLock { $0 }?(APIResponse(status: 200, body: []))
        }
    }

    @Test("a body larger than bodies may be is not read to its end")
    func tooLarge() throws {
        var limits = APILimits()
        limits.bodyBytesMaximum = 4096
        try withListener(limits: limits) { listener in
            try expectAnswer(try question(listener, body: [UInt8](repeating: 1, count: 4096)))
            #expect(throws: APIClientFailure.self) {
                try APIClient.ask(try question(listener, body: [UInt8](repeating: 1, count: 4097)))
            }
            expect(1, .requestTooLong, listener)
            #expect(throws: APIClientFailure.self) {
                try APIClient.ask(try question(listener, body: [UInt8](repeating: 1, count: 8 << 20)))
            }
            expect(2, .requestTooLong, listener)
        }
    }

    @Test("header fields larger than they may be are not read to their end")
    func longHead() throws {
        try withListener { listener in
            var long = try question(listener)
            long.token = String(repeating: "t", count: 300_000)
            #expect(throws: APIClientFailure.self) { try APIClient.ask(long) }
            #expect(listener.drops(.requestTooLong) + listener.drops(.malformed) == 1)
        }
    }

    @Test("one address has so many connections at a time, and no more")
    func tooMany() throws {
        var limits = APILimits()
        limits.connectionsPerAddressMaximum = 2
        try withListener(limits: limits) { listener in
            let silent = [connection(listener), connection(listener)]
            usleep(100_000)
            #expect(throws: APIClientFailure.self) { try APIClient.ask(try question(listener)) }
            expect(1, .tooManyConnections, listener)
            silent.forEach { close($0) }
            expect(2, .endedEarly, listener)
            try expectAnswer(try question(listener))
        }
    }

    @Test("where nobody listens, the client says so")
    func nobody() throws {
        var port: UInt16 = 0
        try withListener { port = $0.port }
        let url = try #require(HTTPURL("https://127.0.0.1:\(port)/", scheme: .https))
        let failure = #expect(throws: APIClientFailure.self) {
            try APIClient.ask(.init("GET", url, token: "t", authorityPath: vector("ca.pem"), body: []))
        }
        #expect(failure?.description.contains("refused") == true, "\(failure?.description ?? "")")
    }

    @Test("a certificate and a key that do not belong together are refused, and files that are none")
    func badFiles() {
        for (certificate, key) in [
            ("other.pem", "server.key"), ("server.pem", "ca.pem"), ("server.key", "server.key"), ("none", "server.key"),
        ] {
            #expect(throws: APICertificate.Failure.self, "\(certificate) \(key)") {
                try APICertificate(certificatePath: vector(certificate), keyPath: vector(key))
            }
        }
    }

    @Test(
        "addresses to listen on",
        arguments: [
            ("127.0.0.1:8443", "127.0.0.1:8443"), ("[::1]:8443", "[::1]:8443"), ("0.0.0.0:1", "0.0.0.0:1"),
            ("localhost:8443", nil), ("::1:8443", nil), ("127.0.0.1", nil), ("127.0.0.1:", nil), ("127.0.0.1:+1", nil),
            ("127.0.0.1:65536", nil), (":8443", nil), ("[127.0.0.1]:1", "127.0.0.1:1"), ("", nil),
        ])
    func addresses(text: String, expected: String?) {
        #expect(ListenAddress(text)?.description == expected)
    }
}
