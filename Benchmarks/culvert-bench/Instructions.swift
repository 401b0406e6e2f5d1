import ArgumentParser

/// A fixed amount of the path's work and nothing else, for a tool that counts instructions: these are the same in each run, however
/// busy the machine is.
struct Instructions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A fixed number of packets through the path of one worker, for Tests/Instructions/run to count.")

    @Option(help: ArgumentHelp("The suite.", valueName: "name"))
    var suite = "aes256-gcm16"

    @Option(help: ArgumentHelp("How large the inner IP packets are.", valueName: "bytes"))
    var bytes = 64

    @Option(help: ArgumentHelp("in or out.", valueName: "direction"))
    var direction = "in"

    /// Enough that what happens once, with the first packet of an SA, does not count.
    private static let batches = 20

    func run() throws {
        guard let named = NamedSuite.all.first(where: { $0.name == suite }), (28...1400).contains(bytes),
            ["in", "out"].contains(direction)
        else { throw ValidationError("no such suite, size or direction") }
        var loop = try ScaleLoop(named, sessions: 1, size: bytes)
        loop.burst = batchCount
        for _ in 0..<Self.batches {
            let isInbound = direction == "in"
            let isFilled = isInbound ? loop.fillFromClients() : loop.fillFromServer()
            guard isFilled, (isInbound ? loop.receiveBatch() : loop.sendBatch()) == batchCount else {
                throw ValidationError("packets were dropped")
            }
        }
        print(Self.batches * batchCount)
    }
}
