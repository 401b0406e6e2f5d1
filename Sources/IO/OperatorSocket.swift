import CLinux
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// What the operator's socket takes, and for how long.
public struct OperatorSocketLimits: Sendable {
    /// The most bytes of a request, its line end not counted.
    public var requestBytesMaximum = 64 << 10
    /// The most connections at a time.
    public var connectionsMaximum = 16
    /// How long a request may take to come in, and its answer to be taken off.
    public var transferTime: Duration = .seconds(10)
    /// How long the gateway may think about an answer.
    public var answerTime: Duration = .seconds(30)

    /// The limits as they are meant.
    public init() {}
}

/// Why a connection to the operator's socket was ended without an answer.
public enum OperatorSocketDrop: Int, CaseIterable, Hashable, Sendable {
    /// There were as many as there may be.
    case tooManyConnections
    /// Neither root nor our own user asked, or the system did not say who.
    case foreignUser
    /// The request was longer than requests may be.
    case requestTooLong
    /// Bytes came behind the end of the request.
    case trailingBytes
    /// The other end hung up before its request was complete.
    case endedEarly
    /// The request did not come, or its answer was not taken, in time.
    case tooSlow
    /// The gateway itself had no answer in time.
    case noAnswer
}

/// The UNIX socket by which an operator asks the gateway: a request is one line (of JSON, which is the caller's affair),
/// its answer is whatever the handler says, and ends with the connection. Only root and our own user may ask.
public final class OperatorSocket: Sendable {
    /// Gets a request's line, on the loop; calls `respond` once with the answer, at once or later, from any thread.
    public typealias Handler =
        @Sendable (_ line: [UInt8], _ respond: @escaping @Sendable ([UInt8]) -> Void) -> Void

    private let channel: any Channel
    private let file: SocketFile
    private let shared: OperatorConnections

    /// Listens on `path`. Missing folders are made; a socket file that nobody answers on is replaced. To be called by
    /// another thread than the loop's.
    public init(
        path: String, on loop: ControlLoop, limits: OperatorSocketLimits = OperatorSocketLimits(),
        handler: @escaping Handler
    ) throws {
        file = try SocketFile(path: path)
        let shared = OperatorConnections(limits: limits)
        self.shared = shared
        do {
            channel = try ServerBootstrap(group: loop.eventLoop)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let connection = OperatorConnection(shared: shared, handler: handler)
                        try channel.pipeline.syncOperations.addHandler(connection)
                    }
                }
                .withBoundSocket(file.takeDescriptor()).wait()
        } catch {
            file.remove()
            throw error
        }
    }

    /// How many connections were ended for `reason`.
    public func drops(_ reason: OperatorSocketDrop) -> Int { shared.drops(reason) }

    /// Stops listening and removes the socket file. To be called by another thread than the loop's.
    public func close() {
        file.remove()
        try? channel.close().wait()
    }
}

/// What all connections to one operator's socket share.
private final class OperatorConnections: Sendable {
    let limits: OperatorSocketLimits
    private let counts = Mutex([Int](repeating: 0, count: OperatorSocketDrop.allCases.count))
    private let open = Atomic(0)

    init(limits: OperatorSocketLimits) { self.limits = limits }

    func drops(_ reason: OperatorSocketDrop) -> Int { counts.withLock { $0[reason.rawValue] } }

    func count(_ reason: OperatorSocketDrop) { counts.withLock { $0[reason.rawValue] += 1 } }

    /// Takes one more connection, unless there are as many as there may be.
    func enter() -> Bool {
        guard open.add(1, ordering: .relaxed).newValue <= limits.connectionsMaximum else {
            leave()
            return false
        }
        return true
    }

    func leave() { open.subtract(1, ordering: .relaxed) }
}

/// One connection: reads a line, has it answered, writes the answer, ends.
private final class OperatorConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// Who asks is not known yet, or the line is not complete.
        case receiving([UInt8])
        /// The handler has the request.
        case answering
        /// The answer is on its way.
        case sending
        case ended
    }

    private let shared: OperatorConnections
    private let handler: OperatorSocket.Handler
    private var state = State.receiving([])
    private var isCounted = false
    private var isTrusted = false
    private var lineIsComplete = false
    private var timer: Scheduled<Void>?

    init(shared: OperatorConnections, handler: @escaping OperatorSocket.Handler) {
        (self.shared, self.handler) = (shared, handler)
    }

    func channelActive(context: ChannelHandlerContext) {
        isCounted = shared.enter()
        guard isCounted else { return end(context, .tooManyConnections) }
        startTimer(shared.limits.transferTime, .tooSlow, context)
        guard let provider = context.channel as? any SocketOptionProvider else { return end(context, .foreignUser) }
        let credentials: EventLoopFuture<culvert_credentials> = provider.unsafeGetSocketOption(
            level: NIOBSDSocket.OptionLevel(rawValue: SOL_SOCKET), name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        credentials.whenComplete { result in
            let (connection, context) = bound.value
            guard case .success(let peer) = result, peer.user == 0 || peer.user == geteuid() else {
                return connection.end(context, .foreignUser)
            }
            connection.isTrusted = true
            connection.answerIfReady(context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .receiving(var line) = state else {
            // Answering or sending: nothing more is expected.
            if case .answering = state { end(context, .trailingBytes) }
            return
        }
        state = .ended  // So that the bytes have one owner while they grow.
        let bytes = unwrapInboundIn(data).readableBytesView
        guard !lineIsComplete else { return end(context, .trailingBytes) }
        let part = bytes.prefix { $0 != UInt8(ascii: "\n") }
        guard line.count + part.count <= shared.limits.requestBytesMaximum else { return end(context, .requestTooLong) }
        line += part
        lineIsComplete = part.count < bytes.count
        guard bytes.count - part.count <= 1 else { return end(context, .trailingBytes) }
        state = .receiving(line)
        answerIfReady(context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The other end has said all that it will say; its answer it can still take.
        if case ChannelEvent.inputClosed = event, case .receiving = state, !lineIsComplete {
            end(context, .endedEarly)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .receiving = state { shared.count(.endedEarly) }
        state = .ended
        timer?.cancel()
        if isCounted { shared.leave() }
        isCounted = false
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answerIfReady(_ context: ChannelHandlerContext) {
        guard isTrusted, lineIsComplete, case .receiving(let line) = state else { return }
        state = .answering
        startTimer(shared.limits.answerTime, .noAnswer, context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        handler(line) { answer in
            eventLoop.execute {
                let (connection, context) = bound.value
                connection.send(answer, context)
            }
        }
    }

    private func send(_ answer: [UInt8], _ context: ChannelHandlerContext) {
        guard case .answering = state else { return }
        state = .sending
        startTimer(shared.limits.transferTime, .tooSlow, context)
        let buffer = context.channel.allocator.buffer(bytes: answer)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in
            let (connection, context) = bound.value
            connection.end(context, nil)
        }
    }

    private func startTimer(_ time: Duration, _ reason: OperatorSocketDrop, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(time)) { self.end(context, reason) }
    }

    private func end(_ context: ChannelHandlerContext, _ reason: OperatorSocketDrop?) {
        if let reason { shared.count(reason) }
        state = .ended
        timer?.cancel()
        timer = nil
        context.close(promise: nil)
    }
}
