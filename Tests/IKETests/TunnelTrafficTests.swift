import Cryptography
import Testing
import Wire

@testable import IKE

/// A network or an address as a range.
func range(_ text: String) -> AddressRange? {
    (IPv4Network(text) ?? IPv4Network("\(text)/32")).flatMap {
        AddressRange(.v4($0.address), prefixLength: $0.prefixLength)
    }
}

@Suite("Who may have which traffic")
struct TunnelTrafficTests {
    private static func traffic(_ local: String, _ remote: String) throws -> TrafficSelector {
        TrafficSelector(local: try #require(range(local)), remote: try #require(range(remote)))
    }

    /// A tunnel between 10.1.0.0/16 here and 10.2.0.0/16 there, with the client's address.
    private static func branch(_ change: (inout IKETunnel) -> Void = { _ in }) throws -> IKETunnel {
        var tunnel = IKETunnel(
            "branch", peerAddresses: [AddressRange(.v4(allowedAddress))],
            selectors: [try traffic("10.1.0.0/16", "10.2.0.0/16")])
        change(&tunnel)
        return tunnel
    }

    /// A body of type 4: 10.`second`.`third`.0 with so many bits.
    private static func subnet(_ second: UInt8, _ third: UInt8, _ bits: Int, port: [UInt8] = [0, 0, 0]) -> [UInt8] {
        [4] + port + [10, second, third, 0] + be32(Int(UInt32.max << UInt32(32 - bits)))
    }

    private static func world(
        _ selectors: [[UInt8]], mode: Int = 1, tunnels: [IKETunnel], translated: Bool = false,
        identity: [UInt8]? = nil, keys: PreSharedKeys? = nil
    ) -> World {
        var settings = TestInitiator.Settings()
        settings.selectors = selectors
        settings.quickOffer = { spi, _ in Offers.strongSwanQuick(spi: spi, mode: translated ? 3 : mode, combined: true)
        }
        if let identity { settings.identity = identity }
        var world = World(settings: settings) {
            $0.tunnels = tunnels
            if let keys { $0.preSharedKeys = keys }
        }
        if translated { world.translate() }
        if translated, let identity { world.client.settings.identity = identity }
        world.dialIn(quick: .milliseconds(500))
        return world
    }

    @Test("a tunnel's networks, and less of them, are its peer's, and what it asked for is agreed")
    func granted() throws {
        let cases: [([[UInt8]], TrafficSelector)] = [
            ([Self.subnet(2, 0, 16), Self.subnet(1, 0, 16)], try Self.traffic("10.1.0.0/16", "10.2.0.0/16")),
            ([Self.subnet(2, 7, 24), Self.subnet(1, 9, 24)], try Self.traffic("10.1.9.0/24", "10.2.7.0/24")),
            (
                [[1, 0, 0, 0, 10, 2, 0, 1], [7, 0, 0, 0, 10, 1, 0, 1, 10, 1, 0, 1]],
                try Self.traffic("10.1.0.1", "10.2.0.1")
            ),
        ]
        for (selectors, traffic) in cases {
            let world = Self.world(selectors, tunnels: [try Self.branch()])
            #expect(world.keysAgree && world.ready.first?.tunnel == "branch", "\(world.refusals.map(\.detail))")
            #expect(world.ready.first?.traffic == traffic && world.ready.first?.mode == .tunnel)
            #expect(world.requests.first?.tunnel == "branch" && world.requests.first?.traffic == traffic)
        }
    }

    @Test("more than a tunnel has, other networks, other modes and ports of no protocol are refused, and told")
    func refused() throws {
        let cases: [([[UInt8]], Int)] = [
            ([Self.subnet(2, 0, 15), Self.subnet(1, 0, 16)], 1), ([Self.subnet(2, 0, 16), Self.subnet(0, 0, 8)], 1),
            ([Self.subnet(3, 0, 16), Self.subnet(1, 0, 16)], 1), ([Self.subnet(1, 0, 16), Self.subnet(2, 0, 16)], 1),
            ([Self.subnet(2, 0, 16, port: [0, 0, 80]), Self.subnet(1, 0, 16)], 1),
            ([Self.subnet(2, 0, 16, port: [6, 0, 80]), Self.subnet(1, 0, 16, port: [17, 0, 80])], 1),
            ([[4, 0, 0, 0, 10, 2, 0, 0, 255, 0, 255, 0], Self.subnet(1, 0, 16)], 1),
            ([[7, 0, 0, 0, 10, 2, 0, 9, 10, 2, 0, 1], Self.subnet(1, 0, 16)], 1),
            ([[2, 0, 0, 0] + Array("branch".utf8), Self.subnet(1, 0, 16)], 1),
        ]
        for (selectors, mode) in cases {
            let world = Self.world(selectors, mode: mode, tunnels: [try Self.branch()])
            #expect(world.ready.isEmpty && world.client.notifications == [18], "\(selectors)")
            #expect(world.refusals.map(\.reason) == [.selectorsRefused])
        }
        let transport = Self.world(
            [Self.subnet(2, 0, 16), Self.subnet(1, 0, 16)], mode: 2, tunnels: [try Self.branch()])
        #expect(transport.ready.isEmpty && transport.client.notifications == [14])
    }

    @Test("another's tunnel is refused: by address, behind a NAT, and by a name that a key of many does not prove")
    func otherPeer() throws {
        let all = [Self.subnet(2, 0, 16), Self.subnet(1, 0, 16)]
        let name: [UInt8] = [2, 0, 0, 0] + Array("branch.example".utf8)
        let elsewhere = try Self.branch { $0.peerAddresses = [AddressRange(.v4(gatewayAddress))] }
        let named = try Self.branch {
            $0.peerAddresses = []
            $0.peerIdentity = "branch.example"
        }
        let nobody = try Self.branch { $0.peerAddresses = [] }
        let both = try Self.branch { $0.peerIdentity = "branch.example" }
        let shared = PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))
        let own = PreSharedKeys([PreSharedKey(SecretBytes(utf8: "correct horse"), identity: "branch.example")])
        let everybodys = PreSharedKeys([
            PreSharedKey(SecretBytes(utf8: "correct horse"), identity: "branch.example"),
            PreSharedKey(SecretBytes(utf8: "correct horse")),
        ])
        let cases: [(IKETunnel, translated: Bool, identity: [UInt8]?, PreSharedKeys, isGranted: Bool)] = [
            (elsewhere, false, nil, shared, false), (try Self.branch(), true, nil, shared, false),
            (named, false, name, shared, false), (named, true, name, shared, false),
            (nobody, false, nil, shared, false),
            (named, false, name, own, true), (named, true, name, own, true), (both, true, name, own, true),
            (named, false, name, everybodys, false), (both, false, nil, shared, false),
        ]
        for (index, item) in cases.enumerated() {
            let world = Self.world(
                all, tunnels: [item.0], translated: item.translated, identity: item.identity, keys: item.3)
            #expect(world.ready.isEmpty != item.isGranted, "\(index) \(world.refusals.map(\.detail))")
            guard !item.isGranted else { continue }
            #expect(world.refusals.last?.detail.contains("is not that of the tunnel") ?? false)
        }
    }

    @Test(
        "L2TP in tunnel mode: with us, by UDP port 1701, from one host; without identifications between the endpoints")
    func tunnelledL2TP() {
        let ours: [UInt8] = [1, 17, 6, 165, 198, 51, 100, 1]
        let cases: [([[UInt8]], translated: Bool, isGranted: Bool)] = [
            ([[1, 17, 6, 165, 192, 0, 2, 7], ours], false, true), ([[1, 17, 6, 165, 10, 0, 0, 2], ours], true, true),
            ([[1, 17, 0, 0, 10, 0, 0, 2], ours], true, true), ([], false, true),
            ([[4, 17, 6, 165, 10, 0, 0, 2, 255, 255, 255, 255], ours], true, true),
            ([[1, 17, 6, 165, 10, 0, 0, 2], [1, 17, 6, 165, 198, 51, 100, 2]], false, false),
            ([[1, 17, 0, 53, 10, 0, 0, 2], [1, 17, 0, 53, 198, 51, 100, 1]], false, false),
            ([[4, 17, 6, 165, 10, 0, 0, 0, 255, 0, 0, 0], ours], false, false),
            ([[1, 6, 6, 165, 10, 0, 0, 2], [1, 6, 6, 165, 198, 51, 100, 1]], false, false),
        ]
        for (selectors, translated, isGranted) in cases {
            let world = Self.world(selectors, tunnels: [], translated: translated)
            #expect(world.ready.isEmpty != isGranted, "\(selectors) \(world.refusals.map(\.detail))")
            #expect(world.ready.allSatisfy { $0.mode == .tunnel && $0.tunnel == nil && $0.traffic != nil })
        }
    }

    @Test("a gateway asks another for its tunnel, and both know which it is")
    func asked() throws {
        let wide = try Self.traffic("10.2.0.0/16", "10.1.0.0/16")
        var pair = Pair { configuration, side in
            guard let peer = range("192.0.2.\(2 - side)") else { return }
            let traffic = side == 0 ? wide : TrafficSelector(local: wide.remote, remote: wide.local)
            configuration.tunnels = [IKETunnel("branch", peerAddresses: [peer], selectors: [traffic])]
        }
        pair.connect(quick: {
            $0.mode = .tunnel
            $0.traffic = wide
            $0.tunnel = "branch"
        })
        #expect(pair.isMirrored && pair.keysAgree)
        #expect(pair.sides[1].ready.first?.tunnel == "branch" && pair.sides[1].ready.first?.mode == .tunnel)
        #expect(pair.sides[1].ready.first?.traffic?.local == wide.remote)
    }
}

