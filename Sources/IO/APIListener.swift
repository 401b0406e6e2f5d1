import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import Wire

/// What the operators' API takes, and for how long.
public struct APILimits: Sendable {
    /// The most bytes of a request's body.
    public var bodyBytesMaximum = 64 << 10
    /// The most bytes around it: TLS, request line, header fields.
    public var headBytesMaximum = 64 << 10
    /// The most connections at a time.
    public var connectionsMaximum = 64
    /// The most connections of one address at a time.
    public var connectionsPerAddressMaximum = 16
    /// How long a request may take to come in, the TLS handshake included, and its answer to be taken off.
    public var transferTime: Duration = .seconds(10)
    /// How long the gateway may think about an answer.
    public var answerTime: Duration = .seconds(30)

    /// The limits as they are meant.
    public init() {}
}

/// Why a connection to the operators' API was ended without an answer of the gateway.
public enum APIDrop: Int, CaseIterable, Hashable, Sendable {
    /// There were as many as there may be, in all or of one address.
    case tooManyConnections
    /// What came is not TLS, or its handshake failed.
    case noTLS
    /// What came is not HTTP.
    case malformed
    /// The request was longer than requests may be.
    case requestTooLong
    /// The other end hung up before its request was complete.
    case endedEarly
    /// The request did not come, or its answer was not taken, in time.
    case tooSlow
    /// The gateway itself had no answer in time.
    case noAnswer
}

/// What somebody asks of the API: one HTTP request, inside TLS.
public struct APIRequest: Sendable {
    /// The method, such as `GET`.
    public var method: String
    /// Path and query.
    public var target: String
    /// What the Authorization field holds; nil unless there is exactly one.
    public var authorization: String?
    /// The body.
    public var body: [UInt8]
    /// Who asks.
    public var remote: IPAddress

    /// A request.
    public init(method: String, target: String, authorization: String?, body: [UInt8] = [], remote: IPAddress) {
        (self.method, self.target, self.authorization) = (method, target, authorization)
        (self.body, self.remote) = (body, remote)
    }
}

/// What is answered, with a status of HTTP (RFC 9110 section 15).
public struct APIResponse: Equatable, Sendable {
    /// The status.
    public var status: Int
    /// The media type of the body.
    public var type: String
    /// What it says.
    public var body: [UInt8]
    /// How long the asker should wait before it tries again, in seconds, where that is the matter.
    public var retryAfterSeconds: Int?

    /// An answer.
    public init(
        status: Int, body: [UInt8], type: String = "application/json", retryAfterSeconds: Int? = nil
    ) {
        (self.status, self.type, self.body) = (status, type, body)
        self.retryAfterSeconds = retryAfterSeconds
    }
}

/// Where the API listens.
public struct ListenAddress: Equatable, Sendable, CustomStringConvertible {
    /// The address, without brackets.
    public let host: String
    /// The TCP port; 0 where the system may choose.
    public let port: UInt16

    /// The address and port that `text` writes, such as `127.0.0.1:8443` or `[::1]:8443`; nil for anything else.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            text[colon...].dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(text[colon...].dropFirst())
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard (try? SocketAddress(ipAddress: String(host), port: Int(port))) != nil else { return nil }
        (self.host, self.port) = (String(host), port)
    }

    /// The address as it is written.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Who the API is, by files.
public struct APICertificate: Sendable {
    /// Why the files do not do, in words.
    public struct Failure: Error, CustomStringConvertible {
        /// The reason.
        public let description: String
    }

    let context: NIOSSLContext

    /// The certificate with its chain, its own first, and its private key, both PEM.
    public init(certificatePath: String, keyPath: String) throws(Failure) {
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(certificatePath)
        } catch {
            throw Failure(description: "\(certificatePath) holds no certificate in PEM that can be read")
        }
        do {
            let key = try NIOSSLPrivateKey(file: keyPath, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv13
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw Failure(description: "\(keyPath) is not the private key in PEM of \(certificatePath)")
        }
    }
}

/// The operators' API on a port: one HTTP request per connection, in TLS 1.3, on a thread of its own, so that whoever
/// knocks there costs neither the control loop nor a worker anything.
public final class APIListener: Sendable {
    /// Gets a request, on the API's thread; calls `respond` once with the answer, at once or later, from any thread.
    public typealias Handler =
        @Sendable (_ request: APIRequest, _ respond: @escaping @Sendable (APIResponse) -> Void) -> Void

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    private let shared: APIConnections

    /// Listens on `address`.
    public init(
        _ address: ListenAddress, certificate: APICertificate, limits: APILimits = APILimits(),
        handler: @escaping Handler
    ) throws {
        let shared = APIConnections(limits: limits, certificate: certificate)
        self.shared = shared
        do {
            channel = try ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 64)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        let connection = APIConnection(shared: shared, handler: handler)
                        try pipeline.addHandler(
                            ByteLimit(shared.limits.bodyBytesMaximum + shared.limits.headBytesMaximum))
                        try pipeline.addHandler(NIOSSLServerHandler(context: shared.context))
                        try pipeline.configureHTTPServerPipeline(
                            withPipeliningAssistance: false, withErrorHandling: false)
                        try pipeline.addHandler(connection)
                    }
                }
                .bind(host: address.host, port: Int(address.port)).wait()
        } catch {
            try? group.syncShutdownGracefully()
            throw error
        }
    }

    /// The port that it listens on.
    public var port: UInt16 { UInt16(clamping: channel.localAddress?.port ?? 0) }

    /// How many connections were ended for `reason`.
    public func drops(_ reason: APIDrop) -> Int { shared.drops(reason) }

    /// Who the API is from now on.
    public func replace(_ certificate: APICertificate) { shared.replace(certificate) }

    /// Stops listening and ends what is under way. To be called once, by another thread than the loop's.
    public func close() {
        try? channel.close().wait()
        try? group.syncShutdownGracefully()
    }
}

