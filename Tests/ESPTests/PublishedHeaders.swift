import ESP
import Testing

/// A whole IP packet with AH, as a receiver gets it, and what is in it.
struct PublishedHeader: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let integrity: Integrity
    let key: [UInt8]
    /// How many bytes stand before AH.
    let headerLength: Int
    let packet: [UInt8]

    /// What AH bears.
    var payload: [UInt8] { Array(packet[(headerLength + (Int(packet[headerLength + 1]) + 2) * 4)...]) }
    /// Of which protocol that is.
    var nextHeader: UInt8 { packet[headerLength] }
}

/// IP packets with AH that others made.
enum PublishedHeaders {
    /// FreeS/WAN on Linux, tunnel mode: ah_test_sample_ah_outer_packet in embedded IPsec's
    /// src/testing/structural/ah_test-sample_ah_packet.h, its key in ah_test.c beside it.
    static let captured = PublishedHeader(
        testDescription: "FreeS/WAN", integrity: .md5_96, key: hex("01234567012345670123456701234567"),
        headerLength: 20,
        packet: hex(
            """
            45000068799c000040337d4bc0a80128c0a80103040400000000100900000001452f1de9ee8b41264451cc8d4500003c
            e77a40004006cfc5c0a80128c0a80103801a005084b9c56600000000a0027eb81f75000002043f5c0402080a000f221c
            0000000001030300
            """))

