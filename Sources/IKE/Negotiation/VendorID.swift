import Wire

/// The vendor ids that clients send, by name. What is not here is only passed over.
public enum IKEVendorID: String, CaseIterable, Sendable {
    /// RFC 3947.
    case natTraversal
    /// draft-ietf-ipsec-nat-t-ike-03.
    case natTraversalDraft03
    /// draft-ietf-ipsec-nat-t-ike-02, hashed with a line end, as Windows sends it.
    case natTraversalDraft02n
    /// draft-ietf-ipsec-nat-t-ike-02.
    case natTraversalDraft02
    /// draft-ietf-ipsec-nat-t-ike-01, where it has a number of its own.
    case natTraversalDraft01
    /// draft-ietf-ipsec-nat-t-ike-00, which has no port 4500.
    case natTraversalDraft00
    /// draft-ietf-ipsec-nat-t-ike without a number, as Apple sends it.
    case natTraversalDraft
    /// RFC 3706.
    case deadPeerDetection
    /// Microsoft and Cisco fragmentation of IKE messages.
    case fragmentation
    /// MS NT5 ISAKMPOAKLEY: Windows 2000 and everything after it.
    case microsoft
    /// Windows: AuthIP key dictation.
    case microsoftKeyModes
    /// Windows: negotiation discovery.
    case microsoftNegotiationDiscovery
    /// Windows: Vid-Initial-Contact.
    case microsoftInitialContact
    /// Windows: cryptographically generated addresses.
    case microsoftGeneratedAddresses
    /// KAME racoon, and Apple's.
    case racoon
    /// XAUTH.
    case extendedAuthentication
    /// Cisco Unity.
    case ciscoUnity
    /// strongSwan.
    case strongSwan
    /// GSSAPI authentication.
    case gssapi

    /// The bytes; for those of Microsoft and racoon and for fragmentation the first bytes, which a version follows.
    var bytes: [UInt8] {
        switch self {
        case .natTraversal: Self.octets(0x4a13_1c81_0703_5845, 0x5c57_28f2_0e95_452f)
        case .natTraversalDraft03: Self.octets(0x7d94_19a6_5310_ca6f, 0x2c17_9d92_1552_9d56)
        case .natTraversalDraft02n: Self.octets(0x90cb_8091_3ebb_696e, 0x0863_81b5_ec42_7b1f)
        case .natTraversalDraft02: Self.octets(0xcd60_4643_35df_21f8, 0x7cfd_b2fc_68b6_a448)
        case .natTraversalDraft01: Self.octets(0x16f6_ca16_e4a4_066d, 0x8382_1a0f_0aea_a862)
        case .natTraversalDraft00: Self.octets(0x4485_152d_18b6_bbcd, 0x0be8_a846_9579_ddcc)
        case .natTraversalDraft: Self.octets(0x4df3_7928_e9fc_4fd1, 0xb326_2170_d515_c662)
        case .deadPeerDetection: Self.octets(0xafca_d713_68a1_f1c9, 0x6b86_96fc_7757_0100)
        case .fragmentation: Self.octets(0x4048_b7d5_6ebc_e885, 0x25e7_de7f_00d6_c2d3)
        case .microsoft: Self.octets(0x1e2b_5169_0599_1c7d, 0x7c96_fcbf_b587_e461)
        case .microsoftKeyModes: Self.octets(0x0152_8bbb_c006_9612, 0x1849_ab9a_1c5b_2a51)
        case .microsoftNegotiationDiscovery: Self.octets(0xfb1d_e3cd_f341_b7ea, 0x16b7_e5be_0855_f120)
        case .microsoftInitialContact: Self.octets(0x2624_4d38_eddb_61b3, 0x172a_36e3_d0cf_b819)
        case .microsoftGeneratedAddresses: Self.octets(0xe3a5_966a_7637_9fe7, 0x0722_8231_e5ce_8652)
        case .racoon: Self.octets(0x7003_cbc1_097d_be9c, 0x2600_ba69_83bc_8b35)
        case .extendedAuthentication: UInt64(0x0900_2689_dfd6_b712).octets
        case .ciscoUnity: Self.octets(0x12f5_f28c_4571_68a9, 0x702d_9fe2_74cc_0100)
        case .strongSwan: Self.octets(0x882f_e56d_6fd2_0dbc, 0x2251_613b_2ebe_5beb)
        case .gssapi: Self.octets(0x621b_04bb_0988_2ac1, 0xe159_35fe_fa24_aeee)
        }
    }

    private static func octets(_ high: UInt64, _ low: UInt64) -> [UInt8] {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { [UInt8]($0) }
    }

    /// All of them, made once: every first message is looked through for them.
    private static let known = allCases.map { (id: $0, bytes: $0.bytes) }
    private static let mayBeLonger: Set<IKEVendorID> = [.microsoft, .microsoftKeyModes, .fragmentation, .racoon]

    /// The vendor id of a payload's body.
    init?(_ body: [UInt8]) {
        guard let first = body.first,
            let (id, bytes) = Self.known.first(where: { $0.bytes[0] == first && body.starts(with: $0.bytes) })
        else { return nil }
        // RFC 3706 allows any minor version; those that carry a version may be longer, all others are exact.
        guard body.count == bytes.count || Self.mayBeLonger.contains(id) && body.count <= bytes.count + 8 else {
            return nil
        }
        // Who names its capabilities must name that of phase 1 to be sent fragments; Windows names none and can.
        if id == .fragmentation, body.count > bytes.count, body[bytes.count] & 0x80 == 0 { return nil }
        self = id
    }
}

extension PeerCapabilities {
    /// The vendor ids with which we answer those of the peer: what it can, we can too.
    var answeringVendorIDs: [[UInt8]] {
        var bodies: [[UInt8]] = []
        if contains(.deadPeerDetection) { bodies.append(IKEVendorID.deadPeerDetection.bytes) }
        if contains(.fragmentation) { bodies.append(Self.fragmentation(isMicrosoft: contains(.microsoft))) }
        return bodies
    }

    /// Microsoft's has no capabilities; all others want to read that phase 1 may be in fragments.
    static func fragmentation(isMicrosoft: Bool) -> [UInt8] {
        IKEVendorID.fragmentation.bytes + (isMicrosoft ? [] : [0x80, 0, 0, 0])
    }
}
