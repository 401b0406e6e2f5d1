import COpenSSL
import Wire

/// An X.509 certificate, as bytes that were checked to be one and the few fields that IKE needs.
///
/// Reading it proves nothing: ``CertificateTrust`` says whether to believe it.
public struct Certificate: Sendable, Hashable {
    /// The largest certificate that is read; those of real life have 1 to 3 KiB.
    public static let bytesMaximum = 16_384
    /// The most alternative names that are kept.
    static let alternativeNamesMaximum = 64

    /// The whole certificate.
    public let der: [UInt8]
    /// The subject's distinguished name in DER.
    public let subject: [UInt8]
    /// The issuer's distinguished name in DER.
    public let issuer: [UInt8]
    /// The subject's other names.
    public let alternativeNames: [CertificateName]
    /// What its key can do.
    public let keyKind: SignatureKeyKind
    /// From when to when it is valid, in seconds since 1970.
    public let validity: ClosedRange<Int64>
    let handle: CertificateHandle

    /// Reads exactly one certificate; anything behind it is refused.
    public init(der: [UInt8]) throws(CertificateError) {
        guard der.count <= Self.bytesMaximum else { throw .tooLarge }
        guard let raw = culvert_certificate_parse(der, der.count) else { throw .malformed }
        handle = CertificateHandle(raw)
        self.der = der
        subject = Self.bytes { culvert_certificate_name(raw, 0, $0) }
        issuer = Self.bytes { culvert_certificate_name(raw, 1, $0) }
        var (first, last): (Int64, Int64) = (0, 0)
        guard culvert_certificate_times(raw, &first, &last) == 1, first <= last else { throw .malformed }
        validity = first...last
        let (done, parts) = CertificateParts.visiting { culvert_certificate_alternatives(raw, $0, $1) }
        guard done == 1, parts.count <= Self.alternativeNamesMaximum else { throw .malformed }
        alternativeNames = parts.compactMap { CertificateName(type: $0.type, bytes: $0.bytes) }
        keyKind = SignatureKeyKind(X509_get0_pubkey(raw))
    }

    /// All certificates of a file: one in DER, or any number in PEM. Keys and other things beside them are passed over.
    public static func all(in file: [UInt8]) throws(CertificateError) -> [Certificate] {
        if file.first == derSequence { return [try Certificate(der: file)] }
        var certificates: [Certificate] = []
        for part in CertificateParts.pem(file) where part.type == CertificateParts.certificate {
            certificates.append(try Certificate(der: part.bytes))
        }
        guard !certificates.isEmpty else { throw .nothingFound }
        return certificates
    }

    /// The certificates in a PKCS#7 SignedData, as Windows wraps them. Whoever signed it, if anybody, does not matter.
    public static func all(inPKCS7 message: [UInt8], maximum: Int) throws(CertificateError) -> [Certificate] {
        guard message.count <= bytesMaximum * 2 else { throw .tooLarge }
        let (done, parts) = CertificateParts.visiting { culvert_pkcs7_certificates(message, message.count, $0, $1) }
        guard done == 1 else { throw .malformed }
        guard parts.count <= maximum else { throw .tooMany }
        var certificates: [Certificate] = []
        for part in parts { certificates.append(try Certificate(der: part.bytes)) }
        return certificates
    }

    /// The first byte of everything that is a SEQUENCE in DER; no PEM begins with it.
    static let derSequence: UInt8 = 0x30

    /// Whether it names itself as its issuer.
    public var isSelfIssued: Bool { subject == issuer }

    /// Whether `other`, by names and usages, may have issued this one.
    func isIssued(by other: Certificate) -> Bool { culvert_certificate_issued(other.handle.raw, handle.raw) == 1 }

    /// The subject as text, such as `C=CH,O=Example,CN=alice`.
    public var subjectText: String { DistinguishedName.text(subject) }

    /// Copies what C shows by reference.
    static func bytes(_ body: (UnsafeMutablePointer<UnsafePointer<UInt8>?>) -> Int) -> [UInt8] {
        var pointer: UnsafePointer<UInt8>?
        let count = body(&pointer)
        return pointer.map { Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
    }

    /// Whether both are the same, byte for byte.
    public static func == (left: Certificate, right: Certificate) -> Bool { left.der == right.der }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) { hasher.combine(der) }
}

/// Why something is not a certificate, a revocation list or a key.
public enum CertificateError: Error, Equatable, Sendable {
    /// It is not what it should be, or more than that.
    case malformed
    /// It is larger than anything of its kind.
    case tooLarge
    /// There are more than anybody needs.
    case tooMany
    /// A file without any.
    case nothingFound
    /// A private key under a passphrase, which nobody is there to type.
    case encrypted
    /// A private key of a kind that IKE has no signature for, or too weak for one.
    case unsuitableKey
    /// A private key that is not this certificate's.
    case otherKey
}

/// Owns an X509. libcrypto fills its caches under locks of its own, so that any thread may read.
final class CertificateHandle: @unchecked Sendable {
    let raw: OpaquePointer
    init(_ raw: OpaquePointer) { self.raw = raw }
    deinit { X509_free(raw) }
}

/// What a visitor from C collects.
final class CertificateParts {
    static let certificate: Int32 = 1
    static let revocationList: Int32 = 2

    typealias Part = (type: Int32, bytes: [UInt8])
    private var items: [Part] = []

    /// Runs `body`, which takes a context and a visitor, and returns what was visited.
    static func visiting(
        _ body: (UnsafeMutableRawPointer, @escaping culvert_visitor) -> Int32
    ) -> (result: Int32, parts: [Part]) {
        let parts = CertificateParts()
        let result = body(Unmanaged.passUnretained(parts).toOpaque()) { context, type, bytes, count in
            guard let context else { return }
            Unmanaged<CertificateParts>.fromOpaque(context).takeUnretainedValue().items
                .append((type, Array(UnsafeBufferPointer(start: bytes, count: count))))
        }
        return withExtendedLifetime(parts) { (result, parts.items) }
    }

    /// The parts of a PEM text.
    static func pem(_ text: [UInt8]) -> [Part] { visiting { culvert_pem_parts(text, text.count, $0, $1) }.parts }
}
