import Cryptography
import IO
import Yams

/// What is read about peers in IKE: policies and rules, keys, groups, certificates.
extension ConfigurationFile {
    // MARK: - Policies

    /// What `section`, the top or a rule, says of what may differ from peer to peer.
    mutating func policy(_ section: YAMLSection) -> ConfigurationDraft.Policy {
        var policy = ConfigurationDraft.Policy()
        policy.profile = text(section, "profile", ValueRules.profile)
        policy.authentication = list(
            section, "authentication", 1...PeerAuthentication.allCases.count, ValueRules.peerAuthentication)
        policy.ike = mapping(section, "ike", Keys.ike) { file, ike in
            ConfigurationDraft.IKE(
                ciphers: file.list(ike, "ciphers", 1...16, ValueRules.ikeCipher),
                hashes: file.list(ike, "hashes", 1...16, ValueRules.ikeHash),
                groups: file.list(ike, "groups", 1...16, ValueRules.ikeGroup))
        }
        policy.esp = mapping(section, "esp", Keys.esp) { file, esp in
            ConfigurationDraft.ESP(
                ciphers: file.list(esp, "ciphers", 1...64, ValueRules.espCipher),
                integrities: file.list(esp, "integrity", 1...16, ValueRules.espIntegrity),
                truncatesSHA256: file.bool(esp, "truncateSHA256"),
                compression: file.text(esp, "compression", ValueRules.ipsecOption))
        }
        policy.header = mapping(section, "ah", Keys.header) { file, header in
            ConfigurationDraft.AH(integrities: file.list(header, "integrity", 0...16, ValueRules.headerIntegrity))
        }
        policy.extendedSequenceNumbers = text(section, "extendedSequenceNumbers", ValueRules.ipsecOption)
        // RFC 4303 3.4.3 wants 32 at least; more than 4096 is no reordering that a network makes.
        policy.replayWindow = integer(section, "replayWindow", 32...4096)
        policy.lifetimes = mapping(section, "lifetimes", Keys.lifetimes) { file, lifetimes in
            ConfigurationDraft.Lifetimes(
                ikeSeconds: file.integer(lifetimes, "ikeSeconds", 300...2_592_000),
                ipsecSeconds: file.integer(lifetimes, "ipsecSeconds", 300...2_592_000),
                // Life durations of four bytes are what every peer understands (RFC 2407 4.5).
                ipsecKilobytes: file.integer(lifetimes, "ipsecKilobytes", 0...4_294_967_295))
        }
        policy.deadPeerDetection = mapping(section, "deadPeerDetection", Keys.deadPeerDetection) { file, detection in
            ConfigurationDraft.DeadPeerDetection(
                interval: file.integer(detection, "interval", 0...86_400),
                attempts: file.integer(detection, "attempts", 1...20),
                pause: file.integer(detection, "pause", 1...60))
        }
        return policy
    }

    mutating func rules(_ top: YAMLSection) -> Setting<[ConfigurationDraft.Rule]> {
        mappings(top, "rules", Keys.rule, 0...256) { file, section in
            var rule = ConfigurationDraft.Rule(place: section.place)
            rule.name = file.required(section, "name", ValueRules.peerName)
            if section.entry("networks") == nil {
                file.issues.append(
                    section.place(of: "networks").issue("is missing", allowed: "the peers' networks, 1 to 256"))
            }
            rule.networks = file.list(section, "networks", 1...256, ValueRules.peerNetwork)
            rule.policy = file.policy(section)
            return rule
        }
    }

    // MARK: - Pre-shared keys

    mutating func keys(_ top: YAMLSection) -> Setting<[ConfigurationDraft.Key]> {
        mappings(top, "keys", Keys.key, 0...4096) { file, section in
            var key = ConfigurationDraft.Key(place: section.place)
            key.secret = file.requiredPreSharedKey(section)
            key.identity = file.text(section, "identity", ValueRules.peerName)
            key.network = file.text(section, "network", ValueRules.peerNetwork)
            return key
        }
    }

    mutating func aggressiveMode(_ top: YAMLSection) -> Setting<ConfigurationDraft.AggressiveMode> {
        mapping(top, "aggressiveMode", Keys.aggressiveMode) { file, section in
            var mode = ConfigurationDraft.AggressiveMode()
            mode.groups = file.mappings(section, "groups", Keys.group, 0...256) { file, section in
                ConfigurationDraft.Group(
                    name: file.required(section, "name", ValueRules.peerName),
                    secret: file.requiredPreSharedKey(section))
            }
            mode.acceptsAnyIdentity = file.bool(section, "anyIdentity")
            mode.allowsSignatures = file.bool(section, "certificates")
            return mode
        }
    }

    private mutating func requiredPreSharedKey(_ section: YAMLSection) -> Setting<SecretBytes> {
        guard section.entry("psk") == nil else { return preSharedKey(section, "psk") }
        return required(section, "psk", ValueRules.preSharedKey)
    }

    // MARK: - Certificates

    mutating func certificates(_ top: YAMLSection) -> Setting<ConfigurationDraft.Certificates> {
        guard let (node, place) = top.entry("certificates") else { return .absent }
        guard node.scalar.map(YAMLSection.isNull) != true else { return .absent }
        let section = section(top, "certificates", Keys.certificates)
        let folder = PrivateFile.parent(of: name)
        let path = { (text: String) throws(Refusal) -> String in try ValueRules.path(text, relativeTo: folder) }
        var certificates = ConfigurationDraft.Certificates()
        certificates.authorities = oneOrMore(section, "ca", 1...64, path)
        certificates.certificates = oneOrMore(section, "certificate", 1...8, path)
        certificates.keys = oneOrMore(section, "key", 1...8, path)
        certificates.revocationLists = oneOrMore(section, "crl", 0...64, path)
        certificates.requiresRevocationCheck = bool(section, "requireRevocationCheck")
        certificates.onlineStatus = mapping(section, "ocsp", Keys.onlineStatus) { file, section in
            var status = ConfigurationDraft.OnlineStatus()
            status.responder = file.text(section, "responder", ValueRules.responder)
            status.isRequired = file.bool(section, "required")
            status.timeoutMilliseconds = file.integer(section, "timeoutMilliseconds", 100...10_000)
            status.usesCertificateURL = file.bool(section, "useCertificateURL")
            status.allowedHosts = file.oneOrMore(section, "allowedHosts", 0...64, ValueRules.responderHost)
            status.checksIntermediates = file.bool(section, "intermediates")
            return status
        }
        certificates.clientIdentities = oneOrMore(section, "clientIdentities", 0...4096, ValueRules.identityPattern)
        certificates.ownIdentity = text(section, "identity", ValueRules.ownIdentity)
        certificates.isOptional = bool(section, "optional")
        return .given(certificates, place)
    }
}
