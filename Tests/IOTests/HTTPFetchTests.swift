import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Wire

@testable import IO

/// What a server does with a connection, once it has read something of it.
private enum Script: Sendable {
    /// Sends these bytes and hangs up.
    case bytes([UInt8])
    /// Sends these bytes, one every ten milliseconds.
    case drips([UInt8])
    /// Sends these bytes again and again, until the other end hangs up.
    case endless([UInt8])
    /// Says nothing.
    case silence

    static func text(_ text: String) -> Script { .bytes([UInt8](text.utf8)) }
}

/// A server on loopback that does with its first connection what the first script says, and so on; the last one counts for
/// all further connections.
private final class ScriptedServer: Sendable {
    private let loop = ControlLoop(blockingThreads: 1)
    private let channel: any Channel
    private let requests = Received()
    private let connections: Counter

    init(_ scripts: Script...) throws {
        let (requests, connections) = (requests, Counter())
        self.connections = connections
        channel = try ServerBootstrap(group: loop.eventLoop)
            .childChannelInitializer { channel in
                let script = scripts[min(connections.next(), scripts.count - 1)]
                return channel.pipeline.addHandler(Player(script, requests))
            }
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    var port: UInt16 { UInt16(channel.localAddress?.port ?? 0) }
    var received: String { requests.text }
    var connectionCount: Int { connections.value }

    func stop() {
        try? channel.close().wait()
        loop.shutDown()
    }

    final class Received: Sendable {
        private let bytes = Mutex<[UInt8]>([])
        var text: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }
        func append(_ more: [UInt8]) { bytes.withLock { $0 += more } }
    }

    final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func next() -> Int {
            count.withLock { count in
                defer { count += 1 }
                return count
            }
        }
    }
}

