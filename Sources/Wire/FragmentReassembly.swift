/// Why a fragment, or a datagram of which fragments had come, was given up.
public enum FragmentDrop: UInt8, CaseIterable, Sendable {
    /// A fragment whose place and length cannot be, or that reaches beyond the largest datagram.
    case malformed
    /// One that is not the last and still shorter than any link makes it (RFC 1858, RFC 3128).
    case tiny
    /// A datagram whose fragments overlap without being the same (RFC 5722), or disagree about its end.
    case overlapping
    /// A datagram in more pieces than one may have.
    case tooManyFragments
    /// A datagram that was not whole in time.
    case timedOut
    /// A datagram that had to make room for a newer one.
    case displaced
    /// A datagram that a router marked and whose transport does not know ECN (RFC 3168 section 5.3).
    case congestion
}

/// Puts the fragments of inner datagrams together where a policy asks for ports, of IPv4 and IPv6 (RFC 4301 section 7,
/// RFC 791 section 3.2, RFC 8200 section 4.5).
///
/// Everything is allocated at the start. Fragments of different owners never meet in one datagram, so that no peer's bytes
/// come in by another's SA. A datagram that waits costs nobody else more than its place: an owner's host that has more than
/// ``datagramsPerSourceMaximum`` under way loses its own oldest one, and where all places are taken, the oldest of all goes.
public struct FragmentReassembly: ~Copyable {
    /// How many datagrams can wait for their fragments.
    public static let datagramsMaximum = 64
    /// How many of these may be of one host and owner.
    public static let datagramsPerSourceMaximum = 16
    /// How many pieces a datagram may have: the largest in pieces for 576 bytes, the least that hosts take (RFC 791).
    public static let fragmentsMaximum = 128
    /// How many bytes a fragment that is not the last must have: a link of 68 bytes (RFC 791 section 3.2) takes 48, with
    /// options 40.
    public static let fragmentPayloadMinimum = 40
    /// The largest datagram with all its headers.
    public static let lengthMaximum = 65_535
    /// How long IPv4 datagrams wait. RFC 791 proposes 15 seconds, RFC 1122 at least 60, hosts have agreed on 30.
    public static let timeLimitIPv4 = Duration.seconds(30)
    /// How long IPv6 packets wait (RFC 8200 section 4.5).
    public static let timeLimitIPv6 = Duration.seconds(60)
    /// Room for the headers that each fragment has. IPv6 packets with longer ones are refused.
    private static let headersMaximum = 128

    /// What names the datagram that a fragment is of.
    private struct Name: Equatable {
        let owner: Int
        let source: IPAddress
        let destination: IPAddress
        /// 0 in IPv6, where it does not count.
        let protocolNumber: UInt8
        let identification: UInt32
    }

    /// A place of a fragment in its datagram.
    private struct Piece {
        let headersLength: Int
        let payloadOffset: Int
        let offset: Int
        let count: Int
        let isLast: Bool
        /// What follows the headers in IPv6, and where they say it.
        var nextHeader: UInt8 = 0
        var nextHeaderOffset = 0
        var end: Int { offset + count }
    }

    private struct Waiting {
        var name: Name?
        var began = Instant.zero
        var deadline = Instant.zero
        var fragments = 0
        /// Bytes of payload that are here.
        var received = 0
        /// Where the last byte of all that came ends.
        var reach = 0
        /// The whole payload's length, when the last fragment has come; otherwise -1.
        var length = -1
        /// Of the first fragment.
        var headersLength = 0
        var nextHeader: UInt8 = 0
        var nextHeaderOffset = 0
        var isMarked = false
        /// No more of it is taken, and it is not forgotten before its time: what follows must not be another datagram.
        var isRefused = false
    }

    /// Fragments and datagrams that were dropped, by reason.
    public private(set) var drops = Counters<FragmentDrop>()

    private let memory: PacketBatch
    private let waiting: UnsafeMutablePointer<Waiting>
    /// One bit for 8 bytes of each datagram's payload.
    private let present: UnsafeMutablePointer<UInt64>
    private static let wordsPerDatagram = (lengthMaximum + 8 * 64) / (8 * 64)

