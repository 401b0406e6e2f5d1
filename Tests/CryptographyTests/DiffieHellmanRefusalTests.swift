import Testing
import Wire

@testable import Cryptography

@Suite("Diffie-Hellman: values that must not be used")
struct DiffieHellmanRefusalTests {
    private func expect(
        _ error: CryptographyError, _ pair: DiffieHellmanKeyPair, _ value: [UInt8], _ comment: Comment
    ) {
        #expect(throws: error, comment) { try pair.sharedSecret(with: value) }
    }

    @Test(
        "MODP: 0, 1, p-1, p, p+1 and all ones are refused; 2 and p-2 are not",
        arguments: DiffieHellmanTests.modularGroups)
    func modular(_ group: DiffieHellmanGroup) throws {
        let pair = try DiffieHellmanKeyPair.generate(group)
        let zero = [UInt8](repeating: 0, count: group.publicValueLength)
        func small(_ value: UInt8) -> [UInt8] { zero.dropLast() + [value] }
        expect(.badPublicValue, pair, zero, "0")
        expect(.badPublicValue, pair, small(1), "1")
        expect(.badPublicValue, pair, ModularPrimes.near(group, -1), "p-1")
        expect(.badPublicValue, pair, ModularPrimes.prime(group), "p")
        expect(.badPublicValue, pair, ModularPrimes.near(group, 1), "p+1")
        expect(.badPublicValue, pair, ModularPrimes.near(group, 3), "p+3")
        expect(.badPublicValue, pair, zero.map { _ in 0xff }, "all ones")
        // The secret shared with the generator itself is our own public value.
        let own = try pair.sharedSecret(with: small(2))
        #expect(own == SecretBytes(pair.publicValue))
        #expect(throws: Never.self) { try pair.sharedSecret(with: ModularPrimes.near(group, -2)) }
    }

    @Test("every group: a value of another length is refused", arguments: DiffieHellmanGroup.allCases)
    func lengths(_ group: DiffieHellmanGroup) throws {
        let pair = try DiffieHellmanKeyPair.generate(group)
        let good = try DiffieHellmanKeyPair.generate(group).publicValue
        expect(.wrongLength, pair, [], "empty")
        expect(.wrongLength, pair, [0], "one byte")
        expect(.wrongLength, pair, Array(good.dropFirst()), "a leading byte short")
        expect(.wrongLength, pair, Array(good.dropLast()), "the last byte short")
        expect(.wrongLength, pair, [0] + good, "a leading zero more")
        expect(.wrongLength, pair, good + [0], "a byte more")
        expect(.wrongLength, pair, [4] + good, "a point as other protocols encode it")
        expect(.wrongLength, pair, good + good, "twice as long")
    }

    @Test(
        "ECP: points off the curve, coordinates beyond the prime, and the point at infinity are refused",
        arguments: [DiffieHellmanGroup.ecp256, .ecp384, .ecp521])
    func points(_ group: DiffieHellmanGroup) throws {
        let pair = try DiffieHellmanKeyPair.generate(group)
        let good = try DiffieHellmanKeyPair.generate(group).publicValue
        let half = good.count / 2
        for position in [0, half - 1, half, good.count - 1] {
            var wrong = good
            wrong[position] ^= 1
            expect(.badPublicValue, pair, wrong, "byte \(position) changed")
        }
        let swapped = Array(good[half...] + good[..<half])
        expect(.badPublicValue, pair, swapped, "X and Y swapped")
        expect(.badPublicValue, pair, good.map { _ in 0 }, "zeros, as some write infinity")
        expect(.badPublicValue, pair, good.map { _ in 0xff }, "all ones")
        expect(.badPublicValue, pair, Array(good[..<half]) + [UInt8](repeating: 0, count: half), "Y = 0")
        expect(.badPublicValue, pair, [UInt8](repeating: 0xff, count: half) + good[half...], "X beyond the prime")
    }

    /// The points of small order and their equals beyond the prime (RFC 7748 section 7): any secret with them is zero.
    private static let smallOrder = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
    ]

    @Test("X25519: a secret of zeros is refused", arguments: smallOrder)
    func zeroSecret(_ point: String) throws {
        for _ in 0..<4 {
            expect(.badPublicValue, try DiffieHellmanKeyPair.generate(.curve25519), hex(point), "\(point)")
        }
    }

    @Test("a refusal leaves the key pair as it was", arguments: DiffieHellmanGroup.allCases)
    func afterRefusal(_ group: DiffieHellmanGroup) throws {
        guard group != .modp6144, group != .modp8192 else { return }
        let (first, second) = (try DiffieHellmanKeyPair.generate(group), try DiffieHellmanKeyPair.generate(group))
        expect(.badPublicValue, first, first.publicValue.map { _ in 0 }, "0")
        #expect(try first.sharedSecret(with: second.publicValue) == second.sharedSecret(with: first.publicValue))
    }

    @Test("a private number that a curve has not makes no key pair")
    func privateNumbers() {
        for group in [DiffieHellmanGroup.ecp256, .ecp384, .ecp521] {
            for byte in [0x00, 0xff] as [UInt8] {
                let number = SecretBytes([UInt8](repeating: byte, count: group.sharedSecretLength))
                #expect(throws: CryptographyError.libraryFailure) {
                    try DiffieHellmanKeyPair.fixed(group, exponent: number)
                }
            }
        }
        #expect(throws: CryptographyError.libraryFailure) {
            try DiffieHellmanKeyPair.fixed(.curve25519, exponent: SecretBytes([1]))
        }
    }
}
