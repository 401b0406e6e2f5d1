import Cryptography
import Wire

/// A pair of IPsec SAs, as far as IKE has to remember it.
struct Child: Sendable {
    /// What both sides agreed on, and what a successor would agree on.
    final class Agreement: Sendable {
        let mode: EncapsulationMode
        let group: DiffieHellmanGroup?
        let seconds: UInt64
        let kilobytes: UInt64?
        /// The bodies of the identification payloads, ours and the peer's; nil where none were sent.
        let own: [UInt8]?
        let peer: [UInt8]?
        /// The traffic, where it is not what the identifications say.
        private let otherTraffic: Shared<TrafficSelector?>?
        let tunnel: String?
        /// The addresses that the peer believes in: its own, and ours.
        let originalAddresses: [IPAddress]

        init(
            mode: EncapsulationMode, group: DiffieHellmanGroup?, seconds: UInt64, kilobytes: UInt64?, own: [UInt8]?,
            peer: [UInt8]?, traffic: TrafficSelector?, tunnel: String?, originalAddresses: [IPAddress]
        ) {
            (self.mode, self.group, self.seconds, self.kilobytes) = (mode, group, seconds, kilobytes)
            (self.own, self.peer, self.tunnel, self.originalAddresses) = (own, peer, tunnel, originalAddresses)
            otherTraffic = Self.selectors(own, peer)?.traffic == traffic ? nil : Shared(traffic)
        }

        /// The traffic as the identifications say it; nil where none were sent.
        var selectors: IKESelectors? { Self.selectors(own, peer) }

        /// The traffic, our side the local one; nil where a side is no address.
        var traffic: TrafficSelector? { if let otherTraffic { otherTraffic.value } else { selectors?.traffic } }

        private static func selectors(_ own: [UInt8]?, _ peer: [UInt8]?) -> IKESelectors? {
            guard let own, let peer, let initiator = try? IdentificationPayload(parsing: peer),
                let responder = try? IdentificationPayload(parsing: own)
            else { return nil }
            return IKESelectors(initiator: IKESelector(initiator), responder: IKESelector(responder))
        }

        /// Whether both are about the same traffic.
        func isSimilar(to other: Agreement) -> Bool { own == other.own && peer == other.peer }
    }

    let peer: PeerID
    let quickMode: QuickModeID
    let role: IKERole
    let outbound: OutboundIndexes
    let inboundCPI: UInt16?
    let suite: IPsecSuite
    let agreed: Agreement
    /// The initiator's nonce of a pair that overlaps another; else empty.
    let initiatorNonce: [UInt8]
    /// When its life ends, which becomes a deadline when that of its successor has come: most pairs are gone by then.
    var end = Instant(nanoseconds: .max)
    /// Grows with each pair: which one is newer.
    let number: UInt64
    /// At how many kilobytes a successor is wanted.
    let softKilobytes: UInt64?
    /// Whether both sides replaced the same pair at once, and this is one of the two results, of which none is chosen yet.
    var isOverlapped: Bool
    /// Both sides have the keys.
    var isConfirmed = false
    /// The other result of an overlap is used: this one only receives.
    var isPassive = false
    /// An authentic packet came in.
    var hasTraffic = false
    /// A quick mode of ours to replace it is under way.
    var isRekeying = false
    /// When it had carried all that was agreed, and began to wait for its successor.
    var usedUpSince: Instant?
    /// How fast its kilobytes go.
    var pace: VolumePace
    /// A newer pair is in use, and this one's Delete is sent: it lives on for what is under way.
    var isReplaced = false
}

// The birth of IPsec SAs, and what becomes of the ones before.
extension IKEEngine {
    /// What a finished quick mode has found out.
    struct Installation {
        let role: IKERole
        let chosen: ChosenPhaseTwo
        let initiatorNonce: [UInt8]
        let responderNonce: [UInt8]
        let sharedSecret: SecretBytes?
        let own: [UInt8]?
        let peer: [UInt8]?
        let selectors: IKESelectors?
        let traffic: TrafficSelector?
        let tunnel: String?
        let inboundCPI: UInt16?
        let originalAddresses: [IPAddress]
        var replaces: UInt32?
        var isOverlapped = false
    }

    /// All traffic between the two endpoints: what an SA is for whose peer names none (RFC 2409 section 5.5).
    static func traffic(of path: IKEPath) -> TrafficSelector {
        TrafficSelector(local: AddressRange(path.local.address), remote: AddressRange(path.remote.address))
    }

