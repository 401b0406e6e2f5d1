import ESP
import FoundationEssentials
import IKE
import L2TP
import Logging
import Wire

/// The policy that counts.
struct ActivePolicy {
    /// What its author wrote.
    let document: PolicyDocument
    /// What is asked.
    let table: PolicyTable
    /// What its rules that negotiate security come to.
    let tunnels: [GatewayConfiguration.Tunnel]
    /// Which of these has what of the machine's own traffic.
    let choices: [TrafficChoice]
    /// How many packets nftables let through or dropped, by the rule's name.
    var packets: [String: UInt64] = [:]
    /// Grows with every change, of the policy as of the addresses that it depends on.
    var revision = 0

    init(
        _ document: PolicyDocument, in environment: PolicyEnvironment, of configuration: GatewayConfiguration
    ) throws(PolicyTableError) {
        self.document = document
        table = try PolicyTable(document.policy, in: environment)
        let compiled = try PolicyTunnels(table, of: configuration)
        (tunnels, choices) = (compiled.tunnels, compiled.choices)
    }
}

/// What packets may and what they may not.
extension ControlPlane {
    // MARK: - Changing

    /// Carries out what an operator wants changed: all of it or nothing. What is connected and no longer allowed ends with
    /// ``enforcePolicy(now:)``.
    mutating func changePolicy(_ request: PolicyRequest) throws(OperatorRefusal) {
        let document: PolicyDocument
        do throws(ConfigurationError) {
            document = try changed(request)
        } catch {
            throw OperatorRefusal(message: error.description)
        }
        do throws(PolicyTableError) {
            try take(document, in: policy.table.environment)
        } catch {
            throw OperatorRefusal(message: error.description)
        }
        log.notice("policy changed", metadata: ["policy": "\(document.summary)"])
    }

    private func changed(_ request: PolicyRequest) throws(ConfigurationError) -> PolicyDocument {
        var document = policy.document
        switch request {
        case .show, .test, .export: break
        case .add(let text, let name): return try PolicyDocument.read(text, name: name, over: document)
        case .replace(let text, let name): return try PolicyDocument.read(text, name: name)
        case .set(let use, let coversHost):
            document.use = PredefinedPolicy(rawValue: use)
            if document.use == nil, coversHost == true {
                throw Self.refusal("covers", "is about the predefined policies", "a rule of your own")
            }
            document.coversHost = document.use == nil ? false : coversHost ?? document.coversHost
        case .remove(let rule):
            guard let position = document.rules.firstIndex(where: { $0.name == rule }) else {
                let isBrought = PolicyDocument.rulesOfItself.contains(rule)
                let names = document.rules.map(\.name).joined(separator: ", ")
                throw Self.refusal(
                    "rule", "\(ValueRules.quoted(rule)) is \(isBrought ? "brought by the policy itself" : "no rule")",
                    isBrought ? "another policy" : names.isEmpty ? "none" : names)
            }
            document.rules.remove(at: position)
        }
        return document
    }

    private static func refusal(_ key: String, _ problem: String, _ allowed: String) -> ConfigurationError {
        ConfigurationError([.init(source: .builtIn, key: key, problem: problem, allowed: allowed)])
    }

    /// Takes other addresses: the host's own, or those of names.
    mutating func takePolicyEnvironment(_ environment: PolicyEnvironment, now: Instant) {
        guard environment != policy.table.environment else { return }
        do throws(PolicyTableError) {
            try take(policy.document, in: environment)
        } catch {
            return log.error("the policy keeps the addresses that it had", metadata: ["error": "\(error)"])
        }
        enforcePolicy(now: now)
    }

    private mutating func take(
        _ document: PolicyDocument, in environment: PolicyEnvironment
    ) throws(PolicyTableError) {
        var active = try ActivePolicy(document, in: environment, of: configuration)
        active.revision = policy.revision + 1
        policy = active
    }

    /// Ends the sessions that the policy no longer allows.
    mutating func enforcePolicy(now: Instant) {
        policyEnforced = policy.revision
        takePolicyTunnels(now: now)
        setClearL2TP(policy.table.mayAllowClearL2TP ? .permitted : .refused, now: now)
        for session in clientSessions.values.sorted(by: { $0.identifier < $1.identifier }) where session.end == nil {
            guard let peer = peers[session.peer], !policyAllowsL2TP(of: peer) else { continue }
            hangUp(session.identifier, .policyForbids, now: now)
        }
        settle(now: now)
    }

