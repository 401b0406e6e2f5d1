import ArgumentParser
import CBenchmark
import Cryptography
import IKE
import IO
import Wire

/// Clients that dial in at a running gateway, hang up, and dial in again, as many at once as they are told.
struct GatewayDial: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway-dial",
        abstract:
            "IKE: main mode, quick mode and Deletes with a running gateway, and what processor time that takes it.",
        discussion: """
            All addresses of --clients must be this machine's own, and the gateway must have a route back to them: \
            Tests/Interop/load makes two network namespaces in which they are. The clients believe in a NAT of their own, \
            as most have one, and so go on on UDP port 4500.
            """)

    @OptionGroup var options: MeasureOptions

    @Option(help: ArgumentHelp("The gateway's address.", valueName: "address"))
    var gateway: String

    @Option(help: ArgumentHelp("The gateway's process, for its processor time.", valueName: "id"))
    var process: Int

    @Option(help: ArgumentHelp("The clients' addresses.", valueName: "network"))
    var clients = "10.64.0.0/10"

    @Option(help: ArgumentHelp("The pre-shared key.", valueName: "text"))
    var psk: String

    @Option(help: ArgumentHelp("How many dial in at once.", valueName: "number"))
    var inFlight = 64

    @Option(help: ArgumentHelp("For how long, with each group.", valueName: "number"))
    var seconds = 10

    @Option(
        help: ArgumentHelp(
            "Stay dialled in, this many of them, and tell what the gateway's memory grew by.", valueName: "number"))
    var stay = 0

    func validate() throws {
        guard (1...1024).contains(inFlight), (1...60).contains(seconds),
            (0...IKELimits().associationsMaximum).contains(stay)
        else {
            throw ValidationError(
                "--in-flight is 1 to 1024, --seconds 1 to 60, --stay 0 to \(IKELimits().associationsMaximum)")
        }
    }

    func run() throws {
        guard let server = IPv4Address(gateway), let network = IPv4Network(clients) else {
            throw ValidationError("--gateway is an address, --clients a network")
        }
        let load = try DialLoad(server: server, network: network, preSharedKey: Array(psk.utf8))
        if stay > 0 { return try measureMemory(load) }
        var table = Table(columns: [
            "group", "dial-ins per second", "failed", "us of the gateway", "us limit", "% of the limit", "us helpers",
            "us control loop", "us workers",
        ])
        for (name, group) in [("modp2048", DiffieHellmanGroup.modp2048), ("ecp256", .ecp256)] {
            let limit = try DialLimit(group)
            let best = Stopwatch.measure(nanoseconds: 3 * options.nanoseconds) { watch in
                watch.start()
                guard (try? limit.run()) != nil else { fatalError("the library refused \(name)") }
                watch.stop()
                return 1
            }
            // The first second warms up tables and caches on both sides.
            _ = try load.run(group, inFlight: inFlight, duration: .seconds(1))
            let before = ProcessTimes(process)
            let result = try load.run(group, inFlight: inFlight, duration: .seconds(Int64(seconds)))
            let times = ProcessTimes(process).since(before)
            guard result.done > 0 else { throw ValidationError("nobody got in") }
            let each = { (nanoseconds: Double) in nanoseconds / Double(result.done) / 1000 }
            table.rows.append([
                .text(name), .number(Double(result.done) / result.seconds, digits: 0),
                .number(Double(result.failed), digits: 0), .number(each(times.all), digits: 0),
                .number(best.nanoseconds / 1000, digits: 0),
                .number(100 * best.nanoseconds / 1000 / each(times.all), digits: 0),
                .number(each(times.helpers), digits: 0), .number(each(times.control), digits: 0),
                .number(each(times.workers), digits: 0),
            ])
        }
        table.show()
        table.write("gateway-dial", to: options.results)
    }

    private func measureMemory(_ load: DialLoad) throws {
        _ = try load.run(.ecp256, inFlight: inFlight, duration: .seconds(1))
        let before = residentBytes(process)
        let result = try load.run(.ecp256, inFlight: inFlight, duration: .seconds(60), staying: stay)
        let grown = residentBytes(process) - before
        print(
            "\(result.done) clients stay, \(result.failed) failed: \(grown / max(1, result.done)) bytes each at first")
    }
}
