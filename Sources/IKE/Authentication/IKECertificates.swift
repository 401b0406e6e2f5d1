import Cryptography
import Wire

/// What the operator decides about certificates in phase 1.
public struct IKECertificates: Sendable {
    /// As what we name ourselves to a peer.
    public enum OwnIdentity: String, CaseIterable, Sendable {
        /// Our certificate's subject (ID_DER_ASN1_DN), which every client takes.
        case distinguishedName
        /// Our certificate's first domain name (ID_FQDN); the subject where it has none.
        case domainName
        /// The address that the peer dialed, which our certificate should then name.
        case address
    }

    /// Whom to believe.
    public var trust: CertificateTrust
    /// Our own certificates with their keys, the most wanted first: one for each kind of key at most is of use.
    public var identities: [CertificateIdentity]
    /// Which clients may come in, as ``Certificate/hasName(like:)`` has it; empty for all that an authority vouches for.
    public var clientIdentities: [String] = []
    /// Whom to ask whether a certificate still counts; nil for nobody.
    public var onlineStatus: OnlineStatusPolicy?
    /// As what we name ourselves.
    public var ownIdentity = OwnIdentity.distinguishedName

    /// Believes by `trust` and proves itself by `identities`.
    public init(trust: CertificateTrust, identities: [CertificateIdentity]) {
        (self.trust, self.identities) = (trust, identities)
    }

    /// The methods that we have keys for, the most wanted first.
    public var methods: [PhaseOneAuthenticationMethod] {
        var methods: [PhaseOneAuthenticationMethod] = []
        for case let method? in identities.map({ PhaseOneAuthenticationMethod($0.certificate.keyKind) })
        where !methods.contains(method) {
            methods.append(method)
        }
        return methods
    }

    /// Our certificate for `method`: one that an authority of the peer's choice issued, or else any. Peers ask for what
    /// they happen to have configured, and some for nothing.
    func identity(for method: PhaseOneAuthenticationMethod, requested: [[UInt8]]) -> CertificateIdentity? {
        let fitting = identities.filter { PhaseOneAuthenticationMethod($0.certificate.keyKind) == method }
        return fitting.first { identity in
            ([identity.certificate] + identity.intermediates).contains { certificate in
                requested.contains { DistinguishedName.areEqual($0, certificate.issuer) }
            }
        } ?? fitting.first
    }

    /// Who we say we are with `identity`; `address` is where the peer dialed.
    func ownIdentity(_ identity: CertificateIdentity, address: IPAddress) -> IKEIdentity {
        switch ownIdentity {
        case .distinguishedName: break
        case .domainName:
            for case .domainName(let name) in identity.certificate.alternativeNames {
                return IKEIdentity(type: IKEIdentity.domainName, data: name)
            }
        case .address: return IKEIdentity(address)
        }
        return IKEIdentity(type: IKEIdentity.distinguishedName, data: identity.certificate.subject)
    }
}

extension PhaseOneAuthenticationMethod {
    /// The method of a key (RFC 4754 section 4 ties each curve to its own number).
    init?(_ kind: SignatureKeyKind) {
        switch kind {
        case .rsa: self = .rsaSignature
        case .ecdsa(bits: 256): self = .ecdsaSignatureP256
        case .ecdsa(bits: 384): self = .ecdsaSignatureP384
        case .ecdsa(bits: 521): self = .ecdsaSignatureP521
        case .ecdsa, .certificatesOnly, .unsuitable: return nil
        }
    }
}

extension IKEIdentity {
    /// What a certificate would have to confirm; nil for a kind that none can (RFC 4945 section 3.1).
    var certificateClaim: CertificateClaim? {
        switch type {
        case Self.ipv4Address, Self.ipv6Address: .name(.address(data))
        case Self.domainName: .name(.domainName(data))
        case Self.userDomainName: .name(.mailAddress(data))
        case Self.distinguishedName: .distinguishedName(data)
        default: nil
        }
    }
}
