import Glibc

/// A system call that failed: what was being done, and the system's error number.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was being done, as an operator reads it: "bind 0.0.0.0:500".
    public let operation: String
    /// The system's error number (errno).
    public let number: Int32
    /// What the operator can do about it, where we know.
    public let advice: String?

    /// The failure `number` of `operation`.
    public init(operation: String, number: Int32, advice: String? = nil) {
        (self.operation, self.number, self.advice) = (operation, number, advice)
    }

    /// The operation, the system's words for the error and our advice.
    public var description: String {
        // Safe from any thread in the C library that Swift needs (glibc 2.32 made its buffer one per thread).
        let reason = strerror(number).map { String(cString: $0) } ?? "error \(number)"
        return advice.map { "\(operation): \(reason) (\($0))" } ?? "\(operation): \(reason)"
    }
}

/// Returns the count or descriptor that a function of CLinux returned, or throws the error that it told.
@discardableResult
func checked(
    _ returned: Int32, _ operation: @autoclosure () -> String, advice: @autoclosure () -> String? = nil
) throws(SystemError) -> Int32 {
    guard returned >= 0 else { throw SystemError(operation: operation(), number: -returned, advice: advice()) }
    return returned
}
