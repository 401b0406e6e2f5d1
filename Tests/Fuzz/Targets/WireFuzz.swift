import Wire

/// IPv4 packets where they lie: header, segment size, fragments, ICMP, and the checksums of all of them.
enum WireFuzz {
    private static let gateway = IPv4Address(192, 168, 42, 1)

    static func run(_ input: Script) {
        var input = input
        let mtuBytes = Int(input.word() % 2048)
        let repair = input.byte()
        var bytes = input.rest()
        checksums(bytes)
        readers(bytes)
        // Most inputs are to get past the header: its version, and often its length and checksum, are made right.
        if repair & 1 != 0, bytes.count >= 20 {
            bytes[0] = 0x40 | max(5, bytes[0] & 0x0f)
            (bytes[2], bytes[3]) = (UInt8(truncatingIfNeeded: bytes.count >> 8), UInt8(truncatingIfNeeded: bytes.count))
        }
        if repair & 2 != 0, bytes.count >= 40 { mendTCP(&bytes) }

        let exact = ExactPacket(bytes)
        guard let header = IPv4Header(exact.packet) else { return }
        require(header.length >= 20 && header.length <= header.totalLength, "header within the datagram")
        require(header.totalLength <= bytes.count, "datagram within the packet")
        exact.packet.count = header.totalLength
        clamp(exact.packet, header, mtuBytes: mtuBytes)
        fragment(exact.packet, header, mtuBytes: mtuBytes)
        answer(exact.packet, header, mtuBytes: mtuBytes)
    }

