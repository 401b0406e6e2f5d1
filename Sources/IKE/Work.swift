import Cryptography

/// A Diffie-Hellman computation, to be run beside the control loop.
public struct IKEWork: Sendable {
    /// Names the work, so that the result finds back.
    public let id: UInt64
    /// The group.
    public let group: DiffieHellmanGroup
    let peerPublicValue: [UInt8]

    /// Makes a key pair and computes the shared secret. Pure but for the randomness of the key; takes about a millisecond.
    public func perform() -> IKEWorkResult {
        do {
            let pair = try DiffieHellmanKeyPair.generate(group)
            let secret = try pair.sharedSecret(with: peerPublicValue)
            return IKEWorkResult(id: id, outcome: .success(.init(publicValue: pair.publicValue, sharedSecret: secret)))
        } catch {
            return IKEWorkResult(id: id, outcome: .failure(error))
        }
    }
}

/// What came of a piece of work, for ``IKEEngine/complete(_:now:using:)``.
public struct IKEWorkResult: Sendable {
    struct Agreement: Sendable {
        let publicValue: [UInt8]
        let sharedSecret: SecretBytes
    }

    /// The work's name.
    public let id: UInt64
    let outcome: Result<Agreement, CryptographyError>
}
