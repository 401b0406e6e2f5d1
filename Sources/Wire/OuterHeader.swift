/// What the two ECN bits of a header say (RFC 3168 section 5).
public enum CongestionNotification: UInt8, CaseIterable, Sendable {
    /// The transport does not know ECN.
    case notCapable = 0b00
    /// ECT(1).
    case capable1 = 0b01
    /// ECT(0).
    case capable0 = 0b10
    /// CE: a router on the way was congested.
    case congestionExperienced = 0b11

    /// What the traffic class (the byte of DSCP and ECN) says.
    @inlinable public init(trafficClass: UInt8) {
        switch trafficClass & 0b11 {
        case 0b01: self = .capable1
        case 0b10: self = .capable0
        case 0b11: self = .congestionExperienced
        default: self = .notCapable
        }
    }

    /// What the packet that comes out of a tunnel says (RFC 6040 section 4.2, figure 4); nil: it must be dropped, since its
    /// transport would not understand that it was marked instead.
    @inlinable public static func decapsulated(
        inner: CongestionNotification, outer: CongestionNotification
    ) -> CongestionNotification? {
        switch (inner, outer) {
        case (.notCapable, .congestionExperienced): nil
        case (.notCapable, _): .notCapable
        case (.congestionExperienced, _), (_, .congestionExperienced): .congestionExperienced
        case (.capable0, .capable1): .capable1
        case (.capable0, _): .capable0
        case (.capable1, _): .capable1
        }
    }
}

/// What the outer header of a tunnel takes from the inner one (RFC 4301 section 5.1.2, RFC 6040 section 4), and gives back.
///
/// The inner header's time to live is not ours to change: the system has counted the hop when it routed the packet to us, and
/// does when it routes one that came out.
public struct OuterHeaderRules: Hashable, Sendable {
    /// What becomes of the "don't fragment" bit (RFC 4301 section 8.1).
    public enum DoNotFragment: Hashable, Sendable {
        /// As the inner packet has it. IPv6 packets are never fragmented on their way, so theirs is set.
        case copy
        /// Always set.
        case set
        /// Never set.
        case clear
    }

    /// Whether the DSCP is copied to the outer header, or hidden: then it is 0.
    public var copiesDSCP: Bool
    /// Whether ECN is copied (normal mode), or hidden (compatibility mode, for peers that cannot give it back).
    public var copiesECN: Bool
    /// What becomes of the "don't fragment" bit.
    public var doNotFragment: DoNotFragment

    /// Everything copied, unless told otherwise.
    @inlinable public init(
        copiesDSCP: Bool = true, copiesECN: Bool = true, doNotFragment: DoNotFragment = .copy
    ) {
        (self.copiesDSCP, self.copiesECN, self.doNotFragment) = (copiesDSCP, copiesECN, doNotFragment)
    }

    /// The outer fields of the packet that carries `inner`, a whole IP packet; nothing special where it is none.
    @inlinable public func fields(for inner: Packet) -> OuterFields {
        var fields = OuterFields()
        guard inner.count >= IPv4Header.lengthMinimum else { return fields }
        let isIPv4 = inner.byte(at: 0) >> 4 == 4
        let mask: UInt8 = (copiesDSCP ? 0b1111_1100 : 0) | (copiesECN ? 0b11 : 0)
        fields.trafficClass = Self.trafficClass(of: inner) & mask
        fields.doNotFragment =
            switch doNotFragment {
            case .set: true
            case .clear: false
            case .copy: !isIPv4 || inner.uint16(at: 6) & 0x4000 != 0
            }
        return fields
    }

    /// Puts what the outer header said of congestion into `inner`, a packet that came out of a tunnel (RFC 6040 section 4.2).
    /// Its DSCP stays. False: it must be dropped.
    @inlinable public static func giveBack(outerTrafficClass: UInt8, to inner: Packet) -> Bool {
        guard inner.count >= IPv4Header.lengthMinimum else { return false }
        let old = trafficClass(of: inner)
        let before = CongestionNotification(trafficClass: old)
        guard
            let after = CongestionNotification.decapsulated(
                inner: before, outer: CongestionNotification(trafficClass: outerTrafficClass))
        else { return false }
        if after == before { return true }
        let new = old & 0b1111_1100 | after.rawValue
        let word = inner.uint16(at: 0)
        if word >> 12 == 4 {
            let changed = word & 0xff00 | UInt16(new)
            inner.store(changed, at: 0)
            inner.store(InternetChecksum.updated(inner.uint16(at: 10), from: word, to: changed), at: 10)
        } else {
            inner.store(word & 0xf00f | UInt16(new) << 4, at: 0)
        }
        return true
    }

    /// DSCP and ECN of an IP packet of either version.
    @inlinable static func trafficClass(of packet: Packet) -> UInt8 {
        let word = packet.uint16(at: 0)
        return UInt8(truncatingIfNeeded: word >> 12 == 4 ? word : word >> 4)
    }
}
