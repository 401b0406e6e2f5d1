/// The gateway cannot serve yet.
struct NotWired: Error, CustomStringConvertible {
    var description: String { "not wired yet" }
}

/// Serves until SIGTERM.
public func serve(configuration: GatewayConfiguration, stateDirectory: String, socketPath: String) throws {
    throw NotWired()
}

/// The way to the operator's socket.
public func operatorTransport() -> any OperatorTransport { UnwiredTransport() }

private struct UnwiredTransport: OperatorTransport {
    func request(path: String, line: [UInt8]) throws -> [UInt8] { throw NotWired() }
}
