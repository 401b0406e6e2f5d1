import ESP
import Wire

/// What a file says about packets, each value right by itself: names are yet to be found.
struct PolicyDraft: Sendable {
    var use = Setting<String>.absent
    var coversHost = Setting<Bool>.absent
    var filterLists = Setting<[List]>.absent
    var filterActions = Setting<[Action]>.absent
    var rules = Setting<[Rule]>.absent

    struct List: Sendable {
        var name = Setting<String>.absent
        var filters = Setting<[Filter]>.absent
    }

    struct Filter: Sendable {
        var place: SettingPlace
        var source = Setting<PolicyFilter.Address>.absent
        var destination = Setting<PolicyFilter.Address>.absent
        var transport = Setting<PolicyProtocol>.absent
        var sourcePort = Setting<Int>.absent
        var destinationPort = Setting<Int>.absent
        var isMirrored = Setting<Bool>.absent
    }

    struct Action: Sendable {
        var name = Setting<String>.absent
        var kind = Setting<String>.absent
        var acceptsUnsecured = Setting<Bool>.absent
        var fallsBack = Setting<Bool>.absent
        var respondsOnly = Setting<Bool>.absent
        var hasPerfectForwardSecrecy = Setting<Bool>.absent
        var methods = Setting<[Method]>.absent
    }

    struct Method: Sendable {
        var place: SettingPlace
        var kind = Setting<String>.absent
        var header = Setting<MethodIntegrity>.absent
        var encryption = Setting<MethodEncryption?>.absent
        var integrity = Setting<MethodIntegrity?>.absent
        var seconds = Setting<Int>.absent
        var kilobytes = Setting<Int>.absent
    }

    struct Rule: Sendable {
        var place: SettingPlace
        var name = Setting<String>.absent
        var filterList = Setting<String>.absent
        var filterAction = Setting<String>.absent
        var authentication = Setting<[PolicyAuthentication]>.absent
        var connection = Setting<ConnectionType>.absent
        var tunnelEndpoint = Setting<IPAddress?>.absent
    }
}

/// What is read about packets.
extension ConfigurationFile {
    /// The keys of a policy.
    enum PolicyKeys {
        static let policy = ["use", "covers", "filterLists", "filterActions", "rules"]
        static let list = ["name", "filters"]
        static let filter = ["source", "destination", "protocol", "sourcePort", "destinationPort", "mirrored"]
        static let action = [
            "name", "action", "acceptUnsecured", "fallBack", "respondOnly", "perfectForwardSecrecy", "methods",
        ]
        static let method = ["method", "ah", "encryption", "integrity", "seconds", "kilobytes"]
        static let rule = ["name", "filterList", "filterAction", "authentication", "connection", "tunnelEndpoint"]
        static let all = [policy, list, filter, action, method, rule].joined()
    }

    mutating func securityPolicy(_ top: YAMLSection) -> Setting<PolicyDraft> {
        mapping(top, "policy", PolicyKeys.policy) { file, section in
            var draft = PolicyDraft()
            draft.use = file.text(section, "use", ValueRules.policyUse)
            draft.coversHost = file.text(section, "covers", ValueRules.policyCover)
            draft.filterLists = file.filterLists(section)
            draft.filterActions = file.filterActions(section)
            draft.rules = file.policyRules(section)
            return draft
        }
    }

    private mutating func filterLists(_ section: YAMLSection) -> Setting<[PolicyDraft.List]> {
        mappings(section, "filterLists", PolicyKeys.list, 0...SecurityPolicy.rulesMaximum) { file, section in
            var list = PolicyDraft.List()
            list.name = file.required(section, "name", ValueRules.policyName)
            if section.entry("filters") == nil {
                file.issues.append(section.place(of: "filters").issue("is missing", allowed: "a list of filters"))
            }
            let filters = 1...SecurityPolicy.filtersMaximum
            list.filters = file.mappings(section, "filters", PolicyKeys.filter, filters) { file, section in
                var filter = PolicyDraft.Filter(place: section.place)
                filter.source = file.required(section, "source", ValueRules.filterAddress)
                filter.destination = file.required(section, "destination", ValueRules.filterAddress)
                filter.transport = file.text(section, "protocol", ValueRules.filterProtocol)
                filter.sourcePort = file.integer(section, "sourcePort", 0...65_535)
                filter.destinationPort = file.integer(section, "destinationPort", 0...65_535)
                filter.isMirrored = file.bool(section, "mirrored")
                return filter
            }
            return list
        }
    }

    private mutating func filterActions(_ section: YAMLSection) -> Setting<[PolicyDraft.Action]> {
        mappings(section, "filterActions", PolicyKeys.action, 0...SecurityPolicy.rulesMaximum) { file, section in
            var action = PolicyDraft.Action()
            action.name = file.required(section, "name", ValueRules.policyName)
            action.kind = file.required(section, "action", ValueRules.filterActionKind)
            action.acceptsUnsecured = file.bool(section, "acceptUnsecured")
            action.fallsBack = file.bool(section, "fallBack")
            action.respondsOnly = file.bool(section, "respondOnly")
            action.hasPerfectForwardSecrecy = file.bool(section, "perfectForwardSecrecy")
            action.methods = file.mappings(section, "methods", PolicyKeys.method, 1...16) { file, section in
                var method = PolicyDraft.Method(place: section.place)
                method.kind = file.required(section, "method", ValueRules.securityMethod)
                method.header = file.text(section, "ah", ValueRules.methodIntegrity)
                method.encryption = file.text(section, "encryption", ValueRules.payloadEncryption)
                method.integrity = file.text(section, "integrity", ValueRules.payloadIntegrity)
                method.seconds = file.integer(section, "seconds", 300...2_592_000)
                method.kilobytes = file.integer(section, "kilobytes", 1...4_294_967_295)
                return method
            }
            return action
        }
    }

    private mutating func policyRules(_ section: YAMLSection) -> Setting<[PolicyDraft.Rule]> {
        mappings(section, "rules", PolicyKeys.rule, 0...SecurityPolicy.rulesMaximum) { file, section in
            var rule = PolicyDraft.Rule(place: section.place)
            rule.name = file.required(section, "name", ValueRules.policyName)
            rule.filterList = file.required(section, "filterList", ValueRules.policyName)
            rule.filterAction = file.required(section, "filterAction", ValueRules.policyName)
            let count = 1...PolicyAuthentication.allCases.count
            rule.authentication = file.list(section, "authentication", count, ValueRules.policyAuthentication)
            rule.connection = file.text(section, "connection", ValueRules.connectionType)
            rule.tunnelEndpoint = file.text(section, "tunnelEndpoint", ValueRules.tunnelEndpoint)
            return rule
        }
    }
}
