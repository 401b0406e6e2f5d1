import Cryptography
import Wire

/// Why a received ESP packet was not accepted.
public enum InboundDrop: UInt8, Sendable, CaseIterable {
    /// Too short for its header, or for what its SA adds; not whole blocks of the cipher; or AH of another length.
    case badLength
    /// No SA has this SPI: never had, or no more.
    case unknownIndex
    /// The sequence number was received already.
    case replayed
    /// The sequence number lies before the window.
    case tooOld
    /// The integrity check value is wrong.
    case notAuthentic
    /// It came with less protection, or another, than its SA is for.
    case wrongProtection
    /// Authentic, but its padding is not what RFC 4303 section 2.4 says.
    case badPadding
    /// Authentic, but it does not decompress to a packet that we have room for (RFC 3173).
    case badCompression
    /// The SA has protected as many bytes as was agreed.
    case volumeExhausted
    /// A dummy packet (RFC 4303 section 2.6), which its sender wants dropped.
    case dummy
}

/// What became of one packet of a batch.
public struct InboundResult: Sendable {
    /// Why it was dropped; nil when it was accepted and the packet now is the payload.
    public var drop: InboundDrop?
    /// The protocol of the payload.
    public var nextHeader: UInt8
    /// The owner that the SA was installed with, -1 before it is known.
    public var owner: Int
    /// Whether it has the highest sequence number so far, so that its source is where the peer is now.
    public var isNewest: Bool
    /// Whether it is the first that came by its SA: the peer uses it.
    public var isFirst: Bool
    /// Whether it took its SA to the soft or the hard limit of its volume: the owner is to be told.
    public var isNoticeDue: Bool
    /// The SPI that it bore.
    public var index: SecurityParameterIndex

    static let none = InboundResult(
        drop: .badLength, nextHeader: 0, owner: -1, isNewest: false, isFirst: false, isNoticeDue: false,
        index: SecurityParameterIndex(0))
}

/// The inbound SAs of one worker: found by the slot in the SPI, in one step and without hashing.
public struct InboundTable: ~Copyable {
    private let slots: UnsafeMutablePointer<UnsafeMutablePointer<InboundSecurityAssociation>?>
    private let results: UnsafeMutablePointer<InboundResult>
    private let admissions: UnsafeMutablePointer<Admission>
    private let compressor: PacketCompressor
    private let burst: PacketBurst
    private let batchCapacity: Int
    /// How many SAs are installed.
    public private(set) var count = 0
    /// All that was accepted, of SAs that ended too.
    public private(set) var total = Traffic()
    /// How many packets were dropped, by reason.
    public private(set) var drops = Counters<InboundDrop>()

    /// An empty table for batches of at most `batchCapacity` packets, which decompresses by its worker's `compressor` and takes
    /// packets together in its `burst`.
    public init(
        batchCapacity: Int, compressor: PacketCompressor = PacketCompressor(), burst: PacketBurst = PacketBurst()
    ) {
        self.batchCapacity = batchCapacity
        self.burst = burst
        self.compressor = compressor
        admissions = .allocate(capacity: batchCapacity)
        admissions.initialize(repeating: Admission(), count: batchCapacity)
        slots = .allocate(capacity: SecurityParameterIndex.slotCount)
        slots.initialize(repeating: nil, count: SecurityParameterIndex.slotCount)
        results = .allocate(capacity: batchCapacity)
        results.initialize(repeating: .none, count: batchCapacity)
    }

    deinit {
        for slot in 0..<SecurityParameterIndex.slotCount {
            guard let association = slots[slot] else { continue }
            association.deinitialize(count: 1)
            association.deallocate()
        }
        slots.deallocate()
        results.deallocate()
        admissions.deallocate()
    }

    /// Puts an SA into the slot that its SPI names; one that was there ends.
    public mutating func install(_ association: consuming InboundSecurityAssociation) {
        let slot = association.index.slot
        remove(slot: slot)
        // Without memory for it, what is compressed is dropped and counted.
        if association.compressionIndex != nil { _ = compressor.prepare() }
        let memory = UnsafeMutablePointer<InboundSecurityAssociation>.allocate(capacity: 1)
        memory.initialize(to: association)
        slots[slot] = memory
        count += 1
    }

