import ArgumentParser
import FoundationEssentials
import Gateway

struct Policy: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show and change what is permitted, blocked and secured.",
        discussion: """
            Changes count at once and for as long as the gateway runs; `culvert policy export` writes what a configuration \
            file has to say for them to stay.
            """,
        subcommands: [
            PolicyShow.self, PolicyTest.self, PolicySet.self, PolicyAdd.self, PolicyRemove.self, PolicyImport.self,
            PolicyExport.self,
        ],
        defaultSubcommand: PolicyShow.self)
}

struct PolicyShow: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the policy as a table.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws {
        let policy = try gateway.ask { console throws(OperatorFailure) in try console.policy() }
        try output.print(policy) { OperatorTables.policy(policy) }
    }
}

struct PolicyTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Say which rule a packet meets, and why.",
        discussion: "Ends with 2 where the packet is blocked.")

    @Argument(help: ArgumentHelp("Where the packet comes from.", valueName: "src"))
    var source: String

    @Argument(help: ArgumentHelp("Where it goes.", valueName: "dst"))
    var destination: String

    @Argument(help: ArgumentHelp("Its protocol: a name such as udp, or a number.", valueName: "proto"))
    var transport: String

    @Argument(
        help: ArgumentHelp("The destination port; of two, the source port and the destination port.", valueName: "port")
    )
    var ports: [String] = []

    @Option(help: ArgumentHelp("lan or remote-access; by default what its ports tell.", valueName: "type"))
    var connection: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func validate() throws {
        guard ports.count <= 2 else { throw ValidationError("Give one port, or source and destination port.") }
    }

    func run() throws {
        let question = try gateway.ask { _ throws(OperatorFailure) in
            try PolicyQuestion(
                source: source, destination: destination, transport: transport,
                sourcePort: ports.count == 2 ? ports[0] : nil, destinationPort: ports.last, connection: connection)
        }
        let answer = try gateway.ask { console throws(OperatorFailure) in try console.policyAnswer(question) }
        try output.print(answer) { OperatorTables.policy(answer) }
        if answer.verdict == "block" { throw ExitCode(2) }
    }
}

struct PolicySet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Take another predefined policy; rules of your own stay.")

    @Argument(help: ArgumentHelp("secure-server, server, client or custom.", valueName: "policy"))
    var use: String

    @Option(help: ArgumentHelp("What it is about: l2tp, or host for all of the machine.", valueName: "what"))
    var covers: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func validate() throws {
        guard covers == nil || covers == "l2tp" || covers == "host" else {
            throw ValidationError("--covers l2tp or host")
        }
    }

    func run() throws {
        try change(.set(use: use, coversHost: covers.map { $0 == "host" }), gateway, output)
    }
}

struct PolicyAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add the filter lists, actions and rules of a file.",
        discussion: """
            The file has `policy:` at its top, as a configuration file has it; - is standard input. Refused whole where any \
            part of it is wrong, or has a name that is there already.
            """)

    @Argument(help: ArgumentHelp("The YAML file.", valueName: "file"))
    var file: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws { try change(.add(text: try read(file), name: file), gateway, output) }
}

struct PolicyRemove: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove a rule.")

    @Argument(help: ArgumentHelp("The rule's name.", valueName: "rule"))
    var rule: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws { try change(.remove(rule: rule), gateway, output) }
}

struct PolicyImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take a file's policy in the place of the one that counts.",
        discussion: "Refused whole where any part of it is wrong. - is standard input.")

    @Argument(help: ArgumentHelp("The YAML file, with `policy:` at its top.", valueName: "file"))
    var file: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func run() throws { try change(.replace(text: try read(file), name: file), gateway, output) }
}

struct PolicyExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the policy as a configuration file has it.")

    @OptionGroup var gateway: GatewayOptions

    func run() throws {
        print(try gateway.ask { console throws(OperatorFailure) in try console.policyText() }, terminator: "")
    }
}

private func change(_ request: PolicyRequest, _ gateway: GatewayOptions, _ output: OutputOptions) throws {
    let policy = try gateway.ask { console throws(OperatorFailure) in try console.changePolicy(request) }
    try output.print(policy) { OperatorTables.policy(policy) }
}

private func read(_ file: String) throws -> String {
    let data: Data
    do {
        data = try Data(contentsOf: URL(filePath: file == "-" ? "/dev/stdin" : file))
    } catch {
        complain("culvert: \(file) cannot be read: \(error)")
        throw ExitCode.failure
    }
    guard let text = String(validating: data, as: UTF8.self) else {
        complain("culvert: \(file) is not UTF-8")
        throw ExitCode.failure
    }
    return text
}
