import Cryptography
import Wire

/// Why a received ESP packet was not accepted.
public enum InboundDrop: UInt8, Sendable, CaseIterable {
    /// Too short for its header, or for what its SA adds; or not whole blocks of the cipher.
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
    private let batchCapacity: Int
    /// How many SAs are installed.
    public private(set) var count = 0
    /// What came by all SAs there have been.
    public private(set) var total = Traffic()
    /// How many packets were dropped, by reason.
    public private(set) var drops = Counters<InboundDrop>()

    /// An empty table for batches of at most `batchCapacity` packets.
    public init(batchCapacity: Int) {
        self.batchCapacity = batchCapacity
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
    }

    /// Puts an SA into the slot that its SPI names; one that was there ends.
    public mutating func install(_ association: consuming InboundSecurityAssociation) {
        let slot = association.index.slot
        remove(slot: slot)
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

    /// Opens the first `batch.count` packets, each a whole packet of `header`'s protocol, in place. ``result(_:)`` tells what became of each.
    ///
    /// In three passes, cheap rejections first: header, SPI and window of all; then the cryptography of all; then padding
    /// and the window's mark. The middle pass is where a burst can be given to a multi-buffer library.
    public mutating func open(_ batch: borrowing PacketBatch, as header: Header) {
        for position in 0..<batch.count {
            results[position] = admit(batch[position])
            if header == .ah { results[position].drop = .wrongProtection }
        }
        for position in 0..<batch.count where results[position].drop == nil {
            guard let association = slots[results[position].index.slot] else { continue }
            if !association.pointee.state.open(batch[position]) { results[position].drop = .notAuthentic }
        }
        for position in 0..<batch.count {
            let result = results + position
            if result.pointee.drop == nil { accept(&batch[position], &result.pointee) }
            if let drop = results[position].drop { drops.count(drop) }
        }
    }

    /// What became of the packet at `position` of the batch that was opened last.
    public func result(_ position: Int) -> InboundResult {
        precondition(position >= 0 && position < batchCapacity)
        return results[position]
    }

    /// Everything that can be refused without cryptography (RFC 4303 section 3.4.2, 3.4.3).
    private func admit(_ packet: Packet) -> InboundResult {
        var result = InboundResult.none
        guard packet.count >= ESPHeader.length else { return result }
        let index = SecurityParameterIndex(packet.uint32(at: 0))
        result.index = index
        guard let association = slots[index.slot], association.pointee.index == index else {
            result.drop = .unknownIndex
            return result
        }
        result.owner = association.pointee.owner
        let bodyCount = bodyCount(packet, association)
        guard bodyCount >= ESPHeader.trailerLength, bodyCount % association.pointee.state.alignment == 0 else {
            return result
        }
        guard !association.pointee.isUsedUp else {
            result.drop = .volumeExhausted
            return result
        }
        switch association.pointee.window.check(packet.uint32(at: 4)) {
        case .fresh: result.drop = nil
        case .replayed: result.drop = .replayed
        case .tooOld: result.drop = .tooOld
        }
        return result
    }

    @inline(__always)
    private func bodyCount(_ packet: Packet, _ association: UnsafeMutablePointer<InboundSecurityAssociation>) -> Int {
        packet.count - ESPHeader.length - association.pointee.state.vectorLength - association.pointee.state.checkLength
    }

    /// What may be believed once the packet is authentic. The window is asked again: the same packet may stand twice in one
    /// batch.
    private mutating func accept(_ packet: inout Packet, _ result: inout InboundResult) {
        guard let association = slots[result.index.slot] else { return }
        let sequence = packet.uint32(at: 4)
        guard case .fresh = association.pointee.window.check(sequence) else {
            result.drop = .replayed
            return
        }
        result.isNewest = association.pointee.window.mark(sequence)
        let bodyCount = bodyCount(packet, association)
        packet.removeFirst(ESPHeader.length + association.pointee.state.vectorLength)
        packet.count = bodyCount
        let padLength = Int(packet.byte(at: bodyCount - 2))
        result.nextHeader = packet.byte(at: bodyCount - 1)
        guard padLength + ESPHeader.trailerLength <= bodyCount, hasDefaultPadding(packet, padLength) else {
            result.drop = .badPadding
            return
        }
        packet.count = bodyCount - padLength - ESPHeader.trailerLength
        result.isFirst = association.pointee.traffic.packets == 0
        let before = association.pointee.traffic
        result.isNoticeDue = association.pointee.volume.count(packet.count)
        total.add(association.pointee.traffic, since: before)
        if result.nextHeader == ESPHeader.dummyNextHeader { result.drop = .dummy }
    }

    /// Padding is 1, 2, 3, ... (RFC 4303 section 2.4); our suites define no other.
    private func hasDefaultPadding(_ packet: Packet, _ padLength: Int) -> Bool {
        let first = packet.count - ESPHeader.trailerLength - padLength
        for pad in 0..<padLength where packet.byte(at: first + pad) != UInt8(truncatingIfNeeded: pad + 1) {
            return false
        }
        return true
    }
}
