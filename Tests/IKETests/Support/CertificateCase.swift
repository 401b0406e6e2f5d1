import CertificateVectors
import Cryptography
import IKE

/// A client with a certificate, and the gateway that it dials.
struct CertificateCase {
    var client = "client-rsa2048"
    var gateway = ["gateway-rsa2048"]
    var method = 3
    var hash = Offers.sha256
    var proofHash: HashAlgorithm?
    /// What goes with the client's certificate.
    var others: [String] = []
    var identity: [UInt8]?
    var lists: [String] = []
    var authorities = ["root"]
    var methods: [PhaseOneAuthenticationMethod]?
    var requires = false
    var onlineStatus: OnlineStatusPolicy?
    /// Aggressive mode rather than main mode.
    var isAggressive = false

    func settings() throws -> TestInitiator.Settings {
        let certificate = try CertificateVectors.certificate(client)
        var settings = TestInitiator.Settings()
        settings.offer = Self.offer(methods: [method], hash: hash)
        // Message 6 would come in fragments, which this client cannot put together.
        settings.vendorIDs.removeAll { $0.starts(with: Offers.fragmentation) }
        settings.identity = identity ?? [9, 0, 0, 0] + certificate.subject
        settings.signature = TestInitiator.Signature(
            certificates: try ([client] + others).map { [4] + (try CertificateVectors.certificate($0).der) },
            key: try CertificateVectors.key(client), hash: proofHash)
        if isAggressive {
            settings.aggressiveGroup = .ecp256
            settings.signature?.requests = [[4] + (try CertificateVectors.certificate("root").subject)]
        }
        return settings
    }

    static func offer(methods: [Int], hash: Int = Offers.sha256) -> [UInt8] {
        Offers.offer(
            methods.map {
                basic(1, 7) + basic(14, 256) + basic(2, hash) + basic(4, 19) + basic(3, $0) + basic(11, 1)
                    + basic(12, 10800)
            })
    }

    func world(_ settings: TestInitiator.Settings? = nil, seed: UInt64 = 7) throws -> World {
        let trust = try CertificateTrust(
            authorities: authorities.map { try CertificateVectors.certificate($0) },
            revocationLists: lists.map { try CertificateVectors.list($0) }, requiresRevocationCheck: requires)
        let identities = try gateway.map { name in
            let chain = try [name, "intermediate", "root"].map { try CertificateVectors.certificate($0) }
            return try CertificateIdentity(
                chain: name == "gateway-intermediate" ? chain : [chain[0]], key: CertificateVectors.key(name))
        }
        var certificates = IKECertificates(trust: trust, identities: identities)
        certificates.onlineStatus = onlineStatus
        return World(settings: try settings ?? self.settings(), seed: seed) { [certificates] configuration in
            configuration.certificates = certificates
            configuration.allowsAggressiveSignatures = isAggressive
            configuration.policy.authenticationMethods = methods ?? certificates.methods + [.preSharedKey]
        }
    }
}