    /// The lifetimes of pairs for a tunnel, or for L2TP; of one suite where that is known.
    func lifetimes(for path: IKEPath, tunnel: String?, suite: IPsecSuite? = nil) -> IKELifetimes {
        var lifetimes = policy(for: path).lifetimes
        guard let tunnel = configuration.tunnels.first(where: { $0.name == tunnel }) else { return lifetimes }
        let own = suite.flatMap { tunnel.suiteLifetimes[$0] }
        lifetimes.ipsecMaximumSeconds = own?.seconds ?? tunnel.maximumSeconds ?? lifetimes.ipsecMaximumSeconds
        lifetimes.ipsecMaximumKilobytes = own?.kilobytes ?? tunnel.maximumKilobytes ?? lifetimes.ipsecMaximumKilobytes
        return lifetimes
    }

    /// A CPI of ours: one for negotiated use (RFC 3173 section 3.3) that no other pair of the
    /// peer has, for it finds what it sends by our address and this number alone.
    func newCPI(peer: PeerID, using generator: inout some RandomNumberGenerator) -> UInt16 {
        let taken = Set((peers[peer]?.children ?? []).compactMap { children[$0]?.inboundCPI })
        while true {
            let index = UInt16.random(in: 256...61_439, using: &generator)
            if !taken.contains(index) { return index }
        }
    }

    /// Derives the keys of both directions and hands them to the gateway.
    mutating func install(
        _ id: QuickModeID, _ result: Installation, _ established: Association.Established, _ path: IKEPath,
        inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        let chosen = result.chosen
        let material = { (spi: UInt32, ipsecProtocol: IPsecProtocol) in
            ChildKeys(
                established.keys.childKeys(
                    sharedSecret: result.sharedSecret, protocolID: ipsecProtocol.rawValue, securityParameterIndex: spi,
                    initiatorNonce: result.initiatorNonce, responderNonce: result.responderNonce,
                    count: chosen.suite.keyMaterialBytes(ipsecProtocol)),
                ipsecProtocol, of: chosen.suite)
        }
        let outbound = chosen.outbound
        // Each protocol has keys of its own, by its number and its SPI (RFC 2409 section 5.5).
        let protections = chosen.suite.protocols.compactMap { ipsecProtocol in
            outbound[ipsecProtocol].map { outboundSPI in
                ChildProtection(
                    ipsecProtocol: ipsecProtocol, outboundSPI: outboundSPI,
                    inboundKeys: material(inboundSPI, ipsecProtocol),
                    outboundKeys: material(outboundSPI, ipsecProtocol))
            }
        }
        let policy = policy(for: path)
        let lifetimes = lifetimes(for: path, tunnel: result.tunnel, suite: chosen.suite)
        let seconds = chosen.life.boundedSeconds(lifetimes.ipsecMaximumSeconds)
        let kilobytes = chosen.life.boundedKilobytes(lifetimes.ipsecMaximumKilobytes)
        let share = Double.random(in: lifetimes.rekeyShare, using: &generator)
        let softKilobytes = kilobytes.map { lifetimes.softKilobytes(of: $0, share: share) }
        lastChild &+= 1
        let agreed = Child.Agreement(
            mode: chosen.mode, group: chosen.group, seconds: seconds, kilobytes: kilobytes, own: result.own,
            peer: result.peer, traffic: result.traffic, tunnel: result.tunnel,
            originalAddresses: result.originalAddresses)
        children[inboundSPI] = Child(
            peer: established.peer, quickMode: id, role: result.role, outbound: outbound,
            inboundCPI: result.inboundCPI, suite: chosen.suite, agreed: agreed,
            initiatorNonce: result.isOverlapped ? result.initiatorNonce : [], number: lastChild,
            softKilobytes: softKilobytes, isOverlapped: result.isOverlapped,
            pace: VolumePace(since: now, inherited: pace(of: agreed, established.peer)))
        peers.change(established.peer) { $0.children.append(inboundSPI) }
        let life = Duration.seconds(Int64(clamping: min(seconds, UInt64(Int64.max / 1_000_000_000))))
        children[inboundSPI]?.end = now + life + lifetimes.expiryGrace
        deadlines.set(.rekeyChild(inboundSPI), now + life * share)
        let addresses = result.originalAddresses
        emit(
            .securityAssociationReady(
                ChildSecurityAssociation(
                    peer: established.peer, quickMode: id, role: result.role, replaces: result.replaces,
                    inboundSPI: inboundSPI, suite: chosen.suite, protections: protections,
                    compression: result.inboundCPI.flatMap { inbound in
                        outbound.compression.map { ChildCompression(inboundCPI: inbound, outboundCPI: $0) }
                    },
                    mode: chosen.mode.ipsecMode,
                    encapsulation: established.encapsulation(in: chosen.mode), path: path,
                    originalAddresses: (addresses.first, addresses.count > 1 ? addresses[1] : nil),
                    selectors: result.selectors, traffic: result.traffic, tunnel: result.tunnel,
                    lifetimeSeconds: seconds, lifetimeKilobytes: kilobytes, softKilobytes: softKilobytes,
                    replayWindow: policy.replayWindow)))
    }

