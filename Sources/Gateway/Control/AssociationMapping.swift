import Cryptography
import ESP
import IKE
import Wire

// From what IKE negotiates to what the ESP room installs: the same algorithms, keys and limits in the words of the other.

extension AssociationParameters {
    /// Both directions of a pair of IPsec SAs, or of bundles.
    static func pair(
        of child: ChildSecurityAssociation, use: AssociationUse
    ) -> (inbound: AssociationParameters, outbound: AssociationParameters) {
        let protection = Protection(child)
        let limit =
            child.lifetimeKilobytes.map {
                VolumeLimit(
                    kilobytes: $0, softKilobytes: child.softKilobytes, noticeKilobytes: child.noticeKilobytes)
            } ?? .none
        let traffic = SessionTraffic()
        let isBundle = child.protections.count > 1
        return (
            AssociationParameters(
                index: SecurityParameterIndex(child.inboundSPI), protection: protection,
                keys: ProtectionKeys(child.protections.map { ($0.ipsecProtocol, $0.inboundKeys) }),
                limit: limit.forgiving, use: use, traffic: traffic),
            AssociationParameters(
                index: SecurityParameterIndex(child.outboundSPI),
                outerIndex: isBundle ? child.protections.first.map { SecurityParameterIndex($0.outboundSPI) } : nil,
                protection: protection,
                keys: ProtectionKeys(child.protections.map { ($0.ipsecProtocol, $0.outboundKeys) }), limit: limit,
                use: use, traffic: traffic)
        )
    }
}

extension Protection {
    /// What IKE negotiated.
    init(_ child: ChildSecurityAssociation) {
        self.init(
            authenticationHeader: child.suite.authenticationHeader.map { Integrity($0) },
            payload: child.suite.payload.map { Suite($0) },
            compression: child.compression.map {
                Compression(inboundIndex: $0.inboundCPI, outboundIndex: $0.outboundCPI)
            },
            mode: child.mode == .tunnel ? .tunnel : .transport,
            usesExtendedSequenceNumbers: child.suite.usesExtendedSequenceNumbers,
            replayWindowSize: child.replayWindow ?? ReplayWindow.defaultSize)
    }
}

extension ProtectionKeys {
    /// The keys of one direction of each protocol.
    fileprivate init(_ keys: [(ipsecProtocol: IPsecProtocol, keys: ChildKeys)]) {
        self.init(payload: nil)
        for (ipsecProtocol, keys) in keys {
            switch ipsecProtocol {
            case .authenticationHeader: authenticationHeader = keys.authentication
            case .encapsulatingSecurityPayload: payload = SuiteKeys(keys)
            }
        }
    }
}

extension Suite {
    /// The algorithms of ESP that IKE negotiated.
    init(_ negotiated: IPsecSuite.Payload) {
        let encryption = Encryption(negotiated.cipher)
        self =
            encryption.isCombined
            ? .combined(encryption) : .separate(encryption, negotiated.integrity.map { Integrity($0) })
    }
}

extension Encryption {
    /// The cipher that IKE negotiated.
    fileprivate init(_ negotiated: ESPCipher) {
        self =
            switch negotiated {
            case .des: .cbc(.des)
            case .tripleDES: .cbc(.tripleDES)
            case .aesCBC(128): .cbc(.aes128)
            case .aesCBC(192): .cbc(.aes192)
            case .aesCBC: .cbc(.aes256)
            case .aesGCM(let keyBits, let icvBytes): .gcm(keyLength: keyBits / 8, checkLength: icvBytes)
            case .aesCTR(let keyBits): .ctr(keyLength: keyBits / 8)
            case .aesCCM(let keyBits, let icvBytes): .ccm(keyLength: keyBits / 8, checkLength: icvBytes)
            case .chaCha20Poly1305: .chaCha20Poly1305
            case .null: .null
            }
    }
}

extension Integrity {
    /// The algorithm that IKE negotiated.
    fileprivate init(_ negotiated: IPsecIntegrity) {
        self =
            switch negotiated {
            case .hmacMD5: .md5_96
            case .hmacSHA1: .sha1_96
            case .hmacSHA256: .sha256_128
            case .hmacSHA256Truncated96: .sha256_96
            case .hmacSHA384: .sha384_192
            case .hmacSHA512: .sha512_256
            case .aesXCBC: .aesXCBC_96
            }
    }
}

extension SuiteKeys {
    /// The keys that IKE negotiated, a salt behind its key.
    fileprivate init(_ keys: ChildKeys) {
        self.init(encryption: .concatenate([keys.encryption, keys.salt]), integrity: keys.authentication)
    }
}

extension AssociationUse {
    /// What an SA is for that IKE negotiated, of the tunnel with this number if of any.
    init(_ child: ChildSecurityAssociation, tunnel: Int?) {
        self.init(mode: child.mode == .tunnel ? .tunnel : .transport, tunnel: tunnel ?? -1)
        // L2TP in transport mode is known by its port. Its addresses are not looked at: a NAT has changed them.
        if mode == .tunnel || tunnel != nil { selector = child.traffic }
        if mode == .transport, tunnel != nil, let remote = child.originalAddresses.initiator {
            originalAddresses = (remote, child.originalAddresses.responder ?? child.path.local.address)
            selector = nil
        }
    }
}
