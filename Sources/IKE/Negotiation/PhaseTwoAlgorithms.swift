/// What to do with something that a peer need not have.
public enum IPsecOption: String, CaseIterable, Sendable {
    /// It is neither offered nor accepted.
    case never
    /// It is accepted where the peer offers it.
    case accept
    /// It is offered too, before what goes without.
    case offer
}

/// The phase-2 algorithms that we accept, the most wanted first.
public struct PhaseTwoAlgorithms: Sendable, Equatable {
    /// Ciphers of ESP, combined ones among them.
    public var ciphers: [ESPCipher]
    /// Integrity algorithms for the ciphers that have none of their own.
    public var integrities: [IPsecIntegrity]
    /// Whether a cipher may go without any integrity. Never the null cipher (RFC 4303 section 3.2).
    public var allowsNoIntegrity = false
    /// Integrity algorithms of AH; none where AH is not accepted.
    public var headerIntegrities: [IPsecIntegrity] = []
    /// Compression.
    public var compression = IPsecOption.never
    /// Sequence numbers of 64 bits.
    public var extendedSequenceNumbers = IPsecOption.accept
    /// Whether HMAC-SHA2-256 is cut to 96 bits in ESP, for Android up to 7: then no other client can use it.
    public var truncatesSHA256 = false
    /// Where there are some, exactly these count, and the lists before do not.
    public var suites: [IPsecSuite] = []

    /// Explicit lists, the most wanted first.
    public init(ciphers: [ESPCipher], integrities: [IPsecIntegrity]) {
        (self.ciphers, self.integrities) = (ciphers, integrities)
    }

    /// Exactly some suites, the most wanted first.
    public init(suites: [IPsecSuite]) {
        self.suites = suites
        let payloads = suites.compactMap(\.payload)
        ciphers = payloads.map(\.cipher).withoutRepetitions
        integrities = payloads.compactMap(\.integrity).withoutRepetitions
        allowsNoIntegrity = payloads.contains { $0.integrity == nil && !$0.cipher.isCombined }
        headerIntegrities = suites.compactMap(\.authenticationHeader).withoutRepetitions
        compression = suites.contains(where: \.compresses) ? .offer : .never
        extendedSequenceNumbers = suites.contains(where: \.usesExtendedSequenceNumbers) ? .offer : .never
        truncatesSHA256 = integrities.contains(.hmacSHA256Truncated96)
    }

    /// The lists of `profile`.
    public init(_ profile: IKEProfile) {
        ciphers = [
            .aesGCM(keyBits: 256, icvBytes: 16), .aesGCM(keyBits: 192, icvBytes: 16),
            .aesGCM(keyBits: 128, icvBytes: 16), .aesCBC(keyBits: 256), .aesCBC(keyBits: 192), .aesCBC(keyBits: 128),
        ]
        integrities = [.hmacSHA256, .hmacSHA384, .hmacSHA512]
        if profile != .modern { integrities.append(.hmacSHA1) }
        if profile == .legacy {
            ciphers += [.tripleDES, .des]
            integrities.append(.hmacMD5)
            preferLongerHMAC()
        }
    }

    /// Wants HMAC-SHA2-256 least of the SHA-2: Android 6 and 7 offer it with 96 bits under the number of that with 128, and
    /// with whichever of the others is chosen they can be understood.
    mutating func preferLongerHMAC() {
        guard let index = integrities.firstIndex(of: .hmacSHA256) else { return }
        let others: [IPsecIntegrity] = [.hmacSHA512, .hmacSHA384].filter(integrities.contains)
        integrities.removeAll { others.contains($0) }
        integrities.insert(contentsOf: others, at: index)
    }

    /// How much a suite is wanted, the least the most; nil where it is not acceptable.
    func rank(_ suite: IPsecSuite) -> [Int]? {
        guard suites.isEmpty else { return suites.firstIndex(of: suite).map { [$0] } }
        guard !suite.compresses || compression != .never,
            !suite.usesExtendedSequenceNumbers || extendedSequenceNumbers != .never
        else { return nil }
        var rank = [suite.payload == nil ? 1 : 0]
        if let payload = suite.payload {
            guard let cipher = ciphers.firstIndex(of: payload.cipher),
                let integrity = integrityRank(payload, isInsideHeader: suite.authenticationHeader != nil)
            else { return nil }
            rank += [cipher, integrity]
        }
        if let header = suite.authenticationHeader {
            guard let index = headerIntegrities.firstIndex(of: header) else { return nil }
            rank.append(index)
        } else {
            rank.append(0)
        }
        return rank
    }

    /// What AH around it authenticates needs no integrity of its own, but RFC 4303 section 3.2 wants one of both in ESP.
    private func integrityRank(_ payload: IPsecSuite.Payload, isInsideHeader: Bool) -> Int? {
        guard !payload.cipher.isCombined else { return payload.integrity == nil ? 0 : nil }
        guard let integrity = payload.integrity else {
            return payload.cipher != .null && (allowsNoIntegrity || isInsideHeader) ? integrities.count : nil
        }
        return integrities.firstIndex { $0.attribute == integrity.attribute }
    }

    /// What we offer: all that we accept, as far as one offer should be long.
    public var offered: [IPsecSuite] {
        guard suites.isEmpty else { return suites }
        var all = ciphers.flatMap { cipher -> [IPsecSuite] in
            guard !cipher.isCombined else { return [IPsecSuite(cipher: cipher, integrity: nil)] }
            var pairs = integrities.map {
                let isCut = $0 == .hmacSHA256 && truncatesSHA256
                return IPsecSuite(cipher: cipher, integrity: isCut ? .hmacSHA256Truncated96 : $0)
            }
            if allowsNoIntegrity, cipher != .null { pairs.append(IPsecSuite(cipher: cipher, integrity: nil)) }
            return pairs
        }
        all = Array(all.prefix(Self.offeredMaximum)) + headerIntegrities.map { IPsecSuite(authenticationHeader: $0) }
        if extendedSequenceNumbers == .offer { all = all.map { $0.with(\.usesExtendedSequenceNumbers) } + all }
        if compression == .offer { all = all.map { $0.with(\.compresses) } + all }
        return all
    }

    private static var offeredMaximum: Int { 24 }
}

extension IPsecSuite {
    fileprivate func with(_ option: WritableKeyPath<IPsecSuite, Bool>) -> IPsecSuite {
        var suite = self
        suite[keyPath: option] = true
        return suite
    }
}

extension Array where Element: Hashable {
    /// The elements in their order, each once.
    fileprivate var withoutRepetitions: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
