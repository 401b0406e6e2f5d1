import NIOCore
import NIOHTTP1
import NIOPosix
import Wire

/// What is fetched, and for how long.
public struct HTTPFetchLimits: Sendable {
    /// The most bytes of an answer's body.
    public var bodyBytesMaximum = 65_536
    /// The most bytes around it: status line, header fields, chunk sizes.
    public var headBytesMaximum = 16_384
    /// The most fetches under way.
    public var concurrentMaximum = 8
    /// The most that wait for one of these to end.
    public var waitingMaximum = 64
    /// The most names that are looked up, those counted that nobody waits for any more.
    public var lookupsMaximum = 8
    /// The most addresses of a host that are tried.
    public var addressesMaximum = 3

    /// The limits as they are meant.
    public init() {}
}

/// Why nothing was fetched.
public enum HTTPFetchFailure: Int, Error, CaseIterable, Hashable, Sendable {
    /// As many wait as may.
    case tooManyAtOnce
    /// It was not there in time, whatever it was that took so long.
    case timedOut
    /// The host has no address that we know of.
    case nameUnknown
    /// The host has none but such as the rule forbids.
    case addressForbidden
    /// No connection came about.
    case unreachable
    /// The connection ended before the answer did.
    case closedEarly
    /// What came is not HTTP.
    case malformed
    /// The answer sends us elsewhere, where we do not go.
    case redirected
    /// The answer is an error.
    case wrongStatus
    /// The answer is larger than the limits.
    case tooLarge
    /// The fetcher was closed.
    case ended
}

/// One POST of an HTTP client.
public struct HTTPPost: Sendable {
    /// Where to.
    public var url: HTTPURL
    /// Which of the host's addresses may be asked.
    public var rule: HTTPAddressRule
    /// The media type of the body, and that of the answer.
    public var types: (sent: String, accepted: String)
    /// What is sent.
    public var body: [UInt8]

    /// A POST of `body` to `url`, if that is at an address that `rule` allows.
    public init(_ body: [UInt8], types: (sent: String, accepted: String), to url: HTTPURL, rule: HTTPAddressRule) {
        (self.url, self.rule, self.types, self.body) = (url, rule, types, body)
    }
}

/// An HTTP client for small questions on a ``ControlLoop``: one request per connection, no redirects, no proxies, no
/// cookies, and a time after which it is over, the name's resolution and the queue included. Nothing of it waits on the
/// loop.
public final class HTTPFetcher: Sendable {
    typealias Resolver = @Sendable (_ host: String, _ port: UInt16) -> [SocketAddress]
    /// Takes the answer's body, on the loop.
    public typealias Completion = @Sendable (Result<[UInt8], HTTPFetchFailure>) -> Void

    private struct State {
        var underWay = 0
        var lookups = 0
        var waiting: [Fetch] = []
        var isClosed = false
    }

    private let eventLoop: any EventLoop
    private let limits: HTTPFetchLimits
    private let resolver: Resolver
    // Of its own: name servers that do not answer must hold up neither the loop nor Diffie-Hellman.
    private let resolvers: NIOThreadPool
    private let state: NIOLoopBoundBox<State>

    /// A client on `loop`.
    public convenience init(on loop: ControlLoop, limits: HTTPFetchLimits = HTTPFetchLimits()) {
        self.init(on: loop, limits: limits) { NameResolver.addresses(of: $0, port: $1) }
    }

    init(on loop: ControlLoop, limits: HTTPFetchLimits, resolver: @escaping Resolver) {
        eventLoop = loop.eventLoop
        (self.limits, self.resolver) = (limits, resolver)
        resolvers = NIOThreadPool(numberOfThreads: 2)
        resolvers.start()
        state = .makeBoxSendingValue(State(), eventLoop: loop.eventLoop)
    }

    /// Sends `post` and runs `then` once, on the loop, `time` later at the latest. To be called on the loop.
    public func send(_ post: HTTPPost, within time: Duration, then: @escaping Completion) {
        let fetch = Fetch(post: post, deadline: SystemClock.now + time, eventLoop: eventLoop, then: then)
        guard !state.value.isClosed else { return fetch.finish(.failure(.ended)) }
        fetch.onEnd = { [weak self] in self?.leave($0) }
        fetch.timer = eventLoop.scheduleTask(in: TimeAmount(time)) { fetch.finish(.failure(.timedOut)) }
        if state.value.underWay < limits.concurrentMaximum {
            begin(fetch)
        } else if state.value.waiting.count < limits.waitingMaximum {
            state.value.waiting.append(fetch)
        } else {
            fetch.finish(.failure(.tooManyAtOnce))
        }
    }

    /// Ends what is under way. Does not wait for name servers. To be called on the loop, once.
    public func close() {
        state.value.isClosed = true
        let waiting = state.value.waiting
        state.value.waiting = []
        waiting.forEach { $0.finish(.failure(.ended)) }
        resolvers.shutdownGracefully { _ in }
    }

    // MARK: One fetch

