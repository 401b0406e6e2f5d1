import Testing
import Wire

@Suite("Reading and writing bytes")
struct BytesTests {
    @Test("what is written is read again")
    func roundTrip() throws {
        var writer = ByteWriter(capacity: 1)
        writer.write(UInt8(0x01))
        writer.write(UInt16(0x0203))
        writer.write(UInt32(0x0405_0607))
        writer.write(UInt64(0x0809_0a0b_0c0d_0e0f))
        writer.write([0x10, 0x11] as [UInt8])
        writer.write(([0x12] as [UInt8]).span.bytes)
        writer.writeZeros(2)
        #expect(writer.bytes == Array(1...0x12) + [0, 0] && writer.count == 20)
        let read = try writer.bytes.read { (reader) throws(WireError) in
            let numbers = [
                UInt64(try reader.readUInt8()), UInt64(try reader.readUInt16()), UInt64(try reader.readUInt32()),
                try reader.readUInt64(),
            ]
            let bytes = try reader.readBytes(2)
            try reader.skip(1)
            let (left, rest) = (reader.remaining, reader.readRestBytes())
            try reader.requireEnd()
            return (numbers: numbers, bytes: bytes, left: left, rest: rest)
        }
        #expect(read.numbers == [1, 0x0203, 0x0405_0607, 0x0809_0a0b_0c0d_0e0f])
        #expect(read.bytes == [0x10, 0x11] && read.left == 2 && read.rest == [0, 0])
    }

    @Test("a length that is known only afterwards is put in its place")
    func patch() {
        var writer = ByteWriter()
        writer.writeZeros(8)
        writer.patch(UInt8(1), at: 0)
        writer.patch(UInt16(0x0203), at: 1)
        writer.patch(UInt32(0x0405_0607), at: 3)
        #expect(writer.bytes == [1, 2, 3, 4, 5, 6, 7, 0])
        writer.removeAll()
        #expect(writer.bytes.isEmpty && writer.count == 0)
    }

    private func failure(_ bytes: [UInt8], _ body: (inout ByteReader) throws(WireError) -> Void) -> WireError? {
        bytes.read { reader in
            do throws(WireError) {
                try body(&reader)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test("one byte short, every read throws and says how short")
    func short() {
        #expect(
            failure([]) { (reader) throws(WireError) in _ = try reader.readUInt8() } == .truncated(needed: 1, left: 0))
        #expect(
            failure([1]) { (reader) throws(WireError) in _ = try reader.readUInt16() } == .truncated(needed: 2, left: 1)
        )
        #expect(
            failure([1, 2, 3]) { (reader) throws(WireError) in _ = try reader.readUInt32() }
                == .truncated(needed: 4, left: 3))
        #expect(
            failure([1, 2, 3, 4, 5, 6, 7]) { (reader) throws(WireError) in _ = try reader.readUInt64() }
                == .truncated(needed: 8, left: 7))
        #expect(
            failure([1]) { (reader) throws(WireError) in _ = try reader.readBytes(2) } == .truncated(needed: 2, left: 1)
        )
        #expect(failure([1]) { (reader) throws(WireError) in try reader.skip(2) } == .truncated(needed: 2, left: 1))
        #expect(
            failure([1]) { (reader) throws(WireError) in _ = try reader.readReader(2) }
                == .truncated(needed: 2, left: 1))
        #expect(failure([1, 2]) { (reader) throws(WireError) in try reader.requireEnd() } == .trailingBytes(2))
    }

    @Test("a negative count and the largest one throw and move nothing")
    func absurd() {
        for count in [-1, .min, .max] {
            let error = failure([1, 2]) { (reader) throws(WireError) in _ = try reader.readBytes(count) }
            #expect(error == .truncated(needed: count, left: 2))
        }
    }

    @Test("a reader for a length field sees its own bytes and no others, and its parent goes on behind")
    func nested() throws {
        let read = try ([1, 2, 3, 4, 5] as [UInt8]).read { (reader) throws(WireError) in
            try reader.skip(1)
            var inner = try reader.readReader(2)
            let (count, value) = (inner.remaining, try inner.readUInt16())
            return (count: count, value: value, isAtEnd: inner.isAtEnd, next: try reader.readUInt16())
        }
        #expect(read.count == 2 && read.value == 0x0203 && read.isAtEnd && read.next == 0x0405)
    }

    @Test("spans are equal when their bytes are")
    func spans() {
        let cases: [(left: [UInt8], right: [UInt8], areEqual: Bool)] = [
            ([1, 2, 3], [1, 2, 3], true), ([1, 2, 3], [1, 2, 4], false), ([1, 2, 3], [1, 2], false), ([], [], true),
        ]
        for item in cases {
            let areEqual = item.left.span.bytes.elementsEqual(item.right.span.bytes)
            #expect(areEqual == item.areEqual)
        }
    }
}

@Suite("A batch of packets")
struct PacketBatchTests {
    @Test("each packet has its own memory, with the room in front and behind that is promised")
    func slots() {
        let batch = PacketBatch(capacity: 3, packetSizeMaximum: 100)
        for index in 0..<3 {
            var packet = batch[index]
            packet.prepend(PacketBatch.headroom)
            packet.count = PacketBatch.headroom + 100 + PacketBatch.tailroom
            for byte in 0..<packet.count { packet.store(UInt8(index + 1), at: byte) }
        }
        for index in 0..<3 {
            let packet = batch[index]
            for byte in [-PacketBatch.headroom, 0, 99 + PacketBatch.tailroom] {
                #expect(packet.start.load(fromByteOffset: byte, as: UInt8.self) == UInt8(index + 1))
            }
        }
    }

    @Test("taking off and putting on headers moves the front alone, and a reset brings it back")
    func headers() {
        var batch = PacketBatch(capacity: 1, packetSizeMaximum: 64)
        let start = batch[0].start
        batch[0].count = 20
        batch[0].removeFirst(8)
        #expect(batch[0].count == 12 && batch[0].start == start + 8)
        batch[0].prepend(30)
        #expect(batch[0].count == 42 && batch[0].start == start - 22)
        batch.count = 1
        batch.reset()
        #expect(batch.count == 0 && batch[0].count == 0 && batch[0].start == start)
    }

    @Test("numbers are stored and read with the most significant byte first, aligned or not")
    func numbers() {
        withPacket([UInt8](repeating: 0, count: 9)) { packet in
            packet.store(UInt8(1), at: 0)
            packet.store(UInt16(0x0203), at: 1)
            packet.store(UInt32(0x0405_0607), at: 3)
            #expect([UInt8](copying: packet.span) == [1, 2, 3, 4, 5, 6, 7, 0, 0])
            #expect(packet.byte(at: 0) == 1 && packet.uint16(at: 1) == 0x0203 && packet.uint32(at: 3) == 0x0405_0607)
        }
    }
}
