import Cryptography
import IKE
import IO

/// How a peer may prove in IKE who it is.
public enum PeerAuthentication: String, CaseIterable, Sendable {
    /// By the pre-shared key.
    case psk
    /// By a certificate.
    case certificate
}

/// Which files certificates come from, and who may come in by them. Reading them again is how a new certificate or
/// revocation list gets in without a restart.
public struct CertificateFiles: Sendable, Equatable {
    /// Files and folders with the authorities' certificates, intermediate ones too.
    public var authorities: [String] = []
    /// Our own certificates, each with what leads to its authority behind it in the same file.
    public var certificates: [String] = []
    /// Their private keys, in the same order.
    public var keys: [String] = []
    /// Files and folders with revocation lists.
    public var revocationLists: [String] = []
    /// Whether a client without a list that still counts is refused.
    public var requiresRevocationCheck = false
    /// How certificates' status is asked for by OCSP; nil where it is not.
    public var onlineStatus: OnlineStatusSettings?
    /// Which clients may come in; empty for all that an authority vouches for.
    public var clientIdentities: [String] = []
    /// As what the gateway names itself.
    public var ownIdentity = IKECertificates.OwnIdentity.distinguishedName
    /// Whether the gateway serves without certificates as long as files are not there.
    public var isOptional = false
    /// Which algorithms certificates may be made of.
    public var strength = CertificateStrength.modern

    /// The most files that are read of one folder.
    static let folderMaximum = 512
    /// The most authorities.
    static let authoritiesMaximum = 512
    /// What a certificate's file in a folder is called.
    static let certificateEndings = [".pem", ".crt", ".cer", ".der"]
    /// What a revocation list's file in a folder is called.
    static let listEndings = [".crl", ".pem", ".der"]
    /// How long before its end a certificate of ours is worth a warning, in seconds.
    static let warningSeconds: Int64 = 21 * 86_400

    /// One thing that is wrong with the files, and with which key.
    struct Failure: Error, Equatable {
        var key: String
        var problem: String
        /// Whether nothing is wrong but that something is not there.
        var isAbsence = false
    }

    /// What the files say now, and what to warn of.
    func load(wallSeconds: Int64) throws(Failure) -> (certificates: IKECertificates, warnings: [Failure]) {
        var warnings: [Failure] = []
        var anchors: [Certificate] = []
        for path in try files(authorities, "ca", Self.certificateEndings) {
            let found = try read(path, "ca", maximum: Int(Certificate.bytesMaximum) * 64) {
                bytes throws(CertificateError) in
                try Certificate.all(in: bytes)
            }
            for certificate in found where !anchors.contains(certificate) { anchors.append(certificate) }
        }
        guard !anchors.isEmpty else { throw Failure(key: "ca", problem: "holds no certificate", isAbsence: true) }
        guard anchors.count <= Self.authoritiesMaximum else {
            throw Failure(key: "ca", problem: "holds more than \(Self.authoritiesMaximum) certificates")
        }
        var lists: [CertificateRevocationList] = []
        for path in try files(revocationLists, "crl", Self.listEndings) {
            lists += try read(path, "crl", maximum: CertificateRevocationList.bytesMaximum * 2) {
                bytes throws(CertificateError) in try CertificateRevocationList.all(in: bytes)
            }
        }
        let identities = try ownIdentities(&warnings, wallSeconds: wallSeconds)
        for list in lists where list.isExpired(at: wallSeconds) {
            warnings.append(Failure(key: "crl", problem: "the revocation list of \(list.issuerText) has expired"))
        }
        do {
            let trust = try CertificateTrust(
                authorities: anchors, revocationLists: lists, requiresRevocationCheck: requiresRevocationCheck,
                strength: strength)
            var certificates = IKECertificates(trust: trust, identities: identities)
            certificates.clientIdentities = clientIdentities
            certificates.ownIdentity = ownIdentity
            certificates.onlineStatus = onlineStatus?.policy
            return (certificates, warnings)
        } catch {
            throw Failure(key: "ca", problem: "cannot be used: \(error)")
        }
    }

    private func ownIdentities(
        _ warnings: inout [Failure], wallSeconds: Int64
    ) throws(Failure) -> [CertificateIdentity] {
        var identities: [CertificateIdentity] = []
        for (path, keyPath) in zip(certificates, keys) {
            let chain = try read(path, "certificate", maximum: Certificate.bytesMaximum * 16) {
                bytes throws(CertificateError) in try Certificate.all(in: bytes)
            }
            let key = try privateKey(keyPath, &warnings)
            do throws(CertificateError) {
                identities.append(try CertificateIdentity(chain: chain, key: key))
            } catch {
                throw Failure(
                    key: error == .otherKey ? "key" : "certificate",
                    problem: "\(quoted(error == .otherKey ? keyPath : path)): \(Self.words(error))")
            }
            let validity = chain[0].validity
            if validity.upperBound < wallSeconds {
                warnings.append(
                    Failure(key: "certificate", problem: "\(quoted(path)) has expired: clients will refuse it"))
            } else if validity.upperBound - wallSeconds < Self.warningSeconds {
                warnings.append(
                    Failure(
                        key: "certificate",
                        problem: "\(quoted(path)) expires in \((validity.upperBound - wallSeconds) / 86_400) days"))
            } else if validity.lowerBound > wallSeconds {
                warnings.append(Failure(key: "certificate", problem: "\(quoted(path)) is not valid yet"))
            }
        }
        return identities
    }

