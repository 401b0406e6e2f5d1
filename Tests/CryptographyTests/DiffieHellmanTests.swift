import Testing
import Wire

@testable import Cryptography

@Suite("Diffie-Hellman by published and by independent vectors")
struct DiffieHellmanTests {
    static let modularGroups: [DiffieHellmanGroup] = [
        .modp768, .modp1024, .modp1536, .modp2048, .modp3072, .modp4096, .modp6144, .modp8192,
    ]

    /// An exponent, or private number, that its label tells: so that vectors need not spell it out.
    static func number(_ label: String, count: Int = 64) -> SecretBytes {
        SecretBytes(Array(HashAlgorithm.sha512.digest(Array(label.utf8)).prefix(count)))
    }

    private static func fingerprint(_ bytes: [UInt8]) -> [UInt8] { HashAlgorithm.sha256.digest(bytes) }
    private static func bytes(_ secret: SecretBytes) -> [UInt8] { [UInt8](copying: secret.span) }

    /// SHA-256 of both public values and of the secret, all in full length, for the exponents SHA-512("MODP n initiator") and
    /// SHA-512("MODP n responder"). Worked out by Python's integers over the primes that the RFCs' formula gives.
    private static let modularCases: [(group: UInt16, initiator: String, responder: String, secret: String)] = [
        (
            1, "a19d861b0c314cdd42fe3b55fb9df1269c99f41686b0adcd5bc9189a5da5e1e9",
            "94cc0e736818d71caae1427ee0d3d10babc37e9d61290a55d47a980738ef70c8",
            "5d067750c76b0dab93eca8803d2c01aafe411d01a25a2fa004d4b005679740db"
        ),
        (
            2, "603519f7aaea17bb05990e45c0949e80236614d5489f394db5b53d7597150a1d",
            "9150024ec268694949b753ecc844683f06cd68cf32b25e9142790e6acbececc8",
            "cd9b3e1f80b7e1f887eccc1ab61b5fafff11fe686b8e6915df7a8c4c548ef144"
        ),
        (
            5, "f6b495767fe7eedab436ad98700367d4dca2d2fd86a4f343bc10317d6e09bb5a",
            "f006cad814e1b08064406c68839655de0a4c809bd493af403dd21c5c6cfe2a3e",
            "d0902b34e9a6b2971fdb288063520f71c8cb54a01fa18c0b7ed514dcb20b56d6"
        ),
        (
            14, "a7d716d1f29d12b0fdf254bc3d50e6e3ba48f3efebfedd01621823cec01000b6",
            "2b07be083d7133c95e790c73825e9306422b53ab9f28908fabfb203a6f1c820e",
            "1dfd027cf45c13b78be7897439bb3a6992d12d5340e6ce42433b6e459c164c00"
        ),
        (
            15, "38df8c82168b905b8bbb2fc546ef99f1224684fa3dd77f61fc865db793ae0436",
            "4e384c5f4a4cc02516bd9b83fcd244803709408b8bc831bc21ecd676632bbf13",
            "852b621c9aac5b99cc11e8667c6ef04e26ec69ef0331ba52f2b682a69aa025fd"
        ),
        (
            16, "d4b5d4fa76b789be3be368ca6965250f8dd2a497aae3c7e12a8ec7e5ef1a4547",
            "783ae4ff96b9cb2d4ad9ef511790cbf579582829e039710aa9fe4587d7509c9e",
            "94c64120b7513b7afe0f6bd9c54289b9557e5df2e2c0cb5e7fa9aa62aa39973c"
        ),
        (
            17, "fe56fb5f2b6968b797d2731a9d2e1c533d5e62da7ab69b0b0b958bddc384132b",
            "5e5d49da1db081db6ff5cec8c8887cff4078ec1fce06295e3ac5795aba57b2fa",
            "a42c5c0c2cebc21d987aa68e57b599663bc868fc16ea7f2c64245ce984444b2e"
        ),
        (
            18, "9edcff18d44209b8b21665b0ce4000d1ebfc13049f6e388797644491889e3f18",
            "f7dd2455d0cb7115882d4821e458703552415bab2eac86c2c5e504f62361f6c7",
            "9b8f249bab111071ed8016b6060fea2b80fdc272e56984f9aa858d07a872fcee"
        ),
    ]

