import Cryptography

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The certificates of Tests/Vectors/certificates, by file name.
enum CertificateVectors {
    /// A time at which all that are not about time are valid: the first second of 2030.
    static let time: Int64 = 1_893_456_000

    static func bytes(_ name: String) -> [UInt8] {
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

    static func certificate(_ name: String) throws -> Certificate {
        let all = try Certificate.all(in: bytes("\(name).pem"))
        return all[0]
    }

    static func certificates(_ names: String...) throws -> [Certificate] { try names.map(certificate) }

    static func key(_ name: String) throws -> SignatureKey { try SignatureKey(pem: SecretBytes(bytes("\(name).key"))) }

    static func list(_ name: String) throws -> CertificateRevocationList {
        try CertificateRevocationList.all(in: bytes("\(name).crl"))[0]
    }
}