    /// Whether the policy lets a peer come in by L2TP.
    func policyAllowsL2TP(of peer: Peer) -> Bool {
        if peer.clear != nil { return policy.table.allowsClearL2TP(from: peer.path.remote, to: peer.path.local) }
        let flow = PacketFlow(
            source: peer.path.remote.address, destination: peer.path.local, protocolNumber: IPProtocol.udp,
            sourcePort: PacketPath.l2tpPort, destinationPort: PacketPath.l2tpPort)
        return policy.table.ask(flow, .inbound, over: .remoteAccess).treatment != .block
    }

    // MARK: - Asking

    func policyText() -> String { policy.document.yaml }

    func policyRecord() -> PolicyRecord {
        let rules = policy.table.policy.rules.map { rule in
            PolicyRecord.Rule(
                name: rule.name, filterList: rule.filterList.name,
                filters: rule.filterList.filters.map(\.description), action: rule.action.name,
                treatment: rule.action.treatment, authentication: rule.authentication.map(\.rawValue),
                connection: rule.connection.rawValue,
                tunnelEndpoint: rule.tunnelEndpoint.map { "\($0)" } ?? "", packets: policy.packets[rule.name])
        }
        let names = policy.document.names.map { name in
            (name, (policy.table.environment.names[name] ?? []).map(\.description))
        }
        return PolicyRecord(
            use: policy.document.useName, covers: policy.document.coversHost ? "host" : "l2tp",
            isChanged: policy.document != configuration.securityPolicy, rules: rules,
            names: Dictionary(names, uniquingKeysWith: { first, _ in first }))
    }

    func testPolicy(_ question: PolicyQuestion) -> PolicyAnswer {
        let table = policy.table
        let flow = PacketFlow(
            source: question.source, destination: question.destination, protocolNumber: question.protocolNumber,
            sourcePort: question.sourcePort, destinationPort: question.destinationPort)
        let isInbound = table.isMine(flow.destination) && !table.isMine(flow.source)
        let ownPort = isInbound ? flow.destinationPort : flow.sourcePort
        let isL2TP = flow.protocolNumber == IPProtocol.udp && ownPort == PacketPath.l2tpPort
        let connection = question.connection ?? (isL2TP ? .remoteAccess : .lan)
        let verdict = table.ask(flow, isInbound ? .inbound : .outbound, over: connection)
        let rule = verdict.rule.map { table.policy.rules[$0] }
        let remote = rule?.tunnelEndpoint ?? (isInbound ? flow.source : flow.destination)
        return PolicyAnswer(
            verdict: verdict.treatment.rawValue, direction: (isInbound ? PolicyDirection.inbound : .outbound).rawValue,
            connection: connection.rawValue, rule: rule?.name ?? "",
            filter: verdict.rule == nil
                ? "" : table.entry(for: flow, over: connection).map { table.entries[$0].text } ?? "",
            reason: verdict.reason.text, mayGoInClear: verdict.mayGoInClear,
            association: verdict.treatment == .secure ? association(with: remote, for: flow) : "")
    }

    /// By what a packet goes: the tunnel that has it, else the newest pair of SAs with whoever is at `address`.
    private func association(with address: IPAddress, for flow: PacketFlow) -> String {
        let tunnel = configuredTunnels.first { tunnel in
            !tunnel.isRemoved
                && tunnel.configuration.selectors.contains { $0.matches(outbound: flow) || $0.matches(inbound: flow) }
        }
        if let tunnel {
            let state = tunnel.softUntil != nil ? ", in clear" : tunnel.peer == nil ? ", down" : ""
            return "tunnel \(tunnel.configuration.name)\(state)"
        }
        let known = peers.values.filter { $0.path.remote.address == address && $0.current != nil }
        guard let peer = known.max(by: { $0.identifier.rawValue < $1.identifier.rawValue }),
            let current = peer.current
        else { return "" }
        return "\(current.inbound):\(current.outbound) (\(current.suite))"
    }
}

extension PolicyTable.Entry {
    /// The entry in words.
    var text: String {
        func side(_ side: PolicyTable.Side, _ port: UInt16?) -> String {
            let address =
                switch side {
                case .any: "any"
                case .mine: "my address"
                case .range(let range): "\(range)"
                }
            return port.map { "\(address)[\($0)]" } ?? address
        }
        return "\(side(source, sourcePort)) -> \(side(destination, destinationPort)) "
            + PolicyProtocol(number: protocolNumber).description
    }
}
