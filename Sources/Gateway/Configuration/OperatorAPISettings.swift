import Cryptography
import IO
import Wire

/// The operators' API: where it listens, who it is, and whom it answers.
public struct OperatorAPISettings: Sendable, Equatable {
    /// Where it listens.
    public var listen: ListenAddress
    /// The file of its certificate, its chain behind it, PEM.
    public var certificatePath: String
    /// The file of the certificate's private key, PEM.
    public var keyPath: String
    /// Who may ask, at least one; names and tokens distinct.
    public var tokens: [Token]

    /// What a token's holder may do.
    public enum Scope: String, CaseIterable, Sendable {
        /// Look.
        case read
        /// Look, and change what there is: hang up, for one.
        case operate
    }

    /// Who may ask: known by a token, of which only the digest is kept.
    public struct Token: Sendable, Equatable {
        /// What the log calls its holder.
        public var name: String
        /// What its holder may do.
        public var scope: Scope
        /// The token's SHA-256.
        public var digest: SecretBytes

        init(name: String, scope: Scope, token: SecretBytes) {
            (self.name, self.scope, digest) = (name, scope, Self.digest(token))
        }

        static func digest(_ token: SecretBytes) -> SecretBytes {
            SecretBytes(HashAlgorithm.sha256.digest([UInt8](copying: token.span)))
        }
    }

    /// The certificate and its key, from their files.
    func loadCertificate() throws(APICertificate.Failure) -> APICertificate {
        try APICertificate(certificatePath: certificatePath, keyPath: keyPath)
    }
}

extension ConfigurationDraft {
    /// The operators' API, and where each part stands.
    struct API: Sendable {
        var listen = Setting<ListenAddress>.absent
        var certificate = Setting<String>.absent
        var key = Setting<String>.absent
        var tokens = Setting<[Token]>.absent
        var tokenFile = Setting<String>.absent

        struct Token: Sendable {
            var name = Setting<String>.absent
            var scope = Setting<OperatorAPISettings.Scope>.absent
            var token = Setting<SecretBytes>.absent
        }
    }
}

extension ConfigurationFile {
    /// The keys of the section `api` and of its tokens.
    enum APIKeys {
        static let section = ["listen", "certificate", "key", "tokens", "tokenFile"]
        static let token = ["name", "scope", "token"]
    }

    mutating func operatorAPI(_ top: YAMLSection) -> Setting<ConfigurationDraft.API> {
        let folder = PrivateFile.parent(of: name)
        let path = { (text: String) throws(Refusal) -> String in try ValueRules.path(text, relativeTo: folder) }
        return mapping(top, "api", APIKeys.section) { file, section in
            var api = ConfigurationDraft.API()
            api.listen = file.required(section, "listen", ValueRules.listenAddress)
            api.certificate = file.required(section, "certificate", path)
            api.key = file.required(section, "key", path)
            api.tokens = file.mappings(section, "tokens", APIKeys.token, 0...256) { file, section in
                ConfigurationDraft.API.Token(
                    name: file.required(section, "name", ValueRules.peerName),
                    scope: file.required(section, "scope", ValueRules.apiScope),
                    token: file.required(section, "token", ValueRules.apiToken))
            }
            api.tokenFile = file.text(section, "tokenFile", path)
            return api
        }
    }
}

extension ValueRules {
    /// Fewer characters could be guessed, slowed down or not.
    static let apiTokenCharactersMinimum = 24
    static let apiTokenCharactersMaximum = 256

    static func listenAddress(_ text: String) throws(Refusal) -> ListenAddress {
        guard let address = ListenAddress(text), address.port > 0 else {
            throw Refusal(
                problem: "\(quoted(text)) is no address and port", allowed: "such as 127.0.0.1:8443 or [::1]:8443")
        }
        return address
    }

    static func apiScope(_ text: String) throws(Refusal) -> OperatorAPISettings.Scope {
        guard let scope = OperatorAPISettings.Scope(rawValue: text) else {
            throw Refusal(problem: "\(quoted(text)) is not known", allowed: "read, operate")
        }
        return scope
    }

    static func apiToken(_ text: String) throws(Refusal) -> SecretBytes {
        guard (apiTokenCharactersMinimum...apiTokenCharactersMaximum).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw Refusal(
                problem: "is no token",
                allowed: "\(apiTokenCharactersMinimum) to \(apiTokenCharactersMaximum) visible characters "
                    + "(openssl rand -hex 24)")
        }
        return SecretBytes(utf8: text)
    }
}

extension ConfigurationAssembly {
    /// The largest file of tokens that is read.
    private static let tokenFileBytesMaximum = 256 << 10

    mutating func operatorAPI() -> OperatorAPISettings? {
        guard case .given(let draft, let place) = draft.api else { return nil }
        var tokens: [OperatorAPISettings.Token] = []
        let found = issues.count
        for token in draft.tokens.value ?? [] {
            guard case .given(let name, let place) = token.name, let scope = token.scope.value,
                let secret = token.token.value
            else { return nil }
            add(.init(name: name, scope: scope, token: secret), to: &tokens, place)
        }
        if case .given(let path, let place) = draft.tokenFile { readTokens(path, place, into: &tokens) }
        if tokens.isEmpty, issues.count == found, !draft.tokens.isRefused, !draft.tokenFile.isRefused {
            issues.append(place.issue("answers nobody", allowed: "tokens or a tokenFile"))
        }
        guard let listen = draft.listen.value, case .given(let certificate, let certificatePlace) = draft.certificate,
            let key = draft.key.value
        else { return nil }
        let settings = OperatorAPISettings(
            listen: listen, certificatePath: certificate, keyPath: key, tokens: tokens)
        do {
            _ = try settings.loadCertificate()
        } catch {
            issues.append(certificatePlace.issue(error.description))
        }
        return settings
    }

    private mutating func add(
        _ token: OperatorAPISettings.Token, to tokens: inout [OperatorAPISettings.Token], _ place: SettingPlace
    ) {
        guard !tokens.contains(where: { $0.name == token.name || $0.digest == token.digest }) else {
            return issues.append(
                place.issue("\(ValueRules.quoted(token.name)) or its token is there already", allowed: "each once"))
        }
        tokens.append(token)
    }

    /// Lines of `NAME SCOPE TOKEN`; empty ones and such as begin with # count for nothing.
    private mutating func readTokens(
        _ path: String, _ place: SettingPlace, into tokens: inout [OperatorAPISettings.Token]
    ) {
        let bytes: [UInt8]
        do {
            let file = try PrivateFile.read(path, bytesMaximum: Self.tokenFileBytesMaximum, followsLinks: true)
            bytes = file.bytes
            if file.mode & 0o077 != 0 {
                warnings.append(place.issue("\(path) is open to other users; chmod 600 closes it"))
            }
        } catch {
            return issues.append(place.issue("\(path) cannot be read: \(error)"))
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let linePlace = SettingPlace(source: .file(path, line: index + 1), key: place.key)
            guard words.count == 3 else {
                issues.append(linePlace.issue("has \(words.count) words", allowed: "NAME SCOPE TOKEN"))
                continue
            }
            do throws(Refusal) {
                let token = OperatorAPISettings.Token(
                    name: try ValueRules.peerName(words[0]), scope: try ValueRules.apiScope(words[1]),
                    token: try ValueRules.apiToken(words[2]))
                add(token, to: &tokens, linePlace)
            } catch {
                issues.append(linePlace.issue(error))
            }
        }
    }
}
