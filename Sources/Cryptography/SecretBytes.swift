import COpenSSL
import Wire

/// A key or a password. Its memory is overwritten when the last owner lets it go, it compares in constant time, and it
/// prints nothing of itself.
public struct SecretBytes: Sendable, Equatable, CustomStringConvertible {
    /// The bytes behind their number, in one piece of memory that all copies share.
    private final class Storage: ManagedBuffer<Int, UInt8> {
        deinit { withUnsafeMutablePointers { OPENSSL_cleanse($1, $0.pointee) } }
    }

    // Written before anybody else knows it, and only read afterwards.
    private nonisolated(unsafe) let storage: ManagedBuffer<Int, UInt8>

    /// `count` bytes that `body` fills in.
    init(count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        storage = Storage.create(minimumCapacity: max(count, 1)) { _ in count }
        storage.withUnsafeMutablePointerToElements {
            body(UnsafeMutableRawBufferPointer(start: $0, count: count))
        }
    }

    /// A copy of `bytes`; whoever holds the original has to overwrite it.
    public init(copying bytes: RawSpan) {
        self.init(count: bytes.byteCount) { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } }
    }

    /// A copy of `bytes`; whoever holds the original has to overwrite it.
    public init(_ bytes: [UInt8]) { self.init(copying: bytes.span.bytes) }

    /// The bytes of a text as UTF-8: a passphrase as people type it.
    public init(utf8 text: String) { self.init([UInt8](text.utf8)) }

    /// How many bytes.
    public var count: Int { storage.header }

    /// The bytes themselves.
    public var span: RawSpan {
        @_lifetime(borrow self) get {
            let start = storage.withUnsafeMutablePointerToElements { UnsafeRawPointer($0) }
            return _overrideLifetime(
                UnsafeRawBufferPointer(start: start, count: count).bytes, borrowing: self)
        }
    }

    /// Whether both are copies of one value: in no time, and true only where they are equal.
    public func isIdentical(to other: SecretBytes) -> Bool { storage === other.storage }

    /// The bytes of `range`, which the caller knows to be inside.
    public func slice(_ range: Range<Int>) -> SecretBytes { SecretBytes(copying: span.extracting(range)) }

    /// All parts, one behind the other.
    public static func concatenate(_ parts: [SecretBytes]) -> SecretBytes {
        SecretBytes(count: parts.reduce(0) { $0 + $1.count }) { target in
            var offset = 0
            for part in parts {
                part.span.withUnsafeBytes { source in
                    UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: source)
                }
                offset += part.count
            }
        }
    }

    /// Runs `body` with the bytes' address, for C.
    func withUnsafePointer<Value>(_ body: (UnsafePointer<UInt8>) -> Value) -> Value {
        storage.withUnsafeMutablePointerToElements { body(UnsafePointer($0)) }
    }

    /// Whether both hold the same bytes, in a time that depends on their length alone.
    public static func == (left: SecretBytes, right: SecretBytes) -> Bool { constantTimeEqual(left.span, right.span) }

    /// Never the bytes.
    public var description: String { "<\(count) secret bytes>" }
}

/// Whether both hold the same bytes, in a time that depends on their length alone.
public func constantTimeEqual(_ left: RawSpan, _ right: RawSpan) -> Bool {
    guard left.byteCount == right.byteCount else { return false }
    return left.withUnsafeBytes { first in
        right.withUnsafeBytes { second in
            first.count == 0 || CRYPTO_memcmp(first.baseAddress, second.baseAddress, first.count) == 0
        }
    }
}
