/// How many bytes a second, at least one: `20 Mbit/s`.
public struct DataRate: Hashable, Sendable {
    /// More than any network has; what it moves in some seconds, in billionths of a byte, still fits 64 bits.
    public static let bitsPerSecondMaximum: UInt64 = 1_000_000_000_000

    /// Bytes a second.
    public let bytesPerSecond: UInt64

    /// The rate of `bytesPerSecond`; nil for none, and for more than ``bitsPerSecondMaximum``.
    public init?(bytesPerSecond: UInt64) {
        guard (1...Self.bitsPerSecondMaximum / 8).contains(bytesPerSecond) else { return nil }
        self.bytesPerSecond = bytesPerSecond
    }

    private static let units: [(name: Substring, bitsPerSecond: UInt64)] = [
        ("kbit/s", 1000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000),
    ]

    /// The rate that `text` names: a whole number, and behind a blank or none `kbit/s`, `Mbit/s` or `Gbit/s`, powers of 1000.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let name = text.dropFirst(digits.count).drop { $0 == " " }
        guard let number = UInt64(digits), let unit = Self.units.first(where: { $0.name == name }) else { return nil }
        let (bits, isTooLarge) = number.multipliedReportingOverflow(by: unit.bitsPerSecond)
        guard !isTooLarge else { return nil }
        self.init(bytesPerSecond: bits / 8)
    }

    /// Bits a second.
    public var bitsPerSecond: UInt64 { bytesPerSecond * 8 }
}

extension DataRate: CustomStringConvertible {
    /// In the largest unit that leaves a whole number.
    public var description: String {
        let unit = Self.units.last { bitsPerSecond.isMultiple(of: $0.bitsPerSecond) }
        return unit.map { "\(bitsPerSecond / $0.bitsPerSecond) \($0.name)" } ?? "\(bitsPerSecond) bit/s"
    }
}

/// How much a session may move each way; nil is as much as there is.
public struct RateLimits: Hashable, Sendable {
    /// What the client may send.
    public var fromClient: DataRate?
    /// What it may be sent.
    public var toClient: DataRate?

    /// These limits.
    public init(fromClient: DataRate?, toClient: DataRate?) {
        (self.fromClient, self.toClient) = (fromClient, toClient)
    }

    /// No limit either way.
    public static let none = RateLimits(fromClient: nil, toClient: nil)
}
