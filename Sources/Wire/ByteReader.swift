/// Why bytes from a peer could not be read as what they claim to be.
public enum WireError: Error, Equatable, Sendable {
    /// More bytes were asked for than the enclosing length leaves.
    case truncated(needed: Int, left: Int)
    /// Something followed where the format says that nothing may.
    case trailingBytes(Int)
}

/// A cursor over bytes that somebody else sent, big-endian as all our protocols are.
///
/// Every length field of a format becomes a reader of its own (`readReader`), so that an inner parser cannot see its
/// neighbour. No read traps: each checks what is left and throws ``WireError/truncated(needed:left:)``.
public struct ByteReader: ~Escapable {
    @usableFromInline var bytes: RawSpan

    /// Reads from the start of `bytes`.
    @inlinable @_lifetime(copy bytes)
    public init(_ bytes: RawSpan) { self.bytes = bytes }

    /// How many bytes are left.
    @inlinable public var remaining: Int { bytes.byteCount }

    /// Whether nothing is left.
    @inlinable public var isAtEnd: Bool { bytes.byteCount == 0 }

    /// Reads one byte.
    @inlinable @_lifetime(self: copy self)
    public mutating func readUInt8() throws(WireError) -> UInt8 {
        try need(1)
        let value = bytes.unsafeLoad(as: UInt8.self)
        skipUnchecked(1)
        return value
    }

    /// Reads two bytes, most significant first.
    @inlinable @_lifetime(self: copy self)
    public mutating func readUInt16() throws(WireError) -> UInt16 {
        try need(2)
        let value = UInt16(bigEndian: bytes.unsafeLoadUnaligned(as: UInt16.self))
        skipUnchecked(2)
        return value
    }

    /// Reads four bytes, most significant first.
    @inlinable @_lifetime(self: copy self)
    public mutating func readUInt32() throws(WireError) -> UInt32 {
        try need(4)
        let value = UInt32(bigEndian: bytes.unsafeLoadUnaligned(as: UInt32.self))
        skipUnchecked(4)
        return value
    }

    /// Reads eight bytes, most significant first.
    @inlinable @_lifetime(self: copy self)
    public mutating func readUInt64() throws(WireError) -> UInt64 {
        try need(8)
        let value = UInt64(bigEndian: bytes.unsafeLoadUnaligned(as: UInt64.self))
        skipUnchecked(8)
        return value
    }

    /// Takes the next `count` bytes without copying them.
    @inlinable @_lifetime(copy self) @_lifetime(self: copy self)
    public mutating func readSpan(_ count: Int) throws(WireError) -> RawSpan {
        try need(count)
        let taken = bytes.extracting(first: count)
        skipUnchecked(count)
        return taken
    }

    /// Takes the next `count` bytes as a copy, for values that outlive the packet.
    @inlinable @_lifetime(self: copy self)
    public mutating func readBytes(_ count: Int) throws(WireError) -> [UInt8] {
        [UInt8](copying: try readSpan(count))
    }

    /// A reader over exactly the next `count` bytes: one per length field.
    @inlinable @_lifetime(copy self) @_lifetime(self: copy self)
    public mutating func readReader(_ count: Int) throws(WireError) -> ByteReader {
        ByteReader(try readSpan(count))
    }

    /// Takes all that is left without copying it.
    @inlinable @_lifetime(copy self) @_lifetime(self: copy self)
    public mutating func readRest() -> RawSpan {
        let rest = bytes
        skipUnchecked(rest.byteCount)
        return rest
    }

    /// Takes all that is left as a copy.
    @inlinable @_lifetime(self: copy self)
    public mutating func readRestBytes() -> [UInt8] { [UInt8](copying: readRest()) }

    /// Passes over `count` bytes.
    @inlinable @_lifetime(self: copy self)
    public mutating func skip(_ count: Int) throws(WireError) {
        try need(count)
        skipUnchecked(count)
    }

    /// Throws unless everything was read.
    @inlinable public func requireEnd() throws(WireError) {
        guard isAtEnd else { throw .trailingBytes(remaining) }
    }

    @inlinable func need(_ count: Int) throws(WireError) {
        guard count >= 0, count <= bytes.byteCount else { throw .truncated(needed: count, left: bytes.byteCount) }
    }

    @inlinable @_lifetime(self: copy self)
    mutating func skipUnchecked(_ count: Int) { bytes = bytes.extracting(droppingFirst: count) }
}

extension [UInt8] {
    /// A copy of the bytes of a span.
    ///
    /// Never inlined: where nobody looks at the copy, Swift 6.3's optimizer frees the inlined one before it is filled, and
    /// the bytes go into freed memory.
    @inline(never) public init(copying span: RawSpan) {
        self = span.withUnsafeBytes { Array($0) }
    }

    /// Runs `body` with a reader over these bytes.
    @inlinable public func read<Value, Failure: Error>(
        _ body: (inout ByteReader) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        var reader = ByteReader(self.span.bytes)
        return try body(&reader)
    }
}

extension RawSpan {
    /// Whether both hold the same bytes. Not for secrets: the time it takes depends on where they differ.
    @inlinable public func elementsEqual(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        for index in 0..<byteCount
        where unsafeLoad(fromByteOffset: index, as: UInt8.self)
            != other.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        {
            return false
        }
        return true
    }
}
