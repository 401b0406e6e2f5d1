import ArgumentParser
import Gateway

/// The executable: one binary for the gateway and its operators.
@main
struct Culvert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "culvert",
        abstract: "An L2TP/IPsec VPN gateway in one process.",
        version: culvertVersion,
        subcommands: [
            Serve.self, Check.self, Sessions.self, Tunnels.self, Associations.self, Failures.self, Drop.self,
            Statistics.self, Policy.self, Version.self,
        ])
}

/// `--socket PATH`: where a gateway listens for operators of its machine.
struct SocketOptions: ParsableArguments {
    static let pathDefault = "/run/culvert/culvert.sock"

    @Option(help: ArgumentHelp("The gateway's socket for operators.", valueName: "path"))
    var socket = SocketOptions.pathDefault
}

/// Which gateway is asked: the one on this machine by its socket, or another by its API.
struct GatewayOptions: ParsableArguments {
    @OptionGroup var local: SocketOptions

    @Option(help: ArgumentHelp("Another machine's gateway, by its API: https://host:port.", valueName: "url"))
    var gateway: String?

    @Option(help: ArgumentHelp("The file that holds the token for --gateway.", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("The authorities behind --gateway, PEM; else the system's.", valueName: "file"))
    var ca: String?

    func validate() throws {
        guard gateway == nil || tokenFile != nil else { throw ValidationError("--gateway needs --token-file FILE.") }
        guard gateway != nil || (tokenFile == nil && ca == nil) else {
            throw ValidationError("--token-file and --ca go with --gateway URL.")
        }
    }

    /// Asks by `question`; where the gateway does not answer or refuses, says why and ends the process with 1.
    func ask<Value>(_ question: (OperatorConsole) throws(OperatorFailure) -> Value) throws -> Value {
        let console = try console()
        do throws(OperatorFailure) {
            return try question(console)
        } catch {
            complain("culvert: \(error)")
            throw ExitCode.failure
        }
    }

    private func console() throws -> OperatorConsole {
        guard let gateway, let tokenFile else {
            return OperatorConsole(path: local.socket, transport: SocketTransport())
        }
        do throws(APITransport.Failure) {
            let transport = try APITransport(tokenPath: tokenFile, authorityPath: ca)
            return OperatorConsole(path: gateway, transport: transport)
        } catch {
            complain("culvert: \(error)")
            throw ExitCode.failure
        }
    }
}

/// `--json`, of every command that lists something.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false

    func print(_ value: some Encodable, _ table: () -> [String]) throws {
        for line in json ? [try OperatorJSON.text(value)] : table() { Swift.print(line) }
    }
}

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the version.")

    func run() { print("culvert \(culvertVersion)") }
}