    /// Memory for as many datagrams as may wait; it is touched only when they come.
    public init() {
        memory = PacketBatch(
            capacity: Self.datagramsMaximum, packetSizeMaximum: Self.headersMaximum + Self.lengthMaximum)
        waiting = .allocate(capacity: Self.datagramsMaximum)
        waiting.initialize(repeating: Waiting(), count: Self.datagramsMaximum)
        present = .allocate(capacity: Self.datagramsMaximum * Self.wordsPerDatagram)
        present.initialize(repeating: 0, count: Self.datagramsMaximum * Self.wordsPerDatagram)
    }

    deinit {
        waiting.deallocate()
        present.deallocate()
    }

    /// Whether an IP packet is a fragment, and must come here before anybody asks for its ports.
    public static func isFragment(_ packet: Packet) -> Bool {
        if let header = IPv4Header(packet) { return header.fragmentOffset != 0 || header.moreFragments }
        return IPv6Header(packet)?.isFragment ?? false
    }

    /// Takes a fragment. Returns the datagram when it is whole: it lies in memory of its own, with the headroom and tailroom
    /// of a ``PacketBatch``, until the next call. Nil: others are missing, or it was dropped and counted.
    ///
    /// - Parameter owner: Who sent it: the SA's number, or one for all that comes from inside.
    public mutating func add(_ packet: Packet, owner: Int, now: Instant) -> Packet? {
        expire(now: now)
        if let header = IPv4Header(packet) {
            let name = Name(
                owner: owner, source: .v4(header.source), destination: .v4(header.destination),
                protocolNumber: header.protocolNumber, identification: UInt32(header.identification))
            let piece = Piece(
                headersLength: header.length, payloadOffset: header.length, offset: Int(header.fragmentOffset) * 8,
                count: header.totalLength - header.length, isLast: !header.moreFragments)
            return add(packet, piece, of: name, until: now + Self.timeLimitIPv4, now: now)
        }
        guard let header = IPv6Header(packet), header.hasFragmentHeader else { return refuse(.malformed) }
        let name = Name(
            owner: owner, source: .v6(header.source), destination: .v6(header.destination), protocolNumber: 0,
            identification: header.identification)
        let payload = header.perFragmentLength + IPv6Header.fragmentHeaderLength
        let piece = Piece(
            headersLength: header.perFragmentLength, payloadOffset: payload, offset: Int(header.fragmentOffset) * 8,
            count: header.totalLength - payload, isLast: !header.moreFragments,
            nextHeader: packet.byte(at: header.perFragmentLength), nextHeaderOffset: header.nextHeaderOffset)
        return add(packet, piece, of: name, until: now + Self.timeLimitIPv6, now: now)
    }

    private mutating func refuse(_ reason: FragmentDrop) -> Packet? {
        drops.count(reason)
        return nil
    }

    private mutating func add(
        _ packet: Packet, _ piece: Piece, of name: Name, until deadline: Instant, now: Instant
    ) -> Packet? {
        guard piece.count > 0, piece.isLast || piece.count % 8 == 0, piece.headersLength <= Self.headersMaximum,
            piece.headersLength + piece.end <= Self.lengthMaximum
        else { return refuse(.malformed) }
        guard piece.isLast || piece.count >= Self.fragmentPayloadMinimum else { return refuse(.tiny) }
        let place = find(name) ?? begin(name, until: deadline, now: now)
        guard !waiting[place].isRefused else { return refuse(.overlapping) }
        // The end is told once, and nothing is behind it.
        let length = waiting[place].length
        if piece.isLast
            ? (length >= 0 && length != piece.end) || waiting[place].reach > piece.end
            : length >= 0 && piece.end > length
        {
            return give(up: place, because: .overlapping)
        }
        waiting[place].fragments += 1
        guard waiting[place].fragments <= Self.fragmentsMaximum else {
            return give(up: place, because: .tooManyFragments)
        }
        let target = memory[place].start + Self.headersMaximum + piece.offset
        let source = packet.start + piece.payloadOffset
        switch mark(piece, at: place) {
        case .new: break
        case .known where isSame(target, source, piece.count): return nil
        case .known, .overlapping: return give(up: place, because: .overlapping)
        }
        target.copyMemory(from: source, byteCount: piece.count)
        waiting[place].received += piece.count
        waiting[place].reach = max(waiting[place].reach, piece.end)
        if piece.isLast { waiting[place].length = piece.end }
        if CongestionNotification(trafficClass: OuterHeaderRules.trafficClass(of: packet)) == .congestionExperienced {
            waiting[place].isMarked = true
        }
        if piece.offset == 0 {
            waiting[place].headersLength = piece.headersLength
            waiting[place].nextHeader = piece.nextHeader
            waiting[place].nextHeaderOffset = piece.nextHeaderOffset
            (memory[place].start + Self.headersMaximum - piece.headersLength).copyMemory(
                from: packet.start, byteCount: piece.headersLength)
            memory[place].path = packet.path
            memory[place].outer = packet.outer
        }
        guard waiting[place].received == waiting[place].length else { return nil }
        return finish(place)
    }