    @Test("MODP: both public values and the secret, by Python over the RFCs' formula", arguments: modularCases)
    func modular(_ number: UInt16, _ initiator: String, _ responder: String, _ secret: String) throws {
        let group = try #require(DiffieHellmanGroup(rawValue: number))
        let first = try DiffieHellmanKeyPair.fixed(group, exponent: Self.number("MODP \(number) initiator"))
        let second = try DiffieHellmanKeyPair.fixed(group, exponent: Self.number("MODP \(number) responder"))
        #expect(first.publicValue.count == group.publicValueLength)
        #expect(Self.fingerprint(first.publicValue) == hex(initiator))
        #expect(Self.fingerprint(second.publicValue) == hex(responder))
        #expect(Self.fingerprint(Self.bytes(try first.sharedSecret(with: second.publicValue))) == hex(secret))
        #expect(Self.fingerprint(Self.bytes(try second.sharedSecret(with: first.publicValue))) == hex(secret))
    }

    /// The number in the label makes a public value, or a secret shared with "MODP n initiator", that begins with a zero.
    private static let modularZeroCases: [(group: UInt16, zero: Int, value: String, secret: Int, shared: String)] = [
        (
            1, 86, "9b19fd290cee79807201dab43d2ee77baa19fd650b03e8cc6c6c820048060e97", 305,
            "e049f1bbbcf6e5ddee3d10fcfc67e9e86533311ac8fca9af2067849875b156c4"
        ),
        (
            2, 233, "625190d3af8a243ae1f8f24c5fb44e1f64ea3ad83719d9999a5be94ce34278a7", 243,
            "0853c1c55ce09b7d6186965393d538529667757b6f0ea30c0706ee0efc010d10"
        ),
        (
            5, 1223, "ec64288b808e3e556b508b460395c8c9667a4d95dc797aa70a67656496b78c0d", 58,
            "df8e56bdf8bcf2fffd320f1faa974052d9389b9263a799b12f5fddec0a28a8b0"
        ),
        (
            14, 389, "1338feac7e7d9759a798102ae957a98643a25c488dca3d8d39dd1359e8bff964", 354,
            "eec0f1366672b45bc827498ed1b7b119f3f15710743110875138e87538b9d9f0"
        ),
    ]

    @Test("MODP: leading zeros of a public value and of a secret are kept", arguments: modularZeroCases)
    func modularZeros(_ number: UInt16, _ zero: Int, _ value: String, _ secret: Int, _ shared: String) throws {
        let group = try #require(DiffieHellmanGroup(rawValue: number))
        let pair = try DiffieHellmanKeyPair.fixed(group, exponent: Self.number("MODP \(number) zero \(zero)"))
        #expect(pair.publicValue.first == 0)
        #expect(pair.publicValue.count == group.publicValueLength)
        #expect(Self.fingerprint(pair.publicValue) == hex(value))
        let initiator = try DiffieHellmanKeyPair.fixed(group, exponent: Self.number("MODP \(number) initiator"))
        let peer = try DiffieHellmanKeyPair.fixed(group, exponent: Self.number("MODP \(number) secret \(secret)"))
        let found = Self.bytes(try initiator.sharedSecret(with: peer.publicValue))
        #expect(found.first == 0)
        #expect(found.count == group.sharedSecretLength)
        #expect(Self.fingerprint(found) == hex(shared))
    }

