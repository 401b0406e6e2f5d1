import Testing

/// A published case: its values by name.
struct PublishedCase: Sendable, CustomTestStringConvertible {
    var testDescription: String { "\(fields.count) values" }

    private var fields: [String: [UInt8]] = [:]

    /// The value with this name; empty where the case has none.
    subscript(name: String) -> [UInt8] { fields[name] ?? [] }

    fileprivate mutating func append(_ bytes: [UInt8], to name: String) { fields[name, default: []] += bytes }

    fileprivate var isEmpty: Bool { fields.isEmpty }
}

/// The cases that a text holds: lines `name = hexadecimal digits`, a value going on in the lines below, a blank line
/// between cases.
func vectors(_ text: String) -> [PublishedCase] {
    var cases: [PublishedCase] = []
    var current = PublishedCase()
    var name = ""
    for line in (text + "\n").split(separator: "\n", omittingEmptySubsequences: false) {
        let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if line.allSatisfy(\.isWhitespace) {
            if !current.isEmpty { cases.append(current) }
            current = PublishedCase()
        } else if parts.count == 2 {
            name = String(parts[0].filter { !$0.isWhitespace })
            current.append(hex(String(parts[1])), to: name)
        } else {
            current.append(hex(String(line)), to: name)
        }
    }
    return cases
}

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