    /// Both sides have the keys of a pair, or there is no other to send by.
    mutating func confirm(_ inboundSPI: UInt32) {
        guard let child = children[inboundSPI], !child.isConfirmed else { return }
        children.change(inboundSPI) { $0.isConfirmed = true }
        answered(.quickMode(child.quickMode))
        // Its rival was chosen before this one was confirmed.
        guard !child.isPassive else { return }
        // Of two pairs that replace the same one, both sides use that with the greater nonce; the other only receives
        // until it is deleted, so that nothing is lost of who thinks otherwise.
        if child.isOverlapped, let (rival, other) = rival(of: inboundSPI, child) {
            // Their successors may be made while both are still there.
            children[rival]?.isOverlapped = false
            children[inboundSPI]?.isOverlapped = false
            guard other.initiatorNonce.lexicographicallyPrecedes(child.initiatorNonce) else {
                children[inboundSPI]?.isPassive = true
                return
            }
            children[rival]?.isPassive = true
        }
        // A message 3 that came late: meanwhile a newer pair is in use.
        let isOutdated = (peers[child.peer]?.children ?? []).contains { spi in
            guard let other = children[spi], other.number > child.number else { return false }
            return other.isConfirmed && !other.isPassive && !other.isReplaced
                && other.agreed.isSimilar(to: child.agreed)
        }
        guard !isOutdated else {
            children[inboundSPI]?.isPassive = true
            return
        }
        emit(.securityAssociationConfirmed(peer: child.peer, inboundSPI: inboundSPI))
    }

    private func rival(of inboundSPI: UInt32, _ child: Child) -> (UInt32, Child)? {
        for spi in peers[child.peer]?.children ?? [] where spi != inboundSPI {
            guard let other = children[spi], other.isOverlapped, other.isConfirmed || other.isUnproven,
                !other.isReplaced, !other.isPassive, other.role != child.role, other.agreed.isSimilar(to: child.agreed)
            else { continue }
            return (spi, other)
        }
        return nil
    }

    /// The newest pair of the same traffic that is in use in the place of this one.
    func successor(of inboundSPI: UInt32, _ child: Child) -> UInt32? {
        let candidates = (peers[child.peer]?.children ?? []).filter { spi in
            guard spi != inboundSPI, let other = children[spi] else { return false }
            let isLater = child.isPassive || other.number > child.number
            return isLater && !other.isReplaced && !other.isPassive && other.agreed.isSimilar(to: child.agreed)
        }
        return candidates.max { (children[$0]?.number ?? 0) < (children[$1]?.number ?? 0) }
    }

    /// A pair has ended: where the peer deleted the one in use of two that replaced another, the other is used.
    mutating func promote(after ended: Child) {
        guard !ended.isPassive, ended.isConfirmed, !ended.isReplaced else { return }
        // An older one that goes at a limit leaves the one in use as it is: its successor waits for its proof all the same.
        let isOneInUse = (peers[ended.peer]?.children ?? []).contains { spi in
            children[spi].map {
                $0.isConfirmed && !$0.isPassive && !$0.isReplaced && $0.agreed.isSimilar(to: ended.agreed)
            } ?? false
        }
        guard !isOneInUse else { return }
        let unproven = peers[ended.peer]?.children.last { spi in
            children[spi].map { $0.isUnproven && $0.agreed.isSimilar(to: ended.agreed) } ?? false
        }
        if let unproven { return confirm(unproven) }
        let spi = peers[ended.peer]?.children.last { spi in
            children[spi].map { $0.isPassive && !$0.isReplaced && $0.agreed.isSimilar(to: ended.agreed) } ?? false
        }
        guard let spi, let child = children[spi], successor(of: spi, child) == nil else { return }
        children[spi]?.isPassive = false
        emit(.securityAssociationConfirmed(peer: child.peer, inboundSPI: spi))
    }

