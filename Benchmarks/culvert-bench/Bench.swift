import ArgumentParser

/// What the gateway costs: the figures behind docs/performance.md.
@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "culvert-bench",
        abstract: "Measure what Culvert costs: ciphers, the packet path, dial-ins, idle clients.",
        subcommands: [
            Crypto.self, Path.self, Scale.self, Dial.self, Memory.self, GatewayDial.self, Load.self, Instructions.self,
        ])
}

/// Options that all have.
struct MeasureOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where to write the figures as JSON.", valueName: "folder"))
    var results = "bench-results"

    @Option(help: ArgumentHelp("The length of a span; of each figure the best of eight spans counts.", valueName: "ms"))
    var milliseconds = 20

    func validate() throws {
        guard (1...60_000).contains(milliseconds) else { throw ValidationError("--milliseconds is 1 to 60000") }
    }

    var nanoseconds: UInt64 { UInt64(milliseconds) * 1_000_000 }

    /// About how long `count` figures take.
    func announce(_ name: String, figures count: Int) {
        let seconds = max(1, count * milliseconds * 2 * (Stopwatch.spans + 1) / 1000)
        print("\(name): \(count) figures, about \(seconds) second\(seconds == 1 ? "" : "s")")
    }
}