    /// Made by Scapy 2.8.0 (scapy.layers.ipsec), an implementation that shares nothing with ours. The sender of a routing
    /// header computes with the addresses as they arrive (RFC 4302 appendix A2): so they stand here.
    static let scapy: [PublishedHeader] = [
        PublishedHeader(
            testDescription: "IPv4", integrity: .md5_96, key: (0x10..<0x20).map { UInt8($0) },
            headerLength: 20,
            packet: hex(
                """
                45b8003e123440003d333e6ac0000201c63364021104000012345678000000070d6a2126d310822729d89eba06a506a5
                0012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 20,
            packet: hex(
                """
                45b8003e123440003d333e6ac0000201c6336402110400001234567800000007d1d19192a09b09c7bd1e0a1806a506a5
                0012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 20,
            packet: hex(
                """
                45b80042123440003d333e66c0000201c63364021105000012345678000000077b23823eba0927e17114517eb035fcd9
                06a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4: security, router alert, record route, time stamp", integrity: .sha1_96,
            key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 52,
            packet: hex(
                """
                4db8005e123440003d3315f4c0000201c6336402820b010203040506070809940400000707080a000001014408090011
                2233440111040000123456780000000769cc99d4fc023cb575ebf57a06a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4: security, router alert, record route, time stamp", integrity: .sha256_128,
            key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 52,
            packet: hex(
                """
                4db80062123440003d3315f0c0000201c6336402820b010203040506070809940400000707080a000001014408090011
                2233440111050000123456780000000798c684198a95f1d8f1ac57f491ea2bda06a506a50012f358696d6d757461626c
                653f
                """)),
        PublishedHeader(
            testDescription: "IPv4: strict and loose source route", integrity: .sha1_96,
            key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 36,
            packet: hex(
                """
                49b8004e123440003d33127cc0000201c6336402890708c0000209018307080a01010101110400001234567800000007
                ffe352c95ed00c3a5728091306a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4: strict and loose source route", integrity: .sha256_128,
            key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 36,
            packet: hex(
                """
                49b80052123440003d331278c0000201c6336402890708c0000209018307080a01010101110500001234567800000007
                25f3d994f84c6e53b04c3cfb6efe8cf406a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4: extended and commercial security, directed broadcast", integrity: .sha1_96,
            key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 36,
            packet: hex(
                """
                49b8004e123440003d330f8ac0000201c63364028504aabb8606000000019506e0000001110400001234567800000007
                4b1ce35a5d7db7074d1c0d7706a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4: extended and commercial security, directed broadcast", integrity: .sha256_128,
            key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 36,
            packet: hex(
                """
                49b80052123440003d330f86c0000201c63364028504aabb8606000000019506e0000001110500001234567800000007
                0eaf97fe8de5e4312bda1d1ad0cd9e5b06a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv4 in IPv4", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 20,
            packet: hex(
                """
                452000520001000021332144cb007109cb00710a04040000123456780000000775002fe169d60285acda77e445b80026
                123440003d113ea4c0000201c633640206a506a50012f358696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 40,
            packet: hex(
                """
                6b812345002a333c20010db800010000000000000000000120010db80002000000000000000000021104000012345678
                000000075a0c52d7de12808619e10e5306a506a500128418696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 40,
            packet: hex(
                """
                6b8123450032333c20010db800010000000000000000000120010db80002000000000000000000021106000012345678
                00000007fc5607bd3bd27da137e32f843fe4ac620000000006a506a500128418696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: hop-by-hop options", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 56,
            packet: hex(
                """
                6b812345003a003c20010db800010000000000000000000120010db80002000000000000000000023301050200003e06
                deadbeef010201001104000012345678000000078d216f85b83d114927c281f806a506a500128418696d6d757461626c
                653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: hop-by-hop options", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 56,
            packet: hex(
                """
                6b8123450042003c20010db800010000000000000000000120010db80002000000000000000000023301050200003e06
                deadbeef010201001106000012345678000000077bd7325cfa6c629a0fb217eba6c49d240000000006a506a500128418
                696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: destination options", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 56,
            packet: hex(
                """
                6b812345003a3c3c20010db800010000000000000000000120010db800020000000000000000000233011e031122333f
                0244550103000000110400001234567800000007bf31794bb57bc2476292189c06a506a500128418696d6d757461626c
                653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: destination options", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 56,
            packet: hex(
                """
                6b81234500423c3c20010db800010000000000000000000120010db800020000000000000000000233011e031122333f
                0244550103000000110600001234567800000007eb869ee224ddd6c3c63c1974e506197e0000000006a506a500128418
                696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: routing header", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 64,
            packet: hex(
                """
                6b81234500422b3c20010db800010000000000000000000120010db80009000000000000000000093302000000000000
                20010db8000200000000000000000002110400001234567800000007a8433fbf286491e0253b93b606a506a500128418
                696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: routing header", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 64,
            packet: hex(
                """
                6b812345004a2b3c20010db800010000000000000000000120010db80009000000000000000000093302000000000000
                20010db800020000000000000000000211060000123456780000000704c5ca4f2c34bfbbdf0195db72a0001300000000
                06a506a500128418696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: all three", integrity: .sha1_96, key: (0x20..<0x34).map { UInt8($0) },
            headerLength: 96,
            packet: hex(
                """
                6b8123450062003c20010db800010000000000000000000120010db80009000000000000000000093c01050200003e06
                deadbeef010201002b011e031122333f0244550103000000330200000000000020010db8000200000000000000000002
                110400001234567800000007b8a6cce43beb5644b28783e006a506a500128418696d6d757461626c653f
                """)),
        PublishedHeader(
            testDescription: "IPv6: all three", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 96,
            packet: hex(
                """
                6b812345006a003c20010db800010000000000000000000120010db80009000000000000000000093c01050200003e06
                deadbeef010201002b011e031122333f0244550103000000330200000000000020010db8000200000000000000000002
                110600001234567800000007633737f1b77d6c09545b0650a3114e2b0000000006a506a500128418696d6d757461626c
                653f
                """)),
        PublishedHeader(
            testDescription: "IPv6 in IPv6", integrity: .sha256_128, key: (0x40..<0x60).map { UInt8($0) },
            headerLength: 40,
            packet: hex(
                """
                60000000005a334020010db8000a0000000000000000000120010db8000b000000000000000000012906000012345678
                000000079e1e0ab1c66e72b4a18cb51ddb51980e000000006b8123450012113c20010db8000100000000000000000001
                20010db800020000000000000000000206a506a500128418696d6d757461626c653f
                """)),
    ]
}