    private func begin(_ fetch: Fetch) {
        guard state.value.lookups < limits.lookupsMaximum else { return fetch.finish(.failure(.tooManyAtOnce)) }
        state.value.underWay += 1
        state.value.lookups += 1
        fetch.isUnderWay = true
        let (resolver, url) = (resolver, fetch.post.url)
        resolvers.runIfActive(eventLoop: eventLoop) { resolver(url.host, url.port) }.whenComplete { result in
            self.state.value.lookups -= 1
            guard !fetch.isFinished else { return }
            guard case .success(let found) = result, !found.isEmpty else {
                return fetch.finish(.failure(.nameUnknown))
            }
            let allowed = found.filter { IPAddress($0).map(fetch.post.rule.allows) ?? false }
            guard !allowed.isEmpty else { return fetch.finish(.failure(.addressForbidden)) }
            self.connect(fetch, allowed.prefix(self.limits.addressesMaximum))
        }
    }

    private func connect(_ fetch: Fetch, _ addresses: ArraySlice<SocketAddress>) {
        guard let address = addresses.first else { return fetch.finish(.failure(.unreachable)) }
        let left = fetch.deadline.since(SystemClock.now)
        // An address that swallows everything must leave time for the next one.
        let share = addresses.count > 1 ? left / 2 : left
        let limits = limits
        ClientBootstrap(group: eventLoop).connectTimeout(TimeAmount(share))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(ByteLimit(limits.bodyBytesMaximum + limits.headBytesMaximum))
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(AnswerReader(fetch, bodyBytesMaximum: limits.bodyBytesMaximum))
                }
            }
            .connect(to: address).whenComplete { result in
                switch result {
                case .success(let channel): fetch.take(channel)
                case .failure: if !fetch.isFinished { self.connect(fetch, addresses.dropFirst()) }
                }
            }
    }

    private func leave(_ fetch: Fetch) {
        state.value.waiting.removeAll { $0 === fetch }
        guard fetch.isUnderWay else { return }
        state.value.underWay -= 1
        while state.value.underWay < limits.concurrentMaximum, !state.value.waiting.isEmpty {
            begin(state.value.waiting.removeFirst())
        }
    }
}

/// One request and what becomes of it. Lives on the loop.
private final class Fetch: Sendable {
    private struct State {
        var then: HTTPFetcher.Completion?
        var onEnd: (@Sendable (Fetch) -> Void)?
        var timer: Scheduled<Void>?
        var channel: (any Channel)?
        var isUnderWay = false
    }

    let post: HTTPPost
    let deadline: Instant
    private let state: NIOLoopBoundBox<State>

    init(post: HTTPPost, deadline: Instant, eventLoop: any EventLoop, then: @escaping HTTPFetcher.Completion) {
        (self.post, self.deadline) = (post, deadline)
        state = NIOLoopBoundBox(State(then: then), eventLoop: eventLoop)
    }

    var isFinished: Bool { state.value.then == nil }

    var isUnderWay: Bool {
        get { state.value.isUnderWay }
        set { state.value.isUnderWay = newValue }
    }

    var timer: Scheduled<Void>? {
        get { state.value.timer }
        set { state.value.timer = newValue }
    }

    var onEnd: (@Sendable (Fetch) -> Void)? {
        get { state.value.onEnd }
        set { state.value.onEnd = newValue }
    }

    /// Takes the connection, which may have come too late.
    func take(_ channel: any Channel) {
        guard !isFinished else { return channel.close(promise: nil) }
        state.value.channel = channel
    }

    /// Ends the fetch; what comes later changes nothing.
    func finish(_ result: Result<[UInt8], HTTPFetchFailure>) {
        let ended = state.value
        guard let then = ended.then else { return }
        (state.value.then, state.value.onEnd, state.value.timer, state.value.channel) = (nil, nil, nil, nil)
        ended.timer?.cancel()
        ended.channel?.close(promise: nil)
        then(result)
        ended.onEnd?(self)
    }
}

/// Sends the request and reads the answer.
private final class AnswerReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let fetch: Fetch
    private let bodyBytesMaximum: Int
    private var body: [UInt8] = []

    init(_ fetch: Fetch, bodyBytesMaximum: Int) { (self.fetch, self.bodyBytesMaximum) = (fetch, bodyBytesMaximum) }

    func channelActive(context: ChannelHandlerContext) {
        let post = fetch.post
        let headers: HTTPHeaders = [
            "Host": post.url.authority, "Content-Type": post.types.sent, "Content-Length": "\(post.body.count)",
            "Accept": post.types.accepted, "Connection": "close",
        ]
        let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: post.url.target, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: post.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            switch head.status.code {
            case 200: break
            case 300..<400: end(context, .failure(.redirected))
            default: end(context, .failure(.wrongStatus))
            }
        case .body(let part):
            guard body.count + part.readableBytes <= bodyBytesMaximum else { return end(context, .failure(.tooLarge)) }
            body += part.readableBytesView
        case .end: end(context, .success(body))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is TooManyBytes: end(context, .failure(.tooLarge))
        case HTTPParserError.invalidEOFState: end(context, .failure(.closedEarly))
        case is HTTPParserError: end(context, .failure(.malformed))
        default: end(context, .failure(.closedEarly))
        }
    }

    func channelInactive(context: ChannelHandlerContext) { fetch.finish(.failure(.closedEarly)) }

    private func end(_ context: ChannelHandlerContext, _ result: Result<[UInt8], HTTPFetchFailure>) {
        fetch.finish(result)
        context.close(promise: nil)
    }
}
