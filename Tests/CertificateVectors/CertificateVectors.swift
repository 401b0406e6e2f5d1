import Cryptography

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The certificates of Tests/Vectors/certificates, by file name; those in its folder `ocsp` as `ocsp/client`.
public enum CertificateVectors {
    /// A time at which all that are not about time are valid: the first second of 2030.
    public static let time: Int64 = 1_893_456_000

    /// A file's bytes; none where it is not there.
    public static func bytes(_ name: String) -> [UInt8] {
        var parts = #filePath.split(separator: "/")
        parts.removeLast(2)
        guard let file = fopen("/" + parts.joined(separator: "/") + "/Vectors/certificates/\(name)", "r") else {
            return []
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    /// The first certificate of `name.pem`.
    public static func certificate(_ name: String) throws -> Certificate {
        let all = try Certificate.all(in: bytes("\(name).pem"))
        return all[0]
    }

    /// The certificates of several files.
    public static func certificates(_ names: String...) throws -> [Certificate] { try names.map(certificate) }

    /// The key in `name.key`.
    public static func key(_ name: String) throws -> SignatureKey {
        try SignatureKey(pem: SecretBytes(bytes("\(name).key")))
    }

    /// The first revocation list of `name.crl`.
    public static func list(_ name: String) throws -> CertificateRevocationList {
        try CertificateRevocationList.all(in: bytes("\(name).crl"))[0]
    }

    /// The OCSP answer in `name.ocsp`.
    public static func answer(_ name: String) -> [UInt8] { bytes("\(name).ocsp") }
}