    /// Ends the SA with this SPI, if there is one, and says what came by it.
    @discardableResult
    public mutating func remove(_ index: SecurityParameterIndex) -> Traffic? {
        guard let association = slots[index.slot], association.pointee.index == index else { return nil }
        let traffic = association.pointee.traffic
        remove(slot: index.slot)
        return traffic
    }

    private mutating func remove(slot: Int) {
        guard let association = slots[slot] else { return }
        slots[slot] = nil
        association.deinitialize(count: 1)
        association.deallocate()
        count -= 1
    }

    /// What came by the SA with this SPI so far.
    public func traffic(_ index: SecurityParameterIndex) -> Traffic? {
        guard let association = slots[index.slot], association.pointee.index == index else { return nil }
        return association.pointee.traffic
    }

    /// What a batch of packets came as: protocol 50, also in UDP, or 51.
    public enum Header: Sendable {
        /// ESP (RFC 4303).
        case esp
        /// AH (RFC 4302).
        case ah
    }

    /// Whose the SA with this SPI is, if there is one.
    public func owner(_ index: SecurityParameterIndex) -> Int? {
        guard let association = slots[index.slot], association.pointee.index == index else { return nil }
        return association.pointee.owner
    }

    /// Opens the first `batch.count` packets, each a whole packet of `header`'s protocol, in place. ``result(_:)`` tells
    /// what became of each.
    ///
    /// In three passes, cheap rejections first: header, SPI and window of all; then the cryptography of all; then padding
    /// and the window's mark. In the middle pass the packets of all SAs whose suites gain by it go through bursts.
    public mutating func open(_ batch: borrowing PacketBatch, as header: Header) {
        for position in 0..<batch.count {
            results[position] = .none
            results[position].drop =
                switch header {
                case .esp: Self.admitESP(&batch[position], &results[position], &admissions[position], slots)
                case .ah: Self.admitAH(&batch[position], &results[position], &admissions[position], slots)
                }
        }
        for position in 0..<batch.count where results[position].drop == nil {
            guard let association = slots[results[position].index.slot] else { continue }
            if association.pointee.joinsBursts {
                association.pointee.payload?.open(
                    batch[position], sequence: admissions[position].sequence, in: burst, position: position)
                if burst.isFull { openBurst() }
            } else {
                results[position].drop = Self.verify(batch[position], admissions[position], association)
            }
        }
        openBurst()
        for position in 0..<batch.count {
            if results[position].drop == nil { accept(position, of: batch) }
            if let drop = results[position].drop { drops.count(drop) }
        }
    }

    /// What became of the packet at `position` of the batch that was opened last.
    public func result(_ position: Int) -> InboundResult {
        precondition(position >= 0 && position < batchCapacity)
        return results[position]
    }

    // MARK: - Without cryptography

    // What is called for each packet is static where it does not change the table: the compiler may copy a table that it
    // lends, counters and all.

    private typealias Slots = UnsafeMutablePointer<UnsafeMutablePointer<InboundSecurityAssociation>?>

    /// Everything that can be refused of an ESP packet without cryptography (RFC 4303 section 3.4.2, 3.4.3).
    private static func admitESP(
        _ packet: inout Packet, _ result: inout InboundResult, _ admission: inout Admission, _ slots: Slots
    ) -> InboundDrop? {
        guard packet.count >= ESPHeader.length else { return .badLength }
        let index = SecurityParameterIndex(packet.uint32(at: 0))
        result.index = index
        guard let association = slots[index.slot], association.pointee.index == index else { return .unknownIndex }
        result.owner = association.pointee.owner
        guard association.pointee.hasPayload, !association.pointee.hasHeader else { return .wrongProtection }
        guard isWhole(packet, association) else { return .badLength }
        guard !association.pointee.isUsedUp else { return .volumeExhausted }
        let low = packet.uint32(at: 4)
        admission.sequence =
            association.pointee.usesExtendedSequenceNumbers ? association.pointee.window.extended(low) : UInt64(low)
        return InboundDrop(association.pointee.window.check(admission.sequence))
    }

