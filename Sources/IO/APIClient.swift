import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Wire

/// Why a gateway's API gave no answer, in words for the operator.
public struct APIClientFailure: Error, Equatable, CustomStringConvertible {
    /// What happened.
    public let description: String
}

/// Asks a gateway's API, over HTTPS.
public enum APIClient {
    /// One question.
    public struct Question: Sendable {
        /// The method, such as `GET`.
        public var method: String
        /// Where to: scheme https.
        public var url: HTTPURL
        /// What shows who asks.
        public var token: String
        /// The file of the certificates that are trusted, PEM; nil for those that the system trusts.
        public var authorityPath: String?
        /// The body.
        public var body: [UInt8]

        /// A question.
        public init(_ method: String, _ url: HTTPURL, token: String, authorityPath: String?, body: [UInt8]) {
            (self.method, self.url, self.token) = (method, url, token)
            (self.authorityPath, self.body) = (authorityPath, body)
        }
    }

    /// The most bytes around an answer's body.
    private static let headBytesMaximum = 64 << 10

    /// The status and the body of the answer. Waits, at most for `timeLimit` in all.
    public static func ask(
        _ question: Question, timeLimit: Duration = .seconds(40)
    ) throws(APIClientFailure) -> (status: Int, body: [UInt8]) {
        let context = try context(question.authorityPath)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        do {
            return try ask(question, context, group.next(), TimeAmount(timeLimit)).wait()
        } catch {
            throw APIClientFailure(description: words(for: error))
        }
    }

    private static func context(_ authorityPath: String?) throws(APIClientFailure) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        do {
            if let authorityPath {
                let authorities = try NIOSSLCertificate.fromPEMFile(authorityPath)
                guard !authorities.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
                configuration.trustRoots = .certificates(authorities)
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw APIClientFailure(description: "\(authorityPath ?? "the system") has no certificates to trust (PEM)")
        }
    }

    private static func ask(
        _ question: Question, _ tls: NIOSSLContext, _ loop: any EventLoop, _ time: TimeAmount
    ) -> EventLoopFuture<(status: Int, body: [UInt8])> {
        let promise = loop.makePromise(of: (status: Int, body: [UInt8]).self)
        let timer = loop.scheduleTask(in: time) { promise.fail(ChannelError.connectTimeout(time)) }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        ClientBootstrap(group: loop).connectTimeout(time)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    let isAddress = (try? SocketAddress(ipAddress: question.url.host, port: 0)) != nil
                    // For an address, the certificate has to name the one that we are connected to.
                    let name = isAddress ? nil : question.url.host
                    try pipeline.addHandler(ByteLimit(OperatorClient.answerBytesMaximum + headBytesMaximum))
                    try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(APIAnswerReader(question, promise))
                }
            }
            .connect(host: question.url.host, port: Int(question.url.port)).whenFailure { promise.fail($0) }
        return promise.futureResult
    }

    private static func words(for error: any Error) -> String {
        switch error {
        case let failure as APIClientFailure: return failure.description
        case is TooManyBytes: return "its answer is too large"
        case ChannelError.connectTimeout: return "no answer in time"
        case let failure as NIOSSLExtraError where failure == .failedToValidateHostname:
            return "its certificate is for another name or address (--ca FILE says whom to trust)"
        case let failure as NIOConnectionError:
            let reasons = failure.connectionErrors.map { "\($0.error)" }
            return reasons.isEmpty ? "there is no such host" : reasons.joined(separator: "; ")
        case is IOError: return "the connection broke: \(error)"
        default: break
        }
        let text = "\(error)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "its certificate is not trusted (--ca FILE says whom to trust)"
        }
        return text.contains("WRONG_VERSION_NUMBER") ? "it does not speak TLS" : "TLS or HTTP failed: \(text)"
    }
}

/// Sends the question and reads the answer.
private final class APIAnswerReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let question: APIClient.Question
    private let promise: EventLoopPromise<(status: Int, body: [UInt8])>
    private var status = 0
    private var body: [UInt8] = []

    init(_ question: APIClient.Question, _ promise: EventLoopPromise<(status: Int, body: [UInt8])>) {
        (self.question, self.promise) = (question, promise)
    }

    func channelActive(context: ChannelHandlerContext) {
        let headers: HTTPHeaders = [
            "Host": question.url.authority, "Authorization": "Bearer \(question.token)",
            "Content-Type": "application/json", "Content-Length": "\(question.body.count)",
            "Accept": "application/json", "Connection": "close",
        ]
        let head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: question.method), uri: question.url.target,
            headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: question.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let part): body += part.readableBytesView
        case .end:
            promise.succeed((status, body))
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(APIClientFailure(description: "it hung up without an answer"))
    }
}
