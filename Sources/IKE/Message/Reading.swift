import Wire

// Reads that fail with a drop, so that a codec has one kind of error.
extension ByteReader {
    @_lifetime(self: copy self)
    mutating func uint8() throws(IKEDrop) -> UInt8 {
        do { return try readUInt8() } catch { throw .truncated }
    }

    @_lifetime(self: copy self)
    mutating func uint16() throws(IKEDrop) -> UInt16 {
        do { return try readUInt16() } catch { throw .truncated }
    }

    @_lifetime(self: copy self)
    mutating func uint32() throws(IKEDrop) -> UInt32 {
        do { return try readUInt32() } catch { throw .truncated }
    }

    @_lifetime(self: copy self)
    mutating func uint64() throws(IKEDrop) -> UInt64 {
        do { return try readUInt64() } catch { throw .truncated }
    }

    @_lifetime(self: copy self)
    mutating func bytes(_ count: Int) throws(IKEDrop) -> [UInt8] {
        do { return try readBytes(count) } catch { throw .truncated }
    }

    @_lifetime(copy self) @_lifetime(self: copy self)
    mutating func part(_ count: Int) throws(IKEDrop) -> ByteReader {
        do { return try readReader(count) } catch { throw .truncated }
    }

    func end() throws(IKEDrop) {
        guard isAtEnd else { throw .trailingBytes }
    }
}

extension UInt64 {
    /// The eight octets, in the order in which they travel.
    var octets: [UInt8] { withUnsafeBytes(of: bigEndian) { [UInt8]($0) } }
}

extension UInt32 {
    /// The four octets, in the order in which they travel.
    var octets: [UInt8] { withUnsafeBytes(of: bigEndian) { [UInt8]($0) } }
}

extension UInt16 {
    /// The two octets, in the order in which they travel.
    var octets: [UInt8] { withUnsafeBytes(of: bigEndian) { [UInt8]($0) } }
}

/// Bytes in hexadecimal, for cookies and identities in logs.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}
