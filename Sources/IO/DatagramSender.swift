import CLinux
import Wire

/// Sends single packets through the socket that it was taken from. Any thread may use it, beside the worker that owns the
/// socket; it keeps the socket open.
public struct DatagramSender: Sendable {
    let socket: FileDescriptor

    /// Sends `bytes` to `path.remote`, from `path.local` unless that is 0.0.0.0 or `::`. Never waits.
    ///
    /// - Throws: `EAGAIN` and `ENOBUFS` where a queue is full, `EMSGSIZE`, `ENETUNREACH`, `EPERM`.
    public func send(_ bytes: RawSpan, along path: OuterPath) throws(SystemError) {
        let returned = bytes.withUnsafeBytes { buffer in
            // The kernel only reads what is to be sent.
            let start = UnsafeMutableRawPointer(mutating: buffer.baseAddress)
            var datagram = culvert_datagram(start: start, count: buffer.count, path: path)
            return culvert_datagram_send(socket.descriptor, &datagram)
        }
        try checked(returned, "send to \(path.remote)")
    }

    /// Sends `bytes` as ``send(_:along:)-(RawSpan,_)`` does.
    public func send(_ bytes: [UInt8], along path: OuterPath) throws(SystemError) {
        try send(bytes.span.bytes, along: path)
    }
}
