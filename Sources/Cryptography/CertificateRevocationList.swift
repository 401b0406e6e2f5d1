import COpenSSL
import Wire

/// An X.509 revocation list (RFC 5280 section 5). Whether its signature is right, ``CertificateTrust`` sees when it uses it.
public struct CertificateRevocationList: Sendable, Hashable {
    /// The largest list that is read: some 400,000 entries.
    public static let bytesMaximum = 16 << 20

    /// Whose certificates it takes back: a distinguished name in DER.
    public let issuer: [UInt8]
    /// Since when it counts, in seconds since 1970.
    public let thisUpdate: Int64
    /// When the next one is due, in seconds since 1970; nil where it does not say.
    public let nextUpdate: Int64?
    private let digest: [UInt8]
    let handle: CertificateRevocationListHandle

    /// Reads exactly one list.
    public init(der: [UInt8]) throws(CertificateError) {
        guard der.count <= Self.bytesMaximum else { throw .tooLarge }
        guard let raw = culvert_crl_parse(der, der.count) else { throw .malformed }
        handle = CertificateRevocationListHandle(raw)
        var (current, next): (Int64, Int64) = (0, 0)
        guard culvert_crl_times(raw, &current, &next) == 1 else { throw .malformed }
        issuer = Certificate.bytes { culvert_crl_issuer(raw, $0) }
        (thisUpdate, nextUpdate) = (current, next == 0 ? nil : next)
        digest = HashAlgorithm.sha256.digest(der)
    }

    /// All lists of a file: one in DER, or any number in PEM.
    public static func all(in file: [UInt8]) throws(CertificateError) -> [CertificateRevocationList] {
        if file.first == Certificate.derSequence { return [try CertificateRevocationList(der: file)] }
        var lists: [CertificateRevocationList] = []
        for part in CertificateParts.pem(file) where part.type == CertificateParts.revocationList {
            lists.append(try CertificateRevocationList(der: part.bytes))
        }
        guard !lists.isEmpty else { throw .nothingFound }
        return lists
    }

    /// Whether its time is over at `time`: what it says still counts, what it does not say no longer.
    public func isExpired(at time: Int64) -> Bool { nextUpdate.map { $0 < time } ?? false }

    /// The issuer as text.
    public var issuerText: String { DistinguishedName.text(issuer) }

    /// Whether both are the same, byte for byte.
    public static func == (left: Self, right: Self) -> Bool { left.digest == right.digest }

    /// Hashes the bytes' digest.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

/// Owns an X509_CRL; see ``CertificateHandle``.
final class CertificateRevocationListHandle: @unchecked Sendable {
    let raw: OpaquePointer
    init(_ raw: OpaquePointer) { self.raw = raw }
    deinit { X509_CRL_free(raw) }
}
