import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Pre-shared keys")
struct PreSharedKeyTests {
    private static func key(_ number: UInt8, _ network: String? = nil, _ identity: String? = nil) throws -> PreSharedKey
    {
        PreSharedKey(
            SecretBytes([number]), network: try network.map { try #require(IPv4Network($0)) }, identity: identity)
    }

    private static func numbers(_ keys: [PreSharedKey]) -> [UInt8] { keys.flatMap { bytes(of: $0.secret) } }

    @Test("those for an identity in a network first, then by identity, by network, for all; the longest prefix first")
    func order() throws {
        let keys = PreSharedKeys([
            try Self.key(1), try Self.key(2, "10.0.0.0/8"), try Self.key(3, "10.1.0.0/16"), try Self.key(4, nil, "a"),
            try Self.key(5, "10.0.0.0/8", "a"), try Self.key(6, "10.1.0.0/16", "a"), try Self.key(7, "10.1.0.0/16"),
            try Self.key(8),
        ])
        #expect(Self.numbers(keys.candidates(for: .v4(IPv4Address(10, 1, 2, 3)))) == [6, 5, 4, 3, 7, 2, 1, 8])
        #expect(Self.numbers(keys.candidates(for: .v4(IPv4Address(10, 2, 2, 3)))) == [5, 4, 2, 1, 8])
        #expect(Self.numbers(keys.candidates(for: .v4(IPv4Address(192, 0, 2, 3)))) == [4, 1, 8])
        #expect(Self.numbers(keys.candidates(for: .v6(IPv6Address(high: 1, low: 1)))) == [4, 1, 8])
        #expect(keys.mostCandidates == 8)
        #expect(PreSharedKeys(defaultKey: nil).candidates(for: .v4(.any)).isEmpty)
        #expect(PreSharedKeys(defaultKey: nil).mostCandidates == 0)
    }

    @Test("never more than the limit, and how many there would be can be asked")
    func limit() throws {
        let keys = PreSharedKeys(
            try (0..<40 as Range<UInt8>).map { try Self.key($0) }
                + [try Self.key(50, "10.0.0.0/8"), try Self.key(51, "172.16.0.0/12")])
        #expect(keys.candidates(for: .v4(IPv4Address(10, 0, 0, 1))).count == PreSharedKeys.candidatesMaximum)
        #expect(keys.mostCandidates == 41)
    }

    @Test("an identity is named as people write it")
    func names() {
        let named = { (type: UInt8, data: [UInt8], text: String) in IKEIdentity(type: type, data: data).isNamed(text) }
        #expect(named(2, Array("Branch.Example.org".utf8), "branch.example.ORG"))
        #expect(!named(2, Array("branch.example.org".utf8), "branch.example.com"))
        #expect(named(3, Array("alice@example.org".utf8), "alice@example.org"))
        #expect(!named(3, Array("Alice@example.org".utf8), "alice@example.org"))
        #expect(named(11, Array("Vertrieb Süd".utf8), "Vertrieb Süd") && !named(11, [], "a"))
        #expect(named(1, [10, 0, 0, 2], "10.0.0.2") && !named(1, [10, 0, 0, 2], "10.0.0.20"))
        #expect(!named(4, [10, 0, 0, 2, 255, 255, 255, 0], "10.0.0.2"))
    }
}
