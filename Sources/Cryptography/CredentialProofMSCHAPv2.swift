import COpenSSL
import Wire

/// The arithmetic of one MS-CHAPv2 exchange, RFC 2759 section 8: both ends do it, and compare.
public struct MSCHAPv2: Sendable {
    /// An authenticator's or a peer's challenge has 16 octets.
    public static let challengeBytes = 16
    /// An NT-Response has 24 octets.
    public static let ntResponseBytes = 24

    private let authenticatorChallenge: [UInt8]
    private let peerChallenge: [UInt8]
    private let userName: [UInt8]

    /// The exchange of two challenges in which the peer called itself `userName`, with or without a domain in front.
    public init(authenticatorChallenge: [UInt8], peerChallenge: [UInt8], userName: [UInt8]) {
        (self.authenticatorChallenge, self.peerChallenge) = (authenticatorChallenge, peerChallenge)
        // RFC 2759 section 4: the domain is not part of the hash; it ends at the (first) backslash.
        self.userName = userName.firstIndex(of: UInt8(ascii: "\\")).map { Array(userName[($0 + 1)...]) } ?? userName
    }

    /// ChallengeHash, section 8.2: eight octets.
    var challengeHash: [UInt8] {
        Array(HashAlgorithm.sha1.digest(peerChallenge, authenticatorChallenge, userName).prefix(8))
    }

    /// NtPasswordHash, section 8.3: MD4 of the password (UTF-8 in memory) as UTF-16, low octet first.
    public static func ntPasswordHash(_ password: SecretBytes) -> SecretBytes {
        var utf16: [UInt8] = []
        // Room for all, so that growing leaves no copies of the password behind.
        utf16.reserveCapacity(2 * password.count)
        var utf8 = [UInt8](copying: password.span)
        _ = transcode(utf8.makeIterator(), from: UTF8.self, to: UTF16.self, stoppingOnError: false) { unit in
            utf16.append(UInt8(truncatingIfNeeded: unit))
            utf16.append(UInt8(truncatingIfNeeded: unit >> 8))
        }
        var hash = HashAlgorithm.md4.digest(utf16)
        defer {
            wipe(&utf8)
            wipe(&utf16)
            wipe(&hash)
        }
        return SecretBytes(hash)
    }

    /// GenerateNTResponse, section 8.1: the 24 octets that the peer sends.
    public func ntResponse(passwordHash: SecretBytes) throws(CryptographyError) -> [UInt8] {
        // ChallengeResponse, section 8.5: the hash and five zeros are three DES keys of seven octets.
        var keys = [UInt8](copying: passwordHash.span) + [UInt8](repeating: 0, count: 5)
        defer { wipe(&keys) }
        guard keys.count == 21 else { throw .wrongLength }
        let challenge = challengeHash
        var response: [UInt8] = []
        for start in [0, 7, 14] {
            response += try encryptDESBlock(key: Self.addingParity(keys[start..<start + 7]), block: challenge)
        }
        return response
    }

    /// The same from the password itself, for who plays the peer.
    public func ntResponse(password: SecretBytes) throws(CryptographyError) -> [UInt8] {
        try ntResponse(passwordHash: Self.ntPasswordHash(password))
    }

    /// GenerateAuthenticatorResponse, section 8.7: `S=` and 40 hexadecimal digits, in upper case as section 5 demands.
    public func authenticatorResponse(passwordHash: SecretBytes, ntResponse: [UInt8]) -> String {
        var passwordHashHash = HashAlgorithm.md4.digest([UInt8](copying: passwordHash.span))
        defer { wipe(&passwordHashHash) }
        let inner = HashAlgorithm.sha1.digest(
            passwordHashHash, ntResponse, Array("Magic server to client signing constant".utf8))
        let outer = HashAlgorithm.sha1.digest(
            inner, challengeHash, Array("Pad to make it do more than one iteration".utf8))
        return "S=" + outer.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined()
    }

    /// GetMasterKey, RFC 3079 section 3.4: 16 octets.
    public static func masterKey(passwordHash: SecretBytes, ntResponse: [UInt8]) -> SecretBytes {
        var passwordHashHash = HashAlgorithm.md4.digest([UInt8](copying: passwordHash.span))
        var digest = HashAlgorithm.sha1.digest(
            passwordHashHash, ntResponse, Array("This is the MPPE Master Key".utf8))
        defer {
            wipe(&passwordHashHash)
            wipe(&digest)
        }
        return SecretBytes(copying: digest.span.bytes.extracting(first: 16))
    }

    /// Spreads seven octets over eight, seven bits in each, and makes every octet's number of ones odd (section 8.6).
    static func addingParity(_ raw: ArraySlice<UInt8>) -> [UInt8] {
        var bits = raw.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } << 8
        return (0..<8).map { _ in
            let octet = UInt8(truncatingIfNeeded: bits >> 56) & 0xFE
            bits <<= 7
            return octet | (octet.nonzeroBitCount & 1 == 0 ? 1 : 0)
        }
    }
}

/// Overwrites what an array of our own holds of a secret.
private func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
}