    @Test("MODP: the primes are those of the RFCs' formula", arguments: modularGroups)
    func primes(_ group: DiffieHellmanGroup) throws {
        #expect(ModularPrimes.prime(group).count == group.publicValueLength)
        let pair = try DiffieHellmanKeyPair.generate(group)
        // With both, the value below p-1 and p-1 itself, nothing else can be the prime.
        #expect(throws: Never.self) { try pair.sharedSecret(with: ModularPrimes.near(group, -2)) }
        #expect(throws: CryptographyError.badPublicValue) {
            try pair.sharedSecret(with: ModularPrimes.near(group, -1))
        }
    }

    private static let curveCases: [(DiffieHellmanGroup, PublishedCase)] = zip(
        [DiffieHellmanGroup.ecp256, .ecp384, .ecp521], DiffieHellmanVectors.rfc5903
    ).map { ($0, $1) }

    @Test("ECP: RFC 5903 section 8", arguments: curveCases)
    func curves(_ group: DiffieHellmanGroup, _ vector: PublishedCase) throws {
        let initiator = try DiffieHellmanKeyPair.fixed(group, exponent: SecretBytes(vector["i"]))
        let responder = try DiffieHellmanKeyPair.fixed(group, exponent: SecretBytes(vector["r"]))
        #expect(initiator.publicValue == vector["gix"] + vector["giy"])
        #expect(responder.publicValue == vector["grx"] + vector["gry"])
        #expect(Self.bytes(try initiator.sharedSecret(with: responder.publicValue)) == vector["girx"])
        #expect(Self.bytes(try responder.sharedSecret(with: initiator.publicValue)) == vector["girx"])
        #expect(vector["girx"].count == group.sharedSecretLength)
    }

    /// As with MODP, by Python's package cryptography; P-521 begins with a zero in RFC 5903 itself.
    private static let curveZeroCases: [(group: UInt16, zero: Int, value: String, secret: Int, shared: String)] = [
        (
            19, 573, "01ad861af8c5e3206ebd9c8dba58eab495193a88df73ee2d2e339eaedff07a17", 158,
            "0019a1f6461f12dfcd29ed806b457de83178340d133595852d528f61d99f93eb"
        ),
        (
            20, 487, "74fa0faec63f748c8dba287b6f0a18955009cefc1583a8ad369969f66a5f5d23", 255,
            "0050abab6eeb120639d3063ab7213b2a6ef958683072f792843461a46c87b461cbb21ad52eb2cb01d2579ad3a83d6947"
        ),
    ]

    @Test("ECP: leading zeros of X and of a secret are kept", arguments: curveZeroCases)
    func curveZeros(_ number: UInt16, _ zero: Int, _ value: String, _ secret: Int, _ shared: String) throws {
        let group = try #require(DiffieHellmanGroup(rawValue: number))
        func pair(_ label: String) throws -> DiffieHellmanKeyPair {
            let exponent = Self.number("ECP \(number) \(label)", count: group.sharedSecretLength)
            return try DiffieHellmanKeyPair.fixed(group, exponent: exponent)
        }
        let found = try pair("zero \(zero)").publicValue
        #expect(found.first == 0 && found.count == group.publicValueLength)
        #expect(Self.fingerprint(found) == hex(value))
        let peer = try pair("secret \(secret)").publicValue
        #expect(Self.bytes(try pair("initiator").sharedSecret(with: peer)) == hex(shared))
    }

    @Test("X25519: RFC 7748 section 6.1")
    func curve25519() throws {
        let vector = try #require(DiffieHellmanVectors.rfc7748.first)
        let alice = try DiffieHellmanKeyPair.fixed(.curve25519, exponent: SecretBytes(vector["a"]))
        let bob = try DiffieHellmanKeyPair.fixed(.curve25519, exponent: SecretBytes(vector["b"]))
        #expect(alice.publicValue == vector["ka"])
        #expect(bob.publicValue == vector["kb"])
        #expect(Self.bytes(try alice.sharedSecret(with: bob.publicValue)) == vector["k"])
        #expect(Self.bytes(try bob.sharedSecret(with: alice.publicValue)) == vector["k"])
    }

    @Test("X25519: RFC 7748 section 5.2, the highest bit of a public value being no part of it")
    func scalarMultiplication() throws {
        for vector in DiffieHellmanVectors.rfc7748.dropFirst() {
            let pair = try DiffieHellmanKeyPair.fixed(.curve25519, exponent: SecretBytes(vector["scalar"]))
            #expect(Self.bytes(try pair.sharedSecret(with: vector["u"])) == vector["result"])
            var marked = vector["u"]
            marked[31] ^= 0x80
            #expect(Self.bytes(try pair.sharedSecret(with: marked)) == vector["result"])
        }
    }

    @Test("fresh pairs of every group agree and have the lengths they should", arguments: DiffieHellmanGroup.allCases)
    func agreement(_ group: DiffieHellmanGroup) throws {
        let (first, second) = (try DiffieHellmanKeyPair.generate(group), try DiffieHellmanKeyPair.generate(group))
        let secret = try first.sharedSecret(with: second.publicValue)
        #expect(try second.sharedSecret(with: first.publicValue) == secret)
        #expect(secret.count == group.sharedSecretLength)
        #expect(first.publicValue.count == group.publicValueLength)
        #expect(first.publicValue != second.publicValue)
    }
}
