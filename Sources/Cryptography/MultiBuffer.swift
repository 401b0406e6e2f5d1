import CIPsecMB

/// Whether packets may go through the multi-buffer library (Intel's ipsec-mb) where it is there and passed its test, or all
/// through OpenSSL.
public struct MultiBuffer: Sendable, Hashable {
    /// The multi-buffer library, where it is better.
    public static let wanted = MultiBuffer(isWanted: true)
    /// OpenSSL alone.
    public static let off = MultiBuffer(isWanted: false)

    /// Whether the multi-buffer library may be used.
    public let isWanted: Bool

    /// A wish.
    public init(isWanted: Bool) { self.isWanted = isWanted }

    /// What there is of the library, tested once per process, when it is asked for first.
    public static let library = MultiBufferLibrary()
}

/// The multi-buffer library as it was found and tested when the process started.
public struct MultiBufferLibrary: Sendable {
    /// The lengths of AES-GCM's keys, in bytes.
    static let gcmKeyLengths = [16, 24, 32]

    /// Whether there is one for this processor.
    public let isThere: Bool
    /// Its version and the instructions that it works by; empty where there is none.
    public let description: String
    /// What it does wrong, and so is left to OpenSSL, by name.
    public let failures: [String]
    /// One bit for each suite that it does right, at the suite's index.
    private let suites: UInt64
    /// One bit for each length of AES-GCM's key, at its place in ``gcmKeyLengths``.
    private let gcmKeys: UInt8

    /// Looks for the library and tests it against `answers` and OpenSSL.
    init(answers: MultiBufferTest.Answers = .known) {
        guard culvert_multibuffer_load() == 1 else {
            (isThere, description, failures, suites, gcmKeys) = (false, "", [], 0, 0)
            return
        }
        var failures: [String] = []
        var suites: UInt64 = 0
        for suite in BurstSuite.allCases where Self.isWorthIt(suite) {
            if MultiBufferTest.passes(suite, answers) {
                suites |= 1 << UInt64(suite.index)
            } else {
                failures.append("\(suite.cipher) with HMAC-\(suite.hash)")
            }
        }
        var gcmKeys: UInt8 = 0
        for (place, keyLength) in Self.gcmKeyLengths.enumerated() {
            if MultiBufferTest.passes(gcmKeyLength: keyLength, answers) {
                gcmKeys |= 1 << UInt8(place)
            } else {
                failures.append("aes\(keyLength * 8)GCM")
            }
        }
        isThere = true
        let version = String(cString: culvert_multibuffer_version())
        description = "ipsec-mb \(version) by \(String(cString: culvert_multibuffer_instructions()))"
        (self.failures, self.suites, self.gcmKeys) = (failures, suites, gcmKeys)
    }

    /// Without AVX-512 the library's triple DES is many times slower than OpenSSL's.
    private static func isWorthIt(_ suite: BurstSuite) -> Bool {
        suite.cipher != .tripleDESCBC || culvert_multibuffer_has_avx512() == 1
    }

    /// Whether it does this suite right, and faster where packets come in bursts.
    public func has(_ suite: BurstSuite) -> Bool { suites >> UInt64(suite.index) & 1 == 1 }

    /// Whether it does AES-GCM right with keys of `keyLength` bytes.
    public func hasGCM(keyLength: Int) -> Bool {
        guard let place = Self.gcmKeyLengths.firstIndex(of: keyLength) else { return false }
        return gcmKeys >> UInt8(place) & 1 == 1
    }
}
