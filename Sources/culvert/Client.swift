import ArgumentParser
import Gateway

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

struct Sessions: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List who is connected.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var socket: SocketOptions

    func run() throws {
        let sessions = try ask { () throws(OperatorFailure) in try socket.console.sessions() }
        try output.print(sessions) { OperatorTables.sessions(sessions) }
    }
}

struct Tunnels: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the L2TP tunnels.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var socket: SocketOptions

    func run() throws {
        let tunnels = try ask { () throws(OperatorFailure) in try socket.console.tunnels() }
        try output.print(tunnels) { OperatorTables.tunnels(tunnels) }
    }
}

struct Failures: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain the last hundred refused dial-ins: who, when, at which step, why, and what to change.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var socket: SocketOptions

    func run() throws {
        let failures = try ask { () throws(OperatorFailure) in try socket.console.failures() }
        try output.print(failures) { FailureListing.lines(failures, width: terminalWidth()) }
    }
}

struct Statistics: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what the gateway counted, and what it dropped for which reason.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var socket: SocketOptions

    func run() throws {
        let statistics = try ask { () throws(OperatorFailure) in try socket.console.statistics() }
        try output.print(statistics) { OperatorTables.statistics(statistics) }
    }
}

struct Drop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hang up sessions; the clients notice at once.",
        discussion: "Exactly one of ID, --user, --address and --all says which. Ends with 1 when nobody is meant.")

    @Argument(help: "The session's id, as `culvert sessions` lists it.")
    var id: UInt64?

    @Option(help: ArgumentHelp("Every session of this user.", valueName: "name"))
    var user: String?

    @Option(help: ArgumentHelp("Every session with this inner or outer address.", valueName: "address"))
    var address: String?

    @Flag(help: "Every session.")
    var all = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var socket: SocketOptions

    func validate() throws { _ = try selector() }

    func run() throws {
        let selector = try selector()
        let result = try ask { () throws(OperatorFailure) in try socket.console.drop(selector) }
        try output.print(result) { [OperatorTables.dropped(result)] }
        if result.count == 0, selector != .all { throw ExitCode.failure }
    }

    private func selector() throws -> DropSelector {
        var selectors: [DropSelector] = []
        if let id { selectors.append(.id(id)) }
        if let user { selectors.append(.user(user)) }
        if let address {
            guard let selector = DropSelector(address: address) else {
                throw ValidationError("'\(address)' is not an IPv4 address, such as 192.0.2.1.")
            }
            selectors.append(selector)
        }
        if all { selectors.append(.all) }
        guard selectors.count == 1, let selector = selectors.first else {
            throw ValidationError("Give exactly one of ID, --user NAME, --address ADDRESS and --all.")
        }
        return selector
    }
}

/// Runs `body`; where the gateway does not answer or refuses, says why and ends the process with 1.
private func ask<Value>(_ body: () throws(OperatorFailure) -> Value) throws -> Value {
    do throws(OperatorFailure) {
        return try body()
    } catch {
        complain("culvert: \(error)")
        throw ExitCode.failure
    }
}

/// How many columns the terminal has that we write to; nil where it is none.
private func terminalWidth() -> Int? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
}