    /// The same of AH (RFC 4302 section 3.4.2, 3.4.3), and of ESP in it.
    private static func admitAH(
        _ packet: inout Packet, _ result: inout InboundResult, _ admission: inout Admission, _ slots: Slots
    ) -> InboundDrop? {
        guard packet.count >= AuthenticationHeader.fixedLength else { return .badLength }
        let index = SecurityParameterIndex(packet.uint32(at: AuthenticationHeader.indexOffset))
        result.index = index
        guard let association = slots[index.slot], association.pointee.index == index else { return .unknownIndex }
        result.owner = association.pointee.owner
        guard association.pointee.hasHeader else { return .wrongProtection }
        let length = AuthenticationHeader.claimedLength(packet)
        guard packet.count >= length, association.pointee.header?.isLength(length) ?? false else { return .badLength }
        admission.headerLength = length
        guard !association.pointee.isUsedUp else { return .volumeExhausted }
        let isExtended = association.pointee.usesExtendedSequenceNumbers
        let low = packet.uint32(at: AuthenticationHeader.sequenceOffset)
        admission.sequence = isExtended ? association.pointee.window.extended(low) : UInt64(low)
        if let drop = InboundDrop(association.pointee.window.check(admission.sequence)) { return drop }
        // What is not ESP, or another SA's, is refused once it is authentic: a changed packet is not that.
        guard association.pointee.hasPayload, packet.byte(at: 0) == IPProtocol.esp else { return nil }
        var inner = packet
        inner.removeFirst(length)
        guard inner.count >= ESPHeader.length, isWhole(inner, association) else { return .badLength }
        let innerLow = inner.uint32(at: 4)
        admission.innerSequence =
            isExtended ? association.pointee.innerWindow.extended(innerLow) : UInt64(innerLow)
        return nil
    }

    /// Whether an ESP packet has whole blocks, and at least a trailer.
    @inline(__always)
    private static func isWhole(_ packet: Packet, _ association: UnsafeMutablePointer<InboundSecurityAssociation>)
        -> Bool
    {
        let count = bodyCount(packet, association)
        return count >= ESPHeader.trailerLength && count % association.pointee.layout.alignment == 0
    }

    @inline(__always)
    private static func bodyCount(_ packet: Packet, _ association: UnsafeMutablePointer<InboundSecurityAssociation>)
        -> Int
    {
        packet.count - ESPHeader.length - association.pointee.layout.vectorLength
            - association.pointee.layout.checkLength
    }

    // MARK: - Cryptography

    /// Verifies and decrypts what was taken together.
    private mutating func openBurst() {
        guard burst.count > 0 else { return }
        burst.run()
        for index in 0..<burst.count where !burst.isGood(index) { results[burst.position(index)].drop = .notAuthentic }
        burst.removeAll()
    }

    @inline(__always)
    private static func verify(
        _ packet: Packet, _ admission: Admission, _ association: UnsafeMutablePointer<InboundSecurityAssociation>
    ) -> InboundDrop? {
        guard association.pointee.hasHeader else {
            let isAuthentic = association.pointee.payload?.open(packet, sequence: admission.sequence) ?? false
            return isAuthentic ? nil : .notAuthentic
        }
        let isAuthentic =
            association.pointee.header?.verify(
                packet, length: admission.headerLength, sequence: admission.sequence) ?? false
        guard isAuthentic else { return .notAuthentic }
        guard association.pointee.hasPayload else { return nil }
        guard packet.byte(at: 0) == IPProtocol.esp else { return .wrongProtection }
        var inner = packet
        inner.removeFirst(admission.headerLength)
        guard inner.uint32(at: 0) == association.pointee.index.value else { return .unknownIndex }
        if let drop = InboundDrop(association.pointee.innerWindow.check(admission.innerSequence)) { return drop }
        let isOpened = association.pointee.payload?.open(inner, sequence: admission.innerSequence) ?? false
        return isOpened ? nil : .notAuthentic
    }

    // MARK: - What is authentic

    /// What the packets before it in the batch have changed since it was admitted: the same one may stand among them, one
    /// that moved the window past it, or the last that the SA's volume had room for.
    @inline(__always)
    private static func recheck(
        _ admission: Admission, _ association: UnsafeMutablePointer<InboundSecurityAssociation>
    ) -> InboundDrop? {
        guard !association.pointee.isUsedUp else { return .volumeExhausted }
        return InboundDrop(association.pointee.window.check(admission.sequence))
            ?? InboundDrop(association.pointee.innerWindow.check(admission.innerSequence))
    }