    /// Makes a TCP checksum right, so that it can be seen to stay right.
    private static func mendTCP(_ bytes: inout [UInt8]) {
        let length = Int(bytes[0] & 0x0f) * 4
        let total = Int(bytes[2]) << 8 | Int(bytes[3])
        guard length >= 20, total <= bytes.count, length + 20 <= total else { return }
        bytes[9] = IPProtocol.tcp
        (bytes[6], bytes[7]) = (0, 0)
        (bytes[length + 16], bytes[length + 17]) = (0, 0)
        let sum = tcpChecksum(Array(bytes.prefix(total)), headerLength: length)
        (bytes[length + 16], bytes[length + 17]) = (UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum))
    }

    private static func checksums(_ bytes: [UInt8]) {
        let sum = bytes.withUnsafeBytes { buffer in
            buffer.baseAddress.map { InternetChecksum.of($0, count: bytes.count) } ?? 0xffff
        }
        require(sum == referenceChecksum(bytes), "checksum of \(bytes.count) bytes")
    }

    /// A reader gives out each byte once, and no more than there are.
    private static func readers(_ bytes: [UInt8]) {
        var collected: [UInt8] = []
        bytes.read { reader in
            while let kind = try? reader.readUInt8() {
                collected.append(kind)
                let before = reader.remaining
                switch kind & 3 {
                case 0:
                    if let value = try? reader.readUInt16() { collected += [UInt8(value >> 8), UInt8(value & 0xff)] }
                case 1: if let value = try? reader.readUInt32() { collected += IPv4Address(value).octets }
                case 2:
                    if let value = try? reader.readUInt64() {
                        collected += IPv6Address(high: value, low: 0).octets[0..<8]
                    }
                default: if let value = try? reader.readBytes(Int(kind >> 2)) { collected += value }
                }
                require(reader.remaining <= before, "a reader goes forward")
            }
        }
        require(collected.count <= bytes.count && bytes.starts(with: collected), "a reader gives what there is")
    }

    private static func clamp(_ packet: Packet, _ header: IPv4Header, mtuBytes: Int) {
        let before = [UInt8](copying: packet.span)
        TCPSegmentSize.clamp(packet, header, mtuBytes: mtuBytes)
        let after = [UInt8](copying: packet.span)
        let changed = before.indices.filter { before[$0] != after[$0] }
        guard !changed.isEmpty else { return }
        require(
            header.protocolNumber == IPProtocol.tcp && header.fragmentOffset == 0, "only the start of TCP is changed")
        let checksum = header.length + 16
        let others = changed.filter { $0 != checksum && $0 != checksum + 1 }
        require((others.last ?? 0) - (others.first ?? 0) <= 1, "one option is changed")
        // The two forms of zero are the same sum.
        let (old, new) = (
            tcpChecksum(before, headerLength: header.length), tcpChecksum(after, headerLength: header.length)
        )
        require(old % 0xffff == new % 0xffff, "the checksum is as right as before: \(old) \(new)")
        TCPSegmentSize.clamp(packet, header, mtuBytes: mtuBytes)
        require([UInt8](copying: packet.span) == after, "clamping again changes nothing")
    }

    private static func fragment(_ packet: Packet, _ header: IPv4Header, mtuBytes: Int) {
        guard var fragmenter = IPv4Fragmenter(packet, header, mtuBytes: mtuBytes) else {
            return require(mtuBytes < header.length + 8, "what fits is cut")
        }
        let whole = [UInt8](copying: packet.span)
        let target = ExactPacket([UInt8](repeating: 0, count: mtuBytes))
        var payload: [UInt8] = []
        var wasLast = false
        while true {
            target.packet.count = mtuBytes
            guard fragmenter.next(into: &target.packet) else { break }
            require(!wasLast || header.moreFragments, "nothing follows the last fragment")
            guard let piece = IPv4Header(target.packet) else {
                fatalError("property violated: a fragment is a datagram")
            }
            require(piece.totalLength == target.packet.count && piece.totalLength <= mtuBytes, "a fragment fits")
            require(
                piece.length == header.length && referenceChecksum(target.bytes.prefix(piece.length)) == 0, "header")
            require(piece.source == header.source && piece.destination == header.destination, "addresses")
            let position = Int(header.fragmentOffset) + payload.count / 8
            if position <= 0x1fff { require(Int(piece.fragmentOffset) == position, "where it belongs") }
            payload += target.bytes.dropFirst(piece.length)
            wasLast = !piece.moreFragments
        }
        require(payload == Array(whole.dropFirst(header.length)), "all bytes, in order")
        require(payload.isEmpty || wasLast == !header.moreFragments, "the end is the end")
        require([UInt8](copying: packet.span) == whole, "the datagram itself is left as it is")
    }

    private static func answer(_ packet: Packet, _ header: IPv4Header, mtuBytes: Int) {
        guard ICMPError.mayAnswer(packet, header) else { return }
        require(header.fragmentOffset == 0, "no answer to a later fragment")
        let target = ExactPacket([UInt8](repeating: 0, count: ICMPError.lengthMaximumIPv4))
        ICMPError.tooLarge(mtuBytes: mtuBytes).write(about: packet, header, from: gateway, into: &target.packet)
        let bytes = target.bytes
        guard let message = IPv4Header(target.packet) else { fatalError("property violated: the answer is a datagram") }
        require(message.totalLength == bytes.count && bytes.count <= ICMPError.lengthMaximumIPv4, "length")
        require(referenceChecksum(bytes.prefix(20)) == 0 && referenceChecksum(bytes.dropFirst(20)) == 0, "checksums")
        require(message.destination == header.source && message.source == gateway, "it goes back")
        require(bytes.dropFirst(28).elementsEqual([UInt8](copying: packet.span).prefix(bytes.count - 28)), "the quote")
    }

    static var seeds: [(name: String, bytes: [UInt8])] {
        let (client, host) = (IPv4Address(192, 168, 42, 10), IPv4Address(203, 0, 113, 80))
        let echo = [8, 0, 0, 0, 0, 1, 0, 1] + [UInt8](repeating: 0x61, count: 300)
        var optioned = datagram(protocolNumber: 17, from: client, to: host, [UInt8](repeating: 7, count: 100))
        optioned[0] = 0x47
        optioned.replaceSubrange(20..<28, with: [7, 3, 4, 0x94, 4, 0, 0, 0])
        let packets: [(String, UInt16, [UInt8])] = [
            ("syn", 1400, synchronize(from: client, to: host, segmentSize: 1460)),
            ("syn-odd", 1280, synchronize(from: client, to: host, segmentSize: 1460, odd: true)),
            ("echo", 100, datagram(protocolNumber: IPProtocol.icmp, from: client, to: host, echo)),
            ("fragment", 68, datagram(protocolNumber: 17, from: client, to: host, echo, fragment: 0x2005)),
            ("options", 84, optioned),
        ]
        return packets.map { name, mtu, packet in
            var writer = ScriptWriter()
            writer.word(mtu)
            writer.byte(name.hasPrefix("syn") ? 3 : 1)
            writer.raw(packet)
            return (name, writer.bytes)
        }
    }
}
