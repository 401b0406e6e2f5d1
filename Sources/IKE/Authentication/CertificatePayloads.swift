import Cryptography
import Wire

/// How the contents of CERT and CERTREQ are encoded (RFC 2408 section 3.9).
enum CertificateEncoding {
    /// PKCS#7 around X.509 certificates: Windows wraps its chain so.
    static let pkcs7: UInt8 = 1
    /// An X.509 certificate for signatures.
    static let x509Signature: UInt8 = 4
}

/// A certificate payload (RFC 2408 section 3.9): the encoding's number and the certificate.
struct CertificatePayload: Hashable, Sendable {
    var encoding: UInt8
    var data: [UInt8]

    init(_ certificate: Certificate) { (encoding, data) = (CertificateEncoding.x509Signature, certificate.der) }

    init(parsing body: [UInt8]) throws(IKEDrop) {
        (encoding, data) = try body.read { (reader) throws(IKEDrop) in
            let encoding = try reader.uint8()
            return (encoding, try reader.bytes(reader.remaining))
        }
        guard !data.isEmpty else { throw .malformedCertificate }
    }

    var body: [UInt8] { [encoding] + data }

    /// The payloads that show a certificate and what leads to its authority.
    static func all(of identity: CertificateIdentity) -> [Payload] {
        ([identity.certificate] + identity.intermediates).map {
            Payload(type: .certificate, body: CertificatePayload($0).body)
        }
    }
}

/// A certificate request payload (RFC 2408 section 3.10): from which authority a certificate is wanted.
struct CertificateRequestPayload: Hashable, Sendable {
    var encoding: UInt8
    /// The authority's distinguished name in DER; empty for any.
    var authority: [UInt8]

    /// The longest name that is looked at.
    static let authorityMaximum = 2048
    /// How many bytes of requests go into a message: many authorities become one request for any, so that the message
    /// stays in one packet.
    static let bytesMaximum = 640

    init(authority: [UInt8]) { (encoding, self.authority) = (CertificateEncoding.x509Signature, authority) }

    init(parsing body: [UInt8]) throws(IKEDrop) {
        (encoding, authority) = try body.read { (reader) throws(IKEDrop) in
            let encoding = try reader.uint8()
            return (encoding, try reader.bytes(reader.remaining))
        }
        guard authority.count <= Self.authorityMaximum else { throw .malformedCertificateRequest }
    }

    var body: [UInt8] { [encoding] + authority }

    /// The requests for certificates of `authorities`.
    static func all(for authorities: [Certificate]) -> [Payload] {
        var names: [[UInt8]] = []
        for authority in authorities where !names.contains(authority.subject) { names.append(authority.subject) }
        let size = names.reduce(0) { $0 + $1.count + Payload.headerByteCount + 1 }
        if size > bytesMaximum { names = [[]] }
        return names.map { Payload(type: .certificateRequest, body: CertificateRequestPayload(authority: $0).body) }
    }
}

extension PayloadChain {
    /// The certificate payloads, in order.
    var certificatePayloads: [CertificatePayload] {
        get throws(IKEDrop) {
            var payloads: [CertificatePayload] = []
            for body in all(.certificate) { payloads.append(try CertificatePayload(parsing: body)) }
            return payloads
        }
    }

    /// The names of the authorities that the peer asks for, by all its requests that can be read.
    var requestedAuthorities: [[UInt8]] {
        all(.certificateRequest).compactMap { body in
            guard let request = try? CertificateRequestPayload(parsing: body), !request.authority.isEmpty,
                [CertificateEncoding.x509Signature, CertificateEncoding.pkcs7].contains(request.encoding)
            else { return nil }
            return request.authority
        }
    }
}
