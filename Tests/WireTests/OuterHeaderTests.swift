import Testing
import Wire

@Suite("Outer headers of tunnels")
struct OuterHeaderTests {
    private func inner4(trafficClass: UInt8, flags: Int = 0) -> [UInt8] {
        var bytes = ipv4(flags: flags, [1, 2, 3, 4])
        (bytes[1], bytes[10], bytes[11]) = (trafficClass, 0, 0)
        bytes.replaceSubrange(10..<12, with: be16(Int(referenceChecksum(Array(bytes.prefix(20))))))
        return bytes
    }

    private func fields(_ rules: OuterHeaderRules, _ bytes: [UInt8]) -> OuterFields {
        withPacket(bytes) { rules.fields(for: $0) }
    }

    @Test("DSCP is copied or hidden, and ECN by RFC 6040 figure 3, of both versions", arguments: UInt8.min...UInt8.max)
    func encapsulation(trafficClass: UInt8) {
        for bytes in [inner4(trafficClass: trafficClass), ipv6(trafficClass: trafficClass, [1])] {
            #expect(fields(OuterHeaderRules(), bytes).trafficClass == trafficClass)
            #expect(fields(OuterHeaderRules(copiesECN: false), bytes).trafficClass == trafficClass & 0xfc)
            #expect(fields(OuterHeaderRules(copiesDSCP: false), bytes).trafficClass == trafficClass & 3)
            #expect(fields(OuterHeaderRules(copiesDSCP: false, copiesECN: false), bytes).trafficClass == 0)
        }
    }

    @Test("DF is copied, set or cleared; an IPv6 packet is never to be fragmented on its way")
    func doNotFragment() {
        let (may, mustNot, six) = (inner4(trafficClass: 0), inner4(trafficClass: 0, flags: 2), ipv6([1]))
        let cases: [(OuterHeaderRules.DoNotFragment, [Bool])] = [
            (.copy, [false, true, true]), (.set, [true, true, true]), (.clear, [false, false, false]),
        ]
        for (rule, expected) in cases {
            let rules = OuterHeaderRules(doNotFragment: rule)
            #expect([may, mustNot, six].map { fields(rules, $0).doNotFragment } == expected)
        }
        #expect(fields(OuterHeaderRules(), [0x45, 3]) == OuterFields())
    }

    @Test("decapsulation is RFC 6040 figure 4, cell by cell, DSCP left alone and the IPv4 checksum right")
    func decapsulation() {
        let (not, ect0, ect1, ce): (UInt8, UInt8, UInt8, UInt8) = (0b00, 0b10, 0b01, 0b11)
        let figure: [(inner: UInt8, outer: UInt8, out: UInt8?)] = [
            (not, not, not), (not, ect0, not), (not, ect1, not), (not, ce, nil),
            (ect0, not, ect0), (ect0, ect0, ect0), (ect0, ect1, ect1), (ect0, ce, ce),
            (ect1, not, ect1), (ect1, ect0, ect1), (ect1, ect1, ect1), (ect1, ce, ce),
            (ce, not, ce), (ce, ect0, ce), (ce, ect1, ce), (ce, ce, ce),
        ]
        for (inner, outer, out) in figure {
            for dscp: UInt8 in [0, 0xb8, 0xfc] {
                let arrived = dscp | inner
                for (bytes, make) in [
                    (inner4(trafficClass: arrived), { self.inner4(trafficClass: $0) }),
                    (ipv6(trafficClass: arrived, [1]), { ipv6(trafficClass: $0, [1]) }),
                ] as [([UInt8], (UInt8) -> [UInt8])] {
                    withPacket(bytes) { packet in
                        // The outer DSCP does not matter.
                        let isKept = OuterHeaderRules.giveBack(outerTrafficClass: 0x5c | outer, to: packet)
                        #expect(isKept == (out != nil), "\(inner) \(outer)")
                        #expect([UInt8](copying: packet.span) == make(dscp | (out ?? inner)), "\(inner) \(outer)")
                    }
                }
            }
        }
    }

    @Test("what came out of a tunnel and is no packet is dropped")
    func noPacket() {
        withPacket([0x45, 0]) { packet in
            #expect(!OuterHeaderRules.giveBack(outerTrafficClass: 0, to: packet))
        }
    }
}