    private func privateKey(_ path: String, _ warnings: inout [Failure]) throws(Failure) -> SignatureKey {
        var bytes: [UInt8]
        do throws(FileError) {
            let file = try PrivateFile.read(path, bytesMaximum: SignatureKey.bytesMaximum, followsLinks: true)
            bytes = file.bytes
            if file.mode & 0o007 != 0 {
                warnings.append(
                    Failure(key: "key", problem: "\(quoted(path)) can be read by everybody on this machine"))
            }
        } catch {
            throw unreadable(path, "key", error)
        }
        let secret = SecretBytes(bytes)
        for index in bytes.indices { bytes[index] = 0 }
        do throws(CertificateError) {
            return try SignatureKey(pem: secret)
        } catch {
            throw Failure(key: "key", problem: "\(quoted(path)): \(Self.words(error))")
        }
    }

    // MARK: - Files and folders

    /// The files that `paths` mean, those of a folder in the order of their names.
    private func files(_ paths: [String], _ key: String, _ endings: [String]) throws(Failure) -> [String] {
        var files: [String] = []
        for path in paths {
            guard let names = PrivateFile.names(inFolder: path) else {
                files.append(path)
                continue
            }
            let fitting = names.filter { name in
                !name.hasPrefix(".") && endings.contains { name.lowercased().hasSuffix($0) }
            }
            guard fitting.count <= Self.folderMaximum else {
                throw Failure(key: key, problem: "\(quoted(path)) holds more than \(Self.folderMaximum) files")
            }
            files += fitting.sorted().map { "\(path)/\($0)" }
        }
        return files
    }

    private func read<Value>(
        _ path: String, _ key: String, maximum: Int, _ parse: ([UInt8]) throws(CertificateError) -> Value
    ) throws(Failure) -> Value {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try PrivateFile.read(path, bytesMaximum: maximum, followsLinks: true).bytes
        } catch {
            throw unreadable(path, key, error)
        }
        do throws(CertificateError) {
            return try parse(bytes)
        } catch {
            throw Failure(key: key, problem: "\(quoted(path)): \(Self.words(error))")
        }
    }

    private func unreadable(_ path: String, _ key: String, _ error: FileError) -> Failure {
        Failure(
            key: key, problem: "\(quoted(path)) cannot be read: \(error.description)", isAbsence: error.isNoSuchFile)
    }

    private func quoted(_ path: String) -> String { ValueRules.quoted(path) }

    private static func words(_ error: CertificateError) -> String {
        switch error {
        case .malformed: "cannot be read: neither PEM nor DER, or damaged"
        case .tooLarge: "is too large"
        case .tooMany: "holds too many certificates"
        case .nothingFound: "holds nothing of this kind"
        case .encrypted: "is under a passphrase, which nobody is there to type"
        case .unsuitableKey: "is neither an RSA key of 1024 to 8192 bits nor an EC key on P-256, P-384 or P-521"
        case .otherKey: "is not the certificate's key"
        }
    }

    // MARK: - Changes

    /// What changes when one of the files does: names, times and sizes. Nothing is read for it.
    func fingerprint() -> [String] {
        let lists = [
            (authorities, Self.certificateEndings), (certificates, []), (keys, []), (revocationLists, Self.listEndings),
        ]
        return lists.flatMap { paths, endings in
            ((try? files(paths, "", endings)) ?? paths).map { path in
                "\(path) \(PrivateFile.fingerprint(path) ?? "missing")"
            }
        }
    }
}

/// Certificates in IKE: where they come from, and what the files said when they were read.
public struct CertificateConfiguration: Sendable, Equatable {
    /// Where they come from.
    public let files: CertificateFiles
    /// What was in the files; nil where they are optional and not all there yet.
    public let loaded: IKECertificates?

    /// Whether both come from the same files, with the same contents.
    public static func == (left: Self, right: Self) -> Bool {
        left.files == right.files && left.loaded?.trust.authorities == right.loaded?.trust.authorities
            && left.loaded?.trust.revocationLists == right.loaded?.trust.revocationLists
            && left.loaded?.identities.map(\.certificate) == right.loaded?.identities.map(\.certificate)
    }
}
