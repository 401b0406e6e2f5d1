import ESP
import IO
import Logging
import Wire

/// Carries the policy out on the machine: what goes in clear, by nftables, and the addresses that the policy depends on.
/// Lives on the control loop.
final class PolicyEnforcement {
    /// How often the machine's own addresses are looked at.
    static let period = Duration.seconds(30)

    /// The configured endpoints.
    let endpoints: [IPAddress]
    private let interface: String
    private let log: Logger
    private var table: ClearTrafficTable?

    /// Enforces `policy`; what goes through `interface` is not in clear.
    ///
    /// - Throws: Where nftables refuses. The policy that counts by default does without, with a warning: nothing listens
    ///   for what it would block.
    init(_ policy: ActivePolicy, interface: String, endpoints: [IPAddress], log: Logger) throws {
        (self.interface, self.endpoints, self.log) = (interface, endpoints, log)
        do throws(NFTablesError) {
            table = try ClearTrafficTable(policy.table.clearTraffic, exceptInterface: interface)
        } catch {
            guard policy.document == PolicyDocument() else { throw error }
            log.warning("packets in clear are not blocked by nftables", metadata: ["because": "\(error)"])
        }
    }

    /// Takes another policy, or none of it.
    func replace(_ policy: ActivePolicy) throws(NFTablesError) {
        let rules = policy.table.clearTraffic
        if let table { return try table.replace(rules) }
        table = try ClearTrafficTable(rules, exceptInterface: interface)
    }

    /// How many packets its rules let through and dropped, by name.
    var packets: [String: UInt64] {
        guard let counts = try? table?.counts() else { return [:] }
        return Dictionary(counts.map { ($0.name, $0.packets) }, uniquingKeysWith: &+)
    }

    /// The addresses that the policy calls ours, with those of names: the configured endpoints, or where there are none,
    /// all that the machine has.
    static func environment(_ endpoints: [IPAddress], names: [String: [IPAddress]]) -> PolicyEnvironment {
        let host = HostAddresses.current
        return PolicyEnvironment(
            myAddresses: endpoints.isEmpty ? host.addresses : endpoints, broadcasts: host.broadcasts, names: names)
    }

    /// Takes the rules away.
    func end() {
        do throws(NFTablesError) {
            try table?.end()
        } catch {
            log.warning("the rules for clear traffic stay", metadata: ["because": "\(error)"])
        }
        table = nil
    }
}
