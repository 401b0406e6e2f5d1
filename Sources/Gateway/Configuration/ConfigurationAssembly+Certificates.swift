import Cryptography
import IKE
import IO

/// The certificates of IKE.
extension ConfigurationAssembly {
    mutating func certificates(
        _ authentication: [PeerAuthentication], _ profile: IKEProfile
    ) -> CertificateConfiguration? {
        guard case .given(let section, let place) = draft.certificates else {
            let policies = [draft.policy] + (draft.rules.value ?? []).map(\.policy)
            for case .given(let methods, let place) in policies.map(\.authentication)
            where methods.contains(.certificate) {
                issues.append(
                    place.issue("names certificates, and there are none", allowed: "psk, or a section certificates"))
            }
            return nil
        }
        guard authentication.contains(.certificate) else {
            warnings.append(place.issue("is not used, for authentication does not name it"))
            return nil
        }
        let inner = { (key: String) in SettingPlace(source: place.source, key: "certificates.\(key)") }
        let required = [
            ("ca", section.authorities, "the authorities' certificates: files or folders"),
            ("certificate", section.certificates, "the gateway's own certificate"),
            ("key", section.keys, "the private key of the gateway's certificate"),
        ]
        for (key, setting, allowed) in required where setting.isAbsent {
            issues.append(inner(key).issue("is missing", allowed: allowed))
        }
        guard let authorities = section.authorities.value, let own = section.certificates.value,
            let keys = section.keys.value, !section.revocationLists.isRefused, !section.clientIdentities.isRefused
        else { return nil }
        guard own.count == keys.count else {
            issues.append(
                (section.keys.place ?? inner("key")).issue(
                    "has \(keys.count) for \(own.count) certificates", allowed: "one key per certificate"))
            return nil
        }
        var files = CertificateFiles()
        (files.authorities, files.certificates, files.keys) = (authorities, own, keys)
        files.revocationLists = section.revocationLists.value ?? []
        files.requiresRevocationCheck = section.requiresRevocationCheck.value ?? false
        files.clientIdentities = section.clientIdentities.value ?? []
        files.ownIdentity = section.ownIdentity.value ?? .distinguishedName
        files.isOptional = section.isOptional.value ?? false
        files.onlineStatus = onlineStatus(section.onlineStatus)
        files.strength = profile == .legacy ? .legacy : .modern
        if files.requiresRevocationCheck, files.revocationLists.isEmpty {
            issues.append(
                inner("crl").issue("is missing, and requireRevocationCheck needs it", allowed: "files or folders"))
            return nil
        }
        return load(files, section, inner)
    }

    private mutating func onlineStatus(
        _ setting: Setting<ConfigurationDraft.OnlineStatus>
    ) -> OnlineStatusSettings? {
        guard case .given(let section, let place) = setting else { return nil }
        var settings = OnlineStatusSettings()
        settings.policy.responder = section.responder.value
        settings.policy.isRequired = section.isRequired.value ?? false
        settings.policy.usesCertificateURL = section.usesCertificateURL.value ?? false
        settings.policy.checksIntermediates = section.checksIntermediates.value ?? false
        settings.timeout = section.timeoutMilliseconds.value.map { .milliseconds($0) } ?? settings.timeout
        settings.allowedHosts = section.allowedHosts.value ?? []
        if section.responder.isAbsent, !settings.policy.usesCertificateURL {
            issues.append(place.issue("asks nobody", allowed: "a responder, or useCertificateURL: true"))
        }
        if !settings.allowedHosts.isEmpty, !section.responder.isAbsent || !settings.policy.usesCertificateURL,
            let place = section.allowedHosts.place
        {
            warnings.append(place.issue("is not used: certificates do not say whom to ask here"))
        }
        return settings
    }

    private mutating func load(
        _ files: CertificateFiles, _ section: ConfigurationDraft.Certificates, _ inner: (String) -> SettingPlace
    ) -> CertificateConfiguration? {
        let places = [
            "ca": section.authorities.place, "certificate": section.certificates.place, "key": section.keys.place,
            "crl": section.revocationLists.place,
        ]
        func place(_ key: String) -> SettingPlace { (places[key] ?? nil) ?? inner(key) }
        do throws(CertificateFiles.Failure) {
            let (loaded, found) = try files.load(wallSeconds: SystemClock.wallSeconds)
            for warning in found { warnings.append(place(warning.key).issue(warning.problem)) }
            return CertificateConfiguration(files: files, loaded: loaded)
        } catch {
            if error.isAbsence, files.isOptional {
                warnings.append(place(error.key).issue("\(error.problem); until then no certificate is asked for"))
                return CertificateConfiguration(files: files, loaded: nil)
            }
            issues.append(place(error.key).issue(error.problem))
            return nil
        }
    }
}
