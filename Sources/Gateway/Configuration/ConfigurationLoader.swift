import Cryptography
import IO
import Wire

/// A configuration, and what to tell the operator about it.
public struct LoadedConfiguration: Sendable {
    /// The configuration.
    public let configuration: GatewayConfiguration
    /// What is legal but suspicious, one line each.
    public let warnings: [ConfigurationIssue]
    /// Whether the gateway works with credentials of its own making.
    public let ownCredentials: OwnCredentials

    /// Credentials that the gateway made because nobody gave any.
    public enum OwnCredentials: Sendable, Equatable {
        /// It uses none: all were given.
        case none
        /// It made them just now and keeps them in the file `path`; `welcome` shows them, with the steps for each kind of
        /// client. For the terminal, once, and never for a log.
        case made(path: String, welcome: String)
        /// It made them at an earlier start and keeps them in the file `path`.
        case kept(path: String)
    }
}

/// Makes the configuration: the file first, the environment for what the file leaves out, then the defaults.
public enum ConfigurationLoader {
    /// The configuration to serve with, new credentials drawn from the system's generator.
    ///
    /// - Throws: Everything that is wrong, at once.
    public static func load(
        file: String?, environment: [String: String], stateDirectory: String
    ) throws(ConfigurationError) -> LoadedConfiguration {
        var generator = SystemRandom()
        return try load(file: file, environment: environment, stateDirectory: stateDirectory, using: &generator)
    }

    /// The configuration to serve with.
    ///
    /// Without a file, what the environment leaves out of pre-shared key and users comes from the state directory, made at
    /// the first start. With a file, nothing is made up: an account that its author doesn't know of would be a back door.
    ///
    /// - Parameters:
    ///   - file: The YAML file's path, if one was named.
    ///   - environment: The process's environment.
    ///   - stateDirectory: Where the credentials are kept.
    ///   - generator: The system's generator; new credentials are drawn from it.
    /// - Throws: Everything that is wrong, at once.
    public static func load(
        file: String?, environment: [String: String], stateDirectory: String,
        using generator: inout some RandomNumberGenerator
    ) throws(ConfigurationError) -> LoadedConfiguration {
        if let file { return try load(file: file, environment: environment) }
        var (draft, issues, warnings) = ConfigurationEnvironment.read(environment)
        guard issues.isEmpty, draft.preSharedKey.isAbsent || draft.users.isAbsent else {
            return try finish(draft, issues, warnings, file: nil)
        }
        let store = CredentialsStore(directory: stateDirectory)
        let kept = try store.read()
        warnings += kept?.warnings ?? []
        let credentials = kept?.credentials ?? Credentials.make(using: &generator)
        let welcome = Welcome(
            server: draft.publicAddress.value,
            preSharedKey: draft.preSharedKey.isAbsent ? credentials.preSharedKey : nil,
            user: draft.users.isAbsent ? (credentials.user, credentials.password) : nil, path: store.path)
        draft.fill(from: Self.draft(credentials, path: store.path))
        let loaded = try finish(draft, issues, warnings, file: nil)
        // Only now, for a start that is refused shows nobody what it made.
        if kept == nil { try store.write(credentials) }
        return LoadedConfiguration(
            configuration: loaded.configuration, warnings: loaded.warnings,
            ownCredentials: kept == nil ? .made(path: store.path, welcome: welcome.text) : .kept(path: store.path))
    }

    /// The configuration of a file and the environment.
    public static func load(
        file: String, environment: [String: String]
    ) throws(ConfigurationError) -> LoadedConfiguration {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try PrivateFile.read(file, bytesMaximum: ConfigurationFile.bytesMaximum, followsLinks: true).bytes
        } catch {
            let issue = ConfigurationIssue(
                source: .file(file, line: 1), key: "", problem: "cannot be read: \(error.description)")
            throw ConfigurationError([issue])
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let before = bytes.prefix(validUTF8Count(bytes))
            let line = before.count { $0 == UInt8(ascii: "\n") } + 1
            throw ConfigurationError([.init(source: .file(file, line: line), key: "", problem: "is not UTF-8")])
        }
        return try load(text: text, name: file, environment: environment)
    }

    /// The configuration of a file's text and the environment.
    public static func load(
        text: String, name: String, environment: [String: String] = [:]
    ) throws(ConfigurationError) -> LoadedConfiguration {
        let (fileDraft, issues) = ConfigurationFile.read(text, name: name)
        let (environmentDraft, environmentIssues, warnings) = ConfigurationEnvironment.read(environment)
        guard var draft = fileDraft else { throw ConfigurationError(issues + environmentIssues) }
        draft.fill(from: environmentDraft)
        return try finish(draft, issues + environmentIssues, warnings, file: name)
    }

    private static func finish(
        _ draft: ConfigurationDraft, _ issues: [ConfigurationIssue], _ warnings: [ConfigurationIssue], file: String?
    ) throws(ConfigurationError) -> LoadedConfiguration {
        let (configuration, found) = try ConfigurationAssembly.assemble(draft, issues: issues, file: file)
        return LoadedConfiguration(
            configuration: configuration, warnings: warnings + found + configuration.weaknesses(draft),
            ownCredentials: .none)
    }

    private static func draft(_ credentials: Credentials, path: String) -> ConfigurationDraft {
        let place = { SettingPlace(source: .credentials(path), key: $0) }
        let user = ConfigurationDraft.User(
            name: .given(credentials.user, place("VPN_USER")),
            password: .given(SecretBytes(utf8: credentials.password), place("VPN_PASSWORD")))
        var draft = ConfigurationDraft()
        draft.preSharedKey = .given(SecretBytes(utf8: credentials.preSharedKey), place("VPN_IPSEC_PSK"))
        draft.users = .given([user], place("VPN_USER"))
        return draft
    }

    /// How many of the first bytes are UTF-8.
    private static func validUTF8Count(_ bytes: [UInt8]) -> Int {
        var low = 0
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") {
            guard String(validating: bytes[low...index], as: UTF8.self) != nil else { return low }
            low = index + 1
        }
        return low
    }
}
