import ArgumentParser
import Gateway

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

struct Statistics: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what the gateway counted, and what it dropped for which reason.",
        discussion: "With --watch, shows it again and again, with what came each second, until Ctrl-C.")

    @Option(
        defaultAsFlag: 1,
        help: ArgumentHelp("Show it again after so many seconds, 1 to 3600.", valueName: "seconds"))
    var watch: Int?

    @OptionGroup var output: OutputOptions
    @OptionGroup var gateway: GatewayOptions

    func validate() throws {
        if let watch, !(1...3600).contains(watch) { throw ValidationError("--watch takes 1 to 3600 seconds.") }
    }

    func run() throws {
        guard let watch else {
            let statistics = try record()
            return try output.print(statistics) { OperatorTables.statistics(statistics) }
        }
        Interruption.endsWithSuccess()
        var last: StatisticsSample?
        while true {
            let statistics = try record()
            let sample = StatisticsSample(statistics, at: .now, after: last)
            try show(sample)
            last = sample
            sleep(UInt32(watch))
        }
    }

    private func record() throws -> StatisticsRecord {
        try gateway.ask { console throws(OperatorFailure) in try console.statistics() }
    }

    /// On a terminal in the place of the last one; for a pipe, behind it: JSON a line each, else with a line between.
    private func show(_ sample: StatisticsSample) throws {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        var text: String
        if output.json {
            text = String(decoding: try OperatorJSON.line(sample.report), as: UTF8.self) + "\n"
        } else {
            text = OperatorTables.statistics(sample).joined(separator: "\n") + "\n"
            text = isTerminal ? "\u{1B}[H\u{1B}[2J" + text : text + "\n"
        }
        Interruption.waits {
            print(text, terminator: "")
            fflush(nil)
        }
    }
}

/// What Ctrl-C and SIGTERM do to a command that goes on until then: it ends well, at once, and never within a line.
private enum Interruption {
    private static let signals = [SIGINT, SIGTERM]

    static func endsWithSuccess() { for number in signals { signal(number) { _ in _exit(0) } } }

    static func waits(for body: () -> Void) {
        var mask = sigset_t()
        sigemptyset(&mask)
        for number in signals { sigaddset(&mask, number) }
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, &mask, &before)
        body()
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }
}
