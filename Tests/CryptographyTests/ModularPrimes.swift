@testable import Cryptography

/// The primes of the MODP groups by the formula that RFC 2409 section 6 and RFC 3526 give for them, worked out with as little
/// as it takes, so that a table of primes is checked by something that is no table.
enum ModularPrimes {
    /// What is added to the digits of pi, by group.
    private static let offsets: [DiffieHellmanGroup: (bits: Int, offset: UInt32)] = [
        .modp768: (768, 149_686), .modp1024: (1024, 129_093), .modp1536: (1536, 741_804), .modp2048: (2048, 124_476),
        .modp3072: (3072, 1_690_314), .modp4096: (4096, 240_904), .modp6144: (6144, 929_484),
        .modp8192: (8192, 4_743_158),
    ]

    /// 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + offset), most significant byte first.
    static func prime(_ group: DiffieHellmanGroup) -> [UInt8] {
        guard let (bits, offset) = offsets[group] else { return [] }
        // Between 64 ones at either end stand the digits of pi, plus the offset, less the 1 that the lower ones borrow.
        var middle = pi(fractionLimbs: (bits - 64) / 32)
        middle.removeFirst(2)
        for position in middle.indices {
            let above = position + 1 < middle.count ? middle[position + 1] : 0
            middle[position] = middle[position] >> 2 | above << 30
        }
        middle.removeLast()
        add(offset - 1, to: &middle)
        let ones: [UInt32] = [.max, .max]
        return (ones + middle + ones).reversed().flatMap { limb in
            (0..<4).map { UInt8(truncatingIfNeeded: limb >> UInt32(24 - 8 * $0)) }
        }
    }

    /// A value that lies `distance` from the prime, of the prime's length.
    static func near(_ group: DiffieHellmanGroup, _ distance: Int) -> [UInt8] {
        // The lowest byte of every prime is 255: only going up carries.
        var value = prime(group)
        for position in value.indices.reversed() {
            let sum = Int(value[position]) + (position == value.count - 1 ? distance : 1)
            value[position] = UInt8(truncatingIfNeeded: sum)
            if sum <= 255 { break }
        }
        return value
    }

    /// Pi by Machin's formula, 16 arctan(1/5) - 4 arctan(1/239), as limbs with the lowest first and one before the point.
    private static func pi(fractionLimbs: Int) -> [UInt32] {
        var sum = [UInt32](repeating: 0, count: fractionLimbs + 1)
        addArctangent(of: 5, times: 16, negative: false, to: &sum)
        addArctangent(of: 239, times: 4, negative: true, to: &sum)
        return sum
    }

    private static func addArctangent(of inverse: UInt32, times factor: UInt32, negative: Bool, to sum: inout [UInt32])
    {
        var power = [UInt32](repeating: 0, count: sum.count)
        power[power.count - 1] = factor
        divide(&power, by: inverse)
        var divisor: UInt32 = 1
        var isNegative = negative
        while power.contains(where: { $0 != 0 }) {
            var term = power
            divide(&term, by: divisor)
            combine(&sum, term, negative: isNegative)
            isNegative.toggle()
            divisor += 2
            divide(&power, by: inverse * inverse)
        }
    }

    private static func divide(_ number: inout [UInt32], by divisor: UInt32) {
        var remainder: UInt64 = 0
        for position in number.indices.reversed() {
            let value = remainder << 32 | UInt64(number[position])
            number[position] = UInt32(truncatingIfNeeded: value / UInt64(divisor))
            remainder = value % UInt64(divisor)
        }
    }

    private static func combine(_ sum: inout [UInt32], _ term: [UInt32], negative: Bool) {
        var carry: Int64 = 0
        for position in sum.indices {
            let value = Int64(sum[position]) + (negative ? -Int64(term[position]) : Int64(term[position])) + carry
            sum[position] = UInt32(truncatingIfNeeded: value)
            carry = value >> 32
        }
    }

    private static func add(_ small: UInt32, to number: inout [UInt32]) {
        var carry = UInt64(small)
        for position in number.indices {
            let value = UInt64(number[position]) + carry
            number[position] = UInt32(truncatingIfNeeded: value)
            carry = value >> 32
        }
    }
}