    /// Makes one datagram of what is there.
    private mutating func finish(_ place: Int) -> Packet? {
        let done = waiting[place]
        forget(place)
        let total = done.headersLength + done.length
        // Headers of the first fragment may be longer than those of the others.
        guard total <= Self.lengthMaximum else { return refuse(.malformed) }
        var whole = Packet(
            start: memory[place].start + (Self.headersMaximum - done.headersLength), count: total,
            path: memory[place].path)
        whole.outer = memory[place].outer
        if case .v4 = done.name?.source {
            whole.store(UInt16(truncatingIfNeeded: total), at: 2)
            whole.store(UInt16(0), at: 6)
            whole.store(UInt16(0), at: 10)
            whole.store(InternetChecksum.of(whole.start, count: done.headersLength), at: 10)
        } else {
            whole.store(UInt16(truncatingIfNeeded: total - IPv6Header.length), at: 4)
            whole.store(done.nextHeader, at: done.nextHeaderOffset)
        }
        let mark = CongestionNotification.congestionExperienced.rawValue
        guard !done.isMarked || OuterHeaderRules.giveBack(outerTrafficClass: mark, to: whole) else {
            return refuse(.congestion)
        }
        return whole
    }

    // MARK: Places

    private func find(_ name: Name) -> Int? {
        for place in 0..<Self.datagramsMaximum where waiting[place].name == name { return place }
        return nil
    }

    private mutating func begin(_ name: Name, until deadline: Instant, now: Instant) -> Int {
        var (free, oldest, ownOldest, own) = (-1, 0, -1, 0)
        for place in 0..<Self.datagramsMaximum {
            guard let other = waiting[place].name else {
                free = place
                continue
            }
            if waiting[place].began < waiting[oldest].began || waiting[oldest].name == nil { oldest = place }
            guard other.owner == name.owner, other.source == name.source else { continue }
            own += 1
            if ownOldest < 0 || waiting[place].began < waiting[ownOldest].began { ownOldest = place }
        }
        if own >= Self.datagramsPerSourceMaximum {
            free = ownOldest
        } else if free < 0 {
            free = oldest
        }
        if waiting[free].name != nil {
            drops.count(.displaced)
            forget(free)
        }
        waiting[free].name = name
        waiting[free].began = now
        waiting[free].deadline = deadline
        return free
    }

    private func forget(_ place: Int) {
        // Only as far as something came: most datagrams are of few kilobytes.
        let words = (waiting[place].reach + 511) / 512
        (present + place * Self.wordsPerDatagram).update(repeating: 0, count: words)
        waiting[place] = Waiting()
    }

    private mutating func give(up place: Int, because reason: FragmentDrop) -> Packet? {
        waiting[place].isRefused = true
        return refuse(reason)
    }

    private mutating func expire(now: Instant) {
        for place in 0..<Self.datagramsMaximum where waiting[place].name != nil && waiting[place].deadline <= now {
            if !waiting[place].isRefused { drops.count(.timedOut) }
            forget(place)
        }
    }

    // MARK: Bytes

    private enum Presence { case new, known, overlapping }

    /// Notes that the bytes of `piece` have come, unless some of them had.
    private func mark(_ piece: Piece, at place: Int) -> Presence {
        let words = present + place * Self.wordsPerDatagram
        let units = piece.offset / 8..<(piece.end + 7) / 8
        var known = 0
        for unit in units where words[unit / 64] >> UInt64(unit % 64) & 1 == 1 { known += 1 }
        if known == units.count { return .known }
        guard known == 0 else { return .overlapping }
        for unit in units { words[unit / 64] |= 1 << UInt64(unit % 64) }
        return .new
    }

    private func isSame(_ left: UnsafeMutableRawPointer, _ right: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        UnsafeRawBufferPointer(start: left, count: count).elementsEqual(
            UnsafeRawBufferPointer(start: right, count: count))
    }
}
