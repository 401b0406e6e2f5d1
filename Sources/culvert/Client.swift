import ArgumentParser
import FoundationEssentials
import Gateway

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

struct Sessions: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List who is connected.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws {
        let sessions = try gateway.ask { console throws(OperatorFailure) in try console.sessions() }
        try output.print(sessions) { OperatorTables.sessions(sessions) }
    }
}

struct Tunnels: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the L2TP tunnels, and those to fixed peers.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws {
        let tunnels = try gateway.ask { console throws(OperatorFailure) in try console.tunnels() }
        try output.print(tunnels) { OperatorTables.tunnels(tunnels) }
    }
}

struct Associations: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the IPsec SAs: with whom, by which SPIs and algorithms, for how long and how much.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws {
        let associations = try gateway.ask { console throws(OperatorFailure) in try console.associations() }
        try output.print(associations) { OperatorTables.associations(associations, now: Date()) }
    }
}

struct Failures: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Explain the last hundred refused dial-ins: who, when, at which step, why, and what to change.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws {
        let failures = try gateway.ask { console throws(OperatorFailure) in try console.failures() }
        try output.print(failures) { FailureListing.lines(failures, width: terminalWidth()) }
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
    @OptionGroup var gateway: GatewayOptions

    func validate() throws { _ = try selector() }

    func run() throws {
        let selector = try selector()
        let result = try gateway.ask { console throws(OperatorFailure) in try console.drop(selector) }
        try output.print(result) { [OperatorTables.dropped(result)] }
        if result.count == 0, selector != .all { throw ExitCode.failure }
    }

    private func selector() throws -> DropSelector {
        var selectors: [DropSelector] = []
        if let id { selectors.append(.id(id)) }
        if let user { selectors.append(.user(user)) }
        if let address {
            guard let selector = DropSelector(address: address) else {
                throw ValidationError("'\(address)' is not an IP address, such as 192.0.2.1 or 2001:db8::1.")
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

/// How many columns the terminal has that we write to; nil where it is none.
private func terminalWidth() -> Int? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
}
