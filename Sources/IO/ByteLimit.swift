import NIOCore

/// More came than the other end has any reason to send, whatever it is made of.
struct TooManyBytes: Error {}

/// Counts what comes in, before anybody takes it apart.
final class ByteLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var left: Int

    init(_ bytesMaximum: Int) { left = bytesMaximum }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        left -= unwrapInboundIn(data).readableBytes
        if left < 0 { context.fireErrorCaught(TooManyBytes()) } else { context.fireChannelRead(data) }
    }
}