private final class Player: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let script: Script
    private let seen: ScriptedServer.Received
    private let hasBegun = Atomic(false)

    init(_ script: Script, _ seen: ScriptedServer.Received) { (self.script, self.seen) = (script, seen) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen.append(Array(unwrapInboundIn(data).readableBytesView))
        guard !hasBegun.exchange(true, ordering: .relaxed) else { return }
        let channel = context.channel
        switch script {
        case .bytes(let bytes):
            channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { _ in channel.close(promise: nil) }
        case .drips(let bytes): Self.drip(bytes[...], channel)
        case .endless(let bytes): Self.pour(bytes, channel)
        case .silence: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private static func drip(_ bytes: ArraySlice<UInt8>, _ channel: any Channel) {
        guard let first = bytes.first, channel.isActive else { return }
        channel.writeAndFlush(ByteBuffer(bytes: [first]), promise: nil)
        channel.eventLoop.scheduleTask(in: .milliseconds(10)) { drip(bytes.dropFirst(), channel) }
    }

    private static func pour(_ bytes: [UInt8], _ channel: any Channel) {
        channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenSuccess { pour(bytes, channel) }
    }
}

/// A fetcher on a loop of its own.
private final class Client: Sendable {
    let loop = ControlLoop()
    let fetcher: HTTPFetcher

    init(
        _ limits: HTTPFetchLimits = HTTPFetchLimits(), resolver: HTTPFetcher.Resolver? = nil
    ) {
        fetcher = HTTPFetcher(
            on: loop, limits: limits, resolver: resolver ?? { NameResolver.addresses(of: $0, port: $1) })
    }

    /// What comes of a POST, and after how long; nil if nothing did within five seconds.
    func post(
        to url: String, rule: HTTPAddressRule = .any, within time: Duration = .milliseconds(1500)
    ) -> (result: Result<[UInt8], HTTPFetchFailure>, took: Duration)? {
        let begun = SystemClock.now
        let pending = send(to: url, rule: rule, within: time)
        return pending.wait().map { ($0, SystemClock.now.since(begun)) }
    }

    func send(to url: String, rule: HTTPAddressRule = .any, within time: Duration) -> Pending {
        let pending = Pending()
        guard let url = HTTPURL(url) else { return pending }
        loop.execute { [fetcher, loop] in
            fetcher.send(
                HTTPPost(
                    [1, 2, 3], types: ("application/ocsp-request", "application/ocsp-response"), to: url, rule: rule),
                within: time
            ) { result in
                #expect(loop.isOnLoop)
                pending.set(result)
            }
        }
        return pending
    }

    func stop() {
        let closed = Latch()
        loop.execute { [fetcher] in
            fetcher.close()
            closed.signal()
        }
        #expect(closed.reaches(1))
        loop.shutDown()
    }

    final class Pending: Sendable {
        private let results = Mutex<[Result<[UInt8], HTTPFetchFailure>]>([])
        func set(_ result: Result<[UInt8], HTTPFetchFailure>) { results.withLock { $0.append(result) } }
        func wait() -> Result<[UInt8], HTTPFetchFailure>? {
            let deadline = SystemClock.now + .seconds(5)
            while SystemClock.now < deadline {
                if let first = results.withLock({ $0.first }) { return first }
                usleep(1000)
            }
            return nil
        }
        var count: Int { results.withLock { $0.count } }
    }
}

private let good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

@Suite("An HTTP client with a hard time limit", .serialized)
struct HTTPFetchTests {
    @Test("a question is posted and its answer comes back, by address and by name")
    func answered() throws {
        for host in ["127.0.0.1", "localhost"] {
            let server = try ScriptedServer(.text(good))
            defer { server.stop() }
            let client = Client()
            defer { client.stop() }
            let outcome = client.post(to: "http://\(host):\(server.port)/ocsp?x=1")
            #expect(outcome?.result == .success([UInt8]("hello".utf8)))
            let request = server.received
            #expect(request.hasPrefix("POST /ocsp?x=1 HTTP/1.1\r\n"))
            for field in [
                "Host: \(host):\(server.port)", "Content-Type: application/ocsp-request", "Content-Length: 3",
                "Accept: application/ocsp-response", "Connection: close",
            ] { #expect(request.contains("\r\n\(field)\r\n"), "\(field)") }
            #expect(request.hasSuffix("\r\n\r\n\u{1}\u{2}\u{3}"))
        }
    }

    @Test("bodies in chunks, and bodies that end with the connection")
    func bodies() throws {
        for text in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "HTTP/1.1 100 Continue\r\n\r\n" + good,
        ] {
            let server = try ScriptedServer(.text(text))
            defer { server.stop() }
            let client = Client()
            defer { client.stop() }
            #expect(client.post(to: "http://127.0.0.1:\(server.port)/")?.result == .success([UInt8]("hello".utf8)))
        }
    }

    private static let bad: [(String, Script, HTTPFetchFailure)] = [
        ("nothing comes", .silence, .timedOut),
        ("a byte now and then", .drips([UInt8](good.utf8) + [UInt8](repeating: 0, count: 9999)), .timedOut),
        ("lines without end", .endless([UInt8]("X-More: and more\r\n".utf8)), .malformed),
        (
            "header fields without end", .bytes([UInt8]("HTTP/1.1 200 OK\r\n".utf8) + fields(8000)), .tooLarge
        ),
        ("a body of more than 64 KiB, announced", .bytes(body(length: 65_537, announced: true)), .tooLarge),
        ("a body of more than 64 KiB, in chunks", .bytes(chunks(70_000)), .tooLarge),
        ("a redirect", .text("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), .redirected),
        ("an error", .text("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), .wrongStatus),
        ("no content", .text("HTTP/1.1 204 No Content\r\n\r\n"), .wrongStatus),
        ("hangs up at once", .bytes([]), .closedEarly),
        ("hangs up in the body", .text("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), .closedEarly),
        ("not HTTP", .text("220 mail.example.org ESMTP\r\n"), .malformed),
    ]

    private static func fields(_ count: Int) -> [UInt8] { (0..<count).flatMap { "X-\($0): some more\r\n".utf8 } }

    private static func body(length: Int, announced: Bool) -> [UInt8] {
        [UInt8]("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n".utf8) + [UInt8](repeating: 7, count: length)
    }

    private static func chunks(_ length: Int) -> [UInt8] {
        [UInt8]("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(length, radix: 16))\r\n".utf8)
            + [UInt8](repeating: 7, count: length) + [UInt8]("\r\n0\r\n\r\n".utf8)
    }

    @Test("whatever a server does, it is over in time, with its reason", arguments: bad.indices)
    func refusals(index: Int) throws {
        let (name, script, failure) = Self.bad[index]
        let server = try ScriptedServer(script)
        defer { server.stop() }
        let client = Client()
        defer { client.stop() }
        let outcome = try #require(
            client.post(to: "http://127.0.0.1:\(server.port)/", within: .milliseconds(400)), "\(name)")
        // Parsers may give up on endless fields by themselves, before we do.
        let expected: Set<HTTPFetchFailure> = failure == .tooLarge ? [.tooLarge, .malformed] : [failure]
        guard case .failure(let reason) = outcome.result else {
            Issue.record("\(name): \(outcome.result)")
            return
        }
        #expect(expected.contains(reason), "\(name): \(reason)")
        #expect(outcome.took < .milliseconds(1500), "\(name)")
        #expect(server.connectionCount == 1, "\(name)")
    }

    @Test("exactly 64 KiB are an answer")
    func largest() throws {
        let server = try ScriptedServer(.bytes(Self.body(length: 65_536, announced: true)))
        defer { server.stop() }
        let client = Client()
        defer { client.stop() }
        let outcome = client.post(to: "http://127.0.0.1:\(server.port)/")
        #expect(try outcome?.result.get().count == 65_536)
    }

    @Test("nobody listens: over at once; the next address of the host is tried")
    func unreachable() throws {
        let server = try ScriptedServer(.text(good))
        defer { server.stop() }
        let port = server.port
        let client = Client(resolver: { _, _ in
            ["127.0.0.2", "127.0.0.1"].compactMap { try? SocketAddress(ipAddress: $0, port: Int(port)) }
        })
        defer { client.stop() }
        #expect(client.post(to: "http://two.example.org/")?.result == .success([UInt8]("hello".utf8)))
        let other = Client(resolver: { _, _ in [] })
        defer { other.stop() }
        #expect(other.post(to: "http://nowhere.example.org/")?.result == .failure(.nameUnknown))
        let closed = Client()
        defer { closed.stop() }
        #expect(closed.post(to: "http://127.0.0.1:1/")?.result == .failure(.unreachable))
    }

    @Test("a name server that does not answer holds up neither the fetch beyond its time nor the loop")
    func silentResolver() {
        let isDone = Latch()
        let client = Client(resolver: { _, _ in
            usleep(1_200_000)
            isDone.signal()
            return []
        })
        let pending = client.send(to: "http://slow.example.org/", within: .milliseconds(200))
        let beats = Latch()
        let begun = SystemClock.now
        for _ in 0..<20 {
            let beat = Latch()
            client.loop.execute { beat.signal() }
            if beat.reaches(1) { beats.signal() }
        }
        #expect(beats.value == 20 && SystemClock.now.since(begun) < .seconds(1))
        #expect(pending.wait() == .failure(.timedOut))
        #expect(SystemClock.now.since(begun) < .milliseconds(1100))
        #expect(isDone.reaches(1))
        client.stop()
        #expect(pending.count == 1)
    }

    @Test("what waits for name servers in vain is bounded, though nobody waits for it any more")
    func lookups() {
        var limits = HTTPFetchLimits()
        limits.lookupsMaximum = 2
        let isHeld = Mutex(true)
        let client = Client(limits) { _, _ in
            while isHeld.withLock({ $0 }) { usleep(1000) }
            return []
        }
        for _ in 0..<2 {
            #expect(client.post(to: "http://a.example.org/", within: .milliseconds(50))?.result == .failure(.timedOut))
        }
        let third = client.post(to: "http://a.example.org/", within: .seconds(3))
        #expect(third?.result == .failure(.tooManyAtOnce))
        isHeld.withLock { $0 = false }
        usleep(100_000)
        #expect(client.post(to: "http://a.example.org/", within: .seconds(3))?.result == .failure(.nameUnknown))
        client.stop()
    }

    @Test("few at once: the next waits within its own time, and beyond a bound none waits")
    func queue() throws {
        var limits = HTTPFetchLimits()
        (limits.concurrentMaximum, limits.waitingMaximum) = (1, 2)
        let server = try ScriptedServer(.silence, .text(good))
        defer { server.stop() }
        let client = Client(limits)
        defer { client.stop() }
        let url = "http://127.0.0.1:\(server.port)/"
        let first = client.send(to: url, within: .milliseconds(300))
        let second = client.send(to: url, within: .milliseconds(3000))
        let impatient = client.send(to: url, within: .milliseconds(100))
        let fourth = client.send(to: url, within: .milliseconds(3000))
        #expect(fourth.wait() == .failure(.tooManyAtOnce))
        #expect(impatient.wait() == .failure(.timedOut))
        #expect(first.wait() == .failure(.timedOut))
        #expect(second.wait() == .success([UInt8]("hello".utf8)))
        #expect(server.connectionCount == 2)
    }

    @Test("it is the address that counts, whatever the name, and none is connected to that the rule forbids")
    func rule() throws {
        let server = try ScriptedServer(.text(good))
        defer { server.stop() }
        let client = Client()
        defer { client.stop() }
        for host in ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0"] {
            for rule in [HTTPAddressRule.publicOnly, .publicOrPrivate] {
                let outcome = client.post(to: "http://\(host):\(server.port)/", rule: rule)
                #expect(outcome?.result == .failure(.addressForbidden), "\(host)")
            }
        }
        #expect(server.connectionCount == 0)
    }

    @Test("after its end the client takes nothing more")
    func ended() {
        let client = Client()
        client.loop.execute { [fetcher = client.fetcher] in fetcher.close() }
        let pending = client.send(to: "http://127.0.0.1/", within: .seconds(1))
        #expect(pending.wait() == .failure(.ended))
        client.loop.shutDown()
    }
}