@Suite("Bundles between two gateways")
struct PairSuiteTests {
    private static let suites: [IPsecSuite] = {
        let gcm = IPsecSuite.Payload(cipher: .aesGCM(keyBits: 256, icvBytes: 16), integrity: nil)
        let ctr = IPsecSuite.Payload(cipher: .aesCTR(keyBits: 128), integrity: .aesXCBC)
        let ccm = IPsecSuite.Payload(cipher: .aesCCM(keyBits: 192, icvBytes: 8), integrity: nil)
        let chaCha = IPsecSuite.Payload(cipher: .chaCha20Poly1305, integrity: nil)
        var suites = [gcm, ctr, ccm, chaCha].map { IPsecSuite(payload: $0) }
        suites.append(IPsecSuite(authenticationHeader: .hmacSHA256))
        suites.append(IPsecSuite(authenticationHeader: .hmacSHA512, payload: ctr))
        return suites.flatMap { suite in
            [(false, false), (false, true), (true, false), (true, true)].map { compresses, extended in
                var suite = suite
                (suite.compresses, suite.usesExtendedSequenceNumbers) = (compresses, extended)
                return suite
            }
        }
    }()

    @Test("every suite in both modes, with and without a NAT, comes up, is replaced whole, and ends whole")
    func all() throws {
        for suite in Self.suites {
            for (mode, isTranslated) in [
                (IPsecMode.transport, false), (.transport, true), (.tunnel, false), (.tunnel, true),
            ]
            where suite.authenticationHeader == nil || !isTranslated {
                var pair = Pair { configuration, side in
                    configuration.policy.phaseTwo = PhaseTwoAlgorithms(suites: [suite])
                    configuration.policy.replayWindow = 256
                }
                if isTranslated { pair.translation = Pair.Translation() }
                pair.connect(quick: { $0.mode = mode })
                #expect(pair.isMirrored && pair.keysAgree, "\(suite) \(mode) \(isTranslated)")
                pair.rekey(1)
                pair.run(for: .seconds(1))
                pair.rekey(0)
                pair.run(for: .seconds(60))
                #expect(pair.isMirrored && pair.keysAgree, "\(suite) \(mode) \(isTranslated)")
                for side in 0..<2 {
                    let ready = pair.sides[side].ready
                    #expect(ready.count >= 2 && ready.allSatisfy { $0.suite == suite && $0.mode == mode }, "\(suite)")
                    #expect(ready.allSatisfy { ($0.compression != nil) == suite.compresses && $0.replayWindow == 256 })
                    for child in ready {
                        let other = pair.sides[1 - side].ready.first { $0.inboundSPI == child.outboundSPI }
                        #expect(other?.compression?.inboundCPI == child.compression?.outboundCPI)
                    }
                }
                pair.close(0)
                pair.run(for: .seconds(40))
                #expect(pair.sides.allSatisfy { $0.engine.securityAssociationCount == 0 && $0.inbound.isEmpty })
            }
        }
    }
}
