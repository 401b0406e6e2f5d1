import Cryptography

/// A Diffie-Hellman computation or a check of certificates and signatures, to be run beside the control loop.
public struct IKEWork: Sendable {
    enum Task: Sendable {
        /// A key pair and, with the peer's public value, the shared secret.
        case exchange([UInt8])
        /// A key pair.
        case generate
        /// The shared secret of a key pair with the peer's public value.
        case agree(DiffieHellmanKeyPair, [UInt8])
        /// The peer's signature and certificates, and our own signature.
        case authenticate(SignatureAuthentication)
    }

    /// Names the work, so that the result finds back.
    public let id: UInt64
    /// The group of the exchange.
    public let group: DiffieHellmanGroup
    let task: Task

    /// Computes. Pure but for the randomness of keys; takes about a millisecond.
    ///
    /// - Parameter wallSeconds: The time at which certificates are looked at, in seconds since 1970. At 0, none is valid.
    public func begin(wallSeconds: Int64 = 0) -> IKEWorkStep {
        do {
            let outcome: IKEWorkResult.Agreement
            switch task {
            case .exchange(let publicValue):
                let pair = try DiffieHellmanKeyPair.generate(group)
                outcome = .init(pair: pair, sharedSecret: try pair.sharedSecret(with: publicValue))
            case .generate:
                outcome = .init(pair: try DiffieHellmanKeyPair.generate(group), sharedSecret: SecretBytes([]))
            case .agree(let pair, let publicValue):
                outcome = .init(pair: pair, sharedSecret: try pair.sharedSecret(with: publicValue))
            case .authenticate(let authentication):
                return authentication.begin(id: id, wallSeconds: wallSeconds)
            }
            return .done(IKEWorkResult(id: id, outcome: .success(outcome)))
        } catch {
            return .done(IKEWorkResult(id: id, outcome: .failure(error)))
        }
    }

    /// Computes where nobody can be asked for the status of certificates: as though no responder answered.
    public func perform(wallSeconds: Int64 = 0) -> IKEWorkResult {
        switch begin(wallSeconds: wallSeconds) {
        case .done(let result): result
        case .ask(let inquiry): inquiry.conclude([], wallSeconds: wallSeconds).result
        }
    }
}

/// How far a piece of work has come.
public enum IKEWorkStep: Sendable {
    /// To its end.
    case done(IKEWorkResult)
    /// To a point from which it goes on with what OCSP responders say.
    case ask(IKEStatusInquiry)
}

/// What came of a piece of work, for ``IKEEngine/complete(_:now:using:)``.
public struct IKEWorkResult: Sendable {
    struct Agreement: Sendable {
        let pair: DiffieHellmanKeyPair
        /// The shared secret; empty where only a key pair was wanted.
        let sharedSecret: SecretBytes

        var publicValue: [UInt8] { pair.publicValue }
    }

    /// The work's name.
    public let id: UInt64
    let outcome: Result<Agreement, CryptographyError>
    /// What came of checking a signature; nil for other work.
    var authentication: Result<SignatureAuthentication.Proven, CertificateRefusal>?
}

extension IKEWorkResult {
    /// What came of checking a signature.
    init(id: UInt64, authentication: Result<SignatureAuthentication.Proven, CertificateRefusal>) {
        self.init(id: id, outcome: .failure(.libraryFailure), authentication: authentication)
    }
}
