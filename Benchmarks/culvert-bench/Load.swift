import ArgumentParser
import Cryptography
import Gateway
import Glibc
import IKE
import IO
import Wire

/// Clients of a running gateway that are in this process, all of them, and stay dialled in.
struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Clients with L2TP/IPsec sessions at a running gateway, whose packets go through one TUN interface.",
        discussion: """
            All addresses of --outer and of --inner must be this machine's own, and --servers must be routed to the TUN \
            interface, once it is there: Tests/Interop/throughput makes network namespaces in which it is so. Packets from a \
            client's inner address to the server of the same number travel by that client's session. Runs until its \
            standard input ends.
            """)

    @Option(help: ArgumentHelp("The gateway's address.", valueName: "address"))
    var gateway: String

    @Option(help: ArgumentHelp("The clients' outer addresses.", valueName: "network"))
    var outer = "10.64.0.0/12"

    @Option(help: ArgumentHelp("The network that the gateway gives inner addresses of.", valueName: "network"))
    var inner = "172.16.0.0/16"

    @Option(help: ArgumentHelp("The servers' addresses, as many as inner ones.", valueName: "network"))
    var servers = "172.24.0.0/16"

    @Option(help: ArgumentHelp("The pre-shared key.", valueName: "text"))
    var psk: String

    @Option(help: ArgumentHelp("Who dials in, all of them the same.", valueName: "name"))
    var user: String

    @Option(help: ArgumentHelp("The password.", valueName: "text"))
    var password: String

    @Option(help: ArgumentHelp("gcm, cbc (with HMAC-SHA1), or clear: without IPsec.", valueName: "suite"))
    var suite = "gcm"

    @Flag(help: "ESP as IP protocol 50, not in UDP 4500.")
    var plain = false

    @Option(help: ArgumentHelp("modp2048 or ecp256.", valueName: "group"))
    var group = "modp2048"

    @Option(help: ArgumentHelp("How many clients.", valueName: "number"))
    var clients = 1

    @Option(help: ArgumentHelp("How many dial in at once.", valueName: "number"))
    var inFlight = 64

    @Option(help: ArgumentHelp("The TUN interface.", valueName: "name"))
    var interface = "load"

    @Option(help: ArgumentHelp("The largest inner packet, in bytes.", valueName: "bytes"))
    var mtu = 1400

    @Option(help: ArgumentHelp("Where to write who is in: inner address and server, a line each.", valueName: "file"))
    var addresses: String

    func validate() throws {
        guard (1...1 << 17).contains(clients), (1...1024).contains(inFlight), (1280...1460).contains(mtu) else {
            throw ValidationError("--clients is 1 to 131072, --in-flight 1 to 1024, --mtu 1280 to 1460")
        }
    }

    func run() throws {
        guard let server = IPv4Address(gateway), let outer = IPv4Network(outer), let inner = IPv4Network(inner),
            let servers = IPv4Network(servers), let suite = LoadSuite(rawValue: suite),
            let group = Dial.groups.first(where: { $0.name == group })?.group
        else { throw ValidationError("an address, a network, the suite or the group is none") }
        let plane = try LoadClient(server: server, interface: interface, servers: servers, mtuBytes: mtu)
        let crowd = LoadCrowd(
            LoadCrowd.Settings(
                server: server, outer: outer, inner: inner, servers: servers, preSharedKey: Array(psk.utf8),
                user: user, password: password, suite: suite, group: group, mtuBytes: mtu, isPlain: plain,
                inFlight: inFlight),
            plane: plane)
        let begun = SystemClock.now
        crowd.dial(clients)
        let seconds = Double(SystemClock.now.since(begun) / .milliseconds(1)) / 1000
        try write(crowd)
        print("\(crowd.connected.count) clients are in, \(crowd.failed) failed, in \(seconds) s")
        // Into a file or a pipe, a line stays with us until we end, else.
        fflush(nil)
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        while poll(&input, 1, 0) == 0 { crowd.serve(for: .milliseconds(200)) }
    }

    /// The file is there when all is in it.
    private func write(_ crowd: LoadCrowd) throws {
        let partial = addresses + ".part"
        guard let file = fopen(partial, "w") else { throw ValidationError("\(partial) cannot be written") }
        for pair in crowd.connected { fputs("\(pair.inner) \(pair.server)\n", file) }
        guard fclose(file) == 0, rename(partial, addresses) == 0 else {
            throw ValidationError("\(addresses) cannot be written")
        }
    }
}
