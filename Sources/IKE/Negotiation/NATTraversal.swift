import Cryptography
import Wire

/// Which paper of NAT traversal an exchange follows. They differ in payload numbers and encapsulation values. Drafts 00
/// and 01 stay on port 500, where eight zero bytes tell ESP from IKE. Most who follow draft 01 send draft 00's vendor id.
enum NATTraversalVariant: Sendable, Hashable {
    case rfc3947
    case draft03
    case draft02n
    case draft02
    case draft01
    case draft00

    /// The best that the peer also speaks.
    init?(_ vendorIDs: Set<IKEVendorID>) {
        let known: [(IKEVendorID, NATTraversalVariant)] = [
            (.natTraversal, .rfc3947), (.natTraversalDraft03, .draft03), (.natTraversalDraft02n, .draft02n),
            (.natTraversalDraft02, .draft02), (.natTraversalDraft01, .draft01), (.natTraversalDraft00, .draft00),
        ]
        guard let match = known.first(where: { vendorIDs.contains($0.0) }) else { return nil }
        self = match.1
    }

    var vendorID: IKEVendorID {
        switch self {
        case .rfc3947: .natTraversal
        case .draft03: .natTraversalDraft03
        case .draft02n: .natTraversalDraft02n
        case .draft02: .natTraversalDraft02
        case .draft01: .natTraversalDraft01
        case .draft00: .natTraversalDraft00
        }
    }

    var detectionPayload: PayloadType {
        switch self {
        case .rfc3947: .natDetection
        case .draft03, .draft02n, .draft02: .natDetectionDraft
        case .draft01, .draft00: .natDetectionFirstDraft
        }
    }

    var originalAddressPayload: PayloadType {
        switch self {
        case .rfc3947: .natOriginalAddress
        case .draft03, .draft02n, .draft02: .natOriginalAddressDraft
        case .draft01, .draft00: .natOriginalAddressFirstDraft
        }
    }

    /// How ESP goes in UDP. Where it goes in port 4500, IKE does so too once a NAT is found (RFC 3947 section 4).
    var encapsulation: IPsecEncapsulation {
        switch self {
        case .rfc3947, .draft03, .draft02n, .draft02: .udp
        case .draft01, .draft00: .udpOfIKE
        }
    }

    /// How a NAT's presence is said in the offer of a quick mode.
    var transportMode: EncapsulationMode { self == .rfc3947 ? .udpTransport : .udpTransportDraft }
    var tunnelMode: EncapsulationMode { self == .rfc3947 ? .udpTunnel : .udpTunnelDraft }

    /// How many original addresses we tell: drafts 00 and 01 know only the sender's own.
    var originalAddressCount: Int { encapsulation == .udp ? 2 : 1 }
}

/// Where an exchange was found to be translated (RFC 3947 section 3.2).
public struct IKENATDetection: Sendable, Hashable {
    /// Whether the peer sends from behind a NAT.
    public var remote: Bool
    /// Whether we are behind a NAT.
    public var local: Bool

    /// Whether there is a NAT on the way.
    public var isTranslated: Bool { remote || local }

    /// HASH = HASH(CKY-I | CKY-R | IP | Port).
    static func hash(_ algorithm: HashAlgorithm, _ cookies: IKECookies, _ endpoint: Endpoint) -> [UInt8] {
        var writer = ByteWriter(capacity: 34)
        writer.write(cookies.initiator)
        writer.write(cookies.responder)
        switch endpoint.address {
        case .v4(let address): writer.write(address.value)
        case .v6(let address):
            writer.write(address.high)
            writer.write(address.low)
        }
        writer.write(endpoint.port)
        return algorithm.digest(writer.bytes)
    }

}

extension IKENATDetection {
    /// Compares the peer's NAT-D payloads, of our address first and then of all its own, with the addresses that we see.
    /// Nil where there are fewer than two: the peer does not take part.
    init?(_ payloads: [[UInt8]], algorithm: HashAlgorithm, cookies: IKECookies, path: IKEPath) {
        guard payloads.count >= 2, let first = payloads.first else { return nil }
        local = first != Self.hash(algorithm, cookies, path.local)
        remote = !payloads.dropFirst().contains(Self.hash(algorithm, cookies, path.remote))
    }
}