/// What all connections to the API share.
private final class APIConnections: Sendable {
    private struct State {
        var counts = [Int](repeating: 0, count: APIDrop.allCases.count)
        var open = 0
        var openByAddress: [IPAddress: Int] = [:]
        var context: NIOSSLContext
    }

    let limits: APILimits
    private let state: Mutex<State>

    init(limits: APILimits, certificate: APICertificate) {
        self.limits = limits
        state = Mutex(State(context: certificate.context))
    }

    var context: NIOSSLContext { state.withLock { $0.context } }

    func replace(_ certificate: APICertificate) { state.withLock { $0.context = certificate.context } }

    func drops(_ reason: APIDrop) -> Int { state.withLock { $0.counts[reason.rawValue] } }

    func count(_ reason: APIDrop) { state.withLock { $0.counts[reason.rawValue] += 1 } }

    /// Takes one more connection, unless there are as many as there may be.
    func enter(_ address: IPAddress) -> Bool {
        state.withLock { state in
            guard state.open < limits.connectionsMaximum,
                state.openByAddress[address, default: 0] < limits.connectionsPerAddressMaximum
            else { return false }
            state.open += 1
            state.openByAddress[address, default: 0] += 1
            return true
        }
    }

    func leave(_ address: IPAddress) {
        state.withLock { state in
            state.open -= 1
            let left = state.openByAddress[address, default: 1] - 1
            state.openByAddress[address] = left == 0 ? nil : left
        }
    }
}

/// One connection: reads a request, has it answered, writes the answer, ends.
private final class APIConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case receiving(head: HTTPRequestHead?, body: [UInt8])
        case answering
        case sending
        case ended
    }

    private let shared: APIConnections
    private let handler: APIListener.Handler
    private var state = State.receiving(head: nil, body: [])
    private var remote: IPAddress?
    private var timer: Scheduled<Void>?

    init(shared: APIConnections, handler: @escaping APIListener.Handler) {
        (self.shared, self.handler) = (shared, handler)
    }

    // Before TLS has begun, so that who says nothing counts too.
    func handlerAdded(context: ChannelHandlerContext) {
        guard let address = context.channel.remoteAddress.flatMap({ IPAddress($0) }), shared.enter(address) else {
            return end(context, .tooManyConnections)
        }
        remote = address
        startTimer(shared.limits.transferTime, .tooSlow, context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .receiving(let head, var body) = state else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): state = .receiving(head: head, body: [])
        case .body(let part):
            guard body.count + part.readableBytes <= shared.limits.bodyBytesMaximum else {
                return end(context, .requestTooLong)
            }
            state = .receiving(head: nil, body: [])
            body += part.readableBytesView
            state = .receiving(head: head, body: body)
        case .end:
            guard let head, let remote else { return end(context, .malformed) }
            let fields = head.headers["authorization"]
            ask(
                APIRequest(
                    method: head.method.rawValue, target: head.uri,
                    authorization: fields.count == 1 ? fields.first : nil, body: body, remote: remote), context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .receiving = state { end(context, .endedEarly) } else { end(context, nil) }
        if let remote { shared.leave(remote) }
        remote = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case .receiving = state else { return end(context, nil) }
        switch error {
        case is TooManyBytes: end(context, .requestTooLong)
        case is HTTPParserError: end(context, .malformed)
        // Who hangs up without TLS' goodbye, before or after the handshake.
        case NIOSSLError.uncleanShutdown: end(context, .endedEarly)
        case NIOSSLError.handshakeFailed(.sslError(let reasons)) where reasons == [.eofDuringHandshake]:
            end(context, .endedEarly)
        default: end(context, .noTLS)
        }
    }

    private func ask(_ request: APIRequest, _ context: ChannelHandlerContext) {
        state = .answering
        startTimer(shared.limits.answerTime, .noAnswer, context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        handler(request) { response in
            loop.execute {
                let (connection, context) = bound.value
                connection.send(response, context)
            }
        }
    }

    private func send(_ response: APIResponse, _ context: ChannelHandlerContext) {
        guard case .answering = state else { return }
        state = .sending
        startTimer(shared.limits.transferTime, .tooSlow, context)
        var headers: HTTPHeaders = [
            "Content-Type": response.type, "Content-Length": "\(response.body.count)", "Connection": "close",
            "Cache-Control": "no-store",
        ]
        if response.status == 401 { headers.add(name: "WWW-Authenticate", value: "Bearer") }
        if let seconds = response.retryAfterSeconds { headers.add(name: "Retry-After", value: "\(seconds)") }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        let body = context.channel.allocator.buffer(bytes: response.body)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            let (connection, context) = bound.value
            connection.end(context, nil)
        }
    }

    private func startTimer(_ time: Duration, _ reason: APIDrop, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(time)) {
            self.end(context, reason)
            // TLS' goodbye needs an answer, which who is too slow does not give either.
            context.channel.close(mode: .all, promise: nil)
        }
    }

    private func end(_ context: ChannelHandlerContext, _ reason: APIDrop?) {
        if case .ended = state { return }
        if let reason { shared.count(reason) }
        state = .ended
        timer?.cancel()
        timer = nil
        context.close(promise: nil)
    }
}
