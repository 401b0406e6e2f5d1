import ArgumentParser
import FoundationEssentials
import Gateway

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the gateway until it gets SIGTERM.",
        discussion: """
            Without --config, environment variables configure it (VPN_IPSEC_PSK, VPN_USER, VPN_PASSWORD, ...); what they \
            leave out of credentials is made at the first start, shown once and kept in the state directory.
            """)

    @Option(help: ArgumentHelp("The YAML configuration file.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The directory for what must outlive a restart.", valueName: "directory"))
    var state = "/var/lib/culvert"

    @OptionGroup var socket: SocketOptions

    func run() throws {
        let loaded = try orExit {
            () throws(ConfigurationError) in
            try ConfigurationLoader.load(
                file: config, environment: ProcessInfo.processInfo.environment, stateDirectory: state)
        }
        for warning in loaded.warnings { complain("warning: \(warning)") }
        switch loaded.ownCredentials {
        case .none: break
        case .made(_, let welcome): print(welcome)
        case .kept(let path): print("Credentials of an earlier start are in use; they are kept in \(path)")
        }
        // What follows may go on for months; a pipe as standard output must not hold this back.
        fflush(nil)
        try serve(configuration: loaded.configuration, stateDirectory: state, socketPath: socket.socket)
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration file without serving.",
        discussion: "The environment variables that fill what the file leaves out count here too.")

    @Option(help: ArgumentHelp("The YAML configuration file.", valueName: "file"))
    var config: String

    func run() throws {
        let loaded = try orExit { () throws(ConfigurationError) in
            try ConfigurationLoader.load(file: config, environment: ProcessInfo.processInfo.environment)
        }
        for warning in loaded.warnings { complain("warning: \(warning)") }
        print("\(config): ok")
        for line in loaded.configuration.summary { print("  \(line)") }
    }
}

/// Runs `body`; a configuration that is wrong ends the process with 1, each issue on a line of its own.
private func orExit<Value>(_ body: () throws(ConfigurationError) -> Value) throws -> Value {
    do throws(ConfigurationError) {
        return try body()
    } catch {
        for issue in error.issues { complain("\(issue)") }
        throw ExitCode.failure
    }
}

/// Writes a line to standard error.
func complain(_ line: String) {
    let bytes = [UInt8]("\(line)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}