    /// What may be believed once the packet is authentic.
    private mutating func accept(_ position: Int, of batch: borrowing PacketBatch) {
        guard let association = slots[results[position].index.slot] else { return }
        let admission = admissions[position]
        if let drop = Self.recheck(admission, association) {
            results[position].drop = drop
            return
        }
        results[position].isNewest = association.pointee.window.mark(admission.sequence)
        var (bytes, confidential, authenticated) = (0, 0, 0)
        if association.pointee.hasHeader {
            _ = association.pointee.innerWindow.mark(admission.innerSequence)
            bytes = OuterHeader.authenticatedLength(of: batch[position]) + batch[position].count
            results[position].nextHeader = batch[position].byte(at: 0)
            batch[position].removeFirst(admission.headerLength)
            authenticated = batch[position].count
        }
        batch[position].outer.headerLength = 0
        if association.pointee.hasPayload {
            let bodyCount = Self.bodyCount(batch[position], association)
            guard Self.decapsulate(&batch[position], &results[position], bodyCount, association) else {
                results[position].drop = .badPadding
                return
            }
            confidential = batch[position].count
            if !association.pointee.hasHeader { bytes = bodyCount }
        }
        results[position].isFirst = association.pointee.traffic.packets == 0
        results[position].isNoticeDue = association.pointee.volume.count(
            bytes: bytes, confidentialBytes: confidential, authenticatedBytes: authenticated)
        total.count(bytes: bytes, confidentialBytes: confidential, authenticatedBytes: authenticated)
        results[position].drop = finish(position, of: batch, association)
    }

    /// Takes ESP off. False where the padding is not 1, 2, 3, ... (RFC 4303 section 2.4); our suites define no other.
    @inline(__always)
    private static func decapsulate(
        _ packet: inout Packet, _ result: inout InboundResult, _ bodyCount: Int,
        _ association: UnsafeMutablePointer<InboundSecurityAssociation>
    ) -> Bool {
        packet.removeFirst(ESPHeader.length + association.pointee.layout.vectorLength)
        packet.count = bodyCount
        let padLength = Int(packet.byte(at: bodyCount - 2))
        result.nextHeader = packet.byte(at: bodyCount - 1)
        let payloadCount = bodyCount - padLength - ESPHeader.trailerLength
        guard payloadCount >= 0 else { return false }
        for pad in 0..<padLength where packet.byte(at: payloadCount + pad) != UInt8(truncatingIfNeeded: pad + 1) {
            return false
        }
        packet.count = payloadCount
        return true
    }

    /// What the payload must be: decompressed where that was agreed, and of tunnel mode an IP packet.
    @inline(__always)
    private mutating func finish(
        _ position: Int, of batch: borrowing PacketBatch,
        _ association: UnsafeMutablePointer<InboundSecurityAssociation>
    ) -> InboundDrop? {
        if results[position].nextHeader == ESPHeader.dummyNextHeader { return .dummy }
        if results[position].nextHeader == PacketCompressor.nextHeader,
            let index = association.pointee.compressionIndex
        {
            let nextHeader = compressor.decompress(
                &batch[position], index: index, to: batch.slotStart(position), capacity: batch.packetSizeMaximum)
            guard let nextHeader else { return .badCompression }
            results[position].nextHeader = nextHeader
        }
        guard association.pointee.isTunnel else { return nil }
        switch results[position].nextHeader {
        case IPProtocol.ipv4, IPProtocol.ipv6: return nil
        default: return .wrongProtection
        }
    }
}

/// What the first pass found of a packet, for those that follow: a window may have moved in between.
private struct Admission {
    /// Whole, of the outermost protocol.
    var sequence: UInt64 = 0
    /// Whole, of ESP inside AH.
    var innerSequence: UInt64 = 0
    /// AH's.
    var headerLength = 0
}

extension InboundDrop {
    fileprivate init?(_ verdict: ReplayWindow.Verdict) {
        switch verdict {
        case .fresh: return nil
        case .replayed: self = .replayed
        case .tooOld: self = .tooOld
        }
    }
}
