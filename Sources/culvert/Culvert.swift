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
            Serve.self, Check.self, Sessions.self, Tunnels.self, Failures.self, Drop.self, Statistics.self,
            Version.self,
        ])
}

/// `--socket PATH`, of every command that asks a running gateway.
struct SocketOptions: ParsableArguments {
    static let pathDefault = "/run/culvert/culvert.sock"

    @Option(help: ArgumentHelp("The gateway's socket for operators.", valueName: "path"))
    var socket = SocketOptions.pathDefault

    var console: OperatorConsole { OperatorConsole(path: socket, transport: operatorTransport()) }
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