    /// Tells that an authentic packet came in on an SA: a lost message 3 does not keep it from being used.
    public mutating func noteInboundTraffic(spi: UInt32) {
        confirm(spi)
        children.change(spi) { $0.hasTraffic = true }
    }

    // MARK: - Deadlines

    /// A pair's soft limit: it gets a successor. Where that cannot be begun now, it is tried again until the pair ends.
    mutating func rekeyIsDue(
        _ inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        if let end = children[inboundSPI]?.end, !deadlines.contains(.child(inboundSPI)) {
            deadlines.set(.child(inboundSPI), end)
        }
        let isOver = children[inboundSPI]?.usedUpSince.map { $0 + limits.exchangeLifetime <= now } ?? false
        guard isOver || rekey(inboundSPI: inboundSPI, now: now, using: &generator) == nil,
            let child = children[inboundSPI], !child.isReplaced, !child.isRekeying,
            successor(of: inboundSPI, child) == nil
        else { return }
        guard !isOver else {
            return endChild(inboundSPI, reason: .usedUp, announce: true, now: now, using: &generator)
        }
        let isUsedUp = child.usedUpSince != nil
        deadlines.set(
            .rekeyChild(inboundSPI), now + (isUsedUp ? limits.retransmissionInterval : limits.exchangeLifetime))
    }

    /// A while after we replaced a pair: where the peer uses the new one, the older ones get their Delete, and live on for
    /// what is under way; where it does not, they stay.
    mutating func settleIsDue(
        _ inboundSPI: UInt32, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard let child = children[inboundSPI], !child.isReplaced, !child.isPassive else { return }
        let grace = replacementGrace(of: child.peer)
        guard child.hasTraffic else { return deadlines.set(.settle(inboundSPI), now + grace) }
        // strongSwan remembers where three exchanges are: Deletes in the middle of a quick mode make it forget that one.
        guard !isNegotiating(with: child.peer) else {
            return deadlines.set(.settle(inboundSPI), now + limits.hurriedRetransmissionInterval)
        }
        var replaced: [(UInt32, Child)] = []
        for spi in peers[child.peer]?.children ?? [] {
            guard let other = children[spi], other.isPassive || other.number < child.number, spi != inboundSPI,
                !other.isReplaced, other.isConfirmed || other.isPassive, other.agreed.isSimilar(to: child.agreed)
            else { continue }
            children[spi]?.isReplaced = true
            replaced.append((spi, other))
            deadlines.set(.child(spi), now + grace)
        }
        sendDeletes(replaced, of: child.peer, using: &generator)
    }

    /// Whether a quick mode is under way in the ISAKMP SA that Deletes to a peer would go by.
    private func isNegotiating(with peer: PeerID) -> Bool {
        guard let cookie = peers[peer]?.associations.last else { return false }
        return associations[cookie]?.established?.quickModes.values.contains { !$0.isFinished } ?? false
    }

    /// How long what was replaced still receives.
    func replacementGrace(of peer: PeerID) -> Duration {
        (peers[peer].map { policy(for: $0.path) } ?? configuration.policy).lifetimes.replacementGrace
    }

    /// Deletes of pairs in one message, where an ISAKMP SA is left to say it in: a payload for each protocol, with the SPIs of
    /// all (RFC 2408 section 3.15).
    mutating func sendDeletes(
        _ pairs: [(inboundSPI: UInt32, child: Child)], of peer: PeerID,
        using generator: inout some RandomNumberGenerator
    ) {
        guard !pairs.isEmpty, let cookie = peers[peer]?.associations.last else { return }
        var deletes: [DeletePayload] = []
        for ipsecProtocol in [IPsecProtocol.authenticationHeader, .encapsulatingSecurityPayload] {
            let indexes = pairs.filter { $0.child.suite.protocols.contains(ipsecProtocol) }.map(\.inboundSPI.octets)
            guard !indexes.isEmpty else { continue }
            deletes.append(DeletePayload(protocolID: ipsecProtocol.rawValue, securityParameterIndexes: indexes))
        }
        let compressions = pairs.compactMap { $0.child.inboundCPI?.octets }
        if !compressions.isEmpty {
            deletes.append(
                DeletePayload(protocolID: ProtocolID.compression, securityParameterIndexes: compressions))
        }
        sendInformational(
            deletes.map { Payload(type: .delete, body: $0.body) }, in: cookie, using: &generator)
    }
}
