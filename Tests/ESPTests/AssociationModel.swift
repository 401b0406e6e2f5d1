import Cryptography
import Testing
import Wire

@testable import ESP

/// A packet on its way, and what it was when it was sealed.
struct Flight {
    /// Which keys it was sealed by: an SPI may get others.
    let keyNumber: Int
    let header: InboundTable.Header
    let path: OuterPath
    /// Whole, as its sender counts.
    let sequence: UInt64
    /// From the outer IPv4 header on, where there is one.
    let sealed: [UInt8]
    /// How many bytes of it are that header.
    let headerLength: Int
    let payload: [UInt8]
    let nextHeader: UInt8
    /// What it adds to an SA's traffic.
    let traffic: Traffic
    /// As it arrives.
    var bytes: [UInt8]

    /// Whether something was changed that is authenticated.
    var isForged: Bool {
        guard headerLength > 0, bytes.count == sealed.count else { return bytes != sealed }
        // RFC 4302 section 3.3.3.1.1.1.
        let mutable = [1, 6, 7, 8, 10, 11]
        return bytes.indices.contains { bytes[$0] != sealed[$0] && !mutable.contains($0) }
    }
}

/// What becomes of a packet.
enum Outcome: Hashable {
    case accepted(payload: [UInt8], nextHeader: UInt8, isNewest: Bool, isFirst: Bool)
    case dropped(InboundDrop)
}

/// What the table of inbound SAs must do, worked out slowly: a dictionary of SAs, each of which remembers every number that it
/// has received. It decrypts nothing: it knows what was sealed.
struct AssociationModel {
    struct Association {
        let keyNumber: Int
        let protection: Protection
        let limit: VolumeLimit
        var window: SlowWindow
        var traffic = Traffic()

        init(keyNumber: Int, protection: Protection, limit: VolumeLimit) {
            (self.keyNumber, self.protection, self.limit) = (keyNumber, protection, limit)
            window = SlowWindow(size: UInt64(protection.replayWindowSize))
        }

        var isUsedUp: Bool { traffic.bytes >= limit.bytes }

        /// The whole of the number of which a packet bears the low half.
        func sequence(_ low: UInt32) -> UInt64 {
            protection.usesExtendedSequenceNumbers ? window.extended(low) : UInt64(low)
        }

        func verdict(_ sequence: UInt64) -> InboundDrop? {
            if sequence == 0 { return .replayed }
            if sequence < window.bottom { return .tooOld }
            return window.seen.contains(sequence) ? .replayed : nil
        }
    }

    var associations: [SecurityParameterIndex: Association] = [:]
    var drops: [InboundDrop: UInt64] = [:]
    var total = Traffic()

    /// An SA takes the slot of its SPI from whichever had it.
    mutating func install(_ index: SecurityParameterIndex, _ association: Association) {
        for other in associations.keys where other.slot == index.slot { associations[other] = nil }
        associations[index] = association
    }

    /// In three passes as the table: what is refused without cryptography, by what the SAs knew before the batch; what is not
    /// authentic; what the packets before it in the batch have changed.
    mutating func receive(_ batch: [Flight], as header: InboundTable.Header) -> [Outcome] {
        let admitted = batch.map { admit($0, header) }
        var outcomes: [Outcome] = []
        for (flight, admission) in zip(batch, admitted) {
            let outcome =
                switch admission {
                case .failure(let refusal): Outcome.dropped(refusal.drop)
                case .success(let (index, sequence)): accept(flight, index, sequence)
                }
            if case .dropped(let drop) = outcome { drops[drop, default: 0] += 1 }
            outcomes.append(outcome)
        }
        return outcomes
    }

    struct Refusal: Error { let drop: InboundDrop }

    private func admit(
        _ flight: Flight, _ header: InboundTable.Header
    ) -> Result<(SecurityParameterIndex, UInt64), Refusal> {
        let bytes = Array(flight.bytes[flight.headerLength...])
        let isAH = header == .ah
        func number(_ offset: Int) -> UInt32 { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        func refuse(_ drop: InboundDrop) -> Result<(SecurityParameterIndex, UInt64), Refusal> {
            .failure(Refusal(drop: drop))
        }
        guard bytes.count >= (isAH ? 12 : 8) else { return refuse(.badLength) }
        let index = SecurityParameterIndex(number(isAH ? 4 : 0))
        guard let association = associations[index] else { return refuse(.unknownIndex) }
        guard isAH == (association.protection.authenticationHeader != nil) else { return refuse(.wrongProtection) }
        let length = isAH ? (Int(bytes[1]) + 2) * 4 : 0
        if let integrity = association.protection.authenticationHeader {
            let least = 12 + integrity.checkLength
            guard length <= bytes.count, [(least + 3) / 4 * 4, (least + 7) / 8 * 8].contains(length) else {
                return refuse(.badLength)
            }
        } else if !isWhole(bytes.count, association) {
            return refuse(.badLength)
        }
        guard !association.isUsedUp else { return refuse(.volumeExhausted) }
        let sequence = association.sequence(number(isAH ? 8 : 4))
        if let drop = association.verdict(sequence) { return refuse(drop) }
        if isAH, association.protection.payload != nil, bytes[0] == 50, !isWhole(bytes.count - length, association) {
            return refuse(.badLength)
        }
        return .success((index, sequence))
    }

    /// Whether so many bytes are an ESP packet of whole blocks, with a trailer at least.
    private func isWhole(_ count: Int, _ association: Association) -> Bool {
        guard let suite = association.protection.payload else { return false }
        let body = count - 8 - suite.encryption.vectorLength - suite.checkLength
        return body >= 2 && body % suite.encryption.alignment == 0
    }

    private mutating func accept(_ flight: Flight, _ index: SecurityParameterIndex, _ sequence: UInt64) -> Outcome {
        guard var association = associations[index] else { return .dropped(.unknownIndex) }
        guard !flight.isForged, flight.keyNumber == association.keyNumber, flight.sequence == sequence else {
            return .dropped(.notAuthentic)
        }
        guard !association.isUsedUp else { return .dropped(.volumeExhausted) }
        if let drop = association.verdict(sequence) { return .dropped(drop) }
        let isNewest = sequence > association.window.highest
        let isFirst = association.traffic.packets == 0
        _ = association.window.receive(sequence)
        association.traffic.add(flight.traffic, since: Traffic())
        total.add(flight.traffic, since: Traffic())
        associations[index] = association
        if flight.nextHeader == 59 { return .dropped(.dummy) }
        if association.protection.mode == .tunnel, ![4, 41].contains(flight.nextHeader) {
            return .dropped(.wrongProtection)
        }
        return .accepted(
            payload: flight.payload, nextHeader: flight.nextHeader, isNewest: isNewest, isFirst: isFirst)
    }
}
